/*
 * One exchange: its easy handle, what came back, and how curl or the server ended it. What time does to it
 * lives in http_timeout.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/alloc.h"
#include "http_private.h"

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
	http_timeout_sent(transfer);
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
	http_timeout_received(transfer);
	if (size >= strlen("HTTP/") && strncasecmp(line, "HTTP/", strlen("HTTP/")) == 0)
		status_line(transfer, line, size);
	if (transfer->interim)
		return true;
	if (line[0] == '\r' || line[0] == '\n')
		transfer->header_complete = true;
	if (transfer->phase == TRANSFER_WAITING) {
		transfer->phase = TRANSFER_READING;
		http_timeout_answered(transfer);
	}
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
	http_timeout_received(transfer);
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
	transfer->was_held = false;
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
	http_timeout_started(transfer);
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
	if (http_timeout_may_hold_up(transfer))
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

void http_transfer_end(struct http_transfer *transfer, struct answer *answer)
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

/* curl's clock goes on while it is held, and so does the server's: whatever came of that, nothing has been
 * sent yet. */
static bool lost_its_time(const struct http_transfer *transfer)
{
	return transfer->phase == TRANSFER_CONNECTING && transfer->was_held;
}

static int begin_anew(struct http_transfer *transfer)
{
	http_transfer_remove(transfer);
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
		if (lost_its_time(transfer) && begin_anew(transfer) == 0)
			return;
		answer.transport_error = reason(transfer, code);
	}
	http_transfer_end(transfer, &answer);
}
