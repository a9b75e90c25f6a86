/* libtinkex: awaiting, registration before it, results of every form, and daemons that go away meanwhile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct fake fake;
static tinkex_client *client;

static void setup(void)
{
	fake_start(&fake);
	client = fake_client(&fake, NULL);
}

static void teardown(void)
{
	client = tinkex_client_free(client);
	fake_stop(&fake);
}

/* What came back from an await. */
struct seen {
	bool done, registered;
	int error;
	size_t outcomes;
	size_t order[16];          /* indexes in order of arrival */
	tinkex_result *result[16]; /* by index */
	uint64_t affected, new_ones;
	bool registered_first;
};

static void on_outcome(tinkex_client *from, size_t index, tinkex_result *result, void *userdata)
{
	struct seen *seen = userdata;

	ck_assert_ptr_eq(from, client);
	ck_assert_uint_lt(index, COUNT(seen->result));
	ck_assert_ptr_null(seen->result[index]);
	seen->order[seen->outcomes++] = index;
	seen->result[index] = tinkex_result_ref(result);
}

static void on_done(tinkex_client *from, int error, tinkex_reply *reply, void *userdata)
{
	struct seen *seen = userdata;

	(void)from;
	seen->done = true;
	seen->error = error;
	seen->affected = tinkex_reply_affected(reply);
}

static void on_registered(tinkex_client *from, int error, tinkex_reply *reply, void *userdata)
{
	struct seen *seen = userdata;

	(void)from;
	ck_assert_int_eq(error, 0);
	ck_assert(!seen->registered);
	seen->registered = true;
	seen->registered_first = seen->outcomes == 0;
	seen->new_ones = tinkex_reply_affected(reply);
}

static void forget(struct seen *seen)
{
	for (size_t i = 0; i < COUNT(seen->result); i++)
		tinkex_result_unref(seen->result[i]);
	*seen = (struct seen){0};
}

static const char *const abc[] = {"a", "b", "c"};

static void start(struct seen *seen, size_t n, const struct tinkex_await_options *options)
{
	ck_assert_int_eq(tinkex_await_async(client, abc, n, options, on_outcome, on_done, seen, NULL), 0);
}

static const char *ok_outcome =
	"{\"method\":\"outcome\",\"params\":{\"call\":%d,\"index\":%d,\"request_id\":\"%s\","
	"\"endpoint\":\"e\",\"ok\":true,\"content_type\":\"application/json\",\"result\":%s}}";

static void send_ok(int call, int index, const char *id, const char *result)
{
	char line[1024];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(line, sizeof(line), ok_outcome, call, index, id, result);
#pragma GCC diagnostic pop
	fake_send(&fake, client, "%s", line);
}

static void send_failed(int call, int index, const char *id, const char *type, const char *reason)
{
	fake_send(
		&fake, client,
		"{\"method\":\"outcome\",\"params\":{\"call\":%d,\"index\":%d,\"request_id\":\"%s\","
		"\"endpoint\":\"e\","
		"\"ok\":false,\"error\":{\"type\":\"%s\",\"category\":null,\"message\":\"m\",\"status\":null,"
		"\"data\":{\"reason\":\"%s\"}}}}",
		call, index, id, type, reason);
}

/* ---- outcomes ---- */

