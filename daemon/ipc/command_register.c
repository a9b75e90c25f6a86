/*
 * register: stakes in futures, answered when they are durable.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outcome_json.h"
#include "request.h"
#include "targets.h"

#define ITEM_REPLY 160 /* about how many bytes an item of the reply takes beside its id */

enum register_row {
	RESPONSE = TARGET_ROWS,
	POLL_TIMEOUT,
	HTTP_TIMEOUT,
	BACKOFF,
	ON_NETWORK_ERROR,
	ON_SERVER_FAILURE,
	ACCEPT,
	REQUEST_TYPE,
	CREATE_ROUNDTRIP,
	METADATA,
	LINKED,
	IF_ENDED,
	ROWS
};

static const struct parameter table[ROWS] = {
	TARGET_PARAMETERS,
	[RESPONSE] = {.name = "response", .type = PARAMETER_OBJECT},
	[POLL_TIMEOUT] = {.name = "poll_timeout_ms",
			  .type = PARAMETER_INT,
			  .nullable = true,
			  .max = PARAMETER_MS_MAX},
	[HTTP_TIMEOUT] = {.name = "http_timeout_ms", .type = PARAMETER_INT, .max = PARAMETER_MS_MAX},
	[BACKOFF] = {.name = "backoff", .type = PARAMETER_OBJECT},
	[ON_NETWORK_ERROR] = {.name = "on_network_error", .type = PARAMETER_CHOICE, .choices = "fail|retry"},
	[ON_SERVER_FAILURE] = {.name = "on_server_failure",
			       .type = PARAMETER_CHOICE,
			       .choices = "fail|retry"},
	[ACCEPT] = {.name = "accept", .type = PARAMETER_CHOICE, .choices = "json|protobuf"},
	[REQUEST_TYPE] = {.name = "request_type", .type = PARAMETER_STRING},
	[CREATE_ROUNDTRIP] = {.name = "create_roundtrip_ms", .type = PARAMETER_INT, .max = INT32_MAX},
	[METADATA] = {.name = "metadata", .type = PARAMETER_OBJECT},
	[LINKED] = {.name = "linked", .type = PARAMETER_BOOL},
	[IF_ENDED] = {.name = "if_ended", .type = PARAMETER_CHOICE, .choices = "keep|restart"},
};

enum { BACKOFF_INITIAL, BACKOFF_MAX, BACKOFF_ROWS };
static const struct parameter backoff_table[BACKOFF_ROWS] = {
	[BACKOFF_INITIAL] = {.name = "initial_ms", .type = PARAMETER_INT, .max = PARAMETER_MS_MAX},
	[BACKOFF_MAX] = {.name = "max_ms", .type = PARAMETER_INT, .max = PARAMETER_MS_MAX},
};

/* One id of a call whose reply is not written yet. */
struct item {
	char *request_id;      /* owned */
	uint64_t registration; /* id; 0: refused with `error` */
	enum proto_error error;
	enum registry_refusal refusal; /* which limit it was */
	uint8_t state; /* as it was when the call came, should it be gone when the reply is written */
	bool is_new;
};

struct register_call {
	struct call call;
	const struct endpoint *endpoint;
	size_t n;
	struct item items[];
};

/* Options. */

static bool is_type_name(const char *text)
{
	return *text &&
	       text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")] ==
		       '\0';
}

/* It becomes an HTTP header's value, where a line break would be another header. */
static bool read_request_type(struct request *request, const struct argument *argument,
			      struct registration_options *options)
{
	size_t size;

	if (!argument_given(argument))
		return true;
	if (json_string_decode(argument->text, argument->size, options->request_type,
			       sizeof(options->request_type), &size) < 0 ||
	    strlen(options->request_type) != size || !is_type_name(options->request_type))
		return fault_member(&request->fault, "request_type",
				    "request_type must be 1 to %d letters, digits, '_', '.' or '-'",
				    REQUEST_TYPE_MAX);
	options->has.request_type = true;
	return true;
}

static bool read_backoff(struct request *request, const struct argument *argument,
			 struct registration_options *options)
{
	struct argument values[BACKOFF_ROWS];

