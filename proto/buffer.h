/*
 * A growing run of bytes with a stated maximum.
 *
 * Every buffer that a peer or a server can make grow is one of these, so that its bound stands where it is
 * made. Appending is sticky: after the first failure (no memory, or past the maximum) further appends do
 * nothing and buffer_error() tells why; writers append freely and look once at the end.
 */
#ifndef TINKEX_PROTO_BUFFER_H
#define TINKEX_PROTO_BUFFER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "attributes.h"

struct buffer {
	char *data;      /* owned; not NUL-terminated; NULL while empty */
	size_t size;     /* bytes in use */
	size_t capacity; /* bytes allocated */
	size_t max;      /* most bytes it may ever hold */
	int error;       /* 0, -ENOMEM or -EMSGSIZE */
};

#define BUFFER_INIT(max_)                                                                                    \
	{                                                                                                    \
		.max = (max_)                                                                                \
	}

/* Makes `buffer` empty with the given maximum in bytes; allocates nothing. */
void buffer_init(struct buffer *buffer, size_t max);
/* Gives the memory back; the buffer is empty again and keeps its maximum. */
void buffer_release(struct buffer *buffer);
/* Forgets contents and error but keeps the memory. */
void buffer_clear(struct buffer *buffer);

/* Room for `extra` more bytes. 0, -ENOMEM, -EMSGSIZE (and the error sticks). */
int buffer_reserve(struct buffer *buffer, size_t extra);
/* Appends bytes, a NUL-terminated string, or formatted text (never adds the NUL). */
void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_puts(struct buffer *buffer, const char *text);
void buffer_putc(struct buffer *buffer, char c);
void buffer_printf(struct buffer *buffer, const char *format, ...) _printf_(2, 3);
/* Removes `size` bytes from the front. */
void buffer_consume(struct buffer *buffer, size_t size);

/* 0, or the first failure since buffer_init()/buffer_clear(). */
static inline int buffer_error(const struct buffer *buffer)
{
	return buffer->error;
}

/* Takes the memory out of the buffer (caller frees it with free()), shrunk to its size and with a NUL behind
 * it; NULL with errno-style *ret_error when appending had failed. The buffer is empty afterwards. */
char *buffer_steal(struct buffer *buffer, size_t *ret_size, int *ret_error);

#endif
