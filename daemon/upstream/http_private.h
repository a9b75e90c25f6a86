/* What the files of http share: the pool and its transfers. Included by http*.c only. */
#ifndef TINKEX_UPSTREAM_HTTP_PRIVATE_H
#define TINKEX_UPSTREAM_HTTP_PRIVATE_H

#include <curl/curl.h>
#include <sys/queue.h>

#include "http.h"

#define HTTP_BUFFER_SIZE            16384 /* of curl, for what it receives and for what it sends; bytes */
#define HTTP_STREAMS_PER_CONNECTION 100   /* that we put on one HTTP/2 connection */

enum transfer_phase {
	TRANSFER_CONNECTING, /* until the request goes out: curl looks for a connection, or makes one */
	TRANSFER_WAITING,    /* sent, no byte of the answer's header yet */
	TRANSFER_READING,    /* its answer has begun: not to be given up any more */
};

/* One easy handle for life, and the exchange that it carries out at present. */
struct http_transfer {
	TAILQ_ENTRY(http_transfer) in_pool; /* http->active or http->idle */
	TAILQ_ENTRY(http_transfer) in_sent; /* http->sent, while sent_untold */
	struct http *http;
	CURL *easy;
	struct http_request request;
	struct timer timer; /* TIMER_TRANSFER */
	int64_t started;    /* handed to curl; this and the next are later by what was spent held since */
	int64_t sent_at, first_byte, last_byte;
	uint64_t body_bytes;
	uint32_t header_bytes;
	uint8_t phase;        /* enum transfer_phase */
	bool sent_untold : 1; /* `sent` is still to be told */
	bool sent_told : 1;
	bool interim : 1;         /* the present header is a 1xx */
	bool header_complete : 1; /* the empty line behind the final header was seen */
	bool enough : 1;          /* the reader wants no more of the body */
	bool repeated : 1;        /* it is on its second and last try */
	bool was_held : 1;        /* while it was connecting */
	bool reuse_refused : 1; /* curl wanted to repeat on another kept connection: we do it, on a fresh one
				 */
	char note[160];         /* what we know better than curl; "": nothing */
	char error[CURL_ERROR_SIZE]; /* curl writes here */
};
TAILQ_HEAD(http_transfers, http_transfer);

struct http {
	struct loop *loop;
	struct metrics *metrics;
	const struct http_operations *operations;
	void *context;
	CURLM *multi;
	struct timer timer; /* TIMER_CURL */
	struct http_transfers active, idle;
	LIST_HEAD(, http_socket) sockets; /* that curl wants to be watched */
	struct http_transfers sent;       /* whose `sent` is to be told when curl has returned */
	uint32_t n_sent;                  /* transfers that are WAITING or READING */
	uint32_t n_sockets;
	int64_t curl_due;    /* what curl wants its timer to be set to; TIME_NEVER: nothing */
	int64_t held_since;  /* if `held` */
	bool held;           /* curl is not called, but to take transfers in and out */
	uint32_t capacity;   /* as last told */
	int64_t progress_at; /* when a request last went out */
	unsigned version;    /* of the last answer */
	unsigned limits_for; /* the version that curl's limits were set for */
	bool tls;
	/* settings; strings owned */
	char *url, *user_agent, *ca_file, *proxy;
	bool allow_plain_http;
	uint32_t max_in_flight, max_connections;
	int64_t connect_timeout, max_body_time;
};

/* `when`, so that what has been spent held since then does not count. */
static inline int64_t http_shifted(int64_t when, int64_t held_since, int64_t now)
{
	return when + now - (when > held_since ? when : held_since);
}

/* http.c */
/* After every call of curl_multi_socket_action(): tells what has happened meanwhile. */
void http_settle(struct http *http);
/* Back to the idle ones. */
void http_recycle(struct http_transfer *transfer);

/* http_transfer.c */
/* A new easy handle with all that never changes; NULL without memory. */
struct http_transfer *http_transfer_new(struct http *http);
struct http_transfer *http_transfer_free(struct http_transfer *transfer);
/* Hands it to curl. 0 or negative errno. */
_must_check_ int http_transfer_begin(struct http_transfer *transfer, const struct http_request *request);
/* curl says that it is over: repeats it or tells its end. */
void http_transfer_over(struct http_transfer *transfer, CURLcode code);
/* Takes it away from curl and from the timers. */
void http_transfer_remove(struct http_transfer *transfer);
/* Time has ended it: removes it and tells so. `answer` says how. */
void http_transfer_end(struct http_transfer *transfer, struct answer *answer);

/* http_timeout.c: takes the times of a transfer, and sets its timer by them. */
void http_timeout_started(struct http_transfer *transfer);
void http_timeout_sent(struct http_transfer *transfer);
/* The first byte of the answer, after http_timeout_received(). */
void http_timeout_answered(struct http_transfer *transfer);
/* Bytes of the answer. */
void http_timeout_received(struct http_transfer *transfer);
/* Its timer fired. */
void http_timeout_fired(struct http_transfer *transfer, int64_t now);
/* The pool is no longer held. */
void http_timeout_released(struct http_transfer *transfer);
/* Its end may leave bytes of others lying in curl. */
bool http_timeout_may_hold_up(const struct http_transfer *transfer);

/* http_socket.c */
/* The callbacks for sockets, on a multi handle and on an easy one. */
void http_socket_watch(struct http *http);
void http_socket_prepare(struct http_transfer *transfer);
/* Watches the sockets or not, by http->held. */
void http_socket_hold(struct http *http);
/* In the next turn curl looks at every watched socket as if something had arrived. Harmless where nothing
 * has. Does nothing while held: a release does the same. */
void http_socket_nudge(struct http *http);

#endif
