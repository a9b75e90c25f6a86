/* What the disk cannot do waits, or is told once. */
#include <errno.h>
#include <string.h>

#include "../sys/scratch.h"
#include "spooling.h"

/* A full disk. */

static bool not_full(void *context)
{
	struct here *here = context;

	return strchr(here->told, 'f') != NULL;
}

START_TEST(full_and_recovered)
{
	struct here here;

	here_init(&here);
	disk_set_space(250000);
	for (unsigned i = 1; i <= 3; i++)
		append(begin(&here, i), 200000);
	world_run(&here.world, is_full, &here);
	for (unsigned i = 1; i <= 3; i++) { /* it goes on arriving, until it ends */
		append(&here.bodies[i], 100000);
		finish(&here.bodies[i]);
	}
	append(begin(&here, 4), 70000); /* one that begins now */
	finish(&here.bodies[4]);
	disk_set_space(-1);
	run_until_done(&here, 4);
	world_run(&here.world, not_full, &here);
	ck_assert_str_eq(here.told, "Ff"); /* once each */
	for (unsigned i = 1; i <= 4; i++)
		check_body(&here.bodies[i]);
	here_release(&here);
}
END_TEST

static void never(void *context, struct timer *timer, int64_t now)
{
	(void)context;
	(void)timer;
	(void)now;
}

static bool one_removed(void *context)
{
	(void)context;
	return disk_count(DISK_UNLINKAT) == 1;
}

static bool two_removed(void *context)
{
	(void)context;
	return disk_count(DISK_UNLINKAT) == 2;
}

static bool is_there(void *context)
{
	return size_of(context) == 0;
}

/* What arrives while the thread still tries stands behind what it could not write. */
START_TEST(full_while_more_arrives)
{
	struct here here;
	struct body *body;

	here_init(&here);
	disk_set_space(70000);
	disk_hold(DISK_PWRITEV);
	body = begin(&here, 1);
	append(body, 200000);
	run_until_held(&here);
	append(body, 100000);
	disk_let_go();
	world_run(&here.world, is_full, &here);
	append(body, 1);
	finish(body);
	disk_set_space(-1);
	run_until_done(&here, 1);
	check_body(body);
	here_release(&here);
}
END_TEST

/* While it is suspended only removals go on; then everything does, what was stuck as well. */
START_TEST(suspended)
{
	struct here here;
	unsigned writes;

	here_init(&here);
	timers_handle(loop_timers(here.world.loop), TIMER_SPOOL, never, NULL);
	disk_set_space(10);
	append(begin(&here, 1), 70000);
	world_run(&here.world, is_full, &here);
	begin(&here, 2);
	world_run(&here.world, is_there, &here.bodies[2]);
	spool_suspend(here.spool, true);
	disk_set_space(-1);
	writes = disk_count(DISK_PWRITEV);
	append(&here.bodies[2], 80000);
	append(begin(&here, 3), 90000);
	begin(&here, 4);
	for (unsigned i = 1; i <= 4; i++)
		finish(&here.bodies[i]);
	spool_remove(here.spool, 77); /* would have the stuck ones tried again */
	world_run(&here.world, one_removed, NULL);
	discard(begin(&here, 5));
	world_run(&here.world, two_removed, NULL);
	ck_assert_uint_eq(disk_count(DISK_PWRITEV), writes);
	ck_assert_int_eq(size_of(&here.bodies[3]), -1);
	ck_assert_uint_eq(here.n_done, 0);
	spool_suspend(here.spool, true); /* it is */
	spool_suspend(here.spool, false);
	run_until_done(&here, 4);
	for (unsigned i = 1; i <= 4; i++)
		check_body(&here.bodies[i]);
	ck_assert_str_eq(here.told, "Ff");
	here_release(&here);
}
END_TEST

static bool has_tried(void *context)
{
	return disk_count(DISK_PWRITEV) == *(unsigned *)context;
}

