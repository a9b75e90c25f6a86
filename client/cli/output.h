/*
 * Standard output, with errors that are noticed: what was handed over may be acknowledged only after
 * output_flush() said so. Knows no table and no daemon.
 */
#ifndef TINKEXCTL_OUTPUT_H
#define TINKEXCTL_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

struct output {
	int fd;
	bool is_terminal;
	int error; /* negative errno of the first failure; then nothing more is written */
	size_t size;
	char data[64 * 1024];
	unsigned char held[3]; /* a character that is not complete, in output_json() */
	size_t n_held;
};

/* For file descriptor 1. */
void output_init(struct output *output);
void output_write(struct output *output, const void *data, size_t size);
void output_text(struct output *output, const char *text);
void output_printf(struct output *output, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes JSON text byte for byte, unless it goes to a terminal: there, characters in strings that a terminal
 * would obey are written as \u escapes. Suits tinkex_write_fn; `output` is a struct output. 0, or 1 after an
 * error. */
int output_json(const void *data, size_t size, void *output);
/* The same, byte for byte always. */
int output_bytes(const void *data, size_t size, void *output);
/* Writes what is left. 0, or the negative errno of the first failure. */
int output_flush(struct output *output);

#endif
