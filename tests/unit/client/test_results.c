/* libtinkex: results of every form: large, by descriptor, protobuf; read, loaded and written out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
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

struct seen {
	bool done;
	int error;
	tinkex_result *result[4];
};

static void on_outcome(tinkex_client *from, size_t index, tinkex_result *result, void *userdata)
{
	struct seen *seen = userdata;

	(void)from;
	ck_assert_uint_lt(index, 4);
	seen->result[index] = tinkex_result_ref(result);
}

static void on_done(tinkex_client *from, int error, tinkex_reply *reply, void *userdata)
{
	struct seen *seen = userdata;

	(void)from;
	(void)reply;
	seen->done = true;
	seen->error = error;
}

static void forget(struct seen *seen)
{
	for (size_t i = 0; i < 4; i++)
		tinkex_result_unref(seen->result[i]);
}

static const char *const ids[] = {"a", "b", "c"};

/* Awaits `n` ids up to the point where outcomes are expected. */
static void start(struct seen *seen, size_t n, const char *features)
{
	ck_assert_int_eq(tinkex_await_async(client, ids, n, NULL, on_outcome, on_done, seen, NULL), 0);
	fake_hello(&fake, client, features);
	fake_read(&fake, client);
}

struct text {
	char *data;
	size_t size;
	int calls_left; /* the writer says no when it is 0; < 0: never */
};

static int collect_text(const void *data, size_t size, void *userdata)
{
	struct text *text = userdata;

	if (text->calls_left == 0)
		return 1;
	text->calls_left--;
	text->data = realloc(text->data, text->size + size + 1);
	ck_assert_ptr_nonnull(text->data);
	memcpy(text->data + text->size, data, size);
	text->size += size;
	text->data[text->size] = '\0';
	return 0;
}

static void assert_json(const tinkex_result *result, const char *expected)
{
	struct text text = {.calls_left = -1};

	ck_assert_int_eq(tinkex_result_write_json(result, collect_text, &text), 0);
	ck_assert_str_eq(text.data, expected);
	free(text.data);
	for (int i = 0; i < 3; i++) {
		text = (struct text){.calls_left = i};
		ck_assert_int_eq(tinkex_result_write_json(result, collect_text, &text), TINKEX_EIO);
		free(text.data);
	}
}

START_TEST(test_written_out)
{
	struct seen seen = {0};
	struct text text = {.calls_left = -1};

	start(&seen, 2, "[]");
	fake_send(&fake, client,
		  "{\"method\":\"outcome\",\"params\":{\"call\":2,\"index\":0,\"request_id\":\"a\","
		  "\"endpoint\":\"e\","
		  "\"ok\":true,\"content_type\":\"application/json\",\"result\": {\"x\" : "
		  "1.0e2,\"x\":\"\\ud800\"} }}");
	fake_send(&fake, client,
		  "{\"method\":\"outcome\",\"params\":{\"call\":2,\"index\":1,\"request_id\":\"b\","
		  "\"endpoint\":\"e\","
		  "\"ok\":false,\"error\":{\"type\":\"network\",\"status\":null}}}");
	fake_send(&fake, client, "{\"id\":2,\"result\":{}}");
	fake_run_until(client, &seen.done);
	assert_json(seen.result[0],
		    "{\"request_id\":\"a\",\"endpoint\":\"e\",\"ok\":true,"
		    "\"content_type\":\"application/json\",\"result\":{\"x\" : 1.0e2,\"x\":\"\\ud800\"}}");
	assert_json(seen.result[1], "{\"request_id\":\"b\",\"endpoint\":\"e\",\"ok\":false,"
				    "\"error\":{\"type\":\"network\",\"status\":null}}");
	ck_assert_int_eq(tinkex_result_write_body(seen.result[0], collect_text, &text), 0);
	ck_assert_int_eq(tinkex_result_write_body(seen.result[1], collect_text, &text), 0);
	ck_assert_str_eq(text.data, "{\"x\" : 1.0e2,\"x\":\"\\ud800\"}");
	free(text.data);
	ck_assert_int_eq(tinkex_result_fd(seen.result[0], NULL), -1);
	forget(&seen);
}
END_TEST

