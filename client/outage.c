/* The way to a daemon and back to it. Calls are looked at only as far as they have to be sent again or ended.
 */
#include "outage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "await.h"
#include "error.h"
#include "text.h"

#define LOG_WARNING_LEVEL 4
#define LOG_INFO_LEVEL    6
/* A connection that lived shorter counts as a failed attempt: the next one comes after a pause. */
#define SETTLED           1000000
/* A socket at which somebody listens but accepts slowly is tried for this long at least. */
#define BUSY_TIME         5000000

void outage_begin(tinkex_client *client)
{
	client->state = CLIENT_WAITING;
	client->outage_since = client_now();
	client->outage_limit = client->connect_timeout;
	client->attempt_at = client->outage_since;
	client->pause = client->pause_initial;
	client->attempts = 0;
	client->busy = false;
	free(client->outage_reason);
	client->outage_reason = NULL;
}

void outage_fail_all(tinkex_client *client, int error, const char *text)
{
	struct operation *operation;

	while ((operation = TAILQ_FIRST(&client->operations)))
		operation_finish(operation, error, strdup(text), NULL);
}

/* The limit is over. Awaits that were under way get outcomes, everything else an error. */
static void outage_give_up(tinkex_client *client)
{
	_cleanup_(freep) char *tried = search_explain(&client->search), *text = NULL;
	struct operation *operation;
	const char *reason = client->outage_reason;

	text = text_format("%s%s%s", reason ? reason : "no tinkexd answers", reason ? "; " : ": ",
			   tried ? tried : "");
	client->state = CLIENT_IDLE;
	while ((operation = TAILQ_FIRST(&client->operations)))
		if (!operation->await || !await_give_up(operation, text ? text : "out of memory"))
			operation_finish(operation, TINKEX_ENODAEMON, text ? strdup(text) : NULL, NULL);
	free(client->outage_reason);
	client->outage_reason = NULL;
}

static int outage_send_hello(tinkex_client *client)
{
	struct buffer params = BUFFER_INIT(4096);
	struct json_writer writer;
	int r;

	json_writer_init(&writer, &params);
	json_open(&writer, '{');
	json_member_string(&writer, "client", client->name ? client->name : "libtinkex/" TINKEX_VERSION);
	json_member_int(&writer, "protocol", 1);
	json_close(&writer);
	client->hello_id = client_next_id(client);
	message_put_request(connection_out(&client->connection), client->hello_id, "hello", params.data,
			    params.size);
	r = buffer_error(&params);
	buffer_release(&params);
	return r < 0 ? r : buffer_error(connection_out(&client->connection));
}

static int outage_connected(tinkex_client *client, size_t place, int64_t now)
{
	struct epoll_event event = {.events = EPOLLIN};
	char *path = strdup(client->search.place[place].path);
	int r;

	if (!path)
		return -ENOMEM;
	free(client->socket_path);
	client->socket_path = path;
	if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, client->connection.fd, &event) < 0)
		return -errno;
	client->wants_write = false;
	client->place = place;
	client->state = CLIENT_HELLO;
	client->ready_since = 0;
	client->going_down = false;
	client->hello_expires = client->call_timeout == CLIENT_NEVER ? CLIENT_NEVER
								     : now + client->call_timeout;
	r = outage_send_hello(client);
	if (r == 0)
		client_flush(client);
	return r;
}

/* Goes through the places in order. true: connected. client->busy: somebody listens at one but is slow to
 * accept. */
static bool outage_try(tinkex_client *client, int64_t now)
{
	client->busy = false;
	client->attempts++;
	for (size_t i = 0; i < client->search.count; i++) {
		struct search_place *place = &client->search.place[i];

		if (search_check(place) < 0)
			continue;
		place->error = connection_open(&client->connection, place->path);
		if (place->error == 0) {
			place->error = outage_connected(client, i, now);
			if (place->error == 0)
				return true;
			connection_close(&client->connection);
		}
		if (place->error == -EAGAIN) {
			client->busy = true;
			return false;
		}
	}
	return false;
}

static void outage_pause(tinkex_client *client, int64_t now)
{
	client->attempt_at = now + client->pause;
	client->pause = client->pause < client->pause_max / 2 ? 2 * client->pause : client->pause_max;
}

/* When to give up: the limit, but not before one attempt; µs, and the past if that is now. */
static int64_t outage_gives_up_at(const tinkex_client *client)
{
	int64_t limit = client->outage_limit;

	if (client->attempts == 0 || limit == CLIENT_NEVER)
		return CLIENT_NEVER;
	if (client->busy && limit < BUSY_TIME)
		limit = BUSY_TIME;
	return client->outage_since + limit;
}

bool outage_turn(tinkex_client *client, int64_t now)
{
	if (client->state == CLIENT_HELLO && now >= client->hello_expires) {
		outage_lost(client, -ETIMEDOUT);
		return true;
	}
	if (client->state != CLIENT_WAITING)
		return false;
	if (TAILQ_EMPTY(&client->operations)) {
		client->state = CLIENT_IDLE;
		return false;
	}
	if (now >= outage_gives_up_at(client)) {
		outage_give_up(client);
		return true;
	}
	if (now < client->attempt_at)
		return false;
	if (!outage_try(client, now))
		outage_pause(client, now);
	return true;
}

