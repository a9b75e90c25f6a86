/* Calls as the user made them: ids, requests and their lines, deliveries. Taking answers apart is answer.c.
 */
#include "operation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "await.h"
#include "client.h"
#include "error.h"
#include "reply.h"
#include "result.h"
#include "text.h"

#define FUTURES_MAX 1000                         /* the daemon takes no more in one call */
#define IDS_BYTES   (FRAMER_REQUEST_MAX * 3 / 4) /* the rest of a request line is for the options */

/* ---- making and freeing ---- */

static int operation_copy_ids(struct operation *operation, const char *const *ids, size_t n)
{
	size_t bytes = n * sizeof(char *);
	char *at;

	for (size_t i = 0; i < n; i++) {
		if (!ids[i] || !text_is_utf8(ids[i])) {
			client_fail(operation->client, 0, "request id number %zu is %s", i,
				    ids[i] ? "not valid UTF-8" : "a NULL pointer");
			return -EINVAL;
		}
		bytes += strlen(ids[i]) + 1;
	}
	operation->ids = malloc(bytes ? bytes : 1);
	if (!operation->ids)
		return -ENOMEM;
	at = (char *)(operation->ids + n);
	for (size_t i = 0; i < n; i++) {
		operation->ids[i] = at;
		at = stpcpy(at, ids[i]) + 1;
	}
	operation->n_ids = n;
	return 0;
}

int operation_new(tinkex_client *client, enum operation_kind kind, const char *method,
		  const char *const *request_ids, size_t n_ids, struct operation **ret_operation)
{
	_cleanup_(operation_freep) struct operation *operation = NULL;
	int r;

	if (n_ids > UINT32_MAX || (n_ids > 0 && !request_ids)) {
		client_fail(client, 0, "%s: no request ids were given", method);
		return -EINVAL;
	}
	operation = calloc(1, sizeof(*operation));
	if (!operation)
		return -ENOMEM;
	operation->client = client;
	operation->kind = kind;
	operation->method = method;
	operation->expires = CLIENT_NEVER;
	TAILQ_INIT(&operation->requests);
	STAILQ_INIT(&operation->deliveries);
	operation->finished = true; /* in no list yet */
	operation->last = calloc(1, sizeof(*operation->last));
	operation->reply = reply_new();
	if (!operation->last || !operation->reply)
		return -ENOMEM;
	operation->last->kind = DELIVERY_DONE;
	r = operation_copy_ids(operation, request_ids, n_ids);
	if (r < 0)
		return r;
	*ret_operation = steal_pointer(operation);
	return 0;
}

struct delivery *delivery_free(struct delivery *delivery)
{
	if (!delivery)
		return NULL;
	tinkex_result_unref(delivery->result);
	tinkex_reply_unref(delivery->reply);
	free(delivery->text);
	free(delivery->data);
	free(delivery);
	return NULL;
}

struct operation *operation_free(struct operation *operation)
{
	struct request *request;
	struct delivery *delivery;

	if (!operation)
		return NULL;
	while ((request = TAILQ_FIRST(&operation->requests)))
		operation_drop_request(request, false);
	while ((delivery = STAILQ_FIRST(&operation->deliveries))) {
		STAILQ_REMOVE_HEAD(&operation->deliveries, link);
		delivery_free(delivery);
	}
	if (!operation->finished)
		TAILQ_REMOVE(&operation->client->operations, operation, link);
	if (operation->is_ready)
		TAILQ_REMOVE(&operation->client->ready, operation, ready_link);
	if (operation->gone)
		*operation->gone = true;
	await_free(operation->await);
	tinkex_reply_unref(operation->reply);
	delivery_free(operation->last);
	free(operation->members);
	free(operation->ids);
	free(operation);
	return NULL;
}

/* ---- requests ---- */

/* Bytes of `id` as a JSON string, at most. */
static size_t operation_id_bytes(const char *id)
{
	size_t bytes = 3; /* quotes and comma */

	for (const unsigned char *p = (const unsigned char *)id; *p; p++)
		bytes += *p < 0x20 ? 6 : *p == '"' || *p == '\\' ? 2 : 1;
	return bytes;
}

static int operation_add_request(struct operation *operation, enum request_kind kind, const uint32_t *index,
				 size_t first, size_t n)
{
	struct request *request = calloc(1, sizeof(*request) + n * sizeof(request->index[0]));

	if (!request)
		return -ENOMEM;
	request->operation = operation;
	request->kind = kind;
	request->n_index = request->open = n;
	for (size_t i = 0; i < n; i++)
		request->index[i] = index ? index[first + i] : (uint32_t)(first + i);
	TAILQ_INSERT_TAIL(&operation->requests, request, link);
	operation->unanswered++;
	return 0;
}

int operation_add_requests(struct operation *operation, enum request_kind kind, const uint32_t *index,
			   size_t n)
{
	size_t first = 0, bytes = 0;
	int r;

	if (n == 0)
		return operation_add_request(operation, kind, NULL, 0, 0);
	for (size_t i = 0; i < n; i++) {
		size_t more = operation_id_bytes(operation->ids[index ? index[i] : i]);

		if (i > first && (i - first == FUTURES_MAX || bytes + more > IDS_BYTES)) {
			r = operation_add_request(operation, kind, index, first, i - first);
			if (r < 0)
				return r;
			first = i;
			bytes = 0;
		}
		bytes += more;
	}
	return operation_add_request(operation, kind, index, first, n - first);
}

