#include "database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "database_private.h"
#include "schema.h"
#include "sys/complain.h"

#define VERSION    ((int)ARRAY_LEN(schema_steps))
#define CHECK_SIZE (64 * 1024 * 1024) /* bytes up to which the whole database is checked at start */

static const char *const statement_texts[STATEMENTS] = {
	[SAVE] = "INSERT INTO registrations(id, uid, endpoint, request_id, accept_protobuf, request_type,"
		 " create_roundtrip_ms, metadata, registered_wall, poll_timeout, deadline_wall,"
		 " deadline_is_max_age, http_timeout, backoff_initial, backoff_max, on_network_error,"
		 " on_server_failure, linked, delivered_wall, deadline_boot, deadline_boottime)"
		 " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, "
		 "?19,"
		 " ?20, ?21)"
		 " ON CONFLICT(id) DO UPDATE SET accept_protobuf = ?5, request_type = ?6,"
		 " create_roundtrip_ms = ?7, metadata = ?8, registered_wall = ?9, poll_timeout = ?10,"
		 " deadline_wall = ?11, deadline_is_max_age = ?12, http_timeout = ?13, backoff_initial = ?14,"
		 " backoff_max = ?15, on_network_error = ?16, on_server_failure = ?17, linked = ?18,"
		 " delivered_wall = ?19, deadline_boot = ?20, deadline_boottime = ?21,"
		 " result = CASE WHEN ?22 THEN NULL ELSE result END",
	[SAVE_RESULT] = "INSERT OR IGNORE INTO results(id, ended_wall, content, error_type, error_category,"
			" error_status, error_message, error_data, in_file, body_offset, body_size, body)"
			" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	[END] = "UPDATE registrations SET result = ?2 WHERE id = ?1",
	[DELIVERED] = "UPDATE registrations SET delivered_wall = ?2 WHERE id = ?1",
	[REMOVE] = "DELETE FROM registrations WHERE id = ?1",
	[REMOVE_RESULT] = "DELETE FROM results WHERE id = ?1",
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
};

/* What SQLite says, as an errno. */
static int error_of(sqlite3 *sqlite, int code)
{
	int system = sqlite3_system_errno(sqlite);

	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		/* A sync that failed may have thrown away what it could not write: whatever it lacked, that
		 * is no state that passes. */
		if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
			return -EIO;
		/* The index of the log, and a quota, have no code of their own. */
		return system == ENOSPC || system == EDQUOT ? -ENOSPC : -EIO;
	default:
		return -EIO;
	}
}

static int explain(struct database *database, int code, char message[256])
{
	int error = error_of(database->sqlite, code);

	snprintf(message, 256, "%s: %s", database->file, sqlite3_errmsg(database->sqlite));
	return error ? error : -EIO;
}

/* Opening. */

int database_refuse(struct database *database, int code, char **ret_message)
{
	int error = error_of(database->sqlite, code);
	const char *what = sqlite3_errmsg(database->sqlite);

	if (error == -EUCLEAN)
		return complain(
			ret_message, error,
			"the database %s is damaged (%s). Nothing was changed. Restore a copy; or save "
			"what can be read with: sqlite3 %s .recover; or move it away and start anew, "
			"which forgets all registrations",
			database->file, what, database->file);
	if (error == -ENOSPC)
		return complain(ret_message, error, "there is no space left for the database %s: %s",
				database->file, what);
	return complain(ret_message, error ? error : -EIO, "cannot use the database %s: %s", database->file,
			what);
}

