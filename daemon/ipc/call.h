/*
 * A call that has not been answered: held until the store has answered, or waiting for futures. It belongs to
 * a peer and goes with it. What the call is about is its handler's: struct call stands at the head of the
 * handler's own struct.
 */
#ifndef TINKEX_IPC_CALL_H
#define TINKEX_IPC_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "line.h"
#include "parcel.h"
#include "proto/message.h"

#define CALLS_MAX      1024   /* outstanding calls of a peer; beyond them it is not read from */
#define WAIT_ITEMS_MAX 100000 /* futures that one peer's calls may wait for at the same time */

struct call;
struct commands;
struct peer;

struct call_operations {
	/* Say what can be said, as long as the peer has room (peer_full()). Called again when it has some.
	 * May end the call. */
	void (*pump)(struct call *call);
	/* A held call's batch is settled. Ends the call. NULL for those that are never held. */
	void (*settled)(struct call *call, bool stored);
	/* The daemon goes down: a call that would wait ends now. NULL for those that never wait. */
	void (*drain)(struct call *call);
	/* Frees the whole struct and what it holds; no reply. */
	void (*destroy)(struct call *call);
};

enum call_state {
	CALL_HELD,    /* answered when the batch `ticket` is settled */
	CALL_WAITING, /* answered when what it waits for has happened */
};

struct call {
	const struct call_operations *operations;
	struct commands *commands;
	struct peer *peer;
	LIST_ENTRY(call) in_peer;
	TAILQ_ENTRY(call) in_commands; /* commands->held (by ticket) or commands->waiting */
	TAILQ_ENTRY(call) in_stalled;  /* while `stalled` */
	uint64_t ticket;
	size_t memory;       /* bytes that it holds, as far as the peer chose their number */
	size_t owed;         /* about how long its reply will be, if that is soon */
	uint32_t wait_items; /* futures that it waits for */
	uint8_t state;       /* enum call_state */
	bool stalled;        /* has something to say, and the peer no room for it */
	struct message_id id;
};

/* The outstanding calls of one peer; part of the peer. */
struct peer_calls {
	LIST_HEAD(, call) all;
	TAILQ_HEAD(, call) stalled; /* in the order in which they will go on */
	uint32_t count, wait_items;
	size_t memory, owed;
	size_t descriptors; /* open for its outcomes, until the kernel has them */
};
void peer_calls_init(struct peer_calls *calls);

/* Makes `call` (zeroed by the caller but for memory, owed and wait_items) outstanding. */
void call_begin(struct call *call, const struct call_operations *operations, struct commands *commands,
		struct peer *peer, const struct message_id *id);
/* The reply waits for the store batch. */
void call_hold(struct call *call, uint64_t ticket);
/* No room for what is to be said: pump() is called when there is. */
void call_stall(struct call *call);
/* No longer outstanding: takes it out of all lists and destroys it. */
void call_end(struct call *call);

/* The outcome goes by descriptor to whoever accepts that. */
bool call_may_pass(const struct commands *commands, const struct result *result);
/* For such outcomes: an empty parcel that calls back with `call`. */
struct parcel *call_new_parcel(struct call *call, void (*complete)(void *context));
/* Adds the outcome at `index` of the message, if it is such a one and there is room. */
void call_pass(const struct call *call, struct parcel *parcel, size_t index, struct result *result);

/* Starts the line of a reply where the value of "result" goes. */
void call_reply_begin(const struct call *call, struct line *line);
/* Ends the line and sends it, or the error `internal` if it could not be made. */
void call_reply_send(const struct call *call, struct line *line);
void call_reply_error(const struct call *call, enum proto_error error);

#endif
