#include "endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "proto/attributes.h"

#define PAYMENT_RETRY      (5 * USEC_PER_SEC)
#define UNAUTHORISED_RETRY (30 * USEC_PER_SEC)
#define DEFAULT_MAX_AGE    (INT64_C(7) * 24 * 3600 * USEC_PER_SEC)

static const char *const cause_names[] = {
#define X(constant, name) [constant] = name,
	GATE_CAUSES(X)
#undef X
};

const char *gate_cause_name(enum gate_cause cause)
{
	return cause_names[cause];
}

struct endpoint *endpoint_new(const char *name, enum profile_name profile)
{
	struct endpoint *endpoint = xnew(struct endpoint);

	endpoint->name = xstrdup(name);
	endpoint->profile = profile;
	endpoint->policy = policy_profile(profile);
	endpoint->limits = (struct endpoint_limits){.max_in_flight = 1000, .max_connections = 64};
	endpoint->capacity = endpoint->limits.max_connections;
	endpoint->max_age = DEFAULT_MAX_AGE;
	timer_init(&endpoint->gate.timer, TIMER_GATE);
	lanes_init(&endpoint->ready);
	return endpoint;
}

struct endpoint *endpoint_free(struct endpoint *endpoint)
{
	if (!endpoint)
		return NULL;
	error_unref(endpoint->last_error);
	free(endpoint->users);
	free(endpoint->groups);
	free(endpoint->base_url);
	free(endpoint->name);
	free(endpoint);
	return NULL;
}

static bool group_allowed(const struct endpoint *endpoint, gid_t gid)
{
	for (size_t i = 0; i < endpoint->n_groups; i++) {
		if (endpoint->groups[i] == gid)
			return true;
	}
	return false;
}

bool endpoint_allows(const struct endpoint *endpoint, uid_t uid, gid_t gid, const gid_t *groups,
		     size_t n_groups)
{
	if (!endpoint->n_users && !endpoint->n_groups)
		return true;
	for (size_t i = 0; i < endpoint->n_users; i++) {
		if (endpoint->users[i] == uid)
			return true;
	}
	if (group_allowed(endpoint, gid))
		return true;
	for (size_t i = 0; i < n_groups; i++) {
		if (group_allowed(endpoint, groups[i]))
			return true;
	}
	return false;
}

static void forget_failures(struct gate *gate)
{
	memset(gate->counts, 0, sizeof(gate->counts));
	memset(gate->since, 0, sizeof(gate->since));
}

static void gate_open(struct gate *gate)
{
	forget_failures(gate);
	gate->cause = GATE_NONE;
	gate->until = 0;
	gate->probe = 0;
}

static int64_t closing_time(const struct policy *policy, const struct gate_report *report, uint32_t count)
{
	int64_t delay = report->retry_after;

	if (delay < 0) {
		switch (report->cause) {
		case GATE_PAYMENT_REQUIRED:
			delay = PAYMENT_RETRY;
			break;
		case GATE_UNAUTHORISED:
			delay = UNAUTHORISED_RETRY;
			break;
		default:
			delay = backoff_delay(policy->backoff, count);
		}
	}
	return delay < policy->backoff_min ? policy->backoff_min : delay;
}

/* A poll that left before the gate last closed tells nothing new, except that the server may ask for more
 * time. */
static void late_failure(struct gate *gate, const struct gate_report *report, int64_t now)
{
	if (gate->cause == report->cause && report->retry_after >= 0 &&
	    now + report->retry_after > gate->until)
		gate->until = now + report->retry_after;
}

/* Answered, but without the other causes: those are over. */
static void forget_other_failures(struct gate *gate, enum gate_cause present)
{
	for (int cause = 0; cause < GATE_CAUSE_COUNT; cause++) {
		if (cause != (int)present) {
			gate->counts[cause] = 0;
			gate->since[cause] = 0;
		}
	}
}

static enum gate_change gate_close(struct endpoint *endpoint, const struct gate_report *report, int64_t now)
{
	struct gate *gate = &endpoint->gate;

	if (report->closings != gate->closings || gate->cause == GATE_NO_KEY) {
		late_failure(gate, report, now);
		return GATE_UNCHANGED;
	}
	if (report->cause != GATE_NETWORK)
		forget_other_failures(gate, report->cause);
	if (!gate->since[report->cause])
		gate->since[report->cause] = now;
	gate->until = now + closing_time(&endpoint->policy, report, gate->counts[report->cause]++);
	gate->cause = report->cause;
	gate->closings++;
	gate->probe = 0;
	return GATE_CLOSED;
}

