#include "scheduler.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "proto/attributes.h"
#include "scheduler_private.h"

#define STARTS_PER_TURN 256
#define START_RETRY     USEC_PER_SEC /* a poll that could not be started is tried again after this */

static timer_handler on_due, on_gate;

struct scheduler *scheduler_new(const struct scheduler_operations *operations, void *context,
				struct registry *registry, struct timers *timers, struct bus *bus,
				struct metrics *metrics, uint64_t budget)
{
	struct scheduler *scheduler = xnew(struct scheduler);

	scheduler->operations = operations;
	scheduler->context = context;
	scheduler->registry = registry;
	scheduler->timers = timers;
	scheduler->bus = bus;
	scheduler->metrics = metrics;
	scheduler->budget.limit = budget;
	lanes_init(&scheduler->budget.waiting);
	timers_handle(timers, TIMER_FUTURE_DUE, on_due, scheduler);
	timers_handle(timers, TIMER_GATE, on_gate, scheduler);
	return scheduler;
}

struct scheduler *scheduler_free(struct scheduler *scheduler)
{
	free(scheduler);
	return NULL;
}

/* Waiting in turn. */

static void set_state(struct scheduler *scheduler, struct future *future, enum future_state state)
{
	future_set_state(&scheduler->registry->census, future, state);
}

/* In whose turn it is polled: of those who want it, somebody who has room for its result. */
static uid_t turn_uid(const struct future *future)
{
	const struct registration *registration;
	uid_t uid = 0;

	SLIST_FOREACH (registration, &future->registrations, in_future) {
		if (!registration_is_live(registration))
			continue;
		uid = registration->owner->uid;
		if (!registration->owner->full)
			break;
	}
	return uid;
}

static struct lanes *lanes_of(struct scheduler *scheduler, struct future *future)
{
	return future->budget_queued ? &scheduler->budget.waiting : &future->endpoint->ready;
}

static void dequeue(struct scheduler *scheduler, struct future *future)
{
	if (!future->lane)
		return;
	lanes_remove(lanes_of(scheduler, future), future);
	future->budget_queued = false;
}

static bool needs_bytes(const struct future *future)
{
	return future->payload_size > 0 && !future->budget_held;
}

/* Due: it waits for its turn, first for the bytes of a large result where it knows of them. */
void scheduler_enqueue(struct scheduler *scheduler, struct future *future, bool front)
{
	timers_cancel(scheduler->timers, &future->due);
	set_state(scheduler, future, FUTURE_BLOCKED);
	future->budget_queued = needs_bytes(future);
	lanes_push(lanes_of(scheduler, future), turn_uid(future), future, front);
}

void scheduler_schedule(struct scheduler *scheduler, struct future *future, int64_t when,
			enum why_scheduled why)
{
	future->why_scheduled = (uint8_t)why;
	set_state(scheduler, future, FUTURE_SCHEDULED);
	timers_set(scheduler->timers, &future->due, when);
}

static void on_due(void *context, struct timer *timer, int64_t now)
{
	(void)now;
	scheduler_enqueue(context, container_of(timer, struct future, due), false);
}

/* It waits in the turn of somebody who has no room, and somebody else has. */
static void change_turn(struct scheduler *scheduler, struct future *future)
{
	if (!future->lane || future->lane->uid == turn_uid(future) ||
	    !registry_uid_is_full(scheduler->registry, future->lane->uid))
		return;
	dequeue(scheduler, future);
	scheduler_enqueue(scheduler, future, false);
}

static bool change_turns(void *context, struct owner *owner)
{
	struct registration *registration;

	if (!owner->full)
		return true;
	TAILQ_FOREACH (registration, &owner->registrations, in_owner)
		change_turn(context, registration->future);
	return true;
}

