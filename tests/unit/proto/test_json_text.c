/* Reading single values, walking one level, and writing. */
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json_text.h"
#include "test_run.h"

#define T(literal) literal, sizeof(literal) - 1

static void assert_decodes(const char *text, size_t size, const char *expected, size_t expected_size)
{
	char out[64];
	size_t got = 99;

	ck_assert_msg(json_string_decode(text, size, out, sizeof(out), &got) == 0, "%s", text);
	ck_assert_uint_eq(got, expected_size);
	ck_assert(memcmp(out, expected, expected_size + 1) == 0);
	if (strlen(expected) == expected_size)
		ck_assert(json_string_equals(text, size, expected));
	ck_assert(!json_string_equals(text, size, "something else"));
}

START_TEST(test_string_decode)
{
	assert_decodes(T("\"\""), T(""));
	assert_decodes(T("\"plain\""), T("plain"));
	assert_decodes(T("\"a plain string of more than one word\""),
		       T("a plain string of more than one word"));
	assert_decodes(T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), T("\"\\/\b\f\n\r\t"));
	assert_decodes(T("\"\\u0041\\u00e9\\u4e2d\""), T("A\xc3\xa9\xe4\xb8\xad"));
	assert_decodes(T("\"\\uD83D\\uDE00\""), T("\xf0\x9f\x98\x80"));
	assert_decodes(T("\"\\udbff\\udfff\""), T("\xf4\x8f\xbf\xbf"));
	assert_decodes(T("\"\xc3\xa9\xf0\x9f\x98\x80 x\""), T("\xc3\xa9\xf0\x9f\x98\x80 x"));
	assert_decodes(T("\"a\\u0000b\""), T("a\0b"));
	/* Halves of pairs */
	assert_decodes(T("\"\\ud800\""), T("\xef\xbf\xbd"));
	assert_decodes(T("\"\\udc00x\""), T("\xef\xbf\xbdx"));
	assert_decodes(T("\"\\ud800\\ud83d\\ude00\""), T("\xef\xbf\xbd\xf0\x9f\x98\x80"));
	assert_decodes(T("\"\\ud800\\n\\ud800\\u0041\""), T("\xef\xbf\xbd\n\xef\xbf\xbd"
							    "A"));
}
END_TEST

START_TEST(test_string_decode_bad)
{
	static const struct {
		const char *text;
		size_t size;
		const char *prefix;
	} bad[] = {
		{T(""), ""},
		{T("\""), ""},
		{T("x"), ""},
		{T("17"), ""},
		{T("null"), ""},
		{T("\"abc"), "abc"},
		{T("\"abc\\"), "abc"},
		{T("\"abc\\\""), "abc\""},
		{T("\"a\\u12\""), "a"},
		{T("\"a\\x\""), "a"},
		{T("\"a\nb\""), "a"},
		{T("\"a\"b\""), "a"},
		{T("\"a\xc3\""), "a"},
		{T("\"a\xe4\xb8"), "a"},
		{T("\"a\xff\""), "a"},
		{T("\"a\\ud83d\\ude0"), "a\xef\xbf\xbd"},
	};
	char out[16];
	size_t size = 99;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *copy = malloc(bad[i].size + 1); /* no byte behind the text is looked at */

		memcpy(copy, bad[i].text, bad[i].size);
		copy = realloc(copy, bad[i].size ? bad[i].size : 1);
		ck_assert_int_eq(json_string_decode(copy, bad[i].size, out, sizeof(out), &size), -EINVAL);
		ck_assert_str_eq(out, bad[i].prefix);
		ck_assert(!json_string_equals(copy, bad[i].size, bad[i].prefix));
		free(copy);
	}
	ck_assert_uint_eq(size, 99);
}
END_TEST

