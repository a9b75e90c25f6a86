/* register and retry. */
#include <string.h>

#include "commands.h"

#define PATIENCE_MS 60000 /* both for the daemon to come back and for an answer */

/* A row of the table for people, or a line for programs. */
static void register_print(struct app *app, struct render_table *table, const tinkex_reply *reply,
			   size_t index, const struct tinkex_future *future)
{
	size_t size = 0;
	const char *json = tinkex_reply_item_json(reply, index, &size);
	const char *cells[] = {future->request_id, future->endpoint, future->state,
			       future->is_new ? "registered now" : "was registered"};

	if (app->options.json) {
		output_json(json, size, &app->output);
		output_text(&app->output, "\n");
	} else if (future->error == 0 && table) {
		render_table_add(table, cells, COLOUR_NONE);
	} else if (future->error == 0) {
		output_printf(&app->output, "%s\n", future->request_id);
	}
}

static int register_report(struct app *app, const tinkex_reply *reply)
{
	static const struct render_column columns[] = {
		{"REQUEST ID", 40, 0}, {"ENDPOINT", 0, 1}, {"STATE", 0, 0}, {"", 0, 0}};
	_cleanup_(render_table_freep) struct render_table *table = NULL;
	struct tinkex_future future = TINKEX_FUTURE_INIT;
	int code = EXIT_WELL;

	if (app->output.is_terminal && !app->options.json)
		table = render_table_new(4, columns);
	for (size_t i = 0; tinkex_reply_future(reply, i, &future) == 0; i++) {
		register_print(app, table, reply, i, &future);
		if (future.error == 0)
			continue;
		complain("%s was refused: %s", future.request_id ? future.request_id : "an id",
			 future.error_text ? future.error_text : tinkex_strerror(future.error));
		if (code == EXIT_WELL)
			code = exit_code_of_error(future.error);
	}
	render_table_write(table, &app->output);
	return code;
}

static int register_run(struct app *app, const char *if_ended)
{
	struct tinkex_register_options registration;
	_cleanup_(reply_unrefp) tinkex_reply *reply = NULL;
	struct ids ids = {0};
	int code = EXIT_USAGE, r;

	app_register_options(&app->options, &registration);
	registration.if_ended = if_ended;
	if (!ids_read(&ids, &app->options, 1))
		goto out;
	if (ids.n == 0) {
		complain("there are no ids: the input is empty");
		goto out;
	}
	code = EXIT_FUTURE_FAILED;
	if (!app_connect(app, PATIENCE_MS, PATIENCE_MS))
		goto out;
	r = tinkex_register(app->client, ids_list(&ids), ids.n, &registration, &reply);
	code = r < 0 ? app_fail(app, r) : register_report(app, reply);
out:
	ids_free(&ids);
	return code;
}

int command_register(struct app *app)
{
	return register_run(app, NULL);
}

int command_retry(struct app *app)
{
	return register_run(app, "restart");
}
