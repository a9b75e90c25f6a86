/* collect, ack and cancel. */
#include <inttypes.h>
#include <string.h>

#include "commands.h"
#include "handover.h"

#define PATIENCE_MS 60000 /* both for the daemon to come back and for an answer */
#define PAGE        100

/* ---- collect ---- */

static void collect_ack(struct app *app, const char *endpoint, const struct ids *ids, void *userdata)
{
	struct tinkex_select_options select = TINKEX_SELECT_OPTIONS_INIT;

	(void)userdata;
	select.endpoint = endpoint;
	if (tinkex_ack(app->client, ids_list(ids), ids->n, &select, NULL) < 0)
		remark("%zu results were not acknowledged, and stay collectable: %s", ids->n,
		       tinkex_error_text(app->client));
}

/* One page, or what was asked for by ids. The exit code. */
static int collect_page(struct handover *handover, const tinkex_reply *reply)
{
	int code = EXIT_WELL;

	for (size_t i = 0; i < tinkex_reply_count(reply); i++) {
		const tinkex_result *result = tinkex_reply_result(reply, i);

		if (code == EXIT_WELL)
			code = exit_code_of_result(result);
		handover_take(handover, result);
	}
	if (!handover_settle(handover))
		return EXIT_FUTURE_FAILED;
	handover_acknowledge(handover, collect_ack, NULL);
	return code;
}

static int collect_all(struct app *app, struct handover *handover, const struct ids *ids)
{
	int64_t left = app->options.limit;
	struct tinkex_select_options select;
	_cleanup_(freep) char *after = NULL;
	int code = EXIT_WELL, page, r;
	bool any = false;

	app_select_options(&app->options, &select);
	for (;;) {
		_cleanup_(reply_unrefp) tinkex_reply *reply = NULL;

		if (ids->n == 0)
			select.limit = left != TINKEX_UNSET && left < PAGE ? left : PAGE;
		r = tinkex_collect(app->client, ids_list(ids), ids->n, &select, &reply);
		if (r < 0)
			return app_fail(app, r);
		page = collect_page(handover, reply);
		code = code ? code : page;
		any = any || tinkex_reply_count(reply) > 0;
		if (left != TINKEX_UNSET)
			left -= (int64_t)tinkex_reply_count(reply);
		if (handover->failed || !tinkex_reply_next(reply))
			break;
		if (left == 0) {
			remark("there are more: go on with --after %s", tinkex_reply_next(reply));
			break;
		}
		freep(&after);
		after = strdup(tinkex_reply_next(reply));
		select.after = after;
	}
	if (!any && !app->options.json)
		remark("there is nothing to collect");
	return handover->failed ? EXIT_FUTURE_FAILED : code;
}

int command_collect(struct app *app)
{
	struct handover handover;
	struct ids ids = {0};
	int code = EXIT_USAGE;

	if (!ids_read(&ids, &app->options, 1)) {
		ids_free(&ids);
		return EXIT_USAGE;
	}
	if (app->options.n_arguments > 1 && ids.n == 0)
		complain("there are no ids: the input is empty"); /* and not: everything */
	else if (handover_init(&handover, app)) {
		code = app_connect(app, PATIENCE_MS, PATIENCE_MS) ? collect_all(app, &handover, &ids)
								  : EXIT_FUTURE_FAILED;
		handover_release(&handover);
	}
	ids_free(&ids);
	return code;
}

/* ---- ack, cancel ---- */

typedef int (*affect_fn)(tinkex_client *client, const char *const *request_ids, size_t n,
			 const struct tinkex_select_options *options, tinkex_reply **ret_reply);

static void affect_print_json(struct app *app, const char *word, const tinkex_reply *reply)
{
	size_t size = 0;

	output_printf(&app->output, "{\"%s\":%" PRIu64 ",\"not_registered\":[", word,
		      tinkex_reply_affected(reply));
	for (size_t i = 0; i < tinkex_reply_count(reply); i++) {
		const char *json = tinkex_reply_item_json(reply, i, &size);

		if (i > 0)
			output_text(&app->output, ",");
		output_json(json, size, &app->output);
	}
	output_text(&app->output, "]}\n");
}

static int affect_report(struct app *app, const char *word, size_t asked, const tinkex_reply *reply)
{
	struct tinkex_future future = TINKEX_FUTURE_INIT;
	uint64_t done = tinkex_reply_affected(reply), missing = tinkex_reply_count(reply);

	if (app->options.json)
		affect_print_json(app, word, reply);
	else
		output_printf(&app->output, "%s %" PRIu64 "\n", word, done);
	for (size_t i = 0; tinkex_reply_future(reply, i, &future) == 0; i++)
		complain("%s is not registered", future.request_id ? future.request_id : "an id");
	if (done + missing < asked)
		remark("%" PRIu64 " were not %s: %s, or were named twice", asked - done - missing, word,
		       strcmp(word, "acked") == 0 ? "they have not ended" : "they had ended already");
	return missing > 0 ? EXIT_NOT_REGISTERED : EXIT_WELL;
}

static int affect_run(struct app *app, const char *word, affect_fn affect)
{
	_cleanup_(reply_unrefp) tinkex_reply *reply = NULL;
	struct tinkex_select_options select;
	struct ids ids = {0};
	int code = EXIT_USAGE, r;

	app_select_options(&app->options, &select);
	if (!ids_read(&ids, &app->options, 1))
		goto out;
	if (ids.n == 0 && (!select.where || app->options.n_arguments > 1)) {
		complain("%s needs ids or --where", app->options.arguments[0]);
		goto out;
	}
	code = EXIT_FUTURE_FAILED;
	if (!app_connect(app, PATIENCE_MS, PATIENCE_MS))
		goto out;
	r = affect(app->client, ids_list(&ids), ids.n, &select, &reply);
	code = r < 0 ? app_fail(app, r) : affect_report(app, word, ids.n, reply);
out:
	ids_free(&ids);
	return code;
}

int command_ack(struct app *app)
{
	return affect_run(app, "acked", tinkex_ack);
}

int command_cancel(struct app *app)
{
	return affect_run(app, "cancelled", tinkex_cancel);
}
