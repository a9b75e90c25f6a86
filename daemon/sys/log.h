/*
 * One line for one thing worth knowing. To stderr; with a <N> priority prefix when the service manager reads
 * it (JOURNAL_STREAM), else with the time and the level. Control bytes in what comes from outside are
 * replaced. Lines of one call site are limited (ratelimit.h), except at level debug, which somebody asked
 * for. Secrets have their own type and cannot be passed here.
 */
#ifndef TINKEX_SYS_LOG_H
#define TINKEX_SYS_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/attributes.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Before threads. */
void log_init(enum log_level level);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
/* Any thread. One line is one write(2); longer ones are cut at 2 KiB. What cannot be written is dropped. */
void log_write(enum log_level level, const char *module, const char *format, ...) _printf_(3, 4);
/* Tells what has been held back so far, without waiting for its time: before the end. */
void log_flush(void);

/* Makes a text fit for terminals and logs, in place: control characters become spaces, bytes that are no
 * UTF-8 question marks. Returns its length, which is not larger. */
size_t log_clean(char *text);

/* `module` is the name of the file's noun: log_info("listener", "..."). */
#define log_error(module, ...)   log_write(LOG_LEVEL_ERROR, module, __VA_ARGS__)
#define log_warning(module, ...) log_write(LOG_LEVEL_WARNING, module, __VA_ARGS__)
#define log_info(module, ...)    log_write(LOG_LEVEL_INFO, module, __VA_ARGS__)
#define log_debug(module, ...)                                                                               \
	do {                                                                                                 \
		if (log_enabled(LOG_LEVEL_DEBUG))                                                            \
			log_write(LOG_LEVEL_DEBUG, module, __VA_ARGS__);                                     \
	} while (0)

#endif