START_TEST(test_stream)
{
	struct tinkex_await_options options = TINKEX_AWAIT_OPTIONS_INIT;
	struct seen seen = {0};

	options.endpoint = "e";
	options.on_timeout = "keep";
	options.where = "{\"k\":\"v\"}";
	options.ack = 1;
	start(&seen, 3, &options);
	fake_hello(&fake, client, "[\"other\"]");
	fake_expect(&fake, client,
		    "\"id\":2,\"method\":\"await\",\"params\":{\"request_ids\":[\"a\",\"b\",\"c\"],"
		    "\"stream\":true,"
		    "\"endpoint\":\"e\",\"on_timeout\":\"keep\",\"where\":{\"k\":\"v\"},\"ack\":true}");
	send_ok(2, 2, "c", "[1,  2]");
	fake_send(&fake, client,
		  "{\"method\":\"outcome\",\"params\":{\"call\":2,\"index\":0,\"request_id\":\"a\","
		  "\"endpoint\":\"e\","
		  "\"ok\":false,\"error\":{\"type\":\"api_status\",\"category\":\"server\",\"message\":"
		  "\"gone\","
		  "\"status\":410,\"data\":{\"reason\":\"expired\"}},\"ended_at\":\"t\"}}");
	send_ok(2, 2, "c", "\"twice\"");
	send_ok(2, 1, "b", "null");
	fake_settle(client);
	ck_assert(!seen.done);
	fake_send(&fake, client, "{\"id\":2,\"result\":{\"ended\":3,\"ok\":2,\"failed\":1}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, 0);
	ck_assert_uint_eq(seen.affected, 3);
	ck_assert(seen.order[0] == 2 && seen.order[1] == 0 && seen.order[2] == 1);
	ck_assert_str_eq(tinkex_result_data(seen.result[2], NULL), "[1,  2]");
	ck_assert_str_eq(tinkex_result_data(seen.result[1], NULL), "null");
	ck_assert_ptr_null(tinkex_result_data(seen.result[0], NULL));
	ck_assert_int_eq(tinkex_result_ok(seen.result[0]), 0);
	ck_assert_str_eq(tinkex_result_error_type(seen.result[0]), "api_status");
	ck_assert_str_eq(tinkex_result_error_category(seen.result[0]), "server");
	ck_assert_str_eq(tinkex_result_error_message(seen.result[0]), "gone");
	ck_assert_str_eq(tinkex_result_error_reason(seen.result[0]), "expired");
	ck_assert_str_eq(tinkex_result_error_data(seen.result[0]), "{\"reason\":\"expired\"}");
	ck_assert_int_eq(tinkex_result_error_status(seen.result[0]), 410);
	forget(&seen);
}
END_TEST

/* The call is over and one of its ids had no outcome. */
START_TEST(test_missing_outcome)
{
	struct seen seen = {0};

	start(&seen, 2, NULL);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	send_ok(2, 1, "b", "1");
	fake_send(&fake, client, "{\"id\":2,\"result\":{\"ended\":1,\"ok\":1,\"failed\":0}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, TINKEX_EPROTOCOL);
	ck_assert_uint_eq(seen.outcomes, 1);
	forget(&seen);
}
END_TEST

START_TEST(test_where_only)
{
	struct tinkex_await_options options = TINKEX_AWAIT_OPTIONS_INIT;
	struct seen seen = {0};

	options.where = "{\"k\":\"v\"}";
	start(&seen, 0, &options);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client,
		    "\"id\":2,\"method\":\"await\",\"params\":{\"stream\":true,\"where\":{\"k\":\"v\"}}");
	send_ok(2, 1, "b", "1");
	fake_settle(client);
	fake_hang_up(&fake);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	/* What was delivered before is not delivered again. */
	send_ok(4, 0, "b", "1");
	send_ok(4, 1, "c", "2");
	fake_send(&fake, client, "{\"id\":4,\"result\":{\"ended\":2,\"ok\":2,\"failed\":0}}");
	fake_run_until(client, &seen.done);
	ck_assert_uint_eq(seen.affected, 2);
	ck_assert_str_eq(tinkex_result_request_id(seen.result[0]), "b");
	ck_assert_str_eq(tinkex_result_request_id(seen.result[1]), "c");
	forget(&seen);
}
END_TEST

/* ---- registering first ---- */

START_TEST(test_registration)
{
	struct tinkex_register_options registration = TINKEX_REGISTER_OPTIONS_INIT;
	struct tinkex_await_options options = TINKEX_AWAIT_OPTIONS_INIT;
	struct seen seen = {0};

	registration.poll_timeout_ms = 60000;
	registration.request_type = "Sample";
	registration.if_ended = "restart";
	options.registration = &registration;
	options.registered = on_registered;
	options.registered_userdata = &seen;
	options.await_timeout_ms = 0;
	start(&seen, 3, &options);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	ck_assert_msg(strstr(fake.line,
			     "\"method\":\"register\",\"params\":{\"request_ids\":[\"a\",\"b\",\"c\"],"
			     "\"request_type\":\"Sample\",\"poll_timeout_ms\":"),
		      "%s", fake.line);
	ck_assert_ptr_nonnull(strstr(fake.line, "\"if_ended\":\"restart\""));
	fake_send(&fake, client,
		  "{\"id\":2,\"result\":{\"registrations\":[{\"request_id\":\"a\",\"endpoint\":\"e\",\"new\":"
		  "true},"
		  "{\"request_id\":\"b\",\"error\":{\"code\":-32002,\"message\":\"too many\","
		  "\"data\":{\"name\":\"limit_exceeded\"}}},{\"request_id\":\"c\",\"endpoint\":\"e\",\"new\":"
		  "false}]}}");
	fake_expect(&fake, client,
		    "\"id\":3,\"method\":\"await\",\"params\":{\"request_ids\":[\"a\",\"c\"],\"stream\":true,"
		    "\"await_timeout_ms\":0}");
	/* index counts within the call on the wire */
	send_ok(3, 1, "c", "3");
	send_failed(3, 0, "a", "api_timeout", "await_timeout");
	fake_send(&fake, client, "{\"id\":3,\"result\":{\"ended\":2,\"ok\":1,\"failed\":1}}");
	fake_run_until(client, &seen.done);
	ck_assert(seen.registered && seen.registered_first);
	ck_assert_uint_eq(seen.new_ones, 1);
	ck_assert_uint_eq(seen.outcomes, 3);
	ck_assert_str_eq(tinkex_result_data(seen.result[2], NULL), "3");
	ck_assert_str_eq(tinkex_result_error_type(seen.result[0]), "api_timeout");
	ck_assert_str_eq(tinkex_result_error_type(seen.result[1]), "not_registered");
	ck_assert_str_eq(tinkex_result_error_reason(seen.result[1]), "limit_exceeded");
	ck_assert_str_eq(tinkex_result_error_message(seen.result[1]), "too many");
	ck_assert_str_eq(tinkex_result_request_id(seen.result[1]), "b");
	forget(&seen);
}
END_TEST

START_TEST(test_registration_refused)
{
	struct tinkex_register_options registration = TINKEX_REGISTER_OPTIONS_INIT;
	struct tinkex_await_options options = TINKEX_AWAIT_OPTIONS_INIT;
	struct seen seen = {0};

	options.registration = &registration;
	start(&seen, 1, &options);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	fake_send(&fake, client,
		  "{\"id\":2,\"error\":{\"code\":-32000,\"message\":\"no "
		  "endpoint\",\"data\":{\"name\":\"denied\"}}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, TINKEX_EDENIED);
	ck_assert_uint_eq(seen.outcomes, 0);
}
END_TEST

/* ---- daemons that go away ---- */

/* Only what has not ended is asked again. */
START_TEST(test_death_and_return)
{
	struct seen seen = {0};

	start(&seen, 3, NULL);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	send_ok(2, 1, "b", "1");
	fake_settle(client);
	fake_die(&fake);
	fake_settle(client);
	fake_revive(&fake);
	fake_hello(&fake, client, "[]");
	fake_expect(
		&fake, client,
		"\"id\":4,\"method\":\"await\",\"params\":{\"request_ids\":[\"a\",\"c\"],\"stream\":true}");
	send_ok(4, 0, "a", "0");
	send_ok(4, 1, "c", "2");
	fake_send(&fake, client, "{\"id\":4,\"result\":{\"ended\":2,\"ok\":2,\"failed\":0}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, 0);
	ck_assert_uint_eq(seen.affected, 3);
	ck_assert_str_eq(tinkex_result_data(seen.result[0], NULL), "0");
	ck_assert_str_eq(tinkex_result_data(seen.result[2], NULL), "2");
	forget(&seen);
}
END_TEST

/* The number behind `name` in the line. */
static long member_of(const char *line, const char *name)
{
	const char *at = strstr(line, name);

	ck_assert_msg(at != NULL, "%s in %s", name, line);
	return strtol(at + strlen(name), NULL, 10);
}

/* The new daemon has lost what the old one knew: registered again, with what is left of the deadline; what
 * ended in between is not registered again. */
START_TEST(test_forgotten)
{
	struct tinkex_register_options registration = TINKEX_REGISTER_OPTIONS_INIT;
	struct tinkex_await_options options = TINKEX_AWAIT_OPTIONS_INIT;
	struct seen seen = {0};
	long first;

	registration.poll_timeout_ms = 3600000;
	registration.if_ended = "restart";
	options.registration = &registration;
	options.await_timeout_ms = 1800000;
	start(&seen, 3, &options);
	fake_hello(&fake, client, "[]");
	first = member_of(fake_read(&fake, client), "\"poll_timeout_ms\":");
	ck_assert_int_le(first, 3600000);
	fake_send(&fake, client,
		  "{\"id\":2,\"result\":{\"registrations\":[{\"request_id\":\"a\"},{\"request_id\":\"b\"},"
		  "{\"request_id\":\"c\"}]}}");
	ck_assert_int_le(member_of(fake_read(&fake, client), "\"await_timeout_ms\":"), 1800000);
	fake_die(&fake);
	fake_revive(&fake);
	fake_hello(&fake, client, "[]");
	ck_assert_ptr_nonnull(strstr(fake_read(&fake, client), "\"id\":5,\"method\":\"await\""));
	ck_assert_int_gt(member_of(fake.line, "\"await_timeout_ms\":"), 1700000);
	send_failed(5, 0, "a", "not_registered", "never");
	send_failed(5, 1, "b", "not_registered", "acked");
	fake_read(&fake, client);
	ck_assert_msg(
		strstr(fake.line, "\"id\":6,\"method\":\"register\",\"params\":{\"request_ids\":[\"a\"],"),
		"%s", fake.line);
	ck_assert_ptr_null(strstr(fake.line, "if_ended"));
	ck_assert_int_le(member_of(fake.line, "\"poll_timeout_ms\":"), first);
	ck_assert_int_gt(member_of(fake.line, "\"poll_timeout_ms\":"), 3500000);
	fake_send(&fake, client,
		  "{\"id\":6,\"result\":{\"registrations\":[{\"request_id\":\"a\",\"new\":true}]}}");
	ck_assert_ptr_nonnull(strstr(fake_read(&fake, client),
				     "\"id\":7,\"method\":\"await\",\"params\":{\"request_ids\":[\"a\"]"));
	send_ok(5, 2, "c", "2");
	fake_send(&fake, client, "{\"id\":5,\"result\":{\"ended\":3,\"ok\":1,\"failed\":2}}");
	fake_settle(client);
	ck_assert(!seen.done);
	/* Unknown a second time: then for good. */
	send_failed(7, 0, "a", "not_registered", "never");
	fake_send(&fake, client, "{\"id\":7,\"result\":{\"ended\":1,\"ok\":0,\"failed\":1}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, 0);
	ck_assert_str_eq(tinkex_result_error_reason(seen.result[0]), "never");
	ck_assert_str_eq(tinkex_result_error_reason(seen.result[1]), "acked");
	ck_assert_int_eq(tinkex_result_ok(seen.result[2]), 1);
	forget(&seen);
}
END_TEST

/* A linked registration ended with the connection, so it is made again at once. */
START_TEST(test_linked)
{
	struct tinkex_register_options registration = TINKEX_REGISTER_OPTIONS_INIT;
	struct tinkex_await_options options = TINKEX_AWAIT_OPTIONS_INIT;
	struct seen seen = {0};

	registration.linked = 1;
	options.registration = &registration;
	start(&seen, 1, &options);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client,
		    "\"id\":2,\"method\":\"register\",\"params\":{\"request_ids\":[\"a\"],\"linked\":true}");
	fake_send(&fake, client, "{\"id\":2,\"result\":{\"registrations\":[{\"request_id\":\"a\"}]}}");
	fake_read(&fake, client);
	fake_die(&fake);
	fake_revive(&fake);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client,
		    "\"id\":5,\"method\":\"register\",\"params\":{\"request_ids\":[\"a\"],\"linked\":true}");
	forget(&seen);
}
END_TEST

/* A daemon that goes down in order says so; the await goes on at its successor. */
START_TEST(test_shutting_down)
{
	struct seen seen = {0};

	start(&seen, 1, NULL);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	fake_send(&fake, client,
		  "{\"id\":2,\"error\":{\"code\":-32003,\"message\":\"going down\","
		  "\"data\":{\"name\":\"shutting_down\"}}}");
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client,
		    "\"id\":4,\"method\":\"await\",\"params\":{\"request_ids\":[\"a\"],\"stream\":true}");
	send_ok(4, 0, "a", "1");
	fake_send(&fake, client, "{\"id\":4,\"result\":{\"ended\":1,\"ok\":1,\"failed\":0}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(tinkex_result_ok(seen.result[0]), 1);
	forget(&seen);
}
END_TEST

static void use_limit(int64_t reconnect_timeout_ms)
{
	struct tinkex_client_options options = TINKEX_CLIENT_OPTIONS_INIT;

	tinkex_client_free(client);
	options.reconnect_timeout_ms = reconnect_timeout_ms;
	client = fake_client(&fake, &options);
}

START_TEST(test_daemon_gone)
{
	struct seen seen = {0};

	use_limit(20);
	start(&seen, 2, NULL);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	send_ok(2, 0, "a", "1");
	fake_settle(client);
	fake_die(&fake);
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, 0);
	ck_assert_int_eq(tinkex_result_ok(seen.result[0]), 1);
	ck_assert_str_eq(tinkex_result_error_type(seen.result[1]), "api_timeout");
	ck_assert_str_eq(tinkex_result_error_reason(seen.result[1]), "daemon_gone");
	ck_assert_msg(strstr(tinkex_result_error_data(seen.result[1]), "\"exit_reason\":\"tinkexd at ") !=
			      NULL,
		      "%s", tinkex_result_error_data(seen.result[1]));
	forget(&seen);
}
END_TEST

/* The await's own time ends while nobody is there who could say so. */
START_TEST(test_timeout_without_daemon)
{
	struct tinkex_await_options options = TINKEX_AWAIT_OPTIONS_INIT;
	struct seen seen = {0};

	use_limit(TINKEX_FOREVER);
	options.await_timeout_ms = 50;
	start(&seen, 1, &options);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	fake_die(&fake);
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, 0);
	ck_assert_str_eq(tinkex_result_error_reason(seen.result[0]), "await_timeout");
	ck_assert_ptr_nonnull(strstr(tinkex_result_error_data(seen.result[0]), "\"timeout_ms\":50"));
	forget(&seen);
}
END_TEST

