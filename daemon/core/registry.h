/*
 * Who has registered what: finds futures, registrations and owners, starts and ends stakes, and keeps them in
 * step with the store. It polls nothing and knows no store: through its operations it says what has to be
 * kept, and it is told when that is durable.
 *
 * Every change is made in memory at once, carries the ticket of the store batch that will make it durable,
 * and is announced by registry_settle() when the store has answered for that batch.
 */
#ifndef TINKEX_CORE_REGISTRY_H
#define TINKEX_CORE_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "endpoint.h"
#include "future.h"
#include "gone.h"
#include "proto/errors.h"
#include "table.h"
#include "timers.h"

/* Installed by the composition root. `context` is registry.context. */
struct registry_operations {
	/* Keep: a new or changed registration; its end; that it is gone. Each returns the ticket of the
	 * batch. */
	uint64_t (*save)(void *context, const struct registration *registration);
	uint64_t (*save_end)(void *context, const struct registration *registration);
	uint64_t (*remove)(void *context, const struct registration *registration);
	/* The first registration of this future became live: poll it. */
	void (*future_live)(void *context, struct future *future);
	/* No live registration is left: stop polling unless an answer has begun to arrive. */
	void (*future_idle)(void *context, struct future *future);
	/* The future is freed after this call. */
	void (*future_gone)(void *context, struct future *future);
	/* A new registration is durable; a registration's end is durable (result is set). For waiters and the
	 * bus. */
	void (*registered)(void *context, struct registration *registration);
	void (*ended)(void *context, struct registration *registration);
	/* Its outcome has been delivered: nobody waits for that to be kept. */
	void (*save_delivered)(void *context, const struct registration *registration);
	/* An ended registration's retention is over, or (`early`) room is needed; it is being removed. */
	void (*expired)(void *context, struct registration *registration, bool early);
	/* Any removal of a registration, last call before it is freed: waiters let go. */
	void (*registration_gone)(void *context, struct registration *registration);
};

#define REGISTRY_STALLED_MAX ((uint64_t)16 * 1024 * 1024) /* bytes that wait in memory for a full disk */
#define REGISTRY_ROW_BYTES   256                          /* what an outcome takes beside its body, about */

struct registry_limits {
	uint32_t max_registrations_per_uid;
	int64_t retention, retention_delivered;              /* microseconds */
	uint64_t max_stored_bytes, max_stored_bytes_per_uid; /* of outcomes */
};

struct registry {
	const struct registry_operations *operations;
	void *context;
	struct timers *timers;
	struct registry_limits limits;
	uint8_t key[16]; /* of the hashes */
	struct table futures_by_name, futures_by_id, registrations_by_id, owners_by_uid;
	TAILQ_HEAD(registration_list, registration) pending; /* in the order of their tickets */
	struct registration_list stalled; /* ended, but there is no space to store that: nobody is told */
	uint64_t stalled_bytes;           /* that the results of those hold in memory */
	uint64_t stored_bytes;            /* that all outcomes take, each counted for each uid that has it */
	size_t full_owners;               /* owners whose outcomes take as much room as they may */
	uint64_t fillings;                /* how often one has become so */
	bool disk_full;
	struct future_census census;
	uint64_t last_future_id, last_registration_id;
	uint64_t live;       /* registrations that are LIVE */
	int64_t wall_offset; /* wall clock minus monotonic clock, told by the composition root once a turn */
	struct gone gone;
};

/* One registration as it was stored. */
struct stored_registration {
	uint64_t id;
	uid_t uid;
	const char *endpoint, *request_id;
	const char *request_type, *metadata;         /* may be NULL */
	int64_t create_roundtrip_ms;                 /* -1: not given */
	int64_t registered_wall;                     /* microseconds since 1970 */
	int64_t deadline;                            /* monotonic, of this boot; TIME_NEVER: none */
	int64_t poll_timeout;                        /* as asked for; TIME_NEVER: none */
	int64_t http_timeout;                        /* 0: the endpoint's */
	int64_t backoff_initial, backoff_max;        /* -1: the endpoint's */
	int64_t delivered_wall;                      /* 0: not */
	uint8_t on_network_error, on_server_failure; /* enum on_failure */
	bool accept_protobuf, linked, deadline_is_max_age;
	bool lost;             /* it had ended, but the body is missing */
	struct result *result; /* owned reference, stolen by who wants it; NULL: it has not ended */
};

/* `key`: 16 random bytes. `operations` and `timers` outlive the registry; it installs the TIMER_REGISTRATION
 * handler. */
struct registry *registry_new(const struct registry_operations *operations, void *context,
			      struct timers *timers, const struct registry_limits *limits,
			      const uint8_t key[16]);
struct registry *registry_free(struct registry *registry);

/* Puts back what was stored, before anything else happens. One that had not ended is live, but not polled
 * yet: see registry_each_live_future(). Steals row->result. */
void registry_restore(struct registry *registry, struct endpoint *endpoint, struct stored_registration *row,
		      int64_t now, int64_t wall);
