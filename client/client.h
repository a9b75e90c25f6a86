/*
 * The inside of tinkex_client: connection, calls under way, what is to be delivered. Shared by client.c
 * (turns), outage.c (being connected or not), operation.c (calls), answer.c (answers to them), await.c
 * (awaiting), calls.c (starting calls), members.c (their options) and sync.c (blocking forms).
 *
 * Nothing in client_turn() calls back: it only queues deliveries. tinkex_process() and the blocking forms
 * deliver, one at a time, with nothing of theirs left half done; so callbacks may do anything, freeing the
 * client included.
 */
#ifndef TINKEX_CLIENT_CLIENT_H
#define TINKEX_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "connection.h"
#include "include/tinkex.h"
#include "operation.h"
#include "proto/message.h"
#include "search.h"

#define CLIENT_NEVER   INT64_MAX
#define CLIENT_BUCKETS 256

enum client_state {
	CLIENT_IDLE,    /* not connected, and nothing asks for it */
	CLIENT_WAITING, /* not connected; next attempt at `attempt_at` */
	CLIENT_HELLO,   /* connected; the daemon has not said who it is */
	CLIENT_READY,   /* calls go out */
};

struct tinkex_client {
	int refs;  /* 1 for the user, 1 for each function that may call back */
	bool dead; /* freed by the user */

	/* options; all times in µs */
	char *endpoint; /* NULL: not given */
	char *name;     /* NULL: the library's */
	int64_t connect_timeout, reconnect_timeout, pause_initial, pause_max, call_timeout;
	tinkex_log_fn log;
	void *log_userdata;
	bool no_descriptors;

	int epoll;
	struct search search;
	struct connection connection;
	enum client_state state;
	size_t place;      /* which of `search` it is connected to */
	char *socket_path; /* of the last connection */
	char *instance;    /* of the daemon on the last connection */
	bool fd_results;   /* ... has that feature */
	bool wants_write;  /* what epoll was told */
	bool going_down;   /* the daemon said so: look for its successor after this turn */

	int64_t hello_id;      /* of the hello that is under way */
	int64_t hello_expires; /* until then it must be answered */
	int64_t outage_since;  /* 0: there is none; when connecting began, or the connection was lost */
	int64_t outage_limit;  /* how long it may last */
	char *outage_reason;   /* why the connection was lost; NULL: there was none */
	int64_t ready_since;   /* 0: hello was not answered on this connection */
	int64_t attempt_at, pause;
	unsigned attempts; /* since the outage began */
	bool busy;         /* the last one found a socket whose owner is slow to accept */

	uint64_t last_call;
	int64_t last_id;
	LIST_HEAD(, request) outstanding[CLIENT_BUCKETS]; /* sent and not answered, by id */
	TAILQ_HEAD(, operation) operations; /* that have not finished, in order of their start */
	TAILQ_HEAD(, operation) ready;      /* that have something to deliver by tinkex_process() */

	char *error_text, *error_data; /* of the last failed call */
};

/* µs of a clock that goes on while the machine sleeps. */
int64_t client_now(void);
/* One piece of work that does not block: connects, reads, sends, looks at the time. true: something was done.
 */
bool client_turn(tinkex_client *client);
/* µs until client_turn() has something to do although nothing arrives; CLIENT_NEVER. */
int64_t client_due_in(const tinkex_client *client);
/* Sends what is queued. */
void client_flush(tinkex_client *client);
/* A new operation is in the list: connects if need be, or sends it. */
void client_start(tinkex_client *client, struct operation *operation);

tinkex_client *client_ref(tinkex_client *client);
tinkex_client *client_unref(tinkex_client *client);

/* The id for the next request, and the request that has it (NULL: none, it was abandoned). */
int64_t client_next_id(tinkex_client *client);
struct request *client_find_request(tinkex_client *client, int64_t id);
void client_add_request(tinkex_client *client, struct request *request);

/* Remembers what went wrong, for tinkex_error_text(); takes over both strings, which may be NULL. */
void client_set_error(tinkex_client *client, char *text, char *data);
/* The same with a formatted text; returns `error`. */
int client_fail(tinkex_client *client, int error, const char *format, ...) _printf_(3, 4);
/* Writes to the user's log hook, if there is one. */
void client_log(tinkex_client *client, int level, const char *format, ...) _printf_(3, 4);

static inline void client_unrefp(tinkex_client **client)
{
	client_unref(*client);
}

#endif
