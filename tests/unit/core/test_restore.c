/* What was stored and is put back at start: what goes on, what is answered, what ends, and when it goes. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "proto/attributes.h"
#include "world.h"

#define DAY SEC(24 * 3600)

static struct world *world;

static void setup(void)
{
	world = world_new(PROFILE_DURABLE);
}

static void teardown(void)
{
	world = world_free(world);
}

static int64_t wall(void)
{
	return world->now + world->registry->wall_offset;
}

static struct registration *find(uid_t uid, const char *request_id)
{
	return registry_find(world->registry, uid, world->endpoints[0], request_id);
}

/* One that was registered an hour ago, with nothing asked for. */
static struct stored_registration row_of(uint64_t id, uid_t uid, const char *request_id)
{
	return (struct stored_registration){
		.id = id,
		.uid = uid,
		.request_id = request_id,
		.create_roundtrip_ms = -1,
		.registered_wall = wall() - SEC(3600),
		.deadline = TIME_NEVER,
		.poll_timeout = TIME_NEVER,
		.backoff_initial = -1,
		.backoff_max = -1,
	};
}

static struct registration *put_back(struct stored_registration *row)
{
	registry_restore(world->registry, world->endpoints[0], row, world->now, wall());
	ck_assert_ptr_null(row->result);
	return registry_find_id(world->registry, row->id);
}

static struct registration *put_back_live(uint64_t id, uid_t uid, const char *request_id)
{
	struct stored_registration row = row_of(id, uid, request_id);

	return put_back(&row);
}

static struct result *good_result(int64_t ended_wall)
{
	struct result *result = result_ok(CONTENT_JSON, blob_copy("1", 1), ended_wall);

	result->id = 7;
	result_chill(result);
	return result;
}

static struct result *bad_result(enum error_type type, int64_t ended_wall)
{
	return result_failed(error_new(type, CATEGORY_NONE, 0, "it went wrong", NULL), ended_wall);
}

static struct registration *put_back_ended(uint64_t id, uid_t uid, const char *request_id,
					   struct result *result)
{
	struct stored_registration row = row_of(id, uid, request_id);

	row.result = result;
	return put_back(&row);
}

static void poll_it(void *context, struct future *future)
{
	(void)context;
	scheduler_add(world->scheduler, future, 0);
}

/* The daemon begins to poll. */
static void start(void)
{
	registry_each_live_future(world->registry, poll_it, NULL);
	world_turn(world);
}

START_TEST(a_live_one_goes_on_where_it_stood)
{
	struct stored_registration row = row_of(41, ME, "a");
	struct registration *registration;

	SCRIPT(world, "a", {.body = "1", .held = SEC(5)});
	row.metadata = "{\"n\":1}";
	row.request_type = "Sample";
	row.http_timeout = SEC(30);
	row.backoff_initial = MS(100);
	row.backoff_max = SEC(2);
	row.on_network_error = ON_FAILURE_FAIL;
	row.on_server_failure = ON_FAILURE_RETRY;
	row.poll_timeout = SEC(7200);
	row.deadline = world->now + SEC(3600);
	row.create_roundtrip_ms = 12;
	registration = put_back(&row);
	ck_assert_int_eq(registration->phase, REGISTRATION_LIVE);
	ck_assert_str_eq(registration->metadata, "{\"n\":1}");
	ck_assert_str_eq(registration->future->request_type, "Sample");
	ck_assert_int_eq(registration->future->create_roundtrip_ms, 12);
	ck_assert_int_eq(future_http_timeout(registration->future), SEC(30));
	ck_assert_int_eq(future_backoff(registration->future).initial, MS(100));
	ck_assert_int_eq(future_backoff(registration->future).max, SEC(2));
	ck_assert_int_eq(registration->on_network_error, ON_FAILURE_FAIL);
	ck_assert_int_eq(registration->on_server_failure, ON_FAILURE_RETRY);
	ck_assert_int_eq(registration->poll_timeout, SEC(7200));
	ck_assert_int_eq(registration->registered_wall, row.registered_wall);
	ck_assert_uint_eq(world->registry->live, 1);
	ck_assert_uint_eq(world->n_polls, 0);
	start();
	ck_assert_uint_eq(world_poll(world, "a", 0)->iteration, 0);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert(registration->result->ok);
	ck_assert_uint_eq(world->saves, 0);
	ck_assert_uint_eq(world->ends, 1);
	ck_assert_uint_eq(world_event_count(world, EVENT_REGISTERED, "a"), 0);
	ck_assert_uint_eq(world_event_count(world, EVENT_COMPLETED, "a"), 1);
}
END_TEST

