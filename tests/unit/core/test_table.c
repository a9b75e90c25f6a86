/* The hash table against a plain array, with hashes that collide, and its hash functions against known sums.
 */
#include <string.h>

#include "../proto/test_run.h"
#include "core/table.h"
#include "must.h"
#include "proto/attributes.h"

struct thing {
	int number;
	bool in_table;
	uint64_t hash;
	struct table_node node;
};

static uint32_t random_state;

static uint32_t random_below(uint32_t limit)
{
	random_state = random_state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(random_state >> 8) * limit >> 24);
}

static struct thing *find(const struct table *table, uint64_t hash, int number)
{
	struct table_node *node = table_find(table, hash);

	for (; node; node = table_find_next(node)) {
		struct thing *thing = container_of(node, struct thing, node);

		must(node->hash == hash);
		if (thing->number == number)
			return thing;
	}
	return NULL;
}

static void assert_same(const struct table *table, struct thing *things, size_t n_things)
{
	size_t count = 0, walked = 0;

	for (size_t i = 0; i < n_things; i++) {
		must(find(table, things[i].hash, things[i].number) ==
		     (things[i].in_table ? &things[i] : NULL));
		count += things[i].in_table;
	}
	ck_assert_uint_eq(table->count, count);
	for (size_t i = 0; i <= table->mask; i++) {
		for (struct table_node *node = table->buckets[i]; node; node = node->next)
			walked += container_of(node, struct thing, node)->in_table;
	}
	ck_assert_uint_eq(walked, count);
}

/* Random insertions and removals; `growth` in 16 insertions. */
static void play(struct table *table, struct thing *things, size_t n_things, int rounds, uint32_t growth)
{
	for (int round = 0; round < rounds; round++) {
		struct thing *thing = &things[random_below((uint32_t)n_things)];

		if (thing->in_table && random_below(16) >= growth) {
			table_remove(table, &thing->node);
			thing->in_table = false;
		} else if (!thing->in_table) {
			table_insert(table, &thing->node, thing->hash);
			thing->in_table = true;
		}
		if (round % 1997 == 0)
			assert_same(table, things, n_things);
	}
	assert_same(table, things, n_things);
}

#define THINGS 2000

/* Hashes from all different down to three values for all, and ones that differ only in high bits. */
static uint64_t hash_of(int number, int kind)
{
	switch (kind) {
	case 0:
		return hash_u64((uint64_t)number);
	case 1:
		return (uint64_t)number;
	case 2:
		return hash_u64((uint64_t)number % 40);
	case 3:
		return (uint64_t)number << 50;
	case 4:
		return (uint64_t)number % 3;
	default:
		return (uint64_t)number << 11 | 5;
	}
}

START_TEST(finds_what_is_in_it)
{
	static struct thing things[THINGS];

	for (int kind = 0; kind < 6; kind++) {
		struct table table;

		random_state = 4711 + (uint32_t)kind;
		table_init(&table);
		for (int i = 0; i < THINGS; i++)
			things[i] = (struct thing){.number = i, .hash = hash_of(i, kind)};
		assert_same(&table, things, THINGS);
		play(&table, things, THINGS, 6000, 12);
		play(&table, things, THINGS, 4000, 0);
		play(&table, things, THINGS, 6000, 16);
		for (int i = 0; i < THINGS; i++) {
			if (things[i].in_table)
				table_remove(&table, &things[i].node);
			things[i].in_table = false;
		}
		assert_same(&table, things, THINGS);
		table_release(&table);
		ck_assert_uint_eq(table.count, 0);
	}
}
END_TEST

static size_t longest_chain(const struct table *table)
{
	size_t longest = 0;

	for (size_t i = 0; i <= table->mask; i++) {
		size_t length = 0;

		for (struct table_node *node = table->buckets[i]; node; node = node->next)
			length++;
		longest = length > longest ? length : longest;
	}
	return longest;
}

START_TEST(chains_stay_short_while_it_grows)
{
	enum { N = 200000 };
	struct thing *things = calloc(N, sizeof(*things));
	struct table table;

	table_init(&table);
	for (int i = 0; i < N; i++) {
		things[i].number = i;
		table_insert(&table, &things[i].node, hash_u64((uint64_t)i));
		if ((i & (i + 1)) == 0 || i % 30011 == 0)
			ck_assert_uint_le(longest_chain(&table), 16);
	}
	ck_assert_uint_ge(table.mask + 1, N / 2);
	ck_assert_uint_le(table.mask + 1, 2 * N);
	for (int i = 0; i < N; i++)
		must(find(&table, hash_u64((uint64_t)i), i) == &things[i]);
	ck_assert_ptr_null(table_find(&table, hash_u64(N)));
	table_release(&table);
	free(things);
}
END_TEST

/* Sums of SipHash-1-3 by CPython 3.11, which uses it for bytes: the seed 7 as eight bytes, then the data. */
START_TEST(bytes_are_hashed_by_siphash_1_3)
{
	static const uint8_t keys[2][16] = {
		{0},
		{0xaf, 0x90, 0xcd, 0x68, 0xd3, 0x4f, 0x50, 0xdc, 0xc1, 0xe9, 0x99, 0xfe, 0x9f, 0xbb, 0x20,
		 0xb9},
	};
	static const struct {
		size_t size;
		uint64_t sums[2];
	} known[] = {
		{0, {UINT64_C(0x6634b0bda4fe8a7b), UINT64_C(0xd4b959e41e29433a)}},
		{1, {UINT64_C(0xddaf2e656ae18a6c), UINT64_C(0x5648908405b2eafa)}},
		{7, {UINT64_C(0x9d551ee2b62a3dfa), UINT64_C(0x66d00c5e4d4f5722)}},
		{8, {UINT64_C(0x76479320fc302cbe), UINT64_C(0x6a0a28f74784c663)}},
		{9, {UINT64_C(0xdf88c42d0ac35bbe), UINT64_C(0x7aa7dca29ab7a0b0)}},
	};
	uint8_t bytes[64];

	for (size_t key = 0; key < 2; key++) {
		for (size_t i = 0; i < ARRAY_LEN(known); i++) {
			const char *data = known[i].size == 1 ? "a" : "123456789";

			ck_assert_uint_eq(hash_bytes(keys[key], data, known[i].size, 7), known[i].sums[key]);
		}
	}
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	ck_assert_uint_eq(hash_bytes(keys[0], bytes, 64, 7), UINT64_C(0x26cb94caa33914d7));
	ck_assert_uint_eq(hash_bytes(keys[1], bytes, 64, 7), UINT64_C(0x3a131f6b3e0dcbf2));
	ck_assert_uint_ne(hash_bytes(keys[1], bytes, 64, 8), UINT64_C(0x3a131f6b3e0dcbf2));
}
END_TEST

START_TEST(numbers_spread_over_low_and_high_bits)
{
	unsigned low[256] = {0}, high[256] = {0};

	for (uint64_t i = 0; i < 256 * 64; i++) {
		low[hash_u64(i) & 255]++;
		high[hash_u64(i << 32) >> 56]++;
	}
	for (int i = 0; i < 256; i++) {
		ck_assert_uint_ge(low[i], 20);
		ck_assert_uint_le(low[i], 128);
		ck_assert_uint_ge(high[i], 20);
		ck_assert_uint_le(high[i], 128);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		finds_what_is_in_it,
		chains_stay_short_while_it_grows,
		bytes_are_hashed_by_siphash_1_3,
		numbers_spread_over_low_and_high_bits,
	};

	return RUN_SUITE("table", tests);
}
