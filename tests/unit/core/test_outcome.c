/* What answers mean: every form of a body under 2xx, and every other status. Each is fed in every way, see
 * answers.h. */
#include <stdio.h>
#include <string.h>

#include "../proto/test_run.h"
#include "answers.h"
#include "core/timers.h"
#include "must.h"
#include "proto/attributes.h"

struct row {
	const char *body, *expected;
};

static void assert_rows(unsigned status, const struct row *rows, size_t n_rows)
{
	for (size_t i = 0; i < n_rows; i++)
		assert_means(status, rows[i].body, rows[i].expected);
}

/* 2xx. */

START_TEST(results)
{
	static const struct row rows[] = {
		{"{\"status\":\"completed\",\"result\":{\"value\":42}}", "completed json {\"value\":42}"},
		{"{\"result\":[1.50,1e400,-0],\"status\":\"completed\"}", "completed json [1.50,1e400,-0]"},
		{"{\"status\":\"completed\",\"result\":null}", "completed json null"},
		{"{\"status\":\"completed\",\"result\":\"\\u00e4\\n\"}", "completed json \"\\u00e4\\n\""},
		{"{\"status\":\"completed\",\"result\":NaN}", "completed json NaN"},
		{"{\"status\":\"completed\",\"error\":null,\"result\":7,\"category\":\"user\"}",
		 "completed json 7"},
		{"{\"result\":1,\"result\":{\"a\":2},\"status\":\"x\",\"status\":\"completed\"}",
		 "completed json {\"a\":2}"},
		{"{\"st\\u0061tus\":\"c\\u006fmpleted\",\"r\\u0065sult\":5}", "completed json 5"},
		/* the whole body */
		{"{\"metrics\":{\"loss\":1}}", "completed json {\"metrics\":{\"loss\":1}}"},
		{"{}", "completed json {}"},
		{"null", "completed json null"},
		{"true", "completed json true"},
		{"0", "completed json 0"},
		{"-12.5e+3", "completed json -12.5e+3"},
		{"\"text\"", "completed json \"text\""},
		{"[]", "completed json []"},
		{"[{\"error\":\"x\"},{\"type\":\"try_again\"}]",
		 "completed json [{\"error\":\"x\"},{\"type\":\"try_again\"}]"},
		{"{\"status\":\"completed\"}", "completed json {\"status\":\"completed\"}"},
		{"{\"status\":\"COMPLETED\",\"result\":1}",
		 "completed json {\"status\":\"COMPLETED\",\"result\":1}"},
		{"{\"status\":\"completed \",\"result\":1}",
		 "completed json {\"status\":\"completed \",\"result\":1}"},
		{"{\"status\":1,\"result\":1}", "completed json {\"status\":1,\"result\":1}"},
		{"{\"type\":\"sample\",\"sequences\":[]}",
		 "completed json {\"type\":\"sample\",\"sequences\":[]}"},
		{"{\"type\":\"Try_again\"}", "completed json {\"type\":\"Try_again\"}"},
		{"{\"type\":[\"try_again\"]}", "completed json {\"type\":[\"try_again\"]}"},
		{"{\"type\":\"try_again\\u0000\"}", "completed json {\"type\":\"try_again\\u0000\"}"},
		{"{\"a\":{\"error\":\"x\",\"status\":\"failed\"}}",
		 "completed json {\"a\":{\"error\":\"x\",\"status\":\"failed\"}}"},
		{"{\"a\":\"\\ud800\",\"a\":Infinity,\"b\":-Infinity}",
		 "completed json {\"a\":\"\\ud800\",\"a\":Infinity,\"b\":-Infinity}"},
		/* one line, and no white space around */
		{" \r\n\t{\"a\":\n[1,\r\n2]\n}\n", "completed json {\"a\": [1,  2] }"},
		{"{\"status\":\"completed\",\n \"result\": \n{\n\"a\":1}\n}\n", "completed json { \"a\":1}"},
		{"\n42\n", "completed json 42"},
	};

	assert_rows(200, rows, ARRAY_LEN(rows));
	assert_means(201, "{\"a\":1}", "completed json {\"a\":1}");
	assert_means(299, "{\"a\":1}", "completed json {\"a\":1}");
}
END_TEST

