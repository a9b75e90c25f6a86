/*
 * Await calls that have not been answered. A waiter holds one item for each id that was asked for, in the
 * order asked; an item is done when its registration's end is durable. It never fails because a future did.
 */
#ifndef TINKEX_CORE_WAITER_H
#define TINKEX_CORE_WAITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "endpoint.h"
#include "future.h"
#include "registry.h"
#include "result.h"
#include "timers.h"

struct waiter;

struct wait_item {
	LIST_ENTRY(wait_item) in_registration; /* while it waits */
	struct waiter *waiter;
	struct registration *registration; /* while it waits; NULL afterwards */
	uint64_t registration_id;          /* 0: there is no registration */
	const struct endpoint *endpoint;
	char *request_id;      /* owned */
	struct result *result; /* when done; owned reference */
};

struct waiter_operations {
	/* One item is done (for streaming). */
	void (*item_done)(void *context, struct waiter *waiter, size_t index);
	/* All are done, or the time is up: every item has a result. The receiver frees the waiter, in this
	 * call or later. */
	void (*done)(void *context, struct waiter *waiter, bool timed_out);
};

struct waiter {
	const struct waiter_operations *operations;
	void *context;
	struct timers *timers;
	struct timer timer;
	size_t n_items, remaining;
	int64_t await_timeout; /* microseconds; TIME_NEVER: for ever */
	bool cancel_on_timeout;
	uint64_t peer; /* the connection that waits */
	struct registry *registry;
	struct wait_item items[];
};

/* Installs the TIMER_WAITER handler. */
void waiters_init(struct timers *timers);

/* Room for n items, none of them set; NULL without memory. */
struct waiter *waiter_new(size_t n_items, const struct waiter_operations *operations, void *context,
			  struct registry *registry, struct timers *timers);
/* Lets go of everything; no callback. */
struct waiter *waiter_free(struct waiter *waiter);
/* Sets item `index`: to a registration (that may have ended already), or, with registration NULL, to a result
 * that is known at once (reference taken over). -ENOMEM. */
int waiter_set(struct waiter *waiter, size_t index, const struct endpoint *endpoint, const char *request_id,
	       struct registration *registration, struct result *result);
/* All items are set: arms the time limit (0: what is not done now is not waited for), and calls `item_done`
 * for those that are done already and `done` if nothing is left, which may free the waiter. `wall` and `now`
 * in microseconds. */
void waiter_start(struct waiter *waiter, int64_t await_timeout, int64_t now);

/* A registration's end is durable: its waiters hear of it. */
void waiters_registration_ended(struct registration *registration);
/* A registration goes without an end (a failed commit, an acknowledgement elsewhere): its waiters get
 * not_registered. */
void waiters_registration_gone(struct registration *registration);

#endif
