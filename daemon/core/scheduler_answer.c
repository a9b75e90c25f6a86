/*
 * What follows from an answer: the decision of policy applied to the future, its registrations and its
 * endpoint's gate.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "alloc.h"
#include "proto/attributes.h"
#include "scheduler_private.h"

struct answered_poll {
	struct scheduler *scheduler;
	struct future *future;
	struct outcome *outcome;
	struct poll_report *report;
	struct verdict verdict;
	int64_t now;
};

static bool wants_network_retry(const struct registration *registration)
{
	enum on_failure own = registration->on_network_error;

	return (own ? own : registration->future->endpoint->policy.on_network_error) == ON_FAILURE_RETRY;
}

/* By its own word a registration retries until its deadline; by the endpoint's, for as long as the policy's
 * grace. */
static bool wants_failure_retry(const struct registration *registration, int64_t now)
{
	const struct future *future = registration->future;
	const struct policy *policy = &future->endpoint->policy;

	if (registration->on_server_failure)
		return registration->on_server_failure == ON_FAILURE_RETRY;
	return policy->on_server_failure == ON_FAILURE_RETRY &&
	       (policy->server_failure_grace == TIME_NEVER ||
		now - future->first_failure < policy->server_failure_grace);
}

static bool anybody_retries_network(const struct future *future)
{
	const struct registration *registration;

	SLIST_FOREACH (registration, &future->registrations, in_future) {
		if (registration_is_live(registration) && wants_network_retry(registration))
			return true;
	}
	return false;
}

/* Whether this answer closes the gate. Past the grace it does not any more: each future then gets the
 * server's own refusal as its end. */
static enum gate_cause gate_cause_of(const struct answered_poll *poll)
{
	const struct endpoint *endpoint = poll->future->endpoint;
	const struct policy *policy = &endpoint->policy;

	switch (poll->verdict.action) {
	case ACTION_NETWORK:
		return anybody_retries_network(poll->future) ? GATE_NETWORK : GATE_NONE;
	case ACTION_GATE:
		if (poll->outcome->kind == OUTCOME_RATE_LIMITED)
			return GATE_RATE_LIMITED;
		return endpoint_failing_for(endpoint, GATE_PAYMENT_REQUIRED, poll->now) <
				       policy->payment_grace
			       ? GATE_PAYMENT_REQUIRED
			       : GATE_NONE;
	case ACTION_AUTH:
		if (!policy->hold_on_auth_error || poll->outcome->key_changed)
			return GATE_NONE;
		return endpoint_failing_for(endpoint, GATE_UNAUTHORISED, poll->now) < policy->auth_grace
			       ? GATE_UNAUTHORISED
			       : GATE_NONE;
	default:
		return GATE_NONE;
	}
}

/* A failure that neither opens the gate nor resets it: nothing was answered, or the cause that once closed it
 * goes on beyond its grace. */
static bool is_refusal(const struct answered_poll *poll)
{
	return poll->outcome->kind == OUTCOME_NETWORK || poll->verdict.action == ACTION_GATE ||
	       (poll->verdict.action == ACTION_AUTH && poll->future->endpoint->policy.hold_on_auth_error);
}

static enum gate_cause report_to_gate(const struct answered_poll *poll)
{
	struct endpoint *endpoint = poll->future->endpoint;
	struct gate_report report = {
		.cause = gate_cause_of(poll),
		.closings = poll->future->gate_closings,
		.retry_after = poll->outcome->kind == OUTCOME_RATE_LIMITED ? poll->outcome->retry_after : -1,
		.future = poll->future->id,
	};

	if (report.cause == GATE_NONE && is_refusal(poll)) {
		scheduler_probe_lost(poll->scheduler, poll->future);
		return GATE_NONE;
	}
	scheduler_announce_gate(poll->scheduler, endpoint,
				endpoint_gate_report(endpoint, &report, poll->now));
	return report.cause;
}

static const char *default_reason(const struct future *future, enum queue_state state)
{
	bool training = future->request_type && strcasecmp(future->request_type, "Sample") != 0;

	switch (state) {
	case QUEUE_PAUSED_RATE_LIMIT:
		return training ? "concurrent training clients rate limit hit"
				: "concurrent sampler weights limit hit";
	case QUEUE_PAUSED_CAPACITY:
		return "Tinker backend is running short on capacity, please wait";
	default:
		return NULL;
	}
}

