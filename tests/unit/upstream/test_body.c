/* The growing body and the request's text, without a network. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/body.h"
#include "upstream/http.h"
#include "upstream/request.h"
#include "world.h"

static void append(struct body *body, const char *text, int64_t announced)
{
	ck_assert_int_eq(body_append(body, text, strlen(text), announced), 0);
}

static void expect_blob(struct body *body, uint64_t start, uint64_t end, const char *expected)
{
	struct blob *blob = body_take(body, (struct json_range){start, end});

	ck_assert_uint_eq(blob->size, strlen(expected));
	if (blob->size)
		ck_assert_mem_eq(blob->data, expected, blob->size);
	ck_assert_ptr_null(body->data);
	ck_assert_uint_eq(body->size, 0);
	blob_unref(blob);
}

START_TEST(ranges)
{
	struct body body = {0};

	append(&body, "hello ", -1);
	append(&body, "world", 11);
	expect_blob(&body, 0, 11, "hello world");
	append(&body, "hello ", -1);
	append(&body, "", -1);
	append(&body, "world", -1);
	expect_blob(&body, 6, 9, "wor");
	append(&body, "x", -1);
	expect_blob(&body, 1, 1, "");
	expect_blob(&body, 0, 0, "");
}
END_TEST

START_TEST(announcements_are_not_trusted)
{
	struct body body = {0};
	char block[4096];

	memset(block, 'x', sizeof(block));
	ck_assert_int_eq(body_append(&body, block, sizeof(block), INT64_MAX), 0);
	ck_assert_uint_le(body.capacity, sizeof(block) + BODY_AHEAD_MAX);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(body_append(&body, block, sizeof(block), INT64_MAX), 0);
		ck_assert_uint_le(body.capacity - body.size, BODY_AHEAD_MAX);
	}
	body_release(&body);
	ck_assert_uint_eq(body.capacity, 0);
}
END_TEST

START_TEST(exact_when_announced)
{
	struct body body = {0};
	char block[1000] = {0};

	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(body_append(&body, block, sizeof(block), 10000), 0);
	ck_assert_uint_eq(body.capacity, 10000);
	/* One more than was announced is taken all the same. */
	append(&body, "y", 10000);
	ck_assert_uint_eq(body.size, 10001);
	body_release(&body);
}
END_TEST

START_TEST(never_more_than_one_mebibyte_ahead)
{
	struct body body = {0};
	char *block = calloc(1, 70000);

	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(body_append(&body, block, 70000, -1), 0);
		ck_assert_uint_le(body.capacity - body.size, BODY_AHEAD_MAX);
	}
	free(block);
	body_release(&body);
}
END_TEST

START_TEST(key_is_masked)
{
	struct request_headers *headers = request_headers_new("X-API-Key: abc", NULL);
	char text[] = "abc, xabcabc: ab", untouched[] = "nothing";

	request_headers_mask(headers, text);
	ck_assert_str_eq(text, "***, x******: ab");
	request_headers_mask(headers, untouched);
	ck_assert_str_eq(untouched, "nothing");
	request_headers_unref(headers);
}
END_TEST

static bool loopback4(const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};

	ck_assert_int_eq(inet_pton(AF_INET, text, &address.sin_addr), 1);
	return http_address_is_loopback((const struct sockaddr *)&address);
}

static bool loopback6(const char *text)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6};

	ck_assert_int_eq(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
	return http_address_is_loopback((const struct sockaddr *)&address);
}

START_TEST(loopback_addresses)
{
	struct sockaddr other = {.sa_family = AF_UNSPEC};

	ck_assert(loopback4("127.0.0.1"));
	ck_assert(loopback4("127.255.0.3"));
	ck_assert(!loopback4("128.0.0.1"));
	ck_assert(!loopback4("10.0.0.127"));
	ck_assert(!loopback4("0.0.0.0"));
	ck_assert(loopback6("::1"));
	ck_assert(!loopback6("::"));
	ck_assert(!loopback6("::2"));
	ck_assert(!loopback6("fe80::1"));
	ck_assert(loopback6("::ffff:127.0.0.1"));
	ck_assert(!loopback6("::ffff:10.0.0.1"));
	ck_assert(!http_address_is_loopback(&other));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		ranges,
		announcements_are_not_trusted,
		exact_when_announced,
		never_more_than_one_mebibyte_ahead,
		key_is_masked,
		loopback_addresses,
	};
	struct world_tests all[] = {{tests, ARRAY_LEN(tests), 1}};

	return world_main("upstream.body", all, ARRAY_LEN(all));
}
