/* Endpoints: profiles and what overrides them, keys and their files, headers, what must not go in the clear.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loading.h"
#include "scratch.h"

START_TEST(own_settings_beat_the_profile_wherever_it_stands)
{
	static const char *const texts[] = {
		"[endpoint default]\nprofile = skyrl\non_network_error = fail\nhttp_timeout = 5s\n",
		"[endpoint default]\non_network_error = fail\nhttp_timeout = 5s\nprofile = skyrl\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct config *config = loading_good(texts[i]);
		const struct config_endpoint *endpoint = config->endpoints[0];
		struct policy skyrl = policy_profile(PROFILE_SKYRL);

		ck_assert_uint_eq(endpoint->policy.on_network_error, ON_FAILURE_FAIL);
		ck_assert_int_eq(endpoint->policy.http_timeout, 5000000);
		ck_assert_uint_eq(endpoint->policy.on_server_failure, skyrl.on_server_failure);
		ck_assert(endpoint->policy.skyrl);
		ck_assert_str_eq(loading_origin(config, endpoint, "on_server_failure"), "profile skyrl");
		ck_assert_ptr_nonnull(strstr(loading_origin(config, endpoint, "http_timeout"), "t.conf:"));
		config_free(config);
	}
}
END_TEST

START_TEST(profiles_are_those_of_the_policy)
{
	static const char *const names[] = {"durable", "guide", "sdk", "skyrl"};
	char text[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		enum profile_name name;
		struct config *config;
		struct policy policy;

		ck_assert_int_eq(policy_profile_from_name(names[i], &name), 0);
		policy = policy_profile(name);
		snprintf(text, sizeof(text), "[endpoint default]\nprofile=%s\n", names[i]);
		config = loading_good(text);
		ck_assert_uint_eq(config->endpoints[0]->profile, name);
		ck_assert_int_eq(config->endpoints[0]->policy.http_timeout, policy.http_timeout);
		ck_assert_uint_eq(config->endpoints[0]->policy.on_network_error, policy.on_network_error);
		ck_assert_int_eq(config->endpoints[0]->policy.hold_on_auth_error, policy.hold_on_auth_error);
		ck_assert_int_eq(
			memcmp(config->endpoints[0]->policy.actions, policy.actions, sizeof(policy.actions)),
			0);
		config_free(config);
	}
}
END_TEST

START_TEST(which_endpoints_exist)
{
	struct config *config = loading_good(
		"[endpoint b]\nbase_url=https://b\n[endpoint a.1_-]\nbase_url=https://a\n");

	ck_assert_uint_eq(config->n_endpoints, 2);
	ck_assert_str_eq(config->endpoints[0]->name, "b");
	ck_assert_str_eq(config->endpoints[1]->name, "a.1_-");
	config_free(config);

	/* A section without a line is an endpoint, too, and a section may come again. */
	config = loading_good("[endpoint  default]\n[daemon]\n[endpoint default]\nmax_in_flight=5\n");
	ck_assert_uint_eq(config->n_endpoints, 1);
	ck_assert_uint_eq(config->endpoints[0]->max_in_flight, 5);
	config_free(config);

	/* Only `default` is known to be somewhere. */
	ck_assert_str_eq(loading_bad("\n[endpoint b]\n"),
			 ":2: [endpoint b] base_url: missing; only the endpoint \"default\" has a default");
}
END_TEST

START_TEST(names)
{
	static const char *const bad[] = {
		"",    "a b",      "a/b",
		"a\"", "\xc3\xa4", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	static const char longest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaB";
	struct config *config;
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(text, sizeof(text), "[endpoint %s]\n", bad[i]);
		ck_assert_ptr_nonnull(strstr(loading_bad(text), "is no name for an endpoint"));
	}
	/* libinih keeps 49 bytes of a section's name; these two would be one. */
	snprintf(text, sizeof(text),
		 "[endpoint %s]\nbase_url=https://b\n[endpoint %.63sC]\nbase_url=https://c\n", longest,
		 longest);
	config = loading_good(text);
	ck_assert_uint_eq(config->n_endpoints, 2);
	ck_assert_str_eq(config->endpoints[0]->name, longest);
	ck_assert_str_eq(config->endpoints[0]->base_url, "https://b");
	ck_assert_str_eq(config->endpoints[1]->base_url, "https://c");
	config_free(config);
}
END_TEST

