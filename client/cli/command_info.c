/* Commands that look: status, list, endpoints, stats, ping, version. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "commands.h"

#define PATIENCE_MS 5000
#define ANSWER_MS   15000 /* a daemon that takes longer is stopped */
#define NAME_WIDTH  36

/* ---- JSON in words ---- */

static struct json_object *parse(const char *json)
{
	return json ? json_tokener_parse(json) : NULL;
}

/* The member as text; NULL if it is absent or null. Lives as long as the object. */
static const char *member_text(struct json_object *object, const char *name)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, name, &member) || !member)
		return NULL;
	return json_object_is_type(member, json_type_string)
		       ? json_object_get_string(member)
		       : json_object_to_json_string_ext(member, JSON_C_TO_STRING_PLAIN |
									JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* A member in ms as time for people; NULL if it is absent or null. */
static const char *member_time(struct json_object *object, const char *name, char buffer[RENDER_TIME_MAX])
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, name, &member) || !json_object_is_type(member, json_type_int))
		return NULL;
	return render_time(json_object_get_int64(member), buffer);
}

static enum colour state_colour(const char *state)
{
	if (state && strcmp(state, "completed") == 0)
		return COLOUR_GOOD;
	if (state && strcmp(state, "failed") == 0)
		return COLOUR_BAD;
	if (state && strcmp(state, "blocked") == 0)
		return COLOUR_WAIT;
	return COLOUR_NONE;
}

static void print_line(struct app *app, const char *json, size_t size)
{
	output_json(json, size, &app->output);
	output_text(&app->output, "\n");
}

/* A member of an object as "name  value", objects below it indented. Names ending in _ms are times. */
static void print_member(struct app *app, const char *name, struct json_object *value, int indent)
{
	_cleanup_(freep) char *clean_name = render_clean(name), *clean = NULL;
	size_t size = strlen(name);
	char time[RENDER_TIME_MAX];
	const char *text;

	if (json_object_is_type(value, json_type_object) && json_object_object_length(value) > 0) {
		output_printf(&app->output, "%*s%s\n", indent, "", clean_name ? clean_name : "?");
		json_object_object_foreach(value, inner_name, inner)
		{
			print_member(app, inner_name, inner, indent + 2);
		}
		return;
	}
	if (clean_name && size > 3 && strcmp(name + size - 3, "_ms") == 0)
		clean_name[strlen(clean_name) - 3] = '\0'; /* times have their unit with them */
	if (json_object_is_type(value, json_type_int) && size > 3 && strcmp(name + size - 3, "_ms") == 0)
		text = render_time(json_object_get_int64(value), time);
	else if (!value)
		text = "-";
	else
		text = json_object_is_type(value, json_type_string)
			       ? json_object_get_string(value)
			       : json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
	clean = render_clean(text);
	output_printf(&app->output, "%*s%-*s  %s\n", indent, "", NAME_WIDTH - indent,
		      clean_name ? clean_name : "?", clean ? clean : "?");
}

static void print_object(struct app *app, const char *json)
{
	struct json_object *object = parse(json);

	if (json_object_is_type(object, json_type_object)) {
		json_object_object_foreach(object, name, value)
		{
			print_member(app, name, value, 0);
		}
	}
	json_object_put(object);
}

/* ---- status ---- */

int command_status(struct app *app)
{
	struct tinkex_select_options select;
	struct ids ids = {0};
	int code = EXIT_WELL;

	app_select_options(&app->options, &select);
	if (!ids_read(&ids, &app->options, 1)) {
		ids_free(&ids);
		return EXIT_USAGE;
	}
	if (!app_connect(app, PATIENCE_MS, ANSWER_MS))
		code = EXIT_FUTURE_FAILED;
	for (size_t i = 0; app->client && i < ids.n; i++) {
		_cleanup_(reply_unrefp) tinkex_reply *reply = NULL;
		int r = tinkex_status(app->client, ids.id[i], &select, &reply), failed;
		const char *json;
		size_t size = 0;

		if (r == TINKEX_ENOTFOUND) {
			complain("%s is not registered; `tinkexctl list` shows what is", ids.id[i]);
			code = code ? code : EXIT_NOT_REGISTERED;
			continue;
		}
		if (r < 0) {
			failed = app_fail(app, r);
			code = code ? code : failed;
			break;
		}
		json = tinkex_reply_json(reply, &size);
		if (app->options.json)
			print_line(app, json, size);
		else
			print_object(app, json);
		if (!app->options.json && i + 1 < ids.n)
			output_text(&app->output, "\n");
	}
	ids_free(&ids);
	return code;
}

/* ---- list ---- */

