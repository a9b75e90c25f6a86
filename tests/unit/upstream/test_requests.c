/* What goes out for a poll, and what comes back when all is well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* One poll from start to end. */
static void poll_once(const struct poll_request *request)
{
	unsigned done = world->n_done;

	ck_assert(poller_start(world->poller, request));
	world_until_done(done + 1);
}

static void expect_head(const char *behind_host)
{
	char expected[4096];

	snprintf(expected, sizeof(expected),
		 "POST /services/test/api/v1/retrieve_future HTTP/1.1\r\n"
		 "Host: 127.0.0.1:%d\r\n"
		 "User-Agent: tinkexd/" TINKEX_VERSION "\r\n"
		 "%s\r\n",
		 world->server->port, behind_host);
	ck_assert_str_eq(world->head, expected);
}

START_TEST(first_poll_is_exact)
{
	struct poll_request request = world_request(1);

	request.request_type = "ForwardBackward";
	request.create_roundtrip_ms = 1234;
	poll_once(&request);
	expect_head("X-Tinker-Request-Iteration: 0\r\n"
		    "Accept: application/json\r\n"
		    "X-Tinker-Request-Type: ForwardBackward\r\n"
		    "X-Tinker-Create-Promise-Roundtrip-Time: 1.234\r\n"
		    "X-API-Key: " KEY "\r\n"
		    "Content-Type: application/json\r\n"
		    "Content-Length: 52\r\n");
	ck_assert_str_eq(world->body, "{\"request_id\": \"req-1\", \"allow_metadata_only\": true}");
	world_expect_result(1, "42");
}
END_TEST

START_TEST(later_poll_is_exact)
{
	struct poll_request request = world_request(1);

	request.iteration = 17;
	request.create_roundtrip_ms = 1234; /* only the first poll tells it */
	request.accept_protobuf = true;
	request.allow_metadata_only = false;
	poll_once(&request);
	expect_head("X-Tinker-Request-Iteration: 17\r\n"
		    "Accept: application/x-protobuf\r\n"
		    "X-API-Key: " KEY "\r\n"
		    "Content-Type: application/json\r\n"
		    "Content-Length: 53\r\n");
	ck_assert_str_eq(world->body, "{\"request_id\": \"req-1\", \"allow_metadata_only\": false}");
}
END_TEST

START_TEST(request_id_is_escaped)
{
	struct poll_request request = world_request(1);

	request.request_id = "a\"b\\c/\xc3\xa9";
	poll_once(&request);
	ck_assert_str_eq(world->body,
			 "{\"request_id\": \"a\\\"b\\\\c/\xc3\xa9\", \"allow_metadata_only\": true}");
}
END_TEST

START_TEST(extra_headers_go_with_every_poll)
{
	char id[] = "CF-Access-Client-Id: abc", empty[] = "X-Empty:";
	char *extra[] = {id, empty, NULL};

	world->config.extra_headers = extra;
	world_attach();
	world_start(1);
	world_until_done(1);
	ck_assert_ptr_nonnull(strstr(world->head, "\r\nCF-Access-Client-Id: abc\r\n"));
	ck_assert_ptr_nonnull(strstr(world->head, "\r\nX-Empty:\r\n"));
	ck_assert_ptr_null(strcasestr(world->head, "\r\nExpect:"));
	ck_assert_ptr_null(strcasestr(world->head, "\r\nAccept-Encoding:"));
	ck_assert_ptr_null(strcasestr(world->head, "\r\nAuthorization:"));
}
END_TEST

START_TEST(connection_is_kept)
{
	for (unsigned i = 1; i <= 5; i++) {
		world_start(i);
		world_until_done(i);
	}
	ck_assert_uint_eq(world->server->accepted, 1);
	ck_assert_uint_eq(world->metrics.connections_opened, 1);
	ck_assert_uint_eq(world->metrics.poll_repeats, 0);
}
END_TEST

START_TEST(fresh_connection_is_fresh)
{
	struct poll_request request = world_request(2);

	world_start(1);
	world_until_done(1);
	request.fresh_connection = true;
	poll_once(&request);
	world_start(3);
	world_until_done(3);
	ck_assert_uint_eq(world->server->accepted, 2);
}
END_TEST

