#include "output.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/alloc.h"
#include "proto/json_text.h"

#define GATHER_MAX  64
#define JOIN_MAX    (16 * 1024)             /* small lines share a segment up to this size */
#define ENCODE_STEP ((size_t)3 * 16 * 1024) /* bytes encoded at once; a multiple of 3 */

enum segment_kind { SEGMENT_TEXT, SEGMENT_BODY, SEGMENT_BASE64, SEGMENT_RECEIPT };

struct segment {
	TAILQ_ENTRY(segment) next;
	enum segment_kind kind;
	size_t sent;             /* bytes of it that were written, as they look on the wire */
	struct buffer text;      /* TEXT: owned */
	struct result *holder;   /* BODY, BASE64: owned reference */
	const char *data;        /* ... what it keeps alive */
	size_t size;             /* ... bytes of it, before encoding */
	struct receipt *receipt; /* RECEIPT: owned */
};

void output_init(struct output *output)
{
	TAILQ_INIT(&output->segments);
	output->text = 0;
}

bool output_empty(const struct output *output)
{
	return TAILQ_EMPTY(&output->segments);
}

static struct segment *segment_add(struct output *output, enum segment_kind kind)
{
	struct segment *segment = xnew(struct segment);

	segment->kind = kind;
	TAILQ_INSERT_TAIL(&output->segments, segment, next);
	return segment;
}

/* Takes the first segment out; its receipt, if it is one, is told. */
static void segment_pop(struct output *output, bool sent)
{
	struct segment *segment = TAILQ_FIRST(&output->segments);
	struct receipt *receipt = segment->receipt;

	TAILQ_REMOVE(&output->segments, segment, next);
	if (segment->kind == SEGMENT_TEXT)
		output->text -= segment->text.size - segment->sent;
	buffer_release(&segment->text);
	result_unref(segment->holder);
	free(segment);
	if (receipt)
		receipt->done(receipt, sent);
}

void output_release(struct output *output)
{
	while (!output_empty(output))
		segment_pop(output, false);
}

/* What a segment is on the wire. */
static size_t segment_wire_size(const struct segment *segment)
{
	switch (segment->kind) {
	case SEGMENT_TEXT:
		return segment->text.size;
	case SEGMENT_BODY:
		return segment->size;
	case SEGMENT_BASE64:
		return (segment->size + 2) / 3 * 4 + 2;
	case SEGMENT_RECEIPT:
		break;
	}
	return 0;
}

/* Queues text; the memory of a long one is taken out of `whole` if it is all of it. */
static int put_text(struct output *output, struct buffer *whole, size_t from, size_t to)
{
	struct segment *last = TAILQ_LAST(&output->segments, segments);
	size_t size = to - from;

	if (!size)
		return 0;
	output->text += size;
	if (last && last->kind == SEGMENT_TEXT && last->text.size + size <= JOIN_MAX) {
		buffer_append(&last->text, whole->data + from, size);
		return buffer_error(&last->text);
	}
	last = segment_add(output, SEGMENT_TEXT);
	if (size == whole->size) {
		last->text = *whole;
		last->text.max = SIZE_MAX;
		buffer_init(whole, whole->max);
		return 0;
	}
	buffer_init(&last->text, SIZE_MAX);
	buffer_append(&last->text, whole->data + from, size);
	return buffer_error(&last->text);
}

static void put_piece(struct output *output, struct line_piece *piece)
{
	struct segment *segment = segment_add(output, piece->base64 ? SEGMENT_BASE64 : SEGMENT_BODY);

	segment->holder = steal_pointer(piece->holder);
	segment->data = piece->data;
	segment->size = piece->size;
}

