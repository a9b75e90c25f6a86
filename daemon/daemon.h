/*
 * The composition root: owns every module, installs the callbacks between them, says what happens at the end
 * of a turn, and leads through start, reload and stop. Sideways and upward calls between modules go through
 * here and nowhere else.
 */
#ifndef TINKEX_DAEMON_H
#define TINKEX_DAEMON_H

#include "proto/attributes.h"
#include "sys/config.h"

struct daemon;

/* Builds everything up to the listening socket. `config` is taken over on success; `arguments` must outlive
 * the daemon (a reload reads the configuration by them again). Negative errno with a sentence for people in
 * *ret_message, freed by the caller. */
_must_check_ int daemon_new(struct config *config, const struct config_arguments *arguments,
			    struct daemon **ret_daemon, char **ret_message);
/* Until SIGTERM or SIGINT. 0: went down in order; negative errno otherwise. */
_must_check_ int daemon_run(struct daemon *daemon);
struct daemon *daemon_free(struct daemon *daemon);

#endif
