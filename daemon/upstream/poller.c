/*
 * The poller as a whole, and what each endpoint's polls go through: its pool, its credential, and how they
 * come and go. What a single poll does lives in poll.c.
 */
#include "poller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/alloc.h"
#include "poller_private.h"
#include "sys/complain.h"

static void upstream_capacity(void *context);

static const struct http_operations http_operations = {
	.sent = poll_sent,
	.body = poll_body,
	.done = poll_done,
	.capacity = upstream_capacity,
};

/* The poller. */

int poller_new(struct loop *loop, struct metrics *metrics, const struct poller_operations *operations,
	       void *context, uint64_t max_result_bytes, struct spool *spool, struct result_keeper *keeper,
	       struct poller **ret_poller)
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
	poller->place = (struct body_place){spool, keeper, operations->new_result_id, context};
	table_init(&poller->polls);
	LIST_INIT(&poller->upstreams);
	*ret_poller = poller;
	return 0;
}

void poller_set_max_result_bytes(struct poller *poller, uint64_t max_result_bytes)
{
	poller->max_result_bytes = max_result_bytes;
}

void poller_set_congested(struct poller *poller, bool congested)
{
	struct upstream *upstream;

	poller->congested = congested;
	LIST_FOREACH (upstream, &poller->upstreams, in_poller)
		http_hold(upstream->http, congested);
}

size_t poller_in_flight(const struct poller *poller)
{
	return poller->polls.count;
}

/* An upstream's life. */

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

void upstream_let_go(struct upstream *upstream)
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
	upstream_let_go(upstream);
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
	http_hold(upstream->http, poller->congested);
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
