/* await: order, time limits, streams, delivery and acknowledgement. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "stage.h"

#define DONE(id, value)                                                                                      \
	"{\"request_id\":\"" id                                                                              \
	"\",\"endpoint\":\"default\",\"ok\":true,\"content_type\":\"application/json\",\"result\":" value    \
	"}"
#define FAILED(id, type)                                                                                     \
	"{\"request_id\":\"" id "\",\"endpoint\":\"default\",\"ok\":false,\"error\":{\"type\":\"" type       \
	"\",~}}"
#define TIMEOUT(id, ms)                                                                                      \
	"{\"request_id\":\"" id "\",\"endpoint\":\"default\",\"ok\":false,\"error\":{\"type\":\"api_"        \
	"timeout\",\"category\":null,\"message\":\"~\",\"status\":null,"                                     \
	"\"data\":{\"request_id\":\"" id "\",\"reason\":\"await_timeout\",\"timeout_ms\":" ms "}}}"
#define UNKNOWN(id, reason)                                                                                  \
	"{\"request_id\":\"" id "\",\"endpoint\":\"default\",\"ok\":false,\"error\":{\"type\":\"not_"        \
	"registered\",\"category\":null,\"message\":\"~\",\"status\":null,"                                  \
	"\"data\":{\"request_id\":\"" id "\",\"reason\":\"" reason "\"}}}"
#define RESULTS(items) OK("1", "{\"results\":[" items "]}")
#define OUTCOME(call, index, members)                                                                        \
	"{\"jsonrpc\":\"2.0\",\"method\":\"outcome\",\"params\":{\"call\":" call ",\"index\":" index         \
	"," members "}}"

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
	client_say(client, "{\"id\":1,\"method\":\"await\",\"params\":%s}", params);
}

static void ask(struct client *client, const char *params, const char *expected)
{
	say(client, params);
	client_expect(client, expected);
}

/* A1 */
START_TEST(results_come_in_the_order_asked)
{
	begin();
	client_register(alice, "slow");
	client_register(alice, "fast");
	say(alice, "{\"request_ids\":[\"slow\",\"fast\",\"slow\"]}");
	client_expect_silence(alice);
	stage_complete(stage, "fast", "{\"n\":2}");
	client_expect_silence(alice);
	stage_complete(stage, "slow", "{\"n\":1}");
	client_expect(alice, RESULTS(DONE("slow", "{\"n\":1}") "," DONE("fast", "{\"n\":2}") "," DONE(
				     "slow", "{\"n\":1}")));
	ck_assert_uint_eq(stage->commands.outstanding, 0);
	end();
}
END_TEST

/* A2 */
START_TEST(failures_and_timeouts_are_outcomes)
{
	begin();
	client_register(alice, "good");
	client_register(alice, "bad");
	client_register(alice, "never");
	stage_complete(stage, "good", "1");
	stage_fail(stage, "bad", "no", NULL);
	ask(alice, "{\"request_ids\":[\"good\",\"bad\",\"never\",\"x\"],\"await_timeout_ms\":10}",
	    RESULTS(DONE("good", "1") "," FAILED("bad", "request_failed") "," TIMEOUT(
		    "never", "10") "," UNKNOWN("x", "never")));
	end();
}
END_TEST

/* A3 */
START_TEST(a_timeout_cancels_what_this_connection_brought)
{
	struct client *second;

	begin();
	second = client_new(stage, ALICE);
	client_register(alice, "mine");
	client_register(second, "theirs");
	client_register(alice, "kept");
	ask(alice, "{\"request_ids\":[\"mine\",\"theirs\"],\"await_timeout_ms\":5}",
	    RESULTS(TIMEOUT("mine", "5") "," TIMEOUT("theirs", "5")));
	ask(alice, "{\"request_ids\":[\"kept\"],\"await_timeout_ms\":5,\"on_timeout\":\"keep\"}",
	    RESULTS(TIMEOUT("kept", "5")));
	ask(alice, "{\"request_ids\":[\"kept\"],\"await_timeout_ms\":0}", RESULTS(TIMEOUT("kept", "0")));
	ask(alice, "{\"request_ids\":[\"mine\"]}", RESULTS(FAILED("mine", "cancelled")));
	ck_assert(registration_is_live(stage_find(stage, ALICE, "theirs")));
	ck_assert(registration_is_live(stage_find(stage, ALICE, "kept")));
	client_free(second);
	end();
}
END_TEST

