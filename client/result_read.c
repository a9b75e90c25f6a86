/* Looking at results: accessors, reading a body from memory or descriptor, writing an outcome out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/json_text.h"
#include "result.h"
#include "result_private.h"

#define PIECE_SIZE (48 * 1024) /* a multiple of 3, so that Base64 pieces join without padding */

const char *tinkex_result_request_id(const tinkex_result *result)
{
	return result ? result->request_id : NULL;
}

const char *tinkex_result_endpoint(const tinkex_result *result)
{
	return result ? result->endpoint : NULL;
}

int tinkex_result_ok(const tinkex_result *result)
{
	return result ? result->ok : -1;
}

const char *tinkex_result_state(const tinkex_result *result)
{
	return result ? result->state : NULL;
}

const char *tinkex_result_content_type(const tinkex_result *result)
{
	return result ? result->content_type : NULL;
}

uint64_t tinkex_result_size(const tinkex_result *result)
{
	return result ? result->size : 0;
}

const char *tinkex_result_error_type(const tinkex_result *result)
{
	return result ? result->error_type : NULL;
}

const char *tinkex_result_error_category(const tinkex_result *result)
{
	return result ? result->error_category : NULL;
}

int tinkex_result_error_status(const tinkex_result *result)
{
	return result ? result->error_status : 0;
}

const char *tinkex_result_error_message(const tinkex_result *result)
{
	return result ? result->error_message : NULL;
}

const char *tinkex_result_error_data(const tinkex_result *result)
{
	return result ? result->error_data : NULL;
}

const char *tinkex_result_error_reason(const tinkex_result *result)
{
	return result ? result->error_reason : NULL;
}

int tinkex_result_fd(const tinkex_result *result, uint64_t *ret_offset)
{
	if (!result || result->fd < 0)
		return -1;
	if (ret_offset)
		*ret_offset = result->fd_offset;
	return result->fd;
}

/* Reads exactly `size` bytes at `offset` of the body. By pread(), not by mapping: a file that was cut short
 * is then an error and not a SIGBUS. */
static int result_pread(const tinkex_result *result, uint64_t offset, char *buffer, size_t size)
{
	while (size > 0) {
		ssize_t n = pread(result->fd, buffer, size, (off_t)(result->fd_offset + offset));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return TINKEX_EIO;
		buffer += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

int64_t tinkex_result_read(const tinkex_result *result, uint64_t offset, void *buffer, size_t size)
{
	if (!result || (!buffer && size > 0))
		return TINKEX_EINVAL;
	if (offset >= result->size)
		return 0;
	if (size > result->size - offset)
		size = (size_t)(result->size - offset);
	if (result->fd < 0) {
		memcpy(buffer, result->body + offset, size);
		return (int64_t)size;
	}
	return result_pread(result, offset, buffer, size) < 0 ? TINKEX_EIO : (int64_t)size;
}

/* Two threads may load at once: the first to finish wins, the other throws its copy away. */
static const char *result_load(const tinkex_result *result)
{
	char *loaded = __atomic_load_n(result->loaded, __ATOMIC_ACQUIRE), *mine;

	if (loaded)
		return loaded;
	if (result->size >= SIZE_MAX)
		return NULL;
	mine = malloc((size_t)result->size + 1);
	if (!mine)
		return NULL;
	if (result_pread(result, 0, mine, (size_t)result->size) < 0) {
		free(mine);
		return NULL;
	}
	mine[result->size] = '\0';
	if (__atomic_compare_exchange_n(result->loaded, &loaded, mine, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return mine;
	free(mine);
	return loaded;
}

const void *tinkex_result_data(const tinkex_result *result, size_t *ret_size)
{
	const char *data;

	if (!result || result->ok != 1)
		return NULL;
	data = result->fd >= 0 ? result_load(result) : result->body;
	if (data && ret_size)
		*ret_size = (size_t)result->size;
	return data;
}

/* ---- writing out ---- */

static int write_text(tinkex_write_fn write, void *userdata, const char *text)
{
	return write(text, strlen(text), userdata) ? TINKEX_EIO : 0;
}

/* Descriptors go through a small buffer; memory goes out whole. */
static int result_write_raw(const tinkex_result *result, tinkex_write_fn write, void *userdata)
{
	char piece[PIECE_SIZE];
	int64_t n;

	if (result->fd < 0)
		return result->size > 0 && write(result->body, (size_t)result->size, userdata) ? TINKEX_EIO
											       : 0;
	for (uint64_t at = 0; at < result->size; at += (uint64_t)n) {
		n = tinkex_result_read(result, at, piece, sizeof(piece));
		if (n <= 0 || write(piece, (size_t)n, userdata))
			return TINKEX_EIO;
	}
	return 0;
}

static int result_write_base64(const tinkex_result *result, tinkex_write_fn write, void *userdata)
{
	struct buffer text = BUFFER_INIT(SIZE_MAX);
	char piece[PIECE_SIZE];
	int64_t n;
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < result->size; at += (uint64_t)n) {
		n = tinkex_result_read(result, at, piece, sizeof(piece));
		if (n <= 0) {
			r = TINKEX_EIO;
			break;
		}
		buffer_clear(&text);
		json_put_base64(&text, piece, (size_t)n);
		if (buffer_error(&text))
			r = TINKEX_ENOMEM;
		/* without the quotes: it is one string out of many pieces */
		else if (write(text.data + 1, text.size - 2, userdata))
			r = TINKEX_EIO;
	}
	buffer_release(&text);
	return r;
}

static int result_write_member(const tinkex_result *result, tinkex_write_fn write, void *userdata)
{
	struct buffer head = BUFFER_INIT(SIZE_MAX);
	int r;

	if (!result->protobuf) {
		r = write_text(write, userdata, ",\"result\":");
		return r < 0 ? r : result_write_raw(result, write, userdata);
	}
	buffer_printf(&head, ",\"size\":%llu,\"result_base64\":\"", (unsigned long long)result->size);
	r = buffer_error(&head) ? TINKEX_ENOMEM : write(head.data, head.size, userdata) ? TINKEX_EIO : 0;
	buffer_release(&head);
	if (r == 0)
		r = result_write_base64(result, write, userdata);
	return r < 0 ? r : write_text(write, userdata, "\"");
}

int tinkex_result_write_json(const tinkex_result *result, tinkex_write_fn write, void *userdata)
{
	int r;

	if (!result || !write)
		return TINKEX_EINVAL;
	r = write_text(write, userdata, "{");
	if (r == 0 && write(result->members, result->members_size, userdata))
		r = TINKEX_EIO;
	if (r == 0 && result->ok == 1)
		r = result_write_member(result, write, userdata);
	return r < 0 ? r : write_text(write, userdata, "}");
}

int tinkex_result_write_body(const tinkex_result *result, tinkex_write_fn write, void *userdata)
{
	if (!result || !write)
		return TINKEX_EINVAL;
	return result->ok == 1 ? result_write_raw(result, write, userdata) : 0;
}
