#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/bus.h"
#include "core/metrics.h"
#include "core/registry.h"
#include "core/scheduler.h"
#include "core/waiter.h"
#include "ipc/commands.h"
#include "ipc/listener.h"
#include "store/store.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/loop.h"
#include "sys/service.h"
#include "sys/state_dir.h"
#include "upstream/poller.h"

#define STOP_LIMIT (4 * USEC_PER_SEC) /* a stop takes no longer, whatever peers and servers do */
#define UNLINK_AFTER                                                                                         \
	(60 * USEC_PER_SEC) /* linked stakes have this long after a restart to be linked again               \
			     */
#define RESTART_SPREAD                                                                                       \
	(2 * USEC_PER_MSEC) /* for each future the first polls after a start are spread by it */
#define RESTART_SPREAD_MAX (30 * USEC_PER_SEC)
#define NOTICE_INTERVAL                                                                                      \
	(60 * USEC_PER_SEC) /* a queue state is written to the log once in this time and endpoint */

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

/* What the registry has to say. */

static uint64_t on_save(void *context, const struct registration *registration)
{
	return store_save(((struct daemon *)context)->store, registration);
}

static uint64_t on_save_end(void *context, const struct registration *registration)
{
	return store_save_end(((struct daemon *)context)->store, registration);
}

static uint64_t on_remove(void *context, const struct registration *registration)
{
	return store_remove(((struct daemon *)context)->store, registration);
}

static void on_save_delivered(void *context, const struct registration *registration)
{
	store_save_delivered(((struct daemon *)context)->store, registration);
}

static void on_future_live(void *context, struct future *future)
{
	scheduler_add(((struct daemon *)context)->scheduler, future, 0);
}

static void on_future_idle(void *context, struct future *future)
{
	scheduler_drop(((struct daemon *)context)->scheduler, future);
}

static void on_future_gone(void *context, struct future *future)
{
	scheduler_forget(((struct daemon *)context)->scheduler, future);
}

static void publish(struct daemon *daemon, enum event_kind kind, const struct registration *registration)
{
	struct bus_event event = {
		.kind = kind,
		.endpoint = registration->future->endpoint,
		.future = registration->future,
		.registration = registration,
		.error = registration->result ? registration->result->error : NULL,
		.next_poll_in = -1,
	};

	bus_publish(&daemon->bus, &event);
}

static void on_registered(void *context, struct registration *registration)
{
	struct daemon *daemon = context;

	daemon->metrics.registrations++;
	if (SLIST_NEXT(SLIST_FIRST(&registration->future->registrations), in_future))
		daemon->metrics.registrations_joined++;
	publish(daemon, EVENT_REGISTERED, registration);
}

static void on_ended(void *context, struct registration *registration)
{
	struct daemon *daemon = context;
	bool ok = registration->result->ok;

	if (ok)
		daemon->metrics.results++;
	else
		daemon->metrics.failures++;
	scheduler_release_budget(daemon->scheduler, registration->future);
	waiters_registration_ended(registration);
	result_chill(registration->result); /* it is on the disk: whoever asks later reads it from there */
	publish(daemon, ok ? EVENT_COMPLETED : EVENT_FAILED, registration);
}

static void on_expired(void *context, struct registration *registration, bool early)
{
	struct daemon *daemon = context;

	daemon->metrics.expired++;
	if (early)
		daemon->metrics.evicted++;
	publish(daemon, EVENT_EXPIRED, registration);
}

static void on_registration_gone(void *context, struct registration *registration)
{
	(void)context;
	waiters_registration_gone(registration);
}

static const struct registry_operations registry_operations = {
	.save = on_save,
	.save_end = on_save_end,
	.remove = on_remove,
	.save_delivered = on_save_delivered,
	.future_live = on_future_live,
	.future_idle = on_future_idle,
	.future_gone = on_future_gone,
	.registered = on_registered,
	.ended = on_ended,
	.expired = on_expired,
	.registration_gone = on_registration_gone,
};

/* What scheduler, poller and store have to say. */

static bool on_start_poll(void *context, const struct poll_request *request)
{
	return poller_start(((struct daemon *)context)->poller, request);
}

static bool on_abort_poll(void *context, struct future *future)
{
	return poller_abort(((struct daemon *)context)->poller, future->id);
}

