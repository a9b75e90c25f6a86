/* Base64 out of scripts: bodies that JSON strings cannot hold. Strict RFC 4648, padding required. */
#ifndef SIM_BASE64_H
#define SIM_BASE64_H

#include <stddef.h>

#include "attributes.h"

/* Decodes `size` characters into fresh memory (to be freed, never NULL on success). 0, -EINVAL or -ENOMEM. */
_must_check_ int base64_decode(const char *text, size_t size, char **ret_bytes, size_t *ret_size);

#endif
