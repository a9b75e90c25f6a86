/*
 * collect: outcomes that are there, without waiting for more; only for the descriptors of large ones.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery.h"
#include "outcome_json.h"
#include "request.h"
#include "targets.h"

#define PAGE_DEFAULT 100
#define ENTRY_REPLY  160 /* about how many bytes an entry of the reply takes beside its id and its body */

enum collect_row { LIMIT = TARGET_ROWS, AFTER, ACK, ACCEPT_FD, ROWS };

static const struct parameter table[ROWS] = {
	TARGET_PARAMETERS,
	[LIMIT] = {.name = "limit", .type = PARAMETER_INT, .min = 1, .max = FUTURES_PER_CALL},
	[AFTER] = {.name = "after", .type = PARAMETER_STRING, .nullable = true},
	[ACK] = {.name = "ack", .type = PARAMETER_BOOL},
	[ACCEPT_FD] = {.name = "accept_fd", .type = PARAMETER_BOOL},
};

/* A place in the order of ends: the registration that was given last, and when it ended in case it is gone.
 */
struct cursor {
	uint64_t id;
	int64_t ended;
};

static bool read_cursor(struct request *request, const struct argument *after, struct cursor *cursor)
{
	unsigned long long id;
	long long ended;
	char text[64];
	size_t size;
	int end = 0;

	if (!argument_has_value(after))
		return true;
	if (json_string_decode(after->text, after->size, text, sizeof(text), &size) < 0 ||
	    sscanf(text, "%llu-%lld%n", &id, &ended, &end) != 2 || (size_t)end != size || !id)
		return fault_member(&request->fault, "after",
				    "after must be what `next` of an earlier page said");
	*cursor = (struct cursor){.id = id, .ended = ended};
	return true;
}

/* Where to go on. Should the place be gone, what ended at the same moment is given again rather than left
 * out. */
static struct registration *page_start(const struct request *request, struct owner *owner,
				       const struct cursor *cursor)
{
	struct registration *registration;

	if (!cursor->id)
		return TAILQ_FIRST(&owner->ended);
	registration = registry_find_id(request->commands->registry, cursor->id);
	if (registration && registration->owner == owner && registration->phase == REGISTRATION_ENDED &&
	    registration->result->ended_wall == cursor->ended)
		return TAILQ_NEXT(registration, in_ended);
	TAILQ_FOREACH (registration, &owner->ended, in_ended) {
		if (registration->result->ended_wall >= cursor->ended)
			return registration;
	}
	return NULL;
}

/* Fills the page with ended registrations. *ret_next: where the next page goes on; NULL: there is none. */
static bool fill_page(struct request *request, const struct cursor *cursor, size_t limit,
		      struct targets *targets, struct registration **ret_last)
{
	struct owner *owner = registry_owner(request->commands->registry, peer_identity(request->peer)->uid);
	struct registration *registration, *last = NULL;
	struct search search;

	*ret_last = NULL;
	targets->list = calloc(limit, sizeof(*targets->list));
	if (!targets->list)
		return request_fault(request, PROTO_INTERNAL, "no memory");
	if (!owner)
		return true;
	search_init(&search, targets->endpoint, targets->where, targets->where_size, SEARCH_PAGE_EFFORT);
	for (registration = page_start(request, owner, cursor); registration;
	     registration = TAILQ_NEXT(registration, in_ended)) {
		if (targets->n == limit || !search.effort_left) {
			*ret_last = last;
			break;
		}
		last = registration;
		if (!search_matches(&search, registration))
			continue;
		targets->list[targets->n++] = (struct target){
			.endpoint = registration->future->endpoint,
			.request_id = registration->future->request_id,
			.registration = registration,
		};
	}
	return true;
}

/* What the reply says of one future: as it was when the call came. */
struct entry {
	const struct endpoint *endpoint;
	const char *request_id;
	char *copy; /* owned: of the id, for a call that is not answered at once */
	uint64_t registration;
	struct result *result; /* owned reference; NULL: it has not ended, and is in `state` */
	uint8_t state;
};

struct collect_call {
	struct call call;
	struct parcel *parcel; /* owned; may be NULL */
	bool ack;
	char next[64]; /* "": there is no further page */
	size_t n;
	struct entry entries[];
};

static void collect_call_free(struct collect_call *call)
{
	for (size_t i = 0; i < call->n; i++) {
		free(call->entries[i].copy);
		result_unref(call->entries[i].result);
	}
	parcel_free(call->parcel);
	free(call);
}
DEFINE_FREEP(struct collect_call, collect_call_free)

static struct collect_call *collect_call_new(const struct request *request, const struct targets *targets,
					     const struct registration *last, bool ack)
{
	struct collect_call *call = calloc(1, sizeof(*call) + targets->n * sizeof(call->entries[0]));

	if (!call)
		return NULL;
	call->ack = ack;
	call->n = targets->n;
	if (last)
		snprintf(call->next, sizeof(call->next), "%llu-%lld", (unsigned long long)last->id,
			 (long long)last->result->ended_wall);
	for (size_t i = 0; i < targets->n; i++) {
		const struct target *target = &targets->list[i];
		const struct registration *registration = target->registration;
		struct entry *entry = &call->entries[i];

		entry->endpoint = target->endpoint;
		entry->request_id = target->request_id;
		if (!registration) {
			entry->result = target_not_registered(request, target);
			continue;
		}
		entry->registration = registration->id;
		if (registration->phase == REGISTRATION_ENDED)
			entry->result = result_ref(registration->result);
		else
			entry->state = (uint8_t)scheduler_state(request->commands->scheduler, registration);
	}
	return call;
}

