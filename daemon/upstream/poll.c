/*
 * One poll from its request to its end. A result that is in memory is told at once, one in a file when the
 * file is durable: until then the poll stays in the poller's tables, although its transfer is over.
 */
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "poller_private.h"

#define ERROR_BODY_MAX (1024 * 1024) /* bytes received of a body that is no result; the rest is dropped */

static struct poll *find_poll(const struct poller *poller, uint64_t future)
{
	struct table_node *node = table_find(&poller->polls, hash_u64(future));

	for (; node; node = table_find_next(node)) {
		struct poll *poll = container_of(node, struct poll, by_future);

		if (poll->future == future)
			return poll;
	}
	return NULL;
}

static void reader_free(struct outcome_reader *reader)
{
	if (reader)
		outcome_reader_release(reader);
	free(reader);
}

void poll_free(struct poll *poll)
{
	table_remove(&poll->upstream->poller->polls, &poll->by_future);
	LIST_REMOVE(poll, in_upstream);
	request_release(&poll->request);
	reader_free(poll->reader);
	body_release(&poll->body);
	if (poll->end)
		outcome_release(&poll->end->outcome);
	free(poll->end);
	free(poll);
}

/* Starting. */

/* The headers with the present key. NULL: there is none. */
static struct request_headers *present_headers(struct upstream *upstream)
{
	const char *line = credential_header(upstream->credential);
	uint64_t generation = credential_generation(upstream->credential);

	if (!line)
		return NULL;
	if (!upstream->headers || upstream->generation != generation) {
		request_headers_unref(upstream->headers);
		upstream->headers = request_headers_new(line, upstream->extra_headers);
		upstream->generation = generation;
	}
	return upstream->headers;
}

static struct poll *poll_new(struct upstream *upstream, const struct poll_request *request,
			     struct request_headers *headers)
{
	struct poller *poller = upstream->poller;
	struct poll *poll = xnew(struct poll);

	if (request_build(&poll->request, request, headers) < 0) {
		free(poll);
		return NULL;
	}
	poll->upstream = upstream;
	poll->future = request->future;
	poll->generation = upstream->generation;
	table_insert(&poller->polls, &poll->by_future, hash_u64(poll->future));
	LIST_INSERT_HEAD(&upstream->polls, poll, in_upstream);
	return poll;
}

bool poller_start(struct poller *poller, const struct poll_request *request)
{
	struct upstream *upstream = request->endpoint->upstream;
	struct request_headers *headers = upstream ? present_headers(upstream) : NULL;
	struct http_request exchange = {.timeout = request->http_timeout,
					.fresh_connection = request->fresh_connection};
	struct poll *poll;

	/* Two at a time could take the result from each other. */
	if (!headers || find_poll(poller, request->future))
		return false;
	poll = poll_new(upstream, request, headers);
	if (!poll)
		return false;
	exchange.headers = poll->request.list;
	exchange.body = poll->request.body;
	exchange.body_size = poll->request.body_size;
	exchange.owner = poll;
	if (http_start(upstream->http, &exchange, &poll->transfer) < 0) {
		poll_free(poll);
		return false;
	}
	return true;
}

bool poller_abort(struct poller *poller, uint64_t future)
{
	struct poll *poll = find_poll(poller, future);
	struct upstream *upstream;

	if (!poll)
		return true;
	if (!poll->transfer || !http_abort(poll->transfer))
		return false;
	upstream = poll->upstream;
	poll_free(poll);
	upstream_let_go(upstream);
	return true;
}

/* The answer. */

void poll_sent(void *owner)
{
	struct poll *poll = owner;
	struct poller *poller = poll->upstream->poller;

	poller->operations->sent(poller->context, poll->future);
}

static bool ensure_reader(struct poll *poll, const struct answer *answer)
{
	if (poll->reader)
		return true;
	poll->reader = malloc(sizeof(*poll->reader));
	if (!poll->reader)
		return false;
	outcome_reader_init(poll->reader, answer);
	return true;
}

