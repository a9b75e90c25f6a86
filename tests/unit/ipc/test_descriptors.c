/* Large results by descriptor: in order, at most sixteen with a line, and inline whenever that does not work.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/alloc.h"
#include "disk.h"
#include "ipc/parcel.h"

#define SIZE  ((size_t)100000) /* of a body that is large */
#define LIMIT 65536            /* what is longer is large */

static struct stage *stage;
static struct client *alice;

/* What the kernel says to descriptors; 0: it takes them. */
static int refusal;
static unsigned n_refused;

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (refusal && message->msg_controllen) {
		n_refused++;
		errno = refusal;
		return -1;
	}
	return __real_sendmsg(fd, message, flags);
}

static void begin(void)
{
	stage = stage_new_with_disk();
	alice = client_new(stage, ALICE);
}

static void end(void)
{
	client_free(alice);
	alice = NULL;
	while (stage->peers.count)
		stage_turn(stage);
	ck_assert_uint_eq(stage->commands.parcels.opening, 0);
	ck_assert_uint_eq(stage->commands.parcels.descriptors, 0);
	stage_free(stage);
}

/* A large result called rSEED, JSON in a file unless it is odd. */
static void complete_large(unsigned seed)
{
	char id[24], *body = (seed % 2 ? body_bytes : body_json)(seed, SIZE + seed);

	snprintf(id, sizeof(id), "r%u", seed);
	stage_complete_result(alice, id,
			      seed % 2 ? disk_row(stage, CONTENT_PROTOBUF, body, SIZE + seed)
				       : disk_file(stage, CONTENT_JSON, seed, body, SIZE + seed));
	free(body);
}

static void complete_many(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		complete_large(i);
}

static void say(struct client *client, const char *method, unsigned n, const char *more)
{
	struct buffer ids = BUFFER_INIT(SIZE_MAX);

	for (unsigned i = 0; i < n; i++)
		buffer_printf(&ids, "%s\"r%u\"", i ? "," : "", i);
	buffer_putc(&ids, 0);
	client_say(client,
		   "{\"id\":1,\"method\":\"%s\",\"params\":{\"request_ids\":[%s],\"accept_fd\":true%s}}",
		   method, ids.data, more);
	buffer_release(&ids);
}

/* The text at the pointer and a member of it. */
static void expect_member(const char *line, const char *outcome, const char *name, const char *expected)
{
	char pointer[100];

	snprintf(pointer, sizeof(pointer), "%s/%s", outcome, name);
	if (expected)
		expect_at(line, pointer, expected);
	else
		ck_assert_ptr_null(value_at(line, pointer));
}

/* The client's next descriptor is taken. */
static int take_fd(struct client *client)
{
	int fd;

	ck_assert_uint_gt(client->n_fds, 0);
	fd = client->fds[0];
	memmove(client->fds, client->fds + 1, --client->n_fds * sizeof(fd));
	return fd;
}

/* The outcome of rSEED came by the next descriptor. */
static void expect_passed(struct client *client, const char *line, const char *outcome, unsigned seed)
{
	char pointer[100], *body = (seed % 2 ? body_bytes : body_json)(seed, SIZE + seed);
	char *got = xzalloc(SIZE + seed), expected[40];
	int64_t offset;
	int fd;

	snprintf(expected, sizeof(expected), "\"r%u\"", seed);
	expect_member(line, outcome, "request_id", expected);
	expect_member(line, outcome, "ok", "true");
	expect_member(line, outcome, "fd", "true");
	snprintf(expected, sizeof(expected), "%zu", SIZE + seed);
	expect_member(line, outcome, "size", expected);
	expect_member(line, outcome, "content_type",
		      seed % 2 ? "\"application/x-protobuf\"" : "\"application/json\"");
	expect_member(line, outcome, "result", NULL);
	expect_member(line, outcome, "result_base64", NULL);
	snprintf(pointer, sizeof(pointer), "%s/offset", outcome);
	offset = int_at(line, pointer);
	fd = take_fd(client);
	ck_assert_int_eq(pread(fd, got, SIZE + seed, offset), (ssize_t)(SIZE + seed));
	ck_assert_mem_eq(got, body, SIZE + seed);
	ck_assert_int_lt(write(fd, "x", 1), 0);
	close(fd);
	free(got);
	free(body);
}

/* The outcome of rSEED came inline. */
static void expect_inline(const char *line, const char *outcome, unsigned seed)
{
	char *body = (seed % 2 ? body_bytes : body_json)(seed, SIZE + seed), expected[40];
	struct buffer base64 = BUFFER_INIT(SIZE_MAX);

	snprintf(expected, sizeof(expected), "\"r%u\"", seed);
	expect_member(line, outcome, "request_id", expected);
	expect_member(line, outcome, "fd", NULL);
	expect_member(line, outcome, "offset", NULL);
	json_put_base64(&base64, body, SIZE + seed);
	buffer_putc(&base64, 0);
	snprintf(expected, sizeof(expected), "%zu", SIZE + seed);
	expect_member(line, outcome, "size", seed % 2 ? expected : NULL);
	expect_member(line, outcome, seed % 2 ? "result_base64" : "result", seed % 2 ? base64.data : body);
	buffer_release(&base64);
	free(body);
}

