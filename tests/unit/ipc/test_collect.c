/* collect: what is there, by ids and by pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

#define DONE(id, value)                                                                                      \
	"{\"request_id\":\"" id                                                                              \
	"\",\"endpoint\":\"default\",\"ok\":true,\"content_type\":\"application/json\",\"result\":" value    \
	"}"
#define RESULTS(items, next) OK("1", "{\"results\":[" items "],\"next\":" next "}")

static struct stage *stage;
static struct client *alice;

static void begin(void)
{
	stage = stage_new();
	alice = client_new(stage, ALICE);
}

static void end(void)
{
	client_free(alice);
	stage_free(stage);
}

static void say(struct client *client, const char *params)
{
	client_say(client, "{\"id\":1,\"method\":\"collect\",\"params\":%s}", params);
}

static void ask(struct client *client, const char *params, const char *expected)
{
	say(client, params);
	client_expect(client, expected);
}

static void finish(const char *id)
{
	client_register(alice, id);
	stage_complete(stage, id, "1");
}

START_TEST(nothing_is_there)
{
	begin();
	client_ask(alice, "{\"id\":1,\"method\":\"collect\"}", RESULTS("", "null"));
	client_register(alice, "a");
	ask(alice, "{}", RESULTS("", "null"));
	ask(alice, "{\"request_ids\":[]}", RESULTS("", "null"));
	end();
}
END_TEST

START_TEST(by_ids_in_the_order_asked)
{
	begin();
	client_register(alice, "b");
	finish("a");
	ask(alice, "{\"request_ids\":[\"x\",\"b\",\"a\"]}",
	    RESULTS("{\"request_id\":\"x\",\"endpoint\":\"default\",\"ok\":false,\"error\":{\"type\":\"not_"
		    "registered\",~\"reason\":"
		    "\"never\"}}},{\"request_id\":\"b\",\"endpoint\":\"default\",\"ok\":null,\"state\":"
		    "\"polling\"}," DONE("a", "1"),
		    "null"));
	end();
}
END_TEST

START_TEST(what_is_not_durable_has_not_ended)
{
	begin();
	client_register(alice, "a");
	stage->store_stopped = true;
	stage_complete(stage, "a", "1");
	ask(alice, "{\"request_id\":\"a\"}",
	    RESULTS("{\"request_id\":\"a\",\"endpoint\":\"default\",\"ok\":null,~}", "null"));
	ask(alice, "{}", RESULTS("", "null"));
	stage->store_stopped = false;
	stage_turn(stage);
	ask(alice, "{}", RESULTS(DONE("a", "1"), "null"));
	end();
}
END_TEST

START_TEST(oldest_end_first)
{
	begin();
	client_register(alice, "c");
	client_register(alice, "a");
	client_register(alice, "b");
	stage_complete(stage, "b", "1");
	stage_complete(stage, "c", "2");
	ask(alice, "{}", RESULTS(DONE("b", "1") "," DONE("c", "2"), "null"));
	client_ask(alice, "{\"id\":2,\"method\":\"cancel\",\"params\":{\"request_id\":\"a\"}}",
		   OK("2", "{\"cancelled\":1,~}"));
	ask(alice, "{}",
	    RESULTS(DONE("b", "1") "," DONE("c", "2") ",{\"request_id\":\"a\",~\"cancelled\",~}", "null"));
	end();
}
END_TEST

/* All pages of `limit` with the ids in order; what each page gave is acknowledged before the next if `ack`.
 */
static size_t walk(size_t limit, bool ack, char seen[][16])
{
	char *next = strdup("null"), *line, path[64];
	size_t n = 0;

	while (next && (n == 0 || strcmp(next, "null") != 0)) {
		client_say(alice,
			   "{\"id\":1,\"method\":\"collect\",\"params\":{\"limit\":%zu,\"after\":%s,\"ack\":%"
			   "s}}",
			   limit, next, ack ? "true" : "false");
		free(next);
		line = client_line(alice);
		ck_assert_uint_le(items_at(line, "/result/results"), limit);
		for (size_t i = 0; i < items_at(line, "/result/results"); i++) {
			char *id;

			snprintf(path, sizeof(path), "/result/results/%zu/request_id", i);
			id = value_at(line, path);
			snprintf(seen[n++], 16, "%.15s", id);
			free(id);
		}
		next = value_at(line, "/result/next");
		free(line);
		if (!n)
			break;
	}
	free(next);
	return n;
}

