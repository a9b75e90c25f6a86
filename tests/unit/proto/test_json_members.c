/*
 * The scanner and the members of objects: how many there may be, that none is there twice, and those that the
 * caller wants to have.
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

/* An object of `n` members "n0", "n1", …; member `repeat` (if below n) is called like member 0. */
static void many_members(struct buffer *text, unsigned n, unsigned repeat, uint64_t *ret_at)
{
	buffer_putc(text, '{');
	for (unsigned i = 0; i < n; i++) {
		if (i)
			buffer_putc(text, ',');
		if (i == repeat)
			*ret_at = text->size;
		buffer_printf(text, "\"n%u\":%u", i == repeat ? 0 : i, i);
	}
	buffer_putc(text, '}');
	ck_assert_int_eq(buffer_error(text), 0);
}

static void scan_members(unsigned n, unsigned repeat, enum json_error error)
{
	struct buffer text = BUFFER_INIT(SIZE_MAX);
	struct json_scan scan;
	uint64_t at = 0;

	many_members(&text, n, repeat, &at);
	ck_assert_int_eq(json_scan_text(&scan, JSON_STRICT, &names, NULL, 0, text.data, text.size), error);
	if (error == JSON_ERROR_DUPLICATE)
		ck_assert_uint_eq(scan.error_at, at);
	ck_assert_int_eq(json_scan_text(&scan, JSON_SERVER, NULL, NULL, 0, text.data, text.size), JSON_OK);
	json_scan_init(&scan, JSON_STRICT, &names, NULL, 0);
	ck_assert_int_eq(feed_bytes(&scan, text.data, text.size), error);
	buffer_release(&text);
}

START_TEST(test_member_limit)
{
	struct buffer text = BUFFER_INIT(SIZE_MAX);
	struct json_scan scan;
	uint64_t at = 0;

	scan_members(JSON_STRICT_MEMBERS, UINT32_MAX, JSON_OK);
	scan_members(JSON_STRICT_MEMBERS + 1, UINT32_MAX, JSON_ERROR_MEMBERS);
	/* The name that is too many is the one that is told. */
	many_members(&text, JSON_STRICT_MEMBERS, UINT32_MAX, &at);
	text.size--;
	at = text.size + 1;
	buffer_puts(&text, ",\"last\":1}");
	json_scan_text(&scan, JSON_STRICT, &names, NULL, 0, text.data, text.size);
	ck_assert_int_eq(scan.error, JSON_ERROR_MEMBERS);
	ck_assert_uint_eq(scan.error_at, at);
	/* The limit is one for the text, not for each object. */
	buffer_clear(&text);
	buffer_putc(&text, '[');
	for (int i = 0; i < JSON_STRICT_MEMBERS; i++)
		buffer_puts(&text, i ? ",{\"a\":1}" : "{\"a\":1}");
	buffer_putc(&text, ']');
	ck_assert_int_eq(json_scan_text(&scan, JSON_STRICT, &names, NULL, 0, text.data, text.size), JSON_OK);
	text.size--;
	buffer_puts(&text, ",{\"a\":1}]");
	ck_assert_int_eq(json_scan_text(&scan, JSON_STRICT, &names, NULL, 0, text.data, text.size),
			 JSON_ERROR_MEMBERS);
	buffer_release(&text);
}
END_TEST

/* Equal names in different objects, and names that only look alike, are no duplicates. */
START_TEST(test_no_duplicates)
{
	static const char *const texts[] = {
		"{\"a\":{\"a\":1},\"b\":{\"a\":1}}",
		"[{\"a\":1},{\"a\":1},{\"a\":{\"a\":[{\"a\":1}]}}]",
		"{\"a\":1,\"A\":2,\"a\\u0000\":3,\"\\u0000a\":4,\"\":5,\"\\u0000\":6}",
		"{\"e\xcc\x81\":1,\"\xc3\xa9\":2}",
		"{\"a\":\"a\",\"b\":\"a\"}",
		"{\"abcdefgh\":1,\"abcdefg\":2}",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		size_t size = strlen(texts[i]);
		struct json_scan scan;

		for (size_t cut = 0; cut <= size; cut++) {
			json_scan_init(&scan, JSON_STRICT, &names, NULL, 0);
			ck_assert_int_eq(feed_cut(&scan, texts[i], size, &cut, 1), JSON_OK);
		}
		json_scan_init(&scan, JSON_STRICT, &names, NULL, 0);
		ck_assert_int_eq(feed_bytes(&scan, texts[i], size), JSON_OK);
	}
}
END_TEST

/* Duplicates are found while names are compared one by one, when the table is made, and each time it grows.
 */
START_TEST(test_duplicates_among_many)
{
	static const unsigned counts[] = {2,   31,  32,  33,  34,  63,   64,   65,  66,
					  127, 128, 129, 130, 500, 1025, 2049, 4096};

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		scan_members(counts[i], UINT32_MAX, JSON_OK);
		scan_members(counts[i], counts[i] - 1, JSON_ERROR_DUPLICATE);
		scan_members(counts[i], counts[i] / 2 ? counts[i] / 2 : 1, JSON_ERROR_DUPLICATE);
	}
}
END_TEST

