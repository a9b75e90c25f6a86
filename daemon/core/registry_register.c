/*
 * Registering: a new stake, the same one again, and what starts anew.
 */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "links.h"
#include "metadata.h"
#include "registry_private.h"

/* Whoever registers a future first fixes how it is asked for. One that nobody polls, and whose last word, if
 * it has one, is not wanted, is free again. */
static bool future_is_fixed(const struct future *future, bool restart)
{
	const struct registration *registration;

	if (future->in_flight || (future->final && !restart))
		return true;
	SLIST_FOREACH (registration, &future->registrations, in_future) {
		if (registration->phase == REGISTRATION_LIVE || registration->phase == REGISTRATION_SAVING)
			return true;
	}
	return false;
}

static bool is_conflict(const struct future *future, const struct registration_options *options)
{
	return options->has.accept && options->accept_protobuf != future->accept_protobuf &&
	       future_is_fixed(future, options->restart_if_ended);
}

static void future_fix(struct future *future, const struct registration_options *options)
{
	if (options->has.accept)
		future->accept_protobuf = options->accept_protobuf;
	if (options->has.request_type) {
		free(future->request_type);
		future->request_type = xstrdup(options->request_type);
	}
	if (options->has.create_roundtrip)
		future->create_roundtrip_ms = options->create_roundtrip_ms > INT32_MAX
						      ? INT32_MAX
						      : (int32_t)options->create_roundtrip_ms;
}

/* From now; the greatest age, which nobody asked for, from the registration on. */
static void set_deadline(struct registration *registration, int64_t now, int64_t wall)
{
	int64_t limit = registration->poll_timeout, from = now;

	registration->deadline_is_max_age = limit == TIME_NEVER;
	if (limit == TIME_NEVER) {
		limit = registration->future->endpoint->max_age;
		from = now - (wall - registration->registered_wall);
	}
	registration->deadline = limit > TIME_NEVER - now ? TIME_NEVER : from + limit;
}

/* Only what the call names. `fresh`: the registration begins its life here. */
static void apply_options(struct registration *registration, const struct registration_options *options,
			  bool fresh, int64_t now, int64_t wall)
{
	if (options->has.poll_timeout)
		registration->poll_timeout = options->poll_timeout;
	if (fresh || options->has.poll_timeout)
		set_deadline(registration, now, wall);
	if (options->has.http_timeout)
		registration->http_timeout = options->http_timeout;
	if (options->has.backoff_initial)
		registration->backoff_initial = options->backoff_initial;
	if (options->has.backoff_max)
		registration->backoff_max = options->backoff_max;
	if (options->has.on_network_error)
		registration->on_network_error = (uint8_t)options->on_network_error;
	if (options->has.on_server_failure)
		registration->on_server_failure = (uint8_t)options->on_server_failure;
	if (!options->has.linked || !options->linked)
		links_drop(registration); /* once registered without a link it lives for ever */
	else if (fresh || registration->links)
		links_add(registration, options->peer);
}

/* Something of it that is stored: not which connections it is linked to, only whether to any. */
static bool names_anything(const struct registration_options *options,
			   const struct registration *registration)
{
	bool linked = options->has.linked && options->linked;

	return options->has.poll_timeout || options->has.http_timeout || options->has.backoff_initial ||
	       options->has.backoff_max || options->has.on_network_error || options->has.on_server_failure ||
	       options->has.metadata || (registration->links && !linked);
}

bool registry_is_last_word(const struct result *result)
{
	return result->ok || error_is_last_word(result->error);
}

/* Put on record, together with its end if the server's last word on this future is known. */
static void begin(struct registry *registry, struct registration *registration)
{
	struct future *future = registration->future;

	if (future->final)
		registry_end_stake(registry, registration, result_ref(future->final));
	else
		registry_set_phase(registry, registration, REGISTRATION_SAVING,
				   registry->operations->save(registry->context, registration));
}

/* The way it ended is kept until the new beginning is durable. */
static void forget_end(struct registry *registry, struct registration *registration)
{
	bool was_kept = registration->phase == REGISTRATION_ENDED;

	registry_discharge(registry, registration);
	registry_set_phase(registry, registration, REGISTRATION_SAVING, 0);
	if (was_kept)
		registration->previous = steal_pointer(registration->result);
	registration->result = result_unref(registration->result);
	registration->delivered = 0;
	registration->announced = false;
}

void registry_renew_deadline(struct registration *registration, int64_t now)
{
	int64_t limit = registration->poll_timeout;

	registration->deadline_is_max_age = limit == TIME_NEVER;
	if (limit == TIME_NEVER)
		limit = registration->future->endpoint->max_age;
	registration->deadline = limit > TIME_NEVER - now ? TIME_NEVER : now + limit;
}

