#include "world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "proto/attributes.h"

static const int64_t wall_offset = INT64_C(1790000000) * USEC_PER_SEC;

/* The store. */

static uint64_t touch(struct world *world, size_t *counter)
{
	(*counter)++;
	world->dirty = true;
	return world->ticket;
}

static uint64_t on_save(void *context, const struct registration *registration)
{
	struct world *world = context;

	(void)registration;
	return touch(world, &world->saves);
}

static uint64_t on_save_end(void *context, const struct registration *registration)
{
	struct world *world = context;

	ck_assert_ptr_nonnull(registration->result);
	return touch(world, &world->ends);
}

static uint64_t on_remove(void *context, const struct registration *registration)
{
	struct world *world = context;

	(void)registration;
	return touch(world, &world->removes);
}

static bool settle(struct world *world)
{
	if (!world->dirty || world->store_stopped)
		return false;
	world->dirty = false;
	world->settled = world->ticket++;
	registry_settle(world->registry, world->settled, !world->store_fails, world->now);
	return true;
}

/* The glue that the daemon has in its composition root. */

static void on_future_live(void *context, struct future *future)
{
	scheduler_add(((struct world *)context)->scheduler, future, 0);
}

static void on_future_idle(void *context, struct future *future)
{
	scheduler_drop(((struct world *)context)->scheduler, future);
}

static void on_future_gone(void *context, struct future *future)
{
	scheduler_forget(((struct world *)context)->scheduler, future);
}

static void publish(struct world *world, enum event_kind kind, const struct registration *registration)
{
	struct bus_event event = {
		.kind = kind,
		.endpoint = registration->future->endpoint,
		.future = registration->future,
		.registration = registration,
	};

	bus_publish(&world->bus, &event);
}

static void on_registered(void *context, struct registration *registration)
{
	publish(context, EVENT_REGISTERED, registration);
}

static void on_ended(void *context, struct registration *registration)
{
	struct world *world = context;

	scheduler_release_budget(world->scheduler, registration->future);
	waiters_registration_ended(registration);
	publish(world, registration->result->ok ? EVENT_COMPLETED : EVENT_FAILED, registration);
}

static void on_save_delivered(void *context, const struct registration *registration)
{
	(void)registration;
	((struct world *)context)->deliveries++;
}

static void on_expired(void *context, struct registration *registration, bool early)
{
	((struct world *)context)->evictions += early;
	publish(context, EVENT_EXPIRED, registration);
}

static void on_registration_gone(void *context, struct registration *registration)
{
	(void)context;
	waiters_registration_gone(registration);
}

static const struct registry_operations registry_operations = {
	.save = on_save,
	.save_end = on_save_end,
	.remove = on_remove,
	.save_delivered = on_save_delivered,
	.future_live = on_future_live,
	.future_idle = on_future_idle,
	.future_gone = on_future_gone,
	.registered = on_registered,
	.ended = on_ended,
	.expired = on_expired,
	.registration_gone = on_registration_gone,
};

static void on_event(void *context, const struct bus_event *event)
{
	struct world *world = context;
	struct world_event *record = &world->events[world->n_events++];

	ck_assert_uint_le(world->n_events, MAX_EVENTS);
	record->kind = event->kind;
	record->at = world->now;
	if (event->future) {
		snprintf(record->request_id, sizeof(record->request_id), "%s", event->future->request_id);
		record->state = event->future->queue_state;
		snprintf(record->reason, sizeof(record->reason), "%s",
			 event->future->queue_state_reason ? event->future->queue_state_reason : "");
	}
}

/* The server. */

static struct script *find_script(struct world *world, const char *request_id)
{
	for (size_t i = 0; i < world->n_scripts; i++) {
		if (strcmp(world->scripts[i].request_id, request_id) == 0)
			return &world->scripts[i];
	}
	ck_abort_msg("a poll of %s, for which the script has no answer", request_id);
	return NULL;
}

static struct scripted next_answer(struct world *world, const char *request_id)
{
	struct script *script = find_script(world, request_id);

	if (script->next == script->n) {
		ck_assert_msg(script->repeat, "one poll of %s more than the script has answers", request_id);
		return script->answers[script->n - 1];
	}
	return script->answers[script->next++];
}

static bool on_start_poll(void *context, const struct poll_request *request)
{
	struct world *world = context;
	struct world_poll *poll = &world->polls[world->n_polls];
	size_t in_flight = 1;

	ck_assert_uint_lt(world->n_polls, MAX_POLLS);
	for (size_t i = 0; i < world->n_polls; i++) {
		if (world->polls[i].end)
			continue;
		in_flight++;
		if (world->polls[i].future == request->future)
			world->overlaps++;
	}
	if (in_flight > world->max_in_flight)
		world->max_in_flight = in_flight;
	world->n_polls++;
	snprintf(poll->request_id, sizeof(poll->request_id), "%s", request->request_id);
	poll->endpoint = request->endpoint;
	poll->future = request->future;
	poll->iteration = request->iteration;
	poll->allow_metadata_only = request->allow_metadata_only;
	poll->fresh_connection = request->fresh_connection;
	poll->start = world->now;
	poll->answer = next_answer(world, request->request_id);
	poll->timed_out = poll->answer.held >= request->http_timeout;
	poll->answers_at = world->now + (poll->timed_out ? request->http_timeout : poll->answer.held);
	if (!poll->answer.refused)
		scheduler_poll_sent(world->scheduler, request->future, world->now);
	return true;
}

