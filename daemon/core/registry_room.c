/*
 * Room for outcomes: what they take, whose they are, and which go when it is short. Nothing that has not been
 * delivered goes before its time.
 */
#include "proto/attributes.h"
#include "registry_private.h"

/* Keeps owner->full and its count. */
static void look_at_share(struct registry *registry, struct owner *owner)
{
	bool full = owner->stored_bytes >= registry->limits.max_stored_bytes_per_uid;

	if (full == owner->full)
		return;
	owner->full = full;
	if (full) {
		registry->full_owners++;
		registry->fillings++;
	} else {
		registry->full_owners--;
	}
}

static uint64_t charge_of(const struct registration *registration)
{
	return REGISTRY_ROW_BYTES + registration->result->size;
}

void registry_charge(struct registry *registry, struct registration *registration)
{
	struct owner *owner = registration->owner;

	if (registration->charged)
		return;
	registration->charged = true;
	registry->stored_bytes += charge_of(registration);
	owner->stored_bytes += charge_of(registration);
	look_at_share(registry, owner);
}

void registry_discharge(struct registry *registry, struct registration *registration)
{
	struct owner *owner = registration->owner;

	if (!registration->charged)
		return;
	registration->charged = false;
	registry->stored_bytes -= charge_of(registration);
	owner->stored_bytes -= charge_of(registration);
	look_at_share(registry, owner);
}

static bool store_is_full(const struct registry *registry)
{
	return registry->stored_bytes >= registry->limits.max_stored_bytes;
}

static void evict(struct registry *registry, struct registration *registration)
{
	registry->operations->expired(registry->context, registration, true);
	registry_begin_removal(registry, registration, GONE_RETENTION);
}

struct search {
	struct owner *biggest; /* of those who have something that can go */
};

static bool look_for_biggest(void *context, struct owner *owner)
{
	struct search *search = context;

	if (!TAILQ_EMPTY(&owner->delivered) &&
	    (!search->biggest || owner->stored_bytes > search->biggest->stored_bytes))
		search->biggest = owner;
	return true;
}

/* The store as a whole: whoever takes most gives first. */
static void make_room_for_all(struct registry *registry)
{
	while (store_is_full(registry)) {
		struct search search = {0};

		registry_each_owner(registry, look_for_biggest, &search);
		if (!search.biggest)
			return;
		evict(registry, TAILQ_FIRST(&search.biggest->delivered));
	}
}

void registry_make_room(struct registry *registry, struct owner *owner)
{
	while (owner->full && !TAILQ_EMPTY(&owner->delivered))
		evict(registry, TAILQ_FIRST(&owner->delivered));
	make_room_for_all(registry);
}

static bool apply_share(void *context, struct owner *owner)
{
	struct registry *registry = context;

	look_at_share(registry, owner);
	while (owner->full && !TAILQ_EMPTY(&owner->delivered))
		evict(registry, TAILQ_FIRST(&owner->delivered));
	return true;
}

void registry_set_limits(struct registry *registry, const struct registry_limits *limits)
{
	registry->limits = *limits;
	registry_each_owner(registry, apply_share, registry);
	make_room_for_all(registry);
}

void registry_set_disk_full(struct registry *registry, bool full)
{
	registry->disk_full = full;
	if (!full)
		registry_store_stalled(registry);
}

bool registry_is_stuck(const struct registry *registry)
{
	return registry->stalled_bytes >= REGISTRY_STALLED_MAX || store_is_full(registry);
}

bool registry_uid_is_full(struct registry *registry, uid_t uid)
{
	const struct owner *owner = registry->full_owners ? registry_owner(registry, uid) : NULL;

	return owner && owner->full;
}

enum registry_refusal registry_refusal(struct registry *registry, uid_t uid)
{
	const struct owner *owner = registry_owner(registry, uid);

	if (registry->disk_full)
		return REFUSAL_DISK_FULL;
	if (store_is_full(registry))
		return REFUSAL_STORE_FULL;
	if (owner && owner->full)
		return REFUSAL_SHARE;
	if (owner && owner->count >= registry->limits.max_registrations_per_uid)
		return REFUSAL_COUNT;
	return REFUSAL_NONE;
}
