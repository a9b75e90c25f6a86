/*
 * Single JSON values as text: reading scalars out of byte ranges that passed the scanner, and writing JSON
 * into a buffer. No trees.
 */
#ifndef TINKEX_PROTO_JSON_TEXT_H
#define TINKEX_PROTO_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "json_scan.h"

/* Decodes the string literal `text` (with its quotes) into `out` as NUL-terminated UTF-8; a lone surrogate
 * becomes U+FFFD. *ret_size (may be NULL): bytes without the NUL; a string may contain NUL bytes, which
 * callers that forbid them find by comparing with strlen(). 0; -EINVAL: no complete string literal; -ENOSPC:
 * it does not fit `capacity`. With an error `out` holds what was decoded and did fit, cut at a character and
 * NUL-terminated: what a literal that was captured only in part begins with. */
int json_string_decode(const char *text, size_t size, char *out, size_t capacity, size_t *ret_size);
/* The literal's decoded value equals `expected`. */
bool json_string_equals(const char *text, size_t size, const char *expected);
/* A number literal without fraction or exponent that fits. -EINVAL (not an integer) or -ERANGE. */
int json_int_decode(const char *text, size_t size, int64_t *ret_value);
/* Any number literal. -EINVAL (NaN and infinities too), -ERANGE (too large for a double), -ENOMEM (only for
 * literals of 64 bytes and more). The locale does not matter. */
int json_double_decode(const char *text, size_t size, double *ret_value);

/* Walks the elements of an array, or the members of an object, whose text passed the scanner. */
struct json_cursor {
	const char *text;
	size_t size, at;
};
struct json_item {
	const char *name; /* string literal with its quotes, of an object's member; NULL in an array */
	size_t name_size;
	enum json_type type;
	const char *value;
	size_t size;
};
/* `text` is the whole array or object with its brackets. */
void json_cursor_init(struct json_cursor *cursor, const char *text, size_t size);
/* false: no more. Nothing is allocated; nested values are stepped over in linear time. */
bool json_cursor_next(struct json_cursor *cursor, struct json_item *ret_item);

/* Writing. A string goes out with its quotes; invalid UTF-8 becomes U+FFFD, control characters are escaped.
 */
void json_put_string(struct buffer *buffer, const char *text);
void json_put_string_n(struct buffer *buffer, const char *text, size_t size);
void json_put_int(struct buffer *buffer, int64_t value);
void json_put_bool(struct buffer *buffer, bool value);
void json_put_base64(struct buffer *buffer, const void *data, size_t size); /* with quotes */

/*
 * A writer that knows where commas go:
 *   json_open(&w, '{'); json_name(&w, "id"); json_int(&w, 7); json_close(&w);
 * Values inside an object follow a json_name().
 */
struct json_writer {
	struct buffer *buffer;
	uint64_t has_item; /* bit per level: something was written there */
	uint64_t is_object;
	unsigned depth; /* at most 63 */
};
void json_writer_init(struct json_writer *writer, struct buffer *buffer);
void json_open(struct json_writer *writer, char bracket); /* '{' or '[' */
void json_close(struct json_writer *writer);
void json_name(struct json_writer *writer, const char *name);
void json_string(struct json_writer *writer, const char *text); /* NULL writes null */
void json_string_n(struct json_writer *writer, const char *text, size_t size);
void json_int(struct json_writer *writer, int64_t value);
void json_double(struct json_writer *writer,
		 double value); /* shortest exact form; NaN and infinities: null */
void json_bool(struct json_writer *writer, bool value);
void json_null(struct json_writer *writer);
void json_raw(struct json_writer *writer, const char *json, size_t size); /* a complete JSON text, as it is */
/* name and value at once */
void json_member_string(struct json_writer *writer, const char *name, const char *text);
void json_member_int(struct json_writer *writer, const char *name, int64_t value);
void json_member_bool(struct json_writer *writer, const char *name, bool value);

#endif
