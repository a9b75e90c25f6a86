/* Immutable, counted bytes: a result's body, shared by everybody who sends it. One
 * thread. */
#ifndef TINKEX_CORE_BLOB_H
#define TINKEX_CORE_BLOB_H

#include <stddef.h>

#include "proto/attributes.h"

struct blob {
	size_t size;
	char *data; /* owned */
	unsigned refs;
};

/* Takes over `data` (from malloc; may be NULL if size is 0). Never NULL. */
struct blob *blob_take(char *data, size_t size);
/* A copy; NULL when there is no memory. */
struct blob *blob_copy(const void *data, size_t size);
/* One more reference. NULL in, NULL out. */
struct blob *blob_ref(struct blob *blob);
/* One reference less. Takes and returns NULL. */
struct blob *blob_unref(struct blob *blob);
DEFINE_FREEP(struct blob, blob_unref)

#endif
