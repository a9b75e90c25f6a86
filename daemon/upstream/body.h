/*
 * The bytes of one answer's body as they arrive: a small one in memory that becomes the result's without
 * being copied, a large one in a file of the spool. Knows nothing of what they mean.
 */
#ifndef TINKEX_UPSTREAM_BODY_H
#define TINKEX_UPSTREAM_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/blob.h"
#include "core/result.h"
#include "proto/attributes.h"
#include "proto/json_scan.h"
#include "store/spool.h"

#define BODY_AHEAD_MAX ((size_t)1024 * 1024) /* memory that is asked for beyond what has arrived, bytes */

/* Where bodies go that are larger than SPOOL_THRESHOLD. All borrowed. */
struct body_place {
	struct spool *spool;          /* NULL: they stay in memory */
	struct result_keeper *keeper; /* of results in files; may be NULL */
	uint64_t (*new_id)(void *context);
	void *context;
};

/* All zero: empty. */
struct body {
	char *data; /* NULL: there is none, or it is in the file */
	size_t size, capacity;
	struct spool_file *file; /* NULL: it is in memory */
	uint64_t id;             /* of the file */
};

/* Bytes that go to a file may make the spool congested, which it tells from inside. `announced`: bytes of the
 * whole body as its sender says, -1: unknown. It is believed only BODY_AHEAD_MAX bytes at a time. 0 or
 * -ENOMEM, and then the body is to be released. The caller keeps the bound on its size. */
_must_check_ int body_append(struct body *body, const struct body_place *place, const char *data, size_t size,
			     int64_t announced);
bool body_in_file(const struct body *body);
/* The whole of a body in a file has arrived: `done` is called when it is durable, never from inside this
 * call, and has to take body_result() from it. A release before that discards the file, and `done` is not
 * called. */
void body_finish(struct body *body, void (*done)(void *context), void *context);
/* What the body has become: exactly the bytes of `range`, which must lie within it. The body is empty
 * afterwards. The caller's reference; never NULL. */
struct result *body_result(struct body *body, const struct body_place *place, enum content_kind content,
			   struct json_range range, int64_t ended_wall);
/* Whatever has arrived is of no use. The body is empty afterwards. */
void body_release(struct body *body);

#endif
