/*
 * The methods of the local protocol: one table row each, one handler each. Takes a request line's parts,
 * works on the core, answers. Identity is the peer's uid; nothing here trusts anything else.
 */
#ifndef TINKEX_IPC_COMMANDS_H
#define TINKEX_IPC_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/bus.h"
#include "core/metrics.h"
#include "core/registry.h"
#include "core/scheduler.h"
#include "parcel.h"
#include "proto/message.h"
#include "sys/loop.h"

struct call;
struct peer;
struct reader;

TAILQ_HEAD(call_list, call);

/* What the handlers work on: everything is borrowed from the composition root. */
struct commands {
	struct loop *loop;
	struct registry *registry;
	struct scheduler *scheduler;
	struct metrics *metrics;
	struct bus *bus;
	struct endpoint **endpoints;
	size_t n_endpoints;
	struct json_names *names; /* scratch for strict scanning */
	char instance[33];        /* random, per start */
	int64_t started;          /* monotonic */
	uint64_t inline_result_bytes;
	struct reader *reader; /* NULL: all results are in memory */
	bool stopping;         /* new work is refused with shutting_down */
	/* what only the edge knows of an endpoint; installed by the composition root (ipc must not reach into
	 * upstream) */
	void (*upstream_status)(void *context, const struct endpoint *endpoint, uint32_t *ret_connections,
				unsigned *ret_http_version);
	/* A stored body cannot be read: -ENOENT, it is not there; -EIO. May be told several times of one. */
	void (*body_lost)(void *context, struct result *result, int error);
	void *context;
	/* private: calls that have not been answered */
	struct call_list held;    /* until the store has answered; by ticket */
	struct call_list waiting; /* for something else */
	size_t outstanding;       /* in both */
	struct parcels parcels;
};

/* No calls yet: peers_init() does this, before anybody is let in. */
void commands_init(struct commands *commands);
/* Carries out one line of a peer. Never fails: what is wrong is answered. */
void commands_line(struct commands *commands, struct peer *peer, const char *line, size_t size);
/* A line that was longer than allowed. */
void commands_line_too_long(struct commands *commands, struct peer *peer);
/* The peer has room again: calls that had something to say go on, in turn, until it is full. */
void commands_resume(struct commands *commands, struct peer *peer);
/* The peer is gone: its calls are dropped, its linked registrations end. */
void commands_peer_gone(struct commands *commands, struct peer *peer);
/* All batches up to `ticket` are settled: held replies go out, with the error `storage` if they were not
 * stored. */
void commands_settle(struct commands *commands, uint64_t ticket, bool stored);
/* Replies are held for the store, or for descriptors that are being opened. */
bool commands_owed(const struct commands *commands);
/* Going down: every outstanding await is answered with shutting_down; new calls are refused. */
void commands_drain(struct commands *commands);

#endif
