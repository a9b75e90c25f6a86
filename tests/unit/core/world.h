/*
 * The core put together without a world around it: a virtual clock, a store that settles when it is told to,
 * and a server that answers from a script. Hours of backoff pass in milliseconds.
 */
#ifndef TINKEX_TESTS_WORLD_H
#define TINKEX_TESTS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/metrics.h"
#include "core/registry.h"
#include "core/scheduler.h"
#include "core/waiter.h"

#define MS(n)   ((int64_t)(n)*USEC_PER_MSEC)
#define SEC(n)  ((int64_t)(n)*USEC_PER_SEC)
#define ME      1000
#define SOMEONE 1001

#define MAX_SCRIPT 64
#define MAX_POLLS  4096
#define MAX_EVENTS 8192

/* One answer of the server. */
struct scripted {
	bool refused;    /* the connection is refused */
	unsigned status; /* HTTP status; 0: 200 */
	const char *body;
	const char *content_type; /* NULL: application/json */
	const char *retry_after, *retry_after_ms;
	int64_t held; /* microseconds from request to first byte; TIME_NEVER: never answers */
	bool key_changed;
};

struct script {
	char request_id[32];
	struct scripted answers[MAX_SCRIPT];
	size_t n, next;
	bool repeat; /* the last answer again and again */
};

struct world_poll {
	char request_id[32];
	struct endpoint *endpoint;
	uint64_t future;
	uint32_t iteration;
	bool allow_metadata_only, fresh_connection;
	int64_t start, end; /* end: 0 while in flight */
	int64_t answers_at; /* virtual time of the answer */
	struct scripted answer;
	bool timed_out, aborted, begun; /* begun: an abort is refused */
};

struct world_event {
	enum event_kind kind;
	char request_id[32];
	enum queue_state state;
	char reason[128];
	int64_t at;
};

struct world {
	int64_t now;
	struct timers timers;
	struct bus bus;
	struct bus_subscriber subscriber;
	struct metrics metrics;
	struct registry *registry;
	struct scheduler *scheduler;
	struct endpoint *endpoints[4];
	size_t n_endpoints;
	struct script scripts[64];
	size_t n_scripts;
	struct world_poll polls[MAX_POLLS];
	size_t n_polls;
	size_t overlaps, max_in_flight; /* two polls of one future at once; most at once */
	struct world_event events[MAX_EVENTS];
	size_t n_events;
	/* store */
	uint64_t ticket;    /* of the open batch */
	uint64_t settled;   /* up to here */
	bool dirty;         /* something is in the open batch */
	bool store_stopped; /* nothing settles */
	bool store_fails;   /* what settles was not stored */
	size_t saves, ends, removes, deliveries, evictions;
};

struct world *world_new(enum profile_name profile);
struct world *world_free(struct world *world);
/* A further endpoint. */
struct endpoint *world_endpoint(struct world *world, const char *name, enum profile_name profile);

/* The server's answers to one id, in order; a poll after the last fails the test unless `repeat`. */
void world_script(struct world *world, const char *request_id, bool repeat, const struct scripted *answers,
		  size_t n);
#define SCRIPT(world, id, ...)                                                                               \
	world_script(world, id, false, (const struct scripted[]){__VA_ARGS__},                               \
		     sizeof((const struct scripted[]){__VA_ARGS__}) / sizeof(struct scripted))
#define SCRIPT_REPEAT(world, id, ...)                                                                        \
	world_script(world, id, true, (const struct scripted[]){__VA_ARGS__},                                \
		     sizeof((const struct scripted[]){__VA_ARGS__}) / sizeof(struct scripted))

#define PENDING                                                                                              \
	{                                                                                                    \
		.body = "{\"status\":\"pending\"}"                                                           \
	}
#define COMPLETED(result)                                                                                    \
	{                                                                                                    \
		.body = "{\"status\":\"completed\",\"result\":" result "}"                                   \
	}
#define BODY(text)                                                                                           \
	{                                                                                                    \
		.body = text                                                                                 \
	}
#define STATUS(code, text)                                                                                   \
	{                                                                                                    \
		.status = (code), .body = text                                                               \
	}
#define REFUSED                                                                                              \
	{                                                                                                    \
		.refused = true                                                                              \
	}

/* Registers with these options (NULL: none) and lets the store settle; fails the test on an error. */
struct registration *world_register(struct world *world, uid_t uid, const char *request_id,
				    const struct registration_options *options);
struct registration *world_register_at(struct world *world, struct endpoint *endpoint, uid_t uid,
				       const char *request_id, const struct registration_options *options);
enum proto_error world_try_register(struct world *world, uid_t uid, const char *request_id,
				    const struct registration_options *options,
				    struct register_answer *ret_answer);

/* One turn at the present time: timers, polls, store. */
void world_turn(struct world *world);
/* Turns until nothing happens before `until` (virtual time), which is then the time. */
void world_run_until(struct world *world, int64_t until);
/* Turns until the registration has ended (true) or `limit` of virtual time has passed (false). */
bool world_run_to_end(struct world *world, struct registration *registration, int64_t limit);

/* Polls of one id; the k-th of them. */
size_t world_poll_count(const struct world *world, const char *request_id);
const struct world_poll *world_poll(const struct world *world, const char *request_id, size_t k);
/* Time between the end of the k-th poll of the id and the start of the next. */
int64_t world_slept(const struct world *world, const char *request_id, size_t k);
size_t world_event_count(const struct world *world, enum event_kind kind, const char *request_id);
const struct world_event *world_event(const struct world *world, enum event_kind kind, size_t k);

#endif