	if (!parameters_read(backoff_table, BACKOFF_ROWS, argument->text, argument->size, "backoff.", values,
			     &request->fault))
		return false;
	options->has.backoff_initial = argument_given(&values[BACKOFF_INITIAL]);
	options->backoff_initial = values[BACKOFF_INITIAL].number * USEC_PER_MSEC;
	options->has.backoff_max = argument_given(&values[BACKOFF_MAX]);
	options->backoff_max = values[BACKOFF_MAX].number * USEC_PER_MSEC;
	return true;
}

/* `ret_metadata`: memory of options->metadata, freed by the caller. */
static bool read_metadata(struct request *request, const struct argument *argument,
			  struct registration_options *options, char **ret_metadata)
{
	if (!argument_given(argument))
		return true;
	if (argument->size > METADATA_MAX)
		return fault_member(&request->fault, "metadata",
				    "metadata is %zu bytes long; at most %d are allowed", argument->size,
				    METADATA_MAX);
	*ret_metadata = strndup(argument->text, argument->size);
	if (!*ret_metadata)
		return request_fault(request, PROTO_INTERNAL, "no memory");
	options->metadata = *ret_metadata;
	options->has.metadata = true;
	return true;
}

static enum on_failure on_failure(const struct argument *argument)
{
	return argument->number == 0 ? ON_FAILURE_FAIL : ON_FAILURE_RETRY;
}

static bool read_options(struct request *request, const struct argument *arguments,
			 struct registration_options *options, char **ret_metadata)
{
	const struct argument *poll_timeout = &arguments[POLL_TIMEOUT];

	options->has.poll_timeout = argument_given(poll_timeout);
	options->poll_timeout = argument_has_value(poll_timeout) ? poll_timeout->number * USEC_PER_MSEC
								 : TIME_NEVER;
	options->has.http_timeout = argument_given(&arguments[HTTP_TIMEOUT]);
	options->http_timeout = arguments[HTTP_TIMEOUT].number * USEC_PER_MSEC;
	options->has.on_network_error = argument_given(&arguments[ON_NETWORK_ERROR]);
	options->on_network_error = on_failure(&arguments[ON_NETWORK_ERROR]);
	options->has.on_server_failure = argument_given(&arguments[ON_SERVER_FAILURE]);
	options->on_server_failure = on_failure(&arguments[ON_SERVER_FAILURE]);
	options->has.accept = argument_given(&arguments[ACCEPT]);
	options->accept_protobuf = arguments[ACCEPT].number == 1;
	options->has.create_roundtrip = argument_given(&arguments[CREATE_ROUNDTRIP]);
	options->create_roundtrip_ms = arguments[CREATE_ROUNDTRIP].number;
	options->has.linked = argument_given(&arguments[LINKED]);
	options->linked = arguments[LINKED].number;
	options->restart_if_ended = arguments[IF_ENDED].number == 1;
	options->peer = peer_id(request->peer);
	return read_request_type(request, &arguments[REQUEST_TYPE], options) &&
	       read_backoff(request, &arguments[BACKOFF], options) &&
	       read_metadata(request, &arguments[METADATA], options, ret_metadata);
}

/* Ids. */

/* The server's answer to a submit: its request_id, a string or, from some servers, an integer. */
static bool read_response(struct request *request, const struct argument *arguments, struct targets *targets)
{
	const struct argument *response = &arguments[RESPONSE];
	struct endpoint *endpoint;
	struct argument id = {0};
	struct json_cursor cursor;
	struct json_item item;
	int64_t number;

	if (argument_given(&arguments[TARGET_ID]) || argument_given(&arguments[TARGET_IDS]))
		return fault_member(&request->fault, "response",
				    "name request_id, request_ids or response, only one");
	json_cursor_init(&cursor, response->text, response->size);
	while (json_cursor_next(&cursor, &item)) {
		if (json_string_equals(item.name, item.name_size, "request_id"))
			id = (struct argument){.type = item.type, .text = item.value, .size = item.size};
	}
	if (id.type != JSON_STRING &&
	    !(id.type == JSON_NUMBER && json_int_decode(id.text, id.size, &number) == 0))
		return fault_member(&request->fault, "response",
				    "response has no request_id that is a string or an integer");
	return request_endpoint(request, &arguments[TARGET_ENDPOINT], &endpoint) &&
	       targets_read_one(request, &id, "response", endpoint, targets);
}

