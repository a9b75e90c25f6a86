/* A full disk, and batches that fail: what is refused, what waits, and what is taken back. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "outcomes.h"
#include "proto/attributes.h"

#define DAY SEC(24 * 3600)
#define MIB ((size_t)1024 * 1024)

static struct world *world;

static void setup(void)
{
	world = world_new(PROFILE_DURABLE);
}

static void teardown(void)
{
	world = world_free(world);
}

/* The disk is full. */

START_TEST(a_full_disk_takes_nothing_new)
{
	struct registration_options change = {.has.metadata = true, .metadata = "{\"n\":1}"};
	struct registration *registration = polled(world, ME, "a");
	size_t saves = world->saves;

	registry_set_disk_full(world->registry, true);
	ck_assert_int_eq(registry_refusal(world->registry, ME), REFUSAL_DISK_FULL);
	ck_assert_int_eq(try_register(world, ME, "b", NULL), PROTO_STORAGE);
	ck_assert_int_eq(try_register(world, ME, "a", &change), PROTO_STORAGE);
	ck_assert_ptr_null(registration->metadata);
	ck_assert_int_eq(try_register(world, ME, "a", NULL), PROTO_OK);
	ck_assert_uint_eq(world->saves, saves);
	registry_set_disk_full(world->registry, false);
	ck_assert_int_eq(try_register(world, ME, "a", &change), PROTO_OK);
	ck_assert_str_eq(registration->metadata, "{\"n\":1}");
}
END_TEST

START_TEST(a_link_is_renewed_on_a_full_disk)
{
	struct registration_options linked = {.has.linked = true, .linked = true, .peer = 1};
	struct registration *registration;

	SCRIPT_REPEAT(world, "a", {.held = TIME_NEVER});
	registration = world_register(world, ME, "a", &linked);
	world_turn(world);
	registry_set_disk_full(world->registry, true);
	linked.peer = 2;
	ck_assert_int_eq(try_register(world, ME, "a", &linked), PROTO_OK);
	ck_assert_int_eq(try_register(world, ME, "a", NULL),
			 PROTO_STORAGE); /* for ever: that has to be stored */
	registry_unlink_peer(world->registry, ME, 1, wall(world));
	ck_assert_int_eq(registration->phase, REGISTRATION_LIVE);
	registry_unlink_peer(world->registry, ME, 2, wall(world));
	world_turn(world);
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDED);
}
END_TEST

START_TEST(small_ends_and_acknowledgements_go_to_a_full_disk)
{
	struct registration *registration = polled(world, ME, "a");

	registry_set_disk_full(world->registry, true);
	ck_assert(registry_cancel(world->registry, registration, wall(world)));
	world_turn(world);
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDED);
	ck_assert(registry_ack(world->registry, registration));
	world_turn(world);
	ck_assert_ptr_null(find(world, ME, "a"));
	ck_assert_uint_eq(world->registry->registrations_by_id.count, 0);
}
END_TEST

START_TEST(a_result_waits_for_space_and_nobody_is_told)
{
	struct registration *registration;

	SCRIPT(world, "a", {.body = "12345", .held = SEC(1)});
	registration = world_register(world, ME, "a", NULL);
	world_turn(world);
	registry_set_disk_full(world->registry, true);
	world_run_until(world, world->now + SEC(3600));
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDING);
	ck_assert_int_eq(registration_state(registration), FUTURE_BLOCKED);
	ck_assert_uint_eq(world->ends, 0);
	ck_assert_uint_eq(world->registry->stalled_bytes, SIZE(5));
	ck_assert_uint_eq(world_event_count(world, EVENT_COMPLETED, "a"), 0);
	ck_assert_uint_eq(world_poll_count(world, "a"), 1);
	registry_set_disk_full(world->registry, false);
	world_turn(world);
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDED);
	ck_assert_uint_eq(world->ends, 1);
	ck_assert_uint_eq(world->registry->stalled_bytes, 0);
	ck_assert_uint_eq(world_event_count(world, EVENT_COMPLETED, "a"), 1);
}
END_TEST