static void expect_line(struct client *client, unsigned n, unsigned n_passed)
{
	char *line = client_line(client), outcome[64];

	ck_assert_uint_eq(client->n_fds, n_passed);
	ck_assert_uint_eq(items_at(line, "/result/results"), n);
	for (unsigned i = 0; i < n; i++) {
		snprintf(outcome, sizeof(outcome), "/result/results/%u", i);
		if (i < n_passed)
			expect_passed(client, line, outcome, i);
		else
			expect_inline(line, outcome, i);
	}
	ck_assert_uint_eq(client->n_fds, 0);
	free(line);
}

START_TEST(collect_passes_them_in_order)
{
	begin();
	complete_many(5);
	say(alice, "collect", 5, "");
	expect_line(alice, 5, 5);
	client_say(alice, "{\"id\":1,\"method\":\"collect\",\"params\":{\"accept_fd\":true}}"); /* a page */
	expect_line(alice, 5, 5);
	client_say(alice, "{\"id\":1,\"method\":\"collect\",\"params\":{\"request_ids\":[\"r0\",\"r1\"]}}");
	expect_line(alice, 2, 0);
	ck_assert_uint_eq(stage->commands.outstanding, 0);
	end();
}
END_TEST

START_TEST(await_passes_them_in_order)
{
	begin();
	complete_many(3);
	say(alice, "await", 3, ",\"ack\":true");
	expect_line(alice, 3, 3);
	stage_turn(stage);
	ck_assert_uint_eq(stage->metrics.acks, 3);
	ck_assert_ptr_null(stage_find(stage, ALICE, "r0"));
	end();
}
END_TEST

START_TEST(sixteen_go_with_a_line_and_the_rest_inline)
{
	begin();
	complete_many(20);
	say(alice, "await", 20, "");
	expect_line(alice, 20, PARCEL_MAX);
	say(alice, "collect", 17, "");
	expect_line(alice, 17, PARCEL_MAX);
	end();
}
END_TEST

START_TEST(what_is_short_or_failed_or_not_there_goes_inline)
{
	char *body = body_json(3, LIMIT);

	begin();
	stage_complete_result(alice, "short", disk_file(stage, CONTENT_JSON, 0, body, LIMIT));
	client_register(alice, "bad");
	stage_fail(stage, "bad", "no", NULL);
	client_register(alice, "live");
	complete_large(0);
	client_say(alice, "{\"id\":1,\"method\":\"collect\",\"params\":{\"accept_fd\":true,"
			  "\"request_ids\":[\"short\",\"bad\",\"live\",\"x\",\"r0\"]}}");
	{
		char *line = client_line(alice);

		ck_assert_uint_eq(alice->n_fds, 1);
		expect_at(line, "/result/results/0/result", body);
		expect_at(line, "/result/results/1/error/message", "\"no\"");
		expect_at(line, "/result/results/2/ok", "null");
		expect_at(line, "/result/results/2/request_id", "\"live\"");
		expect_at(line, "/result/results/3/error/type", "\"not_registered\"");
		expect_passed(alice, line, "/result/results/4", 0);
		free(line);
	}
	free(body);
	end();
}
END_TEST

static void expect_notification(unsigned seed)
{
	char *line = client_line(alice), expected[16];

	snprintf(expected, sizeof(expected), "%u", seed);
	expect_at(line, "/params/index", expected);
	expect_passed(alice, line, "/params", seed);
	free(line);
}

START_TEST(a_stream_passes_one_with_each_message)
{
	begin();
	complete_many(3);
	client_register(alice, "r3");
	say(alice, "await", 4, ",\"stream\":true");
	for (unsigned i = 0; i < 3; i++)
		expect_notification(i);
	client_expect_silence(alice);
	complete_large(3);
	expect_notification(3);
	client_expect(alice, OK("1", "{\"ended\":4,\"ok\":4,\"failed\":0}"));
	ck_assert_uint_eq(alice->n_fds, 0);
	end();
}
END_TEST

/* Many messages, of which the client reads none for a while. */
START_TEST(a_stream_waits_for_its_reader)
{
	char *line;

	begin();
	complete_many(200);
	say(alice, "await", 200, ",\"stream\":true");
	for (int i = 0; i < 300; i++) {
		disk_wait(stage);
		ck_assert_uint_le(stage->commands.parcels.descriptors, PARCELS_PER_PEER_MAX);
	}
	for (unsigned i = 0; i < 200; i++) {
		line = client_line(alice);
		if (strstr(line, "\"fd\":true"))
			expect_passed(alice, line, "/params", i);
		else
			expect_inline(line, "/params", i);
		free(line);
	}
	client_expect(alice, OK("1", "{\"ended\":200,\"ok\":200,\"failed\":0}"));
	end();
}
END_TEST

