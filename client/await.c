/* Awaiting: streamed outcomes, registration before and repair after a lost connection, ends of the library's
 * own. */
#include "await.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "error.h"
#include "members.h"
#include "reply.h"
#include "result.h"
#include "text.h"

/* How much later than the daemon the library itself looks at the time of an await. */
#define GRACE (5 * 1000000)

enum slot {
	SLOT_WAITING,     /* is in an await request, or will be in the next */
	SLOT_REGISTERING, /* is in a register request */
	SLOT_FORGOTTEN,   /* the daemon lost it: to be registered again */
	SLOT_ENDED,
};
#define SLOT_MASK  0x0f
#define SLOT_AGAIN 0x10 /* was registered again on this connection: if it is unknown now, then for good */

struct await {
	char *members;  /* of the await call */
	char *endpoint; /* that was asked for; NULL: none was */
	int64_t deadline, timeout_ms;

	bool registers; /* there is a registration */
	bool linked;
	char *register_members;
	char *if_ended;
	int64_t poll_timeout_ms;
	int64_t registered_at; /* µs when it was first sent; 0: not yet */
	bool registered;       /* ... and answered */
	tinkex_reply *registrations;
	tinkex_done_fn on_registered;
	void *on_registered_userdata;

	uint8_t *slot; /* enum slot and SLOT_AGAIN, one for each id */
	size_t n_forgotten;
	size_t outcomes; /* delivered */
	bool asked;      /* on some connection */
	bool resumed;    /* ... which was lost */
	char **seen;     /* without ids: "endpoint\nid" of what was delivered, so that nothing comes twice */
	size_t n_seen, seen_capacity;
};

/* ---- making and freeing ---- */

static int await_take_registration(struct operation *operation,
				   const struct tinkex_register_options *registration)
{
	struct await *await = operation->await;
	struct members members;
	int r;

	members_init(&members, operation->client);
	members_string(&members, "endpoint", await->endpoint);
	members_register(&members, registration);
	r = members_finish(&members, &await->register_members);
	members_release(&members);
	if (r < 0)
		return r;
	if (registration->poll_timeout_ms < TINKEX_FOREVER) {
		client_fail(operation->client, 0, "poll_timeout_ms is negative");
		return -EINVAL;
	}
	if (registration->if_ended && !(await->if_ended = strdup(registration->if_ended)))
		return -ENOMEM;
	await->registers = true;
	await->linked = registration->linked;
	await->poll_timeout_ms = registration->poll_timeout_ms;
	return 0;
}

static int await_take_options(struct operation *operation, const struct tinkex_await_options *options)
{
	struct await *await = operation->await;
	struct tinkex_register_options registration = TINKEX_REGISTER_OPTIONS_INIT;
	const char *endpoint = options->endpoint ? options->endpoint : operation->client->endpoint;
	struct members members;
	int r;

	if (options->await_timeout_ms < 0 && options->await_timeout_ms != TINKEX_UNSET &&
	    options->await_timeout_ms != TINKEX_FOREVER) {
		client_fail(operation->client, 0, "await_timeout_ms is negative");
		return -EINVAL;
	}
	if (endpoint && !(await->endpoint = strdup(endpoint)))
		return -ENOMEM;
	members_init(&members, operation->client);
	members_string(&members, "endpoint", await->endpoint);
	members_string(&members, "on_timeout", options->on_timeout);
	members_object(&members, "where", options->where);
	members_true(&members, "ack", options->ack);
	r = members_finish(&members, &await->members);
	members_release(&members);
	if (r < 0 || !options->registration)
		return r;
	r = members_copy_options(&registration, sizeof(registration), options->registration);
	return r < 0 ? r : await_take_registration(operation, &registration);
}

int await_new(struct operation *operation, const struct tinkex_await_options *options)
{
	struct await *await = calloc(1, sizeof(*await));

	if (!await)
		return -ENOMEM;
	operation->await = await;
	await->deadline = CLIENT_NEVER;
	await->timeout_ms = options->await_timeout_ms;
	if (await->timeout_ms >= 0 && await->timeout_ms < INT64_MAX / 4000)
		await->deadline = client_now() + await->timeout_ms * 1000;
	await->on_registered = options->registered;
	await->on_registered_userdata = options->registered_userdata;
	await->slot = calloc(operation->n_ids ? operation->n_ids : 1, 1);
	if (!await->slot)
		return -ENOMEM;
	return await_take_options(operation, options);
}

struct await *await_free(struct await *await)
{
	if (!await)
		return NULL;
	for (size_t i = 0; i < await->n_seen; i++)
		free(await->seen[i]);
	free(await->seen);
	free(await->slot);
	tinkex_reply_unref(await->registrations);
	free(await->if_ended);
	free(await->register_members);
	free(await->endpoint);
	free(await->members);
	free(await);
	return NULL;
}

