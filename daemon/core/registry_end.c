/*
 * How stakes end, and what the store and the clock have to say about them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "links.h"
#include "proto/attributes.h"
#include "registry_private.h"

#define REMOVAL_RETRY (10 * USEC_PER_SEC) /* what could not be removed for want of space is tried again */

bool error_is_last_word(const struct error *error)
{
	return error->type == ERROR_REQUEST_FAILED || error->type == ERROR_VALIDATION ||
	       (error->type == ERROR_API_STATUS && (error->status == 404 || error->status == 410));
}

/* A small end is tried even on a full disk: there is space in reserve for it. */
static bool must_stall(const struct registry *registry, const struct result *result)
{
	return registry->disk_full && result->body;
}

/* Whatever of this life is not durable yet, and its end: an earlier batch with its beginning may fail. */
static uint64_t save_end(struct registry *registry, struct registration *registration)
{
	if (!registration->announced)
		registry->operations->save(registry->context, registration);
	return registry->operations->save_end(registry->context, registration);
}

void registry_end_stake(struct registry *registry, struct registration *registration, struct result *result)
{
	bool stall = must_stall(registry, result);

	registration->result = result;
	links_drop(registration);
	registry_charge(registry, registration);
	registry_set_phase(registry, registration, REGISTRATION_ENDING,
			   stall ? 0 : save_end(registry, registration));
	registry_make_room(registry, registration->owner);
}

void registry_store_stalled(struct registry *registry)
{
	struct registration *registration, *next;

	for (registration = TAILQ_FIRST(&registry->stalled); registration; registration = next) {
		next = TAILQ_NEXT(registration, in_pending);
		registry_set_phase(registry, registration, REGISTRATION_ENDING,
				   save_end(registry, registration));
	}
}

static void idle_if_abandoned(struct registry *registry, struct future *future)
{
	if (!future_has_live_stake(future))
		registry->operations->future_idle(registry->context, future);
}

bool registry_end(struct registry *registry, struct registration *registration, struct result *result)
{
	if (registration->phase != REGISTRATION_LIVE && registration->phase != REGISTRATION_SAVING) {
		result_unref(result);
		return false;
	}
	registry_end_stake(registry, registration, result);
	idle_if_abandoned(registry, registration->future);
	return true;
}

void registry_end_future(struct registry *registry, struct future *future, struct result *result, bool sticky)
{
	struct registration *registration;

	if (sticky) {
		result_unref(future->final);
		future->final = result_ref(result);
	}
	future_set_state(&registry->census, future, result->ok ? FUTURE_COMPLETED : FUTURE_FAILED);
	SLIST_FOREACH (registration, &future->registrations, in_future) {
		if (registration->phase == REGISTRATION_LIVE || registration->phase == REGISTRATION_SAVING)
			registry_end_stake(registry, registration, result_ref(result));
	}
	result_unref(result);
}

bool registry_cancel(struct registry *registry, struct registration *registration, int64_t wall)
{
	if (registration->phase != REGISTRATION_LIVE && registration->phase != REGISTRATION_SAVING)
		return false;
	return registry_end(registry, registration,
			    result_failed(error_new(ERROR_CANCELLED, CATEGORY_NONE, 0,
						    "the registration was cancelled", NULL),
					  wall));
}

void registry_begin_removal(struct registry *registry, struct registration *registration,
			    enum gone_reason reason)
{
	registry_discharge(registry, registration);
	gone_remember(&registry->gone,
		      registry_gone_hash(registry, registration->owner->uid, registration->future->endpoint,
					 registration->future->request_id),
		      reason);
	registry_set_phase(registry, registration, REGISTRATION_REMOVING,
			   registry->operations->remove(registry->context, registration));
}

bool registry_ack(struct registry *registry, struct registration *registration)
{
	if (registration->phase != REGISTRATION_ENDED)
		return false;
	registry_begin_removal(registry, registration, GONE_ACKED);
	return true;
}

void registry_delivered(struct registry *registry, struct registration *registration, int64_t now)
{
	if (registration->phase != REGISTRATION_ENDED || registration->delivered)
		return;
	registration->delivered = now + registry->wall_offset;
	TAILQ_INSERT_TAIL(&registration->owner->delivered, registration, in_delivered);
	timers_set(registry->timers, &registration->timer, now + registry->limits.retention_delivered);
	registry->operations->save_delivered(registry->context, registration);
	registry_make_room(registry, registration->owner);
}

void registry_unlink_peer(struct registry *registry, uid_t uid, uint64_t peer, int64_t wall)
{
	struct owner *owner = registry_owner(registry, uid);
	struct registration_links *links, *next;

	for (links = owner ? LIST_FIRST(&owner->linked) : NULL; links; links = next) {
		next = LIST_NEXT(links, in_owner);
		if (links_remove(links, peer) == 0)
			registry_cancel(registry, links->registration, wall);
	}
}

/* What the store and the clock have to say. */

/* Polling starts anew: what earlier polls told, or took, no longer counts. */
void registry_future_restart(struct registry *registry, struct future *future)
{
	registry->operations->future_idle(registry->context, future);
	future->iteration = 0;
	future->quick_answers = future->failures = 0;
	future->brief_retries = 0;
	future->first_failure = 0;
	future->metadata_seen = false;
	future->payload_size = 0;
	future->fresh_connection = false;
	future->answered = false;
	future->last_error = error_unref(future->last_error);
	future->queue_state = QUEUE_NONE;
	free(future->queue_state_reason);
	future->queue_state_reason = NULL;
}

int64_t registry_kept_since(const struct registration *registration, int64_t now, int64_t wall)
{
	int64_t since = registration->delivered ? registration->delivered : registration->result->ended_wall;

	return since < wall ? now - (wall - since) : now;
}