static const struct scheduler_operations scheduler_operations = {
	.start_poll = on_start_poll,
	.abort_poll = on_abort_poll,
};

static void on_poll_sent(void *context, uint64_t future)
{
	struct daemon *daemon = context;

	scheduler_poll_sent(daemon->scheduler, future, loop_now(daemon->loop));
}

static void on_poll_done(void *context, uint64_t future, struct outcome *outcome, struct poll_report *report)
{
	struct daemon *daemon = context;

	scheduler_poll_done(daemon->scheduler, future, outcome, report, loop_now(daemon->loop));
}

static void on_key_changed(void *context, struct endpoint *endpoint, bool have_key)
{
	struct daemon *daemon = context;

	log_info("daemon", "endpoint %s: the API key %s", endpoint->name,
		 have_key ? "was read again" : "is gone");
	scheduler_key_changed(daemon->scheduler, endpoint, have_key, loop_now(daemon->loop));
}

static const struct poller_operations poller_operations = {
	.sent = on_poll_sent,
	.done = on_poll_done,
	.key_changed = on_key_changed,
};

/* A disk that failed is never asked again as if it could succeed: the next start replays what is durable. */
static void go_down(struct daemon *daemon, int error)
{
	if (daemon->error)
		return;
	log_error("daemon", "the state could not be stored: %s; going down", strerrordesc_np(-error));
	daemon->error = error;
	loop_stop(daemon->loop);
}

static void on_settled(void *context, uint64_t ticket, int error)
{
	struct daemon *daemon = context;

	registry_settle(daemon->registry, ticket, error == 0, loop_now(daemon->loop));
	commands_settle(&daemon->commands, ticket, error == 0);
	if (error && error != -ENOSPC)
		go_down(daemon, error);
}

static void on_full(void *context, bool full)
{
	struct daemon *daemon = context;

	if (full)
		log_error("daemon",
			  "the disk of %s is full: new registrations are refused and results wait, "
			  "until there is space again",
			  daemon->config->state_dir);
	else
		log_info("daemon", "the disk has space again: what waited is stored");
	registry_set_disk_full(daemon->registry, full);
	loop_wake(daemon->loop);
}

static void on_congested(void *context, bool congested)
{
	(void)context;
	(void)congested;
}

static void on_broken(void *context, int error)
{
	go_down(context, error);
}

static const struct store_operations store_operations = {
	.settled = on_settled,
	.full = on_full,
	.congested = on_congested,
	.broken = on_broken,
};

/* For people: what the queues and gates are doing. */
static void on_notice(void *context, const struct bus_event *event)
{
	struct daemon *daemon = context;
	int64_t wall = loop_wall(daemon->loop);
	struct endpoint *endpoint;

	if (event->kind == EVENT_ENDPOINT) {
		const struct gate *gate = &event->endpoint->gate;

		if (gate->cause == GATE_NONE)
			log_info("daemon", "endpoint %s: polling goes on", event->endpoint->name);
		else
			log_warning("daemon", "endpoint %s: polling pauses: %s%s%s", event->endpoint->name,
				    gate_cause_name(gate->cause), event->endpoint->last_error ? ": " : "",
				    event->endpoint->last_error ? event->endpoint->last_error->message : "");
		return;
	}
	if (event->kind != EVENT_QUEUE_STATE)
		return;
	endpoint = event->future->endpoint;
	if (endpoint->last_notice_wall && wall - endpoint->last_notice_wall < NOTICE_INTERVAL)
		return;
	endpoint->last_notice_wall = wall;
	log_info("daemon", "endpoint %s: queue state %s%s%s (request %s)", endpoint->name,
		 queue_state_name(event->future->queue_state), event->future->queue_state_reason ? ": " : "",
		 event->future->queue_state_reason ? event->future->queue_state_reason : "",
		 event->future->request_id);
}

static void on_upstream_status(void *context, const struct endpoint *endpoint, uint32_t *ret_connections,
			       unsigned *ret_http_version)
{
	struct upstream_status status;

	(void)context;
	poller_status(endpoint, &status);
	*ret_connections = status.connections;
	*ret_http_version = status.http_version;
}

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

/* Endpoints. */

