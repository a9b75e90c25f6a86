#include "registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "links.h"
#include "proto/attributes.h"
#include "registry_private.h"

#define PINNED_RETRY                                                                                         \
	(60 * USEC_PER_SEC) /* an outcome that somebody waits for is looked at again after this */

static timer_handler on_timer;

struct registry *registry_new(const struct registry_operations *operations, void *context,
			      struct timers *timers, const struct registry_limits *limits,
			      const uint8_t key[16])
{
	struct registry *registry = xnew(struct registry);

	registry->operations = operations;
	registry->context = context;
	registry->timers = timers;
	registry->limits = *limits;
	memcpy(registry->key, key, sizeof(registry->key));
	table_init(&registry->futures_by_name);
	table_init(&registry->futures_by_id);
	table_init(&registry->registrations_by_id);
	table_init(&registry->owners_by_uid);
	TAILQ_INIT(&registry->pending);
	timers_handle(timers, TIMER_REGISTRATION, on_timer, registry);
	return registry;
}

/* Names and hashes. */

static uint64_t name_hash(const struct registry *registry, const struct endpoint *endpoint,
			  const char *request_id)
{
	return hash_bytes(registry->key, request_id, strlen(request_id), (uint64_t)(uintptr_t)endpoint);
}

static uint64_t gone_hash(const struct registry *registry, uid_t uid, const struct endpoint *endpoint,
			  const char *request_id)
{
	return name_hash(registry, endpoint, request_id) ^ hash_u64(uid);
}

enum gone_reason registry_gone_reason(const struct registry *registry, uid_t uid,
				      const struct endpoint *endpoint, const char *request_id)
{
	return gone_reason(&registry->gone, gone_hash(registry, uid, endpoint, request_id));
}

struct future *registry_find_future(struct registry *registry, const struct endpoint *endpoint,
				    const char *request_id)
{
	struct table_node *node = table_find(&registry->futures_by_name,
					     name_hash(registry, endpoint, request_id));

	for (; node; node = table_find_next(node)) {
		struct future *future = container_of(node, struct future, by_name);

		if (future->endpoint == endpoint && strcmp(future->request_id, request_id) == 0)
			return future;
	}
	return NULL;
}

struct future *registry_future(struct registry *registry, uint64_t id)
{
	struct table_node *node = table_find(&registry->futures_by_id, hash_u64(id));

	for (; node; node = table_find_next(node)) {
		struct future *future = container_of(node, struct future, by_id);

		if (future->id == id)
			return future;
	}
	return NULL;
}

struct registration *registry_find_id(struct registry *registry, uint64_t id)
{
	struct table_node *node = table_find(&registry->registrations_by_id, hash_u64(id));

	for (; node; node = table_find_next(node)) {
		struct registration *registration = container_of(node, struct registration, by_id);

		if (registration->id == id)
			return registration;
	}
	return NULL;
}

struct owner *registry_owner(struct registry *registry, uid_t uid)
{
	struct table_node *node = table_find(&registry->owners_by_uid, hash_u64(uid));

	for (; node; node = table_find_next(node)) {
		struct owner *owner = container_of(node, struct owner, by_uid);

		if (owner->uid == uid)
			return owner;
	}
	return NULL;
}

struct registration *registry_stake(const struct future *future, uid_t uid)
{
	struct registration *registration;

	SLIST_FOREACH (registration, &future->registrations, in_future) {
		if (registration->owner->uid == uid && registration->phase != REGISTRATION_REMOVING)
			return registration;
	}
	return NULL;
}

struct registration *registry_find(struct registry *registry, uid_t uid, const struct endpoint *endpoint,
				   const char *request_id)
{
	struct future *future = registry_find_future(registry, endpoint, request_id);

	return future ? registry_stake(future, uid) : NULL;
}

void registry_each_owner(struct registry *registry, bool (*visit)(void *context, struct owner *owner),
			 void *context)
{
	const struct table *table = &registry->owners_by_uid;

	if (!table->count)
		return;
	for (size_t i = 0; i <= table->mask; i++) {
		for (struct table_node *node = table->buckets[i]; node; node = node->next) {
			if (!visit(context, container_of(node, struct owner, by_uid)))
				return;
		}
	}
}

/* Making and freeing. */

struct owner *registry_owner_get(struct registry *registry, uid_t uid)
{
	struct owner *owner = registry_owner(registry, uid);

	if (owner)
		return owner;
	owner = xnew(struct owner);
	owner->uid = uid;
	TAILQ_INIT(&owner->registrations);
	TAILQ_INIT(&owner->ended);
	LIST_INIT(&owner->linked);
	table_insert(&registry->owners_by_uid, &owner->by_uid, hash_u64(uid));
	return owner;
}

static void owner_reap(struct registry *registry, struct owner *owner)
{
	if (!TAILQ_EMPTY(&owner->registrations))
		return;
	table_remove(&registry->owners_by_uid, &owner->by_uid);
	free(owner);
}

