/*
 * hello, ping, abandon: about the connection itself.
 */
#include <string.h>

#include "proto/framer.h"
#include "request.h"
#include "sys/log.h"

static const char *const features[] = {"stream", "abandon", "where", "fd_results"};

static void put_limits(const struct commands *commands, struct json_writer *writer)
{
	json_name(writer, "limits");
	json_open(writer, '{');
	json_member_int(writer, "line_bytes", FRAMER_REQUEST_MAX);
	json_member_int(writer, "futures_per_call", FUTURES_PER_CALL);
	json_member_int(writer, "request_id_bytes", REQUEST_ID_MAX);
	json_member_int(writer, "metadata_bytes", METADATA_MAX);
	json_member_int(writer, "outstanding_calls", CALLS_MAX);
	json_member_int(writer, "inline_result_bytes", (int64_t)commands->inline_result_bytes);
	json_close(writer);
}

/* The client's name helps whoever reads the log; it means nothing else. */
static void note_client(const struct request *request, const struct argument *client)
{
	char name[64];
	size_t size;

	if (argument_given(client) &&
	    json_string_decode(client->text, client->size, name, sizeof(name), &size) == 0)
		log_debug("peer", "%llu: says it is %s", (unsigned long long)peer_id(request->peer), name);
}

bool command_hello(struct request *request)
{
	enum { CLIENT, PROTOCOL, ROWS };
	static const struct parameter table[ROWS] = {
		[CLIENT] = {.name = "client", .type = PARAMETER_STRING},
		[PROTOCOL] = {.name = "protocol", .type = PARAMETER_INT, .max = INT32_MAX},
	};
	struct commands *commands = request->commands;
	struct argument arguments[ROWS];
	struct json_writer writer;
	struct line line;

	if (!request_arguments(request, table, ROWS, arguments))
		return false;
	if (argument_given(&arguments[PROTOCOL]) && arguments[PROTOCOL].number != 1)
		return fault_member(&request->fault, "protocol", "protocol %lld is not spoken here, only 1",
				    (long long)arguments[PROTOCOL].number);
	note_client(request, &arguments[CLIENT]);
	request_begin(request, &line, &writer);
	json_open(&writer, '{');
	json_member_int(&writer, "protocol", 1);
	json_member_string(&writer, "server", "tinkexd/" TINKEX_VERSION);
	json_member_string(&writer, "instance", commands->instance);
	json_member_int(&writer, "uid", peer_identity(request->peer)->uid);
	json_name(&writer, "features");
	json_open(&writer, '[');
	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		json_string(&writer, features[i]);
	json_close(&writer);
	put_limits(commands, &writer);
	json_close(&writer);
	return request_send(request, &line);
}

bool command_ping(struct request *request)
{
	struct json_writer writer;
	struct line line;

	request_begin(request, &line, &writer);
	json_raw(&writer, "{}", 2);
	return request_send(request, &line);
}

/* Ids are the same when they mean the same, however they are written: "a" and "\u0061". */
static bool same_id(const struct message_id *id, const struct argument *wanted)
{
	char text[MESSAGE_ID_MAX + 1];
	size_t size;

	if (id->size == wanted->size && memcmp(id->text, wanted->text, wanted->size) == 0)
		return true;
	if (id->text[0] != '"' || wanted->type != JSON_STRING)
		return false;
	return json_string_decode(wanted->text, wanted->size, text, sizeof(text), &size) == 0 &&
	       strlen(text) == size && json_string_equals(id->text, id->size, text);
}

bool command_abandon(struct request *request)
{
	enum { CALL, ROWS };
	static const struct parameter table[ROWS] = {
		[CALL] = {.name = "call", .type = PARAMETER_ID},
	};
	struct argument arguments[ROWS];
	struct json_writer writer;
	struct line line;
	struct call *call, *next;
	bool abandoned = false;

	if (!request_arguments(request, table, ROWS, arguments))
		return false;
	if (!argument_given(&arguments[CALL]))
		return fault_member(&request->fault, "call",
				    "call is missing: the id of the call to abandon");
	for (call = LIST_FIRST(&peer_calls(request->peer)->all); call; call = next) {
		next = LIST_NEXT(call, in_peer);
		if (!same_id(&call->id, &arguments[CALL]))
			continue;
		call_end(call);
		abandoned = true;
	}
	request_begin(request, &line, &writer);
	json_open(&writer, '{');
	json_member_bool(&writer, "abandoned", abandoned);
	json_close(&writer);
	return request_send(request, &line);
}
