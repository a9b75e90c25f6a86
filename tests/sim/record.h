/* A copy of a request as it came, and its description as JSON. Knows nothing of what became of it. */
#ifndef SIM_RECORD_H
#define SIM_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <json-c/json.h>

#include "http.h"

struct record {
	TAILQ_ENTRY(record) link;
	uint64_t read_us, connection; /* filled in by the ledger for requests that are no polls */
	int status;                   /* the same */
	struct http_text method, path, query, fields, body; /* all within `bytes` */
	char bytes[];
};

TAILQ_HEAD(record_list, record);

/* Copies the request. NULL when there is no memory. */
struct record *record_new(const struct http_request *request);
/* Takes NULL. */
void record_free(struct record *record);
/* Takes it out of its list and frees it. */
void record_unlink_free(struct record_list *list, struct record *record);
/*
 * Adds to `object`: method, path, query, body (parsed; null when it is not JSON), body_text, and unless
 * `brief` headers (object, names in lower case, repeated ones joined by ", ") and header_list ([name, value]
 * as sent).
 */
void record_describe(const struct record *record, struct json_object *object, bool brief);

#endif