/* Without the timer: what is removed makes space, and those that wait get it in their order. */
START_TEST(removal_makes_space)
{
	struct here here;
	unsigned writes = 1; /* the first file's */

	here_init(&here);
	timers_handle(loop_timers(here.world.loop), TIMER_SPOOL, never, NULL);
	append(begin(&here, 1), 100000);
	finish(&here.bodies[1]);
	run_until_done(&here, 1);
	disk_set_space(0);
	for (unsigned i = 2; i <= 5; i++)
		append(begin(&here, i), 80000);
	writes += 4; /* in vain */
	world_run(&here.world, has_tried, &writes);
	disk_hold(DISK_UNLINKAT);
	spool_remove(here.spool, 1);
	run_until_held(&here); /* so all of them have returned and are stuck */
	for (unsigned i = 2; i <= 4; i++)
		finish(&here.bodies[i]);
	disk_set_space(2 * 80000 + 79999);
	disk_let_go();
	run_until_done(&here, 3);
	ck_assert_str_eq(here.told, "F");
	ck_assert_uint_eq(here.bodies[2].finished, 2);
	ck_assert_uint_eq(here.bodies[3].finished, 3);
	writes += 2 + 2 + 1; /* two of them whole; one in part, and in vain; one in vain */
	world_run(&here.world, has_tried, &writes);
	/* One that is given up makes space as well. */
	disk_set_space(1);
	discard(&here.bodies[5]);
	run_until_done(&here, 4);
	world_run(&here.world, not_full, &here);
	ck_assert_uint_eq(here.bodies[4].finished, 4);
	ck_assert_str_eq(here.told, "Ff");
	ck_assert_int_eq(size_of(&here.bodies[5]), -1);
	for (unsigned i = 2; i <= 4; i++)
		check_body(&here.bodies[i]);
	here_release(&here);
}
END_TEST

START_TEST(discarded_while_full)
{
	struct here here;

	here_init(&here);
	disk_set_space(100000);
	append(begin(&here, 1), 200000);
	finish(&here.bodies[1]);
	world_run(&here.world, is_full, &here);
	discard(&here.bodies[1]);
	ck_assert_str_eq(here.told, "F");
	world_run(&here.world, not_full, &here);
	ck_assert_str_eq(here.told, "Ff");
	expect_nothing_left(&here);
}
END_TEST

/* The other names of the same thing: no inode, no quota. */
START_TEST(full_in_other_words)
{
	struct here here;

	here_init(&here);
	disk_fail(DISK_OPENAT, ENOSPC, 1);
	append(begin(&here, 1), 70000);
	finish(&here.bodies[1]);
	run_until_done(&here, 1);
	ck_assert_str_eq(here.told, "Ff");
	here.told[0] = '\0';
	disk_fail(DISK_PWRITEV, EDQUOT, 1);
	append(begin(&here, 2), 70000);
	finish(&here.bodies[2]);
	run_until_done(&here, 2);
	ck_assert_str_eq(here.told, "Ff");
	check_body(&here.bodies[1]);
	check_body(&here.bodies[2]);
	here_release(&here);
}
END_TEST

/* Neither full nor broken: it only takes longer. */
START_TEST(no_descriptor_for_now)
{
	static const int errors[] = {EMFILE, ENFILE, ENOMEM};
	struct here here;

	here_init(&here);
	for (unsigned i = 1; i <= ARRAY_LEN(errors); i++) {
		disk_fail(DISK_OPENAT, errors[i - 1], 1);
		append(begin(&here, i), 70000);
		finish(&here.bodies[i]);
		run_until_done(&here, i);
		check_body(&here.bodies[i]);
	}
	ck_assert_str_eq(here.told, "");
	here_release(&here);
}
END_TEST

/* A disk that cannot be trusted. */

static bool is_broken(void *context)
{
	struct here *here = context;

	return strchr(here->told, 'B') != NULL;
}

static bool all_removed(void *context)
{
	(void)context;
	return disk_count(DISK_UNLINKAT) == 3;
}

