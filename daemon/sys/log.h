/*
 * One line for one thing worth knowing. To stderr; with a <N> priority prefix when the service manager reads it
 * (JOURNAL_STREAM). Control bytes in what comes from outside are replaced. Rate-limited per call site. Secrets have their own type and cannot be passed here.
 */
#ifndef TINKEX_SYS_LOG_H
#define TINKEX_SYS_LOG_H

#include <stdbool.h>

#include "proto/attributes.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Before threads. */
void log_init(enum log_level level);
void log_set_level(enum log_level level);
/* -EINVAL if it is not error, warning, info or debug. */
int log_level_from_name(const char *name, enum log_level *ret_level);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *module, const char *format, ...) _printf_(3, 4);

/* `module` is the name of the file's noun: log_info("listener", "..."). */
#define log_error(module, ...)	 log_write(LOG_LEVEL_ERROR, module, __VA_ARGS__)
#define log_warning(module, ...) log_write(LOG_LEVEL_WARNING, module, __VA_ARGS__)
#define log_info(module, ...)	 log_write(LOG_LEVEL_INFO, module, __VA_ARGS__)
#define log_debug(module, ...)                                                                               \
	do {                                                                                                 \
		if (log_enabled(LOG_LEVEL_DEBUG))                                                            \
			log_write(LOG_LEVEL_DEBUG, module, __VA_ARGS__);                                     \
	} while (0)

#endif