/* A result: read as it passes, and kept. */
static bool take_result(struct poll *poll, int64_t announced, char *data, size_t size)
{
	const struct poller *poller = poll->upstream->poller;
	uint64_t max = poller->max_result_bytes, before = poll->reader->size;

	if (size > max || before > max - size || (announced >= 0 && (uint64_t)announced > max)) {
		poll->too_large = true;
		body_release(&poll->body);
		return false;
	}
	outcome_reader_feed(poll->reader, data, size);
	if (!poll->reader->json_ok && !poll->reader->opaque)
		body_release(&poll->body); /* no result: the reader keeps what can be shown of it */
	else if (body_append(&poll->body, &poller->place, data, size, announced) < 0)
		poll->no_memory = true;
	if (poll->no_memory)
		body_release(&poll->body);
	return !poll->no_memory;
}

bool poll_body(void *owner, const struct answer *answer, int64_t announced, char *data, size_t size)
{
	struct poll *poll = owner;

	if (!ensure_reader(poll, answer)) {
		poll->no_memory = true;
		return false;
	}
	if (answer_is_success(answer))
		return take_result(poll, announced, data, size);
	outcome_reader_feed(poll->reader, data, size);
	return poll->reader->size < ERROR_BODY_MAX;
}

/* Is the key that would be sent now another one than this poll was sent with? */
static bool key_changed(struct poll *poll)
{
	struct upstream *upstream = poll->upstream;

	if (upstream->replaced) /* by one whose key may be another: the poll deserves a try with that */
		return true;
	credential_reload(upstream->credential);
	return credential_present(upstream->credential) &&
	       credential_generation(upstream->credential) != poll->generation;
}

/* A server may repeat the key in what it complains of. */
static void mask_key(struct poll *poll, struct outcome *outcome)
{
	const struct request_headers *headers = poll->request.shared;

	request_headers_mask(headers, outcome->reason);
	if (outcome->error) { /* made just now: nobody else has it yet */
		request_headers_mask(headers, outcome->error->message);
		request_headers_mask(headers, outcome->error->data);
	}
}

static void understand(struct poll *poll, const struct answer *told, int64_t wall,
		       struct outcome *ret_outcome)
{
	struct upstream *upstream = poll->upstream;
	struct answer answer = *told;

	answer.too_large = poll->too_large;
	answer.wall_now = wall;
	if (poll->no_memory) {
		answer.transport_ok = false;
		answer.transport_error = "no memory for the answer's body";
	}
	outcome_classify(&answer, poll->reader, upstream->skyrl, upstream->poller->max_result_bytes,
			 ret_outcome);
	mask_key(poll, ret_outcome);
	if (ret_outcome->kind == OUTCOME_UNAUTHORISED)
		ret_outcome->key_changed = key_changed(poll);
}

/* The end. Takes over the outcome's error and the report's result. */
static void tell(struct poll *poll, struct outcome *outcome, struct poll_report *report)
{
	struct upstream *upstream = poll->upstream;
	struct poller *poller = upstream->poller;
	uint64_t future = poll->future;

	if (outcome->kind == OUTCOME_COMPLETED)
		report->result = body_result(&poll->body, &poller->place, outcome->content, outcome->result,
					     report->wall);
	/* Before it is told: what comes of it may be the next poll of the same future. */
	poll_free(poll);
	upstream_let_go(upstream);
	poller->operations->done(poller->context, future, outcome, report);
	outcome_release(outcome);
	result_unref(report->result);
}

static void on_durable(void *context)
{
	struct poll *poll = context;
	struct poll_end *end = steal_pointer(poll->end);

	tell(poll, &end->outcome, &end->report);
	free(end);
}

void poll_done(void *owner, const struct answer *told, int64_t held)
{
	struct poll *poll = owner;
	struct poll_report report = {.held = held, .wall = loop_wall(poll->upstream->poller->loop)};
	struct outcome outcome;

	poll->transfer = NULL;
	understand(poll, told, report.wall, &outcome);
	if (outcome.kind != OUTCOME_COMPLETED || !body_in_file(&poll->body)) {
		tell(poll, &outcome, &report);
		return;
	}
	poll->end = xnew(struct poll_end);
	*poll->end = (struct poll_end){outcome, report};
	reader_free(steal_pointer(poll->reader));
	body_finish(&poll->body, on_durable, poll);
}
