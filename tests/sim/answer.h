/*
 * What is to be answered to one request: status, headers, body, and every way of doing it slowly, badly or
 * not at all. Immutable once made and counted by reference, because a script serves the same answer to many
 * requests. Must not know connections or time: exchange.c carries answers out.
 */
#ifndef SIM_ANSWER_H
#define SIM_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "attributes.h"

enum { ANSWER_NO_LIMIT = -1 };

struct answer {
	unsigned references;
	int status;
	char *reason;           /* owned; NULL: the usual phrase */
	char *fields;           /* owned; header lines, each with its CRLF; "" for none */
	char *body;             /* owned; NULL when generated or empty */
	uint64_t body_size;     /* bytes */
	bool generated;         /* the body is made from the request id */
	uint64_t delay_us;      /* before the status line */
	uint64_t body_delay_us; /* between head and body */
	uint64_t slow_chunk;    /* bytes at a time; 0: as fast as the client takes them */
	uint64_t slow_interval_us;
	int64_t truncate;      /* body bytes after which the connection ends, or ANSWER_NO_LIMIT */
	int64_t truncate_head; /* head bytes after which it ends, or ANSWER_NO_LIMIT */
	char *garbage;         /* owned; written in place of a response, then FIN */
	size_t garbage_size;
	bool chunked;          /* Transfer-Encoding instead of Content-Length */
	bool until_close;      /* neither: the end of the connection ends the body */
	bool connection_close; /* says so in a header, and closes after */
	bool close_after;      /* closes after without saying so */
	bool close;            /* FIN before any byte */
	bool reset;            /* RST before any byte; with `truncate`, RST instead of FIN after them */
	bool reset_if_reused;  /* RST, if the connection carried a request before; does not use the answer up
				*/
	bool until_release;    /* held until told otherwise */
	bool never;            /* held until the client gives up */
	bool repeat;           /* the last of its list: given for ever */
	unsigned times;        /* how often it is given before the next one's turn; at least 1 */
};

/* An answer out of its script form. On error *ret_error is a sentence for people (to be freed): -EINVAL,
 * -ENOMEM. */
_must_check_ int answer_parse(struct json_object *json, struct answer **ret_answer, char **ret_error);
/* A plain answer: JSON text of `size` bytes, copied. NULL when there is no memory. */
struct answer *answer_text(int status, const char *text, size_t size);
/* The same; takes over `text` (from malloc), also on failure. */
struct answer *answer_take_text(int status, char *text, size_t size);
/* The same with the text of a tree, which is put (json_object_put), also on failure. */
struct answer *answer_json(int status, struct json_object *json);
/* {"detail": message}, as FastAPI servers say it. */
struct answer *answer_detail(int status, const char *message);
struct answer *answer_ref(struct answer *answer);
/* Drops one reference; takes NULL, returns NULL. */
struct answer *answer_unref(struct answer *answer);
DEFINE_FREEP(struct answer, answer_unref)

#endif
