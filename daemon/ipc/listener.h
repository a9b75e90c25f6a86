/*
 * The listening socket and the peers it accepted: who is let in, how many, and the flush at the end of a
 * turn.
 */
#ifndef TINKEX_IPC_LISTENER_H
#define TINKEX_IPC_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "commands.h"
#include "proto/attributes.h"
#include "sys/loop.h"

struct listener;

struct listener_settings {
	const char *path; /* socket file */
	mode_t mode;
	gid_t group; /* (gid_t)-1: leave */
	int fd; /* >= 0: a listening socket handed over by the service manager; path is then only for messages
		 */
	uint32_t max_peers, max_peers_per_uid;
	uint64_t max_peer_memory; /* bytes queued over all peers */
};

/* Binds (a stale socket file is replaced, a live one is refused with -EADDRINUSE) and listens. Negative errno
 * with a sentence in *ret_message, freed by the caller. */
_must_check_ int listener_new(const struct listener_settings *settings, struct commands *commands,
			      struct loop *loop, struct metrics *metrics, struct listener **ret_listener,
			      char **ret_message);
/* Closes all peers; removes the socket file if it was bound here. */
struct listener *listener_free(struct listener *listener);
/* No further peers; those that are here go on. */
void listener_stop_accepting(struct listener *listener);
/* New limits after a reload. */
void listener_set_limits(struct listener *listener, uint32_t max_peers, uint32_t max_peers_per_uid,
			 uint64_t max_peer_memory);
/* Writes what is queued, once per peer and turn. Call it last in the turn. */
void listener_flush(struct listener *listener);
/* Bytes that are queued for peers that still read. */
bool listener_owes(const struct listener *listener);
size_t listener_peers(const struct listener *listener);

#endif
