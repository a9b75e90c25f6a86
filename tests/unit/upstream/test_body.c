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

static const struct body_place in_memory;

static void append(struct body *body, const char *text, int64_t announced)
{
	ck_assert_int_eq(body_append(body, &in_memory, text, strlen(text), announced), 0);
}

static void expect_result(struct body *body, uint64_t start, uint64_t end, const char *expected)
{
	struct result *result = body_result(body, &in_memory, CONTENT_JSON, (struct json_range){start, end},
					    5);

	ck_assert(result->ok && !result->in_file);
	ck_assert_int_eq(result->ended_wall, 5);
	ck_assert_uint_eq(result->size, strlen(expected));
	ck_assert_uint_eq(result->body->size, strlen(expected));
	if (result->size)
		ck_assert_mem_eq(result->body->data, expected, result->size);
	ck_assert_ptr_null(body->data);
	ck_assert_uint_eq(body->size, 0);
	result_unref(result);
}

START_TEST(ranges)
{
	struct body body = {0};

	append(&body, "hello ", -1);
	append(&body, "world", 11);
	expect_result(&body, 0, 11, "hello world");
	append(&body, "hello ", -1);
	append(&body, "", -1);
	append(&body, "world", -1);
	expect_result(&body, 6, 9, "wor");
	append(&body, "x", -1);
	expect_result(&body, 1, 1, "");
	expect_result(&body, 0, 0, "");
}
END_TEST

START_TEST(announcements_are_not_trusted)
{
	struct body body = {0};
	char block[4096];

	memset(block, 'x', sizeof(block));
	ck_assert_int_eq(body_append(&body, &in_memory, block, sizeof(block), INT64_MAX), 0);
	ck_assert_uint_le(body.capacity, sizeof(block) + BODY_AHEAD_MAX);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(body_append(&body, &in_memory, block, sizeof(block), INT64_MAX), 0);
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
		ck_assert_int_eq(body_append(&body, &in_memory, block, sizeof(block), 10000), 0);
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
		ck_assert_int_eq(body_append(&body, &in_memory, block, 70000, -1), 0);
		ck_assert_uint_le(body.capacity - body.size, BODY_AHEAD_MAX);
	}
	free(block);
	body_release(&body);
}
END_TEST

static uint64_t new_id(void *context)
{
	return ++*(uint64_t *)context;
}

static bool is_finished(struct world *w)
{
	return w->n_done > 0;
}

static void on_finished(void *context)
{
	(void)context;
	world->n_done = 1;
}

START_TEST(large_body_leaves_memory)
{
	struct body body = {0};
	uint64_t last_id = 6;
	struct body_place place = {world->spool, NULL, new_id, &last_id};
	struct result *result;
	char block[1024];

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 64; i++) {
		ck_assert_int_eq(body_append(&body, &place, block, sizeof(block), INT64_MAX), 0);
		ck_assert_uint_le(body.capacity, SPOOL_THRESHOLD);
		ck_assert(!body_in_file(&body));
	}
	ck_assert_uint_eq(last_id, 6);
	ck_assert_int_eq(body_append(&body, &place, "y", 1, INT64_MAX), 0);
	ck_assert(body_in_file(&body));
	ck_assert_ptr_null(body.data);
	ck_assert_int_eq(body_append(&body, &place, block, sizeof(block), INT64_MAX), 0);
	ck_assert_ptr_null(body.data);
	ck_assert_uint_eq(body.size, SPOOL_THRESHOLD + 1 + sizeof(block));
	ck_assert_uint_eq(last_id, 7);
	body_finish(&body, on_finished, NULL);
	world_until(is_finished);
	world->n_done = 0;
	result = body_result(&body, &place, CONTENT_PROTOBUF, (struct json_range){3, 65537}, 5);
	ck_assert(result->ok && result->in_file && result->content == CONTENT_PROTOBUF);
	ck_assert_uint_eq(result->id, 7);
	ck_assert_uint_eq(result->offset, 3);
	ck_assert_uint_eq(result->size, 65534);
	ck_assert_int_eq(result->ended_wall, 5);
	ck_assert_uint_eq(body.size, 0);
	ck_assert(!body_in_file(&body));
	result_unref(result);
	ck_assert_uint_eq(world_files(), 1);
	spool_remove(world->spool, 7);
}
END_TEST

START_TEST(released_body_leaves_no_file)
{
	struct body body = {0};
	uint64_t last_id = 0;
	struct body_place place = {world->spool, NULL, new_id, &last_id};
	static const char block[100000];

	ck_assert_int_eq(body_append(&body, &place, block, sizeof(block), -1), 0);
	world_until_files(1);
	body_release(&body);
	world_until_files(0);
	ck_assert(!body_in_file(&body));
	/* Even when all of it is there already. */
	ck_assert_int_eq(body_append(&body, &place, block, sizeof(block), -1), 0);
	body_finish(&body, on_finished, NULL);
	body_release(&body);
	world_run_for(50);
	ck_assert_uint_eq(world->n_done, 0);
	world_until_files(0);
	ck_assert_uint_eq(last_id, 2);
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
		large_body_leaves_memory,
		released_body_leaves_no_file,
		key_is_masked,
		loopback_addresses,
	};
	struct world_tests all[] = {{tests, ARRAY_LEN(tests), 1}};

	return world_main("upstream.body", all, ARRAY_LEN(all));
}
