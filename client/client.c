/* The client: options, turns, which line belongs to which request, and handing out what is ready. */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "await.h"
#include "error.h"
#include "members.h"
#include "outage.h"
#include "text.h"

#define READS_PER_TURN 16
#define MS             INT64_C(1000)

const char *tinkex_version(void)
{
	return TINKEX_VERSION;
}

int64_t client_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- what is told to the user ---- */

void client_set_error(tinkex_client *client, char *text, char *data)
{
	free(client->error_text);
	free(client->error_data);
	client->error_text = text;
	client->error_data = data;
}

int client_fail(tinkex_client *client, int error, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	client_set_error(client, text, NULL);
	return error;
}

void client_log(tinkex_client *client, int level, const char *format, ...)
{
	va_list args;
	char *text;

	if (!client->log)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text)
		client->log(client->log_userdata, level, text);
	free(text);
}

const char *tinkex_error_text(const tinkex_client *client)
{
	return client && client->error_text ? client->error_text : "";
}

const char *tinkex_error_data(const tinkex_client *client)
{
	return client ? client->error_data : NULL;
}

const char *tinkex_client_socket(const tinkex_client *client)
{
	return client ? client->socket_path : NULL;
}

/* ---- making and freeing ---- */

static int64_t client_time(int64_t ms, int64_t otherwise_ms)
{
	if (ms == TINKEX_FOREVER || ms > INT64_MAX / (4 * MS))
		return CLIENT_NEVER;
	return (ms < 0 ? otherwise_ms : ms) * MS;
}

static int client_copy_string(const char *from, char **ret_to)
{
	if (!from || !*from)
		return 0;
	*ret_to = strdup(from);
	return *ret_to ? 0 : -ENOMEM;
}

static int client_take_options(tinkex_client *client, const struct tinkex_client_options *options)
{
	const char *endpoint = options->endpoint ? options->endpoint : secure_getenv("TINKEX_ENDPOINT");
	int r;

	client->connect_timeout = client_time(options->connect_timeout_ms, 0);
	client->reconnect_timeout = client_time(options->reconnect_timeout_ms, 60000);
	client->pause_initial = client_time(options->reconnect_initial_ms, 50);
	client->pause_max = client_time(options->reconnect_max_ms, 2000);
	client->call_timeout = client_time(options->call_timeout_ms, 60000);
	if (client->pause_initial < MS)
		client->pause_initial = MS; /* never a hot loop */
	client->log = options->log;
	client->log_userdata = options->log_userdata;
	client->no_descriptors = options->flags & TINKEX_NO_DESCRIPTORS;
	r = client_copy_string(endpoint, &client->endpoint);
	if (r == 0)
		r = client_copy_string(options->name, &client->name);
	return r < 0 ? r : search_init(&client->search, options->socket_path);
}

int tinkex_client_new(const struct tinkex_client_options *options, tinkex_client **ret_client)
{
	struct tinkex_client_options full = TINKEX_CLIENT_OPTIONS_INIT;
	_cleanup_(client_unrefp) tinkex_client *client = NULL;
	int r;

	if (!ret_client || members_copy_options(&full, sizeof(full), options) < 0)
		return TINKEX_EINVAL;
	client = calloc(1, sizeof(*client));
	if (!client)
		return TINKEX_ENOMEM;
	client->refs = 1;
	TAILQ_INIT(&client->operations);
	TAILQ_INIT(&client->ready);
	connection_init(&client->connection);
	client->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = client_take_options(client, &full);
	if (r < 0)
		return error_from_errno(r);
	if (client->epoll < 0)
		return TINKEX_EIO;
	client->pause = client->pause_initial;
	*ret_client = steal_pointer(client);
	return 0;
}

tinkex_client *client_ref(tinkex_client *client)
{
	client->refs++;
	return client;
}

/* Everything but the memory of the client itself, which a caller further down the stack may still look at. */
static void client_release(tinkex_client *client)
{
	struct operation *operation;

	while ((operation = TAILQ_FIRST(&client->operations)))
		operation_free(operation);
	while ((operation = TAILQ_FIRST(&client->ready)))
		operation_free(operation);
	connection_close(&client->connection);
	search_release(&client->search);
	if (client->epoll >= 0)
		close(client->epoll);
	client->epoll = -1;
}

