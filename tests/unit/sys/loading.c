#include "loading.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"
#include "sys/config_key.h"
#include "sys/config_origin.h"

static int load(const char *text, struct config **ret_config, char **ret_message)
{
	struct config_arguments arguments = {.file = scratch_write("t.conf", 0644, text)};

	return config_load(&arguments, ret_config, ret_message);
}

struct config *loading_good(const char *text)
{
	struct config *config = NULL;
	char *message = NULL;
	int r = load(text, &config, &message);

	ck_assert_msg(r == 0, "%s", message);
	ck_assert_ptr_null(message);
	return config;
}

const char *loading_bad(const char *text)
{
	static char kept[8192];
	struct config *config = NULL;
	char *message = NULL;
	size_t prefix = strlen(scratch_folder());
	int r = load(text, &config, &message);

	ck_assert_msg(r < 0, "taken: %s", text);
	ck_assert_ptr_null(config);
	ck_assert_ptr_nonnull(message);
	ck_assert_ptr_null(strchr(message, '\n'));
	if (strncmp(message, scratch_folder(), prefix) == 0 &&
	    strncmp(message + prefix, "/t.conf", strlen("/t.conf")) == 0)
		snprintf(kept, sizeof(kept), "%s", message + prefix + strlen("/t.conf"));
	else
		snprintf(kept, sizeof(kept), "%s", message);
	free(message);
	return kept;
}

static const struct config_key *find(const struct config_endpoint *endpoint, const char *name)
{
	const struct config_key *key = config_key_find(endpoint ? CONFIG_ENDPOINT : CONFIG_DAEMON, name);

	if (!key)
		key = config_key_find(CONFIG_LIMITS, name);
	ck_assert_msg(key != NULL, "%s", name);
	return key;
}

const char *loading_shown(const struct config *config, const struct config_endpoint *endpoint,
			  const char *key)
{
	static char kept[8192];
	const struct config_key *row = find(endpoint, key);
	const void *target = endpoint ? (const void *)endpoint : (const void *)config;
	char *text;
	size_t used = 0;

	for (size_t line = 0; (text = row->type->show(row, target, line)); line++) {
		used += (size_t)snprintf(kept + used, sizeof(kept) - used, "%s%s", line ? "\n" : "", text);
		free(text);
	}
	return kept;
}

const char *loading_origin(const struct config *config, const struct config_endpoint *endpoint,
			   const char *key)
{
	const void *target = endpoint ? (const void *)endpoint : (const void *)config;
	const char *origin = config_origin(config, target, find(endpoint, key));
	size_t prefix = strlen(scratch_folder());

	return strncmp(origin, scratch_folder(), prefix) == 0 ? origin + prefix + 1 : origin;
}

const char *loading_printed(const struct config *config)
{
	static char *text;
	size_t size;
	FILE *out;

	free(text);
	out = open_memstream(&text, &size);
	ck_assert_ptr_nonnull(out);
	config_print(config, out);
	fclose(out);
	return text;
}