START_TEST(a_timeout_leaves_what_somebody_else_waits_for)
{
	struct client *second;

	begin();
	second = client_new(stage, ALICE);
	client_register(alice, "a");
	say(second, "{\"request_id\":\"a\"}");
	client_expect_silence(second);
	ask(alice, "{\"request_id\":\"a\",\"await_timeout_ms\":1}", RESULTS(TIMEOUT("a", "1")));
	ck_assert(registration_is_live(stage_find(stage, ALICE, "a")));
	stage_complete(stage, "a", "1");
	client_expect(second, RESULTS(DONE("a", "1")));
	client_free(second);
	end();
}
END_TEST

START_TEST(nothing_to_wait_for)
{
	begin();
	ask(alice, "{\"request_ids\":[]}", RESULTS(""));
	ask(alice, "{\"request_ids\":[],\"stream\":true}", OK("1", "{\"ended\":0,\"ok\":0,\"failed\":0}"));
	ask(alice, "{\"request_ids\":[\"x\",\"y\"]}",
	    RESULTS(UNKNOWN("x", "never") "," UNKNOWN("y", "never")));
	end();
}
END_TEST

START_TEST(why_it_is_not_registered)
{
	begin();
	client_register(alice, "a");
	stage_complete(stage, "a", "1");
	client_ask(alice, "{\"id\":2,\"method\":\"ack\",\"params\":{\"request_id\":\"a\"}}",
		   OK("2", "{\"acked\":1,\"not_registered\":[]}"));
	ask(alice, "{\"request_id\":\"a\"}", RESULTS(UNKNOWN("a", "acked")));
	end();
}
END_TEST

START_TEST(what_is_acked_elsewhere_is_no_longer_waited_for)
{
	struct client *second;

	begin();
	second = client_new(stage, ALICE);
	client_register(alice, "a");
	client_register(alice, "b");
	say(alice, "{\"request_ids\":[\"a\",\"b\"]}");
	client_expect_silence(alice);
	stage_complete(stage, "a", "1");
	client_ask(second, "{\"id\":2,\"method\":\"ack\",\"params\":{\"request_id\":\"a\"}}",
		   OK("2", "{\"acked\":1,\"not_registered\":[]}"));
	stage_complete(stage, "b", "2");
	/* The outcome was there for this call before it was acknowledged. */
	client_expect(alice, RESULTS(DONE("a", "1") "," DONE("b", "2")));
	client_free(second);
	end();
}
END_TEST

START_TEST(another_users_registration_is_not_registered)
{
	struct client *bob;

	begin();
	bob = client_new(stage, BOB);
	client_register(alice, "a");
	ask(bob, "{\"request_id\":\"a\"}", RESULTS(UNKNOWN("a", "never")));
	stage_complete(stage, "a", "\"secret\"");
	ask(bob, "{\"request_id\":\"a\"}", RESULTS(UNKNOWN("a", "never")));
	ask(alice, "{\"request_id\":\"a\"}", RESULTS(DONE("a", "\"secret\"")));
	client_free(bob);
	end();
}
END_TEST

START_TEST(everybody_gets_the_outcome_of_a_shared_future)
{
	struct client *clients[20];

	begin();
	for (int i = 0; i < 20; i++) {
		clients[i] = client_new(stage, (uid_t)(2000 + i));
		client_register(clients[i], "shared");
		say(clients[i], "{\"request_id\":\"shared\"}");
	}
	client_expect_silence(clients[19]);
	stage_complete(stage, "shared", "{\"for\":\"all\"}");
	for (int i = 0; i < 20; i++) {
		client_expect(clients[i], RESULTS(DONE("shared", "{\"for\":\"all\"}")));
		client_free(clients[i]);
	}
	end();
}
END_TEST

START_TEST(a_stream_tells_each_as_it_ends)
{
	begin();
	client_register(alice, "a");
	client_register(alice, "b");
	client_register(alice, "c");
	stage_complete(stage, "c", "3");
	client_say(alice, "{\"id\":\"s\",\"method\":\"await\",\"params\":{\"request_ids\":[\"a\",\"b\",\"c\","
			  "\"x\"],\"stream\":true}}");
	client_expect(alice, OUTCOME("\"s\"", "2", "\"request_id\":\"c\",~\"result\":3"));
	client_expect(alice, OUTCOME("\"s\"", "3", "\"request_id\":\"x\",~"));
	client_expect_silence(alice);
	stage_complete(stage, "b", "2");
	client_expect(alice, OUTCOME("\"s\"", "1", "\"request_id\":\"b\",~\"result\":2"));
	client_expect_silence(alice);
	stage_fail(stage, "a", "no", NULL);
	client_expect(alice, OUTCOME("\"s\"", "0", "\"request_id\":\"a\",~\"ok\":false,~"));
	client_expect(alice, OK("\"s\"", "{\"ended\":4,\"ok\":2,\"failed\":2}"));
	client_expect_silence(alice);
	end();
}
END_TEST

