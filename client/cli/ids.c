/* Where request ids come from: arguments, standard input, the server's answers to submissions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

#define LONGEST 512 /* bytes of a request id, says the protocol */
#define EXCERPT 40  /* bytes of an id that are shown in a complaint */

#define STRING_OF(token) #token
#define STRING(macro)    STRING_OF(macro)

bool ids_add(struct ids *ids, const char *id, size_t size)
{
	char *copy = strndup(id, size);

	if (ids->n == ids->capacity) {
		size_t capacity = ids->capacity ? 2 * ids->capacity : 64;
		char **grown = reallocarray(ids->id, capacity, sizeof(*grown));

		if (grown) {
			ids->id = grown;
			ids->capacity = capacity;
		}
	}
	if (!copy || ids->n == ids->capacity) {
		free(copy);
		return complain("out of memory");
	}
	ids->id[ids->n++] = copy;
	return true;
}

void ids_free(struct ids *ids)
{
	for (size_t i = 0; i < ids->n; i++)
		free(ids->id[i]);
	free(ids->id);
	*ids = (struct ids){0};
}

/* One id a line; empty lines are nothing. */
static bool ids_read_lines(struct ids *ids, FILE *file)
{
	_cleanup_(freep) char *line = NULL;
	size_t capacity = 0;
	ssize_t n;
	bool good = true;

	while (good && (n = getline(&line, &capacity, file)) > 0) {
		while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			n--;
		if (n > 0 && memchr(line, '\0', (size_t)n))
			good = complain("stdin: a line has a NUL character in it: it is not a list of ids");
		else if (n > 0)
			good = ids_add(ids, line, (size_t)n);
	}
	if (good && ferror(file))
		return complain("stdin could not be read: %s", strerror(errno));
	return good;
}

static bool ids_read_file(const char *name, char **ret_text, size_t *ret_size)
{
	FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	size_t capacity = 0;
	ssize_t n;

	if (!file)
		return complain("--response %s: %s", name, strerror(errno));
	*ret_text = NULL;
	n = getdelim(ret_text, &capacity, '\0', file);
	if (n < 0 && ferror(file))
		complain("--response %s: %s", name, strerror(errno));
	if (file != stdin)
		fclose(file);
	*ret_size = n > 0 ? (size_t)n : 0;
	return n > 0 || complain("--response %s: there is nothing in it", name);
}

static bool ids_take_response(struct ids *ids, const char *name, struct json_object *response)
{
	struct json_object *id;

	if (!json_object_is_type(response, json_type_object))
		return complain("--response %s: holds %s where the server's answer, an object, is expected",
				name, json_object_to_json_string_ext(response, JSON_C_TO_STRING_PLAIN));
	if (!json_object_object_get_ex(response, "request_id", &id) ||
	    !(json_object_is_type(id, json_type_string) || json_object_is_type(id, json_type_int)))
		return complain("--response %s: there is no request_id in %s", name,
				json_object_to_json_string_ext(response, JSON_C_TO_STRING_PLAIN));
	return ids_add(ids, json_object_get_string(id), strlen(json_object_get_string(id)));
}

/* One JSON text after the other, with or without line breaks between them. */
static bool ids_read_responses(struct ids *ids, const char *name)
{
	_cleanup_(freep) char *text = NULL;
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *response;
	size_t size = 0, at = 0;
	bool good = tokener && ids_read_file(name, &text, &size);

	while (good) {
		at += strspn(text + at, " \t\r\n");
		if (at >= size || !text[at])
			break;
		json_tokener_reset(tokener);
		response = json_tokener_parse_ex(tokener, text + at, (int)(size - at));
		if (json_tokener_get_error(tokener) != json_tokener_success)
			good = complain("--response %s: not JSON at byte %zu: %s", name,
					at + json_tokener_get_parse_end(tokener),
					json_tokener_error_desc(json_tokener_get_error(tokener)));
		else
			good = ids_take_response(ids, name, response);
		json_object_put(response);
		at += json_tokener_get_parse_end(tokener);
	}
	json_tokener_free(tokener);
	return good;
}

/* What the daemon would refuse together with all the others: told here by its place. NULL: the id is good. */
static const char *ids_fault(const char *id)
{
	uint32_t code = 0;
	size_t n;

	if (!*id)
		return "is empty";
	if (strlen(id) > LONGEST)
		return "is too long: at most " STRING(LONGEST) " bytes are allowed";
	for (const unsigned char *at = (const unsigned char *)id; *at; at += n) {
		n = render_sequence(at, &code);
		if (n == 0)
			return "is not valid UTF-8";
		if (code < 0x20 || (code >= 0x7f && code < 0xa0))
			return "has a control character in it";
	}
	return NULL;
}

static bool ids_check(const struct ids *ids)
{
	for (size_t i = 0; i < ids->n; i++) {
		const char *fault = ids_fault(ids->id[i]);
		_cleanup_(freep) char *clean = NULL;

		if (!fault)
			continue;
		clean = render_clean(ids->id[i]);
		return complain("id number %zu of %zu, `%.*s%s`, %s", i + 1, ids->n, EXCERPT,
				clean ? clean : "", strlen(ids->id[i]) > EXCERPT ? "…" : "", fault);
	}
	return true;
}

bool ids_read(struct ids *ids, const struct options *options, size_t first)
{
	bool used_stdin = options->response && strcmp(options->response, "-") == 0, good = true;

	if (options->response)
		good = ids_read_responses(ids, options->response);
	for (size_t i = first; good && i < options->n_arguments; i++) {
		const char *id = options->arguments[i];

		if (strcmp(id, "-") != 0) {
			good = ids_add(ids, id, strlen(id));
			continue;
		}
		if (used_stdin)
			return complain("stdin can be read only once");
		used_stdin = true;
		good = ids_read_lines(ids, stdin);
	}
	return good && ids_check(ids);
}
