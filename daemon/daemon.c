/*
 * The composition root: builds every module, connects them, and takes them down in order.
 */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/alloc.h"
#include "core/waiter.h"
#include "daemon_private.h"
#include "ipc/listener.h"
#include "sys/config.h"
#include "sys/log.h"
#include "sys/service.h"
#include "sys/state_dir.h"

#define STOP_LIMIT         (4 * USEC_PER_SEC) /* a stop takes no longer, whatever peers and servers do */
/* How long linked stakes have after a restart to be linked again. */
#define UNLINK_AFTER       (60 * USEC_PER_SEC)
/* The first polls after a start are spread over this much for each future, and at most that. */
#define RESTART_SPREAD     (2 * USEC_PER_MSEC)
#define RESTART_SPREAD_MAX (30 * USEC_PER_SEC)

/* What cannot be kept is not retrieved. */
static void note_storage(struct daemon *daemon)
{
	bool stuck = registry_is_stuck(daemon->registry);

	if (stuck == daemon->scheduler->storage_stopped)
		return;
	daemon->scheduler->storage_stopped = stuck;
	if (stuck)
		log_warning("daemon",
			    "no result more can be kept (%llu bytes of outcomes are stored, %llu wait "
			    "for the disk): polling pauses",
			    (unsigned long long)daemon->registry->stored_bytes,
			    (unsigned long long)daemon->registry->stalled_bytes);
	else
		log_info("daemon", "results can be kept again: polling goes on");
}

/* The end of a turn: hand out polls, commit, answer. */
static void on_turn(void *context)
{
	struct daemon *daemon = context;

	daemon->registry->wall_offset = loop_wall(daemon->loop) - loop_now(daemon->loop);
	note_storage(daemon);
	if (scheduler_run(daemon->scheduler, loop_now(daemon->loop)))
		loop_wake(daemon->loop);
	store_commit(daemon->store);
	listener_flush(daemon->listener);
	if (daemon->stopping && !store_busy(daemon->store) && !commands_owed(&daemon->commands) &&
	    !listener_owes(daemon->listener) && !poller_in_flight(daemon->poller))
		loop_stop(daemon->loop);
}

static void on_reload(evutil_socket_t signal, short events, void *context)
{
	(void)signal;
	(void)events;
	daemon_reload(context);
}

/* Stop. */

static void on_housekeeping(void *context, struct timer *timer, int64_t now)
{
	struct daemon *daemon = context;

	if (timer == &daemon->unlink_timer) {
		registry_unlink_restored(daemon->registry, now + daemon->registry->wall_offset);
		return;
	}
	log_warning("daemon",
		    "not everything could be delivered before the stop; it stays for the next start");
	loop_stop(daemon->loop);
}

static void on_stop(evutil_socket_t signal, short events, void *context)
{
	struct daemon *daemon = context;

	(void)events;
	if (daemon->stopping) {
		log_warning("daemon", "second %s: stopping at once", strsignal((int)signal));
		loop_stop(daemon->loop);
		return;
	}
	log_info("daemon", "%s: stopping", strsignal((int)signal));
	daemon->stopping = true;
	service_stopping();
	listener_stop_accepting(daemon->listener);
	scheduler_stop(daemon->scheduler, loop_now(daemon->loop));
	commands_drain(&daemon->commands);
	timers_set(loop_timers(daemon->loop), &daemon->stop_timer, loop_now(daemon->loop) + STOP_LIMIT);
	loop_wake(daemon->loop);
}

/* Start. */

