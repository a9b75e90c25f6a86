/*
 * One connection to the daemon: bytes and descriptors in, lines out of them, bytes out. Knows no message, no
 * call and never waits.
 */
#ifndef TINKEX_CLIENT_CONNECTION_H
#define TINKEX_CLIENT_CONNECTION_H

#include <stdbool.h>

#include "fd_queue.h"
#include "proto/buffer.h"
#include "proto/framer.h"

struct connection {
	int fd; /* -1: none */
	struct framer in;
	struct buffer out;
	size_t sent; /* bytes of `out` that the kernel has taken */
	struct fd_queue fds;
};

/* Makes `connection` an unconnected one; allocates nothing. */
void connection_init(struct connection *connection);
/* Connects to the socket at `path`. 0; -EAGAIN: somebody listens, but too many are waiting to be accepted;
 * another negative errno. The connection must be closed. */
int connection_open(struct connection *connection, const char *path) _must_check_;
/* Closes it; what was not read or written is gone. */
void connection_close(struct connection *connection);
static inline bool connection_is_open(const struct connection *connection)
{
	return connection->fd >= 0;
}

/* Reads once. > 0: bytes came; 0: nothing now. -EPIPE: the daemon closed it; -EMFILE: a descriptor was
 * lost, because this process has too many open; another negative errno. */
int connection_read(struct connection *connection) _must_check_;
/* The next complete line; false: read first. Valid until the next connection_read(). */
bool connection_next(struct connection *connection, const char **ret_line, size_t *ret_size);
/* Where to append lines that are to be sent; connection_flush() sends them. */
struct buffer *connection_out(struct connection *connection);
/* Sends what the kernel takes. 0; -EPIPE: the daemon closed it; another negative errno. */
int connection_flush(struct connection *connection) _must_check_;
/* Something is left to be sent when the socket becomes writable. */
bool connection_wants_write(const struct connection *connection);

#endif
