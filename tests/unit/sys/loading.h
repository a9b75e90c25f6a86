/* Configurations out of texts, for the tests of them. */
#ifndef TINKEX_TESTS_UNIT_SYS_LOADING_H
#define TINKEX_TESTS_UNIT_SYS_LOADING_H

#include "sys/config.h"

/* Writes `text` to the scratch folder's "t.conf" and loads it by its name; must go well. The caller frees it.
 */
struct config *loading_good(const char *text);
/* The same, must be refused: the message, without the "FOLDER/t.conf" that it begins with; valid until the
 * next call. */
const char *loading_bad(const char *text);
/* A value as --check-config shows it; `endpoint` NULL for [daemon] and [limits]. Valid until the next call.
 */
const char *loading_shown(const struct config *config, const struct config_endpoint *endpoint,
			  const char *key);
/* Its origin, without the folder's name. */
const char *loading_origin(const struct config *config, const struct config_endpoint *endpoint,
			   const char *key);
/* What config_print() prints; valid until the next call. */
const char *loading_printed(const struct config *config);

#endif
