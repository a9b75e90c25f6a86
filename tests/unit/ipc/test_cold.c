/* Bodies that are on the disk: read as the socket drains, a little at a time, and never wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/alloc.h"
#include "disk.h"
#include "ipc/output.h"
#include "proto/json_text.h"

#define PING(id) "{\"id\":" id ",\"method\":\"ping\"}"

static struct stage *stage;
static struct client *alice, *bob;

static void begin(void)
{
	stage = stage_new_with_disk();
	alice = client_new(stage, ALICE);
	bob = client_new(stage, ALICE);
}

static void end(void)
{
	client_free(alice);
	client_free(bob);
	stage_free(stage);
}

static void say_collect(struct client *client, const char *ids)
{
	client_say(client, "{\"id\":1,\"method\":\"collect\",\"params\":{\"request_ids\":[%s]}}", ids);
}

/* The next line is the reply to a collect, with these results. */
static void expect_results(struct client *client, const struct buffer *results)
{
	static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"results\":[";
	static const char tail[] = "],\"next\":null}}";
	char *line = client_line(client);

	ck_assert_uint_eq(strlen(line), strlen(head) + results->size + strlen(tail));
	ck_assert_mem_eq(line, head, strlen(head));
	ck_assert_mem_eq(line + strlen(head), results->data, results->size);
	ck_assert_str_eq(line + strlen(head) + results->size, tail);
	free(line);
}

static void put_expected(struct buffer *buffer, const char *id, enum content_kind content, const char *body,
			 size_t size)
{
	buffer_printf(
		buffer,
		"%s{\"request_id\":\"%s\",\"endpoint\":\"default\",\"ok\":true,\"content_type\":\"%s\",",
		buffer->size ? "," : "", id, content_type_name(content));
	if (content == CONTENT_JSON) {
		buffer_puts(buffer, "\"result\":");
		buffer_append(buffer, body, size);
	} else {
		buffer_printf(buffer, "\"size\":%zu,\"result_base64\":", size);
		json_put_base64(buffer, body, size);
	}
	buffer_putc(buffer, '}');
}

/* Bodies of all these sizes, in one reply. */
static void pass_sizes(enum content_kind content, bool in_file, const size_t *sizes, size_t n)
{
	struct buffer ids = BUFFER_INIT(SIZE_MAX), expected = BUFFER_INIT(SIZE_MAX);

	for (size_t i = 0; i < n; i++) {
		char *body = (content == CONTENT_JSON ? body_json : body_bytes)((unsigned)i, sizes[i]),
		     id[24];

		snprintf(id, sizeof(id), "r%zu", i);
		stage_complete_result(alice, id,
				      in_file ? disk_file(stage, content, i, body, sizes[i])
					      : disk_row(stage, content, body, sizes[i]));
		put_expected(&expected, id, content, body, sizes[i]);
		buffer_printf(&ids, "%s\"%s\"", i ? "," : "", id);
		free(body);
	}
	buffer_putc(&ids, 0);
	say_collect(alice, ids.data);
	expect_results(alice, &expected);
	buffer_release(&ids);
	buffer_release(&expected);
}

START_TEST(files_come_as_they_are)
{
	static const size_t sizes[] = {5000001,        65537,          PULL_PIECE - 1,    PULL_PIECE,
				       PULL_PIECE + 1, 2 * PULL_PIECE, 2 * PULL_PIECE + 1};

	begin();
	pass_sizes(CONTENT_JSON, true, sizes, ARRAY_LEN(sizes));
	end();
}
END_TEST

START_TEST(files_come_in_base64)
{
	static const size_t sizes[] = {3000001,        65537,          PULL_PIECE - 1,     PULL_PIECE,
				       PULL_PIECE + 1, PULL_PIECE + 2, 2 * PULL_PIECE + 2, 1};

	begin();
	alice->step = 70001;
	pass_sizes(CONTENT_PROTOBUF, true, sizes, ARRAY_LEN(sizes));
	end();
}
END_TEST

