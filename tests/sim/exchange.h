/*
 * One request and the carrying out of its answer: waiting, writing head and body at the pace the answer asks
 * for, breaking off where it says so, and telling the ledger. Must not know where answers come from.
 */
#ifndef SIM_EXCHANGE_H
#define SIM_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "answer.h"
#include "body.h"
#include "conn.h"
#include "ledger.h"

struct exchange;

TAILQ_HEAD(exchange_list, exchange);

/* What all exchanges share. */
struct exchanges {
	struct event_base *base;
	struct ledger *ledger;
	struct exchange_list held;  /* those whose answer waits for exchanges_release() */
	void (*changed)(void *arg); /* the ledger has news */
	void *changed_arg;
};

enum exchange_stage {
	EXCHANGE_OPEN,    /* no answer yet: somebody holds it */
	EXCHANGE_HELD,    /* has an answer that waits for its release, or for ever */
	EXCHANGE_DELAYED, /* before the first byte */
	EXCHANGE_HEAD,    /* the head is on its way, the body is not */
	EXCHANGE_BODY,
	EXCHANGE_LAST, /* all is in the connection's queue */
};

struct exchange {
	TAILQ_ENTRY(exchange) link; /* in exchanges.held */
	struct exchanges *all;
	struct conn *conn;
	struct poll *poll;     /* NULL when it is no poll; ends with the exchange */
	char *id;              /* owned; the request id, or NULL */
	struct answer *answer; /* one reference, once there is one */
	struct event *timer;   /* owned; made when first needed */
	enum exchange_stage stage;
	enum poll_outcome outcome; /* what it will have been when written out */
	enum conn_end end;
	bool keep_alive, in_held, paced;
	struct body body;
	uint64_t body_left; /* bytes still to write before the end, or the point of truncation */
	uint64_t body_sent;
	/* For who holds it while EXCHANGE_OPEN: the client is gone, and so is the exchange after this call.
	 */
	void (*gone)(struct exchange *exchange, void *arg);
	void *gone_arg;
};

/* Starts the exchange of the request that `conn` just handed over. NULL when there is no memory. */
struct exchange *exchange_new(struct exchanges *all, struct conn *conn, bool keep_alive);
/* Makes it a poll. Takes over nothing. 0 or -ENOMEM. */
_must_check_ int exchange_set_poll(struct exchange *exchange, struct poll *poll, const char *id);
/* Carries out `answer`, whose reference it takes over; NULL (no memory) resets the connection.
 * The exchange may be gone when this returns. */
void exchange_answer(struct exchange *exchange, struct answer *answer, int index);
/* Resets the connection without using up an answer. The exchange is gone when this returns. */
void exchange_reset(struct exchange *exchange);

/* For the server: the connection takes bytes again; the client is gone. */
void exchange_drained(struct exchange *exchange);
void exchange_gone(struct exchange *exchange);

/* Lets held answers of this id (NULL: of all) go. Returns how many. */
unsigned exchanges_release(struct exchanges *all, const char *id);

#endif
