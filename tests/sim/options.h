/* The command line of tinker-sim. */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "lifelike.h"

struct options {
	const char *listen;      /* "127.0.0.1:0" */
	const char *port_file;   /* NULL: none */
	const char *script_file; /* NULL: none */
	const char *base_path;   /* "" or "/some/prefix", no slash at its end */
	const char *require_key; /* NULL: any key and none */
	bool lifelike_mode;
	bool exit_with_parent;
	uint64_t record_limit; /* ended polls kept; 0: counters only */
	struct lifelike_options lifelike;
};

/* Fills *ret_options out of argv, whose strings it goes on using. 0; 1: --help was printed, leave with
 * success; -EINVAL: the reason was printed. */
int options_parse(int argc, char **argv, struct options *ret_options);

#endif
