/* Everything that can go wrong between us and a server, and what it is taken for. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "world.h"

#define TIMEOUT (300 * USEC_PER_MSEC)

static const char *message_of(uint64_t future)
{
	const struct error *error = world_record(future)->outcome.error;

	ck_assert_ptr_nonnull(error);
	return error->message;
}

/* One poll of a future of its own; its number. */
static uint64_t poll_with(server_handler *handler, int64_t http_timeout)
{
	static uint64_t future;
	struct poll_request request = world_request(++future);

	world->handler = handler;
	request.http_timeout = http_timeout;
	ck_assert(poller_start(world->poller, &request));
	world_until_done(world->n_done + 1);
	if (world_record(future)->outcome.kind != OUTCOME_COMPLETED)
		ck_assert_ptr_null(world_record(future)->report.result);
	return future;
}

static void expect_network(server_handler *handler)
{
	uint64_t future = poll_with(handler, 20 * USEC_PER_SEC);

	world_expect_kind(future, OUTCOME_NETWORK);
	ck_assert_str_ne(message_of(future), "");
	ck_assert_uint_eq(world->server->requests, 1);
	ck_assert_uint_eq(world->metrics.poll_repeats, 0);
}

/* Answers that are none. */

static const char *answer_text;

static void handle_text_and_close(void *context, const struct request_seen *request)
{
	(void)context;
	connection_puts(request->connection, answer_text);
	connection_close(request->connection);
}

static void handle_close(void *context, const struct request_seen *request)
{
	(void)context;
	connection_close(request->connection);
}

static void handle_reset(void *context, const struct request_seen *request)
{
	(void)context;
	connection_reset(request->connection);
}

START_TEST(reset_before_an_answer)
{
	expect_network(handle_reset);
}
END_TEST

START_TEST(closed_before_an_answer)
{
	expect_network(handle_close);
}
END_TEST

START_TEST(cut_or_wrong)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
		"HTTP/1.1 200 OK\r\n",
		"HTTP/1.1 200",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"a\"",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 204 Nothing\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"{\"status\":\"completed\",\"result\":1}",
		"SSH-2.0-OpenSSH_9.2\r\n",
		"\x16\x03\x01\x02",
		"HTTP/9.9 200 OK\r\n\r\n{}",
	};

	answer_text = answers[_i];
	ck_assert_uint_lt((size_t)_i, ARRAY_LEN(answers));
	expect_network(handle_text_and_close);
}
END_TEST
#define N_CUT_OR_WRONG 14

static void handle_reset_in_body(void *context, const struct request_seen *request)
{
	handle_hold(context, request);
	connection_puts(request->connection, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":");
}

static bool answer_begun(struct world *w)
{
	return w->metrics.bytes_received > 0;
}

START_TEST(reset_within_the_body)
{
	world->handler = handle_reset_in_body;
	world_start(1);
	world_until(answer_begun);
	connection_reset(world->held[0]);
	world_until_done(1);
	world_expect_kind(1, OUTCOME_NETWORK);
}
END_TEST

static void handle_endless_header(void *context, const struct request_seen *request)
{
	char line[1024];

	(void)context;
	memset(line, 'x', sizeof(line));
	memcpy(line, "X-H: ", 5);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	connection_puts(request->connection, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 2048; i++)
		connection_send(request->connection, line, sizeof(line));
}

START_TEST(header_without_end)
{
	expect_network(handle_endless_header);
	ck_assert_uint_lt(world->metrics.bytes_received, 1024 * 1024);
}
END_TEST

START_TEST(not_json_is_validation)
{
	uint64_t future;

	answer_text = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope";
	future = poll_with(handle_text_and_close, TIMEOUT);
	world_expect_kind(future, OUTCOME_VALIDATION);
}
END_TEST

/* Times. */

START_TEST(held_past_the_timeout_is_no_answer)
{
	int64_t begun = world_now_ms();
	uint64_t future = poll_with(handle_hold, TIMEOUT);

	world_expect_kind(future, OUTCOME_NO_ANSWER);
	ck_assert_int_ge(world_now_ms() - begun, 300);
	ck_assert_int_ge(world_record(future)->report.held, TIMEOUT);
	ck_assert_ptr_null(world_record(future)->outcome.error);
	ck_assert_uint_eq(world->n_sent, 1);
	/* Its connection is no good any more. */
	world_expect_kind(poll_with(handle_ok, 20 * USEC_PER_SEC), OUTCOME_COMPLETED);
	ck_assert_uint_eq(world->server->accepted, 2);
	ck_assert_uint_eq(world->metrics.poll_repeats, 0);
}
END_TEST

