/* From bytes to calls: framing, malformed lines, faults, and that the connection goes on after each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/framer.h"
#include "stage.h"

#define PING(id) "{\"id\":" id ",\"method\":\"ping\"}"

static struct stage *stage;
static struct client *alice;

static void begin(void)
{
	stage = stage_new();
	alice = client_new(stage, ALICE);
}

static void end(void)
{
	client_free(alice);
	stage_free(stage);
}

START_TEST(malformed_lines_are_named)
{
	static const struct {
		const char *line, *expected;
	} cases[] = {
		{"{", ERROR("null", "-32700", "parse_error")},
		{"nonsense", ERROR("null", "-32700", "parse_error")},
		{"{'id':1}", ERROR("null", "-32700", "parse_error")},
		{"{\"id\":NaN}", ERROR("null", "-32700", "parse_error")},
		{"{\"id\":1,\"id\":2}", ERROR("null", "-32700", "parse_error")},
		{"{\"id\":1,\"\\u0069d\":2}", ERROR("null", "-32700", "parse_error")},
		{"{\"id\":\"\\ud800\"}", ERROR("null", "-32700", "parse_error")},
		{"{\"id\":\"a\tb\"}", ERROR("null", "-32700", "parse_error")},
		{"{\"id\":\"\xff\"}", ERROR("null", "-32700", "parse_error")},
		{"{\"id\":\"\xc0\x80\"}", ERROR("null", "-32700", "parse_error")},
		{"{\"id\":01}", ERROR("null", "-32700", "parse_error")},
		{"{\"id\":1}}", ERROR("null", "-32700", "parse_error")},
		{"{\"id\":1,}", ERROR("null", "-32700", "parse_error")},
		{"\xef\xbb\xbf{}", ERROR("null", "-32700", "parse_error")},
		{"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
		 ERROR("null", "-32700", "parse_error")},
		{"[]", ERROR("null", "-32600", "invalid_request")},
		{"[" PING("1") "]", ERROR("null", "-32600", "invalid_request")},
		{"1", ERROR("null", "-32600", "invalid_request")},
		{"null", ERROR("null", "-32600", "invalid_request")},
		{"\"ping\"", ERROR("null", "-32600", "invalid_request")},
		{"{}", ERROR("null", "-32600", "invalid_request")},
		{"{\"id\":1}", ERROR("1", "-32600", "invalid_request")},
		{"{\"id\":1,\"method\":5}", ERROR("1", "-32600", "invalid_request")},
		{"{\"id\":1,\"method\":\"\"}", ERROR("1", "-32600", "invalid_request")},
		{"{\"id\":1.5,\"method\":\"ping\"}", ERROR("null", "-32600", "invalid_request")},
		{"{\"id\":null,\"method\":\"ping\"}", ERROR("null", "-32600", "invalid_request")},
		{"{\"id\":{},\"method\":\"ping\"}", ERROR("null", "-32600", "invalid_request")},
		{"{\"id\":99999999999999999999,\"method\":\"ping\"}",
		 ERROR("null", "-32600", "invalid_request")},
		{"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}",
		 ERROR("1", "-32600", "invalid_request")},
		{"{\"jsonrpc\":2,\"id\":1,\"method\":\"ping\"}", ERROR("1", "-32600", "invalid_request")},
		{"{\"id\":1,\"method\":\"dance\"}", ERROR("1", "-32601", "method_not_found")},
		{"{\"id\":1,\"method\":\"Ping\"}", ERROR("1", "-32601", "method_not_found")},
		{"{\"id\":1,\"method\":\"subscribe\"}", ERROR("1", "-32601", "method_not_found")},
		{"{\"id\":1,\"method\":\"a name that is longer than any method's could be\"}",
		 ERROR("1", "-32601", "method_not_found")},
		{"{\"id\":1,\"method\":\"ping\",\"params\":[]}", BAD("1", "params")},
		{"{\"id\":1,\"method\":\"ping\",\"params\":null}", BAD("1", "params")},
		{"{\"id\":1,\"method\":\"ping\",\"params\":\"x\"}", BAD("1", "params")},
	};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		client_ask(alice, cases[i].line, cases[i].expected);
		client_ask(alice, PING("2"), OK("2", "{}"));
	}
	ck_assert_uint_eq(stage->metrics.call_errors, ARRAY_LEN(cases));
	end();
}
END_TEST

START_TEST(bytes_that_are_no_text)
{
	begin();
	client_put(alice, "\0\0\0\n", 4);
	client_expect(alice, ERROR("null", "-32700", "parse_error"));
	client_put(alice, "{\"id\":1,\"method\":\"pi\0ng\"}\n", 26);
	client_expect(alice, ERROR("null", "-32700", "parse_error"));
	client_expect_silence(alice);
	end();
}
END_TEST

START_TEST(blank_lines_are_ignored)
{
	begin();
	client_put(alice, "\n\n\r\n  \t \r\n", 10);
	client_put(alice, PING("1") "\r\n", strlen(PING("1") "\r\n"));
	client_expect(alice, OK("1", "{}"));
	client_expect_silence(alice);
	end();
}
END_TEST

START_TEST(a_line_may_come_in_pieces)
{
	const char *line = "{\"jsonrpc\":\"2.0\",\"id\":\"in pieces\",\"method\":\"ping\",\"params\":{}}\n";

	begin();
	for (const char *p = line; *p; p++) {
		client_put(alice, p, 1);
		stage_turn(stage);
	}
	client_expect(alice, OK("\"in pieces\"", "{}"));
	end();
}
END_TEST

START_TEST(many_lines_may_come_at_once)
{
	struct buffer lines = BUFFER_INIT(SIZE_MAX);
	char expected[80];

	begin();
	for (int i = 0; i < 300; i++)
		buffer_printf(&lines, PING("%d") "\n", i);
	client_put(alice, lines.data, lines.size);
	for (int i = 0; i < 300; i++) {
		snprintf(expected, sizeof(expected), OK("%d", "{}"), i);
		client_expect(alice, expected);
	}
	buffer_release(&lines);
	end();
}
END_TEST

START_TEST(the_longest_line_and_one_byte_more)
{
	char *line = malloc(FRAMER_REQUEST_MAX + 2);
	static const char head[] = "{\"id\":1,\"method\":\"ping\",\"params\":{\"x\":\"", tail[] = "\"}}";

	begin();
	memset(line, 'x', FRAMER_REQUEST_MAX + 2);
	memcpy(line, head, strlen(head));
	memcpy(line + FRAMER_REQUEST_MAX - strlen(tail), tail, strlen(tail));
	line[FRAMER_REQUEST_MAX] = '\n';
	client_put(alice, line, FRAMER_REQUEST_MAX + 1);
	client_expect(alice, OK("1", "{}"));
	memset(line + strlen(head), 'x', FRAMER_REQUEST_MAX + 2 - strlen(head));
	memcpy(line + FRAMER_REQUEST_MAX + 1 - strlen(tail), tail, strlen(tail));
	line[FRAMER_REQUEST_MAX + 1] = '\n';
	client_put(alice, line, FRAMER_REQUEST_MAX + 2);
	client_expect(alice, ERROR("null", "-32600", "line_too_long"));
	client_ask(alice, PING("2"), OK("2", "{}"));
	client_expect_silence(alice);
	free(line);
	end();
}
END_TEST

START_TEST(an_endless_line_takes_no_memory)
{
	char *chunk = malloc(1 << 20);

	begin();
	memset(chunk, 'x', 1 << 20);
	for (int i = 0; i < 8; i++)
		client_put(alice, chunk, 1 << 20);
	client_expect(alice, ERROR("null", "-32600", "line_too_long"));
	ck_assert_uint_lt(stage->peers.memory, 2 << 20);
	client_put(alice, "\n", 1);
	client_expect_silence(alice);
	free(chunk);
	end();
}
END_TEST

START_TEST(ids_come_back_as_they_were_written)
{
	begin();
	client_ask(alice, "{\"id\":0,\"method\":\"ping\"}", OK("0", "{}"));
	client_ask(alice, "{\"id\":-9223372036854775808,\"method\":\"ping\"}",
		   OK("-9223372036854775808", "{}"));
	client_ask(alice, "{\"id\":\"\",\"method\":\"ping\"}", OK("\"\"", "{}"));
	client_ask(alice, "{\"id\":\"\\u0041\\n\xc3\xa9\",\"method\":\"ping\"}",
		   OK("\"\\u0041\\n\xc3\xa9\"", "{}"));
	client_ask(alice,
		   "{\"id\":\"0123456789012345678901234567890123456789012345678901234567890123\",\"method\":"
		   "\"ping\"}",
		   OK("\"0123456789012345678901234567890123456789012345678901234567890123\"", "{}"));
	client_ask(alice,
		   "{\"id\":\"01234567890123456789012345678901234567890123456789012345678901234\",\"method\":"
		   "\"ping\"}",
		   ERROR("null", "-32600", "invalid_request"));
	end();
}
END_TEST

START_TEST(notifications_are_carried_out_and_never_answered)
{
	begin();
	client_say(alice, "{\"method\":\"ping\"}");
	client_say(alice, "{\"method\":\"dance\"}");
	client_say(alice, "{\"method\":\"ping\",\"params\":[]}");
	client_say(alice, "{\"method\":\"register\",\"params\":{\"request_id\":5}}");
	client_say(alice, "{\"method\":\"register\",\"params\":{\"request_id\":\"quiet\"}}");
	client_say(alice,
		   "{\"method\":\"await\",\"params\":{\"request_id\":\"quiet\",\"await_timeout_ms\":0}}");
	client_say(alice, "{\"method\":\"list\"}");
	client_expect_silence(alice);
	ck_assert_ptr_nonnull(stage_find(stage, ALICE, "quiet"));
	stage_complete(stage, "quiet", "1");
	client_say(alice, "{\"method\":\"ack\",\"params\":{\"request_id\":\"quiet\"}}");
	client_expect_silence(alice);
	ck_assert_ptr_null(stage_find(stage, ALICE, "quiet"));
	end();
}
END_TEST

START_TEST(half_a_line_is_dropped_with_its_connection)
{
	struct client *bob;

	begin();
	bob = client_new(stage, BOB);
	client_say(alice, "{\"id\":1,\"method\":\"register\",\"params\":{\"request_id\":\"whole\"}}");
	client_put(alice, "{\"id\":2,\"method\":\"register\",\"params\":{\"request_id\":\"half\"}}", 10);
	client_expect(alice, OK("1", "{~}"));
	client_free(alice);
	alice = NULL;
	client_ask(bob, PING("1"), OK("1", "{}"));
	ck_assert_uint_eq(stage->peers.count, 1);
	ck_assert_ptr_nonnull(stage_find(stage, ALICE, "whole"));
	ck_assert_ptr_null(stage_find(stage, ALICE, "half"));
	client_free(bob);
	end();
}
END_TEST

START_TEST(what_was_sent_before_leaving_is_carried_out)
{
	begin();
	client_say(alice, "{\"method\":\"register\",\"params\":{\"request_id\":\"a\"}}");
	client_say(alice, "{\"method\":\"register\",\"params\":{\"request_id\":\"b\"}}");
	client_free(alice);
	alice = client_new(stage, BOB);
	client_expect_silence(alice);
	ck_assert_ptr_nonnull(stage_find(stage, ALICE, "a"));
	ck_assert_ptr_nonnull(stage_find(stage, ALICE, "b"));
	end();
}
END_TEST

/* nc -N -U: the sending side is shut down, the replies are still wanted. */
START_TEST(half_closed_connections_get_what_they_are_owed)
{
	begin();
	client_register(alice, "late");
	client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"late\"}}");
	client_say(alice, PING("2"));
	ck_assert_int_eq(shutdown(alice->fd, SHUT_WR), 0);
	client_expect(alice, OK("2", "{}"));
	stage_turn(stage);
	stage_turn(stage);
	stage_complete(stage, "late", "{\"value\":1}");
	client_expect(alice, OK("1", "{\"results\":[{~,\"result\":{\"value\":1}}]}"));
	client_expect_end(alice);
	ck_assert_uint_eq(stage->peers.count, 0);
	end();
}
END_TEST

