/*
 * collect: outcomes that are there, without waiting.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery.h"
#include "outcome_json.h"
#include "request.h"
#include "targets.h"

#define PAGE_DEFAULT 100

enum collect_row { LIMIT = TARGET_ROWS, AFTER, ACK, ACCEPT_FD, ROWS };

static const struct parameter table[ROWS] = {
	TARGET_PARAMETERS,
	[LIMIT] = {.name = "limit", .type = PARAMETER_INT, .min = 1, .max = FUTURES_PER_CALL},
	[AFTER] = {.name = "after", .type = PARAMETER_STRING, .nullable = true},
	[ACK] = {.name = "ack", .type = PARAMETER_BOOL},
	[ACCEPT_FD] = {.name = "accept_fd", .type = PARAMETER_BOOL}, /* nothing is passed by descriptor yet */
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

static void put_target(struct request *request, struct line *line, struct json_writer *writer,
		       struct delivery *delivery, const struct target *target)
{
	const struct registration *registration = target->registration;

	json_open(writer, '{');
	if (!registration) {
		_cleanup_(result_unrefp) struct result *result = target_not_registered(request, target);

		outcome_put(line, writer, target->endpoint, target->request_id, result);
	} else if (registration->phase == REGISTRATION_ENDED) {
		outcome_put(line, writer, target->endpoint, target->request_id, registration->result);
		delivery_add(delivery, registration);
	} else {
		json_member_string(writer, "request_id", target->request_id);
		json_member_string(writer, "endpoint", target->endpoint->name);
		json_name(writer, "ok");
		json_null(writer);
		json_member_string(
			writer, "state",
			future_state_name(scheduler_state(request->commands->scheduler, registration)));
	}
	json_close(writer);
}

static void put_next(struct json_writer *writer, const struct registration *last)
{
	char text[64];

	if (last)
		snprintf(text, sizeof(text), "%llu-%lld", (unsigned long long)last->id,
			 (long long)last->result->ended_wall);
	json_member_string(writer, "next", last ? text : NULL);
}

static bool answer(struct request *request, const struct targets *targets, const struct registration *last,
		   bool ack)
{
	struct delivery *delivery = delivery_new(request->commands, targets->n, ack);
	struct json_writer writer;
	struct line line;

	if (!delivery)
		return request_fault(request, PROTO_INTERNAL, "no memory");
	request_begin(request, &line, &writer);
	json_open(&writer, '{');
	json_name(&writer, "results");
	json_open(&writer, '[');
	for (size_t i = 0; i < targets->n; i++)
		put_target(request, &line, &writer, delivery, &targets->list[i]);
	json_close(&writer);
	put_next(&writer, last);
	json_close(&writer);
	delivery_attach(delivery, &line);
	return request_send(request, &line);
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
	return answer(request, &targets, last, arguments[ACK].number);
}
