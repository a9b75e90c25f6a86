/* How many polls and connections there are, how polls are given up, keys that change, endpoints that come and
 * go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "world.h"

/* Connections. */

START_TEST(capacity_before_http_2)
{
	struct upstream_status status;

	ck_assert_uint_eq(world->endpoint->capacity, 8);
	world->config.max_in_flight = 5;
	world_attach();
	ck_assert_uint_eq(world->endpoint->capacity, 5);
	world_start(1);
	world_until_done(1);
	ck_assert_uint_eq(world->endpoint->capacity, 5);
	poller_status(world->endpoint, &status);
	ck_assert_uint_eq(status.connections, 1);
	ck_assert_uint_eq(status.http_version, 11);
}
END_TEST

START_TEST(never_more_connections_than_allowed)
{
	unsigned answered = 0;

	world->config.max_connections = 4;
	world_attach();
	world->handler = handle_hold;
	for (uint64_t i = 1; i <= 30; i++)
		world_start(i);
	while (answered < 30) {
		world_until_held(answered + 4 < 30 ? answered + 4 : 30);
		if (answered % 3 == 0)
			connection_puts(world->held[answered],
					"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1");
		else
			connection_answer_json(world->held[answered], 200, "1");
		world_until_done(++answered);
	}
	ck_assert_uint_eq(world->server->most_open, 4);
	ck_assert_uint_eq(world->server->most_waiting, 4);
	ck_assert_uint_eq(world->server->requests, 30);
}
END_TEST

START_TEST(aborted_polls_free_their_connections)
{
	world->config.max_connections = 2;
	world_attach();
	world->handler = handle_hold;
	for (uint64_t i = 1; i <= 20; i++) {
		world_start(2 * i);
		world_start(2 * i + 1);
		world_until_held((unsigned)(2 * i));
		ck_assert(poller_abort(world->poller, 2 * i));
		ck_assert(poller_abort(world->poller, 2 * i + 1));
	}
	ck_assert_uint_le(world->server->most_waiting, 2);
	ck_assert_uint_eq(world->n_done, 0);
}
END_TEST

/* Giving up. */

static bool nobody_waits(struct world *w)
{
	return w->server->waiting == 0;
}

START_TEST(abort_before_the_first_byte)
{
	world->handler = handle_hold;
	world_start(1);
	world_until_held(1);
	ck_assert(poller_abort(world->poller, 1));
	ck_assert_uint_eq(poller_in_flight(world->poller), 0);
	world_start(1); /* the next poll of the same future */
	world_until_held(2);
	ck_assert_uint_eq(world->server->waiting, 1); /* the first one's connection is gone */
	connection_answer_json(world->held[1], 200, "{\"status\":\"completed\",\"result\":2}");
	world_until_done(1);
	world_expect_result(1, "2");
	ck_assert_uint_eq(world->n_done, 1);
}
END_TEST

START_TEST(abort_before_it_was_sent)
{
	world->handler = handle_hold;
	world_start(1);
	ck_assert(poller_abort(world->poller, 1));
	world_run_for(50);
	ck_assert_uint_eq(world->server->requests, 0);
	ck_assert_uint_eq(world->n_sent, 0);
	ck_assert_uint_eq(world->n_done, 0);
	ck_assert(poller_abort(world->poller, 1)); /* nothing is in flight: nothing will be told */
}
END_TEST

static void handle_begin(void *context, const struct request_seen *request)
{
	handle_hold(context, request);
	connection_puts(request->connection, "HTTP/1.1 200 OK\r\n");
}

static bool answer_begun(struct world *w)
{
	return w->metrics.bytes_received > 0;
}

START_TEST(abort_after_the_first_byte_is_refused)
{
	world->handler = handle_begin;
	world_start(1);
	world_until(answer_begun);
	ck_assert(!poller_abort(world->poller, 1));
	connection_puts(world->held[0], "Content-Length: 2\r\n\r\n17");
	world_until_done(1);
	world_expect_result(1, "17");
}
END_TEST

START_TEST(one_poll_of_a_future_at_a_time)
{
	struct poll_request request = world_request(1);

	world->handler = handle_hold;
	world_start(1);
	ck_assert(!poller_start(world->poller, &request));
	world_until_held(1);
	ck_assert(!poller_start(world->poller, &request));
	ck_assert_uint_eq(poller_in_flight(world->poller), 1);
	connection_answer_json(world->held[0], 200, "1");
	world_until_done(1);
	world_start(1);
	world_until_held(2);
}
END_TEST

