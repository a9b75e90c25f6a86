/*
 * The scanner: what it takes and refuses, and where. Every text is fed whole, byte by byte, and cut at every
 * position, each piece in memory of exactly its size, and must give the same answer each time.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "feed.h"
#include "proto/buffer.h"
#include "proto/json_scan.h"
#include "test_run.h"

static struct json_names names;
static const uint8_t key[16] = {7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void assert_same(const struct json_scan *scan, enum json_error error, uint64_t at, const char *text,
			const char *how, size_t cut)
{
	ck_assert_msg(scan->error == error, "%s: %s, not %s (%s, %zu)", text, json_error_text(scan->error),
		      json_error_text(error), how, cut);
	if (error != JSON_OK)
		ck_assert_msg(scan->error_at == at, "%s: error at %ju, not %ju (%s, %zu)", text,
			      (uintmax_t)scan->error_at, (uintmax_t)at, how, cut);
}

static void check(enum json_dialect dialect, const char *text, size_t size, enum json_error error,
		  uint64_t at)
{
	struct json_scan scan, whole;

	json_scan_init(&whole, dialect, &names, NULL, 0);
	feed_cut(&whole, text, size, NULL, 0);
	assert_same(&whole, error, at, text, "whole", 0);
	ck_assert(json_scan_text(&scan, dialect, &names, NULL, 0, text, size) == error);

	json_scan_init(&scan, dialect, &names, NULL, 0);
	feed_bytes(&scan, text, size);
	assert_same(&scan, error, at, text, "bytes", 0);

	for (size_t cut = 0; cut <= size; cut++) {
		json_scan_init(&scan, dialect, &names, NULL, 0);
		feed_cut(&scan, text, size, &cut, 1);
		assert_same(&scan, error, at, text, "cut", cut);
		if (error != JSON_OK)
			continue;
		ck_assert_int_eq(scan.type, whole.type);
		ck_assert_uint_eq(scan.value.start, whole.value.start);
		ck_assert_uint_eq(scan.value.end, whole.value.end);
	}
	for (size_t cut = 0; cut + 3 <= size && size < 64; cut++) {
		size_t cuts[3] = {cut, cut + 1, cut + 3};

		json_scan_init(&scan, dialect, &names, NULL, 0);
		feed_cut(&scan, text, size, cuts, 3);
		assert_same(&scan, error, at, text, "three cuts", cut);
	}
}

struct text {
	const char *text;
	size_t size;
};
#define T(literal)                                                                                           \
	{                                                                                                    \
		literal, sizeof(literal) - 1                                                                 \
	}

/* RFC 8259 in both dialects. */
static const struct text good[] = {
	T("{}"),
	T("[]"),
	T("\"\""),
	T("0"),
	T("-0"),
	T("1"),
	T("-1"),
	T("10"),
	T("1234567890123456789012345678901234567890"),
	T("0.5"),
	T("-0.0"),
	T("1.25e10"),
	T("1E+2"),
	T("1e-2"),
	T("0e0"),
	T("0E+0"),
	T("1e1000"),
	T("123.456e-789"),
	T("true"),
	T("false"),
	T("null"),
	T(" null"),
	T("null "),
	T("\t\r\n null \t\r\n"),
	T("[null]"),
	T("[[]]"),
	T("[[],{},[{}]]"),
	T("[1,2,3]"),
	T("[ 1 , 2 ]"),
	T("[\n1\n]"),
	T("{\"a\":1}"),
	T("{ \"a\" : 1 , \"b\" : 2 }"),
	T("{\"\":0}"),
	T("{\"a\":{\"a\":{\"a\":{}}}}"),
	T("[{\"a\":1},{\"a\":1}]"),
	T("{\"a\":[],\"b\":{},\"c\":\"\"}"),
	T("\"plain\""),
	T("\"a long string of plain characters, longer than a word\""),
	T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
	T("\"\\u0000\""),
	T("\"\\u00e9\""),
	T("\"\\uD83D\\uDE00\""),
	T("\"\\ud83d\\ude00x\""),
	T("\"\\uFFFF\""),
	T("\"x\\u00Af\\uaBcDy\""),
	T("\"\x7f\""),
	T("\"\xc2\x80\""),
	T("\"\xdf\xbf\""),
	T("\"\xe0\xa0\x80\""),
	T("\"\xed\x9f\xbf\""),
	T("\"\xee\x80\x80\""),
	T("\"\xef\xbf\xbf\""),
	T("\"\xf0\x90\x80\x80\""),
	T("\"\xf4\x8f\xbf\xbf\""),
	T("\"\xe4\xb8\xad\xe6\x96\x87 mixed \xc3\xa9 text\""),
	T("{\"\xe4\xb8\xad\":\"\xe6\x96\x87\",\"\\u4e2e\":1}"),
	T("[1.5,\"x\",true,false,null,{\"k\":[0]},-3e2]"),
	T("[0,-0,0.0,10,100]"),
	T("[\"\\\\\",\"\\\\\\\"\"]"),
};

