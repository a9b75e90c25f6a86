/*
 * Writing JSON into a buffer: escaping, numbers, and where commas go. Errors stick to the buffer.
 */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_lex.h"
#include "json_text.h"

static void put_escape(struct buffer *buffer, unsigned char c)
{
	static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
	const char *found = memchr(special, c, sizeof(special) - 1);
	char text[7];

	if (found) {
		buffer_putc(buffer, '\\');
		buffer_putc(buffer, letter[found - special]);
		return;
	}
	snprintf(text, sizeof(text), "\\u%04x", c);
	buffer_append(buffer, text, 6);
}

/* Writes the multi-byte sequence at `p`, or the replacement character for the part of it that could have
 * become one; returns where to go on. */
static const char *put_sequence(struct buffer *buffer, const char *p, const char *end)
{
	const char *start = p;
	struct utf8 utf8;
	bool good = utf8_begin(&utf8, (uint8_t)*p++);

	while (good && utf8.left) {
		good = p < end && utf8_continue(&utf8, (uint8_t)*p);
		p += good;
	}
	if (good)
		buffer_append(buffer, start, (size_t)(p - start));
	else
		buffer_puts(buffer, "\xef\xbf\xbd");
	return p;
}

void json_put_string_n(struct buffer *buffer, const char *text, size_t size)
{
	const char *p = text, *end = text + size;

	buffer_putc(buffer, '"');
	while (p < end) {
		const char *run = p;

		p += json_plain_run(p, end);
		buffer_append(buffer, run, (size_t)(p - run));
		if (p == end)
			break;
		if ((unsigned char)*p >= 0x80)
			p = put_sequence(buffer, p, end);
		else
			put_escape(buffer, (unsigned char)*p++);
	}
	buffer_putc(buffer, '"');
}

void json_put_string(struct buffer *buffer, const char *text)
{
	json_put_string_n(buffer, text, strlen(text));
}

void json_put_int(struct buffer *buffer, int64_t value)
{
	uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	char text[20], *p = text + sizeof(text);

	do
		*--p = (char)('0' + left % 10);
	while (left /= 10);
	if (value < 0)
		*--p = '-';
	buffer_append(buffer, p, (size_t)(text + sizeof(text) - p));
}

void json_put_bool(struct buffer *buffer, bool value)
{
	buffer_puts(buffer, value ? "true" : "false");
}

void json_put_base64(struct buffer *buffer, const void *data, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = data;

	buffer_putc(buffer, '"');
	for (; size; p += 3) {
		size_t n = size < 3 ? size : 3;
		uint32_t bits = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
		char out[4];

		out[0] = digits[bits >> 18];
		out[1] = digits[bits >> 12 & 63];
		out[2] = '=';
		out[3] = '=';
		if (n > 1)
			out[2] = digits[bits >> 6 & 63];
		if (n > 2)
			out[3] = digits[bits & 63];
		buffer_append(buffer, out, sizeof(out));
		size -= n;
	}
	buffer_putc(buffer, '"');
}

void json_writer_init(struct json_writer *writer, struct buffer *buffer)
{
	*writer = (struct json_writer){.buffer = buffer};
}

static uint64_t level_bit(const struct json_writer *writer)
{
	return UINT64_C(1) << (writer->depth & 63);
}

/* Before a name, or a value that has none: the comma, if something stands before it on this level. */
static void next_item(struct json_writer *writer)
{
	if (writer->has_item & level_bit(writer))
		buffer_putc(writer->buffer, ',');
	writer->has_item |= level_bit(writer);
}

static void before_value(struct json_writer *writer)
{
	if (!(writer->is_object & level_bit(writer)))
		next_item(writer);
}

void json_open(struct json_writer *writer, char bracket)
{
	uint64_t bit;

	before_value(writer);
	buffer_putc(writer->buffer, bracket);
	writer->depth++;
	bit = level_bit(writer);
	writer->has_item &= ~bit;
	writer->is_object = bracket == '{' ? writer->is_object | bit : writer->is_object & ~bit;
}

void json_close(struct json_writer *writer)
{
	buffer_putc(writer->buffer, writer->is_object & level_bit(writer) ? '}' : ']');
	writer->depth--;
}

void json_name(struct json_writer *writer, const char *name)
{
	next_item(writer);
	json_put_string(writer->buffer, name);
	buffer_putc(writer->buffer, ':');
}

void json_string(struct json_writer *writer, const char *text)
{
	if (!text) {
		json_null(writer);
		return;
	}
	before_value(writer);
	json_put_string(writer->buffer, text);
}

void json_string_n(struct json_writer *writer, const char *text, size_t size)
{
	before_value(writer);
	json_put_string_n(writer->buffer, text, size);
}

void json_int(struct json_writer *writer, int64_t value)
{
	before_value(writer);
	json_put_int(writer->buffer, value);
}

/* The shortest text that reads back as the same number, with a point in every locale. */
static void put_double(struct buffer *buffer, double value)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", NULL), before = uselocale(c);
	char text[32];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	uselocale(before);
	if (c)
		freelocale(c);
	buffer_puts(buffer, text);
}

void json_double(struct json_writer *writer, double value)
{
	if (!isfinite(value)) {
		json_null(writer);
		return;
	}
	before_value(writer);
	put_double(writer->buffer, value);
}

void json_bool(struct json_writer *writer, bool value)
{
	before_value(writer);
	json_put_bool(writer->buffer, value);
}

void json_null(struct json_writer *writer)
{
	before_value(writer);
	buffer_puts(writer->buffer, "null");
}

void json_raw(struct json_writer *writer, const char *json, size_t size)
{
	before_value(writer);
	buffer_append(writer->buffer, json, size);
}

void json_member_string(struct json_writer *writer, const char *name, const char *text)
{
	json_name(writer, name);
	json_string(writer, text);
}

void json_member_int(struct json_writer *writer, const char *name, int64_t value)
{
	json_name(writer, name);
	json_int(writer, value);
}

void json_member_bool(struct json_writer *writer, const char *name, bool value)
{
	json_name(writer, name);
	json_bool(writer, value);
}
