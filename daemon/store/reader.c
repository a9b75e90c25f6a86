#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "spool.h"
#include "sys/complain.h"

#define SELECT_BODY "SELECT body FROM results WHERE id = ?"
#define BUSY_MSEC   2000 /* readers wait for nobody, but while the log is reset or recovered */
#define READ_ONLY_DB                                                                                         \
	(SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

struct reader {
	int spool_fd;
	struct worker *worker;
	sqlite3 *database; /* this and its statement: the file thread's, from the first job on */
	sqlite3_stmt *select;
};

/* The worker's from its submission to its done(), but for what is marked as the loop's. */
struct reading {
	struct job job;
	struct reader *reader;
	struct result *result; /* a reference of the loop's; the thread reads what never changes in it */
	uint64_t from;
	size_t size;
	char *data; /* what was read; owned */
	int fd;     /* what was opened; owned */
	uint64_t offset;
	int error;
	/* The loop's. */
	bool cancelled;
	reading_done *done;
	reading_opened *opened;
	void *context;
};

/* On the file thread: the pieces. */

/* Of the system's reasons only these are of use to somebody. */
static int reason(int error)
{
	switch (error) {
	case ENOENT:
		return -ENOENT;
	case EMFILE:
	case ENFILE:
		return -EMFILE;
	case ENOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int database_reason(sqlite3 *database)
{
	switch (sqlite3_errcode(database)) {
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN:
		return reason(sqlite3_system_errno(database));
	default:
		return -EIO;
	}
}

/* `size` bytes from `from` are there, of `whole`. */
static bool lies_within(uint64_t from, uint64_t size, uint64_t whole)
{
	return from <= whole && size <= whole - from;
}

/* Opens the file and makes sure that the whole body is in it. */
static int open_body(const struct reading *reading, int *ret_fd)
{
	const struct result *result = reading->result;
	char name[SPOOL_NAME_SIZE];
	struct stat status;
	int fd, r = 0;

	spool_name(result->id, name);
	do {
		fd = openat(reading->reader->spool_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return reason(errno);
	if (fstat(fd, &status) < 0)
		r = reason(errno);
	else if (!S_ISREG(status.st_mode))
		r = -EIO;
	else if (!lies_within(result->offset, result->size, (uint64_t)status.st_size))
		r = -ENOENT;
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int read_fully(int fd, char *data, size_t size, uint64_t offset)
{
	while (size) {
		ssize_t n = pread(fd, data, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return reason(errno);
		if (n == 0)
			return -ENOENT;
		data += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

static int write_fully(int fd, const char *data, size_t size)
{
	uint64_t offset = 0;

	while (size) {
		ssize_t n = pwrite(fd, data, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) /* memory is what it is made of */
			return errno == ENOSPC ? -ENOMEM : reason(errno);
		data += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

/* Finds the body in its row, all of it, and hands `size` bytes from `from` to `take`. */
static int with_row(struct reading *reading, uint64_t from, uint64_t size,
		    int (*take)(struct reading *reading, const char *bytes, size_t size))
{
	struct reader *reader = reading->reader;
	const char *body;
	int r;

	sqlite3_bind_int64(reader->select, 1, (sqlite3_int64)reading->result->id);
	r = sqlite3_step(reader->select);
	if (r == SQLITE_ROW) {
		body = sqlite3_column_blob(reader->select, 0);
		if (!body && sqlite3_errcode(reader->database) == SQLITE_NOMEM)
			r = -ENOMEM;
		else if ((uint64_t)sqlite3_column_bytes(reader->select, 0) < reading->result->size)
			r = -ENOENT;
		else
			r = take(reading, size ? body + from : NULL, (size_t)size);
	} else {
		r = r == SQLITE_DONE ? -ENOENT : database_reason(reader->database);
	}
	sqlite3_reset(reader->select);
	return r;
}

static int allocate(struct reading *reading, size_t size)
{
	if (!size)
		return 0; /* NULL is as good */
	reading->data = malloc(size);
	return reading->data ? 0 : -ENOMEM;
}

static int copy_bytes(struct reading *reading, const char *bytes, size_t size)
{
	int r = allocate(reading, size);

	if (r >= 0 && size)
		memcpy(reading->data, bytes, size);
	return r;
}

static int read_from_file(struct reading *reading)
{
	int fd = -1, r;

	r = open_body(reading, &fd);
	if (r < 0)
		return r;
	r = allocate(reading, reading->size);
	if (r >= 0)
		r = read_fully(fd, reading->data, reading->size, reading->result->offset + reading->from);
	close(fd);
	return r;
}

/* Old kernels do not know the flag that new ones want. */
static int new_memory_file(void)
{
	int fd = memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static int copy_to_memory_file(struct reading *reading, const char *bytes, size_t size)
{
	int fd = new_memory_file(), r;

	if (fd < 0)
		return reason(errno);
	r = write_fully(fd, bytes, size);
	if (r >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		r = reason(errno);
	if (r < 0) {
		close(fd);
		return r;
	}
	reading->fd = fd;
	return 0;
}

/* The jobs. */

static void run_read(struct job *job)
{
	struct reading *reading = container_of(job, struct reading, job);

	if (!lies_within(reading->from, reading->size, reading->result->size))
		reading->error = -ENOENT;
	else if (reading->result->in_file)
		reading->error = read_from_file(reading);
	else
		reading->error = with_row(reading, reading->from, reading->size, copy_bytes);
}

static void run_open(struct job *job)
{
	struct reading *reading = container_of(job, struct reading, job);

	if (reading->result->in_file) {
		reading->offset = reading->result->offset;
		reading->error = open_body(reading, &reading->fd);
	} else {
		reading->error = with_row(reading, 0, reading->result->size, copy_to_memory_file);
	}
}

/* On the loop. */

/* What the callback did not get goes; the result last: what it keeps from being removed is still open here.
 */
static void reading_free(struct reading *reading)
{
	free(reading->data);
	if (reading->fd >= 0)
		close(reading->fd);
	result_unref(reading->result);
	free(reading);
}

static void on_read(struct job *job)
{
	struct reading *reading = container_of(job, struct reading, job);

	if (!reading->cancelled && reading->error < 0)
		reading->done(reading->context, NULL, reading->error);
	else if (!reading->cancelled)
		reading->done(reading->context, blob_take(steal_pointer(reading->data), reading->size), 0);
	reading_free(reading);
}

static void on_opened(struct job *job)
{
	struct reading *reading = container_of(job, struct reading, job);
	int fd = reading->fd;

	if (!reading->cancelled) {
		reading->fd = -1;
		reading->opened(reading->context, fd, reading->offset, reading->error);
	}
	reading_free(reading);
}

static struct reading *reading_new(struct reader *reader, struct result *result, void *context)
{
	struct reading *reading = xnew(struct reading);

	reading->reader = reader;
	reading->result = result_ref(result);
	reading->fd = -1;
	reading->context = context;
	return reading;
}

struct reading *reader_read(struct reader *reader, struct result *result, uint64_t from, size_t size,
			    reading_done *done, void *context)
{
	struct reading *reading = reading_new(reader, result, context);

	reading->job = (struct job){.run = run_read, .done = on_read};
	reading->from = from;
	reading->size = size;
	reading->done = done;
	worker_submit(reader->worker, &reading->job);
	return reading;
}

struct reading *reader_open(struct reader *reader, struct result *result, reading_opened *done, void *context)
{
	struct reading *reading = reading_new(reader, result, context);

	reading->job = (struct job){.run = run_open, .done = on_opened};
	reading->opened = done;
	worker_submit(reader->worker, &reading->job);
	return reading;
}

struct reading *reading_cancel(struct reading *reading)
{
	if (reading)
		reading->cancelled = true;
	return NULL;
}

DEFINE_FREEP(struct reader, reader_free)

int reader_new(const char *database, int spool_fd, struct worker *worker, struct reader **ret_reader,
	       char **ret_message)
{
	_cleanup_(reader_freep) struct reader *reader = xnew(struct reader);
	int r;

	reader->spool_fd = spool_fd;
	reader->worker = worker;
	r = sqlite3_open_v2(database, &reader->database, READ_ONLY_DB, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_busy_timeout(reader->database, BUSY_MSEC);
	if (r == SQLITE_OK)
		r = sqlite3_prepare_v3(reader->database, SELECT_BODY, -1, SQLITE_PREPARE_PERSISTENT,
				       &reader->select, NULL);
	if (r == SQLITE_NOMEM)
		return complain(ret_message, -ENOMEM, "no memory to open %s for reading", database);
	if (r != SQLITE_OK)
		return complain(ret_message, database_reason(reader->database),
				"cannot open %s for reading: %s", database, sqlite3_errmsg(reader->database));
	*ret_reader = steal_pointer(reader);
	return 0;
}

struct reader *reader_free(struct reader *reader)
{
	if (!reader)
		return NULL;
	sqlite3_finalize(reader->select);
	sqlite3_close(reader->database);
	free(reader);
	return NULL;
}
