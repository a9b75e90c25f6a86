/* Envelopes as transcripts: this line in, that fault or these parts out; these calls, that line. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message.h"
#include "test_run.h"

static struct json_names names;

#define T(literal) literal, sizeof(literal) - 1

static void assert_request(const char *line, size_t size, const char *id, const char *method,
			   const char *params)
{
	struct message_request request;
	struct message_fault fault = {.error = PROTO_OK};

	ck_assert_msg(message_parse_request(line, size, &names, &request, &fault), "%s: %s", line,
		      fault.text);
	ck_assert_str_eq(request.id.text, id);
	ck_assert_uint_eq(request.id.size, strlen(id));
	ck_assert_str_eq(request.method, method);
	ck_assert_uint_eq(request.params_size, strlen(params));
	if (request.params)
		ck_assert(memcmp(request.params, params, request.params_size) == 0);
	else
		ck_assert_str_eq(params, "");
}

START_TEST(test_request)
{
	assert_request(T("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\",\"params\":{}}"), "7", "ping",
		       "{}");
	assert_request(T("{\"id\":7,\"method\":\"ping\"}"), "7", "ping", "");
	assert_request(T("{\"method\":\"ping\"}"), "", "ping", "");
	assert_request(T(" { \"params\" : {\"a\": 1} , \"method\":\"x\",\"id\":\"a\"}\r"), "\"a\"", "x",
		       "{\"a\": 1}");
	assert_request(T("{\"\\u0069d\":1,\"m\\u0065thod\":\"\\u0070ing\",\"json\\u0072pc\":\"2\\u002e0\"}"),
		       "1", "ping", "");
	assert_request(T("{\"id\":1,\"method\":\"ping\",\"extra\":[{\"id\":2,\"method\":3}]}"), "1", "ping",
		       "");
	assert_request(T("{\"id\":-9223372036854775808,\"method\":\"p\"}"), "-9223372036854775808", "p", "");
	assert_request(T("{\"id\":9223372036854775807,\"method\":\"p\"}"), "9223372036854775807", "p", "");
	assert_request(T("{\"id\":-0,\"method\":\"p\"}"), "-0", "p", "");
	assert_request(T("{\"id\":\"\",\"method\":\"p\"}"), "\"\"", "p", "");
	/* The longest method name that is kept, and one that is cut: no method is called so. */
	assert_request(T("{\"id\":1,\"method\":\"a234567890123456789012345678901\"}"), "1",
		       "a234567890123456789012345678901", "");
	assert_request(T("{\"id\":1,\"method\":\"a2345678901234567890123456789012\"}"), "1",
		       "a234567890123456789012345678901", "");
}
END_TEST

/* A string id of 64 decoded bytes comes back as it was written, in its longest form too. */
START_TEST(test_long_id)
{
	struct message_request request;
	struct message_fault fault;
	char line[MESSAGE_ID_TEXT + 64], id[MESSAGE_ID_TEXT + 16];

	for (int bytes = 63; bytes <= 65; bytes++) {
		for (int escaped = 0; escaped <= 1; escaped++) {
			int used = 0;

			id[used++] = '"';
			for (int i = 0; i < bytes; i++)
				used += snprintf(id + used, sizeof(id) - (size_t)used, "%s",
						 escaped ? "\\u0041" : "A");
			id[used++] = '"';
			id[used] = 0;

			int size = snprintf(line, sizeof(line), "{\"id\":%s,\"method\":\"ping\"}", id);
			bool good = message_parse_request(line, (size_t)size, &names, &request, &fault);

			ck_assert_int_eq(good, bytes <= MESSAGE_ID_MAX);
			if (good) {
				ck_assert_str_eq(request.id.text, id);
			} else {
				ck_assert_int_eq(fault.error, PROTO_INVALID_REQUEST);
				ck_assert_uint_eq(request.id.size, 0);
			}
		}
	}
}
END_TEST

