/* The client of a command, its errors in words, its exit codes, and options handed on to the library. */
#include "app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void app_log(void *userdata, int level, const char *text)
{
	(void)userdata;
	if (level <= 6)
		remark("%s", text);
}

bool app_connect(struct app *app, int64_t patience_ms, int64_t answer_ms)
{
	struct tinkex_client_options options = TINKEX_CLIENT_OPTIONS_INIT;
	int r;

	options.socket_path = app->options.socket;
	options.name = "tinkexctl/" TINKEX_VERSION;
	options.reconnect_timeout_ms = patience_ms;
	options.call_timeout_ms = answer_ms;
	options.log = app_log;
	r = tinkex_client_new(&options, &app->client);
	return r == 0 || complain("%s", tinkex_strerror(r));
}

/* The option by which a parameter of the protocol was given: `poll_timeout_ms` is --poll-timeout. */
static const struct option_row *app_option_of(const char *member)
{
	char name[32];
	size_t size;

	snprintf(name, sizeof(name), "%s", member);
	size = strlen(name);
	if (size > 3 && strcmp(name + size - 3, "_ms") == 0)
		name[size - 3] = '\0';
	for (char *at = name; *at; at++)
		*at = *at == '_' ? '-' : *at;
	for (size_t i = 0; i < option_row_count; i++)
		if (strcmp(option_rows[i].name, name) == 0)
			return &option_rows[i];
	return NULL;
}

/* The option that the daemon objects to, as far as that can be told: " (given by --after x)". Allocated, or
 * NULL. */
static char *app_culprit(const struct app *app, int error)
{
	const char *endpoint = app->options.endpoint, *variable = getenv("TINKEX_ENDPOINT");
	struct json_object *data, *member = NULL;
	const struct option_row *row = NULL;
	char *text = NULL;
	int r = -1;

	if (error == TINKEX_ELIMIT && app->options.where)
		r = asprintf(&text,
			     " (given by --where): narrow it, or give ids; `tinkexctl list` shows them");
	else if (error == TINKEX_EDENIED && !app->options.all && endpoint)
		r = asprintf(&text, " (given by --endpoint %s)", endpoint);
	else if (error == TINKEX_EDENIED && !app->options.all && variable && *variable)
		r = asprintf(&text, " (given by $TINKEX_ENDPOINT, %s)", variable);
	if (error != TINKEX_EPARAMS)
		return r < 0 ? NULL : text;
	data = json_tokener_parse(tinkex_error_data(app->client) ? tinkex_error_data(app->client) : "{}");
	if (json_object_object_get_ex(data, "member", &member))
		row = app_option_of(json_object_get_string(member));
	if (row && row->kind == OPTION_TEXT)
		r = asprintf(&text, " (given by --%s %s)", row->name,
			     *(char *const *)((const char *)&app->options + row->offset));
	else if (row)
		r = asprintf(&text, " (given by --%s)", row->name);
	json_object_put(data);
	return r < 0 ? NULL : text;
}

/* What a person can do about it. */
static const char *app_advice(const struct app *app, int error)
{
	switch (error) {
	case TINKEX_ENODAEMON:
		return " or with --socket";
	case TINKEX_ENOTFOUND:
		return "; `tinkexctl list` shows what is registered";
	case TINKEX_EDENIED:
		return app->options.all ? "" : "; `tinkexctl endpoints` shows the endpoints that you may use";
	case TINKEX_ETIMEOUT:
		return "; is it stopped, or very busy?";
	case TINKEX_ENOMETHOD:
		return "; it is older than this tinkexctl";
	case TINKEX_ESHUTDOWN:
		return "; try again when it is up again";
	case TINKEX_ESTORAGE:
		return "; look at its log and at the space of its state directory";
	default:
		return "";
	}
}

int app_fail(struct app *app, int error)
{
	_cleanup_(freep) char *culprit = app_culprit(app, error);
	const char *text = tinkex_error_text(app->client), *socket = tinkex_client_socket(app->client);

	if (error == TINKEX_EPROTOCOL && socket)
		complain("%s: %s", socket, *text ? text : tinkex_strerror(error));
	else
		complain("%s%s%s", *text ? text : tinkex_strerror(error), culprit ? culprit : "",
			 app_advice(app, error));
	return exit_code_of_error(error);
}

