/*
 * The bytes of one answer's body as they arrive, in memory that becomes the result's without being copied.
 * Knows nothing of what they mean.
 */
#ifndef TINKEX_UPSTREAM_BODY_H
#define TINKEX_UPSTREAM_BODY_H

#include <stddef.h>
#include <stdint.h>

#include "core/blob.h"
#include "proto/attributes.h"
#include "proto/json_scan.h"

#define BODY_AHEAD_MAX ((size_t)1024 * 1024) /* memory that is asked for beyond what has arrived, bytes */

/* All zero: empty. */
struct body {
	char *data;
	size_t size, capacity;
};

/* `announced`: bytes of the whole body as its sender says, -1: unknown. It is believed only BODY_AHEAD_MAX
 * bytes at a time. 0 or -ENOMEM, and then the body is as it was. The caller keeps the bound on its size. */
_must_check_ int body_append(struct body *body, const char *data, size_t size, int64_t announced);
/* Exactly the bytes of `range`, which must lie within the body; the body is empty afterwards. Never NULL. */
struct blob *body_take(struct body *body, struct json_range range);
void body_release(struct body *body);

#endif
