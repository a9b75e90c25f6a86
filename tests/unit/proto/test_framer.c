/*
 * Framing. A stream is fed in pieces of every size, and the lines that come out must not depend on the
 * pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/framer.h"
#include "test_run.h"

/* Writes `size` bytes into the framer as far as it has room; returns how many. */
static size_t feed(struct framer *framer, const char *data, size_t size)
{
	size_t room = 0;
	char *space = framer_space(framer, &room);

	ck_assert_ptr_nonnull(space);
	ck_assert_uint_ge(room, 1);
	if (size > room)
		size = room;
	memcpy(space, data, size);
	framer_commit(framer, size);
	return size;
}

/* Takes what is there: lines as text with LF, too long ones as "<long>\n". */
static void take(struct framer *framer, struct buffer *out)
{
	enum framer_result result;
	char *line;
	size_t size;

	while ((result = framer_next(framer, &line, &size)) != FRAMER_MORE) {
		if (result == FRAMER_LINE)
			buffer_append(out, line, size);
		else
			buffer_puts(out, "<long>");
		buffer_putc(out, '\n');
	}
}

static void check(size_t line_max, const char *stream, size_t stream_size, const char *expected,
		  size_t pending)
{
	for (size_t piece = 1; piece <= stream_size + 1; piece++) {
		struct buffer out = BUFFER_INIT(SIZE_MAX);
		struct framer framer;

		framer_init(&framer, line_max);
		for (size_t at = 0; at < stream_size;) {
			size_t left = stream_size - at;

			at += feed(&framer, stream + at, left < piece ? left : piece);
			take(&framer, &out);
			ck_assert_uint_le(framer_pending(&framer), line_max);
		}
		buffer_putc(&out, 0);
		ck_assert_msg(strcmp(out.data, expected) == 0, "pieces of %zu give '%s', not '%s'", piece,
			      out.data, expected);
		ck_assert_uint_eq(framer_pending(&framer), pending);
		buffer_release(&out);
		framer_release(&framer);
	}
}

#define CHECK(max, stream, expected, pending) check(max, stream, sizeof(stream) - 1, expected, pending)

START_TEST(test_lines)
{
	CHECK(100, "one\ntwo\nthree\n", "one\ntwo\nthree\n", 0);
	CHECK(100, "\n\n\nx\n\n", "\n\n\nx\n\n", 0);
	CHECK(100, "crlf\r\nrest", "crlf\r\n", 4);
	CHECK(SIZE_MAX, "a line\nand half", "a line\n", 8);
	CHECK(100, "\n", "\n", 0);
}
END_TEST

START_TEST(test_too_long)
{
	CHECK(4, "1234\n12345\n123\n", "1234\n<long>\n123\n", 0);
	CHECK(4, "12345\n123456789012345\n\n1\n", "<long>\n<long>\n\n1\n", 0);
	CHECK(4, "1234567890", "<long>\n", 0);
	CHECK(4, "1234", "", 4);
	CHECK(4, "12345", "<long>\n", 0);
	CHECK(4, "123456789\n12\n12", "<long>\n12\n", 2);
	CHECK(1, "\n1\n12\n\n", "\n1\n<long>\n\n", 0);
}
END_TEST

/* NUL and every other byte are bytes like any. */
START_TEST(test_binary)
{
	struct framer framer;
	char line[257], *got;
	size_t size, n = 0;

	for (int c = 0; c < 256; c++)
		if (c != '\n')
			line[n++] = (char)c;
	line[n] = '\n';
	framer_init(&framer, 300);
	ck_assert_uint_eq(feed(&framer, line, n + 1), n + 1);
	ck_assert_int_eq(framer_next(&framer, &got, &size), FRAMER_LINE);
	ck_assert_uint_eq(size, n);
	ck_assert(memcmp(got, line, n) == 0);
	ck_assert_int_eq(framer_next(&framer, &got, &size), FRAMER_MORE);
	framer_release(&framer);
}
END_TEST

static void feed_all(struct framer *framer, const char *data, size_t size, struct buffer *out)
{
	for (size_t at = 0; at < size;) {
		at += feed(framer, data + at, size - at);
		take(framer, out);
		ck_assert_uint_le(framer->buffer.capacity, FRAMER_REQUEST_MAX + 4096);
	}
}

