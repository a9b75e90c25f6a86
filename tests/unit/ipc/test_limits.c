/* Slow readers, fast writers, and the bounds on what is kept for them: nobody makes another wait. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stage.h"

#define PING(id) "{\"id\":" id ",\"method\":\"ping\"}"

static struct stage *stage;
static struct client *alice, *bob;

static void begin(void)
{
	stage = stage_new();
	alice = client_new(stage, ALICE);
	bob = client_new(stage, BOB);
}

static void end(void)
{
	client_free(alice);
	client_free(bob);
	stage_free(stage);
}

/* Sends what the socket takes now; how much that was. */
static size_t put_some(struct client *client, const char *data, size_t size)
{
	ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	ck_assert(sent > 0 || errno == EAGAIN);
	return sent > 0 ? (size_t)sent : 0;
}

/* A few hundred registrations whose listing is long. */
static void register_long_ones(struct client *client, int n)
{
	char id[500], metadata[3000];

	memset(metadata, 'm', sizeof(metadata));
	metadata[sizeof(metadata) - 1] = '\0';
	memset(id, 'i', sizeof(id));
	id[sizeof(id) - 1] = '\0';
	for (int i = 0; i < n; i++) {
		client_say(client,
			   "{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"%d%s\","
			   "\"metadata\":{\"m\":\"%s\"}}}",
			   i, id, metadata);
		free(client_line(client));
	}
}

START_TEST(a_thousand_calls_may_be_outstanding)
{
	struct buffer lines = BUFFER_INIT(SIZE_MAX);

	begin();
	client_register(alice, "a");
	for (int i = 0; i < CALLS_MAX + 10; i++)
		buffer_printf(&lines, "{\"id\":%d,\"method\":\"await\",\"params\":{\"request_id\":\"a\"}}\n",
			      i);
	buffer_puts(&lines, PING("\"last\"") "\n");
	client_put(alice, lines.data, lines.size);
	for (int i = 0; i < 60; i++)
		stage_turn(stage);
	ck_assert_uint_eq(stage->commands.outstanding, CALLS_MAX);
	client_ask(bob, PING("1"), OK("1", "{}"));
	/* The eleven lines that were not read are carried out when there is room. */
	stage_complete(stage, "a", "1");
	for (int i = 0; i < CALLS_MAX + 10; i++) {
		char *line = client_line(alice);

		ck_assert_int_ge(int_at(line, "/id"), 0);
		free(line);
	}
	client_expect(alice, OK("\"last\"", "{}"));
	ck_assert_uint_eq(stage->commands.outstanding, 0);
	buffer_release(&lines);
	end();
}
END_TEST

/* A peer that only writes is not read from once it is owed enough. */
START_TEST(who_does_not_read_is_not_read_from)
{
	static const char call[] = "{\"id\":1,\"method\":\"list\"}\n";
	const size_t size = strlen(call);
	struct buffer lines = BUFFER_INIT(SIZE_MAX);
	size_t sent = 0;
	int idle = 0;

	begin();
	register_long_ones(alice, 100);
	for (int i = 0; i < 100; i++)
		buffer_puts(&lines, call);
	while (idle < 20) {
		size_t before = sent;

		sent += put_some(alice, lines.data + sent % size, lines.size - sent % size);
		stage_turn(stage);
		idle = sent == before ? idle + 1 : 0;
		ck_assert_uint_lt(stage->peers.memory, 4 << 20);
		ck_assert_uint_lt(sent, 64 << 20);
	}
	ck_assert_uint_eq(stage->peers.count, 2);
	client_ask(bob, PING("1"), OK("1", "{}"));
	/* It is served again when it reads. */
	for (int i = 0; i < 30; i++)
		client_expect(alice, OK("1", "{\"futures\":[~],\"next\":null}"));
	ck_assert_uint_gt(stage->metrics.calls, 130);
	buffer_release(&lines);
	end();
}
END_TEST

