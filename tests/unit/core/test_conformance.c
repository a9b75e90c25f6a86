/* The conformance vectors P, S, K and A, each by its number, under a virtual clock: classification, policy,
 * scheduling and waiting without a socket. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/attributes.h"
#include "world.h"

#define HOUR SEC(3600)

static struct world *world;

static void expect_ok(struct registration *registration, const char *body)
{
	ck_assert(world_run_to_end(world, registration, HOUR));
	ck_assert_msg(registration->result->ok, "ended with %s",
		      registration->result->error ? registration->result->error->message : "?");
	ck_assert_uint_eq(registration->result->body->size, strlen(body));
	ck_assert_mem_eq(registration->result->body->data, body, strlen(body));
	ck_assert_uint_eq(world->overlaps, 0);
}

static const struct error *expect_error(struct registration *registration, enum error_type type,
					enum error_category category, unsigned status)
{
	ck_assert(world_run_to_end(world, registration, HOUR));
	ck_assert(!registration->result->ok);
	ck_assert_str_eq(error_type_name(registration->result->error->type), error_type_name(type));
	ck_assert_int_eq(registration->result->error->category, category);
	ck_assert_uint_eq(registration->result->error->status, status);
	return registration->result->error;
}

static void expect_sleeps(const char *request_id, const int64_t *milliseconds, size_t n)
{
	for (size_t k = 0; k < n; k++)
		ck_assert_msg(world_slept(world, request_id, k) == MS(milliseconds[k]),
			      "sleep %zu of %s: %lld ms, expected %lld", k, request_id,
			      (long long)(world_slept(world, request_id, k) / 1000),
			      (long long)milliseconds[k]);
}
#define EXPECT_SLEEPS(id, ...)                                                                               \
	expect_sleeps(id, (const int64_t[]){__VA_ARGS__},                                                    \
		      sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define EXPECT_POLLS(id, n) ck_assert_uint_eq(world_poll_count(world, id), n)

static struct registration_options timeout_options(int64_t timeout)
{
	struct registration_options options = {
		.has = {.poll_timeout = true, .backoff_initial = true, .backoff_max = true},
		.poll_timeout = timeout,
	};

	return options;
}

START_TEST(P1)
{
	world = world_new(PROFILE_GUIDE);
	SCRIPT(world, "a", COMPLETED("{\"value\":42}"));
	expect_ok(world_register(world, ME, "a", NULL), "{\"value\":42}");
	EXPECT_POLLS("a", 1);
}
END_TEST

START_TEST(P2)
{
	world = world_new(PROFILE_GUIDE);
	SCRIPT(world, "a", BODY("{\"status\":\"complete_metadata\",\"response_payload_size\":512}"),
	       COMPLETED("{\"value\":43}"));
	expect_ok(world_register(world, ME, "a", NULL), "{\"value\":43}");
	EXPECT_POLLS("a", 2);
	ck_assert(world_poll(world, "a", 0)->allow_metadata_only);
	ck_assert(!world_poll(world, "a", 1)->allow_metadata_only);
	EXPECT_SLEEPS("a", 0);
}
END_TEST

START_TEST(P3)
{
	world = world_new(PROFILE_GUIDE);
	SCRIPT(world, "a", PENDING, COMPLETED("1"));
	expect_ok(world_register(world, ME, "a", NULL), "1");
	EXPECT_SLEEPS("a", 1000);
}
END_TEST

START_TEST(P4)
{
	world = world_new(PROFILE_GUIDE);
	SCRIPT(world, "a",
	       BODY("{\"status\":\"failed\",\"error\":{\"message\":\"bad input\",\"category\":\"user\"}}"));
	ck_assert_str_eq(
		expect_error(world_register(world, ME, "a", NULL), ERROR_REQUEST_FAILED, CATEGORY_USER, 0)
			->message,
		"bad input");
	EXPECT_POLLS("a", 1);
}
END_TEST

START_TEST(P5)
{
	world = world_new(PROFILE_GUIDE);
	SCRIPT(world, "a", STATUS(400, ""), STATUS(400, ""), COMPLETED("5"));
	expect_ok(world_register(world, ME, "a", NULL), "5");
	EXPECT_POLLS("a", 3);
	EXPECT_SLEEPS("a", 1000, 1000);
	ck_assert(!world_poll(world, "a", 0)->fresh_connection);
	ck_assert(world_poll(world, "a", 1)->fresh_connection);
}
END_TEST

START_TEST(P6)
{
	struct registration_options options = timeout_options(MS(5));

	world = world_new(PROFILE_GUIDE);
	SCRIPT_REPEAT(
		world, "a",
		{.body = "{\"status\":\"failed\",\"error\":{\"message\":\"flaky\",\"category\":\"server\"}}",
		 .held = MS(1)});
	expect_error(world_register(world, ME, "a", &options), ERROR_REQUEST_FAILED, CATEGORY_SERVER, 0);
	ck_assert_int_eq(world->now, SEC(1000) + MS(5));
}
END_TEST

START_TEST(P7)
{
	world = world_new(PROFILE_GUIDE);
	SCRIPT(world, "a",
	       BODY("{\"type\":\"try_again\",\"queue_state\":\"paused_rate_limit\",\"retry_after_ms\":null,"
		    "\"queue_state_reason\":\"server throttle\"}"),
	       COMPLETED("7"));
	expect_ok(world_register(world, ME, "a", NULL), "7");
	EXPECT_SLEEPS("a", 1000);
	ck_assert_uint_eq(world_event_count(world, EVENT_QUEUE_STATE, "a"), 1);
	ck_assert_int_eq(world_event(world, EVENT_QUEUE_STATE, 0)->state, QUEUE_PAUSED_RATE_LIMIT);
	ck_assert_str_eq(world_event(world, EVENT_QUEUE_STATE, 0)->reason, "server throttle");
}
END_TEST

START_TEST(P8)
{
	struct registration_options options = timeout_options(MS(5));
	const struct error *error;

	world = world_new(PROFILE_GUIDE);
	SCRIPT_REPEAT(world, "a", {.body = "{\"status\":\"pending\"}", .held = MS(1)});
	error = expect_error(world_register(world, ME, "a", &options), ERROR_API_TIMEOUT, CATEGORY_NONE, 0);
	ck_assert_ptr_nonnull(strstr(error->data, "\"reason\":\"poll_deadline\""));
	ck_assert_ptr_nonnull(strstr(error->data, "\"timeout_ms\":5"));
}
END_TEST

START_TEST(P9)
{
	world = world_new(PROFILE_GUIDE);
	SCRIPT(world, "a", STATUS(410, "{\"message\":\"promise expired\",\"category\":\"server\"}"));
	expect_error(world_register(world, ME, "a", NULL), ERROR_API_STATUS, CATEGORY_SERVER, 410);
	EXPECT_POLLS("a", 1);
}
END_TEST

START_TEST(P10)
{
	world = world_new(PROFILE_GUIDE);
	SCRIPT(world, "a", BODY("{\"type\":\"try_again\",\"retry_after_ms\":5000}"), COMPLETED("10"));
	expect_ok(world_register(world, ME, "a", NULL), "10");
	EXPECT_SLEEPS("a", 5000);
}
END_TEST

START_TEST(P11)
{
	world = world_new(PROFILE_GUIDE);
	SCRIPT(world, "a", PENDING, PENDING, PENDING, PENDING, PENDING, PENDING, PENDING, COMPLETED("11"));
	expect_ok(world_register(world, ME, "a", NULL), "11");
	EXPECT_SLEEPS("a", 1000, 2000, 4000, 8000, 16000, 30000, 30000);
}
END_TEST

START_TEST(P12)
{
	world = world_new(PROFILE_GUIDE);
	SCRIPT(world, "a", REFUSED);
	expect_error(world_register(world, ME, "a", NULL), ERROR_NETWORK, CATEGORY_NONE, 0);
	EXPECT_POLLS("a", 1);
}
END_TEST

START_TEST(P13)
{
	world = world_new(PROFILE_GUIDE);
	SCRIPT(world, "a", BODY("{\"status\":\"failed\",\"error\":\"busy\",\"category\":\"provider\"}"),
	       BODY("{\"status\":\"failed\",\"error\":\"busy\",\"category\":\"Provider \"}"),
	       COMPLETED("13"));
	expect_ok(world_register(world, ME, "a", NULL), "13");
	EXPECT_SLEEPS("a", 1000, 2000);
}
END_TEST

START_TEST(S1)
{
	world = world_new(PROFILE_SDK);
	SCRIPT(world, "a", BODY("{\"metrics\":{\"loss\":1}}"));
	expect_ok(world_register(world, ME, "a", NULL), "{\"metrics\":{\"loss\":1}}");
}
END_TEST

START_TEST(S2)
{
	struct registration *registration;

	world = world_new(PROFILE_SDK);
	SCRIPT(world, "a", {.body = "\x08\x96\x01", .content_type = "application/x-protobuf; v=1"});
	registration = world_register(world, ME, "a", NULL);
	expect_ok(registration, "\x08\x96\x01");
	ck_assert_int_eq(registration->result->content, CONTENT_PROTOBUF);
}
END_TEST

START_TEST(S3)
{
#define HELD_ACTIVE {.body = "{\"type\":\"try_again\",\"queue_state\":\"active\"}", .held = SEC(1)}
	world = world_new(PROFILE_SDK);
	SCRIPT(world, "a", HELD_ACTIVE, HELD_ACTIVE, HELD_ACTIVE, BODY("3"));
	expect_ok(world_register(world, ME, "a", NULL), "3");
	EXPECT_SLEEPS("a", 0, 0, 0);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(world_poll(world, "a", i)->iteration, i);
	ck_assert_uint_eq(world_event_count(world, EVENT_QUEUE_STATE, "a"), 1);
}
END_TEST

START_TEST(S4)
{
	world = world_new(PROFILE_SDK);
	SCRIPT(world, "a", STATUS(408, "{\"queue_state\":\"paused_capacity\"}"), BODY("4"));
	expect_ok(world_register(world, ME, "a", NULL), "4");
	ck_assert_uint_eq(world_event_count(world, EVENT_QUEUE_STATE, "a"), 1);
	ck_assert_str_eq(world_event(world, EVENT_QUEUE_STATE, 0)->reason,
			 "Tinker backend is running short on capacity, please wait");
}
END_TEST

START_TEST(S5)
{
	world = world_new(PROFILE_SDK);
	SCRIPT(world, "a", STATUS(408, "<html>timeout</html>"), BODY("5"));
	expect_ok(world_register(world, ME, "a", NULL), "5");
	ck_assert_uint_eq(world_event_count(world, EVENT_QUEUE_STATE, "a"), 0);
}
END_TEST

START_TEST(S6)
{
	world = world_new(PROFILE_SDK);
	SCRIPT(world, "a", STATUS(400, "x"), STATUS(400, "x"), STATUS(400, "x"), BODY("6"));
	SCRIPT(world, "b", STATUS(400, "x"), STATUS(400, "x"), STATUS(400, "x"), STATUS(400, "x"));
	expect_ok(world_register(world, ME, "a", NULL), "6");
	EXPECT_POLLS("a", 4);
	EXPECT_SLEEPS("a", 1000, 1000, 1000);
	expect_error(world_register(world, ME, "b", NULL), ERROR_API_STATUS, CATEGORY_USER, 400);
	EXPECT_POLLS("b", 4);
}
END_TEST

START_TEST(S7)
{
	world = world_new(PROFILE_SDK);
	SCRIPT(world, "a", REFUSED, REFUSED, REFUSED, STATUS(503, ""), REFUSED, BODY("7"));
	expect_ok(world_register(world, ME, "a", NULL), "7");
	EXPECT_SLEEPS("a", 1000, 2000, 4000, 1000, 1000);
	ck_assert_uint_eq(world->metrics.gate_closed, 4);
}
END_TEST

START_TEST(S8)
{
	struct registration *a, *b;

	world = world_new(PROFILE_SDK);
	SCRIPT(world, "a", {.status = 429, .retry_after = "2"}, BODY("8"));
	SCRIPT(world, "b", BODY("88"));
	a = world_register(world, ME, "a", NULL);
	world_turn(world);
	world_run_until(world, world->now + MS(500));
	b = world_register(world, ME, "b", NULL);
	expect_ok(a, "8");
	expect_ok(b, "88");
	EXPECT_SLEEPS("a", 2000);
	ck_assert_int_eq(world_poll(world, "b", 0)->start, SEC(1002));
}
END_TEST

START_TEST(S9)
{
	world = world_new(PROFILE_SDK);
	SCRIPT(world, "a", STATUS(402, ""), STATUS(402, ""), BODY("9"));
	expect_ok(world_register(world, ME, "a", NULL), "9");
	EXPECT_SLEEPS("a", 5000, 5000);
}
END_TEST

START_TEST(S10)
{
	static const unsigned statuses[] = {401, 403, 404, 409, 422};
	char id[8];

	world = world_new(PROFILE_SDK);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		struct registration *registration;

		snprintf(id, sizeof(id), "s%u", statuses[i]);
		world_script(world, id, false, &(struct scripted)STATUS(statuses[i], "{\"detail\":\"no\"}"),
			     1);
		registration = world_register(world, ME, id, NULL);
		ck_assert(world_run_to_end(world, registration, HOUR));
		ck_assert(!registration->result->ok);
		ck_assert_int_eq(registration->result->error->type, ERROR_API_STATUS);
		ck_assert_uint_eq(registration->result->error->status, statuses[i]);
		EXPECT_POLLS(id, 1);
		if (statuses[i] == 404)
			ck_assert_ptr_nonnull(strstr(registration->result->error->data, "unknown_request"));
	}
}
END_TEST

START_TEST(S11)
{
	world = world_new(PROFILE_SDK);
	SCRIPT(world, "a", BODY("{\"error\":\"boom\",\"category\":\"server\"}"));
	expect_error(world_register(world, ME, "a", NULL), ERROR_REQUEST_FAILED, CATEGORY_SERVER, 0);
	EXPECT_POLLS("a", 1);
}
END_TEST

START_TEST(S12)
{
	world = world_new((enum profile_name)_i);
	SCRIPT(world, "a", BODY("{\"type\":\"try_again\",\"error\":\"x\"}"), BODY("12"));
	expect_ok(world_register(world, ME, "a", NULL), "12");
	EXPECT_POLLS("a", 2);
	ck_assert_int_eq(world_event(world, EVENT_QUEUE_STATE, 0)->state, QUEUE_UNKNOWN);
}
END_TEST

START_TEST(S13)
{
	struct registration_options options = timeout_options(SEC(10));

	world = world_new((enum profile_name)_i);
	SCRIPT_REPEAT(world, "a", BODY(""));
	SCRIPT(world, "b", BODY("nope"));
	/* `network`: ends at once or is retried until the deadline, by the profile; either way it is what the
	 * registration ends with. */
	expect_error(world_register(world, ME, "a", &options), ERROR_NETWORK, CATEGORY_NONE, 0);
	world_run_until(world, world->now + SEC(60));
	ck_assert(world_run_to_end(world, world_register(world, ME, "b", NULL), HOUR));
	ck_assert_int_eq(registry_find(world->registry, ME, world->endpoints[0], "b")->result->error->type,
			 ERROR_VALIDATION);
	EXPECT_POLLS("b", 1);
}
END_TEST

