/* JSON text to trees; see tree.h. */
#include "tree.h"

#include <limits.h>

struct json_object *tree_parse(struct http_text text, enum tree_depth depth)
{
	struct json_tokener *tokener;
	struct json_object *tree;

	if (text.size == 0 || text.size > INT_MAX)
		return NULL;
	tokener = json_tokener_new_ex((int)depth);
	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	tree = json_tokener_parse_ex(tokener, text.at, (int)text.size);
	json_tokener_free(tokener);
	return tree;
}
