/*
 * An endpoint: a server with its credential's name, its policy, its limits, and the gate that all its futures
 * share. The gate closes when a failure belongs to the server rather than to one future; when its time is up
 * one probe goes out, and its answer opens the gate or closes it for longer. Pure: it is told what happened
 * and when.
 */
#ifndef TINKEX_CORE_ENDPOINT_H
#define TINKEX_CORE_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "future.h"
#include "policy.h"
#include "timers.h"

/* X(constant, name on the wire) */
#define GATE_CAUSES(X)                                                                                       \
	X(GATE_NONE, NULL)                                                                                   \
	X(GATE_RATE_LIMITED, "rate_limited")                                                                 \
	X(GATE_NETWORK, "network")                                                                           \
	X(GATE_PAYMENT_REQUIRED, "payment_required")                                                         \
	X(GATE_UNAUTHORISED, "unauthorised")                                                                 \
	X(GATE_NO_KEY, "no_key")
enum gate_cause {
#define X(constant, name) constant,
	GATE_CAUSES(X)
#undef X
		GATE_CAUSE_COUNT
};
/* NULL for GATE_NONE. */
const char *gate_cause_name(enum gate_cause cause);

struct gate {
	enum gate_cause cause; /* GATE_NONE: open */
	int64_t until;         /* closed: when a probe may go out; TIME_NEVER: not by time (no key) */
	uint32_t closings;  /* how often it has closed: polls handed out before the last time raise no counter
			     */
	uint64_t probe;     /* id of the future whose poll is the probe; 0: none in flight */
	struct timer timer; /* `until`, then the probe's second of being held */
	uint32_t counts[GATE_CAUSE_COUNT]; /* failures in a row */
	int64_t since[GATE_CAUSE_COUNT];   /* monotonic: first failure without a good answer; 0: none */
};

/* Futures of one uid that wait for their turn; lanes are served in turn. */
struct lane {
	TAILQ_ENTRY(lane) in_lanes;
	TAILQ_HEAD(, future) futures;
	uid_t uid;
};
struct lanes {
	TAILQ_HEAD(, lane) list; /* the next to be served first; empty lanes are freed */
	uint32_t count;          /* futures in all lanes */
};

struct endpoint_limits {
	uint32_t max_in_flight;
	uint32_t max_connections;
};

struct endpoint {
	char *name;
	char *base_url; /* without a trailing slash */
	struct policy policy;
	enum profile_name profile;
	struct endpoint_limits limits;
	int64_t max_age; /* microseconds; a future without a deadline ends after this */
	/* who may use it; both empty: everybody */
	uid_t *users;
	size_t n_users;
	gid_t *groups;
	size_t n_groups;
	bool missing; /* no longer configured: its futures wait */

	struct gate gate;
	struct lanes ready; /* due futures that wait for gate or slot */
	uint32_t in_flight; /* polls out */
	uint32_t capacity;  /* polls that the connections can carry now, as http.c tells; <= max_in_flight */
	uint32_t futures;   /* that are not over */
	struct error *last_error; /* of any poll; owned reference */
	int64_t last_notice_wall; /* when a queue state was last written to the log */
	void *upstream;           /* the poller's; opaque here */
};

/* Takes the name; everything else by defaults of the profile. Never NULL. */
struct endpoint *endpoint_new(const char *name, enum profile_name profile);
struct endpoint *endpoint_free(struct endpoint *endpoint);

/* May this caller use it? `groups` are the caller's supplementary groups. */
bool endpoint_allows(const struct endpoint *endpoint, uid_t uid, gid_t gid, const gid_t *groups,
		     size_t n_groups);

/* What one answered poll says about the gate. */
struct gate_report {
	enum gate_cause cause; /* GATE_NONE: answered without any */
	uint32_t closings;     /* gate.closings when the poll was handed out */
	int64_t retry_after;   /* microseconds the server asked for; -1: nothing */
	uint64_t future;
};
/* Whether the gate changed, for the event. */
enum gate_change { GATE_UNCHANGED, GATE_CLOSED, GATE_OPENED };

/* A failure that closes the gate (cause != NONE), or a good answer. Closing takes retry_after, else
 * backoff(count) for network and rate limit, 5 s for payment, 30 s for unauthorised. */
enum gate_change endpoint_gate_report(struct endpoint *endpoint, const struct gate_report *report,
				      int64_t now);
/* The probe has been held for a second: that is an answer too. */
enum gate_change endpoint_gate_probe_held(struct endpoint *endpoint, int64_t now);
/* The probe's poll is gone without an answer (cancelled, deadline): the next may go. */
void endpoint_gate_probe_lost(struct endpoint *endpoint, uint64_t future);
/* No key to send, or one again (the same for an unauthorised gate whose key changed: the next probe may go at
 * once). */
enum gate_change endpoint_gate_key(struct endpoint *endpoint, bool have_key, int64_t now);
/* No poll may start now, whatever slots are free: it is missing, or its gate is closed and it is not time for
 * a probe. */
bool endpoint_is_shut(const struct endpoint *endpoint, int64_t now);
/* As many polls are in flight as may be. */
bool endpoint_is_full(const struct endpoint *endpoint);
/* A poll may start now; *ret_probe: it must be the only one. */
bool endpoint_may_poll(const struct endpoint *endpoint, int64_t now, bool *ret_probe);
/* How long ago the first failure of that cause without a good answer since then was; 0: there was none. */
int64_t endpoint_failing_for(const struct endpoint *endpoint, enum gate_cause cause, int64_t now);

void lanes_init(struct lanes *lanes);
/* Appends to the uid's lane. `front`: it is first in its lane (a repeated poll keeps its place). */
void lanes_push(struct lanes *lanes, uid_t uid, struct future *future, bool front);
/* The next one in turn of those whose uid may have one, not removed; NULL: none. `may`: NULL: all may. */
struct future *lanes_peek(const struct lanes *lanes, bool (*may)(void *context, uid_t uid), void *context);
/* Removes the future that lanes_peek() gave; its uid goes to the end of the turn. */
void lanes_pop(struct lanes *lanes, struct future *future);
/* Takes out a future that waits somewhere in them. */
void lanes_remove(struct lanes *lanes, struct future *future);

#endif
