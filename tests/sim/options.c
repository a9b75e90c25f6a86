/* Command line; see options.h. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_key {
	OPTION_HELP = 'h',
	OPTION_LISTEN = 1000,
	OPTION_PORT_FILE,
	OPTION_MODE,
	OPTION_SCRIPT,
	OPTION_BASE_PATH,
	OPTION_REQUIRE_KEY,
	OPTION_NO_RECORD,
	OPTION_RECORD_LIMIT,
	OPTION_EXIT_WITH_PARENT,
	OPTION_SEED,
	OPTION_MIN_MS,
	OPTION_MAX_MS,
	OPTION_FAIL_PERCENT,
	OPTION_FAIL_CATEGORY,
	OPTION_HOLD_MS,
	OPTION_HOLD_ANSWER,
	OPTION_METADATA_ABOVE,
	OPTION_FORGET_MS,
	OPTION_IDS,
};

static const char help[] =
	"tinker-sim: a Tinker-style HTTP server for tests, benchmarks and trying things out\n"
	"\n"
	"  --listen ADDR:PORT     where to listen; port 0: one of the kernel's choice (127.0.0.1:0)\n"
	"  --port-file FILE       write the port number there once listening\n"
	"  --mode MODE            scripted (default) or lifelike\n"
	"  --script FILE          answers to begin with, JSON {id: [answer, ...]}\n"
	"  --base-path PATH       what stands before /api/v1/... (nothing)\n"
	"  --require-key KEY      401 for requests whose X-API-Key is another\n"
	"  --record-limit N       keep the latest N polls on record (200000)\n"
	"  --no-record            keep counters only, for benchmarks\n"
	"  --exit-with-parent     end when the process that started it ends\n"
	"lifelike mode:\n"
	"  --seed N               fixes ids, results, failures and queue states (1)\n"
	"  --min-ms N --max-ms N  how long a request takes (500, 4000)\n"
	"  --fail-percent N       how many fail (10)\n"
	"  --fail-category C      user (default) or server\n"
	"  --hold-ms N            longest time a poll is held (10000)\n"
	"  --hold-answer A        what a poll held to the end gets: try_again, 408, mixed (default)\n"
	"  --metadata-above N     larger results are announced by complete_metadata first (1048576)\n"
	"  --forget-ms N          drop a result that long after it was given; 0: never (0)\n"
	"  --ids STYLE            opaque (default) or decimal\n";

static const struct option long_options[] = {
	{"help", no_argument, NULL, OPTION_HELP},
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"port-file", required_argument, NULL, OPTION_PORT_FILE},
	{"mode", required_argument, NULL, OPTION_MODE},
	{"script", required_argument, NULL, OPTION_SCRIPT},
	{"base-path", required_argument, NULL, OPTION_BASE_PATH},
	{"require-key", required_argument, NULL, OPTION_REQUIRE_KEY},
	{"no-record", no_argument, NULL, OPTION_NO_RECORD},
	{"record-limit", required_argument, NULL, OPTION_RECORD_LIMIT},
	{"exit-with-parent", no_argument, NULL, OPTION_EXIT_WITH_PARENT},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"min-ms", required_argument, NULL, OPTION_MIN_MS},
	{"max-ms", required_argument, NULL, OPTION_MAX_MS},
	{"fail-percent", required_argument, NULL, OPTION_FAIL_PERCENT},
	{"fail-category", required_argument, NULL, OPTION_FAIL_CATEGORY},
	{"hold-ms", required_argument, NULL, OPTION_HOLD_MS},
	{"hold-answer", required_argument, NULL, OPTION_HOLD_ANSWER},
	{"metadata-above", required_argument, NULL, OPTION_METADATA_ABOVE},
	{"forget-ms", required_argument, NULL, OPTION_FORGET_MS},
	{"ids", required_argument, NULL, OPTION_IDS},
	{NULL, 0, NULL, 0},
};

static bool take_number(const char *text, uint64_t most, uint64_t *ret_number)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || number > most)
		return false;
	*ret_number = number;
	return true;
}

static bool take_ms(const char *text, unsigned *ret_ms)
{
	uint64_t number;

	if (!take_number(text, 1000000000, &number))
		return false;
	*ret_ms = (unsigned)number;
	return true;
}

/* The index of `text` among `n` words, or -1. */
static int word_index(const char *text, const char *const *words, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	return -1;
}

