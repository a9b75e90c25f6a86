#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "config_key.h"
#include "config_origin.h"
#include "config_source.h"
#include "core/alloc.h"
#include "core/timers.h"
#include "paths.h"
#include "url.h"

#define DEFAULT_ENDPOINT "default"
#define DEFAULT_BASE_URL "https://tinker.thinkingmachines.dev/services/tinker-prod"
#define BACKOFF_MIN_ELSEWHERE                                                                                \
	(100 * USEC_PER_MSEC) /* a server that is not on this host is not polled faster */

/* From one text to one value. `origin` and `section` are for the error, and for --check-config. */
static int apply(struct config *config, void *target, const struct config_key *key, const char *value,
		 const char *section, const char *origin, char **ret_message)
{
	bool adds = key->type->list && *value && strcmp(config_origin(config, target, key), "default") != 0;
	char *reason = NULL;
	int r = config_key_set(key, target, value, &reason);

	if (r < 0)
		complain(ret_message, r, "%s: [%s] %s: %s", origin, section, key->name, reason);
	else
		config_origin_set(config, target, key, origin, adds);
	free(reason);
	return r;
}

/* The defaults of the table, for the keys of an endpoint or for all others. */
static int apply_fallbacks(struct config *config, void *target, bool endpoint, char **ret_message)
{
	size_t n;
	const struct config_key *keys = config_keys(&n);
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		if ((keys[i].scope == CONFIG_ENDPOINT) != endpoint)
			continue;
		config_key_clear(&keys[i], target);
		if (keys[i].fallback)
			r = apply(config, target, &keys[i], keys[i].fallback, "default", "default",
				  ret_message);
	}
	return r;
}

static void apply_profile(struct config *config, struct config_endpoint *endpoint)
{
	static const char *const origins[] = {[PROFILE_DURABLE] = "profile durable",
					      [PROFILE_GUIDE] = "profile guide",
					      [PROFILE_SDK] = "profile sdk",
					      [PROFILE_SKYRL] = "profile skyrl"};
	size_t n;
	const struct config_key *keys = config_keys(&n);

	endpoint->policy = policy_profile(endpoint->profile);
	for (size_t i = 0; i < n; i++) {
		if (keys[i].profiled)
			config_origin_set(config, endpoint, &keys[i], origins[endpoint->profile], false);
	}
}

/* The lines of a section: `profile`, or all others. */
static int apply_settings(struct config *config, void *target, const struct config_source *source,
			  const struct config_section *section, bool profile, char **ret_message)
{
	const struct config_key *profile_key = config_key_find(CONFIG_ENDPOINT, "profile");
	const struct config_setting *setting;
	int r = 0;

	STAILQ_FOREACH (setting, &source->settings, next) {
		if (setting->section != section || (setting->key == profile_key) != profile)
			continue;
		r = apply(config, target, setting->key, setting->value, section->name, setting->origin,
			  ret_message);
		if (r < 0)
			break;
	}
	return r;
}

static struct config_endpoint *add_endpoint(struct config *config, const char *name)
{
	struct config_endpoint *endpoint = xnew(struct config_endpoint), **bigger;

	endpoint->name = xstrdup(name);
	endpoint->key_from_environment = strcmp(name, DEFAULT_ENDPOINT) == 0;
	bigger = xzalloc((config->n_endpoints + 1) * sizeof(struct config_endpoint *));
	if (config->n_endpoints)
		memcpy(bigger, config->endpoints, config->n_endpoints * sizeof(struct config_endpoint *));
	bigger[config->n_endpoints++] = endpoint;
	free(config->endpoints);
	config->endpoints = bigger;
	return endpoint;
}

/* Errors that need more than one value. `key` is the one that is complained of. */
static int refuse(const struct config *config, const struct config_endpoint *endpoint, const char *key,
		  const char *reason, char **ret_message)
{
	const struct config_key *row = config_key_find(CONFIG_ENDPOINT, key);
	char *value = row->type->show(row, endpoint, 0);
	int r = complain(ret_message, -EINVAL, "%s: [endpoint %s] %s: \"%s\" %s",
			 config_origin(config, endpoint, row), endpoint->name, key, value, reason);

	free(value);
	return r;
}

static int check_endpoint(const struct config *config, const struct config_endpoint *endpoint,
			  char **ret_message)
{
	const struct policy *policy = &endpoint->policy;
	const char *reason;
	struct url url;

	if (url_parse(endpoint->base_url, &url, &reason) < 0) /* has been read before */
		return refuse(config, endpoint, "base_url", reason, ret_message);
	if (strcmp(url.scheme, "http") == 0 && !url.loopback && !endpoint->allow_plain_http)
		return refuse(config, endpoint, "base_url",
			      "would send the API key over the network unencrypted; write https://, or set "
			      "allow_plain_http = yes",
			      ret_message);
	if (strcmp(url.scheme, "http") == 0 && endpoint->proxy && !endpoint->allow_plain_http)
		return refuse(
			config, endpoint, "proxy",
			"would be told the API key unencrypted, since base_url is http://; take the proxy "
			"out, or set allow_plain_http = yes",
			ret_message);
	if (policy->backoff_min < BACKOFF_MIN_ELSEWHERE && !url.loopback)
		return refuse(config, endpoint, "backoff_min",
			      "is for a server on this host only; write 100ms or more", ret_message);
	if (policy->backoff.initial > policy->backoff.max)
		return refuse(config, endpoint, "backoff_initial",
			      "is longer than backoff_max; raise that or lower this", ret_message);
	return 0;
}

