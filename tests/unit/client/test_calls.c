/* libtinkex: calls, the lines they send, and the answers they make of what comes back. Awaiting is
 * test_await.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"

static struct fake fake;
static tinkex_client *client;

static void setup(void)
{
	fake_start(&fake);
	client = fake_client(&fake, NULL);
}

static void teardown(void)
{
	client = tinkex_client_free(client);
	fake_stop(&fake);
}

struct seen {
	bool done;
	int calls, error;
	tinkex_reply *reply;
	char text[512], data[512];
};

static void remember(tinkex_client *from, int error, tinkex_reply *reply, void *userdata)
{
	struct seen *seen = userdata;
	const char *data = tinkex_error_data(from);

	seen->done = true;
	seen->calls++;
	seen->error = error;
	seen->reply = tinkex_reply_ref(reply);
	snprintf(seen->text, sizeof(seen->text), "%s", tinkex_error_text(from));
	snprintf(seen->data, sizeof(seen->data), "%s", data ? data : "");
}

START_TEST(test_half_lines)
{
	const char *line = "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n";
	struct seen seen = {0};

	ck_assert_int_eq(tinkex_ping_async(client, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client, "\"id\":2,\"method\":\"ping\",\"params\":{}");
	for (size_t i = 0; i < strlen(line); i++) {
		fake_settle(client);
		ck_assert(!seen.done);
		fake_send_bytes(&fake, client, line + i, 1);
	}
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, 0);
	ck_assert_str_eq(tinkex_reply_json(seen.reply, NULL), "{}");
	tinkex_reply_unref(seen.reply);
	ck_assert_str_eq(tinkex_client_socket(client), fake.path);
	ck_assert_int_eq(tinkex_get_timeout(client), -1);
}
END_TEST

/* Replies in the other order, with noise around them: each goes to its call, in the order of arrival. */
START_TEST(test_out_of_order)
{
	struct tinkex_future future = TINKEX_FUTURE_INIT;
	struct seen a = {0}, b = {0};

	ck_assert_int_eq(tinkex_status_async(client, "a", NULL, remember, &a, NULL), 0);
	ck_assert_int_eq(tinkex_status_async(client, "b", NULL, remember, &b, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client, "\"id\":2,\"method\":\"status\",\"params\":{\"request_id\":\"a\"}");
	fake_expect(&fake, client, "\"id\":3,\"method\":\"status\",\"params\":{\"request_id\":\"b\"}");
	fake_send(&fake, client, "{\"method\":\"event\",\"params\":{\"event\":\"draining\"}}");
	fake_send(&fake, client, "%s", "");
	fake_send(&fake, client, "{\"id\":99,\"result\":{}}");
	fake_send(&fake, client,
		  "{\"id\":3,\"result\":{\"request_id\":\"b\",\"endpoint\":\"e\",\"state\":\"blocked\","
		  "\"why_waiting\":\"gate\",\"queue_state\":null,\"ok\":null}}");
	fake_run_until(client, &b.done);
	ck_assert(!a.done);
	ck_assert_int_eq(tinkex_reply_future(b.reply, 0, &future), 0);
	ck_assert_str_eq(future.request_id, "b");
	ck_assert_str_eq(future.endpoint, "e");
	ck_assert_str_eq(future.state, "blocked");
	ck_assert_str_eq(future.why_waiting, "gate");
	ck_assert_ptr_null(future.queue_state);
	ck_assert_int_eq(future.ok, -1);
	ck_assert_int_eq(tinkex_reply_future(b.reply, 1, &future), TINKEX_EINVAL);
	fake_send(&fake, client, "{\"id\":2,\"result\":{\"request_id\":\"a\",\"ok\":true}}");
	fake_run_until(client, &a.done);
	ck_assert_int_eq(tinkex_reply_future(a.reply, 0, &future), 0);
	ck_assert_int_eq(future.ok, 1);
	tinkex_reply_unref(a.reply);
	tinkex_reply_unref(b.reply);
}
END_TEST

START_TEST(test_error_reply)
{
	struct seen seen = {0};

	ck_assert_int_eq(tinkex_status_async(client, "a", NULL, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	fake_send(&fake, client,
		  "{\"id\":2,\"error\":{\"code\":-32001,\"message\":\"no registration \\\"a\\\"\","
		  "\"data\":{\"name\":\"not_found\",\"reason\":\"acked\"}}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, TINKEX_ENOTFOUND);
	ck_assert_ptr_null(seen.reply);
	ck_assert_str_eq(seen.text, "status: no registration \"a\"");
	ck_assert_str_eq(seen.data, "{\"name\":\"not_found\",\"reason\":\"acked\"}");
}
END_TEST

/* What cannot be assigned to a call ends all of them: none would ever be answered. */
START_TEST(test_nonsense)
{
	static const struct {
		const char *line;
		int error;
	} cases[] = {
		{"hello?", TINKEX_EPROTOCOL},
		{"[]", TINKEX_EPROTOCOL},
		{"{\"id\":2}", TINKEX_EPROTOCOL},
		{"{\"id\":null,\"error\":{\"code\":-32600,\"message\":\"m\",\"data\":{\"name\":\"line_too_"
		 "long\"}}}",
		 TINKEX_EREFUSED},
		{"{\"method\":\"outcome\",\"params\":{}}", TINKEX_EPROTOCOL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen seen = {0};

		ck_assert_int_eq(tinkex_ping_async(client, remember, &seen, NULL), 0);
		fake_hello(&fake, client, "[]");
		fake_read(&fake, client);
		fake_send(&fake, client, "%s", cases[i].line);
		fake_run_until(client, &seen.done);
		ck_assert_int_eq(seen.error, cases[i].error);
	}
}
END_TEST

START_TEST(test_wrong_shape)
{
	struct seen seen = {0};
	const char *id = "a";

	ck_assert_int_eq(tinkex_register_async(client, &id, 1, NULL, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	fake_send(&fake, client, "{\"id\":2,\"result\":{\"registrations\":[]}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, TINKEX_EPROTOCOL);
}
END_TEST

START_TEST(test_hello_refused)
{
	struct seen seen = {0};

	ck_assert_int_eq(tinkex_ping_async(client, remember, &seen, NULL), 0);
	fake_accept(&fake, client);
	fake_read(&fake, client);
	fake_send(&fake, client,
		  "{\"id\":1,\"error\":{\"code\":-32602,\"message\":\"protocol 1 is no longer spoken\","
		  "\"data\":{\"name\":\"invalid_params\",\"member\":\"protocol\"}}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, TINKEX_EPARAMS);
	ck_assert_str_eq(seen.text, "protocol 1 is no longer spoken");
}
END_TEST

START_TEST(test_hello_too_many_peers)
{
	struct seen seen = {0};

	ck_assert_int_eq(tinkex_ping_async(client, remember, &seen, NULL), 0);
	fake_accept(&fake, client);
	fake_send(&fake, client,
		  "{\"id\":null,\"error\":{\"code\":-32002,\"message\":\"too many peers\","
		  "\"data\":{\"name\":\"limit_exceeded\"}}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, TINKEX_ELIMIT);
}
END_TEST

START_TEST(test_register_options)
{
	struct tinkex_register_options options = TINKEX_REGISTER_OPTIONS_INIT;
	const char *ids[] = {"a", "b\"\xc3\xa9"};
	struct tinkex_future future = TINKEX_FUTURE_INIT;
	struct seen seen = {0};

	options.endpoint = "e";
	options.poll_timeout_ms = TINKEX_FOREVER;
	options.http_timeout_ms = 5;
	options.backoff_initial_ms = 0;
	options.backoff_max_ms = 7;
	options.create_roundtrip_ms = 12;
	options.on_network_error = "fail";
	options.on_server_failure = "retry";
	options.accept = "protobuf";
	options.request_type = "Sample";
	options.metadata = " {\"k\":\n\"v\"}\n";
	options.if_ended = "restart";
	options.linked = 1;
	ck_assert_int_eq(tinkex_register_async(client, ids, 2, &options, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client,
		    "\"id\":2,\"method\":\"register\",\"params\":{\"request_ids\":[\"a\",\"b\\\"\xc3\xa9\"],"
		    "\"endpoint\":\"e\",\"poll_timeout_ms\":null,\"http_timeout_ms\":5,"
		    "\"backoff\":{\"initial_ms\":0,\"max_ms\":7},\"create_roundtrip_ms\":12,"
		    "\"on_network_error\":\"fail\",\"on_server_failure\":\"retry\",\"accept\":\"protobuf\","
		    "\"request_type\":\"Sample\",\"metadata\": {\"k\": \"v\"} "
		    ",\"linked\":true,\"if_ended\":\"restart\"}");
	fake_send(&fake, client,
		  "{\"id\":2,\"result\":{\"registrations\":[{\"request_id\":\"a\",\"endpoint\":\"e\","
		  "\"state\":\"scheduled\",\"new\":true},{\"request_id\":\"b\",\"error\":{\"code\":-32005,"
		  "\"message\":\"accept differs\",\"data\":{\"name\":\"conflict\"}}}]}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, 0);
	ck_assert_uint_eq(tinkex_reply_count(seen.reply), 2);
	ck_assert_uint_eq(tinkex_reply_affected(seen.reply), 1);
	ck_assert_int_eq(tinkex_reply_future(seen.reply, 0, &future), 0);
	ck_assert_int_eq(future.is_new, 1);
	ck_assert_int_eq(future.error, 0);
	ck_assert_int_eq(tinkex_reply_future(seen.reply, 1, &future), 0);
	ck_assert_int_eq(future.error, TINKEX_ECONFLICT);
	ck_assert_str_eq(future.error_text, "accept differs");
	ck_assert_str_eq(tinkex_reply_item_json(seen.reply, 0, NULL),
			 "{\"request_id\":\"a\",\"endpoint\":\"e\",\"state\":\"scheduled\",\"new\":true}");
	tinkex_reply_unref(seen.reply);
}
END_TEST

START_TEST(test_register_response)
{
	struct tinkex_register_options options = TINKEX_REGISTER_OPTIONS_INIT;
	struct seen seen = {0};

	options.response = "{\"request_id\":\"r\"}";
	ck_assert_int_eq(tinkex_register_async(client, NULL, 0, &options, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client,
		    "\"id\":2,\"method\":\"register\",\"params\":{\"response\":{\"request_id\":\"r\"}}");
	fake_send(&fake, client, "{\"id\":2,\"result\":{\"registrations\":[{\"request_id\":\"r\"}]}}");
	fake_run_until(client, &seen.done);
	ck_assert_uint_eq(tinkex_reply_count(seen.reply), 1);
	tinkex_reply_unref(seen.reply);
}
END_TEST

/* A program compiled with an older header has a shorter struct: what it does not know stays at its default.
 */
START_TEST(test_short_options)
{
	struct tinkex_register_options options = TINKEX_REGISTER_OPTIONS_INIT;
	struct seen seen = {0};
	const char *id = "a";

	options.endpoint = "e";
	options.request_type = "Sample";
	options.size = offsetof(struct tinkex_register_options, poll_timeout_ms);
	ck_assert_int_eq(tinkex_register_async(client, &id, 1, &options, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(
		&fake, client,
		"\"id\":2,\"method\":\"register\",\"params\":{\"request_ids\":[\"a\"],\"endpoint\":\"e\"}");
}
END_TEST

/* How many ids the line of a call has. */
static size_t count_ids(const char *line)
{
	const char *at = strstr(line, "\"request_ids\":[");
	size_t n = 1;

	ck_assert_ptr_nonnull(at);
	for (; *at != ']'; at++)
		n += *at == ',';
	return n;
}

static void send_registrations(int id, size_t first, size_t n)
{
	char *text = NULL;
	size_t size;
	FILE *line = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(line);
	fprintf(line, "{\"id\":%d,\"result\":{\"registrations\":[", id);
	for (size_t i = first; i < first + n; i++)
		fprintf(line, "%s{\"request_id\":\"id%zu\",\"new\":true}", i > first ? "," : "", i);
	fputs("]}}\n", line);
	ck_assert_int_eq(fclose(line), 0);
	fake_send_bytes(&fake, client, text, size);
	free(text);
}

START_TEST(test_register_many)
{
	struct tinkex_future future = TINKEX_FUTURE_INIT;
	struct seen seen = {0};
	char storage[2500][16];
	const char *ids[2500];

	for (size_t i = 0; i < 2500; i++) {
		snprintf(storage[i], sizeof(storage[i]), "id%zu", i);
		ids[i] = storage[i];
	}
	ck_assert_int_eq(tinkex_register_async(client, ids, 2500, NULL, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	ck_assert_uint_eq(count_ids(fake_read(&fake, client)), 1000);
	ck_assert_uint_eq(count_ids(fake_read(&fake, client)), 1000);
	ck_assert_uint_eq(count_ids(fake_read(&fake, client)), 500);
	send_registrations(4, 2000, 500);
	send_registrations(2, 0, 1000);
	fake_settle(client);
	ck_assert(!seen.done);
	send_registrations(3, 1000, 1000);
	fake_run_until(client, &seen.done);
	ck_assert_uint_eq(tinkex_reply_count(seen.reply), 2500);
	ck_assert_uint_eq(tinkex_reply_affected(seen.reply), 2500);
	for (size_t i = 0; i < 2500; i++) {
		ck_assert_int_eq(tinkex_reply_future(seen.reply, i, &future), 0);
		ck_assert_str_eq(future.request_id, ids[i]);
	}
	tinkex_reply_unref(seen.reply);
}
END_TEST

/* A line may have 1 MiB: long ids make it full before there are a thousand. */
START_TEST(test_register_long_ids)
{
	char *longest = malloc(512 * 1024);
	const char *ids[3];

	memset(longest, '"', 512 * 1024 - 1);
	longest[512 * 1024 - 1] = '\0';
	ids[0] = "a";
	ids[1] = longest + 512 * 1024 - 1 - 300 * 1024;
	ids[2] = ids[1];
	ck_assert_int_eq(tinkex_ack_async(client, ids, 3, NULL, NULL, NULL, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	ck_assert_int_eq(strncmp(fake.line, "{\"jsonrpc\":\"2.0\",\"id\":2,", 24), 0);
	fake_read(&fake, client);
	ck_assert_int_eq(strncmp(fake.line, "{\"jsonrpc\":\"2.0\",\"id\":3,", 24), 0);
	free(longest);
}
END_TEST

START_TEST(test_collect)
{
	struct tinkex_select_options options = TINKEX_SELECT_OPTIONS_INIT;
	const char *ids[] = {"a", "b"};
	struct tinkex_future future = TINKEX_FUTURE_INIT;
	struct seen seen = {0};
	tinkex_result *result;
	size_t size;

	options.where = "{\"k\":\"v\"}";
	options.limit = 2;
	options.after = "c1";
	options.ack = 1;
	ck_assert_int_eq(tinkex_collect_async(client, ids, 2, &options, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client,
		    "\"id\":2,\"method\":\"collect\",\"params\":{\"request_ids\":[\"a\",\"b\"],\"where\":{"
		    "\"k\":\"v\"},"
		    "\"after\":\"c1\",\"limit\":2,\"ack\":true}");
	fake_send(&fake, client,
		  "{\"id\":2,\"result\":{\"results\":[{\"request_id\":\"a\",\"endpoint\":\"e\",\"ok\":null,"
		  "\"state\":\"polling\"},{\"request_id\":\"b\",\"endpoint\":\"e\",\"ok\":true,"
		  "\"content_type\":\"application/json\",\"result\":{ \"z\":1.50, "
		  "\"a\":NaN},\"ended_at\":\"x\"}],"
		  "\"next\":\"c2\"}}");
	fake_run_until(client, &seen.done);
	ck_assert_str_eq(tinkex_reply_next(seen.reply), "c2");
	result = tinkex_reply_result(seen.reply, 0);
	ck_assert_int_eq(tinkex_result_ok(result), -1);
	ck_assert_str_eq(tinkex_result_state(result), "polling");
	ck_assert_ptr_null(tinkex_result_data(result, &size));
	result = tinkex_result_ref(tinkex_reply_result(seen.reply, 1));
	ck_assert_ptr_null(tinkex_reply_result(seen.reply, 2));
	ck_assert_int_eq(tinkex_reply_future(seen.reply, 1, &future), 0);
	ck_assert_str_eq(future.request_id, "b");
	ck_assert_int_eq(future.ok, 1);
	/* A result lives on without its reply and its client. */
	tinkex_reply_unref(seen.reply);
	client = tinkex_client_free(client);
	ck_assert_str_eq(tinkex_result_data(result, &size), "{ \"z\":1.50, \"a\":NaN}");
	ck_assert_uint_eq(size, 20);
	ck_assert_str_eq(tinkex_result_endpoint(result), "e");
	tinkex_result_unref(result);
}
END_TEST

START_TEST(test_ack_and_cancel)
{
	const char *ids[] = {"a", "b", "c"};
	struct tinkex_future future = TINKEX_FUTURE_INIT;
	struct seen acked = {0}, cancelled = {0};

	ck_assert_int_eq(tinkex_ack_async(client, ids, 3, NULL, remember, &acked, NULL), 0);
	ck_assert_int_eq(tinkex_cancel_async(client, ids, 1, NULL, remember, &cancelled, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client,
		    "\"id\":2,\"method\":\"ack\",\"params\":{\"request_ids\":[\"a\",\"b\",\"c\"]}");
	fake_expect(&fake, client, "\"id\":3,\"method\":\"cancel\",\"params\":{\"request_ids\":[\"a\"]}");
	fake_send(&fake, client,
		  "{\"id\":2,\"result\":{\"acked\":2,\"not_registered\":[{\"request_id\":\"c\","
		  "\"endpoint\":\"e\"}]}}");
	fake_send(&fake, client, "{\"id\":3,\"result\":{\"cancelled\":1,\"not_registered\":[]}}");
	fake_run_until(client, &cancelled.done);
	ck_assert_uint_eq(tinkex_reply_affected(acked.reply), 2);
	ck_assert_uint_eq(tinkex_reply_count(acked.reply), 1);
	ck_assert_int_eq(tinkex_reply_future(acked.reply, 0, &future), 0);
	ck_assert_str_eq(future.request_id, "c");
	ck_assert_uint_eq(tinkex_reply_affected(cancelled.reply), 1);
	ck_assert_uint_eq(tinkex_reply_count(cancelled.reply), 0);
	tinkex_reply_unref(acked.reply);
	tinkex_reply_unref(cancelled.reply);
}
END_TEST

/* A search that finds more than a thousand is repeated until nothing is left. */
START_TEST(test_ack_search)
{
	struct tinkex_select_options options = TINKEX_SELECT_OPTIONS_INIT;
	struct seen seen = {0};

	options.where = "{\"k\":1}";
	ck_assert_int_eq(tinkex_ack_async(client, NULL, 0, &options, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client, "\"id\":2,\"method\":\"ack\",\"params\":{\"where\":{\"k\":1}}");
	fake_send(&fake, client,
		  "{\"id\":2,\"result\":{\"acked\":1000,\"not_registered\":[],\"more\":true}}");
	fake_expect(&fake, client, "\"id\":3,\"method\":\"ack\",\"params\":{\"where\":{\"k\":1}}");
	fake_send(&fake, client, "{\"id\":3,\"result\":{\"acked\":7,\"not_registered\":[]}}");
	fake_run_until(client, &seen.done);
	ck_assert_uint_eq(tinkex_reply_affected(seen.reply), 1007);
	tinkex_reply_unref(seen.reply);
}
END_TEST

START_TEST(test_lists)
{
	struct tinkex_select_options options = TINKEX_SELECT_OPTIONS_INIT;
	struct tinkex_future future = TINKEX_FUTURE_INIT;
	struct seen list = {0}, endpoints = {0}, stats = {0};

	options.state = "blocked";
	options.all = 1;
	ck_assert_int_eq(tinkex_list_async(client, &options, remember, &list, NULL), 0);
	ck_assert_int_eq(tinkex_endpoints_async(client, remember, &endpoints, NULL), 0);
	ck_assert_int_eq(tinkex_stats_async(client, remember, &stats, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client,
		    "\"id\":2,\"method\":\"list\",\"params\":{\"state\":\"blocked\",\"all\":true}");
	fake_expect(&fake, client, "\"id\":3,\"method\":\"endpoints\",\"params\":{}");
	fake_expect(&fake, client, "\"id\":4,\"method\":\"stats\",\"params\":{}");
	fake_send(&fake, client,
		  "{\"id\":2,\"result\":{\"futures\":[{\"request_id\":\"a\",\"state\":\"blocked\"}],"
		  "\"next\":null}}");
	fake_send(&fake, client,
		  "{\"id\":3,\"result\":{\"endpoints\":[{\"endpoint\":\"e\",\"gate\":\"open\"}]}}");
	fake_send(&fake, client, "{\"id\":4,\"result\":{\"counters\":{\"polls\":18446744073709551616}}}");
	fake_run_until(client, &stats.done);
	ck_assert_ptr_null(tinkex_reply_next(list.reply));
	ck_assert_int_eq(tinkex_reply_future(list.reply, 0, &future), 0);
	ck_assert_str_eq(future.state, "blocked");
	ck_assert_str_eq(tinkex_reply_item_json(endpoints.reply, 0, NULL),
			 "{\"endpoint\":\"e\",\"gate\":\"open\"}");
	ck_assert_str_eq(tinkex_reply_json(stats.reply, NULL),
			 "{\"counters\":{\"polls\":18446744073709551616}}");
	tinkex_reply_unref(list.reply);
	tinkex_reply_unref(endpoints.reply);
	tinkex_reply_unref(stats.reply);
}
END_TEST

/* $TINKEX_ENDPOINT stands in where a call names none, but a list is of all. */
START_TEST(test_endpoint_variable)
{
	tinkex_client *other;
	const char *id = "a";

	setenv("TINKEX_ENDPOINT", "env", 1);
	other = fake_client(&fake, NULL);
	ck_assert_int_eq(tinkex_cancel_async(other, &id, 1, NULL, NULL, NULL, NULL), 0);
	ck_assert_int_eq(tinkex_list_async(other, NULL, NULL, NULL, NULL), 0);
	fake_hello(&fake, other, "[]");
	fake_expect(
		&fake, other,
		"\"id\":2,\"method\":\"cancel\",\"params\":{\"request_ids\":[\"a\"],\"endpoint\":\"env\"}");
	fake_expect(&fake, other, "\"id\":3,\"method\":\"list\",\"params\":{}");
	tinkex_client_free(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unit.client.calls");
	TCase *calls = fake_case(suite, "calls");

	tcase_add_checked_fixture(calls, setup, teardown);
	tcase_add_test(calls, test_half_lines);
	tcase_add_test(calls, test_out_of_order);
	tcase_add_test(calls, test_error_reply);
	tcase_add_test(calls, test_nonsense);
	tcase_add_test(calls, test_wrong_shape);
	tcase_add_test(calls, test_hello_refused);
	tcase_add_test(calls, test_hello_too_many_peers);
	tcase_add_test(calls, test_register_options);
	tcase_add_test(calls, test_register_response);
	tcase_add_test(calls, test_short_options);
	tcase_add_test(calls, test_register_many);
	tcase_add_test(calls, test_register_long_ids);
	tcase_add_test(calls, test_collect);
	tcase_add_test(calls, test_ack_and_cancel);
	tcase_add_test(calls, test_ack_search);
	tcase_add_test(calls, test_lists);
	tcase_add_test(calls, test_endpoint_variable);
	return fake_main(suite);
}
