/* Every outcome under every profile, row by row, and the delays that come of them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../proto/test_run.h"
#include "core/policy.h"
#include "core/timers.h"
#include "proto/attributes.h"

#define MS(n)  ((int64_t)(n)*USEC_PER_MSEC)
#define SEC(n) ((int64_t)(n)*USEC_PER_SEC)

/* A verdict as text: "done", "backoff 4000", "backoff 1000 fresh", "retry_after 5000", "at once", … */
static void verdict_text(const struct verdict *verdict, char *out, size_t capacity)
{
	static const char *const names[] = {
		[ACTION_DONE] = "done", [ACTION_METADATA] = "metadata", [ACTION_NETWORK] = "network",
		[ACTION_GATE] = "gate", [ACTION_AUTH] = "auth",         [ACTION_TERMINAL] = "terminal",
	};
	const char *why = verdict->why == WHY_RETRY_AFTER ? "retry_after" : "backoff";

	switch (verdict->action) {
	case ACTION_BACKOFF:
		if (verdict->why == WHY_NOTHING && !verdict->delay)
			snprintf(out, capacity, "at once");
		else
			snprintf(out, capacity, "%s %lld%s", why, (long long)(verdict->delay / USEC_PER_MSEC),
				 verdict->fresh_connection ? " fresh" : "");
		break;
	case ACTION_SERVER_FAILURE:
		snprintf(out, capacity, "failure %lld", (long long)(verdict->delay / USEC_PER_MSEC));
		break;
	case ACTION_PACED:
	case ACTION_BACKOFF_FAILURES:
	case ACTION_RETRY_BRIEFLY:
		ck_abort_msg("action %d is no verdict", verdict->action);
	default:
		snprintf(out, capacity, "%s", names[verdict->action]);
		ck_assert_int_eq(verdict->delay, 0);
	}
}

static void assert_verdict(const struct policy *policy, enum outcome_kind kind, int64_t retry_after,
			   const struct history *history, const char *expected)
{
	struct outcome outcome = {.kind = kind, .retry_after = retry_after};
	struct verdict verdict = policy_decide(policy, &outcome, history);
	char text[64];

	verdict_text(&verdict, text, sizeof(text));
	ck_assert_msg(strcmp(text, expected) == 0, "%s, %s: %s instead of %s", policy->name,
		      outcome_kind_name(kind), text, expected);
}

/* A past in which every count is different, so that a delay tells which of them it was made from: iteration 2
 * makes 4 s, quick answers 1 make 2 s, failures 3 make 8 s. */
static struct history past(void)
{
	return (struct history){
		.iteration = 2,
		.quick_answers = 1,
		.failures = 3,
		.brief_retries = 0,
		.held = MS(10),
		.backoff = {SEC(1), SEC(30)},
	};
}

