/*
 * What people write for a number, a duration, a size: "30s", "64K". Text to value and back, nothing else.
 *
 * The readers return 0; -EINVAL if the text is no such thing, -ERANGE if it does not fit the type. Then
 * *ret_reason is a static fragment that goes on after the text: "has no unit; write ...".
 */
#ifndef TINKEX_SYS_VALUE_H
#define TINKEX_SYS_VALUE_H

#include <stdint.h>
#include <sys/types.h>

#include "proto/attributes.h"

/* "500ms", "30s", "5m", "24h", "7d"; "0" needs no unit, everything else does. Microseconds. */
_must_check_ int value_duration(const char *text, int64_t *ret_duration, const char **ret_reason);
/* "64K", "50M", "1G", "2T" (powers of 1024); a plain number is bytes. */
_must_check_ int value_size(const char *text, uint64_t *ret_size, const char **ret_reason);
/* Decimal digits. */
_must_check_ int value_count(const char *text, uint64_t *ret_count, const char **ret_reason);
/* A file mode in octal, with or without leading zeros, at most 0777. */
_must_check_ int value_mode(const char *text, mode_t *ret_mode, const char **ret_reason);

#define VALUE_TEXT_MAX 32
/* A short text that reads back as the same value, into VALUE_TEXT_MAX bytes. Returns `out`. A duration
 * that is no whole number of milliseconds is shown without the rest. */
char *value_format_duration(int64_t duration, char *out);
char *value_format_size(uint64_t size, char *out);

#endif
