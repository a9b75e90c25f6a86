/*
 * What the simulator was asked, and when: a record of every poll, the polls in flight by request id, and
 * counters. The place where overlaps are found: a poll overlaps when it is read whole while another poll of
 * the same id is in flight, that is: read, not yet written out to its last byte, and its connection not seen
 * closed by the client. Must not know sockets or answers.
 */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

#include "attributes.h"
#include "http.h"

struct ledger;
struct poll;

enum poll_outcome {
	POLL_PENDING,   /* in flight */
	POLL_ANSWERED,  /* written to the last byte */
	POLL_ABORTED,   /* the client closed first */
	POLL_RESET,     /* ended by RST, as scripted */
	POLL_CLOSED,    /* ended by FIN without a byte, as scripted */
	POLL_TRUNCATED, /* ended within head or body, as scripted */
	POLL_GARBAGE,   /* something else than HTTP was written, as scripted */
	POLL_OUTCOMES,
};

/* Where and when a request was read. */
struct ledger_source {
	uint64_t read_us;    /* monotonic */
	uint64_t connection; /* its number */
	unsigned nth;        /* request of that connection, from 1 */
};

/* Keeps at most `record_limit` ended records, the latest; 0: counters only. NULL when there is no memory. */
struct ledger *ledger_new(uint64_t record_limit);
/* Every poll must have ended. Takes NULL, returns NULL. */
struct ledger *ledger_free(struct ledger *ledger);
/* Forgets ended records and starts the counters anew; what is in flight stays. */
void ledger_reset(struct ledger *ledger);

/*
 * A poll was read whole. `id` NULL: its body names none. The poll stays valid until ledger_poll_end().
 * NULL when there is no memory.
 */
struct poll *ledger_poll_begin(struct ledger *ledger, const char *id, const struct ledger_source *source,
			       const struct http_request *request);
/* What it is going to get: a status, and the place of the answer in its list (-1: not scripted). */
void ledger_poll_answer(struct poll *poll, int status, int index);
/* The first byte of the answer is about to go out. */
void ledger_poll_answering(struct poll *poll);
/* It is over, and no longer in flight. `bytes` of body were handed to the kernel or its queue. */
void ledger_poll_end(struct ledger *ledger, struct poll *poll, enum poll_outcome outcome, uint64_t bytes);
/* A request that is neither poll nor control was answered with `status`. */
void ledger_other(struct ledger *ledger, const struct ledger_source *source,
		  const struct http_request *request, int status);

/* Something outside of the ledger happened that its readers may wait for. */
void ledger_note_change(struct ledger *ledger);
/* Rises with everything that happens above. */
uint64_t ledger_changes(const struct ledger *ledger);
/* Counters as members of a new object; NULL when there is no memory. */
struct json_object *ledger_stats(const struct ledger *ledger);
/* Records as a new array, oldest first: those of one id (all with NULL), with `seq` above `after`, at most
 * `limit`; `brief` leaves out headers. */
struct json_object *ledger_polls(const struct ledger *ledger, const char *id, uint64_t after, uint64_t limit,
				 bool brief);
/* The requests given to ledger_other(), the latest 10,000. */
struct json_object *ledger_others(const struct ledger *ledger);

#endif
