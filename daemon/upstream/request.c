#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "proto/buffer.h"
#include "proto/json_text.h"

#define BODY_MAX (6 * REQUEST_ID_MAX + 128) /* every byte of an id may become \u00xx */

struct request_headers {
	unsigned refs;
	struct curl_slist *list; /* the nodes, in order */
	struct curl_slist *nodes;
	size_t n_nodes;
	const char *key; /* into the first node's text */
};

static char content_type[] = "Content-Type: application/json";
static char accept_json[] = "Accept: application/json";
static char accept_protobuf[] = "Accept: application/x-protobuf";

/* In curl's lists "Name:" takes a header out, and "Name;" is one without a value. */
static char *header_text(const char *line)
{
	char *text = xstrdup(line);
	size_t size = strlen(text);

	while (size && (text[size - 1] == ' ' || text[size - 1] == '\t'))
		text[--size] = '\0';
	if (size && text[size - 1] == ':')
		text[size - 1] = ';';
	return text;
}

struct request_headers *request_headers_new(const char *key_line, char *const *extra)
{
	struct request_headers *headers = xnew(struct request_headers);
	size_t n_extra = 0;

	while (extra && extra[n_extra])
		n_extra++;
	headers->refs = 1;
	headers->n_nodes = 2 + n_extra;
	headers->nodes = xreallocarray(NULL, headers->n_nodes, sizeof(*headers->nodes));
	headers->nodes[0].data = xstrdup(key_line);
	headers->nodes[1].data = content_type;
	for (size_t i = 0; i < n_extra; i++)
		headers->nodes[2 + i].data = header_text(extra[i]);
	for (size_t i = 0; i < headers->n_nodes; i++)
		headers->nodes[i].next = i + 1 < headers->n_nodes ? &headers->nodes[i + 1] : NULL;
	headers->list = headers->nodes;
	headers->key = strchr(headers->nodes[0].data, ':');
	headers->key = headers->key ? headers->key + 1 + strspn(headers->key + 1, " ") : "";
	return headers;
}

struct request_headers *request_headers_ref(struct request_headers *headers)
{
	headers->refs++;
	return headers;
}

struct request_headers *request_headers_unref(struct request_headers *headers)
{
	if (!headers || --headers->refs)
		return NULL;
	for (size_t i = 0; i < headers->n_nodes; i++) {
		if (i == 1)
			continue; /* not ours */
		/* Extra headers may be secrets, too: tokens of a proxy. */
		explicit_bzero(headers->nodes[i].data, strlen(headers->nodes[i].data));
		free(headers->nodes[i].data);
	}
	free(headers->nodes);
	free(headers);
	return NULL;
}

void request_headers_mask(const struct request_headers *headers, char *text)
{
	size_t size = strlen(headers->key);

	if (!size)
		return;
	while ((text = strstr(text, headers->key))) {
		memset(text, '*', size);
		text += size;
	}
}

static int build_body(struct request *request, const struct poll_request *poll)
{
	struct buffer buffer = BUFFER_INIT(BODY_MAX);
	int r = 0;

	buffer_puts(&buffer, "{\"request_id\": ");
	json_put_string(&buffer, poll->request_id);
	buffer_printf(&buffer, ", \"allow_metadata_only\": %s}",
		      poll->allow_metadata_only ? "true" : "false");
	request->body = buffer_steal(&buffer, &request->body_size, &r);
	buffer_release(&buffer);
	return request->body ? 0 : r;
}

static void add_header(struct request *request, size_t *n, char *text)
{
	struct curl_slist *node = &request->nodes[(*n)++];

	node->data = text;
	node->next = NULL;
	if (node != request->nodes)
		node[-1].next = node;
}

static void build_headers(struct request *request, const struct poll_request *poll)
{
	size_t n = 0;

	snprintf(request->iteration, sizeof(request->iteration), "X-Tinker-Request-Iteration: %u",
		 poll->iteration);
	add_header(request, &n, request->iteration);
	add_header(request, &n, poll->accept_protobuf ? accept_protobuf : accept_json);
	if (poll->request_type) {
		snprintf(request->type, sizeof(request->type), "X-Tinker-Request-Type: %s",
			 poll->request_type);
		add_header(request, &n, request->type);
	}
	if (poll->iteration == 0 && poll->create_roundtrip_ms >= 0) {
		snprintf(request->roundtrip, sizeof(request->roundtrip),
			 "X-Tinker-Create-Promise-Roundtrip-Time: %d.%03d", poll->create_roundtrip_ms / 1000,
			 poll->create_roundtrip_ms % 1000);
		add_header(request, &n, request->roundtrip);
	}
	request->list = request->nodes;
	request->nodes[n - 1].next = request->shared->list;
}

int request_build(struct request *request, const struct poll_request *poll, struct request_headers *shared)
{
	int r = build_body(request, poll);

	if (r < 0)
		return r;
	request->shared = request_headers_ref(shared);
	build_headers(request, poll);
	return 0;
}

void request_release(struct request *request)
{
	request->shared = request_headers_unref(request->shared);
	free(request->body);
	request->body = NULL;
}
