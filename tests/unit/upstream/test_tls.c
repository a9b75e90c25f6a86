/* TLS and HTTP/2: who is trusted, many polls on few connections, and what happens when those die. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front.h"
#include "store/spool.h"
#include "world.h"

static struct front front;
static char base_url[64];

static void attach_to_front(const char *alpn, int streams)
{
	front_start(&front, alpn, streams);
	snprintf(base_url, sizeof(base_url), "https://127.0.0.1:%d/services/test", front.port);
	world->config.base_url = base_url;
	world->config.ca_file = front.certificate;
	world->config.connect_timeout = PATIENCE_S * USEC_PER_SEC;
	world_attach();
}

static void teardown(void)
{
	front_kill(&front);
}

static struct upstream_status status(void)
{
	struct upstream_status now;

	poller_status(world->endpoint, &now);
	return now;
}

/* Polls first..last, until the server holds them all. */
static void hold(uint64_t first, uint64_t last)
{
	unsigned held = world->n_held;

	world->handler = handle_hold;
	for (uint64_t i = first; i <= last; i++) {
		struct poll_request request = world_request(i);

		request.http_timeout = 2 * PATIENCE_S * USEC_PER_SEC;
		ck_assert(poller_start(world->poller, &request));
	}
	world_until_held(held + (unsigned)(last - first + 1));
}

static void answer_held(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		connection_answer_json(world->held[i], 200, "{\"status\":\"completed\",\"result\":42}");
}

/* Trust. */

static void expect_untrusted(void)
{
	const struct error *error;

	world_attach();
	world_start(1);
	world_until_done(1);
	world_expect_kind(1, OUTCOME_NETWORK);
	error = world_record(1)->outcome.error;
	ck_assert_msg(strcasestr(error->message, "certificate") != NULL, "%s", error->message);
	ck_assert_uint_eq(world->n_sent, 0);
	ck_assert_uint_eq(world->server->requests, 0);
}

START_TEST(own_authority)
{
	attach_to_front("h2,http/1.1", 100);
	world_start(1);
	world_until_done(1);
	world_expect_result(1, "42");
}
END_TEST

START_TEST(wrong_authority_is_refused)
{
	char key[128], other[128];

	attach_to_front("h2,http/1.1", 100);
	snprintf(key, sizeof(key), "%s/other-key.pem", world->directory);
	snprintf(other, sizeof(other), "%s/other.pem", world->directory);
	front_make_certificate(key, other);
	world->config.ca_file = other;
	expect_untrusted();
}
END_TEST

START_TEST(system_authorities_do_not_know_it)
{
	attach_to_front("h2,http/1.1", 100);
	world->config.ca_file = NULL;
	expect_untrusted();
}
END_TEST

START_TEST(wrong_name_is_refused)
{
	attach_to_front("h2,http/1.1", 100);
	/* The certificate is for 127.0.0.1; this is the same machine under a name that it does not bear. */
	snprintf(base_url, sizeof(base_url), "https://localhost:%d", front.port);
	expect_untrusted();
}
END_TEST

/* Many on few. */

START_TEST(polls_share_connections)
{
	world->config.max_in_flight = 300;
	world->config.max_connections = 64;
	attach_to_front("h2,http/1.1", 100);
	ck_assert_uint_eq(world->endpoint->capacity, 64);
	hold(1, 64);
	ck_assert_uint_eq(status().connections, 1);
	ck_assert_uint_eq(status().http_version, 0);
	answer_held(0, 1);
	world_until_done(1);
	ck_assert_uint_eq(status().http_version, 20);
	ck_assert_uint_eq(world->endpoint->capacity, 300);
	hold(65, 301);
	ck_assert_uint_le(status().connections, 300 / 100 + 1);
	answer_held(1, 301);
	world_until_done(301);
	for (uint64_t i = 1; i <= 301; i++)
		world_expect_result(i, "42");
	ck_assert_uint_le(world->metrics.connections_opened, 300 / 100 + 1);
	ck_assert_uint_eq(world->metrics.poll_repeats, 0);
}
END_TEST