static bool read_targets(struct request *request, const struct argument *arguments, struct targets *targets)
{
	if (argument_given(&arguments[RESPONSE]))
		return read_response(request, arguments, targets);
	if (!argument_given(&arguments[TARGET_ID]) && !argument_given(&arguments[TARGET_IDS]))
		return fault_member(&request->fault, "request_id",
				    "name what to register: request_id, request_ids or response");
	return targets_read(request, arguments, targets);
}

/* The reply. */

static const char *limit_text(const struct register_call *call, const struct item *item, char buffer[160])
{
	const struct registry_limits *limits = &call->call.commands->registry->limits;

	if (item->refusal == REFUSAL_SHARE)
		snprintf(buffer, 160,
			 "your outcomes take as much room as those of one user may (%llu bytes): acknowledge "
			 "some of them",
			 (unsigned long long)limits->max_stored_bytes_per_uid);
	else
		snprintf(buffer, 160, "you have as many registrations as one user may: %u",
			 limits->max_registrations_per_uid);
	return buffer;
}

static const char *storage_text(const struct register_call *call, const struct item *item, char buffer[160])
{
	const struct registry_limits *limits = &call->call.commands->registry->limits;

	if (item->refusal != REFUSAL_STORE_FULL)
		return "the daemon's disk is full: nothing new is taken until there is space";
	snprintf(buffer, 160,
		 "the outcomes that are kept take all the room there is (%llu bytes): nothing new is taken "
		 "until "
		 "some are acknowledged",
		 (unsigned long long)limits->max_stored_bytes);
	return buffer;
}

static const char *refusal_text(const struct register_call *call, const struct item *item, char buffer[160])
{
	switch (item->error) {
	case PROTO_INVALID_PARAMS:
		return "the merged metadata is too long";
	case PROTO_CONFLICT:
		return "it was registered with another `accept` before, and stays with that";
	case PROTO_LIMIT_EXCEEDED:
		return limit_text(call, item, buffer);
	case PROTO_STORAGE:
		return storage_text(call, item, buffer);
	default:
		return proto_error_text(item->error);
	}
}

static int64_t limit_of(const struct register_call *call, const struct item *item)
{
	const struct registry_limits *limits = &call->call.commands->registry->limits;

	return item->refusal == REFUSAL_SHARE ? (int64_t)limits->max_stored_bytes_per_uid
					      : limits->max_registrations_per_uid;
}

static void put_refusal(const struct register_call *call, struct json_writer *writer, const struct item *item)
{
	char buffer[160];

	json_member_string(writer, "request_id", item->request_id);
	json_name(writer, "error");
	json_open(writer, '{');
	json_member_int(writer, "code", proto_error_code(item->error));
	json_member_string(writer, "message", refusal_text(call, item, buffer));
	json_name(writer, "data");
	json_open(writer, '{');
	json_member_string(writer, "name", proto_error_name(item->error));
	if (item->error == PROTO_INVALID_PARAMS)
		json_member_string(writer, "member", "metadata");
	if (item->error == PROTO_LIMIT_EXCEEDED)
		json_member_int(writer, "limit", limit_of(call, item));
	json_close(writer);
	json_close(writer);
}

static void put_item(struct register_call *call, struct line *line, struct json_writer *writer,
		     const struct item *item)
{
	struct registration *registration = registry_find_id(call->call.commands->registry,
							     item->registration);
	enum future_state state = registration ? scheduler_state(call->call.commands->scheduler, registration)
					       : item->state;

	json_member_string(writer, "request_id", item->request_id);
	json_member_string(writer, "endpoint", call->endpoint->name);
	json_member_string(writer, "state", future_state_name(state));
	json_member_bool(writer, "new", item->is_new);
	if (!registration || registration->phase != REGISTRATION_ENDED)
		return;
	json_name(writer, "outcome");
	json_open(writer, '{');
	outcome_put_summary(line, writer, item->request_id, registration->result);
	json_close(writer);
}