START_TEST(page_by_page)
{
	char seen[64][16];

	begin();
	for (int i = 10; i < 35; i++) {
		char id[16];

		snprintf(id, sizeof(id), "p%d", i);
		finish(id);
	}
	for (size_t limit = 1; limit <= 30; limit += 4) {
		ck_assert_uint_eq(walk(limit, false, seen), 25);
		for (int i = 0; i < 25; i++) {
			char expected[16];

			snprintf(expected, sizeof(expected), "\"p%d\"", i + 10);
			ck_assert_str_eq(seen[i], expected);
		}
	}
	/* Acknowledging a page does not disturb the next. */
	ck_assert_uint_eq(walk(7, true, seen), 25);
	ck_assert_str_eq(seen[24], "\"p34\"");
	stage_turn(stage);
	ask(alice, "{}", RESULTS("", "null"));
	end();
}
END_TEST

/* Many that ended in the same instant, of which the last one given is acknowledged elsewhere. */
START_TEST(a_lost_place_leaves_nothing_out)
{
	struct client *second;
	char *line, *next;

	begin();
	second = client_new(stage, ALICE);
	for (int i = 0; i < 5; i++) {
		char id[16];

		snprintf(id, sizeof(id), "s%d", i);
		client_register(alice, id);
	}
	client_ask(alice,
		   "{\"id\":2,\"method\":\"cancel\",\"params\":{\"request_ids\":[\"s0\",\"s1\",\"s2\",\"s3\","
		   "\"s4\"]}}",
		   OK("2", "{\"cancelled\":5,~}"));
	say(alice, "{\"limit\":2}");
	line = client_line(alice);
	next = value_at(line, "/result/next");
	client_ask(second, "{\"id\":2,\"method\":\"ack\",\"params\":{\"request_ids\":[\"s0\",\"s1\"]}}",
		   OK("2", "{\"acked\":2,~}"));
	client_say(alice, "{\"id\":1,\"method\":\"collect\",\"params\":{\"after\":%s}}", next);
	client_expect(alice,
		      RESULTS("{\"request_id\":\"s2\",~},{\"request_id\":\"s3\",~},{\"request_id\":\"s4\",~}",
			      "null"));
	free(line);
	free(next);
	client_free(second);
	end();
}
END_TEST

START_TEST(filters)
{
	begin();
	client_ask(alice,
		   "{\"id\":2,\"method\":\"register\",\"params\":{\"request_ids\":[\"a\",\"b\"],\"metadata\":"
		   "{\"k\":\"v\"}}}",
		   OK("2", "{~}"));
	client_register(alice, "c");
	stage_complete(stage, "a", "1");
	stage_complete(stage, "b", "2");
	stage_complete(stage, "c", "3");
	ask(alice, "{\"where\":{\"k\":\"v\"}}", RESULTS(DONE("a", "1") "," DONE("b", "2"), "null"));
	ask(alice, "{\"where\":{\"k\":\"w\"}}", RESULTS("", "null"));
	ask(alice, "{\"endpoint\":\"other\"}", RESULTS("", "null"));
	ask(alice, "{\"where\":{\"k\":\"v\"},\"request_ids\":[\"b\",\"c\"]}",
	    RESULTS(DONE("b", "2") ",{\"request_id\":\"c\",~not_registered~}", "null"));
	end();
}
END_TEST

