/* libtinkex: finding a daemon, losing it, ends of calls, and callbacks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"

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

/* ---- without a daemon ---- */

START_TEST(test_strerror)
{
	ck_assert_str_eq(tinkex_version(), TINKEX_VERSION);
	ck_assert_str_eq(tinkex_strerror(0), "no error");
	for (int error = TINKEX_EINVAL; error >= TINKEX_EIO; error--)
		ck_assert_str_ne(tinkex_strerror(error), "unknown error");
	for (int error = TINKEX_EREFUSED; error >= TINKEX_ECONFLICT; error--)
		ck_assert_str_ne(tinkex_strerror(error), "unknown error");
	ck_assert_str_eq(tinkex_strerror(-12345), "unknown error");
}
END_TEST

/* The error of a ping without a daemon, with these variables in the environment. */
static const char *search_text(const char *socket, const char *runtime)
{
	struct tinkex_client_options options = TINKEX_CLIENT_OPTIONS_INIT;
	static char text[4096];

	unsetenv("TINKEXD_SOCKET");
	unsetenv("XDG_RUNTIME_DIR");
	if (socket)
		setenv("TINKEXD_SOCKET", socket, 1);
	if (runtime)
		setenv("XDG_RUNTIME_DIR", runtime, 1);
	ck_assert_int_eq(tinkex_client_new(&options, &client), 0);
	ck_assert_int_eq(tinkex_ping(client), TINKEX_ENODAEMON);
	snprintf(text, sizeof(text), "%s", tinkex_error_text(client));
	client = tinkex_client_free(client);
	return text;
}

START_TEST(test_search_order)
{
	const char *text;

	/* Nobody can listen below a plain file. */
	text = search_text("/dev/null/a", "/dev/null/b");
	ck_assert_msg(strstr(text, "/dev/null/a: does not exist") && !strstr(text, "/dev/null/b"), "%s",
		      text);
	text = search_text(NULL, "/dev/null/b");
	ck_assert_msg(
		strstr(text,
		       "\n  /dev/null/b/tinkexd/tinkexd.sock: does not exist\n  /run/tinkexd/tinkexd.sock: "),
		"%s", text);
	ck_assert_msg(strstr(text, "start one with `tinkexd &`"), "%s", text);
}
END_TEST

START_TEST(test_search_dead_socket)
{
	const char *text;

	fake_start(&fake);
	fake_die(&fake);
	text = search_text(fake.path, NULL);
	ck_assert_msg(strstr(text, "nobody listens on it"), "%s", text);
	fake_stop(&fake);
}
END_TEST

/* The folder in /tmp is only trusted when it is the user's own and nobody else's. */
START_TEST(test_search_shared_folder)
{
	char folder[64], expected[128];
	const char *text;

	snprintf(folder, sizeof(folder), "/tmp/tinkexd-%u", (unsigned)geteuid());
	if (mkdir(folder, 0700) < 0)
		return; /* a real daemon's */
	ck_assert_int_eq(chmod(folder, 0755), 0);
	text = search_text(NULL, NULL);
	ck_assert_msg(strstr(text, "not trusted: others may enter its folder (mode 0755, should be 0700)"),
		      "%s", text);
	ck_assert_int_eq(chmod(folder, 0700), 0);
	text = search_text(NULL, NULL);
	snprintf(expected, sizeof(expected), "%s/tinkexd.sock: does not exist", folder);
	ck_assert_msg(strstr(text, expected), "%s", text);
	rmdir(folder);
	ck_assert_int_eq(symlink("/", folder), 0);
	text = search_text(NULL, NULL);
	unlink(folder);
	ck_assert_msg(strstr(text, "not trusted: its folder is not a folder"), "%s", text);
	/* A path that the caller named is the caller's business. */
	text = search_text("/tmp/tinkexd-named.sock", NULL);
	ck_assert_msg(strstr(text, "/tmp/tinkexd-named.sock: does not exist"), "%s", text);
}
END_TEST

