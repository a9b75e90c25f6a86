/* Which files are read, in which order, what wins, and what --check-config shows of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loading.h"
#include "scratch.h"
#include "sys/config_key.h"

static struct config *load(const struct config_arguments *arguments)
{
	struct config *config = NULL;
	char *message = NULL;
	int r = config_load(arguments, &config, &message);

	ck_assert_msg(r == 0, "%s", message);
	return config;
}

static int refuse(const struct config_arguments *arguments, char *out, size_t size)
{
	struct config *config = NULL;
	char *message = NULL;
	int r = config_load(arguments, &config, &message);

	ck_assert_int_lt(r, 0);
	ck_assert_ptr_null(config);
	snprintf(out, size, "%s", message);
	free(message);
	return r;
}

static void make_folders(const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(mkdir(scratch_path(names[i]), 0700), 0);
}

/* Files. */

START_TEST(files_of_a_user)
{
	static const char *const folders[] = {".config", ".config/tinkexd", "xdg", "xdg/tinkexd"};
	struct config_arguments arguments = {0};
	struct config *config;
	char message[512];

	scratch_drop_root();
	/* None: that is fine. */
	config = load(&arguments);
	ck_assert_ptr_null(config->file);
	ck_assert_uint_eq(config->max_peers, 16384);
	config_free(config);

	make_folders(folders, ARRAY_LEN(folders));
	scratch_write(".config/tinkexd/tinkexd.conf", 0600, "[limits]\nmax_peers=1\n");
	scratch_write("xdg/tinkexd/tinkexd.conf", 0600, "[limits]\nmax_peers=2\n");
	scratch_write("env.conf", 0600, "[limits]\nmax_peers=3\n");
	scratch_write("arg.conf", 0600, "[limits]\nmax_peers=4\n");

	config = load(&arguments);
	ck_assert_str_eq(config->file, scratch_path(".config/tinkexd/tinkexd.conf"));
	ck_assert_uint_eq(config->max_peers, 1);
	config_free(config);

	setenv("XDG_CONFIG_HOME", scratch_path("xdg"), 1);
	config = load(&arguments);
	ck_assert_uint_eq(config->max_peers, 2);
	config_free(config);

	setenv("TINKEXD_CONFIG", scratch_path("env.conf"), 1);
	config = load(&arguments);
	ck_assert_uint_eq(config->max_peers, 3);
	config_free(config);

	arguments.file = scratch_path("arg.conf");
	config = load(&arguments);
	ck_assert_str_eq(config->file, arguments.file);
	ck_assert_uint_eq(config->max_peers, 4);
	config_free(config);

	/* What was asked for must exist. */
	arguments.file = scratch_path("none.conf");
	ck_assert_int_eq(refuse(&arguments, message, sizeof(message)), -ENOENT);
	ck_assert_ptr_nonnull(strstr(message, "none.conf: cannot be read: No such file"));
	arguments.file = NULL;
	setenv("TINKEXD_CONFIG", scratch_path("none.conf"), 1);
	ck_assert_int_eq(refuse(&arguments, message, sizeof(message)), -ENOENT);
}
END_TEST

