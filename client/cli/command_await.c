/* await: registers, waits, hands results out as they may go, acknowledges what has arrived, and can be
 * interrupted. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "commands.h"
#include "handover.h"
#include "progress.h"

#define PATIENCE_MS 60000 /* both for the daemon to come back and for an answer */
#define NAMED_MAX   10    /* ids that are named in a remark; more are counted */

struct waiting {
	struct app *app;
	struct ids ids;
	struct handover handover;
	tinkex_result **held; /* by index: came before its turn; NULL: not here, or handed out */
	bool *ended;          /* by index */
	size_t n_ended, next; /* `next`: the first that was not handed out, in the order given */
	size_t worst;         /* index of the first, in the order given, that is not ok; SIZE_MAX */
	int code;             /* ... and the exit code for it */
	bool done;
	int error;
	size_t acks; /* acknowledgements under way */
};

/* The progress line is taken away before anything else is written to the terminal. */
static struct progress *shown_progress;

static void hide_progress(void)
{
	progress_hide(shown_progress);
}

/* ---- callbacks ---- */

/* "a, b, c and 7 more" */
static char *name_ids(const char *const *ids, size_t n)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < n && i < NAMED_MAX; i++)
		fprintf(out, "%s%s", i > 0 ? ", " : "", ids[i]);
	if (n > NAMED_MAX)
		fprintf(out, " and %zu more", n - NAMED_MAX);
	fclose(out);
	return text;
}

static void await_registered(tinkex_client *client, int error, tinkex_reply *reply, void *userdata)
{
	const char **ids = calloc(tinkex_reply_count(reply) + 1, sizeof(*ids));
	struct tinkex_future future = TINKEX_FUTURE_INIT;
	_cleanup_(freep) char *names = NULL;
	size_t n = 0;

	(void)client;
	(void)error;
	(void)userdata;
	for (size_t i = 0; ids && tinkex_reply_future(reply, i, &future) == 0; i++)
		if (future.error == 0 && future.is_new)
			ids[n++] = future.request_id;
	if (n > 0 && (names = name_ids(ids, n)))
		remark("registered %s", names);
	free(ids);
}

static void await_note_code(struct waiting *waiting, size_t index, const tinkex_result *result)
{
	int code = exit_code_of_result(result);

	if (code != EXIT_WELL && index < waiting->worst) {
		waiting->worst = index;
		waiting->code = code;
	}
}

/* With ids and in order, a result waits for those before it. */
static void await_outcome(tinkex_client *client, size_t index, tinkex_result *result, void *userdata)
{
	struct waiting *waiting = userdata;

	(void)client;
	waiting->n_ended++;
	await_note_code(waiting, index, result);
	if (waiting->ids.n > 0)
		waiting->ended[index] = true;
	if (waiting->ids.n == 0 || waiting->app->options.as_completed) {
		handover_take(&waiting->handover, result);
		return;
	}
	waiting->held[index] = tinkex_result_ref(result);
	while (waiting->next < waiting->ids.n && waiting->held[waiting->next]) {
		handover_take(&waiting->handover, waiting->held[waiting->next]);
		waiting->held[waiting->next] = tinkex_result_unref(waiting->held[waiting->next]);
		waiting->next++;
	}
}

static void await_done(tinkex_client *client, int error, tinkex_reply *reply, void *userdata)
{
	struct waiting *waiting = userdata;

	(void)client;
	(void)reply;
	waiting->done = true;
	waiting->error = error;
	if (error)
		waiting->code = app_fail(waiting->app, error);
}

static void ack_done(tinkex_client *client, int error, tinkex_reply *reply, void *userdata)
{
	struct waiting *waiting = userdata;

	(void)reply;
	waiting->acks--;
	if (error)
		remark("some results were not acknowledged, and stay collectable: %s",
		       tinkex_error_text(client));
}

static void await_ack(struct app *app, const char *endpoint, const struct ids *ids, void *userdata)
{
	struct tinkex_select_options select = TINKEX_SELECT_OPTIONS_INIT;
	struct waiting *waiting = userdata;

	select.endpoint = endpoint;
	if (tinkex_ack_async(app->client, ids_list(ids), ids->n, &select, ack_done, waiting, NULL) == 0)
		waiting->acks++;
}

/* ---- waiting ---- */

/* What was handed out has arrived: it may be forgotten. false: it has not arrived. */
static bool await_settle(struct waiting *waiting)
{
	if (waiting->app->output.size > 0)
		hide_progress();
	if (!handover_settle(&waiting->handover))
		return false;
	handover_acknowledge(&waiting->handover, await_ack, waiting);
	return true;
}

