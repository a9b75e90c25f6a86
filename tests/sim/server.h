/*
 * The listener and the set of its connections: accepting, counting, refusing for a while, closing from our
 * side. Must not know what the requests are about.
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "conn.h"

/* libevent runs lower numbers first, see conn.h on the order of work. */
enum {
	SERVER_PRIORITY_READ = 0,
	SERVER_PRIORITY_WORK = 1,
	SERVER_PRIORITIES = 2,
};

/* What the server does with its connections and their requests. All of them run on the loop. */
struct server_handler {
	/* A whole request; must set conn->exchange, or have ended the connection. `request` dies on return.
	 */
	void (*request)(struct conn *conn, const struct http_request *request, void *arg);
	/* The socket takes bytes again, for the exchange in progress. */
	void (*drained)(struct conn *conn, void *arg);
	/* The client closed during an exchange; clears conn->exchange. */
	void (*gone)(struct conn *conn, void *arg);
	/* The counts of connections changed. */
	void (*changed)(void *arg);
};

struct server_counts {
	uint64_t accepted;             /* connections of any kind */
	unsigned open, max_open;       /* the same */
	uint64_t control;              /* connections whose first request was for /sim/ */
	uint64_t poll_used;            /* connections that carried at least one poll */
	unsigned poll_open, max_polls; /* the same; max_polls is the high-water mark of poll_open */
	uint64_t refused;              /* requests that were not HTTP, too long, or without a length */
};

struct server {
	struct event_base *base;
	const struct server_handler *handler;
	void *handler_arg;
	size_t body_max; /* bytes of a request body */
	struct sockaddr_storage address;
	socklen_t address_size;
	int placeholder; /* bound, never listening: keeps the port ours while connections are refused */
	int listener;    /* -1 while refusing */
	struct event *accept, *resume, *work;
	struct conn_list open, ready, dead;
	struct server_counts counts;
};

/* Binds and listens. `handler` must outlive the server. 0 or negative errno (-EADDRINUSE, …). */
_must_check_ int server_start(struct event_base *base, const char *address,
			      const struct server_handler *handler, void *arg, struct server **ret_server);
/* Closes everything. Exchanges in progress are told as if their clients had closed. Takes NULL. */
struct server *server_free(struct server *server);
/* "127.0.0.1:PORT" of the listener, into `text`. */
void server_address(const struct server *server, char *text, size_t size);
unsigned server_port(const struct server *server);
/* Connections are refused from now on, for `ms` milliseconds, or until server_accept() when 0. */
void server_refuse(struct server *server, unsigned ms);
/* Accepts again. 0 or negative errno. */
_must_check_ int server_accept(struct server *server);
/* Closes connections that carried no control request; all of them, or only those between two requests.
 * Returns how many. */
unsigned server_drop(struct server *server, bool idle_only, enum conn_end how);
/* Start the counts anew; what is open stays counted as open. */
void server_reset_counts(struct server *server);

/* A request told what kind of connection this is; counted once. */
void server_conn_is_poll(struct conn *conn);
void server_conn_is_control(struct conn *conn);

/* For conn.c. */
void server_conn_closed(struct server *server, struct conn *conn);
void server_conn_ready(struct server *server, struct conn *conn);
void server_conn_refused(struct server *server);

#endif