/* profiles in the order of enum profile_name */
static const struct row {
	enum outcome_kind kind;
	const char *durable, *guide, *sdk, *skyrl;
} rows[] = {
	{OUTCOME_COMPLETED, "done", "done", "done", "done"},
	{OUTCOME_METADATA, "metadata", "metadata", "metadata", "metadata"},
	{OUTCOME_PENDING, "backoff 4000", "backoff 4000", "backoff 2000", "backoff 2000"},
	{OUTCOME_TRY_AGAIN, "backoff 4000", "backoff 4000", "backoff 2000", "backoff 2000"},
	{OUTCOME_NO_ANSWER, "backoff 2000", "backoff 2000", "backoff 2000", "backoff 2000"},
	{OUTCOME_REQUEST_TIMEOUT, "backoff 4000", "backoff 4000", "backoff 2000", "backoff 2000"},
	{OUTCOME_FAILED_USER, "terminal", "terminal", "terminal", "terminal"},
	{OUTCOME_FAILED, "failure 4000", "failure 4000", "failure 4000", "failure 4000"},
	{OUTCOME_NETWORK, "network", "network", "network", "network"},
	{OUTCOME_VALIDATION, "terminal", "terminal", "terminal", "terminal"},
	{OUTCOME_TOO_LARGE, "terminal", "terminal", "terminal", "terminal"},
	{OUTCOME_RATE_LIMITED, "gate", "gate", "gate", "gate"},
	{OUTCOME_SERVER_ERROR, "backoff 8000", "backoff 8000", "backoff 8000", "backoff 8000"},
	{OUTCOME_SERVER_ERROR_UNKNOWN, "backoff 8000", "backoff 8000", "backoff 8000", "terminal"},
	{OUTCOME_BAD_REQUEST_EMPTY, "backoff 1000 fresh", "backoff 1000 fresh", "backoff 1000 fresh",
	 "backoff 1000 fresh"},
	{OUTCOME_BAD_REQUEST, "terminal", "terminal", "backoff 1000 fresh", "backoff 1000 fresh"},
	{OUTCOME_BAD_REQUEST_DETAIL, "terminal", "terminal", "backoff 1000 fresh", "terminal"},
	{OUTCOME_UNAUTHORISED, "auth", "auth", "auth", "auth"},
	{OUTCOME_PAYMENT_REQUIRED, "gate", "terminal", "gate", "terminal"},
	{OUTCOME_FORBIDDEN, "terminal", "terminal", "terminal", "terminal"},
	{OUTCOME_NOT_FOUND, "terminal", "terminal", "terminal", "terminal"},
	{OUTCOME_GONE, "terminal", "terminal", "terminal", "terminal"},
	{OUTCOME_OTHER_STATUS, "terminal", "terminal", "terminal", "terminal"},
};

static const char *expected_of(const struct row *row, enum profile_name profile)
{
	const char *const columns[PROFILE_COUNT] = {
		[PROFILE_DURABLE] = row->durable,
		[PROFILE_GUIDE] = row->guide,
		[PROFILE_SDK] = row->sdk,
		[PROFILE_SKYRL] = row->skyrl,
	};

	return columns[profile];
}

START_TEST(every_outcome_under_every_profile)
{
	struct history history = past();

	ck_assert_uint_eq(ARRAY_LEN(rows), OUTCOME_COUNT);
	for (int profile = 0; profile < PROFILE_COUNT; profile++) {
		struct policy policy = policy_profile((enum profile_name)profile);

		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			ck_assert_uint_eq(rows[i].kind, i);
			assert_verdict(&policy, rows[i].kind, -1, &history,
				       expected_of(&rows[i], (enum profile_name)profile));
		}
	}
}
END_TEST

START_TEST(after_a_held_poll_the_paced_ones_go_at_once)
{
	struct history history = past();

	history.held = PACED_HOLD;
	for (int profile = 0; profile < PROFILE_COUNT; profile++) {
		struct policy policy = policy_profile((enum profile_name)profile);
		bool paced = profile == PROFILE_SDK || profile == PROFILE_SKYRL;

		assert_verdict(&policy, OUTCOME_PENDING, -1, &history, paced ? "at once" : "backoff 4000");
		assert_verdict(&policy, OUTCOME_TRY_AGAIN, -1, &history, paced ? "at once" : "backoff 4000");
		assert_verdict(&policy, OUTCOME_REQUEST_TIMEOUT, -1, &history,
			       paced ? "at once" : "backoff 4000");
		assert_verdict(&policy, OUTCOME_NO_ANSWER, -1, &history, "at once");
		assert_verdict(&policy, OUTCOME_SERVER_ERROR, -1, &history, "backoff 8000");
		assert_verdict(&policy, OUTCOME_BAD_REQUEST_EMPTY, -1, &history, "backoff 1000 fresh");
	}
	history.held = PACED_HOLD - 1;
	for (int profile = 0; profile < PROFILE_COUNT; profile++) {
		struct policy policy = policy_profile((enum profile_name)profile);

		assert_verdict(&policy, OUTCOME_NO_ANSWER, -1, &history, "backoff 2000");
	}
}
END_TEST

