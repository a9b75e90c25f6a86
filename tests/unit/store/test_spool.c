/* Files are whole when they are done, and gone when they are not. */
#include <errno.h>
#include <string.h>

#include "../sys/scratch.h"
#include "spooling.h"

/* Bodies arrive whole. */

START_TEST(identical_bytes)
{
	static const size_t sizes[] = {
		0,      1,       65535,          65536,      65537,          131072,     131073,
		200000, MIB - 1, 64 * 65536 - 1, 64 * 65536, 64 * 65536 + 1, 8 * MIB + 7};
	static const size_t steps[] = {16384, 65537, 100 * MIB};
	struct here here;

	for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
		here_init(&here);
		for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
			struct body *body = begin(&here, i + 1);

			while (body->size < sizes[i]) {
				size_t left = sizes[i] - body->size;

				append(body, left < steps[s] ? left : steps[s]);
			}
			finish(body);
			if (i % 2 == 0) /* the others share the thread, two by two */
				run_until_done(&here, i + 1);
		}
		for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
			check_body(&here.bodies[i + 1]);
			spool_remove(here.spool, i + 1);
		}
		ck_assert_ptr_null(strpbrk(here.told, "FfB"));
		here_release(&here);
	}
}
END_TEST

START_TEST(short_writes_and_signals)
{
	struct here here;
	struct body *body;

	here_init(&here);
	disk_set_piece(999);
	disk_fail(DISK_PWRITEV, EINTR, 5);
	body = begin(&here, 7);
	append(body, 65536);
	append(body, 300001);
	finish(body);
	run_until_done(&here, 1);
	check_body(body);
	ck_assert_uint_ge(disk_count(DISK_PWRITEV), 5 + 365537 / 999 + 1);
	ck_assert_str_eq(here.told, "");
	here_release(&here);
}
END_TEST

/* Feeds fifty of them in turns, as curl would, and stops while it is asked to. */
static bool feed(void *context)
{
	struct here *here = context;

	for (unsigned i = 1; i <= 50; i++) {
		struct body *body = &here->bodies[i];

		for (int n = 0; n < 4 && body->size < 2 * MIB + i; n++) {
			if (spool_congested(here->spool))
				return false;
			append(body, body->size < 2 * MIB ? 16384 : i);
			if (body->size == 2 * MIB + i)
				finish(body);
		}
	}
	loop_wake(here->world.loop);
	return here->n_done == 50;
}

START_TEST(fifty_at_once)
{
	struct here here;

	here_init(&here);
	for (unsigned i = 1; i <= 50; i++)
		begin(&here, i);
	world_run(&here.world, feed, &here);
	for (unsigned i = 1; i <= 50; i++)
		check_body(&here.bodies[i]);
	here_release(&here);
}
END_TEST

/* The order that makes it durable: all bytes, their sync, the name's sync, and only then the word. */
START_TEST(synced_before_it_is_told)
{
	struct here here;
	struct body *body;

	here_init(&here);
	disk_hold(DISK_OPENAT);
	body = begin(&here, 1);
	run_until_held(&here);
	append(body, 100000);
	finish(body);
	ck_assert_uint_eq(here.n_done, 0);
	disk_let_go();
	run_until_done(&here, 1);
	ck_assert_str_eq(disk_trace(), "owds");
	here_release(&here);
}
END_TEST

START_TEST(large_ones_are_synced_on_the_way)
{
	struct here here;
	struct body *body;

	here_init(&here);
	body = begin(&here, 1);
	append(body, 33 * MIB);
	finish(body);
	run_until_done(&here, 1);
	ck_assert_uint_ge(disk_count(DISK_FDATASYNC), 33 / 12 + 1); /* a call may go beyond 8 MiB by 4 */
	ck_assert_uint_le(disk_count(DISK_FDATASYNC), 33 / 8 + 1);
	check_body(body);
	here_release(&here);
}
END_TEST

/* Discarded in every phase: nothing is told, nothing stays. */

START_TEST(discarded_at_once)
{
	struct here here;

	ck_assert_ptr_null(spool_discard(NULL));
	here_init(&here);
	discard(begin(&here, 1));
	world_stop(&here.world);
	ck_assert_uint_eq(disk_count(DISK_OPENAT), 1);
	ck_assert_uint_eq(disk_count(DISK_UNLINKAT), 1);
	expect_nothing_left(&here);
}
END_TEST

/* While the thread is in a call. */
static void discard_during(enum disk_call call, bool finishing)
{
	struct here here;
	struct body *body;

	here_init(&here);
	disk_hold(call);
	body = begin(&here, 1);
	append(body, 200000);
	if (finishing)
		finish(body);
	run_until_held(&here);
	if (!finishing)
		append(body, 100000);
	discard(body);
	expect_nothing_left(&here);
}

