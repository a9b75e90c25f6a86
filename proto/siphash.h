/*
 * SipHash-1-3, keyed and fed in pieces: hashes that nobody without the key can make collide. The sum depends
 * on the bytes only, not on how they were cut into pieces.
 */
#ifndef TINKEX_PROTO_SIPHASH_H
#define TINKEX_PROTO_SIPHASH_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct siphash {
	uint64_t v[4];
	uint64_t tail; /* the bytes that do not fill a word yet, the first one lowest */
	uint64_t size; /* bytes so far; the lowest three bits say how many are in `tail` */
};

static inline uint64_t siphash_rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void siphash_round(struct siphash *hash)
{
	uint64_t a = hash->v[0], b = hash->v[1], c = hash->v[2], d = hash->v[3];

	a += b;
	c += d;
	b = siphash_rotate(b, 13) ^ a;
	d = siphash_rotate(d, 16) ^ c;
	a = siphash_rotate(a, 32);
	c += b;
	a += d;
	b = siphash_rotate(b, 17) ^ c;
	d = siphash_rotate(d, 21) ^ a;
	c = siphash_rotate(c, 32);
	hash->v[0] = a;
	hash->v[1] = b;
	hash->v[2] = c;
	hash->v[3] = d;
}

static inline void siphash_word(struct siphash *hash, uint64_t word)
{
	hash->v[3] ^= word;
	siphash_round(hash);
	hash->v[0] ^= word;
}

static inline void siphash_init(struct siphash *hash, const uint64_t key[2])
{
	hash->v[0] = key[0] ^ UINT64_C(0x736f6d6570736575);
	hash->v[1] = key[1] ^ UINT64_C(0x646f72616e646f6d);
	hash->v[2] = key[0] ^ UINT64_C(0x6c7967656e657261);
	hash->v[3] = key[1] ^ UINT64_C(0x7465646279746573);
	hash->tail = 0;
	hash->size = 0;
}

static inline void siphash_byte(struct siphash *hash, uint8_t byte)
{
	hash->tail |= (uint64_t)byte << (hash->size & 7) * 8;
	if ((++hash->size & 7) == 0) {
		siphash_word(hash, hash->tail);
		hash->tail = 0;
	}
}

/* Up to 7 bytes as the lowest ones of a word, without a loop: both halves are read, where they overlap they
 * agree. */
static inline uint64_t siphash_load(const char *data, size_t size)
{
	const uint8_t *byte = (const uint8_t *)data;

	if (size >= 4) {
		uint32_t low, high;

		memcpy(&low, data, sizeof(low));
		memcpy(&high, data + size - 4, sizeof(high));
		return le32toh(low) | (uint64_t)le32toh(high) << (size - 4) * 8;
	}
	if (size == 0)
		return 0;
	return byte[0] | (uint64_t)byte[size / 2] << size / 2 * 8 |
	       (uint64_t)byte[size - 1] << (size - 1) * 8;
}

static inline void siphash_update(struct siphash *hash, const char *data, size_t size)
{
	for (; size && hash->size & 7; size--)
		siphash_byte(hash, (uint8_t)*data++);
	if (!size)
		return;
	hash->size += size;
	for (; size >= 8; data += 8, size -= 8) {
		uint64_t word;

		memcpy(&word, data, sizeof(word));
		siphash_word(hash, le64toh(word));
	}
	hash->tail = siphash_load(data, size);
}

/* The hash; the state must be set up anew afterwards. */
static inline uint64_t siphash_final(struct siphash *hash)
{
	siphash_word(hash, hash->tail | hash->size << 56);
	hash->v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		siphash_round(hash);
	return hash->v[0] ^ hash->v[1] ^ hash->v[2] ^ hash->v[3];
}

#endif