START_TEST(what_the_server_asks_for_counts_for_try_again_only)
{
	struct history history = past();

	history.held = SEC(300); /* even after a held poll */
	for (int profile = 0; profile < PROFILE_COUNT; profile++) {
		struct policy policy = policy_profile((enum profile_name)profile);

		assert_verdict(&policy, OUTCOME_TRY_AGAIN, SEC(5), &history, "retry_after 5000");
		assert_verdict(&policy, OUTCOME_REQUEST_TIMEOUT, SEC(5), &history, "retry_after 5000");
		assert_verdict(&policy, OUTCOME_TRY_AGAIN, 0, &history, "retry_after 100");
		assert_verdict(&policy, OUTCOME_SERVER_ERROR, SEC(5), &history, "backoff 8000");
		assert_verdict(&policy, OUTCOME_RATE_LIMITED, SEC(5), &history, "gate");
		assert_verdict(&policy, OUTCOME_COMPLETED, SEC(5), &history, "done");
	}
}
END_TEST

START_TEST(a_second_metadata_answer_is_the_end)
{
	struct history history = past();

	for (int profile = 0; profile < PROFILE_COUNT; profile++) {
		struct policy policy = policy_profile((enum profile_name)profile);

		history.metadata_seen = false;
		assert_verdict(&policy, OUTCOME_METADATA, -1, &history, "metadata");
		history.metadata_seen = true;
		assert_verdict(&policy, OUTCOME_METADATA, -1, &history, "terminal");
		assert_verdict(&policy, OUTCOME_COMPLETED, -1, &history, "done");
	}
}
END_TEST

START_TEST(bad_requests_are_retried_three_times)
{
	struct policy policy = policy_profile(PROFILE_SDK);
	struct history history = past();

	for (uint32_t n = 0; n < 6; n++) {
		const char *expected = n < 3 ? "backoff 1000 fresh" : "terminal";

		history.brief_retries = n;
		assert_verdict(&policy, OUTCOME_BAD_REQUEST, -1, &history, expected);
		assert_verdict(&policy, OUTCOME_BAD_REQUEST_EMPTY, -1, &history, expected);
	}
}
END_TEST

START_TEST(pending_waits_1_2_4_8_16_30_30)
{
	static const char *const delays[] = {"backoff 1000",  "backoff 2000",  "backoff 4000", "backoff 8000",
					     "backoff 16000", "backoff 30000", "backoff 30000"};
	struct policy policy = policy_profile(PROFILE_GUIDE);
	struct history history = past();

	for (uint32_t n = 0; n < ARRAY_LEN(delays); n++) {
		history.iteration = n;
		assert_verdict(&policy, OUTCOME_PENDING, -1, &history, delays[n]);
	}
	history.iteration = UINT32_MAX;
	assert_verdict(&policy, OUTCOME_PENDING, -1, &history, "backoff 30000");
}
END_TEST

START_TEST(quick_answers_never_make_a_hot_loop)
{
	static const char *const delays[] = {"backoff 1000", "backoff 2000", "backoff 4000"};
	struct policy policy = policy_profile(PROFILE_SDK);
	struct history history = past();

	history.held = 0;
	for (uint32_t n = 0; n < ARRAY_LEN(delays); n++) {
		history.quick_answers = n;
		assert_verdict(&policy, OUTCOME_TRY_AGAIN, -1, &history, delays[n]);
		assert_verdict(&policy, OUTCOME_NO_ANSWER, -1, &history, delays[n]);
	}
}
END_TEST