START_TEST(waiting)
{
	static const struct row rows[] = {
		{"{\"status\":\"pending\"}", "pending"},
		{"{\"status\":\"pending\",\"error\":\"x\",\"result\":1}", "pending"},
		{"{\"status\":\"complete_metadata\",\"response_payload_size\":512}", "metadata 512"},
		{"{\"status\":\"complete_metadata\",\"response_payload_size\":1000000000}",
		 "metadata 1000000000"},
		{"{\"status\":\"complete_metadata\",\"error\":\"x\",\"response_payload_size\":0}",
		 "metadata 0"},
		{"{\"status\":\"complete_metadata\"}", "metadata 0"},
		{"{\"status\":\"complete_metadata\",\"response_payload_size\":-1}", "metadata 0"},
		{"{\"status\":\"complete_metadata\",\"response_payload_size\":1.5}", "metadata 0"},
		{"{\"status\":\"complete_metadata\",\"response_payload_size\":1e3}", "metadata 0"},
		{"{\"status\":\"complete_metadata\",\"response_payload_size\":\"512\"}", "metadata 0"},
		{"{\"status\":\"complete_metadata\",\"response_payload_size\":null}", "metadata 0"},
		{"{\"status\":\"complete_metadata\",\"response_payload_size\":NaN}", "metadata 0"},
		{"{\"status\":\"complete_metadata\",\"response_payload_size\":-99999999999999999999}",
		 "metadata 0"},
		{"{\"type\":\"try_again\"}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"error\":\"x\"}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"status\":\"failed\",\"queue_state\":\"active\"}",
		 "try_again active ''"},
		{"{\"queue_state\":\"paused_rate_limit\",\"retry_after_ms\":null,\"queue_state_reason\":"
		 "\"server "
		 "throttle\",\"type\":\"try_again\"}",
		 "try_again paused_rate_limit 'server throttle'"},
		{"{\"type\":\"try_again\",\"queue_state\":\"paused_capacity\",\"queue_state_reason\":null,"
		 "\"retry_after_ms\":5000}",
		 "try_again paused_capacity '' retry_after 5000"},
		{"{\"type\":\"try_again\",\"queue_state\":\" Paused_RATE_limit\\n\"}",
		 "try_again paused_rate_limit ''"},
		{"{\"type\":\"try_again\",\"queue_state\":\"\\u0041CTIVE\"}", "try_again active ''"},
		{"{\"type\":\"try_again\",\"queue_state\":\"sleeping\"}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"queue_state\":\"\"}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"queue_state\":7}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"queue_state\":null}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"queue_state_reason\":[\"x\"]}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"queue_state_reason\":\"a\\u001b[1mb\\nc\\u0000d \\ud83d\\ude00 "
		 "\\ud800\"}",
		 "try_again unknown 'a [1mb c d \xf0\x9f\x98\x80 \xef\xbf\xbd'"},
		{"{\"type\":\"try_again\",\"retry_after_ms\":0}", "try_again unknown '' retry_after 0"},
		{"{\"type\":\"try_again\",\"retry_after_ms\":-0}", "try_again unknown '' retry_after 0"},
		{"{\"type\":\"try_again\",\"retry_after_ms\":-1}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"retry_after_ms\":1.5}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"retry_after_ms\":5000.0}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"retry_after_ms\":\"5000\"}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"retry_after_ms\":true}", "try_again unknown ''"},
		{"{\"type\":\"try_again\",\"retry_after_ms\":599999}",
		 "try_again unknown '' retry_after 599999"},
		{"{\"type\":\"try_again\",\"retry_after_ms\":600001}",
		 "try_again unknown '' retry_after 600000"},
		{"{\"type\":\"try_again\",\"retry_after_ms\":9223372036854775807}",
		 "try_again unknown '' retry_after 600000"},
		{"{\"type\":\"try_again\",\"retry_after_ms\":99999999999999999999999999999999999999999999}",
		 "try_again unknown '' retry_after 600000"},
	};

	assert_rows(200, rows, ARRAY_LEN(rows));
}
END_TEST

