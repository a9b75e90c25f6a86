/*
 * One line for a peer while it is being written: text, with bodies in it by reference so that a result of any
 * size is never copied, nor read before it is sent. Knows no socket; output.h sends it.
 */
#ifndef TINKEX_IPC_LINE_H
#define TINKEX_IPC_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/result.h"
#include "proto/attributes.h"
#include "proto/buffer.h"

struct parcel;

/* Most text of one line, bodies by reference not counted. The largest reply, 1,000 outcomes or futures with
 * their longest members, stays below it. */
#define LINE_TEXT_MAX ((size_t)8 * 1024 * 1024)

/* Told once what became of a line. `sent`: the kernel took the whole of it; otherwise the peer went before.
 * Frees itself. Embedded in whatever has to know. */
struct receipt {
	void (*done)(struct receipt *receipt, bool sent);
};

/* The body of a result, all of it, that stands in the line before text[at]. */
struct line_piece {
	size_t at;
	struct result *holder; /* owned reference */
	struct blob *memory;   /* owned reference: the body as it is in memory, which the result may drop at
				  any time; NULL: it has to be read from the disk */
	bool base64;           /* goes out encoded, with quotes around it */
	/* While the line's descriptors go with it, this stands in place of text[from..at) and of the body.
	 * Owned; NULL: it goes inline in any case, and from == at. */
	char *instead;
	size_t from;
};

struct line {
	struct buffer text;
	struct line_piece *pieces; /* owned; rising in `at` */
	size_t n_pieces, capacity;
	struct parcel *parcel;   /* owned: descriptors that go with it; may be NULL */
	struct receipt *receipt; /* owned; may be NULL */
	bool no_memory;
};

/* Allocates nothing. */
void line_init(struct line *line);
/* Lets go of everything; a receipt is told that the line was not sent. */
void line_release(struct line *line);
/* Puts the body of `holder` at the present end of the text. Takes its own references. */
void line_splice(struct line *line, struct result *holder, bool base64);
/* The same for a body of which the line has a descriptor: `instead` (copied) is what goes out in place of
 * the text from `from` on and of the body, unless the kernel refuses the descriptors. */
void line_pass(struct line *line, struct result *holder, bool base64, size_t from, const char *instead);
/* 0, or why the line cannot go out: -ENOMEM, -EMSGSIZE. */
int line_error(const struct line *line);

#endif