int64_t outage_due(const tinkex_client *client)
{
	int64_t give_up = outage_gives_up_at(client);

	switch (client->state) {
	case CLIENT_HELLO:
		return client->hello_expires;
	case CLIENT_WAITING:
		return client->attempt_at < give_up ? client->attempt_at : give_up;
	case CLIENT_IDLE:
	case CLIENT_READY:
		break;
	}
	return CLIENT_NEVER;
}

/* ---- hello ---- */

static bool outage_has_feature(const struct json_item *features, const char *name)
{
	struct json_cursor cursor;
	struct json_item item;

	if (features->type != JSON_ARRAY)
		return false;
	json_cursor_init(&cursor, features->value, features->size);
	while (json_cursor_next(&cursor, &item))
		if (item.type == JSON_STRING && json_string_equals(item.value, item.size, name))
			return true;
	return false;
}

/* false: no memory. */
static bool outage_read_hello(tinkex_client *client, const struct message_reply *message)
{
	_cleanup_(freep) char *instance = NULL;
	struct json_cursor cursor;
	struct json_item item;
	int r = 0;

	client->fd_results = false;
	json_cursor_init(&cursor, message->body, message->body_size);
	while (r == 0 && json_cursor_next(&cursor, &item)) {
		if (text_is_named(&item, "features"))
			client->fd_results = !client->no_descriptors &&
					     outage_has_feature(&item, "fd_results");
		else if (text_is_named(&item, "instance"))
			r = text_take_string(&item, &instance);
	}
	if (r < 0)
		return false;
	if (client->instance && instance && strcmp(client->instance, instance) != 0)
		client_log(client, LOG_INFO_LEVEL, "tinkexd at %s was started anew", client->socket_path);
	free(client->instance);
	client->instance = steal_pointer(instance);
	return true;
}

bool outage_hello_answer(tinkex_client *client, const struct message_reply *message)
{
	struct operation *operation, *next;

	if (message->kind == MESSAGE_NOTIFICATION)
		return true; /* events may come at any time */
	if (message->kind == MESSAGE_ERROR && message->error == PROTO_SHUTTING_DOWN) {
		client->going_down = true;
		return true;
	}
	if (message->kind == MESSAGE_ERROR) {
		outage_fail_all(client, error_from_proto(message->error), message->text);
		return false;
	}
	if (message->kind != MESSAGE_RESULT || message->id != client->hello_id || message->body_size == 0 ||
	    message->body[0] != '{' || !outage_read_hello(client, message)) {
		outage_fail_all(client, TINKEX_EPROTOCOL,
				"what answers at the socket is no tinkexd that this library knows");
		return false;
	}
	if (client->outage_reason)
		client_log(client, LOG_INFO_LEVEL, "connected to tinkexd at %s again", client->socket_path);
	free(client->outage_reason);
	client->outage_reason = NULL;
	client->state = CLIENT_READY;
	client->ready_since = client_now();
	for (operation = TAILQ_FIRST(&client->operations); operation; operation = next) {
		next = TAILQ_NEXT(operation, link);
		operation_send(operation);
	}
	return true;
}

/* ---- losing it ---- */

static char *outage_describe(const tinkex_client *client, int error)
{
	const char *path = client->socket_path;

	switch (error) {
	case -EPIPE:
		return text_format("tinkexd at %s closed the connection", path);
	case -ESHUTDOWN:
		return text_format("tinkexd at %s is going down", path);
	case -ETIMEDOUT:
		return text_format("tinkexd at %s took the connection but does not answer", path);
	default:
		return text_format("the connection to tinkexd at %s failed: %s", path, error_describe(error));
	}
}

/* When and for how long to look for the daemon again. */
static void outage_schedule(tinkex_client *client, bool was_ready, int64_t now)
{
	bool settled = was_ready && now - client->ready_since >= SETTLED;

	client->state = CLIENT_WAITING;
	if (was_ready) {
		client->outage_since = now;
		client->outage_limit = client->reconnect_timeout;
		client->attempts = 0;
	}
	if (settled) {
		client->pause = client->pause_initial;
		client->attempt_at = now;
	} else {
		outage_pause(client, now);
	}
}

void outage_lost(tinkex_client *client, int error)
{
	bool was_ready = client->state == CLIENT_READY;
	int64_t now = client_now();
	struct operation *operation, *next;

	/* Descriptors get lost when too many are open: from now on everything comes inline. */
	if (error == -EMFILE)
		client->no_descriptors = true;
	free(client->outage_reason);
	client->outage_reason = outage_describe(client, error);
	if (client->outage_reason && !TAILQ_EMPTY(&client->operations) &&
	    (was_ready || client->outage_limit != 0))
		client_log(client, LOG_WARNING_LEVEL, "%s; looking for it again", client->outage_reason);
	client->search.place[client->place].error = error;
	epoll_ctl(client->epoll, EPOLL_CTL_DEL, client->connection.fd, NULL);
	connection_close(&client->connection);
	for (operation = TAILQ_FIRST(&client->operations); operation; operation = next) {
		next = TAILQ_NEXT(operation, link);
		operation_lost(operation);
	}
	if (TAILQ_EMPTY(&client->operations)) {
		client->state = CLIENT_IDLE;
		free(client->outage_reason);
		client->outage_reason = NULL;
		return;
	}
	outage_schedule(client, was_ready, now);
}
