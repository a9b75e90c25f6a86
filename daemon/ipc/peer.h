/*
 * A connected local process: reads its lines and has them carried out, keeps what it is owed and writes it as
 * the socket drains, and sees to it that no peer makes another wait. Knows no method.
 *
 * Work comes round in turns: a peer whose socket is readable joins the end of the busy list, and each gets
 * its share of a turn before the first gets more. Output is written once per peer and turn, by peers_flush().
 *
 * A peer ends only from the loop or from peers_flush(), never inside a handler: peer_doom() marks it, and
 * whatever is sent to it from then on is dropped.
 */
#ifndef TINKEX_IPC_PEER_H
#define TINKEX_IPC_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "call.h"
#include "core/metrics.h"
#include "line.h"
#include "proto/attributes.h"
#include "sys/loop.h"

struct commands;
struct event;
struct peer;

/* Who is at the other end, as the kernel says. */
struct peer_identity {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	gid_t *groups; /* supplementary ones; malloc'ed, may be NULL */
	size_t n_groups;
};

#define PEER_OWED_HIGH ((size_t)1024 * 1024) /* more text owed than this: the peer is not read from */
#define PEER_OWED_LOW  (PEER_OWED_HIGH / 2)  /* ... until it is down to this */
/* The same for bodies that its replies keep in memory: those that come later are read from the disk. */
#define PEER_HELD_HIGH ((size_t)8 * 1024 * 1024)
#define PEER_HELD_LOW  (PEER_HELD_HIGH / 2)
#define PEER_HARD_CAP  ((size_t)8 * 1024 * 1024) /* more text queued than this: the peer is closed */

TAILQ_HEAD(peer_list, peer);

/* What all peers have in common. Lives in the listener. */
struct peers {
	struct loop *loop;
	struct commands *commands;
	struct metrics *metrics;
	void (*gone)(void *context, const struct peer_identity *identity); /* may be NULL */
	void *context;
	struct peer_list all, busy, dirty; /* everybody; with input to work on; with output to look after */
	size_t count, n_busy, n_dirty;
	uint64_t memory, max_memory; /* bytes held for all peers: what is queued, unfinished lines, calls */
	size_t hard_cap;             /* PEER_HARD_CAP */
	uint64_t last_id;
	size_t turn_left;   /* what may still be carried out in this turn, in bytes of input */
	struct event *work; /* the turn's work on the busy list */
	bool work_due;
};

/* 0 or -ENOMEM. Everything is borrowed and outlives the peers. */
_must_check_ int peers_init(struct peers *peers, struct loop *loop, struct commands *commands,
			    struct metrics *metrics, uint64_t max_memory);
/* Closes all of them. */
void peers_release(struct peers *peers);
/* Writes what is queued, once per peer, and ends the peers that are over. Last in the turn. */
void peers_flush(struct peers *peers);
/* A new limit; what is above it now ends. */
void peers_set_max_memory(struct peers *peers, uint64_t max_memory);
/* Something is queued for a peer that still reads. */
bool peers_owe(const struct peers *peers);

/* A peer on a connected, non-blocking socket. Takes over `fd` and identity->groups, in failure too. NULL: no
 * memory. */
struct peer *peer_new(struct peers *peers, int fd, const struct peer_identity *identity);
/* Ends at the end of this turn at the latest, without further words. `reason`: static text for the log. */
void peer_doom(struct peer *peer, const char *reason);

/* Never used twice in a daemon's life; never 0. */
uint64_t peer_id(const struct peer *peer);
const struct peer_identity *peer_identity(const struct peer *peer);
struct peers *peer_peers(const struct peer *peer);
struct peer_calls *peer_calls(struct peer *peer);
/* A call began or ended: what it holds counts. */
void peer_calls_changed(struct peer *peer);
/* It has registered something that is to end with it. */
void peer_set_linked(struct peer *peer);
bool peer_is_linked(const struct peer *peer);

/* Queues a line and takes over what it holds. */
void peer_send(struct peer *peer, struct line *line);
/* As much is owed to it as may be: what can wait, waits. */
bool peer_full(const struct peer *peer);

#endif
