/*
 * What an answer of the server meant. Pure: it is handed what came over the wire and says which of the known
 * outcomes it is. It decides nothing: what follows from an outcome is policy. The body has been seen by an
 * outcome_reader as it arrived.
 */
#ifndef TINKEX_CORE_OUTCOME_H
#define TINKEX_CORE_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "outcome_reader.h"
#include "result.h"

/* X(constant, name for logs, metrics and last outcomes) */
#define OUTCOMES(X)                                                                                          \
	X(OUTCOME_COMPLETED, "completed")                                                                    \
	X(OUTCOME_METADATA, "metadata")                                                                      \
	X(OUTCOME_PENDING, "pending")                                                                        \
	X(OUTCOME_TRY_AGAIN, "try_again")                                                                    \
	X(OUTCOME_NO_ANSWER, "no_answer")             /* the server held the poll past the HTTP timeout */   \
	X(OUTCOME_REQUEST_TIMEOUT, "request_timeout") /* 408 */                                              \
	X(OUTCOME_FAILED_USER, "failed_user")                                                                \
	X(OUTCOME_FAILED, "failed") /* category server, provider, unknown */                                 \
	X(OUTCOME_NETWORK, "network")                                                                        \
	X(OUTCOME_VALIDATION, "validation")                                                                  \
	X(OUTCOME_TOO_LARGE, "too_large")                       /* larger than max_result_bytes */           \
	X(OUTCOME_RATE_LIMITED, "rate_limited")                 /* 429 */                                    \
	X(OUTCOME_SERVER_ERROR, "server_error")                 /* 5xx */                                    \
	X(OUTCOME_SERVER_ERROR_UNKNOWN, "server_error_unknown") /* 500 {"detail":"Unknown error"} */         \
	X(OUTCOME_BAD_REQUEST_EMPTY, "bad_request_empty")       /* 400 without a body */                     \
	X(OUTCOME_BAD_REQUEST, "bad_request")                   /* 400 with a body */                        \
	X(OUTCOME_BAD_REQUEST_DETAIL, "bad_request_detail")     /* 400 {"detail": M} */                      \
	X(OUTCOME_UNAUTHORISED, "unauthorised")                 /* 401 */                                    \
	X(OUTCOME_PAYMENT_REQUIRED, "payment_required")         /* 402 */                                    \
	X(OUTCOME_FORBIDDEN, "forbidden")                       /* 403 */                                    \
	X(OUTCOME_NOT_FOUND, "not_found")                       /* 404 */                                    \
	X(OUTCOME_GONE, "gone")                                 /* 410 */                                    \
	X(OUTCOME_OTHER_STATUS, "other_status")                 /* 1xx, 3xx, other 4xx, beyond 5xx */
enum outcome_kind {
#define X(constant, name) constant,
	OUTCOMES(X)
#undef X
		OUTCOME_COUNT
};
const char *outcome_kind_name(enum outcome_kind kind);

enum queue_state { QUEUE_NONE, QUEUE_ACTIVE, QUEUE_PAUSED_RATE_LIMIT, QUEUE_PAUSED_CAPACITY, QUEUE_UNKNOWN };
/* NULL for QUEUE_NONE. */
const char *queue_state_name(enum queue_state state);
/* Case-insensitive, trimmed; anything else is QUEUE_UNKNOWN. */
enum queue_state queue_state_from_text(const char *text);

#define OUTCOME_TEXT_MAX   512                /* bytes kept of a reason */
#define RETRY_AFTER_MAX_US INT64_C(600000000) /* 10 minutes: a longer wait is cut to it */

/* How the exchange went, apart from the body. */
struct answer {
	bool transport_ok;           /* an HTTP answer came, whole */
	bool timed_out;              /* connected, request sent, no byte within the HTTP timeout */
	bool too_large;              /* body cut off by us: over max_result_bytes */
	const char *transport_error; /* for people, when not transport_ok; no secrets */
	unsigned status;             /* HTTP status */
	const char *content_type;    /* may be NULL */
	const char *retry_after;     /* header texts, may be NULL */
	const char *retry_after_ms;
	int64_t wall_now; /* for Retry-After as a date; microseconds since 1970 */
};
static inline bool answer_is_success(const struct answer *answer)
{
	return answer->status >= 200 && answer->status < 300;
}

struct outcome {
	enum outcome_kind kind;
	unsigned status; /* HTTP status, 0 if none */
	/* completed: the result is this range of the body */
	enum content_kind content;
	struct json_range result;
	/* metadata */
	uint64_t payload_size;
	/* try again, 408: a queue state was told (QUEUE_NONE: not) with its reason ("": none given) */
	enum queue_state queue_state;
	char reason[OUTCOME_TEXT_MAX];
	int64_t retry_after; /* microseconds; -1: not given */
	bool key_changed;    /* 401: the key read again differs from the one that was sent */
	/* Whatever is wrong: the error object as it would end a registration; owned reference, NULL when
	 * nothing is wrong. Its data holds the server's body as `body` (JSON), `body_text` or `body_base64`
	 * (a 2xx answer that is no JSON), each bounded. */
	struct error *error;
};
/* Says what the answer meant. `reader` has been fed the whole body, as far as it came (NULL: there was none).
 * `skyrl` is the policy's setting that a 400 {"detail"} and a 500 "Unknown error" are failed futures: their
 * error then is `request_failed`. A result that is announced as larger than `max_result` bytes is too large.
 */
void outcome_classify(const struct answer *answer, struct outcome_reader *reader, bool skyrl,
		      uint64_t max_result, struct outcome *ret_outcome);
/* Drops the error reference. */
void outcome_release(struct outcome *outcome);

#endif
