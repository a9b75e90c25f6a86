/* Error numbers: the public ones, from errno and from the protocol. */
#ifndef TINKEX_CLIENT_ERROR_H
#define TINKEX_CLIENT_ERROR_H

#include "include/tinkex.h"
#include "proto/errors.h"

/* The public number of a protocol error. */
int error_from_proto(enum proto_error error);
/* The protocol's name of a public number that the daemon can answer, "internal" for any other. */
const char *error_proto_name(int error);
/* The public number of a negative errno of the library's own functions; 0 stays 0. */
int error_from_errno(int error);
/* What an errno means, for people. Static text, in English, safe in any thread. */
const char *error_describe(int error);

#endif
