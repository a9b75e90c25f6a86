/*
 * One INI file, line by line, by libinih with a guard around it: libinih cuts long lines, long section names
 * and whatever follows a section's bracket without a word, and takes an indented line for the continuation of
 * the one before. Here these are errors or mean what they look like. Knows no section and no key.
 *
 * Lines are "[section]", "key = value", comments (first character ; or #) or empty; " ;" begins a comment
 * behind a value.
 */
#ifndef TINKEX_SYS_CONFIG_FILE_H
#define TINKEX_SYS_CONFIG_FILE_H

#include "proto/attributes.h"

/* Both return 0, or a negative errno with the reason in *ret_reason (to be freed), which ends the reading.
 * `origin` is "FILE:LINE". All texts are valid during the call. */
struct config_file_operations {
	int (*section)(void *context, const char *section, const char *origin, char **ret_reason);
	int (*setting)(void *context, const char *key, const char *value, const char *origin,
		       char **ret_reason);
};

/* 0; -ENOENT if there is no such file; or another negative errno. With "FILE:LINE: reason" in *ret_message,
 * freed by the caller. */
_must_check_ int config_file_read(const char *path, const struct config_file_operations *operations,
				  void *context, char **ret_message);

#endif
