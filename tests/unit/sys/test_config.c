/* Every key of the table: what it takes, what it refuses and with which words, and where its value goes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loading.h"
#include "scratch.h"
#include "sys/config_key.h"

#define GROUP_MAX "4294967294"

/* `shown` NULL: refused, with a message that has `why` in it. */
static const struct {
	const char *section, *key, *value, *shown, *why;
} cases[] = {
	{"daemon", "socket", "/x/y.sock", "/x/y.sock", NULL},
	{"daemon", "socket", "y.sock", NULL, "\"y.sock\" is not an absolute path"},
	{"daemon", "socket", "/x #y", NULL, "has a # in it"},
	{"daemon", "socket_mode", "0660", "0660", NULL},
	{"daemon", "socket_mode", "666", "0666", NULL},
	{"daemon", "socket_mode", "0888", NULL, "\"0888\" is not a file mode"},
	{"daemon", "socket_mode", "", NULL, "the value is missing"},
	{"daemon", "socket_group", "root", "0", NULL},
	{"daemon", "socket_group", "12", "12", NULL},
	{"daemon", "socket_group", GROUP_MAX, GROUP_MAX, NULL},
	{"daemon", "socket_group", "", "", NULL},
	{"daemon", "socket_group", "4294967295", NULL, "too large for a group"},
	{"daemon", "socket_group", "no such group", NULL, "not the name of a group"},
	{"daemon", "state_dir", "/var/x", "/var/x", NULL},
	{"daemon", "state_dir", "~/x", NULL, "is not an absolute path"},
	{"daemon", "log_level", "error", "error", NULL},
	{"daemon", "log_level", "debug", "debug", NULL},
	{"daemon", "log_level", "verbose", NULL, "is not one of error, warning, info, debug"},
	{"daemon", "log_level", "Info", NULL, "is not one of"},

	{"limits", "max_peers", "1", "1", NULL},
	{"limits", "max_peers", "1000000", "1000000", NULL},
	{"limits", "max_peers", "0", NULL, "is out of range; write 1 to 1000000"},
	{"limits", "max_peers", "1000001", NULL, "is out of range"},
	{"limits", "max_peers", "4294967297", NULL, "is out of range"}, /* would be 1 in 32 bits */
	{"limits", "max_peers", "many", NULL, "\"many\" is not a number"},
	{"limits", "max_peers_per_uid", "7", "7", NULL},
	{"limits", "max_peers_per_uid", "0", NULL, "out of range"},
	{"limits", "max_peer_memory", "1M", "1M", NULL},
	{"limits", "max_peer_memory", "1048575", NULL, "is out of range; write 1M to 1T"},
	{"limits", "max_registrations_per_uid", "100000000", "100000000", NULL},
	{"limits", "max_registrations_per_uid", "100000001", NULL, "out of range"},
	{"limits", "max_registrations_per_uid", "-1", NULL, "is not a number"},
	{"limits", "inline_result_bytes", "0", "0", NULL},
	{"limits", "inline_result_bytes", "65536", "64K", NULL},
	{"limits", "inline_result_bytes", "64k", NULL, "has an unknown unit"},
	{"limits", "inline_result_bytes", "65M", NULL, "out of range"},
	{"limits", "max_result_bytes", "1", "1", NULL},
	{"limits", "max_result_bytes", "0", NULL, "out of range"},
	{"limits", "inflight_result_bytes", "50M", "50M", NULL},
	{"limits", "inflight_result_bytes", "0", NULL, "out of range"},
	{"limits", "retention", "30d", "30d", NULL},
	{"limits", "retention", "7", NULL, "\"7\" has no unit; write 500ms, 30s, 5m, 24h or 7d"},
	{"limits", "retention", "0", NULL, "is out of range; write 1s to 3650d"},
	{"limits", "retention", "3651d", NULL, "out of range"},
	{"limits", "retention_delivered", "90m", "90m", NULL},
	{"limits", "retention_delivered", "999ms", NULL, "out of range"},
	{"limits", "max_stored_bytes", "20G", "20G", NULL},
	{"limits", "max_stored_bytes", "99999999999T", NULL, "is too large"},
	{"limits", "max_stored_bytes_per_uid", "1T", "1T", NULL},
	{"limits", "max_stored_bytes_per_uid", "one", NULL, "is not a size"},
	{"limits", "event_ring", "16", "16", NULL},
	{"limits", "event_ring", "15", NULL, "out of range"},

	{"endpoint default", "base_url", "https://a.example/b", "https://a.example/b", NULL},
	{"endpoint default", "base_url", "https://a.example/b///", "https://a.example/b", NULL},
	{"endpoint default", "base_url", "https://a.example:8443/", "https://a.example:8443", NULL},
	{"endpoint default", "base_url", "http://127.0.0.1:80", "http://127.0.0.1:80", NULL},
	{"endpoint default", "base_url", "http://[::1]:80/x", "http://[::1]:80/x", NULL},
	{"endpoint default", "base_url", "http://localhost", "http://localhost", NULL},
	{"endpoint default", "base_url", "a.example", NULL, "does not begin with a known scheme"},
	{"endpoint default", "base_url", "socks5://a.example", NULL,
	 "is neither an https:// nor an http:// URL"},
	{"endpoint default", "base_url", "https://u:p@a.example", NULL, "has a user name in it"},
	{"endpoint default", "base_url", "https://a.example/?k=v", NULL, "has a ? or # in it"},
	{"endpoint default", "base_url", "https://a.example/#f", NULL, "has a ? or # in it"},
	{"endpoint default", "base_url", "https:///b", NULL, "has no host"},
	{"endpoint default", "base_url", "https://a.example:99999", NULL, "has a bad port"},
	{"endpoint default", "base_url", "http://a.example", NULL, "would send the API key over the network"},
	{"endpoint default", "allow_plain_http", "yes", "yes", NULL},
	{"endpoint default", "allow_plain_http", "true", NULL, "\"true\" is not one of yes, no"},
	{"endpoint default", "api_key_file", "/nonexistent/tinker.key", "/nonexistent/tinker.key", NULL},
	{"endpoint default", "api_key_file", "tinker.key", NULL, "is not an absolute path"},
	{"endpoint default", "api_key_file", "/etc", NULL, "is no regular file"},
	{"endpoint default", "api_key_credential", "other-key", "other-key", NULL},
	{"endpoint default", "api_key_credential", "../x", NULL, "is not a plain file name"},
	{"endpoint default", "api_key_credential", "..", NULL, "is not a plain file name"},
	{"endpoint default", "profile", "guide", "guide", NULL},
	{"endpoint default", "profile", "skyrl", "skyrl", NULL},
	{"endpoint default", "profile", "best", NULL, "is not one of durable, guide, sdk, skyrl"},
	{"endpoint default", "on_network_error", "fail", "fail", NULL},
	{"endpoint default", "on_network_error", "ignore", NULL, "is not one of fail, retry"},
	{"endpoint default", "on_server_failure", "fail", "fail", NULL},
	{"endpoint default", "on_server_failure", "hold", NULL, "is not one of fail, retry"},
	{"endpoint default", "on_auth_error", "fail", "fail", NULL},
	{"endpoint default", "on_auth_error", "retry", NULL, "is not one of hold, fail"},
	{"endpoint default", "auth_grace", "0", "0", NULL},
	{"endpoint default", "auth_grace", "10", NULL, "has no unit"},
	{"endpoint default", "http_timeout", "1ms", "1ms", NULL},
	{"endpoint default", "http_timeout", "0", NULL, "is out of range; write 1ms to 24h"},
	{"endpoint default", "connect_timeout", "2s", "2s", NULL},
	{"endpoint default", "connect_timeout", "61m", NULL, "out of range"},
	{"endpoint default", "max_body_time", "2h", "2h", NULL},
	{"endpoint default", "max_body_time", "0", NULL, "out of range"},
	{"endpoint default", "max_age", "1s", "1s", NULL},
	{"endpoint default", "max_age", "never", NULL, "is not a duration"},
	{"endpoint default", "backoff_initial", "0", "0", NULL},
	{"endpoint default", "backoff_initial", "31s", NULL, "is longer than backoff_max"},
	{"endpoint default", "backoff_max", "1h", "1h", NULL},
	{"endpoint default", "backoff_max", "25h", NULL, "out of range"},
	{"endpoint default", "backoff_min", "1s", "1s", NULL},
	{"endpoint default", "backoff_min", "99ms", NULL, "is for a server on this host only"},
	{"endpoint default", "max_in_flight", "100000", "100000", NULL},
	{"endpoint default", "max_in_flight", "0", NULL, "out of range"},
	{"endpoint default", "max_connections", "1", "1", NULL},
	{"endpoint default", "max_connections", "10001", NULL, "out of range"},
	{"endpoint default", "ca_file", "/etc/passwd", "/etc/passwd", NULL},
	{"endpoint default", "ca_file", "/nonexistent/ca.pem", NULL, "cannot be read: No such file"},
	{"endpoint default", "proxy", "http://proxy.example:3128", "http://proxy.example:3128", NULL},
	{"endpoint default", "proxy", "socks5h://user:pass@proxy:1/", "socks5h://***@proxy:1/", NULL},
	{"endpoint default", "proxy", "proxy:3128", NULL, "proxy: the value does not begin with"},
	{"endpoint default", "proxy", "http://proxy/path", NULL, "has something behind host and port"},
	{"endpoint default", "extra_header", "X-A: secret", "X-A: ***", NULL},
	{"endpoint default", "extra_header", "X-A", NULL, "extra_header: the value is not \"Name: value\""},
	{"endpoint default", "allow_users", "root", "0", NULL},
	{"endpoint default", "allow_users", "0,1, 2 3", "0, 1, 2, 3", NULL},
	{"endpoint default", "allow_users", "", "", NULL},
	{"endpoint default", "allow_users", "root,no-such-user", NULL,
	 "has \"no-such-user\", which is not the name of a user"},
	{"endpoint default", "allow_users", "4294967295", NULL, "too large for a user"},
	{"endpoint default", "allow_groups", "root 7", "0, 7", NULL},
	{"endpoint default", "allow_groups", "no-such-group", NULL, "not the name of a group"},
};

