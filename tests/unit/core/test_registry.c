/* Registrations: who shares what, what registering again changes, what ends a stake, and what survives a
 * store that fails. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/metadata.h"
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

static struct registration *find(uid_t uid, const char *request_id)
{
	return registry_find(world->registry, uid, world->endpoints[0], request_id);
}

START_TEST(two_uids_share_one_polling_and_each_gets_the_result)
{
	struct registration *mine, *others;

	SCRIPT(world, "a", {.body = "1", .held = SEC(5)});
	mine = world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(1));
	others = world_register(world, SOMEONE, "a", NULL);
	ck_assert_ptr_eq(mine->future, others->future);
	ck_assert(world_run_to_end(world, mine, SEC(60)));
	ck_assert_int_eq(others->phase, REGISTRATION_ENDED);
	ck_assert_ptr_eq(mine->result, others->result);
	ck_assert_uint_eq(world_poll_count(world, "a"), 1);
}
END_TEST

START_TEST(a_late_comer_gets_the_result_without_another_poll)
{
	struct registration *late;

	SCRIPT(world, "a", BODY("1"));
	ck_assert(world_run_to_end(world, world_register(world, ME, "a", NULL), SEC(60)));
	late = world_register(world, SOMEONE, "a", NULL);
	ck_assert_int_eq(late->phase, REGISTRATION_ENDING);
	ck_assert(world_run_to_end(world, late, SEC(60)));
	ck_assert(late->result->ok);
	ck_assert_uint_eq(world_poll_count(world, "a"), 1);
	ck_assert_uint_eq(world_event_count(world, EVENT_REGISTERED, "a"), 2);
	ck_assert_uint_eq(world_event_count(world, EVENT_COMPLETED, "a"), 2);
}
END_TEST

START_TEST(nothing_is_polled_before_it_is_durable)
{
	world->store_stopped = true;
	world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(60));
	ck_assert_uint_eq(world->n_polls, 0);
	ck_assert_int_eq(registration_state(find(ME, "a")), FUTURE_SCHEDULED);
}
END_TEST

START_TEST(nobody_hears_of_a_result_before_it_is_durable)
{
	struct registration *registration;

	SCRIPT(world, "a", {.body = "1", .held = SEC(1)});
	registration = world_register(world, ME, "a", NULL);
	world_turn(world);
	world->store_stopped = true;
	world_run_until(world, world->now + SEC(60));
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDING);
	ck_assert_int_eq(registration_state(registration), FUTURE_BLOCKED);
	ck_assert_int_eq(scheduler_why(world->scheduler, registration->future), WAITING_STORAGE);
	ck_assert_uint_eq(world_event_count(world, EVENT_COMPLETED, "a"), 0);
	world->store_stopped = false;
	world_turn(world);
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDED);
	ck_assert_uint_eq(world_event_count(world, EVENT_COMPLETED, "a"), 1);
}
END_TEST

START_TEST(what_could_not_be_stored_is_not_registered)
{
	world->store_fails = true;
	world_register(world, ME, "a", NULL);
	world_turn(world);
	ck_assert_ptr_null(find(ME, "a"));
	ck_assert_uint_eq(world->n_polls, 0);
	ck_assert_uint_eq(world->registry->futures_by_id.count, 0);
}
END_TEST

START_TEST(a_failed_acknowledgement_keeps_the_outcome)
{
	struct registration *registration;

	SCRIPT(world, "a", BODY("1"));
	registration = world_register(world, ME, "a", NULL);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	world->store_fails = true;
	ck_assert(registry_ack(world->registry, registration));
	ck_assert_ptr_null(find(ME, "a"));
	world_turn(world);
	ck_assert_ptr_eq(find(ME, "a"), registration);
	ck_assert(registration->result->ok);
}
END_TEST

START_TEST(a_failed_acknowledgement_keeps_the_retention_too)
{
	struct registration *registration;

	SCRIPT(world, "a", BODY("1"));
	registration = world_register(world, ME, "a", NULL);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	registry_delivered(world->registry, registration, world->now);
	world->store_fails = true;
	ck_assert(registry_ack(world->registry, registration));
	world_turn(world);
	world->store_fails = false;
	world_run_until(world, world->now + SEC(24 * 3600) - MS(1));
	ck_assert_ptr_nonnull(find(ME, "a"));
	world_run_until(world, world->now + MS(1));
	ck_assert_ptr_null(find(ME, "a"));
}
END_TEST

START_TEST(acknowledging_forgets_and_says_so)
{
	struct registration *registration;

	SCRIPT(world, "a", BODY("1"));
	registration = world_register(world, ME, "a", NULL);
	ck_assert(!registry_ack(world->registry, registration));
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert(registry_ack(world->registry, registration));
	world_turn(world);
	ck_assert_ptr_null(find(ME, "a"));
	ck_assert_int_eq(registry_gone_reason(world->registry, ME, world->endpoints[0], "a"), GONE_ACKED);
	ck_assert_int_eq(registry_gone_reason(world->registry, SOMEONE, world->endpoints[0], "a"),
			 GONE_NEVER);
	ck_assert_uint_eq(world->registry->futures_by_id.count, 0);
	ck_assert_uint_eq(world->registry->owners_by_uid.count, 0);
}
END_TEST

START_TEST(cancelling_ends_one_stake_only)
{
	struct registration *mine, *others;

	SCRIPT(world, "a", {.body = "1", .held = SEC(5)});
	mine = world_register(world, ME, "a", NULL);
	others = world_register(world, SOMEONE, "a", NULL);
	world_run_until(world, world->now + SEC(1));
	ck_assert(registry_cancel(world->registry, mine, 0));
	world_turn(world);
	ck_assert_int_eq(mine->result->error->type, ERROR_CANCELLED);
	ck_assert(!world_poll(world, "a", 0)->aborted);
	ck_assert(world_run_to_end(world, others, SEC(60)));
	ck_assert(others->result->ok);
	ck_assert_int_eq(mine->result->error->type, ERROR_CANCELLED);
}
END_TEST

START_TEST(the_last_cancel_aborts_a_poll_without_a_byte)
{
	struct registration *registration;

	SCRIPT(world, "a", {.body = "1", .held = SEC(50)});
	registration = world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(1));
	registry_cancel(world->registry, registration, 0);
	world_run_until(world, world->now + SEC(100));
	ck_assert(world_poll(world, "a", 0)->aborted);
	ck_assert_uint_eq(world->endpoints[0]->in_flight, 0);
	ck_assert_uint_eq(world->endpoints[0]->futures, 0);
}
END_TEST

START_TEST(a_result_that_arrives_after_the_cancel_waits_for_the_next_registration)
{
	struct registration *registration;

	SCRIPT(world, "a", {.body = "1", .held = SEC(5)});
	registration = world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(1));
	world->polls[0].begun = true;
	registry_cancel(world->registry, registration, 0);
	world_run_until(world, world->now + SEC(10));
	ck_assert_int_eq(registration->result->error->type, ERROR_CANCELLED);
	registration = world_register(world, ME, "a", NULL);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert(registration->result->ok);
	ck_assert_uint_eq(world_poll_count(world, "a"), 1);
}
END_TEST

START_TEST(a_new_registration_joins_a_poll_on_its_way_out)
{
	struct registration *registration, *again;

	SCRIPT(world, "a", {.body = "1", .held = SEC(5)});
	registration = world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(1));
	world->polls[0].begun = true;
	registry_cancel(world->registry, registration, 0);
	world_turn(world);
	again = world_register(world, SOMEONE, "a", NULL);
	ck_assert(world_run_to_end(world, again, SEC(60)));
	ck_assert(again->result->ok);
	ck_assert_uint_eq(world_poll_count(world, "a"), 1);
	ck_assert_uint_eq(world->overlaps, 0);
}
END_TEST

/* Its answer had begun when the last stake was cancelled, and comes while the next one is not durable yet. */
static struct registration *answer_while_saving(struct scripted answer)
{
	struct registration *first, *next;

