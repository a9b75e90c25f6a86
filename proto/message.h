/*
 * JSON-RPC 2.0 messages, one per line: taking a request line apart, taking a reply or event line apart
 * (client side), and the frames of what goes out. Knows no method: those are the daemon's and the library's.
 */
#ifndef TINKEX_PROTO_MESSAGE_H
#define TINKEX_PROTO_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"
#include "errors.h"
#include "json_scan.h"
#include "json_text.h"

#define MESSAGE_ID_MAX     64 /* bytes of a string id, decoded */
#define MESSAGE_ID_TEXT    (MESSAGE_ID_MAX * 6 + 3)
#define MESSAGE_METHOD_MAX 32

/* The id of a call as JSON text, echoed as it came ("a", 7). Empty: a notification. */
struct message_id {
	char text[MESSAGE_ID_TEXT];
	uint16_t size;
};

struct message_request {
	struct message_id id;
	char method[MESSAGE_METHOD_MAX]; /* decoded; a longer name is cut, and so is unknown */
	const char *params;              /* into the line: the text of an object; NULL when absent */
	size_t params_size;
};

/* What was wrong with a line, for the error reply. */
struct message_fault {
	enum proto_error error;
	char text[160];             /* a sentence for people: what, where, with which value */
	char member[JSON_NAME_MAX]; /* for PROTO_INVALID_PARAMS: which; else empty */
};

/* The line holds nothing but white space: to be ignored. */
bool message_is_blank(const char *line, size_t size);
/* Takes a line apart. On failure *ret_fault says why and ret_request->id holds the id if a usable one was
 * read (its size is 0 otherwise: answer with "id":null). `params` that is an array is refused: calls here
 * take named parameters. PROTO_PARSE_ERROR and PROTO_INVALID_REQUEST are always answered;
 * PROTO_INVALID_PARAMS without an id is the failure of a notification, which nobody answers. */
bool message_parse_request(const char *line, size_t size, struct json_names *names,
			   struct message_request *ret_request, struct message_fault *ret_fault);

/* Frames. `id` may be NULL or empty: "id":null. message_begin_result() leaves the buffer where the value of
 * "result" goes; message_end() closes the object and adds the LF. */
void message_begin_result(struct buffer *buffer, const struct message_id *id);
void message_begin_notification(struct buffer *buffer,
				const char *method); /* ... where the value of "params" goes */
void message_end(struct buffer *buffer);
/* A whole error line with its LF. `fault->text` empty: the table's sentence. `extra` (may be NULL): further
 * members for `data`, as JSON text without braces, e.g. "\"limit\":5". */
void message_put_error(struct buffer *buffer, const struct message_id *id, const struct message_fault *fault,
		       const char *extra);
/* A whole request line with its LF; `params` is an object's text or NULL. */
void message_put_request(struct buffer *buffer, int64_t id, const char *method, const char *params,
			 size_t params_size);

/* Client side: what came in. */
enum message_kind { MESSAGE_RESULT, MESSAGE_ERROR, MESSAGE_NOTIFICATION, MESSAGE_NONSENSE };
struct message_reply {
	enum message_kind kind;
	bool has_id;
	int64_t id;                      /* of RESULT and ERROR; has_id false: "id":null */
	char method[MESSAGE_METHOD_MAX]; /* of a NOTIFICATION: "event", "outcome" */
	const char *body;                /* into the line: value of result, error or params */
	size_t body_size;
	int code;               /* of an ERROR */
	enum proto_error error; /* by data.name */
	char text[256];         /* of an ERROR: its message */
};
/* The daemon is trusted to write well-formed lines, but a result inside may be in the SERVER dialect and as
 * deep as that allows, so the line is scanned as JSON_REPLY. A body is an object. Never fails:
 * MESSAGE_NONSENSE. */
void message_parse_reply(const char *line, size_t size, struct message_reply *ret_reply);

#endif
