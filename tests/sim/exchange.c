/* Carrying out answers; see exchange.h. */
#include "exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

enum { PIECE = 128 * 1024 }; /* of a body, in memory at a time */

struct exchange *exchange_new(struct exchanges *all, struct conn *conn, bool keep_alive)
{
	struct exchange *exchange = calloc(1, sizeof *exchange);

	if (!exchange)
		return NULL;
	exchange->all = all;
	exchange->conn = conn;
	exchange->keep_alive = keep_alive;
	exchange->outcome = POLL_ANSWERED;
	conn->exchange = exchange;
	return exchange;
}

int exchange_set_poll(struct exchange *exchange, struct poll *poll, const char *id)
{
	exchange->poll = poll;
	exchange->all->changed(exchange->all->changed_arg);
	if (!id)
		return 0;
	exchange->id = strdup(id);
	return exchange->id ? 0 : -ENOMEM;
}

/* Frees the exchange; its connection goes on to the next request unless it was closed. */
static void finish(struct exchange *exchange, enum poll_outcome outcome)
{
	struct exchanges *all = exchange->all;
	struct conn *conn = exchange->conn;

	if (exchange->in_held)
		TAILQ_REMOVE(&all->held, exchange, link);
	if (exchange->poll) {
		ledger_poll_end(all->ledger, exchange->poll, outcome, exchange->body_sent);
		all->changed(all->changed_arg);
	}
	if (exchange->timer)
		event_free(exchange->timer);
	answer_unref(exchange->answer);
	free(exchange->id);
	free(exchange);
	conn_next(conn);
}

/* Ends exchange and connection at once. */
static void break_off(struct exchange *exchange, enum poll_outcome outcome, enum conn_end how)
{
	struct conn *conn = exchange->conn;

	conn_close(conn, how);
	finish(exchange, outcome);
}

void exchange_reset(struct exchange *exchange)
{
	break_off(exchange, POLL_RESET, CONN_RESET);
}

void exchange_gone(struct exchange *exchange)
{
	if (exchange->stage == EXCHANGE_OPEN && exchange->gone)
		exchange->gone(exchange, exchange->gone_arg);
	finish(exchange, POLL_ABORTED);
}

static void go_on(struct exchange *exchange);

static void on_timer(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	go_on(arg);
}

static void wait_for(struct exchange *exchange, uint64_t us)
{
	struct timeval delay = clock_timeval(us);

	if (!exchange->timer)
		exchange->timer = evtimer_new(exchange->all->base, on_timer, exchange);
	if (!exchange->timer || event_add(exchange->timer, &delay) < 0)
		exchange_reset(exchange);
}

/* Everything is queued: once written, the connection goes on, or ends in the way the answer wants. */
static void write_out(struct exchange *exchange)
{
	const struct answer *answer = exchange->answer;
	bool close = exchange->outcome != POLL_ANSWERED || !exchange->keep_alive ||
		     answer->connection_close || answer->close_after || answer->until_close;

	exchange->stage = EXCHANGE_LAST;
	if (conn_flush(exchange->conn) != 1)
		return; /* later, or gone */
	if (close)
		break_off(exchange, exchange->outcome, exchange->end);
	else
		finish(exchange, exchange->outcome);
}

static bool has_body(const struct answer *answer)
{
	return answer->status >= 200 && answer->status != 204 && answer->status != 304;
}

static void write_head(struct exchange *exchange)
{
	const struct answer *answer = exchange->answer;
	struct evbuffer *out = exchange->conn->out;

	evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n%s", answer->status,
			    answer->reason ? answer->reason : http_reason(answer->status), answer->fields);
	if (answer->connection_close || (!exchange->keep_alive && !answer->close_after))
		evbuffer_add(out, "Connection: close\r\n", 19);
	if (!has_body(answer) || answer->until_close)
		evbuffer_add(out, "\r\n", 2);
	else if (answer->chunked)
		evbuffer_add(out, "Transfer-Encoding: chunked\r\n\r\n", 30);
	else
		evbuffer_add_printf(out, "Content-Length: %llu\r\n\r\n",
				    (unsigned long long)answer->body_size);
}

static void start_body(struct exchange *exchange)
{
	const struct answer *answer = exchange->answer;
	uint64_t size = has_body(answer) ? answer->body_size : 0;

	if (answer->generated)
		body_generate(&exchange->body, exchange->id ? exchange->id : "", size);
	else
		body_from_bytes(&exchange->body, answer->body, size);
	exchange->body_left = size;
	exchange->paced = answer->slow_chunk > 0;
	if (answer->truncate >= 0) {
		if ((uint64_t)answer->truncate < size)
			exchange->body_left = (uint64_t)answer->truncate;
		exchange->outcome = POLL_TRUNCATED;
		exchange->end = answer->reset ? CONN_RESET : CONN_FIN;
	}
	exchange->stage = EXCHANGE_BODY;
}

/* Queues the next piece, at most `most` bytes of body. 0 or -ENOMEM. */
static int queue_piece(struct exchange *exchange, uint64_t most)
{
	struct evbuffer *out = exchange->conn->out;
	bool chunked = exchange->answer->chunked && has_body(exchange->answer);
	struct evbuffer_iovec room;
	size_t n = (size_t)(exchange->body_left < most ? exchange->body_left : most);

	if (n > 0) {
		if (chunked)
			evbuffer_add_printf(out, "%zx\r\n", n);
		if (evbuffer_reserve_space(out, (ev_ssize_t)n, &room, 1) != 1)
			return -ENOMEM;
		room.iov_len = body_read(&exchange->body, room.iov_base, n);
		if (evbuffer_commit_space(out, &room, 1) < 0)
			return -ENOMEM;
		if (chunked)
			evbuffer_add(out, "\r\n", 2);
		exchange->body_left -= n;
		exchange->body_sent += n;
	}
	if (exchange->body_left == 0 && chunked && exchange->outcome == POLL_ANSWERED)
		evbuffer_add(out, "0\r\n\r\n", 5);
	return 0;
}