START_TEST(capacity_follows_connections)
{
	world->config.max_in_flight = 1000;
	world->config.max_connections = 2;
	attach_to_front("h2", 100);
	ck_assert_uint_eq(world->endpoint->capacity, 2);
	world_start(1);
	world_until_done(1);
	ck_assert_uint_eq(world->endpoint->capacity, 200);
}
END_TEST

/* A server that carries fewer streams than we think: the others wait their turn, however long that is. */
START_TEST(few_streams_are_no_failure)
{
	unsigned answered = 0;

	world->config.max_in_flight = 100;
	world->config.max_connections = 64;
	attach_to_front("h2", 10);
	world_start(1);
	world_until_done(1);
	world_start(2);
	world_until_done(2);
	hold(101, 120); /* on two connections */
	for (uint64_t i = 121; i <= 140; i++)
		world_start(i);
	world_run_for(1500);
	ck_assert_uint_eq(world->n_done, 2);
	while (answered < 40) {
		world_until_held(answered + 1);
		answer_held(answered, answered + 1);
		world_until_done(2 + ++answered);
	}
	for (uint64_t i = 101; i <= 140; i++)
		world_expect_result(i, "42");
	ck_assert_uint_le(status().connections, 2);
}
END_TEST

START_TEST(http_1_over_tls)
{
	attach_to_front("http/1.1", 100);
	hold(1, 8);
	ck_assert_uint_eq(status().connections, 8);
	answer_held(0, 8);
	world_until_done(8);
	ck_assert_uint_eq(world->endpoint->capacity, 8);
	ck_assert_uint_eq(status().http_version, 11);
	hold(11, 18);
	ck_assert_uint_eq(world->metrics.connections_opened, 8);
	answer_held(8, 16);
	world_until_done(16);
}
END_TEST

START_TEST(server_that_goes_back_to_http_1)
{
	world->config.max_in_flight = 100;
	attach_to_front("h2,http/1.1", 100);
	world_start(1);
	world_until_done(1);
	ck_assert_uint_eq(world->endpoint->capacity, 100);
	front_kill(&front);
	front_restart(&front, "http/1.1", 100);
	world_start(2);
	world_until_done(2);
	world_expect_result(2, "42");
	ck_assert_uint_eq(world->endpoint->capacity, 8);
	hold(11, 18);
	ck_assert_uint_eq(status().connections, 8);
}
END_TEST

/* One stream's end is not its connection's. */

START_TEST(giving_up_leaves_the_connection)
{
	struct poll_request request = world_request(2);

	attach_to_front("h2", 100);
	hold(1, 1);
	ck_assert(poller_abort(world->poller, 1));
	world->handler = handle_hold;
	request.http_timeout = 200 * USEC_PER_MSEC;
	ck_assert(poller_start(world->poller, &request));
	world_until_done(1);
	world_expect_kind(2, OUTCOME_NO_ANSWER);
	world->handler = handle_ok;
	world_start(3);
	world_until_done(2);
	world_expect_result(3, "42");
	ck_assert_uint_eq(world->metrics.connections_opened, 1);
}
END_TEST

static void handle_begin(void *context, const struct request_seen *request)
{
	handle_hold(context, request);
	connection_puts(request->connection, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":");
}

static bool answer_begun(struct world *w)
{
	return w->metrics.bytes_received > w->wanted;
}

START_TEST(broken_stream_is_a_network_error)
{
	attach_to_front("h2", 100);
	hold(1, 1); /* another stream on the same connection */
	world->handler = handle_begin;
	world_start(2);
	world->wanted = 0;
	world_until(answer_begun);
	connection_reset(world->held[1]);
	world_until_done(1);
	world_expect_kind(2, OUTCOME_NETWORK);
	ck_assert_uint_eq(world->metrics.poll_repeats, 0);
	answer_held(0, 1);
	world_until_done(2);
	world_expect_result(1, "42");
	ck_assert_uint_eq(world->metrics.connections_opened, 1);
}
END_TEST

