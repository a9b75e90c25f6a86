#include "poller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <unistd.h>

#include "body.h"
#include "core/alloc.h"
#include "core/table.h"
#include "credential.h"
#include "http.h"
#include "request.h"
#include "sys/complain.h"

#define ERROR_BODY_MAX (1024 * 1024) /* bytes received of a body that is no result; the rest is dropped */

/* What one endpoint's polls share. After a reload the old one lives on until its last poll is over. */
struct upstream {
	LIST_ENTRY(upstream) in_poller;
	LIST_HEAD(, poll) polls;
	struct poller *poller;
	struct endpoint *endpoint; /* NULL: retired */
	bool replaced;             /* retired because another took its place */
	struct http *http;
	struct credential *credential;
	struct request_headers *headers; /* made of the key of `generation`; NULL: not yet */
	uint64_t generation;
	char **extra_headers; /* owned copy */
	bool skyrl;
};

/* One exchange for a future, which it knows by its id: it may be gone when the answer comes. */
struct poll {
	struct table_node by_future;
	LIST_ENTRY(poll) in_upstream;
	struct upstream *upstream;
	struct http_transfer *transfer;
	uint64_t future;
	uint64_t generation; /* of the key that it was sent with */
	struct request request;
	struct outcome_reader *reader; /* from the first byte of a body on */
	struct body body;              /* of what may be a result */
	bool too_large;
	bool no_memory;
};

struct poller {
	struct loop *loop;
	struct metrics *metrics;
	const struct poller_operations *operations;
	void *context;
	uint64_t max_result_bytes;
	struct table polls; /* by future */
	LIST_HEAD(, upstream) upstreams;
};

static void poll_sent(void *owner);
static bool poll_body(void *owner, const struct answer *answer, int64_t announced, char *data, size_t size);
static void poll_done(void *owner, const struct answer *answer, int64_t held);
static void upstream_capacity(void *context);

static const struct http_operations http_operations = {
	.sent = poll_sent,
	.body = poll_body,
	.done = poll_done,
	.capacity = upstream_capacity,
};

/* The poller. */

int poller_new(struct loop *loop, struct metrics *metrics, const struct poller_operations *operations,
	       void *context, uint64_t max_result_bytes, struct poller **ret_poller)
{
	struct poller *poller;
	int r = http_setup(loop);

	if (r < 0)
		return r;
	poller = xnew(struct poller);
	poller->loop = loop;
	poller->metrics = metrics;
	poller->operations = operations;
	poller->context = context;
	poller->max_result_bytes = max_result_bytes;
	table_init(&poller->polls);
	LIST_INIT(&poller->upstreams);
	*ret_poller = poller;
	return 0;
}

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

void poller_set_max_result_bytes(struct poller *poller, uint64_t max_result_bytes)
{
	poller->max_result_bytes = max_result_bytes;
}

size_t poller_in_flight(const struct poller *poller)
{
	return poller->polls.count;
}

/* A poll's life. */

static void reader_free(struct outcome_reader *reader)
{
	if (reader)
		outcome_reader_release(reader);
	free(reader);
}

static void poll_free(struct poll *poll)
{
	table_remove(&poll->upstream->poller->polls, &poll->by_future);
	LIST_REMOVE(poll, in_upstream);
	request_release(&poll->request);
	reader_free(poll->reader);
	body_release(&poll->body);
	free(poll);
}

static void extra_headers_free(char **headers)
{
	for (size_t i = 0; headers && headers[i]; i++) {
		explicit_bzero(headers[i], strlen(headers[i])); /* a token of a proxy, perhaps */
		free(headers[i]);
	}
	free(headers);
}

