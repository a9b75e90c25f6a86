/*
 * JSON-RPC 2.0 envelopes. Takes lines apart down to method and params, and puts frames around what others
 * wrote.
 */
#include "message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json_lex.h"

static size_t range_size(struct json_range range)
{
	return (size_t)(range.end - range.start);
}

static const char *member_text(const char *line, const struct json_member *member)
{
	return line + member->value.start;
}

bool message_is_blank(const char *line, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!json_is_space(line[i]))
			return false;
	return true;
}

/* Requests. */

enum { REQUEST_JSONRPC, REQUEST_ID, REQUEST_METHOD, REQUEST_PARAMS, REQUEST_MEMBERS };

static _printf_(3, 4) bool fail(struct message_fault *ret_fault, enum proto_error error, const char *format,
				...)
{
	va_list args;

	va_start(args, format);
	*ret_fault = (struct message_fault){.error = error};
	vsnprintf(ret_fault->text, sizeof(ret_fault->text), format, args);
	va_end(args);
	return false;
}

static bool parse_id(const char *line, const struct json_member *member, struct message_id *ret_id,
		     struct message_fault *ret_fault)
{
	const char *text = member_text(line, member);
	size_t size = range_size(member->value);
	char decoded[MESSAGE_ID_MAX + 1];
	int64_t number;
	int r;

	if (member->type == JSON_NUMBER) {
		r = json_int_decode(text, size, &number);
		if (r == -ERANGE)
			return fail(ret_fault, PROTO_INVALID_REQUEST, "\"id\" does not fit 64 bits");
		if (r < 0)
			return fail(ret_fault, PROTO_INVALID_REQUEST,
				    "\"id\" must be an integer or a string, not a number with a fraction");
	} else if (member->type == JSON_STRING) {
		if (json_string_decode(text, size, decoded, sizeof(decoded), NULL) < 0)
			return fail(ret_fault, PROTO_INVALID_REQUEST, "\"id\" is longer than %d bytes",
				    MESSAGE_ID_MAX);
	} else {
		return fail(ret_fault, PROTO_INVALID_REQUEST, "\"id\" must be an integer or a string, not %s",
			    json_type_text(member->type));
	}
	/* An integer of 64 bits has at most 20 characters, and no decoded byte takes more than 6 to write. */
	memcpy(ret_id->text, text, size);
	ret_id->text[size] = 0;
	ret_id->size = (uint16_t)size;
	return true;
}

static bool parse_method(const char *line, const struct json_member *member, char method[MESSAGE_METHOD_MAX],
			 struct message_fault *ret_fault)
{
	if (member->type == JSON_NONE)
		return fail(ret_fault, PROTO_INVALID_REQUEST, "\"method\" is missing");
	if (member->type != JSON_STRING)
		return fail(ret_fault, PROTO_INVALID_REQUEST, "\"method\" must be a string, not %s",
			    json_type_text(member->type));
	if (range_size(member->value) == 2)
		return fail(ret_fault, PROTO_INVALID_REQUEST, "\"method\" is empty");

	size_t size = 0;
	int r = json_string_decode(member_text(line, member), range_size(member->value), method,
				   MESSAGE_METHOD_MAX, &size);

	if (r == 0 && strlen(method) != size)
		return fail(ret_fault, PROTO_INVALID_REQUEST, "\"method\" contains a NUL character");
	return true;
}

static bool parse_params(const char *line, const struct json_member *member, struct message_request *request,
			 struct message_fault *ret_fault)
{
	if (member->type == JSON_OBJECT) {
		request->params = member_text(line, member);
		request->params_size = range_size(member->value);
		return true;
	}
	if (member->type == JSON_NONE)
		return true;
	fail(ret_fault, PROTO_INVALID_PARAMS,
	     member->type == JSON_ARRAY
		     ? "\"params\" must be an object: parameters have names here, no positions"
		     : "\"params\" must be an object");
	memcpy(ret_fault->member, "params", sizeof("params"));
	return false;
}

static bool parse_members(const char *line, const struct json_member *members,
			  struct message_request *request, struct message_fault *ret_fault)
{
	const struct json_member *jsonrpc = &members[REQUEST_JSONRPC], *id = &members[REQUEST_ID];

