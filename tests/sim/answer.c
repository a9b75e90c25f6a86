/* Answers and their script form; see answer.h. README.md lists the members. */
#include "answer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "body.h"

static const char json_media[] = "application/json";

struct parsing {
	struct answer *answer;
	struct json_object *headers; /* borrowed; NULL when not given */
	const char *content_type;    /* borrowed; NULL for none */
	unsigned bodies;             /* members that set the body */
	const char *wrong;           /* what a value should have been */
};

enum field_kind {
	FIELD_BOOL,
	FIELD_MS,
	FIELD_STATUS,
	FIELD_TIMES,
	FIELD_LIMIT,
	FIELD_CUSTOM,
};

struct field {
	const char *name;
	enum field_kind kind;
	size_t offset; /* in struct answer; unused for FIELD_CUSTOM */
	int (*custom)(struct parsing *parsing, struct json_object *value);
};

static int wrong(struct parsing *parsing, const char *what)
{
	parsing->wrong = what;
	return -EINVAL;
}

static int copy_string(struct json_object *value, char **ret_bytes, size_t *ret_size)
{
	size_t size = (size_t)json_object_get_string_len(value);
	char *bytes = malloc(size + 1);

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, json_object_get_string(value), size);
	bytes[size] = '\0';
	*ret_bytes = bytes;
	*ret_size = size;
	return 0;
}

static int set_body(struct parsing *parsing, char *bytes, size_t size)
{
	free(parsing->answer->body);
	parsing->answer->body = bytes;
	parsing->answer->body_size = size;
	parsing->answer->generated = false;
	parsing->bodies++;
	return 0;
}

static int take_json(struct parsing *parsing, struct json_object *value)
{
	const int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	size_t size;
	const char *text = json_object_to_json_string_length(value, flags, &size);
	char *copy = text ? malloc(size + 1) : NULL;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, size + 1);
	return set_body(parsing, copy, size);
}

static int take_body(struct parsing *parsing, struct json_object *value)
{
	char *bytes;
	size_t size;
	int error;

	if (!json_object_is_type(value, json_type_string))
		return wrong(parsing, "a string");
	error = copy_string(value, &bytes, &size);
	return error < 0 ? error : set_body(parsing, bytes, size);
}

static int take_body_base64(struct parsing *parsing, struct json_object *value)
{
	char *bytes;
	size_t size;
	int error;

	if (!json_object_is_type(value, json_type_string))
		return wrong(parsing, "a string");
	error = base64_decode(json_object_get_string(value), (size_t)json_object_get_string_len(value),
			      &bytes, &size);
	if (error == -EINVAL)
		return wrong(parsing, "base64 text");
	return error < 0 ? error : set_body(parsing, bytes, size);
}

static int take_size(struct parsing *parsing, struct json_object *value)
{
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < BODY_GENERATED_MIN)
		return wrong(parsing, "an integer of at least 26");
	set_body(parsing, NULL, (size_t)json_object_get_int64(value));
	parsing->answer->generated = true;
	return 0;
}

static int take_garbage(struct parsing *parsing, struct json_object *value)
{
	struct answer *answer = parsing->answer;

	if (!json_object_is_type(value, json_type_string) || answer->garbage)
		return wrong(parsing, "a string, once");
	return copy_string(value, &answer->garbage, &answer->garbage_size);
}

static int take_garbage_base64(struct parsing *parsing, struct json_object *value)
{
	struct answer *answer = parsing->answer;
	int error;

	if (!json_object_is_type(value, json_type_string) || answer->garbage)
		return wrong(parsing, "a string, once");
	error = base64_decode(json_object_get_string(value), (size_t)json_object_get_string_len(value),
			      &answer->garbage, &answer->garbage_size);
	return error == -EINVAL ? wrong(parsing, "base64 text") : error;
}

static int take_reason(struct parsing *parsing, struct json_object *value)
{
	size_t size;

	if (!json_object_is_type(value, json_type_string))
		return wrong(parsing, "a string");
	return copy_string(value, &parsing->answer->reason, &size);
}

static int take_content_type(struct parsing *parsing, struct json_object *value)
{
	if (value && !json_object_is_type(value, json_type_string))
		return wrong(parsing, "a string or null");
	parsing->content_type = json_object_get_string(value);
	return 0;
}

