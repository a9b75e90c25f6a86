/* The byte budget for results that are announced by their size: who holds bytes, for how long, and who may
 * not keep them from others. */
#include <check.h>
#include <stdlib.h>

#include "world.h"

static struct world *world;

static void setup(void)
{
	world = world_new(PROFILE_DURABLE);
	world->scheduler->budget.limit = 100;
}

static void teardown(void)
{
	world = world_free(world);
}

#define LARGE_BODY "{\"status\":\"complete_metadata\",\"response_payload_size\":100}"
#define LARGE      BODY(LARGE_BODY)

START_TEST(another_stake_s_end_leaves_the_bytes_of_a_poll_in_flight_taken)
{
	struct registration *others;

	SCRIPT(world, "a", LARGE, {.body = "1", .held = SEC(10)});
	SCRIPT(world, "b", LARGE, BODY("2"));
	world_register(world, ME, "a", NULL);
	others = world_register(world, SOMEONE, "a", NULL);
	world_run_until(world, world->now + SEC(1));
	ck_assert_uint_eq(world->scheduler->budget.used, 100);
	registry_cancel(world->registry, others, 0);
	world_register(world, ME, "b", NULL);
	world_run_until(world, world->now + SEC(5));
	ck_assert_int_eq(others->phase, REGISTRATION_ENDED);
	ck_assert_uint_eq(world->scheduler->budget.used, 100);
	ck_assert_uint_eq(world_poll_count(world, "b"), 1);
	world_run_until(world, world->now + SEC(60));
	ck_assert_uint_eq(world_poll_count(world, "b"), 2);
	ck_assert_uint_eq(world->scheduler->budget.used, 0);
}
END_TEST

START_TEST(a_restart_before_the_result_is_durable_gives_the_bytes_back)
{
	struct registration_options restart = {.restart_if_ended = true};
	struct registration *registration;
	struct register_answer answer;

	SCRIPT(world, "a", LARGE, {.body = "1", .held = SEC(1)}, BODY("2"));
	registration = world_register(world, ME, "a", NULL);
	world_turn(world);
	world->store_stopped = true;
	world_run_until(world, world->now + SEC(2));
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDING);
	ck_assert_uint_eq(world->scheduler->budget.used, 100);
	ck_assert_int_eq(world_try_register(world, ME, "a", &restart, &answer), PROTO_OK);
	world->store_stopped = false;
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert_uint_eq(world_poll_count(world, "a"), 3);
	ck_assert_uint_eq(world->scheduler->budget.used, 0);
}
END_TEST

/* `a` waits for the bytes of a large result of an endpoint that cannot be polled; `b` is another's. */
static void expect_b_to_end(void)
{
	struct endpoint *other = world_endpoint(world, "other", PROFILE_DURABLE);
	struct registration *b;

	SCRIPT(world, "b", LARGE, BODY("2"));
	b = world_register_at(world, other, ME, "b", NULL);
	ck_assert(world_run_to_end(world, b, SEC(10)));
	ck_assert(b->result->ok);
	ck_assert_uint_eq(world->scheduler->budget.used, 0);
}

START_TEST(an_endpoint_that_is_gone_keeps_no_bytes_from_others)
{
	struct registration *a;

	SCRIPT(world, "a", {.body = LARGE_BODY, .held = SEC(1)}, BODY("1"));
	a = world_register(world, ME, "a", NULL);
	world_turn(world);
	world->endpoints[0]->missing = true;
	world_run_until(world, world->now + SEC(2));
	ck_assert_int_eq(scheduler_why(world->scheduler, a->future), WAITING_ENDPOINT_MISSING);
	expect_b_to_end();
	world->endpoints[0]->missing = false;
	ck_assert(world_run_to_end(world, a, SEC(10)));
	ck_assert(a->result->ok);
	ck_assert_uint_eq(world->scheduler->budget.used, 0);
}
END_TEST

START_TEST(a_closed_gate_keeps_no_bytes_from_others)
{
	struct registration *a;

	SCRIPT(world, "a", {.body = LARGE_BODY, .held = SEC(1)}, BODY("1"));
	SCRIPT(world, "limited", {.status = 429, .retry_after = "60"}, BODY("3"));
	a = world_register(world, ME, "a", NULL);
	world_register(world, ME, "limited", NULL);
	world_run_until(world, world->now + SEC(2));
	ck_assert_int_eq(scheduler_why(world->scheduler, a->future), WAITING_GATE);
	expect_b_to_end();
	ck_assert(world_run_to_end(world, a, SEC(120)));
	ck_assert(a->result->ok);
	ck_assert_uint_eq(world->scheduler->budget.used, 0);
}
END_TEST

/* The bytes were taken while the endpoint could still be polled, and all its slots were in use. */
START_TEST(bytes_taken_before_the_gate_closed_are_given_back)
{
	struct registration *a;

	world->endpoints[0]->limits.max_in_flight = 1;
	SCRIPT(world, "a", LARGE, BODY("1"));
	SCRIPT(world, "limited", {.status = 429, .retry_after = "60", .held = SEC(2)}, BODY("3"));
	a = world_register(world, ME, "a", NULL);
	world_register(world, ME, "limited", NULL);
	world_run_until(world, world->now + SEC(1));
	ck_assert_uint_eq(world->scheduler->budget.used, 100);
	world_run_until(world, world->now + SEC(2));
	ck_assert_int_eq(world->endpoints[0]->gate.cause, GATE_RATE_LIMITED);
	expect_b_to_end();
	ck_assert(world_run_to_end(world, a, SEC(120)));
	ck_assert(a->result->ok);
	ck_assert_uint_eq(world->scheduler->budget.used, 0);
}
END_TEST

START_TEST(bytes_taken_before_an_endpoint_went_are_given_back)
{
	struct registration *a;

	world->endpoints[0]->limits.max_in_flight = 1;
	SCRIPT(world, "a", LARGE, BODY("1"));
	SCRIPT(world, "held", {.body = "3", .held = SEC(2)});
	a = world_register(world, ME, "a", NULL);
	world_register(world, ME, "held", NULL);
	world_run_until(world, world->now + SEC(1));
	ck_assert_uint_eq(world->scheduler->budget.used, 100);
	world->endpoints[0]->missing = true;
	scheduler_set_endpoints(world->scheduler, world->endpoints, world->n_endpoints);
	expect_b_to_end();
	world->endpoints[0]->missing = false;
	ck_assert(world_run_to_end(world, a, SEC(10)));
	ck_assert(a->result->ok);
	ck_assert_uint_eq(world->scheduler->budget.used, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("budget");
	TCase *tcase = tcase_create("bytes");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, another_stake_s_end_leaves_the_bytes_of_a_poll_in_flight_taken);
	tcase_add_test(tcase, a_restart_before_the_result_is_durable_gives_the_bytes_back);
	tcase_add_test(tcase, an_endpoint_that_is_gone_keeps_no_bytes_from_others);
	tcase_add_test(tcase, a_closed_gate_keeps_no_bytes_from_others);
	tcase_add_test(tcase, bytes_taken_before_the_gate_closed_are_given_back);
	tcase_add_test(tcase, bytes_taken_before_an_endpoint_went_are_given_back);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