START_TEST(test_good)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		check(JSON_STRICT, good[i].text, good[i].size, JSON_OK, 0);
		check(JSON_SERVER, good[i].text, good[i].size, JSON_OK, 0);
		check(JSON_REPLY, good[i].text, good[i].size, JSON_OK, 0);
	}
}
END_TEST

/* What neither dialect takes, and the byte where it goes wrong. */
static const struct {
	struct text text;
	enum json_error error;
	uint64_t at;
} bad[] = {
	{T(""), JSON_ERROR_EMPTY, 0},
	{T(" \t\r\n"), JSON_ERROR_EMPTY, 4},
	/* structure */
	{T("["), JSON_ERROR_INCOMPLETE, 1},
	{T("{"), JSON_ERROR_INCOMPLETE, 1},
	{T("[1"), JSON_ERROR_INCOMPLETE, 2},
	{T("[1,"), JSON_ERROR_INCOMPLETE, 3},
	{T("{\"a\""), JSON_ERROR_INCOMPLETE, 4},
	{T("{\"a\":"), JSON_ERROR_INCOMPLETE, 5},
	{T("{\"a\":1"), JSON_ERROR_INCOMPLETE, 6},
	{T("{\"a\":1,"), JSON_ERROR_INCOMPLETE, 7},
	{T("[[]"), JSON_ERROR_INCOMPLETE, 3},
	{T("]"), JSON_ERROR_SYNTAX, 0},
	{T("}"), JSON_ERROR_SYNTAX, 0},
	{T(","), JSON_ERROR_SYNTAX, 0},
	{T(":"), JSON_ERROR_SYNTAX, 0},
	{T("[}"), JSON_ERROR_SYNTAX, 1},
	{T("{]"), JSON_ERROR_SYNTAX, 1},
	{T("[1}"), JSON_ERROR_SYNTAX, 2},
	{T("{\"a\":1]"), JSON_ERROR_SYNTAX, 6},
	{T("[[]}"), JSON_ERROR_SYNTAX, 3},
	{T("{\"a\":[]]"), JSON_ERROR_SYNTAX, 7},
	{T("[,1]"), JSON_ERROR_SYNTAX, 1},
	{T("[1,]"), JSON_ERROR_SYNTAX, 3},
	{T("[1,,2]"), JSON_ERROR_SYNTAX, 3},
	{T("[1 2]"), JSON_ERROR_SYNTAX, 3},
	{T("[\"a\" \"b\"]"), JSON_ERROR_SYNTAX, 5},
	{T("[1:2]"), JSON_ERROR_SYNTAX, 2},
	{T("{,}"), JSON_ERROR_SYNTAX, 1},
	{T("{1:2}"), JSON_ERROR_SYNTAX, 1},
	{T("{a:1}"), JSON_ERROR_SYNTAX, 1},
	{T("{'a':1}"), JSON_ERROR_SYNTAX, 1},
	{T("{\"a\" 1}"), JSON_ERROR_SYNTAX, 5},
	{T("{\"a\",1}"), JSON_ERROR_SYNTAX, 4},
	{T("{\"a\"}"), JSON_ERROR_SYNTAX, 4},
	{T("{\"a\":}"), JSON_ERROR_SYNTAX, 5},
	{T("{\"a\"::1}"), JSON_ERROR_SYNTAX, 5},
	{T("{\"a\":1,}"), JSON_ERROR_SYNTAX, 7},
	{T("{\"a\":1 \"b\":2}"), JSON_ERROR_SYNTAX, 7},
	{T("{\"a\":1,2}"), JSON_ERROR_SYNTAX, 7},
	{T("'a'"), JSON_ERROR_SYNTAX, 0},
	{T("/* no */ 1"), JSON_ERROR_SYNTAX, 0},
	{T("1 // no"), JSON_ERROR_TRAILING, 2},
	{T("[1]x"), JSON_ERROR_TRAILING, 3},
	{T("{} {}"), JSON_ERROR_TRAILING, 3},
	{T("[] ,"), JSON_ERROR_TRAILING, 3},
	{T("1 2"), JSON_ERROR_TRAILING, 2},
	{T("\"a\"\"b\""), JSON_ERROR_TRAILING, 3},
	{T("nullnull"), JSON_ERROR_TRAILING, 4},
	{T("\xef\xbb\xbf{}"), JSON_ERROR_SYNTAX, 0},
	{T("[1\f]"), JSON_ERROR_SYNTAX, 2},
	{T("[1\v]"), JSON_ERROR_SYNTAX, 2},
	{T("[1\0]"), JSON_ERROR_SYNTAX, 2},
	{T("\0"), JSON_ERROR_SYNTAX, 0},
	{T("[]\0"), JSON_ERROR_TRAILING, 2},
	{T("[\xc2\xa0]"), JSON_ERROR_SYNTAX, 1},
	/* literals */
	{T("t"), JSON_ERROR_INCOMPLETE, 1},
	{T("tru"), JSON_ERROR_INCOMPLETE, 3},
	{T("[tru]"), JSON_ERROR_SYNTAX, 4},
	{T("trux"), JSON_ERROR_SYNTAX, 3},
	{T("True"), JSON_ERROR_SYNTAX, 0},
	{T("nul"), JSON_ERROR_INCOMPLETE, 3},
	{T("[nulll]"), JSON_ERROR_SYNTAX, 5},
	{T("falsy"), JSON_ERROR_SYNTAX, 4},
	{T("nan"), JSON_ERROR_SYNTAX, 1},
	{T("undefined"), JSON_ERROR_SYNTAX, 0},
	{T("Nan"), JSON_ERROR_SYNTAX, 2},
	{T("NaNN"), JSON_ERROR_TRAILING, 3},
	{T("Inf"), JSON_ERROR_INCOMPLETE, 3},
	{T("-Inf"), JSON_ERROR_INCOMPLETE, 4},
	{T("[-Inf]"), JSON_ERROR_SYNTAX, 5},
	{T("[infinity]"), JSON_ERROR_SYNTAX, 1},
	/* numbers */
	{T("-"), JSON_ERROR_INCOMPLETE, 1},
	{T("[-]"), JSON_ERROR_NUMBER, 2},
	{T("+1"), JSON_ERROR_NUMBER, 0},
	{T(".5"), JSON_ERROR_NUMBER, 0},
	{T("01"), JSON_ERROR_NUMBER, 1},
	{T("-01"), JSON_ERROR_NUMBER, 2},
	{T("00"), JSON_ERROR_NUMBER, 1},
	{T("1."), JSON_ERROR_INCOMPLETE, 2},
	{T("[1.]"), JSON_ERROR_NUMBER, 3},
	{T("1.e5"), JSON_ERROR_NUMBER, 2},
	{T("1.x"), JSON_ERROR_NUMBER, 2},
	{T("1.2.3"), JSON_ERROR_TRAILING, 3},
	{T("[1.2.3]"), JSON_ERROR_SYNTAX, 4},
	{T("1e"), JSON_ERROR_INCOMPLETE, 2},
	{T("1e+"), JSON_ERROR_INCOMPLETE, 3},
	{T("[1e]"), JSON_ERROR_NUMBER, 3},
	{T("[1e+]"), JSON_ERROR_NUMBER, 4},
	{T("1e+-2"), JSON_ERROR_NUMBER, 3},
	{T("1e1.5"), JSON_ERROR_TRAILING, 3},
	{T("--1"), JSON_ERROR_NUMBER, 1},
	{T("- 1"), JSON_ERROR_NUMBER, 1},
	{T("-a"), JSON_ERROR_NUMBER, 1},
	{T("0x10"), JSON_ERROR_TRAILING, 1},
	{T("[0x10]"), JSON_ERROR_SYNTAX, 2},
	{T("[1a]"), JSON_ERROR_SYNTAX, 2},
	{T("[123456789a]"), JSON_ERROR_SYNTAX, 10},
	{T("1_000"), JSON_ERROR_TRAILING, 1},
	{T("-NaN"), JSON_ERROR_NUMBER, 1},
	{T("+Infinity"), JSON_ERROR_NUMBER, 0},
	/* strings */
	{T("\""), JSON_ERROR_INCOMPLETE, 1},
	{T("\"abc"), JSON_ERROR_INCOMPLETE, 4},
	{T("\"\\"), JSON_ERROR_INCOMPLETE, 2},
	{T("\"\\\""), JSON_ERROR_INCOMPLETE, 3},
	{T("\"\\u12"), JSON_ERROR_INCOMPLETE, 5},
	{T("\"\\x\""), JSON_ERROR_ESCAPE, 2},
	{T("\"\\'\""), JSON_ERROR_ESCAPE, 2},
	{T("\"\\0\""), JSON_ERROR_ESCAPE, 2},
	{T("\"\\U0041\""), JSON_ERROR_ESCAPE, 2},
	{T("\"\\\n\""), JSON_ERROR_ESCAPE, 2},
	{T("\"\\\0\""), JSON_ERROR_ESCAPE, 2},
	{T("\"\\u12g4\""), JSON_ERROR_ESCAPE, 5},
	{T("\"\\u123\""), JSON_ERROR_ESCAPE, 6},
	{T("\"\\u-123\""), JSON_ERROR_ESCAPE, 3},
	{T("\"\\ud800\\q\""), JSON_ERROR_ESCAPE, 8},
	{T("\"\\ud800\\u12g4\""), JSON_ERROR_ESCAPE, 11},
	{T("\"a\nb\""), JSON_ERROR_CONTROL, 2},
	{T("\"a\tb\""), JSON_ERROR_CONTROL, 2},
	{T("\"a\0b\""), JSON_ERROR_CONTROL, 2},
	{T("\"0123456789\x1f\""), JSON_ERROR_CONTROL, 11},
	{T("{\"a\nb\":1}"), JSON_ERROR_CONTROL, 3},
	/* UTF-8: the first byte that cannot go on */
	{T("\"\x80\""), JSON_ERROR_UTF8, 1},
	{T("\"\xbf\""), JSON_ERROR_UTF8, 1},
	{T("\"\xc0\x80\""), JSON_ERROR_UTF8, 1},
	{T("\"\xc1\xbf\""), JSON_ERROR_UTF8, 1},
	{T("\"\xc2\""), JSON_ERROR_UTF8, 2},
	{T("\"\xc2\xc2\""), JSON_ERROR_UTF8, 2},
	{T("\"\xc3\xa9\xa9\""), JSON_ERROR_UTF8, 3},
	{T("\"\xe0\x9f\xbf\""), JSON_ERROR_UTF8, 2},
	{T("\"\xe2\x82\""), JSON_ERROR_UTF8, 3},
	{T("\"\xed\xa0\x80\""), JSON_ERROR_UTF8, 2},
	{T("\"\xed\xbf\xbf\""), JSON_ERROR_UTF8, 2},
	{T("\"\xf0\x8f\xbf\xbf\""), JSON_ERROR_UTF8, 2},
	{T("\"\xf0\x9f\x98\""), JSON_ERROR_UTF8, 4},
	{T("\"\xf4\x90\x80\x80\""), JSON_ERROR_UTF8, 2},
	{T("\"\xf5\x80\x80\x80\""), JSON_ERROR_UTF8, 1},
	{T("\"\xff\""), JSON_ERROR_UTF8, 1},
	{T("\"\xfe\""), JSON_ERROR_UTF8, 1},
	{T("\"\xe4\xb8"), JSON_ERROR_INCOMPLETE, 3},
	{T("\"\xc3\\n\""), JSON_ERROR_UTF8, 2},
	{T("\"01234567\xc3(\""), JSON_ERROR_UTF8, 10},
	{T("{\"\xff\":1}"), JSON_ERROR_UTF8, 2},
	{T("\xc3\xa9"), JSON_ERROR_SYNTAX, 0},
};