static bool on_abort_poll(void *context, struct future *future)
{
	struct world *world = context;

	for (size_t i = 0; i < world->n_polls; i++) {
		struct world_poll *poll = &world->polls[i];

		if (poll->end || poll->future != future->id)
			continue;
		if (poll->begun)
			return false;
		poll->aborted = true;
		poll->end = world->now;
		return true;
	}
	ck_abort_msg("abort of a poll that is not in flight");
	return false;
}

static const struct scheduler_operations scheduler_operations = {
	.start_poll = on_start_poll,
	.abort_poll = on_abort_poll,
};

static struct blob *result_body(const struct outcome *outcome, const char *body)
{
	if (outcome->kind != OUTCOME_COMPLETED)
		return NULL;
	return blob_copy(body + outcome->result.start, outcome->result.end - outcome->result.start);
}

static void answer_poll(struct world *world, struct world_poll *poll)
{
	const struct scripted *scripted = &poll->answer;
	struct answer answer = {
		.transport_ok = !scripted->refused && !poll->timed_out,
		.timed_out = poll->timed_out,
		.transport_error = scripted->refused ? "connection refused" : NULL,
		.status = scripted->status ? scripted->status : 200,
		.content_type = scripted->content_type ? scripted->content_type : "application/json",
		.retry_after = scripted->retry_after,
		.retry_after_ms = scripted->retry_after_ms,
		.wall_now = world->now + wall_offset,
	};
	struct poll_report report = {
		.held = poll->answers_at - poll->start,
		.wall = world->now + wall_offset,
	};
	struct outcome_reader *reader = xnew(struct outcome_reader);
	_cleanup_(buffer_release) struct buffer body = BUFFER_INIT(1 << 20);
	struct outcome outcome;

	poll->end = world->now;
	outcome_reader_init(reader, &answer);
	buffer_puts(&body, scripted->body ? scripted->body : "");
	if (body.size)
		outcome_reader_feed(reader, body.data, body.size);
	outcome_classify(&answer, reader, poll->endpoint->policy.skyrl, UINT64_C(1) << 30, &outcome);
	outcome.key_changed = scripted->key_changed;
	if (outcome.kind == OUTCOME_COMPLETED)
		report.result = result_ok(outcome.content, result_body(&outcome, body.data), report.wall);
	scheduler_poll_done(world->scheduler, poll->future, &outcome, &report, world->now);
	outcome_release(&outcome);
	result_unref(report.result);
	outcome_reader_release(reader);
	free(reader);
}

static bool answer_polls(struct world *world)
{
	bool any = false;

	for (size_t i = 0; i < world->n_polls; i++) {
		struct world_poll *poll = &world->polls[i];

		if (!poll->end && poll->answers_at <= world->now) {
			answer_poll(world, poll);
			any = true;
		}
	}
	return any;
}

/* Time. */

static int64_t next_event(const struct world *world)
{
	int64_t next = timers_next(&world->timers);

	for (size_t i = 0; i < world->n_polls; i++) {
		if (!world->polls[i].end && world->polls[i].answers_at < next)
			next = world->polls[i].answers_at;
	}
	return next;
}

void world_turn(struct world *world)
{
	size_t polls = world->n_polls;
	bool again = true;

	for (int i = 0; again && i < 1000; i++) {
		again = answer_polls(world);
		timers_run(&world->timers, world->now);
		again |= scheduler_run(world->scheduler, world->now);
		again |= settle(world) || world->n_polls != polls ||
			 timers_next(&world->timers) <= world->now;
		polls = world->n_polls;
	}
	ck_assert_msg(!again, "the core does not come to rest at %lld us: a hot loop", (long long)world->now);
}

void world_run_until(struct world *world, int64_t until)
{
	world_turn(world);
	while (next_event(world) <= until) {
		world->now = next_event(world);
		world_turn(world);
	}
	world->now = until;
	world_turn(world);
}

bool world_run_to_end(struct world *world, struct registration *registration, int64_t limit)
{
	int64_t end = world->now + limit;

	world_turn(world);
	while (registration->phase != REGISTRATION_ENDED) {
		if (next_event(world) > end)
			return false;
		world->now = next_event(world);
		world_turn(world);
	}
	return true;
}

/* Setting up. */

struct endpoint *world_endpoint(struct world *world, const char *name, enum profile_name profile)
{
	struct endpoint *endpoint = endpoint_new(name, profile);