/* As many turns as one peer has lines for: another's line does not wait for them. */
START_TEST(a_flood_of_lines_does_not_delay_others)
{
	struct buffer lines = BUFFER_INIT(SIZE_MAX);
	size_t most = 0;

	begin();
	for (int i = 0; i < 3000; i++)
		buffer_puts(&lines, "{\"method\":\"ping\"}\n");
	for (int round = 0; round < 200; round++) {
		uint64_t before = stage->metrics.calls;

		put_some(alice, lines.data, lines.size);
		stage_turn(stage);
		if (stage->metrics.calls - before > most)
			most = stage->metrics.calls - before;
	}
	ck_assert_uint_gt(stage->metrics.calls, 10000);
	ck_assert_uint_lt(most, 1000);
	client_put(bob, PING("1") "\n", strlen(PING("1")) + 1);
	put_some(alice, lines.data, lines.size);
	stage_turn(stage);
	ck_assert_int_gt(recv(bob->fd, lines.data, 10, MSG_PEEK | MSG_DONTWAIT), 0);
	buffer_release(&lines);
	end();
}
END_TEST

/* Two hundred floods at once: a turn has an end, and all get on. */
START_TEST(many_floods_share_the_turns)
{
	struct client *floods[200];
	struct buffer lines = BUFFER_INIT(SIZE_MAX);
	uint64_t most = 0;

	begin();
	for (int i = 0; i < 300; i++)
		buffer_puts(&lines, "{\"method\":\"ping\"}\n");
	buffer_puts(&lines, PING("1") "\n");
	for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
		floods[i] = client_new(stage, ALICE);
		client_put(floods[i], lines.data, lines.size);
	}
	for (int turn = 0; turn < 60; turn++) {
		uint64_t before = stage->metrics.calls;

		stage_turn(stage);
		if (stage->metrics.calls - before > most)
			most = stage->metrics.calls - before;
	}
	ck_assert_uint_lt(most, 6000);
	for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
		client_expect(floods[i], OK("1", "{}"));
		client_free(floods[i]);
	}
	buffer_release(&lines);
	end();
}
END_TEST

START_TEST(the_hard_cap_closes)
{
	struct client *slow;
	int i;

	begin();
	slow = client_new(stage, ALICE);
	stage->peers.hard_cap = 64 * 1024;
	register_long_ones(alice, 100);
	for (i = 0; i < 200 && stage->peers.count == 3; i++) {
		put_some(slow, "{\"id\":1,\"method\":\"list\"}\n", 25);
		stage_turn(stage);
	}
	ck_assert_uint_eq(stage->peers.count, 2);
	ck_assert_uint_eq(stage->metrics.peers_dropped, 1);
	client_ask(alice, PING("1"), OK("1", "{}"));
	client_ask(bob, PING("1"), OK("1", "{}"));
	client_free(slow);
	end();
}
END_TEST

/* Memory over all: who holds most goes, whatever the smaller ones do. */
START_TEST(the_greediest_pays_for_the_memory_of_all)
{
	struct client *greedy;
	char *half = malloc(900000);

	begin();
	greedy = client_new(stage, MALLORY);
	memset(half, 'x', 900000);
	client_put(alice, half, 1000);
	client_put(greedy, half, 900000);
	for (int i = 0; i < 50; i++)
		stage_turn(stage);
	ck_assert_uint_gt(stage->peers.memory, 900000);
	peers_set_max_memory(&stage->peers, 500000);
	stage_turn(stage);
	ck_assert_uint_eq(stage->peers.count, 2);
	ck_assert_uint_lt(stage->peers.memory, 100000);
	client_expect_end(greedy);
	client_put(alice, "\n", 1);
	client_expect(alice, ERROR("null", "-32700", "parse_error"));
	/* And again when it grows past the limit by itself. */
	client_free(greedy);
	greedy = client_new(stage, MALLORY);
	for (int i = 0; i < 50 && stage->peers.count == 3; i++) {
		put_some(greedy, half, 100000);
		stage_turn(stage);
	}
	ck_assert_uint_eq(stage->peers.count, 2);
	client_free(greedy);
	free(half);
	end();
}
END_TEST

START_TEST(memory_is_given_back)
{
	begin();
	register_long_ones(alice, 20);
	client_say(alice, "{\"id\":1,\"method\":\"list\"}");
	free(client_line(alice));
	client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_ids\":[\"x\",\"y\"],\"await_"
			  "timeout_ms\":0}}");
	free(client_line(alice));
	client_expect_silence(alice);
	ck_assert_uint_eq(stage->peers.memory, 0);
	end();
}
END_TEST

