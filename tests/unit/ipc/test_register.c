/* register: ids, options, what comes back, and when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

#define NEW(id)       "{\"request_id\":\"" id "\",\"endpoint\":\"default\",\"state\":\"~\",\"new\":true}"
#define OLD(id)       "{\"request_id\":\"" id "\",\"endpoint\":\"default\",\"state\":\"~\",\"new\":false}"
#define ITEMS(id, it) OK(id, "{\"registrations\":[" it "]}")

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

static void ask(struct client *client, const char *params, const char *expected)
{
	client_say(client, "{\"id\":1,\"method\":\"register\",\"params\":%s}", params);
	client_expect(client, expected);
}

START_TEST(one_and_many)
{
	begin();
	ask(alice, "{\"request_id\":\"a\"}", ITEMS("1", NEW("a")));
	ask(alice, "{\"request_ids\":[\"b\",\"a\",\"b\"]}", ITEMS("1", NEW("b") "," OLD("a") "," OLD("b")));
	ask(alice, "{\"request_ids\":[]}", ITEMS("1", ""));
	ask(alice, "{\"request_id\":\"a\",\"endpoint\":\"other\"}",
	    ITEMS("1", "{\"request_id\":\"a\",\"endpoint\":\"other\",\"state\":\"~\",\"new\":true}"));
	end();
}
END_TEST

START_TEST(the_answer_waits_for_the_store)
{
	begin();
	stage->store_stopped = true;
	client_say(alice, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"a\"}}");
	client_say(alice, "{\"id\":2,\"method\":\"ping\"}");
	client_expect(alice, OK("2", "{}"));
	client_expect_silence(alice);
	ck_assert_uint_eq(stage->commands.outstanding, 1);
	stage->store_stopped = false;
	client_expect(alice, ITEMS("1", NEW("a")));
	ck_assert_uint_eq(stage->commands.outstanding, 0);
	end();
}
END_TEST

START_TEST(what_is_stored_already_is_answered_at_once)
{
	begin();
	client_register(alice, "a");
	stage->store_stopped = true;
	ask(alice, "{\"request_id\":\"a\"}", ITEMS("1", OLD("a")));
	end();
}
END_TEST

/* What another connection registered is not durable before its batch is. */
START_TEST(joining_what_is_being_stored_waits_too)
{
	struct client *second;

	begin();
	second = client_new(stage, ALICE);
	stage->store_stopped = true;
	client_say(alice, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"a\"}}");
	client_expect_silence(alice);
	client_say(second, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"a\"}}");
	client_expect_silence(second);
	stage->store_stopped = false;
	client_expect(alice, ITEMS("1", NEW("a")));
	client_expect(second, ITEMS("1", OLD("a")));
	client_free(second);
	end();
}
END_TEST

START_TEST(a_failed_commit_is_an_error)
{
	begin();
	stage->store_fails = true;
	client_say(alice, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_ids\":[\"a\",\"b\"]}}");
	client_expect(alice, ERROR("1", "-32004", "storage"));
	stage->store_fails = false;
	ck_assert_ptr_null(stage_find(stage, ALICE, "a"));
	client_register(alice, "a");
	end();
}
END_TEST