START_TEST(every_delay_is_at_least_backoff_min)
{
	struct policy policy = policy_profile(PROFILE_SDK);
	struct history history = past();

	history.backoff = (struct backoff){0, 0};
	ck_assert_int_eq(policy.backoff_min, MS(100));
	assert_verdict(&policy, OUTCOME_PENDING, -1, &history, "backoff 100");
	assert_verdict(&policy, OUTCOME_FAILED, -1, &history, "failure 100");
	assert_verdict(&policy, OUTCOME_SERVER_ERROR, -1, &history, "backoff 100");
	assert_verdict(&policy, OUTCOME_TRY_AGAIN, MS(1), &history, "retry_after 100");
	policy.backoff_min = SEC(3);
	assert_verdict(&policy, OUTCOME_BAD_REQUEST, -1, &history, "backoff 3000 fresh");
	history.held = PACED_HOLD;
	assert_verdict(&policy, OUTCOME_PENDING, -1, &history, "at once");

	/* Backoff 0/0 on an endpoint without a minimum means no sleep. */
	policy = policy_profile(PROFILE_GUIDE);
	policy.backoff_min = 0;
	history.held = 0;
	assert_verdict(&policy, OUTCOME_FAILED, -1, &history, "failure 0");
	assert_verdict(&policy, OUTCOME_PENDING, -1, &history, "backoff 0");
}
END_TEST

START_TEST(presets)
{
	struct policy durable = policy_profile(PROFILE_DURABLE), guide = policy_profile(PROFILE_GUIDE),
		      sdk = policy_profile(PROFILE_SDK), skyrl = policy_profile(PROFILE_SKYRL);
	const struct policy *all[] = {&durable, &guide, &sdk, &skyrl};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		ck_assert_int_eq(all[i]->backoff.initial, SEC(1));
		ck_assert_int_eq(all[i]->backoff.max, SEC(30));
		ck_assert_int_eq(all[i]->backoff_min, MS(100));
		ck_assert_int_eq(all[i]->payment_grace, SEC(3600));
		ck_assert_int_eq(all[i]->auth_grace, SEC(600));
		ck_assert_int_eq(all[i]->http_timeout, all[i] == &skyrl ? SEC(330) : SEC(60));
		ck_assert_int_eq(all[i]->hold_on_auth_error, all[i] == &durable);
		ck_assert_int_eq(all[i]->skyrl, all[i] == &skyrl);
		ck_assert_int_eq(all[i]->on_network_error,
				 all[i] == &guide ? ON_FAILURE_FAIL : ON_FAILURE_RETRY);
		ck_assert_int_eq(all[i]->on_server_failure, i == PROFILE_DURABLE || i == PROFILE_GUIDE
								    ? ON_FAILURE_RETRY
								    : ON_FAILURE_FAIL);
		ck_assert_int_eq(all[i]->server_failure_grace, all[i] == &durable ? SEC(600) : TIME_NEVER);
	}
}
END_TEST

START_TEST(profiles_have_names)
{
	static const char *const names[] = {"durable", "guide", "sdk", "skyrl"};
	enum profile_name profile;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		ck_assert_int_eq(policy_profile_from_name(names[i], &profile), 0);
		ck_assert_uint_eq(profile, i);
		ck_assert_str_eq(policy_profile(profile).name, names[i]);
	}
	ck_assert_int_eq(policy_profile_from_name("Durable", &profile), -EINVAL);
	ck_assert_int_eq(policy_profile_from_name("", &profile), -EINVAL);
	ck_assert_int_eq(policy_profile_from_name("sdk ", &profile), -EINVAL);
	ck_assert_uint_eq(profile, PROFILE_SKYRL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		every_outcome_under_every_profile,
		after_a_held_poll_the_paced_ones_go_at_once,
		what_the_server_asks_for_counts_for_try_again_only,
		a_second_metadata_answer_is_the_end,
		bad_requests_are_retried_three_times,
		pending_waits_1_2_4_8_16_30_30,
		quick_answers_never_make_a_hot_loop,
		every_delay_is_at_least_backoff_min,
		presets,
		profiles_have_names,
	};

	return RUN_SUITE("policy", tests);
}
