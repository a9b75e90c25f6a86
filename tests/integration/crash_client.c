/*
 * A program that uses libtinkex while the daemon dies and comes back under it: the crash tests tell it what
 *to ask, it asks, and writes down each fact that it learned. It does nothing of its own about lost
 *connections.
 *
 * usage: crash_client SOCKET
 *
 * Commands, a line each, on the standard input; its end is the program's:
 *
 *	register ID…         await FLAGS ID…      collect ID…      ack ID…      cancel ID…
 *
 * FLAGS: `r` register in the same call, `a` acknowledge by receiving, `e` tell each as it ends, `-` none.
 *
 * Facts, a line each, on the standard output:
 *
 *	registered ID new|known STATE         the registration was answered
 *	returned ID ok HOW SIZE SHA256        a result; HOW: `fd` or `inline`
 *	returned ID failed HOW SIZE SHA256    an error; the hash is that of "TYPE|CATEGORY|STATUS|MESSAGE"
 *	returned ID cancelled HOW SIZE SHA256 the same, of the type "cancelled"
 *	open ID STATE                         it has not ended
 *	unknown ID                            there is no such registration
 *	acked ID, cancelled ID                answered
 *	shutdown COMMAND                      the daemon was going down: nothing is known
 *	trouble TEXT                          what must not happen
 *	done                                  the command is carried out
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tinkex.h>

#include "sha256.h"

#define IDS_MAX 64

struct command {
	char *name, *flags;
	const char *ids[IDS_MAX];
	size_t n;
};

/* Splits `line` in place. */
static struct command command_parse(char *line)
{
	struct command command = {.name = strtok(line, " \n"), .flags = NULL};

	if (command.name && strcmp(command.name, "await") == 0)
		command.flags = strtok(NULL, " \n");
	while (command.n < IDS_MAX && (command.ids[command.n] = strtok(NULL, " \n")))
		command.n++;
	return command;
}

static void tell_call_error(const tinkex_client *client, const char *what, int error)
{
	if (error == TINKEX_ESHUTDOWN)
		printf("shutdown %s\n", what);
	else
		printf("trouble %s: %s: %s\n", what, tinkex_strerror(error), tinkex_error_text(client));
}

static void tell_failure(const tinkex_result *result)
{
	const char *type = tinkex_result_error_type(result), *category = tinkex_result_error_category(result);
	const char *id = tinkex_result_request_id(result), *reason = tinkex_result_error_reason(result);
	const char *message = tinkex_result_error_message(result);
	char text[1024], hash[SHA256_TEXT_SIZE];

	if (strcmp(type, "not_registered") == 0) {
		printf("unknown %s\n", id);
		return;
	}
	if (strcmp(type, "api_timeout") == 0) {
		printf("trouble %s: api_timeout (%s)\n", id, reason ? reason : "no reason");
		return;
	}
	snprintf(text, sizeof(text), "%s|%s|%d|%s", type, category ? category : "-",
		 tinkex_result_error_status(result), message ? message : "");
	sha256_text(text, strlen(text), hash);
	printf("returned %s %s inline 0 %s\n", id, strcmp(type, "cancelled") == 0 ? type : "failed", hash);
}

static void tell_result(const tinkex_result *result)
{
	const char *id = tinkex_result_request_id(result), *state = tinkex_result_state(result);
	uint64_t offset;
	size_t size = 0;
	const void *data;
	char hash[SHA256_TEXT_SIZE];

	if (tinkex_result_ok(result) < 0) {
		printf("open %s %s\n", id, state ? state : "?");
		return;
	}
	if (tinkex_result_ok(result) == 0) {
		tell_failure(result);
		return;
	}
	data = tinkex_result_data(result, &size);
	if (!data || size != tinkex_result_size(result)) {
		printf("trouble %s: its %llu bytes cannot be read\n", id,
		       (unsigned long long)tinkex_result_size(result));
		return;
	}
	sha256_text(data, size, hash);
	printf("returned %s ok %s %zu %s\n", id, tinkex_result_fd(result, &offset) >= 0 ? "fd" : "inline",
	       size, hash);
}

static void tell_registrations(const tinkex_reply *reply)
{
	for (size_t i = 0; i < tinkex_reply_count(reply); i++) {
		struct tinkex_future future = TINKEX_FUTURE_INIT;

		if (tinkex_reply_future(reply, i, &future) < 0)
			printf("trouble register: item %zu is missing\n", i);
		else if (future.error)
			printf("trouble %s is refused: %s\n", future.request_id, future.error_text);
		else
			printf("registered %s %s %s\n", future.request_id, future.is_new ? "new" : "known",
			       future.state);
	}
}

