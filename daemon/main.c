/*
 * tinkexd's beginning and end: the command line, the configuration, and the only exit code. Everything
 * between is daemon.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "sys/config.h"
#include "sys/log.h"

enum exit_code {
	EXIT_WELL = 0,
	EXIT_TROUBLE = 1, /* could not start for a reason that may pass, or went down by an error */
	EXIT_USAGE = 2,   /* command line, configuration, permissions: starting again will not help */
};

struct options {
	struct config_arguments arguments;
	bool check, help, version;
};

static const char usage[] =
	"Usage: tinkexd [OPTION]...\n"
	"Polls requests of a Tinker-style API for all processes of this host or user, and keeps their "
	"results\n"
	"until they are collected. Runs in the foreground; SIGHUP reads the configuration again, SIGTERM "
	"stops.\n"
	"\n"
	"      --config FILE     read this configuration, not the default one\n"
	"      --socket PATH     listen on this Unix socket\n"
	"      --state-dir DIR   keep state here\n"
	"      --log-level LEVEL error, warning, info or debug\n"
	"      --check-config    show the configuration that results, with the origin of every value, and "
	"exit\n"
	"      --version         show the version and exit\n"
	"      --help            show this and exit\n"
	"\n"
	"Without --config: $TINKEXD_CONFIG, else /etc/tinkexd/tinkexd.conf as root or as a system service, "
	"else\n"
	"~/.config/tinkexd/tinkexd.conf; that default may be missing. Then FILE.d/*.conf in order.\n"
	"The API key comes from a file, a service credential or $TINKER_API_KEY, never from here.\n"
	"\n"
	"Exit: 0 stopped in order, 1 failure, 2 wrong command line or configuration.\n";

static int refuse(const char *what, const char *argument)
{
	fprintf(stderr, "tinkexd: %s%s%s%s; see tinkexd --help\n", what, argument ? " \"" : "",
		argument ? argument : "", argument ? "\"" : "");
	return -EINVAL;
}

static int parse_arguments(int argc, char **argv, struct options *options)
{
	enum { CONFIG, SOCKET, STATE_DIR, LOG_LEVEL, CHECK, VERSION, HELP };
	static const struct option long_options[] = {
		{"config", required_argument, NULL, CONFIG},
		{"socket", required_argument, NULL, SOCKET},
		{"state-dir", required_argument, NULL, STATE_DIR},
		{"log-level", required_argument, NULL, LOG_LEVEL},
		{"check-config", no_argument, NULL, CHECK},
		{"version", no_argument, NULL, VERSION},
		{"help", no_argument, NULL, HELP},
		{0},
	};
	struct config_arguments *arguments = &options->arguments;
	int option;

	opterr = 0;
	/* The colon makes a missing argument tell itself from an unknown option. */
	while ((option = getopt_long(argc, argv, ":", long_options, NULL)) >= 0) {
		switch (option) {
		case CONFIG:
			arguments->file = optarg;
			break;
		case SOCKET:
			arguments->socket = optarg;
			break;
		case STATE_DIR:
			arguments->state_dir = optarg;
			break;
		case LOG_LEVEL:
			arguments->log_level = optarg;
			break;
		case CHECK:
			options->check = true;
			break;
		case VERSION:
			options->version = true;
			break;
		case HELP:
			options->help = true;
			break;
		case ':':
			return refuse("an argument is missing behind", argv[optind - 1]);
		default:
			return refuse("wrong option", argv[optind - 1]);
		}
	}
	return optind < argc ? refuse("unexpected argument", argv[optind]) : 0;
}

/* A descriptor 0, 1 or 2 that is closed would become a socket, and messages would go into it. */
static void open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* For people; takes the message over. */
static void complain_about(char *message, int error)
{
	if (message)
		log_clean(message);
	fprintf(stderr, "tinkexd: %s\n", message ? message : strerror(-error));
	free(message);
}

static enum exit_code serve(struct config *config, const struct config_arguments *arguments)
{
	struct daemon *daemon = NULL;
	char *message = NULL;
	int r;

	log_init(config->log_level);
	r = daemon_new(config, arguments, &daemon, &message);
	if (r < 0) {
		log_error("main", "%s", message ? message : strerror(-r));
		free(message);
		config_free(config);
		return r == -EINVAL || r == -EPERM ? EXIT_USAGE : EXIT_TROUBLE;
	}
	r = daemon_run(daemon);
	daemon_free(daemon);
	log_flush();
	return r < 0 ? EXIT_TROUBLE : EXIT_WELL;
}

static enum exit_code run(const struct options *options)
{
	struct config *config = NULL;
	char *message = NULL;
	int r = config_load(&options->arguments, &config, &message);

	if (r < 0) {
		complain_about(message, r);
		return EXIT_USAGE;
	}
	if (!options->check)
		return serve(config, &options->arguments);
	config_print(config, stdout);
	config_free(config);
	return EXIT_WELL;
}

int main(int argc, char **argv)
{
	struct options options = {0};
	enum exit_code code = EXIT_WELL;

	open_standard_descriptors();
	umask(077); /* whatever others may have is given by name */
	if (parse_arguments(argc, argv, &options) < 0)
		exit(EXIT_USAGE);
	if (options.help)
		fputs(usage, stdout);
	else if (options.version)
		puts("tinkexd " TINKEX_VERSION);
	else
		code = run(&options);
	if (fflush(stdout) != 0 || ferror(stdout))
		code = EXIT_TROUBLE;
	exit(code);
}