static int take_headers(struct parsing *parsing, struct json_object *value)
{
	if (!json_object_is_type(value, json_type_object))
		return wrong(parsing, "an object");
	parsing->headers = value;
	return 0;
}

static bool take_count(struct json_object *value, int64_t low, int64_t high, int64_t *ret_count)
{
	int64_t count = json_object_get_int64(value);

	if (!json_object_is_type(value, json_type_int) || count < low || count > high)
		return false;
	*ret_count = count;
	return true;
}

static bool take_ms(struct json_object *value, uint64_t *ret_us)
{
	double ms = json_object_get_double(value);

	if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
		return false;
	if (!(ms >= 0 && ms <= 1e9))
		return false;
	*ret_us = (uint64_t)(ms * 1000);
	return true;
}

static int take_slow_body(struct parsing *parsing, struct json_object *value)
{
	struct json_object *chunk, *interval;
	int64_t count;

	if (!json_object_is_type(value, json_type_object) || json_object_object_length(value) != 2 ||
	    !json_object_object_get_ex(value, "chunk", &chunk) ||
	    !json_object_object_get_ex(value, "interval_ms", &interval) ||
	    !take_count(chunk, 1, 1 << 20, &count) || !take_ms(interval, &parsing->answer->slow_interval_us))
		return wrong(parsing, "an object of chunk (1 to 1048576 bytes) and interval_ms");
	parsing->answer->slow_chunk = (uint64_t)count;
	return 0;
}

#define FIELD(name_, kind_)                                                                                  \
	{                                                                                                    \
#name_, kind_, offsetof(struct answer, name_), NULL                                          \
	}
#define FIELD_AS(text_, kind_, member)                                                                       \
	{                                                                                                    \
		text_, kind_, offsetof(struct answer, member), NULL                                          \
	}
#define CUSTOM(name_)                                                                                        \
	{                                                                                                    \
#name_, FIELD_CUSTOM, 0, take_##name_                                                        \
	}

static const struct field fields[] = {
	FIELD(status, FIELD_STATUS),
	CUSTOM(reason),
	CUSTOM(headers),
	CUSTOM(content_type),
	CUSTOM(json),
	CUSTOM(body),
	CUSTOM(body_base64),
	CUSTOM(size),
	FIELD_AS("delay_ms", FIELD_MS, delay_us),
	FIELD_AS("hold_ms", FIELD_MS, delay_us),
	FIELD_AS("body_delay_ms", FIELD_MS, body_delay_us),
	CUSTOM(slow_body),
	FIELD(chunked, FIELD_BOOL),
	FIELD(until_close, FIELD_BOOL),
	FIELD(connection_close, FIELD_BOOL),
	FIELD(close_after, FIELD_BOOL),
	FIELD(close, FIELD_BOOL),
	FIELD(reset, FIELD_BOOL),
	FIELD(reset_if_reused, FIELD_BOOL),
	FIELD(until_release, FIELD_BOOL),
	FIELD(never, FIELD_BOOL),
	FIELD(truncate, FIELD_LIMIT),
	FIELD_AS("truncate_headers", FIELD_LIMIT, truncate_head),
	CUSTOM(garbage),
	CUSTOM(garbage_base64),
	FIELD(repeat, FIELD_BOOL),
	FIELD(times, FIELD_TIMES),
};

static int take_field(struct parsing *parsing, const struct field *field, struct json_object *value)
{
	void *at = (char *)parsing->answer + field->offset;
	int64_t count;

	switch (field->kind) {
	case FIELD_BOOL:
		if (!json_object_is_type(value, json_type_boolean))
			return wrong(parsing, "true or false");
		*(bool *)at = json_object_get_boolean(value);
		return 0;
	case FIELD_MS:
		return take_ms(value, at) ? 0 : wrong(parsing, "milliseconds");
	case FIELD_STATUS:
		if (!take_count(value, 100, 999, &count))
			return wrong(parsing, "an HTTP status");
		*(int *)at = (int)count;
		return 0;
	case FIELD_TIMES:
		if (!take_count(value, 1, INT_MAX, &count))
			return wrong(parsing, "an integer of at least 1");
		*(unsigned *)at = (unsigned)count;
		return 0;
	case FIELD_LIMIT:
		return take_count(value, 0, INT64_MAX, at) ? 0 : wrong(parsing, "a number of bytes");
	case FIELD_CUSTOM:
		return field->custom(parsing, value);
	}
	return -EINVAL;
}