/* Names of one scan mean nothing to the next, after many or few. */
START_TEST(test_names_are_forgotten)
{
	for (int i = 0; i < 3; i++) {
		scan_members(300, UINT32_MAX, JSON_OK);
		scan_members(5, UINT32_MAX, JSON_OK);
		scan_members(40, UINT32_MAX, JSON_OK);
	}
}
END_TEST

/* Wanted members. */

static void assert_member(const struct json_member *member, enum json_type type, const char *text,
			  const char *value)
{
	size_t size = strlen(value);

	ck_assert_int_eq(member->type, type);
	ck_assert_uint_eq(member->value.end - member->value.start, size);
	ck_assert(memcmp(text + member->value.start, value, size) == 0);
	if (member->capture) {
		size_t captured = size < member->capture_size ? size : member->capture_size;

		ck_assert_uint_eq(member->captured, captured);
		ck_assert(memcmp(member->capture, value, captured) == 0);
	}
}

START_TEST(test_wanted)
{
	static const char text[] =
		" {\"id\" : 17 , \"s\":\"a\\\"b\", \"obj\":{\"id\":1,\"x\":[ 1 ]} ,\"arr\":[[],{}]\t,"
		"\"t\":true,\"f\":false, \"nul\":null,\"\\u006eum\":-1.5e3\n} ";
	char captures[8][6];
	struct json_member wanted[] = {
		{.name = "id", .capture = captures[0], .capture_size = 6},
		{.name = "s", .capture = captures[1], .capture_size = 6},
		{.name = "obj", .capture = captures[2], .capture_size = 6},
		{.name = "arr", .capture = captures[3], .capture_size = 6},
		{.name = "t", .capture = captures[4], .capture_size = 4},
		{.name = "f", .capture = captures[5], .capture_size = 0},
		{.name = "nul"},
		{.name = "num", .capture = captures[7], .capture_size = 6},
		{.name = "x"},
	};
	struct json_scan scan;

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		memset(captures, '#', sizeof(captures));
		json_scan_init(&scan, JSON_STRICT, &names, wanted, ARRAY_LEN(wanted));
		ck_assert_int_eq(feed_cut(&scan, text, sizeof(text) - 1, &cut, 1), JSON_OK);
		ck_assert_int_eq(scan.type, JSON_OBJECT);
		ck_assert_uint_eq(scan.value.start, 1);
		ck_assert_uint_eq(scan.value.end, sizeof(text) - 2);
		assert_member(&wanted[0], JSON_NUMBER, text, "17");
		assert_member(&wanted[1], JSON_STRING, text, "\"a\\\"b\"");
		assert_member(&wanted[2], JSON_OBJECT, text, "{\"id\":1,\"x\":[ 1 ]}");
		assert_member(&wanted[3], JSON_ARRAY, text, "[[],{}]");
		assert_member(&wanted[4], JSON_TRUE, text, "true");
		assert_member(&wanted[5], JSON_FALSE, text, "false");
		assert_member(&wanted[6], JSON_NULL, text, "null");
		assert_member(&wanted[7], JSON_NUMBER, text, "-1.5e3");
		ck_assert_int_eq(wanted[8].type, JSON_NONE);
		ck_assert_int_eq(captures[5][0], '#');
	}
	json_scan_init(&scan, JSON_STRICT, &names, wanted, ARRAY_LEN(wanted));
	ck_assert_int_eq(feed_bytes(&scan, text, sizeof(text) - 1), JSON_OK);
	assert_member(&wanted[2], JSON_OBJECT, text, "{\"id\":1,\"x\":[ 1 ]}");
}
END_TEST

/* Only members of a top-level object count, and a scan starts with none. */
START_TEST(test_wanted_elsewhere)
{
	static const char *const texts[] = {"[{\"a\":1}]", "{\"b\":{\"a\":1}}",
					    "\"a\"",       "{\"b\":[\"a\",{\"a\":2}],\"c\":\"a\"}",
					    "{}",          "{\"ab\":1,\"\":2,\"a\\u0000\":3,\"A\":4}"};
	char bytes[8];
	struct json_member wanted = {.name = "a",
				     .capture = bytes,
				     .capture_size = sizeof(bytes),
				     .type = JSON_TRUE,
				     .captured = 3};
	struct json_scan scan;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		ck_assert_int_eq(
			json_scan_text(&scan, JSON_STRICT, &names, &wanted, 1, texts[i], strlen(texts[i])),
			JSON_OK);
		ck_assert_int_eq(wanted.type, JSON_NONE);
		ck_assert_uint_eq(wanted.captured, 0);
	}
}
END_TEST

START_TEST(test_wanted_last_wins)
{
	static const char text[] = "{\"a\":\"first and long\",\"b\":1,\"a\":{\"a\":9},\"\\u0061\":[2]}";
	char bytes[16];
	struct json_member wanted = {.name = "a", .capture = bytes, .capture_size = sizeof(bytes)};
	struct json_scan scan;

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		json_scan_init(&scan, JSON_SERVER, NULL, &wanted, 1);
		ck_assert_int_eq(feed_cut(&scan, text, sizeof(text) - 1, &cut, 1), JSON_OK);
		assert_member(&wanted, JSON_ARRAY, text, "[2]");
	}
}
END_TEST

