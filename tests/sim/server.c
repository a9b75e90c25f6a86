/* Listener and connections; see server.h. */
#include "server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/util.h>

#include "clock.h"

enum {
	BACKLOG = 4096,
	ACCEPTS_PER_TURN = 256,
	ACCEPT_PAUSE_US = 10000, /* when no descriptor or memory is left */
	BODY_MAX = 64 * 1024 * 1024,
};

static void note_open(struct server *server, struct conn *conn)
{
	TAILQ_INSERT_TAIL(&server->open, conn, link);
	server->counts.accepted++;
	server->counts.open++;
	if (server->counts.open > server->counts.max_open)
		server->counts.max_open = server->counts.open;
	server->handler->changed(server->handler_arg);
}

static void on_accept(int fd, short what, void *arg)
{
	struct server *server = arg;
	const int on = 1;

	(void)what;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct conn *conn;

		if (client < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
				struct timeval pause = clock_timeval(ACCEPT_PAUSE_US);

				event_del(server->accept);
				event_add(server->resume, &pause);
			}
			return;
		}
		(void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		conn = conn_new(server, client, server->counts.accepted + 1);
		if (conn)
			note_open(server, conn);
	}
}

/* The time of refusing, or the pause after EMFILE, is over. */
static void on_resume(int fd, short what, void *arg)
{
	struct server *server = arg;

	(void)fd;
	(void)what;
	if (server_accept(server) < 0) {
		struct timeval pause = clock_timeval(ACCEPT_PAUSE_US);

		event_add(server->resume, &pause);
	}
}

static void on_work(int fd, short what, void *arg)
{
	struct server *server = arg;
	struct conn_list ready = TAILQ_HEAD_INITIALIZER(ready);
	struct conn *conn;

	(void)fd;
	(void)what;
	TAILQ_CONCAT(&ready, &server->ready, ready_link);
	while ((conn = TAILQ_FIRST(&ready))) {
		TAILQ_REMOVE(&ready, conn, ready_link);
		conn->ready = false;
		conn_handle_ready(conn);
	}
	/* Nobody below us on the stack holds one of these: a ready one would be in server->ready again. */
	while ((conn = TAILQ_FIRST(&server->dead))) {
		TAILQ_REMOVE(&server->dead, conn, link);
		if (conn->ready)
			TAILQ_REMOVE(&server->ready, conn, ready_link);
		conn_free(conn);
	}
}

void server_conn_ready(struct server *server, struct conn *conn)
{
	conn->ready = true;
	TAILQ_INSERT_TAIL(&server->ready, conn, ready_link);
	event_active(server->work, 0, 0);
}

void server_conn_closed(struct server *server, struct conn *conn)
{
	TAILQ_REMOVE(&server->open, conn, link);
	TAILQ_INSERT_TAIL(&server->dead, conn, link);
	server->counts.open--;
	if (conn->polled)
		server->counts.poll_open--;
	server->handler->changed(server->handler_arg);
	event_active(server->work, 0, 0);
}

void server_conn_refused(struct server *server)
{
	server->counts.refused++;
	server->handler->changed(server->handler_arg);
}

void server_conn_is_poll(struct conn *conn)
{
	struct server_counts *counts = &conn->server->counts;

	if (conn->polled)
		return;
	conn->polled = true;
	counts->poll_used++;
	counts->poll_open++;
	if (counts->poll_open > counts->max_polls)
		counts->max_polls = counts->poll_open;
}

void server_conn_is_control(struct conn *conn)
{
	if (conn->control)
		return;
	conn->control = true;
	if (conn->requests == 1)
		conn->server->counts.control++;
}

void server_reset_counts(struct server *server)
{
	struct server_counts *counts = &server->counts;

	*counts = (struct server_counts){
		.accepted = counts->accepted, /* numbers of connections are never given twice */
		.open = counts->open,
		.max_open = counts->open,
		.control = counts->control,
		.poll_used = counts->poll_open,
		.poll_open = counts->poll_open,
		.max_polls = counts->poll_open,
	};
}

unsigned server_drop(struct server *server, bool idle_only, enum conn_end how)
{
	struct conn *conn = TAILQ_FIRST(&server->open);
	unsigned dropped = 0;

	while (conn) {
		struct conn *next = TAILQ_NEXT(conn, link);

		if (!conn->control && !(idle_only && (conn->exchange || conn->in_size > 0))) {
			if (conn->exchange)
				server->handler->gone(conn, server->handler_arg);
			conn_close(conn, how);
			dropped++;
		}
		conn = next;
	}
	return dropped;
}

/*
 * A bound socket. Placeholder and listener share the port by SO_REUSEADDR, which Linux allows as long as only
 * one of them listens. A port of the kernel's choice is bound without it first, so that it is nobody else's.
 */
