#include "policy.h"

#include <errno.h>
#include <string.h>

#include "proto/attributes.h"
#include "timers.h"

#define MINUTE              (60 * USEC_PER_SEC)
#define BRIEF_RETRY_DELAY   USEC_PER_SEC
#define DEFAULT_BACKOFF_MIN (100 * USEC_PER_MSEC)

/* What each outcome leads to, by profile. Where a row says SERVER_FAILURE, NETWORK or AUTH, the settings
 * below and those of the registration decide. */
/* clang-format off */
static const uint8_t actions[OUTCOME_COUNT][PROFILE_COUNT] = {
#define ROW(outcome, durable, guide, sdk, skyrl)                                                             \
	[OUTCOME_##outcome] = {                                                                              \
		[PROFILE_DURABLE] = ACTION_##durable, [PROFILE_GUIDE] = ACTION_##guide,                      \
		[PROFILE_SDK] = ACTION_##sdk, [PROFILE_SKYRL] = ACTION_##skyrl,                              \
	},
	/*                    durable           guide             sdk               skyrl */
	ROW(COMPLETED,            DONE,             DONE,             DONE,             DONE)
	ROW(METADATA,             METADATA,         METADATA,         METADATA,         METADATA)
	ROW(PENDING,              BACKOFF,          BACKOFF,          PACED,            PACED)
	ROW(TRY_AGAIN,            BACKOFF,          BACKOFF,          PACED,            PACED)
	ROW(NO_ANSWER,            PACED,            PACED,            PACED,            PACED)
	ROW(REQUEST_TIMEOUT,      BACKOFF,          BACKOFF,          PACED,            PACED)
	ROW(FAILED_USER,          TERMINAL,         TERMINAL,         TERMINAL,         TERMINAL)
	ROW(FAILED,               SERVER_FAILURE,   SERVER_FAILURE,   SERVER_FAILURE,   SERVER_FAILURE)
	ROW(NETWORK,              NETWORK,          NETWORK,          NETWORK,          NETWORK)
	ROW(VALIDATION,           TERMINAL,         TERMINAL,         TERMINAL,         TERMINAL)
	ROW(TOO_LARGE,            TERMINAL,         TERMINAL,         TERMINAL,         TERMINAL)
	ROW(RATE_LIMITED,         GATE,             GATE,             GATE,             GATE)
	ROW(SERVER_ERROR,         BACKOFF_FAILURES, BACKOFF_FAILURES, BACKOFF_FAILURES, BACKOFF_FAILURES)
	ROW(SERVER_ERROR_UNKNOWN, BACKOFF_FAILURES, BACKOFF_FAILURES, BACKOFF_FAILURES, TERMINAL)
	ROW(BAD_REQUEST_EMPTY,    RETRY_BRIEFLY,    RETRY_BRIEFLY,    RETRY_BRIEFLY,    RETRY_BRIEFLY)
	ROW(BAD_REQUEST,          TERMINAL,         TERMINAL,         RETRY_BRIEFLY,    RETRY_BRIEFLY)
	ROW(BAD_REQUEST_DETAIL,   TERMINAL,         TERMINAL,         RETRY_BRIEFLY,    TERMINAL)
	ROW(UNAUTHORISED,         AUTH,             AUTH,             AUTH,             AUTH)
	ROW(PAYMENT_REQUIRED,     GATE,             TERMINAL,         GATE,             TERMINAL)
	ROW(FORBIDDEN,            TERMINAL,         TERMINAL,         TERMINAL,         TERMINAL)
	ROW(NOT_FOUND,            TERMINAL,         TERMINAL,         TERMINAL,         TERMINAL)
	ROW(GONE,                 TERMINAL,         TERMINAL,         TERMINAL,         TERMINAL)
	ROW(OTHER_STATUS,         TERMINAL,         TERMINAL,         TERMINAL,         TERMINAL)
#undef ROW
};
/* clang-format on */