/* `call` fails once. That is the end for all files, and what failed is not tried again. */
static void break_at(enum disk_call call, int error)
{
	struct here here;
	unsigned calls;

	here_init(&here);
	disk_fail(call, error, 1);
	append(begin(&here, 1), 70000);
	finish(&here.bodies[1]);
	world_run(&here.world, is_broken, &here);
	ck_assert_int_eq(here.error, -error);
	calls = disk_count(call);
	/* Neither this one nor another: one that was there, one that comes. */
	append(begin(&here, 2), 70000);
	finish(&here.bodies[2]);
	spool_remove(here.spool, 77); /* frees space, and would have the stuck ones tried again */
	discard(&here.bodies[1]);
	discard(&here.bodies[2]);
	world_run(&here.world, all_removed, &here);
	ck_assert_uint_eq(disk_count(call), calls);
	expect_nothing_left(&here);
	ck_assert_str_eq(here.told, "B");
}

START_TEST(broken_once_and_for_all)
{
	break_at(DISK_OPENAT, EACCES);
	break_at(DISK_PWRITEV, EIO);
	break_at(DISK_PWRITEV, EROFS);
	break_at(DISK_FDATASYNC, EIO);
	break_at(DISK_FDATASYNC, ENOSPC);
	break_at(DISK_FSYNC, EIO);
}
END_TEST

static bool third_is_synced(void *context)
{
	(void)context;
	return disk_count(DISK_FSYNC) == 1;
}

START_TEST(broken_is_told_once)
{
	struct here here;

	here_init(&here);
	disk_fail(DISK_FDATASYNC, EIO, 2);
	disk_hold(DISK_OPENAT);
	for (unsigned i = 1; i <= 3; i++)
		append(begin(&here, i), 70000);
	run_until_held(&here);
	for (unsigned i = 1; i <= 3; i++)
		finish(&here.bodies[i]);
	disk_let_go();
	world_run(&here.world, is_broken, &here);
	/* The third has been synced well: nothing is finished any more all the same. */
	world_run(&here.world, third_is_synced, &here);
	spool_remove(here.spool, 77); /* behind it */
	world_run(&here.world, one_removed, &here);
	ck_assert_uint_eq(here.n_done, 0);
	for (unsigned i = 1; i <= 3; i++)
		discard(&here.bodies[i]);
	expect_nothing_left(&here);
	ck_assert_str_eq(here.told, "B");
}
END_TEST

/* A sync on the way counts as the last one does. */
START_TEST(broken_on_the_way)
{
	struct here here;

	here_init(&here);
	disk_fail(DISK_FDATASYNC, EIO, 1);
	append(begin(&here, 1), 9 * MIB);
	world_run(&here.world, is_broken, &here);
	finish(&here.bodies[1]);
	world_stop(&here.world);
	ck_assert_uint_eq(disk_count(DISK_FDATASYNC), 1);
	ck_assert_uint_eq(here.n_done, 0);
	here_release(&here);
}
END_TEST

/* A file that cannot be removed is no reason to stop: the next start removes it. */
START_TEST(unlink_failed)
{
	struct here here;

	here_init(&here);
	disk_fail(DISK_UNLINKAT, EIO, 1);
	spool_remove(here.spool, 1);
	spool_remove(here.spool, 2); /* and one that is not there is removed */
	append(begin(&here, 3), 70000);
	finish(&here.bodies[3]);
	run_until_done(&here, 1);
	ck_assert_uint_eq(disk_count(DISK_UNLINKAT), 2);
	ck_assert_str_eq(here.told, "");
	here_release(&here);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {full_and_recovered,
				      full_while_more_arrives,
				      suspended,
				      removal_makes_space,
				      discarded_while_full,
				      full_in_other_words,
				      no_descriptor_for_now,
				      broken_once_and_for_all,
				      broken_is_told_once,
				      broken_on_the_way,
				      unlink_failed};

	return SCRATCH_RUN("spool_disk", tests);
}