START_TEST(test_bad)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		enum json_error strict = bad[i].error;
		uint64_t strict_at = bad[i].at;

		check(JSON_SERVER, bad[i].text.text, bad[i].text.size, bad[i].error, bad[i].at);
		if (strncmp(bad[i].text.text, "NaN", 3) == 0) { /* refused earlier already */
			strict = JSON_ERROR_NUMBER;
			strict_at = 0;
		}
		check(JSON_STRICT, bad[i].text.text, bad[i].text.size, strict, strict_at);
	}
}
END_TEST

/* What only servers may say. */
static const struct {
	struct text text;
	enum json_error strict;
	uint64_t at;
} lenient[] = {
	{T("NaN"), JSON_ERROR_NUMBER, 0},
	{T(" Infinity "), JSON_ERROR_NUMBER, 1},
	{T("-Infinity"), JSON_ERROR_NUMBER, 0},
	{T("[1,NaN,Infinity]"), JSON_ERROR_NUMBER, 3},
	{T("{\"a\":-Infinity}"), JSON_ERROR_NUMBER, 5},
	{T("\"\\ud800\""), JSON_ERROR_SURROGATE, 1},
	{T("\"a\\udc00b\""), JSON_ERROR_SURROGATE, 2},
	{T("\"\\udc00\\ud800\""), JSON_ERROR_SURROGATE, 1},
	{T("\"\\ud800x\""), JSON_ERROR_SURROGATE, 1},
	{T("\"\\ud800\\n\""), JSON_ERROR_SURROGATE, 1},
	{T("\"ab\\ud800\\u0041\""), JSON_ERROR_SURROGATE, 3},
	{T("\"\\ud800\\ud800\\udc00\""), JSON_ERROR_SURROGATE, 1},
	{T("\"\\ud83d\\ude00\\ude00\""), JSON_ERROR_SURROGATE, 13},
	{T("{\"\\ud800\":1}"), JSON_ERROR_SURROGATE, 2},
	{T("{\"a\":1,\"a\":2}"), JSON_ERROR_DUPLICATE, 7},
	{T("{\"a\":1,\"b\":2,\"a\":3}"), JSON_ERROR_DUPLICATE, 13},
	{T("{\"a\":1, \"\\u0061\":2}"), JSON_ERROR_DUPLICATE, 8},
	{T("{\"\\u0061\\u0062\":1,\"ab\":2}"), JSON_ERROR_DUPLICATE, 18},
	{T("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}"), JSON_ERROR_DUPLICATE, 18},
	{T("{\"\":1,\"\":2}"), JSON_ERROR_DUPLICATE, 6},
	{T("{\"\\n\":1,\"\\u000a\":2}"), JSON_ERROR_DUPLICATE, 8},
	{T("[{\"x\":{\"a\":1,\"a\":2}}]"), JSON_ERROR_DUPLICATE, 13},
	{T("{\"a\":{\"b\":1},\"a\":2}"), JSON_ERROR_DUPLICATE, 13},
	{T("{\"a\":{\"a\":{\"a\":1}},\"c\":[{\"b\":1}],\"b\":1,\"c\":0}"), JSON_ERROR_DUPLICATE, 39},
	{T("{\"a name of more than eight\":1,\"a name of more than eight\":2}"), JSON_ERROR_DUPLICATE, 31},
};

