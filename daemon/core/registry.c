#include "registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "links.h"
#include "proto/attributes.h"
#include "registry_private.h"

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
	TAILQ_INIT(&registry->stalled);
	timers_handle(timers, TIMER_REGISTRATION, registry_on_timer, registry);
	return registry;
}

/* Names and hashes. */

static uint64_t name_hash(const struct registry *registry, const struct endpoint *endpoint,
			  const char *request_id)
{
	return hash_bytes(registry->key, request_id, strlen(request_id), (uint64_t)(uintptr_t)endpoint);
}

uint64_t registry_gone_hash(const struct registry *registry, uid_t uid, const struct endpoint *endpoint,
			    const char *request_id)
{
	return name_hash(registry, endpoint, request_id) ^ hash_u64(uid);
}

enum gone_reason registry_gone_reason(const struct registry *registry, uid_t uid,
				      const struct endpoint *endpoint, const char *request_id)
{
	return gone_reason(&registry->gone, registry_gone_hash(registry, uid, endpoint, request_id));
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

uint64_t registry_removal(struct registry *registry, uid_t uid, const struct endpoint *endpoint,
			  const char *request_id)
{
	struct future *future = registry_find_future(registry, endpoint, request_id);
	struct registration *registration;
	uint64_t ticket = 0;

	if (!future)
		return 0;
	SLIST_FOREACH (registration, &future->registrations, in_future) {
		if (registration->owner->uid == uid && registration->phase == REGISTRATION_REMOVING &&
		    registration->ticket > ticket)
			ticket = registration->ticket;
	}
	return ticket;
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
	TAILQ_INIT(&owner->delivered);
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
					       struct future *future, uint64_t id)
{
	struct registration *registration = xnew(struct registration);

	registration->id = id;
	if (id > registry->last_registration_id)
		registry->last_registration_id = id;
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

/* What a result that waits for the disk holds in memory, at most: another stake's end may have brought its
 * body to the disk meanwhile, which changes nothing here. */
static uint64_t stalled_size(const struct registration *registration)
{
	const struct result *result = registration->result;

	return REGISTRY_ROW_BYTES + (result->in_file ? 0 : result->size);
}

/* Out of the list and the count that the present phase stands in. */
static void leave_phase(struct registry *registry, struct registration *registration)
{
	if (phase_is_pending(registration) && registration->ticket) {
		TAILQ_REMOVE(&registry->pending, registration, in_pending);
	} else if (registration->phase == REGISTRATION_ENDING) {
		TAILQ_REMOVE(&registry->stalled, registration, in_pending);
		registry->stalled_bytes -= stalled_size(registration);
	} else if (registration->phase == REGISTRATION_ENDED) {
		TAILQ_REMOVE(&registration->owner->ended, registration, in_ended);
		if (registration->delivered)
			TAILQ_REMOVE(&registration->owner->delivered, registration, in_delivered);
	} else if (registration->phase == REGISTRATION_LIVE) {
		registry->live--;
	}
	timers_cancel(registry->timers, &registration->timer);
}

void registry_set_phase(struct registry *registry, struct registration *registration,
			enum registration_phase phase, uint64_t ticket)
{
	leave_phase(registry, registration);
	registration->phase = (uint8_t)phase;
	registration->ticket = ticket;
	if (phase_is_pending(registration) && ticket) {
		TAILQ_INSERT_TAIL(&registry->pending, registration, in_pending);
	} else if (phase == REGISTRATION_ENDING) {
		TAILQ_INSERT_TAIL(&registry->stalled, registration, in_pending);
		registry->stalled_bytes += stalled_size(registration);
	} else if (phase == REGISTRATION_ENDED) {
		TAILQ_INSERT_TAIL(&registration->owner->ended, registration, in_ended);
		if (registration->delivered)
			TAILQ_INSERT_TAIL(&registration->owner->delivered, registration, in_delivered);
	} else if (phase == REGISTRATION_LIVE) {
		registry->live++;
	}
}

void registry_registration_free(struct registry *registry, struct registration *registration)
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
	registry_discharge(registry, registration);
	result_unref(registration->result);
	result_unref(registration->previous);
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
	registry_registration_free(registry, registration);
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
