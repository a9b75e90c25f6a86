/*
 * A call while its handler runs, and what handlers share: reading parameters, refusing, replying. Private to
 * the commands.
 *
 * A handler returns true when the call is answered or has become outstanding; false with request->fault
 * filled in when it is refused. A notification (no id) runs like any call, and whatever is said to it is
 * dropped.
 */
#ifndef TINKEX_IPC_REQUEST_H
#define TINKEX_IPC_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "commands.h"
#include "line.h"
#include "parameters.h"
#include "peer.h"
#include "proto/json_text.h"
#include "proto/message.h"

#define FUTURES_PER_CALL 1000 /* most that one call may name, and most of a page */

struct request {
	struct commands *commands;
	struct peer *peer;
	const struct message_request *message;
	struct message_fault fault;
	char extra[64]; /* further members of the error's data, as JSON text; "" */
};

typedef bool command_handler(struct request *request);

command_handler command_hello, command_ping, command_abandon;
command_handler command_register, command_await, command_collect, command_ack, command_cancel;
command_handler command_status, command_list, command_endpoints, command_stats;

static inline bool request_wants_reply(const struct request *request)
{
	return request->message->id.size != 0;
}
/* Reads the parameters by a table; false: at fault. */
bool request_arguments(struct request *request, const struct parameter *table, size_t n,
		       struct argument *ret_arguments);
/* Fills in the fault. Always false, so that it can be returned. */
bool request_fault(struct request *request, enum proto_error error, const char *format, ...) _printf_(3, 4);
/* limit_exceeded with the limit in its data. Always false. */
bool request_limit(struct request *request, int64_t limit, const char *format, ...) _printf_(3, 4);
/* The caller asked for everybody's: only root and the daemon's own user may. */
bool request_may_see_all(struct request *request);

/* Starts the reply's line where the value of "result" goes. */
void request_begin(struct request *request, struct line *line, struct json_writer *writer);
/* Ends it and sends it. Always true, so that it can be returned. */
bool request_send(struct request *request, struct line *line);

#endif