tinkex_client *client_unref(tinkex_client *client)
{
	if (!client || --client->refs > 0)
		return NULL;
	if (!client->dead)
		client_release(client);
	client_set_error(client, NULL, NULL);
	free(client->endpoint);
	free(client->name);
	free(client->socket_path);
	free(client->instance);
	free(client->outage_reason);
	free(client);
	return NULL;
}

tinkex_client *tinkex_client_free(tinkex_client *client)
{
	if (!client || client->dead)
		return NULL;
	client_release(client);
	client->dead = true;
	return client_unref(client);
}

/* ---- requests by id ---- */

int64_t client_next_id(tinkex_client *client)
{
	return ++client->last_id;
}

struct request *client_find_request(tinkex_client *client, int64_t id)
{
	struct request *request;

	LIST_FOREACH (request, &client->outstanding[(uint64_t)id % CLIENT_BUCKETS], id_link)
		if (request->id == id)
			return request;
	return NULL;
}

void client_add_request(tinkex_client *client, struct request *request)
{
	LIST_INSERT_HEAD(&client->outstanding[(uint64_t)request->id % CLIENT_BUCKETS], request, id_link);
}

/* ---- one turn ---- */

/* One line. false: the connection cannot be used any more. */
static bool client_line(tinkex_client *client, const char *line, size_t size)
{
	struct message_reply message;
	struct request *request;

	if (size == 0)
		return true;
	message_parse_reply(line, size, &message);
	if (client->state == CLIENT_HELLO)
		return outage_hello_answer(client, &message);
	switch (message.kind) {
	case MESSAGE_RESULT:
	case MESSAGE_ERROR:
		if (!message.has_id) {
			outage_fail_all(client, error_from_proto(message.error), message.text);
			return false;
		}
		request = client_find_request(client, message.id);
		if (request)
			answer_arrived(request, &message);
		return true;
	case MESSAGE_NOTIFICATION:
		if (strcmp(message.method, "outcome") == 0 && await_outcome(client, &message) < 0)
			break;
		return true;
	case MESSAGE_NONSENSE:
		break;
	}
	outage_fail_all(client, TINKEX_EPROTOCOL, "a line from the daemon could not be understood");
	return false;
}

/* Reads and takes lines apart. 0: nothing came; 1: something did; < 0: the connection is of no use any more.
 */
static int client_read(tinkex_client *client)
{
	const char *line;
	size_t size;
	int r, done = 0;

	for (int i = 0; i < READS_PER_TURN; i++) {
		r = connection_read(&client->connection);
		if (r <= 0)
			return r < 0 ? r : done;
		done = 1;
		while (connection_next(&client->connection, &line, &size))
			if (!client_line(client, line, size))
				return -EPROTO;
		if (client->going_down)
			return -ESHUTDOWN;
	}
	return done;
}

static void client_watch(tinkex_client *client)
{
	bool wants_write = connection_wants_write(&client->connection);
	struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0)};

	if (!connection_is_open(&client->connection) || wants_write == client->wants_write)
		return;
	if (epoll_ctl(client->epoll, EPOLL_CTL_MOD, client->connection.fd, &event) == 0)
		client->wants_write = wants_write;
}

void client_flush(tinkex_client *client)
{
	if (!connection_is_open(&client->connection))
		return;
	/* An error shows in reading too, and what the daemon wrote before it went away is to be read first.
	 */
	(void)!connection_flush(&client->connection);
	client_watch(client);
}

static void client_repair(tinkex_client *client)
{
	struct operation *operation, *next;

	for (operation = TAILQ_FIRST(&client->operations); operation; operation = next) {
		next = TAILQ_NEXT(operation, link);
		if (operation->await)
			await_repair(operation);
	}
}

