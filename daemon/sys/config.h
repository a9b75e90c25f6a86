/*
 * The configuration: one table of keys drives reading, checking, --check-config, and the documentation check.
 * Later sources win: default, FILE, FILE.d/(*).conf in order, $TINKEXD_SOCKET, command line. A default may
 * come from the environment, too ($TINKER_BASE_URL, $STATE_DIRECTORY, $XDG_RUNTIME_DIR, $XDG_STATE_HOME): a
 * file beats it. Reading touches files and the environment; what comes out is plain data.
 */
#ifndef TINKEX_SYS_CONFIG_H
#define TINKEX_SYS_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "core/policy.h"
#include "log.h"

struct config_endpoint {
	char *name;
	char *base_url;            /* checked, without trailing slashes */
	char *api_key_file;        /* NULL: none */
	char *api_key_credential;  /* a name below $CREDENTIALS_DIRECTORY */
	bool key_from_environment; /* `default` only: $TINKER_API_KEY may serve */
	enum profile_name profile;
	struct policy policy;    /* the profile with this section's own settings */
	int64_t connect_timeout; /* microseconds, as all durations */
	int64_t max_body_time, max_age;
	uint32_t max_in_flight, max_connections;
	char *ca_file; /* NULL: the system's */
	char *proxy;   /* NULL: none */
	bool allow_plain_http;
	char **extra_headers; /* "Name: value", checked; NULL-terminated; may be NULL */
	uid_t *users;
	size_t n_users;
	gid_t *groups;
	size_t n_groups;
};

struct config {
	char *file; /* what was read; NULL: none existed */
	char *socket;
	mode_t socket_mode;
	gid_t socket_group; /* (gid_t)-1: leave */
	char *state_dir;
	enum log_level log_level;
	uint32_t max_peers, max_peers_per_uid, max_registrations_per_uid;
	uint64_t max_peer_memory, inline_result_bytes, max_result_bytes, inflight_result_bytes,
		max_stored_bytes, max_stored_bytes_per_uid;
	int64_t retention, retention_delivered;
	uint32_t event_ring;
	struct config_endpoint **endpoints;
	size_t n_endpoints;
	struct config_origin *origins; /* private: where each value came from */
};

/* What the command line says; NULL: not given. */
struct config_arguments {
	const char *file, *socket, *state_dir, *log_level;
};

/* Reads everything. 0; or a negative errno with one line for people in `ret_message` (file:line: key: what is
 * wrong, with which value, what to do). Both are freed by the caller. */
int config_load(const struct config_arguments *arguments, struct config **ret_config, char **ret_message);
struct config *config_free(struct config *config);
/* The effective configuration, a line a key with its origin behind it; secrets masked. */
void config_print(const struct config *config, FILE *out);

#endif
