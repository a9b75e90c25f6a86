/* Room for outcomes: shares, who is polled for, and what goes when it is short. */
#include <check.h>
#include <stdlib.h>

#include "outcomes.h"
#include "proto/attributes.h"

#define SOMEBODY 1002

static struct world *world;

static void setup(void)
{
	world = world_new(PROFILE_DURABLE);
}

static void teardown(void)
{
	world = world_free(world);
}

/* Shares. */

START_TEST(who_has_used_up_the_share_gets_nothing_new)
{
	limit(world, UINT64_MAX, SIZE(100), 1000);
	ended(world, ME, "a", 99);
	ck_assert(!registry_uid_is_full(world->registry, ME));
	ended(world, ME, "b", 1);
	ck_assert(registry_uid_is_full(world->registry, ME));
	ck_assert_int_eq(registry_refusal(world->registry, ME), REFUSAL_SHARE);
	ck_assert_int_eq(try_register(world, ME, "c", NULL), PROTO_LIMIT_EXCEEDED);
	ck_assert_int_eq(registry_refusal(world->registry, SOMEONE), REFUSAL_NONE);
	ck_assert(!registry_is_stuck(world->registry));
	ck_assert(registry_ack(world->registry, find(world, ME, "b")));
	ck_assert_int_eq(registry_refusal(world->registry, ME), REFUSAL_NONE);
}
END_TEST

START_TEST(a_full_store_takes_nothing_from_anybody)
{
	limit(world, SIZE(100), UINT64_MAX, 1000);
	ended(world, ME, "a", 100);
	ck_assert_int_eq(registry_refusal(world->registry, SOMEONE), REFUSAL_STORE_FULL);
	ck_assert_int_eq(try_register(world, SOMEONE, "b", NULL), PROTO_STORAGE);
	ck_assert(registry_is_stuck(world->registry));
	ck_assert_ptr_nonnull(find(world, ME, "a")); /* nobody has had it */
}
END_TEST

START_TEST(the_number_of_registrations_has_an_end)
{
	limit(world, UINT64_MAX, UINT64_MAX, 1);
	polled(world, ME, "a");
	ck_assert_int_eq(registry_refusal(world->registry, ME), REFUSAL_COUNT);
	ck_assert_int_eq(try_register(world, ME, "b", NULL), PROTO_LIMIT_EXCEEDED);
	ck_assert_int_eq(try_register(world, ME, "a", NULL), PROTO_OK);
}
END_TEST

START_TEST(only_those_who_have_room_are_polled_for)
{
	struct registration *mine, *others;

	limit(world, UINT64_MAX, SIZE(10), 1000);
	SCRIPT_REPEAT(world, "b", {.body = "{\"status\":\"pending\"}", .held = SEC(20)});
	SCRIPT(world, "c", BODY("1"));
	polled(world, ME, "a");
	mine = world_register(world, ME, "b", NULL);
	world_turn(world);
	end_with(world, find(world, ME, "a"), 10);
	world_run_until(world, world->now + SEC(3600));
	ck_assert_uint_eq(world_poll_count(world, "b"), 1); /* the one that was under way */
	ck_assert_int_eq(scheduler_why(world->scheduler, mine->future), WAITING_STORAGE);
	ck_assert_int_eq(scheduler_state(world->scheduler, mine), FUTURE_BLOCKED);
	others = world_register(world, SOMEONE, "c", NULL);
	ck_assert(world_run_to_end(world, others, SEC(60)));
	ck_assert_uint_eq(world_poll_count(world, "b"), 1);
	ck_assert(registry_ack(world->registry, find(world, ME, "a")));
	world_turn(world);
	ck_assert_uint_eq(world_poll_count(world, "b"), 2);
}
END_TEST

START_TEST(what_is_shared_is_polled_in_the_turn_of_whoever_has_room)
{
	limit(world, UINT64_MAX, SIZE(10), 1000);
	world->endpoints[0]->limits.max_in_flight = world->endpoints[0]->capacity = 1;
	SCRIPT(world, "b", {.body = "1", .held = SEC(1)});
	SCRIPT(world, "c", {.body = "1", .held = SEC(1)});
	polled(world, ME, "a");
	world_register(world, SOMEONE, "b", NULL);
	world_register(world, ME, "b", NULL); /* the last who came is asked first whose turn it is */
	world_register(world, ME, "c", NULL);
	world_turn(world);
	ck_assert_uint_eq(world->n_polls, 1);
	end_with(world, find(world, ME, "a"), 10);
	ck_assert(registry_uid_is_full(world->registry, ME));
	world_run_until(world, world->now + SEC(60));
	ck_assert_int_eq(find(world, SOMEONE, "b")->phase, REGISTRATION_ENDED);
	ck_assert_uint_eq(world_poll_count(world, "c"), 0);
	world_register(world, SOMEONE, "c", NULL);
	world_run_until(world, world->now + SEC(60));
	ck_assert_int_eq(find(world, SOMEONE, "c")->phase, REGISTRATION_ENDED);
}
END_TEST