START_TEST(bad_ids_are_named_and_nothing_is_registered)
{
	char params[1200], longest[513];

	begin();
	memset(longest, 'i', 512);
	longest[512] = '\0';
	ask(alice, "{\"request_id\":\"\"}", BAD("1", "request_id"));
	ask(alice, "{\"request_id\":\"a\\u0000b\"}", BAD("1", "request_id"));
	ask(alice, "{\"request_id\":\"a\\nb\"}", BAD("1", "request_id"));
	ask(alice, "{\"request_id\":\"a\x7f\"}", BAD("1", "request_id"));
	ask(alice, "{\"request_id\":\"\\u0085\"}", BAD("1", "request_id"));
	ask(alice, "{\"request_id\":7}", BAD("1", "request_id"));
	ask(alice, "{\"request_id\":null}", BAD("1", "request_id"));
	ask(alice, "{\"request_ids\":\"a\"}", BAD("1", "request_ids"));
	ask(alice, "{\"request_ids\":[\"good\",7]}", BAD("1", "request_ids"));
	ask(alice, "{\"request_ids\":[\"good\",\"\"]}", BAD("1", "request_ids"));
	ask(alice, "{\"request_ids\":[\"good\",[\"x\"]]}", BAD("1", "request_ids"));
	ask(alice, "{\"request_id\":\"a\",\"request_ids\":[\"b\"]}", BAD("1", "request_ids"));
	ask(alice, "{}", BAD("1", "request_id"));
	snprintf(params, sizeof(params), "{\"request_id\":\"%si\"}", longest);
	ask(alice, params, BAD("1", "request_id"));
	ck_assert_ptr_null(stage_find(stage, ALICE, "good"));
	ck_assert_ptr_null(registry_owner(stage->registry, ALICE));
	snprintf(params, sizeof(params), "{\"request_id\":\"%s\"}", longest);
	ask(alice, params, ITEMS("1", NEW("~")));
	ask(alice, "{\"request_id\":\"\\\"\\\\ \xc2\xa0\xf0\x9f\x98\x80\"}",
	    ITEMS("1", NEW("\\\"\\\\ \xc2\xa0\xf0\x9f\x98\x80")));
	end();
}
END_TEST

START_TEST(a_request_id_of_10_kilobytes)
{
	char *params = malloc(10300);

	begin();
	memset(params, 'x', 10240);
	memcpy(params, "{\"request_id\":\"", 15);
	memcpy(params + 10240, "\"}", 3);
	ask(alice, params, BAD("1", "request_id"));
	free(params);
	end();
}
END_TEST

static char *many_ids(int n)
{
	struct buffer params = BUFFER_INIT(SIZE_MAX);

	buffer_puts(&params, "{\"request_ids\":[");
	for (int i = 0; i < n; i++)
		buffer_printf(&params, "%s\"m%d\"", i ? "," : "", i);
	buffer_puts(&params, "]}");
	return buffer_steal(&params, NULL, NULL);
}

START_TEST(at_most_a_thousand_in_a_call)
{
	char *params = many_ids(1001), *line;

	begin();
	ask(alice, params, BAD("1", "request_ids"));
	ck_assert_ptr_null(registry_owner(stage->registry, ALICE));
	free(params);
	params = many_ids(1000);
	client_say(alice, "{\"id\":1,\"method\":\"register\",\"params\":%s}", params);
	line = client_line(alice);
	ck_assert_uint_eq(items_at(line, "/result/registrations"), 1000);
	expect_at(line, "/result/registrations/999/request_id", "\"m999\"");
	free(line);
	free(params);
	end();
}
END_TEST

START_TEST(the_limit_per_user_is_said_item_by_item)
{
	begin();
	stage->registry->limits.max_registrations_per_uid = 2;
	ask(alice, "{\"request_ids\":[\"a\",\"b\",\"c\",\"a\"]}",
	    ITEMS("1", NEW("a") "," NEW("b") ",{\"request_id\":\"c\",\"error\":{\"code\":-32002,\"message\":"
					     "\"~\",\"data\":{"
					     "\"name\":\"limit_exceeded\",\"limit\":2}}}," OLD("a")));
	end();
}
END_TEST

START_TEST(another_accept_is_a_conflict)
{
	begin();
	ask(alice, "{\"request_id\":\"a\",\"accept\":\"protobuf\"}", ITEMS("1", NEW("a")));
	ask(alice, "{\"request_ids\":[\"a\",\"b\"],\"accept\":\"json\"}",
	    ITEMS("1", "{\"request_id\":\"a\",\"error\":{\"code\":-32005,\"message\":\"~\",\"data\":{"
		       "\"name\":\"conflict\"}}}," NEW("b")));
	end();
}
END_TEST