START_TEST(rows_come_as_they_are)
{
	static const size_t sizes[] = {2, 3, 1023, 1024, 1025, 65536};

	begin();
	pass_sizes(CONTENT_JSON, false, sizes, ARRAY_LEN(sizes));
	end();
}
END_TEST

START_TEST(rows_come_in_base64)
{
	static const size_t sizes[] = {1, 2, 3, 4, 5, 6, 1024, 1025, 49152, 65535, 65536};

	begin();
	pass_sizes(CONTENT_PROTOBUF, false, sizes, ARRAY_LEN(sizes));
	end();
}
END_TEST

START_TEST(a_thousand_rows_keep_their_order)
{
	size_t sizes[1000];

	begin();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		sizes[i] = 2 + i * 7 % 1500;
	pass_sizes(CONTENT_JSON, false, sizes, ARRAY_LEN(sizes));
	end();
}
END_TEST

/* The queue by itself. */

struct ears {
	unsigned arrived, lost;
};

static void on_arrived(void *context)
{
	((struct ears *)context)->arrived++;
}

static void on_lost(void *context, struct result *result, int error)
{
	(void)result;
	ck_assert_int_lt(error, 0);
	((struct ears *)context)->lost++;
}

static const struct puller_operations ears_operations = {.arrived = on_arrived, .lost = on_lost};

static void open_pair(int fds[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

/* A gigabyte for somebody who reads nothing, and then some of it. */
START_TEST(little_of_a_body_is_in_memory)
{
	struct ears ears = {0};
	struct output output;
	struct line line;
	enum output_progress progress;
	char chunk[65536];
	size_t most = 0;
	ssize_t got;
	int fds[2];

	begin();
	open_pair(fds);
	output_init(&output, disk_reader(stage->disk), stage->loop, &ears_operations, &ears);
	for (int i = 0; i < 3; i++) {
		struct result *result = disk_sparse_file(stage, (uint64_t)1 << 30);

		line_init(&line);
		line_splice(&line, result, i == 1);
		ck_assert_int_eq(output_put(&output, &line), 0);
		result_unref(result);
	}
	for (unsigned total = 0; total < 30 << 20;) {
		ck_assert_int_eq(output_write(&output, fds[0], &progress), 0);
		ck_assert_int_ne(progress, OUTPUT_DRAINED);
		ck_assert_uint_le(output.puller.bytes, PULL_AHEAD_BYTES);
		most = output.puller.bytes > most ? output.puller.bytes : most;
		if (progress == OUTPUT_READING) {
			disk_wait(stage);
			continue;
		}
		while (total > 1 << 20 && (got = recv(fds[1], chunk, sizeof(chunk), 0)) > 0)
			total += (unsigned)got;
		total += total <= 1 << 20 ? 65536 : 0; /* it does not read yet */
	}
	ck_assert_uint_eq(output.text, 0);
	ck_assert_uint_gt(most, PULL_PIECE); /* it was read ahead */
	ck_assert_uint_gt(ears.arrived, 100);
	output_release(&output);
	disk_wait(stage);
	close(fds[0]);
	close(fds[1]);
	end();
}
END_TEST

/* Of many small bodies several are read while one is written. */
START_TEST(small_bodies_are_read_ahead)
{
	struct result *rows[100];
	struct ears ears = {0};
	struct output output;
	struct line line;
	enum output_progress progress = OUTPUT_MORE;
	unsigned waits = 0;
	size_t received = 0;
	char chunk[65536];
	ssize_t got;
	int fds[2];

	begin();
	open_pair(fds);
	output_init(&output, disk_reader(stage->disk), stage->loop, &ears_operations, &ears);
	line_init(&line);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		rows[i] = disk_row(stage, CONTENT_JSON, "\"body\"", 6);
		buffer_puts(&line.text, "|");
		line_splice(&line, rows[i], false);
	}
	ck_assert_int_eq(output_put(&output, &line), 0);
	while (progress != OUTPUT_DRAINED) {
		ck_assert_int_eq(output_write(&output, fds[0], &progress), 0);
		ck_assert_uint_le(output.puller.n_pieces, PULL_AHEAD_PIECES);
		if (progress == OUTPUT_READING) {
			disk_wait(stage);
			waits++;
		}
		while ((got = recv(fds[1], chunk, sizeof(chunk), 0)) > 0)
			received += (size_t)got;
	}
	ck_assert_uint_eq(received, ARRAY_LEN(rows) * 7);
	ck_assert_uint_le(waits, 20);
	ck_assert_uint_eq(output.puller.n_pieces + output.puller.bytes, 0);
	output_release(&output);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ck_assert_uint_eq(rows[i]->refs, 1);
		result_unref(rows[i]);
	}
	close(fds[0]);
	close(fds[1]);
	end();
}
END_TEST