static int take_member(struct parsing *parsing, const char *name, struct json_object *value)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (strcmp(fields[i].name, name) == 0)
			return take_field(parsing, &fields[i], value);
	return wrong(parsing, "left out: answers have no such member");
}

static void write_header(FILE *out, const char *name, struct json_object *value)
{
	if (!json_object_is_type(value, json_type_array)) {
		fprintf(out, "%s: %s\r\n", name, value ? json_object_get_string(value) : "");
		return;
	}
	for (size_t i = 0; i < json_object_array_length(value); i++)
		write_header(out, name, json_object_array_get_idx(value, i));
}

/* Content-Type, unless `headers` has one, then the headers in their order. */
static char *write_fields(const char *content_type, struct json_object *headers)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	if (headers) {
		json_object_object_foreach(headers, name, value)
		{
			if (strcasecmp(name, "Content-Type") == 0)
				content_type = NULL;
			(void)value;
		}
	}
	if (content_type)
		fprintf(out, "Content-Type: %s\r\n", content_type);
	if (headers) {
		json_object_object_foreach(headers, name, value)
		{
			write_header(out, name, value);
		}
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static struct answer *new_answer(int status)
{
	struct answer *answer = calloc(1, sizeof *answer);

	if (!answer)
		return NULL;
	answer->references = 1;
	answer->status = status;
	answer->truncate = ANSWER_NO_LIMIT;
	answer->truncate_head = ANSWER_NO_LIMIT;
	answer->times = 1;
	return answer;
}

int answer_parse(struct json_object *json, struct answer **ret_answer, char **ret_error)
{
	_cleanup_(answer_unrefp) struct answer *answer = new_answer(200);
	struct parsing parsing = {.answer = answer, .content_type = json_media};

	if (!answer)
		return -ENOMEM;
	if (!json_object_is_type(json, json_type_object)) {
		*ret_error = strdup("an answer must be an object");
		return -EINVAL;
	}
	json_object_object_foreach(json, name, value)
	{
		int error = take_member(&parsing, name, value);

		if (error == -EINVAL && asprintf(ret_error, "\"%s\" must be %s", name, parsing.wrong) < 0)
			return -ENOMEM;
		if (error < 0)
			return error;
	}
	if (parsing.bodies > 1) {
		*ret_error = strdup("only one of json, body, body_base64 and size can be given");
		return -EINVAL;
	}
	answer->fields = write_fields(parsing.content_type, parsing.headers);
	if (!answer->fields)
		return -ENOMEM;
	*ret_answer = steal_pointer(answer);
	return 0;
}

struct answer *answer_take_text(int status, char *text, size_t size)
{
	_cleanup_(answer_unrefp) struct answer *answer = text ? new_answer(status) : NULL;

	if (!answer) {
		free(text);
		return NULL;
	}
	answer->body = text;
	answer->body_size = size;
	answer->fields = write_fields(json_media, NULL);
	return answer->fields ? steal_pointer(answer) : NULL;
}

struct answer *answer_text(int status, const char *text, size_t size)
{
	char *copy = malloc(size + 1);

	if (copy) {
		memcpy(copy, text, size);
		copy[size] = '\0';
	}
	return answer_take_text(status, copy, size);
}

struct answer *answer_json(int status, struct json_object *json)
{
	const int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	size_t size = 0;
	const char *text = json ? json_object_to_json_string_length(json, flags, &size) : NULL;
	struct answer *answer = text ? answer_text(status, text, size) : NULL;

	json_object_put(json);
	return answer;
}

struct answer *answer_detail(int status, const char *message)
{
	struct json_object *json = json_object_new_object();

	if (json && json_object_object_add(json, "detail", json_object_new_string(message)) < 0) {
		json_object_put(json);
		json = NULL;
	}
	return answer_json(status, json);
}

struct answer *answer_ref(struct answer *answer)
{
	answer->references++;
	return answer;
}

struct answer *answer_unref(struct answer *answer)
{
	if (!answer || --answer->references > 0)
		return NULL;
	free(answer->reason);
	free(answer->fields);
	free(answer->body);
	free(answer->garbage);
	free(answer);
	return NULL;
}
