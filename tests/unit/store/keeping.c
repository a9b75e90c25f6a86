#include "keeping.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sys/scratch.h"
#include "core/alloc.h"

static void on_settled(void *context, uint64_t ticket, int error)
{
	struct keeping *keeping = context;

	ck_assert_uint_ge(ticket, keeping->settled);
	keeping->settled = ticket;
	keeping->error = error;
	keeping->n_settled++;
	keeping->n_errors += error != 0;
}

static void on_full(void *context, bool full)
{
	struct keeping *keeping = context;

	ck_assert(full != keeping->full);
	keeping->full = full;
	keeping->n_full++;
}

static void on_congested(void *context, bool congested)
{
	(void)context;
	(void)congested;
}

static void on_broken(void *context, int error)
{
	((struct keeping *)context)->broken = error;
}

static const struct store_operations operations = {
	.settled = on_settled,
	.full = on_full,
	.congested = on_congested,
	.broken = on_broken,
};

static const char *copy(char **at, const char *text)
{
	*at = text ? xstrdup(text) : NULL;
	return *at;
}

static void on_row(void *context, struct stored_registration *row)
{
	struct keeping *keeping = context;
	struct loaded *loaded = &keeping->rows[keeping->n_rows++];

	ck_assert_uint_le(keeping->n_rows, ROWS_MAX);
	loaded->row = *row;
	loaded->row.result = steal_pointer(row->result);
	loaded->row.endpoint = copy(&loaded->texts[0], row->endpoint);
	loaded->row.request_id = copy(&loaded->texts[1], row->request_id);
	loaded->row.request_type = copy(&loaded->texts[2], row->request_type);
	loaded->row.metadata = copy(&loaded->texts[3], row->metadata);
}

static void open_it(struct keeping *keeping, int64_t later)
{
	char *message = NULL;
	int r = store_open(scratch_folder(), keeping->world.state_fd, keeping->world.loop, &keeping->metrics,
			   &operations, keeping, &keeping->store, &message);

	ck_assert_msg(r == 0, "%d: %s", r, message ? message : "");
	keeping->settled = 0;
	keeping->full = false;
	r = store_load(keeping->store, loop_now(keeping->world.loop), loop_wall(keeping->world.loop) + later,
		       on_row, keeping, &message);
	ck_assert_msg(r == 0, "%d: %s", r, message ? message : "");
}

void keeping_init(struct keeping *keeping)
{
	*keeping = (struct keeping){0};
	world_init(&keeping->world);
	open_it(keeping, 0);
}

void keeping_forget(struct keeping *keeping)
{
	for (size_t i = 0; i < keeping->n_rows; i++) {
		struct loaded *loaded = &keeping->rows[i];

		loaded->row.result = result_unref(loaded->row.result);
		for (size_t k = 0; k < ARRAY_LEN(loaded->texts); k++)
			free(loaded->texts[k]);
	}
	keeping->n_rows = 0;
}

void keeping_stop(struct keeping *keeping)
{
	store_stop(keeping->store);
	keeping_forget(keeping);
	keeping->store = store_close(keeping->store);
}

void keeping_release(struct keeping *keeping)
{
	keeping_stop(keeping);
	world_release(&keeping->world);
}

void keeping_restart(struct keeping *keeping, const char *sql, int64_t later)
{
	keeping_stop(keeping);
	if (sql)
		run_sql(sql);
	open_it(keeping, later);
}

struct awaited {
	struct keeping *keeping;
	uint64_t ticket;
};

static bool is_settled(void *context)
{
	const struct awaited *awaited = context;

	return awaited->keeping->settled >= awaited->ticket;
}

void keeping_commit(struct keeping *keeping, uint64_t ticket)
{
	struct awaited awaited = {keeping, ticket};

	store_commit(keeping->store);
	world_run(&keeping->world, is_settled, &awaited);
}

void keeping_run(struct keeping *keeping, bool (*until)(void *context))
{
	world_run(&keeping->world, until, keeping);
}

struct registration *registration_make(uint64_t id, uid_t uid, const char *request_id)
{
	struct registration *registration = xnew(struct registration);
	struct future *future = xzalloc(sizeof(*future) + strlen(request_id) + 1);

	memcpy(future->request_id, request_id, strlen(request_id) + 1);
	future->endpoint = endpoint_new("default", PROFILE_DURABLE);
	future->create_roundtrip_ms = -1;
	registration->id = id;
	registration->future = future;
	registration->owner = xnew(struct owner);
	registration->owner->uid = uid;
	registration->registered_wall = 1790000000000000 + (int64_t)id;
	registration->deadline = TIME_NEVER;
	registration->poll_timeout = TIME_NEVER;
	registration->backoff_initial = registration->backoff_max = -1;
	return registration;
}

void registration_drop(struct registration *registration)
{
	result_unref(registration->result);
	endpoint_free(registration->future->endpoint);
	free(registration->future->request_type);
	free(registration->future);
	free(registration->owner);
	free(registration->metadata);
	free(registration);
}

void keeping_save(struct keeping *keeping, struct registration *registration)
{
	uint64_t ticket = store_save(keeping->store, registration);

	if (registration->result)
		ck_assert_uint_eq(store_save_end(keeping->store, registration), ticket);
	keeping_commit(keeping, ticket);
	ck_assert_int_eq(keeping->error, 0);
}

static sqlite3 *open_database(void)
{
	sqlite3 *database;

	ck_assert_int_eq(sqlite3_open(scratch_path("tinkexd.db"), &database), SQLITE_OK);
	sqlite3_busy_timeout(database, 10000);
	return database;
}

int64_t ask(const char *sql)
{
	sqlite3 *database = open_database();
	sqlite3_stmt *statement = NULL;
	int64_t value = -1;

	ck_assert_msg(sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK, "%s: %s", sql,
		      sqlite3_errmsg(database));
	if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL)
		value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(database);
	return value;
}

void run_sql(const char *sql)
{
	sqlite3 *database = open_database();
	char *message = NULL;

	ck_assert_msg(sqlite3_exec(database, sql, NULL, NULL, &message) == SQLITE_OK, "%s: %s", sql, message);
	sqlite3_close(database);
}

static const char *spool_path(uint64_t id)
{
	char name[SPOOL_NAME_SIZE], path[64];

	spool_name(id, name);
	snprintf(path, sizeof(path), "spool/%s", name);
	return scratch_path(path);
}

void make_spool_file(uint64_t id, size_t size)
{
	char *bytes = world_bytes(id, 0, size);
	int fd = open(spool_path(id), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	close(fd);
	free(bytes);
}

bool spool_has(uint64_t id)
{
	return access(spool_path(id), F_OK) == 0;
}