START_TEST(a_long_search_goes_on_on_the_next_page)
{
	char metadata[4000], *line, *next = strdup("null");
	size_t pages = 0, found = 0;
	struct buffer ids = BUFFER_INIT(SIZE_MAX);

	begin();
	memset(metadata, 'm', sizeof(metadata));
	metadata[sizeof(metadata) - 1] = '\0';
	for (int i = 0; i < 1000; i++)
		buffer_printf(&ids, "%s\"i%d\"", i ? "," : "", i);
	client_say(alice,
		   "{\"id\":1,\"method\":\"register\",\"params\":{\"request_ids\":[%.*s],\"metadata\":{\"x\":"
		   "\"%s\"}}}",
		   (int)ids.size, ids.data, metadata);
	free(client_line(alice));
	client_say(alice, "{\"id\":1,\"method\":\"cancel\",\"params\":{\"request_ids\":[%.*s]}}",
		   (int)ids.size, ids.data);
	client_expect(alice, OK("1", "{\"cancelled\":1000,~}"));
	do {
		client_say(alice,
			   "{\"id\":1,\"method\":\"collect\",\"params\":{\"limit\":1000,\"where\":{\"x\":"
			   "\"no\"},\"after\":%s}}",
			   next);
		free(next);
		line = client_line(alice);
		found += items_at(line, "/result/results");
		next = value_at(line, "/result/next");
		free(line);
		ck_assert_uint_lt(++pages, 100);
	} while (strcmp(next, "null") != 0);
	ck_assert_uint_eq(found, 0);
	ck_assert_uint_gt(pages, 1);
	free(next);
	buffer_release(&ids);
	end();
}
END_TEST

START_TEST(ack_and_delivery)
{
	begin();
	finish("a");
	finish("b");
	ask(alice, "{\"request_id\":\"a\"}", RESULTS(DONE("a", "1"), "null"));
	ck_assert(stage_find(stage, ALICE, "a")->delivered);
	ck_assert(!stage_find(stage, ALICE, "b")->delivered);
	ask(alice, "{\"ack\":true}", RESULTS(DONE("a", "1") "," DONE("b", "1"), "null"));
	stage_turn(stage);
	ask(alice, "{}", RESULTS("", "null"));
	ck_assert_uint_eq(stage->metrics.acks, 2);
	end();
}
END_TEST

START_TEST(users_have_their_own)
{
	struct client *bob;

	begin();
	bob = client_new(stage, BOB);
	client_register(bob, "a");
	finish("a");
	finish("b");
	ask(bob, "{}", RESULTS(DONE("a", "1"), "null"));
	ask(bob, "{\"ack\":true}", RESULTS(DONE("a", "1"), "null"));
	stage_turn(stage);
	ask(bob, "{\"request_id\":\"b\"}", RESULTS("{~not_registered~}", "null"));
	ask(alice, "{}", RESULTS(DONE("a", "1") "," DONE("b", "1"), "null"));
	client_free(bob);
	end();
}
END_TEST

START_TEST(bad_calls_are_named)
{
	begin();
	ask(alice, "{\"limit\":0}", BAD("1", "limit"));
	ask(alice, "{\"limit\":1001}", BAD("1", "limit"));
	ask(alice, "{\"limit\":\"5\"}", BAD("1", "limit"));
	ask(alice, "{\"after\":7}", BAD("1", "after"));
	ask(alice, "{\"after\":\"\"}", BAD("1", "after"));
	ask(alice, "{\"after\":\"x\"}", BAD("1", "after"));
	ask(alice, "{\"after\":\"5-5x\"}", BAD("1", "after"));
	ask(alice, "{\"after\":\"5-5\\u0000\"}", BAD("1", "after"));
	ask(alice, "{\"after\":\"0-0\"}", BAD("1", "after"));
	ask(alice,
	    "{\"after\":\"99999999999999999999999999999999999999999999999999999999999999999999999-1\"}",
	    BAD("1", "after"));
	ask(alice, "{\"after\":\"123-1\"}", RESULTS("", "null"));
	end();
}
END_TEST

SUITE("collect", nothing_is_there, by_ids_in_the_order_asked, what_is_not_durable_has_not_ended,
      oldest_end_first, page_by_page, a_lost_place_leaves_nothing_out, filters,
      a_long_search_goes_on_on_the_next_page, ack_and_delivery, users_have_their_own, bad_calls_are_named)
