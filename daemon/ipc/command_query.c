/*
 * status and list: what the daemon knows of registrations.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outcome_json.h"
#include "request.h"
#include "targets.h"

#define PAGE_DEFAULT 100

/* Both. */

/* Milliseconds from now until `when`, rounded up; null if there is no such time. */
static void put_time_left(const struct request *request, struct json_writer *writer, const char *name,
			  int64_t when)
{
	int64_t left = when == TIME_NEVER ? 0 : when - loop_now(request->commands->loop);

	json_name(writer, name);
	if (when == TIME_NEVER)
		json_null(writer);
	else
		json_int(writer, left <= 0 ? 0 : (left + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

static void put_ok(struct json_writer *writer, const struct registration *registration)
{
	json_name(writer, "ok");
	if (registration->phase == REGISTRATION_ENDED)
		json_bool(writer, registration->result->ok);
	else
		json_null(writer);
}

/* A stake that has ended waits for nothing, whatever its future does for others; one whose end is not stored
 * yet waits for just that. */
static enum why_waiting why_waiting(const struct request *request, const struct registration *registration)
{
	if (registration_is_live(registration))
		return scheduler_why(request->commands->scheduler, registration->future);
	return registration->phase == REGISTRATION_ENDING ? WAITING_STORAGE : WAITING_FOR_NOTHING;
}

/* The members that status and list have in common. */
static void put_common(const struct request *request, struct json_writer *writer,
		       const struct registration *registration)
{
	const struct future *future = registration->future;
	const char *metadata = registration->metadata ? registration->metadata : "{}";
	bool live = registration_is_live(registration);
	int64_t age = loop_wall(request->commands->loop) - registration->registered_wall;

	json_member_string(writer, "request_id", future->request_id);
	json_member_string(writer, "endpoint", future->endpoint->name);
	json_member_string(writer, "state",
			   future_state_name(scheduler_state(request->commands->scheduler, registration)));
	put_ok(writer, registration);
	json_member_string(writer, "why_waiting", why_waiting_name(why_waiting(request, registration)));
	json_member_string(writer, "queue_state", queue_state_name(future->queue_state));
	json_member_int(writer, "age_ms", age > 0 ? age / USEC_PER_MSEC : 0);
	json_member_int(writer, "iteration", future->iteration);
	put_time_left(request, writer, "next_poll_in_ms",
		      live && timer_armed(&future->due) ? future->due.when : TIME_NEVER);
	put_time_left(request, writer, "deadline_in_ms", live ? registration->deadline : TIME_NEVER);
	json_name(writer, "metadata");
	json_raw(writer, metadata, strlen(metadata));
}

/* status */

enum status_row { STATUS_ID, STATUS_ENDPOINT, STATUS_ALL, STATUS_ROWS };
static const struct parameter status_table[STATUS_ROWS] = {
	[STATUS_ID] = {.name = "request_id", .type = PARAMETER_STRING},
	[STATUS_ENDPOINT] = {.name = "endpoint", .type = PARAMETER_STRING},
	[STATUS_ALL] = {.name = "all", .type = PARAMETER_BOOL},
};

static void put_last_error(struct line *line, struct json_writer *writer,
			   const struct registration *registration)
{
	const struct future *future = registration->future;

	json_name(writer, "last_error");
	if (registration->phase == REGISTRATION_ENDED && !registration->result->ok)
		outcome_put_error_summary(line, writer, future->request_id, registration->result);
	else if (registration->phase != REGISTRATION_ENDED && future->last_error)
		outcome_put_error(line, writer, future->last_error, future->request_id);
	else
		json_null(writer);
}

static int64_t count_registrations(const struct future *future)
{
	const struct registration *registration;
	int64_t n = 0;

	SLIST_FOREACH (registration, &future->registrations, in_future)
		n += registration->phase != REGISTRATION_REMOVING;
	return n;
}

static bool put_status(struct request *request, const struct registration *registration, bool all)
{
	const struct future *future = registration->future;
	struct json_writer writer;
	struct line line;

	request_begin(request, &line, &writer);
	json_open(&writer, '{');
	put_common(request, &writer, registration);
	json_member_string(&writer, "queue_state_reason", future->queue_state_reason);
	outcome_put_time(&writer, "queue_state_since",
			 future->queue_state == QUEUE_NONE ? 0 : future->queue_state_since_wall);
	outcome_put_time(&writer, "last_poll_at", future->last_poll_wall);
	json_name(&writer, "last_http_status");
	if (future->last_http_status)
		json_int(&writer, future->last_http_status);
	else
		json_null(&writer);
	put_last_error(&line, &writer, registration);
	outcome_put_time(&writer, "registered_at", registration->registered_wall);
	json_member_int(&writer, "registrations", all ? count_registrations(future) : 1);
	json_member_bool(&writer, "linked", registration->links != NULL);
	if (all)
		json_member_int(&writer, "uid", registration->owner->uid);
	json_close(&writer);
	return request_send(request, &line);
}

/* The caller's own, else, with `all`, the oldest one of another user. */
static const struct registration *find_any(struct request *request, const struct target *target, bool all)
{
	const struct future *future;
	const struct registration *registration, *oldest = target->registration;

	if (oldest || !all)
		return oldest;
	future = registry_find_future(request->commands->registry, target->endpoint, target->request_id);
	if (!future)
		return NULL;
	SLIST_FOREACH (registration, &future->registrations, in_future) {
		if (registration->phase != REGISTRATION_REMOVING &&
		    (!oldest || registration->id < oldest->id))
			oldest = registration;
	}
	return oldest;
}

bool command_status(struct request *request)
{
	struct argument arguments[STATUS_ROWS];
	_cleanup_(targets_release) struct targets targets = {0};
	struct endpoint *endpoint;
	const struct registration *registration;
	bool all;

	if (!request_arguments(request, status_table, STATUS_ROWS, arguments))
		return false;
	all = arguments[STATUS_ALL].number;
	if (!argument_given(&arguments[STATUS_ID]))
		return fault_member(&request->fault, "request_id",
				    "request_id is missing: status is of one future");
	if ((all && !request_may_see_all(request)) ||
	    !request_endpoint(request, &arguments[STATUS_ENDPOINT], &endpoint) ||
	    !targets_read_one(request, &arguments[STATUS_ID], "request_id", endpoint, &targets))
		return false;
	registration = find_any(request, &targets.list[0], all);
	if (!registration)
		return request_fault(request, PROTO_NOT_FOUND, "%s", "");
	return put_status(request, registration, all);
}

/* list */

enum list_row { LIST_STATE, LIST_ENDPOINT, LIST_WHERE, LIST_LIMIT, LIST_AFTER, LIST_ALL, LIST_ROWS };
/* The words stand in the order of enum future_state. */
static const struct parameter list_table[LIST_ROWS] = {
	[LIST_STATE] = {.name = "state",
			.type = PARAMETER_CHOICE,
			.choices = "scheduled|polling|blocked|completed|failed"},
	[LIST_ENDPOINT] = {.name = "endpoint", .type = PARAMETER_STRING},
	[LIST_WHERE] = {.name = "where", .type = PARAMETER_OBJECT},
	[LIST_LIMIT] = {.name = "limit", .type = PARAMETER_INT, .min = 1, .max = FUTURES_PER_CALL},
	[LIST_AFTER] = {.name = "after", .type = PARAMETER_STRING, .nullable = true},
	[LIST_ALL] = {.name = "all", .type = PARAMETER_BOOL},
};

/* A page that is being gathered, in the order of registration ids, which rise with age. */
struct page {
	const struct scheduler *scheduler;
	struct search search;
	const struct argument *state;
	uint64_t after; /* registrations up to this one were on earlier pages */
	uint64_t seen;  /* the last one that was looked at */
	size_t limit;   /* most of one owner's */
	size_t n, capacity;
	bool more, no_memory;
	const struct registration **list; /* owned */
};

static bool page_add(struct page *page, const struct registration *registration)
{
	if (page->n == page->capacity) {
		size_t capacity = page->capacity ? page->capacity * 2 : 64;
		const struct registration **list = realloc(page->list, capacity * sizeof(*list));

		if (!list) {
			page->no_memory = true;
			return false;
		}
		page->list = list;
		page->capacity = capacity;
	}
	page->list[page->n++] = registration;
	return true;
}

/* Adds what matches of one owner's, up to the limit. */
static bool page_visit_owner(void *context, struct owner *owner)
{
	struct page *page = context;
	const struct registration *registration;
	size_t n = 0;

	TAILQ_FOREACH (registration, &owner->registrations, in_owner) {
		if (registration->id <= page->after)
			continue;
		if (n == page->limit || !page->search.effort_left) {
			page->more = true;
			break;
		}
		page->seen = registration->id;
		if (!search_matches(&page->search, registration) ||
		    (argument_given(page->state) &&
		     (int64_t)scheduler_state(page->scheduler, registration) != page->state->number))
			continue;
		if (!page_add(page, registration))
			return false;
		n++;
	}
	return true;
}

static int compare_ids(const void *a, const void *b)
{
	const struct registration *const *left = a, *const *right = b;

	return ((*left)->id > (*right)->id) - ((*left)->id < (*right)->id);
}

/* Everybody's: the first `limit` of all that the owners have, in the order of their ids. */
static void page_gather_all(struct request *request, struct page *page)
{
	page->search.effort_left = SIZE_MAX; /* only root and the daemon's user may */
	registry_each_owner(request->commands->registry, page_visit_owner, page);
	if (page->n)
		qsort(page->list, page->n, sizeof(*page->list), compare_ids);
	if (page->n > page->limit) {
		page->n = page->limit;
		page->more = true;
	}
	page->seen = page->n ? page->list[page->n - 1]->id : page->after;
}

static void page_gather_own(struct request *request, struct page *page)
{
	struct owner *owner = registry_owner(request->commands->registry, peer_identity(request->peer)->uid);

	if (owner)
		page_visit_owner(page, owner);
}

static bool put_page(struct request *request, const struct page *page, bool all)
{
	struct json_writer writer;
	struct line line;
	char next[24];

	request_begin(request, &line, &writer);
	json_open(&writer, '{');
	json_name(&writer, "futures");
	json_open(&writer, '[');
	for (size_t i = 0; i < page->n; i++) {
		json_open(&writer, '{');
		put_common(request, &writer, page->list[i]);
		if (all)
			json_member_int(&writer, "uid", page->list[i]->owner->uid);
		json_close(&writer);
	}
	json_close(&writer);
	snprintf(next, sizeof(next), "%llu", (unsigned long long)page->seen);
	json_member_string(&writer, "next", page->more ? next : NULL);
	json_close(&writer);
	return request_send(request, &line);
}

static bool read_after(struct request *request, const struct argument *after, uint64_t *ret_after)
{
	char text[24], *end = text;
	size_t size = 0;

	if (!argument_has_value(after))
		return true;
	if (json_string_decode(after->text, after->size, text, sizeof(text), &size) == 0 && size &&
	    strspn(text, "0123456789") == size)
		*ret_after = strtoull(text, &end, 10);
	if (!size || end != text + size)
		return fault_member(&request->fault, "after",
				    "after must be what `next` of an earlier page said");
	return true;
}

static bool read_page(struct request *request, const struct argument *arguments, struct page *page)
{
	struct argument targets_arguments[TARGET_ROWS] = {
		[TARGET_ENDPOINT] = arguments[LIST_ENDPOINT],
		[TARGET_WHERE] = arguments[LIST_WHERE],
	};
	_cleanup_(targets_release) struct targets targets = {0};

	if (!targets_read(request, targets_arguments, &targets) ||
	    !read_after(request, &arguments[LIST_AFTER], &page->after))
		return false;
	search_init(&page->search, targets.endpoint, targets.where, targets.where_size, SEARCH_PAGE_EFFORT);
	page->state = &arguments[LIST_STATE];
	page->limit = argument_given(&arguments[LIST_LIMIT]) ? (size_t)arguments[LIST_LIMIT].number
							     : PAGE_DEFAULT;
	return true;
}

bool command_list(struct request *request)
{
	struct argument arguments[LIST_ROWS];
	struct page page = {.scheduler = request->commands->scheduler};
	bool all, done;

	if (!request_arguments(request, list_table, LIST_ROWS, arguments))
		return false;
	all = arguments[LIST_ALL].number;
	if ((all && !request_may_see_all(request)) || !read_page(request, arguments, &page))
		return false;
	if (all)
		page_gather_all(request, &page);
	else
		page_gather_own(request, &page);
	if (page.no_memory)
		done = request_fault(request, PROTO_INTERNAL, "no memory");
	else
		done = put_page(request, &page, all);
	free(page.list);
	return done;
}
