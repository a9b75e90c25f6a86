#include "config_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "core/timers.h"

#define MSEC      ((uint64_t)USEC_PER_MSEC)
#define SEC       ((uint64_t)USEC_PER_SEC)
#define HOUR      (3600 * SEC)
#define DAY       (24 * HOUR)
#define DAYS_LONG (3650 * DAY)
#define KIB       UINT64_C(1024)
#define MIB       (KIB * KIB)
#define TIB       (MIB * MIB)

#define IN_CONFIG(member)                                                                                    \
	.offset = offsetof(struct config, member), .width = sizeof(((struct config *)NULL)->member)
#define IN_ENDPOINT(member)                                                                                  \
	.scope = CONFIG_ENDPOINT, .offset = offsetof(struct config_endpoint, member),                        \
	.width = sizeof(((struct config_endpoint *)NULL)->member)
#define COUNTED(member) .count_offset = offsetof(struct config_endpoint, member)

static const struct config_choice log_levels[] = {{"error", LOG_LEVEL_ERROR},
						  {"warning", LOG_LEVEL_WARNING},
						  {"info", LOG_LEVEL_INFO},
						  {"debug", LOG_LEVEL_DEBUG},
						  {0}};
static const struct config_choice profiles[] = {{"durable", PROFILE_DURABLE},
						{"guide", PROFILE_GUIDE},
						{"sdk", PROFILE_SDK},
						{"skyrl", PROFILE_SKYRL},
						{0}};
static const struct config_choice on_failure[] = {
	{"fail", ON_FAILURE_FAIL}, {"retry", ON_FAILURE_RETRY}, {0}};
static const struct config_choice hold_or_fail[] = {{"hold", true}, {"fail", false}, {0}};
static const struct config_choice yes_or_no[] = {{"yes", true}, {"no", false}, {0}};

