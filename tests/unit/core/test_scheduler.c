/* Gates with their probes, slots and turns, the byte budget, and the rules that no conformance vector covers.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/attributes.h"
#include "world.h"

static struct world *world;

static void setup(void)
{
	world = world_new(PROFILE_DURABLE);
}

static void teardown(void)
{
	world = world_free(world);
}

#define NEVER_ANSWERS                                                                                        \
	{                                                                                                    \
		.held = TIME_NEVER                                                                           \
	}
#define HELD(seconds, text)                                                                                  \
	{                                                                                                    \
		.body = text, .held = SEC(seconds)                                                           \
	}

static const char *name(char *out, const char *prefix, int i)
{
	sprintf(out, "%s%d", prefix, i);
	return out;
}

/* Registers prefix0 … prefix<n-1> for a uid, all with the same repeated answer. */
static void register_many(uid_t uid, const char *prefix, int n, struct scripted answer)
{
	for (int i = 0; i < n; i++) {
		char id[24];

		world_script(world, name(id, prefix, i), true, &answer, 1);
		world_register(world, uid, id, NULL);
	}
}

START_TEST(one_probe_goes_out_and_opens_the_gate_for_all)
{
	struct registration *last = NULL;
	char id[24];

	SCRIPT(world, "x0", REFUSED, REFUSED, HELD(0, "1"));
	world_register(world, ME, "x0", NULL);
	world_turn(world);
	ck_assert_int_eq(world->endpoints[0]->gate.cause, GATE_NETWORK);
	for (int i = 1; i < 20; i++) {
		SCRIPT(world, name(id, "x", i), HELD(0, "1"));
		last = world_register(world, ME, id, NULL);
	}
	world_run_until(world, world->now + MS(999));
	ck_assert_uint_eq(world->n_polls, 1);
	ck_assert_int_eq(scheduler_why(world->scheduler, last->future), WAITING_GATE);
	world_run_until(world, world->now + MS(1));
	ck_assert_uint_eq(world->n_polls, 2);
	ck_assert(world_run_to_end(world, last, SEC(60)));
	ck_assert_uint_eq(world->n_polls, 22);
	ck_assert_int_eq(world->now, SEC(1003));
	ck_assert_uint_eq(world_event_count(world, EVENT_ENDPOINT, NULL), 3);
}
END_TEST

START_TEST(failures_of_polls_that_left_before_the_gate_closed_count_once)
{
	register_many(ME, "x", 50, (struct scripted)REFUSED);
	world_turn(world);
	ck_assert_uint_eq(world->n_polls, 50);
	ck_assert_uint_eq(world->endpoints[0]->gate.counts[GATE_NETWORK], 1);
	ck_assert_int_eq(world->endpoints[0]->gate.until, world->now + SEC(1));
	world_run_until(world, world->now + SEC(1));
	ck_assert_uint_eq(world->n_polls, 51);
	ck_assert_uint_eq(world->endpoints[0]->gate.counts[GATE_NETWORK], 2);
}
END_TEST

START_TEST(a_probe_held_for_a_second_opens_the_gate)
{
	SCRIPT(world, "a", REFUSED, HELD(40, "1"));
	SCRIPT(world, "b", HELD(0, "2"));
	world_register(world, ME, "a", NULL);
	world_turn(world);
	world_register(world, ME, "b", NULL);
	world_run_until(world, SEC(1000) + MS(1999));
	ck_assert_uint_eq(world_poll_count(world, "b"), 0);
	world_run_until(world, SEC(1002));
	ck_assert_uint_eq(world_poll_count(world, "b"), 1);
	ck_assert_int_eq(world->endpoints[0]->gate.cause, GATE_NONE);
}
END_TEST

START_TEST(a_probe_that_is_cancelled_makes_room_for_the_next)
{
	struct registration *a, *b;

	SCRIPT(world, "a", REFUSED, NEVER_ANSWERS);
	SCRIPT(world, "b", HELD(0, "2"));
	a = world_register(world, ME, "a", NULL);
	world_turn(world);
	b = world_register(world, ME, "b", NULL);
	world_run_until(world, SEC(1001) + MS(500));
	ck_assert_uint_eq(world->endpoints[0]->gate.probe, a->future->id);
	registry_cancel(world->registry, a, 0);
	ck_assert(world_run_to_end(world, b, SEC(1)));
	ck_assert_int_eq(world->now, SEC(1001) + MS(500));
	ck_assert_int_eq(world->endpoints[0]->gate.cause, GATE_NONE);
}
END_TEST