/* Connections that die. */

START_TEST(dead_idle_connection)
{
	attach_to_front("h2", 100);
	world_start(1);
	world_until_done(1);
	front_kill(&front);
	front_restart(&front, "h2", 100);
	world_start(2);
	world_until_done(2);
	world_expect_result(2, "42");
}
END_TEST

/* The first made the connection and gets no second try; those who shared it do, once, and find nobody. (curl
 * may count more than one as having made it.) */
START_TEST(death_under_held_polls)
{
	attach_to_front("h2", 100);
	hold(1, 5);
	front_kill(&front);
	world_until_done(5);
	for (uint64_t i = 1; i <= 5; i++)
		world_expect_kind(i, OUTCOME_NETWORK);
	ck_assert_uint_ge(world->metrics.poll_repeats, 1);
	ck_assert_uint_le(world->metrics.poll_repeats, 4);
	ck_assert_uint_eq(world->n_sent, 5);
	front_restart(&front, "h2", 100);
	world->handler = handle_ok;
	world_start(6);
	world_until_done(6);
	world_expect_result(6, "42");
}
END_TEST

/* Bytes that depend on their place, as a JSON string of `size` bytes. */
static char pattern_at(size_t at, size_t size)
{
	return at == 0 || at == size - 1 ? '"' : (char)('#' + (at * 7 + at / 4099) % 50);
}

static void answer_pattern(struct connection *connection, size_t size)
{
	char *body = malloc(size);

	ck_assert_ptr_nonnull(body);
	for (size_t i = 0; i < size; i++)
		body[i] = pattern_at(i, size);
	connection_answer(connection, 200, "application/json", body, size);
	free(body);
}

/* The size of the result of this poll, whose bytes must be right. */
static size_t pattern_size(uint64_t future)
{
	size_t size;
	char *data = world_result(future, &size);

	for (size_t i = 0; i < size; i++) {
		if (data[i] != pattern_at(i, size))
			ck_abort_msg("byte %zu of %zu differs", i, size);
	}
	free(data);
	return size;
}

#define LARGE (10 * 1024 * 1024)

static void handle_large(void *context, const struct request_seen *request)
{
	(void)context;
	answer_pattern(request->connection, LARGE);
}

START_TEST(large_results_side_by_side)
{
	world->config.max_body_time = PATIENCE_S * USEC_PER_SEC;
	attach_to_front("h2", 100);
	world->handler = handle_large;
	for (uint64_t i = 1; i <= 3; i++)
		world_start(i);
	world_until_done(3);
	for (uint64_t i = 1; i <= 3; i++)
		ck_assert_uint_eq(pattern_size(i), LARGE);
	ck_assert_uint_eq(world->metrics.connections_opened, 1);
}
END_TEST

static bool more_received(struct world *w)
{
	return w->metrics.bytes_received >= w->wanted;
}

static bool spool_has_room(struct world *w)
{
	return !spool_congested(w->spool);
}

START_TEST(nothing_is_lost_by_being_held)
{
	world->config.max_body_time = PATIENCE_S * USEC_PER_SEC;
	attach_to_front("h2", 100);
	world->handler = handle_large;
	for (uint64_t i = 1; i <= 3; i++)
		world_start(i);
	for (unsigned mib = 1; mib < 25; mib += 3) {
		uint64_t received;

		world->wanted = mib * 1024 * 1024;
		world_until(more_received);
		world_until(spool_has_room); /* or else the spool would let go of it in between */
		received = world->metrics.bytes_received;
		poller_set_congested(world->poller, true);
		world_run_for(20);
		ck_assert_uint_eq(world->metrics.bytes_received, received);
		poller_set_congested(world->poller, false);
	}
	world_until_done(3);
	for (uint64_t i = 1; i <= 3; i++)
		ck_assert_uint_eq(pattern_size(i), LARGE);
	ck_assert_uint_eq(world->metrics.connections_opened, 1);
}
END_TEST

