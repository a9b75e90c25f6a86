/*
 * The member names that a STRICT scan has seen, kept as keyed hashes: the only memory the scanner has of the
 * text behind it. Private to the scanner; struct json_names itself stands in json_scan.h, since callers
 * provide it.
 */
#ifndef TINKEX_PROTO_JSON_NAMES_H
#define TINKEX_PROTO_JSON_NAMES_H

#include <stdint.h>

#include "json_scan.h"

/* Forgets the names of the scan before; costs nothing. */
void json_names_clear(struct json_names *names);
/* Adds a name by its keyed `hash`, seen in the object number `scope` of the text. JSON_OK,
 * JSON_ERROR_DUPLICATE or JSON_ERROR_MEMBERS. */
enum json_error json_names_add(struct json_names *names, uint64_t hash, uint64_t scope);

#endif
