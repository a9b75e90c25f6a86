/* status, list, endpoints, stats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static char *ask(struct client *client, const char *method, const char *params)
{
	client_say(client, "{\"id\":1,\"method\":\"%s\",\"params\":%s}", method, params);
	return client_line(client);
}

START_TEST(status_of_what_is_being_polled)
{
	char *line;

	begin();
	client_ask(alice,
		   "{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"a\",\"poll_timeout_ms\":"
		   "60000,\"linked\":true,"
		   "\"metadata\":{\"k\":\"v\"}}}",
		   OK("1", "{~}"));
	stage_turn(stage);
	line = ask(alice, "status", "{\"request_id\":\"a\"}");
	expect_at(line, "/result/request_id", "\"a\"");
	expect_at(line, "/result/endpoint", "\"default\"");
	expect_at(line, "/result/state", "\"polling\"");
	expect_at(line, "/result/ok", "null");
	expect_at(line, "/result/why_waiting", "null");
	expect_at(line, "/result/queue_state", "null");
	expect_at(line, "/result/queue_state_reason", "null");
	expect_at(line, "/result/queue_state_since", "null");
	expect_at(line, "/result/last_poll_at", "null");
	expect_at(line, "/result/last_http_status", "null");
	expect_at(line, "/result/last_error", "null");
	expect_at(line, "/result/next_poll_in_ms", "null");
	ck_assert_int_gt(int_at(line, "/result/deadline_in_ms"), 30000);
	ck_assert_int_le(int_at(line, "/result/deadline_in_ms"), 60000);
	ck_assert_int_ge(int_at(line, "/result/age_ms"), 0);
	ck_assert_int_ge(int_at(line, "/result/iteration"), 0);
	expect_at(line, "/result/registrations", "1");
	expect_at(line, "/result/linked", "true");
	expect_at(line, "/result/metadata", "{\"k\":\"v\"}");
	ck_assert_ptr_null(value_at(line, "/result/uid"));
	free(line);
	end();
}
END_TEST

/* A poll that was answered with try_again. */
static void answer_try_again(const char *request_id)
{
	struct registration *registration = stage_find(stage, ALICE, request_id);
	struct poll_report report = {.wall = loop_wall(stage->loop)};
	struct outcome outcome = {
		.kind = OUTCOME_TRY_AGAIN,
		.status = 200,
		.queue_state = QUEUE_PAUSED_CAPACITY,
		.reason = "too many \"users\"",
		.retry_after = 5000 * USEC_PER_MSEC,
	};

	while (!registration->future->in_flight)
		stage_turn(stage);
	scheduler_poll_done(stage->scheduler, registration->future->id, &outcome, &report,
			    loop_now(stage->loop));
	stage_turn(stage);
}

START_TEST(status_of_what_is_scheduled)
{
	char *line, *since;

	begin();
	client_register(alice, "a");
	answer_try_again("a");
	line = ask(alice, "status", "{\"request_id\":\"a\"}");
	expect_at(line, "/result/state", "\"scheduled\"");
	expect_at(line, "/result/why_waiting", "\"retry_after\"");
	expect_at(line, "/result/queue_state", "\"paused_capacity\"");
	expect_at(line, "/result/queue_state_reason", "\"too many \\\"users\\\"\"");
	expect_at(line, "/result/last_http_status", "200");
	expect_at(line, "/result/linked", "false");
	expect_at(line, "/result/metadata", "{}");
	ck_assert_int_gt(int_at(line, "/result/next_poll_in_ms"), 1000);
	ck_assert_int_le(int_at(line, "/result/next_poll_in_ms"), 5000);
	ck_assert_int_gt(int_at(line, "/result/deadline_in_ms"), 86400000); /* the greatest age */
	since = value_at(line, "/result/queue_state_since");
	ck_assert_uint_eq(strlen(since), strlen("\"2026-01-31T12:00:00.000Z\""));
	free(since);
	free(line);
	end();
}
END_TEST

START_TEST(what_waits_for_an_endpoint_that_is_gone_can_be_asked_for_and_cancelled)
{
	char *line;

	begin();
	line = ask(alice, "register", "{\"request_id\":\"a\",\"endpoint\":\"other\"}");
	free(line);
	stage->endpoints[1]->missing = true;
	line = ask(alice, "status", "{\"request_id\":\"a\",\"endpoint\":\"other\"}");
	expect_at(line, "/result/endpoint", "\"other\"");
	free(line);
	line = ask(alice, "cancel", "{\"request_id\":\"a\",\"endpoint\":\"other\"}");
	expect_at(line, "/result/cancelled", "1");
	free(line);
	line = ask(alice, "ack", "{\"request_id\":\"a\",\"endpoint\":\"other\"}");
	expect_at(line, "/result/acked", "1");
	free(line);
	line = ask(alice, "register", "{\"request_id\":\"a\",\"endpoint\":\"other\"}");
	expect_at(line, "/error/code", "-32000");
	free(line);
	end();
}
END_TEST

