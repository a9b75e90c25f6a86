#include "pull.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "core/alloc.h"
#include "proto/json_text.h"
#include "store/reader.h"

#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 1000
#define ENCODE_ROOM  ((size_t)64 * 1024 + 16) /* of what is encoded for one write */

/* A stretch of a body that is in memory, being read, or to be read again. */
struct pull_piece {
	TAILQ_ENTRY(pull_piece) in_again; /* while `again` */
	struct pull *pull;
	struct reading *reading; /* while it is being read */
	struct blob *bytes;      /* when it has come; owned reference */
	uint64_t from;
	size_t size;
	bool again;
};

struct pull {
	struct puller *puller;
	struct result *result; /* owned reference */
	struct blob *memory;   /* owned reference */
	bool base64;
	uint64_t sent;  /* bytes that were written, as they look on the wire */
	uint64_t asked; /* bytes of the body that some piece is or was about */
	/* While one is being written the other is read. */
	struct pull_piece pieces[2];
	unsigned first, n;
};

void puller_init(struct puller *puller, struct reader *reader, struct loop *loop,
		 const struct puller_operations *operations, void *context)
{
	*puller = (struct puller){
		.reader = reader,
		.loop = loop,
		.operations = operations,
		.context = context,
		.delay_ms = RETRY_MIN_MS,
	};
	TAILQ_INIT(&puller->again);
}

void puller_release(struct puller *puller)
{
	if (puller->retry)
		event_free(puller->retry);
	puller->retry = NULL;
}

/* Reading. */

static void lose(struct pull *pull, int error)
{
	pull->puller->operations->lost(pull->puller->context, pull->result, error);
}

static void on_read(void *context, struct blob *bytes, int error);

static void start(struct pull_piece *piece)
{
	struct pull *pull = piece->pull;

	piece->reading = reader_read(pull->puller->reader, pull->result, piece->from, piece->size, on_read,
				     piece);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	struct puller *puller = context;
	struct pull_piece *piece;

	(void)fd;
	(void)what;
	puller->retrying = false;
	while ((piece = TAILQ_FIRST(&puller->again))) {
		TAILQ_REMOVE(&puller->again, piece, in_again);
		piece->again = false;
		start(piece);
	}
}

/* Memory and descriptors come back; meanwhile nobody runs in circles. */
static void try_again(struct pull_piece *piece, int error)
{
	struct puller *puller = piece->pull->puller;
	struct timeval delay = {.tv_sec = puller->delay_ms / 1000, .tv_usec = puller->delay_ms % 1000 * 1000};

	if (!puller->retry)
		puller->retry = event_new(loop_base(puller->loop), -1, 0, on_retry, puller);
	if (!puller->retrying && (!puller->retry || event_add(puller->retry, &delay) < 0)) {
		lose(piece->pull, error);
		return;
	}
	if (!puller->retrying)
		puller->delay_ms = puller->delay_ms * 2 < RETRY_MAX_MS ? puller->delay_ms * 2 : RETRY_MAX_MS;
	puller->retrying = true;
	piece->again = true;
	TAILQ_INSERT_TAIL(&puller->again, piece, in_again);
}

static void on_read(void *context, struct blob *bytes, int error)
{
	struct pull_piece *piece = context;
	struct puller *puller = piece->pull->puller;

	piece->reading = NULL;
	piece->bytes = bytes;
	if (error == -ENOMEM || error == -EMFILE) {
		try_again(piece, error);
	} else if (error) {
		lose(piece->pull, error);
	} else {
		puller->delay_ms = RETRY_MIN_MS;
		puller->operations->arrived(puller->context);
	}
}

static void pop_piece(struct pull *pull)
{
	struct pull_piece *piece = &pull->pieces[pull->first];
	struct puller *puller = pull->puller;

	reading_cancel(piece->reading);
	blob_unref(piece->bytes);
	if (piece->again)
		TAILQ_REMOVE(&puller->again, piece, in_again);
	puller->bytes -= piece->size;
	puller->n_pieces--;
	*piece = (struct pull_piece){0};
	pull->first = (pull->first + 1) % ARRAY_LEN(pull->pieces);
	pull->n--;
}

bool pull_is_asked(const struct pull *pull)
{
	return pull->memory || pull->asked == pull->result->size;
}

bool pull_ask(struct pull *pull, bool first)
{
	struct puller *puller = pull->puller;
	struct pull_piece *piece = &pull->pieces[(pull->first + pull->n) % ARRAY_LEN(pull->pieces)];
	uint64_t left = pull->result->size - pull->asked;
	size_t size = left < PULL_PIECE ? (size_t)left : PULL_PIECE;

	if (pull_is_asked(pull) || pull->n == ARRAY_LEN(pull->pieces))
		return false;
	if (!(first && !pull->n) &&
	    (puller->n_pieces >= PULL_AHEAD_PIECES || puller->bytes + size > PULL_AHEAD_BYTES))
		return false;
	if (!puller->reader) {
		lose(pull, -EIO);
		return false;
	}
	*piece = (struct pull_piece){.pull = pull, .from = pull->asked, .size = size};
	pull->n++;
	pull->asked += size;
	puller->bytes += size;
	puller->n_pieces++;
	start(piece);
	return true;
}