START_TEST(a_stream_ends_with_its_time)
{
	begin();
	client_register(alice, "a");
	client_register(alice, "b");
	stage_complete(stage, "b", "2");
	say(alice, "{\"request_ids\":[\"a\",\"b\"],\"stream\":true,\"await_timeout_ms\":3}");
	client_expect(alice, OUTCOME("1", "1", "~"));
	client_expect(alice, OUTCOME("1", "0", "\"request_id\":\"a\",~await_timeout~"));
	client_expect(alice, OK("1", "{\"ended\":2,\"ok\":1,\"failed\":1}"));
	end();
}
END_TEST

START_TEST(ack_takes_effect_when_the_reply_is_written)
{
	begin();
	client_register(alice, "a");
	client_register(alice, "b");
	stage_complete(stage, "a", "1");
	ask(alice, "{\"request_ids\":[\"a\",\"b\",\"x\"],\"ack\":true,\"await_timeout_ms\":0}",
	    RESULTS(DONE("a", "1") "," TIMEOUT("b", "0") "," UNKNOWN("x", "never")));
	stage_turn(stage);
	ck_assert_ptr_null(stage_find(stage, ALICE, "a"));
	ck_assert(registration_is_live(stage_find(stage, ALICE, "b")));
	ck_assert_uint_eq(stage->metrics.acks, 1);
	ask(alice, "{\"request_id\":\"a\"}", RESULTS(UNKNOWN("a", "acked")));
	end();
}
END_TEST

/* A big result, and a client that leaves when it has half of it. */
START_TEST(what_was_not_taken_is_not_acked)
{
	size_t size = 4 << 20;
	char *body = malloc(size);
	struct client *second;
	char half[100000];

	begin();
	second = client_new(stage, ALICE);
	client_register(alice, "big");
	memset(body, '1', size);
	stage_complete_body(stage, "big", CONTENT_JSON, body, size);
	say(second, "{\"request_id\":\"big\",\"ack\":true}");
	for (int taken = 0; taken < 10;) {
		stage_turn(stage);
		taken += recv(second->fd, half, sizeof(half), MSG_DONTWAIT) > 0;
	}
	ck_assert(!stage_find(stage, ALICE, "big")->delivered);
	client_free(second);
	for (int i = 0; i < 5; i++)
		stage_turn(stage);
	ck_assert_ptr_nonnull(stage_find(stage, ALICE, "big"));
	ck_assert(!stage_find(stage, ALICE, "big")->delivered);
	ck_assert_uint_eq(stage->metrics.acks, 0);
	say(alice, "{\"request_id\":\"big\",\"ack\":true}");
	free(client_line(alice));
	stage_turn(stage);
	ck_assert_ptr_null(stage_find(stage, ALICE, "big"));
	end();
}
END_TEST

START_TEST(delivered_without_ack)
{
	begin();
	client_register(alice, "a");
	stage_complete(stage, "a", "1");
	ck_assert(!stage_find(stage, ALICE, "a")->delivered);
	ask(alice, "{\"request_id\":\"a\"}", RESULTS(DONE("a", "1")));
	ck_assert(stage_find(stage, ALICE, "a")->delivered);
	end();
}
END_TEST

/* The outcome that is acknowledged is the one that was sent, not one that came since. */
START_TEST(what_began_anew_is_not_acked)
{
	struct client *second;

	begin();
	second = client_new(stage, ALICE);
	client_register(alice, "a");
	stage_complete(stage, "a", "1");
	client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"a\",\"ack\":true}}\n"
			  "{\"id\":2,\"method\":\"register\",\"params\":{\"request_id\":\"a\",\"if_ended\":"
			  "\"restart\"}}");
	client_expect(alice, RESULTS(DONE("a", "1")));
	client_expect(alice, OK("2", "{~\"new\":true}]}"));
	stage_turn(stage);
	ck_assert_ptr_nonnull(stage_find(stage, ALICE, "a"));
	ck_assert_uint_eq(stage->metrics.acks, 0);
	stage_complete(stage, "a", "2");
	ask(second, "{\"request_id\":\"a\"}", RESULTS(DONE("a", "2")));
	client_free(second);
	end();
}
END_TEST