static void registered(tinkex_client *client, int error, tinkex_reply *reply, void *userdata)
{
	(void)userdata;
	if (error)
		tell_call_error(client, "register", error);
	else
		tell_registrations(reply);
	fflush(stdout);
}

static void ended(tinkex_client *client, size_t index, tinkex_result *result, void *userdata)
{
	(void)client;
	(void)index;
	(void)userdata;
	tell_result(result);
	fflush(stdout);
}

static int carry_out_register(tinkex_client *client, const struct command *command)
{
	tinkex_reply *reply;
	int error = tinkex_register(client, command->ids, command->n, NULL, &reply);

	if (error < 0)
		return error;
	tell_registrations(reply);
	tinkex_reply_unref(reply);
	return 0;
}

static int carry_out_await(tinkex_client *client, const struct command *command)
{
	struct tinkex_register_options registration = TINKEX_REGISTER_OPTIONS_INIT;
	struct tinkex_await_options options = TINKEX_AWAIT_OPTIONS_INIT;
	tinkex_result *results[IDS_MAX] = {NULL};
	int error;

	if (strchr(command->flags, 'r')) {
		options.registration = &registration;
		options.registered = registered;
	}
	options.ack = strchr(command->flags, 'a') != NULL;
	if (strchr(command->flags, 'e'))
		return tinkex_await_each(client, command->ids, command->n, &options, ended, NULL);
	error = tinkex_await_many(client, command->ids, command->n, &options, results);
	for (size_t i = 0; i < command->n; i++) {
		if (results[i])
			tell_result(results[i]);
		tinkex_result_unref(results[i]);
	}
	return error;
}

static int carry_out_collect(tinkex_client *client, const struct command *command)
{
	tinkex_reply *reply;
	int error = tinkex_collect(client, command->ids, command->n, NULL, &reply);

	if (error < 0)
		return error;
	for (size_t i = 0; i < tinkex_reply_count(reply); i++)
		tell_result(tinkex_reply_result(reply, i));
	tinkex_reply_unref(reply);
	return 0;
}

static int is_unknown(const tinkex_reply *reply, const char *id)
{
	for (size_t i = 0; i < tinkex_reply_count(reply); i++) {
		struct tinkex_future future = TINKEX_FUTURE_INIT;

		if (tinkex_reply_future(reply, i, &future) == 0 && strcmp(future.request_id, id) == 0)
			return 1;
	}
	return 0;
}

/* Both name only those that are not there; what else was not acknowledged has not ended. */
static int carry_out_release(tinkex_client *client, const struct command *command, int acks)
{
	const char *fact = acks ? "acked" : "cancelled";
	tinkex_reply *reply;
	int error = acks ? tinkex_ack(client, command->ids, command->n, NULL, &reply)
			 : tinkex_cancel(client, command->ids, command->n, NULL, &reply);

	if (error < 0)
		return error;
	if (acks && tinkex_reply_affected(reply) + tinkex_reply_count(reply) != command->n)
		printf("trouble ack: %zu ids, %llu acknowledged, %zu not there\n", command->n,
		       (unsigned long long)tinkex_reply_affected(reply), tinkex_reply_count(reply));
	for (size_t i = 0; i < command->n; i++)
		printf("%s %s\n", is_unknown(reply, command->ids[i]) ? "unknown" : fact, command->ids[i]);
	tinkex_reply_unref(reply);
	return 0;
}

static void carry_out(tinkex_client *client, const struct command *command)
{
	int error = TINKEX_EINVAL;

	if (strcmp(command->name, "register") == 0)
		error = carry_out_register(client, command);
	else if (strcmp(command->name, "await") == 0)
		error = carry_out_await(client, command);
	else if (strcmp(command->name, "collect") == 0)
		error = carry_out_collect(client, command);
	else if (strcmp(command->name, "ack") == 0)
		error = carry_out_release(client, command, 1);
	else if (strcmp(command->name, "cancel") == 0)
		error = carry_out_release(client, command, 0);
	if (error < 0)
		tell_call_error(client, command->name, error);
	printf("done\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct tinkex_client_options options = TINKEX_CLIENT_OPTIONS_INIT;
	tinkex_client *client;
	char *line = NULL;
	size_t room = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: crash_client SOCKET\n");
		return 2;
	}
	options.socket_path = argv[1];
	options.connect_timeout_ms = 60 * 1000;
	options.reconnect_max_ms = 100; /* the daemon is never away for long */
	options.name = "crash_client";
	if (tinkex_client_new(&options, &client) < 0)
		return 1;
	while (getline(&line, &room, stdin) > 0) {
		struct command command = command_parse(line);

		if (command.name && command.n > 0)
			carry_out(client, &command);
	}
	free(line);
	tinkex_client_free(client);
	return 0;
}