/* Replies that nobody reads do not hold ever more descriptors. */
START_TEST(unread_replies_hold_few)
{
	struct rlimit limit;

	begin();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	complete_many(16);
	for (int i = 0; i < 60; i++) {
		say(alice, "collect", 16, "");
		disk_wait(stage);
		ck_assert_uint_le(stage->commands.parcels.descriptors, PARCELS_PER_PEER_MAX);
	}
	for (int i = 0; i < 60; i++) {
		char *line = client_line(alice);

		ck_assert_uint_eq(items_at(line, "/result/results"), 16);
		while (alice->n_fds)
			close(take_fd(alice));
		free(line);
	}
	end();
}
END_TEST

static void goes_inline(const char *method)
{
	say(alice, method, 3, "");
	expect_line(alice, 3, 0);
	ck_assert_uint_eq(stage->n_lost, 0);
}

START_TEST(what_the_kernel_refuses_goes_inline)
{
	static const int reasons[] = {ETOOMANYREFS, EMFILE, EPERM, ENOMEM};

	begin();
	complete_many(3);
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		refusal = reasons[i];
		n_refused = 0;
		goes_inline("collect");
		goes_inline("await");
		ck_assert_uint_eq(n_refused, 2);
	}
	refusal = 0;
	say(alice, "await", 3, "");
	expect_line(alice, 3, 3);
	end();
}
END_TEST

/* Refused in front of lines that are partly read ahead. */
START_TEST(refused_ones_do_not_wait_for_later_ones)
{
	begin();
	complete_many(16);
	refusal = ETOOMANYREFS;
	for (int i = 0; i < 10; i++) {
		say(alice, "collect", 16, "");
		client_say(alice, "{\"id\":1,\"method\":\"collect\"}");
	}
	for (int i = 0; i < 20; i++) {
		char *line = client_line(alice);

		ck_assert_uint_eq(items_at(line, "/result/results"), 16);
		for (unsigned k = 0; k < 16; k++) {
			char outcome[64];

			snprintf(outcome, sizeof(outcome), "/result/results/%u", k);
			expect_inline(line, outcome, k);
		}
		free(line);
	}
	refusal = 0;
	end();
}
END_TEST

/* No descriptor is free to open one more: once there is one, the body comes inline. */
START_TEST(what_cannot_be_opened_goes_inline)
{
	struct rlimit none, before;

	begin();
	complete_large(0);
	complete_large(2);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"accept_fd\":true,"
			  "\"request_ids\":[\"r0\",\"r2\"]}}");
	while (!stage->commands.outstanding)
		stage_turn(stage);
	while (stage->commands.outstanding)
		stage_turn(stage);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	{
		char *line = client_line(alice);

		ck_assert_uint_eq(alice->n_fds, 0);
		expect_inline(line, "/result/results/0", 0);
		expect_inline(line, "/result/results/1", 2);
		free(line);
	}
	end();
}
END_TEST

START_TEST(a_peer_may_go_at_any_moment)
{
	for (int turns = 0; turns < 12; turns++) {
		begin();
		complete_many(16);
		say(alice, "collect", 16, "");
		say(alice, "await", 16, ",\"stream\":true");
		for (int i = 0; i < turns; i++)
			stage_turn(stage);
		end();
	}
}
END_TEST

START_TEST(an_abandoned_call_opens_nothing)
{
	begin();
	complete_many(16);
	say(alice, "collect", 16, "");
	say(alice, "await", 16, "");
	client_ask(alice, "{\"id\":2,\"method\":\"abandon\",\"params\":{\"call\":1}}",
		   OK("2", "{\"abandoned\":true}"));
	client_expect_silence(alice);
	ck_assert_uint_eq(stage->commands.outstanding, 0);
	ck_assert_uint_eq(stage->commands.parcels.descriptors, 0);
	end();
}
END_TEST

/* A stop does not end before what is being opened is sent. */
START_TEST(a_stop_waits_for_what_is_opened)
{
	begin();
	complete_many(2);
	say(alice, "collect", 2, "");
	while (!stage->commands.outstanding)
		stage_turn(stage);
	commands_drain(&stage->commands);
	ck_assert(commands_owed(&stage->commands));
	while (commands_owed(&stage->commands))
		stage_turn(stage);
	expect_line(alice, 2, 2);
	end();
}
END_TEST

SUITE("descriptors", collect_passes_them_in_order, await_passes_them_in_order,
      sixteen_go_with_a_line_and_the_rest_inline, what_is_short_or_failed_or_not_there_goes_inline,
      a_stream_passes_one_with_each_message, a_stream_waits_for_its_reader, unread_replies_hold_few,
      what_the_kernel_refuses_goes_inline, refused_ones_do_not_wait_for_later_ones,
      what_cannot_be_opened_goes_inline, a_peer_may_go_at_any_moment, an_abandoned_call_opens_nothing,
      a_stop_waits_for_what_is_opened)