static void list_row(struct render_table *table, const char *json)
{
	struct json_object *item = parse(json), *metadata = NULL;
	char age[RENDER_TIME_MAX], next[RENDER_TIME_MAX], deadline[RENDER_TIME_MAX];
	const char *state = member_text(item, "state");

	json_object_object_get_ex(item, "metadata", &metadata);
	const char *cells[] = {
		member_text(item, "request_id"),
		member_text(item, "endpoint"),
		state,
		member_text(item, "why_waiting"),
		member_text(item, "queue_state"),
		member_time(item, "age_ms", age),
		member_time(item, "next_poll_in_ms", next),
		member_text(item, "iteration"),
		member_time(item, "deadline_in_ms", deadline),
		metadata && json_object_object_length(metadata) > 0 ? member_text(item, "metadata") : NULL,
		member_text(item, "uid"),
	};

	render_table_add(table, cells, state_colour(state));
	json_object_put(item);
}

static int list_pages(struct app *app, struct render_table *table)
{
	int64_t left = app->options.limit;
	struct tinkex_select_options select;
	_cleanup_(freep) char *after = NULL;
	int r;

	app_select_options(&app->options, &select);
	for (;;) {
		_cleanup_(reply_unrefp) tinkex_reply *reply = NULL;
		size_t n, size;

		select.limit = left != TINKEX_UNSET && left < 1000 ? left : 1000;
		r = tinkex_list(app->client, &select, &reply);
		if (r < 0)
			return app_fail(app, r);
		n = tinkex_reply_count(reply);
		for (size_t i = 0; i < n; i++) {
			const char *json = tinkex_reply_item_json(reply, i, &size);

			if (app->options.json)
				print_line(app, json, size);
			else
				list_row(table, json);
		}
		if (left != TINKEX_UNSET)
			left -= (int64_t)n;
		if (!tinkex_reply_next(reply))
			return EXIT_WELL;
		if (left == 0) {
			remark("there are more: go on with --after %s", tinkex_reply_next(reply));
			return EXIT_WELL;
		}
		freep(&after);
		after = strdup(tinkex_reply_next(reply));
		select.after = after;
	}
}

/* In the order of list_row(). */
static const struct render_column list_columns[] = {
	{"REQUEST ID", 40, 0}, {"ENDPOINT", 0, 6},  {"STATE", 0, 0},     {"WAITS FOR", 0, 0},
	{"QUEUE", 0, 0},       {"AGE", 0, 2},       {"NEXT POLL", 0, 3}, {"POLLS", 0, 5},
	{"DEADLINE", 0, 8},    {"METADATA", 12, 7}, {"USER ID", 0, 1},
};

int command_list(struct app *app)
{
	_cleanup_(render_table_freep) struct render_table *table = NULL;
	int code;

	table = render_table_new(sizeof(list_columns) / sizeof(list_columns[0]), list_columns);
	if (!app_connect(app, PATIENCE_MS, ANSWER_MS))
		return EXIT_FUTURE_FAILED;
	code = list_pages(app, table);
	if (code == EXIT_WELL && !app->options.json && render_table_rows(table) == 0)
		remark("nothing is registered%s",
		       app->options.where || app->options.state || app->options.endpoint ? " that matches"
											 : "");
	render_table_write(table, &app->output);
	return code;
}

/* ---- endpoints ---- */

static const char *or_dash(const char *text)
{
	return text ? text : "-";
}

static void endpoints_row(struct render_table *table, const char *json)
{
	struct json_object *item = parse(json);
	const char *gate = member_text(item, "gate"), *reason = member_text(item, "reason");
	char retry[RENDER_TIME_MAX], state[128], polls[64];

	snprintf(state, sizeof(state), "%s%s%s", or_dash(gate), reason ? ": " : "", reason ? reason : "");
	snprintf(polls, sizeof(polls), "%s of %s", or_dash(member_text(item, "in_flight")),
		 or_dash(member_text(item, "max_in_flight")));
	const char *cells[] = {
		member_text(item, "endpoint"),
		state,
		member_time(item, "retry_in_ms", retry),
		polls,
		member_text(item, "waiting"),
		member_text(item, "base_url"),
		member_text(item, "profile"),
		member_text(item, "connections"),
		member_text(item, "http_version"),
	};

	render_table_add(table, cells, gate && strcmp(gate, "open") == 0 ? COLOUR_NONE : COLOUR_WAIT);
	json_object_put(item);
}

/* Errors are too long for a column: they stand below the table. */
static void endpoints_error(struct app *app, const char *json)
{
	struct json_object *item = parse(json), *error = NULL;
	_cleanup_(freep) char *name = render_clean(member_text(item, "endpoint")), *message = NULL;

	json_object_object_get_ex(item, "last_error", &error);
	if (json_object_is_type(error, json_type_object))
		message = render_clean(member_text(error, "message"));
	if (message)
		output_printf(&app->output, "%s: last error: %s\n", or_dash(name), message);
	json_object_put(item);
}

/* In the order of endpoints_row(). */
static const struct render_column endpoints_columns[] = {
	{"ENDPOINT", 20, 0}, {"GATE", 0, 0},    {"RETRY IN", 0, 0},    {"IN FLIGHT", 0, 0}, {"WAITING", 0, 0},
	{"URL", 20, 1},      {"PROFILE", 0, 2}, {"CONNECTIONS", 0, 3}, {"HTTP", 0, 4},
};