START_TEST(base_url_from_the_environment)
{
	struct config *config;

	setenv("TINKER_BASE_URL", "https://env.example/x/", 1);
	config = loading_good("");
	ck_assert_str_eq(config->endpoints[0]->base_url, "https://env.example/x");
	ck_assert_str_eq(loading_origin(config, config->endpoints[0], "base_url"), "$TINKER_BASE_URL");
	config_free(config);

	config = loading_good("[endpoint default]\nbase_url=https://file.example\n");
	ck_assert_str_eq(config->endpoints[0]->base_url, "https://file.example");
	config_free(config);

	/* It is nobody else's. */
	ck_assert_ptr_nonnull(strstr(loading_bad("[endpoint b]\n"), "base_url: missing"));

	setenv("TINKER_BASE_URL", "http://env.example", 1);
	ck_assert_ptr_eq(
		strstr(loading_bad(""),
		       "$TINKER_BASE_URL: [endpoint default] base_url: \"http://env.example\" would"),
		loading_bad(""));
	setenv("TINKER_BASE_URL", "nonsense", 1);
	ck_assert_str_eq(loading_bad(""), "$TINKER_BASE_URL: [endpoint default] base_url: \"nonsense\" does "
					  "not begin with a known scheme");
	setenv("TINKER_BASE_URL", "", 1);
	config = loading_good("");
	ck_assert_str_eq(config->endpoints[0]->base_url,
			 "https://tinker.thinkingmachines.dev/services/tinker-prod");
	config_free(config);
}
END_TEST

START_TEST(plain_http)
{
	static const char *const far[] = {
		"http://a.example", "http://128.0.0.1",           "http://10.0.0.1",
		"http://[::2]",     "http://localhost.a.example", "HTTP://a.example",
		"http://0.0.0.0",   "http://[::ffff:10.0.0.1]"};
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(far); i++) {
		snprintf(text, sizeof(text), "[endpoint default]\nbase_url=%s\n", far[i]);
		ck_assert_ptr_nonnull(
			strstr(loading_bad(text), "would send the API key over the network unencrypted"));
		snprintf(text, sizeof(text), "[endpoint default]\nallow_plain_http=yes\nbase_url=%s\n",
			 far[i]);
		config_free(loading_good(text));
	}
	/* A proxy hears everything that is not encrypted, wherever it goes. */
	ck_assert_ptr_nonnull(
		strstr(loading_bad("[endpoint default]\nbase_url=http://127.0.0.1\nproxy=http://p\n"),
		       ":3: [endpoint default] proxy: \"http://p\" would be told the API key"));
	config_free(loading_good("[endpoint default]\nbase_url=https://a.example\nproxy=http://p\n"));
	/* What it says of a proxy does not show its password. */
	ck_assert_ptr_null(strstr(
		loading_bad("[endpoint default]\nbase_url=http://127.0.0.1\nproxy=http://u:hunter2@p\n"),
		"hunter2"));
}
END_TEST

START_TEST(backoff_min_on_this_host_only)
{
	struct config *config = loading_good(
		"[endpoint default]\nbase_url=http://127.0.0.1\nbackoff_min=0\n");

	ck_assert_int_eq(config->endpoints[0]->policy.backoff_min, 0);
	config_free(config);
	config_free(loading_good("[endpoint default]\nbackoff_min=100ms\n"));
	ck_assert_str_eq(loading_bad("[endpoint default]\nbackoff_min=10ms\n"),
			 ":2: [endpoint default] backoff_min: \"10ms\" is for a server on this host only; "
			 "write 100ms or "
			 "more");
}
END_TEST

