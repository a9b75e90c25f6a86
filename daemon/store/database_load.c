/*
 * Reading all that is stored, at start.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "core/table.h"
#include "database_private.h"

/* Results that several registrations of a future share. */
struct loaded_result {
	struct table_node by_id;
	struct result *result; /* owned reference; NULL: its body is missing */
	uint64_t id;
};

enum column {
	C_ID,
	C_UID,
	C_ENDPOINT,
	C_REQUEST_ID,
	C_ACCEPT_PROTOBUF,
	C_REQUEST_TYPE,
	C_CREATE_ROUNDTRIP,
	C_METADATA,
	C_REGISTERED_WALL,
	C_POLL_TIMEOUT,
	C_DEADLINE_WALL,
	C_DEADLINE_IS_MAX_AGE,
	C_HTTP_TIMEOUT,
	C_BACKOFF_INITIAL,
	C_BACKOFF_MAX,
	C_ON_NETWORK_ERROR,
	C_ON_SERVER_FAILURE,
	C_LINKED,
	C_DELIVERED_WALL,
	C_DEADLINE_BOOT,
	C_DEADLINE_BOOTTIME,
	C_RESULT,
	C_ENDED_WALL,
	C_CONTENT,
	C_ERROR_TYPE,
	C_ERROR_CATEGORY,
	C_ERROR_STATUS,
	C_ERROR_MESSAGE,
	C_ERROR_DATA,
	C_IN_FILE,
	C_BODY_OFFSET,
	C_BODY_SIZE
};
static const char load_text[] =
	"SELECT g.id, g.uid, g.endpoint, g.request_id, g.accept_protobuf, g.request_type, "
	"g.create_roundtrip_ms,"
	" g.metadata, g.registered_wall, g.poll_timeout, g.deadline_wall, g.deadline_is_max_age, "
	"g.http_timeout,"
	" g.backoff_initial, g.backoff_max, g.on_network_error, g.on_server_failure, g.linked, "
	"g.delivered_wall,"
	" g.deadline_boot, g.deadline_boottime, g.result, r.ended_wall, r.content, r.error_type,"
	" r.error_category, r.error_status, r.error_message, r.error_data, r.in_file, r.body_offset, "
	"r.body_size"
	" FROM registrations AS g LEFT JOIN results AS r ON r.id = g.result ORDER BY g.id";

static const char *text_of(sqlite3_stmt *statement, int column)
{
	return (const char *)sqlite3_column_text(statement, column);
}

static int64_t number_of(sqlite3_stmt *statement, int column, int64_t none)
{
	return sqlite3_column_type(statement, column) == SQLITE_NULL
		       ? none
		       : sqlite3_column_int64(statement, column);
}

static struct error *read_error(sqlite3_stmt *statement)
{
	const char *category = text_of(statement, C_ERROR_CATEGORY);
	enum error_type type = ERROR_VALIDATION;

	if (error_type_from_name(text_of(statement, C_ERROR_TYPE), &type) < 0)
		return NULL;
	return error_new(type, category ? error_category_from_text(category) : CATEGORY_NONE,
			 (unsigned)sqlite3_column_int(statement, C_ERROR_STATUS),
			 text_of(statement, C_ERROR_MESSAGE), text_of(statement, C_ERROR_DATA));
}

/* NULL: it cannot be given, because its row or its file is not there. */
static struct result *read_result(sqlite3_stmt *statement, const struct database_load *load)
{
	uint64_t offset = (uint64_t)sqlite3_column_int64(statement, C_BODY_OFFSET);
	uint64_t size = (uint64_t)sqlite3_column_int64(statement, C_BODY_SIZE);
	uint64_t id = (uint64_t)sqlite3_column_int64(statement, C_RESULT);
	int64_t ended = sqlite3_column_int64(statement, C_ENDED_WALL);
	bool in_file = sqlite3_column_int(statement, C_IN_FILE);
	struct result *result;
	struct error *error;