START_TEST(failures)
{
	static const struct row rows[] = {
		{"{\"status\":\"failed\",\"error\":{\"message\":\"bad input\",\"category\":\"user\"}}",
		 "failed_user = request_failed/user -: bad input"},
		{"{\"status\":\"failed\",\"error\":{\"category\":\" USER \",\"message\":\"bad\"}}",
		 "failed_user = request_failed/user -: bad"},
		{"{\"status\":\"failed\",\"error\":{\"message\":\"flaky\",\"category\":\"server\"}}",
		 "failed = request_failed/server -: flaky"},
		{"{\"status\":\"failed\",\"error\":{\"message\":\"p\",\"category\":\"Provider\"}}",
		 "failed = request_failed/provider -: p"},
		{"{\"status\":\"failed\",\"error\":\"text\",\"category\":\"user\"}",
		 "failed_user = request_failed/user -: text"},
		{"{\"category\":\"user\",\"error\":{\"message\":\"beside\"},\"status\":\"failed\"}",
		 "failed_user = request_failed/user -: beside"},
		{"{\"status\":\"failed\",\"error\":{\"message\":\"both\",\"category\":\"server\"},"
		 "\"category\":\"user\"}",
		 "failed = request_failed/server -: both"},
		{"{\"status\":\"failed\",\"error\":{\"message\":\"odd\",\"category\":\"cosmic\"}}",
		 "failed = request_failed/unknown -: odd"},
		{"{\"status\":\"failed\",\"error\":{\"message\":\"none\"}}",
		 "failed = request_failed/unknown -: none"},
		{"{\"status\":\"failed\",\"error\":{\"message\":\"null\",\"category\":null}}",
		 "failed = request_failed/unknown -: null"},
		{"{\"status\":\"failed\"}",
		 "failed = request_failed/unknown -: the request failed, the server does not say why"},
		{"{\"status\":\"failed\",\"result\":1,\"message\":\"m\"}",
		 "failed = request_failed/unknown -: m"},
		{"{\"status\":\"failed\",\"error\":{\"code\":5}}",
		 "failed = request_failed/unknown -: {\"code\":5}"},
		{"{\"status\":\"failed\",\"error\":{\"code\":5},\"message\":\"m\"}",
		 "failed = request_failed/unknown -: m"},
		{"{\"status\":\"failed\",\"error\":[1,2]}", "failed = request_failed/unknown -: [1,2]"},
		{"{\"status\":\"failed\",\"error\":{\"message\":{\"a\":1},\"category\":\"user\"}}",
		 "failed_user = request_failed/user -: {\"message\":{\"a\":1},\"category\":\"user\"}"},
		/* a member `error` */
		{"{\"error\":\"boom\",\"category\":\"server\"}", "failed = request_failed/server -: boom"},
		{"{\"error\":\"boom\",\"category\":\"user\"}", "failed_user = request_failed/user -: boom"},
		{"{\"error\":{\"message\":\"boom\",\"category\":\"user\"},\"result\":1}",
		 "failed_user = request_failed/user -: boom"},
		{"{\"error\":null}",
		 "failed = request_failed/unknown -: the request failed, the server does not say why"},
		{"{\"error\":\"\"}",
		 "failed = request_failed/unknown -: the request failed, the server does not say why"},
		{"{\"error\":false}", "failed = request_failed/unknown -: false"},
		{"{\"status\":\"completed\",\"error\":\"x\"}", "failed = request_failed/unknown -: x"},
		{"{\"status\":\"what\",\"error\":\"x\"}", "failed = request_failed/unknown -: x"},
		{"{\"error\":\"x\",\"error\":\"y\",\"category\":\"user\",\"category\":\"server\"}",
		 "failed = request_failed/server -: y"},
		{"{\"error\":\"a\\nb\\u001b[2J\\u009bc\\u0000d\\udc00\"}",
		 "failed = request_failed/unknown -: a b [2J c d\xef\xbf\xbd"},
	};

	assert_rows(200, rows, ARRAY_LEN(rows));
}
END_TEST