START_TEST(status_of_what_has_ended)
{
	char *line;

	begin();
	client_register(alice, "good");
	client_register(alice, "bad");
	stage_complete(stage, "good", "1");
	stage_fail(stage, "bad", "no way", NULL);
	line = ask(alice, "status", "{\"request_id\":\"good\"}");
	expect_at(line, "/result/state", "\"completed\"");
	expect_at(line, "/result/ok", "true");
	expect_at(line, "/result/deadline_in_ms", "null");
	expect_at(line, "/result/last_error", "null");
	free(line);
	line = ask(alice, "status", "{\"request_id\":\"bad\"}");
	expect_at(line, "/result/state", "\"failed\"");
	expect_at(line, "/result/ok", "false");
	expect_at(line, "/result/last_error/type", "\"request_failed\"");
	expect_at(line, "/result/last_error/message", "\"no way\"");
	free(line);
	end();
}
END_TEST

START_TEST(status_tells_nobody_of_others)
{
	struct client *bob;

	begin();
	bob = client_new(stage, BOB);
	client_register(alice, "a");
	client_ask(bob, "{\"id\":1,\"method\":\"status\",\"params\":{\"request_id\":\"a\"}}",
		   ERROR("1", "-32001", "not_found"));
	client_ask(bob, "{\"id\":1,\"method\":\"status\",\"params\":{\"request_id\":\"x\"}}",
		   ERROR("1", "-32001", "not_found"));
	client_ask(bob, "{\"id\":1,\"method\":\"status\",\"params\":{\"request_id\":\"a\",\"all\":true}}",
		   ERROR("1", "-32000", "denied"));
	client_ask(bob, "{\"id\":1,\"method\":\"list\",\"params\":{\"all\":true}}",
		   ERROR("1", "-32000", "denied"));
	client_ask(bob, "{\"id\":1,\"method\":\"list\"}", OK("1", "{\"futures\":[],\"next\":null}"));
	client_free(bob);
	end();
}
END_TEST

START_TEST(root_may_see_all)
{
	struct client *bob, *root;
	char *line;

	begin();
	bob = client_new(stage, BOB);
	root = client_new(stage, 0);
	client_register(bob, "shared");
	client_register(alice, "shared");
	client_register(alice, "hers");
	line = ask(root, "status", "{\"request_id\":\"shared\",\"all\":true}");
	expect_at(line, "/result/registrations", "2");
	expect_at(line, "/result/uid", "1001");
	free(line);
	client_ask(root, "{\"id\":1,\"method\":\"status\",\"params\":{\"request_id\":\"shared\"}}",
		   ERROR("1", "-32001", "not_found"));
	line = ask(root, "list", "{\"all\":true}");
	ck_assert_uint_eq(items_at(line, "/result/futures"), 3);
	expect_at(line, "/result/futures/0/uid", "1001");
	expect_at(line, "/result/futures/1/uid", "1000");
	expect_at(line, "/result/futures/2/request_id", "\"hers\"");
	free(line);
	client_ask(root, "{\"id\":1,\"method\":\"list\"}", OK("1", "{\"futures\":[],\"next\":null}"));
	client_free(bob);
	client_free(root);
	end();
}
END_TEST

START_TEST(bad_queries_are_named)
{
	begin();
	client_ask(alice, "{\"id\":1,\"method\":\"status\"}", BAD("1", "request_id"));
	client_ask(alice, "{\"id\":1,\"method\":\"status\",\"params\":{\"request_ids\":[\"a\"]}}",
		   BAD("1", "request_id"));
	client_ask(alice, "{\"id\":1,\"method\":\"status\",\"params\":{\"request_id\":\"\"}}",
		   BAD("1", "request_id"));
	client_ask(alice, "{\"id\":1,\"method\":\"status\",\"params\":{\"request_id\":\"a\",\"all\":1}}",
		   BAD("1", "all"));
	client_ask(alice, "{\"id\":1,\"method\":\"list\",\"params\":{\"state\":\"asleep\"}}",
		   BAD("1", "state"));
	client_ask(alice, "{\"id\":1,\"method\":\"list\",\"params\":{\"limit\":1001}}", BAD("1", "limit"));
	client_ask(alice, "{\"id\":1,\"method\":\"list\",\"params\":{\"after\":\"-1\"}}", BAD("1", "after"));
	client_ask(alice, "{\"id\":1,\"method\":\"list\",\"params\":{\"after\":\"1 \"}}", BAD("1", "after"));
	client_ask(alice, "{\"id\":1,\"method\":\"list\",\"params\":{\"after\":\"\"}}", BAD("1", "after"));
	client_ask(alice,
		   "{\"id\":1,\"method\":\"list\",\"params\":{\"after\":\"99999999999999999999999999\"}}",
		   BAD("1", "after"));
	client_ask(alice, "{\"id\":1,\"method\":\"list\",\"params\":{\"where\":{\"a\":{}}}}",
		   BAD("1", "where"));
	client_ask(alice, "{\"id\":1,\"method\":\"list\",\"params\":{\"endpoint\":\"x\"}}",
		   ERROR("1", "-32000", "denied"));
	end();
}
END_TEST

