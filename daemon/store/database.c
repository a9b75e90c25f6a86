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
	[END] = "UPDATE registrations SET result = ?2, delivered_wall = NULL WHERE id = ?1",
	[DELIVERED] = "UPDATE registrations SET delivered_wall = ?2 WHERE id = ?1",
	[REMOVE] = "DELETE FROM registrations WHERE id = ?1",
	[REMOVE_RESULT] = "DELETE FROM results WHERE id = ?1",
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
};

/* Why the last call on it failed; 0: none has. (sqlite3_system_errno() is what errno happens to be some calls
 * later.) */
static int last_error(sqlite3 *sqlite, enum database_target target)
{
	sqlite3_file *file = NULL;
	int error = 0;

	sqlite3_file_control(sqlite, "main",
			     target == TO_LOG ? SQLITE_FCNTL_JOURNAL_POINTER : SQLITE_FCNTL_FILE_POINTER,
			     &file);
	if (file && file->pMethods)
		file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
	return error;
}

int database_error(sqlite3 *sqlite, int code, enum database_target target)
{
	int error;

	switch (code) {
	case SQLITE_IOERR_WRITE: /* SQLITE_FULL is ENOSPC alone */
		error = last_error(sqlite, target);
		return error == ENOSPC || error == EDQUOT ? -ENOSPC : -EIO;
	case SQLITE_IOERR_SHMSIZE: /* the index of the log could not grow */
		return -ENOSPC;
	default:
		break;
	}
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
	default:
		/* Also a sync that failed for want of space: it may have thrown away what it could not write,
		 * and that is no state that passes. */
		return -EIO;
	}
}

/* Opening. */

/* SQLite says the same of a disk that does not give the bytes and of bytes that are wrong. */
static int refuse_damaged(struct database *database, const char *what, char **ret_message)
{
	int error = last_error(database->sqlite, TO_DATABASE);

	if (!error)
		error = last_error(database->sqlite, TO_LOG);
	if (error)
		return complain(ret_message, -EIO,
				"cannot read the database %s: %s (%s). Nothing was changed. Look at the "
				"disk; if it is failing, save a copy of the directory first",
				database->file, strerrordesc_np(error), what);
	return complain(ret_message, -EUCLEAN,
			"the database %s is damaged (%s). Nothing was changed. Restore a copy; or save what "
			"can be read with: sqlite3 %s .recover; or move it away and start anew, which "
			"forgets all registrations",
			database->file, what, database->file);
}

int database_refuse(struct database *database, int code, char **ret_message)
{
	int error = database_error(database->sqlite, code, TO_LOG);
	const char *what = sqlite3_errmsg(database->sqlite);

	if (error == -EUCLEAN)
		return refuse_damaged(database, what, ret_message);
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
		r = refuse_damaged(database, text, ret_message);
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