/* What does not fit is cut between characters, and a smaller room never overflows. */
START_TEST(test_string_decode_cut)
{
	static const char text[] = "\"ab\\u00e9\xf0\x9f\x98\x80 and a longer tail\"";
	static const char whole[] = "ab\xc3\xa9\xf0\x9f\x98\x80 and a longer tail";
	size_t size;

	for (size_t capacity = 0; capacity < sizeof(whole); capacity++) {
		char *out = malloc(capacity ? capacity : 1);
		size_t used;

		ck_assert_int_eq(json_string_decode(text, sizeof(text) - 1, out, capacity, &size), -ENOSPC);
		if (capacity) {
			used = strlen(out);
			ck_assert_uint_lt(used, capacity);
			ck_assert(memcmp(out, whole, used) == 0);
			ck_assert_msg(used == capacity - 1 || capacity == 4 || (capacity > 5 && capacity < 9),
				      "%zu of %zu", used, capacity);
			ck_assert_uint_ne((unsigned char)whole[used] & 0xc0, 0x80);
		}
		free(out);
	}
	char out[sizeof(whole)];

	ck_assert_int_eq(json_string_decode(text, sizeof(text) - 1, out, sizeof(out), &size), 0);
	ck_assert_str_eq(out, whole);
	ck_assert_int_eq(json_string_decode(text, sizeof(text) - 1, out, sizeof(out), NULL), 0);
	/* Incomplete is worse than long. */
	ck_assert_int_eq(json_string_decode(text, sizeof(text) - 2, out, 4, &size), -EINVAL);
}
END_TEST

START_TEST(test_string_equals)
{
	ck_assert(json_string_equals(T("\"abc\""), "abc"));
	ck_assert(json_string_equals(T("\"\\u0061b\\u0063\""), "abc"));
	ck_assert(json_string_equals(T("\"\""), ""));
	ck_assert(!json_string_equals(T("\"abc\""), "ab"));
	ck_assert(!json_string_equals(T("\"abc\""), "abcd"));
	ck_assert(!json_string_equals(T("\"\""), "a"));
	ck_assert(!json_string_equals(T("\"abc\\u0000\""), "abc"));
	ck_assert(!json_string_equals(T("\"\\u0000\""), ""));
	ck_assert(!json_string_equals(T("abc"), "abc"));
	ck_assert(!json_string_equals(T("\"\xc3\xa9\""), "\xc3"));
}
END_TEST

