/* Where each value of a configuration comes from: for --check-config, and for errors that are found after
 * reading. */
#ifndef TINKEX_SYS_CONFIG_ORIGIN_H
#define TINKEX_SYS_CONFIG_ORIGIN_H

#include <stdbool.h>

#include "config_key.h"

/* Notes the origin of a key's value (copied). `add`: the value adds to what is there, and so does the origin.
 */
void config_origin_set(struct config *config, const void *target, const struct config_key *key,
		       const char *origin, bool add);
/* "default", "profile durable", "FILE:LINE", "$VARIABLE", "--option". Never NULL; the config's. */
const char *config_origin(const struct config *config, const void *target, const struct config_key *key);
/* All of them. */
void config_origin_release(struct config *config);

#endif
