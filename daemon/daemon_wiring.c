/*
 * Who hears what: the callbacks that connect the modules, each of them a line or two.
 */
#include <errno.h>
#include <string.h>

#include "core/waiter.h"
#include "daemon_private.h"
#include "sys/config.h"
#include "sys/log.h"

/* A queue state is written to the log once in this time and endpoint. */
#define NOTICE_INTERVAL (60 * USEC_PER_SEC)

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

/* Another stake of the future, which waits for the same commit, is about to be told of the same result. */
static bool somebody_is_next(const struct registration *registration)
{
	const struct registration *other;

	SLIST_FOREACH (other, &registration->future->registrations, in_future) {
		if (other->phase == REGISTRATION_ENDING && other->result == registration->result)
			return true;
	}
	return false;
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
	if (!somebody_is_next(registration))
		result_chill(registration->result);
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

const struct registry_operations daemon_registry_operations = {
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

const struct scheduler_operations daemon_scheduler_operations = {
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

static uint64_t on_new_result_id(void *context)
{
	return store_new_result_id(((struct daemon *)context)->store);
}

const struct poller_operations daemon_poller_operations = {
	.sent = on_poll_sent,
	.done = on_poll_done,
	.key_changed = on_key_changed,
	.new_result_id = on_new_result_id,
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
	poller_set_congested(((struct daemon *)context)->poller, congested);
}

static void on_broken(void *context, int error)
{
	go_down(context, error);
}

const struct store_operations daemon_store_operations = {
	.settled = on_settled,
	.full = on_full,
	.congested = on_congested,
	.broken = on_broken,
};

/* For people: what the queues and gates are doing. */
void daemon_notice(void *context, const struct bus_event *event)
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

void daemon_upstream_status(void *context, const struct endpoint *endpoint, uint32_t *ret_connections,
			    unsigned *ret_http_version)
{
	struct upstream_status status;

	(void)context;
	poller_status(endpoint, &status);
	*ret_connections = status.connections;
	*ret_http_version = status.http_version;
}

/* The server may still have it: to ask again is safe. */
void daemon_body_lost(void *context, struct result *result, int error)
{
	struct daemon *daemon = context;

	log_error("daemon", "the body of result %llu cannot be read: %s; it is asked for again",
		  (unsigned long long)result->id, strerrordesc_np(-error));
	registry_body_lost(daemon->registry, result, loop_now(daemon->loop));
	loop_wake(daemon->loop);
}
