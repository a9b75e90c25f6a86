#include "links.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

void links_drop(struct registration *registration)
{
	if (!registration->links)
		return;
	LIST_REMOVE(registration->links, in_owner);
	free(registration->links);
	registration->links = NULL;
}

/* Room for one more: the block moves, and with it its place in the owner's list. */
static struct registration_links *grow(struct registration *registration)
{
	const struct registration_links *old = registration->links;
	uint32_t capacity = old ? old->capacity * 2 : 1;
	struct registration_links *links = xzalloc(sizeof(*links) + capacity * sizeof(links->peers[0]));

	links->registration = registration;
	links->capacity = capacity;
	if (old) {
		links->count = old->count;
		memcpy(links->peers, old->peers, old->count * sizeof(old->peers[0]));
		links_drop(registration);
	}
	LIST_INSERT_HEAD(&registration->owner->linked, links, in_owner);
	return registration->links = links;
}

void links_add(struct registration *registration, uint64_t peer)
{
	struct registration_links *links = registration->links;

	for (uint32_t i = 0; links && i < links->count; i++) {
		if (links->peers[i] == peer)
			return;
	}
	if (!links || links->count == links->capacity)
		links = grow(registration);
	links->peers[links->count++] = peer;
}

uint32_t links_remove(struct registration_links *links, uint64_t peer)
{
	for (uint32_t i = 0; i < links->count; i++) {
		if (links->peers[i] == peer) {
			links->peers[i] = links->peers[--links->count];
			break;
		}
	}
	return links->count;
}
