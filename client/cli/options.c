/* The option table and its parser. */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tinkex.h>

#include "render.h"

#define AT(member) offsetof(struct options, member)
/* The daemon's own limit for times. */
#define LONGEST_MS (INT64_C(3650) * 24 * 3600 * 1000)

const struct option_row option_rows[] = {
	{"poll-timeout", "DURATION", OPTION_DURATION, AT(poll_timeout), GROUP_REGISTER, NULL,
	 "how long the daemon polls, from now; then the registration ends"},
	{"http-timeout", "DURATION", OPTION_DURATION, AT(http_timeout), GROUP_REGISTER, NULL,
	 "how long the server may hold one poll"},
	{"backoff-initial", "DURATION", OPTION_DURATION, AT(backoff_initial), GROUP_REGISTER, NULL,
	 "the first pause between polls; it doubles from poll to poll"},
	{"backoff-max", "DURATION", OPTION_DURATION, AT(backoff_max), GROUP_REGISTER, NULL,
	 "the longest pause between polls"},
	{"on-network-error", "WHAT", OPTION_CHOICE, AT(on_network_error), GROUP_REGISTER, "fail|retry",
	 "whether a network error ends it or is waited out"},
	{"on-server-failure", "WHAT", OPTION_CHOICE, AT(on_server_failure), GROUP_REGISTER, "fail|retry",
	 "whether a failure that is not yours ends it or is retried"},
	{"accept", "FORM", OPTION_CHOICE, AT(accept), GROUP_REGISTER, "json|protobuf",
	 "the form in which the result is asked for"},
	{"request-type", "NAME", OPTION_TEXT, AT(request_type), GROUP_REGISTER, NULL,
	 "what was submitted (Sample, ForwardBackward, …), told to the server"},
	{"metadata", "KEY=VALUE", OPTION_PAIR, AT(metadata), GROUP_REGISTER, NULL,
	 "a note of your own, for --where and list; may be repeated"},
	{"response", "FILE|-", OPTION_TEXT, AT(response), GROUP_REGISTER, NULL,
	 "take the ids from the server's answers to the submissions: JSON, one after the other"},
	{"endpoint", "NAME", OPTION_TEXT, AT(endpoint), GROUP_ENDPOINT, NULL,
	 "which endpoint; otherwise $TINKEX_ENDPOINT, \"default\", or the only one there is"},
	{"where", "KEY=VALUE", OPTION_PAIR, AT(where), GROUP_WHERE, NULL,
	 "only futures with this in their metadata; may be repeated: then all must match"},
	{"await-timeout", "DURATION", OPTION_DURATION, AT(await_timeout), GROUP_AWAIT, NULL,
	 "how long to wait here; 0: not at all (otherwise until all have ended)"},
	{"on-timeout", "WHAT", OPTION_CHOICE, AT(on_timeout), GROUP_AWAIT, "cancel|keep",
	 "when that time is up: cancel what this command registered (default), or keep polling it"},
	{"no-register", NULL, OPTION_FLAG, AT(no_register), GROUP_AWAIT, NULL,
	 "do not register what is not registered yet"},
	{"as-completed", NULL, OPTION_FLAG, AT(as_completed), GROUP_AWAIT, NULL,
	 "print in the order in which they end, not in the order given"},
	{"result-only", NULL, OPTION_FLAG, AT(result_only), GROUP_HANDOVER, NULL,
	 "print nothing but the results; failures go to stderr"},
	{"output", "DIR", OPTION_TEXT, AT(output), GROUP_HANDOVER, NULL,
	 "write each result into a file in DIR, and a line about each to DIR/index.jsonl"},
	{"no-ack", NULL, OPTION_FLAG, AT(no_ack), GROUP_HANDOVER, NULL,
	 "do not acknowledge: the daemon keeps the results for its retention time"},
	{"state", "STATE", OPTION_CHOICE, AT(state), GROUP_STATE,
	 "scheduled|polling|blocked|completed|failed", "only futures in this state"},
	{"limit", "N", OPTION_COUNT, AT(limit), GROUP_PAGE, NULL, "at most so many (otherwise all)"},
	{"after", "CURSOR", OPTION_TEXT, AT(after), GROUP_PAGE, NULL,
	 "go on where a command with --limit stopped"},
	{"all", NULL, OPTION_FLAG, AT(all), GROUP_ALL, NULL,
	 "of all users; only for root and the user that the daemon runs as"},
	{"socket", "PATH", OPTION_TEXT, AT(socket), GROUP_GLOBAL, NULL,
	 "the daemon's socket; otherwise $TINKEXD_SOCKET, yours, or the system's"},
	{"json", NULL, OPTION_FLAG, AT(json), GROUP_GLOBAL, NULL,
	 "one JSON object per line, results byte for byte"},
	{"help", NULL, OPTION_FLAG, AT(help), GROUP_GLOBAL, NULL, "explain the command"},
	{"version", NULL, OPTION_FLAG, AT(version), GROUP_GLOBAL, NULL, "print the version"},
};
const size_t option_row_count = sizeof(option_rows) / sizeof(option_rows[0]);