START_TEST(new_ids_follow_the_stored_ones)
{
	SCRIPT_REPEAT(world, "b", {.body = "1", .held = TIME_NEVER});
	put_back_ended(7000, ME, "a", good_result(wall()));
	put_back_ended(12, ME, "c", good_result(wall()));
	ck_assert_uint_eq(world_register(world, ME, "b", NULL)->id, 7001);
}
END_TEST

START_TEST(a_completed_one_is_answered_without_a_poll)
{
	struct registration *registration = put_back_ended(1, ME, "a", good_result(wall() - SEC(10)));
	struct registration *other;

	start();
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDED);
	ck_assert_int_eq(registration_state(registration), FUTURE_COMPLETED);
	ck_assert_uint_eq(world->registry->stored_bytes, REGISTRY_ROW_BYTES + 1);
	other = world_register(world, SOMEONE, "a", NULL);
	ck_assert(world_run_to_end(world, other, SEC(60)));
	ck_assert_ptr_eq(other->result, registration->result);
	ck_assert_ptr_eq(world_register(world, ME, "a", NULL), registration);
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDED);
	ck_assert_uint_eq(world->n_polls, 0);
}
END_TEST

START_TEST(the_servers_own_refusal_is_the_answer)
{
	struct registration *registration = put_back_ended(1, ME, "a",
							   bad_result(ERROR_REQUEST_FAILED, wall()));
	struct registration *other = world_register(world, SOMEONE, "a", NULL);

	ck_assert_int_eq(registration_state(registration), FUTURE_FAILED);
	ck_assert(world_run_to_end(world, other, SEC(60)));
	ck_assert_int_eq(other->result->error->type, ERROR_REQUEST_FAILED);
	ck_assert_uint_eq(world->n_polls, 0);
}
END_TEST

START_TEST(what_ended_by_our_own_word_is_polled_for_whoever_asks_again)
{
	struct registration *registration = put_back_ended(1, ME, "a", bad_result(ERROR_API_TIMEOUT, wall()));

	SCRIPT(world, "a", BODY("1"));
	start();
	ck_assert_uint_eq(world->n_polls, 0);
	ck_assert_ptr_eq(world_register(world, ME, "a", NULL), registration);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert(registration->result->ok);
}
END_TEST

START_TEST(two_uids_share_one_polling_again)
{
	struct registration *mine = put_back_live(1, ME, "a"), *others = put_back_live(2, SOMEONE, "a");

	SCRIPT(world, "a", {.body = "1", .held = SEC(5)});
	ck_assert_ptr_eq(mine->future, others->future);
	start();
	ck_assert(world_run_to_end(world, mine, SEC(60)));
	ck_assert_ptr_eq(mine->result, others->result);
	ck_assert_uint_eq(world_poll_count(world, "a"), 1);
}
END_TEST

