/*
 * An HTTP/1.1 server for tests, on the loop of the test itself: it takes requests apart and leaves every byte
 * of the answer to the test. Whatever it says goes out as it is, so that it can also be wrong, late or cut
 * short.
 */
#ifndef TEST_UPSTREAM_SERVER_H
#define TEST_UPSTREAM_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "sys/loop.h"

struct server;

/* One accepted connection; lives until server_free(). */
struct connection {
	struct connection *next;
	struct server *server;
	struct event *readable, *writable;
	int fd; /* -1: closed, by whomever */
	char *in;
	size_t in_size, in_capacity;
	char *out; /* not sent yet */
	size_t out_size, out_sent;
	bool close_after;
	unsigned requests; /* on this connection */
	bool waiting;      /* its request has not been answered */
};

/* Valid during the call. */
struct request_seen {
	struct connection *connection;
	unsigned number;  /* 1 for the server's first */
	const char *head; /* request line and headers with their line ends, NUL-terminated */
	const char *body;
};
typedef void server_handler(void *context, const struct request_seen *request);

struct server {
	struct loop *loop;
	int fd, port;
	struct event *acceptable;
	server_handler *handler;
	void *context;
	struct connection *connections;
	unsigned accepted, open, most_open; /* connections */
	unsigned requests, waiting, most_waiting;
};

/* Listens on a port of its own on 127.0.0.1. */
struct server *server_new(struct loop *loop, server_handler *handler, void *context);
void server_free(struct server *server);
/* No longer listens; connections stay. */
void server_stop_listening(struct server *server);

/* These do nothing on a connection that is closed. */
void connection_send(struct connection *connection, const void *data, size_t size);
void connection_puts(struct connection *connection, const char *text);
/* A whole answer; `content_type` may be NULL. */
void connection_answer(struct connection *connection, int status, const char *content_type, const void *body,
		       size_t size);
void connection_answer_json(struct connection *connection, int status, const char *body);
/* FIN once everything is sent; RST at once. */
void connection_close(struct connection *connection);
void connection_reset(struct connection *connection);

#endif