START_TEST(no_answers)
{
	struct answer answer = http(200);
	struct outcome outcome;

	assert_means(200, "", "network = network/- -: the server closed the connection without an answer");
	answer.content_type = "application/x-protobuf";
	assert_means_n(&answer, false, "", 0,
		       "network = network/- -: the server closed the connection without an answer");
	outcome_classify(&answer, NULL, false, MAX_RESULT, &outcome);
	ck_assert_int_eq(outcome.kind, OUTCOME_NETWORK);
	outcome_release(&outcome);

	/* A body that was cut short is no answer, however much of it makes sense. */
	answer = (struct answer){.status = 200, .transport_error = "connection reset"};
	assert_means_n(&answer, false, "{\"status\":\"pending\"}", 20,
		       "network = network/- -: connection reset");
	answer.status = 503;
	assert_means_n(&answer, false, "", 0, "network = network/- -: connection reset");
	answer = (struct answer){.transport_error = "Could not resolve host: \x1b[31mx"};
	assert_means_n(&answer, false, "", 0, "network = network/- -: Could not resolve host:  [31mx");
	answer = (struct answer){0};
	assert_means_n(&answer, false, "", 0,
		       "network = network/- -: the exchange with the server broke off");
	answer = (struct answer){.transport_ok = true};
	assert_means_n(&answer, false, "", 0,
		       "network = network/- -: the exchange with the server broke off");

	answer = (struct answer){.timed_out = true, .transport_error = "timed out"};
	assert_means_n(&answer, false, "", 0, "no_answer");
}
END_TEST

START_TEST(too_large)
{
	struct answer answer = http(200);

	assert_means(
		200, "{\"status\":\"complete_metadata\",\"response_payload_size\":1000000001}",
		"too_large = validation/server 200: the result is larger than the 1000000000 bytes that are "
		"allowed");
	assert_means(
		200,
		"{\"status\":\"complete_metadata\",\"response_payload_size\":999999999999999999999999999}",
		"too_large = validation/server 200: the result is larger than the 1000000000 bytes that are "
		"allowed");
	answer.transport_ok = false;
	answer.too_large = true;
	assert_means_n(
		&answer, false, "{\"a\":", 5,
		"too_large = validation/server 200: the result is larger than the 1000000000 bytes that are "
		"allowed");
	/* The status says more than the size of its page. */
	answer.status = 503;
	assert_means_n(&answer, false, "<html>", 6,
		       "server_error = api_status/server 503: the server failed (HTTP 503)");
}
END_TEST

/* Statuses. */

static enum outcome_kind kind_of_status(unsigned status)
{
	switch (status) {
	case 400:
		return OUTCOME_BAD_REQUEST;
	case 401:
		return OUTCOME_UNAUTHORISED;
	case 402:
		return OUTCOME_PAYMENT_REQUIRED;
	case 403:
		return OUTCOME_FORBIDDEN;
	case 404:
		return OUTCOME_NOT_FOUND;
	case 408:
		return OUTCOME_REQUEST_TIMEOUT;
	case 410:
		return OUTCOME_GONE;
	case 429:
		return OUTCOME_RATE_LIMITED;
	default:
		return status >= 500 && status < 600   ? OUTCOME_SERVER_ERROR
		       : status >= 200 && status < 300 ? OUTCOME_COMPLETED
						       : OUTCOME_OTHER_STATUS;
	}
}

START_TEST(every_status_with_a_body_that_would_be_a_result)
{
	static const char body[] = "{\"status\":\"completed\",\"result\":1}";

	for (unsigned status = 100; status < 1000; status++) {
		struct answer answer = http(status);

		for (int skyrl = 0; skyrl < 2; skyrl++) {
			struct outcome outcome = classify(&answer, skyrl, body, sizeof(body) - 1, 5, 7, NULL);
			bool good = outcome.kind == OUTCOME_COMPLETED ||
				    outcome.kind == OUTCOME_REQUEST_TIMEOUT;

			must(outcome.kind == kind_of_status(status));
			must(outcome.status == status);
			must(!outcome.error == good);
			must(good || outcome.error->type == ERROR_API_STATUS);
			must(good || outcome.error->status == status);
			outcome_release(&outcome);
		}
	}
}
END_TEST

