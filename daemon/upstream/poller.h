/*
 * One poll: builds the request of a future, runs it as a transfer, reads the answer as it arrives, and says
 * what it meant. A result too large for memory goes to the spool while it arrives, and is told when its file
 * is durable. The only user of http.h and credential.h. Knows futures by their ids only.
 */
#ifndef TINKEX_UPSTREAM_POLLER_H
#define TINKEX_UPSTREAM_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/endpoint.h"
#include "core/metrics.h"
#include "core/result.h"
#include "core/scheduler.h"
#include "store/spool.h"
#include "sys/config.h"
#include "sys/loop.h"

struct poller;
struct upstream; /* one endpoint's: its http pool and its credential */

struct poller_operations {
	/* The request went out. */
	void (*sent)(void *context, uint64_t future);
	/* The transfer is over and removed, and the file of a result that has one is durable. What `report`
	 * says is the time of the answer's end. `outcome` is released by the poller afterwards,
	 * report->result unreferenced unless stolen. */
	void (*done)(void *context, uint64_t future, struct outcome *outcome, struct poll_report *report);
	/* An endpoint's key appeared, changed or went. */
	void (*key_changed)(void *context, struct endpoint *endpoint, bool have_key);
	/* The id of the result that an answer may become, never used before. From inside curl: must not call
	 * this module. Not used without a spool. */
	uint64_t (*new_result_id)(void *context);
};

/* curl_global_init() belongs to it. `spool`: for bodies over SPOOL_THRESHOLD; NULL: they stay in memory.
 * `keeper`: of the results in its files; NULL: nobody has to know of their end. Both outlive the poller. 0 or
 * negative errno. */
_must_check_ int poller_new(struct loop *loop, struct metrics *metrics,
			    const struct poller_operations *operations, void *context,
			    uint64_t max_result_bytes, struct spool *spool, struct result_keeper *keeper,
			    struct poller **ret_poller);
/* Aborts whatever is in flight, and drops results whose files are not durable yet; no callbacks. While the
 * spool's worker still runs. */
struct poller *poller_free(struct poller *poller);

/* Makes an upstream by the configuration, with everything that can fail: 0, or a negative errno with a
 * sentence in *ret_message, freed by the caller. It is attached or discarded afterwards. */
_must_check_ int poller_prepare(struct poller *poller, const struct config_endpoint *config,
				struct upstream **ret_upstream, char **ret_message);
/* For one that was not attached. Takes and returns NULL. */
struct upstream *poller_discard(struct upstream *upstream);
/* Gives an endpoint its upstream (endpoint->upstream), or a new one after a reload: polls in flight on the
 * old one end as they would have. Takes over `upstream`. Keeps endpoint->capacity up to date from then on. */
void poller_attach(struct poller *poller, struct endpoint *endpoint, struct upstream *upstream);
void poller_detach(struct poller *poller, struct endpoint *endpoint);
bool poller_have_key(const struct endpoint *endpoint);

/* A new limit after a reload; results that are arriving are measured by it, too. */
void poller_set_max_result_bytes(struct poller *poller, uint64_t max_result_bytes);

/* As spool_operations.congested: while nothing more should be taken in, no socket is served, and no timeout
 * runs. Polls that are started meanwhile go out afterwards. May be called from anywhere. */
void poller_set_congested(struct poller *poller, bool congested);

/* As scheduler_operations.start_poll and abort_poll. */
bool poller_start(struct poller *poller, const struct poll_request *request);
bool poller_abort(struct poller *poller, uint64_t future);

/* For `endpoints` and `stats`. */
struct upstream_status {
	uint32_t connections;  /* open now */
	unsigned http_version; /* 0: not known yet, 11, 20 */
};
void poller_status(const struct endpoint *endpoint, struct upstream_status *ret_status);
/* Polls whose end is still to be told. */
size_t poller_in_flight(const struct poller *poller);

#endif
