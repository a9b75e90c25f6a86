/*
 * Single values: reading scalars, walking one level of an array or object, and writing. Builds no tree and
 * never trusts a text further than its size.
 */
#include "json_text.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_lex.h"

/* Reading strings: one decoded character after another. */

struct literal {
	const char *at, *end;
};

/* Begins after the opening quote; false: `text` does not start with one. */
static bool literal_begin(struct literal *literal, const char *text, size_t size)
{
	if (size < 2 || *text != '"')
		return false;
	*literal = (struct literal){.at = text + 1, .end = text + size};
	return true;
}

/* The unit of \uXXXX, whose backslash stands at `p`; -1: none stands there. */
static int32_t read_unit(const char *p, const char *end)
{
	int32_t unit = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		char c = p[i], letter = (char)(c | 0x20);

		if (json_is_digit(c))
			unit = unit << 4 | (c - '0');
		else if (letter >= 'a' && letter <= 'f')
			unit = unit << 4 | (letter - 'a' + 10);
		else
			return -1;
	}
	return unit;
}

static int read_escape(struct literal *literal, char out[4])
{
	static const char plain[] = "\"\\/bfnrt", decoded[] = "\"\\/\b\f\n\r\t";
	int32_t unit = read_unit(literal->at, literal->end), low;
	const char *found;

	if (unit < 0) {
		if (literal->end - literal->at < 2)
			return -EINVAL;
		found = memchr(plain, literal->at[1], sizeof(plain) - 1);
		if (!found)
			return -EINVAL;
		literal->at += 2;
		out[0] = decoded[found - plain];
		return 1;
	}
	literal->at += 6;
	if (utf16_is_high((uint32_t)unit)) {
		low = read_unit(literal->at, literal->end);
		if (low >= 0 && utf16_is_low((uint32_t)low)) {
			literal->at += 6;
			return (int)utf8_encode(utf16_join((uint32_t)unit, (uint32_t)low), out);
		}
	}
	if ((unit & 0xf800) == 0xd800)
		unit = UTF8_REPLACEMENT;
	return (int)utf8_encode((uint32_t)unit, out);
}

/* Copies the multi-byte sequence at literal->at; its bytes, or -EINVAL. */
static int read_sequence(struct literal *literal, char out[4])
{
	struct utf8 utf8;
	int n = 0;

	if (!utf8_begin(&utf8, (uint8_t)*literal->at))
		return -EINVAL;
	out[n++] = *literal->at++;
	for (; utf8.left; out[n++] = *literal->at++)
		if (literal->at == literal->end || !utf8_continue(&utf8, (uint8_t)*literal->at))
			return -EINVAL;
	return n;
}

/* The next character as 1 to 4 bytes of UTF-8; 0: the closing quote, with nothing behind it; -EINVAL. */
static int literal_next(struct literal *literal, char out[4])
{
	unsigned char c;

	if (literal->at == literal->end)
		return -EINVAL;
	c = (unsigned char)*literal->at;
	if (c == '"')
		return literal->at + 1 == literal->end ? 0 : -EINVAL;
	if (c == '\\')
		return read_escape(literal, out);
	if (c < ' ')
		return -EINVAL;
	if (c >= 0x80)
		return read_sequence(literal, out);
	out[0] = (char)c;
	literal->at++;
	return 1;
}

/* Where decoded characters go: as many as fit, never a part of one. */
struct decoded {
	char *data;
	size_t capacity, used;
	bool cut;
};

static void decoded_put(struct decoded *decoded, const char *data, size_t size)
{
	if (decoded->cut || size >= decoded->capacity - decoded->used) {
		decoded->cut = true;
		return;
	}
	memcpy(decoded->data + decoded->used, data, size);
	decoded->used += size;
}

int json_string_decode(const char *text, size_t size, char *out, size_t capacity, size_t *ret_size)
{
	struct decoded decoded = {.data = out, .capacity = capacity, .cut = capacity == 0};
	struct literal literal;
	char c[4];
	int n = -EINVAL;

	if (literal_begin(&literal, text, size)) {
		while ((n = literal_next(&literal, c)) > 0) {
			decoded_put(&decoded, c, (size_t)n);

			/* What is plain goes over in one piece, as far as it fits. */
			size_t run = json_plain_run(literal.at, literal.end);
			size_t room = decoded.cut ? 0 : decoded.capacity - decoded.used - 1;

			decoded_put(&decoded, literal.at, run < room ? run : room);
			decoded.cut |= run > room;
			literal.at += run;
		}
	}
	if (capacity)
		out[decoded.used] = 0;
	if (n < 0)
		return n;
	if (decoded.cut)
		return -ENOSPC;
	if (ret_size)
		*ret_size = decoded.used;
	return 0;
}

bool json_string_equals(const char *text, size_t size, const char *expected)
{
	struct literal literal;
	size_t left = strlen(expected);
	char c[4];
	int n;

	if (!literal_begin(&literal, text, size))
		return false;
	while ((n = literal_next(&literal, c)) > 0) {
		if ((size_t)n > left || memcmp(c, expected, (size_t)n) != 0)
			return false;
		expected += n;
		left -= (size_t)n;
	}
	return n == 0 && left == 0;
}

