/* Options into parameters: the members of a request's `params`, as JSON text without the braces. */
#ifndef TINKEX_CLIENT_MEMBERS_H
#define TINKEX_CLIENT_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "include/tinkex.h"
#include "proto/attributes.h"
#include "proto/buffer.h"

/* Appending is sticky, like a buffer's: the first failure counts, and members_finish() tells it. */
struct members {
	tinkex_client *client; /* is told in words what is wrong */
	struct buffer text;
	int error; /* 0, or -EINVAL */
};

void members_init(struct members *members, tinkex_client *client);
void members_release(struct members *members);
/* The text, allocated. -EINVAL (the client's error text says which option), -ENOMEM. */
int members_finish(struct members *members, char **ret_text) _must_check_;

/* NULL writes nothing. -EINVAL if it is not UTF-8. */
void members_string(struct members *members, const char *name, const char *value);
/* TINKEX_UNSET writes nothing; TINKEX_FOREVER is null where `nullable`; another negative value is wrong. */
void members_time(struct members *members, const char *name, int64_t value, bool nullable);
/* The JSON text of an object; NULL writes nothing. */
void members_object(struct members *members, const char *name, const char *json);
/* Writes true, or nothing. */
void members_true(struct members *members, const char *name, int value);

/* What `options` says, but for endpoint, poll_timeout_ms, if_ended and response, which depend on the call. */
void members_register(struct members *members, const struct tinkex_register_options *options);

/* Copies `options` (NULL: nothing) of whatever version of the header over `ret_options`, which holds the
 * defaults and has `size` bytes. -EINVAL: its size was never set. */
int members_copy_options(void *ret_options, size_t size, const void *options) _must_check_;

#endif