enum gate_change endpoint_gate_report(struct endpoint *endpoint, const struct gate_report *report,
				      int64_t now)
{
	struct gate *gate = &endpoint->gate;

	if (report->cause != GATE_NONE)
		return gate_close(endpoint, report, now);
	if (gate->cause == GATE_NONE) {
		if (report->closings == gate->closings)
			forget_failures(gate);
		return GATE_UNCHANGED;
	}
	if (!gate->probe || report->future != gate->probe)
		return GATE_UNCHANGED;
	gate_open(gate);
	return GATE_OPENED;
}

enum gate_change endpoint_gate_probe_held(struct endpoint *endpoint, int64_t now)
{
	struct gate *gate = &endpoint->gate;

	(void)now;
	if (gate->cause == GATE_NONE || gate->cause == GATE_NO_KEY || !gate->probe)
		return GATE_UNCHANGED;
	gate_open(gate);
	return GATE_OPENED;
}

void endpoint_gate_probe_lost(struct endpoint *endpoint, uint64_t future)
{
	if (endpoint->gate.probe == future)
		endpoint->gate.probe = 0;
}

enum gate_change endpoint_gate_key(struct endpoint *endpoint, bool have_key, int64_t now)
{
	struct gate *gate = &endpoint->gate;

	if (!have_key) {
		if (gate->cause == GATE_NO_KEY)
			return GATE_UNCHANGED;
		forget_failures(gate);
		gate->cause = GATE_NO_KEY;
		gate->until = TIME_NEVER;
		gate->closings++;
		gate->probe = 0;
		return GATE_CLOSED;
	}
	if (gate->cause == GATE_NO_KEY) {
		gate_open(gate);
		return GATE_OPENED;
	}
	if (gate->cause == GATE_UNAUTHORISED && gate->until > now)
		gate->until = now;
	return GATE_UNCHANGED;
}

bool endpoint_is_shut(const struct endpoint *endpoint, int64_t now)
{
	const struct gate *gate = &endpoint->gate;

	return endpoint->missing || (gate->cause != GATE_NONE && (gate->probe || now < gate->until));
}

bool endpoint_is_full(const struct endpoint *endpoint)
{
	return endpoint->in_flight >= endpoint->capacity ||
	       endpoint->in_flight >= endpoint->limits.max_in_flight;
}

bool endpoint_may_poll(const struct endpoint *endpoint, int64_t now, bool *ret_probe)
{
	if (endpoint_is_shut(endpoint, now) || endpoint_is_full(endpoint))
		return false;
	*ret_probe = endpoint->gate.cause != GATE_NONE;
	return true;
}

int64_t endpoint_failing_for(const struct endpoint *endpoint, enum gate_cause cause, int64_t now)
{
	return endpoint->gate.since[cause] ? now - endpoint->gate.since[cause] : 0;
}

void lanes_init(struct lanes *lanes)
{
	TAILQ_INIT(&lanes->list);
	lanes->count = 0;
}

static struct lane *lane_of(struct lanes *lanes, uid_t uid)
{
	struct lane *lane;

	TAILQ_FOREACH (lane, &lanes->list, in_lanes) {
		if (lane->uid == uid)
			return lane;
	}
	lane = xnew(struct lane);
	lane->uid = uid;
	TAILQ_INIT(&lane->futures);
	TAILQ_INSERT_TAIL(&lanes->list, lane, in_lanes);
	return lane;
}

void lanes_push(struct lanes *lanes, uid_t uid, struct future *future, bool front)
{
	struct lane *lane = lane_of(lanes, uid);

	if (front)
		TAILQ_INSERT_HEAD(&lane->futures, future, in_queue);
	else
		TAILQ_INSERT_TAIL(&lane->futures, future, in_queue);
	future->lane = lane;
	lanes->count++;
}

struct future *lanes_peek(const struct lanes *lanes, bool (*may)(void *context, uid_t uid), void *context)
{
	struct lane *lane;

	TAILQ_FOREACH (lane, &lanes->list, in_lanes) {
		if (!may || may(context, lane->uid))
			return TAILQ_FIRST(&lane->futures);
	}
	return NULL;
}

void lanes_remove(struct lanes *lanes, struct future *future)
{
	struct lane *lane = future->lane;

	TAILQ_REMOVE(&lane->futures, future, in_queue);
	future->lane = NULL;
	lanes->count--;
	if (TAILQ_EMPTY(&lane->futures)) {
		TAILQ_REMOVE(&lanes->list, lane, in_lanes);
		free(lane);
	}
}

void lanes_pop(struct lanes *lanes, struct future *future)
{
	struct lane *lane = future->lane;

	TAILQ_REMOVE(&lanes->list, lane, in_lanes);
	TAILQ_INSERT_TAIL(&lanes->list, lane, in_lanes);
	lanes_remove(lanes, future);
}
