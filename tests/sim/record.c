/* Copies of requests; see record.h. */
#include "record.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tree.h"

enum { BODY_TEXT_MAX = 64 * 1024 }; /* more of a body is not kept */

static struct http_text keep(char **at, struct http_text text)
{
	struct http_text kept = {*at, text.size};

	if (text.size > 0)
		memcpy(*at, text.at, text.size);
	*at += text.size;
	return kept;
}

struct record *record_new(const struct http_request *request)
{
	struct http_text body = request->body;
	struct record *record;
	char *at;

	if (body.size > BODY_TEXT_MAX)
		body.size = BODY_TEXT_MAX;
	record = malloc(sizeof *record + request->method.size + request->path.size + request->query.size +
			request->fields.size + body.size);
	if (!record)
		return NULL;
	memset(record, 0, sizeof *record);
	at = record->bytes;
	record->method = keep(&at, request->method);
	record->path = keep(&at, request->path);
	record->query = keep(&at, request->query);
	record->fields = keep(&at, request->fields);
	record->body = keep(&at, body);
	return record;
}

void record_free(struct record *record)
{
	free(record);
}

void record_unlink_free(struct record_list *list, struct record *record)
{
	TAILQ_REMOVE(list, record, link);
	free(record);
}

/* Bytes beyond ASCII become '?', so that a description is always valid JSON. */
static struct json_object *new_text(struct http_text text)
{
	char *copy = malloc(text.size + 1);
	struct json_object *string;

	if (!copy)
		return NULL;
	for (size_t i = 0; i < text.size; i++)
		copy[i] = (unsigned char)text.at[i] < 0x80 ? text.at[i] : '?';
	string = json_object_new_string_len(copy, (int)text.size);
	free(copy);
	return string;
}

static void add_header(struct json_object *headers, const struct http_header *header)
{
	struct json_object *before, *value = new_text(header->value);
	char name[256];
	size_t size = header->name.size < sizeof name - 1 ? header->name.size : sizeof name - 1;
	char *joined;

	for (size_t i = 0; i < size; i++)
		name[i] = (char)tolower((unsigned char)header->name.at[i]);
	name[size] = '\0';
	if (json_object_object_get_ex(headers, name, &before) &&
	    asprintf(&joined, "%s, %s", json_object_get_string(before), json_object_get_string(value)) >= 0) {
		json_object_put(value);
		value = json_object_new_string(joined);
		free(joined);
	}
	json_object_object_add(headers, name, value);
}

static void add_headers(const struct record *record, struct json_object *object)
{
	struct json_object *headers = json_object_new_object();
	struct json_object *list = json_object_new_array();
	struct http_text rest = record->fields;
	struct http_header header;

	while (headers && list && http_next_header(&rest, &header)) {
		struct json_object *pair = json_object_new_array_ext(2);

		json_object_array_add(pair, new_text(header.name));
		json_object_array_add(pair, new_text(header.value));
		json_object_array_add(list, pair);
		add_header(headers, &header);
	}
	json_object_object_add(object, "headers", headers);
	json_object_object_add(object, "header_list", list);
}

/* What was parsed is valid UTF-8 and can be shown as it came. */
static void add_body(const struct record *record, struct json_object *object)
{
	struct json_object *body = tree_parse(record->body, TREE_SHALLOW);
	struct json_object *text = body ? json_object_new_string_len(record->body.at, (int)record->body.size)
					: new_text(record->body);

	json_object_object_add(object, "body", body);
	json_object_object_add(object, "body_text", text);
}

void record_describe(const struct record *record, struct json_object *object, bool brief)
{
	json_object_object_add(object, "method", new_text(record->method));
	json_object_object_add(object, "path", new_text(record->path));
	json_object_object_add(object, "query", new_text(record->query));
	add_body(record, object);
	if (!brief)
		add_headers(record, object);
}