START_TEST(one_connection_waits_for_so_many_futures)
{
	struct buffer ids = BUFFER_INIT(SIZE_MAX);

	begin();
	for (int i = 0; i < 1000; i++)
		buffer_printf(&ids, "%s\"w%d\"", i ? "," : "", i);
	client_say(alice, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_ids\":[%.*s]}}",
		   (int)ids.size, ids.data);
	free(client_line(alice));
	for (int i = 0; i < 100; i++)
		client_say(alice, "{\"id\":%d,\"method\":\"await\",\"params\":{\"request_ids\":[%.*s]}}", i,
			   (int)ids.size, ids.data);
	client_expect_silence(alice);
	client_ask(alice, "{\"id\":2,\"method\":\"await\",\"params\":{\"request_id\":\"w1\"}}",
		   "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32002,\"message\":\"~\",\"data\":{"
		   "\"name\":\"limit_exceeded\",\"limit\":100000}}}");
	client_ask(alice, "{\"id\":3,\"method\":\"abandon\",\"params\":{\"call\":5}}",
		   OK("3", "{\"abandoned\":true}"));
	client_say(alice, "{\"id\":2,\"method\":\"await\",\"params\":{\"request_id\":\"w1\"}}");
	client_expect_silence(alice);
	ck_assert_uint_eq(stage->commands.outstanding, 100);
	buffer_release(&ids);
	end();
}
END_TEST

/* More outcomes than may be queued, for a client that reads slowly: they wait in the daemon's hands, not in a
 * queue. */
START_TEST(finished_waits_queue_no_more_than_is_read)
{
	struct buffer ids = BUFFER_INIT(SIZE_MAX);
	char *long_data = malloc(1001);
	size_t stream = 0;
	uint64_t most = 0;

	begin();
	memset(long_data, 'd', 1000);
	memcpy(long_data, "\"d\":\"", 5);
	memcpy(long_data + 998, "\"", 2);
	for (int i = 0; i < 200; i++) {
		buffer_printf(&ids, "%s\"f%d\"", i ? "," : "", i);
	}
	client_say(alice, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_ids\":[%.*s]}}",
		   (int)ids.size, ids.data);
	free(client_line(alice));
	for (int i = 0; i < 40; i++)
		client_say(
			alice,
			"{\"id\":%d,\"method\":\"await\",\"params\":{\"stream\":%s,\"request_ids\":[%.*s]}}",
			i, i % 2 ? "true" : "false", (int)ids.size, ids.data);
	client_expect_silence(alice);
	for (int i = 0; i < 200; i++) {
		char id[16];

		snprintf(id, sizeof(id), "f%d", i);
		stage_fail(stage, id, "no", long_data);
		if (stage->peers.memory > most)
			most = stage->peers.memory;
	}
	/* 9.6 MB of outcomes in all. */
	ck_assert_uint_lt(most, 4 << 20);
	ck_assert_uint_eq(stage->peers.count, 2);
	for (size_t replies = 0; replies < 40;) {
		char *line = client_line(alice);

		if (line[18] == 'i')
			replies++;
		else
			stream++;
		free(line);
	}
	ck_assert_uint_eq(stream, 20 * 200);
	client_expect_silence(alice);
	free(long_data);
	buffer_release(&ids);
	end();
}
END_TEST