/* Lines that are no request: error, the id that the error carries, and what the sentence must say. */
static const struct {
	const char *line;
	size_t size;
	enum proto_error error;
	const char *id, *says;
} faults[] = {
	{T("{\"id\":1,"), PROTO_PARSE_ERROR, "", "byte 8"},
	{T("garbage"), PROTO_PARSE_ERROR, "", "byte 0"},
	{T(""), PROTO_PARSE_ERROR, "", "byte 0"},
	{T("{\"id\":1,\"method\":\"ping\"} x"), PROTO_PARSE_ERROR, "", "byte 25"},
	{T("{'id':1}"), PROTO_PARSE_ERROR, "", "byte 1"},
	{T("{\"id\":NaN,\"method\":\"ping\"}"), PROTO_PARSE_ERROR, "", "byte 6"},
	{T("{\"id\":1,\"method\":\"ping\",\"id\":2}"), PROTO_PARSE_ERROR, "",
	 "duplicate member name at byte 24"},
	{T("{\"id\":1,\"method\":\"p\",\"params\":{\"a\":1,\"\\u0061\":2}}"), PROTO_PARSE_ERROR, "",
	 "duplicate member name at byte 37"},
	{T("{\"id\":1,\"method\":\"\\ud800\"}"), PROTO_PARSE_ERROR, "", "lone surrogate at byte 18"},
	{T("{\"id\":1,\"method\":\"\xff\"}"), PROTO_PARSE_ERROR, "", "invalid UTF-8 at byte 18"},
	{T("{\"id\":1,\"method\":\"a\tb\"}"), PROTO_PARSE_ERROR, "",
	 "control character in a string at byte 19"},
	{T("{\"id\":1,\0}"), PROTO_PARSE_ERROR, "", "byte 8"},
	{T("[{\"id\":1,\"method\":\"ping\"}]"), PROTO_INVALID_REQUEST, "", "batches are not supported"},
	{T("[]"), PROTO_INVALID_REQUEST, "", "batches are not supported"},
	{T("17"), PROTO_INVALID_REQUEST, "", "not number"},
	{T("\"ping\""), PROTO_INVALID_REQUEST, "", "not string"},
	{T("null"), PROTO_INVALID_REQUEST, "", "not null"},
	{T("true"), PROTO_INVALID_REQUEST, "", "not boolean"},
	{T("{}"), PROTO_INVALID_REQUEST, "", "\"method\" is missing"},
	{T("{\"id\":3}"), PROTO_INVALID_REQUEST, "3", "\"method\" is missing"},
	{T("{\"id\":3,\"method\":5}"), PROTO_INVALID_REQUEST, "3", "\"method\" must be a string, not number"},
	{T("{\"id\":3,\"method\":null}"), PROTO_INVALID_REQUEST, "3", "not null"},
	{T("{\"id\":3,\"method\":\"\"}"), PROTO_INVALID_REQUEST, "3", "empty"},
	{T("{\"id\":3,\"method\":\"ping\\u0000\"}"), PROTO_INVALID_REQUEST, "3", "NUL"},
	{T("{\"id\":\"x\",\"jsonrpc\":\"1.0\",\"method\":\"ping\"}"), PROTO_INVALID_REQUEST, "\"x\"",
	 "\"jsonrpc\" must be \"2.0\""},
	{T("{\"id\":3,\"jsonrpc\":2.0,\"method\":\"ping\"}"), PROTO_INVALID_REQUEST, "3", "\"jsonrpc\""},
	{T("{\"id\":null,\"method\":\"ping\"}"), PROTO_INVALID_REQUEST, "",
	 "\"id\" must be an integer or a string, not null"},
	{T("{\"id\":1.5,\"method\":\"ping\"}"), PROTO_INVALID_REQUEST, "", "fraction"},
	{T("{\"id\":1e2,\"method\":\"ping\"}"), PROTO_INVALID_REQUEST, "", "\"id\""},
	{T("{\"id\":9223372036854775808,\"method\":\"ping\"}"), PROTO_INVALID_REQUEST, "", "64 bits"},
	{T("{\"id\":[1],\"method\":\"ping\"}"), PROTO_INVALID_REQUEST, "", "not array"},
	{T("{\"id\":{},\"method\":\"ping\"}"), PROTO_INVALID_REQUEST, "", "not object"},
	{T("{\"id\":true,\"method\":\"ping\"}"), PROTO_INVALID_REQUEST, "", "not boolean"},
	{T("{\"id\":3,\"method\":\"ping\",\"params\":[1]}"), PROTO_INVALID_PARAMS, "3",
	 "parameters have names"},
	{T("{\"id\":3,\"method\":\"ping\",\"params\":null}"), PROTO_INVALID_PARAMS, "3", "must be an object"},
	{T("{\"id\":3,\"method\":\"ping\",\"params\":\"x\"}"), PROTO_INVALID_PARAMS, "3",
	 "must be an object"},
	{T("{\"method\":\"ping\",\"params\":[1]}"), PROTO_INVALID_PARAMS, "", "parameters have names"},
};

