/*
 * Bodies too large for a row: a file each, in the folder "spool" of the state directory, named by its id in
 * sixteen hexadecimal digits. They are written as they arrive, on the file thread, behind a bounded queue.
 * Knows no registration: which files are of use is the store's to say.
 *
 * A full disk is a state: what could not be written waits and is tried again until it fits. Any other error
 * means that the disk cannot be trusted, and is told once by `broken`.
 */
#ifndef TINKEX_STORE_SPOOL_H
#define TINKEX_STORE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/attributes.h"
#include "sys/loop.h"
#include "sys/worker.h"

struct spool;
struct spool_file;

#define SPOOL_THRESHOLD      ((size_t)64 * 1024)        /* bodies up to this size are rows */
#define SPOOL_QUEUE_MAX      ((size_t)16 * 1024 * 1024) /* bytes waiting to be written, over all files */
/* ... and for each of them, as long as the disk takes what it is given. */
#define SPOOL_FILE_QUEUE_MAX ((size_t)2 * 1024 * 1024)
#define SPOOL_NAME_SIZE      17 /* of a file's name, with its NUL */

struct spool_operations {
	/* As much waits as may (told from inside spool_append()): take nothing more in; or half of it
	 * is free again. This and all others: never from inside a call of this interface. */
	void (*congested)(void *context, bool congested);
	/* The disk has no space for what waits; or all of that has been written. */
	void (*full)(void *context, bool full);
	/* A file can neither be written nor synced: negative errno. Nothing more will be finished. */
	void (*broken)(void *context, int error);
};

/* Opens the folder (made with 0700 if it is missing; a symbolic link is refused). 0, or negative errno with a
 * sentence in *ret_message, freed by the caller. `worker` is the file thread. */
_must_check_ int spool_new(int state_dir_fd, struct loop *loop, struct worker *worker,
			   const struct spool_operations *operations, void *context, struct spool **ret_spool,
			   char **ret_message);
/* After the worker has ended: no file is being written any more. */
struct spool *spool_free(struct spool *spool);
/* The folder's descriptor; it stays the spool's. */
int spool_fd(const struct spool *spool);
void spool_name(uint64_t id, char ret_name[SPOOL_NAME_SIZE]);
/* Calls `visit` for every file that lies in the folder, with its size in bytes; id 0: its name is not one of
 * ours. Reads the disk: at start only. 0 or negative errno. */
_must_check_ int spool_each(struct spool *spool,
			    void (*visit)(void *context, uint64_t id, const char *name, uint64_t size),
			    void *context);

/* A new, empty file, made by the file thread. The id has never been used. Never NULL. */
struct spool_file *spool_create(struct spool *spool, uint64_t id);
/* Copies the bytes and has them written. 0 or -ENOMEM, and then the file is of no more use. */
_must_check_ int spool_append(struct spool_file *file, const char *data, size_t size);
/* No more bytes: calls `done` when all of them and the file's name are on the disk, never from inside this
 * call; the spool_file is gone then, the file stays. */
void spool_finish(struct spool_file *file, void (*done)(void *context), void *context);
/* The file is of no use and goes; also while it is being finished, and then `done` is not called. Takes and
 * returns NULL. */
struct spool_file *spool_discard(struct spool_file *file);
/* Removes a finished file. */
void spool_remove(struct spool *spool, uint64_t id);
/* While suspended nothing is written (removals go on): space that appears is for somebody else. */
void spool_suspend(struct spool *spool, bool suspended);
/* So much waits that nothing more should be taken in. */
bool spool_congested(const struct spool *spool);

#endif