static struct endpoint *find_endpoint(struct daemon *daemon, const char *name)
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

static struct endpoint *add_endpoint(struct daemon *daemon, const char *name, enum profile_name profile)
{
	daemon->endpoints = xreallocarray(daemon->endpoints, daemon->n_endpoints + 1,
					  sizeof(*daemon->endpoints));
	return daemon->endpoints[daemon->n_endpoints++] = endpoint_new(name, profile);
}

static struct endpoint *get_endpoint(struct daemon *daemon, const struct config_endpoint *config)
{
	struct endpoint *endpoint = find_endpoint(daemon, config->name);

	return endpoint ? endpoint : add_endpoint(daemon, config->name, config->profile);
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

static void share_endpoints(struct daemon *daemon)
{
	scheduler_set_endpoints(daemon->scheduler, daemon->endpoints, daemon->n_endpoints);
	daemon->commands.endpoints = daemon->endpoints;
	daemon->commands.n_endpoints = daemon->n_endpoints;
}

static int apply_endpoints(struct daemon *daemon, const struct config *config, char **ret_message)
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
	share_endpoints(daemon);
	return 0;
}

static struct registry_limits limits_of(const struct config *config)
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
	struct registry_limits limits = limits_of(config);

	registry_set_limits(daemon->registry, &limits);
	log_set_level(config->log_level);
	daemon->scheduler->budget.limit = config->inflight_result_bytes;
	poller_set_max_result_bytes(daemon->poller, config->max_result_bytes);
	daemon->commands.inline_result_bytes = config->inline_result_bytes;
	daemon->commands.max_registrations_per_uid = config->max_registrations_per_uid;
	listener_set_limits(daemon->listener, config->max_peers, config->max_peers_per_uid,
			    config->max_peer_memory);
}

static void on_reload(evutil_socket_t signal, short events, void *context)
{
	struct daemon *daemon = context;
	struct config *config = NULL;
	char *message = NULL;

	(void)signal;
	(void)events;
	service_reloading();
	if (config_load(daemon->arguments, &config, &message) < 0 ||
	    apply_endpoints(daemon, config, &message) < 0) {
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
	struct registry_limits limits = limits_of(config);
	uint8_t keys[2][16];

	if (getrandom(keys, sizeof(keys), 0) != (ssize_t)sizeof(keys))
		return -EIO;
	daemon->names = xnew(struct json_names);
	json_names_init(daemon->names, keys[0]);
	bus_init(&daemon->bus);
	daemon->notices = (struct bus_subscriber){.notify = on_notice, .context = daemon};
	bus_subscribe(&daemon->bus, &daemon->notices);
	waiters_init(timers);
	timer_init(&daemon->stop_timer, TIMER_HOUSEKEEPING);
	timer_init(&daemon->unlink_timer, TIMER_HOUSEKEEPING);
	timers_handle(timers, TIMER_HOUSEKEEPING, on_housekeeping, daemon);
	daemon->registry = registry_new(&registry_operations, daemon, timers, &limits, keys[1]);
	daemon->registry->wall_offset = loop_wall(daemon->loop) - loop_now(daemon->loop);
	daemon->scheduler = scheduler_new(&scheduler_operations, daemon, daemon->registry, timers,
					  &daemon->bus, &daemon->metrics, config->inflight_result_bytes);
	return 0;
}

/* What was stored. */

static void on_stored(void *context, struct stored_registration *row)
{
	struct daemon *daemon = context;
	struct endpoint *endpoint = find_endpoint(daemon, row->endpoint);

	if (!endpoint) { /* no longer configured: what belongs to it waits */
		endpoint = add_endpoint(daemon, row->endpoint, PROFILE_DURABLE);
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
	share_endpoints(daemon);
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
		.max_registrations_per_uid = daemon->config->max_registrations_per_uid,
		.upstream_status = on_upstream_status,
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
			    &daemon->metrics, &store_operations, daemon, &daemon->store, ret_message)) < 0 ||
	    (r = poller_new(daemon->loop, &daemon->metrics, &poller_operations, daemon,
			    daemon->config->max_result_bytes, &daemon->poller)) < 0 ||
	    (r = make_commands(daemon)) < 0 ||
	    (r = apply_endpoints(daemon, daemon->config, ret_message)) < 0 ||
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