	SCRIPT(world, "a", answer, BODY("2"));
	first = world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(1));
	world->polls[0].begun = true;
	registry_cancel(world->registry, first, 0);
	world_turn(world);
	world->store_stopped = true;
	next = world_register(world, SOMEONE, "a", NULL);
	world_run_until(world, world->now + SEC(60));
	ck_assert_uint_eq(world->n_polls, 1);
	ck_assert_int_ne(next->future->state, FUTURE_POLLING);
	world->store_stopped = false;
	ck_assert(world_run_to_end(world, next, SEC(60)));
	ck_assert(next->result->ok);
	return next;
}

START_TEST(an_answer_that_is_no_end_starts_nothing_for_a_stake_that_is_not_durable)
{
	static const struct scripted answers[] = {
		{.body = "{\"status\":\"pending\"}", .held = SEC(5)},
		{.body = "{\"status\":\"complete_metadata\",\"response_payload_size\":9}", .held = SEC(5)},
		{.refused = true, .held = SEC(5)},
		{.status = 500, .body = "", .held = SEC(5)},
	};

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		teardown();
		setup();
		answer_while_saving(answers[i]);
		ck_assert_uint_eq(world_poll_count(world, "a"), 2);
		ck_assert_uint_eq(world_poll(world, "a", 1)->iteration, 0);
		ck_assert(world_poll(world, "a", 1)->allow_metadata_only);
		ck_assert_uint_eq(world->scheduler->budget.used, 0);
	}
}
END_TEST