START_TEST(drop_ins)
{
	struct config_arguments arguments = {.file = scratch_path("t.conf")};
	static const char *const folders[] = {"t.conf.d"};
	struct config *config;
	char message[512];

	make_folders(folders, ARRAY_LEN(folders));
	scratch_write("t.conf", 0600,
		      "[limits]\nmax_peers=1\nretention=1d\nevent_ring=99\n[endpoint "
		      "default]\nprofile=sdk\nextra_header=A: 1\n");
	scratch_write("t.conf.d/20-b.conf", 0600, "[limits]\nmax_peers=20\nretention=2d\n");
	scratch_write("t.conf.d/10-a.conf", 0600,
		      "[limits]\nmax_peers=10\n[endpoint default]\nextra_header=B: 2\n");
	scratch_write("t.conf.d/9.conf", 0600, "[limits]\nretention=9d\n[endpoint default]\nprofile=guide\n");
	/* Not these. */
	scratch_write("t.conf.d/30.conf~", 0600, "nonsense");
	scratch_write("t.conf.d/.40.conf", 0600, "nonsense");
	scratch_write("t.conf.d/50.txt", 0600, "nonsense");
	scratch_write("t.conf.d/.conf", 0600, "nonsense");

	config = load(&arguments);
	/* By bytes: 10-a, 20-b, 9. */
	ck_assert_uint_eq(config->max_peers, 20);
	ck_assert_str_eq(loading_origin(config, NULL, "max_peers"), "t.conf.d/20-b.conf:2");
	ck_assert_str_eq(loading_shown(config, NULL, "retention"), "9d");
	ck_assert_uint_eq(config->event_ring, 99);
	ck_assert_str_eq(loading_origin(config, NULL, "event_ring"), "t.conf:4");
	ck_assert_uint_eq(config->n_endpoints, 1);
	ck_assert_uint_eq(config->endpoints[0]->profile, PROFILE_GUIDE);
	ck_assert_str_eq(loading_shown(config, config->endpoints[0], "extra_header"), "A: ***\nB: ***");
	config_free(config);

	/* An error in one names it. */
	scratch_write("t.conf.d/99.conf", 0600, "[limits]\n\nmax_peers=none\n");
	refuse(&arguments, message, sizeof(message));
	ck_assert_ptr_nonnull(
		strstr(message, "/t.conf.d/99.conf:3: [limits] max_peers: \"none\" is not a number"));
	unlink(scratch_path("t.conf.d/99.conf"));
	ck_assert_int_eq(mkdir(scratch_path("t.conf.d/99.conf"), 0700), 0);
	refuse(&arguments, message, sizeof(message));
	ck_assert_ptr_nonnull(strstr(message, "/t.conf.d/99.conf: is a directory"));
	rmdir(scratch_path("t.conf.d/99.conf"));

	/* They do not stand in for a file that was asked for... */
	unlink(scratch_path("t.conf"));
	ck_assert_int_eq(refuse(&arguments, message, sizeof(message)), -ENOENT);
}
END_TEST

/* ... but they do without the default one. */
START_TEST(drop_ins_without_the_file)
{
	static const char *const folders[] = {".config", ".config/tinkexd", ".config/tinkexd/tinkexd.conf.d"};
	struct config_arguments arguments = {0};
	struct config *config;

	scratch_drop_root();
	make_folders(folders, ARRAY_LEN(folders));
	scratch_write(".config/tinkexd/tinkexd.conf.d/a.conf", 0600, "[limits]\nmax_peers=5\n");
	config = load(&arguments);
	ck_assert_ptr_null(config->file);
	ck_assert_uint_eq(config->max_peers, 5);
	config_free(config);
}
END_TEST

START_TEST(mistakes)
{
	ck_assert_str_eq(loading_bad("[deamon]\n"),
			 ":1: there is no section [deamon]; write [daemon], [limits] or [endpoint NAME]");
	ck_assert_str_eq(
		loading_bad("[endpoints a]\n"),
		":1: there is no section [endpoints a]; write [daemon], [limits] or [endpoint NAME]");
	ck_assert_ptr_nonnull(strstr(loading_bad("[endpoint]\n"), ":1: \"\" is no name for an endpoint"));
	ck_assert_str_eq(loading_bad("[limits]\nmax_pears=1\n"),
			 ":2: [limits] max_pears: there is no such key");
	ck_assert_str_eq(loading_bad("[daemon]\nmax_peers=1\n"),
			 ":2: [daemon] max_peers: this key belongs into the section [limits]");
	ck_assert_str_eq(loading_bad("[endpoint default]\nsocket=/x\n"),
			 ":2: [endpoint default] socket: this key belongs into the section [daemon]");
	ck_assert_str_eq(loading_bad("[limits]\nprofile=sdk\n"),
			 ":2: [limits] profile: this key belongs into the section [endpoint NAME]");
	ck_assert_str_eq(loading_bad("[limits]\nMax_Peers=1\n"),
			 ":2: [limits] Max_Peers: there is no such key");
	ck_assert_str_eq(loading_bad("api_key=tml-secret\n"),
			 ":1: \"api_key\" stands before the first [section]");
	ck_assert_str_eq(loading_bad("[endpoint default]\napi_key=tml-secret\n"),
			 ":2: [endpoint default] api_key: there is no such key");
	ck_assert_ptr_nonnull(strstr(loading_bad("[limits]\nmax_peers=1\n[daemon]\n[limits]\nmax_peers=2\n"),
				     ":5: [limits] max_peers: stands in this file twice, first at "));
	ck_assert_ptr_nonnull(strstr(loading_bad("[limits]\nmax_peers\n"), ":2: the line is neither"));
	/* The same key in two sections is two keys. */
	config_free(loading_good(
		"[endpoint default]\nmax_in_flight=1\n[endpoint b]\nmax_in_flight=1\nbase_url=https://b\n"));
}
END_TEST

