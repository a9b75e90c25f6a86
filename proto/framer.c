/*
 * Framing: finds the LFs, and gets over lines that are too long. Looks at no other byte.
 */
#include "framer.h"

#include <stdint.h>
#include <string.h>

#define ROOM_MIN ((size_t)4 * 1024)
#define ROOM_MAX ((size_t)64 * 1024)

void framer_init(struct framer *framer, size_t line_max)
{
	size_t max = line_max > SIZE_MAX - ROOM_MIN ? SIZE_MAX : line_max + ROOM_MIN;

	*framer = (struct framer){.buffer = BUFFER_INIT(max), .line_max = line_max, .room = ROOM_MIN};
}

void framer_release(struct framer *framer)
{
	buffer_release(&framer->buffer);
	framer_init(framer, framer->line_max);
}

/* Forgets the bytes that were handed out. */
static void drop_parsed(struct framer *framer)
{
	buffer_consume(&framer->buffer, framer->parsed);
	framer->scanned -= framer->parsed;
	framer->parsed = 0;
}

char *framer_space(struct framer *framer, size_t *ret_size)
{
	struct buffer *buffer = &framer->buffer;
	size_t room, left;

	if (framer->parsed)
		drop_parsed(framer);
	if (buffer->size == 0 && buffer->capacity > framer->room)
		buffer_release(buffer); /* a long line or a burst is over */
	left = buffer->max - buffer->size;
	room = framer->room < left ? framer->room : left;
	if (room == 0 || buffer_reserve(buffer, room) < 0) {
		buffer->error = 0;
		return NULL;
	}
	*ret_size = room;
	return buffer->data + buffer->size;
}

void framer_commit(struct framer *framer, size_t size)
{
	framer->buffer.size += size;
	if (size >= framer->room)
		framer->room = framer->room < ROOM_MAX / 4 ? framer->room * 4 : ROOM_MAX;
	else if (size < framer->room / 4)
		framer->room = framer->room / 4 > ROOM_MIN ? framer->room / 4 : ROOM_MIN;
}

/* Takes the bytes up to `end` as handed out. */
static void advance(struct framer *framer, size_t end)
{
	framer->parsed = end;
	framer->scanned = end;
}

/* No LF so far: throws away what is there if it cannot become a line any more. */
static enum framer_result unfinished(struct framer *framer)
{
	struct buffer *buffer = &framer->buffer;
	bool was_skipping = framer->skipping;

	framer->scanned = buffer->size;
	if (buffer->size - framer->parsed > framer->line_max)
		framer->skipping = true;
	if (framer->skipping)
		framer->parsed = buffer->size;
	return framer->skipping && !was_skipping ? FRAMER_TOO_LONG : FRAMER_MORE;
}

enum framer_result framer_next(struct framer *framer, char **ret_line, size_t *ret_size)
{
	struct buffer *buffer = &framer->buffer;

	for (;;) {
		size_t start = framer->parsed, unseen = buffer->size - framer->scanned, size;
		const char *lf = unseen ? memchr(buffer->data + framer->scanned, '\n', unseen) : NULL;

		if (!lf)
			return unfinished(framer);
		size = (size_t)(lf - buffer->data) - start;
		advance(framer, start + size + 1);
		if (framer->skipping) {
			framer->skipping = false; /* the end of a line that was told */
			continue;
		}
		if (size > framer->line_max)
			return FRAMER_TOO_LONG;
		*ret_line = buffer->data + start;
		*ret_size = size;
		return FRAMER_LINE;
	}
}

void framer_trim(struct framer *framer)
{
	if (framer->parsed == framer->buffer.size) {
		buffer_release(&framer->buffer);
		advance(framer, 0);
	}
}

size_t framer_pending(const struct framer *framer)
{
	return framer->buffer.size - framer->parsed;
}
