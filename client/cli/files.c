/*
 * --output DIR: a file for each result, and index.jsonl with a line about each future. A file is complete
 * when it has its name, and safe on disk before its result is acknowledged.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handover.h"

#define INDEX       "index.jsonl"
#define TEMPORARY   ".tinkexctl-unfinished"
#define ENCODED_MAX 180 /* a longer encoded id ends in a hash instead */

bool files_open(const char *path, int *ret_folder, int *ret_index)
{
	int folder, index;

	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		return complain("--output %s: cannot be made: %s", path, strerror(errno));
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return complain("--output %s: %s", path, strerror(errno));
	index = openat(folder, INDEX, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (index < 0) {
		complain("--output %s: " INDEX " cannot be written: %s", path, strerror(errno));
		close(folder);
		return false;
	}
	*ret_folder = folder;
	*ret_index = index;
	return true;
}

/* FNV-1a: tells cut names apart; nobody is to be kept from making two that collide. */
static uint64_t files_hash(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return hash;
}

/* Percent-encodes `text` at the end of `name`. Letters, digits, "-", "_" and dots that do not come first
 * stay. */
static void files_encode(char *name, size_t capacity, const char *text)
{
	size_t size = strlen(name), begin = size;

	for (; *text && size + 4 < capacity; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			     c == '-' || c == '_' || (c == '.' && size > begin);

		if (plain)
			name[size++] = (char)c;
		else
			size += (size_t)snprintf(name + size, capacity - size, "%%%02X", c);
	}
	name[size] = '\0';
}

/* "ENDPOINT@ID.json": the endpoint only where it is not `default`. "@" is never in an encoded id. */
static void files_name(const tinkex_result *result, char name[256])
{
	const char *endpoint = tinkex_result_endpoint(result), *id = tinkex_result_request_id(result);
	const char *type = tinkex_result_content_type(result);
	const char *suffix = type && strstr(type, "protobuf") ? ".pb" : ".json";
	char encoded[1600] = "", prefix[64] = "";

	if (endpoint && strcmp(endpoint, "default") != 0)
		files_encode(prefix, sizeof(prefix), endpoint);
	files_encode(encoded, sizeof(encoded), id);
	if (strlen(encoded) > ENCODED_MAX) {
		snprintf(encoded + ENCODED_MAX - 17, 18, "~%016" PRIx64, files_hash(id));
	}
	snprintf(name, 256, "%s%s%.*s%s", prefix, *prefix ? "@" : "", ENCODED_MAX, encoded, suffix);
}

static bool write_all(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

static int write_piece(const void *data, size_t size, void *userdata)
{
	return !write_all(*(int *)userdata, data, size);
}

static bool files_write_body(const struct handover *handover, const tinkex_result *result, const char *name)
{
	int fd = openat(handover->folder, TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	bool good = fd >= 0 && tinkex_result_write_body(result, write_piece, &fd) == 0 && fsync(fd) == 0;
	int error = errno;

	if (fd >= 0 && close(fd) < 0 && good) {
		error = errno;
		good = false;
	}
	if (good && renameat(handover->folder, TEMPORARY, handover->folder, name) < 0) {
		error = errno;
		good = false;
	}
	return good || complain("--output %s: %s cannot be written: %s", handover->app->options.output, name,
				strerror(error));
}

struct line {
	char *text;
	size_t size;
};

static int line_append(const void *data, size_t size, void *userdata)
{
	struct line *line = userdata;
	char *grown = realloc(line->text, line->size + size + 1);

	if (!grown)
		return 1;
	line->text = grown;
	memcpy(line->text + line->size, data, size);
	line->size += size;
	return 0;
}

/* The outcome with the name of the file in place of the result. */
static int files_describe(const tinkex_result *result, const char *name, struct line *line)
{
	const char *endpoint = tinkex_result_endpoint(result);
	struct json_object *object;
	const char *text;
	int r;

	if (tinkex_result_ok(result) != 1)
		return tinkex_result_write_json(result, line_append, line);
	object = json_object_new_object();
	json_object_object_add(object, "request_id",
			       json_object_new_string(tinkex_result_request_id(result)));
	json_object_object_add(object, "endpoint", endpoint ? json_object_new_string(endpoint) : NULL);
	json_object_object_add(object, "ok", json_object_new_boolean(true));
	json_object_object_add(object, "content_type",
			       json_object_new_string(tinkex_result_content_type(result)));
	json_object_object_add(object, "size", json_object_new_int64((int64_t)tinkex_result_size(result)));
	json_object_object_add(object, "file", json_object_new_string(name));
	text = json_object_to_json_string_ext(object,
					      JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	r = text ? line_append(text, strlen(text), line) : 1;
	json_object_put(object);
	return r;
}

bool files_write(struct handover *handover, const tinkex_result *result)
{
	const struct options *options = &handover->app->options;
	struct output *output = &handover->app->output;
	struct line line = {0};
	bool good = true;
	char name[256];

	files_name(result, name);
	if (tinkex_result_ok(result) == 1)
		good = files_write_body(handover, result, name);
	if (good && files_describe(result, name, &line) != 0)
		good = complain("out of memory");
	if (good && options->json)
		output_json(line.text, line.size, output);
	else if (good && tinkex_result_ok(result) == 1)
		output_printf(output, "%s\tok\t%s/%s", tinkex_result_request_id(result), options->output,
			      name);
	else if (good)
		output_printf(output, "%s\tfailed\t%s", tinkex_result_request_id(result),
			      tinkex_result_error_type(result) ? tinkex_result_error_type(result)
							       : "not ended");
	if (good) {
		output_text(output, "\n");
		good = line_append("\n", 1, &line) == 0 && write_all(handover->index, line.text, line.size);
		if (!good)
			complain("--output %s: " INDEX " cannot be written: %s", options->output,
				 strerror(errno));
	}
	free(line.text);
	return good;
}

bool files_sync(const struct handover *handover)
{
	if (fsync(handover->index) < 0 || fsync(handover->folder) < 0)
		return complain("--output %s: is not safe on disk: %s", handover->app->options.output,
				strerror(errno));
	return true;
}