/* Key files. */

static const struct {
	mode_t mode;
	bool by_root, by_user;
} modes[] = {
	{0600, true, true},   {0400, true, true},   {0640, true, false},  {0440, true, false},
	{0644, false, false}, {0604, false, false}, {0660, false, false}, {0620, false, false},
	{0602, false, false}, {0601, false, false}, {0610, false, false}, {0666, false, false},
	{0777, false, false},
};

static void check_key_files(bool root)
{
	char text[512], expected[512];

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		const char *path = scratch_write("api.key", modes[i].mode, "tml-secret\n");

		snprintf(text, sizeof(text), "[endpoint default]\napi_key_file = %s\n", path);
		if (root ? modes[i].by_root : modes[i].by_user) {
			config_free(loading_good(text));
		} else {
			snprintf(expected, sizeof(expected),
				 ":2: [endpoint default] api_key_file: \"%s\" has mode %04o: others can read "
				 "or change it; chmod 600 %s",
				 path, modes[i].mode, path);
			ck_assert_str_eq(loading_bad(text), expected);
		}
		unlink(path);
	}
}

START_TEST(key_file_of_root)
{
	if (geteuid() == 0)
		check_key_files(true);
}
END_TEST

START_TEST(key_file_of_a_user)
{
	scratch_drop_root();
	check_key_files(false);
}
END_TEST

START_TEST(key_file_of_somebody_else)
{
	const char *path = scratch_write("api.key", 0600, "tml-secret\n");
	char text[512];

	snprintf(text, sizeof(text), "[endpoint default]\napi_key_file = %s\n", path);
	if (geteuid() == 0) {
		/* Neither root's nor ours... */
		ck_assert_int_eq(chown(path, 54321, 0), 0);
		ck_assert_ptr_nonnull(strstr(loading_bad(text), "belongs to uid 54321"));
		/* ... or root's, which a user cannot read. */
		ck_assert_int_eq(chown(path, 0, 0), 0);
		scratch_drop_root();
		unlink(scratch_path("t.conf"));
		ck_assert_ptr_nonnull(strstr(loading_bad(text), "cannot be read: Permission denied"));
	}
}
END_TEST

START_TEST(no_file_of_any_kind_blocks)
{
	const char *path = scratch_path("fifo");
	char text[512];

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	snprintf(text, sizeof(text), "[endpoint default]\napi_key_file = %s\n", path);
	ck_assert_ptr_nonnull(strstr(loading_bad(text), "is no regular file"));
}
END_TEST

/* Headers. */