/* Writing. */

struct pull *pull_new(struct puller *puller, struct result *result, struct blob *memory, bool base64)
{
	struct pull *pull = xnew(struct pull);

	pull->puller = puller;
	pull->result = result;
	pull->memory = memory;
	pull->base64 = base64;
	puller->held += memory ? memory->size : 0;
	return pull;
}

struct pull *pull_free(struct pull *pull)
{
	if (!pull)
		return NULL;
	while (pull->n)
		pop_piece(pull);
	pull->puller->held -= pull->memory ? pull->memory->size : 0;
	blob_unref(pull->memory);
	result_unref(pull->result);
	free(pull);
	return NULL;
}

static uint64_t wire_size(const struct pull *pull)
{
	return pull->base64 ? (pull->result->size + 2) / 3 * 4 + 2 : pull->result->size;
}

uint64_t pull_left(const struct pull *pull)
{
	return wire_size(pull) - pull->sent;
}

/* The first byte of the body that is still needed. Whole groups are encoded anew when the last write ended
 * within one, so nothing has to be remembered but the count. */
static uint64_t position(const struct pull *pull)
{
	uint64_t at = pull->base64 ? (pull->sent ? pull->sent - 1 : 0) / 4 * 3 : pull->sent;

	return at < pull->result->size ? at : pull->result->size;
}

/* The piece that the position is in; NULL: it has not come. */
static const struct pull_piece *current(const struct pull *pull)
{
	const struct pull_piece *piece = &pull->pieces[pull->first];

	return pull->n && piece->bytes ? piece : NULL;
}

/* The closing quote needs nothing of the body. */
static bool only_quote_left(const struct pull *pull)
{
	return pull->base64 && pull->sent && pull_left(pull) == 1;
}

bool pull_is_waiting(const struct pull *pull)
{
	return !pull->memory && !only_quote_left(pull) && pull_left(pull) && !current(pull);
}

void pull_advance(struct pull *pull, size_t size)
{
	uint64_t at;

	pull->sent += size;
	at = position(pull);
	while (pull->n && at >= pull->pieces[pull->first].from + pull->pieces[pull->first].size)
		pop_piece(pull);
}

static struct iovec range(const char *data, size_t size)
{
	return (struct iovec){(char *)(uintptr_t)data, size}; /* sendmsg() only reads */
}

/* Bytes from `at` that lie together in memory. */
static bool bytes_at(const struct pull *pull, uint64_t at, struct iovec *ret_bytes)
{
	const struct pull_piece *piece = current(pull);

	if (at == pull->result->size)
		*ret_bytes = range("", 0);
	else if (pull->memory)
		*ret_bytes = range(pull->memory->data + at, pull->memory->size - (size_t)at);
	else if (piece)
		*ret_bytes = range(piece->bytes->data + (at - piece->from),
				   piece->size - (size_t)(at - piece->from));
	else
		return false;
	return true;
}

static int plain_ranges(const struct pull *pull, struct iovec *ret_ranges, bool *ret_whole)
{
	const struct pull_piece *second = &pull->pieces[(pull->first + 1) % ARRAY_LEN(pull->pieces)];
	uint64_t size;
	int n = 1;

	if (!bytes_at(pull, position(pull), &ret_ranges[0]))
		return 0;
	size = ret_ranges[0].iov_len;
	if (pull->n > 1 && second->bytes) {
		ret_ranges[n++] = range(second->bytes->data, second->size);
		size += second->size;
	}
	*ret_whole = size == pull_left(pull);
	return n;
}

/* Encodes the next step into the scratch, as far as that has room. */
static int encode(const struct pull *pull, struct buffer *scratch, struct iovec *ret_range, bool *ret_whole)
{
	size_t before = scratch->size, room;
	uint64_t at = position(pull);
	size_t skip = pull->sent ? 1 + (size_t)((pull->sent - 1) % 4) : 0;
	struct iovec bytes;
	bool last;

	if (!before && buffer_reserve(scratch, ENCODE_ROOM) < 0)
		return 0;
	room = scratch->capacity - before; /* what was put before must not move */
	if (room < 6 || !bytes_at(pull, at, &bytes))
		return 0;
	room = (room - 2) / 4 * 3;
	if (bytes.iov_len > room)
		bytes.iov_len = room;
	last = at + bytes.iov_len == pull->result->size;
	json_put_base64(scratch, bytes.iov_base, bytes.iov_len);
	/* What was put is quote, digits, quote; the quotes belong to the ends of the whole. */
	*ret_range = range(scratch->data + before + skip, scratch->size - before - skip - !last);
	*ret_whole = last;
	return 1;
}

int pull_ranges(const struct pull *pull, struct buffer *scratch, struct iovec *ret_ranges, bool *ret_whole)
{
	*ret_whole = false;
	if (!pull->base64)
		return plain_ranges(pull, ret_ranges, ret_whole);
	if (only_quote_left(pull)) {
		ret_ranges[0] = range("\"", 1);
		*ret_whole = true;
		return 1;
	}
	return encode(pull, scratch, ret_ranges, ret_whole);
}