START_TEST(test_faults)
{
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct message_request request;
		struct message_fault fault;

		ck_assert_msg(
			!message_parse_request(faults[i].line, faults[i].size, &names, &request, &fault),
			"%s", faults[i].line);
		ck_assert_msg(fault.error == faults[i].error, "%s: %s", faults[i].line, fault.text);
		ck_assert_msg(strstr(fault.text, faults[i].says) != NULL, "%s: %s", faults[i].line,
			      fault.text);
		ck_assert_str_eq(request.id.text, faults[i].id);
		ck_assert_uint_eq(request.id.size, strlen(faults[i].id));
		ck_assert_str_eq(fault.member, fault.error == PROTO_INVALID_PARAMS ? "params" : "");
		ck_assert_ptr_null(request.params);
	}
}
END_TEST

/* No byte of the peer's stands in a sentence as it came. */
START_TEST(test_fault_texts_are_clean)
{
	struct message_request request;
	struct message_fault fault;
	char line[] = "{\"id\":1,\"method\":\"ping\",\"params\":{\"k\":\"value\"}}";

	for (size_t at = 0; at < sizeof(line) - 1; at++) {
		for (int c = 0; c < 256; c++) {
			char before = line[at];

			line[at] = (char)c;
			if (!message_parse_request(line, sizeof(line) - 1, &names, &request, &fault))
				for (const char *p = fault.text; *p; p++)
					ck_assert_msg(*p >= ' ' && *p < 0x7f, "%zu %d", at, c);
			line[at] = before;
		}
	}
}
END_TEST

START_TEST(test_depth_and_members)
{
	struct buffer line = BUFFER_INIT(SIZE_MAX);
	struct message_request request;
	struct message_fault fault;

	/* The request and its params are two levels. */
	for (int extra = 0; extra <= 1; extra++) {
		buffer_clear(&line);
		buffer_puts(&line, "{\"id\":1,\"method\":\"x\",\"params\":{\"a\":");
		for (int i = 0; i < JSON_STRICT_DEPTH - 2 + extra; i++)
			buffer_putc(&line, '[');
		for (int i = 0; i < JSON_STRICT_DEPTH - 2 + extra; i++)
			buffer_putc(&line, ']');
		buffer_puts(&line, "}}");
		ck_assert_int_eq(message_parse_request(line.data, line.size, &names, &request, &fault),
				 !extra);
	}
	ck_assert_int_eq(fault.error, PROTO_PARSE_ERROR);
	ck_assert_ptr_nonnull(strstr(fault.text, "nested too deeply"));
	buffer_release(&line);
}
END_TEST

START_TEST(test_blank)
{
	ck_assert(message_is_blank(T("")));
	ck_assert(message_is_blank(T("\r")));
	ck_assert(message_is_blank(T(" \t \r")));
	ck_assert(!message_is_blank(T(" x")));
	ck_assert(!message_is_blank(T("\0")));
}
END_TEST

static void assert_line(struct buffer *buffer, const char *line)
{
	ck_assert_int_eq(buffer_error(buffer), 0);
	ck_assert_msg(buffer->size == strlen(line) && memcmp(buffer->data, line, buffer->size) == 0, "%.*s",
		      (int)buffer->size, buffer->data);
	buffer_clear(buffer);
}

static struct message_id make_id(const char *text)
{
	struct message_id id = {.size = (uint16_t)strlen(text)};

	memcpy(id.text, text, id.size);
	return id;
}

