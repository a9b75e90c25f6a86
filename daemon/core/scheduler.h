/*
 * When each future is polled. Holds what is due, asks gates, slots, the byte budget and storage, serves uids
 * in turn, hands polls out, and applies what policy says about their answers. Pure: time and answers come in
 * as arguments, polls go out through two callbacks.
 */
#ifndef TINKEX_CORE_SCHEDULER_H
#define TINKEX_CORE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "endpoint.h"
#include "future.h"
#include "metrics.h"
#include "outcome.h"
#include "registry.h"
#include "timers.h"

/* What a poll is to send; valid during the call. */
struct poll_request {
	uint64_t future; /* id */
	struct endpoint *endpoint;
	const char *request_id;
	const char *request_type; /* NULL: no header */
	uint32_t iteration;
	int32_t create_roundtrip_ms; /* -1: no header */
	bool allow_metadata_only;
	bool accept_protobuf;
	bool fresh_connection;
	int64_t http_timeout; /* microseconds */
};

struct scheduler_operations {
	/* Start this poll. Its end is told by scheduler_poll_done(), never from inside this call. false: it
	 * could not be started (no descriptors, no memory): it is tried again in a second. */
	bool (*start_poll)(void *context, const struct poll_request *request);
	/* Nobody wants this poll any more. true: it was aborted and nothing more will be told. false: its
	 * answer has begun, it goes on and will be told. */
	bool (*abort_poll)(void *context, struct future *future);
};

struct byte_budget {
	uint64_t limit, used;
	struct lanes waiting;
};

struct scheduler {
	const struct scheduler_operations *operations;
	void *context;
	struct registry *registry;
	struct timers *timers;
	struct bus *bus;
	struct metrics *metrics;
	struct byte_budget budget;
	struct endpoint **endpoints; /* borrowed list, kept by the composition root */
	size_t n_endpoints;
	uint64_t fillings;    /* registry->fillings, when it was last looked at */
	bool storage_stopped; /* results cannot be kept: start no poll */
	bool stopping;        /* the daemon goes down: start no poll */
};

/* Installs the TIMER_FUTURE_DUE and TIMER_GATE handlers. Everything passed outlives the scheduler. */
struct scheduler *scheduler_new(const struct scheduler_operations *operations, void *context,
				struct registry *registry, struct timers *timers, struct bus *bus,
				struct metrics *metrics, uint64_t budget);
struct scheduler *scheduler_free(struct scheduler *scheduler);
void scheduler_set_endpoints(struct scheduler *scheduler, struct endpoint **endpoints, size_t n_endpoints);

/* A future has its first live registration: due at once, behind those that are due already (`when` 0), or at
 * `when`, for spreading out after a restart. */
void scheduler_add(struct scheduler *scheduler, struct future *future, int64_t when);
/* No live registration is left. */
void scheduler_drop(struct scheduler *scheduler, struct future *future);
/* The future is about to be freed. */
void scheduler_forget(struct scheduler *scheduler, struct future *future);
/* Hands out what may be polled now, a bounded number. Once a turn, after timers_run(). true: more is left for
 * another turn at once. */
bool scheduler_run(struct scheduler *scheduler, int64_t now);

/* The daemon goes down: no further poll starts, and those without a byte of an answer are aborted. */
void scheduler_stop(struct scheduler *scheduler, int64_t now);

/* How a poll went in time. */
struct poll_report {
	int64_t held; /* request sent to first byte, or to giving up; 0 if never sent; microseconds */
	int64_t wall; /* wall clock now */
	struct result *result; /* of a completed poll: owned reference that is stolen, or NULL */
};
/* The request of a poll has been sent. */
void scheduler_poll_sent(struct scheduler *scheduler, uint64_t future, int64_t now);
/* A poll is over and its transfer removed. A future that is gone is ignored. `outcome->error` is stolen where
 * it is kept. */
void scheduler_poll_done(struct scheduler *scheduler, uint64_t future, struct outcome *outcome,
			 struct poll_report *report, int64_t now);
/* A stake's end is durable. If it was that of the whole future, its bytes are free again; while others go on
 * polling it, they stay taken. */
void scheduler_release_budget(struct scheduler *scheduler, struct future *future);

/* A key appeared or went. */
void scheduler_key_changed(struct scheduler *scheduler, struct endpoint *endpoint, bool have_key,
			   int64_t now);

/* Why a future that is not over is not being polled right now. */
enum why_waiting scheduler_why(const struct scheduler *scheduler, const struct future *future);
/* The state of a stake as it is told: what is due and has nothing in its way goes out at the end of this
 * turn, and is FUTURE_SCHEDULED until then, not FUTURE_BLOCKED. */
enum future_state scheduler_state(const struct scheduler *scheduler, const struct registration *registration);

#endif