static const struct config_key keys[] = {
	{.name = "socket",
	 .scope = CONFIG_DAEMON,
	 IN_CONFIG(socket),
	 .type = &config_type_socket,
	 .help = "The Unix socket that clients connect to. Default: /run/tinkexd/tinkexd.sock as root and as "
		 "a "
		 "system service, else $XDG_RUNTIME_DIR/tinkexd/tinkexd.sock, or "
		 "/tmp/tinkexd-UID/tinkexd.sock "
		 "without that folder. $TINKEXD_SOCKET and --socket win over this line."},
	{.name = "socket_mode",
	 .scope = CONFIG_DAEMON,
	 IN_CONFIG(socket_mode),
	 .type = &config_type_mode,
	 .fallback = "0600",
	 .help = "File mode of the socket, in octal: who may connect at all."},
	{.name = "socket_group",
	 .scope = CONFIG_DAEMON,
	 IN_CONFIG(socket_group),
	 .type = &config_type_group,
	 .help = "Group of the socket, a name or a number. Empty: the daemon's own."},
	{.name = "state_dir",
	 .scope = CONFIG_DAEMON,
	 IN_CONFIG(state_dir),
	 .type = &config_type_path,
	 .help = "Where state is kept; one daemon at a time. Default: $STATE_DIRECTORY, else "
		 "/var/lib/tinkexd as "
		 "root, else $XDG_STATE_HOME/tinkexd (~/.local/state/tinkexd). --state-dir wins over this "
		 "line."},
	{.name = "log_level",
	 .scope = CONFIG_DAEMON,
	 IN_CONFIG(log_level),
	 .type = &config_type_choice,
	 .choices = log_levels,
	 .fallback = "info",
	 .help = "What is written to stderr: error, warning, info or debug. --log-level wins over this "
		 "line."},

	{.name = "max_peers",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(max_peers),
	 .type = &config_type_count,
	 .min = 1,
	 .max = 1000000,
	 .fallback = "16384",
	 .help = "Connected local processes."},
	{.name = "max_peers_per_uid",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(max_peers_per_uid),
	 .type = &config_type_count,
	 .min = 1,
	 .max = 1000000,
	 .fallback = "4096",
	 .help = "Connected local processes of one user."},
	{.name = "max_peer_memory",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(max_peer_memory),
	 .type = &config_type_size,
	 .min = MIB,
	 .max = TIB,
	 .fallback = "256M",
	 .help = "Memory for what is queued to all connected processes together."},
	{.name = "max_registrations_per_uid",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(max_registrations_per_uid),
	 .type = &config_type_count,
	 .min = 1,
	 .max = 100000000,
	 .fallback = "100000",
	 .help = "Registered requests of one user, ended ones that were not acknowledged included."},
	{.name = "inline_result_bytes",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(inline_result_bytes),
	 .type = &config_type_size,
	 .max = 64 * MIB,
	 .fallback = "64K",
	 .help = "Results up to this size travel inside the reply; larger ones by descriptor to clients that "
		 "accept it."},
	{.name = "max_result_bytes",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(max_result_bytes),
	 .type = &config_type_size,
	 .min = 1,
	 .max = TIB,
	 .fallback = "1G",
	 .help = "The largest result that is accepted from a server; a larger one ends its request as a "
		 "validation error."},
	{.name = "inflight_result_bytes",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(inflight_result_bytes),
	 .type = &config_type_size,
	 .min = 1,
	 .max = TIB,
	 .fallback = "50M",
	 .help = "Announced results that are retrieved at the same time, in bytes. One that is larger still "
		 "comes, alone."},
	{.name = "retention",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(retention),
	 .type = &config_type_duration,
	 .min = SEC,
	 .max = DAYS_LONG,
	 .fallback = "7d",
	 .help = "How long an outcome is kept that nobody has collected."},
	{.name = "retention_delivered",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(retention_delivered),
	 .type = &config_type_duration,
	 .min = SEC,
	 .max = DAYS_LONG,
	 .fallback = "24h",
	 .help = "How long an outcome is kept that was collected but not acknowledged."},
	{.name = "max_stored_bytes",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(max_stored_bytes),
	 .type = &config_type_size,
	 .min = 1,
	 .max = 1024 * TIB,
	 .fallback = "10G",
	 .help = "Stored results of all users together. Beyond that, those that were collected go first; "
		 "then "
		 "nothing new is registered, and no new poll begins, until some are acknowledged."},
	{.name = "max_stored_bytes_per_uid",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(max_stored_bytes_per_uid),
	 .type = &config_type_size,
	 .min = 1,
	 .max = 1024 * TIB,
	 .fallback = "5G",
	 .help = "Stored results of one user. Beyond that the same holds for that user."},
	{.name = "event_ring",
	 .scope = CONFIG_LIMITS,
	 IN_CONFIG(event_ring),
	 .type = &config_type_count,
	 .min = 16,
	 .max = 16777216,
	 .fallback = "65536",
	 .help = "Past events that are kept for subscribers who come back. Without effect in this version."},

	{.name = "base_url",
	 IN_ENDPOINT(base_url),
	 .type = &config_type_base_url,
	 .help = "The server, with the path below which /api/v1 is found. Default, for the endpoint "
		 "\"default\" "
		 "only: $TINKER_BASE_URL, else https://tinker.thinkingmachines.dev/services/tinker-prod."},
	{.name = "allow_plain_http",
	 IN_ENDPOINT(allow_plain_http),
	 .type = &config_type_choice,
	 .choices = yes_or_no,
	 .fallback = "no",
	 .help = "Whether base_url may be http:// to another host than this one. The API key then crosses "
		 "the "
		 "network unencrypted."},
	{.name = "api_key_file",
	 IN_ENDPOINT(api_key_file),
	 .type = &config_type_secret_file,
	 .help = "The file that holds the API key, mode 0600 (or root's with 0640). It is watched: a new key "
		 "is "
		 "used at once. Without it the service credential below is used, and for the endpoint "
		 "\"default\" $TINKER_API_KEY after that."},
	{.name = "api_key_credential",
	 IN_ENDPOINT(api_key_credential),
	 .type = &config_type_name,
	 .fallback = "tinker-api-key",
	 .help = "The name of the key below $CREDENTIALS_DIRECTORY (LoadCredential= in a systemd unit)."},
	{.name = "profile",
	 IN_ENDPOINT(profile),
	 .type = &config_type_choice,
	 .choices = profiles,
	 .fallback = "durable",
	 .help = "What follows from each answer of the server: durable (goes on through whatever may pass), "
		 "guide "
		 "(the futures guide to the letter), sdk (as the Python SDK does), skyrl (for SkyRL's "
		 "server). It "
		 "gives the defaults of the lines marked with (profile)."},
	{.name = "on_network_error",
	 IN_ENDPOINT(policy.on_network_error),
	 .type = &config_type_choice,
	 .choices = on_failure,
	 .profiled = true,
	 .help = "What a network error does to a request: fail, or retry."},
	{.name = "on_server_failure",
	 IN_ENDPOINT(policy.on_server_failure),
	 .type = &config_type_choice,
	 .choices = on_failure,
	 .profiled = true,
	 .help = "What a failure that is not the user's fault does to a request: fail, or retry."},
	{.name = "on_auth_error",
	 IN_ENDPOINT(policy.hold_on_auth_error),
	 .type = &config_type_choice,
	 .choices = hold_or_fail,
	 .profiled = true,
	 .help = "What an answer 401 does: fail ends the request; hold pauses the endpoint until a better "
		 "key is "
		 "there, for as long as auth_grace."},
	{.name = "auth_grace",
	 IN_ENDPOINT(policy.auth_grace),
	 .type = &config_type_duration,
	 .max = DAYS_LONG,
	 .profiled = true,
	 .help = "How long requests wait for a better key before they fail."},
	{.name = "http_timeout",
	 IN_ENDPOINT(policy.http_timeout),
	 .type = &config_type_duration,
	 .min = MSEC,
	 .max = DAY,
	 .profiled = true,
	 .help = "How long a poll may be held by the server until its answer begins, and the longest silence "
		 "within an answer. skyrl: 330s."},
	{.name = "connect_timeout",
	 IN_ENDPOINT(connect_timeout),
	 .type = &config_type_duration,
	 .min = MSEC,
	 .max = HOUR,
	 .fallback = "10s",
	 .help = "How long name resolution, connection and TLS may take together."},
	{.name = "max_body_time",
	 IN_ENDPOINT(max_body_time),
	 .type = &config_type_duration,
	 .min = MSEC,
	 .max = 7 * DAY,
	 .fallback = "1h",
	 .help = "How long an answer that has begun may take to its end."},
	{.name = "max_age",
	 IN_ENDPOINT(max_age),
	 .type = &config_type_duration,
	 .min = SEC,
	 .max = DAYS_LONG,
	 .fallback = "7d",
	 .help = "How long a request is polled for that was registered without a deadline."},
	{.name = "backoff_initial",
	 IN_ENDPOINT(policy.backoff.initial),
	 .type = &config_type_duration,
	 .max = DAY,
	 .profiled = true,
	 .help = "The first wait between polls; it doubles with every further poll."},
	{.name = "backoff_max",
	 IN_ENDPOINT(policy.backoff.max),
	 .type = &config_type_duration,
	 .max = DAY,
	 .profiled = true,
	 .help = "The longest wait between polls."},
	{.name = "backoff_min",
	 IN_ENDPOINT(policy.backoff_min),
	 .type = &config_type_duration,
	 .max = HOUR,
	 .profiled = true,
	 .help = "No wait between polls is shorter, whatever a registration asks for. Less than 100ms only "
		 "for a "
		 "server on this host."},
	{.name = "max_in_flight",
	 IN_ENDPOINT(max_in_flight),
	 .type = &config_type_count,
	 .min = 1,
	 .max = 100000,
	 .fallback = "1000",
	 .help = "Polls that are out at the same time."},
	{.name = "max_connections",
	 IN_ENDPOINT(max_connections),
	 .type = &config_type_count,
	 .min = 1,
	 .max = 10000,
	 .fallback = "64",
	 .help = "Connections to the server. Over HTTP/1.1 each carries one poll at a time, over HTTP/2 "
		 "about a "
		 "hundred."},
	{.name = "ca_file",
	 IN_ENDPOINT(ca_file),
	 .type = &config_type_readable_file,
	 .help = "PEM file of the certificate authorities to trust. Empty: the system's."},
	{.name = "proxy",
	 IN_ENDPOINT(proxy),
	 .type = &config_type_proxy,
	 .secret = true,
	 .help = "http://, https:// or socks5h:// URL of a proxy. Empty: none; the environment's proxy "
		 "variables "
		 "are not looked at."},
	{.name = "extra_header",
	 IN_ENDPOINT(extra_headers),
	 .type = &config_type_headers,
	 .secret = true,
	 .help = "\"Name: value\", sent with every poll. Several lines add up, over all files; an empty one "
		 "forgets "
		 "those before it."},
	{.name = "allow_users",
	 IN_ENDPOINT(users),
	 COUNTED(n_users),
	 .type = &config_type_users,
	 .help = "Users who may use this endpoint, names or numbers with commas or spaces between; several "
		 "lines "
		 "add up. With allow_groups empty, too: everybody who can open the socket."},
	{.name = "allow_groups",
	 IN_ENDPOINT(groups),
	 COUNTED(n_groups),
	 .type = &config_type_groups,
	 .help = "Groups whose members may use this endpoint, in the same form."},
};

const struct config_key *config_keys(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(keys);
	return keys;
}

const struct config_key *config_key_find(enum config_scope scope, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (keys[i].scope == scope && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

int config_key_set(const struct config_key *key, void *target, const char *text, char **ret_reason)
{
	char *fragment = NULL;
	int r;

	if (!*text && !key->type->clear)
		return complain(ret_reason, -EINVAL, "the value is missing");
	if (!*text) {
		key->type->clear(key, target);
		return 0;
	}
	r = key->type->set(key, target, text, &fragment);
	if (r < 0 && key->secret)
		complain(ret_reason, r, "the value %s", fragment);
	else if (r < 0)
		complain(ret_reason, r, "\"%s\" %s", text, fragment);
	free(fragment);
	return r;
}

void config_key_clear(const struct config_key *key, void *target)
{
	if (key->type->clear)
		key->type->clear(key, target);
}
