/* Small helpers between JSON text and C: decoding into memory of one's own, checking what a caller passed in.
 */
#ifndef TINKEX_CLIENT_TEXT_H
#define TINKEX_CLIENT_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/attributes.h"
#include "proto/json_text.h"

/* For _cleanup_ of what malloc() gave. */
static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

/* The decoded string of `item`, allocated; *ret_text is left as it was where the item is no string, and a
 * former value is freed otherwise (the last of duplicate members holds). -ENOMEM. */
int text_take_string(const struct json_item *item, char **ret_text) _must_check_;
/* A copy of the item's JSON text with a NUL behind it, under the same rule, unless the item is null. */
int text_take_json(const struct json_item *item, char **ret_text) _must_check_;
/* The item's name is `name`, which is plain ASCII. */
bool text_is_named(const struct json_item *item, const char *name);
/* The integer of `item`, or `otherwise` if it is none or does not fit. */
int64_t text_int(const struct json_item *item, int64_t otherwise);

/* The text is valid UTF-8. */
bool text_is_utf8(const char *text) _must_check_;
/* A copy of the JSON text `json`, which must be an object, with line breaks between tokens turned into
 * spaces: it will stand in a line. -EINVAL: it is no JSON object; -ENOMEM. */
int text_check_object(const char *json, char **ret_line) _must_check_;

/* An allocated formatted string; NULL: no memory. */
char *text_format(const char *format, ...) _printf_(1, 2);

#endif
