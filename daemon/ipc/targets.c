#include "targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/metadata.h"
#include "core/registry.h"
#include "proto/json_text.h"

#define WHERE_MEMBERS_MAX 16

void targets_release(struct targets *targets)
{
	free(targets->list);
	free(targets->text);
	*targets = (struct targets){0};
}

/* Endpoints. */

static bool is_allowed(const struct request *request, const struct endpoint *endpoint)
{
	const struct peer_identity *identity = peer_identity(request->peer);

	return endpoint_allows(endpoint, identity->uid, identity->gid, identity->groups, identity->n_groups);
}

bool request_may_use(const struct request *request, const struct endpoint *endpoint)
{
	return !endpoint->missing && is_allowed(request, endpoint);
}

/* None was named and there is no obvious one. */
static bool refuse_choice(struct request *request)
{
	struct commands *commands = request->commands;
	char names[96] = "";
	size_t at = 0;

	for (size_t i = 0; i < commands->n_endpoints && at < sizeof(names); i++) {
		if (request_may_use(request, commands->endpoints[i]))
			at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", at ? ", " : "",
					       commands->endpoints[i]->name);
	}
	if (!at)
		return request_fault(request, PROTO_DENIED, "no endpoint is open to you");
	return request_fault(request, PROTO_DENIED, "say which endpoint; open to you: %s", names);
}

static bool choose_endpoint(struct request *request, struct endpoint **ret_endpoint)
{
	struct commands *commands = request->commands;
	struct endpoint *only = NULL;
	size_t n = 0;

	for (size_t i = 0; i < commands->n_endpoints; i++) {
		struct endpoint *endpoint = commands->endpoints[i];

		if (!request_may_use(request, endpoint))
			continue;
		n++;
		only = endpoint;
		if (strcmp(endpoint->name, "default") == 0) {
			*ret_endpoint = endpoint;
			return true;
		}
	}
	if (n != 1)
		return refuse_choice(request);
	*ret_endpoint = only;
	return true;
}

bool request_no_endpoint(struct request *request)
{
	return request_fault(request, PROTO_DENIED, "there is no such endpoint, or it is not open to you");
}

bool request_endpoint(struct request *request, const struct argument *name, struct endpoint **ret_endpoint)
{
	struct commands *commands = request->commands;

	if (!argument_given(name))
		return choose_endpoint(request, ret_endpoint);
	for (size_t i = 0; i < commands->n_endpoints; i++) {
		struct endpoint *endpoint = commands->endpoints[i];

		if (json_string_equals(name->text, name->size, endpoint->name) &&
		    is_allowed(request, endpoint)) {
			*ret_endpoint = endpoint;
			return true;
		}
	}
	return request_no_endpoint(request);
}

/* Ids. */

/* Control characters in the sense of Unicode: C0, DEL, C1. */
static bool has_control(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f)
			return true;
		if (c == 0xc2 && i + 1 < size && (unsigned char)text[i + 1] < 0xa0)
			return true;
	}
	return false;
}

#define NO_INDEX SIZE_MAX

/* `index`: its place in request_ids, or NO_INDEX. Always false. */
static bool refuse_id(struct request *request, const char *member, size_t index, const char *what)
{
	if (index == NO_INDEX)
		return fault_member(&request->fault, member, "request_id %s", what);
	return fault_member(&request->fault, member, "request_ids[%zu] %s", index, what);
}

/* Decodes one id to `out`, which has room for its text. */
static bool read_id(struct request *request, const char *member, size_t index, enum json_type type,
		    const char *text, size_t size, char *out, size_t *ret_size)
{
	char what[96];

	if (type != JSON_STRING) {
		snprintf(what, sizeof(what), "must be a string, not %s", json_type_text(type));
		return refuse_id(request, member, index, what);
	}
	if (json_string_decode(text, size, out, size, ret_size) < 0)
		return refuse_id(request, member, index, "cannot be read");
	if (*ret_size == 0)
		return refuse_id(request, member, index, "is empty");
	if (*ret_size > REQUEST_ID_MAX) {
		snprintf(what, sizeof(what), "is %zu bytes long; at most %d are allowed", *ret_size,
			 REQUEST_ID_MAX);
		return refuse_id(request, member, index, what);
	}
	if (has_control(out, *ret_size))
		return refuse_id(request, member, index, "contains a control character");
	return true;
}