static size_t count_list(struct client *client, const char *params)
{
	char *line = ask(client, "list", params);
	size_t n = items_at(line, "/result/futures");

	free(line);
	return n;
}

START_TEST(list_filters)
{
	begin();
	client_ask(alice,
		   "{\"id\":1,\"method\":\"register\",\"params\":{\"request_ids\":[\"a\",\"b\"],\"metadata\":"
		   "{\"k\":\"v\"}}}",
		   OK("1", "{~}"));
	client_ask(
		alice,
		"{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"c\",\"endpoint\":\"other\"}}",
		OK("1", "{~}"));
	stage_complete(stage, "a", "1");
	answer_try_again("b");
	ck_assert_uint_eq(count_list(alice, "{}"), 3);
	ck_assert_uint_eq(count_list(alice, "{\"state\":\"completed\"}"), 1);
	ck_assert_uint_eq(count_list(alice, "{\"state\":\"scheduled\"}"), 1);
	ck_assert_uint_eq(count_list(alice, "{\"state\":\"polling\"}"), 1);
	ck_assert_uint_eq(count_list(alice, "{\"state\":\"failed\"}"), 0);
	ck_assert_uint_eq(count_list(alice, "{\"state\":\"blocked\"}"), 0);
	ck_assert_uint_eq(count_list(alice, "{\"endpoint\":\"other\"}"), 1);
	ck_assert_uint_eq(count_list(alice, "{\"where\":{\"k\":\"v\"}}"), 2);
	ck_assert_uint_eq(count_list(alice, "{\"where\":{\"k\":\"v\"},\"state\":\"completed\"}"), 1);
	client_ask(alice, "{\"id\":1,\"method\":\"list\",\"params\":{\"state\":\"completed\"}}",
		   OK("1", "{\"futures\":[{\"request_id\":\"a\",\"endpoint\":\"default\",\"state\":"
			   "\"completed\",\"ok\":true,\"why_waiting\":"
			   "null,\"queue_state\":null,\"age_ms\":~,\"iteration\":~,\"next_poll_in_ms\":null,"
			   "\"deadline_in_ms\":null,"
			   "\"metadata\":{\"k\":\"v\"}}],\"next\":null}"));
	end();
}
END_TEST

/* Every page of `limit`: all ids once, oldest first. */
static size_t walk(struct client *client, const char *all, size_t limit)
{
	char *next = strdup("null"), *line, path[64], last[32] = "";
	size_t n = 0;

	do {
		client_say(client, "{\"id\":1,\"method\":\"list\",\"params\":{%s\"limit\":%zu,\"after\":%s}}",
			   all, limit, next);
		free(next);
		line = client_line(client);
		for (size_t i = 0; i < items_at(line, "/result/futures"); i++) {
			char *id;

			snprintf(path, sizeof(path), "/result/futures/%zu/request_id", i);
			id = value_at(line, path);
			ck_assert_str_gt(id, last);
			snprintf(last, sizeof(last), "%s", id);
			free(id);
			n++;
		}
		next = value_at(line, "/result/next");
		free(line);
	} while (strcmp(next, "null") != 0);
	free(next);
	return n;
}

START_TEST(list_pages)
{
	struct client *bob, *root;

	begin();
	bob = client_new(stage, BOB);
	root = client_new(stage, 0);
	for (int i = 100; i < 150; i++) {
		char id[16];

		snprintf(id, sizeof(id), "l%d", i);
		client_register(i % 3 ? alice : bob, id);
	}
	for (size_t limit = 1; limit < 60; limit += 7) {
		ck_assert_uint_eq(walk(alice, "", limit), 34);
		ck_assert_uint_eq(walk(bob, "", limit), 16);
		ck_assert_uint_eq(walk(root, "\"all\":true,", limit), 50);
	}
	client_free(bob);
	client_free(root);
	end();
}
END_TEST