void registry_begin_anew(struct registry *registry, struct registration *registration, int64_t now)
{
	struct future *future = registration->future;

	if (future->final == registration->result && !future->in_flight)
		future->final = result_unref(future->final);
	future->recovered = true; /* the server had it: if it no longer does, that is lost */
	forget_end(registry, registration);
	registration->registered_by = 0;
	registry_renew_deadline(registration, now);
	begin(registry, registration);
}

static void restart(struct registry *registry, struct registration *registration,
		    const struct registration_options *options, int64_t now, int64_t wall)
{
	struct future *future = registration->future;

	if (options->restart_if_ended && !future->in_flight)
		future->final = result_unref(future->final);
	if (!future_is_fixed(future, false))
		future_fix(future, options);
	forget_end(registry, registration);
	registration->registered_wall = wall;
	registration->registered_by = options->peer;
	apply_options(registration, options, true, now, wall);
	begin(registry, registration);
}

/* One that no batch has brought to the disk yet, and that batch `ticket` has now: what becomes of the earlier
 * one does not matter any more. */
static void move_to_batch(struct registry *registry, struct registration *registration, uint64_t ticket)
{
	if (registration->announced || !registration->ticket)
		return;
	if (registration->phase == REGISTRATION_SAVING)
		registry_set_phase(registry, registration, REGISTRATION_SAVING, ticket);
	else if (registration->phase == REGISTRATION_ENDING)
		registry_set_phase(registry, registration, REGISTRATION_ENDING,
				   registry->operations->save_end(registry->context, registration));
}

static enum proto_error register_again(struct registry *registry, struct registration *registration,
				       const struct registration_options *options, int64_t now, int64_t wall,
				       struct register_answer *ret_answer, uint64_t *ret_ticket)
{
	bool ended = registration->phase == REGISTRATION_ENDED || registration->phase == REGISTRATION_ENDING;
	bool anew = ended && (options->restart_if_ended || !registry_is_last_word(registration->result));
	bool changes = ended ? options->has.metadata : names_anything(options, registration);
	char *metadata = NULL;
	uint64_t ticket;

	if (is_conflict(registration->future, options))
		return PROTO_CONFLICT;
	if ((anew || changes) && registry->disk_full)
		return PROTO_STORAGE;
	if (options->has.metadata) {
		if (metadata_merge(registration->metadata, options->metadata, METADATA_MAX, &metadata) < 0)
			return PROTO_INVALID_PARAMS;
		free(registration->metadata);
		registration->metadata = metadata;
	}
	if (anew) {
		restart(registry, registration, options, now, wall);
	} else if (changes) {
		if (!ended)
			apply_options(registration, options, false, now, wall);
		ticket = registry->operations->save(registry->context, registration);
		if (ticket > *ret_ticket)
			*ret_ticket = ticket;
		if (registration_is_live(registration))
			timers_set(registry->timers, &registration->timer, registration->deadline);
		else
			move_to_batch(registry, registration, ticket);
	} else if (registration->links) {
		links_add(registration, options->peer);
	}
	if (registration->ticket > *ret_ticket)
		*ret_ticket = registration->ticket;
	ret_answer->registration = registration;
	ret_answer->is_new = anew;
	return PROTO_OK;
}

enum proto_error registry_register(struct registry *registry, uid_t uid, struct endpoint *endpoint,
				   const char *request_id, const struct registration_options *options,
				   int64_t now, int64_t wall, struct register_answer *ret_answer,
				   uint64_t *ret_ticket)
{
	struct future *future = registry_find_future(registry, endpoint, request_id);
	struct registration *registration = future ? registry_stake(future, uid) : NULL;

	if (registration)
		return register_again(registry, registration, options, now, wall, ret_answer, ret_ticket);
	switch (registry_refusal(registry, uid)) {
	case REFUSAL_NONE:
		break;
	case REFUSAL_COUNT:
	case REFUSAL_SHARE:
		return PROTO_LIMIT_EXCEEDED;
	case REFUSAL_STORE_FULL:
	case REFUSAL_DISK_FULL:
		return PROTO_STORAGE;
	}
	if (future && is_conflict(future, options))
		return PROTO_CONFLICT;
	if (!future)
		future = registry_future_new(registry, endpoint, request_id);
	if (options->restart_if_ended && !future_has_live_stake(future) && !future->in_flight)
		future->final = result_unref(future->final);
	if (!future_is_fixed(future, false))
		future_fix(future, options);
	registration = registry_registration_new(registry, registry_owner_get(registry, uid), future,
						 registry->last_registration_id + 1);
	registration->registered_wall = wall;
	registration->registered_by = options->peer;
	if (options->has.metadata)
		registration->metadata = xstrdup(options->metadata);
	apply_options(registration, options, true, now, wall);
	begin(registry, registration);
	if (registration->ticket > *ret_ticket)
		*ret_ticket = registration->ticket;
	ret_answer->registration = registration;
	ret_answer->is_new = true;
	return PROTO_OK;
}