/* A daemon that was stopped says nothing: the library looks at the time too, a little later. */
START_TEST(test_timeout_with_silent_daemon)
{
	struct tinkex_await_options options = TINKEX_AWAIT_OPTIONS_INIT;
	struct seen seen = {0};

	options.await_timeout_ms = 1;
	start(&seen, 1, &options);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	fake_run_until(client, &seen.done);
	ck_assert_str_eq(tinkex_result_error_reason(seen.result[0]), "await_timeout");
	forget(&seen);
}
END_TEST

/* ---- blocking forms ---- */

static void answer_many(struct fake *daemon)
{
	char line[256];

	fake_hello(daemon, NULL, "[]");
	for (int call = 2; call <= 4; call++)
		fake_read(daemon, NULL);
	/* the last call first, and each from its end */
	for (int call = 4; call >= 2; call--) {
		for (int i = call == 4 ? 499 : 999; i >= 0; i--) {
			int id = (call - 2) * 1000 + i;

			snprintf(line, sizeof(line),
				 "{\"method\":\"outcome\",\"params\":{\"call\":%d,\"index\":%d,\"request_"
				 "id\":\"id%d\","
				 "\"ok\":true,\"content_type\":\"application/json\",\"result\":%d}}",
				 call, i, id, id);
			fake_send(daemon, NULL, "%s", line);
		}
		fake_send(daemon, NULL, "{\"id\":%d,\"result\":{}}", call);
	}
}