/* One piece a turn of the loop (or of the timer), so that large bodies do not keep others waiting. */
static void write_body(struct exchange *exchange)
{
	const struct answer *answer = exchange->answer;

	if (queue_piece(exchange, exchange->paced ? answer->slow_chunk : PIECE) < 0) {
		exchange_reset(exchange);
		return;
	}
	if (exchange->body_left == 0) {
		write_out(exchange);
		return;
	}
	if (conn_flush(exchange->conn) < 0)
		return;
	if (exchange->paced)
		wait_for(exchange, answer->slow_interval_us);
	else
		conn_call_when_writable(exchange->conn);
}

static void start_response(struct exchange *exchange)
{
	const struct answer *answer = exchange->answer;
	struct evbuffer *out = exchange->conn->out;

	if (exchange->poll)
		ledger_poll_answering(exchange->poll);
	write_head(exchange);
	if (answer->truncate_head >= 0) {
		size_t size = evbuffer_get_length(out), keep = (size_t)answer->truncate_head;
		char *head = keep < size ? malloc(keep + 1) : NULL;

		if (head) {
			evbuffer_remove(out, head, keep);
			evbuffer_drain(out, size - keep);
			evbuffer_add(out, head, keep);
			free(head);
		}
		exchange->outcome = POLL_TRUNCATED;
		exchange->end = answer->reset ? CONN_RESET : CONN_FIN;
		write_out(exchange);
		return;
	}
	start_body(exchange);
	if (answer->body_delay_us > 0) {
		exchange->stage = EXCHANGE_HEAD;
		if (conn_flush(exchange->conn) >= 0)
			wait_for(exchange, answer->body_delay_us);
		return;
	}
	write_body(exchange);
}

/* The delay is over. */
static void start(struct exchange *exchange)
{
	const struct answer *answer = exchange->answer;
	bool later_end = answer->truncate >= 0 || answer->truncate_head >= 0;

	if (answer->reset && !later_end) {
		exchange_reset(exchange);
	} else if (answer->close && !later_end) {
		break_off(exchange, POLL_CLOSED, CONN_FIN);
	} else if (answer->garbage) {
		exchange->outcome = POLL_GARBAGE;
		evbuffer_add(exchange->conn->out, answer->garbage, answer->garbage_size);
		write_out(exchange);
	} else {
		start_response(exchange);
	}
}

static void go_on(struct exchange *exchange)
{
	switch (exchange->stage) {
	case EXCHANGE_OPEN:
	case EXCHANGE_HELD:
		return;
	case EXCHANGE_DELAYED:
		start(exchange);
		return;
	case EXCHANGE_HEAD:
		exchange->stage = EXCHANGE_BODY;
		write_body(exchange);
		return;
	case EXCHANGE_BODY:
		write_body(exchange);
		return;
	case EXCHANGE_LAST:
		write_out(exchange);
		return;
	}
}

void exchange_drained(struct exchange *exchange)
{
	bool own_time = exchange->stage == EXCHANGE_HEAD || exchange->paced;

	/* Nothing more is queued before the last piece is out: that bounds the memory of a large body. A
	 * paced body, or one that is delayed after its head, goes on when its timer says so. */
	if (conn_flush(exchange->conn) == 1 && (!own_time || exchange->stage == EXCHANGE_LAST))
		go_on(exchange);
}

static void begin(struct exchange *exchange)
{
	exchange->stage = EXCHANGE_DELAYED;
	if (exchange->answer->delay_us > 0)
		wait_for(exchange, exchange->answer->delay_us);
	else
		start(exchange);
}

void exchange_answer(struct exchange *exchange, struct answer *answer, int index)
{
	if (!answer) {
		exchange_reset(exchange);
		return;
	}
	exchange->answer = answer;
	exchange->gone = NULL;
	if (exchange->poll)
		ledger_poll_answer(exchange->poll, answer->status, index);
	if (answer->never || answer->until_release) {
		exchange->stage = EXCHANGE_HELD;
		if (!answer->never) {
			exchange->in_held = true;
			TAILQ_INSERT_TAIL(&exchange->all->held, exchange, link);
		}
		return;
	}
	begin(exchange);
}

unsigned exchanges_release(struct exchanges *all, const char *id)
{
	struct exchange_list going = TAILQ_HEAD_INITIALIZER(going);
	struct exchange *exchange = TAILQ_FIRST(&all->held);
	unsigned released = 0;

	while (exchange) {
		struct exchange *next = TAILQ_NEXT(exchange, link);

		if (!id || (exchange->id && strcmp(exchange->id, id) == 0)) {
			TAILQ_REMOVE(&all->held, exchange, link);
			TAILQ_INSERT_TAIL(&going, exchange, link);
			exchange->in_held = false;
		}
		exchange = next;
	}
	while ((exchange = TAILQ_FIRST(&going))) {
		TAILQ_REMOVE(&going, exchange, link);
		released++;
		begin(exchange);
	}
	return released;
}