START_TEST(S14)
{
	struct registration *a, *b;

	world = world_new((enum profile_name)_i);
	world->scheduler->budget.limit = 1000;
	SCRIPT(world, "a", BODY("{\"status\":\"complete_metadata\",\"response_payload_size\":1001}"),
	       {.body = "14", .held = SEC(3)});
	SCRIPT(world, "b",
	       {.body = "{\"status\":\"complete_metadata\",\"response_payload_size\":1}", .held = SEC(1)},
	       BODY("15"));
	a = world_register(world, ME, "a", NULL);
	b = world_register(world, ME, "b", NULL);
	world_run_until(world, world->now + SEC(2));
	ck_assert_int_eq(scheduler_why(world->scheduler, b->future), WAITING_BYTE_BUDGET);
	expect_ok(a, "14");
	expect_ok(b, "15");
	ck_assert_int_eq(world_poll(world, "b", 1)->start, world_poll(world, "a", 1)->end);
	ck_assert_uint_eq(world->scheduler->budget.used, 0);
}
END_TEST

START_TEST(K1)
{
	world = world_new(PROFILE_SKYRL);
	SCRIPT(world, "a", STATUS(400, "{\"detail\":\"boom\"}"));
	ck_assert_str_eq(expect_error(world_register(world, ME, "a", NULL), ERROR_REQUEST_FAILED,
				      CATEGORY_UNKNOWN, 400)
				 ->message,
			 "boom");
	EXPECT_POLLS("a", 1);
}
END_TEST