	if (id->type != JSON_NONE && !parse_id(line, id, &request->id, ret_fault))
		return false;
	if (jsonrpc->type != JSON_NONE &&
	    (jsonrpc->type != JSON_STRING ||
	     !json_string_equals(member_text(line, jsonrpc), range_size(jsonrpc->value), "2.0")))
		return fail(ret_fault, PROTO_INVALID_REQUEST, "\"jsonrpc\" must be \"2.0\", or be left out");
	return parse_method(line, &members[REQUEST_METHOD], request->method, ret_fault) &&
	       parse_params(line, &members[REQUEST_PARAMS], request, ret_fault);
}

bool message_parse_request(const char *line, size_t size, struct json_names *names,
			   struct message_request *ret_request, struct message_fault *ret_fault)
{
	struct json_member members[REQUEST_MEMBERS] = {
		[REQUEST_JSONRPC] = {.name = "jsonrpc"},
		[REQUEST_ID] = {.name = "id"},
		[REQUEST_METHOD] = {.name = "method"},
		[REQUEST_PARAMS] = {.name = "params"},
	};
	struct json_scan scan;
	enum json_error error = json_scan_text(&scan, JSON_STRICT, names, members, REQUEST_MEMBERS, line,
					       size);

	ret_request->id.size = 0;
	ret_request->id.text[0] = 0;
	ret_request->method[0] = 0;
	ret_request->params = NULL;
	ret_request->params_size = 0;
	if (error != JSON_OK)
		return fail(ret_fault, PROTO_PARSE_ERROR, "%s at byte %" PRIu64, json_error_text(error),
			    scan.error_at);
	if (scan.type == JSON_ARRAY)
		return fail(
			ret_fault, PROTO_INVALID_REQUEST,
			"batches are not supported: send the calls one a line, without waiting for replies");
	if (scan.type != JSON_OBJECT)
		return fail(ret_fault, PROTO_INVALID_REQUEST, "a request is an object, not %s",
			    json_type_text(scan.type));
	return parse_members(line, members, ret_request, ret_fault);
}

/* Frames. */

static void put_head(struct buffer *buffer, const struct message_id *id)
{
	buffer_puts(buffer, "{\"jsonrpc\":\"2.0\",\"id\":");
	if (id && id->size)
		buffer_append(buffer, id->text, id->size);
	else
		buffer_puts(buffer, "null");
}

void message_begin_result(struct buffer *buffer, const struct message_id *id)
{
	put_head(buffer, id);
	buffer_puts(buffer, ",\"result\":");
}

void message_begin_notification(struct buffer *buffer, const char *method)
{
	buffer_puts(buffer, "{\"jsonrpc\":\"2.0\",\"method\":");
	json_put_string(buffer, method);
	buffer_puts(buffer, ",\"params\":");
}

void message_end(struct buffer *buffer)
{
	buffer_append(buffer, "}\n", 2);
}

void message_put_error(struct buffer *buffer, const struct message_id *id, const struct message_fault *fault,
		       const char *extra)
{
	put_head(buffer, id);
	buffer_puts(buffer, ",\"error\":{\"code\":");
	json_put_int(buffer, proto_error_code(fault->error));
	buffer_puts(buffer, ",\"message\":");
	json_put_string(buffer, fault->text[0] ? fault->text : proto_error_text(fault->error));
	buffer_puts(buffer, ",\"data\":{\"name\":");
	json_put_string(buffer, proto_error_name(fault->error));
	if (fault->member[0]) {
		buffer_puts(buffer, ",\"member\":");
		json_put_string(buffer, fault->member);
	}
	if (extra && *extra) {
		buffer_putc(buffer, ',');
		buffer_puts(buffer, extra);
	}
	buffer_puts(buffer, "}}");
	message_end(buffer);
}

/* JSON text with its line breaks as spaces: they can only stand between tokens. */
static void put_flat(struct buffer *buffer, const char *json, size_t size)
{
	if (buffer_reserve(buffer, size) < 0)
		return;

	char *to = buffer->data + buffer->size;

	buffer_append(buffer, json, size);
	for (size_t i = 0; i < size; i++)
		if (to[i] == '\n' || to[i] == '\r')
			to[i] = ' ';
}