START_TEST(takes_and_refuses)
{
	char text[512], expected[128];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(text, sizeof(text), "\n[%s]\n%s = %s\n", cases[i].section, cases[i].key,
			 cases[i].value);
		if (cases[i].shown) {
			struct config *config = loading_good(text);
			const struct config_endpoint *endpoint = strncmp(cases[i].section, "endpoint", 8) == 0
									 ? config->endpoints[0]
									 : NULL;

			ck_assert_msg(strcmp(loading_shown(config, endpoint, cases[i].key), cases[i].shown) ==
					      0,
				      "%s = %s: %s", cases[i].key, cases[i].value,
				      loading_shown(config, endpoint, cases[i].key));
			ck_assert_str_eq(loading_origin(config, endpoint, cases[i].key), "t.conf:3");
			config_free(config);
		} else {
			const char *message = loading_bad(text);

			snprintf(expected, sizeof(expected), ":3: [%s] %s: ", cases[i].section, cases[i].key);
			ck_assert_msg(strncmp(message, expected, strlen(expected)) == 0, "%s", message);
			ck_assert_msg(strstr(message, cases[i].why) != NULL, "%s: not \"%s\"", message,
				      cases[i].why);
		}
	}
}
END_TEST

START_TEST(no_key_is_untested)
{
	static const char *const sections[] = {"daemon", "limits", "endpoint default"};
	size_t n;
	const struct config_key *keys = config_keys(&n);

	ck_assert_uint_gt(n, 30);
	for (size_t k = 0; k < n; k++) {
		unsigned good = 0, bad = 0;

		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			if (strcmp(cases[i].key, keys[k].name) != 0 ||
			    strcmp(cases[i].section, sections[keys[k].scope]) != 0)
				continue;
			good += cases[i].shown != NULL;
			bad += cases[i].shown == NULL;
		}
		ck_assert_msg(good && bad, "%s: %u good, %u bad", keys[k].name, good, bad);
		ck_assert_msg(keys[k].help && keys[k].type->set && keys[k].type->show, "%s", keys[k].name);
		ck_assert_ptr_eq(config_key_find(keys[k].scope, keys[k].name), &keys[k]);
	}
}
END_TEST