/* Reading numbers. */

static bool is_number(const char *text, size_t size)
{
	const char *p = text, *end = text + size;
	uint8_t number;

	if (!size || (*p != '-' && !json_is_digit(*p)))
		return false;
	number = *p == '-' ? JSON_NUMBER_MINUS : *p == '0' ? JSON_NUMBER_ZERO : JSON_NUMBER_INT;
	for (p++;;) {
		int next;

		if (json_number_in_digits(number))
			p += json_digits_run(p, end);
		if (p == end)
			return json_number_may_end(number);
		next = json_number_step(number, *p++);
		if (next < 0)
			return false;
		number = (uint8_t)next;
	}
}

int json_int_decode(const char *text, size_t size, int64_t *ret_value)
{
	const char *p = text, *end = text + size;
	bool negative = size && *p == '-';
	int64_t value = 0;

	if (negative)
		p++;
	if (p == end || (*p == '0' && end - p > 1) || json_digits_run(p, end) != (size_t)(end - p))
		return -EINVAL;
	for (; p < end; p++) {
		int digit = *p - '0';

		/* Built below zero, where there is one value more. */
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, digit, &value))
			return -ERANGE;
	}
	if (!negative && __builtin_sub_overflow(0, value, &value))
		return -ERANGE;
	*ret_value = value;
	return 0;
}

/* The decimal point is a point, whatever the program's locale says. glibc hands out its static "C" locale
 * here. */
static double parse_double(const char *text)
{
	locale_t c = newlocale(LC_ALL_MASK, "C", NULL);
	double value = c ? strtod_l(text, NULL, c) : strtod(text, NULL);

	if (c)
		freelocale(c);
	return value;
}

int json_double_decode(const char *text, size_t size, double *ret_value)
{
	char small[64];
	double value;

	if (!is_number(text, size))
		return -EINVAL;
	if (size < sizeof(small)) {
		memcpy(small, text, size);
		small[size] = 0;
		value = parse_double(small);
	} else {
		char *copy = strndup(text, size);

		if (!copy)
			return -ENOMEM;
		value = parse_double(copy);
		free(copy);
	}
	if (!isfinite(value))
		return -ERANGE;
	*ret_value = value;
	return 0;
}

/* Walking. The text passed the scanner, so brackets match; the bounds are looked at all the same. */

static void skip_marks(struct json_cursor *cursor)
{
	for (; cursor->at < cursor->size; cursor->at++) {
		char c = cursor->text[cursor->at];

		if (!json_is_space(c) && c != ',' && c != ':')
			break;
	}
}

/* Steps over a string literal; `at` stands on its opening quote. */
static void skip_string(struct json_cursor *cursor)
{
	const char *end = cursor->text + cursor->size, *p = cursor->text + cursor->at + 1;

	for (;;) {
		p += json_plain_run(p, end);
		if (p == end || *p == '"')
			break;
		p += *p == '\\' && end - p > 1 ? 2 : 1;
	}
	cursor->at = (size_t)(p - cursor->text) + (p < end);
}

static void skip_value(struct json_cursor *cursor)
{
	size_t depth = 0;

	for (; cursor->at < cursor->size; cursor->at++) {
		char c = cursor->text[cursor->at];

		if (c == '"') {
			skip_string(cursor);
			if (depth == 0)
				return;
			cursor->at--; /* the loop steps on */
		} else if (c == '{' || c == '[') {
			depth++;
		} else if (c == '}' || c == ']') {
			if (depth == 0)
				return; /* closes what the value stands in */
			if (--depth == 0) {
				cursor->at++;
				return;
			}
		} else if (depth == 0 && (json_is_space(c) || c == ',')) {
			return;
		}
	}
}

static enum json_type type_of(char first)
{
	switch (first) {
	case '"':
		return JSON_STRING;
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	case 'n':
		return JSON_NULL;
	default:
		return JSON_NUMBER;
	}
}

void json_cursor_init(struct json_cursor *cursor, const char *text, size_t size)
{
	*cursor = (struct json_cursor){.text = text, .size = size, .at = 1};
}

bool json_cursor_next(struct json_cursor *cursor, struct json_item *ret_item)
{
	struct json_item item = {0};
	size_t start;

	skip_marks(cursor);
	if (cursor->at >= cursor->size || cursor->text[cursor->at] == ']' || cursor->text[cursor->at] == '}')
		return false;
	if (cursor->text[0] == '{') {
		start = cursor->at;
		skip_string(cursor);
		item.name = cursor->text + start;
		item.name_size = cursor->at - start;
		skip_marks(cursor);
		if (cursor->at >= cursor->size)
			return false;
	}
	start = cursor->at;
	skip_value(cursor);
	item.type = type_of(cursor->text[start]);
	item.value = cursor->text + start;
	item.size = cursor->at - start;
	*ret_item = item;
	return true;
}