/* Base64 of every length and its padding. */
START_TEST(test_protobuf)
{
	static const struct {
		const char *base64, *bytes;
	} cases[] = {{"", ""},
		     {"Zg==", "f"},
		     {"Zm8=", "fo"},
		     {"Zm9v", "foo"},
		     {"Zm9vYg==", "foob"},
		     {"+\\/+\\/", "\xfb\xff\xbf"},
		     {"Zm9vYmE=", "fooba"}};
	char expected[256], plain[16];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen seen = {0};
		size_t size, n = 0;

		client = tinkex_client_free(client);
		client = fake_client(&fake, NULL);
		start(&seen, 1, "[]");
		fake_send(
			&fake, client,
			"{\"method\":\"outcome\",\"params\":{\"call\":2,\"index\":0,\"request_id\":\"a\","
			"\"ok\":true,"
			"\"content_type\":\"application/x-protobuf\",\"size\":%zu,\"result_base64\":\"%s\"}}",
			strlen(cases[i].bytes), cases[i].base64);
		fake_send(&fake, client, "{\"id\":2,\"result\":{}}");
		fake_run_until(client, &seen.done);
		ck_assert_int_eq(seen.error, 0);
		ck_assert_str_eq(tinkex_result_data(seen.result[0], &size), cases[i].bytes);
		ck_assert_uint_eq(size, strlen(cases[i].bytes));
		for (const char *p = cases[i].base64; *p; p++)
			if (*p != '\\')
				plain[n++] = *p;
		plain[n] = '\0';
		snprintf(expected, sizeof(expected),
			 "{\"request_id\":\"a\",\"ok\":true,\"content_type\":\"application/"
			 "x-protobuf\",\"size\":%zu,"
			 "\"result_base64\":\"%s\"}",
			 size, plain);
		assert_json(seen.result[0], expected);
		forget(&seen);
	}
}
END_TEST

START_TEST(test_bad_base64)
{
	static const char *const bad[] = {"Z", "Zg", "Zg=", "Z===", "Zm9v=", "Zm?v", "Zg==Zg=="};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct seen seen = {0};

		client = tinkex_client_free(client);
		client = fake_client(&fake, NULL);
		start(&seen, 1, "[]");
		fake_send(&fake, client,
			  "{\"method\":\"outcome\",\"params\":{\"call\":2,\"index\":0,\"request_id\":\"a\","
			  "\"ok\":true,"
			  "\"content_type\":\"application/x-protobuf\",\"size\":1,\"result_base64\":\"%s\"}}",
			  bad[i]);
		fake_run_until(client, &seen.done);
		ck_assert_int_eq(seen.error, TINKEX_EPROTOCOL);
	}
}
END_TEST

/* ---- large ---- */

#define LARGE (50 * 1024 * 1024)

/* Peak resident memory of this process in bytes. */
static size_t peak_memory(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	size_t kib = 0;

	ck_assert_ptr_nonnull(status);
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %zu kB", &kib) == 1)
			break;
	fclose(status);
	return kib * 1024;
}

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_IS_MEASURABLE false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_IS_MEASURABLE false
#endif
#endif
#ifndef MEMORY_IS_MEASURABLE
#define MEMORY_IS_MEASURABLE true
#endif

/* 50 MB in one line, byte for byte; in memory there are the line and one copy. */
START_TEST(test_large)
{
	const char *head =
		"{\"method\":\"outcome\",\"params\":{\"call\":2,\"index\":0,\"request_id\":\"a\",\"ok\":true,"
		"\"content_type\":\"application/json\",\"result\":";
	char *body = malloc(LARGE);
	struct seen seen = {0};
	size_t size, before;

	ck_assert_ptr_nonnull(body);
	for (size_t i = 0; i < LARGE; i++)
		body[i] = i % 7 == 6 ? ',' : (char)('1' + i % 9);
	body[0] = '[';
	body[LARGE - 1] = ']';
	body[LARGE - 2] = '1';
	start(&seen, 1, "[]");
	before = peak_memory();
	fake_send_bytes(&fake, client, head, strlen(head));
	fake_send_bytes(&fake, client, body, LARGE);
	fake_send(&fake, client, "}}");
	fake_send(&fake, client, "{\"id\":2,\"result\":{}}");
	fake_run_until(client, &seen.done);
	if (MEMORY_IS_MEASURABLE)
		ck_assert_uint_le(peak_memory() - before, (size_t)LARGE * 22 / 10);
	ck_assert_int_eq(seen.error, 0);
	ck_assert_ptr_nonnull(tinkex_result_data(seen.result[0], &size));
	ck_assert_uint_eq(size, LARGE);
	ck_assert_int_eq(memcmp(tinkex_result_data(seen.result[0], NULL), body, LARGE), 0);
	free(body);
	forget(&seen);
}
END_TEST

