/*
 * The table of methods, the way of a line to its handler, and of faults to their replies. What each method
 * does is in command_*.c.
 */
#include "commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "peer.h"
#include "request.h"

struct command {
	const char *name;
	command_handler *run;
	bool while_stopping; /* carried out while the daemon goes down */
};

static const struct command table[] = {
	{"hello", command_hello, true},
	{"ping", command_ping, true},
	{"register", command_register, false},
	{"await", command_await, false},
	{"abandon", command_abandon, true},
	{"collect", command_collect, true},
	{"ack", command_ack, false},
	{"cancel", command_cancel, false},
	{"status", command_status, true},
	{"list", command_list, true},
	{"endpoints", command_endpoints, true},
	{"stats", command_stats, true},
};

void commands_init(struct commands *commands)
{
	TAILQ_INIT(&commands->held);
	TAILQ_INIT(&commands->waiting);
	commands->outstanding = 0;
	commands->parcels = (struct parcels){0};
}

/* Faults. */

static void send_fault(struct commands *commands, struct peer *peer, const struct message_id *id,
		       const struct message_fault *fault, const char *extra)
{
	struct line line;

	commands->metrics->call_errors++;
	line_init(&line);
	message_put_error(&line.text, id && id->size ? id : NULL, fault, extra && *extra ? extra : NULL);
	if (line_error(&line)) {
		line_release(&line);
		peer_doom(peer, "no memory for its replies");
		return;
	}
	peer_send(peer, &line);
}

bool request_fault(struct request *request, enum proto_error error, const char *format, ...)
{
	va_list args;

	request->fault.error = error;
	va_start(args, format);
	vsnprintf(request->fault.text, sizeof(request->fault.text), format, args);
	va_end(args);
	return false;
}

bool request_limit(struct request *request, int64_t limit, const char *format, ...)
{
	va_list args;

	request->fault.error = PROTO_LIMIT_EXCEEDED;
	va_start(args, format);
	vsnprintf(request->fault.text, sizeof(request->fault.text), format, args);
	va_end(args);
	snprintf(request->extra, sizeof(request->extra), "\"limit\":%lld", (long long)limit);
	return false;
}

bool request_arguments(struct request *request, const struct parameter *parameters, size_t n,
		       struct argument *ret_arguments)
{
	return parameters_read(parameters, n, request->message->params, request->message->params_size, NULL,
			       ret_arguments, &request->fault);
}

bool request_may_see_all(struct request *request)
{
	uid_t uid = peer_identity(request->peer)->uid;

	if (uid == 0 || uid == geteuid())
		return true;
	return request_fault(request, PROTO_DENIED, "only root and the daemon's own user may see all");
}

/* Replies. */

void request_begin(struct request *request, struct line *line, struct json_writer *writer)
{
	line_init(line);
	message_begin_result(&line->text, &request->message->id);
	json_writer_init(writer, &line->text);
}

bool request_send(struct request *request, struct line *line)
{
	struct message_fault internal = {.error = PROTO_INTERNAL};

	message_end(&line->text);
	if (!request_wants_reply(request)) {
		line_release(line);
	} else if (line_error(line)) {
		line_release(line);
		send_fault(request->commands, request->peer, &request->message->id, &internal, NULL);
	} else {
		peer_send(request->peer, line);
	}
	return true;
}

/* Lines. */

static bool run(struct request *request)
{
	const char *method = request->message->method;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (strcmp(method, table[i].name) != 0)
			continue;
		if (request->commands->stopping && !table[i].while_stopping)
			return request_fault(request, PROTO_SHUTTING_DOWN, "%s", "");
		return table[i].run(request);
	}
	return request_fault(request, PROTO_METHOD_NOT_FOUND, "there is no method \"%s\"", method);
}

void commands_line(struct commands *commands, struct peer *peer, const char *line, size_t size)
{
	struct message_request message;
	struct request request = {.commands = commands, .peer = peer, .message = &message};

	if (message_is_blank(line, size))
		return;
	commands->metrics->calls++;
	if (!message_parse_request(line, size, commands->names, &message, &request.fault)) {
		/* A notification with the wrong parameters is a request all the same: it is never answered.
		 */
		if (message.id.size || request.fault.error != PROTO_INVALID_PARAMS)
			send_fault(commands, peer, &message.id, &request.fault, NULL);
	} else if (!run(&request) && request_wants_reply(&request)) {
		send_fault(commands, peer, &message.id, &request.fault, request.extra);
	}
}

void commands_line_too_long(struct commands *commands, struct peer *peer)
{
	struct message_fault fault = {.error = PROTO_LINE_TOO_LONG};

	commands->metrics->calls++;
	send_fault(commands, peer, NULL, &fault, NULL);
}

/* Calls that were not answered at once. */

void commands_resume(struct commands *commands, struct peer *peer)
{
	struct peer_calls *calls = peer_calls(peer);
	struct call *call;

	(void)commands;
	while (!peer_full(peer) && (call = TAILQ_FIRST(&calls->stalled))) {
		TAILQ_REMOVE(&calls->stalled, call, in_stalled);
		call->stalled = false;
		call->operations->pump(call);
	}
}

void commands_settle(struct commands *commands, uint64_t ticket, bool stored)
{
	struct call *call;

	while ((call = TAILQ_FIRST(&commands->held)) && call->ticket <= ticket)
		call->operations->settled(call, stored);
}

bool commands_owed(const struct commands *commands)
{
	return !TAILQ_EMPTY(&commands->held) || commands->parcels.opening;
}

void commands_drain(struct commands *commands)
{
	struct call *call, *next;

	commands->stopping = true;
	for (call = TAILQ_FIRST(&commands->waiting); call; call = next) {
		next = TAILQ_NEXT(call, in_commands); /* draining one ends no other */
		if (call->operations->drain)
			call->operations->drain(call);
	}
}

void commands_peer_gone(struct commands *commands, struct peer *peer)
{
	const struct peer_identity *identity = peer_identity(peer);
	struct peer_calls *calls = peer_calls(peer);
	struct call *call;

	while ((call = LIST_FIRST(&calls->all)))
		call_end(call);
	/* When it is the daemon that goes, linked stakes get their time after the restart. */
	if (peer_is_linked(peer) && !commands->stopping) {
		registry_unlink_peer(commands->registry, identity->uid, peer_id(peer),
				     loop_wall(commands->loop));
		loop_wake(commands->loop); /* peers end after the turn's commit: what this ends is for the
					      next one */
	}
}
