/* Registers the request ids that it is given, waits for all of them, and prints what became of each. */
#include <stdio.h>
#include <stdlib.h>
#include <tinkex.h>

int main(int argc, char **argv)
{
	const char *const *ids = (const char *const *)argv + 1;
	size_t n = (size_t)argc - 1;
	struct tinkex_register_options registration = TINKEX_REGISTER_OPTIONS_INIT;
	struct tinkex_await_options options = TINKEX_AWAIT_OPTIONS_INIT;
	tinkex_result **results = calloc(n + 1, sizeof(*results));
	tinkex_client *client;
	int error;

	registration.poll_timeout_ms = 3600 * 1000; /* the daemon polls for an hour, whatever becomes of us */
	options.registration = &registration;
	options.ack = 1;
	if (!results || tinkex_client_new(NULL, &client) < 0)
		return 1;
	error = tinkex_await_many(client, ids, n, &options, results);
	if (error < 0)
		fprintf(stderr, "%s: %s\n", tinkex_strerror(error), tinkex_error_text(client));
	for (size_t i = 0; i < n && results[i]; i++) {
		size_t size;
		const char *body = tinkex_result_data(results[i], &size);

		if (tinkex_result_ok(results[i]))
			printf("%s: %.*s\n", ids[i], (int)size, body);
		else
			printf("%s failed: %s\n", ids[i], tinkex_result_error_message(results[i]));
		tinkex_result_unref(results[i]);
	}
	tinkex_client_free(client);
	free(results);
	return error < 0;
}
