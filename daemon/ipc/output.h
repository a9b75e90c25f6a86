/*
 * What is queued for one peer: text that is owned, bodies that are referenced or come from the disk, the
 * descriptors that go with a line, and receipts between them. Written gathered, as much as the socket takes.
 * Knows no JSON and no peer.
 */
#ifndef TINKEX_IPC_OUTPUT_H
#define TINKEX_IPC_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "line.h"
#include "proto/attributes.h"
#include "pull.h"

struct segment;

struct output {
	TAILQ_HEAD(segments, segment) segments;
	size_t text;      /* bytes of text not yet written */
	uint64_t written; /* bytes that the kernel took so far */
	struct puller puller;
	struct segment *unread; /* what is before it has been asked for; NULL: all has */
};

enum output_progress {
	OUTPUT_DRAINED, /* nothing is left */
	OUTPUT_MORE,    /* the socket took all that was offered; there is more */
	OUTPUT_BLOCKED, /* the socket is full */
	OUTPUT_READING, /* what is next has to come from the disk; `arrived` is called when it has */
};

/* `reader` may be NULL while all bodies are in memory; the others then too. All of them are borrowed.
 * Whatever `operations` are called for, it is from the loop or from output_write(). */
void output_init(struct output *output, struct reader *reader, struct loop *loop,
		 const struct puller_operations *operations, void *context);
/* Lets go of everything: receipts are told that they were not sent, descriptors are closed, nothing more is
 * read. */
void output_release(struct output *output);
bool output_empty(const struct output *output);
/* Queues a whole line and takes over all it holds; `line` is empty afterwards. -ENOMEM: the queue may end in
 * the middle of the line, and the connection is of no more use. */
_must_check_ int output_put(struct output *output, struct line *line);
/* What it keeps in memory, about, bytes: text, what was read ahead, and bodies that others may have too, but
 * perhaps no longer do. */
size_t output_memory(const struct output *output);
/* One write, and reading ahead. 0 with what is to be done next, or the negative errno of the socket. A line's
 * descriptors go with its first bytes; if the kernel refuses them, its bodies go inline. */
_must_check_ int output_write(struct output *output, int fd, enum output_progress *ret_progress);

#endif
