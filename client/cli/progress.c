/* The progress line, and the questions that feed it: list, and where something is held up, why. */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DRAW_MS 500
#define ASK_MS  2000

struct progress {
	struct app *app;
	const char **ids; /* sorted; the strings are the caller's */
	size_t n_ids, done;
	int64_t began, drawn, asked; /* ms */
	bool shown, asking;
	uint64_t call; /* the question that is under way */
	size_t held;   /* how many are held up */
	char *why;     /* "paused (rate limit): …"; NULL: nothing holds them up */
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct progress *progress_new(struct app *app, const struct ids *ids)
{
	struct progress *progress;

	if (!isatty(STDERR_FILENO) || !(progress = calloc(1, sizeof(*progress))))
		return NULL;
	progress->ids = calloc(ids->n + 1, sizeof(*progress->ids));
	if (!progress->ids) {
		free(progress);
		return NULL;
	}
	progress->app = app;
	progress->n_ids = ids->n;
	for (size_t i = 0; i < ids->n; i++)
		progress->ids[i] = ids->id[i];
	qsort(progress->ids, ids->n, sizeof(*progress->ids), compare);
	progress->began = progress->asked = now_ms();
	return progress;
}

void progress_hide(struct progress *progress)
{
	if (!progress || !progress->shown)
		return;
	fputs("\r\033[K", stderr);
	progress->shown = false;
	progress->drawn = 0; /* drawn again with the next tick */
}

void progress_free(struct progress *progress)
{
	if (!progress)
		return;
	progress_hide(progress);
	if (progress->asking)
		tinkex_abandon(progress->app->client, progress->call);
	free(progress->why);
	free(progress->ids);
	free(progress);
}

void progress_set_done(struct progress *progress, size_t done)
{
	if (progress && progress->done != done) {
		progress->done = done;
		progress->drawn = 0;
	}
}

/* ---- asking ---- */

static void progress_say_why(struct progress *progress, const char *what, const char *reason)
{
	free(progress->why);
	progress->why = NULL;
	if (what &&
	    asprintf(&progress->why, "%s%s%s", what, reason && *reason ? ": " : "", reason ? reason : "") < 0)
		progress->why = NULL;
	progress->asking = false;
}

static const char *progress_queue_word(const char *queue_state)
{
	if (queue_state && strcmp(queue_state, "paused_rate_limit") == 0)
		return "paused (rate limit)";
	if (queue_state && strcmp(queue_state, "paused_capacity") == 0)
		return "paused (capacity)";
	return "paused";
}

static const char *text_of(struct json_object *object, const char *name)
{
	struct json_object *member;

	return json_object_object_get_ex(object, name, &member) ? json_object_get_string(member) : NULL;
}

static void progress_take_status(tinkex_client *client, int error, tinkex_reply *reply, void *userdata)
{
	struct progress *progress = userdata;
	struct json_object *status;

	(void)client;
	if (error) {
		progress_say_why(progress, NULL, NULL);
		return;
	}
	status = json_tokener_parse(tinkex_reply_json(reply, NULL));
	progress_say_why(progress, progress_queue_word(text_of(status, "queue_state")),
			 text_of(status, "queue_state_reason"));
	json_object_put(status);
}

static void progress_take_endpoints(tinkex_client *client, int error, tinkex_reply *reply, void *userdata)
{
	struct progress *progress = userdata;
	const char *what = NULL;
	char reason[256] = "", time[RENDER_TIME_MAX];

	(void)client;
	for (size_t i = 0; !error && !what && i < tinkex_reply_count(reply); i++) {
		struct json_object *endpoint = json_tokener_parse(tinkex_reply_item_json(reply, i, NULL)),
				   *retry = NULL;
		const char *gate = text_of(endpoint, "gate"), *name = text_of(endpoint, "endpoint");

		if (gate && name && strcmp(gate, "closed") == 0) {
			what = "paused";
			snprintf(reason, sizeof(reason), "endpoint %s is closed (%s)", name,
				 text_of(endpoint, "reason") ? text_of(endpoint, "reason") : "?");
			if (json_object_object_get_ex(endpoint, "retry_in_ms", &retry) && retry)
				snprintf(reason + strlen(reason), sizeof(reason) - strlen(reason),
					 ", next try in %s", render_time(json_object_get_int64(retry), time));
		}
		json_object_put(endpoint);
	}
	progress_say_why(progress, what, reason);
}

static bool progress_awaits(const struct progress *progress, const char *id)
{
	if (progress->n_ids == 0)
		return true;
	return id && bsearch(&id, progress->ids, progress->n_ids, sizeof(*progress->ids), compare);
}

/* Looks for what holds the awaited ones up, and asks for the reason. */
static void progress_take_list(tinkex_client *client, int error, tinkex_reply *reply, void *userdata)
{
	struct progress *progress = userdata;
	struct tinkex_future future = TINKEX_FUTURE_INIT, paused = TINKEX_FUTURE_INIT;
	struct tinkex_select_options select = TINKEX_SELECT_OPTIONS_INIT;
	size_t gated = 0, held = 0;
	int r = -1;

	for (size_t i = 0; !error && tinkex_reply_future(reply, i, &future) == 0; i++) {
		if (future.ok >= 0 || !progress_awaits(progress, future.request_id))
			continue;
		if (future.why_waiting && strcmp(future.why_waiting, "gate") == 0) {
			gated++;
		} else if (future.queue_state && strncmp(future.queue_state, "paused", 6) == 0) {
			if (held++ == 0)
				paused = future;
		}
	}
	progress->held = gated > 0 ? gated : held;
	if (gated > 0) {
		r = tinkex_endpoints_async(client, progress_take_endpoints, progress, &progress->call);
	} else if (held > 0) {
		select.endpoint = paused.endpoint;
		r = tinkex_status_async(client, paused.request_id, &select, progress_take_status, progress,
					&progress->call);
	}
	if (r < 0)
		progress_say_why(progress, NULL, NULL);
}

static void progress_ask(struct progress *progress)
{
	struct tinkex_select_options select;

	app_select_options(&progress->app->options, &select);
	select.limit = 1000;
	progress->asked = now_ms();
	progress->asking = tinkex_list_async(progress->app->client, &select, progress_take_list, progress,
					     &progress->call) == 0;
}

/* ---- drawing ---- */

static size_t progress_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
		return size.ws_col - 1u;
	return 79;
}

