/* How an outcome looks on the wire. Bodies go by reference, errors with a long body in their data too. */
#ifndef TINKEX_IPC_OUTCOME_JSON_H
#define TINKEX_IPC_OUTCOME_JSON_H

#include "core/endpoint.h"
#include "core/result.h"
#include "line.h"
#include "proto/json_text.h"

/* Writes the members of one outcome into the object that is open in `writer`, which writes to line->text. */
void outcome_put(struct line *line, struct json_writer *writer, const struct endpoint *endpoint,
		 const char *request_id, struct result *result);
/* An error object as a value. `holder` (may be NULL: everything is copied) owns the error. */
void outcome_put_error(struct line *line, struct json_writer *writer, const struct error *error,
		       const char *request_id, struct result *holder);
/* "ok", "ended_at", and the error, or size and type of the result: an outcome without its body. */
void outcome_put_summary(struct line *line, struct json_writer *writer, const char *request_id,
			 struct result *result);
/* Name and RFC 3339 text of a wall clock time; 0: null. */
void outcome_put_time(struct json_writer *writer, const char *name, int64_t wall);

#endif
