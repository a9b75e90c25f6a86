/* ack and cancel. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

#define ACKED(n, gone)     OK("1", "{\"acked\":" n ",\"not_registered\":[" gone "]}")
#define CANCELLED(n, gone) OK("1", "{\"cancelled\":" n ",\"not_registered\":[" gone "]}")
#define GONE(id)           "{\"request_id\":\"" id "\",\"endpoint\":\"default\"}"

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

static void ask(struct client *client, const char *method, const char *params, const char *expected)
{
	client_say(client, "{\"id\":1,\"method\":\"%s\",\"params\":%s}", method, params);
	client_expect(client, expected);
}

START_TEST(acks_are_counted_and_strangers_listed)
{
	begin();
	client_register(alice, "a");
	client_register(alice, "b");
	client_register(alice, "live");
	stage_complete(stage, "a", "1");
	stage_complete(stage, "b", "1");
	ask(alice, "ack", "{\"request_ids\":[\"x\",\"a\",\"live\",\"b\",\"a\",\"y\"]}",
	    ACKED("2", GONE("x") "," GONE("y")));
	ask(alice, "ack", "{\"request_id\":\"a\"}", ACKED("0", GONE("a")));
	ask(alice, "ack", "{\"request_ids\":[]}", ACKED("0", ""));
	ck_assert(registration_is_live(stage_find(stage, ALICE, "live")));
	ck_assert_uint_eq(stage->metrics.acks, 2);
	end();
}
END_TEST

START_TEST(ack_is_answered_when_it_is_durable)
{
	begin();
	client_register(alice, "a");
	stage_complete(stage, "a", "1");
	stage->store_stopped = true;
	client_say(alice, "{\"id\":1,\"method\":\"ack\",\"params\":{\"request_id\":\"a\"}}");
	client_expect_silence(alice);
	stage->store_stopped = false;
	client_expect(alice, ACKED("1", ""));
	end();
}
END_TEST

/* Nobody is told that it is gone while it could still come back. */
START_TEST(a_second_ack_waits_for_the_first)
{
	struct client *other;

	begin();
	other = client_new(stage, ALICE);
	client_register(alice, "a");
	stage_complete(stage, "a", "1");
	stage->store_stopped = true;
	client_say(alice, "{\"method\":\"ack\",\"params\":{\"request_id\":\"a\"}}");
	client_expect_silence(alice);
	client_say(other, "{\"id\":1,\"method\":\"ack\",\"params\":{\"request_id\":\"a\"}}");
	client_expect_silence(other);
	stage->store_stopped = false;
	client_expect(other, ACKED("0", GONE("a")));
	client_free(other);
	end();
}
END_TEST

START_TEST(an_ack_that_was_not_stored_has_not_happened)
{
	begin();
	client_register(alice, "a");
	stage_complete(stage, "a", "1");
	stage->store_fails = true;
	client_say(alice, "{\"id\":1,\"method\":\"ack\",\"params\":{\"request_id\":\"a\"}}");
	client_expect(alice, ERROR("1", "-32004", "storage"));
	stage->store_fails = false;
	client_ask(alice, "{\"id\":2,\"method\":\"collect\"}", OK("2", "{\"results\":[{~}],\"next\":null}"));
	end();
}
END_TEST

START_TEST(cancelling)
{
	begin();
	client_register(alice, "a");
	client_register(alice, "done");
	stage_complete(stage, "done", "1");
	stage->store_stopped = true;
	client_say(alice,
		   "{\"id\":1,\"method\":\"cancel\",\"params\":{\"request_ids\":[\"a\",\"done\",\"x\"]}}");
	client_expect_silence(alice);
	stage->store_stopped = false;
	client_expect(alice, CANCELLED("1", GONE("x")));
	client_ask(alice, "{\"id\":2,\"method\":\"collect\",\"params\":{\"request_ids\":[\"a\",\"done\"]}}",
		   OK("2", "{\"results\":[{~\"type\":\"cancelled\"~},{~\"ok\":true~}],\"next\":null}"));
	ask(alice, "cancel", "{\"request_id\":\"a\"}", CANCELLED("0", ""));
	ck_assert_uint_eq(stage->metrics.cancels, 1);
	end();
}
END_TEST

START_TEST(cancel_while_it_is_being_registered)
{
	begin();
	stage->store_stopped = true;
	client_say(alice, "{\"id\":5,\"method\":\"register\",\"params\":{\"request_id\":\"a\"}}");
	client_say(alice, "{\"id\":1,\"method\":\"cancel\",\"params\":{\"request_id\":\"a\"}}");
	client_say(alice, "{\"id\":6,\"method\":\"cancel\",\"params\":{\"request_id\":\"a\"}}");
	client_expect_silence(alice);
	stage->store_stopped = false;
	client_expect(
		alice,
		OK("5", "{\"registrations\":[{~\"new\":true,\"outcome\":{\"ok\":false,~\"cancelled\"~}}]}"));
	client_expect(alice, CANCELLED("1", ""));
	client_expect(alice, OK("6", "{\"cancelled\":0,\"not_registered\":[]}"));
	end();
}
END_TEST