START_TEST(K2)
{
	world = world_new(PROFILE_SKYRL);
	SCRIPT(world, "a", {.status = 408, .body = "", .held = SEC(300)}, BODY("2"));
	expect_ok(world_register(world, ME, "a", NULL), "2");
	EXPECT_SLEEPS("a", 0);
	ck_assert(!world_poll(world, "a", 0)->timed_out);
}
END_TEST

/* Awaiting. */

struct awaited {
	bool done, timed_out;
	size_t order[8], n;
};

static void on_item(void *context, struct waiter *waiter, size_t index)
{
	struct awaited *awaited = context;

	(void)waiter;
	awaited->order[awaited->n++] = index;
}

static void on_done(void *context, struct waiter *waiter, bool timed_out)
{
	struct awaited *awaited = context;

	(void)waiter;
	awaited->done = true;
	awaited->timed_out = timed_out;
}

static const struct waiter_operations waiter_operations = {.item_done = on_item, .done = on_done};

static struct waiter *await(struct awaited *awaited, const char *const *ids, size_t n, int64_t timeout,
			    uint64_t peer, bool cancel)
{
	struct waiter *waiter = waiter_new(n, &waiter_operations, awaited, world->registry, &world->timers);

	ck_assert_ptr_nonnull(waiter);
	waiter->peer = peer;
	waiter->cancel_on_timeout = cancel;
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(waiter_set(waiter, i, world->endpoints[0], ids[i],
					    registry_find(world->registry, ME, world->endpoints[0], ids[i]),
					    NULL),
				 0);
	waiter_start(waiter, timeout, world->now);
	return waiter;
}