START_TEST(a_good_answer_that_left_before_the_gate_closed_does_not_open_it)
{
	SCRIPT(world, "early", HELD(1, "1"));
	SCRIPT_REPEAT(world, "limited", {.status = 429, .retry_after = "30"});
	world_register(world, ME, "early", NULL);
	world_register(world, ME, "limited", NULL);
	world_run_until(world, world->now + SEC(2));
	ck_assert_int_eq(world->endpoints[0]->gate.cause, GATE_RATE_LIMITED);
	ck_assert_int_eq(world->endpoints[0]->gate.until, SEC(1030));
}
END_TEST

START_TEST(a_later_refusal_may_ask_for_more_time)
{
	SCRIPT(world, "a", {.status = 429, .retry_after = "2", .held = MS(10)}, BODY("1"));
	SCRIPT(world, "b", {.status = 429, .retry_after_ms = "9000", .held = MS(20)}, BODY("1"));
	world_register(world, ME, "a", NULL);
	world_register(world, ME, "b", NULL);
	world_run_until(world, world->now + SEC(60));
	ck_assert_int_eq(world_poll(world, "a", 1)->start, SEC(1009) + MS(20));
}
END_TEST

START_TEST(more_time_asked_for_while_a_probe_is_out_is_kept_when_the_probe_is_lost)
{
	struct registration *probe, *waiting;

	SCRIPT(world, "probe", {.status = 429, .retry_after = "2"}, NEVER_ANSWERS);
	SCRIPT(world, "late", {.status = 429, .retry_after = "30", .held = MS(2500)}, BODY("1"));
	SCRIPT(world, "waiting", BODY("1"));
	probe = world_register(world, ME, "probe", NULL);
	world_register(world, ME, "late", NULL);
	world_turn(world);
	waiting = world_register(world, ME, "waiting", NULL);
	world_run_until(world, SEC(1002) + MS(600));
	ck_assert_uint_eq(world->endpoints[0]->gate.probe, probe->future->id);
	registry_cancel(world->registry, probe, 0);
	world_run_until(world, SEC(1032));
	ck_assert_uint_eq(world_poll_count(world, "waiting"), 0);
	ck_assert(world_run_to_end(world, waiting, SEC(1)));
	ck_assert_int_eq(world->now, SEC(1032) + MS(500));
}
END_TEST

START_TEST(retry_after_is_capped)
{
	SCRIPT(world, "a", {.status = 429, .retry_after = "86400"}, BODY("1"));
	world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(601));
	ck_assert_int_eq(world_slept(world, "a", 0), SEC(600));
}
END_TEST

START_TEST(without_retry_after_the_gate_backs_off)
{
#define LIMITED STATUS(429, "")
	SCRIPT(world, "a", LIMITED, LIMITED, LIMITED, BODY("1"));
	ck_assert(world_run_to_end(world, world_register(world, ME, "a", NULL), SEC(60)));
	ck_assert_int_eq(world_slept(world, "a", 0), SEC(1));
	ck_assert_int_eq(world_slept(world, "a", 1), SEC(2));
	ck_assert_int_eq(world_slept(world, "a", 2), SEC(4));
}
END_TEST

START_TEST(endpoints_have_gates_of_their_own)
{
	struct endpoint *other = world_endpoint(world, "other", PROFILE_DURABLE);
	struct registration *registration;

	SCRIPT_REPEAT(world, "a", REFUSED);
	SCRIPT(world, "b", BODY("1"));
	world_register(world, ME, "a", NULL);
	world_turn(world);
	registration = world_register_at(world, other, ME, "b", NULL);
	ck_assert(world_run_to_end(world, registration, MS(1)));
}
END_TEST

START_TEST(on_network_error_is_each_stake_s_own)
{
	struct registration_options fail = {.has = {.on_network_error = true},
					    .on_network_error = ON_FAILURE_FAIL};
	struct registration *failing, *lasting;

	SCRIPT(world, "a", REFUSED, BODY("1"));
	failing = world_register(world, ME, "a", &fail);
	lasting = world_register(world, SOMEONE, "a", NULL);
	ck_assert(world_run_to_end(world, lasting, SEC(60)));
	ck_assert(lasting->result->ok);
	ck_assert_int_eq(failing->result->error->type, ERROR_NETWORK);
}
END_TEST