START_TEST(test_await_many)
{
	tinkex_result *results[2500];
	char storage[2500][16], expected[16];
	const char *ids[2500];

	for (size_t i = 0; i < COUNT(ids); i++) {
		snprintf(storage[i], sizeof(storage[i]), "id%zu", i);
		ids[i] = storage[i];
	}
	fake_spawn(&fake, answer_many);
	ck_assert_int_eq(tinkex_await_many(client, ids, COUNT(ids), NULL, results), 0);
	fake_join();
	for (size_t i = 0; i < COUNT(ids); i++) {
		snprintf(expected, sizeof(expected), "%zu", i);
		ck_assert_str_eq(tinkex_result_request_id(results[i]), ids[i]);
		ck_assert_str_eq(tinkex_result_data(results[i], NULL), expected);
		tinkex_result_unref(results[i]);
	}
}
END_TEST

static void answer_two_then_refuse(struct fake *daemon)
{
	fake_hello(daemon, NULL, "[]");
	fake_read(daemon, NULL);
	fake_send(
		daemon, NULL,
		"{\"method\":\"outcome\",\"params\":{\"call\":2,\"index\":1,\"request_id\":\"b\",\"ok\":true,"
		"\"content_type\":\"application/json\",\"result\":1}}");
	fake_send(daemon, NULL,
		  "{\"id\":2,\"error\":{\"code\":-32603,\"message\":\"broken\",\"data\":{\"name\":"
		  "\"internal\"}}}");
}

