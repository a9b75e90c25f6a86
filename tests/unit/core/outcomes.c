#include "outcomes.h"

#include <check.h>
#include <stdlib.h>

#include "core/alloc.h"

int64_t wall(const struct world *world)
{
	return world->now + world->registry->wall_offset;
}

struct registration *find(struct world *world, uid_t uid, const char *request_id)
{
	return registry_find(world->registry, uid, world->endpoints[0], request_id);
}

enum proto_error try_register(struct world *world, uid_t uid, const char *request_id,
			      const struct registration_options *options)
{
	struct register_answer answer;

	return world_try_register(world, uid, request_id, options, &answer);
}

struct registration *polled(struct world *world, uid_t uid, const char *request_id)
{
	struct registration *registration;

	SCRIPT_REPEAT(world, request_id, {.held = TIME_NEVER});
	registration = world_register(world, uid, request_id, NULL);
	world_turn(world);
	ck_assert_int_eq(registration->phase, REGISTRATION_LIVE);
	return registration;
}

void end_with(struct world *world, struct registration *registration, size_t size)
{
	char *body = xzalloc(size);

	ck_assert(registry_end(world->registry, registration,
			       result_ok(CONTENT_JSON, blob_copy(body, size), wall(world))));
	free(body);
	world_turn(world);
}

struct registration *ended(struct world *world, uid_t uid, const char *request_id, size_t size)
{
	struct registration *registration = polled(world, uid, request_id);

	end_with(world, registration, size);
	return registration;
}

struct registration *delivered(struct world *world, uid_t uid, const char *request_id, size_t size)
{
	struct registration *registration = ended(world, uid, request_id, size);

	world_run_until(world, world->now + SEC(1));
	registry_delivered(world->registry, registration, world->now);
	world_turn(world);
	return registration;
}

void limit(struct world *world, uint64_t all, uint64_t each, uint32_t count)
{
	struct registry_limits limits = world->registry->limits;

	limits.max_stored_bytes = all;
	limits.max_stored_bytes_per_uid = each;
	limits.max_registrations_per_uid = count;
	registry_set_limits(world->registry, &limits);
	world_turn(world);
}
