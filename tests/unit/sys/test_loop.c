/* The order of a turn, the time that everybody sees in it, the one timer, and frees that wait. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../proto/test_run.h"
#include "proto/attributes.h"
#include "sys/clock.h"
#include "sys/loop.h"

#define LATEST (20 * USEC_PER_SEC) /* on a machine that does other things, too */

/* What happened, a letter each. */
static char trace[128];

static void note(char letter)
{
	size_t size = strlen(trace);

	ck_assert_uint_lt(size, sizeof(trace) - 1);
	trace[size] = letter;
	trace[size + 1] = '\0';
}

struct world {
	struct loop *loop;
	struct event *event;
	int pipe[2];
	struct timer timers[8];
	unsigned turns, turns_wanted;
	int64_t seen; /* loop_now() of the last event */
};

static void on_hook(void *context)
{
	struct world *world = context;

	note('h');
	if (++world->turns >= world->turns_wanted)
		loop_stop(world->loop);
}

static void on_due(void *context, struct timer *timer, int64_t now)
{
	struct world *world = context;

	ck_assert_int_le(timer->when, now);
	ck_assert_int_eq(now, loop_now(world->loop));
	note((char)('0' + (timer - world->timers)));
}

static void world_init(struct world *world, unsigned turns)
{
	*world = (struct world){.turns_wanted = turns};
	trace[0] = '\0';
	ck_assert_int_eq(loop_new(&world->loop), 0);
	ck_assert_int_eq(pipe2(world->pipe, O_CLOEXEC | O_NONBLOCK), 0);
	for (size_t i = 0; i < ARRAY_LEN(world->timers); i++)
		timer_init(&world->timers[i], TIMER_HOUSEKEEPING);
	timers_handle(loop_timers(world->loop), TIMER_HOUSEKEEPING, on_due, world);
	loop_set_turn_hook(world->loop, on_hook, world);
}

static void world_release(struct world *world)
{
	if (world->event)
		event_free(world->event);
	loop_free(world->loop);
	close(world->pipe[0]);
	close(world->pipe[1]);
}

static void watch_pipe(struct world *world, event_callback_fn callback)
{
	world->event = event_new(loop_base(world->loop), world->pipe[0], EV_READ | EV_PERSIST, callback,
				 world);
	ck_assert_ptr_nonnull(world->event);
	ck_assert_int_eq(event_add(world->event, NULL), 0);
	ck_assert_int_eq(write(world->pipe[1], "x", 1), 1);
}

static void drain(struct world *world)
{
	char bytes[16];

	ck_assert_int_gt(read(world->pipe[0], bytes, sizeof(bytes)), 0);
}

static void note_freed(void *object)
{
	note(*(char *)object);
	free(object);
}

static void defer(struct world *world, char letter)
{
	char *object = malloc(1);

	ck_assert_ptr_nonnull(object);
	*object = letter;
	loop_defer_free(world->loop, object, note_freed);
}

static void on_first_event(evutil_socket_t fd, short events, void *context)
{
	struct world *world = context;

	(void)fd;
	(void)events;
	drain(world);
	note('e');
	defer(world, 'f');
	defer(world, 'g');
	timers_set(loop_timers(world->loop), &world->timers[1], loop_now(world->loop));
	timers_set(loop_timers(world->loop), &world->timers[0], loop_now(world->loop) - 1);
}

START_TEST(order_of_a_turn)
{
	struct world world;

	world_init(&world, 1);
	watch_pipe(&world, on_first_event);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_str_eq(trace, "e01hfg");
	world_release(&world);
}
END_TEST

/* The clocks stand still within a turn, and go on with the next. */

static void spin_past(int64_t time)
{
	while (clock_now() <= time)
		continue;
}

static void on_slow_event(evutil_socket_t fd, short events, void *context)
{
	struct world *world = context;
	int64_t now = loop_now(world->loop), wall = loop_wall(world->loop);

	(void)fd;
	(void)events;
	ck_assert_int_gt(now, world->seen);
	ck_assert_int_le(now, clock_now());
	spin_past(now + 2000);
	ck_assert_int_eq(loop_now(world->loop), now);
	ck_assert_int_eq(loop_wall(world->loop), wall);
	world->seen = now;
}

static void check_hook_time(void *context)
{
	struct world *world = context;

	ck_assert_int_eq(loop_now(world->loop), world->seen);
	if (++world->turns >= world->turns_wanted)
		loop_stop(world->loop);
}