void operation_drop_request(struct request *request, bool tell)
{
	struct operation *operation = request->operation;
	tinkex_client *client = operation->client;

	if (request->id != 0) {
		LIST_REMOVE(request, id_link);
		if (tell && connection_is_open(&client->connection)) {
			struct buffer *out = connection_out(&client->connection);

			message_begin_notification(out, "abandon");
			buffer_printf(out, "{\"call\":%lld}", (long long)request->id);
			message_end(out);
		}
	}
	if (!request->answered)
		operation->unanswered--;
	TAILQ_REMOVE(&operation->requests, request, link);
	free(request);
}

static void operation_put_ids(const struct operation *operation, const struct request *request,
			      struct buffer *out)
{
	if (operation->single) {
		buffer_puts(out, "\"request_id\":");
		json_put_string(out, operation->ids[0]);
		return;
	}
	buffer_puts(out, "\"request_ids\":[");
	for (size_t i = 0; i < request->n_index; i++) {
		if (i > 0)
			buffer_putc(out, ',');
		json_put_string(out, operation->ids[request->index[i]]);
	}
	buffer_putc(out, ']');
}

static void operation_put_params(const struct operation *operation, const struct request *request,
				 struct buffer *out)
{
	buffer_putc(out, '{');
	if (request->n_index > 0)
		operation_put_ids(operation, request, out);
	if (request->kind != REQUEST_PLAIN) {
		await_put_members(operation, request, out);
	} else if (operation->members[0]) {
		if (request->n_index > 0)
			buffer_putc(out, ',');
		buffer_puts(out, operation->members);
	}
	if (operation->kind == OPERATION_COLLECT && operation->client->fd_results)
		buffer_puts(out, out->size > 1 ? ",\"accept_fd\":true" : "\"accept_fd\":true");
	buffer_putc(out, '}');
}

static int operation_send_request(struct operation *operation, struct request *request)
{
	tinkex_client *client = operation->client;
	struct buffer *out = connection_out(&client->connection);
	struct buffer params = BUFFER_INIT(SIZE_MAX);
	int64_t id = client_next_id(client);
	const char *method = operation->method;
	int r;

	if (request->kind == REQUEST_REGISTER)
		method = "register";
	operation_put_params(operation, request, &params);
	r = buffer_error(&params);
	if (r == 0 && params.size > FRAMER_REQUEST_MAX - 256)
		r = -E2BIG;
	if (r == 0) {
		message_put_request(out, id, method, params.data, params.size);
		r = buffer_error(out);
	}
	buffer_release(&params);
	if (r < 0)
		return r;
	request->id = id;
	client_add_request(client, request);
	return 0;
}

void operation_send(struct operation *operation)
{
	struct request *request;
	int r;

	if (operation->await && TAILQ_EMPTY(&operation->requests))
		await_resume(operation);
	if (operation->finished)
		return;
	if (!operation->await)
		operation->expires = client_now() + operation->client->call_timeout;
	TAILQ_FOREACH (request, &operation->requests, link) {
		if (request->id != 0 || request->answered)
			continue;
		r = operation_send_request(operation, request);
		if (r == -E2BIG) {
			operation_finish(
				operation, TINKEX_EINVAL,
				text_format("%s: the request is longer than the daemon takes (%d bytes)",
					    operation->method, FRAMER_REQUEST_MAX),
				NULL);
			return;
		}
		if (r < 0) {
			operation_abort(operation, r);
			return;
		}
	}
}

void operation_lost(struct operation *operation)
{
	struct request *request;

	operation->expires = CLIENT_NEVER;
	TAILQ_FOREACH (request, &operation->requests, link) {
		if (request->id != 0)
			LIST_REMOVE(request, id_link);
		request->id = 0;
	}
	if (operation->await)
		await_lost(operation);
}

/* ---- deliveries and the end ---- */

static void operation_mark_ready(struct operation *operation)
{
	if (operation->waited || operation->is_ready)
		return;
	TAILQ_INSERT_TAIL(&operation->client->ready, operation, ready_link);
	operation->is_ready = true;
}

int operation_deliver(struct operation *operation, enum delivery_kind kind, size_t index,
		      tinkex_result *result, tinkex_reply *reply)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery));

	if (!delivery) {
		tinkex_result_unref(result);
		tinkex_reply_unref(reply);
		return -ENOMEM;
	}
	delivery->kind = kind;
	delivery->index = index;
	delivery->result = result;
	delivery->reply = reply;
	STAILQ_INSERT_TAIL(&operation->deliveries, delivery, link);
	operation_mark_ready(operation);
	return 0;
}

struct delivery *operation_fetch(struct operation *operation)
{
	struct delivery *delivery = STAILQ_FIRST(&operation->deliveries);

	if (!delivery)
		return NULL;
	STAILQ_REMOVE_HEAD(&operation->deliveries, link);
	if (STAILQ_EMPTY(&operation->deliveries) && operation->is_ready) {
		TAILQ_REMOVE(&operation->client->ready, operation, ready_link);
		operation->is_ready = false;
	}
	return delivery;
}

void operation_finish(struct operation *operation, int error, char *text, char *data)
{
	struct delivery *last = operation->last;
	struct request *request;

	if (operation->finished) {
		free(text);
		free(data);
		return;
	}
	while ((request = TAILQ_FIRST(&operation->requests)))
		operation_drop_request(request, request->kind == REQUEST_AWAIT && !request->answered);
	TAILQ_REMOVE(&operation->client->operations, operation, link);
	operation->finished = true;
	operation->last = NULL;
	last->error = error;
	last->text = text;
	last->data = data;
	if (error == 0)
		last->reply = steal_pointer(operation->reply);
	STAILQ_INSERT_TAIL(&operation->deliveries, last, link);
	operation_mark_ready(operation);
}

void operation_abort(struct operation *operation, int error)
{
	int number = error_from_errno(error);

	operation_finish(operation, number, text_format("%s: %s", operation->method, tinkex_strerror(number)),
			 NULL);
}
