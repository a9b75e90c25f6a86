/* Which databases are opened, made, brought up to date, and refused without touching them; and the reserve.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../sys/scratch.h"
#include "store/database.h"
#include "store/reserve.h"
#include "store/schema.h"

#define PRESENT ((int)ARRAY_LEN(schema_steps))
#define PAGE    4096

static char *message;

static int folder_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(scratch_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static struct database *opened(void)
{
	struct database *database = NULL;
	int r = database_open(scratch_folder(), folder_fd(), &database, &message);

	ck_assert_msg(r == 0, "%d: %s", r, message ? message : "");
	return database;
}

/* `leave_log`: what changes stays in the write-ahead log. */
static void sql_to(const char *name, const char *text, bool leave_log)
{
	sqlite3 *sqlite;
	char *error = NULL;

	ck_assert_int_eq(sqlite3_open(scratch_path(name), &sqlite), SQLITE_OK);
	sqlite3_db_config(sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)leave_log, NULL);
	ck_assert_msg(sqlite3_exec(sqlite, text, NULL, NULL, &error) == SQLITE_OK, "%s: %s", text, error);
	sqlite3_close(sqlite);
}

static void sql(const char *name, const char *text)
{
	sql_to(name, text, false);
}

static int64_t ask(const char *text)
{
	sqlite3 *sqlite;
	sqlite3_stmt *statement;
	int64_t value;

	ck_assert_int_eq(sqlite3_open(scratch_path(DATABASE_FILE), &sqlite), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(sqlite, text, -1, &statement, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
	value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(sqlite);
	return value;
}

static unsigned mode_of(const char *name)
{
	struct stat status;

	ck_assert_int_eq(lstat(scratch_path(name), &status), 0);
	return status.st_mode & 07777;
}

/* The whole file; malloc'd. */
static char *bytes_of(const char *name, size_t *ret_size)
{
	FILE *file = fopen(scratch_path(name), "re");
	char *bytes;
	long size;

	ck_assert_ptr_nonnull(file);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	bytes = malloc((size_t)size + 1);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_uint_eq(fread(bytes, 1, (size_t)size, file), (size_t)size);
	fclose(file);
	*ret_size = (size_t)size;
	return bytes;
}

/* It is refused with this error and a sentence that names the file and says `advice`, and not a byte of it
 * changes. */
static void check_refused(int error, const char *advice)
{
	struct database *database = NULL;
	size_t before_size, after_size;
	char *before = bytes_of(DATABASE_FILE, &before_size), *after;

	ck_assert_int_eq(database_open(scratch_folder(), folder_fd(), &database, &message), error);
	ck_assert_ptr_null(database);
	ck_assert_ptr_nonnull(message);
	ck_assert_msg(strstr(message, scratch_path(DATABASE_FILE)) != NULL, "%s", message);
	ck_assert_msg(strstr(message, advice) != NULL, "%s", message);
	after = bytes_of(DATABASE_FILE, &after_size);
	ck_assert_uint_eq(before_size, after_size);
	ck_assert_int_eq(memcmp(before, after, after_size), 0);
	free(before);
	free(after);
	free(message);
	message = NULL;
}

/* One of ours with so many rows that it has leaves and inner pages. */
static void make_sound(void)
{
	database_close(opened());
	sql(DATABASE_FILE,
	    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
	    " INSERT INTO registrations(id, uid, endpoint, request_id, accept_protobuf, registered_wall,"
	    " deadline_is_max_age, on_network_error, on_server_failure, linked)"
	    " SELECT i, 1000, 'default', 'request-' || i, 0, 5, 0, 0, 0, 0 FROM n");
}

START_TEST(a_new_one_is_private_and_of_the_present_version)
{
	struct database *database;
	mode_t mask = umask(0);

	database = opened();
	umask(mask);
	ck_assert_uint_eq(mode_of(DATABASE_FILE), 0600);
	ck_assert_uint_eq(mode_of(DATABASE_FILE "-wal"), 0600);
	ck_assert_uint_eq(mode_of(DATABASE_FILE "-shm"), 0600);
	database_close(database);
	ck_assert_int_eq(ask("PRAGMA user_version"), PRESENT);
	ck_assert_int_eq(ask("PRAGMA application_id"), SCHEMA_APPLICATION_ID);
	database_close(opened());
}
END_TEST

START_TEST(an_empty_file_becomes_one)
{
	scratch_write(DATABASE_FILE, 0644, "");
	database_close(opened());
	ck_assert_int_eq(ask("PRAGMA user_version"), PRESENT);
	ck_assert_uint_eq(mode_of(DATABASE_FILE), 0600);
}
END_TEST

START_TEST(one_that_others_could_read_is_made_private)
{
	make_sound();
	ck_assert_int_eq(chmod(scratch_path(DATABASE_FILE), 0664), 0);
	database_close(opened());
	ck_assert_uint_eq(mode_of(DATABASE_FILE), 0600);
	ck_assert_int_eq(ask("SELECT count(*) FROM registrations"), 2000);
}
END_TEST

START_TEST(an_older_version_is_brought_up_to_date)
{
	char text[96];

	sql(DATABASE_FILE, schema_steps[0]);
	snprintf(text, sizeof(text), "PRAGMA user_version = 1; PRAGMA application_id = %d",
		 SCHEMA_APPLICATION_ID);
	sql(DATABASE_FILE, text);
	sql(DATABASE_FILE, "INSERT INTO registrations VALUES(3, 1000, 'default', 'a', 0, NULL, NULL, NULL, 5,"
			   " NULL, 77, 0, NULL, NULL, NULL, 0, 0, 0, NULL, NULL)");
	database_close(opened());
	ck_assert_int_eq(ask("PRAGMA user_version"), PRESENT);
	ck_assert_int_eq(ask("SELECT deadline_wall FROM registrations WHERE deadline_boot IS NULL"), 77);
}
END_TEST

START_TEST(a_newer_version_is_refused)
{
	char text[64];

	make_sound();
	snprintf(text, sizeof(text), "PRAGMA user_version = %d", PRESENT + 1);
	sql(DATABASE_FILE, text);
	check_refused(-EPROTO, "newer");
	ck_assert_int_eq(ask("PRAGMA user_version"), PRESENT + 1);
}
END_TEST

START_TEST(one_that_is_refused_keeps_its_log)
{
	char text[64];
	size_t size;

	make_sound();
	snprintf(text, sizeof(text), "PRAGMA user_version = %d", PRESENT + 1);
	sql_to(DATABASE_FILE, text, true);
	free(bytes_of(DATABASE_FILE "-wal", &size));
	ck_assert_uint_gt(size, PAGE);
	check_refused(-EPROTO, "newer");
	free(bytes_of(DATABASE_FILE "-wal", &size));
	ck_assert_uint_gt(size, PAGE);
}
END_TEST

START_TEST(a_version_that_cannot_be_is_refused)
{
	make_sound();
	sql(DATABASE_FILE, "PRAGMA user_version = -1");
	check_refused(-EPROTO, "none of tinkexd's");
}
END_TEST

START_TEST(somebody_elses_database_is_refused)
{
	sql(DATABASE_FILE, "CREATE TABLE bookmarks(url TEXT)");
	check_refused(-EPROTO, "none of tinkexd's");
	ck_assert_int_ne(access(scratch_path(DATABASE_FILE "-wal"), F_OK), 0);
}
END_TEST

START_TEST(what_is_no_database_is_refused)
{
	char text[2 * PAGE];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	scratch_write(DATABASE_FILE, 0600, text);
	check_refused(-EUCLEAN, "Restore a copy");
}
END_TEST

START_TEST(one_that_was_cut_short_is_refused)
{
	struct stat status;

	make_sound();
	ck_assert_int_eq(stat(scratch_path(DATABASE_FILE), &status), 0);
	ck_assert_int_eq(truncate(scratch_path(DATABASE_FILE), status.st_size / 2 / PAGE * PAGE), 0);
	check_refused(-EUCLEAN, ".recover");
}
END_TEST

static void flip(off_t offset, size_t size)
{
	int fd = open(scratch_path(DATABASE_FILE), O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	for (size_t i = 0; i < size; i++) {
		char byte;

		ck_assert_int_eq(pread(fd, &byte, 1, offset + (off_t)i), 1);
		byte = (char)~byte;
		ck_assert_int_eq(pwrite(fd, &byte, 1, offset + (off_t)i), 1);
	}
	close(fd);
}

START_TEST(one_with_a_page_of_nonsense_is_refused)
{
	struct stat status;

	make_sound();
	ck_assert_int_eq(stat(scratch_path(DATABASE_FILE), &status), 0);
	flip(status.st_size / 2 / PAGE * PAGE, 64); /* the head of a leaf */
	check_refused(-EUCLEAN, "Nothing was changed");
}
END_TEST

START_TEST(one_with_a_schema_of_nonsense_is_refused)
{
	make_sound();
	flip(PAGE - 512, 256);
	check_refused(-EUCLEAN, "Restore a copy");
}
END_TEST

static void check_link_refused(const char *name)
{
	struct database *database = NULL;

	scratch_write("elsewhere", 0644, "");
	ck_assert_int_eq(symlink(scratch_path("elsewhere"), scratch_path(name)), 0);
	ck_assert_int_eq(database_open(scratch_folder(), folder_fd(), &database, &message), -EPERM);
	ck_assert_msg(strstr(message, scratch_path(name)) != NULL, "%s", message);
	ck_assert_msg(strstr(message, "symbolic link") != NULL, "%s", message);
	ck_assert_str_eq(scratch_read("elsewhere"), "");
	ck_assert_uint_eq(mode_of("elsewhere"), 0644);
	free(message);
	message = NULL;
}

START_TEST(no_symbolic_link_is_followed)
{
	check_link_refused(DATABASE_FILE);
}
END_TEST

START_TEST(no_symbolic_link_is_followed_to_the_log)
{
	make_sound();
	check_link_refused(DATABASE_FILE "-wal");
}
END_TEST

START_TEST(no_symbolic_link_is_followed_to_the_index)
{
	make_sound();
	check_link_refused(DATABASE_FILE "-shm");
}
END_TEST

START_TEST(the_reserve_is_really_allocated_and_can_be_given_up)
{
	struct stat status;

	ck_assert_int_eq(reserve_hold(folder_fd()), 0);
	ck_assert_int_eq(reserve_hold(folder_fd()), 0);
	ck_assert_int_eq(stat(scratch_path("reserve"), &status), 0);
	ck_assert_int_eq(status.st_size, 16 * 1024 * 1024);
	ck_assert_int_ge(status.st_blocks * 512, 16 * 1024 * 1024);
	ck_assert_uint_eq(mode_of("reserve"), 0600);
	reserve_give_up(folder_fd());
	ck_assert_int_ne(access(scratch_path("reserve"), F_OK), 0);
	reserve_give_up(folder_fd());
	ck_assert_int_eq(symlink(scratch_write("elsewhere", 0600, "mine"), scratch_path("reserve")), 0);
	ck_assert_int_lt(reserve_hold(folder_fd()), 0);
	ck_assert_str_eq(scratch_read("elsewhere"), "mine");
	/* Nobody is waited for, either. */
	ck_assert_int_eq(unlink(scratch_path("reserve")), 0);
	ck_assert_int_eq(mkfifo(scratch_path("reserve"), 0600), 0);
	ck_assert_int_eq(reserve_hold(folder_fd()), -ENXIO);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_new_one_is_private_and_of_the_present_version,
		an_empty_file_becomes_one,
		one_that_others_could_read_is_made_private,
		an_older_version_is_brought_up_to_date,
		a_newer_version_is_refused,
		one_that_is_refused_keeps_its_log,
		a_version_that_cannot_be_is_refused,
		somebody_elses_database_is_refused,
		what_is_no_database_is_refused,
		one_that_was_cut_short_is_refused,
		one_with_a_page_of_nonsense_is_refused,
		one_with_a_schema_of_nonsense_is_refused,
		no_symbolic_link_is_followed,
		no_symbolic_link_is_followed_to_the_log,
		no_symbolic_link_is_followed_to_the_index,
		the_reserve_is_really_allocated_and_can_be_given_up,
	};

	return SCRATCH_RUN("database", tests);
}
