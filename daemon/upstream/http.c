/*
 * The pool: curl's multi handle under the loop, who is idle and who is under way, the limits on connections,
 * and the order in which things are told. What a single exchange is lives in http_transfer.c.
 */
#include "http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/alloc.h"
#include "http_private.h"

static timer_handler on_curl_timer, on_transfer_timer;

int http_setup(struct loop *loop)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	timers_handle(loop_timers(loop), TIMER_CURL, on_curl_timer, NULL);
	timers_handle(loop_timers(loop), TIMER_TRANSFER, on_transfer_timer, NULL);
	return 0;
}

void http_teardown(void)
{
	curl_global_cleanup();
}

/* Adapters. */

static void on_curl_timer(void *context, struct timer *timer, int64_t now)
{
	struct http *http = container_of(timer, struct http, timer);
	int running;

	(void)context;
	(void)now;
	http->curl_due = TIME_NEVER;
	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	http_settle(http);
}

static void on_transfer_timer(void *context, struct timer *timer, int64_t now)
{
	(void)context;
	http_timeout_fired(container_of(timer, struct http_transfer, timer), now);
}

/* The only place that arms or disarms curl's timer. While held it is not to run: curl would read, too. */
static void arm_curl_timer(struct http *http)
{
	timers_set(loop_timers(http->loop), &http->timer, http->held ? TIME_NEVER : http->curl_due);
}

static int on_timeout(CURLM *multi, long timeout_ms, void *context)
{
	struct http *http = context;

	(void)multi;
	http->curl_due = timeout_ms < 0 ? TIME_NEVER : loop_now(http->loop) + timeout_ms * USEC_PER_MSEC;
	arm_curl_timer(http);
	return 0;
}

/* Limits. */

static uint32_t carried(const struct http *http)
{
	uint64_t polls = http->max_connections;

	if (http->version == 20)
		polls *= HTTP_STREAMS_PER_CONNECTION;
	return polls < http->max_in_flight ? (uint32_t)polls : http->max_in_flight;
}

/* HTTP/2 needs few connections, but curl would open one more whenever it finds all of them full for a moment.
 */
static uint32_t connection_limit(const struct http *http)
{
	uint32_t enough = (http->max_in_flight + HTTP_STREAMS_PER_CONNECTION - 1) /
				  HTTP_STREAMS_PER_CONNECTION +
			  1;

	return http->version == 20 && enough < http->max_connections ? enough : http->max_connections;
}

static void set_limits(struct http *http)
{
	long limit = (long)connection_limit(http);

	curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, limit);
	curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS, limit);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, limit);
	http->limits_for = http->version;
}

/* Answers say which HTTP the server speaks, and it may change: a proxy in front of it can be replaced. */
static void follow_version(struct http *http)
{
	uint32_t capacity = carried(http);

	if (http->limits_for != http->version)
		set_limits(http);
	if (capacity == http->capacity)
		return;
	http->capacity = capacity;
	http->operations->capacity(http->context);
}

void http_settle(struct http *http)
{
	struct http_transfer *transfer;
	CURLMsg *message;
	int left;

	follow_version(http);
	while ((transfer = TAILQ_FIRST(&http->sent))) {
		TAILQ_REMOVE(&http->sent, transfer, in_sent);
		transfer->sent_untold = false;
		transfer->sent_told = true;
		http->operations->sent(transfer->request.owner);
	}
	while ((message = curl_multi_info_read(http->multi, &left))) {
		CURLcode code = message->data.result; /* the message goes with its transfer */

		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		http_transfer_over(transfer, code);
	}
}

/* The pool. */

static void take_settings(struct http *http, const struct http_settings *settings)
{
	http->url = xstrdup(settings->url);
	http->user_agent = xstrdup(settings->user_agent);
	http->ca_file = xstrdup(settings->ca_file);
	http->proxy = xstrdup(settings->proxy);
	http->allow_plain_http = settings->allow_plain_http;
	http->max_in_flight = settings->max_in_flight;
	http->max_connections = settings->max_connections;
	http->connect_timeout = settings->connect_timeout;
	http->max_body_time = settings->max_body_time;
	http->tls = strncasecmp(settings->url, "https:", strlen("https:")) == 0;
}

