/* tinkex_result: an outcome as it came in, taken out of its line. Public accessors are in tinkex.h. */
#ifndef TINKEX_CLIENT_RESULT_H
#define TINKEX_CLIENT_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "fd_queue.h"
#include "include/tinkex.h"
#include "proto/attributes.h"

/* Makes a result of the JSON text of an outcome object, whose bytes are copied. An outcome that says `fd`
 * takes the oldest descriptor of `fds`, whatever is returned. Members that belong to the message and not to
 * the outcome (`call`, `index`) are left out. -EBADMSG: no outcome; -ENODATA: the descriptor is missing;
 * -ENOMEM. */
int result_parse(const char *text, size_t size, struct fd_queue *fds,
		 tinkex_result **ret_result) _must_check_;

/* Makes the result of a future that the library itself has to end. `reason` and `data_members` (further
 * members of `data` as JSON text that begins with a comma, or "") go into the error's data. -ENOMEM. */
int result_make_error(const char *request_id, const char *endpoint, const char *type, const char *reason,
		      const char *message, const char *data_members, tinkex_result **ret_result) _must_check_;

static inline void result_unrefp(tinkex_result **result)
{
	tinkex_result_unref(*result);
}

#endif
