/*
 * What a poll sends: its headers and its body. The headers that all polls of an endpoint have are made once
 * and shared; one of them is the API key, so they are wiped when the last poll that was sent with them is
 * over.
 */
#ifndef TINKEX_UPSTREAM_REQUEST_H
#define TINKEX_UPSTREAM_REQUEST_H

#include <curl/curl.h>
#include <stddef.h>

#include "core/scheduler.h"
#include "proto/attributes.h"

#define REQUEST_PATH "/api/v1/retrieve_future" /* behind the base URL */

struct request_headers;

/* `key_line`: "X-API-Key: …"; `extra`: "Name: value" each, NULL at the end; may be NULL. All copied. Never
 * NULL. */
struct request_headers *request_headers_new(const char *key_line, char *const *extra);
struct request_headers *request_headers_ref(struct request_headers *headers);
/* One reference less. Takes and returns NULL. */
struct request_headers *request_headers_unref(struct request_headers *headers);
/* Puts asterisks over the key wherever it stands in `text`, which a server wrote. */
void request_headers_mask(const struct request_headers *headers, char *text);

/* A poll's own part. Stays where it is while it is in use: the list points into it. */
struct request {
	struct request_headers *shared; /* owned reference */
	struct curl_slist *list;        /* its own headers, then the shared ones */
	struct curl_slist nodes[4];
	char iteration[48], type[40 + REQUEST_TYPE_MAX], roundtrip[72];
	char *body; /* owned */
	size_t body_size;
};

/* Takes a reference to `shared`. 0 or -ENOMEM, and then there is nothing to release. */
_must_check_ int request_build(struct request *request, const struct poll_request *poll,
			       struct request_headers *shared);
void request_release(struct request *request);

#endif