START_TEST(a_result_ends_a_stake_that_is_not_durable_yet)
{
	answer_while_saving((struct scripted){.body = "1", .held = SEC(5)});
	ck_assert_uint_eq(world_poll_count(world, "a"), 1);
}
END_TEST

START_TEST(what_starts_anew_has_no_queue_state_yet)
{
	struct registration *registration;

	SCRIPT(world, "a", BODY("{\"type\":\"try_again\",\"queue_state\":\"active\"}"), STATUS(403, "{}"),
	       {.body = "{\"type\":\"try_again\",\"queue_state\":\"active\"}", .held = SEC(5)}, BODY("1"));
	registration = world_register(world, ME, "a", NULL);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert_uint_eq(world_event_count(world, EVENT_QUEUE_STATE, "a"), 1);
	world_register(world, ME, "a", NULL);
	world_turn(world);
	ck_assert_int_eq(registration->future->queue_state, QUEUE_NONE);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert_uint_eq(world_event_count(world, EVENT_QUEUE_STATE, "a"), 2);
}
END_TEST

START_TEST(registering_again_changes_only_what_it_names)
{
	struct registration_options options = {.has = {.poll_timeout = true, .metadata = true},
					       .poll_timeout = SEC(100),
					       .metadata = "{\"job\":\"x\",\"step\":1}"};
	struct registration_options more = {.has = {.metadata = true},
					    .metadata = "{\"step\":2,\"new\":null}"};
	struct registration_options clear = {.has = {.poll_timeout = true}, .poll_timeout = TIME_NEVER};
	struct register_answer answer;
	struct registration *registration;

	SCRIPT_REPEAT(world, "a", {.body = "{\"status\":\"pending\"}", .held = SEC(1)});
	registration = world_register(world, ME, "a", &options);
	world_turn(world);
	ck_assert_int_eq(registration->deadline, world->now + SEC(100));
	ck_assert_int_eq(world_try_register(world, ME, "a", &more, &answer), PROTO_OK);
	ck_assert(!answer.is_new);
	ck_assert_int_eq(registration->deadline, SEC(1100));
	ck_assert_str_eq(registration->metadata, "{\"job\":\"x\",\"step\":2,\"new\":null}");
	ck_assert_int_eq(world_try_register(world, ME, "a", &clear, &answer), PROTO_OK);
	ck_assert(registration->deadline_is_max_age);
	ck_assert(!world_run_to_end(world, registration, SEC(3600)));
}
END_TEST

START_TEST(the_same_registration_again_costs_no_commit)
{
	struct register_answer answer;

	SCRIPT_REPEAT(world, "a", {.body = "{\"status\":\"pending\"}", .held = SEC(1)});
	world_register(world, ME, "a", NULL);
	world_turn(world);
	ck_assert_uint_eq(world->saves, 1);
	ck_assert_int_eq(world_try_register(world, ME, "a", NULL, &answer), PROTO_OK);
	ck_assert_uint_eq(world->saves, 1);
}
END_TEST

START_TEST(merged_metadata_stays_small)
{
	_cleanup_(buffer_release) struct buffer big = BUFFER_INIT(8192);
	struct registration_options options = {.has = {.metadata = true}};
	struct register_answer answer;

	world_register(world, ME, "a",
		       &(struct registration_options){.has = {.metadata = true}, .metadata = "{\"a\":1}"});
	buffer_puts(&big, "{\"b\":\"");
	while (big.size < 4090)
		buffer_putc(&big, 'x');
	buffer_puts(&big, "\"}");
	buffer_putc(&big, '\0');
	options.metadata = big.data;
	ck_assert_int_eq(world_try_register(world, ME, "a", &options, &answer), PROTO_INVALID_PARAMS);
	ck_assert_str_eq(find(ME, "a")->metadata, "{\"a\":1}");
}
END_TEST

