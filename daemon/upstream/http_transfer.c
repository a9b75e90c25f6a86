/*
 * One exchange: its easy handle, its own timeouts, what came back, and whether it was curl, the server or the
 * time that ended it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/alloc.h"
#include "http_private.h"

/* What curl's own connect timeout is given beyond its time before we believe that it will never report. */
#define CONNECT_GRACE USEC_PER_SEC

/* How long a stream that has filled its buffer before may be silent until curl is asked to look once more. */
#define NUDGE_AFTER (100 * USEC_PER_MSEC)

static void arm(struct http_transfer *transfer, int64_t when)
{
	timers_set(loop_timers(transfer->http->loop), &transfer->timer, when);
}

static int64_t later(int64_t from, int64_t delay)
{
	return delay > TIME_NEVER - from ? TIME_NEVER : from + delay;
}

/* On HTTP/2 curl 7.88 stops reading its connection when the buffer of one stream is full, and may forget to
 * go on when that stream has taken its bytes or has ended: what it had read already, for this stream or
 * others, would lie there until the next byte comes from the server, which may be never. Only streams that
 * have filled a buffer do this to their connection. */
static bool may_hold_up_others(const struct http_transfer *transfer)
{
	return transfer->http->version == 20 &&
	       transfer->header_bytes + transfer->body_bytes >= HTTP_BUFFER_SIZE;
}

/* Sending. */

static void count_repeat(struct http_transfer *transfer)
{
	transfer->repeated = true;
	transfer->http->metrics->poll_repeats++;
}

static bool connection_was_kept(const struct http_transfer *transfer)
{
	long connects = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connects);
	return connects == 0;
}

/* The request had gone out, the kept connection died without an answer, and curl wants to try once more by
 * itself (as it would up to five times). That is the one repeat if it happens on a fresh connection; another
 * kept one may be as dead. */
static bool may_repeat_by_curl(struct http_transfer *transfer)
{
	if (transfer->repeated)
		return false;
	if (connection_was_kept(transfer) && transfer->http->version != 20) {
		transfer->reuse_refused = true;
		return false;
	}
	count_repeat(transfer);
	return true;
}

/* There is a connection, and the request is about to go out on it. false: it must not. */
static bool transfer_send(struct http_transfer *transfer)
{
	struct http *http = transfer->http;

	if (transfer->phase != TRANSFER_CONNECTING) {
		if (!may_repeat_by_curl(transfer))
			return false;
	} else {
		transfer->phase = TRANSFER_WAITING;
		http->n_sent++;
	}
	transfer->sent_at = http->progress_at = loop_now(http->loop);
	arm(transfer, later(transfer->sent_at, transfer->request.timeout));
	if (!transfer->sent_told && !transfer->sent_untold) {
		transfer->sent_untold = true;
		TAILQ_INSERT_TAIL(&http->sent, transfer, in_sent);
	}
	return true;
}

