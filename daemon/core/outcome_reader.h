/*
 * Reads the body of an answer as it arrives and keeps only what tells the outcomes apart: the few members
 * that matter, and the beginning of the body for those that turn out to be no result. A result of any size
 * passes through without being held here. It answers questions about the body and decides nothing.
 */
#ifndef TINKEX_CORE_OUTCOME_READER_H
#define TINKEX_CORE_OUTCOME_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/json_scan.h"
#include "result.h"

struct answer;

#define OUTCOME_BODY_MAX (64 * 1024) /* bytes kept of a body's beginning */

/* Members of a body that matter: X(constant, name, bytes kept of the value's text, wherever it stands) */
#define OUTCOME_MEMBERS(X)                                                                                   \
	X(MEMBER_TYPE, "type", 128)                                                                          \
	X(MEMBER_STATUS, "status", 128)                                                                      \
	X(MEMBER_RESULT, "result", 0)                                                                        \
	X(MEMBER_ERROR, "error", 2048)                                                                       \
	X(MEMBER_CATEGORY, "category", 64)                                                                   \
	X(MEMBER_QUEUE_STATE, "queue_state", 160)                                                            \
	X(MEMBER_QUEUE_STATE_REASON, "queue_state_reason", 1024)                                             \
	X(MEMBER_RETRY_AFTER_MS, "retry_after_ms", 32)                                                       \
	X(MEMBER_PAYLOAD_SIZE, "response_payload_size", 32)                                                  \
	X(MEMBER_DETAIL, "detail", 1024)                                                                     \
	X(MEMBER_MESSAGE, "message", 1024)
enum outcome_member {
#define X(constant, name, size) constant,
	OUTCOME_MEMBERS(X)
#undef X
		MEMBER_COUNT
};
#define X(constant, name, size) +(size)
enum { OUTCOME_CAPTURES = 0 OUTCOME_MEMBERS(X) };
#undef X

/* Fed with the body as it arrives; about 7 KiB and at most OUTCOME_BODY_MAX for the body's beginning, one for
 * each poll whose answer has begun. It points into itself: it must not be moved. */
struct outcome_reader {
	struct json_scan scan;
	struct json_member members[MEMBER_COUNT];
	uint64_t size;    /* body bytes seen */
	bool opaque;      /* a protobuf result: its bytes pass unread and untouched */
	bool json_ok;     /* no error so far */
	char *head;       /* the body's first bytes as they came; owned */
	size_t head_size; /* less than `size` and OUTCOME_BODY_MAX only when memory was short */
	size_t head_capacity;
	char captures[OUTCOME_CAPTURES];
};
/* Before the first byte of the body, when the answer's status and content_type are known. */
void outcome_reader_init(struct outcome_reader *reader, const struct answer *answer);
/* Line breaks between tokens are made spaces in `data`, so that a stored result is one line; a protobuf
 * result is not touched. */
void outcome_reader_feed(struct outcome_reader *reader, char *data, size_t size);
/* Gives the memory back, after outcome_classify(). An outcome holds nothing of its reader. */
void outcome_reader_release(struct outcome_reader *reader);

/* Questions, for outcome.c, once the whole body was fed. */

/* There was not a byte (NULL: the same). */
bool outcome_reader_is_empty(const struct outcome_reader *reader);
/* The body is one JSON text. NULL: no. */
bool outcome_reader_is_json(struct outcome_reader *reader);

/* What a body complains of. */
#define COMPLAINT_MAX 1024
struct complaint {
	enum error_category category; /* CATEGORY_NONE: it does not say */
	char message[COMPLAINT_MAX];  /* printable; "": it does not say */
};
/* Its `error`, `message` and `detail`, in this order, and its `category`, which may stand inside `error` or
 * `detail`. Says nothing for a body that is no JSON text, or
 * NULL. */
void outcome_reader_complaint(struct outcome_reader *reader, struct complaint *ret_complaint);

/* The members of a body that is a JSON text; JSON_NONE: absent, or no object. */
enum json_type outcome_reader_type(const struct outcome_reader *reader, enum outcome_member id);
/* A string as printable text, as much as fits; false: it is no string. */
bool outcome_reader_text(const struct outcome_reader *reader, enum outcome_member id, char *out,
			 size_t capacity);
/* It is exactly this string. */
bool outcome_reader_equals(const struct outcome_reader *reader, enum outcome_member id, const char *text);
/* A whole number that is not negative (UINT64_MAX: larger than fits); false: it is something else. */
bool outcome_reader_count(const struct outcome_reader *reader, enum outcome_member id, uint64_t *ret_count);

#endif