static bool take_word(const char *text, const char *const *words, int n, int *ret_index)
{
	*ret_index = word_index(text, words, n);
	return *ret_index >= 0;
}

static bool take_base_path(char *text, const char **ret_path)
{
	size_t size = strlen(text);

	while (size > 0 && text[size - 1] == '/')
		text[--size] = '\0';
	*ret_path = text;
	return size == 0 || text[0] == '/';
}

static bool take_lifelike(int key, const char *text, struct lifelike_options *lifelike)
{
	static const char *const categories[] = {"user", "server"};
	static const char *const holds[] = {"try_again", "408", "mixed"};
	static const char *const styles[] = {"opaque", "decimal"};
	uint64_t number;
	int index;

	switch (key) {
	case OPTION_SEED:
		return take_number(text, UINT64_MAX, &lifelike->seed);
	case OPTION_MIN_MS:
		return take_ms(text, &lifelike->min_ms);
	case OPTION_MAX_MS:
		return take_ms(text, &lifelike->max_ms);
	case OPTION_FAIL_PERCENT:
		if (!take_number(text, 100, &number))
			return false;
		lifelike->fail_percent = (unsigned)number;
		return true;
	case OPTION_FAIL_CATEGORY:
		if (!take_word(text, categories, 2, &index))
			return false;
		lifelike->fail_server = index == 1;
		return true;
	case OPTION_HOLD_MS:
		return take_ms(text, &lifelike->hold_ms);
	case OPTION_HOLD_ANSWER:
		if (!take_word(text, holds, 3, &index))
			return false;
		lifelike->hold_answer = (enum hold_answer)index;
		return true;
	case OPTION_METADATA_ABOVE:
		return take_number(text, UINT64_MAX, &lifelike->metadata_above);
	case OPTION_FORGET_MS:
		return take_ms(text, &lifelike->forget_ms);
	case OPTION_IDS:
		if (!take_word(text, styles, 2, &index))
			return false;
		lifelike->decimal_ids = index == 1;
		return true;
	default:
		return false;
	}
}

static bool take_option(int key, char *text, struct options *options)
{
	static const char *const modes[] = {"scripted", "lifelike"};
	int index;

	switch (key) {
	case OPTION_LISTEN:
		options->listen = text;
		return true;
	case OPTION_PORT_FILE:
		options->port_file = text;
		return true;
	case OPTION_MODE:
		if (!take_word(text, modes, 2, &index))
			return false;
		options->lifelike_mode = index == 1;
		return true;
	case OPTION_SCRIPT:
		options->script_file = text;
		return true;
	case OPTION_BASE_PATH:
		return take_base_path(text, &options->base_path);
	case OPTION_REQUIRE_KEY:
		options->require_key = text;
		return true;
	case OPTION_NO_RECORD:
		options->record_limit = 0;
		return true;
	case OPTION_RECORD_LIMIT:
		return take_number(text, UINT64_MAX, &options->record_limit);
	case OPTION_EXIT_WITH_PARENT:
		options->exit_with_parent = true;
		return true;
	default:
		return take_lifelike(key, text, &options->lifelike);
	}
}

int options_parse(int argc, char **argv, struct options *ret_options)
{
	struct options options = {
		.listen = "127.0.0.1:0",
		.base_path = "",
		.record_limit = 200000,
		.lifelike = {.seed = 1,
			     .min_ms = 500,
			     .max_ms = 4000,
			     .fail_percent = 10,
			     .hold_ms = 10000,
			     .hold_answer = HOLD_MIXED,
			     .metadata_above = 1048576},
	};
	int key, index = 0;

	while ((key = getopt_long(argc, argv, "h", long_options, &index)) != -1) {
		if (key == OPTION_HELP) {
			fputs(help, stdout);
			return 1;
		}
		if (key == '?')
			return -EINVAL;
		if (!take_option(key, optarg, &options)) {
			fprintf(stderr, "tinker-sim: bad value for --%s: %s\n", long_options[index].name,
				optarg);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "tinker-sim: unexpected argument: %s\n", argv[optind]);
		return -EINVAL;
	}
	if (options.lifelike.min_ms > options.lifelike.max_ms) {
		fputs("tinker-sim: --min-ms is above --max-ms\n", stderr);
		return -EINVAL;
	}
	*ret_options = options;
	return 0;
}