START_TEST(responses_name_their_request)
{
	begin();
	ask(alice, "{\"response\":{\"request_id\":\"r1\",\"model_id\":\"m\",\"x\":[1]}}",
	    ITEMS("1", NEW("r1")));
	ask(alice, "{\"response\":{\"request_id\":12}}", ITEMS("1", NEW("12")));
	ask(alice, "{\"response\":{}}", BAD("1", "response"));
	ask(alice, "{\"response\":{\"request_id\":1.5}}", BAD("1", "response"));
	ask(alice, "{\"response\":{\"request_id\":null}}", BAD("1", "response"));
	ask(alice, "{\"response\":{\"request_id\":\"\"}}", BAD("1", "response"));
	ask(alice, "{\"response\":\"r1\"}", BAD("1", "response"));
	ask(alice, "{\"response\":{\"request_id\":\"x\"},\"request_id\":\"y\"}", BAD("1", "response"));
	end();
}
END_TEST

START_TEST(options_arrive)
{
	struct registration *registration;

	begin();
	ask(alice,
	    "{\"request_id\":\"a\",\"poll_timeout_ms\":315360000000,\"http_timeout_ms\":1500,"
	    "\"backoff\":{\"initial_ms\":20,\"max_ms\":300,\"unknown\":1},\"on_network_error\":\"fail\","
	    "\"on_server_failure\":\"retry\",\"accept\":\"protobuf\",\"request_type\":\"Sample.v1_x-y\","
	    "\"create_roundtrip_ms\":2147483647,\"metadata\":{\"k\":[1, "
	    "{}]},\"linked\":true,\"if_ended\":\"keep\"}",
	    ITEMS("1", NEW("a")));
	registration = stage_find(stage, ALICE, "a");
	ck_assert_int_eq(registration->poll_timeout, 315360000000 * USEC_PER_MSEC);
	ck_assert_int_eq(registration->http_timeout, 1500 * USEC_PER_MSEC);
	ck_assert_int_eq(registration->backoff_initial, 20 * USEC_PER_MSEC);
	ck_assert_int_eq(registration->backoff_max, 300 * USEC_PER_MSEC);
	ck_assert_int_eq(registration->on_network_error, ON_FAILURE_FAIL);
	ck_assert_int_eq(registration->on_server_failure, ON_FAILURE_RETRY);
	ck_assert(registration->future->accept_protobuf);
	ck_assert_str_eq(registration->future->request_type, "Sample.v1_x-y");
	ck_assert_int_eq(registration->future->create_roundtrip_ms, INT32_MAX);
	ck_assert_str_eq(registration->metadata, "{\"k\":[1, {}]}");
	ck_assert_ptr_nonnull(registration->links);
	/* Named again: null clears, what is absent stays. */
	ask(alice, "{\"request_id\":\"a\",\"poll_timeout_ms\":null,\"linked\":true}", ITEMS("1", OLD("a")));
	ck_assert_int_eq(registration->poll_timeout, TIME_NEVER);
	ck_assert_int_eq(registration->http_timeout, 1500 * USEC_PER_MSEC);
	ck_assert_int_eq(registration->on_network_error, ON_FAILURE_FAIL);
	end();
}
END_TEST

START_TEST(bad_options_are_named)
{
	static const struct {
		const char *option, *member;
	} cases[] = {
		{"\"poll_timeout_ms\":-1", "poll_timeout_ms"},
		{"\"poll_timeout_ms\":1.5", "poll_timeout_ms"},
		{"\"poll_timeout_ms\":\"5\"", "poll_timeout_ms"},
		{"\"poll_timeout_ms\":315360000001", "poll_timeout_ms"},
		{"\"http_timeout_ms\":null", "http_timeout_ms"},
		{"\"http_timeout_ms\":true", "http_timeout_ms"},
		{"\"backoff\":5", "backoff"},
		{"\"backoff\":{\"initial_ms\":-5}", "backoff.initial_ms"},
		{"\"backoff\":{\"max_ms\":\"x\"}", "backoff.max_ms"},
		{"\"on_network_error\":\"explode\"", "on_network_error"},
		{"\"on_network_error\":null", "on_network_error"},
		{"\"on_server_failure\":true", "on_server_failure"},
		{"\"accept\":\"xml\"", "accept"},
		{"\"request_type\":\"\"", "request_type"},
		{"\"request_type\":\"a b\"", "request_type"},
		{"\"request_type\":\"a\\r\\nX-Evil: 1\"", "request_type"},
		{"\"request_type\":\"a\\u0000\"", "request_type"},
		{"\"request_type\":\"0123456789012345678901234567890123456789012345678901234567890123x\"",
		 "request_type"},
		{"\"request_type\":5", "request_type"},
		{"\"create_roundtrip_ms\":-1", "create_roundtrip_ms"},
		{"\"create_roundtrip_ms\":2147483648", "create_roundtrip_ms"},
		{"\"metadata\":[]", "metadata"},
		{"\"metadata\":null", "metadata"},
		{"\"linked\":1", "linked"},
		{"\"if_ended\":\"now\"", "if_ended"},
		{"\"endpoint\":1", "endpoint"},
	};
	char params[200], expected[300];

	begin();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(params, sizeof(params), "{\"request_id\":\"a\",%s}", cases[i].option);
		snprintf(expected, sizeof(expected), BAD("1", "%s"), cases[i].member);
		ask(alice, params, expected);
	}
	ck_assert_ptr_null(stage_find(stage, ALICE, "a"));
	end();
}
END_TEST

