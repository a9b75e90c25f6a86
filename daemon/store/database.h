/*
 * The SQLite database of the store: its schema with the versions it went through, what a batch of rows does
 * to it, and reading all of it at start. Used by one thread at a time; waits for the disk. Knows no loop and
 * no tickets.
 */
#ifndef TINKEX_STORE_DATABASE_H
#define TINKEX_STORE_DATABASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/registry.h"
#include "proto/attributes.h"

#define DATABASE_FILE "tinkexd.db"

struct database;

enum row_kind {
	ROW_SAVE,          /* a registration, new or changed */
	ROW_END,           /* its end: `result` */
	ROW_DELIVERED,     /* its outcome was delivered */
	ROW_REMOVE,        /* the registration is gone */
	ROW_REMOVE_RESULT, /* nobody holds this result any more */
};

/* One thing to be done. Texts and result belong to whoever made the row; the bytes of a result are read
 * here and change nowhere. */
struct row {
	STAILQ_ENTRY(row) next;
	enum row_kind kind;
	uint64_t id;                             /* of the registration; ROW_REMOVE_RESULT: of the result */
	bool in_file;                            /* ROW_REMOVE_RESULT: there is a file to be removed, too */
	bool begins;                             /* ROW_SAVE: it has not ended (any more) */
	int64_t delivered_wall;                  /* ROW_DELIVERED */
	struct result *result;                   /* ROW_END */
	struct blob *body;                       /* ROW_END: the result's, as long as that is in memory */
	struct stored_registration registration; /* ROW_SAVE; its deadline is of this boot */
	int64_t deadline_wall;                   /* ROW_SAVE */
	char texts[];
};
STAILQ_HEAD(rows, row);

/* Opens DATABASE_FILE in a directory that is locked and ours, makes it, or brings it up to date. `path`: the
 * directory without symbolic links. 0, or negative errno with a sentence in *ret_message, freed by the
 * caller: -EUCLEAN: damaged; -EPROTO: of a newer version; -ENOSPC; others. */
_must_check_ int database_open(const char *path, int state_dir_fd, struct database **ret_database,
			       char **ret_message);
/* Closing brings what is in the write-ahead log into the database. Takes and returns NULL. */
struct database *database_close(struct database *database);
DEFINE_FREEP(struct database, database_close)

/* What is known of a body's file. */
struct database_files {
	/* Is there a file with this id and at least this many bytes? */
	bool (*there)(void *context, uint64_t id, uint64_t size);
	void *context;
};
struct database_load {
	int64_t now, wall; /* monotonic and wall clock, microseconds */
	struct database_files files;
	struct result_keeper *keeper;
	/* One registration, in the order of their ids. Texts are valid during the call. */
	void (*visit)(void *context, struct stored_registration *row);
	void *context;
};
/* Visits all registrations. One whose body is missing has not ended, and results that no registration names
 * are removed: both for good, or at the next start if there is no space to write that. *ret_last_result: the
 * highest id of a result. 0, or negative errno with a sentence. */
_must_check_ int database_load(struct database *database, const struct database_load *load,
			       uint64_t *ret_last_result, char **ret_message);

/* All rows in one transaction, on disk when it returns 0. Otherwise nothing is done: -ENOSPC, or -EIO or
 * -EUCLEAN, after which the database is not to be used any more. `message`: why, for the log. */
_must_check_ int database_commit(struct database *database, const struct rows *rows, char message[256]);

/* Bytes in the write-ahead log, about. */
uint64_t database_log_size(const struct database *database);
/* Moves what can be moved from the log to the database, without making anybody wait for it. As above. */
_must_check_ int database_checkpoint(struct database *database, char message[256]);

#endif