START_TEST(test_frames)
{
	struct buffer out = BUFFER_INIT(SIZE_MAX);
	struct message_id id = make_id("\"a\\u0041\""), none = {.size = 0};
	struct message_fault fault = {
		.error = PROTO_INVALID_PARAMS, .text = "must be \"x\"", .member = "limit"};

	message_begin_result(&out, &id);
	buffer_puts(&out, "{}");
	message_end(&out);
	assert_line(&out, "{\"jsonrpc\":\"2.0\",\"id\":\"a\\u0041\",\"result\":{}}\n");

	message_begin_notification(&out, "outcome");
	buffer_puts(&out, "{\"index\":0}");
	message_end(&out);
	assert_line(&out, "{\"jsonrpc\":\"2.0\",\"method\":\"outcome\",\"params\":{\"index\":0}}\n");

	message_put_error(&out, &id, &fault, "\"max\":5");
	assert_line(&out, "{\"jsonrpc\":\"2.0\",\"id\":\"a\\u0041\",\"error\":{\"code\":-32602,\"message\":"
			  "\"must be \\\"x\\\"\","
			  "\"data\":{\"name\":\"invalid_params\",\"member\":\"limit\",\"max\":5}}}\n");

	fault = (struct message_fault){.error = PROTO_LINE_TOO_LONG};
	message_put_error(&out, NULL, &fault, NULL);
	assert_line(&out, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"the "
			  "line is longer than "
			  "1048576 bytes\",\"data\":{\"name\":\"line_too_long\"}}}\n");

	fault.error = PROTO_PARSE_ERROR;
	message_put_error(&out, &none, &fault, "");
	assert_line(&out, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"the "
			  "line is not strict "
			  "JSON\",\"data\":{\"name\":\"parse_error\"}}}\n");

	message_put_request(&out, 12, "ping", NULL, 0);
	assert_line(&out, "{\"jsonrpc\":\"2.0\",\"id\":12,\"method\":\"ping\"}\n");
	message_put_request(&out, -1, "await", T("{\r\n\"request_id\":\"a\\n\"\n}"));
	assert_line(&out, "{\"jsonrpc\":\"2.0\",\"id\":-1,\"method\":\"await\",\"params\":{  "
			  "\"request_id\":\"a\\n\" }}\n");
	buffer_release(&out);
}
END_TEST

/* What is written for an error is read back as that error, for every row of the table. */
START_TEST(test_error_table)
{
	struct message_id id = make_id("5");

	for (int i = PROTO_OK + 1; i < PROTO_ERROR_COUNT; i++) {
		struct message_fault fault = {.error = (enum proto_error)i};
		struct buffer out = BUFFER_INIT(SIZE_MAX);
		struct message_reply reply;

		message_put_error(&out, &id, &fault, "\"x\":{\"name\":\"other\"}");
		message_parse_reply(out.data, out.size, &reply);
		ck_assert_int_eq(reply.kind, MESSAGE_ERROR);
		ck_assert(reply.has_id);
		ck_assert_int_eq(reply.id, 5);
		ck_assert_int_eq(reply.code, proto_error_code(fault.error));
		ck_assert_int_eq(reply.error, fault.error);
		ck_assert_str_eq(reply.text, proto_error_text(fault.error));
		ck_assert_int_eq(proto_error_from_name(proto_error_name(fault.error)), fault.error);
		ck_assert_int_lt(proto_error_code(fault.error), -31999);
		buffer_release(&out);
	}
	ck_assert_int_eq(proto_error_code(PROTO_OK), 0);
	ck_assert_str_eq(proto_error_name(PROTO_OK), "ok");
	ck_assert_int_eq(proto_error_from_name("ok"), PROTO_INTERNAL);
	ck_assert_int_eq(proto_error_from_name("no such name"), PROTO_INTERNAL);
	ck_assert_str_eq(proto_error_name(PROTO_ERROR_COUNT), "internal");
}
END_TEST