struct future *registry_future_new(struct registry *registry, struct endpoint *endpoint,
				   const char *request_id)
{
	size_t size = strlen(request_id) + 1;
	struct future *future = xzalloc(sizeof(*future) + size);

	future->id = ++registry->last_future_id;
	future->endpoint = endpoint;
	memcpy(future->request_id, request_id, size);
	SLIST_INIT(&future->registrations);
	timer_init(&future->due, TIMER_FUTURE_DUE);
	future->create_roundtrip_ms = -1;
	/* Over until its first registration is durable: only then is it polled. */
	future->state = FUTURE_FAILED;
	registry->census.by_state[FUTURE_FAILED]++;
	table_insert(&registry->futures_by_name, &future->by_name, name_hash(registry, endpoint, request_id));
	table_insert(&registry->futures_by_id, &future->by_id, hash_u64(future->id));
	return future;
}

static void future_destroy(struct registry *registry, struct future *future)
{
	registry->operations->future_gone(registry->context, future);
	future_set_state(&registry->census, future, FUTURE_FAILED);
	registry->census.by_state[FUTURE_FAILED]--;
	table_remove(&registry->futures_by_name, &future->by_name);
	table_remove(&registry->futures_by_id, &future->by_id);
	result_unref(future->final);
	error_unref(future->last_error);
	free(future->queue_state_reason);
	free(future->request_type);
	free(future);
}

void registry_reap(struct registry *registry, struct future *future)
{
	if (SLIST_EMPTY(&future->registrations) && !future->in_flight)
		future_destroy(registry, future);
}

struct registration *registry_registration_new(struct registry *registry, struct owner *owner,
					       struct future *future)
{
	struct registration *registration = xnew(struct registration);

	registration->id = ++registry->last_registration_id;
	registration->future = future;
	registration->owner = owner;
	registration->deadline = TIME_NEVER;
	registration->poll_timeout = TIME_NEVER;
	registration->backoff_initial = registration->backoff_max = -1;
	timer_init(&registration->timer, TIMER_REGISTRATION);
	LIST_INIT(&registration->waits);
	SLIST_INSERT_HEAD(&future->registrations, registration, in_future);
	TAILQ_INSERT_TAIL(&owner->registrations, registration, in_owner);
	table_insert(&registry->registrations_by_id, &registration->by_id, hash_u64(registration->id));
	owner->count++;
	return registration;
}

static bool phase_is_pending(const struct registration *registration)
{
	return registration->phase == REGISTRATION_SAVING || registration->phase == REGISTRATION_ENDING ||
	       registration->phase == REGISTRATION_REMOVING;
}

/* Out of the list and the count that the present phase stands in. */
static void leave_phase(struct registry *registry, struct registration *registration)
{
	if (phase_is_pending(registration) && registration->ticket)
		TAILQ_REMOVE(&registry->pending, registration, in_pending);
	else if (registration->phase == REGISTRATION_ENDED)
		TAILQ_REMOVE(&registration->owner->ended, registration, in_ended);
	else if (registration->phase == REGISTRATION_LIVE)
		registry->live--;
	timers_cancel(registry->timers, &registration->timer);
}

/* The only way from one phase to another. `ticket`: of the batch that a pending phase waits for, never 0;
 * else 0. */
void registry_set_phase(struct registry *registry, struct registration *registration,
			enum registration_phase phase, uint64_t ticket)
{
	leave_phase(registry, registration);
	registration->phase = (uint8_t)phase;
	registration->ticket = ticket;
	if (phase_is_pending(registration))
		TAILQ_INSERT_TAIL(&registry->pending, registration, in_pending);
	else if (phase == REGISTRATION_ENDED)
		TAILQ_INSERT_TAIL(&registration->owner->ended, registration, in_ended);
	else
		registry->live++;
}

static void registration_destroy(struct registry *registry, struct registration *registration)
{
	struct owner *owner = registration->owner;
	struct future *future = registration->future;

	registry->operations->registration_gone(registry->context, registration);
	leave_phase(registry, registration);
	links_drop(registration);
	SLIST_REMOVE(&future->registrations, registration, registration, in_future);
	TAILQ_REMOVE(&owner->registrations, registration, in_owner);
	table_remove(&registry->registrations_by_id, &registration->by_id);
	owner->count--;
	result_unref(registration->result);
	free(registration->metadata);
	free(registration);
	owner_reap(registry, owner);
	registry_reap(registry, future);
}

static bool free_owner_registrations(void *context, struct owner *owner)
{
	struct registry *registry = context;
	struct registration *registration = TAILQ_FIRST(&owner->registrations);

	registration->future->in_flight = false; /* whoever polled is gone by now */
	registration_destroy(registry, registration);
	return false;
}

