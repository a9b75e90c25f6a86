/*
 * What happened, handed to whoever wants to know. Publishers fill in an event and call; subscribers are
 * called at once, in the order of their subscription, and copy what they keep.
 */
#ifndef TINKEX_CORE_BUS_H
#define TINKEX_CORE_BUS_H

#include <stdint.h>
#include <sys/queue.h>

#include "endpoint.h"
#include "future.h"

#define EVENT_KINDS(X)                                                                                       \
	X(EVENT_REGISTERED, "registered")                                                                    \
	X(EVENT_QUEUE_STATE, "queue_state")                                                                  \
	X(EVENT_POLL_ERROR, "poll_error")                                                                    \
	X(EVENT_COMPLETED, "completed")                                                                      \
	X(EVENT_FAILED, "failed")                                                                            \
	X(EVENT_EXPIRED, "expired")                                                                          \
	X(EVENT_ENDPOINT, "endpoint")
enum event_kind {
#define X(constant, name) constant,
	EVENT_KINDS(X)
#undef X
		EVENT_KIND_COUNT
};
const char *event_kind_name(enum event_kind kind);

struct bus_event {
	enum event_kind kind;
	const struct endpoint *endpoint;
	const struct future *future; /* NULL for EVENT_ENDPOINT */
	const struct registration
		*registration;     /* for those of one stake; NULL: concerns all of the future's */
	enum queue_state previous; /* EVENT_QUEUE_STATE */
	const struct error *error; /* EVENT_POLL_ERROR, EVENT_FAILED */
	int64_t next_poll_in;      /* EVENT_POLL_ERROR: microseconds; -1: when the gate opens */
};

struct bus_subscriber {
	TAILQ_ENTRY(bus_subscriber) in_bus;
	void (*notify)(void *context, const struct bus_event *event);
	void *context;
};
struct bus {
	TAILQ_HEAD(, bus_subscriber) subscribers;
	struct bus_walk *walk; /* private: deliveries under way, the innermost first */
	uint64_t published[EVENT_KIND_COUNT];
};

void bus_init(struct bus *bus);
/* The subscriber is the caller's memory; it must be unsubscribed before it goes. Both calls, and
 * bus_publish(), are allowed inside notify(): one that is taken out is not called any more, one that is added
 * may miss what is just being delivered. */
void bus_subscribe(struct bus *bus, struct bus_subscriber *subscriber);
void bus_unsubscribe(struct bus *bus, struct bus_subscriber *subscriber);
void bus_publish(struct bus *bus, const struct bus_event *event);

#endif