START_TEST(test_arguments)
{
	struct tinkex_client_options options = TINKEX_CLIENT_OPTIONS_INIT;
	struct tinkex_register_options registration = TINKEX_REGISTER_OPTIONS_INIT;
	struct tinkex_select_options select = TINKEX_SELECT_OPTIONS_INIT;
	const char *id = "a", *bad = "\xff", *none = NULL;
	tinkex_reply *reply = NULL;

	ck_assert_int_eq(tinkex_client_new(NULL, NULL), TINKEX_EINVAL);
	options.size = 0;
	ck_assert_int_eq(tinkex_client_new(&options, &client), TINKEX_EINVAL);
	ck_assert_int_eq(tinkex_client_new(NULL, &client), 0);
	ck_assert_int_eq(tinkex_register(client, NULL, 0, NULL, &reply), TINKEX_EINVAL);
	ck_assert_int_eq(tinkex_register(client, &none, 1, NULL, &reply), TINKEX_EINVAL);
	ck_assert_int_eq(tinkex_register(client, &bad, 1, NULL, &reply), TINKEX_EINVAL);
	ck_assert_str_eq(tinkex_error_text(client), "request id number 0 is not valid UTF-8");
	registration.metadata = "[1]";
	ck_assert_int_eq(tinkex_register(client, &id, 1, &registration, &reply), TINKEX_EINVAL);
	ck_assert_str_eq(tinkex_error_text(client), "metadata is not the JSON text of an object");
	registration.metadata = NULL;
	registration.http_timeout_ms = -7;
	ck_assert_int_eq(tinkex_register(client, &id, 1, &registration, &reply), TINKEX_EINVAL);
	ck_assert_str_eq(tinkex_error_text(client), "http_timeout_ms is negative");
	ck_assert_int_eq(tinkex_cancel(client, NULL, 0, &select, NULL), TINKEX_EINVAL);
	ck_assert_int_eq(tinkex_status(client, NULL, NULL, &reply), TINKEX_EINVAL);
	ck_assert_int_eq(tinkex_ping(NULL), TINKEX_EINVAL);
	ck_assert_int_eq(tinkex_process(NULL), TINKEX_EINVAL);
	ck_assert_ptr_null(reply);
	ck_assert_ptr_null(tinkex_client_free(NULL));
	ck_assert_ptr_null(tinkex_reply_unref(NULL));
	ck_assert_ptr_null(tinkex_result_unref(NULL));
	client = tinkex_client_free(client);
}
END_TEST

struct seen {
	bool done;
	int calls, error;
	tinkex_reply *reply;
	char text[512], data[512];
};

static void remember(tinkex_client *from, int error, tinkex_reply *reply, void *userdata)
{
	struct seen *seen = userdata;
	const char *data = tinkex_error_data(from);

	seen->done = true;
	seen->calls++;
	seen->error = error;
	seen->reply = tinkex_reply_ref(reply);
	snprintf(seen->text, sizeof(seen->text), "%s", tinkex_error_text(from));
	snprintf(seen->data, sizeof(seen->data), "%s", data ? data : "");
}

/* ---- time, loss, ends ---- */

START_TEST(test_call_timeout)
{
	struct tinkex_client_options options = TINKEX_CLIENT_OPTIONS_INIT;
	struct seen seen = {0};
	tinkex_client *other;

	options.call_timeout_ms = 20;
	other = fake_client(&fake, &options);
	ck_assert_int_eq(tinkex_ping_async(other, remember, &seen, NULL), 0);
	fake_hello(&fake, other, "[]");
	fake_run_until(other, &seen.done);
	ck_assert_int_eq(seen.error, TINKEX_ETIMEOUT);
	ck_assert_ptr_nonnull(strstr(seen.text, "did not answer within 20 ms"));
	tinkex_client_free(other);
}
END_TEST

/* Somebody takes the connection and says nothing: not a daemon that is of use. */
START_TEST(test_silent_socket)
{
	struct tinkex_client_options options = TINKEX_CLIENT_OPTIONS_INIT;
	struct seen seen = {0};
	tinkex_client *other;

	options.call_timeout_ms = 20;
	other = fake_client(&fake, &options);
	ck_assert_int_eq(tinkex_ping_async(other, remember, &seen, NULL), 0);
	fake_run_until(other, &seen.done);
	ck_assert_int_eq(seen.error, TINKEX_ENODAEMON);
	ck_assert_ptr_nonnull(strstr(seen.text, "took the connection but does not answer"));
	tinkex_client_free(other);
}
END_TEST