START_TEST(nothing_more_is_retrieved_when_16_mib_wait)
{
	static const char *const ids[] = {"a", "b", "c", "d"};
	struct registration *registrations[ARRAY_LEN(ids)];

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		registrations[i] = polled(world, ME, ids[i]);
	registry_set_disk_full(world->registry, true);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		ck_assert(!registry_is_stuck(world->registry));
		end_with(world, registrations[i], 4 * MIB);
	}
	ck_assert(registry_is_stuck(world->registry));
	registry_set_disk_full(world->registry, false);
	world_turn(world);
	ck_assert(!registry_is_stuck(world->registry));
	ck_assert_uint_eq(world->registry->stalled_bytes, 0);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ck_assert_int_eq(registrations[i]->phase, REGISTRATION_ENDED);
}
END_TEST

START_TEST(what_waits_is_counted_right_when_its_body_goes_another_way)
{
	struct registration *mine = polled(world, ME, "a");
	struct result *result;

	end_with(world, polled(world, SOMEONE, "b"), 1);
	world->store_fails = true;
	end_with(world, mine, 1000);
	world->store_fails = false;
	ck_assert_uint_eq(world->registry->stalled_bytes, SIZE(1000));
	result = mine->result; /* which somebody else's end has brought to the disk */
	result->id = 9;
	result_chill(result);
	registry_set_disk_full(world->registry, false);
	world_turn(world);
	ck_assert_int_eq(mine->phase, REGISTRATION_ENDED);
	ck_assert_uint_eq(world->registry->stalled_bytes, 0);
}
END_TEST

/* Batches that fail. */

START_TEST(an_end_that_could_not_be_stored_waits)
{
	struct registration *registration = polled(world, ME, "a");

	world->store_fails = true;
	ck_assert(registry_cancel(world->registry, registration, wall(world)));
	world_turn(world);
	world_run_until(world, world->now + SEC(3600));
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDING);
	ck_assert_uint_eq(world->ends, 1);
	ck_assert_uint_eq(world_event_count(world, EVENT_FAILED, "a"), 0);
	world->store_fails = false;
	registry_set_disk_full(world->registry, false);
	world_turn(world);
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDED);
	ck_assert_uint_eq(world_event_count(world, EVENT_FAILED, "a"), 1);
}
END_TEST

static const struct registration_options restart = {.restart_if_ended = true};

START_TEST(a_restart_that_could_not_be_stored_leaves_the_old_outcome)
{
	struct registration *registration = ended(world, ME, "a", 10);
	const struct result *result = registration->result;

	world->store_fails = true;
	ck_assert_ptr_eq(world_register(world, ME, "a", &restart), registration);
	ck_assert_int_eq(registration->phase, REGISTRATION_SAVING);
	ck_assert_uint_eq(world->registry->stored_bytes, 0);
	world_turn(world);
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDED);
	ck_assert_ptr_eq(registration->result, result);
	ck_assert_uint_eq(world->registry->stored_bytes, SIZE(10));
	ck_assert_uint_eq(world_poll_count(world, "a"), 1);
	world->store_fails = false;
	world_register(world, ME, "a", &restart);
	world_turn(world);
	ck_assert_int_eq(registration->phase, REGISTRATION_LIVE);
	ck_assert_ptr_null(registration->previous);
	ck_assert_uint_eq(world_poll_count(world, "a"), 2);
}
END_TEST

START_TEST(a_restart_that_ends_before_it_fails_leaves_the_old_outcome_too)
{
	struct registration *registration = ended(world, ME, "a", 10);
	const struct result *result = registration->result;

	world->store_fails = true;
	world_register(world, ME, "a", &restart);
	ck_assert(registry_cancel(world->registry, registration, wall(world)));
	world_turn(world);
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDED);
	ck_assert_ptr_eq(registration->result, result);
	ck_assert_uint_eq(world->registry->stored_bytes, SIZE(10));
}
END_TEST

