/*
 * What time does to an exchange: how long it may take to go out, to be answered and to be silent. Time in
 * which the pool is held does not count. Whatever came over the wire is not looked at here.
 */
#include <stdio.h>

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
bool http_timeout_may_hold_up(const struct http_transfer *transfer)
{
	return transfer->http->version == 20 &&
	       transfer->header_bytes + transfer->body_bytes >= HTTP_BUFFER_SIZE;
}

/* When each phase ends if nothing happens. */

static int64_t patience(const struct http *http)
{
	return later(http->connect_timeout, CONNECT_GRACE);
}

static int64_t silence_end(const struct http_transfer *transfer)
{
	return later(transfer->last_byte, transfer->request.timeout);
}

static int64_t body_end(const struct http_transfer *transfer)
{
	return later(transfer->first_byte, transfer->http->max_body_time);
}

/* The next time to look at a transfer that is being read. */
static int64_t reading_look(const struct http_transfer *transfer, int64_t now)
{
	int64_t silent = silence_end(transfer), end = body_end(transfer);
	int64_t next = silent < end ? silent : end;

	return http_timeout_may_hold_up(transfer) && next > now + NUDGE_AFTER ? now + NUDGE_AFTER : next;
}

/* What happens to it. */

void http_timeout_started(struct http_transfer *transfer)
{
	transfer->started = loop_now(transfer->http->loop);
	arm(transfer, later(transfer->started, patience(transfer->http)));
}

void http_timeout_sent(struct http_transfer *transfer)
{
	transfer->sent_at = transfer->http->progress_at = loop_now(transfer->http->loop);
	arm(transfer, later(transfer->sent_at, transfer->request.timeout));
}

/* The timer is left as it is where it comes early enough: it looks for itself how long ago the last byte
 * came. */

void http_timeout_answered(struct http_transfer *transfer)
{
	transfer->first_byte = transfer->last_byte;
	if (body_end(transfer) < transfer->timer.when)
		arm(transfer, body_end(transfer));
}

void http_timeout_received(struct http_transfer *transfer)
{
	transfer->last_byte = loop_now(transfer->http->loop);
	if (http_timeout_may_hold_up(transfer) && transfer->timer.when > transfer->last_byte + NUDGE_AFTER)
		arm(transfer, transfer->last_byte + NUDGE_AFTER);
}

/* The timer. */

static void give_up(struct http_transfer *transfer, const char *what, int64_t after)
{
	struct answer answer = {.transport_error = transfer->note};

	snprintf(transfer->note, sizeof(transfer->note), "%s %lld ms", what,
		 (long long)(after / USEC_PER_MSEC));
	http_transfer_end(transfer, &answer);
}

/* curl has its own connect timeout, but while one transfer makes a connection others may wait for it inside
 * curl, and each would get the full time in turn. */
static void connecting_timeout(struct http_transfer *transfer, int64_t now)
{
	struct http *http = transfer->http;
	int64_t from = transfer->started > http->progress_at ? transfer->started : http->progress_at;

	if (http->n_sent) /* it waits for a free stream: that is no failure */
		arm(transfer, later(now, patience(http)));
	else if (now < later(from, patience(http)))
		arm(transfer, later(from, patience(http)));
	else
		give_up(transfer, "no connection within", http->connect_timeout);
}

static void reading_timeout(struct http_transfer *transfer, int64_t now)
{
	if (now >= body_end(transfer)) {
		give_up(transfer, "the answer was not complete after", transfer->http->max_body_time);
		return;
	}
	if (now >= silence_end(transfer)) {
		give_up(transfer, "no further byte of the answer within", transfer->request.timeout);
		return;
	}
	if (http_timeout_may_hold_up(transfer) && now - transfer->last_byte >= NUDGE_AFTER)
		http_socket_nudge(transfer->http);
	arm(transfer, reading_look(transfer, now));
}

void http_timeout_fired(struct http_transfer *transfer, int64_t now)
{
	struct answer no_answer = {.timed_out = true};

	if (transfer->http->held) /* the release arms it anew */
		return;
	switch ((enum transfer_phase)transfer->phase) {
	case TRANSFER_CONNECTING:
		connecting_timeout(transfer, now);
		break;
	case TRANSFER_WAITING:
		http_transfer_end(transfer, &no_answer);
		break;
	case TRANSFER_READING:
		reading_timeout(transfer, now);
		break;
	}
}

void http_timeout_released(struct http_transfer *transfer)
{
	int64_t since = transfer->http->held_since, now = loop_now(transfer->http->loop), next = now;

	transfer->started = http_shifted(transfer->started, since, now);
	transfer->sent_at = http_shifted(transfer->sent_at, since, now);
	transfer->first_byte = http_shifted(transfer->first_byte, since, now);
	transfer->last_byte = http_shifted(transfer->last_byte, since, now);
	switch ((enum transfer_phase)transfer->phase) {
	case TRANSFER_CONNECTING:
		transfer->was_held = true;
		next = later(transfer->started, patience(transfer->http));
		break;
	case TRANSFER_WAITING:
		next = later(transfer->sent_at, transfer->request.timeout);
		break;
	case TRANSFER_READING:
		next = reading_look(transfer, now);
		break;
	}
	/* Not in this turn: what has arrived meanwhile is read first. */
	arm(transfer, next > now ? next : now + 1);
}
