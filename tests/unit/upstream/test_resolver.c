/* A name server that does not answer must hold up nobody: neither other endpoints, nor giving up, nor the
 * end. */
#include <stdio.h>
#include <string.h>

#include "stall_resolver.h"
#include "world.h"

#define CONNECT_TIMEOUT USEC_PER_SEC
/* The bound on what must be at once: far below the seconds that a stalled look-up takes, far above a busy
 * machine's hiccups. */
#define AT_ONCE         (500 * USEC_PER_MSEC)

static struct endpoint *stalled;

static void attach_stalled(const char *scheme)
{
	struct config_endpoint config = world->config;
	char base_url[64], name[] = "stalled", *message = NULL;

	snprintf(base_url, sizeof(base_url), "%s://tinker.stalled/x", scheme);
	config.name = name;
	config.base_url = base_url;
	config.connect_timeout = CONNECT_TIMEOUT;
	stalled = endpoint_new("stalled", PROFILE_GUIDE);
	ck_assert_int_eq(world_try_attach(stalled, &config, &message), 0);
}

static void start_stalled(uint64_t future)
{
	struct poll_request request = world_request(future);

	request.endpoint = stalled;
	ck_assert(poller_start(world->poller, &request));
}

static bool lookup_stuck(struct world *w)
{
	return stall_waiting() >= w->wanted;
}

static void teardown(void)
{
	poller_free(world->poller);
	world->poller = NULL;
	endpoint_free(stalled);
	stall_release();
}

START_TEST(others_go_on)
{
	attach_stalled("http");
	start_stalled(1000);
	world->wanted = 1;
	world_until(lookup_stuck);
	loop_longest_turn(world->loop, true);
	for (unsigned i = 1; i <= 20; i++) {
		world_start(i);
		world_until_done(i);
		world_expect_result(i, "42");
	}
	/* And the stuck one ends by the connect timeout. */
	world_until_done(21);
	world_expect_kind(1000, OUTCOME_NETWORK);
	ck_assert_uint_eq(stall_waiting(), 1);
	ck_assert_int_lt(loop_longest_turn(world->loop, false), AT_ONCE);
}
END_TEST

START_TEST(abort_is_at_once)
{
	int64_t begun;

	attach_stalled("http");
	start_stalled(1);
	world->wanted = 1;
	world_until(lookup_stuck);
	begun = world_now_ms();
	ck_assert(poller_abort(world->poller, 1));
	ck_assert_int_lt((world_now_ms() - begun) * USEC_PER_MSEC, AT_ONCE);
	ck_assert_uint_eq(stall_waiting(), 1);
}
END_TEST

START_TEST(the_end_is_at_once)
{
	int64_t begun;

	attach_stalled(_i ? "https" : "http");
	for (uint64_t i = 1; i <= 5; i++)
		start_stalled(i);
	world->wanted = 1;
	world_until(lookup_stuck);
	begun = world_now_ms();
	poller_free(world->poller);
	world->poller = NULL;
	ck_assert_int_lt((world_now_ms() - begun) * USEC_PER_MSEC, AT_ONCE);
	ck_assert_uint_ge(stall_waiting(), 1);
}
END_TEST

/* Over TLS curl lets polls wait for the one that makes the connection; each would have its own time in turn.
 */
START_TEST(those_behind_do_not_wait_in_turn)
{
	int64_t begun = world_now_ms();

	attach_stalled(_i ? "https" : "http");
	for (uint64_t i = 1; i <= 8; i++)
		start_stalled(i);
	world_until_done(8);
	for (uint64_t i = 1; i <= 8; i++)
		world_expect_kind(i, OUTCOME_NETWORK);
	ck_assert_int_lt((world_now_ms() - begun) * USEC_PER_MSEC, 6 * CONNECT_TIMEOUT);
	ck_assert_uint_eq(world->n_sent, 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {others_go_on, abort_is_at_once};
	const TTest *const both_ways[] = {the_end_is_at_once, those_behind_do_not_wait_in_turn};
	struct world_tests all[] = {{tests, ARRAY_LEN(tests), 1}, {both_ways, ARRAY_LEN(both_ways), 2}};

	world_after = teardown;
	return world_main("upstream.resolver", all, ARRAY_LEN(all));
}