static void handle_begin(void *context, const struct request_seen *request)
{
	handle_hold(context, request);
	connection_puts(request->connection, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
}

START_TEST(silence_within_the_answer_is_a_network_error)
{
	int64_t begun = world_now_ms();
	uint64_t future = poll_with(handle_begin, TIMEOUT);

	world_expect_kind(future, OUTCOME_NETWORK);
	ck_assert_int_ge(world_now_ms() - begun, 300);
	ck_assert_ptr_nonnull(strstr(message_of(future), "300 ms"));
}
END_TEST

START_TEST(slow_body_is_waited_for)
{
	struct poll_request request = world_request(1);
	int64_t begun = world_now_ms();

	world->handler = handle_begin;
	request.http_timeout = 2 * USEC_PER_SEC;
	ck_assert(poller_start(world->poller, &request));
	world_until_held(1);
	for (int i = 0; i < 12; i++) {
		world_run_for(200);
		ck_assert_uint_eq(world->n_done, 0);
		connection_send(world->held[0], &"{\"ab\": 1234}"[i], 1);
	}
	world_until_done(1);
	ck_assert_int_gt(world_now_ms() - begun, 2000);
	world_expect_result(1, "{\"ab\": 1234}");
}
END_TEST

START_TEST(body_time_has_an_end)
{
	world->config.max_body_time = TIMEOUT;
	world_attach();
	world->handler = handle_begin;
	world_start(1);
	world_until_held(1);
	for (int i = 0; i < 12 && !world->n_done; i++) {
		connection_puts(world->held[0], "1");
		world_run_for(100);
	}
	world_expect_kind(1, OUTCOME_NETWORK);
}
END_TEST

/* A port that takes no more connections: its queue is full, and what else knocks is not answered. */
static int full_port(int *ret_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 0), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	for (int i = 0; i < 4; i++) {
		int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

		ck_assert(connect(client, (struct sockaddr *)&address, sizeof(address)) == 0 ||
			  errno == EINPROGRESS);
	}
	*ret_port = ntohs(address.sin_port);
	return fd;
}

START_TEST(connect_timeout)
{
	int64_t begun;
	int port;

	full_port(&port);
	snprintf(world->base_url, sizeof(world->base_url), "http://127.0.0.1:%d", port);
	world->config.connect_timeout = TIMEOUT;
	world_attach();
	begun = world_now_ms();
	world_expect_kind(poll_with(handle_ok, 20 * USEC_PER_SEC), OUTCOME_NETWORK);
	ck_assert_int_ge(world_now_ms() - begun, 290);
	ck_assert_uint_eq(world->n_sent, 0);
	ck_assert_int_eq(world->records[0].report.held, 0);
}
END_TEST

START_TEST(connection_refused)
{
	server_stop_listening(world->server);
	world_expect_kind(poll_with(handle_ok, 20 * USEC_PER_SEC), OUTCOME_NETWORK);
	ck_assert_uint_eq(world->n_sent, 0);
	ck_assert_uint_eq(world->metrics.poll_repeats, 0);
}
END_TEST

START_TEST(plain_http_stays_on_this_machine)
{
	uint64_t future;

	/* An address for documentation: nobody is there, and nothing is sent to it. */
	snprintf(world->base_url, sizeof(world->base_url), "http://192.0.2.1:%d", world->server->port);
	world_attach();
	future = poll_with(handle_ok, 20 * USEC_PER_SEC);
	world_expect_kind(future, OUTCOME_NETWORK);
	ck_assert_ptr_nonnull(strstr(message_of(future), "192.0.2.1"));
	ck_assert_ptr_nonnull(strstr(message_of(future), "allow_plain_http"));
	ck_assert_uint_eq(world->metrics.connections_opened, 0);
}
END_TEST

/* Connections that were kept and have died. */

static bool (*dies)(const struct request_seen *request);
static bool by_reset;
static unsigned iterations_seen[16];

static void handle_mortal(void *context, const struct request_seen *request)
{
	const char *iteration = strstr(request->head, "X-Tinker-Request-Iteration: ");

	ck_assert_ptr_nonnull(iteration);
	iterations_seen[request->number % 16] = (unsigned)atoi(iteration +
							       strlen("X-Tinker-Request-Iteration: "));
	if (!dies(request))
		handle_ok(context, request);
	else if (by_reset)
		connection_reset(request->connection);
	else
		connection_close(request->connection);
}

static bool dies_when_kept(const struct request_seen *request)
{
	return request->connection->requests > 1;
}

static bool dies_after_the_first(const struct request_seen *request)
{
	return request->number > 1;
}

START_TEST(dead_kept_connection_is_repeated_once)
{
	struct poll_request request = world_request(2);

	by_reset = _i;
	dies = dies_when_kept;
	world->handler = handle_mortal;
	world_start(1);
	world_until_done(1);
	request.iteration = 5;
	ck_assert(poller_start(world->poller, &request));
	world_until_done(2);
	world_expect_result(2, "42");
	ck_assert_uint_eq(world->server->requests, 3);
	ck_assert_uint_eq(world->server->accepted, 2);
	ck_assert_uint_eq(world->metrics.poll_repeats, 1);
	ck_assert_uint_eq(iterations_seen[2], 5);
	ck_assert_uint_eq(iterations_seen[3], 5);
	ck_assert_uint_eq(world->n_sent, 2);
}
END_TEST