/* Keys. */

static const char *next_key; /* written when the 401 is given; NULL: none */

static void handle_unauthorised(void *context, const struct request_seen *request)
{
	(void)context;
	if (next_key)
		world_write_key(next_key);
	connection_answer_json(request->connection, 401, "{\"detail\":\"your key " KEY " is not known\"}");
}

START_TEST(unauthorised_with_the_same_key)
{
	world->handler = handle_unauthorised;
	world_start(1);
	world_until_done(1);
	world_expect_kind(1, OUTCOME_UNAUTHORISED);
	ck_assert(!world_record(1)->outcome.key_changed);
}
END_TEST

static bool key_told(struct world *w)
{
	return w->n_keys > 0;
}

START_TEST(unauthorised_reads_the_key_again)
{
	next_key = OTHER_KEY;
	world->handler = handle_unauthorised;
	world_start(1);
	world_until_done(1);
	ck_assert(world_record(1)->outcome.key_changed);
	next_key = NULL;
	world->handler = handle_ok;
	world_start(1);
	world_until_done(2);
	ck_assert_ptr_nonnull(strstr(world->head, "X-API-Key: " OTHER_KEY "\r\n"));
	world_until(key_told);
	ck_assert(world->have_key);
}
END_TEST

START_TEST(key_that_changed_while_a_poll_was_held)
{
	world->handler = handle_hold;
	world_start(1);
	world_until_held(1);
	world_write_key(OTHER_KEY);
	world_until(key_told); /* by the watch on the file */
	connection_answer_json(world->held[0], 401, "{}");
	world_until_done(1);
	ck_assert(world_record(1)->outcome.key_changed);
}
END_TEST

START_TEST(no_key_no_poll)
{
	struct poll_request request = world_request(1);

	unlink(world->key_file);
	world_until(key_told);
	ck_assert(!world->have_key);
	ck_assert(!poller_have_key(world->endpoint));
	ck_assert(!poller_start(world->poller, &request));
	world->n_keys = 0;
	world_write_key(OTHER_KEY);
	world_until(key_told);
	ck_assert(world->have_key);
	ck_assert(poller_have_key(world->endpoint));
	world_start(1);
	world_until_done(1);
	ck_assert_ptr_nonnull(strstr(world->head, "X-API-Key: " OTHER_KEY "\r\n"));
}
END_TEST

START_TEST(key_is_not_in_errors)
{
	const struct error *error;

	world->handler = handle_unauthorised;
	world_start(1);
	world_until_done(1);
	error = world_record(1)->outcome.error;
	ck_assert_ptr_nonnull(strstr(error->message, "your key *"));
	ck_assert_ptr_null(strstr(error->message, KEY));
	ck_assert_ptr_null(strstr(error->data, KEY));
}
END_TEST

static void handle_echo(void *context, const struct request_seen *request)
{
	(void)context;
	connection_answer_json(request->connection, 200,
			       "{\"type\":\"try_again\",\"queue_state\":\"active\","
			       "\"queue_state_reason\":\"key " KEY "\"}");
}

START_TEST(key_is_not_in_reasons)
{
	world->handler = handle_echo;
	world_start(1);
	world_until_done(1);
	world_expect_kind(1, OUTCOME_TRY_AGAIN);
	ck_assert_int_eq(strncmp(world_record(1)->outcome.reason, "key *", 5), 0);
	ck_assert_ptr_null(strstr(world_record(1)->outcome.reason, KEY));
}
END_TEST

/* Endpoints. */

START_TEST(reload_lets_polls_finish)
{
	struct poll_request request = world_request(1);

	world->handler = handle_hold;
	world_start(1);
	world_until_held(1);
	world->config.max_connections = 3;
	world_attach();
	ck_assert_uint_eq(world->endpoint->capacity, 3);
	ck_assert_uint_eq(poller_in_flight(world->poller), 1);
	ck_assert(!poller_start(world->poller, &request)); /* still the same future */
	world_start(2);
	world_until_held(2);
	connection_answer_json(world->held[0], 200, "1");
	connection_answer_json(world->held[1], 200, "2");
	world_until_done(2);
	world_expect_result(1, "1");
	world_expect_result(2, "2");
	ck_assert_uint_eq(world->server->accepted, 2);
	world_run_for(1); /* the old upstream is gone, and its connection */
	world_until(nobody_waits);
	ck_assert_uint_eq(world->server->open, 1);
}
END_TEST

