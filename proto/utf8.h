/*
 * UTF-8, one byte at a time: what may follow a first byte, and how a code point is written. Strict: no
 * overlong forms, no surrogates, nothing above U+10FFFF. Knows nothing of JSON.
 */
#ifndef TINKEX_PROTO_UTF8_H
#define TINKEX_PROTO_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A sequence that has begun: `left` more bytes, the next of which is in low..high. left 0: none has. */
struct utf8 {
	uint8_t left, low, high;
};

/* Begins the sequence that starts with `byte` (>= 0x80); false: no sequence does. */
static inline bool utf8_begin(struct utf8 *utf8, uint8_t byte)
{
	struct utf8 next = {.low = 0x80, .high = 0xbf};

	if (byte < 0xc2 || byte > 0xf4)
		return false;
	if (byte < 0xe0) {
		next.left = 1;
	} else if (byte < 0xf0) {
		next.left = 2;
		if (byte == 0xe0)
			next.low = 0xa0; /* overlong below */
		if (byte == 0xed)
			next.high = 0x9f; /* surrogates above */
	} else {
		next.left = 3;
		if (byte == 0xf0)
			next.low = 0x90; /* overlong below */
		if (byte == 0xf4)
			next.high = 0x8f; /* above U+10FFFF */
	}
	*utf8 = next;
	return true;
}

/* Goes on with `byte` while utf8->left is not 0; false: it does not belong there. */
static inline bool utf8_continue(struct utf8 *utf8, uint8_t byte)
{
	if (byte < utf8->low || byte > utf8->high)
		return false;
	*utf8 = (struct utf8){.left = (uint8_t)(utf8->left - 1), .low = 0x80, .high = 0xbf};
	return true;
}

/* Writes `code` (a code point that is no surrogate) to `out`; returns its 1 to 4 bytes. */
static inline size_t utf8_encode(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

static inline bool utf16_is_high(uint32_t unit)
{
	return (unit & 0xfc00) == 0xd800;
}

static inline bool utf16_is_low(uint32_t unit)
{
	return (unit & 0xfc00) == 0xdc00;
}

/* The code point of a surrogate pair. */
static inline uint32_t utf16_join(uint32_t high, uint32_t low)
{
	return 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
}

#define UTF8_REPLACEMENT 0xfffd /* stands for what cannot be written */

#endif