/* Socket and state directory. */

START_TEST(socket_of_a_user)
{
	struct config_arguments arguments = {.file = "/dev/null"};
	struct config *config;
	char expected[256];

	scratch_drop_root();
	config = load(&arguments);
	snprintf(expected, sizeof(expected), "/tmp/tinkexd-%u/tinkexd.sock", geteuid());
	ck_assert_str_eq(config->socket, expected);
	ck_assert_str_eq(loading_origin(config, NULL, "socket"), "default");
	config_free(config);

	setenv("XDG_RUNTIME_DIR", scratch_folder(), 1);
	config = load(&arguments);
	ck_assert_str_eq(config->socket, scratch_path("tinkexd/tinkexd.sock"));
	ck_assert_str_eq(loading_origin(config, NULL, "socket"), "$XDG_RUNTIME_DIR");
	config_free(config);

	arguments.file = scratch_write("t.conf", 0600, "[daemon]\nsocket=/file.sock\n");
	config = load(&arguments);
	ck_assert_str_eq(config->socket, "/file.sock");
	config_free(config);

	/* Clients go by the variable, too: it wins over the file. */
	setenv("TINKEXD_SOCKET", "/env.sock", 1);
	config = load(&arguments);
	ck_assert_str_eq(config->socket, "/env.sock");
	ck_assert_str_eq(loading_origin(config, NULL, "socket"), "$TINKEXD_SOCKET");
	config_free(config);

	arguments.socket = "/arg.sock";
	config = load(&arguments);
	ck_assert_str_eq(config->socket, "/arg.sock");
	ck_assert_str_eq(loading_origin(config, NULL, "socket"), "--socket");
	config_free(config);

	/* A shell's user may be in any folder. */
	ck_assert_int_eq(chdir(scratch_folder()), 0);
	arguments.socket = "rel.sock";
	config = load(&arguments);
	ck_assert_str_eq(config->socket, scratch_path("rel.sock"));
	config_free(config);
}
END_TEST

START_TEST(state_dir_of_a_user)
{
	struct config_arguments arguments = {.file = "/dev/null"};
	struct config *config;

	scratch_drop_root();
	config = load(&arguments);
	ck_assert_str_eq(config->state_dir, scratch_path(".local/state/tinkexd"));
	config_free(config);

	setenv("XDG_STATE_HOME", "/xdg", 1);
	config = load(&arguments);
	ck_assert_str_eq(config->state_dir, "/xdg/tinkexd");
	ck_assert_str_eq(loading_origin(config, NULL, "state_dir"), "$XDG_STATE_HOME");
	config_free(config);

	setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1);
	config = load(&arguments);
	ck_assert_str_eq(config->state_dir, "/var/lib/a");
	ck_assert_str_eq(loading_origin(config, NULL, "state_dir"), "$STATE_DIRECTORY");
	config_free(config);

	arguments.file = scratch_write("t.conf", 0600, "[daemon]\nstate_dir=/file\n");
	config = load(&arguments);
	ck_assert_str_eq(config->state_dir, "/file");
	config_free(config);

	arguments.state_dir = "/arg";
	config = load(&arguments);
	ck_assert_str_eq(config->state_dir, "/arg");
	ck_assert_str_eq(loading_origin(config, NULL, "state_dir"), "--state-dir");
	config_free(config);
}
END_TEST

static void check_system_wide(void)
{
	struct config_arguments arguments = {.file = "/dev/null"};
	struct config *config = load(&arguments);

	ck_assert_str_eq(config->socket, "/run/tinkexd/tinkexd.sock");
	ck_assert_str_eq(config->state_dir, "/var/lib/tinkexd");
	config_free(config);
}