START_TEST(time_of_a_turn)
{
	struct world world;
	int64_t first;

	world_init(&world, 5);
	loop_set_turn_hook(world.loop, check_hook_time, &world);
	watch_pipe(&world, on_slow_event); /* never drained: every turn has it */
	first = loop_now(world.loop);
	spin_past(first);
	ck_assert_int_gt(loop_now(world.loop), first); /* outside: the time of the call */
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_uint_eq(world.turns, 5);
	first = loop_now(world.loop);
	spin_past(first);
	ck_assert_int_gt(loop_now(world.loop), first);
	world_release(&world);
}
END_TEST

START_TEST(longest_turn_counts_work_only)
{
	struct world world;

	world_init(&world, 1);
	watch_pipe(&world, on_slow_event);
	ck_assert_int_eq(loop_longest_turn(world.loop, false), 0);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_int_ge(loop_longest_turn(world.loop, false), 2000);
	ck_assert_int_ge(loop_longest_turn(world.loop, true), 2000);
	ck_assert_int_eq(loop_longest_turn(world.loop, false), 0);
	world_release(&world);
}
END_TEST

/* Timers. */

static void stop_after_last(void *context)
{
	struct world *world = context;

	world->turns++;
	if (!timer_armed(&world->timers[world->turns_wanted]))
		loop_stop(world->loop);
}

START_TEST(waits_for_timers)
{
	static const int64_t delays[] = {30000, 5000, 60000, 0, 5001};
	struct world world;
	int64_t start, best = LATEST;

	/* Never early; and on time, in the best of many runs, since the machine may be busy: libevent's own
	 * timeouts would be whole milliseconds late in each. */
	for (int run = 0; run < 100 && best >= 1000; run++) {
		world_init(&world, 2); /* timer 2 is the last */
		loop_set_turn_hook(world.loop, stop_after_last, &world);
		start = loop_now(world.loop);
		for (size_t i = 0; i < ARRAY_LEN(delays); i++)
			timers_set(loop_timers(world.loop), &world.timers[i], start + delays[i]);
		ck_assert_int_eq(loop_run(world.loop), 0);
		ck_assert_str_eq(trace, "31402");
		ck_assert_int_ge(clock_now(), start + 60000);
		if (clock_now() - start - 60000 < best)
			best = clock_now() - start - 60000;
		/* A turn for each time that something was due, and not many more. */
		ck_assert_uint_le(world.turns, 10);
		ck_assert_int_lt(loop_longest_turn(world.loop, false), LATEST);
		world_release(&world);
	}
	ck_assert_int_lt(best, 1000);
}
END_TEST

static void rearm(void *context, struct timer *timer, int64_t now)
{
	struct world *world = context;

	(void)now;
	note((char)('0' + (timer - world->timers)));
	if (timer == &world->timers[0]) { /* the long one is made short, the short one goes */
		timers_cancel(loop_timers(world->loop), &world->timers[1]);
		timers_set(loop_timers(world->loop), &world->timers[2], loop_now(world->loop) + 3000);
	}
}

START_TEST(follows_changes)
{
	struct world world;
	int64_t start;

	world_init(&world, 2);
	timers_handle(loop_timers(world.loop), TIMER_HOUSEKEEPING, rearm, &world);
	loop_set_turn_hook(world.loop, stop_after_last, &world);
	start = loop_now(world.loop);
	timers_set(loop_timers(world.loop), &world.timers[0], start + 3000);
	timers_set(loop_timers(world.loop), &world.timers[1], start + 4000);
	timers_set(loop_timers(world.loop), &world.timers[2], start + 3600 * USEC_PER_SEC);
	ck_assert_int_eq(loop_run(world.loop), 0);
	/* On a busy machine timer 1 may have been due in the same turn, behind timer 0: it was cancelled. */
	ck_assert_str_eq(trace, "02");
	ck_assert_int_lt(clock_now() - start, LATEST);
	world_release(&world);
}
END_TEST

/* While the loop waits for something far off, an event asks for something near. */
static void on_sooner(evutil_socket_t fd, short events, void *context)
{
	struct world *world = context;

	(void)fd;
	(void)events;
	drain(world);
	timers_set(loop_timers(world->loop), &world->timers[2], loop_now(world->loop) + 3000);
}

START_TEST(what_is_sooner_comes_sooner)
{
	struct world world;
	int64_t start;

	world_init(&world, 2);
	loop_set_turn_hook(world.loop, stop_after_last, &world);
	watch_pipe(&world, on_sooner);
	start = loop_now(world.loop);
	timers_set(loop_timers(world.loop), &world.timers[0], start + 3600 * USEC_PER_SEC);
	timers_set(loop_timers(world.loop), &world.timers[2], start + 3600 * USEC_PER_SEC);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_str_eq(trace, "2");
	ck_assert_int_ge(clock_now() - start, 3000);
	ck_assert_int_lt(clock_now() - start, LATEST);
	world_release(&world);
}
END_TEST