	if (sqlite3_column_type(statement, C_ENDED_WALL) == SQLITE_NULL || size > INT64_MAX ||
	    offset > INT64_MAX)
		return NULL;
	if (in_file && !load->files.there(load->files.context, id, offset + size))
		return NULL;
	if (sqlite3_column_type(statement, C_CONTENT) == SQLITE_NULL) {
		error = text_of(statement, C_ERROR_TYPE) ? read_error(statement) : NULL;
		if (!error)
			return NULL;
		result = result_failed(error, ended);
	} else {
		result = result_in_file((enum content_kind)sqlite3_column_int(statement, C_CONTENT), id,
					offset, size, ended, NULL);
		result->in_file = in_file;
	}
	result->id = id;
	result->size = size;
	result->offset = offset;
	result->keeper = load->keeper;
	return result;
}

/* A new reference, or NULL. */
static struct result *find_result(sqlite3_stmt *statement, const struct database_load *load,
				  struct table *results)
{
	uint64_t id = (uint64_t)sqlite3_column_int64(statement, C_RESULT);
	struct table_node *node = table_find(results, hash_u64(id));
	struct loaded_result *loaded;

	for (; node; node = table_find_next(node)) {
		loaded = container_of(node, struct loaded_result, by_id);
		if (loaded->id == id)
			return result_ref(loaded->result);
	}
	loaded = xnew(struct loaded_result);
	loaded->id = id;
	loaded->result = read_result(statement, load);
	table_insert(results, &loaded->by_id, hash_u64(id));
	return result_ref(loaded->result);
}

static int64_t read_deadline(const struct database *database, sqlite3_stmt *statement,
			     const struct database_load *load)
{
	const char *boot = text_of(statement, C_DEADLINE_BOOT);
	int64_t wall = number_of(statement, C_DEADLINE_WALL, TIME_NEVER);

	if (wall == TIME_NEVER)
		return TIME_NEVER;
	if (boot && database->boot[0] && strcmp(boot, database->boot) == 0)
		return sqlite3_column_int64(statement, C_DEADLINE_BOOTTIME);
	return load->now + (wall - load->wall);
}

static void read_row(const struct database *database, sqlite3_stmt *statement,
		     const struct database_load *load, struct table *results)
{
	struct stored_registration row = {
		.id = (uint64_t)sqlite3_column_int64(statement, C_ID),
		.uid = (uid_t)sqlite3_column_int64(statement, C_UID),
		.endpoint = text_of(statement, C_ENDPOINT),
		.request_id = text_of(statement, C_REQUEST_ID),
		.request_type = text_of(statement, C_REQUEST_TYPE),
		.metadata = text_of(statement, C_METADATA),
		.create_roundtrip_ms = number_of(statement, C_CREATE_ROUNDTRIP, -1),
		.registered_wall = sqlite3_column_int64(statement, C_REGISTERED_WALL),
		.deadline = read_deadline(database, statement, load),
		.poll_timeout = number_of(statement, C_POLL_TIMEOUT, TIME_NEVER),
		.http_timeout = number_of(statement, C_HTTP_TIMEOUT, 0),
		.backoff_initial = number_of(statement, C_BACKOFF_INITIAL, -1),
		.backoff_max = number_of(statement, C_BACKOFF_MAX, -1),
		.delivered_wall = number_of(statement, C_DELIVERED_WALL, 0),
		.on_network_error = (uint8_t)sqlite3_column_int(statement, C_ON_NETWORK_ERROR),
		.on_server_failure = (uint8_t)sqlite3_column_int(statement, C_ON_SERVER_FAILURE),
		.accept_protobuf = sqlite3_column_int(statement, C_ACCEPT_PROTOBUF),
		.linked = sqlite3_column_int(statement, C_LINKED),
		.deadline_is_max_age = sqlite3_column_int(statement, C_DEADLINE_IS_MAX_AGE),
	};

	if (sqlite3_column_type(statement, C_RESULT) != SQLITE_NULL)
		row.result = find_result(statement, load, results);
	row.lost = sqlite3_column_type(statement, C_RESULT) != SQLITE_NULL && !row.result;
	if (row.endpoint && row.request_id)
		load->visit(load->context, &row);
	result_unref(row.result);
}

