/*
 * The options of all commands: one table, out of which arguments are parsed and help is written. Knows no
 * command and no daemon.
 */
#ifndef TINKEXCTL_OPTIONS_H
#define TINKEXCTL_OPTIONS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which commands an option belongs to: a command takes the options of its groups. */
enum option_group {
	GROUP_GLOBAL = 1 << 0,   /* every command */
	GROUP_ENDPOINT = 1 << 1, /* names futures */
	GROUP_WHERE = 1 << 2,    /* chooses by metadata */
	GROUP_REGISTER = 1 << 3, /* makes registrations */
	GROUP_AWAIT = 1 << 4,    /* waits */
	GROUP_HANDOVER = 1 << 5, /* hands results out */
	GROUP_PAGE = 1 << 6,     /* goes through pages */
	GROUP_STATE = 1 << 7,    /* chooses by state */
	GROUP_ALL = 1 << 8,      /* may look at other users */
};

enum option_kind {
	OPTION_FLAG,     /* bool */
	OPTION_TEXT,     /* const char * */
	OPTION_CHOICE,   /* const char *, one of `choices` */
	OPTION_DURATION, /* int64_t, ms */
	OPTION_COUNT,    /* int64_t, at least 1 */
	OPTION_PAIR,     /* struct json_object *, a member is added */
};

struct option_row {
	const char *name;  /* without the dashes */
	const char *value; /* what its value is called in help; NULL for a flag */
	enum option_kind kind;
	size_t offset; /* in struct options */
	unsigned groups;
	const char *choices; /* "fail|retry" */
	const char *help;    /* a sentence without its full stop */
};

extern const struct option_row option_rows[];
extern const size_t option_row_count;

/* What was given. Strings point into argv. */
struct options {
	bool help, version, json;
	const char *socket;
	const char *endpoint;
	struct json_object *where, *metadata; /* owned; NULL: not given */
	int64_t poll_timeout, http_timeout, backoff_initial, backoff_max,
		await_timeout; /* ms; TINKEX_UNSET */
	const char *on_network_error, *on_server_failure, *accept, *request_type, *response;
	const char *on_timeout, *output;
	bool no_ack, no_register, result_only, as_completed;
	int64_t limit; /* TINKEX_UNSET */
	const char *after, *state;
	bool all;
	char **arguments; /* what is no option, in order; owned, the strings are argv's */
	size_t n_arguments;
};

/* Everything at its default. */
void options_init(struct options *options);
void options_release(struct options *options);
/* Parses argv[1…], options and arguments in any order, "--" ends options. Takes the options of every command,
 * since the command, which is the first argument, may stand behind them: options_check() refuses those it
 * does not have. false: usage error (an unknown option, a bad value), told on stderr. */
bool options_parse(struct options *options, int argc, char **argv);
/* Every option that was given belongs to a command with these groups. false: usage error, told on stderr. */
bool options_check(const struct options *options, int argc, char **argv, const char *command,
		   unsigned groups);

/* "500ms", "30s", "5m", "24h", "7d", "0". false: not a duration. */
bool options_duration(const char *text, int64_t *ret_ms);
/* How far apart two names are, in letters; for "did you mean". */
size_t options_distance(const char *a, const char *b);

#endif
