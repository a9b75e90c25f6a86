/*
 * Answers of a server, fed and classified, and what they mean as a line of text:
 *   completed json {"value":42}
 *   try_again active 'reason' retry_after 5000
 *   metadata 512
 *   failed_user = request_failed/user -: bad input
 */
#ifndef TINKEX_TESTS_UNIT_CORE_ANSWERS_H
#define TINKEX_TESTS_UNIT_CORE_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/outcome.h"

#define MAX_RESULT UINT64_C(1000000000)

/* A whole answer of that status, application/json, that came on Sun, 06 Nov 1994 08:49:37 GMT. */
struct answer http(unsigned status);

/* Feeds `first` bytes, then `rest` at a time. *ret_after (may be NULL): the body as the reader left it, to be
 * freed. Each piece is freed after it was fed, so that nobody can go on looking at it. */
struct outcome classify(const struct answer *answer, bool skyrl, const char *body, size_t size, size_t first,
			size_t rest, char **ret_after);

/* The whole line of the error, checked to be what a strict client can read; "" without one. To be freed. */
char *error_line(const struct outcome *outcome);

/* The line of text, the error and the body afterwards: what must not depend on how the body was cut. To be
 * freed, as *ret_summary (may be NULL), which is the line alone. */
char *describe(const struct answer *answer, bool skyrl, const char *body, size_t size, size_t first,
	       size_t rest, char **ret_summary);

/* Fed in this way it is described like this. */
void assert_same_cut(const struct answer *answer, bool skyrl, const char *body, size_t size, size_t first,
		     size_t rest, const char *expected);

/* Fed whole, in pieces of 1 to 7 bytes, and cut in two at every place, this answer means `expected`. */
void assert_means_n(const struct answer *answer, bool skyrl, const char *body, size_t size,
		    const char *expected);
void assert_means(unsigned status, const char *body, const char *expected);

#endif