START_TEST(endpoints_that_one_may_use)
{
	struct client *mallory;
	char *line;

	begin();
	mallory = client_new(stage, MALLORY);
	client_register(alice, "a");
	stage_turn(stage);
	line = ask(alice, "endpoints", "{}");
	ck_assert_uint_eq(items_at(line, "/result/endpoints"), 3);
	expect_at(line, "/result/endpoints/0",
		  "{\"endpoint\":\"default\",\"base_url\":\"http://"
		  "127.0.0.1:1\",\"profile\":\"durable\",\"gate\":\"open\",\"reason\":null,"
		  "\"retry_in_ms\":null,\"in_flight\":1,\"max_in_flight\":100000,\"waiting\":0,"
		  "\"connections\":3,\"http_version\":\"2\","
		  "\"last_error\":null}");
	free(line);
	line = ask(mallory, "endpoints", "{}");
	ck_assert_uint_eq(items_at(line, "/result/endpoints"), 2);
	free(line);
	client_free(mallory);
	end();
}
END_TEST

START_TEST(a_closed_gate)
{
	char *line;

	begin();
	endpoint_gate_key(stage->endpoints[0], false, loop_now(stage->loop));
	endpoint_gate_report(
		stage->endpoints[1],
		&(struct gate_report){.cause = GATE_RATE_LIMITED, .retry_after = 90 * USEC_PER_SEC},
		loop_now(stage->loop));
	line = ask(alice, "endpoints", "{}");
	expect_at(line, "/result/endpoints/0/gate", "\"closed\"");
	expect_at(line, "/result/endpoints/0/reason", "\"no_key\"");
	expect_at(line, "/result/endpoints/0/retry_in_ms", "null");
	expect_at(line, "/result/endpoints/1/reason", "\"rate_limited\"");
	ck_assert_int_gt(int_at(line, "/result/endpoints/1/retry_in_ms"), 60000);
	ck_assert_int_le(int_at(line, "/result/endpoints/1/retry_in_ms"), 90000);
	free(line);
	end();
}
END_TEST

/* What the server said of one user's future is not shown to the others. */
START_TEST(last_errors_of_endpoints_tell_no_secrets)
{
	struct endpoint *endpoint;
	char *line;

	begin();
	endpoint = stage->endpoints[0];
	endpoint->last_error = error_new(ERROR_REQUEST_FAILED, CATEGORY_USER, 0, "secret", NULL);
	line = ask(alice, "endpoints", "{}");
	expect_at(line, "/result/endpoints/0/last_error", "null");
	free(line);
	error_unref(endpoint->last_error);
	endpoint->last_error = error_new(ERROR_API_STATUS, CATEGORY_SERVER, 503, "unavailable",
					 "\"body\":\"secret\"");
	line = ask(alice, "endpoints", "{}");
	expect_at(line, "/result/endpoints/0/last_error/message", "\"unavailable\"");
	expect_at(line, "/result/endpoints/0/last_error/status", "503");
	ck_assert_ptr_null(strstr(line, "secret"));
	free(line);
	end();
}
END_TEST

START_TEST(stats_count)
{
	char *line;

	begin();
	client_register(alice, "a");
	stage_complete(stage, "a", "1");
	client_say(alice, "{\"id\":2,\"method\":\"dance\"}");
	free(client_line(alice));
	line = ask(alice, "stats", "{}");
	expect_at(line, "/result/instance", "\"0123456789abcdef0123456789abcdef\"");
	ck_assert_int_ge(int_at(line, "/result/uptime_ms"), 0);
	expect_at(line, "/result/counters/calls", "3");
	expect_at(line, "/result/counters/call_errors", "1");
	expect_at(line, "/result/counters/poll_outcomes/completed", "1");
	ck_assert_int_ge(int_at(line, "/result/counters/events/completed"), 0);
	expect_at(line, "/result/gauges/futures/completed", "1");
	expect_at(line, "/result/gauges/registrations", "1");
	expect_at(line, "/result/gauges/registrations_live", "0");
	expect_at(line, "/result/gauges/peers", "1");
	expect_at(line, "/result/gauges/in_flight", "0");
	expect_at(line, "/result/gauges/calls_outstanding", "0");
	free(line);
	end();
}
END_TEST

SUITE("query", status_of_what_is_being_polled, status_of_what_is_scheduled,
      what_waits_for_an_endpoint_that_is_gone_can_be_asked_for_and_cancelled, status_of_what_has_ended,
      status_tells_nobody_of_others, root_may_see_all, bad_queries_are_named, list_filters, list_pages,
      endpoints_that_one_may_use, a_closed_gate, last_errors_of_endpoints_tell_no_secrets, stats_count)