START_TEST(system_wide)
{
	if (geteuid() == 0) {
		setenv("XDG_RUNTIME_DIR", "/run/user/0", 1);
		check_system_wide();
		unsetenv("XDG_RUNTIME_DIR");
	}
	/* A system service with a user of its own. */
	scratch_drop_root();
	setenv("INVOCATION_ID", "0123456789abcdef0123456789abcdef", 1);
	check_system_wide();
}
END_TEST

START_TEST(command_line)
{
	struct config_arguments arguments = {.file = "/dev/null", .log_level = "debug"};
	struct config *config = load(&arguments);
	char message[512];

	ck_assert_uint_eq(config->log_level, LOG_LEVEL_DEBUG);
	ck_assert_str_eq(loading_origin(config, NULL, "log_level"), "--log-level");
	config_free(config);
	arguments.log_level = "loud";
	refuse(&arguments, message, sizeof(message));
	ck_assert_str_eq(
		message,
		"--log-level: [daemon] log_level: \"loud\" is not one of error, warning, info, debug");
	arguments.log_level = "";
	refuse(&arguments, message, sizeof(message));
	ck_assert_str_eq(message, "--log-level: [daemon] log_level: the value is missing");
}
END_TEST

/* What is shown. */

START_TEST(printed_with_origins_and_without_secrets)
{
	struct config *config;
	const char *text;

	setenv("TINKER_API_KEY", "tml-environment-key", 1);
	config = loading_good(
		"[daemon]\nsocket=/s\n[endpoint default]\nextra_header=CF-Access-Client-Secret: s3cr3t\n"
		"proxy=http://joedoe:hunter2@proxy:1\nprofile=sdk\n");
	text = loading_printed(config);
	ck_assert_ptr_nonnull(strstr(text, "; the API key comes from $TINKER_API_KEY\n"));
	ck_assert_ptr_nonnull(strstr(text, "extra_header = CF-Access-Client-Secret: ***"));
	ck_assert_ptr_nonnull(strstr(text, "proxy = http://***@proxy:1"));
	ck_assert_ptr_nonnull(strstr(text, "/t.conf:2\n"));
	ck_assert_ptr_nonnull(strstr(text, "; profile sdk\n"));
	ck_assert_ptr_nonnull(strstr(text, "; default\n"));
	ck_assert_ptr_null(strstr(text, "s3cr3t"));
	ck_assert_ptr_null(strstr(text, "hunter2"));
	ck_assert_ptr_null(strstr(text, "joedoe"));
	ck_assert_ptr_null(strstr(text, "tml-"));
	config_free(config);
}
END_TEST

START_TEST(printed_key_source)
{
	struct config *config = loading_good("[endpoint default]\n[endpoint b]\nbase_url=https://b\n");
	char text[256];

	ck_assert_ptr_nonnull(strstr(loading_printed(config), "[endpoint default]\n; no API key yet"));
	setenv("TINKER_API_KEY", "tml-x", 1);
	ck_assert_ptr_nonnull(strstr(loading_printed(config),
				     "[endpoint default]\n; the API key comes from $TINKER_API_KEY"));
	/* It is nobody else's. */
	ck_assert_ptr_nonnull(strstr(loading_printed(config), "[endpoint b]\n; no API key yet"));
	setenv("CREDENTIALS_DIRECTORY", scratch_folder(), 1);
	scratch_write("tinker-api-key", 0400, "tml-y");
	ck_assert_ptr_nonnull(strstr(loading_printed(config),
				     "[endpoint default]\n; the API key comes from the service credential"));
	config_free(config);

	snprintf(text, sizeof(text), "[endpoint default]\napi_key_file=%s\n", scratch_path("tinker-api-key"));
	config = loading_good(text);
	ck_assert_ptr_nonnull(strstr(loading_printed(config), "; the API key comes from api_key_file\n"));
	config_free(config);
}
END_TEST

static void check_same_values(const struct config *a, const struct config *b)
{
	size_t n;
	const struct config_key *keys = config_keys(&n);
	char value[4096];

	ck_assert_uint_eq(a->n_endpoints, b->n_endpoints);
	for (size_t e = 0; e < a->n_endpoints; e++) {
		ck_assert_str_eq(a->endpoints[e]->name, b->endpoints[e]->name);
		for (size_t i = 0; i < n; i++) {
			bool own = keys[i].scope == CONFIG_ENDPOINT;

			snprintf(value, sizeof(value), "%s",
				 loading_shown(a, own ? a->endpoints[e] : NULL, keys[i].name));
			ck_assert_msg(strcmp(value, loading_shown(b, own ? b->endpoints[e] : NULL,
								  keys[i].name)) == 0,
				      "%s: %s", keys[i].name, value);
		}
	}
}

