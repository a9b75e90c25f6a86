/* hello, ping, abandon, and going down. */
#include <stdlib.h>
#include <string.h>

#include "ipc/listener.h"
#include "stage.h"

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

START_TEST(hello_says_who_is_there)
{
	begin();
	client_ask(alice, "{\"id\":1,\"method\":\"hello\",\"params\":{\"client\":\"me/1\",\"protocol\":1}}",
		   OK("1",
		      "{\"protocol\":1,\"server\":\"tinkexd/" TINKEX_VERSION
		      "\",\"instance\":\"0123456789abcdef0123456789abcdef\",\"uid\":1000,"
		      "\"features\":[\"stream\",\"abandon\",\"where\",\"fd_results\"],"
		      "\"limits\":{\"line_bytes\":1048576,\"futures_per_call\":1000,\"request_id_bytes\":512,"
		      "\"metadata_bytes\":4096,\"outstanding_calls\":1024,\"inline_result_bytes\":65536}}"));
	client_ask(alice, "{\"id\":2,\"method\":\"hello\"}", OK("2", "{\"protocol\":1,~}"));
	end();
}
END_TEST

START_TEST(hello_refuses_other_protocols)
{
	begin();
	client_ask(alice, "{\"id\":1,\"method\":\"hello\",\"params\":{\"protocol\":2}}",
		   BAD("1", "protocol"));
	client_ask(alice, "{\"id\":1,\"method\":\"hello\",\"params\":{\"protocol\":0}}",
		   BAD("1", "protocol"));
	client_ask(alice, "{\"id\":1,\"method\":\"hello\",\"params\":{\"protocol\":\"1\"}}",
		   BAD("1", "protocol"));
	client_ask(alice, "{\"id\":1,\"method\":\"hello\",\"params\":{\"client\":7}}", BAD("1", "client"));
	end();
}
END_TEST

START_TEST(abandoned_calls_are_never_answered)
{
	begin();
	client_register(alice, "a");
	client_say(alice, "{\"id\":\"wait\",\"method\":\"await\",\"params\":{\"request_id\":\"a\"}}");
	client_say(alice, "{\"id\":7,\"method\":\"await\",\"params\":{\"request_id\":\"a\"}}");
	client_expect_silence(alice);
	ck_assert_uint_eq(stage->commands.outstanding, 2);
	client_ask(alice, "{\"id\":1,\"method\":\"abandon\",\"params\":{\"call\":\"w\\u0061it\"}}",
		   OK("1", "{\"abandoned\":true}"));
	client_ask(alice, "{\"id\":2,\"method\":\"abandon\",\"params\":{\"call\":\"wait\"}}",
		   OK("2", "{\"abandoned\":false}"));
	client_ask(alice, "{\"id\":3,\"method\":\"abandon\",\"params\":{\"call\":\"7\"}}",
		   OK("3", "{\"abandoned\":false}"));
	client_ask(alice, "{\"id\":4,\"method\":\"abandon\",\"params\":{\"call\":7}}",
		   OK("4", "{\"abandoned\":true}"));
	ck_assert_uint_eq(stage->commands.outstanding, 0);
	stage_complete(stage, "a", "1");
	client_expect_silence(alice);
	end();
}
END_TEST

START_TEST(abandon_ends_all_calls_of_that_id_and_no_others)
{
	struct client *bob;

	begin();
	bob = client_new(stage, BOB);
	client_register(alice, "a");
	client_register(bob, "a");
	client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"a\"}}");
	client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"a\"}}");
	client_say(bob, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"a\"}}");
	client_expect_silence(bob);
	client_ask(alice, "{\"id\":2,\"method\":\"abandon\",\"params\":{\"call\":1}}",
		   OK("2", "{\"abandoned\":true}"));
	ck_assert_uint_eq(stage->commands.outstanding, 1);
	stage_complete(stage, "a", "1");
	client_expect(bob, OK("1", "{~}"));
	client_expect_silence(alice);
	client_free(bob);
	end();
}
END_TEST

START_TEST(an_abandoned_registration_stands)
{
	begin();
	stage->store_stopped = true;
	client_say(alice, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"a\"}}");
	client_ask(alice, "{\"id\":2,\"method\":\"abandon\",\"params\":{\"call\":1}}",
		   OK("2", "{\"abandoned\":true}"));
	stage->store_stopped = false;
	client_expect_silence(alice);
	client_ask(alice, "{\"id\":3,\"method\":\"status\",\"params\":{\"request_id\":\"a\"}}",
		   OK("3", "{~}"));
	end();
}
END_TEST

START_TEST(abandon_needs_an_id)
{
	begin();
	client_ask(alice, "{\"id\":1,\"method\":\"abandon\"}", BAD("1", "call"));
	client_ask(alice, "{\"id\":1,\"method\":\"abandon\",\"params\":{\"call\":null}}", BAD("1", "call"));
	client_ask(alice, "{\"id\":1,\"method\":\"abandon\",\"params\":{\"call\":[1]}}", BAD("1", "call"));
	client_ask(alice, "{\"id\":1,\"method\":\"abandon\",\"params\":{\"call\":1}}",
		   OK("1", "{\"abandoned\":false}"));
	end();
}
END_TEST

START_TEST(going_down_ends_what_waits_and_refuses_what_is_new)
{
	static const char *const refused[] = {"register", "await", "ack", "cancel"};
	static const char *const carried_out[] = {"hello", "ping", "collect", "list", "endpoints", "stats"};

	begin();
	client_register(alice, "a");
	client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"a\"}}");
	client_expect_silence(alice);
	stage->store_stopped = true;
	client_say(alice, "{\"id\":2,\"method\":\"register\",\"params\":{\"request_id\":\"b\"}}");
	client_expect_silence(alice);
	ck_assert(commands_owed(&stage->commands));
	commands_drain(&stage->commands);
	client_expect(alice, ERROR("1", "-32003", "shutting_down"));
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		client_say(alice, "{\"id\":3,\"method\":\"%s\",\"params\":{\"request_id\":\"a\"}}",
			   refused[i]);
		client_expect(alice, ERROR("3", "-32003", "shutting_down"));
	}
	for (size_t i = 0; i < ARRAY_LEN(carried_out); i++) {
		client_say(alice, "{\"id\":4,\"method\":\"%s\"}", carried_out[i]);
		client_expect(alice, OK("4", "{~}"));
	}
	client_say(alice, "{\"method\":\"register\",\"params\":{\"request_id\":\"c\"}}");
	client_expect_silence(alice);
	/* The one that came before is still answered. */
	stage->store_stopped = false;
	client_expect(alice, OK("2", "{~}"));
	ck_assert(!commands_owed(&stage->commands));
	ck_assert_ptr_null(stage_find(stage, ALICE, "c"));
	end();
}
END_TEST

SUITE("session", hello_says_who_is_there, hello_refuses_other_protocols, abandoned_calls_are_never_answered,
      abandon_ends_all_calls_of_that_id_and_no_others, an_abandoned_registration_stands, abandon_needs_an_id,
      going_down_ends_what_waits_and_refuses_what_is_new)