START_TEST(unauthorised_by_a_replaced_endpoint)
{
	world->handler = handle_hold;
	world_start(1);
	world_until_held(1);
	world_attach();
	connection_answer_json(world->held[0], 401, "{}");
	world_until_done(1);
	ck_assert(world_record(1)->outcome.key_changed);
}
END_TEST

START_TEST(removed_endpoint_lets_polls_finish)
{
	struct poll_request request = world_request(2);
	struct upstream_status status;

	world->handler = handle_hold;
	world_start(1);
	world_until_held(1);
	poller_detach(world->poller, world->endpoint);
	ck_assert(!poller_start(world->poller, &request));
	ck_assert(!poller_have_key(world->endpoint));
	poller_status(world->endpoint, &status);
	ck_assert_uint_eq(status.connections, 0);
	connection_answer_json(world->held[0], 200, "1");
	world_until_done(1);
	world_expect_result(1, "1");
}
END_TEST

START_TEST(aborted_on_a_removed_endpoint)
{
	world->handler = handle_hold;
	world_start(1);
	world_until_held(1);
	poller_detach(world->poller, world->endpoint);
	ck_assert(poller_abort(world->poller, 1));
	ck_assert_uint_eq(poller_in_flight(world->poller), 0);
	world_until(nobody_waits);
}
END_TEST

START_TEST(freed_with_polls_in_flight)
{
	world->handler = handle_hold;
	for (uint64_t i = 1; i <= 8; i++)
		world_start(i);
	world_until_held(8);
	poller_free(world->poller);
	world->poller = NULL;
	ck_assert_ptr_null(world->endpoint->upstream);
	world_until(nobody_waits);
	ck_assert_uint_eq(world->n_done, 0);
}
END_TEST

/* Two at once: each with its own server, key and connections. */

static char other_head[8192];

static void handle_other(void *context, const struct request_seen *request)
{
	(void)context;
	snprintf(other_head, sizeof(other_head), "%s", request->head);
	connection_answer_json(request->connection, 200, "\"other\"");
}

START_TEST(two_endpoints)
{
	struct server *other = server_new(world->loop, handle_other, NULL);
	struct endpoint *endpoint = endpoint_new("other", PROFILE_GUIDE);
	struct config_endpoint config = world->config;
	struct poll_request request = world_request(2);
	char name[] = "other", base_url[64], *message = NULL;

	setenv("TINKER_API_KEY", OTHER_KEY, 1);
	snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d", other->port);
	config.name = name;
	config.base_url = base_url;
	config.api_key_file = NULL;
	config.key_from_environment = true;
	ck_assert_int_eq(world_try_attach(endpoint, &config, &message), 0);
	request.endpoint = endpoint;
	world_start(1);
	ck_assert(poller_start(world->poller, &request));
	world_until_done(2);
	world_expect_result(1, "42");
	world_expect_result(2, "\"other\"");
	ck_assert_ptr_nonnull(strstr(world->head, "X-API-Key: " KEY "\r\n"));
	ck_assert_ptr_nonnull(strstr(other_head, "X-API-Key: " OTHER_KEY "\r\n"));
	poller_detach(world->poller, endpoint);
	endpoint_free(endpoint);
	world_run_for(1);
	server_free(other);
}
END_TEST

START_TEST(unreadable_authorities_are_refused)
{
	char ca_file[] = "/nonexistent/ca.pem", *message = NULL;

	world->config.ca_file = ca_file;
	ck_assert_int_lt(world_try_attach(world->endpoint, &world->config, &message), 0);
	ck_assert_ptr_nonnull(strstr(message, "/nonexistent/ca.pem"));
	free(message);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		capacity_before_http_2,
		never_more_connections_than_allowed,
		aborted_polls_free_their_connections,
		abort_before_the_first_byte,
		abort_before_it_was_sent,
		abort_after_the_first_byte_is_refused,
		one_poll_of_a_future_at_a_time,
		unauthorised_with_the_same_key,
		unauthorised_reads_the_key_again,
		key_that_changed_while_a_poll_was_held,
		no_key_no_poll,
		key_is_not_in_errors,
		key_is_not_in_reasons,
		reload_lets_polls_finish,
		unauthorised_by_a_replaced_endpoint,
		removed_endpoint_lets_polls_finish,
		aborted_on_a_removed_endpoint,
		freed_with_polls_in_flight,
		two_endpoints,
		unreadable_authorities_are_refused,
	};
	struct world_tests all[] = {{tests, ARRAY_LEN(tests), 1}};

	return world_main("upstream.limits", all, ARRAY_LEN(all));
}
