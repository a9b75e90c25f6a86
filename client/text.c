/* Between JSON text and C strings. No I/O, no state. */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/utf8.h"

int text_take_string(const struct json_item *item, char **ret_text)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;
	int r;

	if (item->type != JSON_STRING)
		return 0;
	/* Decoding never makes it longer, and the quotes make room for the NUL. */
	text = malloc(item->size);
	if (!text)
		return -ENOMEM;
	r = json_string_decode(item->value, item->size, text, item->size, &size);
	if (r < 0)
		return r;
	free(*ret_text);
	*ret_text = steal_pointer(text);
	return 0;
}

int text_take_json(const struct json_item *item, char **ret_text)
{
	char *text;

	if (item->type == JSON_NULL || item->type == JSON_NONE)
		return 0;
	text = strndup(item->value, item->size);
	if (!text)
		return -ENOMEM;
	free(*ret_text);
	*ret_text = text;
	return 0;
}

bool text_is_named(const struct json_item *item, const char *name)
{
	return item->name && json_string_equals(item->name, item->name_size, name);
}

int64_t text_int(const struct json_item *item, int64_t otherwise)
{
	int64_t value;

	if (item->type != JSON_NUMBER || json_int_decode(item->value, item->size, &value) < 0)
		return otherwise;
	return value;
}

bool text_is_utf8(const char *text)
{
	struct utf8 utf8 = {0};

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (utf8.left > 0) {
			if (!utf8_continue(&utf8, *p))
				return false;
		} else if (*p >= 0x80 && !utf8_begin(&utf8, *p)) {
			return false;
		}
	}
	return utf8.left == 0;
}

int text_check_object(const char *json, char **ret_line)
{
	size_t size = strlen(json);
	_cleanup_(freep) char *line = strdup(json);
	struct json_scan scan;

	if (!line)
		return -ENOMEM;
	json_scan_init(&scan, JSON_SERVER, NULL, NULL, 0);
	if (!json_scan_feed(&scan, line, size) || json_scan_finish(&scan) != JSON_OK ||
	    scan.type != JSON_OBJECT)
		return -EINVAL;
	/* It passed, so no string has a raw line break in it: all that there are stand between tokens. */
	for (size_t i = 0; i < size; i++)
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	*ret_line = steal_pointer(line);
	return 0;
}

char *text_format(const char *format, ...)
{
	va_list args;
	char *text;
	int r;

	va_start(args, format);
	r = vasprintf(&text, format, args);
	va_end(args);
	return r < 0 ? NULL : text;
}