START_TEST(streams_ack_with_their_last_word)
{
	begin();
	client_register(alice, "a");
	client_register(alice, "b");
	stage_complete(stage, "a", "1");
	say(alice, "{\"request_ids\":[\"a\",\"b\"],\"stream\":true,\"ack\":true}");
	client_expect(alice, OUTCOME("1", "0", "~"));
	client_expect_silence(alice);
	ck_assert(stage_find(stage, ALICE, "a")->delivered);
	stage_complete(stage, "b", "2");
	client_expect(alice, OUTCOME("1", "1", "~"));
	client_expect(alice, OK("1", "{\"ended\":2,\"ok\":2,\"failed\":0}"));
	stage_turn(stage);
	ck_assert_ptr_null(stage_find(stage, ALICE, "a"));
	ck_assert_ptr_null(stage_find(stage, ALICE, "b"));
	end();
}
END_TEST

START_TEST(where_finds_and_narrows)
{
	begin();
	client_ask(alice,
		   "{\"id\":2,\"method\":\"register\",\"params\":{\"request_ids\":[\"a\",\"b\"],\"metadata\":"
		   "{\"run\":7}}}",
		   OK("2", "{~}"));
	client_ask(alice,
		   "{\"id\":2,\"method\":\"register\",\"params\":{\"request_id\":\"c\",\"metadata\":{\"run\":"
		   "8}}}",
		   OK("2", "{~}"));
	client_ask(alice,
		   "{\"id\":2,\"method\":\"register\",\"params\":{\"request_id\":\"a\",\"endpoint\":"
		   "\"other\",\"metadata\":{\"run\":7}}}",
		   OK("2", "{~}"));
	ask(alice, "{\"where\":{\"run\":\"7\"},\"await_timeout_ms\":0}",
	    RESULTS(TIMEOUT("a", "0") "," TIMEOUT("b",
						  "0") ",{\"request_id\":\"a\",\"endpoint\":\"other\",~}"));
	ask(alice, "{\"where\":{\"run\":\"7\"},\"endpoint\":\"default\",\"await_timeout_ms\":0}",
	    RESULTS(TIMEOUT("a", "0") "," TIMEOUT("b", "0")));
	ask(alice, "{\"where\":{\"run\":9}}", RESULTS(""));
	ask(alice, "{\"where\":{\"run\":7},\"request_ids\":[\"a\",\"c\"],\"await_timeout_ms\":0}",
	    RESULTS(TIMEOUT("a", "0") "," UNKNOWN("c", "never")));
	end();
}
END_TEST

START_TEST(bad_calls_are_named)
{
	begin();
	ask(alice, "{}", BAD("1", "request_id"));
	ask(alice, "{\"endpoint\":\"default\"}", BAD("1", "request_id"));
	ask(alice, "{\"request_id\":\"a\",\"await_timeout_ms\":-1}", BAD("1", "await_timeout_ms"));
	ask(alice, "{\"request_id\":\"a\",\"await_timeout_ms\":\"1\"}", BAD("1", "await_timeout_ms"));
	ask(alice, "{\"request_id\":\"a\",\"stream\":1}", BAD("1", "stream"));
	ask(alice, "{\"request_id\":\"a\",\"ack\":\"yes\"}", BAD("1", "ack"));
	ask(alice, "{\"request_id\":\"a\",\"accept_fd\":0}", BAD("1", "accept_fd"));
	ask(alice, "{\"request_id\":\"a\",\"on_timeout\":\"die\"}", BAD("1", "on_timeout"));
	ask(alice, "{\"where\":[]}", BAD("1", "where"));
	ask(alice, "{\"where\":{\"a\":{}}}", BAD("1", "where"));
	ask(alice, "{\"where\":{\"a\":[1]}}", BAD("1", "where"));
	ask(alice,
	    "{\"where\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,"
	    "\"k\":1,\"l\":1,\"m\":1,\"n\":1,"
	    "\"o\":1,\"p\":1,\"q\":1}}",
	    BAD("1", "where"));
	ask(alice, "{\"request_id\":\"a\",\"endpoint\":\"nowhere\"}", ERROR("1", "-32000", "denied"));
	ask(alice, "{\"request_id\":\"a\",\"await_timeout_ms\":null,\"accept_fd\":true}",
	    RESULTS(UNKNOWN("a", "never")));
	end();
}
END_TEST