static const struct {
	const char *line, *header, *why;
} headers[] = {
	{"CF-Access-Client-Id: abc.access", "CF-Access-Client-Id: abc.access", NULL},
	{"X-A:b", "X-A: b", NULL},
	{"X-A:   b c  ", "X-A: b c", NULL},
	{"X-A: b: c = d;e", "X-A: b: c = d;e", NULL},
	{"X-A: b ; a comment", "X-A: b", NULL},
	{"Authorization: Basic dTpw", "Authorization: Basic dTpw", NULL},
	{"X-Tinkerer: x", "X-Tinkerer: x", NULL},
	{"!#$%&'*+-.^_`|~09: x", "!#$%&'*+-.^_`|~09: x", NULL},
	{": x", NULL, "is not \"Name: value\""},
	{"X A: b", NULL, "is not \"Name: value\""},
	{"X-A : b", NULL, "is not \"Name: value\""},
	{"X\tA: b", NULL, "is not \"Name: value\""},
	{"X-\xc3\xa4: b", NULL, "is not \"Name: value\""},
	{"X@A: b", NULL, "is not \"Name: value\""},
	{"X-A:", NULL, "has nothing behind its name"},
	{"X-A: a\rX-B: c", NULL, "has a control character behind its name"},
	{"X-A: a\x01", NULL, "has a control character behind its name"},
	{"X-A: a\tb", NULL, "has a control character behind its name"},
	{"X-A: a\x7f", NULL, "has a control character behind its name"},
	{"X-API-Key: tml-1", NULL, "sets the header X-API-Key, which the daemon writes itself"},
	{"x-api-key: tml-1", NULL, "which the daemon writes itself"},
	{"Content-Type: a", NULL, "which the daemon writes itself"},
	{"content-length: 0", NULL, "which the daemon writes itself"},
	{"Host: evil", NULL, "which the daemon writes itself"},
	{"Accept: a", NULL, "which the daemon writes itself"},
	{"Accept-Encoding: gzip", NULL, "which the daemon writes itself"},
	{"User-Agent: a", NULL, "which the daemon writes itself"},
	{"Transfer-Encoding: chunked", NULL, "which the daemon writes itself"},
	{"Connection: close", NULL, "which the daemon writes itself"},
	{"Expect: 100-continue", NULL, "which the daemon writes itself"},
	{"X-Tinker-Request-Type: a", NULL, "which the daemon writes itself"},
	{"x-tinker-anything: a", NULL, "which the daemon writes itself"},
};

START_TEST(extra_headers)
{
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		snprintf(text, sizeof(text), "[endpoint default]\nextra_header = %s\n", headers[i].line);
		if (headers[i].header) {
			struct config *config = loading_good(text);

			ck_assert_str_eq(config->endpoints[0]->extra_headers[0], headers[i].header);
			ck_assert_ptr_null(config->endpoints[0]->extra_headers[1]);
			config_free(config);
		} else {
			const char *message = loading_bad(text);

			ck_assert_msg(strstr(message, headers[i].why) != NULL, "%s: %s", headers[i].line,
				      message);
			/* A value may be a secret: it is not repeated. */
			ck_assert_ptr_null(strstr(message, "tml-"));
		}
	}
}
END_TEST

START_TEST(lists_add_up_and_are_forgotten)
{
	struct config *config = loading_good(
		"[endpoint default]\nextra_header=A: 1\nallow_users=1\nextra_header=B: 2\n"
		"extra_header=A: 3\nallow_users=2 3\n");
	const struct config_endpoint *endpoint = config->endpoints[0];

	ck_assert_str_eq(endpoint->extra_headers[0], "A: 1");
	ck_assert_str_eq(endpoint->extra_headers[1], "B: 2");
	ck_assert_str_eq(endpoint->extra_headers[2], "A: 3");
	ck_assert_ptr_null(endpoint->extra_headers[3]);
	ck_assert_str_eq(loading_shown(config, endpoint, "allow_users"), "1, 2, 3");
	ck_assert_ptr_nonnull(strstr(loading_origin(config, endpoint, "allow_users"), "t.conf:3, "));
	config_free(config);

	config = loading_good(
		"[endpoint default]\nextra_header=A: 1\nextra_header=\nextra_header=B: 2\nallow_users=1\n"
		"allow_users=\n");
	endpoint = config->endpoints[0];
	ck_assert_str_eq(endpoint->extra_headers[0], "B: 2");
	ck_assert_ptr_null(endpoint->extra_headers[1]);
	ck_assert_uint_eq(endpoint->n_users, 0);
	config_free(config);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {own_settings_beat_the_profile_wherever_it_stands,
				      profiles_are_those_of_the_policy,
				      which_endpoints_exist,
				      names,
				      base_url_from_the_environment,
				      plain_http,
				      backoff_min_on_this_host_only,
				      key_file_of_root,
				      key_file_of_a_user,
				      key_file_of_somebody_else,
				      no_file_of_any_kind_blocks,
				      extra_headers,
				      lists_add_up_and_are_forgotten};

	return SCRATCH_RUN("config_endpoint", tests);
}
