/*
 * The error table, looked up by number and by name. Nothing else knows the codes.
 */
#include "errors.h"

#include <string.h>

struct row {
	int code;
	const char *name, *text;
};

static const struct row rows[] = {[PROTO_OK] = {0, "ok", "no error"},
#define X(constant, code, name, text) [constant] = {code, name, text},
				  PROTO_ERRORS(X)
#undef X
};

static const struct row *find_row(enum proto_error error)
{
	return &rows[(unsigned)error < PROTO_ERROR_COUNT ? error : PROTO_INTERNAL];
}

int proto_error_code(enum proto_error error)
{
	return find_row(error)->code;
}

const char *proto_error_name(enum proto_error error)
{
	return find_row(error)->name;
}

const char *proto_error_text(enum proto_error error)
{
	return find_row(error)->text;
}

enum proto_error proto_error_from_name(const char *name)
{
	for (unsigned i = PROTO_OK + 1; i < PROTO_ERROR_COUNT; i++)
		if (strcmp(rows[i].name, name) == 0)
			return (enum proto_error)i;
	return PROTO_INTERNAL;
}
