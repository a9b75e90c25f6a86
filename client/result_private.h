/* The inside of tinkex_result, for result.c and result_read.c only. */
#ifndef TINKEX_CLIENT_RESULT_PRIVATE_H
#define TINKEX_CLIENT_RESULT_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "include/tinkex.h"

/* Nothing changes after result_parse() but `refs` and what `loaded` points at, both atomically. */
struct tinkex_result {
	int refs;
	int ok; /* 1, 0, -1: has not ended */
	char *request_id, *endpoint, *state, *content_type;
	char *error_type, *error_category, *error_message, *error_data, *error_reason;
	int error_status;
	char *members; /* the outcome's members without those of the body, as JSON text without braces */
	size_t members_size;
	bool protobuf;      /* the body stands as Base64 in JSON */
	uint64_t size;      /* of the body */
	char *body;         /* inline: owned, with a NUL behind it; else NULL */
	int fd;             /* by descriptor: owned; else -1 */
	uint64_t fd_offset; /* where the body begins in it */
	char **loaded;      /* by descriptor: the body once it was asked for as memory */
};

#endif
