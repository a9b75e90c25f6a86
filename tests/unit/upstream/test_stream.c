/* Results that are too large for memory: what comes of them in the folder of the spool, and how the taking in
 * stops when the disk does not keep up. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/spool.h"
#include "world.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* The texts of answers and results. */

struct text {
	char *data;
	size_t size;
};

static struct text text_new(const char *before, size_t filling, const char *after)
{
	size_t at = strlen(before);
	struct text text = {.size = at + filling + strlen(after)};

	text.data = malloc(text.size + 1);
	ck_assert_ptr_nonnull(text.data);
	memcpy(text.data, before, at);
	for (size_t i = 0; i < filling; i++)
		text.data[at + i] = (char)('#' + (i * 7 + i / 4099) % 50); /* no backslash */
	memcpy(text.data + at + filling, after, strlen(after));
	return text;
}

/* A JSON string of so many bytes. */
static struct text text_string(size_t size)
{
	return text_new("\"", size - 2, "\"");
}

static struct text answer; /* of the handlers below */
static const char *answer_type = "application/json";
static size_t answer_part; /* bytes that come; the rest does not, or not yet */

static void answer_set(struct text text)
{
	free(answer.data);
	answer = text;
}

static void cleanup(void)
{
	answer_set((struct text){0});
}

static void handle_answer(void *context, const struct request_seen *request)
{
	(void)context;
	connection_answer(request->connection, 200, answer_type, answer.data, answer.size);
}