START_TEST(server_failures_are_retried_for_the_grace_or_by_the_stake_s_own_word)
{
	struct registration_options retry = {.has = {.on_server_failure = true},
					     .on_server_failure = ON_FAILURE_RETRY};
	struct registration_options fail = {.has = {.on_server_failure = true},
					    .on_server_failure = ON_FAILURE_FAIL};
	struct registration *by_default, *retrying, *failing;

	SCRIPT_REPEAT(world, "a", BODY("{\"status\":\"failed\",\"error\":\"x\",\"category\":\"server\"}"));
	by_default = world_register(world, ME, "a", NULL);
	retrying = world_register(world, SOMEONE, "a", &retry);
	failing = world_register(world, SOMEONE + 1, "a", &fail);
	world_run_until(world, world->now + MS(1));
	ck_assert_int_eq(failing->result->error->type, ERROR_REQUEST_FAILED);
	world_run_until(world, SEC(1599));
	ck_assert_int_eq(by_default->phase, REGISTRATION_LIVE);
	world_run_until(world, SEC(1640));
	ck_assert_int_eq(by_default->phase, REGISTRATION_ENDED);
	ck_assert_int_eq(by_default->result->error->type, ERROR_REQUEST_FAILED);
	ck_assert_int_eq(retrying->phase, REGISTRATION_LIVE);
}
END_TEST

START_TEST(an_unauthorised_endpoint_holds_probes_and_gives_up_after_its_grace)
{
	struct registration *a, *b;

	SCRIPT_REPEAT(world, "a", STATUS(401, "{}"));
	SCRIPT_REPEAT(world, "b", STATUS(401, "{}"));
	a = world_register(world, ME, "a", NULL);
	b = world_register(world, ME, "b", NULL);
	world_run_until(world, world->now + SEC(1));
	ck_assert_int_eq(world->endpoints[0]->gate.cause, GATE_UNAUTHORISED);
	ck_assert_uint_eq(world->n_polls, 2);
	world_run_until(world, SEC(1000) + SEC(599));
	ck_assert_uint_eq(world->n_polls, 2 + 19);
	ck_assert_int_eq(a->phase, REGISTRATION_LIVE);
	world_run_until(world, SEC(1000) + SEC(631));
	ck_assert_int_eq(a->phase, REGISTRATION_ENDED);
	ck_assert_int_eq(b->phase, REGISTRATION_ENDED);
	ck_assert_uint_eq(b->result->error->status, 401);
}
END_TEST

START_TEST(a_network_error_is_no_answer_that_would_prolong_a_grace)
{
	struct registration *registration;

	SCRIPT_REPEAT(world, "a", STATUS(401, "{}"), STATUS(401, "{}"), REFUSED, STATUS(401, "{}"));
	registration = world_register(world, ME, "a", NULL);
	ck_assert(world_run_to_end(world, registration, SEC(640)));
	ck_assert_uint_eq(registration->result->error->status, 401);
	ck_assert_int_ge(world->now, SEC(1000) + SEC(600));
}
END_TEST

START_TEST(a_changed_key_is_tried_at_once)
{
	SCRIPT(world, "a", {.status = 401, .body = "{}", .key_changed = true}, STATUS(401, "{}"), BODY("1"));
	world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(5));
	ck_assert_uint_eq(world->n_polls, 2);
	ck_assert_int_eq(world_slept(world, "a", 0), 0);
	scheduler_key_changed(world->scheduler, world->endpoints[0], true, world->now);
	world_turn(world);
	ck_assert_uint_eq(world->n_polls, 3);
	ck_assert_int_eq(world->endpoints[0]->gate.cause, GATE_NONE);
}
END_TEST

START_TEST(without_a_key_nothing_is_polled)
{
	struct registration *registration;

	SCRIPT(world, "a", BODY("1"));
	scheduler_key_changed(world->scheduler, world->endpoints[0], false, world->now);
	registration = world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(3600));
	ck_assert_uint_eq(world->n_polls, 0);
	ck_assert_int_eq(scheduler_why(world->scheduler, registration->future), WAITING_NO_KEY);
	scheduler_key_changed(world->scheduler, world->endpoints[0], true, world->now);
	ck_assert(world_run_to_end(world, registration, SEC(1)));
}
END_TEST

