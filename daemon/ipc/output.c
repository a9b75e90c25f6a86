#include "output.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/alloc.h"
#include "parcel.h"
#include "sys/log.h"

#define GATHER_MAX 64
#define JOIN_MAX   (16 * 1024) /* small lines share a segment up to this size */

enum segment_kind {
	SEGMENT_TEXT,
	SEGMENT_BODY,
	SEGMENT_PARCEL,  /* goes with the first bytes of what follows */
	SEGMENT_OUTCOME, /* text of a body that goes by descriptor; behind its line's parcel */
	SEGMENT_RECEIPT,
};

struct segment {
	TAILQ_ENTRY(segment) next;
	enum segment_kind kind;
	struct buffer text;        /* TEXT, OUTCOME: owned */
	size_t sent;               /* ... bytes of it that were written */
	struct pull *pull;         /* BODY: owned; OUTCOME: what goes out when the parcel does not */
	struct buffer inline_text; /* OUTCOME: ... and the text before that; owned */
	struct parcel *parcel;     /* PARCEL: owned */
	struct receipt *receipt;   /* RECEIPT: owned */
};

void output_init(struct output *output, struct reader *reader, struct loop *loop,
		 const struct puller_operations *operations, void *context)
{
	TAILQ_INIT(&output->segments);
	output->text = 0;
	output->written = 0;
	output->unread = NULL;
	puller_init(&output->puller, reader, loop, operations, context);
}

bool output_empty(const struct output *output)
{
	return TAILQ_EMPTY(&output->segments);
}

size_t output_memory(const struct output *output)
{
	return output->text + output->puller.bytes + output->puller.held;
}

static struct segment *segment_new(enum segment_kind kind)
{
	struct segment *segment = xnew(struct segment);

	segment->kind = kind;
	buffer_init(&segment->text, SIZE_MAX);
	buffer_init(&segment->inline_text, SIZE_MAX);
	return segment;
}

static struct segment *segment_add(struct output *output, enum segment_kind kind)
{
	struct segment *segment = segment_new(kind);

	TAILQ_INSERT_TAIL(&output->segments, segment, next);
	return segment;
}

/* Takes the first segment out; its receipt, if it is one, is told. */
static void segment_pop(struct output *output, bool sent)
{
	struct segment *segment = TAILQ_FIRST(&output->segments);
	struct receipt *receipt = segment->receipt;

	if (output->unread == segment)
		output->unread = TAILQ_NEXT(segment, next);
	TAILQ_REMOVE(&output->segments, segment, next);
	output->text -= segment->text.size - segment->sent;
	buffer_release(&segment->text);
	buffer_release(&segment->inline_text);
	pull_free(segment->pull);
	parcel_free(segment->parcel);
	free(segment);
	if (receipt)
		receipt->done(receipt, sent);
}

void output_release(struct output *output)
{
	while (!output_empty(output))
		segment_pop(output, false);
	puller_release(&output->puller);
}

/* Queueing. */

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
	buffer_append(&last->text, whole->data + from, size);
	return buffer_error(&last->text);
}

static void put_body(struct output *output, struct pull *pull)
{
	struct segment *segment = segment_add(output, SEGMENT_BODY);

	segment->pull = pull;
	if (!output->unread)
		output->unread = segment;
}

static int put_outcome(struct output *output, const struct line *line, const struct line_piece *piece,
		       struct pull *pull)
{
	struct segment *segment = segment_add(output, SEGMENT_OUTCOME);

	segment->pull = pull;
	buffer_puts(&segment->text, piece->instead);
	buffer_append(&segment->inline_text, line->text.data + piece->from, piece->at - piece->from);
	output->text += segment->text.size;
	return buffer_error(&segment->text) ? buffer_error(&segment->text)
					    : buffer_error(&segment->inline_text);
}

static int put_piece(struct output *output, struct line *line, struct line_piece *piece)
{
	struct pull *pull = pull_new(&output->puller, steal_pointer(piece->holder),
				     steal_pointer(piece->memory), piece->base64);

	if (piece->instead)
		return put_outcome(output, line, piece, pull);
	put_body(output, pull);
	return 0;
}

int output_put(struct output *output, struct line *line)
{
	size_t at = 0, end = line->text.size;
	int error = 0;

	int fds[PARCEL_MAX];

	if (line->parcel && parcel_descriptors(line->parcel, fds))
		segment_add(output, SEGMENT_PARCEL)->parcel = steal_pointer(line->parcel);
	for (size_t i = 0; i < line->n_pieces && !error; i++) {
		struct line_piece *piece = &line->pieces[i];

		error = put_text(output, &line->text, at, piece->from);
		at = piece->at;
		if (!error)
			error = put_piece(output, line, piece);
	}
	if (!error)
		error = put_text(output, &line->text, at, end);
	if (!error && line->receipt)
		segment_add(output, SEGMENT_RECEIPT)->receipt = steal_pointer(line->receipt);
	line_release(line);
	return error;
}

/* Reading. */

/* Asks for what comes next, as far as the limits allow. */
static void read_ahead(struct output *output)
{
	struct segment *first = TAILQ_FIRST(&output->segments);

	if (first && first->kind == SEGMENT_BODY)
		pull_ask(first->pull, true);
	for (; output->unread; output->unread = TAILQ_NEXT(output->unread, next)) {
		if (output->unread->kind != SEGMENT_BODY)
			continue;
		while (pull_ask(output->unread->pull, false))
			;
		if (!pull_is_asked(output->unread->pull))
			return;
	}
}

/* Writing. */