START_TEST(defaults)
{
	struct config *config = loading_good("");
	const struct config_endpoint *endpoint = config->endpoints[0];

	ck_assert_uint_eq(config->socket_mode, 0600);
	ck_assert_uint_eq(config->socket_group, (gid_t)-1);
	ck_assert_uint_eq(config->log_level, LOG_LEVEL_INFO);
	ck_assert_uint_eq(config->max_peers, 16384);
	ck_assert_uint_eq(config->max_registrations_per_uid, 100000);
	ck_assert_uint_eq(config->max_peer_memory, 256 << 20);
	ck_assert_uint_eq(config->inline_result_bytes, 64 << 10);
	ck_assert_uint_eq(config->max_result_bytes, 1 << 30);
	ck_assert_uint_eq(config->inflight_result_bytes, 50 << 20);
	ck_assert_int_eq(config->retention, INT64_C(7) * 86400 * 1000000);
	ck_assert_int_eq(config->retention_delivered, INT64_C(86400) * 1000000);
	ck_assert_uint_eq(config->max_stored_bytes, UINT64_C(10) << 30);
	ck_assert_uint_eq(config->event_ring, 65536);
	ck_assert_uint_eq(config->n_endpoints, 1);
	ck_assert_str_eq(endpoint->name, "default");
	ck_assert_str_eq(endpoint->base_url, "https://tinker.thinkingmachines.dev/services/tinker-prod");
	ck_assert_ptr_null(endpoint->api_key_file);
	ck_assert_str_eq(endpoint->api_key_credential, "tinker-api-key");
	ck_assert(endpoint->key_from_environment);
	ck_assert_uint_eq(endpoint->profile, PROFILE_DURABLE);
	ck_assert_int_eq(endpoint->connect_timeout, 10000000);
	ck_assert_int_eq(endpoint->max_body_time, INT64_C(3600000000));
	ck_assert_int_eq(endpoint->max_age, INT64_C(7) * 86400 * 1000000);
	ck_assert_uint_eq(endpoint->max_in_flight, 1000);
	ck_assert_uint_eq(endpoint->max_connections, 64);
	ck_assert(!endpoint->allow_plain_http);
	ck_assert_ptr_null(endpoint->extra_headers);
	ck_assert_uint_eq(endpoint->n_users + endpoint->n_groups, 0);
	config_free(config);
}
END_TEST