static size_t count_items(const struct argument *array)
{
	struct json_cursor cursor;
	struct json_item item;
	size_t n = 0;

	json_cursor_init(&cursor, array->text, array->size);
	while (n <= FUTURES_PER_CALL && json_cursor_next(&cursor, &item))
		n++;
	return n;
}

/* Room for n targets whose ids take at most `size` bytes. */
static bool make_room(struct request *request, size_t n, size_t size, struct targets *targets)
{
	targets->list = calloc(n + 1, sizeof(*targets->list));
	targets->text = malloc(size + 1);
	targets->named = true;
	return targets->list && targets->text ? true : request_fault(request, PROTO_INTERNAL, "no memory");
}

static bool read_ids(struct request *request, const struct argument *array, struct targets *targets)
{
	size_t n = count_items(array), at = 0, size = 0;
	struct json_cursor cursor;
	struct json_item item;

	if (n > FUTURES_PER_CALL)
		return fault_member(&request->fault, "request_ids", "request_ids names more than %d futures",
				    FUTURES_PER_CALL);
	/* An id with its NUL is never longer than its literal with the quotes. */
	if (!make_room(request, n, array->size, targets))
		return false;
	json_cursor_init(&cursor, array->text, array->size);
	for (; targets->n < n && json_cursor_next(&cursor, &item); targets->n++) {
		if (!read_id(request, "request_ids", targets->n, item.type, item.value, item.size,
			     targets->text + at, &size))
			return false;
		targets->list[targets->n].request_id = targets->text + at;
		at += size + 1;
	}
	return true;
}

/* The caller's registration, if it has one that matches. */
static struct registration *find_registration(const struct request *request, const struct targets *targets,
					      const struct target *target)
{
	struct registration *registration = registry_find(request->commands->registry,
							  peer_identity(request->peer)->uid, target->endpoint,
							  target->request_id);

	if (registration && targets->where &&
	    !metadata_matches(registration->metadata, targets->where, targets->where_size))
		return NULL;
	return registration;
}

static void look_up(const struct request *request, struct targets *targets)
{
	for (size_t i = 0; i < targets->n; i++) {
		struct target *target = &targets->list[i];

		target->endpoint = targets->endpoint;
		target->registration = find_registration(request, targets, target);
	}
}

bool targets_read_one(struct request *request, const struct argument *id, const char *member,
		      struct endpoint *endpoint, struct targets *targets)
{
	size_t size;

	targets->endpoint = endpoint;
	if (!make_room(request, 1, id->size, targets))
		return false;
	if (id->type == JSON_NUMBER) {
		snprintf(targets->text, id->size + 1, "%.*s", (int)id->size, id->text);
	} else if (!read_id(request, member, NO_INDEX, id->type, id->text, id->size, targets->text, &size)) {
		targets_release(targets);
		return false;
	}
	targets->list[0].request_id = targets->text;
	targets->n = 1;
	look_up(request, targets);
	return true;
}

static bool read_where(struct request *request, const struct argument *where, struct targets *targets)
{
	struct json_cursor cursor;
	struct json_item item;
	size_t n = 0;

	if (!argument_given(where))
		return true;
	json_cursor_init(&cursor, where->text, where->size);
	while (json_cursor_next(&cursor, &item)) {
		if (item.type == JSON_OBJECT || item.type == JSON_ARRAY)
			return fault_member(&request->fault, "where",
					    "where compares text; an %s cannot be asked for",
					    json_type_text(item.type));
		if (++n > WHERE_MEMBERS_MAX)
			return fault_member(&request->fault, "where", "where has more than %d members",
					    WHERE_MEMBERS_MAX);
	}
	if (where->size > METADATA_MAX)
		return fault_member(&request->fault, "where", "where is longer than %d bytes", METADATA_MAX);
	targets->where = where->text;
	targets->where_size = where->size;
	return true;
}

