/*
 * The table of configuration keys: for each its section, type, bounds, default, help, and where its value
 * lives. Reading, checking, --check-config and the check of the example file all go by it.
 */
#ifndef TINKEX_SYS_CONFIG_KEY_H
#define TINKEX_SYS_CONFIG_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "proto/attributes.h"

enum config_scope { CONFIG_DAEMON, CONFIG_LIMITS, CONFIG_ENDPOINT };

struct config_key;

/* A word that a choice accepts, and what it stands for. */
struct config_choice {
	const char *name;
	unsigned value;
};

/* How a kind of value is read, shown and freed. `target` is the struct config, or the struct config_endpoint
 * for keys of CONFIG_ENDPOINT. */
struct config_type {
	/* 0, or a negative errno with a fragment in *ret_reason that goes on after the value ("has no unit;
	 * write
	 * ..."), freed by the caller. `text` is not empty. The old value is freed; a list is appended to. */
	int (*set)(const struct config_key *key, void *target, const char *text, char **ret_reason);
	/* The value as it would be written, secrets masked; a new string. Lists that take several lines: that
	 * of line `line`, NULL behind the last; others are asked for line 0 only. "" is no value. */
	char *(*show)(const struct config_key *key, const void *target, size_t line);
	/* Back to no value; NULL where there is nothing to free, and an empty text is refused. */
	void (*clear)(const struct config_key *key, void *target);
	bool list; /* repeated lines add up */
};

struct config_key {
	const char *name;
	enum config_scope scope;
	const struct config_type *type;
	size_t offset, width;                /* of the member in its struct, bytes */
	size_t count_offset;                 /* of a list's number of items */
	uint64_t min, max;                   /* of counts, sizes (bytes) and durations (microseconds) */
	const struct config_choice *choices; /* ends with a NULL name */
	const char
		*fallback; /* the default as it would be written; NULL: no value, or found out at run time */
	bool profiled;     /* the default is the profile's */
	bool secret;       /* the value is not shown in errors */
	const char *help;  /* a sentence or two for people */
};

/* All keys, in the order in which people should see them; *ret_n of them. */
const struct config_key *config_keys(size_t *ret_n);
/* NULL if there is none of that name in that section. */
const struct config_key *config_key_find(enum config_scope scope, const char *name);
/* Reads `text` into the target. 0, or a negative errno with a sentence in *ret_reason (freed by the caller)
 * that names the value, if it is no secret. An empty text takes an optional value away and empties a list. */
_must_check_ int config_key_set(const struct config_key *key, void *target, const char *text,
				char **ret_reason);
void config_key_clear(const struct config_key *key, void *target);

extern const struct config_type config_type_count, config_type_size, config_type_duration, config_type_choice,
	config_type_mode, config_type_name, config_type_path, config_type_socket, config_type_readable_file,
	config_type_secret_file, config_type_base_url, config_type_proxy, config_type_group,
	config_type_users, config_type_groups, config_type_headers;

#endif