START_TEST(status_errors)
{
	static const struct {
		unsigned status;
		const char *body, *expected;
	} rows[] = {
		{400, "",
		 "bad_request_empty = api_status/user 400: the server refused the request (HTTP 400)"},
		{400, "x", "bad_request = api_status/user 400: the server refused the request (HTTP 400)"},
		{400, "{\"error\":\"no\",\"category\":\"server\"}",
		 "bad_request = api_status/server 400: no"},
		{400, "{\"error\":{\"message\":\"no\",\"category\":\"Provider\"}}",
		 "bad_request = api_status/provider 400: no"},
		{400, "{\"message\":\"no\"}", "bad_request = api_status/user 400: no"},
		{400, "[\"no\"]",
		 "bad_request = api_status/user 400: the server refused the request (HTTP 400)"},
		{400, "{\"detail\":\"boom\"}", "bad_request_detail = api_status/user 400: boom"},
		{400, "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"m\"}]}",
		 "bad_request_detail = api_status/user 400: [{\"loc\":[\"body\"],\"msg\":\"m\"}]"},
		{400, "{\"detail\":{\"message\":\"in\",\"category\":\"server\"}}",
		 "bad_request_detail = api_status/server 400: in"},
		{400, "{\"detail\":null}",
		 "bad_request_detail = api_status/user 400: the server refused the request (HTTP 400)"},
		{401, "",
		 "unauthorised = api_status/user 401: the server does not accept the API key (HTTP 401)"},
		{401, "{\"error\":\"who?\"}", "unauthorised = api_status/user 401: who?"},
		{402, "", "payment_required = api_status/user 402: the server asks for payment (HTTP 402)"},
		{403, "{\"detail\":\"no\"}", "forbidden = api_status/user 403: no"},
		{404, "{\"detail\":\"Future not found\"}",
		 "not_found = api_status/user 404: Future not found"},
		{408, "", "request_timeout"},
		{408, "nope", "request_timeout"},
		{408, "[]", "request_timeout"},
		{408, "{\"error\":\"x\"}", "request_timeout"},
		{408, "{\"queue_state\":\"paused_capacity\"}", "request_timeout paused_capacity ''"},
		{408, "{\"queue_state\":\" ACTIVE\",\"queue_state_reason\":\"r\"}",
		 "request_timeout active 'r'"},
		{408, "{\"queue_state\":\"odd\"}", "request_timeout unknown ''"},
		{408, "{\"queue_state\":null}", "request_timeout"},
		{408, "{\"queue_state\":\"active\"", "request_timeout"},
		{408, "{\"queue_state\":\"active\",\"retry_after_ms\":70}",
		 "request_timeout active '' retry_after 70"},
		{409, "", "other_status = api_status/user 409: the server refused the request (HTTP 409)"},
		{410, "{\"message\":\"promise expired\",\"category\":\"server\"}",
		 "gone = api_status/server 410: promise expired"},
		{410, "{\"error\":{\"message\":\"promise expired\",\"category\":\"user\"}}",
		 "gone = api_status/server 410: promise expired"},
		{410, "",
		 "gone = api_status/server 410: the request has expired: submit a new one (HTTP 410)"},
		{422, "{\"detail\":\"d\"}", "other_status = api_status/user 422: d"},
		{429, "",
		 "rate_limited = api_status/server 429: the server asks for fewer requests (HTTP 429)"},
		{500, "{\"detail\":\"Unknown error\"}",
		 "server_error_unknown = api_status/server 500: Unknown error"},
		{500, "{\"detail\":\"unknown error\"}",
		 "server_error = api_status/server 500: unknown error"},
		{501, "{\"detail\":\"Unknown error\"}",
		 "server_error = api_status/server 501: Unknown error"},
		{500, "Unknown error", "server_error = api_status/server 500: the server failed (HTTP 500)"},
		{503, "<html>\n</html>",
		 "server_error = api_status/server 503: the server failed (HTTP 503)"},
		{503, "{\"type\":\"try_again\",\"message\":\"m\"}",
		 "server_error = api_status/server 503: m"},
		{302, "",
		 "other_status = api_status/unknown 302: the server redirects, which is not followed (HTTP "
		 "302)"},
		{101, "",
		 "other_status = api_status/unknown 101: the server answered with an unknown status (HTTP "
		 "101)"},
		{999, "{\"error\":\"x\",\"category\":\"user\"}", "other_status = api_status/user 999: x"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_means(rows[i].status, rows[i].body, rows[i].expected);
}
END_TEST

START_TEST(skyrl_tells_of_failed_futures_by_status)
{
	static const struct {
		unsigned status;
		const char *body, *expected;
	} rows[] = {
		{400, "{\"detail\":\"boom\"}", "bad_request_detail = request_failed/unknown 400: boom"},
		{400, "{\"detail\":[1]}", "bad_request_detail = request_failed/unknown 400: [1]"},
		{500, "{\"detail\":\"Unknown error\"}",
		 "server_error_unknown = request_failed/unknown 500: Unknown error"},
		{400, "{\"error\":\"x\"}", "bad_request = api_status/user 400: x"},
		{400, "",
		 "bad_request_empty = api_status/user 400: the server refused the request (HTTP 400)"},
		{500, "{\"detail\":\"other\"}", "server_error = api_status/server 500: other"},
		{404, "{\"detail\":\"Future not found\"}",
		 "not_found = api_status/user 404: Future not found"},
		{200, "{\"detail\":\"boom\"}", "completed json {\"detail\":\"boom\"}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct answer answer = http(rows[i].status);

		assert_means_n(&answer, true, rows[i].body, strlen(rows[i].body), rows[i].expected);
	}
}
END_TEST

START_TEST(rate_limits_say_for_how_long)
{
	static const struct {
		const char *retry_after, *retry_after_ms, *expected;
	} rows[] = {
		{NULL, NULL, "rate_limited"},
		{"2", NULL, "rate_limited retry_after 2000"},
		{"2", "1500", "rate_limited retry_after 1500"},
		{"2", "x", "rate_limited retry_after 2000"},
		{"0", NULL, "rate_limited retry_after 0"},
		{"soon", NULL, "rate_limited"},
		{"Sun, 06 Nov 1994 08:49:40 GMT", NULL, "rate_limited retry_after 3000"},
		{"Sun, 06 Nov 1994 08:49:30 GMT", NULL, "rate_limited"},
		{"3600", NULL, "rate_limited retry_after 600000"},
		{"Sun, 06 Nov 2094 08:49:40 GMT", NULL, "rate_limited retry_after 600000"},
		{"99999999999999999999", NULL, "rate_limited retry_after 600000"},
		{NULL, "99999999999999999999", "rate_limited retry_after 600000"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct answer answer = http(429);
		char expected[128];

		answer.retry_after = rows[i].retry_after;
		answer.retry_after_ms = rows[i].retry_after_ms;
		snprintf(expected, sizeof(expected), "%s = api_status/server 429: slow", rows[i].expected);
		/* The body's own wish is for try_again only. */
		assert_means_n(&answer, false, "{\"message\":\"slow\",\"retry_after_ms\":77}", 38, expected);
	}
	/* The fields count for nothing but 429. */
	struct answer answer = http(503);

	answer.retry_after = "7";
	answer.retry_after_ms = "7";
	assert_means_n(&answer, false, "", 0,
		       "server_error = api_status/server 503: the server failed (HTTP 503)");
	answer.status = 200;
	assert_means_n(&answer, false, "{\"type\":\"try_again\"}", 20, "try_again unknown ''");
}
END_TEST

START_TEST(queue_states_have_names)
{
	static const char *const names[] = {NULL, "active", "paused_rate_limit", "paused_capacity",
					    "unknown"};

	ck_assert_ptr_null(queue_state_name(QUEUE_NONE));
	for (size_t i = 1; i < ARRAY_LEN(names); i++) {
		ck_assert_str_eq(queue_state_name((enum queue_state)i), names[i]);
		ck_assert_uint_eq(queue_state_from_text(names[i]), i);
	}
	ck_assert_int_eq(queue_state_from_text("\tPAUSED_Capacity "), QUEUE_PAUSED_CAPACITY);
	ck_assert_int_eq(queue_state_from_text("paused"), QUEUE_UNKNOWN);
	ck_assert_int_eq(queue_state_from_text(""), QUEUE_UNKNOWN);
	for (int kind = 0; kind < OUTCOME_COUNT; kind++)
		ck_assert_uint_gt(strlen(outcome_kind_name((enum outcome_kind)kind)), 3);
	ck_assert_str_eq(outcome_kind_name(OUTCOME_NO_ANSWER), "no_answer");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		results,
		waiting,
		failures,
		no_answers,
		too_large,
		every_status_with_a_body_that_would_be_a_result,
		status_errors,
		skyrl_tells_of_failed_futures_by_status,
		rate_limits_say_for_how_long,
		queue_states_have_names,
	};

	return RUN_SUITE("outcome", tests);
}
