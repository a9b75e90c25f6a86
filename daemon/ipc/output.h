/*
 * What is queued for one peer: text that is owned, bodies that are referenced, and receipts between them.
 * Written gathered, as much as the socket takes. Knows no JSON and no peer.
 */
#ifndef TINKEX_IPC_OUTPUT_H
#define TINKEX_IPC_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "line.h"
#include "proto/attributes.h"

struct segment;

struct output {
	TAILQ_HEAD(segments, segment) segments;
	size_t text; /* bytes of text not yet written: what limits count; bodies are others' memory */
};

enum output_progress {
	OUTPUT_DRAINED, /* nothing is left */
	OUTPUT_MORE,    /* the socket took all that was offered; there is more */
	OUTPUT_BLOCKED, /* the socket is full */
};

void output_init(struct output *output);
/* Lets go of everything; receipts are told that they were not sent. */
void output_release(struct output *output);
bool output_empty(const struct output *output);
/* Queues a whole line and takes over all it holds; `line` is empty afterwards. -ENOMEM: the queue may end in
 * the middle of the line, and the connection is of no more use. */
_must_check_ int output_put(struct output *output, struct line *line);
/* One write. 0 with what is to be done next, or the negative errno of the socket. */
_must_check_ int output_write(struct output *output, int fd, enum output_progress *ret_progress);

#endif
