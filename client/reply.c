/* Replies: items out of JSON, accessors. Knows no socket and no method. */
#include "reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "proto/errors.h"
#include "text.h"

tinkex_reply *reply_new(void)
{
	tinkex_reply *reply = calloc(1, sizeof(*reply));

	if (reply)
		reply->refs = 1;
	return reply;
}

static void reply_item_release(struct reply_item *item)
{
	tinkex_result_unref(item->result);
	free(item->json);
	free(item->request_id);
	free(item->endpoint);
	free(item->state);
	free(item->queue_state);
	free(item->why_waiting);
	free(item->error_text);
}

tinkex_reply *tinkex_reply_ref(tinkex_reply *reply)
{
	if (reply)
		__atomic_add_fetch(&reply->refs, 1, __ATOMIC_RELAXED);
	return reply;
}

tinkex_reply *tinkex_reply_unref(tinkex_reply *reply)
{
	if (!reply || __atomic_sub_fetch(&reply->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return NULL;
	for (size_t i = 0; i < reply->n_items; i++)
		reply_item_release(&reply->items[i]);
	free(reply->items);
	free(reply->json);
	free(reply->next);
	free(reply);
	return NULL;
}

int reply_set_json(tinkex_reply *reply, const char *text, size_t size)
{
	char *copy = strndup(text, size);

	if (!copy)
		return -ENOMEM;
	free(reply->json);
	reply->json = copy;
	reply->json_size = size;
	return 0;
}

int reply_reserve(tinkex_reply *reply, size_t count)
{
	if (count > reply->capacity) {
		size_t capacity = count > 2 * reply->capacity ? count : 2 * reply->capacity;
		struct reply_item *items = reallocarray(reply->items, capacity, sizeof(*items));

		if (!items)
			return -ENOMEM;
		reply->items = items;
		reply->capacity = capacity;
	}
	while (reply->n_items < count)
		reply->items[reply->n_items++] = (struct reply_item){.ok = -1};
	return 0;
}

/* An item in which the daemon refused a single id: {"request_id","error":{"code","message","data"}}. */
static int reply_item_error(struct reply_item *item, const struct json_item *error)
{
	_cleanup_(freep) char *name = NULL;
	struct json_cursor cursor, inner;
	struct json_item member, data;
	int r = 0;

	if (error->type != JSON_OBJECT)
		return 0;
	json_cursor_init(&cursor, error->value, error->size);
	while (r == 0 && json_cursor_next(&cursor, &member)) {
		if (text_is_named(&member, "message"))
			r = text_take_string(&member, &item->error_text);
		if (!text_is_named(&member, "data") || member.type != JSON_OBJECT)
			continue;
		json_cursor_init(&inner, member.value, member.size);
		while (r == 0 && json_cursor_next(&inner, &data))
			if (text_is_named(&data, "name"))
				r = text_take_string(&data, &name);
	}
	item->error = error_from_proto(proto_error_from_name(name ? name : ""));
	return r;
}

static int reply_item_member(struct reply_item *item, const struct json_item *member)
{
	if (text_is_named(member, "request_id"))
		return text_take_string(member, &item->request_id);
	if (text_is_named(member, "endpoint"))
		return text_take_string(member, &item->endpoint);
	if (text_is_named(member, "state"))
		return text_take_string(member, &item->state);
	if (text_is_named(member, "queue_state"))
		return text_take_string(member, &item->queue_state);
	if (text_is_named(member, "why_waiting"))
		return text_take_string(member, &item->why_waiting);
	if (text_is_named(member, "ok"))
		item->ok = member->type == JSON_TRUE ? 1 : member->type == JSON_FALSE ? 0 : -1;
	else if (text_is_named(member, "new"))
		item->is_new = member->type == JSON_TRUE;
	else if (text_is_named(member, "error"))
		return reply_item_error(item, member);
	return 0;
}

int reply_parse_item(tinkex_reply *reply, size_t index, const struct json_item *object)
{
	struct reply_item item = {.ok = -1};
	struct json_cursor cursor;
	struct json_item member;
	int r = text_take_json(object, &item.json);

	item.json_size = object->size;
	if (r == 0 && object->type == JSON_OBJECT) {
		json_cursor_init(&cursor, object->value, object->size);
		while (r == 0 && json_cursor_next(&cursor, &member))
			r = reply_item_member(&item, &member);
	}
	if (r < 0) {
		reply_item_release(&item);
		return r;
	}
	reply_item_release(&reply->items[index]);
	reply->items[index] = item;
	return 0;
}

void reply_put_result(tinkex_reply *reply, size_t index, tinkex_result *result)
{
	reply_item_release(&reply->items[index]);
	reply->items[index] = (struct reply_item){.ok = -1, .result = result};
}

void reply_count_new(tinkex_reply *reply)
{
	reply->affected = 0;
	for (size_t i = 0; i < reply->n_items; i++)
		reply->affected += (uint64_t)reply->items[i].is_new;
}

/* ---- accessors ---- */

const char *tinkex_reply_json(const tinkex_reply *reply, size_t *ret_size)
{
	if (!reply || !reply->json)
		return NULL;
	if (ret_size)
		*ret_size = reply->json_size;
	return reply->json;
}

uint64_t tinkex_reply_affected(const tinkex_reply *reply)
{
	return reply ? reply->affected : 0;
}

const char *tinkex_reply_next(const tinkex_reply *reply)
{
	return reply ? reply->next : NULL;
}

size_t tinkex_reply_count(const tinkex_reply *reply)
{
	return reply ? reply->n_items : 0;
}

const char *tinkex_reply_item_json(const tinkex_reply *reply, size_t index, size_t *ret_size)
{
	if (!reply || index >= reply->n_items || !reply->items[index].json)
		return NULL;
	if (ret_size)
		*ret_size = reply->items[index].json_size;
	return reply->items[index].json;
}

tinkex_result *tinkex_reply_result(const tinkex_reply *reply, size_t index)
{
	return reply && index < reply->n_items ? reply->items[index].result : NULL;
}

/* Fills a copy of today's form and hands out as much of it as the caller's header knows of. */
int tinkex_reply_future(const tinkex_reply *reply, size_t index, struct tinkex_future *future)
{
	struct tinkex_future full = TINKEX_FUTURE_INIT;
	const struct reply_item *item;
	size_t size;

	if (!reply || !future || index >= reply->n_items || future->size < sizeof(size_t))
		return TINKEX_EINVAL;
	item = &reply->items[index];
	size = future->size < sizeof(full) ? future->size : sizeof(full);
	full.size = future->size;
	if (item->result) {
		full.request_id = tinkex_result_request_id(item->result);
		full.endpoint = tinkex_result_endpoint(item->result);
		full.state = tinkex_result_state(item->result);
		full.ok = tinkex_result_ok(item->result);
	} else {
		full.request_id = item->request_id;
		full.endpoint = item->endpoint;
		full.state = item->state;
		full.queue_state = item->queue_state;
		full.why_waiting = item->why_waiting;
		full.ok = item->ok;
		full.is_new = item->is_new;
		full.error = item->error;
		full.error_text = item->error_text;
	}
	memcpy(future, &full, size);
	return 0;
}
