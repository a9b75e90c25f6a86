/* How an outcome looks on the wire. Bodies go by reference or by descriptor, the long data of an error too.
 */
#ifndef TINKEX_IPC_OUTCOME_JSON_H
#define TINKEX_IPC_OUTCOME_JSON_H

#include "core/endpoint.h"
#include "core/result.h"
#include "line.h"
#include "parcel.h"
#include "proto/json_text.h"

/* Writes the members of one outcome into the object that is open in `writer`, which writes to line->text.
 * `passed`: the descriptor that the line's parcel has of its body; NULL: the body goes inline. */
void outcome_put(struct line *line, struct json_writer *writer, const struct endpoint *endpoint,
		 const char *request_id, struct result *result, const struct passed *passed);
/* An error object as a value. */
void outcome_put_error(struct line *line, struct json_writer *writer, const struct error *error,
		       const char *request_id);
/* The error of a failed result as a value, without what of its data is not with it: needs no disk. */
void outcome_put_error_summary(struct line *line, struct json_writer *writer, const char *request_id,
			       const struct result *result);
/* "ok", "ended_at", and the error as above, or size and type of the result: an outcome without its body. */
void outcome_put_summary(struct line *line, struct json_writer *writer, const char *request_id,
			 const struct result *result);
/* Name and RFC 3339 text of a wall clock time; 0: null. */
void outcome_put_time(struct json_writer *writer, const char *name, int64_t wall);

#endif