/* ---- requests ---- */

/* Makes requests for all slots in state `from` and puts those into state `to`. */
static int await_request(struct operation *operation, enum request_kind kind, enum slot from, enum slot to)
{
	struct await *await = operation->await;
	_cleanup_(freep) uint32_t *index = NULL;
	size_t n = 0;

	if (operation->n_ids == 0)
		return operation_add_requests(operation, kind, NULL, 0);
	index = malloc(operation->n_ids * sizeof(*index));
	if (!index)
		return -ENOMEM;
	for (size_t i = 0; i < operation->n_ids; i++) {
		if ((await->slot[i] & SLOT_MASK) != from)
			continue;
		await->slot[i] = (uint8_t)((await->slot[i] & ~SLOT_MASK) | to);
		index[n++] = (uint32_t)i;
	}
	return n > 0 ? operation_add_requests(operation, kind, index, n) : 0;
}

void await_resume(struct operation *operation)
{
	struct await *await = operation->await;
	int r;

	await->asked = true;
	if (await->registers && (!await->registered || await->linked))
		r = await_request(operation, REQUEST_REGISTER, SLOT_WAITING, SLOT_REGISTERING);
	else
		r = await_request(operation, REQUEST_AWAIT, SLOT_WAITING, SLOT_WAITING);
	if (r < 0)
		operation_abort(operation, r);
}

void await_lost(struct operation *operation)
{
	struct await *await = operation->await;
	struct request *request;

	while ((request = TAILQ_FIRST(&operation->requests)))
		operation_drop_request(request, false);
	for (size_t i = 0; i < operation->n_ids; i++)
		if (await->slot[i] != SLOT_ENDED)
			await->slot[i] = SLOT_WAITING;
	await->n_forgotten = 0;
	await->registrations = tinkex_reply_unref(await->registrations);
	await->resumed = await->asked;
}

void await_repair(struct operation *operation)
{
	struct await *await = operation->await;
	int r;

	if (operation->finished || await->n_forgotten == 0)
		return;
	await->n_forgotten = 0;
	r = await_request(operation, REQUEST_REGISTER, SLOT_FORGOTTEN, SLOT_REGISTERING);
	if (r < 0)
		operation_abort(operation, r);
	else
		operation_send(operation);
}

/* What is left of the deadline: it counts from the first registration, not from the latest. */
static void await_put_poll_timeout(const struct await *await, struct buffer *out)
{
	int64_t left = await->poll_timeout_ms;

	if (left == TINKEX_UNSET)
		return;
	buffer_puts(out, ",\"poll_timeout_ms\":");
	if (left == TINKEX_FOREVER) {
		buffer_puts(out, "null");
		return;
	}
	if (await->resumed)
		left -= (client_now() - await->registered_at) / 1000;
	if (left < 1 && await->poll_timeout_ms > 0)
		left = 1;
	buffer_printf(out, "%" PRId64, left);
}

static void await_put_register(struct await *await, struct buffer *out)
{
	if (await->registered_at == 0)
		await->registered_at = client_now();
	if (await->register_members[0])
		buffer_printf(out, ",%s", await->register_members);
	await_put_poll_timeout(await, out);
	if (await->if_ended && !await->registered) {
		buffer_puts(out, ",\"if_ended\":");
		json_put_string(out, await->if_ended);
	}
}

/* The first time as it was asked for; on a later connection what is left of it. */
static void await_put_timeout(const struct await *await, struct buffer *out)
{
	int64_t left = await->timeout_ms;

	if (await->deadline == CLIENT_NEVER)
		return;
	if (await->resumed)
		left = (await->deadline - client_now() + 999) / 1000;
	buffer_printf(out, ",\"await_timeout_ms\":%" PRId64, left > 0 ? left : 0);
}

void await_put_members(const struct operation *operation, const struct request *request, struct buffer *out)
{
	struct await *await = operation->await;

	if (request->kind == REQUEST_REGISTER) {
		await_put_register(await, out);
		return;
	}
	buffer_puts(out, request->n_index > 0 ? ",\"stream\":true" : "\"stream\":true");
	if (await->members[0])
		buffer_printf(out, ",%s", await->members);
	await_put_timeout(await, out);
	if (operation->client->fd_results)
		buffer_puts(out, ",\"accept_fd\":true");
}

/* ---- outcomes ---- */

/* The outcomes counted so far are the call's answer once nothing is on its way any more. */
static void await_check(struct operation *operation)
{
	if (operation->finished || operation->unanswered > 0 || operation->await->n_forgotten > 0)
		return;
	operation->reply->affected = operation->await->outcomes;
	operation_finish(operation, 0, NULL, NULL);
}