void scheduler_add(struct scheduler *scheduler, struct future *future, int64_t when)
{
	change_turn(scheduler, future);
	if (future->in_flight || future->lane || timer_armed(&future->due))
		return;
	if (when)
		scheduler_schedule(scheduler, future, when, WHY_NOTHING);
	else
		scheduler_enqueue(scheduler, future, false);
}

void scheduler_give_bytes_back(struct scheduler *scheduler, struct future *future)
{
	if (!future->budget_held)
		return;
	future->budget_held = false;
	scheduler->budget.used -= future->payload_size;
}

void scheduler_release_budget(struct scheduler *scheduler, struct future *future)
{
	if (future->state == FUTURE_COMPLETED || future->state == FUTURE_FAILED)
		scheduler_give_bytes_back(scheduler, future);
}

/* Those that wait for an endpoint that is shut wait without bytes that others could use. */
static void take_bytes_back(struct scheduler *scheduler, struct endpoint *endpoint)
{
	struct lane *lane;
	struct future *future;

	if (!scheduler->budget.used)
		return;
	TAILQ_FOREACH (lane, &endpoint->ready.list, in_lanes) {
		TAILQ_FOREACH (future, &lane->futures, in_queue)
			scheduler_give_bytes_back(scheduler, future);
	}
}

void scheduler_set_endpoints(struct scheduler *scheduler, struct endpoint **endpoints, size_t n_endpoints)
{
	scheduler->endpoints = endpoints;
	scheduler->n_endpoints = n_endpoints;
	for (size_t i = 0; i < n_endpoints; i++) {
		if (endpoints[i]->missing)
			take_bytes_back(scheduler, endpoints[i]);
	}
}

void scheduler_stop_polling(struct scheduler *scheduler, struct future *future)
{
	dequeue(scheduler, future);
	timers_cancel(scheduler->timers, &future->due);
	if (!future->final)
		set_state(scheduler, future, FUTURE_FAILED);
	scheduler_give_bytes_back(scheduler, future);
}

void scheduler_probe_lost(struct scheduler *scheduler, struct future *future)
{
	struct endpoint *endpoint = future->endpoint;

	if (endpoint->gate.probe != future->id)
		return;
	endpoint_gate_probe_lost(endpoint, future->id);
	/* No longer the probe's; and the server may have asked for more time meanwhile. */
	timers_set(scheduler->timers, &endpoint->gate.timer, endpoint->gate.until);
}

/* false: its answer has begun, and a server may forget what it has once sent: the poll goes on. */
static bool abort_poll(struct scheduler *scheduler, struct future *future)
{
	if (!scheduler->operations->abort_poll(scheduler->context, future))
		return false;
	future->in_flight = false;
	future->endpoint->in_flight--;
	scheduler_probe_lost(scheduler, future);
	scheduler->metrics->polls_aborted++;
	return true;
}

void scheduler_drop(struct scheduler *scheduler, struct future *future)
{
	if (!future->in_flight || abort_poll(scheduler, future))
		scheduler_stop_polling(scheduler, future);
}

void scheduler_stop(struct scheduler *scheduler, int64_t now)
{
	const struct table *futures = &scheduler->registry->futures_by_id;

	scheduler->stopping = true;
	for (size_t i = 0; futures->count && i <= futures->mask; i++) {
		for (struct table_node *node = futures->buckets[i]; node; node = node->next) {
			struct future *future = container_of(node, struct future, by_id);

			if (future->in_flight && abort_poll(scheduler, future))
				scheduler_schedule(scheduler, future, now, WHY_NOTHING);
		}
	}
}

void scheduler_forget(struct scheduler *scheduler, struct future *future)
{
	scheduler_stop_polling(scheduler, future);
}

