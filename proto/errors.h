/* The protocol's error codes: one row each, the same table for daemon, library, CLI and the documentation
 * check. */
#ifndef TINKEX_PROTO_ERRORS_H
#define TINKEX_PROTO_ERRORS_H

/* X(constant, code, name in data.name, sentence when nothing better is known) */
#define PROTO_ERRORS(X)                                                                                      \
	X(PROTO_PARSE_ERROR, -32700, "parse_error", "the line is not strict JSON")                           \
	X(PROTO_INVALID_REQUEST, -32600, "invalid_request", "the line is not a request object")              \
	X(PROTO_LINE_TOO_LONG, -32600, "line_too_long", "the line is longer than 1048576 bytes")             \
	X(PROTO_METHOD_NOT_FOUND, -32601, "method_not_found", "there is no such method")                     \
	X(PROTO_INVALID_PARAMS, -32602, "invalid_params", "a parameter is missing or has the wrong type")    \
	X(PROTO_INTERNAL, -32603, "internal", "the daemon failed to carry out the call")                     \
	X(PROTO_DENIED, -32000, "denied", "not allowed, or no such endpoint")                                \
	X(PROTO_NOT_FOUND, -32001, "not_found", "no such registration of yours")                             \
	X(PROTO_LIMIT_EXCEEDED, -32002, "limit_exceeded", "a limit is reached")                              \
	X(PROTO_SHUTTING_DOWN, -32003, "shutting_down", "the daemon is going down")                          \
	X(PROTO_STORAGE, -32004, "storage", "the state could not be stored")                                 \
	X(PROTO_CONFLICT, -32005, "conflict", "registered with a different setting before")

enum proto_error {
	PROTO_OK,
#define X(constant, code, name, text) constant,
	PROTO_ERRORS(X)
#undef X
		PROTO_ERROR_COUNT
};

/* Number for the wire, stable name, default sentence. PROTO_OK is 0, "ok". */
int proto_error_code(enum proto_error error);
const char *proto_error_name(enum proto_error error);
const char *proto_error_text(enum proto_error error);
/* From the name of data.name; PROTO_INTERNAL if unknown. */
enum proto_error proto_error_from_name(const char *name);

#endif