START_TEST(test_lenient)
{
	for (size_t i = 0; i < ARRAY_LEN(lenient); i++) {
		check(JSON_STRICT, lenient[i].text.text, lenient[i].text.size, lenient[i].strict,
		      lenient[i].at);
		check(JSON_SERVER, lenient[i].text.text, lenient[i].text.size, JSON_OK, 0);
	}
}
END_TEST

/* `levels` brackets, and what closes them if `closed`. */
static void nest(struct buffer *text, unsigned levels, bool objects, bool closed)
{
	for (unsigned i = 0; i < levels; i++)
		buffer_puts(text, !objects ? "[" : i + 1 < levels ? "{\"n\":" : "{");
	for (unsigned i = 0; closed && i < levels; i++)
		buffer_putc(text, objects ? '}' : ']');
	ck_assert_int_eq(buffer_error(text), 0);
}

static void check_depth(enum json_dialect dialect, unsigned max)
{
	for (int objects = 0; objects <= 1; objects++) {
		struct buffer text = BUFFER_INIT(SIZE_MAX);
		unsigned width = objects ? 5 : 1;

		nest(&text, max, objects, true);
		check(dialect, text.data, text.size, JSON_OK, 0);
		check(dialect, text.data, text.size - 1, JSON_ERROR_INCOMPLETE, text.size - 1);
		buffer_clear(&text);
		nest(&text, max + 1, objects, true);
		check(dialect, text.data, text.size, JSON_ERROR_DEPTH, max * width);
		buffer_clear(&text);
		nest(&text, 20000, objects, false);
		struct json_scan scan;

		ck_assert_int_eq(json_scan_text(&scan, dialect, &names, NULL, 0, text.data, text.size),
				 JSON_ERROR_DEPTH);
		ck_assert_uint_eq(scan.error_at, max * width);
		buffer_release(&text);
	}
}

