#include "body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 512

static size_t next_capacity(size_t wanted, int64_t announced)
{
	size_t ahead = wanted < BODY_AHEAD_MAX ? wanted : BODY_AHEAD_MAX;

	if (announced >= 0 && (uint64_t)announced >= wanted) {
		if ((uint64_t)announced - wanted <= BODY_AHEAD_MAX)
			return (size_t)announced;
		ahead = BODY_AHEAD_MAX;
	}
	return wanted + ahead < FIRST_CAPACITY ? FIRST_CAPACITY : wanted + ahead;
}

int body_append(struct body *body, const char *data, size_t size, int64_t announced)
{
	if (size > SIZE_MAX / 2 - body->size)
		return -ENOMEM;
	if (size > body->capacity - body->size) {
		size_t capacity = next_capacity(body->size + size, announced);
		char *bigger = realloc(body->data,
				       capacity); /* large blocks are moved by their page tables */

		if (!bigger)
			return -ENOMEM;
		body->data = bigger;
		body->capacity = capacity;
	}
	if (size)
		memcpy(body->data + body->size, data, size);
	body->size += size;
	return 0;
}

struct blob *body_take(struct body *body, struct json_range range)
{
	size_t size = (size_t)(range.end - range.start);
	char *data = body->data, *exact;

	if (size && range.start)
		memmove(data, data + range.start, size);
	if (!size) {
		body_release(body);
		return blob_take(NULL, 0);
	}
	exact = size < body->capacity ? realloc(data, size) : data;
	*body = (struct body){0};
	return blob_take(exact ? exact : data, size);
}

void body_release(struct body *body)
{
	free(body->data);
	*body = (struct body){0};
}