START_TEST(a_last_word_does_not_count_where_somebody_has_asked_again)
{
	struct registration *first, *again;

	SCRIPT(world, "a", BODY("2"));
	SCRIPT(world, "b", BODY("2"));
	put_back_ended(1, ME, "a", bad_result(ERROR_REQUEST_FAILED, wall()));
	again = put_back_live(2, SOMEONE, "a");
	first = put_back_live(3, ME, "b");
	put_back_ended(4, SOMEONE, "b", bad_result(ERROR_REQUEST_FAILED, wall()));
	ck_assert_ptr_null(again->future->final);
	ck_assert_ptr_null(first->future->final);
	start();
	ck_assert(world_run_to_end(world, again, SEC(60)));
	ck_assert(world_run_to_end(world, first, SEC(60)));
	ck_assert(again->result->ok && first->result->ok);
	ck_assert_int_eq(find(ME, "a")->result->error->type, ERROR_REQUEST_FAILED);
}
END_TEST

START_TEST(how_it_is_asked_for_is_what_the_live_ones_say)
{
	struct stored_registration row = row_of(2, SOMEONE, "a");
	struct registration *live;

	put_back_ended(1, ME, "a", bad_result(ERROR_CANCELLED, wall()));
	row.accept_protobuf = true;
	row.request_type = "Sample";
	live = put_back(&row);
	put_back_ended(3, 1002, "a", bad_result(ERROR_CANCELLED, wall()));
	ck_assert(live->future->accept_protobuf);
	ck_assert_str_eq(live->future->request_type, "Sample");
}
END_TEST

START_TEST(a_deadline_that_has_passed_ends_it_in_the_first_turn)
{
	struct stored_registration row = row_of(1, ME, "a");
	struct registration *registration;

	row.poll_timeout = SEC(60);
	row.deadline = world->now - SEC(3000);
	registration = put_back(&row);
	start();
	ck_assert_int_eq(registration->phase, REGISTRATION_ENDED);
	ck_assert_int_eq(registration->result->error->type, ERROR_API_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(registration->result->error->data, "poll_deadline"));
	ck_assert_uint_eq(world->n_polls, 0);
	ck_assert_uint_eq(world->ends, 1);
}
END_TEST

/* `since`: how long ago it ended or was delivered; it goes exactly after `left`. */
static void check_expiry(uint64_t id, bool delivered, int64_t since, int64_t left)
{
	struct stored_registration row = row_of(id, ME, "a");

	row.result = good_result(delivered ? wall() - DAY : wall() - since);
	row.delivered_wall = delivered ? wall() - since : 0;
	put_back(&row);
	world_run_until(world, world->now + left - MS(1));
	ck_assert_ptr_nonnull(find(ME, "a"));
	world_run_until(world, world->now + MS(1));
	ck_assert_ptr_null(find(ME, "a"));
	ck_assert_int_eq(registry_gone_reason(world->registry, ME, world->endpoints[0], "a"), GONE_RETENTION);
}

START_TEST(outcomes_are_kept_as_long_as_if_nothing_had_happened)
{
	check_expiry(1, false, DAY, 6 * DAY);
	check_expiry(2, true, SEC(3600), DAY - SEC(3600));
	ck_assert_uint_eq(world->registry->registrations_by_id.count, 0);
	ck_assert_uint_eq(world->registry->stored_bytes, 0);
	ck_assert_uint_eq(world->evictions, 0);
}
END_TEST

START_TEST(clocks_that_were_ahead_keep_nothing_for_ever)
{
	check_expiry(1, false, -100 * DAY, 7 * DAY);
	check_expiry(2, true, -100 * DAY, DAY);
}
END_TEST

START_TEST(what_expired_meanwhile_goes_in_the_first_turn)
{
	put_back_ended(1, ME, "a", good_result(wall() - 8 * DAY));
	start();
	ck_assert_ptr_null(find(ME, "a"));
	ck_assert_uint_eq(world_event_count(world, EVENT_EXPIRED, "a"), 1);
}
END_TEST