START_TEST(test_depth)
{
	check_depth(JSON_STRICT, JSON_STRICT_DEPTH);
	check_depth(JSON_SERVER, JSON_SERVER_DEPTH);
	check_depth(JSON_REPLY, JSON_REPLY_DEPTH);
}
END_TEST

/* A scan may be given fewer levels than its dialect has. */
START_TEST(test_depth_lowered)
{
	struct json_scan scan;
	char text[] = "[[[[]]]]";

	for (uint32_t max = 3; max <= 4; max++) {
		json_scan_init(&scan, JSON_SERVER, NULL, NULL, 0);
		scan.depth_max = max;
		ck_assert(json_scan_feed(&scan, text, sizeof(text) - 1) == (max == 4));
		ck_assert_int_eq(json_scan_finish(&scan), max == 4 ? JSON_OK : JSON_ERROR_DEPTH);
	}
	ck_assert_uint_eq(scan.value.end, sizeof(text) - 1);
}
END_TEST

/* Kinds of brackets are told apart on every level. */
START_TEST(test_mixed_nesting)
{
	check(JSON_STRICT, "[{\"a\":[{\"b\":[[{}]]}]}]", 22, JSON_OK, 0);
	check(JSON_STRICT, "[{\"a\":[{\"b\":[[{}]}}]}]", 22, JSON_ERROR_SYNTAX, 17);
	check(JSON_STRICT, "[[[[[[[[{\"a\":[]},0]]]]]]]]", 26, JSON_OK, 0);
	check(JSON_STRICT, "[[[[[[[[{\"a\":[]],0]]]]]]]]", 26, JSON_ERROR_SYNTAX, 15);
}
END_TEST

