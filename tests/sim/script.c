/* Scripts; see script.h. */
#include "script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idmap.h"

/* A list of answers, shared by all who walk it. */
struct script_list {
	unsigned references;
	unsigned n;
	struct answer *answers[];
};

/* How far an id has come in its list. */
struct script_walk {
	struct idmap_node node;
	struct script_list *list; /* one reference */
	unsigned next;            /* index of the answer whose turn it is */
	unsigned given;           /* how often that one was given already */
	bool by_default;          /* walks the list "*" */
	char id[];
};

struct script {
	struct idmap walks;
	struct script_list *fallback; /* "*", or NULL */
	struct script_walk *first;    /* "**", or NULL */
};

static void list_unref(struct script_list *list)
{
	if (!list || --list->references > 0)
		return;
	for (unsigned i = 0; i < list->n; i++)
		answer_unref(list->answers[i]);
	free(list);
}
DEFINE_FREEP(struct script_list, list_unref)

static void walk_free(struct script_walk *walk)
{
	if (!walk)
		return;
	list_unref(walk->list);
	free(walk);
}

static struct script_walk *walk_new(const char *id, struct script_list *list, bool by_default)
{
	size_t size = strlen(id) + 1;
	struct script_walk *walk = calloc(1, sizeof *walk + size);

	if (!walk)
		return NULL;
	memcpy(walk->id, id, size);
	walk->node.key = walk->id;
	walk->by_default = by_default;
	walk->list = list;
	list->references++;
	return walk;
}

struct script *script_new(void)
{
	return calloc(1, sizeof(struct script));
}

void script_clear(struct script *script)
{
	struct idmap_node *node;
	size_t cursor = 0;

	while ((node = idmap_pop(&script->walks, &cursor)))
		walk_free(container_of(node, struct script_walk, node));
	list_unref(steal_pointer(script->fallback));
	walk_free(steal_pointer(script->first));
}

struct script *script_free(struct script *script)
{
	if (script) {
		script_clear(script);
		idmap_release(&script->walks);
		free(script);
	}
	return NULL;
}

static struct script_walk *find_walk(const struct script *script, const char *id)
{
	struct idmap_node *node = idmap_find(&script->walks, id);

	return node ? container_of(node, struct script_walk, node) : NULL;
}

/* `before` (may be NULL) and then the answers of the array. */
static int parse_list(const char *id, struct json_object *array, const struct script_list *before,
		      struct script_list **ret_list, char **ret_error)
{
	_cleanup_(list_unrefp) struct script_list *list = NULL;
	size_t more, n = before ? before->n : 0;

	if (!json_object_is_type(array, json_type_array)) {
		*ret_error = strdup("every id of a script must have an array of answers");
		return -EINVAL;
	}
	more = json_object_array_length(array);
	list = calloc(1, sizeof *list + (n + more) * sizeof list->answers[0]);
	if (!list)
		return -ENOMEM;
	list->references = 1;
	for (; list->n < n; list->n++)
		list->answers[list->n] = answer_ref(before->answers[list->n]);
	for (size_t i = 0; i < more; i++) {
		char *why = NULL;
		int error = answer_parse(json_object_array_get_idx(array, i), &list->answers[list->n], &why);

		if (error == 0) {
			list->n++;
			if (list->answers[list->n - 1]->repeat && i + 1 < more) {
				why = strdup("only the last answer can be repeated, use \"times\"");
				error = -EINVAL;
			}
		}
		if (error < 0 && asprintf(ret_error, "%s[%zu]: %s", id, i, why ? why : "no memory") < 0)
			error = -ENOMEM;
		free(why);
		if (error < 0)
			return error;
	}
	*ret_list = steal_pointer(list);
	return 0;
}

static void drop_default_walk(struct idmap_node *node, void *arg)
{
	struct script_walk *walk = container_of(node, struct script_walk, node);
	struct script *script = arg;

	if (walk->by_default) {
		idmap_remove(&script->walks, node);
		walk_free(walk);
	}
}

/* Who walks the old list goes on at the same place in the new one. */
static void relist_default_walk(struct idmap_node *node, void *arg)
{
	struct script_walk *walk = container_of(node, struct script_walk, node);
	struct script *script = arg;

	if (walk->by_default) {
		list_unref(walk->list);
		walk->list = script->fallback;
		walk->list->references++;
	}
}

