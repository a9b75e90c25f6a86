/*
 * The future (a server-side request that is polled), the registration (one uid's stake in it), and the owner
 * (a uid with all that it has). Plain data with the one function that moves a future between states; who
 * creates, finds and ends them is the registry, who polls them is the scheduler.
 */
#ifndef TINKEX_CORE_FUTURE_H
#define TINKEX_CORE_FUTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "outcome.h"
#include "policy.h"
#include "result.h"
#include "table.h"
#include "timers.h"

struct endpoint;
struct future;
struct lane;
struct owner;
struct wait_item;

#define REQUEST_ID_MAX   512
#define REQUEST_TYPE_MAX 64
#define METADATA_MAX     4096

/* X(constant, name on the wire) */
#define FUTURE_STATES(X)                                                                                     \
	X(FUTURE_SCHEDULED, "scheduled") /* the next poll's time is known */                                 \
	X(FUTURE_POLLING, "polling")     /* a poll is in flight */                                           \
	X(FUTURE_BLOCKED, "blocked")     /* due, but gate, slots, bytes or storage do not allow it */        \
	X(FUTURE_COMPLETED, "completed")                                                                     \
	X(FUTURE_FAILED, "failed")
enum future_state {
#define X(constant, name) constant,
	FUTURE_STATES(X)
#undef X
		FUTURE_STATE_COUNT
};
const char *future_state_name(enum future_state state);

#define WHY_WAITING(X)                                                                                       \
	X(WAITING_FOR_NOTHING, NULL)                                                                         \
	X(WAITING_BACKOFF, "backoff")                                                                        \
	X(WAITING_RETRY_AFTER, "retry_after")                                                                \
	X(WAITING_GATE, "gate")                                                                              \
	X(WAITING_IN_FLIGHT_LIMIT, "in_flight_limit")                                                        \
	X(WAITING_BYTE_BUDGET, "byte_budget")                                                                \
	X(WAITING_STORAGE, "storage")                                                                        \
	X(WAITING_NO_KEY, "no_key")                                                                          \
	X(WAITING_ENDPOINT_MISSING, "endpoint_missing")
enum why_waiting {
#define X(constant, name) constant,
	WHY_WAITING(X)
#undef X
};
/* NULL for WAITING_FOR_NOTHING. */
const char *why_waiting_name(enum why_waiting why);

struct future {
	uint64_t
		id; /* never used twice in a daemon's life: what callbacks that may outlive the future hold */
	struct endpoint *endpoint;
	struct table_node by_name, by_id;
	SLIST_HEAD(, registration) registrations;

	struct timer due;             /* armed while FUTURE_SCHEDULED */
	TAILQ_ENTRY(future) in_queue; /* a lane's queue, while FUTURE_BLOCKED and queued */
	struct lane *lane;            /* which; NULL: not queued */

	struct result *final; /* the server's own last word (completed, request_failed, …): answers later
				 registrations too */
	struct error *last_error; /* of the last poll that went wrong; owned reference */
	char *queue_state_reason; /* as announced; NULL: none */
	char *request_type;       /* NULL: not given */
	int64_t queue_state_since_wall, last_poll_wall;
	int64_t first_failure; /* monotonic: since when the server has answered `failed` without a break; 0:
				  not */
	uint64_t payload_size; /* told by a metadata answer */
	uint32_t iteration;    /* polls so far: the number of the next one */
	uint32_t quick_answers, failures;
	uint32_t gate_closings;      /* of the endpoint's gate, when the poll in flight was handed out */
	int32_t create_roundtrip_ms; /* -1: not given */
	uint16_t last_http_status;
	uint8_t brief_retries;
	uint8_t state;          /* enum future_state */
	uint8_t why_scheduled;  /* enum why_scheduled */
	uint8_t queue_state;    /* enum queue_state, as announced */
	bool metadata_seen : 1; /* polls are sent with allow_metadata_only false */
	bool budget_held : 1;   /* payload_size bytes of the byte budget are taken */
	bool budget_queued : 1; /* `lane` is one of the byte budget's */
	bool in_flight : 1;     /* a transfer exists: at most one, ever */
	bool fresh_connection : 1;
	bool answered : 1; /* the server has answered some poll of it other than 404: a later 404 means `lost`
			    */
	bool recovered : 1; /* registered before this daemon's start, or its result was lost here: a 404 means
			     * `lost` */
	bool accept_protobuf : 1;
	char request_id[]; /* NUL-terminated */
};

