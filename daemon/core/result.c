#include "result.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "proto/json_text.h"
#include "text.h"

static const char *const type_names[] = {
#define X(constant, name) [constant] = name,
	ERROR_TYPES(X)
#undef X
};

static const char *const category_names[] = {
#define X(constant, name) [constant] = name,
	ERROR_CATEGORIES(X)
#undef X
};

const char *error_type_name(enum error_type type)
{
	return type_names[type];
}

int error_type_from_name(const char *name, enum error_type *ret_type)
{
	for (size_t i = 0; i < ARRAY_LEN(type_names); i++) {
		if (strcmp(name, type_names[i]) == 0) {
			*ret_type = (enum error_type)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *error_category_name(enum error_category category)
{
	return category_names[category];
}

enum error_category error_category_from_text(const char *text)
{
	for (size_t i = CATEGORY_NONE + 1; i < ARRAY_LEN(category_names); i++) {
		if (text_is(text, category_names[i]))
			return (enum error_category)i;
	}
	return CATEGORY_UNKNOWN;
}

struct error *error_new(enum error_type type, enum error_category category, unsigned status,
			const char *message, const char *data)
{
	struct error *error = xnew(struct error);

	error->refs = 1;
	error->type = (uint8_t)type;
	error->category = (uint8_t)category;
	error->status = (uint16_t)status;
	error->message = xstrdup(message ? message : "");
	text_clean(error->message, strlen(error->message));
	error->data = xstrdup(data ? data : "");
	return error;
}

struct error *error_with_data(const struct error *error, const char *more)
{
	struct buffer data = BUFFER_INIT(SIZE_MAX);
	struct error *copy;

	buffer_puts(&data, more);
	if (more[0] && error->data[0])
		buffer_putc(&data, ',');
	buffer_puts(&data, error->data);
	buffer_putc(&data, 0);
	/* Without the memory for both, the new ones are what the caller must have. */
	copy = error_new(error->type, error->category, error->status, error->message,
			 buffer_error(&data) ? more : data.data);
	buffer_release(&data);
	return copy;
}

struct error *error_ref(struct error *error)
{
	if (error)
		error->refs++;
	return error;
}

struct error *error_unref(struct error *error)
{
	if (error && --error->refs == 0) {
		free(error->message);
		free(error->data);
		free(error);
	}
	return NULL;
}

static void put_data(struct buffer *buffer, const struct error *error, const char *request_id)
{
	buffer_putc(buffer, '{');
	if (request_id) {
		buffer_puts(buffer, "\"request_id\":");
		json_put_string(buffer, request_id);
		if (error->data[0])
			buffer_putc(buffer, ',');
	}
	buffer_puts(buffer, error->data);
	buffer_putc(buffer, '}');
}

void error_put(struct buffer *buffer, const struct error *error, const char *request_id)
{
	struct json_writer writer;

	json_writer_init(&writer, buffer);
	json_open(&writer, '{');
	json_member_string(&writer, "type", error_type_name(error->type));
	json_member_string(&writer, "category", error_category_name(error->category));
	json_member_string(&writer, "message", error->message);
	json_name(&writer, "status");
	if (error->status)
		json_int(&writer, error->status);
	else
		json_null(&writer);
	json_name(&writer, "data");
	put_data(buffer, error, request_id);
	json_close(&writer);
}

static struct result *result_new(int64_t ended_wall)
{
	struct result *result = xnew(struct result);

	result->refs = 1;
	result->ended_wall = ended_wall;
	return result;
}

static void set_body(struct result *result, struct blob *body)
{
	result->body = body;
	result->size = body->size;
}

struct result *result_ok(enum content_kind content, struct blob *body, int64_t ended_wall)
{
	struct result *result = result_new(ended_wall);

	result->ok = true;
	result->content = (uint8_t)content;
	set_body(result, body);
	return result;
}

struct result *result_in_file(enum content_kind content, uint64_t id, uint64_t offset, uint64_t size,
			      int64_t ended_wall, struct result_keeper *keeper)
{
	struct result *result = result_new(ended_wall);

	result->ok = true;
	result->in_file = true;
	result->content = (uint8_t)content;
	result->id = id;
	result->offset = offset;
	result->size = size;
	result->keeper = keeper;
	return result;
}

struct result *result_failed(struct error *error, int64_t ended_wall)
{
	struct result *result = result_new(ended_wall);
	size_t size = strlen(error->data);
	struct blob *data = size > RESULT_ERROR_DATA_MAX ? blob_copy(error->data, size) : NULL;

	result->error = error;
	if (data) { /* without the memory for that, the error is kept as it is */
		set_body(result, data);
		result->error = error_new(error->type, error->category, error->status, error->message, NULL);
		error_unref(error);
	}
	return result;
}

struct result *result_ref(struct result *result)
{
	if (result)
		result->refs++;
	return result;
}

struct result *result_unref(struct result *result)
{
	if (result && --result->refs == 0) {
		if (result->keeper)
			result->keeper->gone(result->keeper, result->id, result->in_file);
		blob_unref(result->body);
		error_unref(result->error);
		free(result);
	}
	return NULL;
}

bool result_is_cold(const struct result *result)
{
	return result->size && !result->body;
}

void result_chill(struct result *result)
{
	if (result->id)
		result->body = blob_unref(result->body);
}

const char *content_type_name(enum content_kind content)
{
	return content == CONTENT_PROTOBUF ? "application/x-protobuf" : "application/json";
}
