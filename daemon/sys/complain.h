/* One sentence for people beside a negative errno: what functions with a `ret_message` return through. */
#ifndef TINKEX_SYS_COMPLAIN_H
#define TINKEX_SYS_COMPLAIN_H

#include "proto/attributes.h"

/* Writes the sentence into *ret_message (freed by the caller, never NULL) and returns `error`, for
 * "return complain(...)". */
int complain(char **ret_message, int error, const char *format, ...) _printf_(3, 4);

#endif
