/*
 * Writing: what a batch of rows does, and moving the log into the database.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "database_private.h"

static int explain(struct database *database, int code, enum database_target target, char message[256])
{
	int error = database_error(database->sqlite, code, target);

	snprintf(message, 256, "%s: %s", database->file, sqlite3_errmsg(database->sqlite));
	return error ? error : -EIO;
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	if (text)
		sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(statement, index);
}

/* `none`: the value that stands for NULL. */
static void bind_number(sqlite3_stmt *statement, int index, int64_t value, int64_t none)
{
	if (value == none)
		sqlite3_bind_null(statement, index);
	else
		sqlite3_bind_int64(statement, index, value);
}

/* Runs a statement that gives no rows; SQLITE_DONE when it is done. */
static int step(sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	/* The bindings point to memory that is about to go. */
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return code;
}

static int save(struct database *database, const struct row *row)
{
	const struct stored_registration *registration = &row->registration;
	sqlite3_stmt *statement = database->statements[SAVE];
	bool deadline = registration->deadline != TIME_NEVER;

	sqlite3_bind_int64(statement, 1, (int64_t)registration->id);
	sqlite3_bind_int64(statement, 2, registration->uid);
	bind_text(statement, 3, registration->endpoint);
	bind_text(statement, 4, registration->request_id);
	sqlite3_bind_int(statement, 5, registration->accept_protobuf);
	bind_text(statement, 6, registration->request_type);
	bind_number(statement, 7, registration->create_roundtrip_ms, -1);
	bind_text(statement, 8, registration->metadata);
	sqlite3_bind_int64(statement, 9, registration->registered_wall);
	bind_number(statement, 10, registration->poll_timeout, TIME_NEVER);
	if (deadline)
		sqlite3_bind_int64(statement, 11, row->deadline_wall);
	sqlite3_bind_int(statement, 12, registration->deadline_is_max_age);
	bind_number(statement, 13, registration->http_timeout, 0);
	bind_number(statement, 14, registration->backoff_initial, -1);
	bind_number(statement, 15, registration->backoff_max, -1);
	sqlite3_bind_int(statement, 16, registration->on_network_error);
	sqlite3_bind_int(statement, 17, registration->on_server_failure);
	sqlite3_bind_int(statement, 18, registration->linked);
	bind_number(statement, 19, registration->delivered_wall, 0);
	bind_text(statement, 20, deadline && database->boot[0] ? database->boot : NULL);
	if (deadline)
		sqlite3_bind_int64(statement, 21, registration->deadline);
	sqlite3_bind_int(statement, 22, row->begins);
	return step(statement);
}

static int save_result(struct database *database, const struct result *result, const struct blob *body)
{
	sqlite3_stmt *statement = database->statements[SAVE_RESULT];
	const struct error *error = result->error;

	sqlite3_bind_int64(statement, 1, (int64_t)result->id);
	sqlite3_bind_int64(statement, 2, result->ended_wall);
	if (error) {
		bind_text(statement, 4, error_type_name(error->type));
		bind_text(statement, 5, error_category_name(error->category));
		bind_number(statement, 6, error->status, 0);
		bind_text(statement, 7, error->message);
		bind_text(statement, 8, error->data);
	} else {
		sqlite3_bind_int(statement, 3, result->content);
	}
	sqlite3_bind_int(statement, 9, result->in_file);
	sqlite3_bind_int64(statement, 10, (int64_t)result->offset);
	sqlite3_bind_int64(statement, 11, (int64_t)result->size);
	if (body)
		sqlite3_bind_blob64(statement, 12, body->data, body->size, SQLITE_STATIC);
	return step(statement);
}

static int with_ids(sqlite3_stmt *statement, uint64_t id, const int64_t *value)
{
	sqlite3_bind_int64(statement, 1, (int64_t)id);
	if (value)
		sqlite3_bind_int64(statement, 2, *value);
	return step(statement);
}

static int apply(struct database *database, const struct row *row)
{
	int64_t result;
	int code;

	switch (row->kind) {
	case ROW_SAVE:
		return save(database, row);
	case ROW_END:
		code = save_result(database, row->result, row->body);
		if (code != SQLITE_DONE)
			return code;
		result = (int64_t)row->result->id;
		return with_ids(database->statements[END], row->id, &result);
	case ROW_DELIVERED:
		return with_ids(database->statements[DELIVERED], row->id, &row->delivered_wall);
	case ROW_REMOVE:
		return with_ids(database->statements[REMOVE], row->id, NULL);
	case ROW_REMOVE_RESULT:
		return with_ids(database->statements[REMOVE_RESULT], row->id, NULL);
	}
	return SQLITE_MISUSE;
}

/* What is written to a file that has lost its name is gone with the process, although every write succeeds.
 */
static bool is_in_place(const struct database *database)
{
	struct stat now;

	return fstatat(database->state_dir_fd, DATABASE_FILE "-wal", &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(database->state_dir_fd, DATABASE_FILE, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	       now.st_dev == database->inode.st_dev && now.st_ino == database->inode.st_ino;
}

int database_commit(struct database *database, const struct rows *rows, char message[256])
{
	const struct row *row;
	int error, code = step(database->statements[BEGIN]);

	STAILQ_FOREACH (row, rows, next) {
		if (code != SQLITE_DONE)
			break;
		code = apply(database, row);
	}
	if (code == SQLITE_DONE)
		code = step(database->statements[COMMIT]);
	if (code == SQLITE_DONE) {
		if (is_in_place(database))
			return 0;
		snprintf(message, 256, "%s was removed or replaced while it was in use", database->file);
		return -EIO;
	}
	error = explain(database, code, TO_LOG, message);
	/* Some errors have rolled back already. */
	if (!sqlite3_get_autocommit(database->sqlite))
		step(database->statements[ROLLBACK]);
	return error;
}

uint64_t database_log_size(const struct database *database)
{
	return database->log_size;
}

int database_checkpoint(struct database *database, char message[256])
{
	int in_log = -1, moved = -1;
	int code = sqlite3_wal_checkpoint_v2(database->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log,
					     &moved);

	if (code != SQLITE_OK && code != SQLITE_BUSY)
		return explain(database, code, TO_DATABASE, message);
	/* When all of it was moved the next commit begins at the log's start. */
	if (in_log >= 0 && in_log == moved)
		database->log_size = 0;
	return 0;
}