static bool read_all(struct request *request, const struct argument *arguments, struct targets *targets)
{
	const struct argument *id = &arguments[TARGET_ID], *ids = &arguments[TARGET_IDS];

	if (argument_given(id) && argument_given(ids))
		return fault_member(&request->fault, "request_ids",
				    "name request_id or request_ids, not both");
	if (!read_where(request, &arguments[TARGET_WHERE], targets))
		return false;
	if ((argument_given(id) || argument_given(ids) || argument_given(&arguments[TARGET_ENDPOINT])) &&
	    !request_endpoint(request, &arguments[TARGET_ENDPOINT], &targets->endpoint))
		return false;
	if (argument_given(id))
		return targets_read_one(request, id, "request_id", targets->endpoint, targets);
	if (argument_given(ids)) {
		if (!read_ids(request, ids, targets))
			return false;
		look_up(request, targets);
	}
	return true;
}

bool targets_read(struct request *request, const struct argument *arguments, struct targets *ret_targets)
{
	struct targets targets = {0};

	if (!read_all(request, arguments, &targets)) {
		targets_release(&targets);
		return false;
	}
	*ret_targets = targets;
	return true;
}

struct result *target_not_registered(const struct request *request, const struct target *target)
{
	static const char *const sentences[] = {
		[GONE_NEVER] = "no such registration of yours",
		[GONE_ACKED] = "its outcome was acknowledged and is forgotten",
		[GONE_RETENTION] = "its outcome was kept for the retention time, which is over",
		[GONE_CANCELLED] = "it was cancelled, and that was kept for the retention time",
	};
	enum gone_reason reason = registry_gone_reason(request->commands->registry,
						       peer_identity(request->peer)->uid, target->endpoint,
						       target->request_id);
	char data[48];

	snprintf(data, sizeof(data), "\"reason\":\"%s\"", gone_reason_name(reason));
	return result_failed(error_new(ERROR_NOT_REGISTERED, CATEGORY_NONE, 0, sentences[reason], data),
			     loop_wall(request->commands->loop));
}

/* Searching. */

void search_init(struct search *search, const struct endpoint *endpoint, const char *where, size_t where_size,
		 size_t effort)
{
	struct json_cursor cursor;
	struct json_item item;

	*search = (struct search){
		.endpoint = endpoint,
		.where = where,
		.where_size = where_size,
		.effort_left = effort,
	};
	if (!where)
		return;
	json_cursor_init(&cursor, where, where_size);
	while (json_cursor_next(&cursor, &item))
		search->where_members++;
}

bool search_matches(struct search *search, const struct registration *registration)
{
	size_t effort = 2;
	bool matches = registration->phase != REGISTRATION_REMOVING &&
		       (!search->endpoint || registration->future->endpoint == search->endpoint);

	if (matches && search->where && registration->metadata)
		effort += (4 + strlen(registration->metadata) / 8) * search->where_members;
	search->effort_left -= effort < search->effort_left ? effort : search->effort_left;
	return matches && (!search->where ||
			   metadata_matches(registration->metadata, search->where, search->where_size));
}

bool targets_search(struct request *request, bool (*wanted)(const struct registration *registration),
		    struct targets *targets)
{
	struct owner *owner = registry_owner(request->commands->registry, peer_identity(request->peer)->uid);
	struct registration *registration;
	struct search search;
	size_t seen = 0;

	targets->list = calloc(FUTURES_PER_CALL, sizeof(*targets->list));
	if (!targets->list)
		return request_fault(request, PROTO_INTERNAL, "no memory");
	if (!owner)
		return true;
	search_init(&search, targets->endpoint, targets->where, targets->where_size, SEARCH_CALL_EFFORT);
	TAILQ_FOREACH (registration, &owner->registrations, in_owner) {
		if (!search.effort_left)
			return request_limit(
				request, (int64_t)seen,
				"more registrations than can be searched in one call; name the ids");
		seen++;
		if ((wanted && !wanted(registration)) || !search_matches(&search, registration))
			continue;
		if (targets->n == FUTURES_PER_CALL) {
			targets->more = true;
			return true;
		}
		targets->list[targets->n++] = (struct target){
			.endpoint = registration->future->endpoint,
			.request_id = registration->future->request_id,
			.registration = registration,
		};
	}
	return true;
}