enum why_waiting scheduler_why(const struct scheduler *scheduler, const struct future *future)
{
	switch ((enum future_state)future->state) {
	case FUTURE_SCHEDULED:
		return future->why_scheduled == WHY_BACKOFF       ? WAITING_BACKOFF
		       : future->why_scheduled == WHY_RETRY_AFTER ? WAITING_RETRY_AFTER
								  : WAITING_FOR_NOTHING;
	case FUTURE_POLLING:
		return WAITING_FOR_NOTHING;
	case FUTURE_COMPLETED:
	case FUTURE_FAILED: /* over, but asked for by somebody who has not been told yet */
		return WAITING_STORAGE;
	default:
		break;
	}
	if (future->endpoint->missing)
		return WAITING_ENDPOINT_MISSING;
	if (future->budget_queued)
		return WAITING_BYTE_BUDGET;
	if (future->endpoint->gate.cause == GATE_NO_KEY)
		return WAITING_NO_KEY;
	if (future->endpoint->gate.cause != GATE_NONE)
		return WAITING_GATE;
	if (scheduler->storage_stopped || registry_uid_is_full(scheduler->registry, turn_uid(future)))
		return WAITING_STORAGE;
	return endpoint_is_full(future->endpoint) ? WAITING_IN_FLIGHT_LIMIT : WAITING_FOR_NOTHING;
}

enum future_state scheduler_state(const struct scheduler *scheduler, const struct registration *registration)
{
	enum future_state state = registration_state(registration);

	if (state == FUTURE_BLOCKED && registration_is_live(registration) &&
	    scheduler_why(scheduler, registration->future) == WAITING_FOR_NOTHING)
		return FUTURE_SCHEDULED;
	return state;
}

/* Handing out. */

/* One larger than the whole budget is admitted when nothing else holds it. */
static bool budget_allows(const struct byte_budget *budget, uint64_t size)
{
	return !budget->used || (budget->used < budget->limit && size <= budget->limit - budget->used);
}

/* Whose outcomes take as much room as they may gets no more of them until some are acknowledged. */
static bool has_room(void *context, uid_t uid)
{
	return !registry_uid_is_full(context, uid);
}

static struct future *next_of(struct scheduler *scheduler, const struct lanes *lanes)
{
	struct registry *registry = scheduler->registry;

	return lanes_peek(lanes, registry->full_owners ? has_room : NULL, registry);
}

static void admit_to_budget(struct scheduler *scheduler, int64_t now)
{
	struct byte_budget *budget = &scheduler->budget;
	struct future *future;

	while ((future = next_of(scheduler, &budget->waiting))) {
		/* Then it waits for its endpoint, and for bytes when that can be polled again. */
		bool shut = endpoint_is_shut(future->endpoint, now);

		if (!shut && !budget_allows(budget, future->payload_size))
			return;
		lanes_pop(&budget->waiting, future);
		future->budget_queued = false;
		if (!shut) {
			future->budget_held = true;
			budget->used += future->payload_size;
		}
		lanes_push(&future->endpoint->ready, turn_uid(future), future, false);
	}
}

static bool start(struct scheduler *scheduler, struct future *future)
{
	struct endpoint *endpoint = future->endpoint;
	struct poll_request request = {
		.future = future->id,
		.endpoint = endpoint,
		.request_id = future->request_id,
		.request_type = future->request_type,
		.iteration = future->iteration,
		.create_roundtrip_ms = future->iteration == 0 ? future->create_roundtrip_ms : -1,
		.allow_metadata_only = !future->metadata_seen,
		.accept_protobuf = future->accept_protobuf,
		.fresh_connection = future->fresh_connection,
		.http_timeout = future_http_timeout(future),
	};

	if (!scheduler->operations->start_poll(scheduler->context, &request))
		return false;
	future->in_flight = true;
	future->fresh_connection = false;
	future->iteration++;
	future->gate_closings = endpoint->gate.closings;
	endpoint->in_flight++;
	scheduler->metrics->polls++;
	set_state(scheduler, future, FUTURE_POLLING);
	return true;
}