struct registry *registry_free(struct registry *registry)
{
	if (!registry)
		return NULL;
	while (registry->owners_by_uid.count)
		registry_each_owner(registry, free_owner_registrations, registry);
	for (size_t i = 0; registry->futures_by_id.count && i <= registry->futures_by_id.mask; i++) {
		while (registry->futures_by_id.buckets[i])
			future_destroy(registry, container_of(registry->futures_by_id.buckets[i],
							      struct future, by_id));
	}
	table_release(&registry->futures_by_name);
	table_release(&registry->futures_by_id);
	table_release(&registry->registrations_by_id);
	table_release(&registry->owners_by_uid);
	free(registry);
	return NULL;
}

/* Ending. */

bool error_is_last_word(const struct error *error)
{
	return error->type == ERROR_REQUEST_FAILED || error->type == ERROR_VALIDATION ||
	       (error->type == ERROR_API_STATUS && (error->status == 404 || error->status == 410));
}

void registry_end_stake(struct registry *registry, struct registration *registration, struct result *result)
{
	registration->result = result;
	links_drop(registration);
	registry_set_phase(registry, registration, REGISTRATION_ENDING,
			   registry->operations->save_end(registry->context, registration));
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

static void begin_removal(struct registry *registry, struct registration *registration,
			  enum gone_reason reason)
{
	gone_remember(&registry->gone,
		      gone_hash(registry, registration->owner->uid, registration->future->endpoint,
				registration->future->request_id),
		      reason);
	registry_set_phase(registry, registration, REGISTRATION_REMOVING,
			   registry->operations->remove(registry->context, registration));
}

bool registry_ack(struct registry *registry, struct registration *registration)
{
	if (registration->phase != REGISTRATION_ENDED)
		return false;
	begin_removal(registry, registration, GONE_ACKED);
	return true;
}

void registry_delivered(struct registry *registry, struct registration *registration, int64_t now)
{
	if (registration->phase != REGISTRATION_ENDED || registration->delivered)
		return;
	registration->delivered = true;
	timers_set(registry->timers, &registration->timer, now + registry->limits.retention_delivered);
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
static void future_restart(struct registry *registry, struct future *future)
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

static void settle_saving(struct registry *registry, struct registration *registration, bool stored)
{
	struct future *future = registration->future;

	if (!stored) {
		registration_destroy(registry, registration);
		return;
	}
	if (!future_has_live_stake(future) && !future->in_flight)
		future_restart(registry, future);
	registry_set_phase(registry, registration, REGISTRATION_LIVE, 0);
	timers_set(registry->timers, &registration->timer, registration->deadline);
	registration->announced = true;
	registry->operations->registered(registry->context, registration);
	registry->operations->future_live(registry->context, future);
}

/* Ended, for as long as an outcome is kept. */
static void keep(struct registry *registry, struct registration *registration, int64_t now)
{
	const struct registry_limits *limits = &registry->limits;

	registry_set_phase(registry, registration, REGISTRATION_ENDED, 0);
	timers_set(registry->timers, &registration->timer,
		   now + (registration->delivered ? limits->retention_delivered : limits->retention));
}

static void settle_ending(struct registry *registry, struct registration *registration, bool stored,
			  int64_t now)
{
	if (!stored) {
		/* The result may exist only here: it goes on waiting for the store, and nobody is told. */
		registry_set_phase(registry, registration, REGISTRATION_ENDING,
				   registry->operations->save_end(registry->context, registration));
		return;
	}
	keep(registry, registration, now);
	if (!registration->announced) {
		registration->announced = true;
		registry->operations->registered(registry->context, registration);
	}
	registry->operations->ended(registry->context, registration);
}

void registry_settle(struct registry *registry, uint64_t ticket, bool stored, int64_t now)
{
	struct registration *registration;

	while ((registration = TAILQ_FIRST(&registry->pending)) && registration->ticket <= ticket) {
		switch ((enum registration_phase)registration->phase) {
		case REGISTRATION_SAVING:
			settle_saving(registry, registration, stored);
			break;
		case REGISTRATION_ENDING:
			settle_ending(registry, registration, stored, now);
			break;
		case REGISTRATION_REMOVING:
			if (stored)
				registration_destroy(registry, registration);
			else
				keep(registry, registration, now);
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

static void expire(struct registry *registry, struct registration *registration, int64_t now)
{
	bool cancelled = !registration->result->ok && registration->result->error->type == ERROR_CANCELLED;

	if (!LIST_EMPTY(&registration->waits)) {
		timers_set(registry->timers, &registration->timer, now + PINNED_RETRY);
		return;
	}
	registry->operations->expired(registry->context, registration);
	begin_removal(registry, registration, cancelled ? GONE_CANCELLED : GONE_RETENTION);
}

static void on_timer(void *context, struct timer *timer, int64_t now)
{
	struct registry *registry = context;
	struct registration *registration = container_of(timer, struct registration, timer);

	if (registration->phase == REGISTRATION_LIVE)
		registry_end(registry, registration,
			     result_failed(deadline_error(registration), now + registry->wall_offset));
	else if (registration->phase == REGISTRATION_ENDED)
		expire(registry, registration, now);
}
