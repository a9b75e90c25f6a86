/*
 * Bodies on their way to one peer, as they look on the wire: as they are, or in base64 with quotes; from
 * memory, or from the disk in pieces, of which only a few are in memory at a time. Knows no line and no
 * socket.
 */
#ifndef TINKEX_IPC_PULL_H
#define TINKEX_IPC_PULL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "core/result.h"
#include "proto/attributes.h"
#include "proto/buffer.h"
#include "sys/loop.h"

struct pull;
struct pull_piece;
struct reader;

/* Most that is read at once: a multiple of 3, so that each piece is encoded for itself. */
#define PULL_PIECE        ((size_t)252 * 1024)
/* What is read ahead for one peer, over all its bodies. */
#define PULL_AHEAD_BYTES  ((size_t)512 * 1024)
#define PULL_AHEAD_PIECES 16

/* Both are called from the loop. */
struct puller_operations {
	/* A piece has come. */
	void (*arrived)(void *context);
	/* The body cannot be read: negative errno. What was begun with it cannot be ended. */
	void (*lost)(void *context, struct result *result, int error);
};

/* What the bodies of one peer have in common. */
struct puller {
	struct reader *reader; /* NULL: all bodies are in memory */
	struct loop *loop;
	const struct puller_operations *operations;
	void *context;
	size_t bytes, n_pieces;         /* of pieces: in memory, or being read */
	size_t held;                    /* bytes of whole bodies that are held in memory */
	TAILQ_HEAD(, pull_piece) again; /* there was no memory for them, or no descriptor */
	struct event *retry;            /* owned; made when it is needed first */
	bool retrying;
	unsigned delay_ms;
};

/* All is borrowed and outlives the puller. */
void puller_init(struct puller *puller, struct reader *reader, struct loop *loop,
		 const struct puller_operations *operations, void *context);
/* After the last of its pulls. */
void puller_release(struct puller *puller);

/* Takes over both references. `memory`: the whole body; NULL: it is read. Nothing is read yet. Never NULL. */
struct pull *pull_new(struct puller *puller, struct result *result, struct blob *memory, bool base64);
/* Gives up what is being read. Takes and returns NULL. */
struct pull *pull_free(struct pull *pull);

/* Has the next piece read, if there is one and the limits allow it; the limits of the puller as a whole do
 * not hold for a pull that is `first` and has nothing. True: ask again for the next one. */
bool pull_ask(struct pull *pull, bool first);
/* All that has to be read is in memory, was, or is being read. */
bool pull_is_asked(const struct pull *pull);
/* Nothing of it can be written until something has come. */
bool pull_is_waiting(const struct pull *pull);
/* What is left on the wire, bytes. */
uint64_t pull_left(const struct pull *pull);
/* What can be written now: at most two ranges, valid until the pull is advanced and as long as `scratch`,
 * which is for all pulls of one write and empty before (it may have an error afterwards). How many;
 * *ret_whole: they are all that is left of it. */
int pull_ranges(const struct pull *pull, struct buffer *scratch, struct iovec *ret_ranges, bool *ret_whole);
/* So many bytes were written. */
void pull_advance(struct pull *pull, size_t size);

#endif
