#include "row.h"

#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"

static struct row *row_with_texts(enum row_kind kind, uint64_t id, size_t texts)
{
	struct row *row = xzalloc(sizeof(*row) + texts);

	row->kind = kind;
	row->id = id;
	return row;
}

struct row *row_new(enum row_kind kind, uint64_t id)
{
	return row_with_texts(kind, id, 0);
}

void row_free(struct row *row)
{
	result_unref(row->result);
	blob_unref(row->body);
	free(row);
}

/* Copies a text to *at, which moves on. NULL stays NULL. */
static const char *copy_text(char **at, const char *text)
{
	char *copy = *at;

	if (!text)
		return NULL;
	*at = stpcpy(copy, text) + 1;
	return copy;
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

struct row *row_new_save(const struct registration *registration, int64_t wall_offset)
{
	const struct future *future = registration->future;
	const char *endpoint = future->endpoint->name;
	struct row *row = row_with_texts(ROW_SAVE, registration->id,
					 text_size(endpoint) + text_size(future->request_id) +
						 text_size(future->request_type) +
						 text_size(registration->metadata));
	char *at = row->texts;

	row->begins = !registration->result;
	row->registration = (struct stored_registration){
		.id = registration->id,
		.uid = registration->owner->uid,
		.endpoint = copy_text(&at, endpoint),
		.request_id = copy_text(&at, future->request_id),
		.request_type = copy_text(&at, future->request_type),
		.metadata = copy_text(&at, registration->metadata),
		.create_roundtrip_ms = future->create_roundtrip_ms,
		.registered_wall = registration->registered_wall,
		.deadline = registration->deadline,
		.poll_timeout = registration->poll_timeout,
		.http_timeout = registration->http_timeout,
		.backoff_initial = registration->backoff_initial,
		.backoff_max = registration->backoff_max,
		.delivered_wall = registration->delivered,
		.on_network_error = registration->on_network_error,
		.on_server_failure = registration->on_server_failure,
		.accept_protobuf = future->accept_protobuf,
		.linked = registration->links,
		.deadline_is_max_age = registration->deadline_is_max_age,
	};
	if (registration->deadline != TIME_NEVER)
		row->deadline_wall = registration->deadline + wall_offset;
	return row;
}
