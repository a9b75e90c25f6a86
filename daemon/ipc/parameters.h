/*
 * The parameters of a call, read by a table: names, types, bounds. Everything here has passed the strict
 * scanner; what is unknown is ignored, what has the wrong type is named.
 */
#ifndef TINKEX_IPC_PARAMETERS_H
#define TINKEX_IPC_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/attributes.h"
#include "proto/json_scan.h"
#include "proto/message.h"

enum parameter_type {
	PARAMETER_BOOL,
	PARAMETER_INT,    /* min..max */
	PARAMETER_STRING, /* what is in it is the handler's business */
	PARAMETER_CHOICE, /* one of the words of `choices` */
	PARAMETER_ARRAY,
	PARAMETER_OBJECT,
	PARAMETER_ID, /* an integer or a string, as ids of calls are */
};

struct parameter {
	const char *name; /* shorter than JSON_NAME_MAX */
	enum parameter_type type;
	bool nullable; /* null may be given */
	int64_t min, max;
	const char *choices; /* words with '|' between them */
};

/* What a call said for one parameter. */
struct argument {
	enum json_type type; /* JSON_NONE: nothing */
	const char *text;    /* into the line; not NUL-terminated */
	size_t size;
	int64_t number; /* INT; BOOL: 0 or 1; CHOICE: the word's place */
};

static inline bool argument_given(const struct argument *argument)
{
	return argument->type != JSON_NONE;
}
/* Given, and not as null. */
static inline bool argument_has_value(const struct argument *argument)
{
	return argument->type > JSON_NULL;
}

/* Ten years: the longest time that may be asked for. */
#define PARAMETER_MS_MAX INT64_C(315360000000)

/* Reads the object `text` (NULL: empty). `prefix` (may be NULL) stands before the name of a member that is at
 * fault: "backoff.". False with *ret_fault filled in. */
bool parameters_read(const struct parameter *table, size_t n, const char *text, size_t size,
		     const char *prefix, struct argument *ret_arguments, struct message_fault *ret_fault);

/* Fills in an invalid_params fault. Always false, so that it can be returned. */
bool fault_member(struct message_fault *fault, const char *member, const char *format, ...) _printf_(3, 4);

#endif