static void await_tell_interrupted(const struct waiting *waiting)
{
	const char **left = calloc(waiting->ids.n + 1, sizeof(*left));
	_cleanup_(freep) char *names = NULL;
	size_t n = 0;

	for (size_t i = 0; left && i < waiting->ids.n; i++)
		if (!waiting->ended[i])
			left[n++] = waiting->ids.id[i];
	names = left ? name_ids(left, n) : NULL;
	if (waiting->ids.n == 0)
		remark("interrupted after %zu; the daemon goes on polling the others", waiting->n_ended);
	else if (n > 0)
		remark("interrupted: %zu of %zu done. The daemon goes on polling %s; `tinkexctl await` or "
		       "`tinkexctl "
		       "collect` gets them later",
		       waiting->n_ended, waiting->ids.n, names ? names : "the others");
	else
		remark("interrupted: all are done; `tinkexctl collect` gets what was not printed");
	free(left);
}

static int shorter(int a, int b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* Runs until all has ended and is acknowledged. The exit code. */
static int await_loop(struct waiting *waiting, int interrupt, struct progress *progress)
{
	tinkex_client *client = waiting->app->client;

	for (;;) {
		struct pollfd watch[] = {
			{.fd = tinkex_get_fd(client), .events = (short)tinkex_get_events(client)},
			{.fd = interrupt, .events = POLLIN},
		};

		while (tinkex_process(client) > 0 && !waiting->handover.failed)
			;
		progress_set_done(progress, waiting->n_ended);
		if (!await_settle(waiting))
			return EXIT_FUTURE_FAILED;
		if (waiting->done && waiting->acks == 0) {
			if (waiting->ids.n == 0 && waiting->n_ended == 0 && waiting->error == 0)
				remark("nothing is registered that matches");
			return waiting->code;
		}
		progress_tick(progress);
		if (poll(watch, 2, shorter(tinkex_get_timeout(client), progress_timeout(progress))) < 0 &&
		    errno != EINTR)
			return EXIT_FUTURE_FAILED;
		if (watch[1].revents) {
			await_settle(waiting);
			await_tell_interrupted(waiting);
			return EXIT_INTERRUPTED;
		}
	}
}

static int await_start(struct waiting *waiting)
{
	const struct options *options = &waiting->app->options;
	struct tinkex_await_options await = TINKEX_AWAIT_OPTIONS_INIT;
	struct tinkex_register_options registration;

	app_register_options(options, &registration);
	await.endpoint = options->endpoint;
	await.await_timeout_ms = options->await_timeout;
	await.on_timeout = options->on_timeout;
	await.where = app_pairs(options->where);
	if (!options->no_register && waiting->ids.n > 0) {
		await.registration = &registration;
		await.registered = await_registered;
		await.registered_userdata = waiting;
	}
	return tinkex_await_async(waiting->app->client, ids_list(&waiting->ids), waiting->ids.n, &await,
				  await_outcome, await_done, waiting, NULL);
}

static int await_run(struct waiting *waiting)
{
	sigset_t interrupt;
	int fd, code, r;

	/* From here on Ctrl-C is not the end of the program, but something that it has to tell about. */
	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigprocmask(SIG_BLOCK, &interrupt, NULL);
	fd = signalfd(-1, &interrupt, SFD_CLOEXEC | SFD_NONBLOCK);
	r = await_start(waiting);
	if (r < 0) {
		code = app_fail(waiting->app, r);
	} else {
		shown_progress = progress_new(waiting->app, &waiting->ids);
		render_set_hook(hide_progress);
		code = await_loop(waiting, fd, shown_progress);
		render_set_hook(NULL);
		progress_free(shown_progress);
		shown_progress = NULL;
	}
	if (fd >= 0)
		close(fd);
	return code;
}

static bool await_check(const struct waiting *waiting)
{
	const struct options *options = &waiting->app->options;

	if (waiting->ids.n > 0 && options->where && !options->no_register)
		return complain("--where chooses among what is registered: with ids it needs --no-register");
	if (waiting->ids.n > 0 || (options->where && options->n_arguments == 1))
		return true;
	if (options->n_arguments > 1 || options->response)
		return complain("there are no ids: the input is empty");
	return complain("await needs ids or --where; see `tinkexctl help await`");
}

int command_await(struct app *app)
{
	struct waiting waiting = {.app = app, .worst = SIZE_MAX};
	int code = EXIT_USAGE;

	waiting.handover = (struct handover){.folder = -1, .index = -1};
	if (!ids_read(&waiting.ids, &app->options, 1) || !await_check(&waiting))
		goto out;
	if (!handover_init(&waiting.handover, app))
		goto out;
	code = EXIT_FUTURE_FAILED;
	waiting.held = calloc(waiting.ids.n + 1, sizeof(*waiting.held));
	waiting.ended = calloc(waiting.ids.n + 1, sizeof(*waiting.ended));
	if (!waiting.held || !waiting.ended)
		complain("out of memory");
	else if (app_connect(app, PATIENCE_MS, PATIENCE_MS))
		code = await_run(&waiting);
out:
	for (size_t i = 0; waiting.held && i < waiting.ids.n; i++)
		tinkex_result_unref(waiting.held[i]);
	free(waiting.held);
	free(waiting.ended);
	handover_release(&waiting.handover);
	ids_free(&waiting.ids);
	return code;
}