START_TEST(linked_ones_end_unless_somebody_links_them_again)
{
	struct registration_options again = {.has.linked = true, .linked = true, .peer = 5};
	struct stored_registration row = row_of(1, ME, "a");
	struct registration *left, *taken, *plain;

	SCRIPT_REPEAT(world, "a", {.held = TIME_NEVER});
	SCRIPT_REPEAT(world, "b", {.held = TIME_NEVER});
	SCRIPT_REPEAT(world, "c", {.held = TIME_NEVER});
	row.linked = true;
	left = put_back(&row);
	row = row_of(2, ME, "b");
	row.linked = true;
	taken = put_back(&row);
	plain = put_back_live(3, ME, "c");
	start();
	world_register(world, ME, "b", &again);
	ck_assert_uint_eq(world->saves, 0); /* it was linked before, and nothing else was said */
	registry_unlink_restored(world->registry, wall());
	world_turn(world);
	ck_assert_int_eq(left->phase, REGISTRATION_ENDED);
	ck_assert_int_eq(left->result->error->type, ERROR_CANCELLED);
	ck_assert_int_eq(taken->phase, REGISTRATION_LIVE);
	ck_assert_int_eq(plain->phase, REGISTRATION_LIVE);
	registry_unlink_peer(world->registry, ME, 5, wall());
	world_turn(world);
	ck_assert_int_eq(taken->phase, REGISTRATION_ENDED);
}
END_TEST

static struct registration *put_back_delivered(uint64_t id, const char *request_id, int64_t ended,
					       int64_t delivered)
{
	struct stored_registration row = row_of(id, ME, request_id);

	row.result = good_result(wall() - ended);
	row.delivered_wall = delivered ? wall() - delivered : 0;
	return put_back(&row);
}

START_TEST(outcomes_stand_in_the_order_of_their_ends_and_deliveries)
{
	struct registration *a = put_back_delivered(1, "a", SEC(10), SEC(5)),
			    *b = put_back_delivered(2, "b", SEC(30), SEC(4)),
			    *c = put_back_delivered(3, "c", SEC(20), 0),
			    *d = put_back_delivered(4, "d", SEC(20), SEC(9));

	registry_restored(world->registry);
	ck_assert_ptr_eq(TAILQ_FIRST(&a->owner->ended), b);
	ck_assert_ptr_eq(TAILQ_NEXT(b, in_ended), c); /* the same time: in the order of their ids */
	ck_assert_ptr_eq(TAILQ_NEXT(c, in_ended), d);
	ck_assert_ptr_eq(TAILQ_NEXT(d, in_ended), a);
	ck_assert_ptr_null(TAILQ_NEXT(a, in_ended));
	ck_assert_ptr_eq(TAILQ_FIRST(&a->owner->delivered), d);
	ck_assert_ptr_eq(TAILQ_NEXT(d, in_delivered), a);
	ck_assert_ptr_eq(TAILQ_NEXT(a, in_delivered), b);
	ck_assert_ptr_null(TAILQ_NEXT(b, in_delivered));
}
END_TEST

START_TEST(limits_that_are_lower_now_hold)
{
	put_back_delivered(1, "a", SEC(10), SEC(5));
	put_back_delivered(2, "b", SEC(10), SEC(6));
	put_back_delivered(3, "c", SEC(10), 0);
	world->registry->limits.max_stored_bytes = world->registry->stored_bytes;
	registry_restored(world->registry);
	ck_assert_ptr_null(find(ME, "b"));
	ck_assert_ptr_nonnull(find(ME, "a"));
	ck_assert_ptr_nonnull(find(ME, "c"));
	world->registry->limits.max_stored_bytes = 1;
	registry_restored(world->registry);
	ck_assert_ptr_null(find(ME, "a"));
	ck_assert_ptr_nonnull(find(ME, "c")); /* it was not delivered */
}
END_TEST

START_TEST(those_of_an_endpoint_that_is_missing_wait_for_it)
{
	struct registration *registration;

	SCRIPT(world, "a", BODY("1"));
	world->endpoints[0]->missing = true;
	registration = put_back_live(1, ME, "a");
	start();
	world_run_until(world, world->now + SEC(3600));
	ck_assert_uint_eq(world->n_polls, 0);
	ck_assert_int_eq(scheduler_why(world->scheduler, registration->future), WAITING_ENDPOINT_MISSING);
	world->endpoints[0]->missing = false;
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert(registration->result->ok);
}
END_TEST