void message_put_request(struct buffer *buffer, int64_t id, const char *method, const char *params,
			 size_t params_size)
{
	buffer_puts(buffer, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_put_int(buffer, id);
	buffer_puts(buffer, ",\"method\":");
	json_put_string(buffer, method);
	if (params) {
		buffer_puts(buffer, ",\"params\":");
		put_flat(buffer, params, params_size);
	}
	message_end(buffer);
}

/* Replies. */

enum { REPLY_ID, REPLY_RESULT, REPLY_ERROR, REPLY_METHOD, REPLY_PARAMS, REPLY_MEMBERS };

static void read_error_data(struct message_reply *reply, const struct json_item *data)
{
	struct json_cursor cursor;
	struct json_item item;
	char name[32];

	json_cursor_init(&cursor, data->value, data->size);
	while (json_cursor_next(&cursor, &item))
		if (json_string_equals(item.name, item.name_size, "name") &&
		    json_string_decode(item.value, item.size, name, sizeof(name), NULL) == 0)
			reply->error = proto_error_from_name(name);
}

static void read_error(struct message_reply *reply)
{
	struct json_cursor cursor;
	struct json_item item;
	int64_t code;

	reply->error = PROTO_INTERNAL;
	json_cursor_init(&cursor, reply->body, reply->body_size);
	while (json_cursor_next(&cursor, &item)) {
		if (json_string_equals(item.name, item.name_size, "code")) {
			if (json_int_decode(item.value, item.size, &code) == 0 && code >= INT32_MIN &&
			    code <= INT32_MAX)
				reply->code = (int)code;
		} else if (json_string_equals(item.name, item.name_size, "message")) {
			/* A longer one is cut. */
			(void)json_string_decode(item.value, item.size, reply->text, sizeof(reply->text),
						 NULL);
		} else if (item.type == JSON_OBJECT &&
			   json_string_equals(item.name, item.name_size, "data")) {
			read_error_data(reply, &item);
		}
	}
}

static bool read_id(const char *line, const struct json_member *id, struct message_reply *reply)
{
	reply->has_id = id->type == JSON_NUMBER &&
			json_int_decode(member_text(line, id), range_size(id->value), &reply->id) == 0;
	return reply->has_id;
}

static enum message_kind classify(const char *line, const struct json_member *members,
				  struct message_reply *reply, const struct json_member **ret_body)
{
	const struct json_member *id = &members[REPLY_ID], *method = &members[REPLY_METHOD];

	if (members[REPLY_RESULT].type == JSON_OBJECT) {
		*ret_body = &members[REPLY_RESULT];
		return read_id(line, id, reply) ? MESSAGE_RESULT : MESSAGE_NONSENSE;
	}
	if (members[REPLY_ERROR].type == JSON_OBJECT) {
		*ret_body = &members[REPLY_ERROR];
		return read_id(line, id, reply) || id->type == JSON_NULL ? MESSAGE_ERROR : MESSAGE_NONSENSE;
	}
	if (method->type != JSON_STRING || id->type != JSON_NONE ||
	    json_string_decode(member_text(line, method), range_size(method->value), reply->method,
			       sizeof(reply->method), NULL) < 0)
		return MESSAGE_NONSENSE;
	*ret_body = &members[REPLY_PARAMS];
	return (*ret_body)->type == JSON_OBJECT || (*ret_body)->type == JSON_NONE ? MESSAGE_NOTIFICATION
										  : MESSAGE_NONSENSE;
}

void message_parse_reply(const char *line, size_t size, struct message_reply *ret_reply)
{
	struct json_member members[REPLY_MEMBERS] = {
		[REPLY_ID] = {.name = "id"},         [REPLY_RESULT] = {.name = "result"},
		[REPLY_ERROR] = {.name = "error"},   [REPLY_METHOD] = {.name = "method"},
		[REPLY_PARAMS] = {.name = "params"},
	};
	const struct json_member *body = NULL;
	struct message_reply reply = {.kind = MESSAGE_NONSENSE};
	struct json_scan scan;

	if (json_scan_text(&scan, JSON_REPLY, NULL, members, REPLY_MEMBERS, line, size) == JSON_OK)
		reply.kind = classify(line, members, &reply, &body);
	if (reply.kind != MESSAGE_NONSENSE && body->type == JSON_OBJECT) {
		reply.body = member_text(line, body);
		reply.body_size = range_size(body->value);
	}
	if (reply.kind == MESSAGE_ERROR)
		read_error(&reply);
	*ret_reply = reply;
}
