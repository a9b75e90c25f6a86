/* What the files of database share. Nobody else includes this. */
#ifndef TINKEX_STORE_DATABASE_PRIVATE_H
#define TINKEX_STORE_DATABASE_PRIVATE_H

#include <sqlite3.h>
#include <sys/stat.h>

#include "database.h"

enum statement {
	SAVE,
	SAVE_RESULT,
	END,
	DELIVERED,
	REMOVE,
	REMOVE_RESULT,
	BEGIN,
	COMMIT,
	ROLLBACK,
	STATEMENTS
};

struct database {
	sqlite3 *sqlite;
	sqlite3_stmt *statements[STATEMENTS];
	char *file;         /* its path, for people */
	int state_dir_fd;   /* where it lies */
	struct stat inode;  /* which file it is */
	uint64_t log_size;  /* bytes in the write-ahead log after the last commit */
	uint32_t page_size; /* bytes */
	char boot[40];      /* of this boot; "": not known */
};

/* Which file was written to when something went wrong. */
enum database_target { TO_LOG, TO_DATABASE };
/* What SQLite answered, as a negative errno; 0: nothing is wrong. */
int database_error(sqlite3 *sqlite, int code, enum database_target target);
/* A sentence about what SQLite answered, and its errno. */
int database_refuse(struct database *database, int code, char **ret_message);
/* Statements that give nothing back. 0, or negative errno with a sentence. */
int database_run(struct database *database, const char *sql, char **ret_message);
/* The first column of the first row, as a number. As above. */
int database_ask(struct database *database, const char *sql, int64_t *ret_value, char **ret_message);

#endif
