/* The store in memory: tickets, batches, and when they are told to be durable. */
#include <stdio.h>

#include "../proto/test_run.h"
#include "proto/attributes.h"
#include "store/store.h"

struct world {
	struct loop *loop;
	struct metrics metrics;
	struct store *store;
	uint64_t tickets[16]; /* as they were settled */
	size_t settled;
	bool in_call;
	unsigned turns;
	uint64_t more; /* rows that are saved and committed from inside the next settle call */
};

static struct registration registration; /* nothing of it is needed by this store */

static void on_settled(void *context, uint64_t ticket, int error)
{
	struct world *world = context;

	ck_assert(!world->in_call);
	ck_assert_int_eq(error, 0);
	ck_assert_uint_lt(world->settled, ARRAY_LEN(world->tickets));
	world->tickets[world->settled++] = ticket;
	for (; world->more; world->more--)
		store_save(world->store, &registration);
	store_commit(world->store);
}

static void world_init(struct world *world)
{
	*world = (struct world){0};
	ck_assert_int_eq(loop_new(&world->loop), 0);
	world->store = store_open_memory(world->loop, &world->metrics, on_settled, world);
	ck_assert_ptr_nonnull(world->store);
}

static void world_release(struct world *world)
{
	ck_assert_ptr_null(store_close(world->store));
	loop_free(world->loop);
}

static uint64_t call(struct world *world, uint64_t (*function)(struct store *, const struct registration *))
{
	uint64_t ticket;

	world->in_call = true;
	ticket = function(world->store, &registration);
	world->in_call = false;
	return ticket;
}

static void commit(struct world *world)
{
	world->in_call = true;
	store_commit(world->store);
	world->in_call = false;
}

static void until_settled(void *context)
{
	struct world *world = context;

	world->turns++;
	if (!store_busy(world->store))
		loop_stop(world->loop);
}

static void run(struct world *world)
{
	loop_set_turn_hook(world->loop, until_settled, world);
	loop_wake(world->loop);
	ck_assert_int_eq(loop_run(world->loop), 0);
}

START_TEST(a_turn_is_a_batch)
{
	struct world world;
	uint64_t first, second;

	world_init(&world);
	ck_assert(!store_busy(world.store));
	first = call(&world, store_save);
	ck_assert_uint_gt(first, 0);
	ck_assert(store_busy(world.store));
	ck_assert_uint_eq(call(&world, store_save_end), first);
	ck_assert_uint_eq(call(&world, store_remove), first);
	commit(&world);
	second = call(&world, store_save);
	ck_assert_uint_gt(second, first);
	ck_assert_uint_eq(world.settled, 0);
	commit(&world);
	ck_assert(store_busy(world.store));
	ck_assert_uint_eq(world.settled, 0); /* never from inside a call */
	run(&world);
	ck_assert_uint_ge(world.settled, 1);
	ck_assert_uint_eq(world.tickets[world.settled - 1], second);
	ck_assert(!store_busy(world.store));
	ck_assert_uint_eq(world.metrics.commits, 2);
	ck_assert_uint_eq(world.metrics.commit_rows, 4);
	world_release(&world);
}
END_TEST

START_TEST(nothing_queued_nothing_happens)
{
	struct world world;
	uint64_t ticket;

	world_init(&world);
	commit(&world);
	commit(&world);
	run(&world);
	ck_assert_uint_eq(world.settled, 0);
	ck_assert_uint_eq(world.metrics.commits, 0);
	/* A batch that is not handed over is not settled, however often the loop turns. */
	ticket = call(&world, store_save);
	ck_assert(store_busy(world.store));
	world.turns = 0;
	commit(&world);
	run(&world);
	ck_assert_uint_eq(world.settled, 1);
	ck_assert_uint_eq(world.tickets[0], ticket);
	world_release(&world);
}
END_TEST

static void save_and_commit(void *context)
{
	struct world *world = context;
	static const unsigned rows[] = {2, 0, 1, 0, 5};

	if (world->turns < ARRAY_LEN(rows)) {
		for (unsigned i = 0; i < rows[world->turns]; i++)
			store_save(world->store, &registration);
		world->in_call = true;
		store_commit(world->store);
		world->in_call = false;
		loop_wake(world->loop);
	} else if (!store_busy(world->store)) {
		loop_stop(world->loop);
	}
	world->turns++;
}

/* As the daemon does it: a commit at the end of each turn is settled in the next. */
START_TEST(settles_in_the_next_turn)
{
	struct world world;

	world_init(&world);
	loop_set_turn_hook(world.loop, save_and_commit, &world);
	loop_wake(world.loop);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_uint_eq(world.settled, 3);
	for (size_t i = 1; i < world.settled; i++)
		ck_assert_uint_gt(world.tickets[i], world.tickets[i - 1]);
	ck_assert_uint_eq(world.metrics.commits, 3);
	ck_assert_uint_eq(world.metrics.commit_rows, 8);
	world_release(&world);
}
END_TEST

START_TEST(saves_from_inside_the_settle_call)
{
	struct world world;

	world_init(&world);
	world.more = 2;
	call(&world, store_save);
	commit(&world);
	run(&world);
	ck_assert_uint_eq(world.settled, 2);
	ck_assert_uint_gt(world.tickets[1], world.tickets[0]);
	ck_assert_uint_eq(world.metrics.commit_rows, 3);
	world_release(&world);
}
END_TEST

START_TEST(closes_without_a_word)
{
	struct world world;

	world_init(&world);
	call(&world, store_save);
	commit(&world);
	call(&world, store_save);
	world_release(&world);
	ck_assert_uint_eq(world.settled, 0);
	ck_assert_ptr_null(store_close(NULL));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {a_turn_is_a_batch, nothing_queued_nothing_happens,
				      settles_in_the_next_turn, saves_from_inside_the_settle_call,
				      closes_without_a_word};

	return RUN_SUITE("memory", tests);
}
