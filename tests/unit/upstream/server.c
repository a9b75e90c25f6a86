#include "server.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/alloc.h"

static void connection_gone(struct connection *connection)
{
	struct server *server = connection->server;

	if (connection->fd < 0)
		return;
	event_free(connection->readable);
	event_free(connection->writable);
	close(connection->fd);
	connection->fd = -1;
	server->open--;
	if (connection->waiting)
		server->waiting--;
	connection->waiting = false;
}

static void flush(struct connection *connection)
{
	while (connection->fd >= 0 && connection->out_sent < connection->out_size) {
		ssize_t n = send(connection->fd, connection->out + connection->out_sent,
				 connection->out_size - connection->out_sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			event_add(connection->writable, NULL);
			return;
		}
		if (n < 0) {
			connection_gone(connection);
			return;
		}
		connection->out_sent += (size_t)n;
	}
	connection->out_size = connection->out_sent = 0;
	if (connection->close_after)
		connection_gone(connection);
}

static void on_writable(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	flush(context);
}

static size_t content_length(const char *head)
{
	for (const char *line = strchr(head, '\n'); line; line = strchr(line + 1, '\n')) {
		if (strncasecmp(line + 1, "Content-Length:", strlen("Content-Length:")) == 0)
			return strtoul(line + 1 + strlen("Content-Length:"), NULL, 10);
	}
	return 0;
}

/* true: there was a whole request. */
static bool take_request(struct connection *connection)
{
	struct server *server = connection->server;
	char *end = connection->in_size ? memmem(connection->in, connection->in_size, "\r\n\r\n", 4) : NULL;
	size_t head_size, body_size;
	char *head, *body;

	if (!end)
		return false;
	head_size = (size_t)(end + 4 - connection->in);
	head = xstrndup(connection->in, head_size);
	body_size = content_length(head);
	if (connection->in_size < head_size + body_size) {
		free(head);
		return false;
	}
	body = xstrndup(connection->in + head_size, body_size);
	connection->in_size -= head_size + body_size;
	memmove(connection->in, end + 4 + body_size, connection->in_size);
	connection->requests++;
	server->requests++;
	connection->waiting = true;
	if (++server->waiting > server->most_waiting)
		server->most_waiting = server->waiting;
	server->handler(server->context, &(struct request_seen){connection, server->requests, head, body});
	free(head);
	free(body);
	return true;
}

static void on_readable(evutil_socket_t fd, short events, void *context)
{
	struct connection *connection = context;
	ssize_t n;

	(void)events;
	if (connection->in_capacity - connection->in_size < 4096) {
		connection->in_capacity += 16384;
		connection->in = xreallocarray(connection->in, connection->in_capacity, 1);
	}
	n = recv(fd, connection->in + connection->in_size, connection->in_capacity - connection->in_size, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		connection_gone(connection);
		return;
	}
	connection->in_size += (size_t)n;
	while (connection->fd >= 0 && take_request(connection))
		;
}

static void on_acceptable(evutil_socket_t fd, short events, void *context)
{
	struct server *server = context;
	struct connection *connection;
	int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (peer < 0)
		return;
	connection = xnew(struct connection);
	connection->server = server;
	connection->fd = peer;
	connection->next = server->connections;
	server->connections = connection;
	connection->readable = event_new(loop_base(server->loop), peer, EV_READ | EV_PERSIST, on_readable,
					 connection);
	connection->writable = event_new(loop_base(server->loop), peer, EV_WRITE, on_writable, connection);
	event_add(connection->readable, NULL);
	server->accepted++;
	if (++server->open > server->most_open)
		server->most_open = server->open;
}

struct server *server_new(struct loop *loop, server_handler *handler, void *context)
{
	struct server *server = xnew(struct server);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	server->loop = loop;
	server->handler = handler;
	server->context = context;
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(server->fd, 0);
	ck_assert_int_eq(bind(server->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(server->fd, 1024), 0);
	ck_assert_int_eq(getsockname(server->fd, (struct sockaddr *)&address, &size), 0);
	server->port = ntohs(address.sin_port);
	server->acceptable = event_new(loop_base(loop), server->fd, EV_READ | EV_PERSIST, on_acceptable,
				       server);
	event_add(server->acceptable, NULL);
	return server;
}

void server_stop_listening(struct server *server)
{
	if (server->fd < 0)
		return;
	event_free(server->acceptable);
	close(server->fd);
	server->fd = -1;
}

void server_free(struct server *server)
{
	struct connection *connection;

	server_stop_listening(server);
	while ((connection = server->connections)) {
		server->connections = connection->next;
		connection_gone(connection);
		free(connection->in);
		free(connection->out);
		free(connection);
	}
	free(server);
}

static void answered(struct connection *connection)
{
	if (connection->waiting)
		connection->server->waiting--;
	connection->waiting = false;
}

void connection_send(struct connection *connection, const void *data, size_t size)
{
	if (connection->fd < 0)
		return;
	answered(connection);
	connection->out = xreallocarray(connection->out, connection->out_size + size, 1);
	memcpy(connection->out + connection->out_size, data, size);
	connection->out_size += size;
	flush(connection);
}

void connection_puts(struct connection *connection, const char *text)
{
	connection_send(connection, text, strlen(text));
}

void connection_answer(struct connection *connection, int status, const char *content_type, const void *body,
		       size_t size)
{
	char head[512];

	snprintf(head, sizeof(head), "HTTP/1.1 %d Because\r\n%s%s%sContent-Length: %zu\r\n\r\n", status,
		 content_type ? "Content-Type: " : "", content_type ? content_type : "",
		 content_type ? "\r\n" : "", size);
	connection_puts(connection, head);
	if (size)
		connection_send(connection, body, size);
}

void connection_answer_json(struct connection *connection, int status, const char *body)
{
	connection_answer(connection, status, "application/json", body, strlen(body));
}

void connection_close(struct connection *connection)
{
	if (connection->fd < 0)
		return;
	answered(connection);
	connection->close_after = true;
	flush(connection);
}

void connection_reset(struct connection *connection)
{
	struct linger linger = {.l_onoff = 1};

	if (connection->fd < 0)
		return;
	setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	connection_gone(connection);
}
