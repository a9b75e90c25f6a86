#include "config_source.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "config_file.h"
#include "core/alloc.h"

#define ENDPOINT_NAME_MAX 64

void config_source_init(struct config_source *source)
{
	*source = (struct config_source){0};
	STAILQ_INIT(&source->sections);
	STAILQ_INIT(&source->settings);
}

void config_source_release(struct config_source *source)
{
	struct config_setting *setting;
	struct config_section *section;

	while ((setting = STAILQ_FIRST(&source->settings))) {
		STAILQ_REMOVE_HEAD(&source->settings, next);
		free(setting->value);
		free(setting->origin);
		free(setting);
	}
	while ((section = STAILQ_FIRST(&source->sections))) {
		STAILQ_REMOVE_HEAD(&source->sections, next);
		free(section->name);
		free(section->origin);
		free(section);
	}
}

static int check_endpoint_name(const char *name, char **ret_reason)
{
	size_t size = strlen(name);

	if (size == 0 || size > ENDPOINT_NAME_MAX ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != size)
		return complain(
			ret_reason, -EINVAL,
			"\"%s\" is no name for an endpoint; write [endpoint NAME] with 1 to %d letters, "
			"digits, _ . or -",
			name, ENDPOINT_NAME_MAX);
	return 0;
}

/* *ret_endpoint: the name of an endpoint, else NULL. */
static int parse_section(const char *text, enum config_scope *ret_scope, const char **ret_endpoint,
			 char **ret_reason)
{
	static const char word[] = "endpoint";
	size_t size = strlen(word);

	*ret_endpoint = NULL;
	if (strncmp(text, word, size) == 0 && (!text[size] || strchr(" \t", text[size]))) {
		*ret_scope = CONFIG_ENDPOINT;
		*ret_endpoint = text + size + strspn(text + size, " \t");
		return check_endpoint_name(*ret_endpoint, ret_reason);
	}
	if (strcmp(text, "daemon") != 0 && strcmp(text, "limits") != 0)
		return complain(ret_reason, -EINVAL,
				"there is no section [%s]; write [daemon], [limits] or [endpoint NAME]",
				text);
	*ret_scope = strcmp(text, "daemon") == 0 ? CONFIG_DAEMON : CONFIG_LIMITS;
	return 0;
}

static int on_section(void *context, const char *text, const char *origin, char **ret_reason)
{
	struct config_source *source = context;
	struct config_section *section;
	enum config_scope scope = CONFIG_DAEMON;
	const char *endpoint = NULL;
	char *name = NULL;
	int r = parse_section(text, &scope, &endpoint, ret_reason);

	if (r < 0)
		return r;
	complain(&name, 0, "%s%s", endpoint ? "endpoint " : text, endpoint ? endpoint : "");
	STAILQ_FOREACH (section, &source->sections, next) {
		if (strcmp(section->name, name) == 0)
			break;
	}
	if (section) {
		free(name);
	} else {
		section = xnew(struct config_section);
		section->scope = scope;
		section->name = name;
		section->endpoint = endpoint ? strchr(name, ' ') + 1 : NULL;
		section->origin = xstrdup(origin);
		STAILQ_INSERT_TAIL(&source->sections, section, next);
	}
	source->current = section;
	return 0;
}

/* A key that belongs into another section is the most likely mistake. */
static int refuse_key(const char *section, const char *name, char **ret_reason)
{
	static const char *const scopes[] = {[CONFIG_DAEMON] = "[daemon]",
					     [CONFIG_LIMITS] = "[limits]",
					     [CONFIG_ENDPOINT] = "[endpoint NAME]"};

	for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
		if (config_key_find((enum config_scope)i, name))
			return complain(ret_reason, -EINVAL, "[%s] %s: this key belongs into the section %s",
					section, name, scopes[i]);
	}
	return complain(ret_reason, -EINVAL, "[%s] %s: there is no such key", section, name);
}

static int on_setting(void *context, const char *name, const char *value, const char *origin,
		      char **ret_reason)
{
	struct config_source *source = context;
	const struct config_key *key = config_key_find(source->current->scope, name);
	struct config_setting *setting;

	if (!key)
		return refuse_key(source->current->name, name, ret_reason);
	STAILQ_FOREACH (setting, &source->settings, next) {
		if (!key->type->list && setting->file == source->files && setting->key == key &&
		    setting->section == source->current)
			return complain(ret_reason, -EINVAL,
					"[%s] %s: stands in this file twice, first at %s; remove one",
					source->current->name, name, setting->origin);
	}
	setting = xnew(struct config_setting);
	setting->key = key;
	setting->section = source->current;
	setting->file = source->files;
	setting->value = xstrdup(value);
	setting->origin = xstrdup(origin);
	STAILQ_INSERT_TAIL(&source->settings, setting, next);
	return 0;
}

static int read_file(struct config_source *source, const char *path, char **ret_message)
{
	static const struct config_file_operations operations = {.section = on_section,
								 .setting = on_setting};

	source->files++;
	source->current = NULL;
	return config_file_read(path, &operations, source, ret_message);
}

static int is_drop_in(const struct dirent *entry)
{
	size_t size = strlen(entry->d_name);

	return entry->d_name[0] != '.' && size > 5 && strcmp(entry->d_name + size - 5, ".conf") == 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_drop_ins(struct config_source *source, const char *file, char **ret_message)
{
	struct dirent **entries = NULL;
	char *folder = NULL, *path = NULL;
	int n, r = 0;

	complain(&folder, 0, "%s.d", file);
	n = scandir(folder, &entries, is_drop_in, compare_names);
	if (n < 0 && errno != ENOENT && errno != ENOTDIR)
		r = complain(ret_message, -errno, "%s: cannot be read: %s", folder, strerror(errno));
	for (int i = 0; i < n; i++) {
		complain(&path, 0, "%s/%s", folder, entries[i]->d_name);
		if (r >= 0)
			r = read_file(source, path, ret_message);
		free(path);
		free(entries[i]);
	}
	free(entries);
	free(folder);
	return r;
}

int config_source_read(struct config_source *source, const char *file, bool needed, bool *ret_found,
		       char **ret_message)
{
	char *message = NULL;
	bool found;
	int r = read_file(source, file, &message);

	found = r >= 0;
	if (r == -ENOENT && !needed) {
		free(message);
		message = NULL;
		r = 0;
	}
	if (r >= 0)
		r = read_drop_ins(source, file, &message);
	if (r < 0) {
		*ret_message = message;
		return r;
	}
	*ret_found = found;
	return 0;
}