int database_run(struct database *database, const char *sql, char **ret_message)
{
	int code = sqlite3_exec(database->sqlite, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : database_refuse(database, code, ret_message);
}

int database_ask(struct database *database, const char *sql, int64_t *ret_value, char **ret_message)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(database->sqlite, sql, -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_ROW ? 0 : database_refuse(database, code, ret_message);
}

/* A file of ours, or none; never a symbolic link, through which somebody else's could be written. */
static int check_file(int state_dir_fd, const char *path, const char *name, char **ret_message)
{
	struct stat stat;

	if (fstatat(state_dir_fd, name, &stat, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
				       : complain(ret_message, -errno, "cannot look at %s/%s: %s", path, name,
						  strerrordesc_np(errno));
	if (!S_ISREG(stat.st_mode))
		return complain(ret_message, -EPERM,
				"%s/%s is no regular file (a symbolic link is not followed); remove it", path,
				name);
	if (stat.st_uid != geteuid())
		return complain(ret_message, -EPERM,
				"%s/%s belongs to uid %u, not to the daemon's uid %u; chown or remove it",
				path, name, stat.st_uid, geteuid());
	if (stat.st_mode & 077 && fchmodat(state_dir_fd, name, 0600, 0) < 0)
		return complain(ret_message, -errno, "cannot make %s/%s private: %s", path, name,
				strerrordesc_np(errno));
	return 0;
}

/* Commits that a kill kept from the disk are still in the log, as long as the machine runs. From now on they
 * are as good as others, and people are told of them: so they have to last. */
static int sync_log(int state_dir_fd, const char *path, char **ret_message)
{
	int r, fd = openat(state_dir_fd, DATABASE_FILE "-wal", O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0
				       : complain(ret_message, -errno, "cannot open %s/%s: %s", path,
						  DATABASE_FILE "-wal", strerrordesc_np(errno));
	r = fdatasync(fd) < 0 ? -errno : 0;
	close(fd);
	return r == 0 ? 0
		      : complain(ret_message, r, "cannot sync %s/%s: %s", path, DATABASE_FILE "-wal",
				 strerrordesc_np(-r));
}

/* SQLite gives its other files the mode of this one. */
static int make_file(int state_dir_fd, const char *path, char **ret_message)
{
	static const char *const names[] = {DATABASE_FILE, DATABASE_FILE "-wal", DATABASE_FILE "-shm"};
	int fd, r;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		r = check_file(state_dir_fd, path, names[i], ret_message);
		if (r < 0)
			return r;
	}
	if ((r = sync_log(state_dir_fd, path, ret_message)) < 0)
		return r;
	fd = openat(state_dir_fd, DATABASE_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return complain(ret_message, -errno, "cannot open the database %s/%s: %s", path,
				DATABASE_FILE, strerrordesc_np(errno));
	close(fd);
	if (fsync(state_dir_fd) < 0)
		return complain(ret_message, -errno, "cannot sync the state directory %s: %s", path,
				strerrordesc_np(errno));
	return 0;
}

static int on_log(void *context, sqlite3 *sqlite, const char *name, int pages)
{
	struct database *database = context;

	(void)sqlite;
	(void)name;
	database->log_size = (uint64_t)pages * database->page_size;
	return SQLITE_OK;
}

static int open_sqlite(struct database *database, char **ret_message)
{
	int code = sqlite3_open_v2(database->file, &database->sqlite,
				   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);

	if (code != SQLITE_OK)
		return database_refuse(database, code, ret_message);
	sqlite3_extended_result_codes(database->sqlite, 1);
	/* The reader never holds a lock for long; and nobody else has a business here. */
	sqlite3_busy_timeout(database->sqlite, 5000);
	/* One that is refused is left as it is. */
	sqlite3_db_config(database->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return database_run(database, "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF",
			    ret_message);
}

/* It is ours and sound: from here on it is written to. */
static int take_over(struct database *database, char **ret_message)
{
	int64_t page_size = 0;
	int r;

	sqlite3_db_config(database->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	if ((r = database_run(database, "PRAGMA journal_mode = WAL", ret_message)) < 0 ||
	    (r = database_run(database, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0",
			      ret_message)) < 0 ||
	    (r = database_ask(database, "PRAGMA page_size", &page_size, ret_message)) < 0)
		return r;
	database->page_size = (uint32_t)page_size;
	sqlite3_wal_hook(database->sqlite, on_log, database);
	return 0;
}

/* Whatever is not right with the structure, before anything relies on it. Small databases are looked through
 * as a whole; of large ones the table that is about to be read. */
static int check_structure(struct database *database, char **ret_message)
{
	int64_t pages = 0, page_size = 0;
	sqlite3_stmt *statement = NULL;
	const char *text;
	int code, r;

	if ((r = database_ask(database, "PRAGMA page_count", &pages, ret_message)) < 0 ||
	    (r = database_ask(database, "PRAGMA page_size", &page_size, ret_message)) < 0)
		return r;
	code = sqlite3_prepare_v2(database->sqlite,
				  pages * page_size <= CHECK_SIZE ? "PRAGMA quick_check(1)"
								  : "PRAGMA quick_check('registrations')",
				  -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
	if (text && strcmp(text, "ok") == 0)
		r = 0;
	else if (text)
		r = complain(
			ret_message, -EUCLEAN,
			"the database %s is damaged (%s). Nothing was changed. Restore a copy; or save what "
			"can be read with: sqlite3 %s .recover; or move it away and start anew, which "
			"forgets all registrations",
			database->file, text, database->file);
	else
		r = database_refuse(database, code, ret_message);
	sqlite3_finalize(statement);
	return r;
}

/* The steps that it lacks, all in one transaction: a crash in between leaves the old version. */
static int migrate(struct database *database, int version, char **ret_message)
{
	char pragma[96];
	int r = database_run(database, "BEGIN EXCLUSIVE", ret_message);

	for (int i = version; i < VERSION && r >= 0; i++)
		r = database_run(database, schema_steps[i], ret_message);
	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d; PRAGMA application_id = %d", VERSION,
		 SCHEMA_APPLICATION_ID);
	if (r >= 0)
		r = database_run(database, pragma, ret_message);
	if (r >= 0)
		r = database_run(database, "COMMIT", ret_message);
	return r;
}

static int settle_version(struct database *database, char **ret_message)
{
	int64_t version, id, tables;
	int r;

	if ((r = database_ask(database, "PRAGMA user_version", &version, ret_message)) < 0 ||
	    (r = database_ask(database, "PRAGMA application_id", &id, ret_message)) < 0 ||
	    (r = database_ask(database, "SELECT count(*) FROM sqlite_schema", &tables, ret_message)) < 0)
		return r;
	if ((tables && id != SCHEMA_APPLICATION_ID) || version < 0)
		return complain(ret_message, -EPROTO,
				"%s is a database, but none of tinkexd's; move it away, or choose another "
				"directory with --state-dir",
				database->file);
	if (version > VERSION)
		return complain(
			ret_message, -EPROTO,
			"the database %s was written by a newer tinkexd (its version is %lld, this one "
			"knows up to %d); start that one, or choose another directory with --state-dir",
			database->file, (long long)version, VERSION);
	if ((r = check_structure(database, ret_message)) < 0 || (r = take_over(database, ret_message)) < 0)
		return r;
	return version == VERSION ? 0 : migrate(database, (int)version, ret_message);
}

static int prepare(struct database *database, char **ret_message)
{
	for (size_t i = 0; i < STATEMENTS; i++) {
		int code = sqlite3_prepare_v3(database->sqlite, statement_texts[i], -1,
					      SQLITE_PREPARE_PERSISTENT, &database->statements[i], NULL);

		if (code != SQLITE_OK)
			return database_refuse(database, code, ret_message);
	}
	return 0;
}

static void read_boot(struct database *database)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, database->boot, sizeof(database->boot) - 1);

	if (fd >= 0)
		close(fd);
	database->boot[n > 0 ? n : 0] = '\0';
	database->boot[strcspn(database->boot, "\n")] = '\0';
}

int database_open(const char *path, int state_dir_fd, struct database **ret_database, char **ret_message)
{
	_cleanup_(database_closep) struct database *database = xnew(struct database);
	int r;

	if (asprintf(&database->file, "%s/%s", path, DATABASE_FILE) < 0)
		return -ENOMEM;
	read_boot(database);
	if ((r = make_file(state_dir_fd, path, ret_message)) < 0 ||
	    (r = open_sqlite(database, ret_message)) < 0 || (r = settle_version(database, ret_message)) < 0 ||
	    (r = prepare(database, ret_message)) < 0)
		return r;
	*ret_database = steal_pointer(database);
	return 0;
}

struct database *database_close(struct database *database)
{
	if (!database)
		return NULL;
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(database->statements[i]);
	sqlite3_close(database->sqlite);
	free(database->file);
	free(database);
	return NULL;
}

/* Writing. */

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
	if (code == SQLITE_DONE)
		return 0;
	error = explain(database, code, message);
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
		return explain(database, code, message);
	/* When all of it was moved the next commit begins at the log's start. */
	if (in_log >= 0 && in_log == moved)
		database->log_size = 0;
	return 0;
}