START_TEST(test_asked_again)
{
	struct seen seen = {0};

	ck_assert_int_eq(tinkex_ping_async(client, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client, "\"id\":2,\"method\":\"ping\",\"params\":{}");
	fake_die(&fake);
	fake_revive(&fake);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client, "\"id\":4,\"method\":\"ping\",\"params\":{}");
	fake_send(&fake, client, "{\"id\":4,\"result\":{}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, 0);
	tinkex_reply_unref(seen.reply);
	/* Nothing asks for a connection now: losing it is not noticed before the next call needs one. */
	fake_die(&fake);
	fake_settle(client);
	fake_revive(&fake);
	seen = (struct seen){0};
	ck_assert_int_eq(tinkex_ping_async(client, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client, "\"id\":6,\"method\":\"ping\",\"params\":{}");
}
END_TEST

/* What was written before the daemon went away counts. */
START_TEST(test_answer_then_death)
{
	struct seen seen = {0};

	ck_assert_int_eq(tinkex_ping_async(client, remember, &seen, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	fake_send(&fake, NULL, "{\"id\":2,\"result\":{}}");
	fake_die(&fake);
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, 0);
	tinkex_reply_unref(seen.reply);
}
END_TEST

START_TEST(test_given_up)
{
	struct tinkex_client_options options = TINKEX_CLIENT_OPTIONS_INIT;
	struct seen seen = {0};
	tinkex_client *other;

	options.reconnect_timeout_ms = 30;
	other = fake_client(&fake, &options);
	ck_assert_int_eq(tinkex_ping_async(other, remember, &seen, NULL), 0);
	fake_hello(&fake, other, "[]");
	fake_read(&fake, other);
	fake_die(&fake);
	fake_run_until(other, &seen.done);
	ck_assert_int_eq(seen.error, TINKEX_ENODAEMON);
	ck_assert_msg(strstr(seen.text, "closed the connection; tried\n"), "%s", seen.text);
	tinkex_client_free(other);
}
END_TEST

/* With a limit for the first connection, a daemon that is started a little later is found. */
START_TEST(test_connect_timeout)
{
	struct tinkex_client_options options = TINKEX_CLIENT_OPTIONS_INIT;
	struct seen seen = {0};
	tinkex_client *other;

	options.connect_timeout_ms = TINKEX_FOREVER;
	other = fake_client(&fake, &options);
	fake_die(&fake);
	ck_assert_int_eq(tinkex_ping_async(other, remember, &seen, NULL), 0);
	fake_settle(other);
	ck_assert_int_ge(tinkex_get_timeout(other), 0);
	fake_revive(&fake);
	fake_hello(&fake, other, "[]");
	tinkex_client_free(other);
}
END_TEST

START_TEST(test_abandon)
{
	struct seen seen = {0}, after = {0};
	const char *id = "a";
	uint64_t call;

	ck_assert_int_eq(tinkex_await_async(client, &id, 1, NULL, NULL, remember, &seen, &call), 0);
	fake_hello(&fake, client, "[]");
	fake_expect(&fake, client,
		    "\"id\":2,\"method\":\"await\",\"params\":{\"request_ids\":[\"a\"],\"stream\":true}");
	tinkex_abandon(client, call);
	tinkex_abandon(client, call);
	fake_expect(&fake, client, "\"method\":\"abandon\",\"params\":{\"call\":2}");
	/* An outcome that was on its way finds nobody, and harms nobody. */
	fake_send(&fake, client,
		  "{\"method\":\"outcome\",\"params\":{\"call\":2,\"index\":0,\"request_id\":\"a\","
		  "\"ok\":true,\"content_type\":\"application/json\",\"result\":1}}");
	ck_assert_int_eq(tinkex_ping_async(client, remember, &after, NULL), 0);
	fake_read(&fake, client);
	fake_send(&fake, client, "{\"id\":3,\"result\":{}}");
	fake_run_until(client, &after.done);
	ck_assert_int_eq(seen.calls, 0);
	tinkex_reply_unref(after.reply);
}
END_TEST

/* ---- callbacks ---- */

static void free_client(tinkex_client *from, int error, tinkex_reply *reply, void *userdata)
{
	bool *done = userdata;

	(void)error;
	(void)reply;
	tinkex_client_free(from);
	*done = true;
}

START_TEST(test_free_in_callback)
{
	bool done = false;
	struct seen never = {0};
	int r;

	ck_assert_int_eq(tinkex_ping_async(client, free_client, &done, NULL), 0);
	ck_assert_int_eq(tinkex_ping_async(client, remember, &never, NULL), 0);
	fake_hello(&fake, client, "[]");
	fake_read(&fake, client);
	fake_read(&fake, client);
	fake_send(&fake, NULL, "{\"id\":2,\"result\":{}}\n{\"id\":3,\"result\":{}}");
	do
		r = tinkex_process(client);
	while (r > 0);
	ck_assert(done);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(never.calls, 0);
	client = NULL;
}
END_TEST

struct inner {
	bool done;
	int error;
	struct seen *other;
	int other_calls;
};

/* A blocking call inside a callback: other callbacks wait until it is over. */
static void ping_inside(tinkex_client *from, int error, tinkex_reply *reply, void *userdata)
{
	struct inner *inner = userdata;

	(void)error;
	(void)reply;
	inner->error = tinkex_ping(from);
	inner->other_calls = inner->other->calls;
	inner->done = true;
}

static void answer_nested(struct fake *daemon)
{
	fake_hello(daemon, NULL, "[]");
	fake_read(daemon, NULL);
	fake_read(daemon, NULL);
	fake_send(daemon, NULL, "{\"id\":2,\"result\":{}}\n{\"id\":3,\"result\":{}}");
	fake_expect(daemon, NULL, "\"id\":4,\"method\":\"ping\",\"params\":{}");
	fake_send(daemon, NULL, "{\"id\":4,\"result\":{}}");
}

START_TEST(test_call_in_callback)
{
	struct seen other = {0};
	struct inner inner = {.other = &other};

	fake_spawn(&fake, answer_nested);
	ck_assert_int_eq(tinkex_ping_async(client, ping_inside, &inner, NULL), 0);
	ck_assert_int_eq(tinkex_ping_async(client, remember, &other, NULL), 0);
	fake_run_until(client, &other.done);
	fake_join();
	ck_assert(inner.done);
	ck_assert_int_eq(inner.error, 0);
	ck_assert_int_eq(inner.other_calls, 0);
	tinkex_reply_unref(other.reply);
}
END_TEST

static void answer_blocking(struct fake *daemon)
{
	fake_hello(daemon, NULL, "[]");
	fake_expect(daemon, NULL, "\"id\":2,\"method\":\"ping\",\"params\":{}");
	fake_send(daemon, NULL, "{\"id\":2,\"result\":{}}");
	fake_read(daemon, NULL);
	fake_send(daemon, NULL, "{\"id\":3,\"result\":{\"protocol\":1,\"server\":\"fake/1\"}}");
	fake_read(daemon, NULL);
	fake_send(daemon, NULL,
		  "{\"id\":4,\"error\":{\"code\":-32000,\"message\":\"no\",\"data\":{\"name\":\"denied\"}}}");
}

START_TEST(test_blocking)
{
	tinkex_reply *reply = NULL;

	fake_spawn(&fake, answer_blocking);
	ck_assert_int_eq(tinkex_ping(client), 0);
	ck_assert_int_eq(tinkex_hello(client, &reply), 0);
	ck_assert_str_eq(tinkex_reply_json(reply, NULL), "{\"protocol\":1,\"server\":\"fake/1\"}");
	tinkex_reply_unref(reply);
	reply = NULL;
	ck_assert_int_eq(tinkex_endpoints(client, &reply), TINKEX_EDENIED);
	ck_assert_ptr_null(reply);
	ck_assert_str_eq(tinkex_error_text(client), "endpoints: no");
	fake_join();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unit.client.connection");
	TCase *alone = fake_case(suite, "without a daemon"), *ends = fake_case(suite, "ends");

	tcase_add_test(alone, test_strerror);
	tcase_add_test(alone, test_search_order);
	tcase_add_test(alone, test_search_dead_socket);
	tcase_add_test(alone, test_search_shared_folder);
	tcase_add_test(alone, test_arguments);
	tcase_add_checked_fixture(ends, setup, teardown);
	tcase_add_test(ends, test_call_timeout);
	tcase_add_test(ends, test_silent_socket);
	tcase_add_test(ends, test_asked_again);
	tcase_add_test(ends, test_answer_then_death);
	tcase_add_test(ends, test_given_up);
	tcase_add_test(ends, test_connect_timeout);
	tcase_add_test(ends, test_abandon);
	tcase_add_test(ends, test_free_in_callback);
	tcase_add_test(ends, test_call_in_callback);
	tcase_add_test(ends, test_blocking);
	return fake_main(suite);
}