/* Peers. */

START_TEST(a_slow_reader_delays_nobody)
{
	struct buffer expected = BUFFER_INIT(SIZE_MAX);
	char *body = body_json(1, 2000000);

	begin();
	stage_complete_result(alice, "a", disk_file(stage, CONTENT_JSON, 0, body, 2000000));
	say_collect(alice, "\"a\"");
	for (int i = 0; i < 50; i++) /* it does not read at all */
		client_ask(bob, PING("1"), OK("1", "{}"));
	ck_assert(peers_owe(&stage->peers));
	alice->step = 3001;
	put_expected(&expected, "a", CONTENT_JSON, body, 2000000);
	expect_results(alice, &expected);
	buffer_release(&expected);
	free(body);
	end();
}
END_TEST

/* Delivered and acknowledged is what the kernel has taken the whole of. */
START_TEST(a_body_counts_when_all_of_it_was_read)
{
	char *body = body_json(1, 2000000), *line;

	begin();
	stage_complete_result(alice, "a", disk_file(stage, CONTENT_JSON, 5, body, 2000000));
	client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"a\",\"ack\":true}}");
	for (int i = 0; i < 20; i++)
		disk_wait(stage);
	ck_assert_ptr_nonnull(stage_find(stage, ALICE, "a"));
	line = client_line(alice);
	ck_assert_ptr_nonnull(strstr(line, body));
	stage_turn(stage);
	ck_assert_ptr_null(stage_find(stage, ALICE, "a"));
	ck_assert_uint_eq(stage->metrics.acks, 1);
	free(line);
	free(body);
	end();
}
END_TEST

START_TEST(a_peer_goes_while_it_is_read_for)
{
	struct result *result;
	unsigned refs;

	begin();
	result = disk_sparse_file(stage, (uint64_t)1 << 30);
	stage_complete_result(alice, "a", result_ref(result));
	refs = result->refs;
	say_collect(alice, "\"a\"");
	stage_turn(stage); /* the first piece is on its way */
	client_free(alice);
	alice = NULL;
	while (stage->peers.count > 1)
		disk_wait(stage);
	disk_wait(stage);
	ck_assert_uint_eq(result->refs, refs);
	client_ask(bob, PING("1"), OK("1", "{}"));
	ck_assert_uint_eq(stage->n_lost, 0);
	result_unref(result);
	end();
}
END_TEST

static void lose_and_expect_end(struct result *result)
{
	struct client *carol = client_new(stage, ALICE);

	stage_complete_result(carol, "lost", result_ref(result));
	disk_lose(stage, result);
	say_collect(carol, "\"lost\"");
	while (!carol->over) {
		char byte;

		stage_turn(stage);
		carol->over = recv(carol->fd, &byte, 1, MSG_DONTWAIT) == 0;
	}
	ck_assert_uint_eq(stage->n_lost, 1);
	ck_assert_uint_eq(stage->lost_id, result->id);
	ck_assert_int_eq(stage->lost_error, -ENOENT);
	ck_assert_uint_eq(stage->metrics.peers_dropped, 1);
	client_ask(bob, PING("1"), OK("1", "{}"));
	result_unref(result);
	client_free(carol);
}

START_TEST(a_file_that_is_gone_ends_the_peer)
{
	begin();
	lose_and_expect_end(disk_file(stage, CONTENT_JSON, 0, "\"x\"", 3));
	end();
}
END_TEST