START_TEST(test_feed_after_error)
{
	struct json_scan scan;
	char text[] = "[1,x]";

	json_scan_init(&scan, JSON_SERVER, NULL, NULL, 0);
	ck_assert(!json_scan_feed(&scan, text, 5));
	ck_assert(!json_scan_feed(&scan, text, 5));
	ck_assert(!json_scan_feed(&scan, text, 0));
	ck_assert_int_eq(json_scan_finish(&scan), JSON_ERROR_SYNTAX);
	ck_assert_uint_eq(scan.error_at, 3);
}
END_TEST

/* Positions go on past 4 GiB of text, which is not fed here: the count of bytes fed is set to it. */
START_TEST(test_positions_are_wide)
{
	struct json_scan scan;
	char begin[] = "\"abc", end[] = "def\"!";
	uint64_t between = UINT64_C(5) << 30;

	json_scan_init(&scan, JSON_SERVER, NULL, NULL, 0);
	ck_assert(json_scan_feed(&scan, begin, 4));
	scan.offset += between;
	ck_assert(!json_scan_feed(&scan, end, 5));
	ck_assert_int_eq(json_scan_finish(&scan), JSON_ERROR_TRAILING);
	ck_assert_uint_eq(scan.value.start, 0);
	ck_assert_uint_eq(scan.value.end, between + 8);
	ck_assert_uint_eq(scan.error_at, between + 8);
}
END_TEST

START_TEST(test_texts_for_people)
{
	for (int i = JSON_OK; i <= JSON_ERROR_TRAILING; i++)
		ck_assert_uint_gt(strlen(json_error_text((enum json_error)i)), 0);
	ck_assert_str_eq(json_error_text(JSON_ERROR_DUPLICATE), "duplicate member name");
	ck_assert_str_eq(json_type_text(JSON_STRING), "string");
	ck_assert_str_eq(json_type_text(JSON_TRUE), json_type_text(JSON_FALSE));
	ck_assert_ptr_nonnull(json_error_text((enum json_error)1000));
	ck_assert_ptr_nonnull(json_type_text((enum json_type)1000));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_good,
		test_bad,
		test_lenient,
		test_depth,
		test_depth_lowered,
		test_mixed_nesting,
		test_feed_after_error,
		test_positions_are_wide,
		test_texts_for_people,
	};

	json_names_init(&names, key);
	return RUN_SUITE("proto.json_scan", tests);
}
