/*
 * An endpoint's API key: a secret with its own type. It comes from a file, a service credential or the
 * environment, is read again when the file changes, is never printed beyond a short prefix, and is wiped when
 * it goes.
 */
#ifndef TINKEX_UPSTREAM_CREDENTIAL_H
#define TINKEX_UPSTREAM_CREDENTIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/attributes.h"
#include "sys/config.h"
#include "sys/loop.h"

struct credential;

/* The key appeared, changed or went. */
typedef void credential_changed(void *context, bool have_key);

/* Reads the key by the rules of the configuration: api_key_file, else
 * $CREDENTIALS_DIRECTORY/<api_key_credential> (where the text "unset" is no key), else, if allowed,
 * $TINKER_API_KEY. No key at all is not an error. A file that others can read, or a value that cannot be an
 * HTTP header is: negative errno with a sentence in *ret_message (freed by the caller). The file is watched.
 */
_must_check_ int credential_new(const struct config_endpoint *config, struct loop *loop,
				credential_changed *changed, void *context,
				struct credential **ret_credential, char **ret_message);
struct credential *credential_free(struct credential *credential);
bool credential_present(const struct credential *credential);
/* Rises whenever the key's text changes. */
uint64_t credential_generation(const struct credential *credential);
/* Reads again; true if the key's text changed. */
bool credential_reload(struct credential *credential);
/* "X-API-Key: …", for curl's header list and nothing else; NULL without a key. Valid until the next reload.
 */
const char *credential_header(const struct credential *credential);
/* "tml-…" for people: at most the first four characters; into `out`, returned. */
char *credential_mask(const struct credential *credential, char out[16]);

#endif
