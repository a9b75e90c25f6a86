/*
 * An intrusive, chained hash table. Nodes live inside the objects they find; the table owns only its bucket
 * array and grows by doubling. The doubled half is filled little by little, by later insertions, so that no
 * insertion ever moves more than a few chains. Hashes of anything a peer chooses are keyed (see
 * hash_bytes()).
 *
 * All nodes stand in buckets[0] to buckets[mask]: that is how to walk over all of them.
 */
#ifndef TINKEX_CORE_TABLE_H
#define TINKEX_CORE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_node {
	struct table_node *next;
	uint64_t hash;
};

struct table {
	struct table_node **buckets;
	size_t mask;  /* number of buckets - 1 */
	size_t split; /* private: chains of the lower half that have been shared out to the upper one */
	size_t count; /* nodes in it */
};

/* SipHash-1-3 of `seed` and `size` bytes under a 16-byte key. */
uint64_t hash_bytes(const uint8_t key[16], const void *data, size_t size, uint64_t seed);
/* A good mix of a number that nobody outside chooses. */
uint64_t hash_u64(uint64_t value);

/* Aborts when memory is gone. */
void table_init(struct table *table);
/* Frees the buckets, not the nodes. */
void table_release(struct table *table);
/* Never fails: without memory to grow, chains get longer. Must not be called while walking. */
void table_insert(struct table *table, struct table_node *node, uint64_t hash);
/* `node` must be in the table. */
void table_remove(struct table *table, struct table_node *node);
/* First node of the chain with this hash, then the following ones: the caller compares. NULL: none. */
struct table_node *table_find(const struct table *table, uint64_t hash);
struct table_node *table_find_next(const struct table_node *node);

#endif
