#include "answer.h"

#include <errno.h>
#include <stdlib.h>

#include "await.h"
#include "client.h"
#include "error.h"
#include "reply.h"
#include "result.h"
#include "text.h"

/* Finds a member of an object; type JSON_NONE if there is none. The last one counts. */
static struct json_item answer_member(const struct message_reply *message, const char *name)
{
	struct json_item found = {0}, item;
	struct json_cursor cursor;

	if (message->body_size == 0 || message->body[0] != '{')
		return found;
	json_cursor_init(&cursor, message->body, message->body_size);
	while (json_cursor_next(&cursor, &item))
		if (text_is_named(&item, name))
			found = item;
	return found;
}

static int answer_take_items(tinkex_reply *reply, const struct json_item *array)
{
	struct json_cursor cursor;
	struct json_item item;
	int r = 0;

	if (array->type != JSON_ARRAY)
		return -EBADMSG;
	json_cursor_init(&cursor, array->value, array->size);
	while (r == 0 && json_cursor_next(&cursor, &item)) {
		size_t index = reply->n_items;

		r = reply_reserve(reply, index + 1);
		if (r == 0)
			r = reply_parse_item(reply, index, &item);
	}
	return r;
}

int answer_take_registrations(tinkex_reply *reply, const struct request *request,
			      const struct message_reply *message)
{
	struct json_item array = answer_member(message, "registrations"), item;
	struct json_cursor cursor;
	size_t n = 0;
	int r;

	if (array.type != JSON_ARRAY)
		return -EBADMSG;
	if (request->n_index == 0) /* by the server's answer: one, whose id the daemon read */
		return answer_take_items(reply, &array);
	r = reply_reserve(reply, request->operation->n_ids);
	json_cursor_init(&cursor, array.value, array.size);
	while (r == 0 && n < request->n_index && json_cursor_next(&cursor, &item))
		r = reply_parse_item(reply, request->index[n++], &item);
	return r < 0 ? r : n == request->n_index ? 0 : -EBADMSG;
}

static int answer_take_affected(struct operation *operation, struct request *request,
				const struct message_reply *message)
{
	struct json_item count = answer_member(message, "acked"), missing, more;
	int r = 0;

	if (count.type == JSON_NONE)
		count = answer_member(message, "cancelled");
	if (count.type != JSON_NUMBER)
		return -EBADMSG;
	operation->reply->affected += (uint64_t)text_int(&count, 0);
	missing = answer_member(message, "not_registered");
	if (missing.type != JSON_NONE)
		r = answer_take_items(operation->reply, &missing);
	/* A search is done a thousand at a time: again, as long as that gets on. */
	more = answer_member(message, "more");
	if (r == 0 && more.type == JSON_TRUE && text_int(&count, 0) > 0) {
		request->answered = false;
		operation->unanswered++;
		operation_send(operation);
	}
	return r;
}

/* Without ids the results are a page; with ids there is one for each, whose place is known. */
static int answer_take_results(struct operation *operation, const struct request *request,
			       const struct message_reply *message)
{
	struct json_item array = answer_member(message, "results"), next = answer_member(message, "next"),
			 item;
	tinkex_reply *reply = operation->reply;
	struct json_cursor cursor;
	size_t n = 0;
	int r = request->n_index > 0 ? reply_reserve(reply, operation->n_ids) : 0;

	if (array.type != JSON_ARRAY)
		return -EBADMSG;
	json_cursor_init(&cursor, array.value, array.size);
	while (json_cursor_next(&cursor, &item)) {
		size_t index = n < request->n_index ? request->index[n] : reply->n_items;
		tinkex_result *result = NULL;
		int parsed = result_parse(item.value, item.size, &operation->client->connection.fds, &result);

		if (r == 0)
			r = parsed;
		if (r == 0 && index >= reply->n_items)
			r = reply_reserve(reply, index + 1);
		if (r == 0)
			reply_put_result(reply, index, result);
		else
			tinkex_result_unref(result);
		n++;
	}
	if (r == 0 && n < request->n_index)
		r = -EBADMSG;
	return r < 0 ? r : text_take_string(&next, &reply->next);
}

static int answer_take_list(struct operation *operation, const struct message_reply *message)
{
	struct json_item array = answer_member(message, "futures"), next = answer_member(message, "next");
	int r = reply_set_json(operation->reply, message->body, message->body_size);

	if (array.type == JSON_NONE)
		array = answer_member(message, "endpoints");
	if (r == 0)
		r = answer_take_items(operation->reply, &array);
	return r < 0 ? r : text_take_string(&next, &operation->reply->next);
}

static int answer_take_info(struct operation *operation, const struct message_reply *message)
{
	tinkex_reply *reply = operation->reply;
	struct json_item whole = {.type = JSON_OBJECT, .value = message->body, .size = message->body_size};
	int r = reply_set_json(reply, message->body, message->body_size);

	if (r < 0 || !operation->single)
		return r;
	r = reply_reserve(reply, 1);
	return r < 0 ? r : reply_parse_item(reply, 0, &whole);
}

static int answer_take(struct operation *operation, struct request *request,
		       const struct message_reply *message)
{
	switch (operation->kind) {
	case OPERATION_INFO:
		return answer_take_info(operation, message);
	case OPERATION_LIST:
		return answer_take_list(operation, message);
	case OPERATION_REGISTER:
		return answer_take_registrations(operation->reply, request, message);
	case OPERATION_AFFECT:
		return answer_take_affected(operation, request, message);
	case OPERATION_COLLECT:
		return answer_take_results(operation, request, message);
	case OPERATION_AWAIT:
		break;
	}
	return -EBADMSG;
}

static void answer_refused(struct operation *operation, const struct message_reply *message)
{
	struct json_item data = answer_member(message, "data");
	char *text = text_format("%s: %s", operation->method, message->text), *json = NULL;

	if (text_take_json(&data, &json) < 0)
		json = NULL; /* the sentence is enough */
	operation_finish(operation, error_from_proto(message->error), text, json);
}

void answer_arrived(struct request *request, const struct message_reply *message)
{
	struct operation *operation = request->operation;
	int r;

	LIST_REMOVE(request, id_link);
	request->id = 0;
	request->answered = true;
	operation->unanswered--;
	if (message->kind == MESSAGE_ERROR && message->error == PROTO_SHUTTING_DOWN && operation->await) {
		/* Its successor will know the registrations: this await is asked again there. */
		operation->client->going_down = true;
		return;
	}
	if (message->kind == MESSAGE_ERROR) {
		answer_refused(operation, message);
		return;
	}
	if (operation->await) {
		await_answer(request, message);
		return;
	}
	r = answer_take(operation, request, message);
	if (r < 0) {
		operation_abort(operation, r);
		return;
	}
	if (operation->unanswered > 0)
		return;
	if (operation->kind == OPERATION_REGISTER)
		reply_count_new(operation->reply);
	operation_finish(operation, 0, NULL, NULL);
}
