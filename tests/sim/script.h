/*
 * Which answer a request id gets next. A script maps ids to lists of answers; "*" is the list of all ids
 * without one of their own (each such id walks it by itself), "**" is one shared list that comes before all
 * others until it is used up. Must not know connections.
 */
#ifndef SIM_SCRIPT_H
#define SIM_SCRIPT_H

#include <json-c/json.h>

#include "answer.h"
#include "attributes.h"

struct script;

/* An empty script, or NULL. */
struct script *script_new(void);
/* Takes NULL, returns NULL. */
struct script *script_free(struct script *script);
/* Forgets all lists. */
void script_clear(struct script *script);
/*
 * Takes in {id: [answer, …], …}. Each list replaces the one its id has (and starts over), or is put behind it
 * with `append`. All or nothing, except for -ENOMEM; on -EINVAL *ret_error is a sentence for people, to be
 * freed.
 */
_must_check_ int script_load(struct script *script, struct json_object *json, bool append, char **ret_error);
/*
 * The next answer for `id`, used up by this, except that one with reset_if_reused is not when `reused`.
 * Returned with a reference; NULL when nothing is left or scripted. *ret_index (when an answer came) is its
 * place in its list.
 */
struct answer *script_next(struct script *script, const char *id, bool reused, unsigned *ret_index);
/* Whether anything was ever scripted that `id` would get: the lifelike server answers only the others. */
bool script_knows(const struct script *script, const char *id);

#endif