START_TEST(payment_required_ends_after_an_hour)
{
	struct registration *registration;

	SCRIPT_REPEAT(world, "a", STATUS(402, "{}"));
	registration = world_register(world, ME, "a", NULL);
	ck_assert(!world_run_to_end(world, registration, SEC(3599)));
	ck_assert(world_run_to_end(world, registration, SEC(10)));
	ck_assert_uint_eq(registration->result->error->status, 402);
}
END_TEST

START_TEST(server_errors_back_off_by_their_row_and_a_good_answer_resets)
{
	SCRIPT(world, "a", STATUS(500, ""), STATUS(502, ""), STATUS(503, ""), PENDING, STATUS(500, ""),
	       BODY("1"));
	ck_assert(world_run_to_end(world, world_register(world, ME, "a", NULL), SEC(600)));
	ck_assert_int_eq(world_slept(world, "a", 0), SEC(1));
	ck_assert_int_eq(world_slept(world, "a", 1), SEC(2));
	ck_assert_int_eq(world_slept(world, "a", 2), SEC(4));
	ck_assert_int_eq(world_slept(world, "a", 4), SEC(1));
}
END_TEST

START_TEST(a_known_request_that_is_not_found_is_lost)
{
	struct registration *registration;

	SCRIPT(world, "a", PENDING, STATUS(404, "{\"detail\":\"Future not found\"}"));
	registration = world_register(world, ME, "a", NULL);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert_ptr_nonnull(strstr(registration->result->error->data, "\"reason\":\"lost\""));
}
END_TEST

START_TEST(a_held_poll_without_an_answer_is_followed_at_once)
{
	struct registration_options options = {.has = {.http_timeout = true}, .http_timeout = SEC(20)};
	struct registration *registration;

	SCRIPT(world, "a", NEVER_ANSWERS, NEVER_ANSWERS, BODY("1"));
	registration = world_register(world, ME, "a", &options);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert_int_eq(world->now, SEC(1040));
	ck_assert_uint_eq(world->metrics.outcomes[OUTCOME_NO_ANSWER], 2);
	ck_assert_uint_eq(world->metrics.gate_closed, 0);
}
END_TEST

START_TEST(quick_answers_are_paced_and_a_held_one_resets)
{
	teardown();
	world = world_new(PROFILE_SDK);
	SCRIPT(world, "a", PENDING, PENDING, HELD(2, "{\"status\":\"pending\"}"), PENDING, BODY("1"));
	ck_assert(world_run_to_end(world, world_register(world, ME, "a", NULL), SEC(60)));
	ck_assert_int_eq(world_slept(world, "a", 0), SEC(1));
	ck_assert_int_eq(world_slept(world, "a", 1), SEC(2));
	ck_assert_int_eq(world_slept(world, "a", 2), 0);
	ck_assert_int_eq(world_slept(world, "a", 3), SEC(1));
}
END_TEST

START_TEST(timeouts_and_backoff_come_from_all_stakes)
{
	struct registration_options one = {
		.has = {.http_timeout = true, .backoff_initial = true, .backoff_max = true},
		.http_timeout = SEC(5),
		.backoff_initial = MS(200),
		.backoff_max = SEC(8)};
	struct registration_options two = {.has = {.http_timeout = true, .backoff_max = true},
					   .http_timeout = SEC(7),
					   .backoff_max = MS(300)};
	struct registration *registration;

	SCRIPT(world, "a", PENDING, PENDING, PENDING, NEVER_ANSWERS, BODY("1"));
	registration = world_register(world, ME, "a", &one);
	world_register(world, SOMEONE, "a", &two);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert_int_eq(world_slept(world, "a", 0), MS(200));
	ck_assert_int_eq(world_slept(world, "a", 1), MS(300));
	ck_assert_int_eq(world_poll(world, "a", 3)->end - world_poll(world, "a", 3)->start, SEC(7));
}
END_TEST

START_TEST(no_delay_is_shorter_than_the_endpoint_s_least)
{
	struct registration_options none = {.has = {.backoff_initial = true, .backoff_max = true}};

	world->endpoints[0]->policy.backoff_min = MS(100);
	SCRIPT(world, "a", PENDING, BODY("{\"type\":\"try_again\",\"retry_after_ms\":0}"), BODY("1"));
	ck_assert(world_run_to_end(world, world_register(world, ME, "a", &none), SEC(60)));
	ck_assert_int_eq(world_slept(world, "a", 0), MS(100));
	ck_assert_int_eq(world_slept(world, "a", 1), MS(100));
}
END_TEST

