/* The scripted daemon. Knows no method: lines are the tests' business. */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void fake_listen(struct fake *fake)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fake->path);
	fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fake->listener, 0);
	ck_assert_int_eq(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fake->listener, 16), 0);
}

void fake_start(struct fake *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->fd = -1;
	strcpy(fake->folder, "/tmp/tinkex-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fake->folder));
	snprintf(fake->path, sizeof(fake->path), "%s/sock", fake->folder);
	fake_listen(fake);
}

void fake_hang_up(struct fake *fake)
{
	if (fake->fd >= 0)
		close(fake->fd);
	fake->fd = -1;
	fake->in_size = 0;
}

void fake_die(struct fake *fake)
{
	fake_hang_up(fake);
	if (fake->listener >= 0)
		close(fake->listener);
	fake->listener = -1;
}

void fake_revive(struct fake *fake)
{
	unlink(fake->path);
	fake_listen(fake);
}

void fake_stop(struct fake *fake)
{
	fake_die(fake);
	unlink(fake->path);
	rmdir(fake->folder);
	free(fake->in);
	fake->in = NULL;
}

tinkex_client *fake_client(struct fake *fake, struct tinkex_client_options *options)
{
	struct tinkex_client_options defaults = TINKEX_CLIENT_OPTIONS_INIT;
	tinkex_client *client = NULL;

	if (!options)
		options = &defaults;
	options->socket_path = fake->path;
	options->reconnect_initial_ms = 1;
	options->reconnect_max_ms = 20;
	ck_assert_int_eq(tinkex_client_new(options, &client), 0);
	return client;
}

void fake_settle(tinkex_client *client)
{
	while (client && tinkex_process(client) > 0)
		;
}

/* Waits until `fd` is ready for `events` or the client has something to do again, and
 * lets it do that. true: fd was ready. */
static bool fake_wait(int fd, short events, tinkex_client *client, int64_t limit)
{
	struct pollfd watch[2] = {{.fd = fd, .events = events}, {.fd = -1}};
	int timeout = (int)(limit - now_ms()), client_timeout;

	ck_assert_msg(timeout > 0, "nothing happened for %d ms", FAKE_LIMIT_MS);
	if (client) {
		watch[1].fd = tinkex_get_fd(client);
		watch[1].events = (short)tinkex_get_events(client);
		client_timeout = tinkex_get_timeout(client);
		if (client_timeout >= 0 && client_timeout < timeout)
			timeout = client_timeout;
	}
	ck_assert(poll(watch, 2, timeout) >= 0 || errno == EINTR);
	fake_settle(client);
	return watch[0].revents != 0;
}

void fake_run_until(tinkex_client *client, const bool *flag)
{
	int64_t limit = now_ms() + FAKE_LIMIT_MS;

	fake_settle(client);
	while (!*flag)
		fake_wait(-1, 0, client, limit);
}

void fake_accept(struct fake *fake, tinkex_client *client)
{
	int64_t limit = now_ms() + FAKE_LIMIT_MS;

	fake_hang_up(fake);
	while (!fake_wait(fake->listener, POLLIN, client, limit))
		;
	fake->fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	ck_assert_int_ge(fake->fd, 0);
}

static void fake_receive(struct fake *fake, tinkex_client *client, int64_t limit)
{
	ssize_t n;

	if (fake->in_capacity - fake->in_size < 65536) {
		fake->in_capacity = 2 * fake->in_capacity + 65536;
		fake->in = realloc(fake->in, fake->in_capacity);
		ck_assert_ptr_nonnull(fake->in);
	}
	while (!fake_wait(fake->fd, POLLIN, client, limit))
		;
	n = read(fake->fd, fake->in + fake->in_size, fake->in_capacity - fake->in_size);
	ck_assert_msg(n > 0, "the client hung up instead of sending a line");
	fake->in_size += (size_t)n;
}

const char *fake_read(struct fake *fake, tinkex_client *client)
{
	int64_t limit = now_ms() + FAKE_LIMIT_MS;
	char *end;

	while (fake->in_size == 0 || !(end = memchr(fake->in, '\n', fake->in_size)))
		fake_receive(fake, client, limit);
	*end = '\0';
	snprintf(fake->line, sizeof(fake->line), "%s", fake->in);
	fake->in_size -= (size_t)(end + 1 - fake->in);
	memmove(fake->in, end + 1, fake->in_size);
	return fake->line;
}

void fake_expect(struct fake *fake, tinkex_client *client, const char *line)
{
	char whole[8192];

	snprintf(whole, sizeof(whole), "{\"jsonrpc\":\"2.0\",%s}", line);
	ck_assert_str_eq(fake_read(fake, client), whole);
}

void fake_send_bytes(struct fake *fake, tinkex_client *client, const void *data, size_t size)
{
	int64_t limit = now_ms() + FAKE_LIMIT_MS;
	const char *at = data;

	while (size > 0) {
		ssize_t n = send(fake->fd, at, size, MSG_NOSIGNAL);

		if (n > 0) {
			at += n;
			size -= (size_t)n;
			continue;
		}
		ck_assert_msg(n < 0 && errno == EAGAIN, "sending to the client failed: %s", strerror(errno));
		while (!fake_wait(fake->fd, POLLOUT, client, limit))
			;
	}
}

void fake_send(struct fake *fake, tinkex_client *client, const char *format, ...)
{
	va_list args;
	char *line;
	int n;

	va_start(args, format);
	n = vasprintf(&line, format, args);
	va_end(args);
	ck_assert_int_ge(n, 0);
	line[n] = '\n';
	fake_send_bytes(fake, client, line, (size_t)n + 1);
	free(line);
}

void fake_send_fd(struct fake *fake, const void *data, size_t size, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	union {
		const void *from;
		void *to;
	} base = {.from = data};
	struct iovec bytes = {.iov_base = base.to, .iov_len = size};
	struct msghdr message = {.msg_iov = &bytes,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	ck_assert_int_eq(sendmsg(fake->fd, &message, MSG_NOSIGNAL), (ssize_t)size);
}

void fake_hello(struct fake *fake, tinkex_client *client, const char *features)
{
	const char *id;

	fake_accept(fake, client);
	fake_read(fake, client);
	ck_assert_ptr_nonnull(strstr(fake->line, "\"method\":\"hello\""));
	ck_assert_ptr_nonnull(strstr(fake->line, "\"protocol\":1"));
	id = strstr(fake->line, "\"id\":");
	ck_assert_ptr_nonnull(id);
	fake_send(fake, client,
		  "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"protocol\":1,\"server\":\"fake/"
		  "1\",\"instance\":\"i\","
		  "\"uid\":1,\"features\":%s,\"limits\":{}}}",
		  atoi(id + 5), features);
}

/* ---- a thread beside a blocking call ---- */

static struct {
	pthread_t thread;
	struct fake *fake;
	void (*script)(struct fake *fake);
} spawned;

static void *fake_run_script(void *unused)
{
	(void)unused;
	spawned.script(spawned.fake);
	return NULL;
}

void fake_spawn(struct fake *fake, void (*script)(struct fake *fake))
{
	spawned.fake = fake;
	spawned.script = script;
	ck_assert_int_eq(pthread_create(&spawned.thread, NULL, fake_run_script, NULL), 0);
}

void fake_join(void)
{
	ck_assert_int_eq(pthread_join(spawned.thread, NULL), 0);
}

TCase *fake_case(Suite *suite, const char *name)
{
	TCase *tests = tcase_create(name);

	tcase_set_timeout(tests, 100);
	suite_add_tcase(suite, tests);
	return tests;
}

int fake_main(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	unsetenv("TINKEX_ENDPOINT");
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