int app_finish(struct app *app, int code)
{
	int r = output_flush(&app->output);

	if (r == 0)
		return code;
	complain("the output could not be written: %s", strerror(-r));
	return EXIT_FUTURE_FAILED;
}

int exit_code_of_error(int error)
{
	switch (error) {
	case 0:
		return EXIT_WELL;
	case TINKEX_EINVAL:
	case TINKEX_EREFUSED:
	case TINKEX_EPARAMS:
		return EXIT_USAGE;
	case TINKEX_ENODAEMON:
	case TINKEX_EPROTOCOL:
	case TINKEX_ETIMEOUT:
		return EXIT_NO_DAEMON;
	case TINKEX_ENOTFOUND:
		return EXIT_NOT_REGISTERED;
	case TINKEX_EDENIED:
		return EXIT_NOT_AUTHORISED;
	case TINKEX_ENOMETHOD:
	case TINKEX_EINTERNAL:
	case TINKEX_ELIMIT:
	case TINKEX_ESHUTDOWN:
	case TINKEX_ESTORAGE:
	case TINKEX_ECONFLICT:
		return EXIT_REFUSED;
	default:
		return EXIT_FUTURE_FAILED;
	}
}

static bool is(const char *text, const char *expected)
{
	return text && strcmp(text, expected) == 0;
}

/* Why an id is not registered: the library puts the name of the daemon's refusal there. */
static int exit_code_of_reason(const char *reason)
{
	static const struct {
		const char *reason;
		int code;
	} codes[] = {
		{"denied", EXIT_NOT_AUTHORISED}, {"limit_exceeded", EXIT_REFUSED}, {"storage", EXIT_REFUSED},
		{"shutting_down", EXIT_REFUSED}, {"conflict", EXIT_REFUSED},       {"internal", EXIT_REFUSED},
		{"invalid_params", EXIT_USAGE},
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (is(reason, codes[i].reason))
			return codes[i].code;
	return EXIT_NOT_REGISTERED;
}

int exit_code_of_result(const tinkex_result *result)
{
	const char *type = tinkex_result_error_type(result), *reason = tinkex_result_error_reason(result);

	if (tinkex_result_ok(result) == 1)
		return EXIT_WELL;
	if (tinkex_result_ok(result) < 0)
		return EXIT_TIME_UP;
	if (is(type, "not_registered"))
		return exit_code_of_reason(reason);
	if (is(type, "api_timeout") && is(reason, "await_timeout"))
		return EXIT_TIME_UP;
	if (is(type, "api_status")) {
		switch (tinkex_result_error_status(result)) {
		case 404:
		case 410:
			return EXIT_GONE;
		case 401:
		case 402:
		case 403:
			return EXIT_NOT_AUTHORISED;
		}
	}
	return EXIT_FUTURE_FAILED;
}

const char *app_pairs(struct json_object *pairs)
{
	return pairs ? json_object_to_json_string_ext(pairs,
						      JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
		     : NULL;
}

void app_register_options(const struct options *options, struct tinkex_register_options *ret_options)
{
	*ret_options = (struct tinkex_register_options)TINKEX_REGISTER_OPTIONS_INIT;
	ret_options->endpoint = options->endpoint;
	ret_options->poll_timeout_ms = options->poll_timeout;
	ret_options->http_timeout_ms = options->http_timeout;
	ret_options->backoff_initial_ms = options->backoff_initial;
	ret_options->backoff_max_ms = options->backoff_max;
	ret_options->on_network_error = options->on_network_error;
	ret_options->on_server_failure = options->on_server_failure;
	ret_options->accept = options->accept;
	ret_options->request_type = options->request_type;
	ret_options->metadata = app_pairs(options->metadata);
}

void app_select_options(const struct options *options, struct tinkex_select_options *ret_options)
{
	*ret_options = (struct tinkex_select_options)TINKEX_SELECT_OPTIONS_INIT;
	ret_options->endpoint = options->endpoint;
	ret_options->where = app_pairs(options->where);
	ret_options->state = options->state;
	ret_options->after = options->after;
	ret_options->all = options->all;
}