START_TEST(discarded_while_written)
{
	discard_during(DISK_OPENAT, false);
	discard_during(DISK_OPENAT, true);
	discard_during(DISK_PWRITEV, false);
	discard_during(DISK_PWRITEV, true);
	discard_during(DISK_FDATASYNC, true);
	discard_during(DISK_FSYNC, true);
}
END_TEST

START_TEST(discarded_between_steps)
{
	struct here here;
	struct body *body;

	here_init(&here);
	body = begin(&here, 1);
	append(body, 200000);
	world_run(&here.world, has_size, body);
	discard(body);
	expect_nothing_left(&here);
}
END_TEST

START_TEST(unfinished_when_freed)
{
	struct here here;

	here_init(&here);
	disk_set_space(100000);
	append(begin(&here, 1), 200000);
	append(begin(&here, 2), 10);
	here_release(&here); /* the leak checker and the descriptors are the test */
	ck_assert_uint_eq(here.n_done, 0);
}
END_TEST

/* The bounded queue. */

START_TEST(congestion)
{
	struct here here;

	here_init(&here);
	disk_hold(DISK_OPENAT);
	for (unsigned i = 1; i <= 4; i++)
		begin(&here, i);
	run_until_held(&here);
	for (unsigned i = 1; i <= 3; i++)
		append(&here.bodies[i], SPOOL_FILE_QUEUE_MAX);
	append(&here.bodies[4], SPOOL_FILE_QUEUE_MAX - 1);
	ck_assert(!spool_congested(here.spool));
	ck_assert_str_eq(here.told, "");
	append(&here.bodies[4], 1);
	ck_assert(spool_congested(here.spool));
	ck_assert_str_eq(here.told, "C");
	append(&here.bodies[4], MIB); /* what comes all the same is taken */
	ck_assert_str_eq(here.told, "C");
	for (unsigned i = 1; i <= 4; i++)
		finish(&here.bodies[i]);
	disk_let_go();
	run_until_done(&here, 4);
	ck_assert(!spool_congested(here.spool));
	ck_assert_str_eq(here.told, "Cc");
	for (unsigned i = 1; i <= 4; i++)
		check_body(&here.bodies[i]);
	here_release(&here);
}
END_TEST

/* Alone on a full disk it may use all of the queue. */
START_TEST(half_is_free_again)
{
	struct here here;
	struct body *slow;

	here_init(&here);
	disk_set_space(0);
	slow = begin(&here, 1);
	append(slow, SPOOL_FILE_QUEUE_MAX - 1);
	world_run(&here.world, is_full, &here);
	append(slow, SPOOL_QUEUE_MAX - SPOOL_FILE_QUEUE_MAX);
	ck_assert_str_eq(here.told, "F");
	append(slow, 1);
	ck_assert_str_eq(here.told, "FC");
	disk_set_space(SPOOL_QUEUE_MAX / 2); /* exactly a half is still too much */
	world_run(&here.world, has_size, &(struct body){.here = &here, .id = 1, .size = SPOOL_QUEUE_MAX / 2});
	ck_assert(spool_congested(here.spool));
	disk_set_space(1);
	world_run(&here.world, not_congested, &here);
	ck_assert_ptr_nonnull(strchr(here.told, 'c'));
	here_release(&here);
}
END_TEST

/* What is discarded does not wait any more: in the queue, with the thread, and stuck. */
START_TEST(congestion_ends_with_discarding)
{
	struct here here;
	struct body *body;

	here_init(&here);
	disk_hold(DISK_PWRITEV);
	body = begin(&here, 1);
	append(body, SPOOL_FILE_QUEUE_MAX / 2);
	run_until_held(&here);
	append(body, SPOOL_FILE_QUEUE_MAX / 2);
	ck_assert_str_eq(here.told, "C");
	disk_set_space(0);
	here.inside = true;
	discard(body);
	ck_assert_str_eq(here.told, "C"); /* not from inside */
	disk_let_go();
	world_run(&here.world, not_congested, &here);
	ck_assert_str_eq(here.told, "Cc");
	/* The count is exact: nothing is left in it. */
	disk_hold(DISK_OPENAT);
	body = begin(&here, 2);
	append(body, SPOOL_FILE_QUEUE_MAX - 1);
	ck_assert_str_eq(here.told, "Cc");
	append(body, 1);
	ck_assert_str_eq(here.told, "CcC");
	discard(body);
	expect_nothing_left(&here);
	ck_assert_str_eq(here.told, "CcCc");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {identical_bytes,
				      short_writes_and_signals,
				      fifty_at_once,
				      synced_before_it_is_told,
				      large_ones_are_synced_on_the_way,
				      discarded_at_once,
				      discarded_while_written,
				      discarded_between_steps,
				      unfinished_when_freed,
				      congestion,
				      half_is_free_again,
				      congestion_ends_with_discarding};

	return SCRATCH_RUN("spool", tests);
}
