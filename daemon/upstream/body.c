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

/* `most`: bytes that the body can come to in memory. */
static int to_memory(struct body *body, const char *data, size_t size, int64_t announced, size_t most)
{
	if (size > body->capacity - body->size) {
		size_t capacity = next_capacity(body->size + size, announced);
		char *bigger;

		if (capacity > most)
			capacity = most;
		bigger = realloc(body->data, capacity); /* large blocks are moved by their page tables */
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

/* With the first bytes that go there, all that have come before. */
static int to_file(struct body *body, const struct body_place *place, const char *data, size_t size)
{
	if (!body->file) {
		body->id = place->new_id(place->context);
		body->file = spool_create(place->spool, body->id);
		if (spool_append(body->file, body->data, body->size) < 0)
			return -ENOMEM;
		free(body->data);
		body->data = NULL;
		body->capacity = 0;
	}
	if (spool_append(body->file, data, size) < 0)
		return -ENOMEM;
	body->size += size;
	return 0;
}

int body_append(struct body *body, const struct body_place *place, const char *data, size_t size,
		int64_t announced)
{
	if (size > SIZE_MAX / 2 - body->size)
		return -ENOMEM;
	if (!place->spool)
		return to_memory(body, data, size, announced, SIZE_MAX);
	if (body->size + size > SPOOL_THRESHOLD)
		return to_file(body, place, data, size);
	return to_memory(body, data, size, announced, SPOOL_THRESHOLD);
}

bool body_in_file(const struct body *body)
{
	return body->file;
}

void body_finish(struct body *body, void (*done)(void *context), void *context)
{
	spool_finish(body->file, done, context);
}

static struct blob *take_blob(struct body *body, struct json_range range)
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

struct result *body_result(struct body *body, const struct body_place *place, enum content_kind content,
			   struct json_range range, int64_t ended_wall)
{
	struct result *result;

	if (!body->file)
		return result_ok(content, take_blob(body, range), ended_wall);
	result = result_in_file(content, body->id, range.start, range.end - range.start, ended_wall,
				place->keeper);
	*body = (struct body){0}; /* the file is the result's, and its spool_file is gone */
	return result;
}

void body_release(struct body *body)
{
	spool_discard(body->file);
	free(body->data);
	*body = (struct body){0};
}
