#include "disk.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../sys/scratch.h"
#include "core/alloc.h"
#include "store/reader.h"
#include "store/spool.h"
#include "sys/worker.h"

struct disk {
	struct worker *worker;
	struct reader *reader;
	sqlite3 *database;
	int spool_fd;
	uint64_t last_id;
};

static void on_lost(void *context, struct result *result, int error)
{
	struct stage *stage = context;

	stage->n_lost++;
	stage->lost_id = result->id;
	stage->lost_error = error;
}

struct stage *stage_new_with_disk(void)
{
	struct stage *stage = stage_new();
	struct disk *disk = stage->disk = xnew(struct disk);
	char *message = NULL;

	scratch_setup();
	ck_assert_int_eq(mkdir(scratch_path("spool"), 0700), 0);
	disk->spool_fd = open(scratch_path("spool"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(disk->spool_fd, 0);
	ck_assert_int_eq(sqlite3_open(scratch_path("state.db"), &disk->database), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(disk->database,
				      "PRAGMA journal_mode = WAL;"
				      "CREATE TABLE results (id INTEGER PRIMARY KEY, body BLOB)",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	ck_assert_int_eq(worker_new(stage->loop, "files", &disk->worker), 0);
	ck_assert_int_eq(
		reader_new(scratch_path("state.db"), disk->spool_fd, disk->worker, &disk->reader, &message),
		0);
	stage->commands.reader = disk->reader;
	stage->commands.body_lost = on_lost;
	stage->commands.context = stage;
	return stage;
}

void disk_free(struct disk *disk)
{
	if (!disk)
		return;
	worker_free(disk->worker);
	reader_free(disk->reader);
	sqlite3_close(disk->database);
	close(disk->spool_fd);
	free(disk);
	scratch_teardown();
}

struct reader *disk_reader(const struct disk *disk)
{
	return disk->reader;
}

char *body_bytes(unsigned seed, size_t size)
{
	char *bytes = xzalloc(size + 1);
	uint32_t random = seed * 2654435761U + 1;

	for (size_t i = 0; i < size; i++) {
		random = random * 1664525U + 1013904223U;
		bytes[i] = (char)(random >> 24);
	}
	return bytes;
}

char *body_json(unsigned seed, size_t size)
{
	char *text = body_bytes(seed, size);

	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + (unsigned char)text[i] % 26);
	text[0] = text[size - 1] = '"';
	return text;
}

static int create(struct disk *disk, uint64_t id)
{
	char name[SPOOL_NAME_SIZE];
	int fd;

	spool_name(id, name);
	fd = openat(disk->spool_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	return fd;
}

struct result *disk_file(struct stage *stage, enum content_kind content, uint64_t offset, const char *data,
			 size_t size)
{
	uint64_t id = ++stage->disk->last_id;
	char *before = body_json(99, offset + 2);
	int fd = create(stage->disk, id);

	ck_assert_int_eq(write(fd, before, offset), (ssize_t)offset);
	ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
	close(fd);
	free(before);
	return result_in_file(content, id, offset, size, 1, NULL);
}

struct result *disk_sparse_file(struct stage *stage, uint64_t size)
{
	uint64_t id = ++stage->disk->last_id;
	int fd = create(stage->disk, id);

	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
	return result_in_file(CONTENT_JSON, id, 0, size, 1, NULL);
}

static void insert(struct disk *disk, uint64_t id, const char *data, size_t size)
{
	sqlite3_stmt *statement;

	ck_assert_int_eq(
		sqlite3_prepare_v2(disk->database, "INSERT INTO results VALUES (?, ?)", -1, &statement, NULL),
		SQLITE_OK);
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)id);
	sqlite3_bind_blob64(statement, 2, data, size, SQLITE_STATIC);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_DONE);
	sqlite3_finalize(statement);
}

void disk_chill(struct stage *stage, struct result *result)
{
	result->id = ++stage->disk->last_id;
	insert(stage->disk, result->id, result->body->data, result->body->size);
	result_chill(result);
	ck_assert(result_is_cold(result));
}

struct result *disk_row(struct stage *stage, enum content_kind content, const char *data, size_t size)
{
	struct result *result = result_ok(content, blob_copy(data, size), 1);

	disk_chill(stage, result);
	return result;
}

void disk_lose(struct stage *stage, const struct result *result)
{
	char name[SPOOL_NAME_SIZE], *sql;

	if (result->in_file) {
		spool_name(result->id, name);
		ck_assert_int_eq(unlinkat(stage->disk->spool_fd, name, 0), 0);
		return;
	}
	ck_assert_int_gt(
		asprintf(&sql, "DELETE FROM results WHERE id = %llu", (unsigned long long)result->id), 0);
	ck_assert_int_eq(sqlite3_exec(stage->disk->database, sql, NULL, NULL, NULL), SQLITE_OK);
	free(sql);
}

void stage_complete_result(struct client *client, const char *request_id, struct result *result)
{
	client_register(client, request_id);
	stage_end(client->stage, request_id, result);
}

struct mark {
	struct job job;
	bool done;
};

static void on_run(struct job *job)
{
	(void)job;
}

static void on_done(struct job *job)
{
	container_of(job, struct mark, job)->done = true;
}

void disk_wait(struct stage *stage)
{
	struct mark mark = {.job = {.run = on_run, .done = on_done}};

	worker_submit(stage->disk->worker, &mark.job);
	while (!mark.done)
		stage_turn(stage);
}
