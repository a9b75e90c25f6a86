#include "config_origin.h"

#include <stdlib.h>

#include "complain.h"
#include "core/alloc.h"

struct config_origin {
	struct config_origin *next;
	const void *target;
	const struct config_key *key;
	char *text;
};

static struct config_origin *find(const struct config *config, const void *target,
				  const struct config_key *key)
{
	struct config_origin *origin = config->origins;

	while (origin && (origin->target != target || origin->key != key))
		origin = origin->next;
	return origin;
}

void config_origin_set(struct config *config, const void *target, const struct config_key *key,
		       const char *origin, bool add)
{
	struct config_origin *entry = find(config, target, key);
	char *text = NULL;

	if (!entry) {
		entry = xnew(struct config_origin);
		entry->target = target;
		entry->key = key;
		entry->next = config->origins;
		config->origins = entry;
		add = false;
	}
	if (add)
		complain(&text, 0, "%s, %s", entry->text, origin);
	else
		text = xstrdup(origin);
	free(entry->text);
	entry->text = text;
}

const char *config_origin(const struct config *config, const void *target, const struct config_key *key)
{
	const struct config_origin *origin = find(config, target, key);

	return origin ? origin->text : "default";
}

void config_origin_release(struct config *config)
{
	struct config_origin *origin;

	while ((origin = config->origins)) {
		config->origins = origin->next;
		free(origin->text);
		free(origin);
	}
}