START_TEST(A1)
{
	static const char *const ids[] = {"slow", "fast"};
	struct awaited awaited = {0};
	struct waiter *waiter;

	world = world_new((enum profile_name)_i);
	SCRIPT(world, "slow", {.body = "1", .held = SEC(2)});
	SCRIPT(world, "fast", {.body = "2", .held = SEC(1)});
	world_register(world, ME, "slow", NULL);
	world_register(world, ME, "fast", NULL);
	waiter = await(&awaited, ids, 2, TIME_NEVER, 1, true);
	world_run_until(world, world->now + SEC(10));
	ck_assert(awaited.done && !awaited.timed_out);
	ck_assert_uint_eq(awaited.order[0], 1); /* streamed as they end, reported in the order asked */
	ck_assert_mem_eq(waiter->items[0].result->body->data, "1", 1);
	ck_assert_mem_eq(waiter->items[1].result->body->data, "2", 1);
	waiter_free(waiter);
}
END_TEST

START_TEST(A2)
{
	static const char *const ids[] = {"ok", "failed", "never"};
	struct awaited awaited = {0};
	struct waiter *waiter;

	world = world_new((enum profile_name)_i);
	SCRIPT(world, "ok", {.body = "1", .held = MS(1)});
	SCRIPT(world, "failed", {.body = "{\"error\":\"no\",\"category\":\"user\"}", .held = MS(2)});
	SCRIPT_REPEAT(world, "never", {.body = "{\"status\":\"pending\"}", .held = MS(100)});
	for (size_t i = 0; i < 3; i++)
		world_register(world, ME, ids[i], NULL);
	waiter = await(&awaited, ids, 3, MS(10), 1, true);
	world_run_until(world, world->now + MS(10));
	ck_assert(awaited.done && awaited.timed_out);
	ck_assert(waiter->items[0].result->ok);
	ck_assert_int_eq(waiter->items[1].result->error->type, ERROR_REQUEST_FAILED);
	ck_assert_int_eq(waiter->items[2].result->error->type, ERROR_API_TIMEOUT);
	waiter_free(waiter);
}
END_TEST