START_TEST(the_first_fixes_how_a_future_is_asked_for)
{
	struct registration_options json = {.has = {.accept = true}};
	struct registration_options protobuf = {.has = {.accept = true}, .accept_protobuf = true};
	struct register_answer answer;

	SCRIPT_REPEAT(world, "a", {.body = "{\"status\":\"pending\"}", .held = SEC(1)});
	world_register(world, ME, "a", &json);
	ck_assert_int_eq(world_try_register(world, SOMEONE, "a", &protobuf, &answer), PROTO_CONFLICT);
	ck_assert_int_eq(world_try_register(world, ME, "a", &protobuf, &answer), PROTO_CONFLICT);
	ck_assert_int_eq(world_try_register(world, SOMEONE, "a", &json, &answer), PROTO_OK);
}
END_TEST

START_TEST(a_restart_may_ask_differently_unless_somebody_still_waits)
{
	struct registration_options protobuf = {
		.has = {.accept = true}, .accept_protobuf = true, .restart_if_ended = true};
	struct register_answer answer;

	SCRIPT(world, "a", BODY("1"), {.body = "2", .held = SEC(5)});
	ck_assert(world_run_to_end(world, world_register(world, ME, "a", NULL), SEC(60)));
	ck_assert_int_eq(world_try_register(world, ME, "a",
					    &(struct registration_options){.has = {.accept = true},
									   .accept_protobuf = true},
					    &answer),
			 PROTO_CONFLICT);
	ck_assert_int_eq(world_try_register(world, SOMEONE, "a", &protobuf, &answer), PROTO_OK);
	ck_assert(answer.is_new && answer.registration->future->accept_protobuf);
	world_run_until(world, world->now + SEC(1));
	/* Now somebody waits for protobuf. */
	ck_assert_int_eq(world_try_register(world, ME, "a",
					    &(struct registration_options){.has = {.accept = true},
									   .restart_if_ended = true},
					    &answer),
			 PROTO_CONFLICT);
}
END_TEST

START_TEST(the_greatest_age_cannot_be_put_off)
{
	struct registration_options clear = {.has = {.poll_timeout = true}, .poll_timeout = TIME_NEVER};
	struct register_answer answer;
	struct registration *registration;

	world->endpoints[0]->max_age = SEC(100);
	SCRIPT_REPEAT(world, "a", {.body = "{\"status\":\"pending\"}", .held = SEC(1)});
	registration = world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(60));
	ck_assert_int_eq(world_try_register(world, ME, "a", &clear, &answer), PROTO_OK);
	ck_assert(world_run_to_end(world, registration, SEC(200)));
	ck_assert_int_eq(world->now, SEC(1100));
}
END_TEST