static void note_queue_state(const struct answered_poll *poll)
{
	struct future *future = poll->future;
	enum queue_state state = poll->outcome->queue_state;
	const char *reason = poll->outcome->reason[0] ? poll->outcome->reason : default_reason(future, state);
	struct bus_event event = {
		.kind = EVENT_QUEUE_STATE,
		.endpoint = future->endpoint,
		.future = future,
		.previous = future->queue_state,
	};

	if (state == QUEUE_NONE)
		return;
	if (state == (enum queue_state)future->queue_state &&
	    strcmp(reason ? reason : "", future->queue_state_reason ? future->queue_state_reason : "") == 0)
		return;
	free(future->queue_state_reason);
	future->queue_state_reason = xstrdup(reason);
	future->queue_state = (uint8_t)state;
	future->queue_state_since_wall = poll->report->wall;
	bus_publish(poll->scheduler->bus, &event);
}

/* A lost future is one that the server once knew: it answered for it, or it was registered before this
 * daemon's start. */
static void explain_not_found(const struct answered_poll *poll)
{
	const struct future *future = poll->future;
	struct error *error;

	if (poll->outcome->kind != OUTCOME_NOT_FOUND)
		return;
	error = error_with_data(poll->outcome->error, future->answered || future->recovered
							      ? "\"reason\":\"lost\""
							      : "\"reason\":\"unknown_request\"");
	error_unref(poll->outcome->error);
	poll->outcome->error = error;
}

/* Some verdicts are ends although the answer by itself is no error. */
static struct error *error_of(const struct answered_poll *poll)
{
	if (poll->outcome->error)
		return error_ref(poll->outcome->error);
	return error_new(ERROR_VALIDATION, CATEGORY_SERVER, poll->outcome->status,
			 "the server announced the result's size again instead of sending the result",
			 "\"reason\":\"metadata_repeated\"");
}

static bool kind_is_good(enum outcome_kind kind)
{
	switch (kind) {
	case OUTCOME_COMPLETED:
	case OUTCOME_METADATA:
	case OUTCOME_PENDING:
	case OUTCOME_TRY_AGAIN:
	case OUTCOME_NO_ANSWER:
	case OUTCOME_REQUEST_TIMEOUT:
		return true;
	default:
		return false;
	}
}

static struct verdict decide(const struct answered_poll *poll)
{
	const struct future *future = poll->future;
	struct history history = {
		.iteration = future->iteration - 1,
		.quick_answers = future->quick_answers,
		.failures = future->failures,
		.brief_retries = future->brief_retries,
		.metadata_seen = future->metadata_seen,
		.held = poll->report->held,
		.backoff = future_backoff(future),
	};

	return policy_decide(&future->endpoint->policy, poll->outcome, &history);
}

/* The future's own memory of its answers, for the next decision. */
static void note_answer(const struct answered_poll *poll)
{
	struct future *future = poll->future;
	const struct outcome *outcome = poll->outcome;
	bool bad_request = outcome->kind == OUTCOME_BAD_REQUEST ||
			   outcome->kind == OUTCOME_BAD_REQUEST_EMPTY ||
			   outcome->kind == OUTCOME_BAD_REQUEST_DETAIL;

	poll->scheduler->metrics->outcomes[outcome->kind]++;
	future->last_poll_wall = poll->report->wall;
	future->last_http_status = (uint16_t)outcome->status;
	future->brief_retries = bad_request ? (uint8_t)(future->brief_retries + 1) : 0;
	if (outcome->kind == OUTCOME_SERVER_ERROR || outcome->kind == OUTCOME_SERVER_ERROR_UNKNOWN)
		future->failures++;
	if (outcome->kind == OUTCOME_FAILED && !future->first_failure)
		future->first_failure = poll->now;
	if (kind_is_good(outcome->kind)) {
		future->quick_answers = poll->report->held >= PACED_HOLD ? 0 : future->quick_answers + 1;
		future->failures = 0;
		future->first_failure = 0;
		/* A held poll without an answer says nothing about the future. */
		future->answered |= outcome->kind != OUTCOME_NO_ANSWER;
	}
	if (outcome->error) {
		error_unref(future->last_error);
		future->last_error = error_ref(outcome->error);
		error_unref(future->endpoint->last_error);
		future->endpoint->last_error = error_ref(outcome->error);
	}
}

