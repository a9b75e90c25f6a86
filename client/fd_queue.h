/* Descriptors that came with the stream, in the order in which they came, until an outcome claims them. */
#ifndef TINKEX_CLIENT_FD_QUEUE_H
#define TINKEX_CLIENT_FD_QUEUE_H

#include <stddef.h>

#include "proto/attributes.h"

struct fd_queue {
	int *fds; /* owned, and so are the descriptors in [first, first + count) */
	size_t first, count, capacity;
};

/* Appends `fd`, which belongs to the queue from now on. -ENOMEM: it was closed. */
int fd_queue_push(struct fd_queue *queue, int fd) _must_check_;
/* Hands the oldest descriptor to the caller; -1: there is none. */
int fd_queue_take(struct fd_queue *queue);
/* Closes what is left and gives the memory back; the queue is empty and usable. */
void fd_queue_release(struct fd_queue *queue);

#endif
