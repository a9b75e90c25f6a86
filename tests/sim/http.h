/*
 * Reading the head of an HTTP/1.x request out of bytes. Pure: no socket, no allocation; everything it returns
 * points into the bytes it was given. Only what the simulator needs: a request line, header fields,
 * Content-Length.
 */
#ifndef SIM_HTTP_H
#define SIM_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "attributes.h"

enum {
	HTTP_HEAD_MAX = 64 * 1024,
	HTTP_HEADERS_MAX = 100,
};

/* A piece of somebody else's bytes; not NUL-terminated. */
struct http_text {
	const char *at;
	size_t size;
};

struct http_header {
	struct http_text name, value;
};

struct http_request {
	struct http_text method, path, query; /* query without its '?', size 0 when there is none */
	struct http_text fields;              /* all header lines as they came, without the empty line */
	struct http_text body;                /* set by whoever read it; the parser leaves it empty */
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t n_headers;
	size_t content_length; /* bytes; 0 when not given */
	bool keep_alive;       /* what the client asked for */
};

/*
 * Parses the head at the start of `data`. 0, and the size of the head with its empty line in *ret_size;
 * -EAGAIN when it has not all arrived; else -EBADMSG (not HTTP), -E2BIG (too long) or -ENOTSUP (chunked
 * request body).
 */
_must_check_ int http_parse_head(const char *data, size_t size, struct http_request *ret_request,
				 size_t *ret_size);
/* The status to answer such an error with. */
int http_error_status(int error);
/* Splits the header lines of a request's `fields` one by one: false at the end. `*rest` is what is left. */
bool http_next_header(struct http_text *rest, struct http_header *ret_header);
/* The first header of that name, compared without case; false if there is none. */
bool http_find_header(const struct http_request *request, const char *name, struct http_text *ret_value);
/* Equal to a NUL-terminated text, with and without case. */
bool http_text_equals(struct http_text text, const char *other);
bool http_text_equals_nocase(struct http_text text, const char *other);
/* The usual phrase of a status, "Unknown" for others. */
const char *http_reason(int status);

#endif
