/*
 * The lines of all configuration files, in order, each with its section, its key of the table and where it
 * stands; not yet values. What an endpoint's lines mean depends on its profile, wherever that is named: so
 * all are read before any is applied.
 */
#ifndef TINKEX_SYS_CONFIG_SOURCE_H
#define TINKEX_SYS_CONFIG_SOURCE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "config_key.h"
#include "proto/attributes.h"

/* One [section] over all files. */
struct config_section {
	STAILQ_ENTRY(config_section) next;
	enum config_scope scope;
	char *name;           /* as it is written: "endpoint NAME" */
	const char *endpoint; /* NAME, into `name`; NULL: not an endpoint's */
	char *origin;         /* "FILE:LINE" where it stands first */
};

struct config_setting {
	STAILQ_ENTRY(config_setting) next;
	const struct config_key *key;
	const struct config_section *section;
	unsigned file; /* number of the file, from 1 */
	char *value, *origin;
};

struct config_source {
	STAILQ_HEAD(, config_section) sections; /* in the order in which they stand first */
	STAILQ_HEAD(, config_setting) settings;
	const struct config_section *current; /* while reading */
	unsigned files;
};

void config_source_init(struct config_source *source);
void config_source_release(struct config_source *source);

/* Reads FILE, which may be missing if it is not `needed`, then FILE.d/(*).conf in the order of their bytes.
 * *ret_found: FILE exists. Negative errno with a sentence in *ret_message (freed by the caller): a file
 * cannot be read, a line is neither section nor setting, a section or key is unknown or given twice in one
 * file. */
_must_check_ int config_source_read(struct config_source *source, const char *file, bool needed,
				    bool *ret_found, char **ret_message);

#endif
