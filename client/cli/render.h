/* What people see: text without control characters, times, tables, colours. Knows no daemon. */
#ifndef TINKEXCTL_RENDER_H
#define TINKEXCTL_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "output.h"

#define _cleanup_(f)       __attribute__((cleanup(f)))
#define _printf_(fmt, arg) __attribute__((format(printf, fmt, arg)))

/* For _cleanup_ of what malloc() gave. */
void freep(void *pointer);

/* Writes "tinkexctl: …" and a line end to stderr, cleaned but for line ends. Always false: `return
 * complain(…)`. */
bool complain(const char *format, ...) _printf_(1, 2);
/* The same as a remark: not for what went wrong. */
void remark(const char *format, ...) _printf_(1, 2);
/* Called before anything is written to stderr; the progress line is taken away by it. NULL: nothing. */
void render_set_hook(void (*hook)(void));

/* A copy of `text` that is safe for a terminal and stays on one line: control characters (C0, DEL, C1), line
 * breaks and marks that turn the direction of writing become spaces, invalid UTF-8 becomes "?". Allocated;
 * NULL: no memory, or `text` was NULL. */
char *render_clean(const char *text);
/* Length of the valid UTF-8 sequence at `s`, and its code point; 0: there is none. */
size_t render_sequence(const unsigned char *s, uint32_t *ret_code);
/* How many columns `text` takes, taking every character for one column wide. */
size_t render_width(const char *text);

/* "350 ms", "12 s", "3 m 12 s", "2 h 5 m", "4 d 3 h". Writes into `buffer`, which it returns. */
#define RENDER_TIME_MAX 32
const char *render_time(int64_t ms, char buffer[RENDER_TIME_MAX]);

enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_BAD, COLOUR_WAIT, COLOUR_HEAD };
/* Colours are used: stdout is a terminal and $NO_COLOR is not set. */
bool render_has_colours(void);
/* The sequences around a coloured text; "" without colours. */
const char *render_colour(enum colour colour);
const char *render_colour_end(void);

/* A table: rows of cells, laid out when all are known. A column that has no value in any row is left out. On
 * a terminal that is too narrow columns are cut and left out as they say; the first one always stays. */
struct render_column {
	const char *head;
	size_t least;  /* it may be cut down to this width, in its middle; 0: it is never cut */
	unsigned rank; /* those of the highest rank are left out first; 0: only if nothing else helps */
};
struct render_table;
struct render_table *render_table_new(size_t n_columns, const struct render_column *columns);
/* Adds a row; cells are cleaned and copied, NULL: no value. */
void render_table_add(struct render_table *table, const char *const *cells, enum colour colour);
size_t render_table_rows(const struct render_table *table);
/* Writes it, with heads, to `output`; nothing if there are no rows. */
void render_table_write(const struct render_table *table, struct output *output);
void render_table_free(struct render_table *table);
static inline void render_table_freep(struct render_table **table)
{
	render_table_free(*table);
}

#endif