int command_endpoints(struct app *app)
{
	_cleanup_(render_table_freep) struct render_table *table = NULL;
	_cleanup_(reply_unrefp) tinkex_reply *reply = NULL;
	size_t size;
	int r;

	if (!app_connect(app, PATIENCE_MS, ANSWER_MS))
		return EXIT_FUTURE_FAILED;
	r = tinkex_endpoints(app->client, &reply);
	if (r < 0)
		return app_fail(app, r);
	table = render_table_new(sizeof(endpoints_columns) / sizeof(endpoints_columns[0]), endpoints_columns);
	for (size_t i = 0; i < tinkex_reply_count(reply); i++) {
		const char *json = tinkex_reply_item_json(reply, i, &size);

		if (app->options.json)
			print_line(app, json, size);
		else
			endpoints_row(table, json);
	}
	if (tinkex_reply_count(reply) == 0)
		remark("there is no endpoint that you may use; tinkexd's configuration names them");
	render_table_write(table, &app->output);
	for (size_t i = 0; !app->options.json && i < tinkex_reply_count(reply); i++)
		endpoints_error(app, tinkex_reply_item_json(reply, i, NULL));
	return EXIT_WELL;
}

/* ---- stats, ping, version ---- */

int command_stats(struct app *app)
{
	_cleanup_(reply_unrefp) tinkex_reply *reply = NULL;
	const char *json;
	size_t size = 0;
	int r;

	if (!app_connect(app, PATIENCE_MS, ANSWER_MS))
		return EXIT_FUTURE_FAILED;
	r = tinkex_stats(app->client, &reply);
	if (r < 0)
		return app_fail(app, r);
	json = tinkex_reply_json(reply, &size);
	if (app->options.json)
		print_line(app, json, size);
	else
		print_object(app, json);
	return EXIT_WELL;
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The first call makes the connection; the one after it is timed. */
int command_ping(struct app *app)
{
	_cleanup_(reply_unrefp) tinkex_reply *reply = NULL;
	struct json_object *hello, *answer;
	const char *server;
	int64_t begin, took;
	int r;

	if (!app_connect(app, PATIENCE_MS, ANSWER_MS))
		return EXIT_FUTURE_FAILED;
	r = tinkex_hello(app->client, &reply);
	begin = now_us();
	if (r == 0)
		r = tinkex_ping(app->client);
	took = now_us() - begin;
	if (r < 0)
		return app_fail(app, r);
	hello = parse(tinkex_reply_json(reply, NULL));
	server = member_text(hello, "server");
	if (app->options.json) {
		answer = json_object_new_object();
		json_object_object_add(answer, "socket",
				       json_object_new_string(tinkex_client_socket(app->client)));
		json_object_object_add(answer, "server", server ? json_object_new_string(server) : NULL);
		json_object_object_add(answer, "round_trip_us", json_object_new_int64(took));
		output_printf(&app->output, "%s\n",
			      json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN |
									     JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(answer);
	} else {
		_cleanup_(freep) char *clean = render_clean(server);

		output_printf(&app->output, "%s at %s answers (%" PRId64 ".%03" PRId64 " ms)\n",
			      clean ? clean : "tinkexd", tinkex_client_socket(app->client), took / 1000,
			      took % 1000);
	}
	json_object_put(hello);
	return EXIT_WELL;
}

int command_version(struct app *app)
{
	_cleanup_(reply_unrefp) tinkex_reply *reply = NULL;
	_cleanup_(freep) char *server = NULL;
	struct json_object *hello = NULL;
	bool there;

	if (!app_connect(app, 0, ANSWER_MS))
		return EXIT_FUTURE_FAILED;
	/* A daemon that is not there is no failure here. */
	there = tinkex_hello(app->client, &reply) == 0;
	if (there) {
		hello = parse(tinkex_reply_json(reply, NULL));
		server = render_clean(member_text(hello, "server"));
	}
	if (app->options.json) {
		struct json_object *answer = json_object_new_object();

		json_object_object_add(answer, "tinkexctl", json_object_new_string(TINKEX_VERSION));
		json_object_object_add(answer, "libtinkex", json_object_new_string(tinkex_version()));
		json_object_object_add(answer, "server", server ? json_object_new_string(server) : NULL);
		output_printf(&app->output, "%s\n",
			      json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN |
									     JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(answer);
	} else {
		output_printf(&app->output, "tinkexctl %s\nlibtinkex %s\n", TINKEX_VERSION, tinkex_version());
		if (there)
			output_printf(&app->output, "%s at %s\n", server ? server : "tinkexd",
				      tinkex_client_socket(app->client));
		else
			output_text(&app->output, "no daemon answers\n");
	}
	json_object_put(hello);
	return EXIT_WELL;
}
