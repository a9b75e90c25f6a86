/* The store on a disk that is full, or fails: what is told, what goes on, and what never succeeds again. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../sys/scratch.h"
#include "core/alloc.h"
#include "keeping.h"
#include "sick_disk.h"
#include "store/database.h"

#define ME 1000

static struct keeping here;
static struct registration *first, *second;

static void begin(void)
{
	keeping_init(&here);
	first = registration_make(1, ME, "a");
	second = registration_make(2, ME, "b");
	keeping_save(&here, first);
}

static void end(void)
{
	registration_drop(first);
	registration_drop(second);
	keeping_release(&here);
}

static int64_t reserve_size(void)
{
	struct stat status;

	return stat(scratch_path("reserve"), &status) == 0 ? status.st_blocks * 512 : 0;
}

static bool has_space(void *context)
{
	return !((struct keeping *)context)->full;
}

START_TEST(the_reserve_is_held_from_the_start)
{
	begin();
	ck_assert_int_ge(reserve_size(), 16 * 1024 * 1024);
	ck_assert_uint_eq(here.n_full, 0);
	end();
}
END_TEST

START_TEST(the_reserve_is_given_up_for_what_must_be_stored)
{
	begin();
	sick_allocation(true);
	sick_writes(ENOSPC, 1);
	keeping_commit(&here, store_save(here.store, second));
	ck_assert_int_eq(here.error, 0);
	ck_assert_int_eq(reserve_size(), 0);
	ck_assert(here.full);
	ck_assert_uint_eq(here.metrics.disk_full, 1);
	ck_assert_uint_eq(here.metrics.commits_failed, 0);
	ck_assert_int_eq(ask("SELECT count(*) FROM registrations"), 2);
	sick_allocation(false);
	keeping_run(&here, has_space);
	ck_assert_int_ge(reserve_size(), 16 * 1024 * 1024);
	ck_assert_uint_eq(here.n_full, 2);
	end();
}
END_TEST

START_TEST(a_full_disk_is_told_and_passes)
{
	begin();
	sick_allocation(true);
	sick_writes(ENOSPC, SICK_ALWAYS);
	keeping_commit(&here, store_save(here.store, second));
	ck_assert_int_eq(here.error, -ENOSPC);
	ck_assert(here.full);
	ck_assert_uint_eq(here.metrics.commits_failed, 1);
	ck_assert_int_eq(reserve_size(), 0);
	sick_writes(0, 0); /* there is room for a little */
	ck_assert_int_eq(ask("SELECT count(*) FROM registrations"), 1);
	keeping_commit(&here, store_remove(here.store, first));
	ck_assert_int_eq(here.error, 0);
	ck_assert(here.full);
	ck_assert_int_eq(ask("SELECT count(*) FROM registrations"), 0);
	sick_allocation(false);
	keeping_run(&here, has_space);
	ck_assert_int_eq(here.broken, 0);
	keeping_commit(&here, store_save(here.store, second));
	ck_assert_int_eq(here.error, 0);
	ck_assert_int_eq(ask("SELECT id FROM registrations"), 2);
	end();
}
END_TEST

START_TEST(a_used_up_quota_is_a_full_disk)
{
	begin();
	sick_writes(EDQUOT, SICK_ALWAYS);
	keeping_commit(&here, store_save(here.store, second));
	ck_assert_int_eq(here.error, -ENOSPC);
	ck_assert(here.full);
	sick_writes(0, 0);
	keeping_run(&here, has_space);
	keeping_commit(&here, store_save(here.store, second));
	ck_assert_int_eq(here.error, 0);
	end();
}
END_TEST

START_TEST(without_a_reserve_the_disk_counts_as_full)
{
	sick_allocation(true);
	begin();
	ck_assert(here.full);
	ck_assert_int_eq(here.error, 0);
	end();
}
END_TEST

static bool is_delivered(void *context)
{
	(void)context;
	return ask("SELECT delivered_wall FROM registrations WHERE id = 1") == 1234;
}

START_TEST(what_nobody_waits_for_is_not_lost_with_its_batch)
{
	uint64_t result;

	keeping_init(&here);
	first = registration_make(1, ME, "a");
	second = registration_make(2, ME, "b");
	second->result = result_ok(CONTENT_JSON, blob_copy("1", 1), 5);
	keeping_save(&here, first);
	keeping_save(&here, second);
	result = second->result->id;
	first->delivered = 1234;
	store_save_delivered(here.store, first);
	second->result = result_unref(second->result);
	sick_writes(ENOSPC, SICK_ALWAYS);
	keeping_commit(&here, store_remove(here.store, second));
	ck_assert_int_eq(here.error, -ENOSPC);
	sick_writes(0, 0);
	ck_assert_int_eq(ask("SELECT max(id) FROM results"), (int64_t)result);
	keeping_run(&here, is_delivered);
	ck_assert_int_eq(ask("SELECT count(*) FROM results"), 0);
	ck_assert_int_eq(ask("SELECT count(*) FROM registrations"),
			 2); /* that removal is the registry's to repeat */
	end();
}
END_TEST