START_TEST(A3)
{
	static const char *const ids[] = {"a"};
	struct registration_options mine = {.peer = 7};

	/* own and not kept: cancelled; kept: goes on; somebody else's: goes on; without waiting: goes on */
	static const struct {
		uint64_t peer;
		bool cancel;
		int64_t timeout;
		bool ends;
	} cases[] = {{7, true, MS(10), true},
		     {7, false, MS(10), false},
		     {8, true, MS(10), false},
		     {7, true, 0, false}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct awaited awaited = {0};
		struct registration *registration;
		struct waiter *waiter;

		world = world_new((enum profile_name)_i);
		SCRIPT_REPEAT(world, "a", {.body = "{\"status\":\"pending\"}", .held = MS(100)});
		registration = world_register(world, ME, "a", &mine);
		waiter = await(&awaited, ids, 1, cases[i].timeout, cases[i].peer, cases[i].cancel);
		world_run_until(world, world->now + MS(20));
		ck_assert(awaited.done && awaited.timed_out);
		ck_assert_int_eq(waiter->items[0].result->error->type, ERROR_API_TIMEOUT);
		ck_assert_ptr_nonnull(strstr(waiter->items[0].result->error->data, "\"timeout_ms\":"));
		ck_assert_ptr_nonnull(
			strstr(waiter->items[0].result->error->data, "\"reason\":\"await_timeout\""));
		ck_assert_int_eq(registration->phase == REGISTRATION_ENDED, cases[i].ends);
		if (cases[i].ends) {
			ck_assert_int_eq(registration->result->error->type, ERROR_CANCELLED);
			ck_assert(world_poll(world, "a", 0)->aborted);
		}
		waiter_free(waiter);
		world_free(world);
	}
	world = world_new(PROFILE_DURABLE);
}
END_TEST

static void teardown(void)
{
	world = world_free(world);
}

int main(void)
{
	Suite *suite = suite_create("conformance");
	TCase *tcase = tcase_create("vectors");
	SRunner *runner;
	int failed;

	tcase_add_unchecked_fixture(tcase, NULL, NULL);
	tcase_add_checked_fixture(tcase, NULL, teardown);
#define ADD(test)     tcase_add_test(tcase, test)
#define ADD_ANY(test) tcase_add_loop_test(tcase, test, 0, PROFILE_COUNT)
	ADD(P1), ADD(P2), ADD(P3), ADD(P4), ADD(P5), ADD(P6), ADD(P7), ADD(P8), ADD(P9), ADD(P10), ADD(P11),
		ADD(P12);
	ADD(P13), ADD(S1), ADD(S2), ADD(S3), ADD(S4), ADD(S5), ADD(S6), ADD(S7), ADD(S8), ADD(S9), ADD(S10),
		ADD(S11);
	ADD_ANY(S12), ADD_ANY(S13), ADD_ANY(S14), ADD(K1), ADD(K2), ADD_ANY(A1), ADD_ANY(A2), ADD_ANY(A3);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_VERBOSE);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