START_TEST(a_row_that_is_gone_ends_the_peer)
{
	begin();
	lose_and_expect_end(disk_row(stage, CONTENT_PROTOBUF, "xyz", 3));
	end();
}
END_TEST

/* The beginning of the line is with the client already: it must not take what came for the whole. */
START_TEST(a_file_may_go_in_the_middle)
{
	struct result *result;
	char chunk[65536];
	size_t total = 0;
	ssize_t got = -1;

	begin();
	result = disk_sparse_file(stage, 10 << 20);
	stage_complete_result(alice, "a", result_ref(result));
	say_collect(alice, "\"a\"");
	while (got != 0) {
		got = recv(alice->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (got > 0 && !total)
			disk_lose(stage, result);
		if (got > 0)
			total += (size_t)got;
		ck_assert_ptr_null(got > 0 ? memchr(chunk, '\n', (size_t)got) : NULL);
		stage_turn(stage);
	}
	ck_assert_uint_gt(total, 100);
	ck_assert_uint_lt(total, 10 << 20);
	ck_assert_int_eq(stage->lost_error, -ENOENT);
	result_unref(result);
	end();
}
END_TEST

START_TEST(without_descriptors_it_waits)
{
	struct buffer expected = BUFFER_INIT(SIZE_MAX);
	struct rlimit none, before;

	begin();
	stage_complete_result(alice, "a", disk_file(stage, CONTENT_JSON, 0, "\"x\"", 3));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	say_collect(alice, "\"a\"");
	for (int i = 0; i < 20; i++)
		disk_wait(stage);
	ck_assert_uint_eq(stage->n_lost + stage->metrics.peers_dropped, 0);
	ck_assert(peers_owe(&stage->peers));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	put_expected(&expected, "a", CONTENT_JSON, "\"x\"", 3);
	expect_results(alice, &expected);
	buffer_release(&expected);
	end();
}
END_TEST

/* The long data of an error: whole with the outcome, and left out where the end is only told of. */
START_TEST(the_data_of_an_error_comes_from_the_disk)
{
	char *data = body_json(7, 50000), *members, *line;

	begin();
	ck_assert_int_gt(asprintf(&members, "\"body_text\":%s", data), 0);
	client_register(alice, "bad");
	stage_fail(stage, "bad", "no", members);
	client_ask(alice, "{\"id\":1,\"method\":\"status\",\"params\":{\"request_id\":\"bad\"}}",
		   OK("1",
		      "{~\"message\":\"no\",\"status\":null,\"data\":{\"request_id\":\"bad\",\"omitted\":"
		      "true}},~}"));
	for (int cold = 0; cold < 2; cold++) {
		if (cold)
			disk_chill(stage, stage_find(stage, ALICE, "bad")->result);
		say_collect(alice, "\"bad\"");
		line = client_line(alice);
		expect_at(line, "/result/results/0/error/type", "\"request_failed\"");
		expect_at(line, "/result/results/0/error/data/request_id", "\"bad\"");
		expect_at(line, "/result/results/0/error/data/body_text", data);
		ck_assert_ptr_null(strstr(line, "omitted"));
		free(line);
	}
	client_say(alice, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"bad\"}}");
	line = client_line(alice);
	expect_at(line, "/result/registrations/0/outcome/error/message", "\"no\"");
	expect_at(line, "/result/registrations/0/outcome/error/data/omitted", "true");
	ck_assert_uint_lt(strlen(line), 1000);
	free(line);
	free(members);
	free(data);
	end();
}
END_TEST

SUITE("cold", files_come_as_they_are, files_come_in_base64, rows_come_as_they_are, rows_come_in_base64,
      a_thousand_rows_keep_their_order, little_of_a_body_is_in_memory, small_bodies_are_read_ahead,
      a_slow_reader_delays_nobody, a_body_counts_when_all_of_it_was_read, a_peer_goes_while_it_is_read_for,
      a_file_that_is_gone_ends_the_peer, a_row_that_is_gone_ends_the_peer, a_file_may_go_in_the_middle,
      without_descriptors_it_waits, the_data_of_an_error_comes_from_the_disk)
