/*
 * Lines out of a byte stream: the framing of the local protocol, for both sides.
 *
 * A line ends with LF; a CR before it belongs to it (JSON takes it as white space). A line longer than the
 * limit is reported once, when its beginning is thrown away, and skipped up to its LF; the stream goes on.
 * Memory: one partial line and what is read with it, never more than the limit + 4 KiB; framer_trim() gives
 * it back.
 *
 * The order of calls: framer_space(), read, framer_commit(), framer_next() until it says FRAMER_MORE,
 * framer_trim().
 */
#ifndef TINKEX_PROTO_FRAMER_H
#define TINKEX_PROTO_FRAMER_H

#include <stdbool.h>
#include <stddef.h>

#include "buffer.h"

#define FRAMER_REQUEST_MAX (1024 * 1024) /* longest request line, LF not counted */

struct framer {
	struct buffer buffer;
	size_t line_max;
	size_t parsed;  /* bytes of the buffer already handed out */
	size_t scanned; /* bytes already searched for LF */
	size_t room;    /* bytes to offer to the next read: more while reads fill it */
	bool skipping;  /* inside a line that is too long, which framer_next() has already told */
};

enum framer_result { FRAMER_LINE, FRAMER_TOO_LONG, FRAMER_MORE };

/* `line_max`: longest line in bytes without its LF; SIZE_MAX: bounded by memory only (a client that trusts
 * its daemon). Allocates nothing. */
void framer_init(struct framer *framer, size_t line_max);
/* Gives the memory back; afterwards it is as after framer_init(). */
void framer_release(struct framer *framer);
/* Room to read into: at least 1 byte, usually 4 to 64 KiB, the framer's own. Invalidates lines handed out
 * before. NULL: no memory; the framer is unchanged, and asking again later is allowed. */
char *framer_space(struct framer *framer, size_t *ret_size);
/* `size` bytes were written to what framer_space() gave. */
void framer_commit(struct framer *framer, size_t size);
/* The next complete line without its LF, in the framer's memory; valid until the next framer_space() or
 * framer_trim(). An empty line is a line of size 0. FRAMER_TOO_LONG: one line was, or is being, skipped.
 * FRAMER_MORE: feed first. */
enum framer_result framer_next(struct framer *framer, char **ret_line, size_t *ret_size);
/* Gives the memory back if nothing unfinished is in it: for a stream that may stay silent now. Invalidates
 * lines handed out before. */
void framer_trim(struct framer *framer);
/* After FRAMER_MORE: bytes held of an unfinished line, which is lost when the stream ends here. 0 for one
 * that is too long, since that was told. */
size_t framer_pending(const struct framer *framer);

#endif