static int await_deliver(struct operation *operation, size_t index, tinkex_result *result)
{
	struct await *await = operation->await;

	if (operation->n_ids > 0)
		await->slot[index] = SLOT_ENDED;
	await->outcomes++;
	return operation_deliver(operation, DELIVERY_OUTCOME, index, result, NULL);
}

/* An outcome of the library's own making for the id at `index`. */
static int await_end(struct operation *operation, size_t index, const char *type, const char *reason,
		     const char *message, const char *data_members)
{
	tinkex_result *result = NULL;
	int r = result_make_error(operation->ids[index], operation->await->endpoint, type, reason, message,
				  data_members, &result);

	return r < 0 ? r : await_deliver(operation, index, result);
}

static void await_end_all(struct operation *operation, const char *reason, const char *message,
			  const char *data_members)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < operation->n_ids; i++)
		if (operation->await->slot[i] != SLOT_ENDED)
			r = await_end(operation, i, "api_timeout", reason, message, data_members);
	if (r < 0) {
		operation_abort(operation, r);
		return;
	}
	operation->reply->affected = operation->await->outcomes;
	operation_finish(operation, 0, NULL, NULL);
}

int64_t await_expires(const struct operation *operation)
{
	const struct await *await = operation->await;
	bool away = operation->client->state != CLIENT_READY && await->asked;

	if (await->deadline == CLIENT_NEVER)
		return CLIENT_NEVER;
	return away ? await->deadline : await->deadline + GRACE;
}

void await_expire(struct operation *operation)
{
	_cleanup_(freep) char *message = NULL, *data = NULL;
	int64_t ms = operation->await->timeout_ms;

	message = text_format("did not end within %" PRId64 " ms", ms);
	data = text_format(",\"timeout_ms\":%" PRId64, ms);
	if (message && data)
		await_end_all(operation, "await_timeout", message, data);
	else
		operation_abort(operation, -ENOMEM);
}

bool await_give_up(struct operation *operation, const char *exit_reason)
{
	struct buffer data = BUFFER_INIT(SIZE_MAX);

	if (!operation->await->asked)
		return false;
	buffer_puts(&data, ",\"exit_reason\":");
	json_put_string(&data, exit_reason);
	buffer_putc(&data, '\0');
	if (buffer_error(&data))
		operation_abort(operation, -ENOMEM);
	else
		await_end_all(operation, "daemon_gone", "the daemon went away and did not come back",
			      data.data);
	buffer_release(&data);
	return true;
}

/* Without ids, outcomes are told apart by what they are about. true: it was delivered on an earlier
 * connection. */
static int await_was_seen(struct await *await, const tinkex_result *result, bool *ret_seen)
{
	const char *endpoint = tinkex_result_endpoint(result);
	_cleanup_(freep) char *key = NULL;

	key = text_format("%s\n%s", endpoint ? endpoint : "", tinkex_result_request_id(result));
	if (!key)
		return -ENOMEM;
	for (size_t i = 0; await->resumed && i < await->n_seen; i++) {
		if (strcmp(await->seen[i], key) == 0) {
			*ret_seen = true;
			return 0;
		}
	}
	if (await->n_seen == await->seen_capacity) {
		size_t capacity = await->seen_capacity ? 2 * await->seen_capacity : 64;
		char **seen = reallocarray(await->seen, capacity, sizeof(*seen));

		if (!seen)
			return -ENOMEM;
		await->seen = seen;
		await->seen_capacity = capacity;
	}
	await->seen[await->n_seen++] = steal_pointer(key);
	*ret_seen = false;
	return 0;
}

static bool await_was_forgotten(const struct await *await, size_t index, const tinkex_result *result)
{
	const char *type = tinkex_result_error_type(result), *reason = tinkex_result_error_reason(result);

	return await->resumed && await->registers && !(await->slot[index] & SLOT_AGAIN) && type && reason &&
	       strcmp(type, "not_registered") == 0 && strcmp(reason, "never") == 0;
}

/* Takes over `result`. */
static int await_take(struct operation *operation, struct request *request, size_t n, tinkex_result *result)
{
	_cleanup_(result_unrefp) tinkex_result *owned = result;
	struct await *await = operation->await;
	size_t index;
	bool seen;
	int r;

	if (request->n_index == 0) {
		r = await_was_seen(await, owned, &seen);
		return r < 0 || seen ? r : await_deliver(operation, await->outcomes, steal_pointer(owned));
	}
	if (n >= request->n_index)
		return -EBADMSG;
	index = request->index[n];
	if ((await->slot[index] & SLOT_MASK) != SLOT_WAITING || request->open == 0)
		return 0;
	request->open--;
	if (await_was_forgotten(await, index, owned)) {
		await->slot[index] = SLOT_FORGOTTEN;
		await->n_forgotten++;
		return 0;
	}
	return await_deliver(operation, index, steal_pointer(owned));
}