/* Ends what has taken too long. */
static bool client_expire(tinkex_client *client, int64_t now)
{
	struct operation *operation, *next;
	bool done = false;

	for (operation = TAILQ_FIRST(&client->operations); operation; operation = next) {
		next = TAILQ_NEXT(operation, link);
		if (operation->await ? await_expires(operation) > now : operation->expires > now)
			continue;
		done = true;
		if (operation->await)
			await_expire(operation);
		else
			operation_finish(operation, TINKEX_ETIMEOUT,
					 text_format("%s: the daemon at %s did not answer within %lld ms",
						     operation->method, client->socket_path,
						     (long long)(client->call_timeout / MS)),
					 NULL);
	}
	return done;
}

bool client_turn(tinkex_client *client)
{
	int64_t now = client_now();
	bool done = outage_turn(client, now);
	int r;

	if (connection_is_open(&client->connection)) {
		r = client_read(client);
		if (r < 0) {
			outage_lost(client, r);
			done = true;
		} else if (r > 0) {
			client_repair(client);
			done = true;
		}
		client_flush(client);
	}
	return client_expire(client, now) || done;
}

int64_t client_due_in(const tinkex_client *client)
{
	int64_t due = outage_due(client), now = client_now();
	const struct operation *operation;

	TAILQ_FOREACH (operation, &client->operations, link) {
		int64_t expires = operation->await ? await_expires(operation) : operation->expires;

		if (expires < due)
			due = expires;
	}
	if (due == CLIENT_NEVER)
		return CLIENT_NEVER;
	return due > now ? due - now : 0;
}

void client_start(tinkex_client *client, struct operation *operation)
{
	TAILQ_INSERT_TAIL(&client->operations, operation, link);
	operation->finished = false;
	operation->call = ++client->last_call;
	if (client->state == CLIENT_READY) {
		operation_send(operation);
		client_flush(client);
	} else if (client->state == CLIENT_IDLE) {
		outage_begin(client);
	}
}

/* ---- for event loops ---- */

int tinkex_get_fd(const tinkex_client *client)
{
	return client ? client->epoll : -1;
}

int tinkex_get_events(const tinkex_client *client)
{
	return client ? POLLIN : 0;
}

int tinkex_get_timeout(const tinkex_client *client)
{
	int64_t due;

	if (!client)
		return -1;
	if (!TAILQ_EMPTY(&client->ready))
		return 0;
	due = client_due_in(client);
	if (due == CLIENT_NEVER)
		return -1;
	return due >= INT32_MAX * MS ? INT32_MAX : (int)((due + MS - 1) / MS);
}

/* Runs the callback of one delivery, which is freed. The operation must not be touched afterwards, and the
 * client only by who has a reference. */
static void client_call_back(tinkex_client *client, struct operation *operation, struct delivery *delivery)
{
	tinkex_outcome_fn outcome = operation->outcome;
	tinkex_done_fn done = operation->done;
	void *userdata = operation->userdata;

	switch (delivery->kind) {
	case DELIVERY_OUTCOME:
		if (outcome)
			outcome(client, delivery->index, delivery->result, userdata);
		break;
	case DELIVERY_REGISTERED:
		done = await_on_registered(operation, &userdata);
		done(client, 0, delivery->reply, userdata);
		break;
	case DELIVERY_DONE:
		operation_free(operation);
		if (delivery->error)
			client_set_error(client, steal_pointer(delivery->text),
					 steal_pointer(delivery->data));
		if (done)
			done(client, delivery->error, delivery->reply, userdata);
		break;
	}
	delivery_free(delivery);
}

int tinkex_process(tinkex_client *client)
{
	struct operation *operation;
	bool dead;

	if (!client)
		return TINKEX_EINVAL;
	operation = TAILQ_FIRST(&client->ready);
	if (!operation)
		return client_turn(client);
	client_ref(client);
	client_call_back(client, operation, operation_fetch(operation));
	dead = client->dead;
	client_unref(client);
	return !dead;
}

void tinkex_abandon(tinkex_client *client, uint64_t call)
{
	struct operation *operation;

	if (!client)
		return;
	TAILQ_FOREACH (operation, &client->operations, link)
		if (operation->call == call)
			break;
	if (!operation)
		TAILQ_FOREACH (operation, &client->ready, ready_link)
			if (operation->call == call)
				break;
	if (!operation || operation->waited)
		return;
	operation_finish(operation, TINKEX_ECANCELLED, NULL, NULL);
	operation_free(operation);
	client_flush(client);
}
