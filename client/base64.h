/* Base64 (RFC 4648 section 4), reading: the bytes of a protobuf result. Writing is proto's. */
#ifndef TINKEX_CLIENT_BASE64_H
#define TINKEX_CLIENT_BASE64_H

#include <stddef.h>

#include "proto/attributes.h"

/* Decodes `size` characters into `out`, which has room for size / 4 * 3 + 3 bytes. Backslashes before a
 * solidus are stepped over, since JSON allows them. -EBADMSG: not Base64. */
int base64_decode(const char *text, size_t size, void *out, size_t *ret_size) _must_check_;

#endif