START_TEST(results_are_verbatim)
{
	static const char *const texts[] = {
		"{\"b\":1.10,\"a\":1e400,\"b\":-0,\"c\":NaN}",
		"null",
		"\"\\ud800 \\u0041\"",
		"[1 , 2]",
		"12345678901234567890123456789012345678901234567890",
	};
	char id[8], expected[200];

	begin();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		snprintf(id, sizeof(id), "v%zu", i);
		client_register(alice, id);
		stage_complete(stage, id, texts[i]);
		client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"%s\"}}", id);
		snprintf(expected, sizeof(expected), RESULTS(DONE("%s", "%s")), id, texts[i]);
		client_expect(alice, expected);
	}
	end();
}
END_TEST

START_TEST(protobuf_results_are_base64)
{
	begin();
	client_register(alice, "p");
	stage_complete_body(stage, "p", CONTENT_PROTOBUF, strdup("\x08\x01\x10"), 3);
	ask(alice, "{\"request_id\":\"p\"}",
	    RESULTS("{\"request_id\":\"p\",\"endpoint\":\"default\",\"ok\":true,\"content_type\":"
		    "\"application/x-protobuf\",\"size\":3,"
		    "\"result_base64\":\"CAEQ\"}"));
	end();
}
END_TEST

/* An error with a long body in its data goes by reference, and looks the same. */
START_TEST(long_error_bodies)
{
	char *data = malloc(70000), *line, *value;

	begin();
	client_register(alice, "e");
	memset(data, 'B', 70000);
	memcpy(data, "\"body_base64\":\"", 15);
	memcpy(data + 65536, "\"", 2);
	stage_fail(stage, "e", "no", data);
	say(alice, "{\"request_id\":\"e\"}");
	line = client_line(alice);
	expect_at(line, "/result/results/0/error/type", "\"request_failed\"");
	expect_at(line, "/result/results/0/error/data/request_id", "\"e\"");
	value = value_at(line, "/result/results/0/error/data/body_base64");
	ck_assert_uint_eq(strlen(value), 65536 - 13);
	free(value);
	free(line);
	free(data);
	end();
}
END_TEST

START_TEST(fifty_megabytes_arrive_and_are_not_copied)
{
	size_t size = 50 << 20;
	char *body = malloc(size), *line, *found;
	struct client *bob;
	uint64_t most = 0;

	begin();
	bob = client_new(stage, BOB);
	client_register(alice, "huge");
	for (size_t i = 0; i < size; i++)
		body[i] = (char)('0' + i % 10);
	stage_complete_body(stage, "huge", CONTENT_JSON, body, size);
	say(alice, "{\"request_id\":\"huge\"}");
	for (int i = 0; i < 100; i++) {
		stage_turn(stage);
		if (stage->peers.memory > most)
			most = stage->peers.memory;
	}
	ck_assert_uint_lt(most, size + 100000); /* the body itself counts, once */
	/* Others go on while it is on its way. */
	client_ask(bob, "{\"id\":1,\"method\":\"ping\"}", OK("1", "{}"));
	line = client_line(alice);
	found = strstr(line, "\"result\":0");
	ck_assert_ptr_nonnull(found);
	ck_assert_int_eq(memcmp(found + 9, body, size), 0);
	ck_assert_str_eq(found + 9 + size, "}]}}");
	free(line);
	client_free(bob);
	end();
}
END_TEST

SUITE("await", results_come_in_the_order_asked, failures_and_timeouts_are_outcomes,
      a_timeout_cancels_what_this_connection_brought, a_timeout_leaves_what_somebody_else_waits_for,
      nothing_to_wait_for, why_it_is_not_registered, what_is_acked_elsewhere_is_no_longer_waited_for,
      another_users_registration_is_not_registered, everybody_gets_the_outcome_of_a_shared_future,
      a_stream_tells_each_as_it_ends, a_stream_ends_with_its_time, ack_takes_effect_when_the_reply_is_written,
      what_was_not_taken_is_not_acked, delivered_without_ack, what_began_anew_is_not_acked,
      streams_ack_with_their_last_word, where_finds_and_narrows, bad_calls_are_named, results_are_verbatim,
      protobuf_results_are_base64, long_error_bodies, fifty_megabytes_arrive_and_are_not_copied)
