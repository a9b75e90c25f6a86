/*
 * Results: immutable, counted, independent of the client that received them. Parsing and memory; reading and
 * writing them out is result_read.c. Knows no socket.
 */
#include "result.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base64.h"
#include "result_private.h"
#include "text.h"

/* What the members said of the body, before it is known which form it has. */
struct body_members {
	struct json_item result, base64;
	int64_t offset, size;
	bool by_fd;
};

static tinkex_result *result_new(void)
{
	tinkex_result *result = calloc(1, sizeof(*result));

	if (!result)
		return NULL;
	result->refs = 1;
	result->ok = -1;
	result->fd = -1;
	return result;
}

tinkex_result *tinkex_result_ref(tinkex_result *result)
{
	if (result)
		__atomic_add_fetch(&result->refs, 1, __ATOMIC_RELAXED);
	return result;
}

tinkex_result *tinkex_result_unref(tinkex_result *result)
{
	if (!result || __atomic_sub_fetch(&result->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return NULL;
	if (result->fd >= 0)
		close(result->fd);
	if (result->loaded)
		free(*result->loaded);
	free(result->loaded);
	free(result->body);
	free(result->request_id);
	free(result->endpoint);
	free(result->state);
	free(result->content_type);
	free(result->error_type);
	free(result->error_category);
	free(result->error_message);
	free(result->error_data);
	free(result->error_reason);
	free(result->members);
	free(result);
	return NULL;
}

/* The member `reason` of the error's data, and no other. */
static int result_parse_data(tinkex_result *result, const struct json_item *data)
{
	struct json_cursor cursor;
	struct json_item item;
	int r = text_take_json(data, &result->error_data);

	if (r < 0 || data->type != JSON_OBJECT)
		return r;
	json_cursor_init(&cursor, data->value, data->size);
	while (r == 0 && json_cursor_next(&cursor, &item))
		if (text_is_named(&item, "reason"))
			r = text_take_string(&item, &result->error_reason);
	return r;
}

static int result_parse_error(tinkex_result *result, const struct json_item *error)
{
	struct json_cursor cursor;
	struct json_item item;
	int r = 0;

	if (error->type != JSON_OBJECT)
		return -EBADMSG;
	json_cursor_init(&cursor, error->value, error->size);
	while (r == 0 && json_cursor_next(&cursor, &item)) {
		if (text_is_named(&item, "type"))
			r = text_take_string(&item, &result->error_type);
		else if (text_is_named(&item, "category"))
			r = text_take_string(&item, &result->error_category);
		else if (text_is_named(&item, "message"))
			r = text_take_string(&item, &result->error_message);
		else if (text_is_named(&item, "status"))
			result->error_status = (int)text_int(&item, 0);
		else if (text_is_named(&item, "data"))
			r = result_parse_data(result, &item);
	}
	return r;
}

/* Members that are about where the body is: they are written anew when the result is. */
static bool body_member(struct body_members *body, const struct json_item *item)
{
	if (text_is_named(item, "result"))
		body->result = *item;
	else if (text_is_named(item, "result_base64"))
		body->base64 = *item;
	else if (text_is_named(item, "offset"))
		body->offset = text_int(item, -1);
	else if (text_is_named(item, "size"))
		body->size = text_int(item, -1);
	else if (text_is_named(item, "fd"))
		body->by_fd = item->type == JSON_TRUE;
	else
		return false;
	return true;
}

static int result_parse_member(tinkex_result *result, const struct json_item *item)
{
	if (text_is_named(item, "request_id"))
		return text_take_string(item, &result->request_id);
	if (text_is_named(item, "endpoint"))
		return text_take_string(item, &result->endpoint);
	if (text_is_named(item, "state"))
		return text_take_string(item, &result->state);
	if (text_is_named(item, "content_type"))
		return text_take_string(item, &result->content_type);
	if (text_is_named(item, "error"))
		return result_parse_error(result, item);
	if (text_is_named(item, "ok"))
		result->ok = item->type == JSON_TRUE ? 1 : item->type == JSON_FALSE ? 0 : -1;
	return 0;
}

/* The one copy that is made of a body: out of the line that it came in. */
static int result_take_body(tinkex_result *result, const struct body_members *body)
{
	const struct json_item *item = body->base64.type == JSON_STRING ? &body->base64 : &body->result;
	size_t size;

	if (result->fd >= 0) {
		if (body->size < 0 || body->offset < 0)
			return -EBADMSG;
		result->size = (uint64_t)body->size;
		result->fd_offset = (uint64_t)body->offset;
		result->loaded = calloc(1, sizeof(*result->loaded));
		return result->loaded ? 0 : -ENOMEM;
	}
	if (item->type == JSON_NONE)
		return -EBADMSG;
	result->body = malloc(item->size + 3);
	if (!result->body)
		return -ENOMEM;
	if (item == &body->base64) {
		int r = base64_decode(item->value + 1, item->size - 2, result->body, &size);

		if (r < 0)
			return r;
	} else {
		memcpy(result->body, item->value, item->size);
		size = item->size;
	}
	result->body[size] = '\0';
	result->size = size;
	return 0;
}

static void result_keep_member(struct buffer *members, const struct json_item *item)
{
	if (text_is_named(item, "call") || text_is_named(item, "index"))
		return;
	if (members->size > 0)
		buffer_putc(members, ',');
	buffer_append(members, item->name, item->name_size);
	buffer_putc(members, ':');
	buffer_append(members, item->value, item->size);
}

static int result_fill(tinkex_result *result, const char *text, size_t size, struct fd_queue *fds)
{
	struct buffer members = BUFFER_INIT(SIZE_MAX);
	struct body_members body = {0};
	struct json_cursor cursor;
	struct json_item item;
	int r = 0;

	json_cursor_init(&cursor, text, size);
	while (json_cursor_next(&cursor, &item)) {
		if (body_member(&body, &item))
			continue;
		if (r == 0)
			r = result_parse_member(result, &item);
		result_keep_member(&members, &item);
	}
	/* Whatever else is wrong, the descriptor is taken, or those behind it would go to the wrong outcomes.
	 */
	if (body.by_fd) {
		result->fd = fd_queue_take(fds);
		if (result->fd < 0 && r == 0)
			r = -ENODATA;
	}
	result->members_size = members.size;
	if (r < 0)
		buffer_release(&members);
	else
		result->members = buffer_steal(&members, &result->members_size, &r);
	return r == 0 && result->ok == 1 ? result_take_body(result, &body) : r;
}

int result_parse(const char *text, size_t size, struct fd_queue *fds, tinkex_result **ret_result)
{
	_cleanup_(result_unrefp) tinkex_result *result = result_new();
	int r;

	if (!result)
		return -ENOMEM;
	r = result_fill(result, text, size, fds);
	if (r < 0)
		return r;
	if (!result->request_id || (result->ok == 0 && !result->error_type))
		return -EBADMSG;
	result->protobuf = result->content_type && strstr(result->content_type, "protobuf");
	*ret_result = steal_pointer(result);
	return 0;
}

int result_make_error(const char *request_id, const char *endpoint, const char *type, const char *reason,
		      const char *message, const char *data_members, tinkex_result **ret_result)
{
	struct buffer text = BUFFER_INIT(SIZE_MAX);
	struct json_writer writer;
	struct fd_queue none = {0};
	int r;

	json_writer_init(&writer, &text);
	json_open(&writer, '{');
	json_member_string(&writer, "request_id", request_id);
	if (endpoint)
		json_member_string(&writer, "endpoint", endpoint);
	json_member_bool(&writer, "ok", false);
	json_name(&writer, "error");
	json_open(&writer, '{');
	json_member_string(&writer, "type", type);
	json_member_string(&writer, "category", NULL);
	json_member_string(&writer, "message", message);
	json_name(&writer, "status");
	json_null(&writer);
	json_name(&writer, "data");
	json_open(&writer, '{');
	json_member_string(&writer, "request_id", request_id);
	json_member_string(&writer, "reason", reason);
	buffer_puts(&text, data_members);
	json_close(&writer);
	json_close(&writer);
	json_close(&writer);
	r = buffer_error(&text);
	if (r == 0)
		r = result_parse(text.data, text.size, &none, ret_result);
	buffer_release(&text);
	return r;
}