static int on_connected(void *context, char *address, char *local_address, int port, int local_port)
{
	(void)address;
	(void)local_address;
	(void)port;
	(void)local_port;
	return transfer_send(context) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

/* Receiving. */

/* "HTTP/1.1 200 OK" and "HTTP/2 200 ". */
static void status_line(struct http_transfer *transfer, const char *line, size_t size)
{
	struct http *http = transfer->http;
	const char *space = memchr(line, ' ', size);

	/* A 1xx is no answer yet: another header follows. */
	transfer->interim = space && space + 1 < line + size && space[1] == '1';
	transfer->header_complete = false;
	if (size > strlen("HTTP/1.1") && strncmp(line, "HTTP/1.", strlen("HTTP/1.")) == 0)
		http->version = line[strlen("HTTP/1.")] == '0' ? 10 : 11;
	else if (size > strlen("HTTP/2") && strncmp(line, "HTTP/2", strlen("HTTP/2")) == 0)
		http->version = 20;
}

static void transfer_answered(struct http_transfer *transfer)
{
	int64_t end = later(transfer->last_byte, transfer->http->max_body_time);

	transfer->phase = TRANSFER_READING;
	transfer->first_byte = transfer->last_byte;
	/* Else the timer is left as it is, and looks for itself how long ago the last byte came. */
	if (end < transfer->timer.when)
		arm(transfer, end);
}

static bool transfer_header(struct http_transfer *transfer, const char *line, size_t size)
{
	struct http *http = transfer->http;

	http->metrics->bytes_received += size;
	if (size > HTTP_HEADER_BYTES_MAX - transfer->header_bytes) {
		snprintf(transfer->note, sizeof(transfer->note),
			 "the answer's header is larger than %d bytes", HTTP_HEADER_BYTES_MAX);
		return false;
	}
	transfer->header_bytes += (uint32_t)size;
	transfer->last_byte = loop_now(http->loop);
	if (size >= strlen("HTTP/") && strncasecmp(line, "HTTP/", strlen("HTTP/")) == 0)
		status_line(transfer, line, size);
	if (transfer->interim)
		return true;
	if (line[0] == '\r' || line[0] == '\n')
		transfer->header_complete = true;
	if (transfer->phase == TRANSFER_WAITING)
		transfer_answered(transfer);
	return true;
}

static void describe_type(struct http_transfer *transfer, struct answer *answer)
{
	char *content_type = NULL;
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &content_type);
	answer->status = (unsigned)status;
	answer->content_type = content_type;
}

static bool transfer_body(struct http_transfer *transfer, char *data, size_t size)
{
	struct http *http = transfer->http;
	struct answer answer = {0};
	curl_off_t announced = -1;

	http->metrics->bytes_received += size;
	transfer->body_bytes += size;
	transfer->last_byte = loop_now(http->loop);
	if (may_hold_up_others(transfer) && transfer->timer.when > transfer->last_byte + NUDGE_AFTER)
		arm(transfer, transfer->last_byte + NUDGE_AFTER);
	describe_type(transfer, &answer);
	curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
	transfer->enough = !http->operations->body(transfer->request.owner, &answer, announced, data, size);
	return !transfer->enough;
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
	return transfer_header(context, data, size * count) ? size * count : 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	return !count || transfer_body(context, data, size * count) ? size * count : 0;
}

/* Beginning. */

/* 0, or the first refusal; only memory can be short, and what this curl was built without. */
static CURLcode set_security(CURL *easy, const struct http *http)
{
	const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
	CURLcode r;

	if ((r = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, http->tls ? "https" : "http")) ||
	    (r = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L)))
		return r;
	if (http->ca_file && (r = curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file)))
		return r;
	/* With our own file no other authority counts; and a store that comes from one file is read once and
	 * kept. */
	if (http->ca_file || curl->cainfo)
		r = curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	return r;
}

static CURLcode set_route(CURL *easy, const struct http *http)
{
	int64_t connect_ms = http->connect_timeout / USEC_PER_MSEC;
	long version = http->tls ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1;
	CURLcode r;

	if ((r = curl_easy_setopt(easy, CURLOPT_URL, http->url)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_USERAGENT, http->user_agent)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_ms ? connect_ms : 1))))
		return r;
	/* An empty name keeps curl from asking the environment, and so does an empty list of exceptions. */
	if (http->proxy || !http->tls) {
		if ((r = curl_easy_setopt(easy, CURLOPT_PROXY, http->proxy ? http->proxy : "")) ||
		    (r = curl_easy_setopt(easy, CURLOPT_NOPROXY, "")))
			return r;
	}
	return CURLE_OK;
}

static CURLcode set_mechanics(CURL *easy, struct http_transfer *transfer)
{
	CURLcode r;

	/* The smallest upload buffer that curl accepts: a poll's body is a line. */
	if ((r = curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)HTTP_BUFFER_SIZE)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)HTTP_BUFFER_SIZE)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L)) ||
	    (r = curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L)) || /* never wait for a resolver's thread */
	    (r = curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L)))
		return r;
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	http_socket_prepare(transfer);
	return CURLE_OK;
}