/* A timer that is armed for now in every turn does not keep the sockets waiting. */
static void again(void *context, struct timer *timer, int64_t now)
{
	timers_set(loop_timers(((struct world *)context)->loop), timer, now);
}

static void on_stop_event(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	loop_stop(((struct world *)context)->loop);
}

static void write_once(void *context)
{
	struct world *world = context;

	if (++world->turns == 100)
		ck_assert_int_eq(write(world->pipe[1], "x", 1), 1);
}

START_TEST(busy_timer_starves_nobody)
{
	struct world world;

	world_init(&world, 0);
	timers_handle(loop_timers(world.loop), TIMER_HOUSEKEEPING, again, &world);
	loop_set_turn_hook(world.loop, write_once, &world);
	watch_pipe(&world, on_stop_event);
	drain(&world);
	timers_set(loop_timers(world.loop), &world.timers[0], 1);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_uint_ge(world.turns, 100);
	world_release(&world);
}
END_TEST

/* Waking, stopping. */

static void wake_in_hook(void *context)
{
	struct world *world = context;

	note('h');
	if (++world->turns < world->turns_wanted)
		loop_wake(world->loop);
	else
		loop_stop(world->loop);
}

START_TEST(wakes_itself)
{
	struct world world;

	world_init(&world, 4);
	loop_set_turn_hook(world.loop, wake_in_hook, &world);
	loop_wake(world.loop); /* before the first turn */
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_str_eq(trace, "hhhh");
	world_release(&world);
}
END_TEST

static void on_event_wake(evutil_socket_t fd, short events, void *context)
{
	struct world *world = context;

	(void)fd;
	(void)events;
	drain(world);
	note('e');
	loop_wake(world->loop);
}

START_TEST(wakes_from_an_event)
{
	struct world world;

	world_init(&world, 2);
	watch_pipe(&world, on_event_wake);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_str_eq(trace, "ehh");
	world_release(&world);
}
END_TEST

static void on_stopping_event(evutil_socket_t fd, short events, void *context)
{
	struct world *world = context;

	(void)fd;
	(void)events;
	drain(world);
	note('e');
	defer(world, 'f');
	timers_set(loop_timers(world->loop), &world->timers[3], 1);
	loop_stop(world->loop);
}

START_TEST(stop_finishes_its_turn)
{
	struct world world;

	world_init(&world, 99);
	watch_pipe(&world, on_stopping_event);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_str_eq(trace, "e3hf");
	/* It can run again. */
	ck_assert_int_eq(write(world.pipe[1], "x", 1), 1);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_str_eq(trace, "e3hfe3hf");
	/* A stop before the run is a run without a turn. */
	loop_stop(world.loop);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_str_eq(trace, "e3hfe3hf");
	world_release(&world);
}
END_TEST

/* Deferred frees. */

struct chain {
	struct world *world;
	int left;
};

static void free_chain(void *object)
{
	struct chain *chain = object;

	note((char)('0' + chain->left));
	if (chain->left-- > 0)
		loop_defer_free(chain->world->loop, chain, free_chain);
	else
		free(chain);
}

static void defer_many(void *context)
{
	struct world *world = context;
	struct chain *chain = malloc(sizeof(*chain));

	ck_assert_ptr_nonnull(chain);
	*chain = (struct chain){.world = world, .left = 3};
	loop_defer_free(world->loop, chain, free_chain);
	for (int i = 0; i < 1000; i++)
		loop_defer_free(world->loop, malloc(16), free);
	loop_stop(world->loop);
}

START_TEST(deferred_frees)
{
	struct world world;

	world_init(&world, 1);
	loop_set_turn_hook(world.loop, defer_many, &world);
	loop_wake(world.loop);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_str_eq(trace, "3210");
	/* What is deferred after the last turn goes with the loop. */
	defer(&world, 'z');
	ck_assert_str_eq(trace, "3210");
	world_release(&world);
	ck_assert_str_eq(trace, "3210z");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		order_of_a_turn,           time_of_a_turn,  longest_turn_counts_work_only,
		waits_for_timers,          follows_changes, what_is_sooner_comes_sooner,
		busy_timer_starves_nobody, wakes_itself,    wakes_from_an_event,
		stop_finishes_its_turn,    deferred_frees};

	return RUN_SUITE("loop", tests);
}
