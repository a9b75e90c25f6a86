/* What the files of poller share: endpoints' upstreams and their polls. Included by poll*.c only. */
#ifndef TINKEX_UPSTREAM_POLLER_PRIVATE_H
#define TINKEX_UPSTREAM_POLLER_PRIVATE_H

#include <sys/queue.h>

#include "body.h"
#include "core/table.h"
#include "credential.h"
#include "http.h"
#include "poller.h"
#include "request.h"

/* What one endpoint's polls share. After a reload the old one lives on until its last poll is over. */
struct upstream {
	LIST_ENTRY(upstream) in_poller;
	LIST_HEAD(, poll) polls;
	struct poller *poller;
	struct endpoint *endpoint; /* NULL: retired */
	bool replaced;             /* retired because another took its place */
	struct http *http;
	struct credential *credential;
	struct request_headers *headers; /* made of the key of `generation`; NULL: not yet */
	uint64_t generation;
	char **extra_headers; /* owned copy */
	bool skyrl;
};

/* How a poll ended, while its result's file is being finished. */
struct poll_end {
	struct outcome outcome;
	struct poll_report report;
};

/* One exchange for a future, which it knows by its id: it may be gone when the answer comes. */
struct poll {
	struct table_node by_future;
	LIST_ENTRY(poll) in_upstream;
	struct upstream *upstream;
	struct http_transfer *transfer; /* NULL: it is over */
	uint64_t future;
	uint64_t generation; /* of the key that it was sent with */
	struct request request;
	struct outcome_reader *reader; /* from the first byte of a body on */
	struct body body;              /* of what may be a result */
	struct poll_end *end;          /* still to be told; owned */
	bool too_large;
	bool no_memory;
};

struct poller {
	struct loop *loop;
	struct metrics *metrics;
	const struct poller_operations *operations;
	void *context;
	uint64_t max_result_bytes;
	struct body_place place;
	struct table polls; /* by future */
	LIST_HEAD(, upstream) upstreams;
	bool congested;
};

/* poller.c */
/* A poll is over: a retired upstream goes with its last one, but not from under curl's feet. */
void upstream_let_go(struct upstream *upstream);

/* poll.c */
/* Forgets it, and what has come of its body. Its transfer is over or dropped with its pool. */
void poll_free(struct poll *poll);
/* As http_operations. */
void poll_sent(void *owner);
bool poll_body(void *owner, const struct answer *answer, int64_t announced, char *data, size_t size);
void poll_done(void *owner, const struct answer *told, int64_t held);

#endif