struct http_transfer *http_transfer_new(struct http *http)
{
	struct http_transfer *transfer = xnew(struct http_transfer);

	transfer->http = http;
	timer_init(&transfer->timer, TIMER_TRANSFER);
	transfer->easy = curl_easy_init();
	if (!transfer->easy || set_security(transfer->easy, http) || set_route(transfer->easy, http) ||
	    set_mechanics(transfer->easy, transfer))
		return http_transfer_free(transfer);
	return transfer;
}

struct http_transfer *http_transfer_free(struct http_transfer *transfer)
{
	if (!transfer)
		return NULL;
	curl_easy_cleanup(transfer->easy);
	free(transfer);
	return NULL;
}

static void forget_answer(struct http_transfer *transfer)
{
	transfer->phase = TRANSFER_CONNECTING;
	transfer->body_bytes = 0;
	transfer->header_bytes = 0;
	transfer->interim = transfer->header_complete = transfer->enough = transfer->reuse_refused = false;
	transfer->note[0] = '\0';
	transfer->error[0] = '\0';
}

/* One try: the first, or the repeat. */
static int attempt(struct http_transfer *transfer)
{
	struct http *http = transfer->http;
	const struct http_request *request = &transfer->request;
	CURL *easy = transfer->easy;

	forget_answer(transfer);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
	/* On HTTP/2 a fresh connection for one exchange would be one too many for all. */
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT,
			 request->fresh_connection && http->version != 20 ? 1L : 0L);
	/* Rather share a connection that is being made, unless the server cannot share. */
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT,
			 http->tls && (http->version == 0 || http->version == 20) ? 1L : 0L);
	if (curl_multi_add_handle(http->multi, easy) != CURLM_OK)
		return -ENOMEM;
	transfer->started = loop_now(http->loop);
	arm(transfer, later(transfer->started, http->connect_timeout + CONNECT_GRACE));
	return 0;
}

int http_transfer_begin(struct http_transfer *transfer, const struct http_request *request)
{
	transfer->request = *request;
	transfer->repeated = transfer->sent_told = false;
	return attempt(transfer);
}

/* Ending. */

void http_transfer_remove(struct http_transfer *transfer)
{
	struct http *http = transfer->http;

	curl_multi_remove_handle(http->multi, transfer->easy);
	timers_cancel(loop_timers(http->loop), &transfer->timer);
	if (transfer->sent_untold)
		TAILQ_REMOVE(&http->sent, transfer, in_sent);
	transfer->sent_untold = false;
	if (may_hold_up_others(transfer))
		http_socket_nudge(http);
	if (transfer->phase != TRANSFER_CONNECTING)
		http->n_sent--;
	transfer->phase = TRANSFER_CONNECTING;
	/* The request is no longer ours. */
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, NULL);
}

static const char *header_of(struct http_transfer *transfer, const char *name)
{
	struct curl_header *header;

	return curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK
		       ? header->value
		       : NULL;
}

static void describe(struct http_transfer *transfer, struct answer *answer)
{
	describe_type(transfer, answer);
	answer->retry_after = header_of(transfer, "Retry-After");
	answer->retry_after_ms = header_of(transfer, "Retry-After-Ms");
}

/* `answer` says how it ended; what came with it is added here. */
static void tell_end(struct http_transfer *transfer, struct answer *answer)
{
	struct http *http = transfer->http;
	int64_t held = 0;

	if (transfer->phase == TRANSFER_READING)
		held = transfer->first_byte - transfer->sent_at;
	else if (transfer->phase == TRANSFER_WAITING)
		held = loop_now(http->loop) - transfer->sent_at;
	http_transfer_remove(transfer);
	if (answer->transport_ok)
		describe(transfer, answer);
	http->operations->done(transfer->request.owner, answer, held);
	http_recycle(transfer);
}

