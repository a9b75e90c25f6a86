/* The socket. Non-blocking, close-on-exec, without SIGPIPE. */
#include "connection.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The kernel passes at most this many descriptors with one message (SCM_MAX_FD). */
#define FDS_PER_MESSAGE 253

void connection_init(struct connection *connection)
{
	*connection = (struct connection){.fd = -1};
	/* The daemon is trusted: its replies are as long as the results in them. */
	framer_init(&connection->in, SIZE_MAX);
	buffer_init(&connection->out, SIZE_MAX);
}

int connection_open(struct connection *connection, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	do
		r = connect(fd, (struct sockaddr *)&address, sizeof(address));
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	connection->fd = fd;
	return 0;
}

void connection_close(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	framer_release(&connection->in);
	buffer_release(&connection->out);
	fd_queue_release(&connection->fds);
	connection_init(connection);
}

/* Takes over all descriptors of a message, and goes on to the last even after a failure: each is ours to
 * close. */
static int connection_take_fds(struct connection *connection, struct msghdr *message)
{
	int r = message->msg_flags & MSG_CTRUNC ? -EMFILE : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd, pushed;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			pushed = fd_queue_push(&connection->fds, fd);
			if (r == 0)
				r = pushed;
		}
	}
	return r;
}

int connection_read(struct connection *connection)
{
	union {
		char bytes[CMSG_SPACE(FDS_PER_MESSAGE * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec space;
	struct msghdr message = {.msg_iov = &space, .msg_iovlen = 1};
	ssize_t n;
	int r;

	message.msg_control = control.bytes;
	message.msg_controllen = sizeof(control.bytes);
	space.iov_base = framer_space(&connection->in, &space.iov_len);
	if (!space.iov_base)
		return -ENOMEM;
	do
		n = recvmsg(connection->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
	r = connection_take_fds(connection, &message);
	if (n == 0)
		return -EPIPE;
	framer_commit(&connection->in, (size_t)n);
	return r < 0 ? r : 1;
}

bool connection_next(struct connection *connection, const char **ret_line, size_t *ret_size)
{
	char *line;

	for (;;) {
		switch (framer_next(&connection->in, &line, ret_size)) {
		case FRAMER_LINE:
			*ret_line = line;
			return true;
		case FRAMER_MORE:
			return false;
		case FRAMER_TOO_LONG: /* cannot be: there is no limit */
			break;
		}
	}
}

struct buffer *connection_out(struct connection *connection)
{
	return &connection->out;
}

int connection_flush(struct connection *connection)
{
	struct buffer *out = &connection->out;

	while (connection->sent < out->size) {
		ssize_t n = send(connection->fd, out->data + connection->sent, out->size - connection->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		connection->sent += (size_t)n;
	}
	connection->sent = 0;
	if (out->capacity > 256 * 1024)
		buffer_release(out);
	else
		buffer_clear(out);
	return 0;
}

bool connection_wants_write(const struct connection *connection)
{
	return connection->fd >= 0 && connection->sent < connection->out.size;
}