START_TEST(dead_twice_is_a_network_error)
{
	by_reset = _i;
	dies = dies_after_the_first;
	world->handler = handle_mortal;
	world_start(1);
	world_until_done(1);
	world_start(2);
	world_until_done(2);
	world_expect_kind(2, OUTCOME_NETWORK);
	ck_assert_uint_eq(world->server->requests, 3);
	ck_assert_uint_eq(world->metrics.poll_repeats, 1);
}
END_TEST

START_TEST(one_repeat_however_many_are_dead)
{
	world->handler = handle_hold;
	for (uint64_t i = 1; i <= 4; i++)
		world_start(i);
	world_until_held(4);
	for (int i = 0; i < 4; i++)
		connection_answer_json(world->held[i], 200, "1");
	world_until_done(4);
	ck_assert_uint_eq(world->server->open, 4);
	by_reset = _i;
	dies = dies_when_kept;
	world->handler = handle_mortal;
	world_start(5);
	world_until_done(5);
	world_expect_result(5, "42");
	ck_assert_uint_eq(world->server->requests, 4 + 2);
	ck_assert_uint_eq(world->metrics.poll_repeats, 1);
}
END_TEST

/* Closed while it was idle: curl notices before it sends, and nothing is repeated. */
START_TEST(closed_idle_connection_is_no_repeat)
{
	world_start(1);
	world_until_done(1);
	connection_close(world->server->connections);
	world_start(2);
	world_until_done(2);
	world_expect_result(2, "42");
	ck_assert_uint_eq(world->server->requests, 2);
	ck_assert_uint_eq(world->metrics.poll_repeats, 0);
}
END_TEST

/* Sizes. */

#define MAX_RESULT (4 * 1024 * 1024)

static void handle_too_large(void *context, const struct request_seen *request)
{
	static char block[MAX_RESULT];

	(void)context;
	memset(block, ' ', sizeof(block));
	connection_puts(request->connection, answer_text);
	connection_send(request->connection, block, sizeof(block));
	connection_puts(request->connection, "1");
}

START_TEST(too_large)
{
	uint64_t future;

	answer_text = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
	future = poll_with(handle_too_large, 20 * USEC_PER_SEC);
	world_expect_kind(future, OUTCOME_TOO_LARGE);
}
END_TEST

START_TEST(announced_as_too_large)
{
	uint64_t future;

	answer_text = "HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n";
	future = poll_with(handle_too_large, 20 * USEC_PER_SEC);
	world_expect_kind(future, OUTCOME_TOO_LARGE);
	ck_assert_uint_lt(world->metrics.bytes_received, 1024 * 1024);
}
END_TEST

START_TEST(error_body_is_cut)
{
	uint64_t future;

	answer_text = "HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n";
	future = poll_with(handle_too_large, 20 * USEC_PER_SEC);
	world_expect_kind(future, OUTCOME_SERVER_ERROR);
	ck_assert_uint_eq(world_record(future)->outcome.status, 503);
	ck_assert_uint_lt(world->metrics.bytes_received, 2 * 1024 * 1024);
}
END_TEST

/* Shortage. */

START_TEST(no_descriptors)
{
	struct rlimit old, none;
	unsigned long turns;
	uint64_t future;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)dup(0); /* the lowest free one */
	close((int)none.rlim_cur);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	future = poll_with(handle_ok, 20 * USEC_PER_SEC);
	world_expect_kind(future, OUTCOME_NETWORK);
	ck_assert_ptr_nonnull(strstr(message_of(future), "Too many open files"));
	turns = world->turns;
	world_run_for(200);
	ck_assert_uint_lt(world->turns - turns, 20);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	world_expect_kind(poll_with(handle_ok, 20 * USEC_PER_SEC), OUTCOME_COMPLETED);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		reset_before_an_answer,
		closed_before_an_answer,
		reset_within_the_body,
		header_without_end,
		not_json_is_validation,
		held_past_the_timeout_is_no_answer,
		silence_within_the_answer_is_a_network_error,
		slow_body_is_waited_for,
		body_time_has_an_end,
		connect_timeout,
		connection_refused,
		plain_http_stays_on_this_machine,
		closed_idle_connection_is_no_repeat,
		too_large,
		announced_as_too_large,
		error_body_is_cut,
		no_descriptors,
	};
	const TTest *const both_ways[] = {
		dead_kept_connection_is_repeated_once,
		dead_twice_is_a_network_error,
		one_repeat_however_many_are_dead,
	};
	struct world_tests all[] = {
		{tests, ARRAY_LEN(tests), 1},
		{both_ways, ARRAY_LEN(both_ways), 2},
		{(const TTest *const[]){cut_or_wrong}, 1, N_CUT_OR_WRONG},
	};

	world_max_result = MAX_RESULT;
	world_in_memory = true; /* test_stream.c has a spool */
	return world_main("upstream.failures", all, ARRAY_LEN(all));
}
