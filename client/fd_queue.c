/* Descriptors waiting for their outcome. Knows nothing of sockets. */
#include "fd_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room for one more: first by moving to the front, then by growing. */
static int fd_queue_make_room(struct fd_queue *queue)
{
	size_t capacity;
	int *fds;

	if (queue->first + queue->count < queue->capacity)
		return 0;
	if (queue->first > 0) {
		memmove(queue->fds, queue->fds + queue->first, queue->count * sizeof(*queue->fds));
		queue->first = 0;
		return 0;
	}
	capacity = queue->capacity ? 2 * queue->capacity : 16;
	fds = realloc(queue->fds, capacity * sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	queue->fds = fds;
	queue->capacity = capacity;
	return 0;
}

int fd_queue_push(struct fd_queue *queue, int fd)
{
	int r = fd_queue_make_room(queue);

	if (r < 0) {
		close(fd);
		return r;
	}
	queue->fds[queue->first + queue->count++] = fd;
	return 0;
}

int fd_queue_take(struct fd_queue *queue)
{
	if (queue->count == 0)
		return -1;
	queue->count--;
	return queue->fds[queue->first++];
}

void fd_queue_release(struct fd_queue *queue)
{
	int fd;

	while ((fd = fd_queue_take(queue)) >= 0)
		close(fd);
	free(queue->fds);
	*queue = (struct fd_queue){0};
}