START_TEST(a_cancelled_wait_ends)
{
	struct client *second;

	begin();
	second = client_new(stage, ALICE);
	client_register(alice, "a");
	client_say(second, "{\"id\":9,\"method\":\"await\",\"params\":{\"request_id\":\"a\"}}");
	client_expect_silence(second);
	ask(alice, "cancel", "{\"request_id\":\"a\"}", CANCELLED("1", ""));
	client_expect(second, OK("9", "{\"results\":[{~\"type\":\"cancelled\"~}]}"));
	client_free(second);
	end();
}
END_TEST

START_TEST(where_lets_go_of_all_that_match)
{
	begin();
	client_ask(alice,
		   "{\"id\":2,\"method\":\"register\",\"params\":{\"request_ids\":[\"a\",\"b\",\"c\"],"
		   "\"metadata\":{\"k\":1}}}",
		   OK("2", "{~}"));
	client_register(alice, "other");
	stage_complete(stage, "a", "1");
	ask(alice, "ack", "{\"where\":{\"k\":\"1\"}}", ACKED("1", ""));
	ask(alice, "cancel", "{\"where\":{\"k\":\"2\"}}", CANCELLED("0", ""));
	ask(alice, "cancel", "{\"where\":{\"k\":1},\"request_ids\":[\"b\",\"other\"]}",
	    CANCELLED("1", GONE("other")));
	ask(alice, "cancel", "{\"where\":{\"k\":1}}", CANCELLED("1", ""));
	ask(alice, "cancel", "{\"where\":{},\"endpoint\":\"other\"}", CANCELLED("0", ""));
	ck_assert(registration_is_live(stage_find(stage, ALICE, "other")));
	ask(alice, "cancel", "{\"where\":{}}", CANCELLED("1", ""));
	end();
}
END_TEST

START_TEST(a_thousand_at_a_time)
{
	begin();
	for (int part = 0; part < 2; part++) {
		struct buffer ids = BUFFER_INIT(SIZE_MAX);

		for (int i = 0; i < 800; i++)
			buffer_printf(&ids, "%s\"%d-%d\"", i ? "," : "", part, i);
		client_say(alice, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_ids\":[%.*s]}}",
			   (int)ids.size, ids.data);
		free(client_line(alice));
		buffer_release(&ids);
	}
	client_ask(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"where\":{}}}",
		   "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32002,\"message\":\"~\",\"data\":{"
		   "\"name\":\"limit_exceeded\",\"limit\":1000}}}");
	ask(alice, "cancel", "{\"where\":{}}",
	    OK("1", "{\"cancelled\":1000,\"not_registered\":[],\"more\":true}"));
	ask(alice, "cancel", "{\"where\":{}}", CANCELLED("600", ""));
	ask(alice, "cancel", "{\"where\":{}}", CANCELLED("0", ""));
	end();
}
END_TEST

START_TEST(nobody_lets_go_of_anothers)
{
	struct client *bob;

	begin();
	bob = client_new(stage, BOB);
	client_register(alice, "a");
	client_register(alice, "b");
	stage_complete(stage, "b", "1");
	ask(bob, "cancel", "{\"request_id\":\"a\"}", CANCELLED("0", GONE("a")));
	ask(bob, "ack", "{\"request_id\":\"b\"}", ACKED("0", GONE("b")));
	ask(bob, "cancel", "{\"where\":{}}", CANCELLED("0", ""));
	client_register(bob, "a");
	ask(bob, "cancel", "{\"request_id\":\"a\"}", CANCELLED("1", ""));
	ck_assert(registration_is_live(stage_find(stage, ALICE, "a")));
	ck_assert_ptr_nonnull(stage_find(stage, ALICE, "b"));
	client_free(bob);
	end();
}
END_TEST

START_TEST(bad_calls_are_named)
{
	begin();
	ask(alice, "ack", "{}", BAD("1", "request_id"));
	ask(alice, "cancel", "{}", BAD("1", "request_id"));
	ask(alice, "cancel", "{\"endpoint\":\"default\"}", BAD("1", "request_id"));
	ask(alice, "cancel", "{\"request_ids\":{}}", BAD("1", "request_ids"));
	ask(alice, "ack", "{\"where\":\"k=v\"}", BAD("1", "where"));
	ask(alice, "ack", "{\"request_id\":\"a\",\"endpoint\":\"nowhere\"}", ERROR("1", "-32000", "denied"));
	end();
}
END_TEST

SUITE("release", acks_are_counted_and_strangers_listed, ack_is_answered_when_it_is_durable,
      a_second_ack_waits_for_the_first, an_ack_that_was_not_stored_has_not_happened, cancelling,
      cancel_while_it_is_being_registered, a_cancelled_wait_ends, where_lets_go_of_all_that_match,
      a_thousand_at_a_time, nobody_lets_go_of_anothers, bad_calls_are_named)
