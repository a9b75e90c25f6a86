/*
 * A server that behaves like the real thing: sessions, models and long operations that are submitted, pass
 * through queue states, and finish after a while; some fail. Everything is fixed by the seed and the order of
 * submissions, except the moments. Two nouns: lifelike.c has the futures and their polls, submit.c what
 * creates them.
 */
#ifndef SIM_LIFELIKE_H
#define SIM_LIFELIKE_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "answer.h"
#include "exchange.h"
#include "http.h"
#include "results.h"

enum hold_answer {
	HOLD_TRY_AGAIN,
	HOLD_408,
	HOLD_MIXED,
};

struct lifelike_options {
	uint64_t seed;
	unsigned min_ms, max_ms; /* how long a request takes */
	unsigned fail_percent;
	bool fail_server; /* failures are of category server instead of user */
	unsigned hold_ms; /* how long a poll is held at most */
	enum hold_answer hold_answer;
	uint64_t metadata_above; /* bytes; larger results announce themselves first */
	unsigned forget_ms;      /* how long a result lives once given; 0: for ever */
	bool decimal_ids;        /* 1, 2, 3…, and 500 for other ids, as SkyRL has it */
};

struct idmap;
struct lifelike;

/* NULL when there is no memory. */
struct lifelike *lifelike_new(struct event_base *base, const struct lifelike_options *options);
/* No exchange may be left. Takes NULL, returns NULL. */
struct lifelike *lifelike_free(struct lifelike *lifelike);

/* Answers a poll of `id`, now or later. The exchange is the lifelike server's from here on. */
void lifelike_poll(struct lifelike *lifelike, struct exchange *exchange, const char *id,
		   bool allow_metadata_only);
/* Answers `POST …/api/v1/<name>`: a new reference, or NULL when there is no memory. */
struct answer *lifelike_submit(struct lifelike *lifelike, const char *name, struct http_text body);

/*
 * For submit.c: a new future that starts at `start_us` or later; takes over what `spec` owns, also on
 * failure. Its id is *ret_id, valid as long as the future; *ret_done_us is when it will be done. 0 or
 * -ENOMEM.
 */
_must_check_ int lifelike_add(struct lifelike *lifelike, struct result_spec *spec, uint64_t start_us,
			      const char **ret_id, uint64_t *ret_done_us);
/* For submit.c: a fresh name like "session-0123456789abcdef", into `text`. */
void lifelike_name(struct lifelike *lifelike, const char *kind, char *text, size_t size);
/* For submit.c: what it remembers. */
struct idmap *lifelike_things(struct lifelike *lifelike);
/* In submit.c: forgets all sessions and models. */
void submit_clear(struct idmap *things);

#endif
