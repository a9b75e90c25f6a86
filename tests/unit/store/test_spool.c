/* Files are whole when they are done, and gone when they are not; what the disk cannot do is told once. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../sys/scratch.h"
#include "disk.h"
#include "store/spool.h"
#include "world.h"

#define FILES 64
#define MIB   ((size_t)1024 * 1024)

struct body {
	struct here *here;
	uint64_t id;
	struct spool_file *file;
	uint64_t size;     /* so much has been appended */
	unsigned finished; /* the order in which it was told, from 1; 0: not yet */
};

struct here {
	struct world world;
	struct spool *spool;
	struct body bodies[FILES];
	unsigned n_done, wanted;
	char told[64]; /* C c: congested and no longer; F f: full; B: broken */
	int error;
	bool inside; /* a call that must not call back */
};

static void note(struct here *here, char letter)
{
	size_t n = strlen(here->told);

	ck_assert_uint_lt(n, sizeof(here->told) - 1);
	here->told[n] = letter;
	here->told[n + 1] = '\0';
}

static void on_congested(void *context, bool congested)
{
	struct here *here = context;

	ck_assert(congested == spool_congested(here->spool));
	note(here, congested ? 'C' : 'c');
}

static void on_full(void *context, bool full)
{
	note(context, full ? 'F' : 'f');
}

static void on_broken(void *context, int error)
{
	((struct here *)context)->error = error;
	note(context, 'B');
}

static const struct spool_operations operations = {
	.congested = on_congested, .full = on_full, .broken = on_broken};

static void here_init(struct here *here)
{
	char *message = NULL;

	*here = (struct here){0};
	disk_reset();
	world_init(&here->world);
	ck_assert_int_eq(spool_new(here->world.state_fd, here->world.loop, here->world.worker, &operations,
				   here, &here->spool, &message),
			 0);
	ck_assert_ptr_null(message);
	disk_reset();
}

static void here_release(struct here *here)
{
	world_stop(&here->world);
	ck_assert_ptr_null(spool_free(here->spool));
	world_release(&here->world);
}

/* The steps of a body, under the id that is its number. */

static struct body *begin(struct here *here, unsigned number)
{
	struct body *body = &here->bodies[number];

	body->here = here;
	body->id = number;
	body->file = spool_create(here->spool, number);
	ck_assert_ptr_nonnull(body->file);
	return body;
}

static void append(struct body *body, size_t size)
{
	char *bytes = world_bytes(body->id, body->size, size);

	ck_assert_int_eq(spool_append(body->file, bytes, size), 0);
	free(bytes);
	body->size += size;
}

static void on_done(void *context)
{
	struct body *body = context;

	ck_assert(!body->here->inside);
	ck_assert_uint_eq(body->finished, 0);
	body->finished = ++body->here->n_done;
	body->file = NULL;
}

static void finish(struct body *body)
{
	body->here->inside = true;
	spool_finish(body->file, on_done, body);
	body->here->inside = false;
}

static void discard(struct body *body)
{
	ck_assert_ptr_nonnull(body->file);
	body->file = spool_discard(body->file);
	ck_assert_ptr_null(body->file);
}

static bool all_done(void *context)
{
	struct here *here = context;

	return here->n_done >= here->wanted;
}

static void run_until_done(struct here *here, unsigned wanted)
{
	here->wanted = wanted;
	world_run(&here->world, all_done, here);
	ck_assert_uint_eq(here->n_done, wanted);
}

