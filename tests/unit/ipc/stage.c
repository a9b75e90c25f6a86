#include "stage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/waiter.h"
#include "disk.h"
#include "ipc/listener.h"
#include "proto/attributes.h"
#include "proto/json_text.h"
#include "sys/log.h"

/* The store. */

static uint64_t keep(void *context, const struct registration *registration)
{
	struct stage *stage = context;

	(void)registration;
	stage->dirty = true;
	return stage->ticket;
}

static void settle(struct stage *stage)
{
	uint64_t ticket = stage->ticket;

	if (!stage->dirty || stage->store_stopped)
		return;
	stage->dirty = false;
	stage->ticket++;
	registry_settle(stage->registry, ticket, !stage->store_fails, loop_now(stage->loop));
	commands_settle(&stage->commands, ticket, !stage->store_fails);
}

/* What the composition root does. */

static void on_future_live(void *context, struct future *future)
{
	scheduler_add(((struct stage *)context)->scheduler, future, 0);
}

static void on_future_idle(void *context, struct future *future)
{
	scheduler_drop(((struct stage *)context)->scheduler, future);
}

static void on_future_gone(void *context, struct future *future)
{
	scheduler_forget(((struct stage *)context)->scheduler, future);
}

static void on_registered(void *context, struct registration *registration)
{
	(void)context;
	(void)registration;
}

static void on_save_delivered(void *context, const struct registration *registration)
{
	(void)context;
	(void)registration;
}

static void on_expired(void *context, struct registration *registration, bool early)
{
	(void)context;
	(void)registration;
	(void)early;
}

static void on_ended(void *context, struct registration *registration)
{
	(void)context;
	waiters_registration_ended(registration);
}

static void on_gone(void *context, struct registration *registration)
{
	(void)context;
	waiters_registration_gone(registration);
}

static const struct registry_operations registry_operations = {
	.save = keep,
	.save_end = keep,
	.remove = keep,
	.save_delivered = on_save_delivered,
	.future_live = on_future_live,
	.future_idle = on_future_idle,
	.future_gone = on_future_gone,
	.registered = on_registered,
	.ended = on_ended,
	.expired = on_expired,
	.registration_gone = on_gone,
};

static bool on_start_poll(void *context, const struct poll_request *request)
{
	(void)context;
	(void)request;
	return true;
}

static bool on_abort_poll(void *context, struct future *future)
{
	(void)context;
	(void)future;
	return true;
}

static const struct scheduler_operations scheduler_operations = {
	.start_poll = on_start_poll,
	.abort_poll = on_abort_poll,
};

static void on_turn(void *context)
{
	struct stage *stage = context;

	stage->registry->wall_offset = loop_wall(stage->loop) - loop_now(stage->loop);
	scheduler_run(stage->scheduler, loop_now(stage->loop));
	settle(stage);
	peers_flush(&stage->peers);
	if (stage->listener)
		listener_flush(stage->listener);
	loop_stop(stage->loop);
}

static void upstream_status(void *context, const struct endpoint *endpoint, uint32_t *ret_connections,
			    unsigned *ret_http_version)
{
	(void)context;
	(void)endpoint;
	*ret_connections = 3;
	*ret_http_version = 20;
}

static struct endpoint *make_endpoint(const char *name)
{
	struct endpoint *endpoint = endpoint_new(name, PROFILE_DURABLE);

	free(endpoint->base_url);
	endpoint->base_url = xstrdup("http://127.0.0.1:1");
	endpoint->limits.max_in_flight = endpoint->capacity = 100000;
	return endpoint;
}

