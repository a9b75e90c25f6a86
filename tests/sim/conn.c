/* Connections of the simulator; see conn.h. */
#include "conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "server.h"

enum {
	FIRST_CAPACITY = 2048,
	KEEP_CAPACITY = 64 * 1024,      /* a larger buffer is given back once it is empty */
	AHEAD_MAX = 64 * 1024,          /* what a client may send while its request is being answered */
	DISCARD_MAX = 64 * 1024 * 1024, /* after a refusal */
};

static void on_readable(int fd, short what, void *arg);
static void on_writable(int fd, short what, void *arg);

struct conn *conn_new(struct server *server, int fd, uint64_t number)
{
	struct conn *conn = calloc(1, sizeof *conn);

	if (!conn) {
		close(fd);
		return NULL;
	}
	conn->server = server;
	conn->fd = fd;
	conn->number = number;
	conn->out = evbuffer_new();
	conn->read = event_new(server->base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	conn->write = event_new(server->base, fd, EV_WRITE, on_writable, conn);
	if (!conn->out || !conn->read || !conn->write ||
	    event_priority_set(conn->read, SERVER_PRIORITY_READ) < 0 ||
	    event_priority_set(conn->write, SERVER_PRIORITY_WORK) < 0 || event_add(conn->read, NULL) < 0) {
		conn_free(conn);
		return NULL;
	}
	return conn;
}

void conn_free(struct conn *conn)
{
	if (!conn)
		return;
	if (conn->read)
		event_free(conn->read);
	if (conn->write)
		event_free(conn->write);
	if (conn->out)
		evbuffer_free(conn->out);
	if (conn->fd >= 0)
		close(conn->fd);
	free(conn->in);
	free(conn);
}

void conn_close(struct conn *conn, enum conn_end how)
{
	if (conn->fd < 0)
		return;
	event_del(conn->read);
	event_del(conn->write);
	if (how == CONN_RESET) {
		struct linger now = {.l_onoff = 1, .l_linger = 0};

		(void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	}
	close(conn->fd);
	conn->fd = -1;
	server_conn_closed(conn->server, conn);
}

/* The client went away, or the socket broke. */
static void conn_gone(struct conn *conn)
{
	const struct server_handler *handler = conn->server->handler;

	if (conn->fd < 0)
		return;
	if (conn->exchange)
		handler->gone(conn, conn->server->handler_arg);
	conn_close(conn, CONN_FIN);
}

int conn_flush(struct conn *conn)
{
	while (evbuffer_get_length(conn->out) > 0) {
		int n = evbuffer_write(conn->out, conn->fd);

		if (n > 0)
			continue;
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN || errno == EWOULDBLOCK) {
			event_add(conn->write, NULL);
			return 0;
		}
		conn_gone(conn);
		return -EPIPE;
	}
	return 1;
}

void conn_call_when_writable(struct conn *conn)
{
	event_add(conn->write, NULL);
}

void conn_finish_and_discard(struct conn *conn)
{
	conn->discarding = true;
	conn->in_size = conn->in_wanted = 0;
	if (conn_flush(conn) == 1)
		(void)shutdown(conn->fd, SHUT_WR);
}

static void on_writable(int fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	(void)what;
	if (conn->discarding)
		conn_finish_and_discard(conn);
	else if (conn->exchange)
		conn->server->handler->drained(conn, conn->server->handler_arg);
}

static bool make_room(struct conn *conn)
{
	size_t wanted = conn->in_size + FIRST_CAPACITY / 2;
	size_t capacity = conn->in_capacity ? conn->in_capacity : FIRST_CAPACITY;
	char *grown;

	if (conn->in_wanted > wanted)
		wanted = conn->in_wanted;
	while (capacity < wanted)
		capacity *= 2;
	if (capacity == conn->in_capacity)
		return true;
	grown = realloc(conn->in, capacity);
	if (!grown)
		return false;
	conn->in = grown;
	conn->in_capacity = capacity;
	return true;
}

static void mark_ready(struct conn *conn)
{
	if (!conn->ready)
		server_conn_ready(conn->server, conn);
}

/* The client sent its end. A request that came whole before it is still handled, in its turn. */
static void note_eof(struct conn *conn)
{
	conn->eof = true;
	event_del(conn->read);
	if (!conn->exchange && conn->ready)
		return;
	conn_gone(conn);
}

static void on_readable(int fd, short what, void *arg)
{
	struct conn *conn = arg;
	ssize_t n;

	(void)what;
	if (!make_room(conn)) {
		conn_gone(conn);
		return;
	}
	n = recv(fd, conn->in + conn->in_size, conn->in_capacity - conn->in_size, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		note_eof(conn);
		return;
	}
	conn->read_us = clock_us();
	conn->in_size += (size_t)n;
	if (conn->discarding) {
		conn->discarded += (size_t)n;
		conn->in_size = 0;
		if (conn->discarded > DISCARD_MAX)
			conn_gone(conn);
	} else if (!conn->exchange && conn->in_size >= conn->in_wanted) {
		mark_ready(conn);
	} else if (conn->exchange && conn->in_size > AHEAD_MAX) {
		event_del(conn->read);
		conn->paused = true;
	}
}

static void consume(struct conn *conn, size_t size)
{
	conn->in_size -= size;
	conn->in_wanted = 0;
	memmove(conn->in, conn->in + size, conn->in_size);
	if (conn->in_size == 0 && conn->in_capacity > KEEP_CAPACITY) {
		free(conn->in);
		conn->in = NULL;
		conn->in_capacity = 0;
	}
}

void conn_next(struct conn *conn)
{
	conn->exchange = NULL;
	if (conn->fd < 0 || conn->handling)
		return;
	if (conn->paused) {
		conn->paused = false;
		event_add(conn->read, NULL);
	}
	if (conn->in_size > 0 || conn->eof)
		mark_ready(conn);
}

static void refuse(struct conn *conn, int error)
{
	int status = http_error_status(error);

	evbuffer_add_printf(conn->out, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			    status, http_reason(status));
	server_conn_refused(conn->server);
	conn_finish_and_discard(conn);
}

/* 1: a request was handled. 0: none is here yet. Negative: what came is no request. */
static int handle_one(struct conn *conn)
{
	struct http_request request;
	size_t head, whole;
	int error;

	if (conn->in_size == 0 || conn->in_size < conn->in_wanted)
		return 0;
	error = http_parse_head(conn->in, conn->in_size, &request, &head);
	if (error == -EAGAIN)
		return 0;
	if (error < 0)
		return error;
	if (request.content_length > conn->server->body_max)
		return -EFBIG;
	whole = head + request.content_length;
	if (conn->in_size < whole) {
		conn->in_wanted = whole;
		return 0;
	}
	request.body = (struct http_text){conn->in + head, request.content_length};
	conn->requests++;
	conn->handling = true;
	conn->server->handler->request(conn, &request, conn->server->handler_arg);
	conn->handling = false;
	consume(conn, whole);
	if (!conn->exchange)
		conn_next(conn);
	return 1;
}

void conn_handle_ready(struct conn *conn)
{
	int handled = 0;

	if (conn->fd < 0)
		return;
	if (!conn->exchange && !conn->discarding)
		handled = handle_one(conn);
	if (handled < 0) {
		refuse(conn, handled);
		return;
	}
	if (conn->fd < 0)
		return;
	if (conn->eof && (conn->exchange || handled == 0))
		conn_gone(conn);
}
