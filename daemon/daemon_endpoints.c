/*
 * Endpoints by the configuration, and what a reload changes.
 */
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "daemon_private.h"
#include "ipc/listener.h"
#include "sys/config.h"
#include "sys/log.h"
#include "sys/service.h"

struct endpoint *daemon_find_endpoint(struct daemon *daemon, const char *name)
{
	for (size_t i = 0; i < daemon->n_endpoints; i++) {
		if (strcmp(daemon->endpoints[i]->name, name) == 0)
			return daemon->endpoints[i];
	}
	return NULL;
}

static void *copy_ids(const void *ids, size_t n, size_t size)
{
	void *copy = n ? xzalloc(n * size) : NULL;

	if (copy)
		memcpy(copy, ids, n * size);
	return copy;
}

static void configure_endpoint(struct endpoint *endpoint, const struct config_endpoint *config)
{
	free(endpoint->base_url);
	free(endpoint->users);
	free(endpoint->groups);
	endpoint->base_url = xstrdup(config->base_url);
	endpoint->profile = config->profile;
	endpoint->policy = config->policy;
	endpoint->limits.max_in_flight = config->max_in_flight;
	endpoint->limits.max_connections = config->max_connections;
	endpoint->max_age = config->max_age;
	endpoint->users = copy_ids(config->users, config->n_users, sizeof(uid_t));
	endpoint->n_users = config->n_users;
	endpoint->groups = copy_ids(config->groups, config->n_groups, sizeof(gid_t));
	endpoint->n_groups = config->n_groups;
	endpoint->missing = false;
}

struct endpoint *daemon_add_endpoint(struct daemon *daemon, const char *name, enum profile_name profile)
{
	daemon->endpoints = xreallocarray(daemon->endpoints, daemon->n_endpoints + 1,
					  sizeof(*daemon->endpoints));
	return daemon->endpoints[daemon->n_endpoints++] = endpoint_new(name, profile);
}

static struct endpoint *get_endpoint(struct daemon *daemon, const struct config_endpoint *config)
{
	struct endpoint *endpoint = daemon_find_endpoint(daemon, config->name);

	return endpoint ? endpoint : daemon_add_endpoint(daemon, config->name, config->profile);
}

static void apply_endpoint(struct daemon *daemon, const struct config_endpoint *config,
			   struct upstream *upstream)
{
	struct endpoint *endpoint = get_endpoint(daemon, config);

	configure_endpoint(endpoint, config);
	poller_attach(daemon->poller, endpoint, upstream);
	scheduler_key_changed(daemon->scheduler, endpoint, poller_have_key(endpoint), loop_now(daemon->loop));
	if (!poller_have_key(endpoint))
		log_warning("daemon",
			    "endpoint %s has no API key: its requests wait; set api_key_file in the "
			    "configuration%s",
			    endpoint->name,
			    strcmp(endpoint->name, "default") == 0 ? " or TINKER_API_KEY" : "");
}

/* Everything that can fail, for all endpoints, before anything is touched. */
static int prepare_upstreams(struct daemon *daemon, const struct config *config, struct upstream **upstreams,
			     char **ret_message)
{
	for (size_t i = 0; i < config->n_endpoints; i++) {
		int r = poller_prepare(daemon->poller, config->endpoints[i], &upstreams[i], ret_message);

		if (r < 0) {
			while (i--)
				poller_discard(upstreams[i]);
			return r;
		}
	}
	return 0;
}

void daemon_share_endpoints(struct daemon *daemon)
{
	scheduler_set_endpoints(daemon->scheduler, daemon->endpoints, daemon->n_endpoints);
	daemon->commands.endpoints = daemon->endpoints;
	daemon->commands.n_endpoints = daemon->n_endpoints;
}

int daemon_apply_endpoints(struct daemon *daemon, const struct config *config, char **ret_message)
{
	struct upstream **upstreams = xreallocarray(NULL, config->n_endpoints + 1, sizeof(*upstreams));
	int r = prepare_upstreams(daemon, config, upstreams, ret_message);

	if (r < 0) {
		free(upstreams);
		return r;
	}
	for (size_t i = 0; i < daemon->n_endpoints; i++)
		daemon->endpoints[i]->missing = true;
	for (size_t i = 0; i < config->n_endpoints; i++)
		apply_endpoint(daemon, config->endpoints[i], upstreams[i]);
	for (size_t i = 0; i < daemon->n_endpoints; i++) {
		if (daemon->endpoints[i]->missing)
			poller_detach(daemon->poller, daemon->endpoints[i]);
	}
	free(upstreams);
	daemon_share_endpoints(daemon);
	return 0;
}

struct registry_limits daemon_registry_limits(const struct config *config)
{
	return (struct registry_limits){
		.max_registrations_per_uid = config->max_registrations_per_uid,
		.retention = config->retention,
		.retention_delivered = config->retention_delivered,
		.max_stored_bytes = config->max_stored_bytes,
		.max_stored_bytes_per_uid = config->max_stored_bytes_per_uid,
	};
}

/* Reload: what can change while running does; what cannot is said. */
static void apply_limits(struct daemon *daemon, const struct config *config)
{
	struct registry_limits limits = daemon_registry_limits(config);

	registry_set_limits(daemon->registry, &limits);
	log_set_level(config->log_level);
	daemon->scheduler->budget.limit = config->inflight_result_bytes;
	poller_set_max_result_bytes(daemon->poller, config->max_result_bytes);
	daemon->commands.inline_result_bytes = config->inline_result_bytes;
	listener_set_limits(daemon->listener, config->max_peers, config->max_peers_per_uid,
			    config->max_peer_memory);
}

void daemon_reload(struct daemon *daemon)
{
	struct config *config = NULL;
	char *message = NULL;

	service_reloading();
	if (config_load(daemon->arguments, &config, &message) < 0 ||
	    daemon_apply_endpoints(daemon, config, &message) < 0) {
		log_error("daemon", "reload refused, the running configuration stays: %s", message);
		config_free(config);
	} else {
		if (strcmp(config->socket, daemon->config->socket) != 0 ||
		    strcmp(config->state_dir, daemon->config->state_dir) != 0)
			log_warning("daemon", "a changed socket or state_dir takes effect at the next start");
		apply_limits(daemon, config);
		config_free(daemon->config);
		daemon->config = config;
		log_info("daemon", "configuration reloaded from %s",
			 config->file ? config->file : "the defaults");
	}
	free(message);
	service_ready();
}
