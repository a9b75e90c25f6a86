/*
 * Where the bytes of an answer's body come from: memory, or a generator that makes a JSON object of any size
 * out of a request id, piece by piece. README.md documents the generator; tests compute the same bytes in
 * Python.
 */
#ifndef SIM_BODY_H
#define SIM_BODY_H

#include <stddef.h>
#include <stdint.h>

enum {
	BODY_BLOCK = 1024,      /* the pad is made of blocks of this size */
	BODY_COUNTER = 16,      /* each starts with its number in hexadecimal */
	BODY_GENERATED_MIN = 26 /* the object with an empty pad */
};

struct body {
	const char *bytes; /* somebody else's, or NULL: generated */
	uint64_t size;
	uint64_t position;
	char pattern[BODY_BLOCK - BODY_COUNTER];
};

/* A body out of `size` bytes that must outlive it. */
void body_from_bytes(struct body *body, const char *bytes, uint64_t size);
/* A body of exactly `size` >= BODY_GENERATED_MIN bytes that depends on `id` alone. */
void body_generate(struct body *body, const char *id, uint64_t size);
/* Takes the next bytes, at most `room`; returns how many, 0 at the end. */
size_t body_read(struct body *body, char *into, size_t room);

#endif
