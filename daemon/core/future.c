#include "future.h"

#include <string.h>

#include "endpoint.h"
#include "proto/attributes.h"

static const char *const state_names[] = {
#define X(constant, name) [constant] = name,
	FUTURE_STATES(X)
#undef X
};

static const char *const why_names[] = {
#define X(constant, name) [constant] = name,
	WHY_WAITING(X)
#undef X
};

const char *future_state_name(enum future_state state)
{
	return state_names[state];
}

const char *why_waiting_name(enum why_waiting why)
{
	return why_names[why];
}

static bool state_is_over(enum future_state state)
{
	return state == FUTURE_COMPLETED || state == FUTURE_FAILED;
}

void future_set_state(struct future_census *census, struct future *future, enum future_state state)
{
	enum future_state previous = future->state;

	if (previous == state)
		return;
	census->by_state[previous]--;
	census->by_state[state]++;
	if (state_is_over(previous) && !state_is_over(state))
		future->endpoint->futures++;
	else if (!state_is_over(previous) && state_is_over(state))
		future->endpoint->futures--;
	future->state = (uint8_t)state;
}

bool future_has_live_stake(const struct future *future)
{
	const struct registration *registration;

	SLIST_FOREACH (registration, &future->registrations, in_future) {
		if (registration_is_live(registration))
			return true;
	}
	return false;
}

enum future_state registration_state(const struct registration *registration)
{
	switch ((enum registration_phase)registration->phase) {
	case REGISTRATION_SAVING:
		return FUTURE_SCHEDULED;
	case REGISTRATION_LIVE:
		return registration->future->state;
	case REGISTRATION_ENDING: /* not yet told to anybody: it waits for storage */
		return FUTURE_BLOCKED;
	case REGISTRATION_ENDED:
	case REGISTRATION_REMOVING:
		break;
	}
	return registration->result->ok ? FUTURE_COMPLETED : FUTURE_FAILED;
}

int64_t future_http_timeout(const struct future *future)
{
	const struct registration *registration;
	int64_t longest = 0;

	SLIST_FOREACH (registration, &future->registrations, in_future) {
		int64_t timeout = registration->http_timeout ? registration->http_timeout
							     : future->endpoint->policy.http_timeout;
		if (registration_is_live(registration) && timeout > longest)
			longest = timeout;
	}
	return longest ? longest : future->endpoint->policy.http_timeout;
}

struct backoff future_backoff(const struct future *future)
{
	const struct registration *registration;
	struct backoff shortest = {INT64_MAX, INT64_MAX};

	SLIST_FOREACH (registration, &future->registrations, in_future) {
		struct backoff own = future->endpoint->policy.backoff;

		if (!registration_is_live(registration))
			continue;
		if (registration->backoff_initial >= 0)
			own.initial = registration->backoff_initial;
		if (registration->backoff_max >= 0)
			own.max = registration->backoff_max;
		if (own.initial < shortest.initial)
			shortest.initial = own.initial;
		if (own.max < shortest.max)
			shortest.max = own.max;
	}
	return shortest.max == INT64_MAX ? future->endpoint->policy.backoff : shortest;
}