START_TEST(values_go_where_they_belong)
{
	struct config *config = loading_good(
		"[daemon]\nsocket=/s\nsocket_mode=0640\nsocket_group=5\nstate_dir=/d\nlog_level=warning\n"
		"[limits]\nmax_peers=2\nmax_peers_per_uid=3\nmax_registrations_per_uid=4\nmax_peer_memory="
		"5M\n"
		"inline_result_bytes=6\nmax_result_bytes=7\ninflight_result_bytes=8\nmax_stored_bytes=9\n"
		"max_stored_bytes_per_uid=10\nretention=11s\nretention_delivered=12s\nevent_ring=17\n"
		"[endpoint e]\nbase_url=http://127.0.0.1/u\nprofile=sdk\non_network_error=fail\n"
		"on_server_failure=retry\non_auth_error=hold\nauth_grace=13s\nhttp_timeout=14s\n"
		"connect_timeout=15s\nmax_body_time=16s\nmax_age=17s\nbackoff_initial=18ms\nbackoff_max="
		"19ms\n"
		"backoff_min=1ms\nmax_in_flight=20\nmax_connections=21\nca_file=/etc/passwd\n"
		"allow_plain_http=yes\nproxy=http://p\nextra_header=A: b\nextra_header=C:  d e \n"
		"allow_users=22,23\nallow_groups=24\napi_key_file=/nonexistent/k\napi_key_credential=c\n");
	const struct config_endpoint *endpoint = config->endpoints[0];

	ck_assert_str_eq(config->socket, "/s");
	ck_assert_uint_eq(config->socket_mode, 0640);
	ck_assert_uint_eq(config->socket_group, 5);
	ck_assert_str_eq(config->state_dir, "/d");
	ck_assert_uint_eq(config->log_level, LOG_LEVEL_WARNING);
	ck_assert_uint_eq(config->max_peers, 2);
	ck_assert_uint_eq(config->max_peers_per_uid, 3);
	ck_assert_uint_eq(config->max_registrations_per_uid, 4);
	ck_assert_uint_eq(config->max_peer_memory, 5 << 20);
	ck_assert_uint_eq(config->inline_result_bytes, 6);
	ck_assert_uint_eq(config->max_result_bytes, 7);
	ck_assert_uint_eq(config->inflight_result_bytes, 8);
	ck_assert_uint_eq(config->max_stored_bytes, 9);
	ck_assert_uint_eq(config->max_stored_bytes_per_uid, 10);
	ck_assert_int_eq(config->retention, 11000000);
	ck_assert_int_eq(config->retention_delivered, 12000000);
	ck_assert_uint_eq(config->event_ring, 17);
	ck_assert_str_eq(endpoint->name, "e");
	ck_assert(!endpoint->key_from_environment);
	ck_assert_str_eq(endpoint->base_url, "http://127.0.0.1/u");
	ck_assert_uint_eq(endpoint->profile, PROFILE_SDK);
	ck_assert_uint_eq(endpoint->policy.on_network_error, ON_FAILURE_FAIL);
	ck_assert_uint_eq(endpoint->policy.on_server_failure, ON_FAILURE_RETRY);
	ck_assert(endpoint->policy.hold_on_auth_error);
	ck_assert_int_eq(endpoint->policy.auth_grace, 13000000);
	ck_assert_int_eq(endpoint->policy.http_timeout, 14000000);
	ck_assert_int_eq(endpoint->connect_timeout, 15000000);
	ck_assert_int_eq(endpoint->max_body_time, 16000000);
	ck_assert_int_eq(endpoint->max_age, 17000000);
	ck_assert_int_eq(endpoint->policy.backoff.initial, 18000);
	ck_assert_int_eq(endpoint->policy.backoff.max, 19000);
	ck_assert_int_eq(endpoint->policy.backoff_min, 1000);
	ck_assert_uint_eq(endpoint->max_in_flight, 20);
	ck_assert_uint_eq(endpoint->max_connections, 21);
	ck_assert_str_eq(endpoint->ca_file, "/etc/passwd");
	ck_assert(endpoint->allow_plain_http);
	ck_assert_str_eq(endpoint->proxy, "http://p");
	ck_assert_str_eq(endpoint->extra_headers[0], "A: b");
	ck_assert_str_eq(endpoint->extra_headers[1], "C: d e");
	ck_assert_ptr_null(endpoint->extra_headers[2]);
	ck_assert_uint_eq(endpoint->n_users, 2);
	ck_assert_uint_eq(endpoint->users[0], 22);
	ck_assert_uint_eq(endpoint->users[1], 23);
	ck_assert_uint_eq(endpoint->n_groups, 1);
	ck_assert_uint_eq(endpoint->groups[0], 24);
	ck_assert_str_eq(endpoint->api_key_file, "/nonexistent/k");
	ck_assert_str_eq(endpoint->api_key_credential, "c");
	config_free(config);
}
END_TEST

START_TEST(socket_path_fits_an_address)
{
	char text[256], path[128];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	snprintf(text, sizeof(text), "[daemon]\nsocket=%s\n", path);
	config_free(loading_good(text));
	path[107] = 'x';
	path[108] = '\0';
	snprintf(text, sizeof(text), "[daemon]\nsocket=%s\n", path);
	ck_assert_ptr_nonnull(strstr(loading_bad(text), "is longer than the 107 bytes"));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {takes_and_refuses, no_key_is_untested, defaults,
				      values_go_where_they_belong, socket_path_fits_an_address};

	return SCRATCH_RUN("config", tests);
}