START_TEST(half_closed_connections_that_go_are_noticed)
{
	begin();
	client_register(alice, "never");
	client_say(alice, "{\"id\":1,\"method\":\"await\",\"params\":{\"request_id\":\"never\"}}");
	ck_assert_int_eq(shutdown(alice->fd, SHUT_WR), 0);
	for (int i = 0; i < 5; i++)
		stage_turn(stage);
	ck_assert_uint_eq(stage->peers.count, 1);
	ck_assert_uint_eq(stage->commands.outstanding, 1);
	client_free(alice);
	alice = NULL;
	for (int i = 0; i < 5; i++)
		stage_turn(stage);
	ck_assert_uint_eq(stage->peers.count, 0);
	ck_assert_uint_eq(stage->commands.outstanding, 0);
	end();
}
END_TEST

SUITE("lines", malformed_lines_are_named, bytes_that_are_no_text, blank_lines_are_ignored,
      a_line_may_come_in_pieces, many_lines_may_come_at_once, the_longest_line_and_one_byte_more,
      an_endless_line_takes_no_memory, ids_come_back_as_they_were_written,
      notifications_are_carried_out_and_never_answered, half_a_line_is_dropped_with_its_connection,
      what_was_sent_before_leaving_is_carried_out, half_closed_connections_get_what_they_are_owed,
      half_closed_connections_that_go_are_noticed)
