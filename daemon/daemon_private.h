/* What the files of the composition root share. Nobody else includes this. */
#ifndef TINKEX_DAEMON_PRIVATE_H
#define TINKEX_DAEMON_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/bus.h"
#include "core/metrics.h"
#include "core/registry.h"
#include "core/scheduler.h"
#include "daemon.h"
#include "ipc/commands.h"
#include "store/store.h"
#include "sys/loop.h"
#include "upstream/poller.h"

struct listener;
struct state_dir;

struct daemon {
	const struct config_arguments *arguments;
	struct config *config;
	struct loop *loop;
	struct event *signals[3];
	struct json_names *names;
	struct metrics metrics;
	struct bus bus;
	struct bus_subscriber notices;
	struct registry *registry;
	struct scheduler *scheduler;
	struct store *store;
	struct poller *poller;
	struct commands commands;
	struct listener *listener;
	struct endpoint **endpoints; /* owned; those that are no longer configured stay, marked missing */
	size_t n_endpoints;
	struct state_dir *state_dir;
	struct timer stop_timer, unlink_timer;
	bool stopping;
	int error; /* why it went down, if not in order */
};

/* daemon_wiring.c: what each module tells, and who hears it. The context of all of them is the daemon. */
extern const struct registry_operations daemon_registry_operations;
extern const struct scheduler_operations daemon_scheduler_operations;
extern const struct poller_operations daemon_poller_operations;
extern const struct store_operations daemon_store_operations;
/* As bus_subscriber.notify. */
void daemon_notice(void *context, const struct bus_event *event);
/* As commands.upstream_status and commands.body_lost. */
void daemon_upstream_status(void *context, const struct endpoint *endpoint, uint32_t *ret_connections,
			    unsigned *ret_http_version);
void daemon_body_lost(void *context, struct result *result, int error);

/* daemon_endpoints.c */
/* NULL: there is none of that name, nor has there been. */
struct endpoint *daemon_find_endpoint(struct daemon *daemon, const char *name);
/* One more, in nobody's configuration yet. */
struct endpoint *daemon_add_endpoint(struct daemon *daemon, const char *name, enum profile_name profile);
/* Tells the modules that there are others, or more. */
void daemon_share_endpoints(struct daemon *daemon);
/* All of a configuration's endpoints, or nothing: 0, or negative errno with a sentence in *ret_message. */
_must_check_ int daemon_apply_endpoints(struct daemon *daemon, const struct config *config,
					char **ret_message);
struct registry_limits daemon_registry_limits(const struct config *config);
/* The configuration is read again; if anything is wrong with it the running one stays. */
void daemon_reload(struct daemon *daemon);

#endif