/* curl 7.88 reports errors for HTTP/2 streams whose answers are there in full. */
static bool is_whole(const struct http_transfer *transfer, CURLcode code)
{
	curl_off_t announced = -1;

	if (code == CURLE_OK)
		return transfer->header_complete; /* a header cut short counts as success for it, too */
	if (code != CURLE_HTTP2 && code != CURLE_HTTP2_STREAM)
		return false;
	curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
	return transfer->header_complete && announced >= 0 && transfer->body_bytes == (uint64_t)announced;
}

static bool died_on_kept_connection(const struct http_transfer *transfer, CURLcode code)
{
	switch (code) {
	case CURLE_HTTP2:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
		return transfer->header_bytes == 0 && connection_was_kept(transfer);
	case CURLE_HTTP2_STREAM: /* on some good answers, too */
		return transfer->body_bytes == 0 && connection_was_kept(transfer);
	default:
		return transfer->reuse_refused;
	}
}

static int repeat(struct http_transfer *transfer)
{
	http_transfer_remove(transfer);
	count_repeat(transfer);
	transfer->request.fresh_connection = true;
	return attempt(transfer);
}

/* For people; what we know better than curl comes first. */
static const char *reason(const struct http_transfer *transfer, CURLcode code)
{
	if (transfer->note[0])
		return transfer->note;
	if (code == CURLE_OK)
		return "the answer ended within its header";
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return "the connection died without an answer, twice";
	return transfer->error[0] ? transfer->error : curl_easy_strerror(code);
}

void http_transfer_over(struct http_transfer *transfer, CURLcode code)
{
	struct answer answer = {.transport_ok = transfer->enough || is_whole(transfer, code)};

	if (!answer.transport_ok) {
		if (!transfer->repeated && died_on_kept_connection(transfer, code) && repeat(transfer) == 0)
			return;
		answer.transport_error = reason(transfer, code);
	}
	tell_end(transfer, &answer);
}

static void give_up(struct http_transfer *transfer, const char *what, int64_t after)
{
	struct answer answer = {.transport_error = transfer->note};

	snprintf(transfer->note, sizeof(transfer->note), "%s %lld ms", what,
		 (long long)(after / USEC_PER_MSEC));
	tell_end(transfer, &answer);
}

/* curl has its own connect timeout, but while one transfer makes a connection others may wait for it inside
 * curl, and each would get the full time in turn. */
static void connecting_timeout(struct http_transfer *transfer, int64_t now)
{
	struct http *http = transfer->http;
	int64_t patience = http->connect_timeout + CONNECT_GRACE;
	int64_t from = transfer->started > http->progress_at ? transfer->started : http->progress_at;

	if (http->n_sent) /* it waits for a free stream: that is no failure */
		arm(transfer, later(now, patience));
	else if (now < later(from, patience))
		arm(transfer, later(from, patience));
	else
		give_up(transfer, "no connection within", http->connect_timeout);
}

static void reading_timeout(struct http_transfer *transfer, int64_t now)
{
	int64_t silent = later(transfer->last_byte, transfer->request.timeout);
	int64_t end = later(transfer->first_byte, transfer->http->max_body_time);
	int64_t next = silent < end ? silent : end;

	if (now >= end) {
		give_up(transfer, "the answer was not complete after", transfer->http->max_body_time);
		return;
	}
	if (now >= silent) {
		give_up(transfer, "no further byte of the answer within", transfer->request.timeout);
		return;
	}
	if (may_hold_up_others(transfer)) {
		if (now - transfer->last_byte >= NUDGE_AFTER)
			http_socket_nudge(transfer->http);
		if (next > now + NUDGE_AFTER)
			next = now + NUDGE_AFTER;
	}
	arm(transfer, next);
}

void http_transfer_timeout(struct http_transfer *transfer, int64_t now)
{
	struct answer held = {.timed_out = true};

	switch ((enum transfer_phase)transfer->phase) {
	case TRANSFER_CONNECTING:
		connecting_timeout(transfer, now);
		break;
	case TRANSFER_WAITING:
		tell_end(transfer, &held);
		break;
	case TRANSFER_READING:
		reading_timeout(transfer, now);
		break;
	}
}
