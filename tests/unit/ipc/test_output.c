/* The queue of a peer: text joined, bodies by reference, base64 on the way, receipts told once. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/alloc.h"
#include "ipc/output.h"
#include "proto/json_text.h"
#include "stage.h"

struct note {
	struct receipt receipt;
	int sent, dropped;
};

static void on_receipt(struct receipt *receipt, bool sent)
{
	struct note *note = container_of(receipt, struct note, receipt);

	note->sent += sent;
	note->dropped += !sent;
}

static struct result *make_body(size_t size)
{
	char *data = malloc(size + 1);

	for (size_t i = 0; i < size; i++)
		data[i] = (char)(i * 7 + i / 251);
	return result_ok(CONTENT_PROTOBUF, blob_take(data, size), 0);
}

static void queue_text(struct output *output, const char *text)
{
	struct line line;

	line_init(&line);
	buffer_puts(&line.text, text);
	ck_assert_int_eq(output_put(output, &line), 0);
}

/* Writes all and reads it at the other end, which takes at most `step` bytes at a time. */
static void pass(struct output *output, size_t step, struct buffer *received)
{
	enum output_progress progress = OUTPUT_MORE;
	int fds[2], small = 4608;
	char chunk[70000];
	ssize_t got;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	while (progress != OUTPUT_DRAINED) {
		ck_assert_int_eq(output_write(output, fds[0], &progress), 0);
		got = recv(fds[1], chunk, step < sizeof(chunk) ? step : sizeof(chunk), 0);
		if (got > 0)
			buffer_append(received, chunk, (size_t)got);
	}
	while ((got = recv(fds[1], chunk, sizeof(chunk), 0)) > 0)
		buffer_append(received, chunk, (size_t)got);
	close(fds[0]);
	close(fds[1]);
}

START_TEST(text_is_joined_and_counted)
{
	struct output output;
	struct buffer got = BUFFER_INIT(SIZE_MAX);

	output_init(&output, NULL, NULL, NULL, NULL);
	ck_assert(output_empty(&output));
	queue_text(&output, "one\n");
	queue_text(&output, "two\n");
	ck_assert_uint_eq(output.text, 8);
	pass(&output, SIZE_MAX, &got);
	ck_assert_uint_eq(output.text, 0);
	ck_assert_uint_eq(got.size, 8);
	ck_assert_mem_eq(got.data, "one\ntwo\n", 8);
	buffer_release(&got);
}
END_TEST

START_TEST(bodies_are_referenced_not_copied)
{
	struct result *body = make_body(300000), *other = make_body(10);
	struct buffer got = BUFFER_INIT(SIZE_MAX);
	struct output output;
	struct line line;

	output_init(&output, NULL, NULL, NULL, NULL);
	line_init(&line);
	buffer_puts(&line.text, "<");
	line_splice(&line, body, false);
	buffer_puts(&line.text, "|");
	line_splice(&line, other, false);
	buffer_puts(&line.text, ">");
	ck_assert_int_eq(output_put(&output, &line), 0);
	ck_assert_uint_eq(output.text, 3);
	ck_assert_uint_eq(body->refs, 2);
	pass(&output, 5000, &got);
	ck_assert_uint_eq(body->refs, 1);
	ck_assert_uint_eq(got.size, 300013);
	ck_assert_mem_eq(got.data + 1, body->body->data, 300000);
	ck_assert_mem_eq(got.data + 300002, other->body->data, 10);
	ck_assert_int_eq(got.data[300012], '>');
	buffer_release(&got);
	result_unref(body);
	result_unref(other);
}
END_TEST

/* The queue has its own reference: what the result drops from memory afterwards is sent all the same. */
START_TEST(a_body_may_be_dropped_from_its_result)
{
	struct result *body = make_body(300000);
	struct blob *bytes = blob_ref(body->body);
	struct buffer got = BUFFER_INIT(SIZE_MAX);
	struct output output;
	struct line line;

	output_init(&output, NULL, NULL, NULL, NULL);
	line_init(&line);
	line_splice(&line, body, false);
	body->id = 1;
	result_chill(body);
	ck_assert(result_is_cold(body));
	ck_assert_int_eq(output_put(&output, &line), 0);
	result_unref(body);
	pass(&output, 5000, &got);
	ck_assert_uint_eq(got.size, 300000);
	ck_assert_mem_eq(got.data, bytes->data, 300000);
	ck_assert_uint_eq(bytes->refs, 1);
	blob_unref(bytes);
	buffer_release(&got);
}
END_TEST