void options_init(struct options *options)
{
	*options = (struct options){
		.poll_timeout = TINKEX_UNSET,
		.http_timeout = TINKEX_UNSET,
		.backoff_initial = TINKEX_UNSET,
		.backoff_max = TINKEX_UNSET,
		.await_timeout = TINKEX_UNSET,
		.limit = TINKEX_UNSET,
	};
}

void options_release(struct options *options)
{
	json_object_put(options->where);
	json_object_put(options->metadata);
	free(options->arguments);
	options_init(options);
}

bool options_duration(const char *text, int64_t *ret_ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	char *end;
	long long value;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || value > LONGEST_MS)
		return false;
	if (value == 0 && !*end) {
		*ret_ms = 0;
		return true;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		if (value > LONGEST_MS / units[i].ms)
			return false;
		*ret_ms = value * units[i].ms;
		return true;
	}
	return false;
}

/* Levenshtein over at most 31 letters, which is what names have. */
size_t options_distance(const char *a, const char *b)
{
	size_t row[32], n = strlen(b);

	if (n >= sizeof(row) / sizeof(row[0]))
		return SIZE_MAX;
	for (size_t i = 0; i <= n; i++)
		row[i] = i;
	for (size_t i = 1; *a; a++, i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = corner + (*a != b[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			corner = row[j];
			row[j] = best;
		}
	}
	return row[n];
}

/* ---- parsing ---- */

/* The row of "--name" or "--name=value"; *ret_value is what is behind the sign, or NULL. */
static const struct option_row *options_find(const char *argument, const char **ret_value)
{
	const char *name = argument + 2, *equals = strchr(name, '=');
	size_t size = equals ? (size_t)(equals - name) : strlen(name);

	*ret_value = equals ? equals + 1 : NULL;
	for (size_t i = 0; i < option_row_count; i++)
		if (strlen(option_rows[i].name) == size && strncmp(option_rows[i].name, name, size) == 0)
			return &option_rows[i];
	return NULL;
}

static bool options_unknown(const char *argument)
{
	const char *best = NULL;
	size_t distance = 3;

	if (strcmp(argument, "--timeout") == 0 || strncmp(argument, "--timeout=", 10) == 0)
		return complain("there is no --timeout: --poll-timeout says how long the daemon polls, "
				"--await-timeout "
				"how long this command waits");
	for (size_t i = 0; i < option_row_count; i++) {
		size_t d = options_distance(argument + 2, option_rows[i].name);

		if (d < distance) {
			distance = d;
			best = option_rows[i].name;
		}
	}
	if (best)
		return complain("unknown option %s; did you mean --%s?", argument, best);
	return complain("unknown option %s; `tinkexctl help COMMAND` lists those of a command", argument);
}

/* The value is one of "a|b|c". */
static bool options_chosen(const char *choices, const char *value)
{
	size_t size = strlen(value);

	for (const char *at = choices; *at; at += *at == '|') {
		size_t n = strcspn(at, "|");

		if (n == size && strncmp(at, value, n) == 0)
			return true;
		at += n;
	}
	return false;
}

static bool options_add_pair(struct json_object **object, const char *name, const char *pair)
{
	const char *equals = strchr(pair, '=');
	struct json_object *value;
	char *key;

	if (!equals || equals == pair)
		return complain("--%s %s: must be KEY=VALUE", name, pair);
	if (!*object)
		*object = json_object_new_object();
	key = strndup(pair, (size_t)(equals - pair));
	value = json_object_new_string(equals + 1);
	if (*object && key && value && json_object_object_add(*object, key, value) == 0)
		value = NULL;
	json_object_put(value);
	free(key);
	return true;
}

static bool options_set(struct options *options, const struct option_row *row, const char *value)
{
	void *at = (char *)options + row->offset;
	char *end;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)at = true;
		return true;
	case OPTION_CHOICE:
		if (!options_chosen(row->choices, value))
			return complain("--%s %s: must be one of %s", row->name, value, row->choices);
		*(const char **)at = value;
		return true;
	case OPTION_TEXT:
		if (!*value)
			return complain("--%s: the value is empty", row->name);
		*(const char **)at = value;
		return true;
	case OPTION_DURATION:
		if (!options_duration(value, at))
			return complain("--%s %s: must be a duration like 500ms, 30s, 5m, 24h or 7d",
					row->name, value);
		return true;
	case OPTION_COUNT:
		errno = 0;
		*(int64_t *)at = strtoll(value, &end, 10);
		if (errno || *end || end == value || *(int64_t *)at < 1)
			return complain("--%s %s: must be a number from 1 on", row->name, value);
		return true;
	case OPTION_PAIR:
		return options_add_pair(at, row->name, value);
	}
	return false;
}

