/* What a command works with: options, client, output; and how errors become sentences and exit codes. */
#ifndef TINKEXCTL_APP_H
#define TINKEXCTL_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <tinkex.h>

#include "options.h"
#include "output.h"
#include "render.h"

/* Exit codes: part of the interface, never renumbered. */
enum exit_code {
	EXIT_WELL = 0,
	EXIT_FUTURE_FAILED = 1, /* also: an output could not be written */
	EXIT_USAGE = 2,
	EXIT_NO_DAEMON = 3,
	EXIT_NOT_REGISTERED = 4,
	EXIT_TIME_UP = 5,
	EXIT_GONE = 6,
	EXIT_NOT_AUTHORISED = 7,
	EXIT_REFUSED = 8,
	EXIT_INTERRUPTED = 130,
};

struct app {
	struct options options;
	struct output output;
	tinkex_client *client; /* NULL until app_connect() */
};

/* Request ids of a command. */
struct ids {
	char **id; /* owned, and so are the strings */
	size_t n, capacity;
};

/* Makes the client. `patience_ms`: how long a lost connection is looked for; `answer_ms`: how long a call
 * that waits for nothing may take. false: told on stderr. */
bool app_connect(struct app *app, int64_t patience_ms, int64_t answer_ms);
/* Tells on stderr what `error` of the client's last call means, which option it is about, and what to do.
 * Returns the exit code. */
int app_fail(struct app *app, int error);
/* Flushes the output. `code`, or EXIT_FUTURE_FAILED if the output could not be written, which is told. */
int app_finish(struct app *app, int code);

/* Exit code of an error number, and of an outcome. */
int exit_code_of_error(int error);
int exit_code_of_result(const tinkex_result *result);

/* The ids that were given: as arguments from number `first` on ("-": from stdin, one a line) and by
 * --response. false: told on stderr. */
bool ids_read(struct ids *ids, const struct options *options, size_t first);
bool ids_add(struct ids *ids, const char *id, size_t size);
void ids_free(struct ids *ids);
static inline const char *const *ids_list(const struct ids *ids)
{
	return (const char *const *)ids->id;
}

/* JSON text of a --where or --metadata, NULL if not given. Lives as long as the options. */
const char *app_pairs(struct json_object *pairs);
/* The options of a registration and of a selection, as given on the command line. */
void app_register_options(const struct options *options, struct tinkex_register_options *ret_options);
void app_select_options(const struct options *options, struct tinkex_select_options *ret_options);

static inline void reply_unrefp(tinkex_reply **reply)
{
	tinkex_reply_unref(*reply);
}

#endif