/* Results. */

static const char *result_body;
static const char *result_type;

static void handle_result(void *context, const struct request_seen *request)
{
	(void)context;
	connection_answer(request->connection, 200, result_type, result_body, strlen(result_body));
}

static void expect_result(const char *type, const char *body, const char *result)
{
	static uint64_t future;

	world->handler = handle_result;
	result_type = type;
	result_body = body;
	world_start(++future);
	world_until_done(world->n_done + 1);
	world_expect_result(future, result);
}

START_TEST(result_is_cut_out)
{
	expect_result("application/json", "{\"status\":\"completed\",\"result\":{\"value\":42},\"x\":1}",
		      "{\"value\":42}");
	expect_result("application/json", " {\"metrics\":{\"loss\":1.50}} ", "{\"metrics\":{\"loss\":1.50}}");
	expect_result("application/json", "null", "null");
	expect_result(NULL, "[1,2]", "[1,2]");
	ck_assert_int_eq(world->records[0].outcome.content, CONTENT_JSON);
}
END_TEST

START_TEST(line_breaks_become_spaces)
{
	expect_result("application/json", "{\r\n\"a\":\n[1,\n2]}", "{  \"a\": [1, 2]}");
}
END_TEST

START_TEST(protobuf_is_untouched)
{
	expect_result("application/x-protobuf; v=1", "\n\x05hello\n\r\n ", "\n\x05hello\n\r\n ");
	ck_assert_int_eq(world->records[0].outcome.content, CONTENT_PROTOBUF);
}
END_TEST

static void handle_chunked(void *context, const struct request_seen *request)
{
	(void)context;
	connection_puts(
		request->connection,
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
		"9\r\n{\"status\"\r\n1\r\n:\r\n18\r\n\"completed\",\"result\":[1]\r\n1\r\n}\r\n0\r\n\r\n");
}

START_TEST(chunked_body)
{
	world->handler = handle_chunked;
	world_start(1);
	world_until_done(1);
	world_expect_result(1, "[1]");
}
END_TEST

static void handle_interim(void *context, const struct request_seen *request)
{
	(void)context;
	connection_puts(request->connection,
			"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
	handle_ok(context, request);
}

START_TEST(interim_answers_are_none)
{
	world->handler = handle_interim;
	world_start(1);
	world_until_done(1);
	world_expect_result(1, "42");
}
END_TEST

#define LARGE (50 * 1024 * 1024)
static char *large;

/* A JSON string of printable bytes that depend on their place. */
static void make_large(void)
{
	large = malloc(LARGE + 1);
	ck_assert_ptr_nonnull(large);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)('#' + (i * 7 + i / 4099) % 50); /* no backslash */
	large[0] = large[LARGE - 1] = '"';
	large[LARGE] = '\0';
}

static void handle_large(void *context, const struct request_seen *request)
{
	(void)context;
	connection_puts(
		request->connection,
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 52428836\r\n\r\n"
		"{\"status\":\"completed\",\"result\":    ");
	connection_send(request->connection, large, LARGE);
	connection_puts(request->connection, "}");
}

