/*
 * An operation is a call as the user made it; a request is a call as it goes over the wire. An operation has
 * one request or, where it names more futures than one request may, several; an await has further ones over
 * its life.
 *
 * Life of an operation: operation_new() … operation_add_request()s, then client_start(). Its requests are
 * sent on every connection until they are answered. operation_finish() ends it: from then on it only waits
 * for its deliveries to be fetched, the last of which is DELIVERY_DONE; whoever fetches that frees it.
 */
#ifndef TINKEX_CLIENT_OPERATION_H
#define TINKEX_CLIENT_OPERATION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "include/tinkex.h"
#include "proto/attributes.h"

struct await;

enum operation_kind {
	OPERATION_INFO,     /* hello, ping, status, stats: the answer is handed on as it is */
	OPERATION_LIST,     /* list, endpoints: an array of items */
	OPERATION_REGISTER, /* an item for each id */
	OPERATION_AFFECT,   /* ack, cancel: a count and those that were not found */
	OPERATION_COLLECT,  /* results */
	OPERATION_AWAIT,
};

enum request_kind { REQUEST_PLAIN, REQUEST_REGISTER, REQUEST_AWAIT };

struct request {
	TAILQ_ENTRY(request) link;   /* operation->requests */
	LIST_ENTRY(request) id_link; /* client->outstanding, while id is not 0 */
	struct operation *operation;
	enum request_kind kind; /* of an await's requests; else REQUEST_PLAIN */
	int64_t id;             /* on this connection; 0: not sent */
	bool answered;
	size_t open; /* of an await: ids whose outcome has not come by it */
	size_t n_index;
	uint32_t index[]; /* which of the operation's ids it is about, in order */
};

enum delivery_kind { DELIVERY_REGISTERED, DELIVERY_OUTCOME, DELIVERY_DONE };

struct delivery {
	STAILQ_ENTRY(delivery) link;
	enum delivery_kind kind;
	size_t index;          /* OUTCOME */
	tinkex_result *result; /* OUTCOME: owned */
	tinkex_reply *reply;   /* REGISTERED, and DONE without error: owned */
	int error;             /* DONE */
	char *text, *data;     /* DONE with error: owned */
};

struct operation {
	TAILQ_ENTRY(operation) link;       /* client->operations, until finished */
	TAILQ_ENTRY(operation) ready_link; /* client->ready, while is_ready */
	bool is_ready, finished;
	bool waited; /* a blocking form fetches its deliveries: it is never in client->ready */
	bool *gone;  /* set when it is freed, for that blocking form; may be NULL */
	tinkex_client *client;
	uint64_t call;
	enum operation_kind kind;
	const char *method; /* static */
	char *members;      /* parameters but for the ids, as JSON text without braces; may be "" */
	char **ids;         /* one block with the strings behind the pointers */
	size_t n_ids;
	bool single;     /* "request_id" and not "request_ids" */
	int64_t expires; /* µs; CLIENT_NEVER: not sent, or it may take for ever */
	TAILQ_HEAD(, request) requests;
	size_t unanswered;
	tinkex_reply *reply; /* as far as it is known */
	struct await *await; /* OPERATION_AWAIT */
	STAILQ_HEAD(, delivery) deliveries;
	struct delivery *last; /* the DONE delivery, made beforehand so that ending never fails */
	tinkex_outcome_fn outcome;
	tinkex_done_fn done;
	void *userdata;
};

/* Copies the ids. -EINVAL: `client`'s error text says which id is bad; -ENOMEM. */
int operation_new(tinkex_client *client, enum operation_kind kind, const char *method,
		  const char *const *request_ids, size_t n_ids,
		  struct operation **ret_operation) _must_check_;
/* Frees it wherever it stands, and takes it out of all lists. Takes NULL; returns NULL. */
struct operation *operation_free(struct operation *operation);

/* Adds requests for the ids at `index` (n of them; NULL: all in order), as many requests as it needs; one
 * without ids if there are none. -ENOMEM. */
int operation_add_requests(struct operation *operation, enum request_kind kind, const uint32_t *index,
			   size_t n) _must_check_;
/* Takes a request out and frees it; an await that the daemon is still carrying out is abandoned if `tell`. */
void operation_drop_request(struct request *request, bool tell);
/* The client is ready: sends every request that was not sent. */
void operation_send(struct operation *operation);
/* The connection was lost: nothing of this operation is on its way any more. */
void operation_lost(struct operation *operation);
/* Ends it: error 0 with operation->reply, or a TINKEX_E with a text (taken over, may be NULL) and `data`. */
void operation_finish(struct operation *operation, int error, char *text, char *data);
/* The same for a negative errno of the library's own. */
void operation_abort(struct operation *operation, int error);

/* Queues something for the user. -ENOMEM: `result` or `reply`, which are taken over, were given back. */
int operation_deliver(struct operation *operation, enum delivery_kind kind, size_t index,
		      tinkex_result *result, tinkex_reply *reply) _must_check_;
/* The oldest delivery, which is the caller's; NULL: there is none. */
struct delivery *operation_fetch(struct operation *operation);
struct delivery *delivery_free(struct delivery *delivery);

static inline void operation_freep(struct operation **operation)
{
	operation_free(*operation);
}

#endif
