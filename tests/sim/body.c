/* Body bytes; see body.h. */
#include "body.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "random.h"

static const char prefix[] = "{\"type\":\"sample\",\"pad\":\"";
static const char suffix[] = "\"}";

enum {
	PREFIX = sizeof prefix - 1,
	SUFFIX = sizeof suffix - 1,
	WORD = 16, /* hexadecimal digits of 64 bits */
};
_Static_assert(PREFIX + SUFFIX == BODY_GENERATED_MIN, "the smallest generated body is the frame");
_Static_assert((BODY_BLOCK - BODY_COUNTER) % WORD == 0, "the pattern is whole words");

static void write_hex(char *into, uint64_t value)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = WORD - 1; i >= 0; i--, value >>= 4)
		into[i] = digits[value & 15];
}

void body_from_bytes(struct body *body, const char *bytes, uint64_t size)
{
	body->bytes = bytes ? bytes : "";
	body->size = size;
	body->position = 0;
}

void body_generate(struct body *body, const char *id, uint64_t size)
{
	uint64_t state = random_hash(id, strlen(id));

	body->bytes = NULL;
	body->size = size;
	body->position = 0;
	for (size_t i = 0; i < sizeof body->pattern; i += WORD)
		write_hex(body->pattern + i, random_next(&state));
}

static size_t copy_some(char *into, size_t room, const char *from, size_t have)
{
	size_t n = have < room ? have : room;

	memcpy(into, from, n);
	return n;
}

/* The longest run from `body->position` that lies in one piece: frame, counter or pattern. */
static size_t read_generated(const struct body *body, char *into, size_t room)
{
	uint64_t pad_end = body->size - SUFFIX;
	uint64_t at = body->position;
	size_t offset, n;

	if (at < PREFIX)
		return copy_some(into, room, prefix + at, (size_t)(PREFIX - at));
	if (at >= pad_end)
		return copy_some(into, room, suffix + (at - pad_end), (size_t)(body->size - at));
	if (room > pad_end - at)
		room = (size_t)(pad_end - at);
	at -= PREFIX;
	offset = (size_t)(at % BODY_BLOCK);
	if (offset < BODY_COUNTER) {
		char counter[BODY_COUNTER];

		write_hex(counter, at / BODY_BLOCK);
		n = copy_some(into, room, counter + offset, BODY_COUNTER - offset);
	} else {
		n = copy_some(into, room, body->pattern + (offset - BODY_COUNTER), BODY_BLOCK - offset);
	}
	return n;
}

size_t body_read(struct body *body, char *into, size_t room)
{
	size_t done = 0;

	while (done < room && body->position < body->size) {
		size_t left = room - done;
		size_t n;

		if (body->bytes) {
			uint64_t have = body->size - body->position;

			n = copy_some(into + done, left, body->bytes + body->position,
				      have < left ? (size_t)have : left);
		} else {
			n = read_generated(body, into + done, left);
		}
		body->position += n;
		done += n;
	}
	return done;
}
