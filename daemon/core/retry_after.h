/* How long a server asks to be left alone: its Retry-After and retry-after-ms header fields. Pure. */
#ifndef TINKEX_CORE_RETRY_AFTER_H
#define TINKEX_CORE_RETRY_AFTER_H

#include <stdint.h>

/* Microseconds, not capped beyond what fits; -1: not asked for. `milliseconds` (a decimal number) wins over
 * `seconds` (a decimal number, or an HTTP date in one of the three forms of RFC 9110 section 5.6.7, of which
 * `wall_now`, microseconds since 1970, is taken off). Both may be NULL. What is not well-formed counts as not
 * given, and so does a date that has passed: a clock that goes wrong must not make us hammer the server. */
int64_t retry_after_parse(const char *seconds, const char *milliseconds, int64_t wall_now);

#endif