static void check_not_found(struct registration *registration, const char *reason)
{
	ck_assert(world_run_to_end(world, registration, SEC(3600)));
	ck_assert_int_eq(registration->result->error->status, 404);
	ck_assert_ptr_nonnull(strstr(registration->result->error->data, reason));
}

START_TEST(a_404_after_a_restart_says_that_it_is_lost)
{
	struct registration *registration = put_back_live(1, ME, "a");

	SCRIPT_REPEAT(world, "a", STATUS(404, "{}"));
	SCRIPT_REPEAT(world, "b", STATUS(404, "{}"));
	start();
	check_not_found(registration, "\"reason\":\"lost\"");
	check_not_found(world_register(world, ME, "b", NULL), "\"reason\":\"unknown_request\"");
}
END_TEST

START_TEST(a_body_that_is_lost_is_asked_for_again)
{
	struct registration *mine = put_back_ended(1, ME, "a", good_result(wall()));
	struct registration *others = world_register(world, SOMEONE, "a", NULL);
	struct result *lost = result_ref(mine->result);

	SCRIPT(world, "a", {.body = "2", .held = SEC(1)});
	ck_assert(world_run_to_end(world, others, SEC(1)));
	registry_delivered(world->registry, mine, world->now);
	registry_body_lost(world->registry, lost, world->now);
	ck_assert_int_eq(mine->phase, REGISTRATION_SAVING);
	ck_assert_int_eq(mine->delivered, 0);
	ck_assert(TAILQ_EMPTY(&mine->owner->delivered));
	world_turn(world);
	ck_assert_int_eq(mine->phase, REGISTRATION_LIVE);
	ck_assert_int_eq(others->phase, REGISTRATION_LIVE);
	ck_assert_uint_eq(lost->refs, 1); /* nothing answers with it any more */
	ck_assert_uint_eq(world->registry->stored_bytes, 0);
	ck_assert(world_run_to_end(world, mine, SEC(60)));
	ck_assert_mem_eq(mine->result->body->data, "2", 1);
	ck_assert_ptr_eq(others->result, mine->result);
	ck_assert_uint_eq(world_poll_count(world, "a"), 1);
	result_unref(lost);
}
END_TEST

START_TEST(a_lost_body_that_the_server_has_forgotten_too_is_lost)
{
	struct registration *registration;

	SCRIPT(world, "a", BODY("1"), STATUS(404, "{}"), STATUS(404, "{}"), STATUS(404, "{}"));
	registration = world_register(world, ME, "a", NULL);
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	registry_body_lost(world->registry, registration->result, world->now);
	world_turn(world);
	check_not_found(registration, "\"reason\":\"lost\"");
}
END_TEST

START_TEST(what_was_lost_has_the_time_that_it_asked_for_again)
{
	struct stored_registration row = row_of(1, ME, "a");
	struct registration *registration;

	SCRIPT(world, "a", BODY("1"));
	row.poll_timeout = SEC(10);
	row.deadline = world->now - SEC(3600); /* passed long ago: it had its answer by then */
	row.lost = true;
	registration = put_back(&row);
	ck_assert_int_eq(registration->deadline, world->now + SEC(10));
	start();
	ck_assert(world_run_to_end(world, registration, SEC(5)));
	ck_assert(registration->result->ok);
}
END_TEST

START_TEST(what_was_lost_at_rest_does_not_pass_for_delivered)
{
	struct stored_registration row = row_of(1, ME, "a");
	struct registration *registration;

	SCRIPT(world, "a", BODY("1"));
	row.delivered_wall = wall() - SEC(60);
	registration = put_back(&row);
	start();
	ck_assert(world_run_to_end(world, registration, SEC(60)));
	ck_assert(TAILQ_EMPTY(&registration->owner->delivered));
	world_run_until(world, world->now + 2 * DAY);
	ck_assert_ptr_eq(find(ME, "a"), registration);
}
END_TEST

