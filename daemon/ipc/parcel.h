/*
 * Descriptors of bodies that go to a peer with one line: opened ahead of the line, closed when they are with
 * the kernel or the line is dropped. Knows no JSON and no socket.
 */
#ifndef TINKEX_IPC_PARCEL_H
#define TINKEX_IPC_PARCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/result.h"
#include "store/reader.h"

#define PARCEL_MAX           16 /* descriptors with one line */
/* Descriptors that are open at the same time for one peer, and for all: what is beyond goes inline. Peers
 * that read never come near them. */
#define PARCELS_PER_PEER_MAX 64
#define PARCELS_MAX          256

/* What all parcels have in common. Starts as zeroes. */
struct parcels {
	size_t descriptors; /* open, or being opened */
	size_t opening;     /* parcels that are not complete */
};

struct parcel;

/* One body that goes by descriptor. */
struct passed {
	size_t index;    /* of the outcome, among those of its line */
	int fd;          /* -1: being opened, or that failed */
	uint64_t offset; /* where the body begins in it */
};

/* An empty one. `peer_descriptors` counts those of the peer; both outlive the parcel. `complete` is called
 * once, when all that was added is opened or has failed to; it may free the parcel. Never NULL. */
struct parcel *parcel_new(struct parcels *parcels, size_t *peer_descriptors, struct reader *reader,
			  void (*complete)(void *context), void *context);
/* Closes what is open, gives up what is being opened. Takes and returns NULL. */
struct parcel *parcel_free(struct parcel *parcel);
/* Has the body opened; `index` rises from call to call. False: there is no room for one more. */
bool parcel_add(struct parcel *parcel, size_t index, struct result *result);
/* Something is still being opened. NULL: no. */
bool parcel_is_opening(const struct parcel *parcel);
/* The descriptor of the outcome at `index`; NULL: it has none (the parcel may be NULL too). */
const struct passed *parcel_find(const struct parcel *parcel, size_t index);
/* Copies the descriptors that are open, in the order of their outcomes; how many. They stay the parcel's. */
size_t parcel_descriptors(const struct parcel *parcel, int ret_fds[PARCEL_MAX]);

#endif