static void make_core(struct stage *stage)
{
	static const struct registry_limits limits = {
		.max_registrations_per_uid = 5000,
		.max_stored_bytes = UINT64_MAX,
		.max_stored_bytes_per_uid = UINT64_MAX,
		.retention = 3600 * USEC_PER_SEC,
		.retention_delivered = 3600 * USEC_PER_SEC,
	};
	static const uint8_t key[16] = "sixteen bytes...";
	struct timers *timers = loop_timers(stage->loop);

	stage->names = xnew(struct json_names);
	json_names_init(stage->names, key);
	bus_init(&stage->bus);
	waiters_init(timers);
	stage->registry = registry_new(&registry_operations, stage, timers, &limits, key);
	stage->scheduler = scheduler_new(&scheduler_operations, stage, stage->registry, timers, &stage->bus,
					 &stage->metrics, 1 << 20);
	stage->endpoints[0] = make_endpoint("default");
	stage->endpoints[1] = make_endpoint("other");
	stage->endpoints[2] = make_endpoint("closed");
	stage->endpoints[2]->users = xzalloc(2 * sizeof(uid_t));
	stage->endpoints[2]->users[0] = ALICE;
	stage->endpoints[2]->users[1] = BOB;
	stage->endpoints[2]->n_users = 2;
}

void stage_set_endpoints(struct stage *stage, size_t n)
{
	stage->commands.endpoints = stage->endpoints;
	stage->commands.n_endpoints = n;
	scheduler_set_endpoints(stage->scheduler, stage->endpoints, n);
}

struct stage *stage_new(void)
{
	struct stage *stage = xnew(struct stage);

	log_init(LOG_LEVEL_ERROR);
	ck_assert_int_eq(loop_new(&stage->loop), 0);
	stage->ticket = 1;
	make_core(stage);
	stage->commands = (struct commands){
		.loop = stage->loop,
		.registry = stage->registry,
		.scheduler = stage->scheduler,
		.metrics = &stage->metrics,
		.bus = &stage->bus,
		.names = stage->names,
		.instance = "0123456789abcdef0123456789abcdef",
		.started = loop_now(stage->loop),
		.inline_result_bytes = 65536,
		.upstream_status = upstream_status,
	};
	stage_set_endpoints(stage, 3);
	ck_assert_int_eq(peers_init(&stage->peers, stage->loop, &stage->commands, &stage->metrics, 256 << 20),
			 0);
	loop_set_turn_hook(stage->loop, on_turn, stage);
	return stage;
}

void stage_free(struct stage *stage)
{
	peers_release(&stage->peers);
	disk_free(stage->disk);
	registry_free(stage->registry);
	scheduler_free(stage->scheduler);
	for (size_t i = 0; i < ARRAY_LEN(stage->endpoints); i++)
		endpoint_free(stage->endpoints[i]);
	loop_free(stage->loop);
	free(stage->names);
	free(stage);
}

void stage_turn(struct stage *stage)
{
	loop_wake(stage->loop);
	ck_assert_int_eq(loop_run(stage->loop), 0);
}

/* Turns until the condition holds. */
static bool out_of_time(time_t start)
{
	return time(NULL) > start + LIMIT_S;
}

struct registration *stage_find(struct stage *stage, uid_t uid, const char *request_id)
{
	return registry_find(stage->registry, uid, stage->endpoints[0], request_id);
}

static struct future *polled_future(struct stage *stage, const char *request_id)
{
	time_t start = time(NULL);
	struct future *future;

	for (;;) {
		future = registry_find_future(stage->registry, stage->endpoints[0], request_id);
		if (future && future->in_flight)
			return future;
		ck_assert_msg(!out_of_time(start), "%s is not polled", request_id);
		stage_turn(stage);
	}
}

/* `result` is taken over; NULL: it failed. */
static void answer(struct stage *stage, struct future *future, struct outcome *outcome, struct result *result)
{
	struct poll_report report = {.wall = loop_wall(stage->loop), .result = result};

	scheduler_poll_done(stage->scheduler, future->id, outcome, &report, loop_now(stage->loop));
	result_unref(report.result);
	outcome_release(outcome);
	stage_turn(stage);
}

void stage_end(struct stage *stage, const char *request_id, struct result *result)
{
	struct outcome outcome = {
		.kind = OUTCOME_COMPLETED,
		.status = 200,
		.content = result->content,
		.result = {0, (size_t)result->size},
		.retry_after = -1,
	};

	answer(stage, polled_future(stage, request_id), &outcome, result);
}

void stage_complete_body(struct stage *stage, const char *request_id, enum content_kind content, char *body,
			 size_t size)
{
	stage_end(stage, request_id, result_ok(content, blob_take(body, size), loop_wall(stage->loop)));
}