static void announce_error(const struct answered_poll *poll, int64_t next_poll_in)
{
	struct bus_event event = {
		.kind = EVENT_POLL_ERROR,
		.endpoint = poll->future->endpoint,
		.future = poll->future,
		.error = poll->outcome->error,
		.next_poll_in = next_poll_in,
	};

	if (poll->outcome->error)
		bus_publish(poll->scheduler->bus, &event);
}

static void poll_again(const struct answered_poll *poll)
{
	int64_t delay = poll->verdict.delay;

	poll->future->fresh_connection = poll->verdict.fresh_connection;
	announce_error(poll, delay);
	scheduler_schedule(poll->scheduler, poll->future, poll->now + delay,
			   delay ? poll->verdict.why : WHY_NOTHING);
}

/* Ends the stakes that do not want another try. true: somebody still does. */
static bool end_unwilling(const struct answered_poll *poll,
			  bool (*willing)(const struct registration *, int64_t now))
{
	struct registration *registration, *next;

	for (registration = SLIST_FIRST(&poll->future->registrations); registration; registration = next) {
		next = SLIST_NEXT(registration, in_future);
		if (registration_is_live(registration) && !willing(registration, poll->now))
			registry_end(poll->scheduler->registry, registration,
				     result_failed(error_of(poll), poll->report->wall));
	}
	return future_has_live_stake(poll->future);
}

static bool network_willing(const struct registration *registration, int64_t now)
{
	(void)now;
	return wants_network_retry(registration);
}

static void behind_gate(const struct answered_poll *poll)
{
	announce_error(poll, -1);
	scheduler_enqueue(poll->scheduler, poll->future, true);
}

static void finish_failed(const struct answered_poll *poll)
{
	struct error *error = error_of(poll);
	bool sticky = error_is_last_word(error);

	registry_end_future(poll->scheduler->registry, poll->future, result_failed(error, poll->report->wall),
			    sticky);
}

/* Its bytes stay taken until the result is durable. */
static void finish_completed(const struct answered_poll *poll)
{
	registry_end_future(poll->scheduler->registry, poll->future, steal_pointer(poll->report->result),
			    true);
}

static void apply(const struct answered_poll *poll, enum gate_cause cause)
{
	struct scheduler *scheduler = poll->scheduler;
	struct future *future = poll->future;

	switch (poll->verdict.action) {
	case ACTION_DONE:
		finish_completed(poll);
		return;
	case ACTION_METADATA:
		future->metadata_seen = true;
		future->payload_size = poll->outcome->payload_size;
		scheduler_enqueue(scheduler, future, false);
		return;
	case ACTION_SERVER_FAILURE:
		if (end_unwilling(poll, wants_failure_retry))
			poll_again(poll);
		return;
	case ACTION_NETWORK:
		if (end_unwilling(poll, network_willing))
			behind_gate(poll);
		return;
	case ACTION_GATE:
	case ACTION_AUTH:
		if (cause == GATE_NONE && !poll->outcome->key_changed)
			finish_failed(poll);
		else
			behind_gate(poll);
		return;
	case ACTION_TERMINAL:
		finish_failed(poll);
		return;
	default:
		poll_again(poll);
	}
}

/* Its answer had begun when its last registration ended: what came is kept for whoever registers it again, or
 * has done so and is not durable yet, and polling stops. */
static void apply_to_nobody(const struct answered_poll *poll)
{
	switch (poll->verdict.action) {
	case ACTION_DONE:
		finish_completed(poll);
		break;
	case ACTION_TERMINAL:
		finish_failed(poll);
		break;
	default:
		break;
	}
	scheduler_stop_polling(poll->scheduler, poll->future);
}

void scheduler_poll_done(struct scheduler *scheduler, uint64_t id, struct outcome *outcome,
			 struct poll_report *report, int64_t now)
{
	struct answered_poll poll = {
		.scheduler = scheduler,
		.future = registry_future(scheduler->registry, id),
		.outcome = outcome,
		.report = report,
		.now = now,
	};
	enum gate_cause cause;

	if (!poll.future)
		return;
	poll.future->in_flight = false;
	poll.future->endpoint->in_flight--;
	explain_not_found(&poll);
	poll.verdict = decide(&poll);
	note_answer(&poll);
	note_queue_state(&poll);
	cause = report_to_gate(&poll);
	if (poll.verdict.action != ACTION_DONE)
		scheduler_give_bytes_back(scheduler, poll.future);
	if (future_has_live_stake(poll.future))
		apply(&poll, cause);
	else
		apply_to_nobody(&poll);
	registry_reap(scheduler->registry, poll.future);
}