static char **extra_headers_copy(char *const *headers)
{
	char **copy;
	size_t n = 0;

	while (headers && headers[n])
		n++;
	copy = xreallocarray(NULL, n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(headers[i]);
	copy[n] = NULL;
	return copy;
}

static struct upstream *upstream_free(struct upstream *upstream)
{
	struct poll *poll;

	if (!upstream)
		return NULL;
	http_free(upstream->http);
	while ((poll = LIST_FIRST(&upstream->polls)))
		poll_free(poll);
	credential_free(upstream->credential);
	request_headers_unref(upstream->headers);
	extra_headers_free(upstream->extra_headers);
	free(upstream);
	return NULL;
}
DEFINE_FREEP(struct upstream, upstream_free)

static void upstream_destroy(void *object)
{
	upstream_free(object);
}

/* Retired and without polls: it goes, but not from under curl's feet. */
static void let_go(struct upstream *upstream)
{
	if (upstream->endpoint || !LIST_EMPTY(&upstream->polls))
		return;
	LIST_REMOVE(upstream, in_poller);
	loop_defer_free(upstream->poller->loop, upstream, upstream_destroy);
}

struct poller *poller_free(struct poller *poller)
{
	struct upstream *upstream;

	if (!poller)
		return NULL;
	while ((upstream = LIST_FIRST(&poller->upstreams))) {
		LIST_REMOVE(upstream, in_poller);
		if (upstream->endpoint)
			upstream->endpoint->upstream = NULL;
		upstream_free(upstream);
	}
	table_release(&poller->polls);
	free(poller);
	http_teardown();
	return NULL;
}

/* Endpoints. */

static void upstream_capacity(void *context)
{
	struct upstream *upstream = context;

	if (upstream->endpoint)
		upstream->endpoint->capacity = http_capacity(upstream->http);
}

static void on_key(void *context, bool have_key)
{
	struct upstream *upstream = context;
	struct poller *poller = upstream->poller;

	if (upstream->endpoint)
		poller->operations->key_changed(poller->context, upstream->endpoint, have_key);
}

/* What would fail every poll of the endpoint is said at once. */
static int check(const struct config_endpoint *config, char **ret_message)
{
	bool plain = strncasecmp(config->base_url, "http://", strlen("http://")) == 0;

	if (plain && config->proxy && !config->allow_plain_http)
		return complain(
			ret_message, -EINVAL,
			"endpoint %s: %s would go through the proxy in plain text: allow_plain_http = yes, "
			"or use https://",
			config->name, config->base_url);
	if (config->ca_file && access(config->ca_file, R_OK) < 0)
		return complain(ret_message, -errno, "endpoint %s: ca_file %s cannot be read: %s",
				config->name, config->ca_file, strerrordesc_np(errno));
	return 0;
}

static int make_http(struct upstream *upstream, const struct config_endpoint *config)
{
	struct http_settings settings = {
		.user_agent = "tinkexd/" TINKEX_VERSION,
		.ca_file = config->ca_file,
		.proxy = config->proxy,
		.allow_plain_http = config->allow_plain_http,
		.max_in_flight = config->max_in_flight,
		.max_connections = config->max_connections,
		.connect_timeout = config->connect_timeout,
		.max_body_time = config->max_body_time,
	};
	char *url;
	int r;

	if (asprintf(&url, "%s" REQUEST_PATH, config->base_url) < 0)
		return -ENOMEM;
	settings.url = url;
	r = http_new(&settings, upstream->poller->loop, upstream->poller->metrics, &http_operations, upstream,
		     &upstream->http);
	free(url);
	return r;
}

static void retire(struct upstream *upstream, bool replaced)
{
	if (!upstream)
		return;
	upstream->endpoint = NULL;
	upstream->replaced = replaced;
	let_go(upstream);
}

int poller_prepare(struct poller *poller, const struct config_endpoint *config,
		   struct upstream **ret_upstream, char **ret_message)
{
	_cleanup_(upstream_freep) struct upstream *upstream = xnew(struct upstream);
	int r = check(config, ret_message);

	if (r < 0)
		return r;
	LIST_INIT(&upstream->polls);
	upstream->poller = poller;
	upstream->skyrl = config->policy.skyrl;
	upstream->extra_headers = extra_headers_copy(config->extra_headers);
	r = credential_new(config, poller->loop, on_key, upstream, &upstream->credential, ret_message);
	if (r < 0)
		return r;
	r = make_http(upstream, config);
	if (r < 0)
		return complain(ret_message, r, "endpoint %s: %s", config->name, strerrordesc_np(-r));
	*ret_upstream = steal_pointer(upstream);
	return 0;
}

struct upstream *poller_discard(struct upstream *upstream)
{
	return upstream_free(upstream);
}

void poller_attach(struct poller *poller, struct endpoint *endpoint, struct upstream *upstream)
{
	retire(endpoint->upstream, true);
	upstream->endpoint = endpoint;
	endpoint->capacity = http_capacity(upstream->http);
	LIST_INSERT_HEAD(&poller->upstreams, upstream, in_poller);
	endpoint->upstream = upstream;
}

void poller_detach(struct poller *poller, struct endpoint *endpoint)
{
	(void)poller;
	retire(endpoint->upstream, false);
	endpoint->upstream = NULL;
}

bool poller_have_key(const struct endpoint *endpoint)
{
	const struct upstream *upstream = endpoint->upstream;

	return upstream && credential_present(upstream->credential);
}

void poller_status(const struct endpoint *endpoint, struct upstream_status *ret_status)
{
	const struct upstream *upstream = endpoint->upstream;

	*ret_status = (struct upstream_status){0};
	if (!upstream)
		return;
	ret_status->connections = http_connections(upstream->http);
	ret_status->http_version = http_version(upstream->http);
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
	if (!http_abort(poll->transfer))
		return false;
	upstream = poll->upstream;
	poll_free(poll);
	let_go(upstream);
	return true;
}

/* The answer. */

static void poll_sent(void *owner)
{
	struct poll *poll = owner;
	struct poller *poller = poll->upstream->poller;

	poller->operations->sent(poller->context, poll->future);
}

static void drop_body(struct poll *poll)
{
	body_release(&poll->body);
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
	uint64_t max = poll->upstream->poller->max_result_bytes, before = poll->reader->size;

	if (size > max || before > max - size || (announced >= 0 && (uint64_t)announced > max)) {
		poll->too_large = true;
		drop_body(poll);
		return false;
	}
	outcome_reader_feed(poll->reader, data, size);
	if (!poll->reader->json_ok && !poll->reader->opaque)
		drop_body(poll); /* it will be no result: the reader keeps what can be shown of it */
	else if (body_append(&poll->body, data, size, announced) < 0)
		poll->no_memory = true;
	return !poll->no_memory;
}

static bool poll_body(void *owner, const struct answer *answer, int64_t announced, char *data, size_t size)
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

static void understand(struct poll *poll, struct answer *answer, struct outcome *outcome,
		       struct poll_report *report)
{
	struct upstream *upstream = poll->upstream;

	answer->too_large = poll->too_large;
	answer->wall_now = report->wall;
	if (poll->no_memory) {
		answer->transport_ok = false;
		answer->transport_error = "no memory for the answer's body";
	}
	outcome_classify(answer, poll->reader, upstream->skyrl, upstream->poller->max_result_bytes, outcome);
	mask_key(poll, outcome);
	if (outcome->kind == OUTCOME_COMPLETED)
		report->result = result_ok(outcome->content, body_take(&poll->body, outcome->result),
					   report->wall);
	if (outcome->kind == OUTCOME_UNAUTHORISED)
		outcome->key_changed = key_changed(poll);
}

static void poll_done(void *owner, const struct answer *told, int64_t held)
{
	struct poll *poll = owner;
	struct upstream *upstream = poll->upstream;
	struct poller *poller = upstream->poller;
	struct poll_report report = {.held = held, .wall = loop_wall(poller->loop)};
	struct answer answer = *told;
	uint64_t future = poll->future;
	struct outcome outcome;

	understand(poll, &answer, &outcome, &report);
	/* Before it is told: what comes of it may be the next poll of the same future. */
	poll_free(poll);
	let_go(upstream);
	poller->operations->done(poller->context, future, &outcome, &report);
	outcome_release(&outcome);
	result_unref(report.result);
}