/* What had arrived is not lost with the call: it may be acknowledged already. */
START_TEST(test_await_many_fails)
{
	tinkex_result *results[3];

	fake_spawn(&fake, answer_two_then_refuse);
	ck_assert_int_eq(tinkex_await_many(client, abc, 3, NULL, results), TINKEX_EINTERNAL);
	fake_join();
	ck_assert_ptr_null(results[0]);
	ck_assert_str_eq(tinkex_result_data(results[1], NULL), "1");
	ck_assert_ptr_null(results[2]);
	tinkex_result_unref(results[1]);
}
END_TEST

static void answer_one(struct fake *daemon)
{
	fake_hello(daemon, NULL, "[]");
	fake_read(daemon, NULL);
	fake_send(
		daemon, NULL,
		"{\"method\":\"outcome\",\"params\":{\"call\":2,\"index\":0,\"request_id\":\"a\",\"ok\":true,"
		"\"content_type\":\"application/json\",\"result\":{\"v\":42}}}\n{\"id\":2,\"result\":{}}");
}

START_TEST(test_await_one)
{
	tinkex_result *result = NULL;

	fake_spawn(&fake, answer_one);
	ck_assert_int_eq(tinkex_await(client, "a", NULL, &result), 0);
	fake_join();
	ck_assert_str_eq(tinkex_result_data(result, NULL), "{\"v\":42}");
	tinkex_result_unref(result);
}
END_TEST