void stage_complete(struct stage *stage, const char *request_id, const char *json)
{
	stage_complete_body(stage, request_id, CONTENT_JSON, xstrdup(json), strlen(json));
}

void stage_fail(struct stage *stage, const char *request_id, const char *message, const char *data)
{
	struct outcome outcome = {
		.kind = OUTCOME_FAILED_USER,
		.status = 200,
		.retry_after = -1,
		.error = error_new(ERROR_REQUEST_FAILED, CATEGORY_USER, 0, message, data),
	};

	answer(stage, polled_future(stage, request_id), &outcome, NULL);
}

/* Clients. */

struct client *client_adopt(struct stage *stage, int fd)
{
	struct client *client = xnew(struct client);

	client->stage = stage;
	client->fd = fd;
	return client;
}

struct client *client_new(struct stage *stage, uid_t uid)
{
	struct peer_identity identity = {.uid = uid, .gid = uid, .pid = getpid()};
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	ck_assert_ptr_nonnull(peer_new(&stage->peers, fds[1], &identity));
	return client_adopt(stage, fds[0]);
}

void client_free(struct client *client)
{
	if (!client)
		return;
	if (client->fd >= 0)
		close(client->fd);
	while (client->n_fds)
		close(client->fds[--client->n_fds]);
	free(client->data);
	free(client);
}

void client_put(struct client *client, const char *data, size_t size)
{
	time_t start = time(NULL);

	while (size) {
		ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0) {
			data += sent;
			size -= (size_t)sent;
			continue;
		}
		ck_assert_msg(errno == EAGAIN, "send: %s", strerror(errno));
		ck_assert_msg(!out_of_time(start), "the daemon does not read");
		stage_turn(client->stage);
	}
}

void client_say(struct client *client, const char *format, ...)
{
	va_list args;
	char *line;
	int size;

	va_start(args, format);
	size = vasprintf(&line, format, args);
	va_end(args);
	ck_assert_int_ge(size, 0);
	line[size] = '\n';
	client_put(client, line, (size_t)size + 1);
	free(line);
}

static void take_fds(struct client *client, struct msghdr *message)
{
	ck_assert_int_eq(message->msg_flags & MSG_CTRUNC, 0);
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		ck_assert_int_eq(header->cmsg_type, SCM_RIGHTS);
		ck_assert_uint_le(client->n_fds + n, ARRAY_LEN(client->fds));
		memcpy(client->fds + client->n_fds, CMSG_DATA(header), n * sizeof(int));
		client->n_fds += n;
	}
}