/* The reply. */

static void put_entry(const struct collect_call *call, size_t index, struct line *line,
		      struct json_writer *writer)
{
	const struct entry *entry = &call->entries[index];

	json_open(writer, '{');
	if (entry->result) {
		outcome_put(line, writer, entry->endpoint, entry->request_id, entry->result,
			    parcel_find(call->parcel, index));
	} else {
		json_member_string(writer, "request_id", entry->request_id);
		json_member_string(writer, "endpoint", entry->endpoint->name);
		json_name(writer, "ok");
		json_null(writer);
		json_member_string(writer, "state", future_state_name(entry->state));
	}
	json_close(writer);
}

/* What stands behind the beginning of the reply. */
static void put_page(struct collect_call *call, struct line *line, struct json_writer *writer)
{
	json_open(writer, '{');
	json_name(writer, "results");
	json_open(writer, '[');
	for (size_t i = 0; i < call->n; i++)
		put_entry(call, i, line, writer);
	json_close(writer);
	json_member_string(writer, "next", call->next[0] ? call->next : NULL);
	json_close(writer);
	line->parcel = steal_pointer(call->parcel);
}

/* False: no memory. */
static bool attach_delivery(const struct collect_call *call, struct commands *commands, struct line *line)
{
	struct delivery *delivery = delivery_new(commands, call->n, call->ack);

	if (!delivery)
		return false;
	for (size_t i = 0; i < call->n; i++) {
		const struct entry *entry = &call->entries[i];
		const struct registration *registration = registry_find_id(commands->registry,
									   entry->registration);

		if (registration && registration->phase == REGISTRATION_ENDED &&
		    registration->result == entry->result)
			delivery_add(delivery, registration);
	}
	delivery_attach(delivery, line);
	return true;
}

static bool answer(struct request *request, struct collect_call *call)
{
	struct json_writer writer;
	struct line line;

	request_begin(request, &line, &writer);
	put_page(call, &line, &writer);
	if (attach_delivery(call, request->commands, &line))
		return request_send(request, &line);
	line_release(&line);
	return request_fault(request, PROTO_INTERNAL, "no memory");
}

/* The same later, when the descriptors are there. */

static void answer_later(struct call *base)
{
	struct collect_call *call = container_of(base, struct collect_call, call);
	struct json_writer writer;
	struct line line;

	call_reply_begin(base, &line);
	json_writer_init(&writer, &line.text);
	put_page(call, &line, &writer);
	if (attach_delivery(call, base->commands, &line)) {
		call_reply_send(base, &line);
	} else {
		line_release(&line);
		call_reply_error(base, PROTO_INTERNAL);
	}
	call_end(base);
}

static void on_opened(void *context)
{
	answer_later(context);
}

static void destroy(struct call *base)
{
	collect_call_free(container_of(base, struct collect_call, call));
}

static const struct call_operations operations = {.destroy = destroy};

/* Makes the call one that is answered later. -ENOMEM. */
static int detach(struct collect_call *call)
{
	call->call.memory = sizeof(*call) + call->n * sizeof(call->entries[0]);
	for (size_t i = 0; i < call->n; i++) {
		struct entry *entry = &call->entries[i];
		size_t size = strlen(entry->request_id) + 1;

		entry->copy = strdup(entry->request_id);
		if (!entry->copy)
			return -ENOMEM;
		entry->request_id = entry->copy;
		call->call.memory += size;
		call->call.owed += size + ENTRY_REPLY;
	}
	return 0;
}

static bool has_large(const struct request *request, const struct collect_call *call)
{
	for (size_t i = 0; i < call->n; i++) {
		if (call->entries[i].result && call_may_pass(request->commands, call->entries[i].result))
			return true;
	}
	return false;
}

/* Has descriptors opened. True: the call is outstanding, and has taken `call` over. */
static bool open_bodies(struct request *request, struct collect_call *call)
{
	if (detach(call) < 0)
		return false;
	call_begin(&call->call, &operations, request->commands, request->peer, &request->message->id);
	call->parcel = call_new_parcel(&call->call, on_opened);
	for (size_t i = 0; i < call->n; i++) {
		if (call->entries[i].result)
			call_pass(&call->call, call->parcel, i, call->entries[i].result);
	}
	if (!parcel_is_opening(call->parcel)) /* too many are open */
		answer_later(&call->call);
	return true;
}

static bool carry_out(struct request *request, const struct targets *targets, const struct registration *last,
		      const struct argument *arguments)
{
	_cleanup_(collect_call_freep) struct collect_call *call = collect_call_new(request, targets, last,
										   arguments[ACK].number);

	if (!call)
		return request_fault(request, PROTO_INTERNAL, "no memory");
	if (arguments[ACCEPT_FD].number && request_wants_reply(request) && has_large(request, call) &&
	    open_bodies(request, call)) {
		call = NULL;
		return true;
	}
	return answer(request, call);
}

bool command_collect(struct request *request)
{
	struct argument arguments[ROWS];
	_cleanup_(targets_release) struct targets targets = {0};
	struct cursor cursor = {0};
	struct registration *last = NULL;

	if (!request_arguments(request, table, ROWS, arguments) ||
	    !targets_read(request, arguments, &targets) || !read_cursor(request, &arguments[AFTER], &cursor))
		return false;
	if (!targets.named &&
	    !fill_page(request, &cursor,
		       argument_given(&arguments[LIMIT]) ? (size_t)arguments[LIMIT].number : PAGE_DEFAULT,
		       &targets, &last))
		return false;
	return carry_out(request, &targets, last, arguments);
}