/* The limit of requests: 1 MiB is a line, one byte more is skipped, and the line behind it is read. */
START_TEST(test_request_limit)
{
	char *line = malloc(FRAMER_REQUEST_MAX + 1);
	struct buffer out = BUFFER_INIT(SIZE_MAX);
	struct framer framer;

	ck_assert_ptr_nonnull(line);
	memset(line, 'x', FRAMER_REQUEST_MAX + 1);
	framer_init(&framer, FRAMER_REQUEST_MAX);
	feed_all(&framer, line, FRAMER_REQUEST_MAX + 1, &out);
	feed_all(&framer, "\ngood\n", 6, &out);
	ck_assert_uint_eq(out.size, 12);
	ck_assert(memcmp(out.data, "<long>\ngood\n", 12) == 0);

	buffer_clear(&out);
	feed_all(&framer, line, FRAMER_REQUEST_MAX, &out);
	ck_assert_uint_eq(framer_pending(&framer), FRAMER_REQUEST_MAX);
	feed_all(&framer, "\ngood\n", 6, &out);
	ck_assert_uint_eq(out.size, FRAMER_REQUEST_MAX + 6);
	ck_assert(memcmp(out.data, line, FRAMER_REQUEST_MAX) == 0);
	ck_assert(memcmp(out.data + FRAMER_REQUEST_MAX, "\ngood\n", 6) == 0);

	/* 64 MiB without a line break take no more memory than a line does. */
	buffer_clear(&out);
	for (int i = 0; i < 64; i++)
		feed_all(&framer, line, FRAMER_REQUEST_MAX, &out);
	feed_all(&framer, "\nstill here\n", 12, &out);
	ck_assert_uint_eq(out.size, 18);
	ck_assert(memcmp(out.data, "<long>\nstill here\n", 18) == 0);
	buffer_release(&out);
	framer_release(&framer);
	free(line);
}
END_TEST

/* The room grows while reads fill it, shrinks again, and an idle framer can give back all. */
START_TEST(test_memory)
{
	static char lines[64 * 1024];
	struct buffer out = BUFFER_INIT(SIZE_MAX);
	struct framer framer;
	size_t room, first;

	memset(lines, '\n', sizeof(lines));
	framer_init(&framer, FRAMER_REQUEST_MAX);
	ck_assert_ptr_nonnull(framer_space(&framer, &first));
	for (int i = 0; i < 8; i++) {
		ck_assert_ptr_nonnull(framer_space(&framer, &room));
		feed(&framer, lines, sizeof(lines));
		take(&framer, &out);
	}
	ck_assert_uint_gt(room, first);
	for (int i = 0; i < 8; i++) {
		feed(&framer, "x\n", 2);
		take(&framer, &out);
	}
	ck_assert_ptr_nonnull(framer_space(&framer, &room));
	ck_assert_uint_eq(room, first);
	ck_assert_uint_le(framer.buffer.capacity, room);

	feed(&framer, "half", 4);
	take(&framer, &out);
	framer_trim(&framer);
	ck_assert_uint_eq(framer_pending(&framer), 4);
	buffer_clear(&out);
	feed(&framer, " line\n", 6);
	take(&framer, &out);
	ck_assert_uint_eq(out.size, 10);
	ck_assert(memcmp(out.data, "half line\n", 10) == 0);
	framer_trim(&framer);
	ck_assert_ptr_null(framer.buffer.data);
	buffer_clear(&out);
	feed(&framer, "more\n", 5);
	take(&framer, &out);
	ck_assert_uint_eq(out.size, 5);
	buffer_release(&out);
	framer_release(&framer);
}
END_TEST

/* Trimming inside a line that is too long loses nothing of what is known about it. */
START_TEST(test_trim_while_skipping)
{
	struct buffer out = BUFFER_INIT(SIZE_MAX);
	struct framer framer;

	framer_init(&framer, 4);
	feed(&framer, "123456", 6);
	take(&framer, &out);
	framer_trim(&framer);
	ck_assert_ptr_null(framer.buffer.data);
	feed(&framer, "78\nok\n", 6);
	take(&framer, &out);
	ck_assert_uint_eq(out.size, 10);
	ck_assert(memcmp(out.data, "<long>\nok\n", 10) == 0);
	buffer_release(&out);
	framer_release(&framer);
}
END_TEST

/* Lines that were handed out stay where they are until room is asked for. */
START_TEST(test_lines_stay)
{
	struct framer framer;
	char *first, *second, *none;
	size_t size;

	framer_init(&framer, 100);
	feed(&framer, "first\nsecond\n", 13);
	ck_assert_int_eq(framer_next(&framer, &first, &size), FRAMER_LINE);
	ck_assert_int_eq(framer_next(&framer, &second, &size), FRAMER_LINE);
	ck_assert_int_eq(framer_next(&framer, &none, &size), FRAMER_MORE);
	ck_assert(memcmp(first, "first", 5) == 0);
	ck_assert(memcmp(second, "second", 6) == 0);
	framer_release(&framer);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_lines,         test_too_long, test_binary,
				      test_request_limit, test_memory,   test_trim_while_skipping,
				      test_lines_stay};

	return RUN_SUITE("proto.framer", tests);
}