/* Takes what is there; false: nothing was. */
static bool receive(struct client *client)
{
	union {
		char bytes[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec range;
	struct msghdr message = {
		.msg_iov = &range,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t got;

	if (client->capacity - client->size < 65536) {
		client->capacity = client->capacity ? client->capacity * 2 : 131072;
		client->data = realloc(client->data, client->capacity);
		ck_assert_ptr_nonnull(client->data);
	}
	range = (struct iovec){client->data + client->size, client->capacity - client->size};
	if (client->step && range.iov_len > client->step)
		range.iov_len = client->step;
	got = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got > 0) {
		client->size += (size_t)got;
		take_fds(client, &message);
	}
	if (got == 0 || (got < 0 && errno == ECONNRESET))
		client->over = true;
	return got > 0;
}

char *client_line(struct client *client)
{
	time_t start = time(NULL);
	size_t searched = 0;

	for (;;) {
		char *lf = client->size > searched
				   ? memchr(client->data + searched, '\n', client->size - searched)
				   : NULL;

		if (lf) {
			size_t size = (size_t)(lf - client->data);
			char *line = xstrndup(client->data, size);

			client->size -= size + 1;
			memmove(client->data, lf + 1, client->size);
			return line;
		}
		searched = client->size;
		ck_assert_msg(!client->over, "the daemon closed the connection");
		ck_assert_msg(!out_of_time(start), "no line came");
		if (!receive(client))
			stage_turn(client->stage);
	}
}

static bool matches(const char *text, const char *pattern)
{
	for (; *pattern != '~'; pattern++, text++) {
		if (*text != *pattern)
			return false;
		if (!*text)
			return true;
	}
	for (;; text++) {
		if (matches(text, pattern + 1))
			return true;
		if (!*text)
			return false;
	}
}

void client_expect(struct client *client, const char *expected)
{
	char *line = client_line(client);

	ck_assert_msg(matches(line, expected), "\nexpected %s\nbut got  %s", expected, line);
	free(line);
}

void client_ask(struct client *client, const char *line, const char *expected)
{
	client_say(client, "%s", line);
	client_expect(client, expected);
}

void client_expect_silence(struct client *client)
{
	/* What was to be said would have come before the answer to this. */
	client_ask(client, "{\"id\":\"fence\",\"method\":\"ping\"}", OK("\"fence\"", "{}"));
	ck_assert_uint_eq(client->size, 0);
}

void client_expect_end(struct client *client)
{
	time_t start = time(NULL);

	while (!client->over) {
		if (!receive(client))
			stage_turn(client->stage);
		ck_assert_msg(!out_of_time(start), "the connection stays open");
	}
	ck_assert_msg(client->size == 0, "before its end came: %.*s", (int)client->size, client->data);
}

void client_register(struct client *client, const char *request_id)
{
	client_say(client,
		   "{\"id\":\"r\",\"method\":\"register\",\"params\":{\"request_id\":\"%s\",\"endpoint\":"
		   "\"default\"}}",
		   request_id);
	client_expect(client, "{\"jsonrpc\":\"2.0\",\"id\":\"r\",\"result\":{\"registrations\":[{~}]}}");
}

/* Values. */

static bool find_item(const struct json_item *in, const char *name, size_t size, struct json_item *ret_item)
{
	struct json_cursor cursor;
	struct json_item item;
	char *wanted = xstrndup(name, size);
	bool found = false;

	json_cursor_init(&cursor, in->value, in->size);
	for (size_t i = 0; !found && json_cursor_next(&cursor, &item); i++) {
		char index[24];

		snprintf(index, sizeof(index), "%zu", i);
		found = item.name ? json_string_equals(item.name, item.name_size, wanted)
				  : strcmp(wanted, index) == 0;
	}
	free(wanted);
	if (found)
		*ret_item = item;
	return found;
}

static bool find(const char *line, const char *pointer, struct json_item *ret_item)
{
	struct json_item item = {.type = JSON_OBJECT, .value = line, .size = strlen(line)};

	while (*pointer == '/') {
		size_t size = strcspn(++pointer, "/");

		if ((item.type != JSON_OBJECT && item.type != JSON_ARRAY) ||
		    !find_item(&item, pointer, size, &item))
			return false;
		pointer += size;
	}
	*ret_item = item;
	return true;
}

char *value_at(const char *line, const char *pointer)
{
	struct json_item item;

	return find(line, pointer, &item) ? xstrndup(item.value, item.size) : NULL;
}

void expect_at(const char *line, const char *pointer, const char *expected)
{
	char *value = value_at(line, pointer);

	ck_assert_msg(value && strcmp(value, expected) == 0, "%s is %s, not %s, in %.2000s", pointer,
		      value ? value : "missing", expected, line);
	free(value);
}

int64_t int_at(const char *line, const char *pointer)
{
	struct json_item item;
	int64_t value = 0;

	ck_assert_msg(find(line, pointer, &item) && json_int_decode(item.value, item.size, &value) == 0,
		      "%s is no integer in %.2000s", pointer, line);
	return value;
}

size_t items_at(const char *line, const char *pointer)
{
	struct json_cursor cursor;
	struct json_item item;
	size_t n = 0;

	ck_assert_msg(find(line, pointer, &item) && item.type == JSON_ARRAY, "%s is no array in %.2000s",
		      pointer, line);
	json_cursor_init(&cursor, item.value, item.size);
	while (json_cursor_next(&cursor, &item))
		n++;
	return n;
}

int run_suite(const char *name, const TTest *const *tests, size_t n)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < n; i++)
		tcase_add_test(tcase, tests[i]);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