START_TEST(an_older_delivery_does_not_overtake_a_new_beginning)
{
	begin();
	first->delivered = 1234;
	store_save_delivered(here.store, first);
	sick_writes(ENOSPC, SICK_ALWAYS);
	store_save(here.store, second);
	store_commit(here.store);
	first->delivered = 0;
	keeping_commit(&here, store_save(here.store, first) - 1);
	ck_assert_int_eq(here.error, -ENOSPC);
	sick_writes(0, 0);
	keeping_commit(&here, here.settled + 1);
	ck_assert_int_eq(here.error, 0);
	ck_assert_int_eq(ask("SELECT delivered_wall FROM registrations WHERE id = 1"), -1);
	end();
}
END_TEST

/* Whatever follows is not stored, and nobody is told that it was. */
static void check_fatal(void)
{
	unsigned errors;

	store_save(here.store, second);
	store_commit(here.store);
	keeping_commit(&here, here.settled + 1);
	ck_assert_int_lt(here.error, 0);
	ck_assert_int_ne(here.error, -ENOSPC);
	sick_writes(0, 0);
	sick_syncs(0, 0);
	errors = here.n_errors;
	ck_assert_uint_eq(here.n_settled, errors + 1);
	store_save(here.store, second);
	store_commit(here.store);
	store_stop(here.store);
	ck_assert_uint_eq(here.n_errors, errors);
	ck_assert_uint_eq(here.metrics.commits, 1);
	ck_assert_int_eq(ask("SELECT count(*) FROM registrations"), 1);
	end();
}

START_TEST(an_error_of_the_disk_is_the_end)
{
	begin();
	sick_writes(EIO, 1);
	check_fatal();
}
END_TEST

START_TEST(a_sync_that_failed_once_is_the_end)
{
	begin();
	sick_syncs(EIO, 1);
	check_fatal();
}
END_TEST

START_TEST(a_sync_that_lacked_space_is_the_end_too)
{
	begin();
	sick_syncs(ENOSPC, 1);
	check_fatal();
}
END_TEST

/* What is written to a file without a name is on no disk when the process is gone. */
START_TEST(a_database_that_was_removed_is_the_end)
{
	begin();
	ck_assert_int_eq(unlink(scratch_path(DATABASE_FILE)), 0);
	check_fatal();
}
END_TEST

START_TEST(a_database_that_was_replaced_is_the_end)
{
	begin();
	ck_assert_int_eq(rename(scratch_path(DATABASE_FILE), scratch_path("aside")), 0);
	scratch_write(DATABASE_FILE, 0600, "");
	check_fatal();
}
END_TEST

START_TEST(a_log_that_was_removed_is_the_end)
{
	begin();
	ck_assert_int_eq(unlink(scratch_path(DATABASE_FILE "-wal")), 0);
	check_fatal();
}
END_TEST

START_TEST(a_reserve_that_cannot_be_is_refused)
{
	const struct store_operations none = {0};
	struct metrics metrics = {0};
	struct store *store;
	char *message = NULL;

	begin();
	keeping_stop(&here);
	ck_assert_int_eq(unlink(scratch_path("reserve")), 0);
	ck_assert_int_eq(mkdir(scratch_path("reserve"), 0700), 0);
	ck_assert_int_eq(store_open(scratch_path(""), here.world.state_fd, here.world.loop, &metrics, &none,
				    NULL, &store, &message),
			 -EISDIR);
	ck_assert_msg(strstr(message, "/reserve: Is a directory; if that is no regular file, move it away"),
		      "%s", message);
	free(message);
	ck_assert_int_eq(rmdir(scratch_path("reserve")), 0);
	registration_drop(first);
	registration_drop(second);
	keeping_release(&here);
}
END_TEST

static bool is_broken(void *context)
{
	return ((struct keeping *)context)->broken;
}

START_TEST(a_checkpoint_that_fails_is_told)
{
	begin();
	sick_syncs(EIO, SICK_ALWAYS);
	keeping_run(&here, is_broken);
	ck_assert_int_eq(here.broken, -EIO);
	sick_syncs(0, 0);
	end();
}
END_TEST

START_TEST(a_checkpoint_that_lacks_space_waits)
{
	begin();
	sick_writes(ENOSPC, SICK_ALWAYS);
	keeping_commit(&here, store_save(here.store, second));
	ck_assert_int_eq(here.error, -ENOSPC);
	keeping_run(&here, has_space); /* a quiet second later, with a checkpoint that could not be made */
	ck_assert_int_eq(here.broken, 0);
	sick_writes(0, 0);
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		the_reserve_is_held_from_the_start,
		the_reserve_is_given_up_for_what_must_be_stored,
		a_full_disk_is_told_and_passes,
		a_used_up_quota_is_a_full_disk,
		without_a_reserve_the_disk_counts_as_full,
		what_nobody_waits_for_is_not_lost_with_its_batch,
		an_older_delivery_does_not_overtake_a_new_beginning,
		an_error_of_the_disk_is_the_end,
		a_sync_that_failed_once_is_the_end,
		a_sync_that_lacked_space_is_the_end_too,
		a_database_that_was_removed_is_the_end,
		a_database_that_was_replaced_is_the_end,
		a_log_that_was_removed_is_the_end,
		a_reserve_that_cannot_be_is_refused,
		a_checkpoint_that_fails_is_told,
		a_checkpoint_that_lacks_space_waits,
	};

	return SCRATCH_RUN("store_disk", tests);
}