static void handle_large_close(void *context, const struct request_seen *request)
{
	(void)context;
	connection_puts(request->connection, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	connection_send(request->connection, large, LARGE);
	connection_close(request->connection);
}

static void expect_large(server_handler *handler)
{
	char *data;
	size_t size;

	make_large();
	world->config.max_body_time = PATIENCE_S * USEC_PER_SEC;
	world_attach();
	world->handler = handler;
	world_start(1);
	world_until_done(1);
	world_expect_kind(1, OUTCOME_COMPLETED);
	ck_assert(world_record(1)->report.result->in_file);
	data = world_result(1, &size);
	ck_assert_uint_eq(size, LARGE);
	ck_assert(memcmp(data, large, LARGE) == 0);
	free(data);
	ck_assert_uint_ge(world->metrics.bytes_received, LARGE);
	free(large);
}

START_TEST(large_result_as_member)
{
	expect_large(handle_large);
}
END_TEST

START_TEST(large_result_of_unknown_size)
{
	expect_large(handle_large_close);
}
END_TEST

/* What is told when. */

START_TEST(sent_and_held_are_told)
{
	int64_t begun;

	world->handler = handle_hold;
	world_start(7);
	ck_assert_uint_eq(world->n_sent, 0);
	world_until_held(1);
	ck_assert_uint_eq(world->n_sent, 1);
	ck_assert_uint_eq(world->last_sent, 7);
	begun = world_now_ms();
	world_run_for(80);
	connection_answer_json(world->held[0], 200, "{\"status\":\"pending\"}");
	world_until_done(1);
	world_expect_kind(7, OUTCOME_PENDING);
	ck_assert_int_ge(world_record(7)->report.held, 80 * USEC_PER_MSEC);
	ck_assert_int_le(world_record(7)->report.held, (world_now_ms() - begun + 500) * USEC_PER_MSEC);
	ck_assert_int_gt(world_record(7)->report.wall, INT64_C(1600000000) * USEC_PER_SEC);
	ck_assert_ptr_null(world_record(7)->report.result);
	ck_assert_uint_eq(world->n_sent, 1);
}
END_TEST

static void handle_retry_after(void *context, const struct request_seen *request)
{
	(void)context;
	connection_puts(request->connection,
			"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
}

START_TEST(status_and_retry_after_are_told)
{
	world->handler = handle_retry_after;
	world_start(1);
	world_until_done(1);
	world_expect_kind(1, OUTCOME_RATE_LIMITED);
	ck_assert_uint_eq(world_record(1)->outcome.status, 429);
	ck_assert_int_eq(world_record(1)->outcome.retry_after, 7 * USEC_PER_SEC);
}
END_TEST

static void handle_redirect(void *context, const struct request_seen *request)
{
	char answer[256];

	(void)context;
	snprintf(answer, sizeof(answer),
		 "HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:%d/x\r\nContent-Length: 0\r\n\r\n",
		 world->server->port);
	connection_puts(request->connection, answer);
}

START_TEST(redirects_are_not_followed)
{
	world->handler = handle_redirect;
	world_start(1);
	world_until_done(1);
	world_expect_kind(1, OUTCOME_OTHER_STATUS);
	ck_assert_uint_eq(world->server->requests, 1);
}
END_TEST

/* Proxies. */

START_TEST(environment_proxy_is_not_for_plain_http)
{
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	world_start(1);
	world_until_done(1);
	world_expect_result(1, "42");
}
END_TEST

START_TEST(configured_proxy_is_used)
{
	char base_url[] = "http://tinker.invalid/x", proxy[64];

	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", world->server->port);
	setenv("no_proxy", "tinker.invalid", 1);
	world->config.base_url = base_url;
	world->config.proxy = proxy;
	world->config.allow_plain_http = true;
	world_attach();
	world_start(1);
	world_until_done(1);
	world_expect_result(1, "42");
	ck_assert_ptr_eq(
		strstr(world->head, "POST http://tinker.invalid/x/api/v1/retrieve_future HTTP/1.1\r\n"),
		world->head);
}
END_TEST

START_TEST(plain_http_through_a_proxy_must_be_allowed)
{
	char proxy[] = "http://127.0.0.1:1", *message = NULL;

	world->config.proxy = proxy;
	ck_assert_int_lt(world_try_attach(world->endpoint, &world->config, &message), 0);
	ck_assert_ptr_nonnull(strstr(message, "allow_plain_http"));
	free(message);
	world_start(1); /* the old upstream is still there */
	world_until_done(1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		first_poll_is_exact,
		later_poll_is_exact,
		request_id_is_escaped,
		extra_headers_go_with_every_poll,
		connection_is_kept,
		fresh_connection_is_fresh,
		result_is_cut_out,
		line_breaks_become_spaces,
		protobuf_is_untouched,
		chunked_body,
		interim_answers_are_none,
		large_result_as_member,
		large_result_of_unknown_size,
		sent_and_held_are_told,
		status_and_retry_after_are_told,
		redirects_are_not_followed,
		environment_proxy_is_not_for_plain_http,
		configured_proxy_is_used,
		plain_http_through_a_proxy_must_be_allowed,
	};
	struct world_tests all[] = {{tests, ARRAY_LEN(tests), 1}};

	return world_main("upstream.requests", all, ARRAY_LEN(all));
}
