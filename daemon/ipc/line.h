/*
 * One line for a peer while it is being written: text, with bodies spliced in by reference so that a result
 * of any size is never copied. Knows no socket; output.h sends it.
 */
#ifndef TINKEX_IPC_LINE_H
#define TINKEX_IPC_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/result.h"
#include "proto/attributes.h"
#include "proto/buffer.h"

/* Most text of one line, bodies by reference not counted. The largest reply, 1,000 outcomes or futures with
 * their longest members, stays below it. */
#define LINE_TEXT_MAX ((size_t)8 * 1024 * 1024)

/* Told once what became of a line. `sent`: the kernel took the whole of it; otherwise the peer went before.
 * Frees itself. Embedded in whatever has to know. */
struct receipt {
	void (*done)(struct receipt *receipt, bool sent);
};

/* Bytes of a result that stand in the line before text[at]. */
struct line_piece {
	size_t at;
	struct result *holder; /* owned reference; keeps `data` alive */
	const char *data;
	size_t size;
	bool base64; /* goes out encoded, with quotes around it */
};

struct line {
	struct buffer text;
	struct line_piece *pieces; /* owned; rising in `at` */
	size_t n_pieces, capacity;
	struct receipt *receipt; /* owned; may be NULL */
	bool no_memory;
};

/* Allocates nothing. */
void line_init(struct line *line);
/* Lets go of everything; a receipt is told that the line was not sent. */
void line_release(struct line *line);
/* Puts bytes that `holder` owns at the present end of the text. Takes its own reference. */
void line_splice(struct line *line, struct result *holder, const char *data, size_t size, bool base64);
/* 0, or why the line cannot go out: -ENOMEM, -EMSGSIZE. */
int line_error(const struct line *line);

#endif