static void free_at_first(tinkex_client *from, size_t index, tinkex_result *result, void *userdata)
{
	(void)index;
	(void)result;
	tinkex_client_free(from);
	*(int *)userdata += 1;
}

START_TEST(test_free_in_blocking_call)
{
	int calls = 0;

	fake_spawn(&fake, answer_one);
	ck_assert_int_eq(tinkex_await_each(client, abc, 1, NULL, free_at_first, &calls), TINKEX_ECANCELLED);
	fake_join();
	ck_assert_int_eq(calls, 1);
	client = NULL;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unit.client.await");
	TCase *tests = fake_case(suite, "await");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_stream);
	tcase_add_test(tests, test_missing_outcome);
	tcase_add_test(tests, test_where_only);
	tcase_add_test(tests, test_registration);
	tcase_add_test(tests, test_registration_refused);
	tcase_add_test(tests, test_death_and_return);
	tcase_add_test(tests, test_forgotten);
	tcase_add_test(tests, test_linked);
	tcase_add_test(tests, test_shutting_down);
	tcase_add_test(tests, test_daemon_gone);
	tcase_add_test(tests, test_timeout_without_daemon);
	tcase_add_test(tests, test_timeout_with_silent_daemon);
	tcase_add_test(tests, test_await_many);
	tcase_add_test(tests, test_await_many_fails);
	tcase_add_test(tests, test_await_one);
	tcase_add_test(tests, test_free_in_blocking_call);
	return fake_main(suite);
}
