/*
 * Deterministic numbers: FNV-1a over text and splitmix64. Everything that looks random in the simulator comes
 * from here, so that a seed (or a request id) fixes it. README.md documents both, tests compute the same in
 * Python.
 */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* FNV-1a, 64 bits, over `size` bytes. */
static inline uint64_t random_hash(const char *text, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
	return hash;
}

/* The next number of the splitmix64 stream whose state is `*state`. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* A number in [low, high]; needs low <= high and a span below 2^64. */
static inline uint64_t random_between(uint64_t *state, uint64_t low, uint64_t high)
{
	return low + random_next(state) % (high - low + 1);
}

#endif