/* What goes. */

START_TEST(what_was_delivered_first_goes_first)
{
	delivered(world, ME, "a", 10);
	ended(world, ME, "b", 10);
	delivered(world, ME, "c", 10);
	delivered(world, ME, "d", 10);
	ck_assert_uint_eq(world->evictions, 0);
	limit(world, UINT64_MAX, 3 * SIZE(10), 1000);
	ck_assert_ptr_null(find(world, ME, "a"));
	ck_assert_ptr_null(find(world, ME, "c"));
	ck_assert_ptr_nonnull(find(world, ME, "b"));
	ck_assert_ptr_nonnull(find(world, ME, "d"));
	ck_assert_uint_eq(world->evictions, 2);
	ck_assert_uint_eq(world_event_count(world, EVENT_EXPIRED, "a"), 1);
	ck_assert_int_eq(registry_gone_reason(world->registry, ME, world->endpoints[0], "a"), GONE_RETENTION);
	ck_assert_uint_eq(world->registry->registrations_by_id.count, 2);
}
END_TEST

START_TEST(a_new_outcome_pushes_out_what_was_delivered_and_nothing_else)
{
	limit(world, UINT64_MAX, 3 * SIZE(10), 1000);
	delivered(world, ME, "a", 10);
	ended(world, ME, "b", 10);
	ended(world, ME, "c", 10);
	ck_assert_ptr_null(find(world, ME, "a"));
	ck_assert_uint_eq(world->evictions, 1);
	polled(world, ME, "d");
	polled(world, ME, "e");
	end_with(world, find(world, ME, "d"), 10);
	end_with(world, find(world, ME, "e"),
		 10); /* more than there is room for, but nobody has had any of them */
	ck_assert_uint_eq(world->evictions, 1);
	ck_assert(registry_uid_is_full(world->registry, ME));
	registry_delivered(world->registry, find(world, ME, "e"), world->now);
	world_turn(world);
	ck_assert_ptr_null(find(world, ME, "e"));
	ck_assert_uint_eq(world->evictions, 2);
	ck_assert_ptr_nonnull(find(world, ME, "b"));
	ck_assert_ptr_nonnull(find(world, ME, "c"));
	ck_assert_ptr_nonnull(find(world, ME, "d"));
}
END_TEST

START_TEST(for_the_whole_the_biggest_gives)
{
	delivered(world, SOMEONE, "a", 10);
	delivered(world, ME, "b", 10);
	delivered(world, ME, "c", 10);
	ended(world, ME, "d", 10);
	ended(world, SOMEBODY, "e", 1000); /* has the most, and nothing that may go */
	limit(world, 2 * SIZE(10) + SIZE(1000) + 1, UINT64_MAX, 1000);
	ck_assert_ptr_null(find(world, ME, "b"));
	ck_assert_ptr_null(find(world, ME, "c"));
	ck_assert_ptr_nonnull(find(world, SOMEONE, "a"));
	ck_assert_ptr_nonnull(find(world, ME, "d"));
	ck_assert_ptr_nonnull(find(world, SOMEBODY, "e"));
	limit(world, 1, UINT64_MAX, 1000);
	ck_assert_ptr_null(find(world, SOMEONE, "a"));
	ck_assert_ptr_nonnull(find(world, ME, "d"));
	ck_assert_ptr_nonnull(find(world, SOMEBODY, "e"));
	ck_assert_uint_eq(world->registry->stored_bytes, SIZE(10) + SIZE(1000));
}
END_TEST

START_TEST(new_limits_make_owners_full_and_free_again)
{
	ended(world, ME, "a", 10);
	limit(world, UINT64_MAX, SIZE(10), 1000);
	ck_assert(registry_uid_is_full(world->registry, ME));
	limit(world, UINT64_MAX, SIZE(11), 1000);
	ck_assert(!registry_uid_is_full(world->registry, ME));
	ck_assert_uint_eq(world->registry->full_owners, 0);
	limit(world, UINT64_MAX, SIZE(10), 1000);
	ck_assert(registry_ack(world->registry, find(world, ME, "a")));
	world_turn(world);
	ck_assert_uint_eq(world->registry->full_owners, 0);
	ck_assert_uint_eq(world->registry->owners_by_uid.count, 0);
}
END_TEST

static SRunner *make_runner(void)
{
	const TTest *const tests[] = {
		who_has_used_up_the_share_gets_nothing_new,
		a_full_store_takes_nothing_from_anybody,
		the_number_of_registrations_has_an_end,
		only_those_who_have_room_are_polled_for,
		what_is_shared_is_polled_in_the_turn_of_whoever_has_room,
		what_was_delivered_first_goes_first,
		a_new_outcome_pushes_out_what_was_delivered_and_nothing_else,
		for_the_whole_the_biggest_gives,
		new_limits_make_owners_full_and_free_again,
	};
	Suite *suite = suite_create("room");
	TCase *tcase = tcase_create("room");

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