START_TEST(test_int)
{
	static const struct {
		const char *text;
		int result;
		int64_t value;
	} rows[] = {
		{"0", 0, 0},
		{"-0", 0, 0},
		{"7", 0, 7},
		{"-7", 0, -7},
		{"12345678901", 0, 12345678901},
		{"9223372036854775807", 0, INT64_MAX},
		{"-9223372036854775808", 0, INT64_MIN},
		{"9223372036854775808", -ERANGE, 0},
		{"-9223372036854775809", -ERANGE, 0},
		{"99999999999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-", -EINVAL, 0},
		{"1.0", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{"01", -EINVAL, 0},
		{"-01", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"NaN", -EINVAL, 0},
		{"null", -EINVAL, 0},
		{"\"1\"", -EINVAL, 0},
		{"true", -EINVAL, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t value = 4711;

		ck_assert_msg(json_int_decode(rows[i].text, strlen(rows[i].text), &value) == rows[i].result,
			      "%s", rows[i].text);
		ck_assert_int_eq(value, rows[i].result == 0 ? rows[i].value : 4711);
	}
}
END_TEST

static void assert_double(const char *text, int result, double expected)
{
	double value = 4711;

	ck_assert_msg(json_double_decode(text, strlen(text), &value) == result, "%s", text);
	ck_assert_msg(value == (result ? 4711 : expected), "%s", text);
}

START_TEST(test_double)
{
	char digits[400];

	assert_double("0", 0, 0);
	assert_double("-1.5", 0, -1.5);
	assert_double("1e3", 0, 1000);
	assert_double("2.5E-1", 0, 0.25);
	assert_double("1.7976931348623157e308", 0, DBL_MAX);
	assert_double("1e-400", 0, 0);
	assert_double("1e400", -ERANGE, 0);
	assert_double("-1e400", -ERANGE, 0);
	memset(digits, '0', sizeof(digits));
	memcpy(digits, "0.5", 3);
	digits[300] = 0;
	assert_double(digits, 0, 0.5);

	static const char *const bad[] = {"",   "-",   "NaN", "Infinity", "-Infinity", "1.",
					  ".5", "01",  "1e",  "1e+",      "0x10",      "1 ",
					  " 1", "inf", "1,5", "\"1\""};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_double(bad[i], -EINVAL, 0);
}
END_TEST

static void assert_item(struct json_cursor *cursor, const char *name, enum json_type type, const char *value)
{
	struct json_item item;

	ck_assert(json_cursor_next(cursor, &item));
	if (name) {
		ck_assert_uint_eq(item.name_size, strlen(name));
		ck_assert(memcmp(item.name, name, item.name_size) == 0);
	} else {
		ck_assert_ptr_null(item.name);
	}
	ck_assert_int_eq(item.type, type);
	ck_assert_msg(item.size == strlen(value) && memcmp(item.value, value, item.size) == 0,
		      "'%.*s', not '%s'", (int)item.size, item.value, value);
}

static void assert_no_item(struct json_cursor *cursor)
{
	struct json_item item;

	ck_assert(!json_cursor_next(cursor, &item));
	ck_assert(!json_cursor_next(cursor, &item));
}

START_TEST(test_cursor)
{
	static const char array[] = "[1,-2.5e3 ,\"a,]\\\"\\\\\", true,false "
				    ",\tnull,[1,[2,\"]\"],{}],{\"a\":{\"b\":\"}\"}} ,NaN,-Infinity]";
	static const char object[] = "{ \"a\" : 1,\"b\\\"\":\"x\" , \"c\":[{\"d\":1}],\"d\":{} ,\"\":null}";
	struct json_cursor cursor;

	json_cursor_init(&cursor, T(array));
	assert_item(&cursor, NULL, JSON_NUMBER, "1");
	assert_item(&cursor, NULL, JSON_NUMBER, "-2.5e3");
	assert_item(&cursor, NULL, JSON_STRING, "\"a,]\\\"\\\\\"");
	assert_item(&cursor, NULL, JSON_TRUE, "true");
	assert_item(&cursor, NULL, JSON_FALSE, "false");
	assert_item(&cursor, NULL, JSON_NULL, "null");
	assert_item(&cursor, NULL, JSON_ARRAY, "[1,[2,\"]\"],{}]");
	assert_item(&cursor, NULL, JSON_OBJECT, "{\"a\":{\"b\":\"}\"}}");
	assert_item(&cursor, NULL, JSON_NUMBER, "NaN");
	assert_item(&cursor, NULL, JSON_NUMBER, "-Infinity");
	assert_no_item(&cursor);

	json_cursor_init(&cursor, T(object));
	assert_item(&cursor, "\"a\"", JSON_NUMBER, "1");
	assert_item(&cursor, "\"b\\\"\"", JSON_STRING, "\"x\"");
	assert_item(&cursor, "\"c\"", JSON_ARRAY, "[{\"d\":1}]");
	assert_item(&cursor, "\"d\"", JSON_OBJECT, "{}");
	assert_item(&cursor, "\"\"", JSON_NULL, "null");
	assert_no_item(&cursor);

	static const char *const empty[] = {"[]", "{}", "[ \n ]", "{\t}"};

	for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
		json_cursor_init(&cursor, empty[i], strlen(empty[i]));
		assert_no_item(&cursor);
	}
}
END_TEST

/* A text that is cut anywhere ends the walk within its bounds. */
START_TEST(test_cursor_bounds)
{
	static const char text[] = "{\"a\":[1,{\"b\":\"x\\\"\"}],\"c\":\"d\\\\\",\"e\":tru}";

	for (size_t size = 1; size < sizeof(text); size++) {
		char *copy = malloc(size);
		struct json_cursor cursor;
		struct json_item item;
		int items = 0;

		memcpy(copy, text, size);
		json_cursor_init(&cursor, copy, size);
		while (json_cursor_next(&cursor, &item)) {
			ck_assert(item.value >= copy && item.value + item.size <= copy + size);
			ck_assert_int_lt(++items, 10);
		}
		free(copy);
	}
}
END_TEST

static void assert_written(struct buffer *buffer, const char *text)
{
	ck_assert_int_eq(buffer_error(buffer), 0);
	ck_assert_msg(buffer->size == strlen(text) && memcmp(buffer->data, text, buffer->size) == 0,
		      "'%.*s', not '%s'", (int)buffer->size, buffer->data, text);
	buffer_clear(buffer);
}

START_TEST(test_put_string)
{
	struct buffer out = BUFFER_INIT(SIZE_MAX);

	json_put_string(&out, "");
	assert_written(&out, "\"\"");
	json_put_string(&out, "plain, /slash/ and \"quotes\" \\ back");
	assert_written(&out, "\"plain, /slash/ and \\\"quotes\\\" \\\\ back\"");
	json_put_string_n(&out, T("\b\f\n\r\t\0\x01\x1f"));
	assert_written(&out, "\"\\b\\f\\n\\r\\t\\u0000\\u0001\\u001f\"");
	json_put_string(&out, "\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80");
	assert_written(&out, "\"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\"");
	/* One replacement for each part that could have begun a character. */
	json_put_string(&out, "a\xff\xc0\x80z");
	assert_written(&out, "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
	json_put_string(&out, "\xe4\xb8z\xed\xa0\x80");
	assert_written(&out, "\"\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	json_put_string_n(&out, "\xf0\x9f\x98\x80", 3);
	assert_written(&out, "\"\xef\xbf\xbd\"");
	buffer_release(&out);
}
END_TEST

/* Whatever bytes go in, a strict scan takes what comes out, and valid text comes back the same. */
START_TEST(test_put_string_round)
{
	static struct json_names names;
	static const uint8_t key[16] = {1};
	uint32_t random = 12345;

	json_names_init(&names, key);
	for (int round = 0; round < 3000; round++) {
		struct buffer out = BUFFER_INIT(SIZE_MAX);
		char in[24], back[256];
		size_t size = (size_t)round % sizeof(in), back_size = 0;
		struct json_scan scan;

		for (size_t i = 0; i < size; i++) {
			random = random * 1664525 + 1013904223;
			in[i] = (char)(round & 1 ? random >> 24 : random >> 24 & 0x7f);
		}
		json_put_string_n(&out, in, size);
		ck_assert_int_eq(json_scan_text(&scan, JSON_STRICT, &names, NULL, 0, out.data, out.size),
				 JSON_OK);
		ck_assert_int_eq(json_string_decode(out.data, out.size, back, sizeof(back), &back_size), 0);
		if (!(round & 1)) {
			ck_assert_uint_eq(back_size, size);
			ck_assert(memcmp(back, in, size) == 0);
		}
		buffer_release(&out);
	}
}
END_TEST

START_TEST(test_put_scalars)
{
	struct buffer out = BUFFER_INIT(SIZE_MAX);

	json_put_int(&out, 0);
	assert_written(&out, "0");
	json_put_int(&out, -1234567890123);
	assert_written(&out, "-1234567890123");
	json_put_int(&out, INT64_MAX);
	assert_written(&out, "9223372036854775807");
	json_put_int(&out, INT64_MIN);
	assert_written(&out, "-9223372036854775808");
	json_put_bool(&out, true);
	json_put_bool(&out, false);
	assert_written(&out, "truefalse");
	buffer_release(&out);
}
END_TEST

START_TEST(test_put_base64)
{
	struct buffer out = BUFFER_INIT(SIZE_MAX);

	json_put_base64(&out, "", 0);
	assert_written(&out, "\"\"");
	json_put_base64(&out, "f", 1);
	assert_written(&out, "\"Zg==\"");
	json_put_base64(&out, "fo", 2);
	assert_written(&out, "\"Zm8=\"");
	json_put_base64(&out, "foo", 3);
	assert_written(&out, "\"Zm9v\"");
	json_put_base64(&out, "foobar", 6);
	assert_written(&out, "\"Zm9vYmFy\"");
	json_put_base64(&out, "\xff\xfe\xfd\x00", 4);
	assert_written(&out, "\"//79AA==\"");
	buffer_release(&out);
}
END_TEST

static void write_doubles(struct buffer *out)
{
	static const double values[] = {0,       -0.5, 0.1,           1e21, 1.0 / 3, DBL_MAX,
					DBL_MIN, 5,    123456789.125, NAN,  INFINITY};
	struct json_writer writer;

	json_writer_init(&writer, out);
	json_open(&writer, '[');
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		json_double(&writer, values[i]);
	json_close(&writer);
}

/* Numbers have a point in every locale. */
START_TEST(test_doubles_and_locale)
{
	static const char expected[] = "[0,-0.5,0.1,1e+21,0.3333333333333333,1.7976931348623157e+308,"
				       "2.2250738585072014e-308,5,123456789.125,null,null]";
	static const char *const locales[] = {"C", "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"};
	struct buffer out = BUFFER_INIT(SIZE_MAX);

	for (size_t i = 0; i < ARRAY_LEN(locales); i++) {
		if (!setlocale(LC_ALL, locales[i]))
			continue; /* not installed */
		write_doubles(&out);
		assert_written(&out, expected);
		assert_double("1.5", 0, 1.5);
	}
	setlocale(LC_ALL, "C");
	buffer_release(&out);
}
END_TEST

START_TEST(test_writer)
{
	struct buffer out = BUFFER_INIT(SIZE_MAX);
	struct json_writer writer;

	json_writer_init(&writer, &out);
	json_open(&writer, '{');
	json_member_string(&writer, "s", "x\"y");
	json_member_string(&writer, "none", NULL);
	json_member_int(&writer, "i", -5);
	json_member_bool(&writer, "b", true);
	json_name(&writer, "list");
	json_open(&writer, '[');
	json_open(&writer, '{');
	json_close(&writer);
	json_open(&writer, '[');
	json_close(&writer);
	json_int(&writer, 1);
	json_string_n(&writer, "abcdef", 3);
	json_bool(&writer, false);
	json_null(&writer);
	json_raw(&writer, "{\"raw\":[1]}", 11);
	json_double(&writer, 0.25);
	json_close(&writer);
	json_name(&writer, "after");
	json_raw(&writer, "0", 1);
	json_close(&writer);
	ck_assert_uint_eq(writer.depth, 0);
	assert_written(
		&out,
		"{\"s\":\"x\\\"y\",\"none\":null,\"i\":-5,\"b\":true,\"list\":[{},[],1,\"abc\",false,null,"
		"{\"raw\":[1]},0.25],\"after\":0}");
	buffer_release(&out);
}
END_TEST

START_TEST(test_writer_deep)
{
	struct buffer out = BUFFER_INIT(SIZE_MAX);
	struct json_writer writer;

	json_writer_init(&writer, &out);
	for (int i = 0; i < 63; i++)
		json_open(&writer, '[');
	json_int(&writer, 1);
	json_int(&writer, 2);
	for (int i = 0; i < 63; i++)
		json_close(&writer);
	ck_assert_uint_eq(out.size, 63 * 2 + 3);
	ck_assert(memcmp(out.data + 62, "[1,2]]", 6) == 0);
	buffer_release(&out);
}
END_TEST

/* A failure in the middle is seen at the end. */
START_TEST(test_writer_past_maximum)
{
	struct buffer out = BUFFER_INIT(10);
	struct json_writer writer;

	json_writer_init(&writer, &out);
	json_open(&writer, '[');
	json_string(&writer, "too long a string");
	json_close(&writer);
	ck_assert_int_eq(buffer_error(&out), -EMSGSIZE);
	buffer_release(&out);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_string_decode,
		test_string_decode_bad,
		test_string_decode_cut,
		test_string_equals,
		test_int,
		test_double,
		test_cursor,
		test_cursor_bounds,
		test_put_string,
		test_put_string_round,
		test_put_scalars,
		test_put_base64,
		test_doubles_and_locale,
		test_writer,
		test_writer_deep,
		test_writer_past_maximum,
	};

	return RUN_SUITE("proto.json_text", tests);
}