static void answer(struct register_call *call)
{
	struct json_writer writer;
	struct line line;

	call_reply_begin(&call->call, &line);
	json_writer_init(&writer, &line.text);
	json_open(&writer, '{');
	json_name(&writer, "registrations");
	json_open(&writer, '[');
	for (size_t i = 0; i < call->n; i++) {
		json_open(&writer, '{');
		if (call->items[i].error)
			put_refusal(call, &writer, &call->items[i]);
		else
			put_item(call, &line, &writer, &call->items[i]);
		json_close(&writer);
	}
	json_close(&writer);
	json_close(&writer);
	call_reply_send(&call->call, &line);
}

/* The call. */

static void settled(struct call *base, bool stored)
{
	struct register_call *call = container_of(base, struct register_call, call);

	if (stored)
		answer(call);
	else
		call_reply_error(base, PROTO_STORAGE);
	call_end(base);
}

static void destroy(struct call *base)
{
	struct register_call *call = container_of(base, struct register_call, call);

	for (size_t i = 0; i < call->n; i++)
		free(call->items[i].request_id);
	free(call);
}

static const struct call_operations operations = {.settled = settled, .destroy = destroy};

static struct register_call *register_call_new(const struct targets *targets)
{
	struct register_call *call = calloc(1, sizeof(*call) + targets->n * sizeof(call->items[0]));

	if (!call)
		return NULL;
	call->n = targets->n;
	call->endpoint = targets->endpoint;
	call->call.memory = sizeof(*call) + targets->n * sizeof(call->items[0]);
	for (size_t i = 0; i < targets->n; i++) {
		size_t size = strlen(targets->list[i].request_id) + 1;

		call->items[i].request_id = strdup(targets->list[i].request_id);
		if (!call->items[i].request_id) {
			destroy(&call->call);
			return NULL;
		}
		call->call.memory += size;
		call->call.owed += size + ITEM_REPLY;
	}
	return call;
}

/* Registers all; returns the ticket to wait for, 0 if there is nothing to wait for. */
static uint64_t register_all(struct request *request, struct targets *targets,
			     const struct registration_options *options, struct register_call *call)
{
	struct commands *commands = request->commands;
	int64_t now = loop_now(commands->loop), wall = loop_wall(commands->loop);
	uint64_t ticket = 0;

	for (size_t i = 0; i < targets->n; i++) {
		struct item *item = &call->items[i];
		struct register_answer registered;

		item->error = registry_register(commands->registry, peer_identity(request->peer)->uid,
						targets->endpoint, targets->list[i].request_id, options, now,
						wall, &registered, &ticket);
		if (item->error) {
			item->refusal = registry_refusal(commands->registry,
							 peer_identity(request->peer)->uid);
			commands->metrics->registrations_refused++;
			continue;
		}
		item->registration = registered.registration->id;
		item->state = (uint8_t)registration_state(registered.registration);
		item->is_new = registered.is_new;
	}
	return ticket;
}

static bool carry_out(struct request *request, struct targets *targets,
		      const struct registration_options *options)
{
	struct register_call *call;
	uint64_t ticket;

	if (targets->endpoint->missing)
		return request_no_endpoint(request);
	call = register_call_new(targets);
	if (!call)
		return request_fault(request, PROTO_INTERNAL, "no memory");
	if (options->linked)
		peer_set_linked(request->peer);
	ticket = register_all(request, targets, options, call);
	if (!request_wants_reply(request)) {
		destroy(&call->call);
		return true;
	}
	call_begin(&call->call, &operations, request->commands, request->peer, &request->message->id);
	if (ticket) {
		call_hold(&call->call, ticket);
	} else {
		answer(call);
		call_end(&call->call);
	}
	return true;
}

bool command_register(struct request *request)
{
	struct argument arguments[ROWS];
	struct registration_options options = {0};
	_cleanup_(targets_release) struct targets targets = {0};
	char *metadata = NULL;
	bool done = request_arguments(request, table, ROWS, arguments) &&
		    read_options(request, arguments, &options, &metadata) &&
		    read_targets(request, arguments, &targets) && carry_out(request, &targets, &options);

	free(metadata);
	return done;
}