START_TEST(metadata_has_a_limit)
{
	char params[5000], value[4100];

	begin();
	memset(value, 'v', sizeof(value));
	value[4096 - 8] = '\0'; /* {"k":"…"} is eight more */
	snprintf(params, sizeof(params), "{\"request_id\":\"a\",\"metadata\":{\"k\":\"%s\"}}", value);
	ask(alice, params, ITEMS("1", NEW("a")));
	ask(alice, "{\"request_ids\":[\"a\",\"b\"],\"metadata\":{\"l\":1}}",
	    ITEMS("1", "{\"request_id\":\"a\",\"error\":{\"code\":-32602,\"message\":\"~\",\"data\":{"
		       "\"name\":\"invalid_params\","
		       "\"member\":\"metadata\"}}}," NEW("b")));
	value[4096 - 8] = 'v';
	value[4096 - 7] = '\0';
	snprintf(params, sizeof(params), "{\"request_id\":\"c\",\"metadata\":{\"k\":\"%s\"}}", value);
	ask(alice, params, BAD("1", "metadata"));
	end();
}
END_TEST

START_TEST(endpoints_that_are_not_there_or_not_for_you)
{
	struct client *mallory;

	begin();
	mallory = client_new(stage, MALLORY);
	ask(alice, "{\"request_id\":\"a\",\"endpoint\":\"nowhere\"}", ERROR("1", "-32000", "denied"));
	ask(mallory, "{\"request_id\":\"a\",\"endpoint\":\"closed\"}", ERROR("1", "-32000", "denied"));
	ask(alice, "{\"request_id\":\"a\",\"endpoint\":\"closed\"}",
	    ITEMS("1", "{\"request_id\":\"a\",\"endpoint\":\"closed\",~}"));
	stage->endpoints[1]->missing = true;
	ask(alice, "{\"request_id\":\"a\",\"endpoint\":\"other\"}", ERROR("1", "-32000", "denied"));
	client_free(mallory);
	end();
}
END_TEST

START_TEST(the_endpoint_that_is_meant_when_none_is_named)
{
	struct client *mallory;

	begin();
	mallory = client_new(stage, MALLORY);
	/* No "default": several to choose from, one, none. */
	free(stage->endpoints[0]->name);
	stage->endpoints[0]->name = strdup("first");
	ask(alice, "{\"request_id\":\"a\"}",
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,\"message\":\"say which endpoint; open "
	    "to you: first, "
	    "other, closed\",\"data\":{\"name\":\"denied\"}}}");
	ask(mallory, "{\"request_id\":\"a\"}", "{~open to you: first, other\"~}");
	stage_set_endpoints(stage, 1);
	ask(alice, "{\"request_id\":\"a\"}", ITEMS("1", "{\"request_id\":\"a\",\"endpoint\":\"first\",~}"));
	stage_set_endpoints(stage, 0);
	ask(alice, "{\"request_id\":\"a\"}", ERROR("1", "-32000", "denied"));
	stage_set_endpoints(stage, 3);
	client_free(mallory);
	end();
}
END_TEST