/* Of one whose body is missing: its number, for forget_missing(). */
static int note_missing(struct database *database, const struct table *results, char **ret_message)
{
	char sql[64];
	int r = 0;

	for (size_t i = 0; results->count && i <= results->mask && r >= 0; i++) {
		for (struct table_node *node = results->buckets[i]; node && r >= 0; node = node->next) {
			const struct loaded_result *loaded = container_of(node, struct loaded_result, by_id);

			if (loaded->result)
				continue;
			snprintf(sql, sizeof(sql), "INSERT INTO temp.missing VALUES(%lld)",
				 (long long)loaded->id);
			r = database_run(database, sql, ret_message);
		}
	}
	return r;
}

/* Those that are missing are forgotten in the database, too: all at once, for there may be as many as files
 * were in the spool. */
static int forget_missing(struct database *database, const struct table *results, char **ret_message)
{
	int r;

	if ((r = database_run(database, "CREATE TEMP TABLE missing(id INTEGER PRIMARY KEY)", ret_message)) <
		    0 ||
	    (r = note_missing(database, results, ret_message)) < 0)
		return r;
	return database_run(database,
			    "UPDATE registrations SET result = NULL, delivered_wall = NULL"
			    " WHERE result IN (SELECT id FROM temp.missing);"
			    "DELETE FROM results WHERE id IN (SELECT id FROM temp.missing);"
			    "DROP TABLE temp.missing",
			    ret_message);
}

static void release_results(struct table *results)
{
	for (size_t i = 0; results->count && i <= results->mask; i++) {
		struct table_node *node = results->buckets[i], *next;

		for (; node; node = next) {
			struct loaded_result *loaded = container_of(node, struct loaded_result, by_id);

			next = node->next;
			result_unref(loaded->result);
			free(loaded);
		}
	}
	table_release(results);
}

static int read_all(struct database *database, const struct database_load *load, struct table *results,
		    char **ret_message)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(database->sqlite, load_text, -1, &statement, NULL);

	if (code == SQLITE_OK) {
		while ((code = sqlite3_step(statement)) == SQLITE_ROW)
			read_row(database, statement, load, results);
	}
	if (code != SQLITE_DONE) {
		int r = database_refuse(database, code, ret_message);

		sqlite3_finalize(statement);
		return r;
	}
	sqlite3_finalize(statement);
	return 0;
}

static int clean(struct database *database, const struct table *results, char **ret_message)
{
	int r = forget_missing(database, results, ret_message);

	if (r < 0)
		return r;
	return database_run(database,
			    "DELETE FROM results WHERE id NOT IN"
			    " (SELECT result FROM registrations WHERE result IS NOT NULL);"
			    "COMMIT",
			    ret_message);
}

static int load_all(struct database *database, const struct database_load *load, struct table *results,
		    uint64_t *ret_last_result, char **ret_message)
{
	int64_t last = 0;
	int r;

	if ((r = database_run(database, "BEGIN IMMEDIATE", ret_message)) < 0 ||
	    (r = read_all(database, load, results, ret_message)) < 0 ||
	    (r = database_ask(database, "SELECT coalesce(max(id), 0) FROM results", &last, ret_message)) < 0)
		return r;
	*ret_last_result = (uint64_t)last;
	r = clean(database, results, ret_message);
	if (r != -ENOSPC)
		return r;
	/* That can wait: what is of no use is of no use at the next start either. */
	free(*ret_message);
	*ret_message = NULL;
	return sqlite3_get_autocommit(database->sqlite) ? 0 : database_run(database, "ROLLBACK", ret_message);
}

int database_load(struct database *database, const struct database_load *load, uint64_t *ret_last_result,
		  char **ret_message)
{
	struct table results;
	int r;

	table_init(&results);
	r = load_all(database, load, &results, ret_last_result, ret_message);
	release_results(&results);
	return r;
}