/* Rows come by age; who reads page by page goes by the order of the ends, also across a restart. */
START_TEST(ends_and_deliveries_keep_their_order)
{
	static const struct {
		int64_t ended, delivered; /* seconds ago; 0: not */
	} rows[] = {{10, 0}, {40, 5}, {20, 15}, {30, 8}};
	static const uint64_t ends[] = {2, 4, 3, 1}, deliveries[] = {3, 4, 2};
	struct registration *registration;
	size_t n = 0;

	for (uint64_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct stored_registration row = row_of(i + 1, ME, (const char[]){(char)('a' + i), 0});

		row.result = good_result(wall() - SEC(rows[i].ended));
		row.delivered_wall = rows[i].delivered ? wall() - SEC(rows[i].delivered) : 0;
		put_back(&row);
	}
	registry_restored(world->registry);
	TAILQ_FOREACH (registration, &registry_owner(world->registry, ME)->ended, in_ended)
		ck_assert_uint_eq(registration->id, ends[n++]);
	ck_assert_uint_eq(n, ARRAY_LEN(ends));
	n = 0;
	TAILQ_FOREACH (registration, &registry_owner(world->registry, ME)->delivered, in_delivered)
		ck_assert_uint_eq(registration->id, deliveries[n++]);
	ck_assert_uint_eq(n, ARRAY_LEN(deliveries));
}
END_TEST

/* What was delivered does not keep a store full that has become smaller meanwhile. */
START_TEST(lower_limits_make_room_at_once)
{
	world->registry->limits.max_stored_bytes = 2 * (REGISTRY_ROW_BYTES + 1);
	for (uint64_t i = 0; i < 4; i++) {
		struct stored_registration row = row_of(i + 1, ME, (const char[]){(char)('a' + i), 0});

		row.result = good_result(wall() - SEC(60));
		row.delivered_wall = i % 2 ? wall() - SEC(30) : 0;
		put_back(&row);
	}
	ck_assert(registry_is_stuck(world->registry));
	registry_restored(world->registry);
	ck_assert_uint_eq(world->evictions, 2);
	world_turn(world);
	ck_assert_ptr_nonnull(find(ME, "a"));
	ck_assert_ptr_null(find(ME, "b"));
	ck_assert_ptr_nonnull(find(ME, "c"));
	ck_assert_ptr_null(find(ME, "d"));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_live_one_goes_on_where_it_stood,
		new_ids_follow_the_stored_ones,
		a_completed_one_is_answered_without_a_poll,
		the_servers_own_refusal_is_the_answer,
		what_ended_by_our_own_word_is_polled_for_whoever_asks_again,
		two_uids_share_one_polling_again,
		a_last_word_does_not_count_where_somebody_has_asked_again,
		how_it_is_asked_for_is_what_the_live_ones_say,
		a_deadline_that_has_passed_ends_it_in_the_first_turn,
		outcomes_are_kept_as_long_as_if_nothing_had_happened,
		clocks_that_were_ahead_keep_nothing_for_ever,
		what_expired_meanwhile_goes_in_the_first_turn,
		linked_ones_end_unless_somebody_links_them_again,
		outcomes_stand_in_the_order_of_their_ends_and_deliveries,
		limits_that_are_lower_now_hold,
		those_of_an_endpoint_that_is_missing_wait_for_it,
		a_404_after_a_restart_says_that_it_is_lost,
		a_body_that_is_lost_is_asked_for_again,
		a_lost_body_that_the_server_has_forgotten_too_is_lost,
		what_was_lost_has_the_time_that_it_asked_for_again,
		what_was_lost_at_rest_does_not_pass_for_delivered,
		ends_and_deliveries_keep_their_order,
		lower_limits_make_room_at_once,
	};
	Suite *suite = suite_create("restore");
	TCase *tcase = tcase_create("restore");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