/* Until the end of the turn in which it is due. */
START_TEST(what_goes_out_next_is_scheduled)
{
	struct registration *registration;

	SCRIPT(world, "a", HELD(1, "1"));
	registration = world_register(world, ME, "a", NULL);
	registry_settle(world->registry, world->ticket, true, world->now);
	ck_assert_int_eq(registration->phase, REGISTRATION_LIVE);
	ck_assert_int_eq(scheduler_state(world->scheduler, registration), FUTURE_SCHEDULED);
	ck_assert_int_eq(scheduler_why(world->scheduler, registration->future), WAITING_FOR_NOTHING);
	scheduler_run(world->scheduler, world->now);
	ck_assert_int_eq(scheduler_state(world->scheduler, registration), FUTURE_POLLING);
}
END_TEST

START_TEST(never_more_than_max_in_flight)
{
	world->endpoints[0]->limits.max_in_flight = 7;
	world->endpoints[0]->capacity = 1000;
	register_many(ME, "x", 40, (struct scripted)HELD(1, "1"));
	world_run_until(world, world->now + MS(1));
	ck_assert_uint_eq(world->endpoints[0]->in_flight, 7);
	ck_assert_int_eq(
		scheduler_why(world->scheduler,
			      registry_find(world->registry, ME, world->endpoints[0], "x39")->future),
		WAITING_IN_FLIGHT_LIMIT);
	ck_assert_int_eq(scheduler_state(world->scheduler,
					 registry_find(world->registry, ME, world->endpoints[0], "x39")),
			 FUTURE_BLOCKED);
	world_run_until(world, world->now + SEC(60));
	ck_assert_uint_eq(world->max_in_flight, 7);
	ck_assert_uint_eq(world->metrics.outcomes[OUTCOME_COMPLETED], 40);
	ck_assert_uint_eq(world->overlaps, 0);
}
END_TEST

START_TEST(connections_bound_it_too)
{
	world->endpoints[0]->capacity = 3;
	register_many(ME, "x", 10, (struct scripted)HELD(1, "1"));
	world_run_until(world, world->now + SEC(60));
	ck_assert_uint_eq(world->max_in_flight, 3);
}
END_TEST

START_TEST(uids_are_served_in_turn)
{
	world->endpoints[0]->limits.max_in_flight = 1;
	register_many(ME, "many", 30, (struct scripted)HELD(1, "1"));
	world_run_until(world, world->now + MS(1));
	register_many(SOMEONE, "few", 3, (struct scripted)HELD(1, "1"));
	world_run_until(world, world->now + SEC(8));
	ck_assert_uint_eq(world_poll_count(world, "few0"), 1);
	ck_assert_uint_eq(world_poll_count(world, "few1"), 1);
	ck_assert_uint_eq(world_poll_count(world, "few2"), 1);
}
END_TEST

START_TEST(uids_take_turns_for_the_byte_budget_too)
{
	char id[24];

	world->scheduler->budget.limit = 100;
	for (int i = 0; i < 6; i++) {
		SCRIPT(world, name(id, i < 5 ? "many" : "few", i),
		       BODY("{\"status\":\"complete_metadata\",\"response_payload_size\":100}"),
		       HELD(1, "1"));
		world_register(world, i < 5 ? ME : SOMEONE, id, NULL);
	}
	world_run_until(world, world->now + MS(2500));
	ck_assert_uint_eq(world_poll_count(world, "few5"), 2);
	ck_assert_uint_eq(world->max_in_flight, 6);
	world_run_until(world, world->now + SEC(60));
	ck_assert_uint_eq(world->metrics.outcomes[OUTCOME_COMPLETED], 6);
	ck_assert_uint_eq(world->scheduler->budget.used, 0);
}
END_TEST