/* The settings in which profiles differ. */
static const struct {
	const char *name;
	enum on_failure on_network_error, on_server_failure;
	bool hold_on_auth_error, skyrl;
	int64_t http_timeout, server_failure_grace;
} presets[] = {
	[PROFILE_DURABLE] = {"durable", ON_FAILURE_RETRY, ON_FAILURE_RETRY, true, false, MINUTE, 10 * MINUTE},
	[PROFILE_GUIDE] = {"guide", ON_FAILURE_FAIL, ON_FAILURE_RETRY, false, false, MINUTE, TIME_NEVER},
	[PROFILE_SDK] = {"sdk", ON_FAILURE_RETRY, ON_FAILURE_FAIL, false, false, MINUTE, TIME_NEVER},
	/* It holds a poll for 300 s. */
	[PROFILE_SKYRL] = {"skyrl", ON_FAILURE_RETRY, ON_FAILURE_FAIL, false, true, 330 * USEC_PER_SEC,
			   TIME_NEVER},
};

struct policy policy_profile(enum profile_name name)
{
	struct policy policy = {
		.name = presets[name].name,
		.on_network_error = presets[name].on_network_error,
		.on_server_failure = presets[name].on_server_failure,
		.hold_on_auth_error = presets[name].hold_on_auth_error,
		.skyrl = presets[name].skyrl,
		.http_timeout = presets[name].http_timeout,
		.server_failure_grace = presets[name].server_failure_grace,
		.payment_grace = 60 * MINUTE,
		.auth_grace = 10 * MINUTE,
		.backoff_min = DEFAULT_BACKOFF_MIN,
		.backoff = {.initial = USEC_PER_SEC, .max = 30 * USEC_PER_SEC},
	};

	for (size_t outcome = 0; outcome < OUTCOME_COUNT; outcome++)
		policy.actions[outcome] = actions[outcome][name];
	return policy;
}

int policy_profile_from_name(const char *text, enum profile_name *ret_name)
{
	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		if (strcmp(text, presets[i].name) == 0) {
			*ret_name = (enum profile_name)i;
			return 0;
		}
	}
	return -EINVAL;
}

static struct verdict again_after(const struct policy *policy, int64_t delay, enum why_scheduled why)
{
	return (struct verdict){
		.action = ACTION_BACKOFF,
		.delay = delay < policy->backoff_min ? policy->backoff_min : delay,
		.why = why,
	};
}

static struct verdict again_backoff(const struct policy *policy, const struct history *history, uint32_t n)
{
	return again_after(policy, backoff_delay(history->backoff, n), WHY_BACKOFF);
}

static struct verdict again_paced(const struct policy *policy, const struct history *history)
{
	if (history->held >= PACED_HOLD)
		return (struct verdict){.action = ACTION_BACKOFF};
	return again_backoff(policy, history, history->quick_answers);
}

static struct verdict again_briefly(const struct policy *policy, const struct history *history)
{
	struct verdict verdict = again_after(policy, BRIEF_RETRY_DELAY, WHY_BACKOFF);

	if (history->brief_retries >= BRIEF_RETRIES)
		return (struct verdict){.action = ACTION_TERMINAL};
	verdict.fresh_connection = true;
	return verdict;
}

/* What the server asked for itself; for the gate that is the endpoint's business. */
static bool retry_after_counts(const struct outcome *outcome)
{
	return outcome->retry_after >= 0 &&
	       (outcome->kind == OUTCOME_TRY_AGAIN || outcome->kind == OUTCOME_REQUEST_TIMEOUT);
}

struct verdict policy_decide(const struct policy *policy, const struct outcome *outcome,
			     const struct history *history)
{
	enum action action = policy->actions[outcome->kind];
	struct verdict verdict = {.action = action};

	switch (action) {
	case ACTION_BACKOFF:
	case ACTION_PACED:
		if (retry_after_counts(outcome))
			return again_after(policy, outcome->retry_after, WHY_RETRY_AFTER);
		return action == ACTION_PACED ? again_paced(policy, history)
					      : again_backoff(policy, history, history->iteration);
	case ACTION_BACKOFF_FAILURES:
		return again_backoff(policy, history, history->failures);
	case ACTION_RETRY_BRIEFLY:
		return again_briefly(policy, history);
	case ACTION_SERVER_FAILURE:
		verdict = again_backoff(policy, history, history->iteration);
		verdict.action = ACTION_SERVER_FAILURE;
		break;
	case ACTION_METADATA:
		if (history->metadata_seen)
			verdict.action = ACTION_TERMINAL;
		break;
	default:
		break;
	}
	return verdict;
}