static int watch_signals(struct daemon *daemon)
{
	static const struct {
		int signal;
		event_callback_fn callback;
	} watched[] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
		/* What libevent puts back at the end: one that comes during the last steps of a stop changes
		 * nothing. */
		signal(watched[i].signal, SIG_IGN);
		daemon->signals[i] = evsignal_new(loop_base(daemon->loop), watched[i].signal,
						  watched[i].callback, daemon);
		if (!daemon->signals[i] || evsignal_add(daemon->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int make_core(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	struct timers *timers = loop_timers(daemon->loop);
	struct registry_limits limits = daemon_registry_limits(config);
	uint8_t keys[2][16];

	if (getrandom(keys, sizeof(keys), 0) != (ssize_t)sizeof(keys))
		return -EIO;
	daemon->names = xnew(struct json_names);
	json_names_init(daemon->names, keys[0]);
	bus_init(&daemon->bus);
	daemon->notices = (struct bus_subscriber){.notify = daemon_notice, .context = daemon};
	bus_subscribe(&daemon->bus, &daemon->notices);
	waiters_init(timers);
	timer_init(&daemon->stop_timer, TIMER_HOUSEKEEPING);
	timer_init(&daemon->unlink_timer, TIMER_HOUSEKEEPING);
	timers_handle(timers, TIMER_HOUSEKEEPING, on_housekeeping, daemon);
	daemon->registry = registry_new(&daemon_registry_operations, daemon, timers, &limits, keys[1]);
	daemon->registry->wall_offset = loop_wall(daemon->loop) - loop_now(daemon->loop);
	daemon->scheduler = scheduler_new(&daemon_scheduler_operations, daemon, daemon->registry, timers,
					  &daemon->bus, &daemon->metrics, config->inflight_result_bytes);
	return 0;
}

/* What was stored. */

static void on_stored(void *context, struct stored_registration *row)
{
	struct daemon *daemon = context;
	struct endpoint *endpoint = daemon_find_endpoint(daemon, row->endpoint);

	if (!endpoint) { /* no longer configured: what belongs to it waits */
		endpoint = daemon_add_endpoint(daemon, row->endpoint, PROFILE_DURABLE);
		endpoint->missing = true;
	}
	registry_restore(daemon->registry, endpoint, row, loop_now(daemon->loop), loop_wall(daemon->loop));
}

/* Spread out, so that a start is no burst for the server. */
static void on_live_future(void *context, struct future *future)
{
	struct daemon *daemon = context;
	uint64_t spread = daemon->registry->live * RESTART_SPREAD;

	if (spread > RESTART_SPREAD_MAX)
		spread = RESTART_SPREAD_MAX;
	if (future->final)
		registry_end_future(daemon->registry, future, result_ref(future->final), false);
	else
		scheduler_add(daemon->scheduler, future,
			      loop_now(daemon->loop) + (int64_t)(hash_u64(future->id) % (spread + 1)));
}

static int restore(struct daemon *daemon, char **ret_message)
{
	int64_t now = loop_now(daemon->loop);
	int r = store_load(daemon->store, now, loop_wall(daemon->loop), on_stored, daemon, ret_message);

	if (r < 0)
		return r;
	registry_restored(daemon->registry);
	daemon_share_endpoints(daemon);
	registry_each_live_future(daemon->registry, on_live_future, daemon);
	timers_set(loop_timers(daemon->loop), &daemon->unlink_timer, now + UNLINK_AFTER);
	if (daemon->registry->registrations_by_id.count)
		log_info("daemon", "%zu registrations were stored, %llu of them have not ended",
			 daemon->registry->registrations_by_id.count,
			 (unsigned long long)daemon->registry->live);
	return 0;
}

static int make_commands(struct daemon *daemon)
{
	uint8_t random[16];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -EIO;
	daemon->commands = (struct commands){
		.loop = daemon->loop,
		.registry = daemon->registry,
		.scheduler = daemon->scheduler,
		.metrics = &daemon->metrics,
		.bus = &daemon->bus,
		.names = daemon->names,
		.started = loop_now(daemon->loop),
		.inline_result_bytes = daemon->config->inline_result_bytes,
		.reader = store_reader(daemon->store),
		.upstream_status = daemon_upstream_status,
		.body_lost = daemon_body_lost,
		.context = daemon,
	};
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(daemon->commands.instance + 2 * i, 3, "%02x", random[i]);
	return 0;
}

static int make_listener(struct daemon *daemon, char **ret_message)
{
	const struct config *config = daemon->config;
	struct listener_settings settings = {
		.path = config->socket,
		.mode = config->socket_mode,
		.group = config->socket_group,
		.fd = service_listening_socket(),
		.max_peers = config->max_peers,
		.max_peers_per_uid = config->max_peers_per_uid,
		.max_peer_memory = config->max_peer_memory,
	};

	return listener_new(&settings, &daemon->commands, daemon->loop, &daemon->metrics, &daemon->listener,
			    ret_message);
}

static int build(struct daemon *daemon, char **ret_message)
{
	int r;

	if ((r = state_dir_open(daemon->config->state_dir, &daemon->state_dir, ret_message)) < 0 ||
	    (r = loop_new(&daemon->loop)) < 0 || (r = watch_signals(daemon)) < 0 ||
	    (r = make_core(daemon)) < 0 ||
	    (r = store_open(daemon->config->state_dir, state_dir_fd(daemon->state_dir), daemon->loop,
			    &daemon->metrics, &daemon_store_operations, daemon, &daemon->store,
			    ret_message)) < 0 ||
	    (r = poller_new(daemon->loop, &daemon->metrics, &daemon_poller_operations, daemon,
			    daemon->config->max_result_bytes, store_spool(daemon->store),
			    store_keeper(daemon->store), &daemon->poller)) < 0 ||
	    (r = make_commands(daemon)) < 0 ||
	    (r = daemon_apply_endpoints(daemon, daemon->config, ret_message)) < 0 ||
	    (r = restore(daemon, ret_message)) < 0 || (r = make_listener(daemon, ret_message)) < 0)
		return r;
	loop_set_turn_hook(daemon->loop, on_turn, daemon);
	return 0;
}

int daemon_new(struct config *config, const struct config_arguments *arguments, struct daemon **ret_daemon,
	       char **ret_message)
{
	struct daemon *daemon = xnew(struct daemon);
	char *message = NULL;
	int r;

	service_raise_descriptor_limit();
	daemon->arguments = arguments;
	daemon->config = config;
	r = build(daemon, &message);
	if (r < 0) {
		daemon->config = NULL; /* stays the caller's */
		daemon_free(daemon);
		if (!message && asprintf(&message, "cannot start: %s", strerror(-r)) < 0)
			message = NULL;
		*ret_message = message;
		return r;
	}
	*ret_daemon = daemon;
	return 0;
}

int daemon_run(struct daemon *daemon)
{
	int r;

	log_info("daemon", "tinkexd %s listens on %s, %zu endpoint%s", TINKEX_VERSION, daemon->config->socket,
		 daemon->n_endpoints, daemon->n_endpoints == 1 ? "" : "s");
	service_ready();
	r = loop_run(daemon->loop);
	if (r >= 0)
		r = daemon->error;
	log_info("daemon", "stopped");
	return r;
}

struct daemon *daemon_free(struct daemon *daemon)
{
	if (!daemon)
		return NULL;
	/* Edges first: nothing may call back into a core that is going. */
	listener_free(daemon->listener);
	poller_free(daemon->poller);
	store_stop(daemon->store); /* from here on nothing that goes is removed from the disk */
	registry_free(daemon->registry);
	scheduler_free(daemon->scheduler);
	store_close(daemon->store);
	for (size_t i = 0; i < daemon->n_endpoints; i++)
		endpoint_free(daemon->endpoints[i]);
	free(daemon->endpoints);
	for (size_t i = 0; i < ARRAY_LEN(daemon->signals); i++) {
		if (daemon->signals[i])
			event_free(daemon->signals[i]);
	}
	free(daemon->names);
	loop_free(daemon->loop);
	state_dir_close(daemon->state_dir);
	config_free(daemon->config);
	free(daemon);
	return NULL;
}