static void progress_draw(struct progress *progress)
{
	_cleanup_(freep) char *text = NULL, *clean = NULL;
	char time[RENDER_TIME_MAX], waiting[64] = "", done[64];
	size_t bytes = 0, columns = progress_columns();

	render_time((now_ms() - progress->began) / 1000 * 1000, time);
	if (progress->n_ids > 0) {
		snprintf(done, sizeof(done), "%zu of %zu done", progress->done, progress->n_ids);
		snprintf(waiting, sizeof(waiting), " · %zu waiting", progress->n_ids - progress->done);
	} else {
		snprintf(done, sizeof(done), "%zu done", progress->done);
	}
	if (progress->why) {
		if (asprintf(&text, "%s%s · %s · %zu %s", done, waiting, time, progress->held,
			     progress->why) < 0)
			text = NULL;
	} else if (asprintf(&text, "%s%s · %s", done, waiting, time) < 0) {
		text = NULL;
	}
	clean = render_clean(text);
	if (!clean)
		return;
	while (clean[bytes] && (columns > 0 || ((unsigned char)clean[bytes] & 0xc0) == 0x80)) {
		bytes++;
		columns -= ((unsigned char)clean[bytes] & 0xc0) != 0x80 && columns > 0;
	}
	fprintf(stderr, "\r%.*s\033[K", (int)bytes, clean);
	progress->shown = true;
	progress->drawn = now_ms();
}

void progress_tick(struct progress *progress)
{
	int64_t now = now_ms();

	if (!progress)
		return;
	if (!progress->asking && now >= progress->asked + ASK_MS)
		progress_ask(progress);
	if (now >= progress->drawn + DRAW_MS)
		progress_draw(progress);
}

int progress_timeout(const struct progress *progress)
{
	int64_t due;

	if (!progress)
		return -1;
	due = progress->drawn + DRAW_MS;
	if (!progress->asking && progress->asked + ASK_MS < due)
		due = progress->asked + ASK_MS;
	due -= now_ms();
	return due > 0 ? (int)due : 0;
}