void registry_keep(struct registry *registry, struct registration *registration, int64_t since)
{
	const struct registry_limits *limits = &registry->limits;
	int64_t time = registration->delivered ? limits->retention_delivered : limits->retention;

	registry_charge(registry, registration);
	registry_set_phase(registry, registration, REGISTRATION_ENDED, 0);
	timers_set(registry->timers, &registration->timer, since + time);
}

/* This life was never durable: back to the one before, if there was one. */
static void take_back(struct registry *registry, struct registration *registration, int64_t now)
{
	if (!registration->previous) {
		registry_registration_free(registry, registration);
		return;
	}
	registry_discharge(registry, registration);
	registry_set_phase(registry, registration, REGISTRATION_SAVING, 0);
	result_unref(registration->result);
	registration->result = steal_pointer(registration->previous);
	registration->announced = true;
	links_drop(registration);
	registry_keep(registry, registration, now);
	/* Whoever has begun to wait for the new end gets the old one. */
	if (!LIST_EMPTY(&registration->waits))
		registry->operations->ended(registry->context, registration);
}

/* The present life is durable. */
static void announce(struct registry *registry, struct registration *registration)
{
	if (registration->announced)
		return;
	registration->announced = true;
	registration->previous = result_unref(registration->previous);
	registry->operations->registered(registry->context, registration);
}

static void settle_saving(struct registry *registry, struct registration *registration, bool stored,
			  int64_t now)
{
	struct future *future = registration->future;

	if (!stored) {
		take_back(registry, registration, now);
		return;
	}
	if (!future_has_live_stake(future) && !future->in_flight)
		registry_future_restart(registry, future);
	registry_set_phase(registry, registration, REGISTRATION_LIVE, 0);
	timers_set(registry->timers, &registration->timer, registration->deadline);
	announce(registry, registration);
	registry->operations->future_live(registry->context, future);
}

static void settle_ending(struct registry *registry, struct registration *registration, bool stored,
			  int64_t now)
{
	if (!stored && !registration->announced) {
		take_back(registry, registration, now);
		return;
	}
	if (!stored) {
		/* The result may exist only here: it waits for space, and nobody is told. */
		registry_set_phase(registry, registration, REGISTRATION_ENDING, 0);
		return;
	}
	registry_keep(registry, registration, now);
	announce(registry, registration);
	registry->operations->ended(registry->context, registration);
}

/* Its removal could not be stored: it is tried again, but not at once. One whose place was taken meanwhile
 * does not stay longer than that. */
static void keep_for_now(struct registry *registry, struct registration *registration, int64_t now)
{
	bool replaced = registry_stake(registration->future, registration->owner->uid);

	registry_keep(registry, registration,
		      registry_kept_since(registration, now, now + registry->wall_offset));
	if (replaced || registration->timer.when < now + REMOVAL_RETRY)
		timers_set(registry->timers, &registration->timer, now + REMOVAL_RETRY);
}

void registry_settle(struct registry *registry, uint64_t ticket, bool stored, int64_t now)
{
	struct registration *registration;

	while ((registration = TAILQ_FIRST(&registry->pending)) && registration->ticket <= ticket) {
		switch ((enum registration_phase)registration->phase) {
		case REGISTRATION_SAVING:
			settle_saving(registry, registration, stored, now);
			break;
		case REGISTRATION_ENDING:
			settle_ending(registry, registration, stored, now);
			break;
		case REGISTRATION_REMOVING:
			if (stored)
				registry_registration_free(registry, registration);
			else
				keep_for_now(registry, registration, now);
			break;
		case REGISTRATION_LIVE:
		case REGISTRATION_ENDED:
			abort(); /* not pending: registry_set_phase() keeps the list */
		}
	}
}

/* The last error seen, or api_timeout if there was none. The maximum age is nobody's deadline, and always an
 * api_timeout. */
static struct error *deadline_error(const struct registration *registration)
{
	const struct error *last = registration->future->last_error;
	const char *reason = registration->deadline_is_max_age ? "max_age" : "poll_deadline";
	int64_t timeout = registration->poll_timeout;
	char data[96], message[160];

	if (timeout == TIME_NEVER)
		timeout = registration->future->endpoint->max_age;
	if (last && !registration->deadline_is_max_age) {
		snprintf(data, sizeof(data), "\"exit_reason\":\"%s\",\"timeout_ms\":%lld", reason,
			 (long long)(timeout / USEC_PER_MSEC));
		return error_with_data(last, data);
	}
	snprintf(data, sizeof(data), "\"reason\":\"%s\",\"timeout_ms\":%lld", reason,
		 (long long)(timeout / USEC_PER_MSEC));
	snprintf(message, sizeof(message), "no final answer within the %s of %lld ms",
		 registration->deadline_is_max_age ? "maximum age" : "poll timeout",
		 (long long)(timeout / USEC_PER_MSEC));
	return error_new(ERROR_API_TIMEOUT, CATEGORY_NONE, 0, message, data);
}

static void expire(struct registry *registry, struct registration *registration)
{
	bool cancelled = !registration->result->ok && registration->result->error->type == ERROR_CANCELLED;

	registry->operations->expired(registry->context, registration, false);
	registry_begin_removal(registry, registration, cancelled ? GONE_CANCELLED : GONE_RETENTION);
}

void registry_on_timer(void *context, struct timer *timer, int64_t now)
{
	struct registry *registry = context;
	struct registration *registration = container_of(timer, struct registration, timer);

	if (registration->phase == REGISTRATION_LIVE)
		registry_end(registry, registration,
			     result_failed(deadline_error(registration), now + registry->wall_offset));
	else if (registration->phase == REGISTRATION_ENDED)
		expire(registry, registration);
}