/* Bodies are not kept in memory for somebody who does not read, but as far as its limit goes. */
START_TEST(unread_bodies_are_kept_up_to_a_limit)
{
	enum { N = 400, SIZE = 60000 };
	struct buffer ids = BUFFER_INIT(SIZE_MAX);
	struct blob *bodies[N];
	size_t kept = 0;

	begin();
	for (int i = 0; i < N; i++)
		buffer_printf(&ids, "%s\"f%d\"", i ? "," : "", i);
	client_say(alice, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_ids\":[%.*s]}}",
		   (int)ids.size, ids.data);
	free(client_line(alice));
	client_say(alice,
		   "{\"id\":2,\"method\":\"await\",\"params\":{\"stream\":true,\"request_ids\":[%.*s]}}",
		   (int)ids.size, ids.data);
	client_expect_silence(alice);
	for (int i = 0; i < N; i++) {
		char id[16], *text = malloc(SIZE);

		snprintf(id, sizeof(id), "f%d", i);
		memset(text, '1', SIZE);
		bodies[i] = blob_take(text, SIZE);
		stage_end(stage, id, result_ok(CONTENT_JSON, blob_ref(bodies[i]), 1));
	}
	for (int i = 0; i < N; i++) /* this test and the result have it in any case */
		kept += bodies[i]->refs > 2 ? bodies[i]->size : 0;
	ck_assert_uint_gt(kept, PEER_HELD_HIGH / 2);
	ck_assert_uint_lt(kept, PEER_HELD_HIGH + 2 * SIZE);
	ck_assert_uint_ge(stage->peers.memory, kept);
	for (int i = 0; i < N + 1; i++)
		free(client_line(alice));
	client_expect_silence(alice);
	ck_assert_uint_lt(stage->peers.memory, 100000);
	for (int i = 0; i < N; i++)
		blob_unref(bodies[i]);
	buffer_release(&ids);
	end();
}
END_TEST

START_TEST(owing_to_those_who_read)
{
	char *body = malloc(3 << 20);

	begin();
	ck_assert(!peers_owe(&stage->peers));
	client_register(alice, "a");
	memset(body, '1', 3 << 20);
	stage_complete_body(stage, "a", CONTENT_JSON, body, 3 << 20);
	client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"a\"}}");
	stage_turn(stage);
	stage_turn(stage);
	ck_assert(peers_owe(&stage->peers));
	free(client_line(alice));
	ck_assert(!peers_owe(&stage->peers));
	end();
}
END_TEST

START_TEST(who_goes_while_it_is_written_to)
{
	char *body = malloc(3 << 20);

	begin();
	client_register(alice, "a");
	memset(body, '1', 3 << 20);
	stage_complete_body(stage, "a", CONTENT_JSON, body, 3 << 20);
	client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"a\"}}");
	client_say(alice,
		   "{\"id\":1,\"method\":\"await\",\"params\":{\"request_ids\":[\"a\",\"a\"],\"ack\":true}}");
	stage_turn(stage);
	client_free(alice);
	alice = NULL;
	for (int i = 0; i < 5; i++)
		stage_turn(stage);
	ck_assert_uint_eq(stage->peers.count, 1);
	ck_assert_ptr_nonnull(stage_find(stage, ALICE, "a"));
	client_ask(bob, PING("1"), OK("1", "{}"));
	end();
}
END_TEST

/* A connection that is paused, with unread lines, and dies. */
START_TEST(who_dies_while_it_is_paused_is_noticed)
{
	struct buffer lines = BUFFER_INIT(SIZE_MAX);

	begin();
	client_register(alice, "a");
	for (int i = 0; i < CALLS_MAX + 100; i++)
		buffer_printf(&lines, "{\"id\":%d,\"method\":\"await\",\"params\":{\"request_id\":\"a\"}}\n",
			      i);
	client_put(alice, lines.data, lines.size);
	for (int i = 0; i < 60; i++)
		stage_turn(stage);
	ck_assert_uint_eq(stage->commands.outstanding, CALLS_MAX);
	client_free(alice);
	alice = NULL;
	for (int i = 0; i < 5; i++)
		stage_turn(stage);
	ck_assert_uint_eq(stage->peers.count, 1);
	ck_assert_uint_eq(stage->commands.outstanding, 0);
	buffer_release(&lines);
	end();
}
END_TEST

SUITE("limits", a_thousand_calls_may_be_outstanding, who_does_not_read_is_not_read_from,
      a_flood_of_lines_does_not_delay_others, many_floods_share_the_turns, the_hard_cap_closes,
      the_greediest_pays_for_the_memory_of_all, memory_is_given_back,
      one_connection_waits_for_so_many_futures, finished_waits_queue_no_more_than_is_read,
      unread_bodies_are_kept_up_to_a_limit, owing_to_those_who_read, who_goes_while_it_is_written_to,
      who_dies_while_it_is_paused_is_noticed)