START_TEST(last_words_stay_the_answer_and_other_ends_start_anew)
{
	static const struct {
		unsigned status;
		const char *body;
		bool stays;
	} cases[] = {
		{200, "1", true},    {200, "{\"error\":\"x\",\"category\":\"user\"}", true},
		{200, "nope", true}, {404, "{}", true},
		{410, "{}", true},   {403, "{}", false},
		{422, "{}", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct register_answer answer;
		struct registration *registration;

		teardown();
		setup();
		SCRIPT(world, "a", PENDING, STATUS(cases[i].status, cases[i].body), BODY("2"));
		registration = world_register(world, ME, "a", NULL);
		ck_assert(world_run_to_end(world, registration, SEC(60)));
		ck_assert_int_eq(world_try_register(world, ME, "a", NULL, &answer), PROTO_OK);
		ck_assert_ptr_eq(answer.registration, registration);
		ck_assert_int_eq(answer.is_new, !cases[i].stays);
		if (cases[i].stays) {
			struct registration_options restart = {.restart_if_ended = true};

			ck_assert_int_eq(world_try_register(world, ME, "a", &restart, &answer), PROTO_OK);
			ck_assert(answer.is_new);
		}
		ck_assert(world_run_to_end(world, registration, SEC(60)));
		ck_assert(registration->result->ok);
		ck_assert_uint_eq(world_poll(world, "a", 2)->iteration, 0);
	}
}
END_TEST

START_TEST(cancel_and_register_in_one_turn_starts_anew)
{
	struct register_answer answer;
	struct registration *registration;

	SCRIPT(world, "a", {.body = "1", .held = SEC(5)}, {.body = "2", .held = SEC(5)});
	registration = world_register(world, ME, "a", NULL);
	world_run_until(world, world->now + SEC(1));
	registry_cancel(world->registry, registration, 0);
	ck_assert_int_eq(world_try_register(world, ME, "a", NULL, &answer), PROTO_OK);
	ck_assert(answer.is_new);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert(registration->result->ok);
	ck_assert_uint_eq(world->overlaps, 0);
}
END_TEST

START_TEST(deadlines_are_exact_and_one_stake_s_own)
{
	struct registration_options options = {.has = {.poll_timeout = true}, .poll_timeout = MS(1234)};
	struct registration *mine, *others;
	int64_t start = world->now;

	SCRIPT(world, "a", {.body = "1", .held = SEC(5)});
	mine = world_register(world, ME, "a", &options);
	others = world_register(world, SOMEONE, "a", NULL);
	ck_assert(world_run_to_end(world, mine, SEC(60)));
	ck_assert_int_eq(world->now, start + MS(1234));
	ck_assert_int_eq(mine->result->error->type, ERROR_API_TIMEOUT);
	ck_assert(world_run_to_end(world, others, SEC(60)));
	ck_assert(others->result->ok);
}
END_TEST

START_TEST(without_a_deadline_max_age_ends_it)
{
	struct registration *registration;

	world->endpoints[0]->max_age = SEC(100);
	SCRIPT_REPEAT(world, "a", {.body = "{\"status\":\"pending\"}", .held = SEC(1)});
	registration = world_register(world, ME, "a", NULL);
	ck_assert(world_run_to_end(world, registration, SEC(200)));
	ck_assert_int_eq(world->now, SEC(1100));
	ck_assert_ptr_nonnull(strstr(registration->result->error->data, "\"reason\":\"max_age\""));
}
END_TEST

START_TEST(max_age_is_a_timeout_whatever_the_last_error_was)
{
	struct registration *registration;

	world->endpoints[0]->max_age = SEC(100);
	SCRIPT_REPEAT(world, "a", STATUS(500, "broken"));
	registration = world_register(world, ME, "a", NULL);
	ck_assert(world_run_to_end(world, registration, SEC(200)));
	ck_assert_int_eq(world->now, SEC(1100));
	ck_assert_int_eq(registration->result->error->type, ERROR_API_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(registration->result->error->data, "\"reason\":\"max_age\""));
}
END_TEST

START_TEST(linked_stakes_live_as_long_as_one_of_their_connections)
{
	struct registration_options one = {.has = {.linked = true}, .linked = true, .peer = 1};
	struct registration_options two = {.has = {.linked = true}, .linked = true, .peer = 2};
	struct registration_options plain = {.peer = 3};
	struct register_answer answer;
	struct registration *a, *b;

	SCRIPT_REPEAT(world, "a", {.body = "{\"status\":\"pending\"}", .held = SEC(1)});
	SCRIPT_REPEAT(world, "b", {.body = "{\"status\":\"pending\"}", .held = SEC(1)});
	a = world_register(world, ME, "a", &one);
	b = world_register(world, ME, "b", &one);
	ck_assert_int_eq(world_try_register(world, ME, "a", &two, &answer), PROTO_OK);
	ck_assert_int_eq(world_try_register(world, ME, "b", &plain, &answer), PROTO_OK);
	world_turn(world);
	registry_unlink_peer(world->registry, ME, 1, 0);
	world_run_until(world, world->now + SEC(5));
	ck_assert_int_eq(a->phase, REGISTRATION_LIVE);
	registry_unlink_peer(world->registry, ME, 2, 0);
	world_run_until(world, world->now + SEC(5));
	ck_assert_int_eq(a->phase, REGISTRATION_ENDED);
	ck_assert_int_eq(a->result->error->type, ERROR_CANCELLED);
	ck_assert_int_eq(b->phase, REGISTRATION_LIVE);
}
END_TEST

START_TEST(outcomes_are_kept_for_their_retention)
{
	struct registration *registration;

	SCRIPT(world, "a", BODY("1"));
	SCRIPT(world, "b", BODY("1"));
	world_register(world, ME, "a", NULL);
	registration = world_register(world, ME, "b", NULL);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	registry_delivered(world->registry, registration, world->now);
	world_run_until(world, world->now + SEC(24 * 3600) - MS(1));
	ck_assert_ptr_nonnull(find(ME, "b"));
	world_run_until(world, world->now + MS(1));
	ck_assert_ptr_null(find(ME, "b"));
	ck_assert_int_eq(registry_gone_reason(world->registry, ME, world->endpoints[0], "b"), GONE_RETENTION);
	ck_assert_ptr_nonnull(find(ME, "a"));
	world_run_until(world, world->now + SEC(6 * 24 * 3600));
	ck_assert_ptr_null(find(ME, "a"));
	ck_assert_uint_eq(world_event_count(world, EVENT_EXPIRED, NULL), 2);
}
END_TEST

START_TEST(a_uid_has_its_limit)
{
	struct register_answer answer;
	char id[16];

	world->registry->limits.max_registrations_per_uid = 3;
	for (int i = 0; i < 3; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		world_register(world, ME, id, NULL);
	}
	ck_assert_int_eq(world_try_register(world, ME, "r3", NULL, &answer), PROTO_LIMIT_EXCEEDED);
	ck_assert_int_eq(world_try_register(world, ME, "r2", NULL, &answer), PROTO_OK);
	ck_assert_int_eq(world_try_register(world, SOMEONE, "r3", NULL, &answer), PROTO_OK);
}
END_TEST

START_TEST(metadata_is_matched_as_text)
{
	static const char *const metadata = "{\"job\":\"x\",\"step\":3,\"on\":true,\"\\u0061\":\"b\\u0063\"}";
	static const struct {
		const char *where;
		bool matches;
	} cases[] = {
		{"{}", true},
		{"{\"job\":\"x\"}", true},
		{"{\"job\":\"y\"}", false},
		{"{\"step\":3}", true},
		{"{\"step\":\"3\"}", true},
		{"{\"step\":3.0}", false},
		{"{\"on\":true,\"job\":\"x\"}", true},
		{"{\"on\":true,\"job\":\"z\"}", false},
		{"{\"a\":\"bc\"}", true},
		{"{\"missing\":null}", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ck_assert_msg(metadata_matches(metadata, cases[i].where, strlen(cases[i].where)) ==
				      cases[i].matches,
			      "%s", cases[i].where);
	ck_assert(!metadata_matches(NULL, "{\"a\":1}", 7));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry");
	TCase *tcase = tcase_create("registrations");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, two_uids_share_one_polling_and_each_gets_the_result);
	tcase_add_test(tcase, a_late_comer_gets_the_result_without_another_poll);
	tcase_add_test(tcase, nothing_is_polled_before_it_is_durable);
	tcase_add_test(tcase, nobody_hears_of_a_result_before_it_is_durable);
	tcase_add_test(tcase, what_could_not_be_stored_is_not_registered);
	tcase_add_test(tcase, a_failed_acknowledgement_keeps_the_outcome);
	tcase_add_test(tcase, a_failed_acknowledgement_keeps_the_retention_too);
	tcase_add_test(tcase, acknowledging_forgets_and_says_so);
	tcase_add_test(tcase, cancelling_ends_one_stake_only);
	tcase_add_test(tcase, the_last_cancel_aborts_a_poll_without_a_byte);
	tcase_add_test(tcase, a_result_that_arrives_after_the_cancel_waits_for_the_next_registration);
	tcase_add_test(tcase, a_new_registration_joins_a_poll_on_its_way_out);
	tcase_add_test(tcase, an_answer_that_is_no_end_starts_nothing_for_a_stake_that_is_not_durable);
	tcase_add_test(tcase, a_result_ends_a_stake_that_is_not_durable_yet);
	tcase_add_test(tcase, what_starts_anew_has_no_queue_state_yet);
	tcase_add_test(tcase, registering_again_changes_only_what_it_names);
	tcase_add_test(tcase, the_same_registration_again_costs_no_commit);
	tcase_add_test(tcase, merged_metadata_stays_small);
	tcase_add_test(tcase, the_first_fixes_how_a_future_is_asked_for);
	tcase_add_test(tcase, a_restart_may_ask_differently_unless_somebody_still_waits);
	tcase_add_test(tcase, the_greatest_age_cannot_be_put_off);
	tcase_add_test(tcase, last_words_stay_the_answer_and_other_ends_start_anew);
	tcase_add_test(tcase, cancel_and_register_in_one_turn_starts_anew);
	tcase_add_test(tcase, deadlines_are_exact_and_one_stake_s_own);
	tcase_add_test(tcase, without_a_deadline_max_age_ends_it);
	tcase_add_test(tcase, max_age_is_a_timeout_whatever_the_last_error_was);
	tcase_add_test(tcase, linked_stakes_live_as_long_as_one_of_their_connections);
	tcase_add_test(tcase, outcomes_are_kept_for_their_retention);
	tcase_add_test(tcase, a_uid_has_its_limit);
	tcase_add_test(tcase, metadata_is_matched_as_text);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
