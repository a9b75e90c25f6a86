/*
 * One accepted TCP connection: reads whole requests, writes what it is given, and knows the three ways to
 * end. It must not know what a poll, an answer or a script is: requests go to the handler, bytes come back
 * from it.
 *
 * Order of work, on which exact overlap counting rests: whatever can be read is read (and closed connections
 * are noticed) before any request that was read is handled. So a client that closes one connection and then
 * asks again on another is never seen the other way round.
 */
#ifndef SIM_CONN_H
#define SIM_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "http.h"

struct exchange;
struct server;

struct conn {
	TAILQ_ENTRY(conn) link;       /* among the server's open or dead connections */
	TAILQ_ENTRY(conn) ready_link; /* among those with something to handle */
	struct server *server;
	int fd; /* -1 once closed */
	struct event *read, *write;
	struct evbuffer *out;
	char *in; /* owned; bytes read and not yet handled */
	size_t in_size, in_capacity;
	size_t in_wanted;     /* handling makes no sense before so many bytes are there */
	uint64_t read_us;     /* when the last bytes were read */
	uint64_t number;      /* from 1, in the order of accepting */
	unsigned requests;    /* handed to the handler so far */
	size_t discarded;     /* bytes thrown away after a refusal */
	bool eof;             /* the client has closed its side */
	bool ready;           /* in the server's list of that name */
	bool handling;        /* the handler is at work: `in` still holds the request */
	bool paused;          /* not reading: too much was sent ahead */
	bool polled, control; /* what it carried, for the server's counts */
	bool discarding;
	struct exchange *exchange; /* the request being answered; belongs to the handler */
};

TAILQ_HEAD(conn_list, conn);

enum conn_end {
	CONN_FIN,
	CONN_RESET,
};

/* Takes over `fd` (also on failure). NULL when there is no memory. */
struct conn *conn_new(struct server *server, int fd, uint64_t number);
/* Frees the memory; the socket is closed already or closed now. */
void conn_free(struct conn *conn);
/* Closes the socket at once. The memory lives until the end of the loop's turn. Drops what was not written.
 */
void conn_close(struct conn *conn, enum conn_end how);
/* Writes what is left, then stops writing and reads on without looking until the client closes: for refusals
 * of requests that were not read to their end, which a plain close would turn into a reset. */
void conn_finish_and_discard(struct conn *conn);
/* Tries to write conn->out. 1: all of it is with the kernel. 0: not all; handler.drained comes later.
 * -EPIPE: the connection broke; its exchange was told and is gone. */
_must_check_ int conn_flush(struct conn *conn);
/* handler.drained is called when the socket takes bytes again, even with conn->out empty. */
void conn_call_when_writable(struct conn *conn);
/* The request was answered: the next one, if it is here already, is handled soon. */
void conn_next(struct conn *conn);
/* Handles at most one request, or notices the end. For the server's turn only. */
void conn_handle_ready(struct conn *conn);

#endif
