/*
 * How a future ended for somebody: the bytes that the server gave, or an error object. Immutable and counted,
 * so that one result serves every registration, waiter and reply that holds it. Bodies are opaque here.
 */
#ifndef TINKEX_CORE_RESULT_H
#define TINKEX_CORE_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "blob.h"
#include "proto/buffer.h"

#define ERROR_TYPES(X)                                                                                       \
	X(ERROR_API_TIMEOUT, "api_timeout")                                                                  \
	X(ERROR_REQUEST_FAILED, "request_failed")                                                            \
	X(ERROR_NETWORK, "network")                                                                          \
	X(ERROR_API_STATUS, "api_status")                                                                    \
	X(ERROR_VALIDATION, "validation")                                                                    \
	X(ERROR_CANCELLED, "cancelled")                                                                      \
	X(ERROR_NOT_REGISTERED, "not_registered")
enum error_type {
#define X(constant, name) constant,
	ERROR_TYPES(X)
#undef X
};
const char *error_type_name(enum error_type type);
/* -EINVAL if unknown. */
int error_type_from_name(const char *name, enum error_type *ret_type);

#define ERROR_CATEGORIES(X)                                                                                  \
	X(CATEGORY_NONE, NULL)                                                                               \
	X(CATEGORY_USER, "user")                                                                             \
	X(CATEGORY_SERVER, "server")                                                                         \
	X(CATEGORY_PROVIDER, "provider")                                                                     \
	X(CATEGORY_UNKNOWN, "unknown")
enum error_category {
#define X(constant, name) constant,
	ERROR_CATEGORIES(X)
#undef X
};
/* NULL for CATEGORY_NONE: null on the wire. */
const char *error_category_name(enum error_category category);
/* Case-insensitive, trimmed; whatever is not known is CATEGORY_UNKNOWN. */
enum error_category error_category_from_text(const char *text);

/* An error object of the protocol. Counted and immutable like the result. */
struct error {
	unsigned refs;
	uint8_t type;     /* enum error_type */
	uint8_t category; /* enum error_category */
	uint16_t status;  /* HTTP status; 0: null */
	char *message;    /* UTF-8, control bytes removed; owned */
	char *data;       /* text of a JSON object's members without its braces, may be "" ; owned */
};
/* Copies message and data (NULL: ""); the copy of the message is cleaned (see text.h). `data` must be
 * well-formed members in one line: "\"reason\":\"lost\"". Never NULL; without memory for a large `data` that
 * is left out. */
struct error *error_new(enum error_type type, enum error_category category, unsigned status,
			const char *message, const char *data);
/* The same with further members for data in front: a new object. */
struct error *error_with_data(const struct error *error, const char *more);
struct error *error_ref(struct error *error);
struct error *error_unref(struct error *error);
DEFINE_FREEP(struct error, error_unref)
/* Writes {"type":…,"category":…,"message":…,"status":…,"data":{…}}; `request_id` (may be NULL) is put into
 * data. */
void error_put(struct buffer *buffer, const struct error *error, const char *request_id);

enum content_kind { CONTENT_JSON, CONTENT_PROTOBUF };

/* Told when nobody holds a result any more whose row or file is then of no use. Embedded in the store. */
struct result_keeper {
	void (*gone)(struct result_keeper *keeper, uint64_t id, bool in_file);
};

/* Most bytes of an error's data that stay with it in memory; a longer one is the result's body. */
#define RESULT_ERROR_DATA_MAX 1024

struct result {
	unsigned refs;
	bool ok;
	bool in_file;        /* the body is a file of the spool, and never in memory as a whole */
	uint8_t content;     /* enum content_kind, when ok */
	int64_t ended_wall;  /* wall clock, microseconds since 1970 */
	uint64_t size;       /* bytes of the body; 0: there is none */
	uint64_t offset;     /* where it begins in its file */
	uint64_t id;         /* the store's row, and the name of the file; 0: none yet */
	struct blob *body;   /* owned reference; NULL: it has to be read from the disk, if there is one */
	struct error *error; /* when not ok; owned reference; a large `data` is not in it, but the body */
	struct result_keeper *keeper; /* NULL: nobody has to know of its end */
};
/* Take over the reference that they are given. Never NULL. */
struct result *result_ok(enum content_kind content, struct blob *body, int64_t ended_wall);
struct result *result_failed(struct error *error, int64_t ended_wall);
/* `size` bytes from `offset` of the spool's file `id`. */
struct result *result_in_file(enum content_kind content, uint64_t id, uint64_t offset, uint64_t size,
			      int64_t ended_wall, struct result_keeper *keeper);
struct result *result_ref(struct result *result);
struct result *result_unref(struct result *result);
DEFINE_FREEP(struct result, result_unref)
/* There is a body, and it is not in memory. */
bool result_is_cold(const struct result *result);
/* It is on disk: what it holds in memory of its body goes. Whoever needs that longer has a reference to the
 * blob. */
void result_chill(struct result *result);

/* "application/json" or "application/x-protobuf". */
const char *content_type_name(enum content_kind content);

#endif
