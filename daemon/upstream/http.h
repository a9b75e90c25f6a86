/*
 * A pool of HTTP exchanges with one URL: libcurl's multi interface on the loop. Opens no more connections
 * than it was told, keeps its own timeouts, repeats once what died on a connection that had been kept open,
 * and says how many exchanges its connections can carry. Knows no futures, no keys and no meaning of an
 * answer.
 *
 * A pool can be held: it then reads and writes nothing, and for its exchanges the time stands still.
 *
 * curl is never called from inside one of its callbacks, and nothing is told from inside of them but the
 * bytes of a body: the rest is told after curl has returned, an end only after the transfer was removed from
 * curl.
 */
#ifndef TINKEX_UPSTREAM_HTTP_H
#define TINKEX_UPSTREAM_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/metrics.h"
#include "core/outcome.h"
#include "proto/attributes.h"
#include "sys/loop.h"

struct curl_slist;
struct http;
struct http_transfer;

#define HTTP_HEADER_BYTES_MAX (256 * 1024) /* of an answer's header; a longer one is a network error */

/* Copied by http_new(). Times in microseconds. */
struct http_settings {
	const char *url;
	const char *user_agent;
	const char *ca_file;   /* NULL: the system's */
	const char *proxy;     /* NULL: none for http://, the environment's for https:// */
	bool allow_plain_http; /* http:// to addresses other than loopback ones */
	uint32_t max_in_flight, max_connections;
	int64_t connect_timeout; /* name, TCP and TLS together */
	int64_t max_body_time;   /* first byte to last byte */
};

/* Borrowed until the transfer is over. */
struct http_request {
	struct curl_slist *headers;
	const char *body; /* sent by POST */
	size_t body_size;
	int64_t timeout;       /* request sent to first byte, then the longest silence; microseconds */
	bool fresh_connection; /* honoured on HTTP/1.1, where a connection carries one exchange at a time */
	void *owner;           /* handed back by the operations below */
};

struct http_operations {
	/* The request goes out. Once for a transfer, however often it is repeated. */
	void (*sent)(void *owner);
	/* Bytes of the answer's body, which may be changed in place; of `answer` its status and content type
	 * are known, valid during the call. `announced`: bytes of the whole body by its Content-Length; -1:
	 * not told. From inside curl: must not call this module but for http_hold(). false: no more is
	 * wanted; the transfer ends, with answer->transport_ok. */
	bool (*body)(void *owner, const struct answer *answer, int64_t announced, char *data, size_t size);
	/* The transfer is over, and its request may be released. `answer` (without too_large and wall_now) is
	 * valid during the call. `held`: request sent to first byte or to giving up; 0 if it was never sent;
	 * microseconds. */
	void (*done)(void *owner, const struct answer *answer, int64_t held);
	/* http_capacity() changed. */
	void (*capacity)(void *context);
};

/* Once, before all else: curl's global state and the handlers of the two kinds of timers. 0 or negative
 * errno. */
_must_check_ int http_setup(struct loop *loop);
/* After the last http_free(). */
void http_teardown(void);

/* Opens no connection yet. 0 or negative errno. `operations` and `metrics` outlive it; `context` is for
 * `capacity`. */
_must_check_ int http_new(const struct http_settings *settings, struct loop *loop, struct metrics *metrics,
			  const struct http_operations *operations, void *context, struct http **ret_http);
/* Drops what is in flight without a word. Not from inside `body`. Never waits, not even for a resolver. */
struct http *http_free(struct http *http);
DEFINE_FREEP(struct http, http_free)

/* Hands it to curl, which starts in the next turn: nothing is told from inside this call. 0 or negative
 * errno. */
_must_check_ int http_start(struct http *http, const struct http_request *request,
			    struct http_transfer **ret_transfer);
/* Ends a transfer without a word, unless its answer has begun: then false, and it goes on. Not from inside
 * `body`. */
bool http_abort(struct http_transfer *transfer);

/* While held, no socket is served and no timeout runs. From inside `body`, what curl reads in the call that
 * it is in still comes: up to a hundred of its buffers for each transfer that it comes across. What is
 * started meanwhile goes out afterwards. The same twice does nothing. May be called from anywhere. */
void http_hold(struct http *http, bool held);

/* How many exchanges the connections can carry: max_connections until HTTP/2 has been seen. */
uint32_t http_capacity(const struct http *http);
/* Sockets open now. */
uint32_t http_connections(const struct http *http);
/* Of the last answer: 0 (none yet), 10, 11, 20. */
unsigned http_version(const struct http *http);
/* "127.0.0.1", "::1" and the like. */
bool http_address_is_loopback(const struct sockaddr *address);

#endif