/* The longest name that can be wanted, one byte less, and one more. */
START_TEST(test_wanted_long_names)
{
	static const char name[] = "a23456789012345678901234567890z"; /* 31 bytes */
	struct json_member wanted = {.name = name};
	struct json_scan scan;
	char text[128];

	for (int extra = -1; extra <= 3; extra++) {
		for (int escaped = 0; escaped <= 1; escaped++) {
			int size = snprintf(text, sizeof(text), "{\"%s%.*s%.*s\":1}",
					    escaped ? "\\u0061" : "a", extra < 0 ? 29 : 30, name + 1,
					    extra < 0 ? 0 : extra, "zzz");

			for (size_t cut = 0; cut <= (size_t)size; cut++) {
				json_scan_init(&scan, JSON_STRICT, &names, &wanted, 1);
				ck_assert_int_eq(feed_cut(&scan, text, (size_t)size, &cut, 1), JSON_OK);
				ck_assert_int_eq(wanted.type, extra == 0 ? JSON_NUMBER : JSON_NONE);
			}
		}
	}
}
END_TEST

/* Line breaks between tokens become spaces, those written in strings stay, and captures see the change. */
START_TEST(test_flatten)
{
	static const char text[] = "\r\n{\n\"a\" :\r\n[ 1,\n2\r]\n,\n\"b\":\"x\\n\\r\" }\n";
	static const char flat[] = "  { \"a\" :  [ 1, 2 ] , \"b\":\"x\\n\\r\" } ";
	char bytes[32];
	struct json_member wanted = {.name = "a", .capture = bytes, .capture_size = sizeof(bytes)};

	for (size_t cut = 0; cut < sizeof(text); cut++) {
		char copy[sizeof(text)];
		struct json_scan scan;

		memcpy(copy, text, sizeof(text));
		json_scan_init(&scan, JSON_SERVER, NULL, &wanted, 1);
		scan.flatten = true;
		ck_assert(json_scan_feed(&scan, copy, cut));
		ck_assert(json_scan_feed(&scan, copy + cut, sizeof(text) - 1 - cut));
		ck_assert_int_eq(json_scan_finish(&scan), JSON_OK);
		ck_assert_str_eq(copy, flat);
		assert_member(&wanted, JSON_ARRAY, flat, "[ 1, 2 ]");
	}
}
END_TEST

/* Whoever does not know the key cannot tell which names would collide: another key, other hashes, the same
 * answers. */
START_TEST(test_keys)
{
	struct json_scan scan;
	uint8_t other[16] = {0};

	for (int i = 0; i < 16; i++) {
		other[i] = 0xa5;
		json_names_init(&names, other);
		scan_members(200, UINT32_MAX, JSON_OK);
		scan_members(200, 199, JSON_ERROR_DUPLICATE);
	}
	json_names_init(&names, key);
	json_scan_text(&scan, JSON_STRICT, &names, NULL, 0, "{\"a\":1}", 7);
	uint64_t first = names.hash[0];

	json_names_init(&names, other);
	json_scan_text(&scan, JSON_STRICT, &names, NULL, 0, "{\"a\":1}", 7);
	ck_assert_uint_ne(first, names.hash[0]);
	json_names_init(&names, key);
}
END_TEST

/* The sum of the reference implementation's first test values, SipHash-1-3 with key 00 01 … 0f. */
START_TEST(test_siphash)
{
	static const uint64_t sums[] = {
		UINT64_C(0xabac0158050fc4dc),
		UINT64_C(0xc9f49bf37d57ca93),
		UINT64_C(0x82cb9b024dc7d44d),
		UINT64_C(0x8bf80ab8e7ddf7fb),
	};
	uint64_t sip_key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
	char data[64];

	for (int i = 0; i < 64; i++)
		data[i] = (char)i;
	for (size_t size = 0; size <= sizeof(data); size++) {
		struct siphash whole, pieces;
		uint64_t sum;

		siphash_init(&whole, sip_key);
		siphash_update(&whole, data, size);
		sum = siphash_final(&whole);
		if (size < ARRAY_LEN(sums))
			ck_assert_uint_eq(sum, sums[size]);
		for (size_t cut = 0; cut <= size; cut++) {
			siphash_init(&pieces, sip_key);
			siphash_update(&pieces, data, cut);
			siphash_update(&pieces, data + cut, size - cut);
			ck_assert_uint_eq(siphash_final(&pieces), sum);
		}
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_member_limit,
		test_no_duplicates,
		test_duplicates_among_many,
		test_names_are_forgotten,
		test_wanted,
		test_wanted_elsewhere,
		test_wanted_last_wins,
		test_wanted_long_names,
		test_flatten,
		test_keys,
		test_siphash,
	};

	json_names_init(&names, key);
	return RUN_SUITE("proto.json_members", tests);
}
