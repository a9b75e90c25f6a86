/* tinkex_reply: what a call was answered, put together from one or several lines. Public accessors are in
 * tinkex.h. */
#ifndef TINKEX_CLIENT_REPLY_H
#define TINKEX_CLIENT_REPLY_H

#include <stdint.h>

#include "include/tinkex.h"
#include "proto/attributes.h"
#include "proto/json_text.h"

/* What a reply says of one future or endpoint. All pointers are owned; NULL where nothing was said. */
struct reply_item {
	char *json;
	size_t json_size;
	tinkex_result *result; /* collect: in place of everything else */
	char *request_id, *endpoint, *state, *queue_state, *why_waiting;
	char *error_text;
	int ok, is_new, error;
};

/* Written to only while it is built, by one client; immutable once it was handed out. */
struct tinkex_reply {
	int refs;
	char *json; /* whole answer; NULL where it is put together from several */
	size_t json_size;
	char *next;
	uint64_t affected;
	struct reply_item *items;
	size_t n_items, capacity;
};

/* NULL: no memory. */
tinkex_reply *reply_new(void);
/* Keeps a copy of the answer's JSON text. -ENOMEM. */
int reply_set_json(tinkex_reply *reply, const char *text, size_t size) _must_check_;
/* Makes room for `count` items at least, the new ones empty. -ENOMEM. */
int reply_reserve(tinkex_reply *reply, size_t count) _must_check_;
/* Parses an object that speaks of a future (of a registration, a list, a status) into item `index`, which
 * must have been reserved. -ENOMEM. */
int reply_parse_item(tinkex_reply *reply, size_t index, const struct json_item *object) _must_check_;
/* Puts a result in place `index`, which must have been reserved; takes over the reference. */
void reply_put_result(tinkex_reply *reply, size_t index, tinkex_result *result);
/* The items of a register answer are complete: counts those that are new. */
void reply_count_new(tinkex_reply *reply);

static inline void reply_unrefp(tinkex_reply **reply)
{
	tinkex_reply_unref(*reply);
}

#endif
