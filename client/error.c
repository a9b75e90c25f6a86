/* What the error numbers mean, and where they come from. */
#include "error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *tinkex_strerror(int error)
{
	switch (error) {
	case TINKEX_OK:
		return "no error";
	case TINKEX_EINVAL:
		return "an argument is wrong";
	case TINKEX_ENOMEM:
		return "out of memory";
	case TINKEX_ENODAEMON:
		return "no tinkexd could be reached";
	case TINKEX_EPROTOCOL:
		return "the daemon's answer could not be understood";
	case TINKEX_ETIMEOUT:
		return "the daemon did not answer in time";
	case TINKEX_ECANCELLED:
		return "the call was abandoned";
	case TINKEX_EIO:
		return "reading or writing failed";
	case TINKEX_EREFUSED:
		return "the daemon did not take the request";
	case TINKEX_ENOMETHOD:
		return "the daemon does not know this method";
	case TINKEX_EPARAMS:
		return "a parameter is missing or has the wrong type";
	case TINKEX_EINTERNAL:
		return "the daemon failed to carry out the call";
	case TINKEX_EDENIED:
		return "not allowed, or no such endpoint";
	case TINKEX_ENOTFOUND:
		return "no such registration of yours";
	case TINKEX_ELIMIT:
		return "a limit of the daemon is reached";
	case TINKEX_ESHUTDOWN:
		return "the daemon is going down";
	case TINKEX_ESTORAGE:
		return "the daemon could not store it";
	case TINKEX_ECONFLICT:
		return "registered with a different setting before";
	default:
		return "unknown error";
	}
}

int error_from_proto(enum proto_error error)
{
	switch (error) {
	case PROTO_OK:
		return TINKEX_OK;
	case PROTO_PARSE_ERROR:
	case PROTO_INVALID_REQUEST:
	case PROTO_LINE_TOO_LONG:
		return TINKEX_EREFUSED;
	case PROTO_METHOD_NOT_FOUND:
		return TINKEX_ENOMETHOD;
	case PROTO_INVALID_PARAMS:
		return TINKEX_EPARAMS;
	case PROTO_DENIED:
		return TINKEX_EDENIED;
	case PROTO_NOT_FOUND:
		return TINKEX_ENOTFOUND;
	case PROTO_LIMIT_EXCEEDED:
		return TINKEX_ELIMIT;
	case PROTO_SHUTTING_DOWN:
		return TINKEX_ESHUTDOWN;
	case PROTO_STORAGE:
		return TINKEX_ESTORAGE;
	case PROTO_CONFLICT:
		return TINKEX_ECONFLICT;
	default:
		return TINKEX_EINTERNAL;
	}
}

const char *error_proto_name(int error)
{
	for (int i = PROTO_OK + 1; i < PROTO_ERROR_COUNT; i++)
		if (error_from_proto((enum proto_error)i) == error)
			return proto_error_name((enum proto_error)i);
	return proto_error_name(PROTO_INTERNAL);
}

int error_from_errno(int error)
{
	switch (error) {
	case 0:
		return TINKEX_OK;
	case -ENOMEM:
		return TINKEX_ENOMEM;
	case -EINVAL:
	case -E2BIG:
		return TINKEX_EINVAL;
	default:
		return TINKEX_EPROTOCOL;
	}
}

const char *error_describe(int error)
{
	const char *text = strerrordesc_np(abs(error));

	return text ? text : "unknown error";
}