/* As it lies in the folder. -1: it does not. */
static int64_t size_of(const struct body *body)
{
	char name[SPOOL_NAME_SIZE];
	struct stat status;

	spool_name(body->id, name);
	if (fstatat(spool_fd(body->here->spool), name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0600);
	return status.st_size;
}

static void check_body(const struct body *body)
{
	char name[SPOOL_NAME_SIZE], path[32], buffer[4096];
	FILE *file;
	uint64_t at = 0;
	size_t n;

	ck_assert_int_eq(size_of(body), (int64_t)body->size);
	spool_name(body->id, name);
	snprintf(path, sizeof(path), "spool/%s", name);
	file = fopen(scratch_path(path), "re");
	ck_assert_ptr_nonnull(file);
	while ((n = fread(buffer, 1, sizeof(buffer), file))) {
		for (size_t i = 0; i < n; i++, at++) {
			if (buffer[i] != world_byte(body->id, at))
				ck_abort_msg("byte %ju of body %ju is wrong", (uintmax_t)at,
					     (uintmax_t)body->id);
		}
	}
	ck_assert_int_eq(ferror(file), 0);
	fclose(file);
	ck_assert_uint_eq(at, body->size);
}

static void count_entry(void *context, uint64_t id, const char *name, uint64_t size)
{
	(void)id;
	(void)name;
	(void)size;
	++*(unsigned *)context;
}

static bool folder_is_empty(void *context)
{
	unsigned n = 0;

	ck_assert_int_eq(spool_each(((struct here *)context)->spool, count_entry, &n), 0);
	return n == 0;
}

/* Nobody tells the loop that the thread waits: it keeps turning. */
static bool is_held(void *context)
{
	loop_wake(((struct here *)context)->world.loop);
	return disk_held();
}

static void run_until_held(struct here *here)
{
	world_run(&here->world, is_held, here);
}

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

static void expect_nothing_left(struct here *here)
{
	disk_let_go();
	world_run(&here->world, folder_is_empty, here);
	world_stop(&here->world);
	ck_assert(folder_is_empty(here));
	ck_assert_uint_eq(here->n_done, 0);
	here_release(here);
}

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

/* Between two steps: nothing of it is with the thread. */
static bool has_size(void *context)
{
	struct body *body = context;

	return size_of(body) == (int64_t)body->size;
}

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

static bool is_full(void *context)
{
	struct here *here = context;

	return strchr(here->told, 'F') != NULL;
}

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

static bool not_congested(void *context)
{
	return !spool_congested(((struct here *)context)->spool);
}

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

/* The folder. */

static void refuse(int error, const char *words)
{
	struct world world;
	struct spool *spool = NULL;
	char *message = NULL;

	world_init(&world);
	ck_assert_int_eq(
		spool_new(world.state_fd, world.loop, world.worker, &operations, NULL, &spool, &message),
		error);
	ck_assert_ptr_null(spool);
	ck_assert_ptr_nonnull(message);
	if (!strstr(message, words))
		ck_abort_msg("\"%s\" does not say \"%s\"", message, words);
	free(message);
	world_release(&world);
}

START_TEST(folder_is_refused)
{
	const char *path = scratch_path("spool");

	disk_reset();
	ck_assert_int_eq(mkdir(scratch_path("elsewhere"), 0700), 0);
	ck_assert_int_eq(symlink("elsewhere", path), 0);
	refuse(-ENOTDIR, "symbolic link");
	ck_assert_int_eq(unlink(path), 0);
	scratch_write("spool", 0600, "text");
	refuse(-ENOTDIR, "not a folder");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(chmod(path, 0770), 0);
	refuse(-EPERM, "chmod 700");
	ck_assert_int_eq(chmod(path, 0700), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(path, 12345, (gid_t)-1), 0);
		refuse(-EPERM, "uid 12345");
		ck_assert_int_eq(chown(path, 0, (gid_t)-1), 0);
	}
	disk_fail(DISK_FSYNC, EIO, 1);
	refuse(-EIO, "sync");
}
END_TEST

START_TEST(folder_is_made)
{
	struct here here;
	struct stat status;

	here_init(&here);
	ck_assert_int_eq(stat(scratch_path("spool"), &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFDIR | 0700);
	here_release(&here);
	here_init(&here); /* and found the next time */
	here_release(&here);
}
END_TEST

struct seen {
	unsigned n, foreign;
	uint64_t ids, bytes;
};

static void see(void *context, uint64_t id, const char *name, uint64_t size)
{
	struct seen *seen = context;
	char same[SPOOL_NAME_SIZE];

	spool_name(id, same);
	ck_assert(!id || strcmp(name, same) == 0);
	seen->n++;
	seen->foreign += !id;
	seen->ids += id;
	seen->bytes += size;
}

START_TEST(each_file)
{
	static const char *const foreign[] = {"spool/x",
					      "spool/000000000000000",
					      "spool/000000000000000A",
					      "spool/0000000000000000",
					      "spool/10000000000000001",
					      "spool/ 000000000000001",
					      "spool/-000000000000001"};
	struct here here;
	struct seen seen = {0};

	here_init(&here);
	ck_assert_int_eq(spool_each(here.spool, see, &seen), 0);
	ck_assert_uint_eq(seen.n, 0);
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		scratch_write(foreign[i], 0600, "abc");
	ck_assert_int_eq(mkdir(scratch_path("spool/00000000000000ff"), 0700), 0);
	ck_assert_int_eq(symlink("x", scratch_path("spool/00000000000000fe")), 0);
	scratch_write("spool/0000000000000001", 0600, "0123456789");
	scratch_write("spool/ffffffffffffff00", 0600, "");
	for (int i = 0; i < 2; i++) { /* as often as one likes */
		seen = (struct seen){0};
		ck_assert_int_eq(spool_each(here.spool, see, &seen), 0);
		ck_assert_uint_eq(seen.n, ARRAY_LEN(foreign) + 4);
		ck_assert_uint_eq(seen.foreign, ARRAY_LEN(foreign) + 2);
		ck_assert_uint_eq(seen.ids, UINT64_C(0xffffffffffffff01));
		ck_assert_uint_eq(seen.bytes, 3 * ARRAY_LEN(foreign) + 10);
	}
	disk_fail(DISK_OPENAT, EMFILE, 1);
	ck_assert_int_eq(spool_each(here.spool, see, &seen), -EMFILE);
	/* One that is not seen would count as lost: its result would be forgotten. */
	disk_fail(DISK_FSTATAT, EIO, 1);
	ck_assert_int_eq(spool_each(here.spool, see, &seen), -EIO);
	disk_fail(DISK_FSTATAT, ENOENT, 1);
	ck_assert_int_eq(spool_each(here.spool, see, &seen), 0);
	here_release(&here);
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
				      congestion_ends_with_discarding,
				      full_and_recovered,
				      full_while_more_arrives,
				      suspended,
				      removal_makes_space,
				      discarded_while_full,
				      full_in_other_words,
				      no_descriptor_for_now,
				      broken_once_and_for_all,
				      broken_is_told_once,
				      broken_on_the_way,
				      unlink_failed,
				      folder_is_refused,
				      folder_is_made,
				      each_file};

	return SCRATCH_RUN("spool", tests);
}
