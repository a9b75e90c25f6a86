/*
 * ack and cancel: letting go of outcomes, and of futures. Both are answered when what they did is durable.
 */
#include <stdlib.h>
#include <string.h>

#include "request.h"
#include "targets.h"

static const struct parameter table[TARGET_ROWS] = {TARGET_PARAMETERS};

/* What is the same, and what is not, about the two. */
struct release {
	const char *count; /* member of the reply */
	bool (*wanted)(const struct registration *registration);
	bool (*apply)(struct request *request, struct registration *registration);
};

/* The reply is ready, but for the commit. */
struct release_call {
	struct call call;
	struct line line; /* owned until it is sent */
};

static void settled(struct call *base, bool stored)
{
	struct release_call *call = container_of(base, struct release_call, call);

	if (stored)
		peer_send(base->peer, &call->line);
	else
		call_reply_error(base, PROTO_STORAGE);
	call_end(base);
}

static void destroy(struct call *base)
{
	struct release_call *call = container_of(base, struct release_call, call);

	line_release(&call->line);
	free(call);
}

static const struct call_operations operations = {.settled = settled, .destroy = destroy};

static void put_not_registered(struct json_writer *writer, const struct targets *targets)
{
	json_name(writer, "not_registered");
	json_open(writer, '[');
	for (size_t i = 0; i < targets->n; i++) {
		if (targets->list[i].registration)
			continue;
		json_open(writer, '{');
		json_member_string(writer, "request_id", targets->list[i].request_id);
		json_member_string(writer, "endpoint", targets->list[i].endpoint->name);
		json_close(writer);
	}
	json_close(writer);
}

/* Takes over the finished line and sends it when the batch `ticket` is durable. */
static bool hold(struct request *request, struct line *line, uint64_t ticket)
{
	struct release_call *call = line_error(line) ? NULL : calloc(1, sizeof(*call));

	if (!call) {
		line_release(line);
		return request_fault(request, PROTO_INTERNAL, "no memory");
	}
	call->line = *line;
	call->call.owed = line->text.size;
	call->call.memory = sizeof(*call) + line->text.capacity;
	call_begin(&call->call, &operations, request->commands, request->peer, &request->message->id);
	call_hold(&call->call, ticket);
	return true;
}

static bool reply(struct request *request, const struct release *release, const struct targets *targets,
		  size_t count, uint64_t ticket)
{
	struct json_writer writer;
	struct line line;

	request_begin(request, &line, &writer);
	json_open(&writer, '{');
	json_member_int(&writer, release->count, (int64_t)count);
	put_not_registered(&writer, targets);
	if (targets->more)
		json_member_bool(&writer, "more", true);
	json_close(&writer);
	if (!ticket || !request_wants_reply(request))
		return request_send(request, &line);
	message_end(&line.text);
	return hold(request, &line, ticket);
}

/* The batch that makes it so; also if it had been done before, and that is not durable yet. */
static uint64_t let_go(struct request *request, const struct release *release, const struct target *target,
		       size_t *count)
{
	if (!target->registration)
		return registry_removal(request->commands->registry, peer_identity(request->peer)->uid,
					target->endpoint, target->request_id);
	*count += release->apply(request, target->registration);
	return target->registration->ticket;
}

static bool carry_out(struct request *request, const struct release *release)
{
	struct argument arguments[TARGET_ROWS];
	_cleanup_(targets_release) struct targets targets = {0};
	uint64_t ticket = 0;
	size_t count = 0;

	if (!request_arguments(request, table, TARGET_ROWS, arguments) ||
	    !targets_read(request, arguments, &targets))
		return false;
	if (!targets.named && !targets.where)
		return fault_member(&request->fault, "request_id",
				    "say which registrations: request_id, request_ids or where");
	if (!targets.named && !targets_search(request, release->wanted, &targets))
		return false;
	for (size_t i = 0; i < targets.n; i++) {
		uint64_t doing = let_go(request, release, &targets.list[i], &count);

		if (doing > ticket)
			ticket = doing;
	}
	return reply(request, release, &targets, count, ticket);
}

static bool has_ended(const struct registration *registration)
{
	return registration->phase == REGISTRATION_ENDED;
}

static bool has_not_ended(const struct registration *registration)
{
	return registration->phase == REGISTRATION_SAVING || registration->phase == REGISTRATION_LIVE;
}

static bool ack_one(struct request *request, struct registration *registration)
{
	bool done = registry_ack(request->commands->registry, registration);

	request->commands->metrics->acks += done;
	return done;
}

static bool cancel_one(struct request *request, struct registration *registration)
{
	bool done = registry_cancel(request->commands->registry, registration,
				    loop_wall(request->commands->loop));

	request->commands->metrics->cancels += done;
	return done;
}

bool command_ack(struct request *request)
{
	static const struct release ack = {.count = "acked", .wanted = has_ended, .apply = ack_one};

	return carry_out(request, &ack);
}

bool command_cancel(struct request *request)
{
	static const struct release cancel = {
		.count = "cancelled", .wanted = has_not_ended, .apply = cancel_one};

	return carry_out(request, &cancel);
}
