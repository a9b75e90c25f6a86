/* Help, written from the tables of commands and options. */
#include <stdio.h>
#include <string.h>

#include "commands.h"

#define COLUMNS 79

/* Writes `text` in lines of COLUMNS, each indented by `indent`; the first one begins at column `at`. */
static void help_wrap(struct output *output, const char *text, size_t indent, size_t at)
{
	if (at < indent)
		output_printf(output, "%*s", (int)(indent - at), "");
	at = indent;
	while (*text) {
		size_t bytes = strcspn(text, " \n");
		char word[128];
		size_t width;

		snprintf(word, sizeof(word), "%.*s", (int)bytes, text);
		width = render_width(word);
		if (at > indent && at + 1 + width > COLUMNS) {
			output_printf(output, "\n%*s", (int)indent, "");
			at = indent;
		} else if (at > indent) {
			output_text(output, " ");
			at++;
		}
		output_text(output, word);
		at += width;
		text += bytes;
		if (*text == '\n') {
			output_printf(output, "\n%*s", (int)indent, "");
			at = indent;
		}
		text += strspn(text, " \n");
	}
	output_text(output, "\n");
}

static void help_option(struct output *output, const struct option_row *row)
{
	char head[64];
	size_t width;

	snprintf(head, sizeof(head), "  --%s%s%s", row->name, row->value ? " " : "",
		 row->choices && strlen(row->choices) < 20 ? row->choices
		 : row->value                              ? row->value
							   : "");
	output_text(output, head);
	width = render_width(head);
	if (width > 30) {
		output_text(output, "\n");
		width = 0;
	}
	help_wrap(output, row->help, 32, width);
	if (row->choices && strlen(row->choices) >= 20) {
		output_printf(output, "%*s", 32, "");
		help_wrap(output, row->choices, 32, 32);
	}
}

static void help_options(struct output *output, const char *title, unsigned groups)
{
	output_printf(output, "\n%s\n", title);
	for (size_t i = 0; i < option_row_count; i++)
		if (option_rows[i].groups & groups)
			help_option(output, &option_rows[i]);
}

void help_overview(struct output *output)
{
	output_text(output, "usage: tinkexctl [--socket PATH] [--json] COMMAND …\n\n"
			    "Gives requests of a Tinker-style API to tinkexd, which polls them, and gets "
			    "their\nresults.\n\n"
			    "commands:\n");
	for (size_t i = 0; i < command_count; i++) {
		char head[64];

		snprintf(head, sizeof(head), "  %s %s", commands[i].name, commands[i].arguments);
		output_text(output, head);
		help_wrap(output, commands[i].summary, 22, render_width(head));
	}
	help_options(output, "options of every command:", GROUP_GLOBAL);
	output_text(output, "\nexit codes: 0 all well · 1 a future failed · 2 usage · 3 no daemon\n"
			    "4 not registered · 5 time was up · 6 gone upstream · 7 not authorised\n"
			    "8 refused by the daemon · 130 interrupted. With several futures: that of the\n"
			    "first, in the order given, that is not ok.\n\n"
			    "`tinkexctl help COMMAND` explains a command.\n");
}

void help_command(struct output *output, const struct command *command)
{
	output_printf(output, "usage: tinkexctl %s%s%s%s\n\n", command->name,
		      command->groups ? " [OPTION…]" : "", *command->arguments ? " " : "",
		      command->arguments);
	help_wrap(output, command->summary, 0, 0);
	if (*command->details) {
		output_text(output, "\n");
		help_wrap(output, command->details, 0, 0);
	}
	if (command->groups)
		help_options(output, "options:", command->groups);
	help_options(output, "options of every command:", GROUP_GLOBAL);
	if (command->groups & (GROUP_REGISTER | GROUP_AWAIT))
		output_text(output, "\nDurations: 500ms, 30s, 5m, 24h, 7d.\n");
}

int command_help(struct app *app)
{
	const struct options *options = &app->options;
	const struct command *command;

	if (options->n_arguments < 2) {
		help_overview(&app->output);
		return EXIT_WELL;
	}
	command = command_find(options->arguments[1]);
	if (!command) {
		complain("there is no command %s; `tinkexctl help` lists them", options->arguments[1]);
		return EXIT_USAGE;
	}
	help_command(&app->output, command);
	return EXIT_WELL;
}
