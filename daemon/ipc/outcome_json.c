#include "outcome_json.h"

#include <stdio.h>

#include "sys/clock.h"

#define COPY_MAX 1024 /* bytes up to which a body is copied into the line rather than referenced */

/* The value of the last json_name(): the result's body. */
static void put_body(struct line *line, struct json_writer *writer, struct result *result)
{
	bool base64 = result->content == CONTENT_PROTOBUF;
	const struct blob *body = result->body;

	json_raw(writer, "", 0);
	if (result->size > COPY_MAX || result_is_cold(result))
		line_splice(line, result, base64);
	else if (base64)
		json_put_base64(&line->text, body ? body->data : NULL, (size_t)result->size);
	else if (body)
		buffer_append(&line->text, body->data, body->size);
}

/* A body that goes by descriptor. The line has both forms of it: which one goes out is not known before the
 * kernel has taken the descriptors. */
static void pass_body(struct line *line, struct result *result, size_t from, uint64_t offset)
{
	char instead[96];

	snprintf(instead, sizeof(instead), "\"offset\":%llu,\"size\":%llu,\"fd\":true",
		 (unsigned long long)offset, (unsigned long long)result->size);
	line_pass(line, result, result->content == CONTENT_PROTOBUF, from, instead);
}

void outcome_put_error(struct line *line, struct json_writer *writer, const struct error *error,
		       const char *request_id)
{
	json_raw(writer, "", 0);
	error_put(&line->text, error, request_id);
}

/* An error object ends in the braces of data and of itself, and data is not empty, because the request id is
 * in it. */
static void reopen_data(struct line *line)
{
	if (line_error(line))
		return;
	line->text.size -= 2;
	buffer_putc(&line->text, ',');
}

/* With all of its data. */
static void put_failure(struct line *line, struct json_writer *writer, const char *request_id,
			struct result *result)
{
	outcome_put_error(line, writer, result->error, request_id);
	if (!result->size)
		return;
	reopen_data(line);
	line_splice(line, result, false);
	buffer_puts(&line->text, "}}");
}

void outcome_put_error_summary(struct line *line, struct json_writer *writer, const char *request_id,
			       const struct result *result)
{
	outcome_put_error(line, writer, result->error, request_id);
	if (!result->size)
		return;
	reopen_data(line);
	buffer_puts(&line->text, "\"omitted\":true}}");
}

void outcome_put(struct line *line, struct json_writer *writer, const struct endpoint *endpoint,
		 const char *request_id, struct result *result, const struct passed *passed)
{
	size_t from;

	json_member_string(writer, "request_id", request_id);
	json_member_string(writer, "endpoint", endpoint->name);
	json_member_bool(writer, "ok", result->ok);
	if (!result->ok) {
		json_name(writer, "error");
		put_failure(line, writer, request_id, result);
		return;
	}
	json_member_string(writer, "content_type", content_type_name(result->content));
	from = line->text.size + 1; /* the comma stays in either form */
	if (result->content == CONTENT_PROTOBUF)
		json_member_int(writer, "size", (int64_t)result->size);
	json_name(writer, result->content == CONTENT_PROTOBUF ? "result_base64" : "result");
	if (passed) {
		json_raw(writer, "", 0);
		pass_body(line, result, from, passed->offset);
	} else {
		put_body(line, writer, result);
	}
}

void outcome_put_summary(struct line *line, struct json_writer *writer, const char *request_id,
			 const struct result *result)
{
	json_member_bool(writer, "ok", result->ok);
	outcome_put_time(writer, "ended_at", result->ended_wall);
	if (result->ok) {
		json_member_int(writer, "size", (int64_t)result->size);
		json_member_string(writer, "content_type", content_type_name(result->content));
	} else {
		json_name(writer, "error");
		outcome_put_error_summary(line, writer, request_id, result);
	}
}

void outcome_put_time(struct json_writer *writer, const char *name, int64_t wall)
{
	char text[32];

	json_member_string(writer, name, wall ? clock_format(wall, text) : NULL);
}
