#include "call.h"

#include "commands.h"
#include "peer.h"

void peer_calls_init(struct peer_calls *calls)
{
	*calls = (struct peer_calls){0};
	LIST_INIT(&calls->all);
	TAILQ_INIT(&calls->stalled);
}

void call_begin(struct call *call, const struct call_operations *operations, struct commands *commands,
		struct peer *peer, const struct message_id *id)
{
	struct peer_calls *calls = peer_calls(peer);

	call->operations = operations;
	call->commands = commands;
	call->peer = peer;
	call->id = *id;
	call->state = CALL_WAITING;
	TAILQ_INSERT_TAIL(&commands->waiting, call, in_commands);
	LIST_INSERT_HEAD(&calls->all, call, in_peer);
	calls->count++;
	calls->memory += call->memory;
	calls->owed += call->owed;
	calls->wait_items += call->wait_items;
	commands->outstanding++;
	peer_calls_changed(peer);
}

static struct call_list *list_of(const struct call *call)
{
	return call->state == CALL_HELD ? &call->commands->held : &call->commands->waiting;
}

void call_hold(struct call *call, uint64_t ticket)
{
	struct call_list *held = &call->commands->held;
	struct call *before;

	TAILQ_REMOVE(list_of(call), call, in_commands);
	call->state = CALL_HELD;
	call->ticket = ticket;
	/* Tickets rise, but a call may join a batch that was handed over earlier: seldom far from the end. */
	TAILQ_FOREACH_REVERSE(before, held, call_list, in_commands)
	{
		if (before->ticket <= ticket)
			break;
	}
	if (before)
		TAILQ_INSERT_AFTER(held, before, call, in_commands);
	else
		TAILQ_INSERT_HEAD(held, call, in_commands);
}

void call_stall(struct call *call)
{
	if (call->stalled)
		return;
	call->stalled = true;
	TAILQ_INSERT_TAIL(&peer_calls(call->peer)->stalled, call, in_stalled);
}

void call_end(struct call *call)
{
	struct peer *peer = call->peer;
	struct peer_calls *calls = peer_calls(peer);

	TAILQ_REMOVE(list_of(call), call, in_commands);
	LIST_REMOVE(call, in_peer);
	if (call->stalled)
		TAILQ_REMOVE(&calls->stalled, call, in_stalled);
	calls->count--;
	calls->memory -= call->memory;
	calls->owed -= call->owed;
	calls->wait_items -= call->wait_items;
	call->commands->outstanding--;
	call->operations->destroy(call);
	peer_calls_changed(peer);
}

bool call_may_pass(const struct commands *commands, const struct result *result)
{
	/* Without an id it is not on the disk. */
	return commands->reader && result->ok && result->id && result->size > commands->inline_result_bytes;
}

struct parcel *call_new_parcel(struct call *call, void (*complete)(void *context))
{
	struct commands *commands = call->commands;

	return parcel_new(&commands->parcels, &peer_calls(call->peer)->descriptors, commands->reader,
			  complete, call);
}

void call_pass(const struct call *call, struct parcel *parcel, size_t index, struct result *result)
{
	if (call_may_pass(call->commands, result))
		parcel_add(parcel, index, result);
}

void call_reply_begin(const struct call *call, struct line *line)
{
	line_init(line);
	message_begin_result(&line->text, &call->id);
}

void call_reply_send(const struct call *call, struct line *line)
{
	message_end(&line->text);
	if (line_error(line)) {
		line_release(line);
		call_reply_error(call, PROTO_INTERNAL);
		return;
	}
	peer_send(call->peer, line);
}

void call_reply_error(const struct call *call, enum proto_error error)
{
	struct message_fault fault = {.error = error};
	struct line line;

	line_init(&line);
	message_put_error(&line.text, &call->id, &fault, NULL);
	call->commands->metrics->call_errors++;
	peer_send(call->peer, &line);
}