START_TEST(printed_reads_back)
{
	struct config *config = loading_good(
		"[daemon]\nsocket=/"
		"s\nsocket_mode=0666\nsocket_group=0\nlog_level=debug\n[limits]\nmax_peers=7\n"
		"retention=90s\nmax_peer_memory=1500000\n[endpoint "
		"b]\nbase_url=http://localhost:1/x\nprofile=skyrl\n"
		"backoff_min=0\nallow_users=1 2\n[endpoint "
		"c]\nbase_url=https://c\nproxy=http://p\nca_file=/etc/passwd\n");
	struct config *again = loading_good(loading_printed(config));

	check_same_values(config, again);
	config_free(config);
	config_free(again);
}
END_TEST

/* The example file is the table in print. */

static const char *example(void)
{
	static char text[32768];
	FILE *file = fopen(EXAMPLE_FILE, "re");
	size_t size;

	ck_assert_ptr_nonnull(file);
	size = fread(text, 1, sizeof(text) - 1, file);
	ck_assert_uint_lt(size, sizeof(text) - 1);
	text[size] = '\0';
	fclose(file);
	return text;
}

/* The words of the comment lines that end at `end`, with single spaces: what stands above a key. */
static void comment_above(const char *text, const char *end, char *out, size_t size)
{
	const char *start = end;

	while (start - text >= 3 && start[-1] == '\n') {
		const char *line = start - 1;

		while (line > text && line[-1] != '\n')
			line--;
		if (strncmp(line, "# ", 2) != 0)
			break;
		start = line;
	}
	out[0] = '\0';
	while (start < end) {
		const char *stop = memchr(start, '\n', (size_t)(end - start));
		size_t used = strlen(out);

		snprintf(out + used, size - used, "%s%.*s", used ? " " : "", (int)(stop - start - 2),
			 start + 2);
		start = stop + 1;
	}
}

START_TEST(example_has_every_key_with_its_help)
{
	const char *text = example(), *at = text;
	size_t n, lines = 0;
	const struct config_key *keys = config_keys(&n);
	char line[256], comment[1024];

	for (size_t i = 0; i < n; i++) {
		const char *found;

		snprintf(line, sizeof(line), "\n#%s =%s%s%s", keys[i].name, keys[i].fallback ? " " : "",
			 keys[i].fallback ? keys[i].fallback : "", keys[i].profiled ? " " : "\n");
		found = strstr(at, line);
		ck_assert_msg(found != NULL, "not in its place: %s", line);
		comment_above(text, found + 1, comment, sizeof(comment));
		ck_assert_str_eq(comment, keys[i].help);
		at = found + 1;
	}
	/* And no key besides. */
	for (at = text; (at = strstr(at, "\n#")); at += 2)
		lines += at[2] != ' ';
	ck_assert_uint_eq(lines, n);
}
END_TEST

START_TEST(example_is_the_default)
{
	char *text = strdup(example()), *to = text;
	struct config *plain = loading_good(""), *as_is, *uncommented;

	as_is = loading_good(text);
	check_same_values(plain, as_is);
	/* Take the # from every key. */
	for (const char *from = text; *from; from++) {
		if (*from == '#' && (from == text || from[-1] == '\n') && from[1] != ' ')
			continue;
		*to++ = *from;
	}
	*to = '\0';
	ck_assert_ptr_nonnull(strstr(text, "\nhttp_timeout = "));
	uncommented = loading_good(text);
	check_same_values(plain, uncommented);
	free(text);
	config_free(plain);
	config_free(as_is);
	config_free(uncommented);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {files_of_a_user,
				      drop_ins,
				      drop_ins_without_the_file,
				      mistakes,
				      socket_of_a_user,
				      state_dir_of_a_user,
				      system_wide,
				      command_line,
				      printed_with_origins_and_without_secrets,
				      printed_key_source,
				      printed_reads_back,
				      example_has_every_key_with_its_help,
				      example_is_the_default};

	return SCRATCH_RUN("config_source", tests);
}