/* What a registration asks for. Absent members (see `has`) leave what is, or the endpoint's defaults. */
struct registration_options {
	struct {
		bool poll_timeout : 1, http_timeout : 1, backoff_initial : 1, backoff_max : 1,
			on_network_error : 1;
		bool on_server_failure : 1, accept : 1, request_type : 1, create_roundtrip : 1, metadata : 1;
		bool linked : 1;
	} has;
	int64_t poll_timeout; /* microseconds from now; TIME_NEVER: null was given, which clears the deadline
			       */
	int64_t http_timeout; /* microseconds */
	int64_t backoff_initial, backoff_max;
	enum on_failure on_network_error, on_server_failure;
	bool accept_protobuf;
	char request_type[REQUEST_TYPE_MAX + 1];
	int64_t create_roundtrip_ms;
	const char *metadata; /* text of a JSON object, at most METADATA_MAX bytes; borrowed */
	bool linked;
	bool restart_if_ended;
	uint64_t peer; /* the connection that asks; 0: none (recovery) */
};

/* Where a registration stands between memory and disk. */
enum registration_phase {
	REGISTRATION_SAVING,   /* new: not yet durable, not polled for */
	REGISTRATION_LIVE,     /* durable, and being polled for */
	REGISTRATION_ENDING,   /* `result` is set but not yet durable: nobody has been told */
	REGISTRATION_ENDED,    /* durable and told */
	REGISTRATION_REMOVING, /* acknowledged or expired; gone once the removal is durable */
};

/* Which connections keep a linked registration alive. */
struct registration_links {
	LIST_ENTRY(registration_links) in_owner;
	struct registration *registration;
	uint32_t count, capacity;
	uint64_t peers[];
};

struct registration {
	uint64_t id; /* the store's row; rises with age */
	struct future *future;
	struct owner *owner;
	struct table_node by_id;
	SLIST_ENTRY(registration) in_future;
	TAILQ_ENTRY(registration) in_owner; /* all of an owner's, oldest first */
	TAILQ_ENTRY(registration)
	in_ended; /* an owner's ended ones, in the order of their end; while ENDED */
	TAILQ_ENTRY(registration)
	in_delivered; /* those of them that were delivered, in that order */
	TAILQ_ENTRY(registration)
	in_pending;              /* those that wait for the store; while SAVING, ENDING, REMOVING */
	struct timer timer;      /* deadline while LIVE; end of retention while ENDED */
	struct result *result;   /* from ENDING on; owned reference */
	struct result *previous; /* while it begins anew and that is not durable: how it had ended; owned
				    reference */
	char *metadata;          /* text of a JSON object, or NULL */
	struct registration_links *links; /* NULL: not linked */
	LIST_HEAD(, wait_item) waits;     /* await calls that this registration's end is news for */
	int64_t registered_wall;          /* microseconds since 1970 */
	int64_t delivered; /* wall clock when a reply with its result first reached a peer's kernel; 0: not */
	int64_t deadline;  /* monotonic; TIME_NEVER: none */
	int64_t poll_timeout;                 /* as asked for, microseconds; TIME_NEVER: none */
	int64_t http_timeout;                 /* 0: the endpoint's */
	int64_t backoff_initial, backoff_max; /* -1: the endpoint's */
	uint64_t ticket; /* the store batch that it waits for; 0: none, or (ENDING) for space on the disk */
	uint64_t registered_by; /* the connection that registered it anew; 0: none that lives */
	uint8_t phase;          /* enum registration_phase */
	uint8_t on_network_error, on_server_failure; /* enum on_failure */
	bool announced : 1;                          /* its present life is durable, and was told */
	bool charged : 1;                            /* its outcome counts in owner->stored_bytes */
	bool deadline_is_max_age : 1;                /* nobody asked for the deadline */
};

struct owner {
	uid_t uid;
	struct table_node by_uid;
	TAILQ_HEAD(, registration) registrations;
	TAILQ_HEAD(, registration) ended, delivered;
	LIST_HEAD(, registration_links) linked;
	uint64_t stored_bytes; /* that its outcomes take */
	uint32_t count;        /* registrations that count against max_registrations_per_uid */
	bool full;             /* stored_bytes has reached what one uid may have */
};

/* Counts of futures by state; kept by future_set_state(). */
struct future_census {
	uint64_t by_state[FUTURE_STATE_COUNT];
};
/* The only way from one state to another. */
void future_set_state(struct future_census *census, struct future *future, enum future_state state);

/* Takes part in the polling: LIVE. */
static inline bool registration_is_live(const struct registration *registration)
{
	return registration->phase == REGISTRATION_LIVE;
}
/* Somebody still wants it polled. */
bool future_has_live_stake(const struct future *future);
/* What is said to its owner: the future's state while live, its own end afterwards. */
enum future_state registration_state(const struct registration *registration);

/* Over all live registrations: the longest HTTP timeout, the shortest backoff (microseconds). */
int64_t future_http_timeout(const struct future *future);
struct backoff future_backoff(const struct future *future);

#endif
