#include "blob.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct blob *blob_take(char *data, size_t size)
{
	struct blob *blob = xnew(struct blob);

	blob->data = data;
	blob->size = size;
	blob->refs = 1;
	return blob;
}

struct blob *blob_copy(const void *data, size_t size)
{
	char *copy = NULL;

	if (size) {
		copy = malloc(size);
		if (!copy)
			return NULL;
		memcpy(copy, data, size);
	}
	return blob_take(copy, size);
}

struct blob *blob_ref(struct blob *blob)
{
	if (blob)
		blob->refs++;
	return blob;
}

struct blob *blob_unref(struct blob *blob)
{
	if (blob && --blob->refs == 0) {
		free(blob->data);
		free(blob);
	}
	return NULL;
}