/* All that was stored has been put back: brings it into order, and makes room where the limits are lower than
 * before. */
void registry_restored(struct registry *registry);
/* The connections that held linked stakes before the restart had their time: those that nobody has linked
 * again end. */
void registry_unlink_restored(struct registry *registry, int64_t wall);
/* Every future that somebody wants polled. `visit` may end its stakes, but free nothing. */
void registry_each_live_future(struct registry *registry, void (*visit)(void *context, struct future *future),
			       void *context);

/* What came of registering one id. */
struct register_answer {
	struct registration *registration; /* valid until the next turn */
	bool is_new;                       /* created, or started anew */
};
/* Registers, or changes what exists. `wall` is the wall clock, `now` the monotonic one, both microseconds.
 * PROTO_OK, PROTO_LIMIT_EXCEEDED (registry_refusal() says which), PROTO_STORAGE (there is no room for
 * anything new), PROTO_CONFLICT (another `accept`), PROTO_INVALID_PARAMS (merged metadata too large).
 * *ret_ticket: the batch to wait for before answering (unchanged if nothing had to be stored). The request id
 * was checked by the caller. */
enum proto_error registry_register(struct registry *registry, uid_t uid, struct endpoint *endpoint,
				   const char *request_id, const struct registration_options *options,
				   int64_t now, int64_t wall, struct register_answer *ret_answer,
				   uint64_t *ret_ticket);

/* The uid's own registration; NULL: none (REMOVING ones are not found). */
struct registration *registry_find(struct registry *registry, uid_t uid, const struct endpoint *endpoint,
				   const char *request_id);
/* The batch with the removal of a registration that registry_find() no longer finds; 0: none is under way. */
uint64_t registry_removal(struct registry *registry, uid_t uid, const struct endpoint *endpoint,
			  const char *request_id);
struct registration *registry_find_id(struct registry *registry, uint64_t id);
struct future *registry_future(struct registry *registry, uint64_t id);
struct future *registry_find_future(struct registry *registry, const struct endpoint *endpoint,
				    const char *request_id);
struct owner *registry_owner(struct registry *registry, uid_t uid); /* NULL: has nothing */
enum gone_reason registry_gone_reason(const struct registry *registry, uid_t uid,
				      const struct endpoint *endpoint, const char *request_id);
/* Calls `visit` for every owner until it returns false. */
void registry_each_owner(struct registry *registry, bool (*visit)(void *context, struct owner *owner),
			 void *context);

/* Ends one live (or still saving) stake; takes over the reference to `result`. false: it had ended before. */
bool registry_end(struct registry *registry, struct registration *registration, struct result *result);
/* Ends all live stakes of a future with the server's last word, which later registrations will be given too
 * when `sticky`; takes over the reference. */
void registry_end_future(struct registry *registry, struct future *future, struct result *result,
			 bool sticky);
/* The stake ends as `cancelled`. false: it had ended before. */
bool registry_cancel(struct registry *registry, struct registration *registration, int64_t wall);
/* The owner has the outcome: forget it. Only an ENDED one can be acknowledged; false otherwise. */
bool registry_ack(struct registry *registry, struct registration *registration);
/* A reply with the outcome reached the peer's kernel: the shorter retention starts, and it is the first to
 * go when room is needed. */
void registry_delivered(struct registry *registry, struct registration *registration, int64_t now);

/* The store has answered for all batches up to `ticket`: announce, or take back. An end that could not be
 * stored waits until there is space again. */
void registry_settle(struct registry *registry, uint64_t ticket, bool stored, int64_t now);

/* Room. */

/* While the disk is full nothing new is taken, and results wait in memory, unannounced. When it no longer is,
 * they are stored. */
void registry_set_disk_full(struct registry *registry, bool full);
/* New limits: makes room by them. */
void registry_set_limits(struct registry *registry, const struct registry_limits *limits);
/* No further result should be retrieved, because it could not be kept: the store is full, or as much waits
 * for the disk as may. */
bool registry_is_stuck(const struct registry *registry);
/* The outcomes of this uid take as much room as they may. */
bool registry_uid_is_full(struct registry *registry, uid_t uid);
/* Why a new registration of this uid is refused now. */
enum registry_refusal { REFUSAL_NONE, REFUSAL_COUNT, REFUSAL_SHARE, REFUSAL_STORE_FULL, REFUSAL_DISK_FULL };
enum registry_refusal registry_refusal(struct registry *registry, uid_t uid);
/* The body of this result is no longer on the disk: who has it begins anew. */
void registry_body_lost(struct registry *registry, const struct result *result, int64_t now);

/* The connection is gone: linked stakes that no other connection holds end as cancelled. */
void registry_unlink_peer(struct registry *registry, uid_t uid, uint64_t peer, int64_t wall);

/* An error that is the server's own last word on a future (request_failed, validation, 404, 410): it stays
 * the answer when somebody registers again. */
bool error_is_last_word(const struct error *error);

/* A poll of this future is over: it is freed if nobody has registered it any more. */
void registry_reap(struct registry *registry, struct future *future);

#endif
