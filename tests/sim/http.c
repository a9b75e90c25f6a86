/* HTTP/1.x request heads; see http.h. */
#include "http.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

bool http_text_equals(struct http_text text, const char *other)
{
	return text.size == strlen(other) && memcmp(text.at, other, text.size) == 0;
}

bool http_text_equals_nocase(struct http_text text, const char *other)
{
	return text.size == strlen(other) && strncasecmp(text.at, other, text.size) == 0;
}

static struct http_text trimmed(const char *from, const char *to)
{
	while (from < to && (*from == ' ' || *from == '\t'))
		from++;
	while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
		to--;
	return (struct http_text){from, (size_t)(to - from)};
}

/* Takes one line off `rest`, without its CRLF or LF. False when there is none. */
static bool next_line(struct http_text *rest, struct http_text *ret_line)
{
	const char *end = rest->size ? memchr(rest->at, '\n', rest->size) : NULL;
	size_t used;

	if (!end)
		return false;
	used = (size_t)(end - rest->at) + 1;
	*ret_line = (struct http_text){rest->at, used - 1};
	if (ret_line->size > 0 && ret_line->at[ret_line->size - 1] == '\r')
		ret_line->size--;
	rest->at += used;
	rest->size -= used;
	return true;
}

static bool is_token(struct http_text text)
{
	for (size_t i = 0; i < text.size; i++)
		if (!isalnum((unsigned char)text.at[i]) && !memchr("!#$%&'*+-.^_`|~", text.at[i], 15))
			return false;
	return text.size > 0;
}

static int split_header(struct http_text line, struct http_header *ret_header)
{
	const char *colon = line.size ? memchr(line.at, ':', line.size) : NULL;
	struct http_header header;

	if (!colon || memchr(line.at, '\0', line.size))
		return -EBADMSG;
	header.name = (struct http_text){line.at, (size_t)(colon - line.at)};
	header.value = trimmed(colon + 1, line.at + line.size);
	if (!is_token(header.name))
		return -EBADMSG;
	*ret_header = header;
	return 0;
}

bool http_next_header(struct http_text *rest, struct http_header *ret_header)
{
	struct http_text line;

	return next_line(rest, &line) && split_header(line, ret_header) == 0;
}

bool http_find_header(const struct http_request *request, const char *name, struct http_text *ret_value)
{
	for (size_t i = 0; i < request->n_headers; i++) {
		if (http_text_equals_nocase(request->headers[i].name, name)) {
			*ret_value = request->headers[i].value;
			return true;
		}
	}
	return false;
}

static int parse_request_line(struct http_text line, struct http_request *request)
{
	const char *end = line.at + line.size;
	const char *target = memchr(line.at, ' ', line.size);
	const char *version = target ? memchr(target + 1, ' ', (size_t)(end - target) - 1) : NULL;
	const char *question;

	if (!version)
		return -EBADMSG;
	request->method = (struct http_text){line.at, (size_t)(target - line.at)};
	request->path = (struct http_text){target + 1, (size_t)(version - target) - 1};
	if (!is_token(request->method) || request->path.size == 0 || request->path.at[0] != '/')
		return -EBADMSG;
	question = memchr(request->path.at, '?', request->path.size);
	if (question) {
		request->query = (struct http_text){question + 1, (size_t)(version - question) - 1};
		request->path.size = (size_t)(question - request->path.at);
	}
	line = (struct http_text){version + 1, (size_t)(end - version) - 1};
	if (!http_text_equals(line, "HTTP/1.1") && !http_text_equals(line, "HTTP/1.0"))
		return -EBADMSG;
	request->keep_alive = http_text_equals(line, "HTTP/1.1");
	return 0;
}

static int parse_length(struct http_text value, size_t *ret_length)
{
	size_t length = 0;

	if (value.size == 0 || value.size > 15)
		return -EBADMSG;
	for (size_t i = 0; i < value.size; i++) {
		if (!isdigit((unsigned char)value.at[i]))
			return -EBADMSG;
		length = length * 10 + (size_t)(value.at[i] - '0');
	}
	*ret_length = length;
	return 0;
}

static int parse_fields(struct http_text rest, struct http_request *request)
{
	struct http_text line, value;

	while (next_line(&rest, &line)) {
		int error;

		if (request->n_headers == HTTP_HEADERS_MAX)
			return -E2BIG;
		error = split_header(line, &request->headers[request->n_headers]);
		if (error < 0)
			return error;
		request->n_headers++;
	}
	if (http_find_header(request, "Transfer-Encoding", &value))
		return -ENOTSUP;
	if (http_find_header(request, "Connection", &value)) {
		if (http_text_equals_nocase(value, "close"))
			request->keep_alive = false;
		else if (http_text_equals_nocase(value, "keep-alive"))
			request->keep_alive = true;
	}
	if (http_find_header(request, "Content-Length", &value))
		return parse_length(value, &request->content_length);
	return 0;
}

/* Bytes up to and with the empty line, 0 when it is not there. */
static size_t head_size(const char *data, size_t size)
{
	const char *crlf = memmem(data, size, "\r\n\r\n", 4);
	const char *lf = memmem(data, crlf ? (size_t)(crlf - data) : size, "\n\n", 2);

	if (lf)
		return (size_t)(lf - data) + 2;
	return crlf ? (size_t)(crlf - data) + 4 : 0;
}

int http_parse_head(const char *data, size_t size, struct http_request *ret_request, size_t *ret_size)
{
	size_t head = head_size(data, size);
	struct http_text rest, line;
	struct http_request request;
	int error;

	if (head > HTTP_HEAD_MAX || (head == 0 && size > HTTP_HEAD_MAX))
		return -E2BIG;
	if (head == 0)
		return -EAGAIN;
	memset(&request, 0, offsetof(struct http_request, headers));
	request.n_headers = 0;
	request.content_length = 0;
	rest = (struct http_text){data, head - (data[head - 2] == '\r' ? 2 : 1)};
	if (!next_line(&rest, &line))
		return -EBADMSG;
	error = parse_request_line(line, &request);
	if (error < 0)
		return error;
	request.fields = rest;
	error = parse_fields(rest, &request);
	if (error < 0)
		return error;
	*ret_request = request;
	*ret_size = head;
	return 0;
}

int http_error_status(int error)
{
	switch (error) {
	case -E2BIG:
		return 431;
	case -EFBIG:
		return 413;
	case -ENOTSUP:
		return 411;
	default:
		return 400;
	}
}

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{200, "OK"},
		{201, "Created"},
		{204, "No Content"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{402, "Payment Required"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{413, "Content Too Large"},
		{422, "Unprocessable Content"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}