	ck_assert_uint_lt(world->n_endpoints, ARRAY_LEN(world->endpoints));
	endpoint->base_url = xstrdup("http://127.0.0.1");
	endpoint->policy.backoff_min = 0;
	world->endpoints[world->n_endpoints++] = endpoint;
	scheduler_set_endpoints(world->scheduler, world->endpoints, world->n_endpoints);
	return endpoint;
}

struct world *world_new(enum profile_name profile)
{
	static const uint8_t key[16] = "a key for tests";
	struct registry_limits limits = {
		.max_stored_bytes = UINT64_MAX,
		.max_stored_bytes_per_uid = UINT64_MAX,
		.max_registrations_per_uid = 1000,
		.retention = SEC(7 * 24 * 3600),
		.retention_delivered = SEC(24 * 3600),
	};
	struct world *world = xnew(struct world);

	world->now = SEC(1000);
	world->ticket = 1;
	timers_init(&world->timers);
	bus_init(&world->bus);
	world->subscriber = (struct bus_subscriber){.notify = on_event, .context = world};
	bus_subscribe(&world->bus, &world->subscriber);
	waiters_init(&world->timers);
	world->registry = registry_new(&registry_operations, world, &world->timers, &limits, key);
	world->registry->wall_offset = wall_offset;
	world->scheduler = scheduler_new(&scheduler_operations, world, world->registry, &world->timers,
					 &world->bus, &world->metrics, UINT64_C(50) << 20);
	world_endpoint(world, "default", profile);
	return world;
}

struct world *world_free(struct world *world)
{
	registry_free(world->registry);
	scheduler_free(world->scheduler);
	for (size_t i = 0; i < world->n_endpoints; i++)
		endpoint_free(world->endpoints[i]);
	timers_release(&world->timers);
	free(world);
	return NULL;
}

void world_script(struct world *world, const char *request_id, bool repeat, const struct scripted *answers,
		  size_t n)
{
	struct script *script = &world->scripts[world->n_scripts++];

	ck_assert_uint_le(world->n_scripts, ARRAY_LEN(world->scripts));
	ck_assert_uint_le(n, MAX_SCRIPT);
	snprintf(script->request_id, sizeof(script->request_id), "%s", request_id);
	script->repeat = repeat;
	script->n = n;
	memcpy(script->answers, answers, n * sizeof(*answers));
}

enum proto_error world_try_register(struct world *world, uid_t uid, const char *request_id,
				    const struct registration_options *options,
				    struct register_answer *ret_answer)
{
	static const struct registration_options none;
	uint64_t ticket = 0;

	return registry_register(world->registry, uid, world->endpoints[0], request_id,
				 options ? options : &none, world->now, world->now + wall_offset, ret_answer,
				 &ticket);
}

struct registration *world_register_at(struct world *world, struct endpoint *endpoint, uid_t uid,
				       const char *request_id, const struct registration_options *options)
{
	static const struct registration_options none;
	struct register_answer answer;
	uint64_t ticket = 0;

	ck_assert_int_eq(registry_register(world->registry, uid, endpoint, request_id,
					   options ? options : &none, world->now, world->now + wall_offset,
					   &answer, &ticket),
			 PROTO_OK);
	return answer.registration;
}

struct registration *world_register(struct world *world, uid_t uid, const char *request_id,
				    const struct registration_options *options)
{
	return world_register_at(world, world->endpoints[0], uid, request_id, options);
}

/* Looking back. */

const struct world_poll *world_poll(const struct world *world, const char *request_id, size_t k)
{
	for (size_t i = 0; i < world->n_polls; i++) {
		if (strcmp(world->polls[i].request_id, request_id) == 0 && k-- == 0)
			return &world->polls[i];
	}
	ck_abort_msg("%s was polled less often than that", request_id);
	return NULL;
}

size_t world_poll_count(const struct world *world, const char *request_id)
{
	size_t count = 0;

	for (size_t i = 0; i < world->n_polls; i++)
		count += strcmp(world->polls[i].request_id, request_id) == 0;
	return count;
}

int64_t world_slept(const struct world *world, const char *request_id, size_t k)
{
	return world_poll(world, request_id, k + 1)->start - world_poll(world, request_id, k)->end;
}

static bool event_is(const struct world_event *event, enum event_kind kind, const char *request_id)
{
	return event->kind == kind && (!request_id || strcmp(event->request_id, request_id) == 0);
}

size_t world_event_count(const struct world *world, enum event_kind kind, const char *request_id)
{
	size_t count = 0;

	for (size_t i = 0; i < world->n_events; i++)
		count += event_is(&world->events[i], kind, request_id);
	return count;
}

const struct world_event *world_event(const struct world *world, enum event_kind kind, size_t k)
{
	for (size_t i = 0; i < world->n_events; i++) {
		if (event_is(&world->events[i], kind, NULL) && k-- == 0)
			return &world->events[i];
	}
	ck_abort_msg("there were fewer such events");
	return NULL;
}
