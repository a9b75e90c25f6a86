/*
 * await: the outcomes of several futures, in the order asked, once all have ended or the time is up; or each
 * as it ends, with `stream`.
 */
#include <stdlib.h>
#include <string.h>

#include "core/waiter.h"
#include "delivery.h"
#include "outcome_json.h"
#include "request.h"
#include "targets.h"

enum await_row { AWAIT_TIMEOUT = TARGET_ROWS, STREAM, ON_TIMEOUT, ACK, ACCEPT_FD, ROWS };

static const struct parameter table[ROWS] = {
	TARGET_PARAMETERS,
	[AWAIT_TIMEOUT] = {.name = "await_timeout_ms",
			   .type = PARAMETER_INT,
			   .nullable = true,
			   .max = PARAMETER_MS_MAX},
	[STREAM] = {.name = "stream", .type = PARAMETER_BOOL},
	[ON_TIMEOUT] = {.name = "on_timeout", .type = PARAMETER_CHOICE, .choices = "cancel|keep"},
	[ACK] = {.name = "ack", .type = PARAMETER_BOOL},
	[ACCEPT_FD] = {.name = "accept_fd", .type = PARAMETER_BOOL},
};

struct await_call {
	struct call call;
	struct waiter *waiter; /* owned */
	/* Owned: descriptors of the outcomes that the next message has; NULL: none. */
	struct parcel *parcel;
	bool ack, stream, accept_fd;
	bool over;        /* every item has a result; what is left is to say so */
	bool asked;       /* for the next message's descriptors */
	size_t n_ended;   /* of `ended` */
	size_t n_told;    /* of them, by notifications */
	uint32_t ended[]; /* stream: items in the order of their ends */
};

static struct await_call *of(struct call *call)
{
	return container_of(call, struct await_call, call);
}

/* An outcome that is the registration's own, and not this call's timeout, counts as delivered. */
static void note_delivery(struct await_call *call, struct delivery *delivery, const struct wait_item *item)
{
	struct registration *registration = registry_find_id(call->call.commands->registry,
							     item->registration_id);

	if (registration && registration->phase == REGISTRATION_ENDED && registration->result == item->result)
		delivery_add(delivery, registration);
}

static void put_outcome(const struct await_call *call, size_t index, struct line *line,
			struct json_writer *writer)
{
	const struct wait_item *item = &call->waiter->items[index];

	outcome_put(line, writer, item->endpoint, item->request_id, item->result,
		    parcel_find(call->parcel, index));
}

/* One outcome of a stream. It is delivered when it is written; acknowledged when the whole reply is. */
static void notify(struct await_call *call, uint32_t index)
{
	const struct wait_item *item = &call->waiter->items[index];
	struct delivery *delivery = delivery_new(call->call.commands, 1, false);
	struct json_writer writer;
	struct line line;

	line_init(&line);
	message_begin_notification(&line.text, "outcome");
	json_writer_init(&writer, &line.text);
	json_open(&writer, '{');
	json_name(&writer, "call");
	json_raw(&writer, call->call.id.text, call->call.id.size);
	json_member_int(&writer, "index", index);
	put_outcome(call, index, &line, &writer);
	json_close(&writer);
	message_end(&line.text);
	line.parcel = steal_pointer(call->parcel);
	if (!delivery || line_error(&line)) {
		free(delivery);
		line_release(&line);
		peer_doom(call->call.peer, "no memory for its replies");
		return;
	}
	note_delivery(call, delivery, item);
	delivery_attach(delivery, &line);
	peer_send(call->call.peer, &line);
}

static void put_results(struct await_call *call, struct line *line, struct json_writer *writer)
{
	json_name(writer, "results");
	json_open(writer, '[');
	for (size_t i = 0; i < call->waiter->n_items; i++) {
		json_open(writer, '{');
		put_outcome(call, i, line, writer);
		json_close(writer);
	}
	json_close(writer);
	line->parcel = steal_pointer(call->parcel);
}

static void put_counts(const struct await_call *call, struct json_writer *writer)
{
	int64_t ok = 0;

	for (size_t i = 0; i < call->waiter->n_items; i++)
		ok += call->waiter->items[i].result->ok;
	json_member_int(writer, "ended", (int64_t)call->waiter->n_items);
	json_member_int(writer, "ok", ok);
	json_member_int(writer, "failed", (int64_t)call->waiter->n_items - ok);
}

static void answer(struct await_call *call)
{
	struct delivery *delivery = delivery_new(call->call.commands, call->waiter->n_items, call->ack);
	struct json_writer writer;
	struct line line;

	if (!delivery) {
		call_reply_error(&call->call, PROTO_INTERNAL);
		return;
	}
	call_reply_begin(&call->call, &line);
	json_writer_init(&writer, &line.text);
	json_open(&writer, '{');
	if (call->stream)
		put_counts(call, &writer);
	else
		put_results(call, &line, &writer);
	json_close(&writer);
	for (size_t i = 0; i < call->waiter->n_items; i++)
		note_delivery(call, delivery, &call->waiter->items[i]);
	delivery_attach(delivery, &line);
	call_reply_send(&call->call, &line);
}

static void pump(struct call *base);

static void on_opened(void *context)
{
	pump(context);
}

/* Has the descriptors opened that the next message is to have. True: that takes a moment, and on_opened()
 * goes on. */