START_TEST(the_budget_is_given_back_by_failures_and_cancels)
{
	struct registration *a, *b;

	world->scheduler->budget.limit = 100;
	SCRIPT(world, "a", BODY("{\"status\":\"complete_metadata\",\"response_payload_size\":100}"),
	       STATUS(500, ""), NEVER_ANSWERS);
	SCRIPT(world, "b", BODY("{\"status\":\"complete_metadata\",\"response_payload_size\":100}"),
	       BODY("1"));
	a = world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + MS(1500));
	ck_assert_uint_eq(world->scheduler->budget.used, 100);
	b = world_register(world, ME, "b", NULL);
	world_run_until(world, world->now + MS(1));
	ck_assert_int_eq(scheduler_why(world->scheduler, b->future), WAITING_BYTE_BUDGET);
	registry_cancel(world->registry, a, 0);
	ck_assert(world_run_to_end(world, b, SEC(1)));
	ck_assert_uint_eq(world->scheduler->budget.used, 0);
}
END_TEST

START_TEST(size_announced_twice_is_an_end)
{
	struct registration *registration;

	SCRIPT_REPEAT(world, "a", BODY("{\"status\":\"complete_metadata\",\"response_payload_size\":5}"));
	registration = world_register(world, ME, "a", NULL);
	ck_assert(world_run_to_end(world, registration, SEC(1)));
	ck_assert_int_eq(registration->result->error->type, ERROR_VALIDATION);
	ck_assert_uint_eq(world->n_polls, 2);
}
END_TEST

START_TEST(no_poll_starts_while_results_cannot_be_kept)
{
	struct registration *registration;

	SCRIPT(world, "a", BODY("1"));
	world->scheduler->storage_stopped = true;
	registration = world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(10));
	ck_assert_uint_eq(world->n_polls, 0);
	ck_assert_int_eq(scheduler_why(world->scheduler, registration->future), WAITING_STORAGE);
	world->scheduler->storage_stopped = false;
	ck_assert(world_run_to_end(world, registration, SEC(1)));
}
END_TEST

START_TEST(an_endpoint_that_is_gone_keeps_its_futures_waiting)
{
	struct registration *registration;

	SCRIPT(world, "a", BODY("1"));
	world->endpoints[0]->missing = true;
	registration = world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(10));
	ck_assert_int_eq(scheduler_why(world->scheduler, registration->future), WAITING_ENDPOINT_MISSING);
	world->endpoints[0]->missing = false;
	ck_assert(world_run_to_end(world, registration, SEC(1)));
}
END_TEST

START_TEST(stopping_aborts_what_has_no_answer_yet)
{
	SCRIPT(world, "a", NEVER_ANSWERS);
	SCRIPT(world, "b", HELD(2, "1"));
	world_register(world, ME, "a", NULL);
	world_register(world, ME, "b", NULL);
	world_run_until(world, world->now + SEC(1));
	world->polls[1].begun = true;
	scheduler_stop(world->scheduler, world->now);
	world_run_until(world, world->now + SEC(60));
	ck_assert(world_poll(world, "a", 0)->aborted);
	ck_assert(registry_find(world->registry, ME, world->endpoints[0], "b")->result->ok);
	ck_assert_uint_eq(world->n_polls, 2);
}
END_TEST

START_TEST(queue_states_are_announced_when_they_change)
{
#define PAUSED(state, reason)                                                                                \
	{                                                                                                    \
		.body = "{\"type\":\"try_again\",\"queue_state\":\"" state                                   \
			"\",\"queue_state_reason\":" reason ",\"retry_after_ms\":1000}"                      \
	}
	struct registration_options train = {.has = {.request_type = true},
					     .request_type = "ForwardBackward"};

	SCRIPT(world, "a", PAUSED("active", "null"), PAUSED("ACTIVE ", "null"),
	       PAUSED("paused_rate_limit", "null"), PAUSED("paused_rate_limit", "\"other\""),
	       PAUSED("paused_rate_limit", "\"other\""), PAUSED("novel", "null"),
	       PAUSED("paused_capacity", "\"\""), BODY("1"));
	ck_assert(world_run_to_end(world, world_register(world, ME, "a", &train), SEC(60)));
	ck_assert_uint_eq(world_event_count(world, EVENT_QUEUE_STATE, "a"), 5);
	ck_assert_str_eq(world_event(world, EVENT_QUEUE_STATE, 1)->reason,
			 "concurrent training clients rate limit hit");
	ck_assert_str_eq(world_event(world, EVENT_QUEUE_STATE, 2)->reason, "other");
	ck_assert_int_eq(world_event(world, EVENT_QUEUE_STATE, 3)->state, QUEUE_UNKNOWN);
	ck_assert_int_eq(world_event(world, EVENT_QUEUE_STATE, 4)->state, QUEUE_PAUSED_CAPACITY);
}
END_TEST