static bool run_endpoint(struct scheduler *scheduler, struct endpoint *endpoint, int64_t now)
{
	struct future *future;
	bool probe, more = false;

	for (int i = 0; i < STARTS_PER_TURN; i++) {
		if (!(future = next_of(scheduler, &endpoint->ready)) ||
		    !endpoint_may_poll(endpoint, now, &probe))
			return more;
		lanes_pop(&endpoint->ready, future);
		if (needs_bytes(future)) { /* and had to wait for the endpoint first */
			scheduler_enqueue(scheduler, future, false);
			more = true;
			continue;
		}
		if (probe) {
			/* From here on the gate's timer belongs to the probe: see scheduler_poll_sent(). */
			timers_cancel(scheduler->timers, &endpoint->gate.timer);
			endpoint->gate.probe = future->id;
		}
		if (!start(scheduler, future)) {
			endpoint_gate_probe_lost(endpoint, future->id);
			scheduler_give_bytes_back(scheduler, future);
			scheduler_schedule(scheduler, future, now + START_RETRY, WHY_BACKOFF);
			return more;
		}
		if (probe)
			return more;
	}
	return true;
}

bool scheduler_run(struct scheduler *scheduler, int64_t now)
{
	bool more = false;

	if (scheduler->stopping || scheduler->storage_stopped)
		return false;
	if (scheduler->fillings != scheduler->registry->fillings) {
		scheduler->fillings = scheduler->registry->fillings;
		if (scheduler->registry->owners_by_uid.count > 1)
			registry_each_owner(scheduler->registry, change_turns, scheduler);
	}
	admit_to_budget(scheduler, now);
	for (size_t i = 0; i < scheduler->n_endpoints; i++)
		more |= run_endpoint(scheduler, scheduler->endpoints[i], now);
	return more;
}

/* The gate. */

void scheduler_announce_gate(struct scheduler *scheduler, struct endpoint *endpoint, enum gate_change change)
{
	struct bus_event event = {.kind = EVENT_ENDPOINT, .endpoint = endpoint, .next_poll_in = -1};

	if (change == GATE_UNCHANGED)
		return;
	if (change == GATE_CLOSED) {
		scheduler->metrics->gate_closed++;
		take_bytes_back(scheduler, endpoint);
	}
	/* Closed: wake when a probe may go. Open: nothing to wake for. */
	timers_set(scheduler->timers, &endpoint->gate.timer,
		   change == GATE_CLOSED ? endpoint->gate.until : TIME_NEVER);
	bus_publish(scheduler->bus, &event);
}

static void on_gate(void *context, struct timer *timer, int64_t now)
{
	struct scheduler *scheduler = context;
	struct endpoint *endpoint = container_of(timer, struct endpoint, gate.timer);

	if (endpoint->gate.probe)
		scheduler_announce_gate(scheduler, endpoint, endpoint_gate_probe_held(endpoint, now));
	else if (endpoint->gate.until > now) /* the server asked for more time meanwhile */
		timers_set(scheduler->timers, &endpoint->gate.timer, endpoint->gate.until);
	/* Else the time is up, and scheduler_run() sends a probe in this turn. */
}

void scheduler_poll_sent(struct scheduler *scheduler, uint64_t id, int64_t now)
{
	struct future *future = registry_future(scheduler->registry, id);

	if (future && future->endpoint->gate.probe == id)
		timers_set(scheduler->timers, &future->endpoint->gate.timer, now + PACED_HOLD);
}

void scheduler_key_changed(struct scheduler *scheduler, struct endpoint *endpoint, bool have_key, int64_t now)
{
	enum gate_change change = endpoint_gate_key(endpoint, have_key, now);

	scheduler_announce_gate(scheduler, endpoint, change);
	if (change == GATE_UNCHANGED && endpoint->gate.cause == GATE_UNAUTHORISED && !endpoint->gate.probe)
		timers_set(scheduler->timers, &endpoint->gate.timer, endpoint->gate.until);
}
