/*
 * Have we seen this name in this object before?
 *
 * A name is remembered as 64 bits: its SipHash under the process's secret key, mixed with the number of its
 * object. Two different names look alike once in 2^64, and nobody who does not know the key can look for such
 * names. Up to LINEAR_MAX names are compared one by one; beyond that a table of indices is set up, which
 * starts small and doubles, so that clearing and filling it costs what the members of this text need and no
 * more.
 */
#include "json_names.h"

#include <string.h>

#define LINEAR_MAX 32
#define TABLE_MIN  128 /* entries; a power of two, at least 2 * (LINEAR_MAX + 1) */

void json_names_init(struct json_names *names, const uint8_t key[16])
{
	memcpy(names->key, key, sizeof(names->key));
	json_names_clear(names);
}

void json_names_clear(struct json_names *names)
{
	names->count = 0;
	names->filter = 0;
	names->table_size = 0;
}

static bool find_linear(struct json_names *names, uint64_t hash)
{
	uint64_t bit = UINT64_C(1) << (hash >> 58);

	if (!(names->filter & bit)) {
		names->filter |= bit;
		return false;
	}
	for (uint32_t i = 0; i < names->count; i++)
		if (names->hash[i] == hash)
			return true;
	return false;
}

/* Where `hash` stands in the table, or the free entry where it would. At least half of the entries are free.
 */
static uint32_t find_slot(const struct json_names *names, uint64_t hash)
{
	uint32_t mask = names->table_size - 1;
	uint32_t slot = (uint32_t)hash & mask;

	while (names->table[slot] && names->hash[names->table[slot] - 1] != hash)
		slot = (slot + 1) & mask;
	return slot;
}

static void grow_table(struct json_names *names)
{
	names->table_size = names->table_size ? names->table_size * 2 : TABLE_MIN;
	memset(names->table, 0, names->table_size * sizeof(names->table[0]));
	for (uint32_t i = 0; i < names->count; i++)
		names->table[find_slot(names, names->hash[i])] = (uint16_t)(i + 1);
}

enum json_error json_names_add(struct json_names *names, uint64_t hash, uint64_t scope)
{
	hash ^= scope * UINT64_C(0x9e3779b97f4a7c15); /* odd, so that no two objects share a value */
	if (names->count == JSON_STRICT_MEMBERS)
		return JSON_ERROR_MEMBERS;
	if (names->count < LINEAR_MAX) {
		if (find_linear(names, hash))
			return JSON_ERROR_DUPLICATE;
	} else {
		if (2 * (names->count + 1) > names->table_size)
			grow_table(names);

		uint32_t slot = find_slot(names, hash);

		if (names->table[slot])
			return JSON_ERROR_DUPLICATE;
		names->table[slot] = (uint16_t)(names->count + 1);
	}
	names->hash[names->count++] = hash;
	return JSON_OK;
}
