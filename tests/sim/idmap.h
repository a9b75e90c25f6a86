/*
 * A hash map from text (request ids, session ids) to things that embed a node. It owns neither keys nor
 * things, and stays fast however many are put in and taken out. Knows nothing of what it holds.
 */
#ifndef SIM_IDMAP_H
#define SIM_IDMAP_H

#include <stddef.h>
#include <stdint.h>

/* Embedded in the thing. `key` belongs to the thing and must live as long as it is in the map. */
struct idmap_node {
	struct idmap_node *next;
	uint64_t hash;
	const char *key;
};

struct idmap {
	struct idmap_node **buckets; /* owned; a power of two, or NULL while empty */
	size_t n_buckets;
	size_t count;
};

/* The node with this key, or NULL. */
struct idmap_node *idmap_find(const struct idmap *map, const char *key);
/* Puts `node` in under node->key, which must not be there yet. 0 or -ENOMEM. */
int idmap_add(struct idmap *map, struct idmap_node *node);
/* Takes out a node that is in the map. */
void idmap_remove(struct idmap *map, struct idmap_node *node);
/* Takes out any node and returns it; NULL once empty: the way to empty a map. `*cursor` starts at 0. */
struct idmap_node *idmap_pop(struct idmap *map, size_t *cursor);
/* Calls `visit` for each node; `visit` may remove the node it is given. */
void idmap_each(struct idmap *map, void (*visit)(struct idmap_node *node, void *arg), void *arg);
/* Gives the buckets back. The map must be empty. */
void idmap_release(struct idmap *map);

#endif
