/* Strict parsing of request bodies into json-c trees. */
#ifndef SIM_TREE_H
#define SIM_TREE_H

#include <json-c/json.h>

#include "http.h"

/* How deep a text may be nested: a parser costs memory by it, and polls come by the ten thousand. */
enum tree_depth {
	TREE_SHALLOW = 32,
	TREE_DEEP = 1024,
};

/* The tree (to be put), or NULL: not exactly one JSON text, too deep, not UTF-8, `null`, or no memory. */
struct json_object *tree_parse(struct http_text text, enum tree_depth depth);

#endif