/* One option at argv[*at], with its value, which may be the next argument. */
static bool options_take(struct options *options, int argc, char **argv, int *at)
{
	const char *argument = argv[*at], *value;
	const struct option_row *row = options_find(argument, &value);

	if (!row)
		return options_unknown(argument);
	if (row->kind == OPTION_FLAG && value)
		return complain("--%s takes no value", row->name);
	if (row->kind != OPTION_FLAG && !value) {
		if (*at + 1 >= argc)
			return complain("--%s needs a value: %s", row->name, row->value);
		value = argv[++*at];
	}
	return options_set(options, row, value);
}

bool options_parse(struct options *options, int argc, char **argv)
{
	bool only_arguments = false;

	options->arguments = calloc((size_t)argc + 1, sizeof(*options->arguments));
	if (!options->arguments)
		return complain("out of memory");
	for (int i = 1; i < argc; i++) {
		if (!only_arguments && strcmp(argv[i], "--") == 0)
			only_arguments = true;
		else if (!only_arguments && strcmp(argv[i], "-h") == 0)
			options->help = true;
		else if (only_arguments || strncmp(argv[i], "--", 2) != 0) {
			if (!only_arguments && argv[i][0] == '-' && argv[i][1])
				return complain("unknown option %s; all options but -h begin with two dashes",
						argv[i]);
			options->arguments[options->n_arguments++] = argv[i];
		} else if (!options_take(options, argc, argv, &i))
			return false;
	}
	return true;
}

bool options_check(const struct options *options, int argc, char **argv, const char *command, unsigned groups)
{
	const struct option_row *row;
	const char *value;

	(void)options;
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strncmp(argv[i], "--", 2) != 0)
			continue;
		row = options_find(argv[i], &value);
		if (row && !(row->groups & (groups | GROUP_GLOBAL)))
			return complain("%s has no option --%s; `tinkexctl help %s` lists what it has",
					command, row->name, command);
		if (row && row->kind != OPTION_FLAG && !value)
			i++;
	}
	return true;
}
