/*
 * Lines that nobody meant: requests of all kinds, cut, doubled, with members and bytes exchanged, from
 * several clients that come and go. Nothing is expected of the answers but that each is a line of JSON, that
 * the daemon's books are right at the end, and that a good call is still answered. The same every time: the
 * seed is fixed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/json_scan.h"
#include "stage.h"

#define CLIENTS 6

static const char *const methods[] = {"hello",  "ping",   "register", "await", "abandon",   "collect", "ack",
				      "cancel", "status", "list",     "stats", "endpoints", "dance"};
static const char *const names[] = {
	"request_id",
	"request_ids",
	"endpoint",
	"where",
	"response",
	"poll_timeout_ms",
	"http_timeout_ms",
	"backoff",
	"on_network_error",
	"on_server_failure",
	"accept",
	"request_type",
	"create_roundtrip_ms",
	"metadata",
	"linked",
	"if_ended",
	"await_timeout_ms",
	"stream",
	"on_timeout",
	"ack",
	"accept_fd",
	"limit",
	"after",
	"state",
	"all",
	"call",
	"client",
	"protocol",
};
static const char *const values[] = {
	"\"a\"",
	"\"b\"",
	"\"c\"",
	"\"default\"",
	"\"other\"",
	"\"closed\"",
	"\"nowhere\"",
	"\"\"",
	"\"\\u0000\"",
	"\"a\\nb\"",
	"0",
	"1",
	"2",
	"1000",
	"1001",
	"-1",
	"1.5",
	"1e3",
	"9223372036854775807",
	"99999999999999999999",
	"true",
	"false",
	"null",
	"[]",
	"{}",
	"[\"a\",\"b\"]",
	"[\"a\",1]",
	"[[\"a\"]]",
	"{\"k\":\"v\"}",
	"{\"k\":1}",
	"{\"k\":{}}",
	"{\"request_id\":\"a\"}",
	"{\"request_id\":7}",
	"{\"initial_ms\":0,\"max_ms\":0}",
	"{\"initial_ms\":\"x\"}",
	"\"fail\"",
	"\"retry\"",
	"\"json\"",
	"\"protobuf\"",
	"\"keep\"",
	"\"cancel\"",
	"\"restart\"",
	"\"completed\"",
	"\"failed\"",
	"\"1-1\"",
	"\"5\"",
	"\"\xc3\xa9\"",
	"\"\xff\"",
	"NaN",
	"'a'",
};

static uint64_t state = 88172645463325252u;

static uint32_t pick(size_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 16) % n);
}

static void build(struct buffer *line)
{
	buffer_puts(line, "{");
	if (pick(8))
		buffer_printf(line, "\"id\":%s,", pick(4) ? "5" : values[pick(ARRAY_LEN(values))]);
	buffer_printf(line, "\"method\":\"%s\",\"params\":{", methods[pick(ARRAY_LEN(methods))]);
	for (uint32_t i = 0, n = pick(5); i <= n; i++)
		buffer_printf(line, "%s\"%s\":%s", i ? "," : "", names[pick(i ? ARRAY_LEN(names) : 4)],
			      values[pick(pick(2) ? 6 : ARRAY_LEN(values))]);
	buffer_puts(line, "}}");
}

/* Damages about half of the lines. */
static void damage(struct buffer *line)
{
	switch (pick(10)) {
	case 0:
		line->size = pick(line->size + 1);
		break;
	case 1:
		line->data[pick(line->size)] = (char)pick(256);
		break;
	case 2:
		buffer_append(line, "{\"id\":1}", pick(9));
		break;
	case 3:
		memmove(line->data + line->size / 2, line->data, line->size / 2);
		break;
	case 4:
		line->data[pick(line->size)] = "{}[]\",:\\\n"[pick(9)];
		break;
	default:
		break;
	}
	buffer_putc(line, '\n');
}