START_TEST(test_reply)
{
	struct message_reply reply;

	message_parse_reply(T("{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"results\":[NaN,\"\\ud800\"]}}"),
			    &reply);
	ck_assert_int_eq(reply.kind, MESSAGE_RESULT);
	ck_assert(reply.has_id);
	ck_assert_int_eq(reply.id, 3);
	ck_assert_uint_eq(reply.body_size, strlen("{\"results\":[NaN,\"\\ud800\"]}"));
	ck_assert(memcmp(reply.body, "{\"results\":", 11) == 0);

	message_parse_reply(T("{\"id\":null,\"error\":{\"code\":-32700,\"message\":\"a\\u00e9\"}}"), &reply);
	ck_assert_int_eq(reply.kind, MESSAGE_ERROR);
	ck_assert(!reply.has_id);
	ck_assert_int_eq(reply.code, -32700);
	ck_assert_int_eq(reply.error, PROTO_INTERNAL);
	ck_assert_str_eq(reply.text, "a\xc3\xa9");

	message_parse_reply(T("{\"method\":\"outcome\",\"params\":{\"call\":1}}"), &reply);
	ck_assert_int_eq(reply.kind, MESSAGE_NOTIFICATION);
	ck_assert_str_eq(reply.method, "outcome");
	ck_assert_uint_eq(reply.body_size, 10);
	message_parse_reply(T("{\"method\":\"event\"}"), &reply);
	ck_assert_int_eq(reply.kind, MESSAGE_NOTIFICATION);
	ck_assert_ptr_null(reply.body);
}
END_TEST

/* A message longer than there is room for is cut; nothing else is lost. */
START_TEST(test_reply_long_text)
{
	struct buffer line = BUFFER_INIT(SIZE_MAX);
	struct message_reply reply;

	buffer_puts(&line, "{\"id\":1,\"error\":{\"message\":\"");
	for (int i = 0; i < 300; i++)
		buffer_puts(&line, "\xc3\xa9");
	buffer_puts(&line, "\",\"code\":-32005,\"data\":{\"name\":\"conflict\"}}}");
	message_parse_reply(line.data, line.size, &reply);
	ck_assert_int_eq(reply.kind, MESSAGE_ERROR);
	ck_assert_int_eq(reply.error, PROTO_CONFLICT);
	ck_assert_uint_eq(strlen(reply.text), 254);
	buffer_release(&line);
}
END_TEST

START_TEST(test_nonsense)
{
	static const char *const lines[] = {
		"",
		"x",
		"[]",
		"17",
		"{}",
		"{\"id\":1}",
		"{\"id\":1,\"result\":[]}",
		"{\"id\":1,\"result\":null}",
		"{\"result\":{}}",
		"{\"id\":\"a\",\"result\":{}}",
		"{\"id\":1.5,\"result\":{}}",
		"{\"id\":null,\"result\":{}}",
		"{\"error\":{}}",
		"{\"id\":\"x\",\"error\":{}}",
		"{\"id\":1,\"error\":\"x\"}",
		"{\"id\":1,\"method\":\"event\"}",
		"{\"method\":5}",
		"{\"method\":\"event\",\"params\":[]}",
		"{\"method\":\"a method name that is far too long to be any\"}",
		"{\"id\":1,\"result\":{}",
	};
	struct message_reply reply;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		message_parse_reply(lines[i], strlen(lines[i]), &reply);
		ck_assert_msg(reply.kind == MESSAGE_NONSENSE, "%s", lines[i]);
		ck_assert_ptr_null(reply.body);
	}
}
END_TEST

/* The deepest result that the daemon may hold still fits the line that brings it. */
START_TEST(test_reply_deep_result)
{
	struct buffer line = BUFFER_INIT(SIZE_MAX);
	struct message_id id = make_id("1");
	struct message_reply reply;

	message_begin_result(&line, &id);
	buffer_puts(&line, "{\"results\":[{\"request_id\":\"a\",\"ok\":true,\"result\":");
	for (int i = 0; i < JSON_SERVER_DEPTH; i++)
		buffer_putc(&line, '[');
	for (int i = 0; i < JSON_SERVER_DEPTH; i++)
		buffer_putc(&line, ']');
	buffer_puts(&line, "}]}");
	message_end(&line);
	message_parse_reply(line.data, line.size, &reply);
	ck_assert_int_eq(reply.kind, MESSAGE_RESULT);
	buffer_release(&line);
}
END_TEST

int main(void)
{
	static const uint8_t key[16] = {3, 1, 4, 1, 5};
	const TTest *const tests[] = {
		test_request,
		test_long_id,
		test_faults,
		test_fault_texts_are_clean,
		test_depth_and_members,
		test_blank,
		test_frames,
		test_error_table,
		test_reply,
		test_reply_long_text,
		test_nonsense,
		test_reply_deep_result,
	};

	json_names_init(&names, key);
	return RUN_SUITE("proto.message", tests);
}