START_TEST(an_earlier_batch_may_fail_when_a_later_one_has_all_of_it)
{
	struct registration_options change = {.has.metadata = true, .metadata = "{\"n\":1}"};
	struct registration *registration, *cancelled;

	SCRIPT_REPEAT(world, "a", {.held = TIME_NEVER});
	world->store_stopped = true;
	registration = world_register(world, ME, "a", NULL);
	cancelled = world_register(world, ME, "b", NULL);
	world->ticket++; /* that one is under way */
	world_register(world, ME, "a", &change);
	ck_assert(registry_cancel(world->registry, cancelled, wall(world)));
	ck_assert_uint_eq(world->saves, 4);
	ck_assert_uint_eq(world->ends, 1);
	registry_settle(world->registry, world->ticket - 1, false, world->now);
	ck_assert_ptr_eq(find(world, ME, "a"), registration);
	ck_assert_ptr_eq(find(world, ME, "b"), cancelled);
	registry_settle(world->registry, world->ticket, true, world->now);
	ck_assert_int_eq(registration->phase, REGISTRATION_LIVE);
	ck_assert_int_eq(cancelled->phase, REGISTRATION_ENDED);
}
END_TEST

START_TEST(a_removal_that_failed_is_tried_again_later)
{
	struct registration *registration = delivered(world, ME, "a", 10);

	world->store_fails = true;
	world_run_until(world, world->now + DAY);
	ck_assert_ptr_eq(find(world, ME, "a"), registration);
	ck_assert_uint_eq(world->removes, 1);
	world_run_until(world, world->now + SEC(60));
	ck_assert_ptr_eq(find(world, ME, "a"), registration);
	ck_assert_uint_eq(world->registry->stored_bytes, SIZE(10));
	ck_assert_uint_ge(world->removes, 5);
	ck_assert_uint_le(world->removes, 8);
	world->store_fails = false;
	world_run_until(world, world->now + SEC(11));
	ck_assert_ptr_null(find(world, ME, "a"));
	ck_assert_uint_eq(world->registry->stored_bytes, 0);
}
END_TEST

START_TEST(one_whose_place_was_taken_does_not_stay)
{
	struct registration *old = ended(world, ME, "a", 10), *new;
	uint64_t id = old->id;

	world->store_stopped = true;
	ck_assert(registry_ack(world->registry, old));
	world->ticket++;
	new = world_register(world, ME, "a", NULL);
	ck_assert_ptr_ne(old, new);
	registry_settle(world->registry, world->ticket - 1, false, world->now);
	registry_settle(world->registry, world->ticket, true, world->now);
	world->ticket++;
	world->dirty = false;
	world->store_stopped = false;
	ck_assert_ptr_eq(find(world, ME, "a"), new);
	ck_assert_ptr_eq(registry_find_id(world->registry, id), old);
	world_run_until(world, world->now + SEC(11));
	ck_assert_ptr_null(registry_find_id(world->registry, id));
	ck_assert_ptr_eq(find(world, ME, "a"), new);
}
END_TEST

static SRunner *make_runner(void)
{
	const TTest *const tests[] = {
		a_full_disk_takes_nothing_new,
		a_link_is_renewed_on_a_full_disk,
		small_ends_and_acknowledgements_go_to_a_full_disk,
		a_result_waits_for_space_and_nobody_is_told,
		nothing_more_is_retrieved_when_16_mib_wait,
		what_waits_is_counted_right_when_its_body_goes_another_way,
		an_end_that_could_not_be_stored_waits,
		a_restart_that_could_not_be_stored_leaves_the_old_outcome,
		a_restart_that_ends_before_it_fails_leaves_the_old_outcome_too,
		an_earlier_batch_may_fail_when_a_later_one_has_all_of_it,
		a_removal_that_failed_is_tried_again_later,
		one_whose_place_was_taken_does_not_stay,
	};
	Suite *suite = suite_create("full_disk");
	TCase *tcase = tcase_create("full_disk");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return srunner_create(suite);
}

int main(void)
{
	SRunner *runner = make_runner();
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
