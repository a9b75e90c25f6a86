/* The effective configuration for people: --check-config. What it prints can be read again, apart from what
 * is masked. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"
#include "config.h"
#include "config_key.h"
#include "config_origin.h"
#include "paths.h"

#define ORIGIN_COLUMN 48

static void print_line(FILE *out, const char *name, const char *value, const char *origin)
{
	int width = fprintf(out, "%s =%s%s", name, *value ? " " : "", value);

	fprintf(out, "%*s ; %s\n", width < ORIGIN_COLUMN ? ORIGIN_COLUMN - width : 0, "", origin);
}

static void print_key(const struct config *config, const void *target, const struct config_key *key,
		      FILE *out)
{
	const char *origin = config_origin(config, target, key);
	char *value;

	for (size_t line = 0; (value = key->type->show(key, target, line)); line++) {
		print_line(out, key->name, value, origin);
		free(value);
	}
}

static void print_scope(const struct config *config, const void *target, enum config_scope scope, FILE *out)
{
	size_t n;
	const struct config_key *keys = config_keys(&n);

	for (size_t i = 0; i < n; i++) {
		if (keys[i].scope == scope)
			print_key(config, target, &keys[i], out);
	}
}

/* Where the key would be taken from at this moment; nothing of the key itself. */
static void print_key_source(const struct config_endpoint *endpoint, FILE *out)
{
	const char *folder = paths_environment("CREDENTIALS_DIRECTORY");
	char *credential = NULL;

	if (folder && endpoint->api_key_credential)
		complain(&credential, 0, "%s/%s", folder, endpoint->api_key_credential);
	if (endpoint->api_key_file)
		fprintf(out, "; the API key comes from api_key_file\n");
	else if (credential && access(credential, R_OK) == 0)
		fprintf(out, "; the API key comes from the service credential %s\n",
			endpoint->api_key_credential);
	else if (endpoint->key_from_environment && paths_environment("TINKER_API_KEY"))
		fprintf(out, "; the API key comes from $TINKER_API_KEY\n");
	else
		fprintf(out, "; no API key yet: the requests of this endpoint wait for one\n");
	free(credential);
}

void config_print(const struct config *config, FILE *out)
{
	if (config->file)
		fprintf(out, "; read from %s\n", config->file);
	else
		fprintf(out, "; no configuration file\n");
	fprintf(out, "[daemon]\n");
	print_scope(config, config, CONFIG_DAEMON, out);
	fprintf(out, "\n[limits]\n");
	print_scope(config, config, CONFIG_LIMITS, out);
	for (size_t i = 0; i < config->n_endpoints; i++) {
		fprintf(out, "\n[endpoint %s]\n", config->endpoints[i]->name);
		print_key_source(config->endpoints[i], out);
		print_scope(config, config->endpoints[i], CONFIG_ENDPOINT, out);
	}
}