static bool is_connecting(struct world *w)
{
	return w->metrics.connections_opened == 1;
}

/* curl's own clock for that goes on. */
START_TEST(connecting_begins_anew_after_a_long_hold)
{
	attach_to_front("h2", 100);
	world->config.connect_timeout = 2 * USEC_PER_SEC;
	world_attach();
	kill(front.pid, SIGSTOP);
	world_start(1);
	world_start(2);
	world_until(is_connecting);
	poller_set_congested(world->poller, true);
	world_run_for(4000);
	kill(front.pid, SIGCONT);
	poller_set_congested(world->poller, false);
	world_until_done(2);
	world_expect_result(1, "42");
	world_expect_result(2, "42");
	ck_assert_uint_eq(world->metrics.connections_opened, 2);
	ck_assert_uint_eq(world->metrics.poll_repeats, 0);
}
END_TEST

/* Around the sizes of curl's buffers, all at once, so that their frames stand in each other's way. */
START_TEST(results_of_many_sizes)
{
	static const size_t sizes[] = {2,     100,   16383, 16384, 16385,  32768, 40000,
				       65535, 65536, 99999, 3,     300000, 16386, 1000};
	enum { POLLS = 56 };

	attach_to_front("h2", 100);
	for (int round = 0; round < 5; round++) {
		uint64_t first = (uint64_t)round * POLLS + 1;
		unsigned held = world->n_held;
		size_t sent = 0;

		hold(first, first + POLLS - 1);
		for (unsigned i = held; i < world->n_held; i++) {
			size_t size = sizes[(i + (unsigned)round) % ARRAY_LEN(sizes)];

			answer_pattern(world->held[i], size);
			sent += size;
		}
		world_until_done(world->n_held);
		for (unsigned i = held; i < world->n_done; i++)
			sent -= pattern_size(world->records[i].future);
		ck_assert_uint_eq(sent, 0);
	}
	ck_assert_uint_eq(world->metrics.connections_opened, 1);
}
END_TEST

/* The front takes them all in before it goes on, and so sends them in as few packets as it can. */
START_TEST(answers_in_one_burst)
{
	enum { POLLS = 90 };

	attach_to_front("h2", 100);
	for (int round = 0; round < 10; round++) {
		uint64_t first = (uint64_t)round * POLLS + 1;
		unsigned held = world->n_held;

		hold(first, first + POLLS - 1);
		kill(front.pid, SIGSTOP);
		answer_held(held, world->n_held);
		kill(front.pid, SIGCONT);
		world_until_done(world->n_held);
		for (unsigned i = held; i < world->n_done; i++)
			world_expect_result(world->records[i].future, "42");
	}
	ck_assert_uint_eq(world->metrics.connections_opened, 1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		own_authority,
		wrong_authority_is_refused,
		system_authorities_do_not_know_it,
		wrong_name_is_refused,
		polls_share_connections,
		capacity_follows_connections,
		few_streams_are_no_failure,
		http_1_over_tls,
		server_that_goes_back_to_http_1,
		giving_up_leaves_the_connection,
		broken_stream_is_a_network_error,
		dead_idle_connection,
		death_under_held_polls,
		large_results_side_by_side,
		nothing_is_lost_by_being_held,
		connecting_begins_anew_after_a_long_hold,
		results_of_many_sizes,
		answers_in_one_burst,
	};
	struct world_tests all[] = {{tests, ARRAY_LEN(tests), 1}};

	if (!front_is_possible()) {
		puts("skipped: nghttpx or openssl is missing");
		return 77;
	}
	world_after = teardown;
	return world_main("upstream.tls", all, ARRAY_LEN(all));
}