int http_new(const struct http_settings *settings, struct loop *loop, struct metrics *metrics,
	     const struct http_operations *operations, void *context, struct http **ret_http)
{
	_cleanup_(http_freep) struct http *http = xnew(struct http);

	http->loop = loop;
	http->metrics = metrics;
	http->operations = operations;
	http->context = context;
	timer_init(&http->timer, TIMER_CURL);
	http->curl_due = TIME_NEVER;
	LIST_INIT(&http->sockets);
	TAILQ_INIT(&http->active);
	TAILQ_INIT(&http->idle);
	TAILQ_INIT(&http->sent);
	take_settings(http, settings);
	http->multi = curl_multi_init();
	if (!http->multi)
		return -ENOMEM;
	http_socket_watch(http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)HTTP_STREAMS_PER_CONNECTION);
	set_limits(http);
	http->capacity = carried(http);
	*ret_http = steal_pointer(http);
	return 0;
}

struct http *http_free(struct http *http)
{
	struct http_transfer *transfer;

	if (!http)
		return NULL;
	while ((transfer = TAILQ_FIRST(&http->active))) {
		http_transfer_remove(transfer);
		http_recycle(transfer);
	}
	while ((transfer = TAILQ_FIRST(&http->idle))) {
		TAILQ_REMOVE(&http->idle, transfer, in_pool);
		http_transfer_free(transfer);
	}
	curl_multi_cleanup(http->multi);
	timers_cancel(loop_timers(http->loop), &http->timer);
	free(http->url);
	free(http->user_agent);
	free(http->ca_file);
	free(http->proxy);
	free(http);
	return NULL;
}

int http_start(struct http *http, const struct http_request *request, struct http_transfer **ret_transfer)
{
	struct http_transfer *transfer = TAILQ_FIRST(&http->idle);
	int r;

	if (transfer)
		TAILQ_REMOVE(&http->idle, transfer, in_pool);
	else if (!(transfer = http_transfer_new(http)))
		return -ENOMEM;
	TAILQ_INSERT_TAIL(&http->active, transfer, in_pool);
	r = http_transfer_begin(transfer, request);
	if (r < 0) {
		http_recycle(transfer);
		return r;
	}
	*ret_transfer = transfer;
	return 0;
}

void http_recycle(struct http_transfer *transfer)
{
	struct http *http = transfer->http;

	TAILQ_REMOVE(&http->active, transfer, in_pool);
	/* The one used last is used next: its memory is warm. */
	TAILQ_INSERT_HEAD(&http->idle, transfer, in_pool);
}

bool http_abort(struct http_transfer *transfer)
{
	if (transfer->phase == TRANSFER_READING)
		return false;
	http_transfer_remove(transfer);
	http_recycle(transfer);
	return true;
}

static void release(struct http *http)
{
	struct http_transfer *transfer;

	http->progress_at = http_shifted(http->progress_at, http->held_since, loop_now(http->loop));
	TAILQ_FOREACH (transfer, &http->active, in_pool)
		http_timeout_released(transfer);
	/* There may be bytes that curl has read already. */
	http_socket_nudge(http);
}

void http_hold(struct http *http, bool held)
{
	if (held == http->held)
		return;
	http->held = held;
	if (held)
		http->held_since = loop_now(http->loop);
	http_socket_hold(http);
	arm_curl_timer(http);
	if (!held)
		release(http);
}

uint32_t http_capacity(const struct http *http)
{
	return http->capacity;
}

uint32_t http_connections(const struct http *http)
{
	return http->n_sockets;
}

unsigned http_version(const struct http *http)
{
	return http->version;
}
