/* Chained hash map over embedded nodes; see idmap.h. */
#include "idmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

enum { FIRST_BUCKETS = 64 };

static struct idmap_node **bucket_of(const struct idmap *map, uint64_t hash)
{
	return &map->buckets[hash & (map->n_buckets - 1)];
}

static int grow(struct idmap *map)
{
	size_t wanted = map->n_buckets ? map->n_buckets * 2 : FIRST_BUCKETS;
	struct idmap old = *map;
	struct idmap_node **buckets = calloc(wanted, sizeof *buckets);

	if (!buckets)
		return -ENOMEM;
	map->buckets = buckets;
	map->n_buckets = wanted;
	for (size_t i = 0; i < old.n_buckets; i++) {
		struct idmap_node *node = old.buckets[i];

		while (node) {
			struct idmap_node *next = node->next;
			struct idmap_node **bucket = bucket_of(map, node->hash);

			node->next = *bucket;
			*bucket = node;
			node = next;
		}
	}
	free(old.buckets);
	return 0;
}

struct idmap_node *idmap_find(const struct idmap *map, const char *key)
{
	uint64_t hash;

	if (map->count == 0)
		return NULL;
	hash = random_hash(key, strlen(key));
	for (struct idmap_node *node = *bucket_of(map, hash); node; node = node->next)
		if (node->hash == hash && strcmp(node->key, key) == 0)
			return node;
	return NULL;
}

int idmap_add(struct idmap *map, struct idmap_node *node)
{
	struct idmap_node **bucket;

	if (map->count >= map->n_buckets) {
		int error = grow(map);

		if (error < 0)
			return error;
	}
	node->hash = random_hash(node->key, strlen(node->key));
	bucket = bucket_of(map, node->hash);
	node->next = *bucket;
	*bucket = node;
	map->count++;
	return 0;
}

void idmap_remove(struct idmap *map, struct idmap_node *node)
{
	struct idmap_node **at = bucket_of(map, node->hash);

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	node->next = NULL;
	map->count--;
}

struct idmap_node *idmap_pop(struct idmap *map, size_t *cursor)
{
	for (; map->count > 0 && *cursor < map->n_buckets; (*cursor)++) {
		struct idmap_node *node = map->buckets[*cursor];

		if (node) {
			map->buckets[*cursor] = node->next;
			map->count--;
			return node;
		}
	}
	return NULL;
}

void idmap_each(struct idmap *map, void (*visit)(struct idmap_node *node, void *arg), void *arg)
{
	for (size_t i = 0; i < map->n_buckets; i++) {
		struct idmap_node *node = map->buckets[i];

		while (node) {
			struct idmap_node *next = node->next;

			visit(node, arg);
			node = next;
		}
	}
}

void idmap_release(struct idmap *map)
{
	free(map->buckets);
	*map = (struct idmap){0};
}
