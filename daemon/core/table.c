#include "table.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "proto/siphash.h"

#define BUCKETS_MIN       16
#define SPLITS_PER_INSERT 2 /* one would just do to be ready for the next doubling */

uint64_t hash_bytes(const uint8_t key[16], const void *data, size_t size, uint64_t seed)
{
	struct siphash hash;
	uint64_t words[2];

	memcpy(words, key, sizeof(words));
	words[0] = le64toh(words[0]);
	words[1] = le64toh(words[1]);
	seed = htole64(seed);
	siphash_init(&hash, words);
	siphash_update(&hash, (const char *)&seed, sizeof(seed));
	siphash_update(&hash, data, size);
	return siphash_final(&hash);
}

/* The finalizer of SplitMix64. */
uint64_t hash_u64(uint64_t value)
{
	value += UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

void table_init(struct table *table)
{
	*table = (struct table){
		.buckets = xzalloc(BUCKETS_MIN * sizeof(struct table_node *)),
		.mask = BUCKETS_MIN - 1,
		.split = BUCKETS_MIN / 2,
	};
}

void table_release(struct table *table)
{
	free(table->buckets);
	*table = (struct table){0};
}

static size_t half_of(const struct table *table)
{
	return (table->mask + 1) / 2;
}

static struct table_node **bucket_of(const struct table *table, uint64_t hash)
{
	size_t lower = (size_t)hash & table->mask >> 1;

	return &table->buckets[lower < table->split ? (size_t)hash & table->mask : lower];
}

/* Shares the chain of the next bucket of the lower half out between it and its counterpart, in its order. */
static void split_next(struct table *table)
{
	size_t half = half_of(table), lower = table->split++;
	struct table_node *node = table->buckets[lower];
	struct table_node **low_end = &table->buckets[lower], **high_end = &table->buckets[lower + half];

	for (; node; node = node->next) {
		struct table_node ***end = node->hash & half ? &high_end : &low_end;

		**end = node;
		*end = &node->next;
	}
	*low_end = NULL;
	*high_end = NULL;
}

static void grow(struct table *table)
{
	size_t size = table->mask + 1;
	struct table_node **buckets = reallocarray(table->buckets, size * 2, sizeof(struct table_node *));

	if (!buckets)
		return;
	memset(buckets + size, 0, size * sizeof(struct table_node *));
	table->buckets = buckets;
	table->mask = size * 2 - 1;
	table->split = 0;
}

void table_insert(struct table *table, struct table_node *node, uint64_t hash)
{
	struct table_node **bucket;

	if (table->count > table->mask && table->split == half_of(table))
		grow(table);
	for (int i = 0; i < SPLITS_PER_INSERT && table->split < half_of(table); i++)
		split_next(table);
	bucket = bucket_of(table, hash);
	node->hash = hash;
	node->next = *bucket;
	*bucket = node;
	table->count++;
}

void table_remove(struct table *table, struct table_node *node)
{
	struct table_node **at = bucket_of(table, node->hash);

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	node->next = NULL;
	table->count--;
}

static struct table_node *first_match(struct table_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct table_node *table_find(const struct table *table, uint64_t hash)
{
	return first_match(*bucket_of(table, hash), hash);
}

struct table_node *table_find_next(const struct table_node *node)
{
	return first_match(node->next, node->hash);
}
