#include "metadata.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/buffer.h"
#include "proto/json_text.h"

/* Names are compared decoded, so that "a" and "\u0061" are one member. */
static bool same_string(const char *a, size_t a_size, const char *b, size_t b_size)
{
	_cleanup_(buffer_release) struct buffer decoded = BUFFER_INIT(a_size + 1);
	size_t size;

	if (a_size == b_size && memcmp(a, b, a_size) == 0)
		return true;
	if (buffer_reserve(&decoded, a_size) < 0)
		return false;
	if (json_string_decode(a, a_size, decoded.data, decoded.capacity, &size) < 0 ||
	    memchr(decoded.data, '\0', size))
		return false;
	return json_string_equals(b, b_size, decoded.data);
}

static bool find_member(const char *object, size_t size, const struct json_item *wanted,
			struct json_item *ret_item)
{
	struct json_cursor cursor;
	struct json_item item;

	json_cursor_init(&cursor, object, size);
	while (json_cursor_next(&cursor, &item)) {
		if (same_string(wanted->name, wanted->name_size, item.name, item.name_size)) {
			*ret_item = item;
			return true;
		}
	}
	return false;
}

static void put_member(struct buffer *out, const struct json_item *name, const struct json_item *value)
{
	if (out->size > 1)
		buffer_putc(out, ',');
	buffer_append(out, name->name, name->name_size);
	buffer_putc(out, ':');
	buffer_append(out, value->value, value->size);
}

int metadata_merge(const char *base, const char *more, size_t max, char **ret_merged)
{
	_cleanup_(buffer_release) struct buffer out = BUFFER_INIT(max);
	struct json_cursor cursor;
	struct json_item item, other;
	char *merged;
	int error;

	buffer_putc(&out, '{');
	json_cursor_init(&cursor, base ? base : "{}", base ? strlen(base) : 2);
	while (json_cursor_next(&cursor, &item))
		put_member(&out, &item, find_member(more, strlen(more), &item, &other) ? &other : &item);
	json_cursor_init(&cursor, more, strlen(more));
	while (json_cursor_next(&cursor, &item)) {
		if (!base || !find_member(base, strlen(base), &item, &other))
			put_member(&out, &item, &item);
	}
	buffer_putc(&out, '}');
	merged = buffer_steal(&out, NULL, &error);
	if (!merged)
		return error;
	*ret_merged = merged;
	return 0;
}

static bool same_value(const struct json_item *has, const struct json_item *wanted)
{
	if (has->type == JSON_STRING && wanted->type == JSON_STRING)
		return same_string(has->value, has->size, wanted->value, wanted->size);
	/* A command line knows only text: "step=3" has to find {"step":3}. */
	if (wanted->type == JSON_STRING && wanted->size >= 2 && has->type != JSON_OBJECT &&
	    has->type != JSON_ARRAY)
		return has->size == wanted->size - 2 && memcmp(has->value, wanted->value + 1, has->size) == 0;
	return has->type == wanted->type && has->size == wanted->size &&
	       memcmp(has->value, wanted->value, has->size) == 0;
}

bool metadata_matches(const char *metadata, const char *where, size_t where_size)
{
	struct json_cursor cursor;
	struct json_item item, has;

	json_cursor_init(&cursor, where, where_size);
	while (json_cursor_next(&cursor, &item)) {
		if (!metadata || !find_member(metadata, strlen(metadata), &item, &has) ||
		    !same_value(&has, &item))
			return false;
	}
	return true;
}