int output_put(struct output *output, struct line *line)
{
	size_t at = 0, end = line->text.size;
	int error = 0;

	for (size_t i = 0; i < line->n_pieces && !error; i++) {
		struct line_piece *piece = &line->pieces[i];

		error = put_text(output, &line->text, at, piece->at);
		at = piece->at;
		put_piece(output, piece);
	}
	if (!error)
		error = put_text(output, &line->text, at, end);
	if (!error && line->receipt)
		segment_add(output, SEGMENT_RECEIPT)->receipt = steal_pointer(line->receipt);
	line_release(line);
	return error;
}

/* Encodes the next step of a base64 segment into `scratch`. Whole groups are encoded anew when the last write
 * ended within one, so nothing has to be remembered but the count. */
static void encode_step(const struct segment *segment, struct buffer *scratch, struct iovec *ret_range)
{
	size_t wire = segment_wire_size(segment), sent = segment->sent;
	size_t coded = sent ? sent - 1 : 0; /* without the opening quote */
	size_t group = coded / 4;
	size_t from = group * 3 < segment->size ? group * 3 : segment->size;
	size_t size = segment->size - from < ENCODE_STEP ? segment->size - from : ENCODE_STEP;
	bool last = from + size == segment->size;

	buffer_clear(scratch);
	json_put_base64(scratch, segment->data + from, size);
	/* The scratch is quote, digits, quote; the quotes belong to the ends of the whole. */
	if (sent == 0)
		*ret_range = (struct iovec){scratch->data, scratch->size - !last};
	else if (sent == wire - 1)
		*ret_range = (struct iovec){scratch->data + scratch->size - 1, 1};
	else
		*ret_range = (struct iovec){scratch->data + 1 + coded % 4,
					    scratch->size - 1 - coded % 4 - !last};
}

/* What is to be written next: as many segments as fit one call, and at most one that is encoded. */
static int gather(const struct output *output, struct buffer *scratch, struct iovec *ranges)
{
	const struct segment *segment;
	int n = 0;

	TAILQ_FOREACH (segment, &output->segments, next) {
		size_t sent = segment->sent;

		if (n == GATHER_MAX)
			break;
		switch (segment->kind) {
		case SEGMENT_TEXT:
			ranges[n++] = (struct iovec){segment->text.data + sent, segment->text.size - sent};
			break;
		case SEGMENT_BODY:
			/* sendmsg() only reads */
			ranges[n++] = (struct iovec){(char *)(uintptr_t)(segment->data + sent),
						     segment->size - sent};
			break;
		case SEGMENT_BASE64:
			encode_step(segment, scratch, &ranges[n++]);
			return n; /* there is one scratch */
		case SEGMENT_RECEIPT:
			break;
		}
	}
	return n;
}

/* `size` more bytes are the kernel's. */
static void advance(struct output *output, size_t size)
{
	struct segment *segment;

	while ((segment = TAILQ_FIRST(&output->segments))) {
		size_t left = segment_wire_size(segment) - segment->sent;
		size_t step = left < size ? left : size;

		segment->sent += step;
		size -= step;
		if (segment->kind == SEGMENT_TEXT)
			output->text -= step;
		if (step < left)
			return;
		segment_pop(output, true);
	}
}

int output_write(struct output *output, int fd, enum output_progress *ret_progress)
{
	struct iovec ranges[GATHER_MAX];
	_cleanup_(buffer_release) struct buffer scratch = BUFFER_INIT(SIZE_MAX);
	struct msghdr message = {.msg_iov = ranges};
	size_t offered = 0;
	ssize_t sent;
	int n = gather(output, &scratch, ranges);

	if (buffer_error(&scratch))
		return buffer_error(&scratch);
	for (int i = 0; i < n; i++)
		offered += ranges[i].iov_len;
	message.msg_iovlen = (size_t)n;
	sent = offered ? sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	advance(output, sent < 0 ? 0 : (size_t)sent);
	if (output_empty(output))
		*ret_progress = OUTPUT_DRAINED;
	else if (sent >= 0 && (size_t)sent == offered)
		*ret_progress = OUTPUT_MORE;
	else
		*ret_progress = OUTPUT_BLOCKED;
	return 0;
}
