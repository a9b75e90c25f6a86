/*
 * What was stored, put back at start.
 */
#include <stdlib.h>

#include "alloc.h"
#include "links.h"
#include "proto/attributes.h"
#include "registry_private.h"

/* No connection has this id: it stands for those that were there before the restart. */
#define PEER_BEFORE_RESTART UINT64_MAX

static struct future *restore_future(struct registry *registry, struct endpoint *endpoint,
				     const struct stored_registration *row)
{
	struct future *future = registry_find_future(registry, endpoint, row->request_id);

	if (!future)
		future = registry_future_new(registry, endpoint, row->request_id);
	else if (row->result)
		return future;
	/* How it is asked for is what those say who want it polled, and they all say the same. */
	future->recovered = true;
	future->accept_protobuf = row->accept_protobuf;
	future->create_roundtrip_ms = (int32_t)row->create_roundtrip_ms;
	free(future->request_type);
	future->request_type = row->request_type ? xstrdup(row->request_type) : NULL;
	return future;
}

/* The server's last word, unless somebody has had it asked again since. */
static void restore_final(struct registry *registry, struct future *future, struct result *result)
{
	if (future->final || future_has_live_stake(future) || !registry_is_last_word(result))
		return;
	future->final = result_ref(result);
	future_set_state(&registry->census, future, result->ok ? FUTURE_COMPLETED : FUTURE_FAILED);
}

static void restore_live(struct registry *registry, struct registration *registration, bool linked)
{
	struct future *future = registration->future;

	future->final = result_unref(future->final);
	future_set_state(&registry->census, future, FUTURE_FAILED); /* until it is polled */
	if (linked)
		links_add(registration, PEER_BEFORE_RESTART);
	registry_set_phase(registry, registration, REGISTRATION_LIVE, 0);
	timers_set(registry->timers, &registration->timer, registration->deadline);
}

void registry_restore(struct registry *registry, struct endpoint *endpoint, struct stored_registration *row,
		      int64_t now, int64_t wall)
{
	struct future *future = restore_future(registry, endpoint, row);
	struct registration *registration;

	registry->wall_offset = wall - now;
	registration = registry_registration_new(registry, registry_owner_get(registry, row->uid), future,
						 row->id);
	registration->registered_wall = row->registered_wall;
	registration->deadline = row->deadline;
	registration->poll_timeout = row->poll_timeout;
	registration->deadline_is_max_age = row->deadline_is_max_age;
	registration->http_timeout = row->http_timeout;
	registration->backoff_initial = row->backoff_initial;
	registration->backoff_max = row->backoff_max;
	registration->on_network_error = row->on_network_error;
	registration->on_server_failure = row->on_server_failure;
	registration->announced = true;
	if (row->metadata)
		registration->metadata = xstrdup(row->metadata);
	if (!row->result) { /* and if it had been delivered, then what was lost */
		if (row->lost)
			registry_renew_deadline(registration, now);
		restore_live(registry, registration, row->linked);
		return;
	}
	registration->result = steal_pointer(row->result);
	registration->delivered = row->delivered_wall;
	registry_keep(registry, registration, registry_kept_since(registration, now, wall));
	restore_final(registry, future, registration->result);
}

/* Rows come by their age; the lists go by other times, which were those of earlier lives. */

static int compare(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_end(const void *a, const void *b)
{
	const struct registration *first = *(struct registration *const *)a;
	const struct registration *second = *(struct registration *const *)b;
	int order = compare(first->result->ended_wall, second->result->ended_wall);

	return order ? order : compare((int64_t)first->id, (int64_t)second->id);
}

static int by_delivery(const void *a, const void *b)
{
	const struct registration *first = *(struct registration *const *)a;
	const struct registration *second = *(struct registration *const *)b;
	int order = compare(first->delivered, second->delivered);

	return order ? order : compare((int64_t)first->id, (int64_t)second->id);
}

static bool put_in_order(void *context, struct owner *owner)
{
	struct registration *registration,
		**list = xreallocarray(NULL, owner->count + (size_t)1, sizeof(*list));
	size_t n = 0;

	(void)context;
	TAILQ_FOREACH (registration, &owner->ended, in_ended)
		list[n++] = registration;
	qsort(list, n, sizeof(*list), by_end);
	TAILQ_INIT(&owner->ended);
	for (size_t i = 0; i < n; i++)
		TAILQ_INSERT_TAIL(&owner->ended, list[i], in_ended);
	n = 0;
	TAILQ_FOREACH (registration, &owner->delivered, in_delivered)
		list[n++] = registration;
	qsort(list, n, sizeof(*list), by_delivery);
	TAILQ_INIT(&owner->delivered);
	for (size_t i = 0; i < n; i++)
		TAILQ_INSERT_TAIL(&owner->delivered, list[i], in_delivered);
	free(list);
	return true;
}

void registry_restored(struct registry *registry)
{
	struct registry_limits limits = registry->limits;

	registry_each_owner(registry, put_in_order, NULL);
	registry_set_limits(registry, &limits); /* they may be others than those that it was stored under */
}

struct unlinking {
	struct registry *registry;
	int64_t wall;
};

static bool unlink_owner(void *context, struct owner *owner)
{
	const struct unlinking *unlinking = context;

	registry_unlink_peer(unlinking->registry, owner->uid, PEER_BEFORE_RESTART, unlinking->wall);
	return true;
}

void registry_unlink_restored(struct registry *registry, int64_t wall)
{
	struct unlinking unlinking = {registry, wall};

	registry_each_owner(registry, unlink_owner, &unlinking);
}

void registry_each_live_future(struct registry *registry, void (*visit)(void *context, struct future *future),
			       void *context)
{
	const struct table *futures = &registry->futures_by_id;

	for (size_t i = 0; futures->count && i <= futures->mask; i++) {
		for (struct table_node *node = futures->buckets[i]; node; node = node->next) {
			struct future *future = container_of(node, struct future, by_id);

			if (future_has_live_stake(future))
				visit(context, future);
		}
	}
}

void registry_body_lost(struct registry *registry, const struct result *result, int64_t now)
{
	const struct table *registrations = &registry->registrations_by_id;

	for (size_t i = 0; registrations->count && i <= registrations->mask; i++) {
		for (struct table_node *node = registrations->buckets[i]; node; node = node->next) {
			struct registration *registration = container_of(node, struct registration, by_id);

			if (registration->result == result && registration->phase == REGISTRATION_ENDED)
				registry_begin_anew(registry, registration, now);
		}
	}
}
