/* tinkexctl: arguments, the command, the exit code. Uses nothing of the daemon but tinkex.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "commands.h"

/* Commands that just call and print end like this; await has its own way. */
static void main_interrupted(int signal_number)
{
	(void)signal_number;
	_exit(EXIT_INTERRUPTED);
}

static void main_set_up(void)
{
	struct sigaction interrupted = {.sa_handler = main_interrupted}, ignored = {.sa_handler = SIG_IGN};
	struct rlimit files;

	sigaction(SIGINT, &interrupted, NULL);
	sigaction(SIGPIPE, &ignored, NULL); /* a closed pipe is an error of write(), which is noticed there */
	/* Large results come as descriptors, and those that wait for their turn are held. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int main_unknown(const char *name)
{
	const char *best = NULL;
	size_t distance = 3;

	for (size_t i = 0; i < command_count; i++) {
		size_t d = options_distance(name, commands[i].name);

		if (d < distance) {
			distance = d;
			best = commands[i].name;
		}
	}
	if (best)
		complain("there is no command %s; did you mean %s?", name, best);
	else
		complain("there is no command %s; `tinkexctl help` lists them", name);
	return EXIT_USAGE;
}

static int main_run(struct app *app, int argc, char **argv)
{
	const struct options *options = &app->options;
	const struct command *command;
	size_t n;

	if (options->version) {
		output_printf(&app->output, "tinkexctl %s\n", TINKEX_VERSION);
		return EXIT_WELL;
	}
	if (options->n_arguments == 0 && options->help) {
		help_overview(&app->output);
		return EXIT_WELL;
	}
	if (options->n_arguments == 0) {
		complain("which command? `tinkexctl help` lists them");
		return EXIT_USAGE;
	}
	command = command_find(options->arguments[0]);
	if (!command)
		return main_unknown(options->arguments[0]);
	if (options->help) {
		help_command(&app->output, command);
		return EXIT_WELL;
	}
	if (!options_check(options, argc, argv, command->name, command->groups))
		return EXIT_USAGE;
	n = options->n_arguments - 1;
	if (n > command->most) {
		complain("%s takes no argument `%s`; see `tinkexctl help %s`", command->name,
			 options->arguments[1 + command->most], command->name);
		return EXIT_USAGE;
	}
	if (n < command->least && !options->response) {
		complain("%s needs %s; see `tinkexctl help %s`", command->name, command->arguments,
			 command->name);
		return EXIT_USAGE;
	}
	return command->run(app);
}

int main(int argc, char **argv)
{
	static struct app app;
	int code = EXIT_USAGE;

	main_set_up();
	options_init(&app.options);
	output_init(&app.output);
	if (options_parse(&app.options, argc, argv))
		code = main_run(&app, argc, argv);
	code = app_finish(&app, code);
	tinkex_client_free(app.client);
	options_release(&app.options);
	return code;
}