/* ---- by descriptor ---- */

static int make_file(const char *text)
{
	int fd = memfd_create("result", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

/* An outcome whose body is `size` bytes from 2 on in a file with this text. */
static void send_by_fd(int call, int index, const char *id, const char *text, size_t size)
{
	char line[512];
	int fd = make_file(text);

	snprintf(line, sizeof(line),
		 "{\"method\":\"outcome\",\"params\":{\"call\":%d,\"index\":%d,\"request_id\":\"%s\",\"ok\":"
		 "true,"
		 "\"content_type\":\"application/json\",\"offset\":2,\"size\":%zu,\"fd\":true}}\n",
		 call, index, id, size);
	fake_send_fd(&fake, line, strlen(line), fd);
	close(fd);
}

START_TEST(test_descriptors)
{
	struct seen seen = {0};
	uint64_t offset = 0;
	char piece[8];
	size_t size;
	int fd;

	start(&seen, 3, "[\"fd_results\"]");
	ck_assert_ptr_nonnull(strstr(fake.line, "\"accept_fd\":true"));
	send_by_fd(2, 2, "c", "..[1,2]", 5);
	fake_send(
		&fake, client,
		"{\"method\":\"outcome\",\"params\":{\"call\":2,\"index\":1,\"request_id\":\"b\",\"ok\":true,"
		"\"content_type\":\"application/json\",\"result\":\"inline\"}}");
	send_by_fd(2, 0, "a", "..{\"k\":true}....", 10);
	fake_send(&fake, client, "{\"id\":2,\"result\":{}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, 0);
	/* read without loading it */
	fd = tinkex_result_fd(seen.result[0], &offset);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(offset, 2);
	ck_assert_int_eq((int)tinkex_result_read(seen.result[0], 8, piece, sizeof(piece)), 2);
	ck_assert_int_eq(memcmp(piece, "e}", 2), 0);
	ck_assert_int_eq((int)tinkex_result_read(seen.result[0], 10, piece, sizeof(piece)), 0);
	assert_json(seen.result[0], "{\"request_id\":\"a\",\"ok\":true,\"content_type\":\"application/json\","
				    "\"result\":{\"k\":true}}");
	/* loaded */
	ck_assert_str_eq(tinkex_result_data(seen.result[0], &size), "{\"k\":true}");
	ck_assert_uint_eq(size, 10);
	ck_assert_ptr_eq(tinkex_result_data(seen.result[0], NULL), tinkex_result_data(seen.result[0], NULL));
	ck_assert_str_eq(tinkex_result_data(seen.result[1], NULL), "\"inline\"");
	ck_assert_str_eq(tinkex_result_data(seen.result[2], NULL), "[1,2]");
	forget(&seen);
}
END_TEST

/* A file that was cut short is an error, not a crash. */
START_TEST(test_cut_descriptor)
{
	struct seen seen = {0};
	struct text text = {.calls_left = -1};
	char piece[64];

	start(&seen, 1, "[\"fd_results\"]");
	send_by_fd(2, 0, "a", "..[1,2", 5);
	fake_send(&fake, client, "{\"id\":2,\"result\":{}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq((int)tinkex_result_read(seen.result[0], 0, piece, sizeof(piece)), TINKEX_EIO);
	ck_assert_ptr_null(tinkex_result_data(seen.result[0], NULL));
	ck_assert_int_eq(tinkex_result_write_json(seen.result[0], collect_text, &text), TINKEX_EIO);
	free(text.data);
	forget(&seen);
}
END_TEST

/* The descriptor of an outcome that nobody waits for any more does not go to the next one. */
START_TEST(test_descriptor_of_nobody)
{
	struct seen seen = {0};

	start(&seen, 1, "[\"fd_results\"]");
	send_by_fd(77, 0, "x", "..[0,0]", 5);
	send_by_fd(2, 0, "a", "..[1,2]", 5);
	fake_send(&fake, client, "{\"id\":2,\"result\":{}}");
	fake_run_until(client, &seen.done);
	ck_assert_str_eq(tinkex_result_data(seen.result[0], NULL), "[1,2]");
	forget(&seen);
}
END_TEST

START_TEST(test_missing_descriptor)
{
	struct seen seen = {0};

	start(&seen, 1, "[\"fd_results\"]");
	fake_send(
		&fake, client,
		"{\"method\":\"outcome\",\"params\":{\"call\":2,\"index\":0,\"request_id\":\"a\",\"ok\":true,"
		"\"content_type\":\"application/json\",\"offset\":0,\"size\":1,\"fd\":true}}");
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, TINKEX_EPROTOCOL);
}
END_TEST

START_TEST(test_descriptors_in_collect)
{
	struct seen seen = {0};
	char line[512];
	int fd = make_file("[7]");

	ck_assert_int_eq(tinkex_collect_async(client, NULL, 0, NULL, on_done, &seen, NULL), 0);
	fake_hello(&fake, client, "[\"x\",\"fd_results\"]");
	fake_expect(&fake, client, "\"id\":2,\"method\":\"collect\",\"params\":{\"accept_fd\":true}");
	snprintf(line, sizeof(line),
		 "{\"id\":2,\"result\":{\"results\":[{\"request_id\":\"a\",\"ok\":true,"
		 "\"content_type\":\"application/"
		 "json\",\"offset\":0,\"size\":3,\"fd\":true}],\"next\":null}}\n");
	fake_send_fd(&fake, line, strlen(line), fd);
	close(fd);
	fake_run_until(client, &seen.done);
	ck_assert_int_eq(seen.error, 0);
}
END_TEST

START_TEST(test_no_descriptors)
{
	struct tinkex_client_options options = TINKEX_CLIENT_OPTIONS_INIT;
	struct seen seen = {0};

	client = tinkex_client_free(client);
	options.flags = TINKEX_NO_DESCRIPTORS;
	client = fake_client(&fake, &options);
	start(&seen, 1, "[\"fd_results\"]");
	ck_assert_ptr_null(strstr(fake.line, "accept_fd"));
}
END_TEST

/* Out of descriptors: the kernel drops what does not fit, so everything is asked again, inline. */
START_TEST(test_too_many_open)
{
	struct seen seen = {0};
	struct rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
	int open_fds[64], n = 0, fd;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	start(&seen, 1, "[\"fd_results\"]");
	fd = make_file("..[1,2]");
	while (n < 64 && (open_fds[n] = dup(fd)) >= 0)
		n++;
	fake_send_fd(&fake, "\n", 1, fd);
	fake_settle(client);
	while (n > 0)
		close(open_fds[--n]);
	close(fd);
	fake_hello(&fake, client, "[\"fd_results\"]");
	fake_read(&fake, client);
	ck_assert_ptr_null(strstr(fake.line, "accept_fd"));
	forget(&seen);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unit.client.results");
	TCase *tests = fake_case(suite, "results");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_written_out);
	tcase_add_test(tests, test_protobuf);
	tcase_add_test(tests, test_bad_base64);
	tcase_add_test(tests, test_large);
	tcase_add_test(tests, test_descriptors);
	tcase_add_test(tests, test_cut_descriptor);
	tcase_add_test(tests, test_descriptor_of_nobody);
	tcase_add_test(tests, test_missing_descriptor);
	tcase_add_test(tests, test_descriptors_in_collect);
	tcase_add_test(tests, test_no_descriptors);
	tcase_add_test(tests, test_too_many_open);
	return fake_main(suite);
}