/* Takes what has come: whole lines, each JSON. */
static void drain(struct client *client)
{
	char chunk[4096];
	ssize_t got;

	while ((got = recv(client->fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0) {
		client->data = realloc(client->data, client->size + (size_t)got);
		memcpy(client->data + client->size, chunk, (size_t)got);
		client->size += (size_t)got;
	}
	for (char *lf; client->size && (lf = memchr(client->data, '\n', client->size));) {
		struct json_scan scan;
		size_t size = (size_t)(lf - client->data);

		ck_assert_msg(json_scan_text(&scan, JSON_REPLY, NULL, NULL, 0, client->data, size) == JSON_OK,
			      "%.*s", (int)size, client->data);
		client->size -= size + 1;
		memmove(client->data, lf + 1, client->size);
	}
}

static void answer_some_polls(struct stage *stage)
{
	static const char *const ids[] = {"a", "b", "c"};
	struct future *future = registry_find_future(stage->registry, stage->endpoints[0], ids[pick(3)]);

	if (!future || !future->in_flight)
		return;
	if (pick(2))
		stage_complete(stage, future->request_id, "{\"v\":1}");
	else
		stage_fail(stage, future->request_id, "no", NULL);
}

START_TEST(nothing_breaks)
{
	static const uid_t uids[] = {0, ALICE, ALICE, BOB, MALLORY, BOB};
	struct stage *stage = stage_new();
	struct client *clients[CLIENTS];

	for (size_t i = 0; i < CLIENTS; i++)
		clients[i] = client_new(stage, uids[i]);
	for (int round = 0; round < 30000; round++) {
		struct buffer line = BUFFER_INIT(SIZE_MAX);
		size_t i = pick(CLIENTS);

		build(&line);
		damage(&line);
		if (clients[i])
			client_put(clients[i], line.data, line.size);
		buffer_release(&line);
		if (pick(4) == 0)
			stage_turn(stage);
		if (clients[i] && pick(8) == 0)
			drain(clients[i]);
		stage->store_fails = pick(50) == 0;
		stage->store_stopped = pick(4) == 0;
		if (pick(40) == 0)
			answer_some_polls(stage);
		if (clients[i] && pick(400) == 0) {
			if (pick(2))
				shutdown(clients[i]->fd, SHUT_WR);
			client_free(clients[i]);
			clients[i] = client_new(stage, uids[i]);
		}
	}
	stage->store_fails = stage->store_stopped = false;
	for (size_t i = 0; i < CLIENTS; i++)
		client_free(clients[i]);
	for (int i = 0; i < 100 && stage->peers.count; i++)
		stage_turn(stage);
	ck_assert_uint_eq(stage->peers.count, 0);
	ck_assert_uint_eq(stage->peers.memory, 0);
	ck_assert_uint_eq(stage->commands.outstanding, 0);
	ck_assert_uint_gt(stage->metrics.calls, 20000);
	ck_assert_uint_gt(stage->metrics.calls - stage->metrics.call_errors, 3000);
	clients[0] = client_new(stage, ALICE);
	client_ask(clients[0], "{\"id\":1,\"method\":\"ping\"}", OK("1", "{}"));
	client_free(clients[0]);
	stage_free(stage);
}
END_TEST

/* Bytes without any thought. */
START_TEST(noise)
{
	struct stage *stage = stage_new();
	struct client *client = client_new(stage, ALICE);
	char bytes[1000];

	for (int round = 0; round < 2000; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)pick(pick(2) ? 256 : 128);
		client_put(client, bytes, sizeof(bytes));
		if (round % 16 == 0)
			stage_turn(stage);
		drain(client);
	}
	client_put(client, "\n", 1);
	for (int i = 0; i < 100; i++) {
		stage_turn(stage);
		drain(client);
	}
	client->size = 0;
	client->capacity = 0;
	free(client->data);
	client->data = NULL;
	client_ask(client, "{\"id\":1,\"method\":\"ping\"}", OK("1", "{}"));
	client_free(client);
	stage_free(stage);
}
END_TEST

SUITE("nonsense", nothing_breaks, noise)