/* `call` and `index` stand first: a large result behind them is not walked through for them. */
static bool await_read_address(const struct message_reply *message, int64_t *ret_call, int64_t *ret_index)
{
	int64_t call = -1, index = -1;
	struct json_cursor cursor;
	struct json_item item;

	json_cursor_init(&cursor, message->body, message->body_size);
	while ((call < 0 || index < 0) && json_cursor_next(&cursor, &item)) {
		if (text_is_named(&item, "call"))
			call = text_int(&item, -1);
		else if (text_is_named(&item, "index"))
			index = text_int(&item, -1);
	}
	*ret_call = call;
	*ret_index = index;
	return call >= 0 && index >= 0;
}

int await_outcome(tinkex_client *client, const struct message_reply *message)
{
	tinkex_result *result = NULL;
	struct request *request;
	int64_t call, index;
	int r;

	if (message->body_size == 0 || message->body[0] != '{' || !await_read_address(message, &call, &index))
		return -EBADMSG;
	/* Parsed even if nobody waits for it any more: its descriptor must not be taken for the next one's.
	 */
	r = result_parse(message->body, message->body_size, &client->connection.fds, &result);
	request = client_find_request(client, call);
	if (!request || request->kind != REQUEST_AWAIT) {
		tinkex_result_unref(result);
		return r == -ENODATA ? r : 0;
	}
	if (r == 0)
		r = await_take(request->operation, request, (size_t)index, result);
	if (r == -ENOMEM) {
		operation_abort(request->operation, r);
		r = 0;
	}
	return r;
}

/* ---- answers ---- */

/* Ids that could not be registered end here; the others go on to be awaited. */
static int await_split_refused(struct operation *operation, const tinkex_reply *registrations)
{
	struct await *await = operation->await;
	int r = 0;

	for (size_t i = 0; r == 0 && i < registrations->n_items; i++) {
		const struct reply_item *item = &registrations->items[i];
		_cleanup_(freep) char *data = NULL;

		if ((await->slot[i] & SLOT_MASK) != SLOT_REGISTERING || item->error == 0)
			continue;
		data = text_format(",\"error\":%d", item->error);
		if (!data)
			return -ENOMEM;
		r = await_end(operation, i, "not_registered", error_proto_name(item->error),
			      item->error_text ? item->error_text : tinkex_strerror(item->error), data);
	}
	return r;
}

static bool await_is_registering(const struct operation *operation)
{
	struct request *request;

	TAILQ_FOREACH (request, &operation->requests, link)
		if (request->kind == REQUEST_REGISTER && !request->answered)
			return true;
	return false;
}

/* All register requests are answered: told once to the user, and everything registered is awaited. */
static int await_registered(struct operation *operation)
{
	struct await *await = operation->await;
	_cleanup_(reply_unrefp) tinkex_reply *registrations = steal_pointer(await->registrations);
	bool again = await->registered;
	int r = 0;

	await->registered = true;
	reply_count_new(registrations);
	if (!again && await->on_registered)
		r = operation_deliver(operation, DELIVERY_REGISTERED, 0, NULL,
				      tinkex_reply_ref(registrations));
	if (r == 0)
		r = await_split_refused(operation, registrations);
	for (size_t i = 0; again && i < operation->n_ids; i++)
		if ((await->slot[i] & SLOT_MASK) == SLOT_REGISTERING)
			await->slot[i] |= SLOT_AGAIN;
	return r < 0 ? r : await_request(operation, REQUEST_AWAIT, SLOT_REGISTERING, SLOT_WAITING);
}

static int await_answer_register(struct operation *operation, struct request *request,
				 const struct message_reply *message)
{
	struct await *await = operation->await;
	int r;

	if (!await->registrations && !(await->registrations = reply_new()))
		return -ENOMEM;
	r = answer_take_registrations(await->registrations, request, message);
	operation_drop_request(request, false);
	if (r == 0 && !await_is_registering(operation))
		r = await_registered(operation);
	return r;
}

/* The daemon says that the call is over: then every id of it has had its outcome. */
static int await_answer_await(struct request *request)
{
	int r = request->open > 0 ? -EBADMSG : 0;

	operation_drop_request(request, false);
	return r;
}

void await_answer(struct request *request, const struct message_reply *message)
{
	struct operation *operation = request->operation;
	int r;

	if (request->kind == REQUEST_REGISTER)
		r = await_answer_register(operation, request, message);
	else
		r = await_answer_await(request);
	if (r < 0) {
		operation_abort(operation, r);
		return;
	}
	if (!TAILQ_EMPTY(&operation->requests))
		operation_send(operation);
	await_check(operation);
}

tinkex_done_fn await_on_registered(const struct operation *operation, void **ret_userdata)
{
	*ret_userdata = operation->await->on_registered_userdata;
	return operation->await->on_registered;
}