/* What is to be written next: as many segments as fit one call and are there. */
static int gather(const struct output *output, struct buffer *scratch, struct iovec *ranges)
{
	const struct segment *segment;
	bool whole;
	int n = 0;

	TAILQ_FOREACH (segment, &output->segments, next) {
		if (n + 2 > GATHER_MAX || segment->kind == SEGMENT_PARCEL)
			break;
		if (segment->kind == SEGMENT_RECEIPT)
			continue;
		if (segment->kind == SEGMENT_BODY) {
			n += pull_ranges(segment->pull, scratch, ranges + n, &whole);
			if (!whole)
				break;
			continue;
		}
		ranges[n++] = (struct iovec){segment->text.data + segment->sent,
					     segment->text.size - segment->sent};
	}
	return n;
}

static uint64_t bytes_left(const struct segment *segment)
{
	return segment->kind == SEGMENT_BODY ? pull_left(segment->pull) : segment->text.size - segment->sent;
}

/* `size` more bytes are the kernel's. */
static void advance(struct output *output, size_t size)
{
	struct segment *segment;

	while ((segment = TAILQ_FIRST(&output->segments)) && segment->kind != SEGMENT_PARCEL) {
		uint64_t left = bytes_left(segment);
		size_t step = left < size ? (size_t)left : size;

		size -= step;
		if (segment->kind == SEGMENT_BODY) {
			pull_advance(segment->pull, step);
		} else {
			segment->sent += step;
			output->text -= step;
		}
		if (step < left)
			return;
		segment_pop(output, true);
	}
}

/* The first line's descriptors do not go: what it has of them goes inline. */
static void unpack(struct output *output)
{
	struct segment *segment, *body;
	bool any = false;

	segment_pop(output, false);
	TAILQ_FOREACH (segment, &output->segments, next) {
		if (segment->kind == SEGMENT_PARCEL)
			break; /* the next line's */
		if (segment->kind != SEGMENT_OUTCOME)
			continue;
		output->text += segment->inline_text.size - segment->text.size;
		buffer_release(&segment->text);
		segment->text = segment->inline_text;
		buffer_init(&segment->inline_text, SIZE_MAX);
		segment->kind = SEGMENT_TEXT;
		body = segment_new(SEGMENT_BODY);
		body->pull = steal_pointer(segment->pull);
		TAILQ_INSERT_AFTER(&output->segments, segment, body, next);
		any = true;
	}
	if (any)
		output->unread = TAILQ_FIRST(&output->segments);
}

/* Writes the first line's first bytes, and its descriptors with them. */
static ssize_t send_parcel(const struct output *output, int fd, size_t *ret_offered)
{
	union {
		char bytes[CMSG_SPACE(PARCEL_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	const struct segment *parcel = TAILQ_FIRST(&output->segments);
	const struct segment *text = TAILQ_NEXT(parcel, next);
	struct iovec range = {text->text.data, text->text.size};
	struct msghdr message = {.msg_iov = &range, .msg_iovlen = 1, .msg_control = control.bytes};
	struct cmsghdr *header = (struct cmsghdr *)control.bytes;
	int fds[PARCEL_MAX];
	size_t size = parcel_descriptors(parcel->parcel, fds) * sizeof(int);

	message.msg_controllen = CMSG_SPACE(size);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(header), fds, size);
	*ret_offered = range.iov_len;
	return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t send_gathered(const struct output *output, int fd, size_t *ret_offered)
{
	struct iovec ranges[GATHER_MAX];
	_cleanup_(buffer_release) struct buffer scratch = BUFFER_INIT(SIZE_MAX);
	struct msghdr message = {.msg_iov = ranges};
	int n = gather(output, &scratch, ranges);

	if (buffer_error(&scratch)) {
		errno = -buffer_error(&scratch);
		return -1;
	}
	*ret_offered = 0;
	for (int i = 0; i < n; i++)
		*ret_offered += ranges[i].iov_len;
	message.msg_iovlen = (size_t)n;
	return *ret_offered ? sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
}

static bool peer_is_gone(int error)
{
	return error == EPIPE || error == ECONNRESET;
}

/* The bytes that were written, or negative errno; *ret_full: the socket has no room for more. */
static ssize_t write_some(struct output *output, int fd, bool *ret_full)
{
	struct segment *first = TAILQ_FIRST(&output->segments);
	bool has_parcel = first && first->kind == SEGMENT_PARCEL;
	size_t offered = 0;
	ssize_t sent = has_parcel ? send_parcel(output, fd, &offered) : send_gathered(output, fd, &offered);

	*ret_full = false;
	if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
		*ret_full = true;
		return 0;
	}
	if (sent < 0 && has_parcel && !peer_is_gone(errno)) {
		log_debug("peer", "descriptors cannot be passed, results go inline: %s", strerror(errno));
		unpack(output);
		return 0;
	}
	if (sent < 0)
		return -errno;
	*ret_full = (size_t)sent < offered;
	if (has_parcel && sent > 0)
		segment_pop(output, true);
	return sent;
}

int output_write(struct output *output, int fd, enum output_progress *ret_progress)
{
	struct segment *first;
	ssize_t sent;
	bool full;

	read_ahead(output);
	sent = write_some(output, fd, &full);
	if (sent < 0)
		return (int)sent;
	output->written += (size_t)sent;
	advance(output, (size_t)sent);
	first = TAILQ_FIRST(&output->segments);
	if (!first) {
		*ret_progress = OUTPUT_DRAINED;
	} else if (full) {
		*ret_progress = OUTPUT_BLOCKED;
	} else {
		read_ahead(output);
		*ret_progress = first->kind == SEGMENT_BODY && pull_is_waiting(first->pull) ? OUTPUT_READING
											    : OUTPUT_MORE;
	}
	return 0;
}