static void send_head(struct connection *connection, size_t size)
{
	char head[128];

	snprintf(head, sizeof(head),
		 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", size);
	connection_puts(connection, head);
}

static void handle_part(void *context, const struct request_seen *request)
{
	handle_hold(context, request);
	send_head(request->connection, answer.size);
	connection_send(request->connection, answer.data, answer_part);
}

static void handle_part_and_reset(void *context, const struct request_seen *request)
{
	(void)context;
	send_head(request->connection, answer.size);
	connection_send(request->connection, answer.data, answer_part);
	connection_close(request->connection);
}

static void handle_of_unknown_size(void *context, const struct request_seen *request)
{
	(void)context;
	connection_puts(request->connection,
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
	connection_send(request->connection, answer.data, answer.size);
	connection_close(request->connection);
}

/* What is expected. */

static void expect_bytes(uint64_t future, const char *bytes, size_t size)
{
	size_t got;
	char *data = world_result(future, &got);

	ck_assert_uint_eq(got, size);
	ck_assert(memcmp(data, bytes, size) == 0);
	free(data);
}

static void expect_in_file(uint64_t future, size_t offset, size_t size)
{
	const struct result *result = world_record(future)->report.result;

	expect_bytes(future, answer.data + offset, size);
	ck_assert(result->in_file);
	ck_assert_uint_eq(result->offset, offset);
	ck_assert_int_eq(result->ended_wall, world_record(future)->report.wall);
}

static void poll_one(uint64_t future, server_handler *handler)
{
	world->handler = handler;
	world_start(future);
	world_until_done(world->n_done + 1);
}

/* It ended like this, after something of it had gone to a file, and nothing is left of that. */
static void expect_nothing_left(uint64_t future, enum outcome_kind kind)
{
	world_expect_kind(future, kind);
	ck_assert_ptr_null(world_record(future)->report.result);
	ck_assert_uint_ge(world->last_id, 1);
	world_until_files(0);
	ck_assert_uint_eq(world->n_gone, 0);
}

/* Sizes. */

START_TEST(small_enough_for_memory)
{
	answer_set(text_string(SPOOL_THRESHOLD - 1));
	poll_one(1, handle_answer);
	expect_bytes(1, answer.data, answer.size);
	answer_set(text_string(SPOOL_THRESHOLD));
	poll_one(2, handle_answer);
	expect_bytes(2, answer.data, answer.size);
	poll_one(3, handle_of_unknown_size);
	expect_bytes(3, answer.data, answer.size);
	for (uint64_t future = 1; future <= 3; future++)
		ck_assert(!world_record(future)->report.result->in_file);
	ck_assert_uint_eq(world->last_id, 0);
	ck_assert_uint_eq(world_files(), 0);
}
END_TEST

START_TEST(too_large_for_memory)
{
	answer_set(text_string(SPOOL_THRESHOLD + 1));
	poll_one(1, handle_answer);
	expect_in_file(1, 0, answer.size);
	poll_one(2, handle_of_unknown_size);
	expect_in_file(2, 0, answer.size);
	answer_set(text_string(7 * MIB + 3));
	poll_one(3, handle_answer);
	expect_in_file(3, 0, answer.size);
	ck_assert_uint_eq(world->last_id, 3);
	ck_assert_uint_eq(world_record(2)->report.result->id, 2);
	ck_assert_uint_eq(world_files(), 3);
	world_forget(2);
	ck_assert_uint_eq(world->n_gone, 1);
	world_until_files(2);
	expect_in_file(3, 0, answer.size);
}
END_TEST

START_TEST(result_is_a_range_of_the_file)
{
	static const char before[] = "{\"status\":\"completed\",\"result\":  ";
	size_t filling = 3 * MIB;

	answer_set(text_new("{\"status\":\"completed\",\"result\":  [\"", filling, "\"] ,\"other\":1}"));
	poll_one(1, handle_answer);
	expect_in_file(1, strlen(before), filling + 4);
	ck_assert_int_eq(world_record(1)->outcome.content, CONTENT_JSON);
	/* One that could have stayed in memory, had that been known in time. */
	answer_set(text_new("{\"status\":\"completed\",\"result\":  1,\"padding\":\"", 200 * KIB, "\"}"));
	poll_one(2, handle_answer);
	expect_in_file(2, strlen(before), 1);
}
END_TEST

START_TEST(file_holds_one_line)
{
	struct text sent;
	size_t size = 300 * KIB;
	char *expected;

	sent = text_new("{\n\"a\":\"", size, "\"\r\n,\"b\"\n:2}\n");
	expected = malloc(sent.size);
	ck_assert_ptr_nonnull(expected);
	for (size_t i = 0; i < sent.size; i++)
		expected[i] = sent.data[i] == '\n' || sent.data[i] == '\r' ? ' ' : sent.data[i];
	answer_set(sent);
	poll_one(1, handle_answer);
	/* Without the one behind it. */
	expect_bytes(1, expected, sent.size - 1);
	free(expected);
}
END_TEST

START_TEST(protobuf_file_is_untouched)
{
	answer_type = "application/x-protobuf";
	answer_set(text_new("\n{\r\n", 2 * MIB, "\n\n"));
	poll_one(1, handle_answer);
	expect_in_file(1, 0, answer.size);
	ck_assert_int_eq(world_record(1)->report.result->content, CONTENT_PROTOBUF);
}
END_TEST

START_TEST(many_at_once)
{
	enum { POLLS = 24 };

	answer_set(text_string(MIB));
	world->handler = handle_answer;
	for (uint64_t future = 1; future <= POLLS; future++)
		world_start(future);
	world_until_done(POLLS);
	for (uint64_t future = 1; future <= POLLS; future++)
		expect_in_file(future, 0, answer.size);
	ck_assert_uint_eq(world->last_id, POLLS);
	ck_assert_uint_eq(world_files(), POLLS);
}
END_TEST

/* What is no result. */

START_TEST(cut_off_in_the_middle)
{
	answer_set(text_string(4 * MIB));
	answer_part = 2 * MIB;
	poll_one(1, handle_part_and_reset);
	expect_nothing_left(1, OUTCOME_NETWORK);
}
END_TEST

START_TEST(not_repeated_once_its_body_has_begun)
{
	poll_one(1, handle_ok);
	answer_set(text_string(MIB));
	answer_part = MIB / 2;
	poll_one(2, handle_part_and_reset); /* on the connection that was kept */
	expect_nothing_left(2, OUTCOME_NETWORK);
	ck_assert_uint_eq(world->server->accepted, 1);
	ck_assert_uint_eq(world->metrics.poll_repeats, 0);
	ck_assert_uint_eq(world->server->requests, 2);
}
END_TEST

static void handle_death(void *context, const struct request_seen *request)
{
	world->handler = handle_answer;
	(void)context;
	connection_close(request->connection);
}

START_TEST(repeated_before_its_body_began)
{
	poll_one(1, handle_ok);
	answer_set(text_string(MIB));
	poll_one(2, handle_death);
	ck_assert_uint_eq(world->metrics.poll_repeats, 1);
	expect_in_file(2, 0, answer.size);
	ck_assert_uint_eq(world_files(), 1);
}
END_TEST

START_TEST(no_json_after_a_while)
{
	answer_set(text_new("{\"a\":\"", MIB, "\"}} and so on"));
	poll_one(1, handle_answer);
	expect_nothing_left(1, OUTCOME_VALIDATION);
	/* And when a lot follows. */
	answer_set(text_new("{\"a\":[]]", 3 * MIB, ""));
	poll_one(2, handle_answer);
	expect_nothing_left(2, OUTCOME_VALIDATION);
	ck_assert_uint_eq(world->last_id, 1);
}
END_TEST

START_TEST(json_without_its_end)
{
	answer_set(text_new("{\"a\":\"", MIB, ""));
	poll_one(1, handle_answer);
	expect_nothing_left(1, OUTCOME_VALIDATION);
}
END_TEST

START_TEST(larger_than_allowed)
{
	poller_set_max_result_bytes(world->poller, MIB);
	answer_set(text_string(MIB));
	poll_one(1, handle_of_unknown_size);
	expect_in_file(1, 0, answer.size);
	world_forget(1);
	world_until_files(0);
	world->n_gone = 0;
	answer_set(text_string(MIB + 1));
	poll_one(2, handle_of_unknown_size);
	expect_nothing_left(2, OUTCOME_TOO_LARGE);
	ck_assert_uint_eq(world->last_id, 2);
	poll_one(3, handle_answer); /* announced: nothing is begun */
	expect_nothing_left(3, OUTCOME_TOO_LARGE);
	ck_assert_uint_eq(world->last_id, 2);
}
END_TEST

static bool half_received(struct world *w)
{
	return w->metrics.bytes_received > answer_part;
}

START_TEST(limit_that_falls_meanwhile)
{
	answer_set(text_string(3 * MIB / 2));
	answer_part = MIB;
	world->handler = handle_part;
	world_start(1);
	world_until(half_received);
	world_until_files(1);
	poller_set_max_result_bytes(world->poller, MIB);
	connection_send(world->held[0], answer.data + answer_part, answer.size - answer_part);
	world_until_done(1);
	expect_nothing_left(1, OUTCOME_TOO_LARGE);
}
END_TEST

/* Such an end waits for no disk. */
START_TEST(large_answer_without_a_result)
{
	answer_set(text_new("{\"type\":\"try_again\",\"queue_state\":\"active\",\"padding\":\"",
			    SPOOL_FILE_QUEUE_MAX / 2, "\"}"));
	world_stop_files();
	poll_one(1, handle_answer);
	world_expect_kind(1, OUTCOME_TRY_AGAIN);
	world_go_on_files();
	expect_nothing_left(1, OUTCOME_TRY_AGAIN);
}
END_TEST

START_TEST(silence_in_the_middle)
{
	struct poll_request request = world_request(1);

	answer_set(text_string(3 * MIB / 2));
	answer_part = MIB;
	world->handler = handle_part;
	request.http_timeout = 500 * USEC_PER_MSEC;
	ck_assert(poller_start(world->poller, &request));
	world_until_done(1);
	expect_nothing_left(1, OUTCOME_NETWORK);
}
END_TEST

/* While the file is being finished. */

static bool all_received(struct world *w)
{
	return w->metrics.bytes_received > answer.size && w->server->waiting == 0;
}

/* The file thread stands still, and the answer to the poll of future 1 is there. */
static void receive_all(void)
{
	answer_set(text_string(SPOOL_FILE_QUEUE_MAX / 2)); /* which congests nothing */
	world->handler = handle_answer;
	world_stop_files();
	world_start(1);
	world_until(all_received);
	ck_assert_uint_eq(world->n_done, 0);
	ck_assert_uint_eq(poller_in_flight(world->poller), 1);
}

START_TEST(told_when_it_is_durable)
{
	struct poll_request request = world_request(1);
	int64_t wall;

	receive_all();
	ck_assert(!poller_abort(world->poller, 1));
	ck_assert(!poller_start(world->poller, &request)); /* still the same future */
	wall = loop_wall(world->loop);
	poll_one(2, handle_ok); /* others need no disk */
	world_run_for(50);
	ck_assert_uint_eq(world->n_done, 1);
	world_go_on_files();
	world_until_done(2);
	expect_in_file(1, 0, answer.size);
	ck_assert_int_le(world_record(1)->report.wall, wall); /* of the answer's end */
	ck_assert_uint_eq(poller_in_flight(world->poller), 0);
	world_forget(1);
	world_until_files(0);
}
END_TEST

START_TEST(reload_while_it_is_finished)
{
	receive_all();
	world_attach();
	world_run_for(20);
	ck_assert_uint_eq(poller_in_flight(world->poller), 1);
	poll_one(2, handle_ok);
	poller_detach(world->poller, world->endpoint);
	world_run_for(20);
	world_go_on_files();
	world_until_done(2);
	expect_in_file(1, 0, answer.size);
	world_run_for(1);
	ck_assert_uint_eq(poller_in_flight(world->poller), 0);
}
END_TEST

START_TEST(freed_while_it_is_finished)
{
	receive_all();
	poller_free(world->poller);
	world->poller = NULL;
	world_go_on_files();
	world_run_for(50);
	world_until_files(0);
	ck_assert_uint_eq(world->n_done, 0);
	ck_assert_uint_eq(world->last_id, 1);
}
END_TEST

START_TEST(freed_while_it_arrives)
{
	answer_set(text_string(3 * MIB / 2));
	answer_part = MIB;
	world->handler = handle_part;
	world_start(1);
	world_until(half_received);
	world_until_files(1);
	ck_assert(!poller_abort(world->poller, 1));
	poller_free(world->poller);
	world->poller = NULL;
	world_until_files(0);
	ck_assert_uint_eq(world->n_done, 0);
}
END_TEST

/* Being held. */

static bool is_congested(struct world *w)
{
	return w->congested > 0;
}

START_TEST(slow_disk_stops_the_taking_in)
{
	uint64_t received;

	answer_set(text_string(20 * MIB));
	world->config.max_body_time = PATIENCE_S * USEC_PER_SEC;
	world_attach();
	world->handler = handle_answer;
	world_stop_files();
	world_start(1);
	world_start(2);
	world_until(is_congested);
	received = world->metrics.bytes_received;
	ck_assert_uint_ge(received, SPOOL_FILE_QUEUE_MAX);
	ck_assert_uint_lt(received, 2 * SPOOL_FILE_QUEUE_MAX + 8 * MIB); /* what curl was about to read */
	world_run_for(100);
	ck_assert_uint_eq(world->metrics.bytes_received, received);
	world_go_on_files();
	world_until_done(2);
	for (uint64_t future = 1; future <= 2; future++)
		expect_in_file(future, 0, answer.size);
	ck_assert(!spool_congested(world->spool));
}
END_TEST

static bool has_connection(struct world *w)
{
	return w->metrics.connections_opened == w->wanted;
}

static bool requests_and_bytes(struct world *w)
{
	return w->n_held == 2 && w->metrics.bytes_received > answer_part;
}

/* Each of these times is shorter than the time that they are held. */
START_TEST(time_stands_still)
{
	struct poll_request request = world_request(1);
	uint64_t received;

	world->config.connect_timeout = world->config.max_body_time = 1500 * USEC_PER_MSEC;
	request.http_timeout = 1500 * USEC_PER_MSEC;
	world_attach();
	answer_set(text_string(MIB));
	answer_part = 512 * KIB;
	world->handler = handle_hold;
	ck_assert(poller_start(world->poller, &request)); /* 1 has been sent */
	world_until_held(1);
	world->handler = handle_part;
	request.future = 2;
	ck_assert(poller_start(world->poller, &request)); /* 2 is being answered */
	world_until(requests_and_bytes);
	world->handler = handle_answer;
	request.future = 3;
	ck_assert(poller_start(world->poller, &request)); /* 3 is connecting */
	world->wanted = 3;
	world_until(has_connection);
	ck_assert_uint_eq(world->n_sent, 2);
	poller_set_congested(world->poller, true);
	request.future = 4;
	ck_assert(poller_start(world->poller, &request)); /* 4 comes while all are held */
	received = world->metrics.bytes_received;
	connection_send(world->held[1], answer.data + answer_part, 256 * KIB);
	world_run_for(3000);
	ck_assert_uint_eq(world->metrics.bytes_received, received);
	ck_assert_uint_eq(world->server->requests, 2);
	ck_assert_uint_eq(world->n_done, 0);
	poller_set_congested(world->poller, false);
	world_run_for(100); /* the server has the rest of its time */
	connection_answer_json(world->held[0], 200, "17");
	answer_part += 256 * KIB;
	connection_send(world->held[1], answer.data + answer_part, answer.size - answer_part);
	world_until_done(4);
	world_expect_result(1, "17");
	for (uint64_t future = 2; future <= 4; future++)
		expect_in_file(future, 0, answer.size);
	ck_assert_uint_eq(world->metrics.poll_repeats, 0);
	/* What its server did not do in time is still noticed afterwards. */
	world->handler = handle_hold;
	request.future = 5;
	ck_assert(poller_start(world->poller, &request));
	world_until_held(3);
	poller_set_congested(world->poller, true);
	world_run_for(1);
	poller_set_congested(world->poller, false);
	world_until_done(5);
	world_expect_kind(5, OUTCOME_NO_ANSWER);
	ck_assert_int_ge(world_record(5)->report.held, 1500 * USEC_PER_MSEC);
}
END_TEST

START_TEST(given_up_while_held)
{
	world->handler = handle_hold;
	world_start(1);
	world_until_held(1);
	answer_set(text_string(MIB));
	answer_part = 512 * KIB;
	world->handler = handle_part;
	world_start(2);
	world_until(requests_and_bytes);
	poller_set_congested(world->poller, true);
	world_start(3);
	ck_assert(poller_abort(world->poller, 1));
	ck_assert(poller_abort(world->poller, 3));
	ck_assert(!poller_abort(world->poller, 2));
	world_run_for(20);
	world_start(1);
	world->handler = handle_ok;
	poller_set_congested(world->poller, false);
	world_until_done(1);
	world_expect_result(1, "42");
	connection_send(world->held[1], answer.data + answer_part, answer.size - answer_part);
	world_until_done(2);
	expect_in_file(2, 0, answer.size);
}
END_TEST

START_TEST(endpoint_that_comes_while_held)
{
	world->handler = handle_hold;
	world_start(1);
	world_until_held(1);
	poller_set_congested(world->poller, true);
	world_attach();
	world->handler = handle_ok;
	world_start(2);
	connection_answer_json(world->held[0], 200, "1");
	world_run_for(50);
	ck_assert_uint_eq(world->n_done, 0);
	ck_assert_uint_eq(world->server->requests, 1);
	poller_set_congested(world->poller, false);
	world_until_done(2);
	world_expect_result(1, "1"); /* on the old one */
	world_expect_result(2, "42");
}
END_TEST

START_TEST(freed_while_held)
{
	answer_set(text_string(MIB));
	answer_part = 512 * KIB;
	world->handler = handle_part;
	world_start(1);
	world_until(half_received);
	poller_set_congested(world->poller, true);
	world_start(2);
	world_run_for(1);
	poller_free(world->poller);
	world->poller = NULL;
	world_until_files(0);
	ck_assert_uint_eq(world->n_done, 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		small_enough_for_memory,
		too_large_for_memory,
		result_is_a_range_of_the_file,
		file_holds_one_line,
		protobuf_file_is_untouched,
		many_at_once,
		cut_off_in_the_middle,
		not_repeated_once_its_body_has_begun,
		repeated_before_its_body_began,
		no_json_after_a_while,
		json_without_its_end,
		larger_than_allowed,
		limit_that_falls_meanwhile,
		large_answer_without_a_result,
		silence_in_the_middle,
		told_when_it_is_durable,
		reload_while_it_is_finished,
		freed_while_it_is_finished,
		freed_while_it_arrives,
		slow_disk_stops_the_taking_in,
		time_stands_still,
		given_up_while_held,
		endpoint_that_comes_while_held,
		freed_while_held,
	};
	struct world_tests all[] = {{tests, ARRAY_LEN(tests), 1}};

	world_after = cleanup;
	return world_main("upstream.stream", all, ARRAY_LEN(all));
}