/* However the socket cuts it, the text is the one that json_put_base64() writes. */
START_TEST(base64_is_the_same_in_any_steps)
{
	static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 6, 49151, 49152, 49153, 98304, 100001};
	static const size_t steps[] = {1, 3, 4, 777, 5000, SIZE_MAX};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct result *body = make_body(sizes[i]);
		struct buffer expected = BUFFER_INIT(SIZE_MAX);

		buffer_puts(&expected, "before ");
		json_put_base64(&expected, body->body->data, body->body->size);
		buffer_puts(&expected, " after");
		for (size_t k = sizes[i] > 1000 ? 4 : 0; k < ARRAY_LEN(steps); k++) {
			struct buffer got = BUFFER_INIT(SIZE_MAX);
			struct output output;
			struct line line;

			output_init(&output, NULL, NULL, NULL, NULL);
			line_init(&line);
			buffer_puts(&line.text, "before ");
			line_splice(&line, body, true);
			buffer_puts(&line.text, " after");
			ck_assert_int_eq(output_put(&output, &line), 0);
			pass(&output, steps[k], &got);
			ck_assert_uint_eq(got.size, expected.size);
			ck_assert_mem_eq(got.data, expected.data, expected.size);
			buffer_release(&got);
		}
		buffer_release(&expected);
		result_unref(body);
	}
}
END_TEST

START_TEST(receipts_are_told_when_all_before_is_written)
{
	struct note first = {.receipt.done = on_receipt}, second = {.receipt.done = on_receipt};
	struct result *body = make_body(2000000);
	enum output_progress progress;
	struct output output;
	struct line line;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	output_init(&output, NULL, NULL, NULL, NULL);
	line_init(&line);
	buffer_puts(&line.text, "short\n");
	line.receipt = &first.receipt;
	ck_assert_int_eq(output_put(&output, &line), 0);
	line_splice(&line, body, false);
	line.receipt = &second.receipt;
	ck_assert_int_eq(output_put(&output, &line), 0);
	ck_assert_int_eq(output_write(&output, fds[0], &progress), 0);
	ck_assert_int_eq(progress, OUTPUT_BLOCKED);
	ck_assert_int_eq(first.sent, 1);
	ck_assert_int_eq(second.sent + second.dropped, 0);
	output_release(&output);
	ck_assert_int_eq(second.sent, 0);
	ck_assert_int_eq(second.dropped, 1);
	ck_assert_int_eq(first.sent + first.dropped, 1);
	ck_assert_uint_eq(body->refs, 1);
	result_unref(body);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(a_line_that_is_not_sent_tells_its_receipt)
{
	struct note note = {.receipt.done = on_receipt};
	struct line line;

	line_init(&line);
	line.receipt = &note.receipt;
	line_release(&line);
	line_release(&line);
	ck_assert_int_eq(note.dropped, 1);
}
END_TEST

START_TEST(many_segments_take_several_writes)
{
	struct buffer got = BUFFER_INIT(SIZE_MAX), expected = BUFFER_INIT(SIZE_MAX);
	struct result *body = make_body(5);
	struct output output;

	output_init(&output, NULL, NULL, NULL, NULL);
	for (int i = 0; i < 500; i++) {
		struct line line;

		line_init(&line);
		buffer_printf(&line.text, "%d:", i);
		buffer_printf(&expected, "%d:", i);
		line_splice(&line, body, false);
		buffer_append(&expected, body->body->data, 5);
		buffer_puts(&line.text, "\n");
		buffer_puts(&expected, "\n");
		ck_assert_int_eq(output_put(&output, &line), 0);
	}
	pass(&output, SIZE_MAX, &got);
	ck_assert_uint_eq(got.size, expected.size);
	ck_assert_mem_eq(got.data, expected.data, expected.size);
	buffer_release(&got);
	buffer_release(&expected);
	result_unref(body);
}
END_TEST

START_TEST(a_closed_socket_is_an_error_and_no_signal)
{
	enum output_progress progress;
	struct output output;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	close(fds[1]);
	output_init(&output, NULL, NULL, NULL, NULL);
	queue_text(&output, "to nobody\n");
	ck_assert_int_eq(output_write(&output, fds[0], &progress), -EPIPE);
	output_release(&output);
	close(fds[0]);
}
END_TEST

START_TEST(text_has_a_maximum)
{
	struct line line;
	char *much = xzalloc(LINE_TEXT_MAX);

	line_init(&line);
	buffer_append(&line.text, much, LINE_TEXT_MAX);
	ck_assert_int_eq(line_error(&line), 0);
	buffer_putc(&line.text, '!');
	ck_assert_int_eq(line_error(&line), -EMSGSIZE);
	line_release(&line);
	free(much);
}
END_TEST

SUITE("output", text_is_joined_and_counted, bodies_are_referenced_not_copied,
      a_body_may_be_dropped_from_its_result, base64_is_the_same_in_any_steps,
      receipts_are_told_when_all_before_is_written, a_line_that_is_not_sent_tells_its_receipt,
      many_segments_take_several_writes, a_closed_socket_is_an_error_and_no_signal, text_has_a_maximum)