static int open_socket(const struct server *server, int *ret_fd)
{
	int fd = socket(server->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int reuse = server_port(server) != 0, on = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) < 0 ||
	    bind(fd, (const struct sockaddr *)&server->address, server->address_size) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

int server_accept(struct server *server)
{
	event_del(server->resume);
	if (server->listener < 0) {
		int fd = -1, error = open_socket(server, &fd);

		if (error < 0)
			return error;
		if (listen(fd, BACKLOG) < 0) {
			error = -errno;
			close(fd);
			return error;
		}
		server->listener = fd;
		if (event_assign(server->accept, server->base, fd, EV_READ | EV_PERSIST, on_accept, server) <
		    0)
			return -EINVAL;
		event_priority_set(server->accept, SERVER_PRIORITY_WORK);
	}
	return event_add(server->accept, NULL) < 0 ? -ENOMEM : 0;
}

void server_refuse(struct server *server, unsigned ms)
{
	event_del(server->resume);
	if (server->listener >= 0) {
		event_del(server->accept);
		close(server->listener);
		server->listener = -1;
	}
	if (ms > 0) {
		struct timeval until = clock_timeval((uint64_t)ms * 1000);

		event_add(server->resume, &until);
	}
}

/* "127.0.0.1:8080" or "[::1]:8080"; unlike libevent's own parser this takes port 0. */
static int parse_address(const char *text, struct server *server)
{
	struct sockaddr_in6 *in6 = (void *)&server->address;
	struct sockaddr_in *in4 = (void *)&server->address;
	const char *colon = strrchr(text, ':');
	bool brackets = text[0] == '[';
	char host[INET6_ADDRSTRLEN] = "", *end;
	unsigned long port;
	size_t size;

	if (!colon || colon[1] < '0' || colon[1] > '9' || (brackets && (colon == text || colon[-1] != ']')))
		return -EINVAL;
	port = strtoul(colon + 1, &end, 10);
	size = (size_t)(colon - text) - (brackets ? 2 : 0);
	if (*end || port > 65535 || size >= sizeof host)
		return -EINVAL;
	memcpy(host, text + brackets, size);
	if (brackets && evutil_inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		server->address_size = sizeof *in6;
	} else if (!brackets && evutil_inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons((uint16_t)port);
		server->address_size = sizeof *in4;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int bind_port(struct server *server, const char *address)
{
	int error = parse_address(address, server);

	if (error < 0)
		return error;
	error = open_socket(server, &server->placeholder);
	if (error < 0)
		return error;
	if (getsockname(server->placeholder, (struct sockaddr *)&server->address, &server->address_size) < 0)
		return -errno;
	return 0;
}

int server_start(struct event_base *base, const char *address, const struct server_handler *handler,
		 void *arg, struct server **ret_server)
{
	struct server *server = calloc(1, sizeof *server);
	int error;

	if (!server)
		return -ENOMEM;
	server->base = base;
	server->handler = handler;
	server->handler_arg = arg;
	server->body_max = BODY_MAX;
	server->placeholder = -1;
	server->listener = -1;
	TAILQ_INIT(&server->open);
	TAILQ_INIT(&server->ready);
	TAILQ_INIT(&server->dead);
	server->accept = event_new(base, -1, 0, on_accept, server);
	server->resume = event_new(base, -1, 0, on_resume, server);
	server->work = event_new(base, -1, 0, on_work, server);
	error = server->accept && server->resume && server->work ? 0 : -ENOMEM;
	if (error == 0)
		error = bind_port(server, address);
	if (error == 0)
		error = server_accept(server);
	if (error < 0) {
		server_free(server);
		return error;
	}
	*ret_server = server;
	return 0;
}

struct server *server_free(struct server *server)
{
	struct conn *conn;

	if (!server)
		return NULL;
	while ((conn = TAILQ_FIRST(&server->open))) {
		if (conn->exchange)
			server->handler->gone(conn, server->handler_arg);
		conn_close(conn, CONN_FIN);
	}
	if (server->work)
		on_work(-1, 0, server);
	if (server->accept)
		event_free(server->accept);
	if (server->resume)
		event_free(server->resume);
	if (server->work)
		event_free(server->work);
	if (server->listener >= 0)
		close(server->listener);
	if (server->placeholder >= 0)
		close(server->placeholder);
	free(server);
	return NULL;
}

unsigned server_port(const struct server *server)
{
	const void *address = &server->address;

	if (server->address.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
	return ntohs(((const struct sockaddr_in *)address)->sin_port);
}

void server_address(const struct server *server, char *text, size_t size)
{
	const void *address = &server->address;
	char host[INET6_ADDRSTRLEN] = "";

	if (server->address.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = address;

		evutil_inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
		snprintf(text, size, "[%s]:%u", host, server_port(server));
	} else {
		const struct sockaddr_in *in4 = address;

		evutil_inet_ntop(AF_INET, &in4->sin_addr, host, sizeof host);
		snprintf(text, size, "%s:%u", host, server_port(server));
	}
}
