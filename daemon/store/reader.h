/*
 * Reads bodies back that are no longer in memory, from their row or their file, on the file thread. A reading
 * holds a reference to its result, so that what is being read is not removed.
 */
#ifndef TINKEX_STORE_READER_H
#define TINKEX_STORE_READER_H

#include <stddef.h>
#include <stdint.h>

#include "core/blob.h"
#include "core/result.h"
#include "proto/attributes.h"
#include "sys/worker.h"

struct reader;
struct reading;

/* `database`: the SQLite file's path. Both descriptors and the worker stay the caller's. 0, or negative errno
 * with a sentence in *ret_message, freed by the caller. */
_must_check_ int reader_new(const char *database, int spool_fd, struct worker *worker,
			    struct reader **ret_reader, char **ret_message);
/* After the worker has ended. Takes and returns NULL. */
struct reader *reader_free(struct reader *reader);

/* The bytes asked for, all of them, as a reference that is the callee's; or NULL with the reason: -ENOENT
 * (the body is not there, or shorter than its row says), -EIO, -ENOMEM, -EMFILE. */
typedef void reading_done(void *context, struct blob *bytes, int error);
/* Reads `size` bytes from `from` of the body. Never calls from inside this call. Never NULL; the handle is
 * valid until the callback. */
struct reading *reader_read(struct reader *reader, struct result *result, uint64_t from, size_t size,
			    reading_done *done, void *context);

/* A read-only descriptor in which the body stands from `offset`; it is the callee's. Or -1 with the reason.
 */
typedef void reading_opened(void *context, int fd, uint64_t offset, int error);
/* Opens the body's file anew; a body in a row is copied into a sealed memory file. As above. */
struct reading *reader_open(struct reader *reader, struct result *result, reading_opened *done,
			    void *context);

/* Nothing is called any more. Takes and returns NULL. */
struct reading *reading_cancel(struct reading *reading);

#endif