static void set_fallback(struct script *script, struct script_list *list, bool append)
{
	list_unref(script->fallback);
	script->fallback = list;
	list->references++;
	idmap_each(&script->walks, append ? relist_default_walk : drop_default_walk, script);
}

static int set_list(struct script *script, const char *id, struct script_list *list, bool append)
{
	bool is_first = strcmp(id, "**") == 0;
	struct script_walk *old = is_first ? script->first : find_walk(script, id);
	struct script_walk *walk;

	if (strcmp(id, "*") == 0) {
		set_fallback(script, list, append);
		return 0;
	}
	walk = walk_new(id, list, false);
	if (!walk)
		return -ENOMEM;
	if (old && append && !old->by_default) {
		walk->next = old->next;
		walk->given = old->given;
	}
	if (is_first) {
		script->first = walk;
	} else {
		if (old)
			idmap_remove(&script->walks, &old->node);
		if (idmap_add(&script->walks, &walk->node) < 0) {
			walk_free(old);
			walk_free(walk);
			return -ENOMEM;
		}
	}
	walk_free(old);
	return 0;
}

static const struct script_list *present_list(const struct script *script, const char *id)
{
	const struct script_walk *walk;

	if (strcmp(id, "*") == 0)
		return script->fallback;
	walk = strcmp(id, "**") == 0 ? script->first : find_walk(script, id);
	return walk && !walk->by_default ? walk->list : NULL;
}

int script_load(struct script *script, struct json_object *json, bool append, char **ret_error)
{
	_cleanup_(list_unrefp) struct script_list *list = NULL;

	if (!json_object_is_type(json, json_type_object)) {
		*ret_error = strdup("a script must be an object of lists");
		return -EINVAL;
	}
	json_object_object_foreach(json, id, array)
	{
		int error = parse_list(id, array, NULL, &list, ret_error);

		list_unref(steal_pointer(list));
		if (error < 0)
			return error;
	}
	json_object_object_foreach(json, id2, array2)
	{
		int error = parse_list(id2, array2, append ? present_list(script, id2) : NULL, &list,
				       ret_error);

		if (error == 0)
			error = set_list(script, id2, list, append);
		list_unref(steal_pointer(list));
		if (error < 0)
			return error;
	}
	return 0;
}

/* The answer whose turn it is, one step on; NULL at the end. */
static struct answer *walk_step(struct script_walk *walk, bool reused, unsigned *ret_index)
{
	struct answer *answer;

	/* An answer that was repeated while it was the last gives way to what was appended since. */
	while (walk->next + 1 < walk->list->n && walk->given >= walk->list->answers[walk->next]->times) {
		walk->next++;
		walk->given = 0;
	}
	if (walk->next >= walk->list->n)
		return NULL;
	answer = walk->list->answers[walk->next];
	if (walk->given >= answer->times && !answer->repeat)
		return NULL;
	*ret_index = walk->next;
	if (answer->reset_if_reused && reused)
		return answer_ref(answer);
	if (walk->given < answer->times)
		walk->given++;
	return answer_ref(answer);
}

/* Where an id without a list of its own stands; made on its first request. NULL when no place must be kept.
 */
static struct script_walk *default_walk(struct script *script, const char *id)
{
	struct script_walk *walk = walk_new(id, script->fallback, true);

	if (walk && idmap_add(&script->walks, &walk->node) < 0) {
		walk_free(walk);
		return NULL;
	}
	return walk;
}

struct answer *script_next(struct script *script, const char *id, bool reused, unsigned *ret_index)
{
	const struct script_list *fallback = script->fallback;
	struct script_walk *walk;
	struct answer *answer = script->first ? walk_step(script->first, reused, ret_index) : NULL;

	if (answer)
		return answer;
	walk = find_walk(script, id);
	if (!walk && fallback) {
		/* One answer for ever: nothing to remember, so a million ids cost nothing. */
		if (fallback->n == 1 && fallback->answers[0]->repeat) {
			*ret_index = 0;
			return answer_ref(fallback->answers[0]);
		}
		walk = default_walk(script, id);
	}
	return walk ? walk_step(walk, reused, ret_index) : NULL;
}

bool script_knows(const struct script *script, const char *id)
{
	return script->fallback || find_walk(script, id);
}