START_TEST(what_has_ended_is_told_without_its_body)
{
	begin();
	client_register(alice, "a");
	client_register(alice, "b");
	stage_complete(stage, "a", "{\"value\":42}");
	stage_fail(stage, "b", "bad input", NULL);
	ask(alice, "{\"request_ids\":[\"a\",\"b\"]}",
	    ITEMS("1", "{\"request_id\":\"a\",\"endpoint\":\"default\",\"state\":\"completed\",\"new\":false,"
		       "\"outcome\":{\"ok\":"
		       "true,\"ended_at\":\"20~Z\",\"size\":12,\"content_type\":\"application/json\"}},"
		       "{\"request_id\":\"b\",\"endpoint\":\"default\",\"state\":\"failed\",\"new\":false,"
		       "\"outcome\":{\"ok\":false,"
		       "\"ended_at\":\"20~Z\",\"error\":{\"type\":\"request_failed\",\"category\":\"user\","
		       "\"message\":\"bad input\","
		       "~}}}"));
	ask(alice, "{\"request_id\":\"a\",\"if_ended\":\"restart\"}", ITEMS("1", NEW("a")));
	end();
}
END_TEST

START_TEST(users_do_not_see_each_other)
{
	struct client *bob;

	begin();
	bob = client_new(stage, BOB);
	client_register(alice, "shared");
	ask(bob, "{\"request_id\":\"shared\"}", ITEMS("1", NEW("shared")));
	ck_assert_ptr_eq(stage_find(stage, ALICE, "shared")->future,
			 stage_find(stage, BOB, "shared")->future);
	client_free(bob);
	end();
}
END_TEST

START_TEST(linked_registrations_end_with_their_connection)
{
	struct client *second;

	begin();
	second = client_new(stage, ALICE);
	client_ask(
		second,
		"{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"linked\",\"linked\":true}}",
		ITEMS("1", NEW("linked")));
	client_register(second, "free");
	client_free(second);
	/* Its going is noticed in some turn; the end is durable in a later one. */
	client_ask(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"linked\"}}",
		   OK("1", "{\"results\":[{~\"ok\":false,\"error\":{\"type\":\"cancelled\",~}]}"));
	ck_assert(registration_is_live(stage_find(stage, ALICE, "free")));
	end();
}
END_TEST

START_TEST(linked_registrations_survive_the_end_of_the_daemon)
{
	begin();
	client_ask(
		alice,
		"{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"linked\",\"linked\":true}}",
		ITEMS("1", NEW("linked")));
	commands_drain(&stage->commands);
	client_free(alice);
	alice = NULL;
	for (int i = 0; i < 5; i++)
		stage_turn(stage);
	ck_assert_uint_eq(stage->peers.count, 0);
	ck_assert(registration_is_live(stage_find(stage, ALICE, "linked")));
	end();
}
END_TEST

START_TEST(who_leaves_before_the_answer_has_registered)
{
	struct client *second;

	begin();
	second = client_new(stage, ALICE);
	stage->store_stopped = true;
	client_say(second, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"a\"}}");
	client_expect_silence(second);
	client_free(second);
	for (int i = 0; i < 5; i++)
		stage_turn(stage);
	ck_assert_uint_eq(stage->commands.outstanding, 0);
	stage->store_stopped = false;
	client_expect_silence(alice);
	ck_assert(registration_is_live(stage_find(stage, ALICE, "a")));
	end();
}
END_TEST

SUITE("register", one_and_many, the_answer_waits_for_the_store, what_is_stored_already_is_answered_at_once,
      joining_what_is_being_stored_waits_too, a_failed_commit_is_an_error,
      bad_ids_are_named_and_nothing_is_registered, a_request_id_of_10_kilobytes, at_most_a_thousand_in_a_call,
      the_limit_per_user_is_said_item_by_item, another_accept_is_a_conflict, responses_name_their_request,
      options_arrive, bad_options_are_named, metadata_has_a_limit,
      endpoints_that_are_not_there_or_not_for_you, the_endpoint_that_is_meant_when_none_is_named,
      what_has_ended_is_told_without_its_body, users_do_not_see_each_other,
      linked_registrations_end_with_their_connection, linked_registrations_survive_the_end_of_the_daemon,
      who_leaves_before_the_answer_has_registered)
