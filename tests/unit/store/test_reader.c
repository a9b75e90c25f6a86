/* Cold bodies come back as they were, from rows and files, or with a reason; a cancelled reading is silent.
 */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../sys/scratch.h"
#include "core/result.h"
#include "store/reader.h"
#include "store/spool.h"
#include "world.h"

#define ROW_SIZE  ((size_t)65536)
#define FILE_SIZE ((size_t)700001)

struct here {
	struct world world;
	sqlite3 *database;
	int spool_fd;
	struct reader *reader;
	struct result_keeper keeper;
	unsigned gone; /* results that nobody holds any more */
	/* What the last reading brought. */
	unsigned n_done;
	struct blob *bytes;
	int fd;
	uint64_t offset;
	int error;
};

static void on_gone(struct result_keeper *keeper, uint64_t id, bool in_file)
{
	(void)id;
	(void)in_file;
	container_of(keeper, struct here, keeper)->gone++;
}

static void must(struct here *here, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(here->database, sql, NULL, NULL, &message) != SQLITE_OK)
		ck_abort_msg("%s: %s", sql, message);
}

static void insert_row(struct here *here, uint64_t id, size_t size)
{
	char *bytes = world_bytes(id, 0, size);
	sqlite3_stmt *insert;

	ck_assert_int_eq(
		sqlite3_prepare_v2(here->database, "INSERT INTO results VALUES (?, 1, ?)", -1, &insert, NULL),
		SQLITE_OK);
	sqlite3_bind_int64(insert, 1, (sqlite3_int64)id);
	sqlite3_bind_blob(insert, 2, bytes, (int)size, SQLITE_STATIC);
	ck_assert_int_eq(sqlite3_step(insert), SQLITE_DONE);
	sqlite3_finalize(insert);
	free(bytes);
}