START_TEST(counts_by_state_agree_with_what_there_is)
{
	register_many(ME, "held", 5, (struct scripted)HELD(1000, "1"));
	register_many(ME, "pending", 7, (struct scripted)PENDING);
	register_many(SOMEONE, "done", 3, (struct scripted)BODY("1"));
	register_many(SOMEONE, "bad", 2, (struct scripted)BODY("nope"));
	world_run_until(world, world->now + MS(10));
	ck_assert_uint_eq(world->registry->census.by_state[FUTURE_POLLING], 5);
	ck_assert_uint_eq(world->registry->census.by_state[FUTURE_SCHEDULED], 7);
	ck_assert_uint_eq(world->registry->census.by_state[FUTURE_COMPLETED], 3);
	ck_assert_uint_eq(world->registry->census.by_state[FUTURE_FAILED], 2);
	ck_assert_uint_eq(world->endpoints[0]->futures, 12);
	ck_assert_uint_eq(world->registry->live, 12);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("scheduler");
	TCase *tcase = tcase_create("polling");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, one_probe_goes_out_and_opens_the_gate_for_all);
	tcase_add_test(tcase, failures_of_polls_that_left_before_the_gate_closed_count_once);
	tcase_add_test(tcase, a_probe_held_for_a_second_opens_the_gate);
	tcase_add_test(tcase, a_probe_that_is_cancelled_makes_room_for_the_next);
	tcase_add_test(tcase, a_good_answer_that_left_before_the_gate_closed_does_not_open_it);
	tcase_add_test(tcase, a_later_refusal_may_ask_for_more_time);
	tcase_add_test(tcase, more_time_asked_for_while_a_probe_is_out_is_kept_when_the_probe_is_lost);
	tcase_add_test(tcase, retry_after_is_capped);
	tcase_add_test(tcase, without_retry_after_the_gate_backs_off);
	tcase_add_test(tcase, endpoints_have_gates_of_their_own);
	tcase_add_test(tcase, on_network_error_is_each_stake_s_own);
	tcase_add_test(tcase, server_failures_are_retried_for_the_grace_or_by_the_stake_s_own_word);
	tcase_add_test(tcase, an_unauthorised_endpoint_holds_probes_and_gives_up_after_its_grace);
	tcase_add_test(tcase, a_network_error_is_no_answer_that_would_prolong_a_grace);
	tcase_add_test(tcase, a_changed_key_is_tried_at_once);
	tcase_add_test(tcase, without_a_key_nothing_is_polled);
	tcase_add_test(tcase, payment_required_ends_after_an_hour);
	tcase_add_test(tcase, server_errors_back_off_by_their_row_and_a_good_answer_resets);
	tcase_add_test(tcase, a_known_request_that_is_not_found_is_lost);
	tcase_add_test(tcase, a_held_poll_without_an_answer_is_followed_at_once);
	tcase_add_test(tcase, quick_answers_are_paced_and_a_held_one_resets);
	tcase_add_test(tcase, timeouts_and_backoff_come_from_all_stakes);
	tcase_add_test(tcase, no_delay_is_shorter_than_the_endpoint_s_least);
	tcase_add_test(tcase, what_goes_out_next_is_scheduled);
	tcase_add_test(tcase, never_more_than_max_in_flight);
	tcase_add_test(tcase, connections_bound_it_too);
	tcase_add_test(tcase, uids_are_served_in_turn);
	tcase_add_test(tcase, uids_take_turns_for_the_byte_budget_too);
	tcase_add_test(tcase, the_budget_is_given_back_by_failures_and_cancels);
	tcase_add_test(tcase, size_announced_twice_is_an_end);
	tcase_add_test(tcase, no_poll_starts_while_results_cannot_be_kept);
	tcase_add_test(tcase, an_endpoint_that_is_gone_keeps_its_futures_waiting);
	tcase_add_test(tcase, stopping_aborts_what_has_no_answer_yet);
	tcase_add_test(tcase, queue_states_are_announced_when_they_change);
	tcase_add_test(tcase, counts_by_state_agree_with_what_there_is);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
