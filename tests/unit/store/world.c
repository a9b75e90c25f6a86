#include "world.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../sys/scratch.h"

#define LATEST (40 * USEC_PER_SEC) /* on a machine that does other things, too */

static void on_guard(void *context, struct timer *timer, int64_t now)
{
	(void)context;
	(void)timer;
	(void)now;
	ck_abort_msg("what is waited for does not come");
}

static void on_turn(void *context)
{
	struct world *world = context;

	if (world->until(world->context))
		loop_stop(world->loop);
}

void world_init(struct world *world)
{
	*world = (struct world){0};
	ck_assert_int_eq(loop_new(&world->loop), 0);
	ck_assert_int_eq(worker_new(world->loop, "files", &world->worker), 0);
	world->state_fd = open(scratch_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(world->state_fd, 0);
	timer_init(&world->guard, TIMER_HOUSEKEEPING);
	timers_handle(loop_timers(world->loop), TIMER_HOUSEKEEPING, on_guard, world);
	loop_set_turn_hook(world->loop, on_turn, world);
}

void world_stop(struct world *world)
{
	world->worker = worker_free(world->worker);
}

void world_release(struct world *world)
{
	world_stop(world);
	close(world->state_fd);
	loop_free(world->loop);
}

void world_run(struct world *world, bool (*until)(void *context), void *context)
{
	if (until(context))
		return;
	world->until = until;
	world->context = context;
	timers_set(loop_timers(world->loop), &world->guard, loop_now(world->loop) + LATEST);
	ck_assert_int_eq(loop_run(world->loop), 0);
	timers_cancel(loop_timers(world->loop), &world->guard);
}

char world_byte(uint64_t id, uint64_t offset)
{
	return (char)((offset ^ offset >> 8 ^ offset >> 16 ^ offset >> 24) + 13 * id);
}

char *world_bytes(uint64_t id, uint64_t offset, size_t size)
{
	char *bytes = malloc(size + 1);

	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = world_byte(id, offset + i);
	return bytes;
}