static void write_file(struct here *here, uint64_t id, size_t size)
{
	char *bytes = world_bytes(id, 0, size), name[SPOOL_NAME_SIZE];
	int fd;

	spool_name(id, name);
	fd = openat(here->spool_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	close(fd);
	free(bytes);
}

static void here_init(struct here *here)
{
	char *message = NULL;

	*here = (struct here){.keeper = {.gone = on_gone}, .fd = -1};
	world_init(&here->world);
	ck_assert_int_eq(mkdir(scratch_path("spool"), 0700), 0);
	here->spool_fd = open(scratch_path("spool"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(here->spool_fd, 0);
	ck_assert_int_eq(sqlite3_open(scratch_path("state.db"), &here->database), SQLITE_OK);
	must(here, "PRAGMA journal_mode = WAL");
	must(here, "CREATE TABLE results (id INTEGER PRIMARY KEY, ok INTEGER, body BLOB)");
	ck_assert_int_eq(reader_new(scratch_path("state.db"), here->spool_fd, here->world.worker,
				    &here->reader, &message),
			 0);
	ck_assert_ptr_null(message);
}

static void forget(struct here *here)
{
	here->bytes = blob_unref(here->bytes);
	if (here->fd >= 0)
		close(here->fd);
	here->fd = -1;
}

static void here_release(struct here *here)
{
	world_stop(&here->world);
	forget(here);
	ck_assert_ptr_null(reader_free(here->reader));
	sqlite3_close(here->database);
	close(here->spool_fd);
	world_release(&here->world);
}

/* A result whose body has left the memory. */
static struct result *row_result(struct here *here, uint64_t id, size_t size)
{
	struct result *result = result_ok(CONTENT_JSON, blob_take(malloc(size + 1), size), 1);

	result->id = id;
	result->keeper = &here->keeper;
	result_chill(result);
	ck_assert(result_is_cold(result) == (size > 0));
	return result;
}

static struct result *file_result(struct here *here, uint64_t id, uint64_t offset, uint64_t size)
{
	return result_in_file(CONTENT_JSON, id, offset, size, 1, &here->keeper);
}

static void on_read(void *context, struct blob *bytes, int error)
{
	struct here *here = context;

	ck_assert((bytes != NULL) == (error == 0));
	here->bytes = bytes;
	here->error = error;
	here->n_done++;
}

static void on_opened(void *context, int fd, uint64_t offset, int error)
{
	struct here *here = context;

	ck_assert((fd >= 0) == (error == 0));
	here->fd = fd;
	here->offset = offset;
	here->error = error;
	here->n_done++;
}

static bool is_done(void *context)
{
	return ((struct here *)context)->n_done > 0;
}

static int read_body(struct here *here, struct result *result, uint64_t from, size_t size)
{
	forget(here);
	here->n_done = 0;
	ck_assert_ptr_nonnull(reader_read(here->reader, result, from, size, on_read, here));
	ck_assert_uint_eq(here->n_done, 0); /* never from inside */
	world_run(&here->world, is_done, here);
	ck_assert_uint_eq(here->n_done, 1);
	return here->error;
}

static int open_body(struct here *here, struct result *result)
{
	forget(here);
	here->n_done = 0;
	ck_assert_ptr_nonnull(reader_open(here->reader, result, on_opened, here));
	ck_assert_uint_eq(here->n_done, 0);
	world_run(&here->world, is_done, here);
	ck_assert_uint_eq(here->n_done, 1);
	return here->error;
}

static void check_bytes(const char *bytes, uint64_t id, uint64_t offset, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != world_byte(id, offset + i))
			ck_abort_msg("byte %zu is wrong", i);
	}
}

/* Reads a piece and compares it; `offset`: where the body begins in what is stored. */
static void check_piece(struct here *here, struct result *result, uint64_t offset, uint64_t from, size_t size)
{
	ck_assert_int_eq(read_body(here, result, from, size), 0);
	ck_assert_uint_eq(here->bytes->size, size);
	check_bytes(here->bytes->data, result->id, offset + from, size);
}

/* Reading. */

START_TEST(reads_rows)
{
	struct here here;
	struct result *result;

	here_init(&here);
	insert_row(&here, 5, ROW_SIZE);
	insert_row(&here, UINT64_C(0x7fffffffffffffff), 3);
	result = row_result(&here, 5, ROW_SIZE);
	check_piece(&here, result, 0, 0, ROW_SIZE);
	check_piece(&here, result, 0, 0, 1);
	check_piece(&here, result, 0, 1000, 20000);
	check_piece(&here, result, 0, ROW_SIZE - 1, 1);
	check_piece(&here, result, 0, ROW_SIZE, 0);
	result_unref(result);
	result = row_result(&here, UINT64_C(0x7fffffffffffffff), 3);
	check_piece(&here, result, 0, 0, 3);
	result_unref(result);
	/* A row that came after the reader was made, while another connection goes on writing. */
	must(&here, "BEGIN IMMEDIATE");
	insert_row(&here, 6, 10);
	must(&here, "COMMIT");
	must(&here, "BEGIN IMMEDIATE");
	result = row_result(&here, 6, 10);
	check_piece(&here, result, 0, 0, 10);
	must(&here, "ROLLBACK");
	result_unref(result);
	ck_assert_uint_eq(here.gone, 3);
	here_release(&here);
}
END_TEST

START_TEST(reads_files)
{
	struct here here;
	struct result *result;

	here_init(&here);
	write_file(&here, 9, FILE_SIZE);
	result = file_result(&here, 9, 0, FILE_SIZE);
	check_piece(&here, result, 0, 0, FILE_SIZE);
	for (size_t from = 0; from < FILE_SIZE; from += 262144)
		check_piece(&here, result, 0, from, FILE_SIZE - from < 262144 ? FILE_SIZE - from : 262144);
	result_unref(result);
	/* A body inside its file. */
	result = file_result(&here, 9, 123, 456789);
	check_piece(&here, result, 123, 0, 456789);
	check_piece(&here, result, 123, 400000, 56789);
	check_piece(&here, result, 123, 456789, 0);
	result_unref(result);
	here_release(&here);
}
END_TEST

START_TEST(reads_in_order)
{
	struct here here;
	struct result *row, *file;

	here_init(&here);
	insert_row(&here, 1, ROW_SIZE);
	write_file(&here, 2, FILE_SIZE);
	row = row_result(&here, 1, ROW_SIZE);
	file = file_result(&here, 2, 0, FILE_SIZE);
	for (size_t i = 0; i < 50; i++) { /* one connection, one statement: each starts afresh */
		check_piece(&here, row, 0, i, i * 10);
		check_piece(&here, file, 0, i * 7, i * 10);
	}
	result_unref(row);
	result_unref(file);
	here_release(&here);
}
END_TEST

/* What is not there. */

START_TEST(missing)
{
	struct here here;
	struct result *row, *file;

	here_init(&here);
	row = row_result(&here, 1, 10);
	file = file_result(&here, 1, 0, 10);
	ck_assert_int_eq(read_body(&here, row, 0, 10), -ENOENT);
	ck_assert_int_eq(read_body(&here, file, 0, 10), -ENOENT);
	ck_assert_int_eq(open_body(&here, row), -ENOENT);
	ck_assert_int_eq(open_body(&here, file), -ENOENT);
	/* A row without a body, as those of files have. */
	must(&here, "INSERT INTO results VALUES (1, 1, NULL)");
	ck_assert_int_eq(read_body(&here, row, 0, 10), -ENOENT);
	ck_assert_int_eq(open_body(&here, row), -ENOENT);
	result_unref(row);
	result_unref(file);
	here_release(&here);
}
END_TEST

static void refuse_pieces(struct here *here, struct result *result)
{
	ck_assert_int_eq(read_body(here, result, 0, (size_t)result->size), -ENOENT);
	ck_assert_int_eq(read_body(here, result, 0, 1), -ENOENT);
	ck_assert_int_eq(open_body(here, result), -ENOENT);
	result_unref(result);
}

START_TEST(shorter_than_its_row_says)
{
	struct here here;

	here_init(&here);
	insert_row(&here, 1, 99);
	write_file(&here, 2, 99);
	refuse_pieces(&here, row_result(&here, 1, 100));
	refuse_pieces(&here, file_result(&here, 2, 0, 100));
	refuse_pieces(&here, file_result(&here, 2, 90, 10));
	refuse_pieces(&here, file_result(&here, 2, 100, 1));
	refuse_pieces(&here, file_result(&here, 2, UINT64_MAX - 3, 10));
	refuse_pieces(&here, file_result(&here, 2, 1, UINT64_MAX));
	here_release(&here);
}
END_TEST

START_TEST(more_than_the_body)
{
	struct here here;
	struct result *row, *file;

	here_init(&here);
	insert_row(&here, 1, 100);
	write_file(&here, 2, 200);
	row = row_result(&here, 1, 50);
	file = file_result(&here, 2, 50, 50);
	ck_assert_int_eq(read_body(&here, row, 1, 50), -ENOENT);
	ck_assert_int_eq(read_body(&here, file, 1, 50), -ENOENT);
	ck_assert_int_eq(read_body(&here, file, UINT64_MAX, 2), -ENOENT);
	ck_assert_int_eq(read_body(&here, file, 51, 0), -ENOENT);
	result_unref(row);
	result_unref(file);
	here_release(&here);
}
END_TEST

START_TEST(no_file_of_ours)
{
	struct here here;
	struct result *result;

	here_init(&here);
	scratch_write("elsewhere", 0600, "0123456789");
	ck_assert_int_eq(symlink("../elsewhere", scratch_path("spool/0000000000000001")), 0);
	ck_assert_int_eq(mkdir(scratch_path("spool/0000000000000002"), 0700), 0);
	for (unsigned id = 1; id <= 2; id++) {
		result = file_result(&here, id, 0, 5);
		ck_assert_int_eq(read_body(&here, result, 0, 5), -EIO);
		ck_assert_int_eq(open_body(&here, result), -EIO);
		result_unref(result);
	}
	here_release(&here);
}
END_TEST

START_TEST(no_descriptor)
{
	struct here here;
	struct result *row, *file;
	struct rlimit limit, none;

	here_init(&here);
	insert_row(&here, 1, 100);
	write_file(&here, 2, 100);
	row = row_result(&here, 1, 100);
	file = file_result(&here, 2, 0, 100);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(read_body(&here, file, 0, 100), -EMFILE);
	ck_assert_int_eq(open_body(&here, file), -EMFILE);
	ck_assert_int_eq(open_body(&here, row), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(open_body(&here, file), 0);
	ck_assert_int_eq(open_body(&here, row), 0);
	result_unref(row);
	result_unref(file);
	here_release(&here);
}
END_TEST

/* The linker puts this in the place of malloc(). Set and read while the thread has nothing to do. */
static size_t refused_size;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return size && size == refused_size ? NULL : __real_malloc(size);
}

START_TEST(no_memory)
{
	struct here here;
	struct result *row, *file;

	here_init(&here);
	insert_row(&here, 1, ROW_SIZE);
	write_file(&here, 2, FILE_SIZE);
	row = row_result(&here, 1, ROW_SIZE);
	file = file_result(&here, 2, 0, FILE_SIZE);
	refused_size = 54321;
	ck_assert_int_eq(read_body(&here, row, 0, 54321), -ENOMEM);
	ck_assert_int_eq(read_body(&here, file, 0, 54321), -ENOMEM);
	check_piece(&here, row, 0, 0, 54320); /* a smaller piece is possible all the same */
	check_piece(&here, file, 0, 0, 54320);
	refused_size = 0;
	result_unref(row);
	result_unref(file);
	here_release(&here);
}
END_TEST

START_TEST(broken_row)
{
	struct here here;
	struct result *result;

	here_init(&here);
	insert_row(&here, 1, 100);
	result = row_result(&here, 1, 100);
	check_piece(&here, result, 0, 0, 100);
	must(&here, "DROP TABLE results");
	ck_assert_int_eq(read_body(&here, result, 0, 100), -EIO);
	result_unref(result);
	here_release(&here);
}
END_TEST

/* Opening. */

static void check_descriptor(struct here *here, uint64_t id, uint64_t start, size_t size)
{
	char *bytes = malloc(size);

	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(pread(here->fd, bytes, size, (off_t)here->offset), (ssize_t)size);
	check_bytes(bytes, id, start, size);
	free(bytes);
	ck_assert_int_eq(lseek(here->fd, 0, SEEK_CUR), 0);
	ck_assert_int_eq(fcntl(here->fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_lt(pwrite(here->fd, "x", 1, 0), 0);
	ck_assert_int_lt(ftruncate(here->fd, 0), 0);
}

START_TEST(opens_files)
{
	struct here here;
	struct result *result;
	int first;

	here_init(&here);
	write_file(&here, 3, FILE_SIZE);
	result = file_result(&here, 3, 77, FILE_SIZE - 77);
	ck_assert_int_eq(open_body(&here, result), 0);
	ck_assert_uint_eq(here.offset, 77);
	ck_assert_int_eq(fcntl(here.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	check_descriptor(&here, 3, 77, FILE_SIZE - 77);
	/* Each has a position of its own: one reader's doings are not another's. */
	first = here.fd;
	here.fd = -1;
	ck_assert_int_eq(lseek(first, 1000, SEEK_SET), 1000);
	ck_assert_int_eq(open_body(&here, result), 0);
	check_descriptor(&here, 3, 77, FILE_SIZE - 77);
	close(first);
	result_unref(result);
	here_release(&here);
}
END_TEST

START_TEST(opens_rows)
{
	struct here here;
	struct result *result;
	struct stat status;

	here_init(&here);
	insert_row(&here, 4, ROW_SIZE);
	result = row_result(&here, 4, ROW_SIZE);
	ck_assert_int_eq(open_body(&here, result), 0);
	ck_assert_uint_eq(here.offset, 0);
	ck_assert_int_eq(fstat(here.fd, &status), 0);
	ck_assert_int_eq(status.st_size, (off_t)ROW_SIZE);
	check_descriptor(&here, 4, 0, ROW_SIZE);
	ck_assert_int_eq(fcntl(here.fd, F_GET_SEALS) &
				 (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
			 F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	result_unref(result);
	here_release(&here);
}
END_TEST

/* Cancelling: before the thread had it, and after. */

struct gate {
	struct job job;
	sem_t go;
	bool done;
};

static void gate_run(struct job *job)
{
	while (sem_wait(&container_of(job, struct gate, job)->go) < 0)
		continue;
}

static void gate_done(struct job *job)
{
	container_of(job, struct gate, job)->done = true;
}

static bool gate_passed(void *context)
{
	return ((struct gate *)context)->done;
}

static unsigned count_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Four readings between two gates, so that all of them are with the thread when they are cancelled; the
 * second gate has been passed when they have returned. `last`: nobody else holds their results. */
static void cancel_four(struct here *here, bool last)
{
	struct gate before = {.job = {.run = gate_run, .done = gate_done}};
	struct gate after = before;
	struct result *row = row_result(here, 1, ROW_SIZE), *file = file_result(here, 2, 0, FILE_SIZE);
	struct reading *readings[4];
	unsigned descriptors = count_descriptors();

	sem_init(&before.go, 0, 0);
	sem_init(&after.go, 0, 1);
	worker_submit(here->world.worker, &before.job);
	readings[0] = reader_read(here->reader, row, 0, 1000, on_read, here);
	readings[1] = reader_read(here->reader, file, 0, 1000, on_read, here);
	readings[2] = reader_open(here->reader, row, on_opened, here);
	readings[3] = reader_open(here->reader, file, on_opened, here);
	worker_submit(here->world.worker, &after.job);
	for (size_t i = 0; i < ARRAY_LEN(readings); i++)
		ck_assert_ptr_null(reading_cancel(readings[i]));
	if (last) {
		result_unref(row);
		result_unref(file);
	}
	ck_assert_uint_eq(here->gone, 0); /* what may be read yet is held */
	sem_post(&before.go);
	world_run(&here->world, gate_passed, &after);
	ck_assert_uint_eq(here->n_done, 0);
	ck_assert_uint_eq(count_descriptors(), descriptors);
	ck_assert_uint_eq(here->gone, last ? 2 : 0);
	if (!last) {
		ck_assert_uint_eq(row->refs, 1);
		ck_assert_uint_eq(file->refs, 1);
		result_unref(row);
		result_unref(file);
	}
	sem_destroy(&before.go);
	sem_destroy(&after.go);
}

START_TEST(cancelled)
{
	struct here here;
	struct result *result;

	ck_assert_ptr_null(reading_cancel(NULL));
	here_init(&here);
	insert_row(&here, 1, ROW_SIZE);
	write_file(&here, 2, FILE_SIZE);
	/* The connection opens what it needs when it is first used. */
	result = row_result(&here, 1, ROW_SIZE);
	check_piece(&here, result, 0, 0, 1);
	result_unref(result);
	here.gone = here.n_done = 0;
	cancel_four(&here, false);
	here.gone = 0;
	cancel_four(&here, true);
	here_release(&here);
}
END_TEST

/* The end of the daemon: what was asked for is answered, or was cancelled. */
START_TEST(ends_with_the_worker)
{
	struct here here;
	struct result *result;

	here_init(&here);
	insert_row(&here, 1, 10);
	result = row_result(&here, 1, 10);
	reader_read(here.reader, result, 0, 10, on_read, &here);
	reading_cancel(reader_open(here.reader, result, on_opened, &here));
	result_unref(result);
	world_stop(&here.world);
	ck_assert_uint_eq(here.n_done, 1);
	check_bytes(here.bytes->data, 1, 0, 10);
	ck_assert_uint_eq(here.gone, 1);
	here_release(&here);
}
END_TEST

/* Making one. */

START_TEST(needs_a_database)
{
	struct world world;
	struct reader *reader = NULL;
	char *message = NULL;
	const char *path = scratch_path("none.db");

	ck_assert_ptr_null(reader_free(NULL));
	world_init(&world);
	ck_assert_int_eq(reader_new(path, 0, world.worker, &reader, &message), -ENOENT);
	ck_assert_ptr_null(reader);
	ck_assert_ptr_nonnull(strstr(message, path));
	free(message);
	message = NULL;
	scratch_write("none.db", 0600, ""); /* a database without tables */
	ck_assert_int_eq(reader_new(path, 0, world.worker, &reader, &message), -EIO);
	ck_assert_ptr_null(reader);
	ck_assert_ptr_nonnull(strstr(message, "results"));
	free(message);
	world_release(&world);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {reads_rows,
				      reads_files,
				      reads_in_order,
				      missing,
				      shorter_than_its_row_says,
				      more_than_the_body,
				      no_file_of_ours,
				      no_descriptor,
				      no_memory,
				      broken_row,
				      opens_files,
				      opens_rows,
				      cancelled,
				      ends_with_the_worker,
				      needs_a_database};

	return SCRATCH_RUN("reader", tests);
}
