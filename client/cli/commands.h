/* The command table: from it arguments are checked, commands run, and help written. */
#ifndef TINKEXCTL_COMMANDS_H
#define TINKEXCTL_COMMANDS_H

#include "app.h"

struct command {
	const char *name;
	const char *arguments;       /* as in help: "ID…" */
	const char *summary;         /* a line */
	const char *details;         /* paragraphs, may be "" */
	unsigned groups;             /* of options */
	size_t least, most;          /* arguments; SIZE_MAX: any number */
	int (*run)(struct app *app); /* returns the exit code; arguments begin at options.arguments[1] */
};

extern const struct command commands[];
extern const size_t command_count;

/* NULL: no such command. */
const struct command *command_find(const char *name);

/* help.c */
void help_overview(struct output *output);
void help_command(struct output *output, const struct command *command);

int command_register(struct app *app);
int command_retry(struct app *app);
int command_await(struct app *app);
int command_collect(struct app *app);
int command_ack(struct app *app);
int command_cancel(struct app *app);
int command_status(struct app *app);
int command_list(struct app *app);
int command_endpoints(struct app *app);
int command_stats(struct app *app);
int command_ping(struct app *app);
int command_help(struct app *app);
int command_version(struct app *app);

#endif
