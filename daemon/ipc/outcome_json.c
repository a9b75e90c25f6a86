#include "outcome_json.h"

#include <string.h>

#include "sys/clock.h"

#define COPY_MAX 1024 /* bytes up to which a body is copied into the line rather than referenced */

/* The value of the last json_name(): bytes of a result. */
static void put_bytes(struct line *line, struct json_writer *writer, struct result *holder, const char *data,
		      size_t size)
{
	if (size <= COPY_MAX) {
		json_raw(writer, data, size);
		return;
	}
	json_raw(writer, "", 0);
	line_splice(line, holder, data, size, false);
}

static void put_base64(struct line *line, struct json_writer *writer, struct result *result)
{
	json_raw(writer, "", 0);
	if (result->body->size <= COPY_MAX)
		json_put_base64(&line->text, result->body->data, result->body->size);
	else
		line_splice(line, result, result->body->data, result->body->size, true);
}

void outcome_put_error(struct line *line, struct json_writer *writer, const struct error *error,
		       const char *request_id, struct result *holder)
{
	json_raw(writer, "", 0);
	error_put(&line->text, error, request_id);
	if (!holder || !holder->body || line_error(line))
		return;
	/* The rest of its data is the result's body. The object ends in the braces of data and of itself, and
	 * data is not empty, because the request id is in it. */
	line->text.size -= 2;
	buffer_putc(&line->text, ',');
	line_splice(line, holder, holder->body->data, holder->body->size, false);
	buffer_puts(&line->text, "}}");
}

void outcome_put(struct line *line, struct json_writer *writer, const struct endpoint *endpoint,
		 const char *request_id, struct result *result)
{
	json_member_string(writer, "request_id", request_id);
	json_member_string(writer, "endpoint", endpoint->name);
	json_member_bool(writer, "ok", result->ok);
	if (!result->ok) {
		json_name(writer, "error");
		outcome_put_error(line, writer, result->error, request_id, result);
		return;
	}
	json_member_string(writer, "content_type", content_type_name(result->content));
	if (result->content == CONTENT_PROTOBUF) {
		json_member_int(writer, "size", (int64_t)result->body->size);
		json_name(writer, "result_base64");
		put_base64(line, writer, result);
	} else {
		json_name(writer, "result");
		put_bytes(line, writer, result, result->body->data, result->body->size);
	}
}

void outcome_put_summary(struct line *line, struct json_writer *writer, const char *request_id,
			 struct result *result)
{
	json_member_bool(writer, "ok", result->ok);
	outcome_put_time(writer, "ended_at", result->ended_wall);
	if (result->ok) {
		json_member_int(writer, "size", (int64_t)result->body->size);
		json_member_string(writer, "content_type", content_type_name(result->content));
	} else {
		json_name(writer, "error");
		outcome_put_error(line, writer, result->error, request_id, result);
	}
}

void outcome_put_time(struct json_writer *writer, const char *name, int64_t wall)
{
	char text[32];

	json_member_string(writer, name, wall ? clock_format(wall, text) : NULL);
}
