/*
 * The growing run of bytes. It knows its maximum and nothing of what the bytes mean.
 */
#include "buffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 64

void buffer_init(struct buffer *buffer, size_t max)
{
	*buffer = (struct buffer)BUFFER_INIT(max);
}

void buffer_release(struct buffer *buffer)
{
	free(buffer->data);
	buffer_init(buffer, buffer->max);
}

void buffer_clear(struct buffer *buffer)
{
	buffer->size = 0;
	buffer->error = 0;
}

/* The capacity to grow to: at least `need`, by doubling, but not past the maximum for nothing. */
static size_t next_capacity(const struct buffer *buffer, size_t need)
{
	size_t capacity = buffer->capacity > SIZE_MAX / 2 ? SIZE_MAX : buffer->capacity * 2;

	if (capacity < CAPACITY_MIN)
		capacity = CAPACITY_MIN;
	if (capacity > buffer->max)
		capacity = buffer->max;
	return capacity < need ? need : capacity;
}

int buffer_reserve(struct buffer *buffer, size_t extra)
{
	size_t capacity;
	char *data;

	if (buffer->error)
		return buffer->error;
	if (extra <= buffer->capacity - buffer->size)
		return 0;
	if (extra > buffer->max - buffer->size)
		return buffer->error = -EMSGSIZE;
	capacity = next_capacity(buffer, buffer->size + extra);
	data = realloc(buffer->data, capacity);
	if (!data)
		return buffer->error = -ENOMEM;
	buffer->data = data;
	buffer->capacity = capacity;
	return 0;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
	if (buffer_reserve(buffer, size) < 0 || !size)
		return;
	memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
}

void buffer_puts(struct buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text));
}

void buffer_putc(struct buffer *buffer, char c)
{
	buffer_append(buffer, &c, 1);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
	char text[256];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (size < 0) { /* only a conversion that cannot be written; there is nothing to append */
		if (!buffer->error)
			buffer->error = -ENOMEM;
		return;
	}
	if ((size_t)size < sizeof(text)) {
		buffer_append(buffer, text, (size_t)size);
		return;
	}

	_cleanup_(buffer_release) struct buffer whole = BUFFER_INIT(SIZE_MAX);

	/* Printed aside, because the NUL needs room that the maximum may not give. */
	if (buffer_reserve(&whole, (size_t)size + 1) < 0) {
		if (!buffer->error)
			buffer->error = -ENOMEM;
		return;
	}
	va_start(args, format);
	vsnprintf(whole.data, (size_t)size + 1, format, args);
	va_end(args);
	buffer_append(buffer, whole.data, (size_t)size);
}

void buffer_consume(struct buffer *buffer, size_t size)
{
	if (size >= buffer->size) {
		buffer->size = 0;
		return;
	}
	memmove(buffer->data, buffer->data + size, buffer->size - size);
	buffer->size -= size;
}

char *buffer_steal(struct buffer *buffer, size_t *ret_size, int *ret_error)
{
	int error = buffer->error;
	size_t size = buffer->size;
	char *data = error ? NULL : realloc(buffer->data, size + 1);

	if (data)
		buffer->data = NULL; /* it is the caller's now */
	buffer_release(buffer);
	if (!data) {
		if (ret_error)
			*ret_error = error ? error : -ENOMEM;
		return NULL;
	}
	data[size] = 0;
	if (ret_size)
		*ret_size = size;
	return data;
}