static bool open_bodies(struct await_call *call)
{
	const struct wait_item *items = call->waiter->items;

	if (call->asked || !call->accept_fd)
		return false;
	call->asked = true;
	call->parcel = call_new_parcel(&call->call, on_opened);
	if (call->n_told < call->n_ended) {
		uint32_t index = call->ended[call->n_told];

		call_pass(&call->call, call->parcel, index, items[index].result);
	} else if (!call->stream) {
		for (size_t i = 0; i < call->waiter->n_items; i++)
			call_pass(&call->call, call->parcel, i, items[i].result);
	}
	if (parcel_is_opening(call->parcel))
		return true;
	call->parcel = parcel_free(call->parcel);
	return false;
}

/* Says what there is to say, as long as the peer has room. Ends the call when all is said. */
static void pump(struct call *base)
{
	struct await_call *call = of(base);

	while (!parcel_is_opening(call->parcel) && (call->n_told < call->n_ended || call->over)) {
		if (peer_full(base->peer)) {
			call_stall(base);
			return;
		}
		if (open_bodies(call))
			return;
		if (call->n_told == call->n_ended) {
			answer(call);
			call_end(base);
			return;
		}
		notify(call, call->ended[call->n_told++]);
		call->asked = false;
	}
}

static void drain(struct call *base)
{
	if (of(base)->over)
		return; /* the reply only waits for room, or for descriptors */
	call_reply_error(base, PROTO_SHUTTING_DOWN);
	call_end(base);
}

static void destroy(struct call *base)
{
	struct await_call *call = of(base);

	parcel_free(call->parcel);
	waiter_free(call->waiter);
	free(call);
}

static const struct call_operations operations = {.pump = pump, .drain = drain, .destroy = destroy};

/* What the waiter calls. */

static void on_item(void *context, struct waiter *waiter, size_t index)
{
	struct await_call *call = context;

	(void)waiter;
	if (!call->stream)
		return;
	call->ended[call->n_ended++] = (uint32_t)index;
	pump(&call->call);
}

static void on_done(void *context, struct waiter *waiter, bool timed_out)
{
	struct await_call *call = context;

	(void)waiter;
	(void)timed_out;
	call->over = true;
	pump(&call->call);
}

static const struct waiter_operations waiter_operations = {.item_done = on_item, .done = on_done};

/* Beginning. */

static struct await_call *await_call_new(struct request *request, const struct argument *arguments, size_t n)
{
	struct commands *commands = request->commands;
	bool stream = arguments[STREAM].number;
	size_t size = sizeof(struct await_call) + (stream ? n * sizeof(uint32_t) : 0);
	struct await_call *call = calloc(1, size);

	if (!call)
		return NULL;
	call->stream = stream;
	call->ack = arguments[ACK].number;
	call->accept_fd = arguments[ACCEPT_FD].number;
	call->waiter = waiter_new(n, &waiter_operations, call, commands->registry,
				  loop_timers(commands->loop));
	if (!call->waiter) {
		free(call);
		return NULL;
	}
	call->waiter->peer = peer_id(request->peer);
	call->waiter->cancel_on_timeout = arguments[ON_TIMEOUT].number == 0;
	call->call.memory = size + sizeof(struct waiter) + n * sizeof(struct wait_item);
	call->call.wait_items = (uint32_t)n;
	return call;
}

static bool set_items(struct request *request, const struct targets *targets, struct await_call *call)
{
	for (size_t i = 0; i < targets->n; i++) {
		const struct target *target = &targets->list[i];
		struct result *result = NULL;

		if (!target->registration)
			result = target_not_registered(request, target);
		if (waiter_set(call->waiter, i, target->endpoint, target->request_id, target->registration,
			       result) < 0)
			return false;
		call->call.memory += strlen(target->request_id) + 1;
	}
	return true;
}

static bool carry_out(struct request *request, const struct targets *targets,
		      const struct argument *arguments)
{
	const struct argument *timeout = &arguments[AWAIT_TIMEOUT];
	struct await_call *call;

	if (peer_calls(request->peer)->wait_items + targets->n > WAIT_ITEMS_MAX)
		return request_limit(request, WAIT_ITEMS_MAX,
				     "this connection already waits for %u futures; at most %d are allowed",
				     peer_calls(request->peer)->wait_items, WAIT_ITEMS_MAX);
	call = await_call_new(request, arguments, targets->n);
	if (!call)
		return request_fault(request, PROTO_INTERNAL, "no memory");
	if (!set_items(request, targets, call)) {
		destroy(&call->call);
		return request_fault(request, PROTO_INTERNAL, "no memory");
	}
	call_begin(&call->call, &operations, request->commands, request->peer, &request->message->id);
	waiter_start(call->waiter, argument_has_value(timeout) ? timeout->number * USEC_PER_MSEC : TIME_NEVER,
		     loop_now(request->commands->loop));
	return true;
}

bool command_await(struct request *request)
{
	struct argument arguments[ROWS];
	_cleanup_(targets_release) struct targets targets = {0};

	if (!request_arguments(request, table, ROWS, arguments) ||
	    !targets_read(request, arguments, &targets))
		return false;
	if (!targets.named && !targets.where)
		return fault_member(&request->fault, "request_id",
				    "name what to wait for: request_id, request_ids or where");
	if (!targets.named && !targets_search(request, NULL, &targets))
		return false;
	if (targets.more)
		return request_limit(request, FUTURES_PER_CALL, "where matches more than %d registrations",
				     FUTURES_PER_CALL);
	if (!request_wants_reply(request))
		return true; /* nobody is told */
	return carry_out(request, &targets, arguments);
}