/* `section` NULL: the endpoint that exists without one. */
static int load_endpoint(struct config *config, const struct config_source *source,
			 const struct config_section *section, char **ret_message)
{
	struct config_endpoint *endpoint = add_endpoint(config,
							section ? section->endpoint : DEFAULT_ENDPOINT);
	const struct config_key *base_url = config_key_find(CONFIG_ENDPOINT, "base_url");
	const char *variable = paths_environment("TINKER_BASE_URL");
	char *name = NULL;
	int r = apply_fallbacks(config, endpoint, true, ret_message);

	complain(&name, 0, "endpoint %s", endpoint->name);
	if (r >= 0 && section)
		r = apply_settings(config, endpoint, source, section, true, ret_message);
	if (r >= 0)
		apply_profile(config, endpoint);
	if (r >= 0 && section)
		r = apply_settings(config, endpoint, source, section, false, ret_message);
	if (r >= 0 && !endpoint->base_url && !endpoint->key_from_environment)
		r = complain(ret_message, -EINVAL,
			     "%s: [%s] base_url: missing; only the endpoint \"" DEFAULT_ENDPOINT
			     "\" has a default",
			     section ? section->origin : "default", name);
	if (r >= 0 && !endpoint->base_url)
		r = apply(config, endpoint, base_url, variable ? variable : DEFAULT_BASE_URL, name,
			  variable ? "$TINKER_BASE_URL" : "default", ret_message);
	if (r >= 0)
		r = check_endpoint(config, endpoint, ret_message);
	free(name);
	return r;
}

static int load_endpoints(struct config *config, const struct config_source *source, char **ret_message)
{
	const struct config_section *section;
	int r = 0;

	STAILQ_FOREACH (section, &source->sections, next) {
		if (section->endpoint && r >= 0)
			r = load_endpoint(config, source, section, ret_message);
	}
	if (r >= 0 && config->n_endpoints == 0)
		r = load_endpoint(config, source, NULL, ret_message);
	return r;
}

/* A value from outside the files, if there is one; it may be a path that is not absolute. */
static int override(struct config *config, const char *name, const char *value, bool path, const char *origin,
		    char **ret_message)
{
	char *text;
	int r;

	if (!value)
		return 0;
	text = path && *value ? paths_absolute(value) : xstrdup(value);
	r = apply(config, config, config_key_find(CONFIG_DAEMON, name), text, "daemon", origin, ret_message);
	free(text);
	return r;
}

/* [daemon] and [limits]: the table, the files, the environment, the command line. */
static int load_daemon(struct config *config, const struct config_source *source,
		       const struct config_arguments *arguments, char **ret_message)
{
	const struct config_section *section;
	const char *origin;
	char *path;
	int r = apply_fallbacks(config, config, false, ret_message);

	STAILQ_FOREACH (section, &source->sections, next) {
		if (!section->endpoint && r >= 0)
			r = apply_settings(config, config, source, section, false, ret_message);
	}
	if (r < 0 ||
	    (r = override(config, "socket", paths_environment("TINKEXD_SOCKET"), true, "$TINKEXD_SOCKET",
			  ret_message)) < 0 ||
	    (r = override(config, "socket", arguments->socket, true, "--socket", ret_message)) < 0 ||
	    (r = override(config, "state_dir", arguments->state_dir, true, "--state-dir", ret_message)) < 0 ||
	    (r = override(config, "log_level", arguments->log_level, false, "--log-level", ret_message)) < 0)
		return r;
	if (!config->socket) {
		path = paths_socket(&origin);
		r = override(config, "socket", path, false, origin, ret_message);
		free(path);
	}
	if (r >= 0 && !config->state_dir) {
		path = paths_state_dir(&origin);
		r = override(config, "state_dir", path, false, origin, ret_message);
		free(path);
	}
	return r;
}

DEFINE_FREEP(struct config, config_free)

int config_load(const struct config_arguments *arguments, struct config **ret_config, char **ret_message)
{
	_cleanup_(config_freep) struct config *config = xnew(struct config);
	const char *named = arguments->file ? arguments->file : paths_environment("TINKEXD_CONFIG");
	char *file = named ? xstrdup(named) : paths_config_file();
	struct config_source source;
	bool found = false;
	int r;

	config_source_init(&source);
	r = config_source_read(&source, file, named != NULL, &found, ret_message);
	if (r >= 0)
		r = load_daemon(config, &source, arguments, ret_message);
	if (r >= 0)
		r = load_endpoints(config, &source, ret_message);
	config_source_release(&source);
	if (found)
		config->file = steal_pointer(file);
	free(file);
	if (r < 0)
		return r;
	*ret_config = steal_pointer(config);
	return 0;
}

static void clear_keys(void *target, bool endpoint)
{
	size_t n;
	const struct config_key *keys = config_keys(&n);

	for (size_t i = 0; i < n; i++) {
		if ((keys[i].scope == CONFIG_ENDPOINT) == endpoint)
			config_key_clear(&keys[i], target);
	}
}

struct config *config_free(struct config *config)
{
	if (!config)
		return NULL;
	for (size_t i = 0; i < config->n_endpoints; i++) {
		clear_keys(config->endpoints[i], true);
		free(config->endpoints[i]->name);
		free(config->endpoints[i]);
	}
	free(config->endpoints);
	clear_keys(config, false);
	config_origin_release(config);
	free(config->file);
	free(config);
	return NULL;
}
