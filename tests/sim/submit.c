/* The lifelike server's submissions: sessions, models, and the operations that create futures; see
 * lifelike.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "idmap.h"
#include "lifelike.h"
#include "tree.h"

enum {
	TOKENS_MAX = 16 * 1024 * 1024, /* of one result: some 200 MB of text */
	SAMPLES_MAX = 1024,
	DATA_MAX = 65536,
	DATUM_TOKENS = 16, /* of a datum that does not show its tokens */
	DEFAULT_MAX_TOKENS = 64,
};

enum thing_kind {
	THING_SESSION,
	THING_SAMPLER,
	THING_MODEL,
};

struct thing {
	struct idmap_node node;
	enum thing_kind kind;
	uint64_t busy_until_us; /* a model carries out one operation after the other */
	unsigned saves;
	char id[64];
};

/* One submission on its way. */
struct submission {
	struct lifelike *lifelike;
	struct json_object *body;
	enum result_kind kind;
};

static struct answer *answer_missing(const char *name)
{
	char text[256];
	int size = snprintf(
		text, sizeof text,
		"{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"%s\"],\"msg\":\"Field required\"}]}",
		name);

	return answer_text(422, text, (size_t)size);
}

static struct json_object *member(const struct submission *submission, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(submission->body, name, &value);
	return value;
}

static struct thing *find_thing(const struct submission *submission, const char *name, enum thing_kind kind)
{
	struct json_object *value = member(submission, name);
	const char *id = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
	struct idmap_node *node = id ? idmap_find(lifelike_things(submission->lifelike), id) : NULL;
	struct thing *thing = node ? container_of(node, struct thing, node) : NULL;

	return thing && thing->kind == kind ? thing : NULL;
}

static struct thing *add_thing(const struct submission *submission, enum thing_kind kind)
{
	static const char *const names[] = {"session", "sampler", "model"};
	struct thing *thing = calloc(1, sizeof *thing);

	if (!thing)
		return NULL;
	lifelike_name(submission->lifelike, names[kind], thing->id, sizeof thing->id);
	thing->kind = kind;
	thing->node.key = thing->id;
	if (idmap_add(lifelike_things(submission->lifelike), &thing->node) < 0) {
		free(thing);
		return NULL;
	}
	return thing;
}

void submit_clear(struct idmap *things)
{
	struct idmap_node *node;
	size_t cursor = 0;

	while ((node = idmap_pop(things, &cursor)))
		free(container_of(node, struct thing, node));
}

static struct answer *answer_id(const char *name, const char *value, const char *type)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	if (value)
		json_object_object_add(object, name, json_object_new_string(value));
	json_object_object_add(object, "type", json_object_new_string(type));
	return answer_json(200, object);
}

static struct answer *create_session(struct submission *submission)
{
	struct thing *session = add_thing(submission, THING_SESSION);

	return session ? answer_id("session_id", session->id, "create_session") : NULL;
}

static struct answer *create_sampling_session(struct submission *submission)
{
	struct thing *sampler;

	if (!member(submission, "session_id"))
		return answer_missing("session_id");
	if (!member(submission, "base_model") && !member(submission, "model_path"))
		return answer_missing("base_model");
	if (!find_thing(submission, "session_id", THING_SESSION))
		return answer_detail(404, "Session not found");
	sampler = add_thing(submission, THING_SAMPLER);
	return sampler ? answer_id("sampling_session_id", sampler->id, "create_sampling_session") : NULL;
}

static struct answer *session_heartbeat(struct submission *submission)
{
	if (!member(submission, "session_id"))
		return answer_missing("session_id");
	if (!find_thing(submission, "session_id", THING_SESSION))
		return answer_detail(404, "Session not found");
	return answer_id(NULL, NULL, "session_heartbeat");
}

/* Puts the future in, behind the other operations of its model, and answers with its id. */
static struct answer *accept_operation(struct submission *submission, struct result_spec *spec,
				       struct thing *model)
{
	struct json_object *object;
	uint64_t start_us = clock_us(), done_us;
	const char *id;

	if (model && model->busy_until_us > start_us)
		start_us = model->busy_until_us;
	if (lifelike_add(submission->lifelike, spec, start_us, &id, &done_us) < 0)
		return NULL;
	if (model)
		model->busy_until_us = done_us;
	object = json_object_new_object();
	if (!object)
		return NULL;
	json_object_object_add(object, "request_id", json_object_new_string(id));
	if (model)
		json_object_object_add(object, "model_id", json_object_new_string(model->id));
	return answer_json(200, object);
}

static int64_t count_of(struct json_object *value, int64_t otherwise)
{
	return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : otherwise;
}

static struct answer *asample(struct submission *submission)
{
	struct json_object *params = member(submission, "sampling_params"), *limit = NULL;
	int64_t samples = count_of(member(submission, "num_samples"), 1);
	int64_t max_tokens;
	struct result_spec spec = {.kind = RESULT_SAMPLE};

	json_object_object_get_ex(params, "max_tokens", &limit);
	max_tokens = count_of(limit, DEFAULT_MAX_TOKENS);
	if (!member(submission, "sampling_session_id") && !member(submission, "base_model") &&
	    !member(submission, "model_path"))
		return answer_missing("sampling_session_id");
	if (member(submission, "sampling_session_id") &&
	    !find_thing(submission, "sampling_session_id", THING_SAMPLER))
		return answer_detail(404, "Sampling session not found");
	if (samples < 1 || samples > SAMPLES_MAX || max_tokens < 0 || max_tokens > TOKENS_MAX ||
	    samples * max_tokens > TOKENS_MAX)
		return answer_detail(422, "num_samples or max_tokens is out of range");
	spec.samples = (unsigned)samples;
	spec.max_tokens = (unsigned)max_tokens;
	return accept_operation(submission, &spec, NULL);
}

/* Tokens of a datum: those of the chunks of its model_input. */
static uint64_t datum_tokens(struct json_object *datum)
{
	struct json_object *input = NULL, *chunks = NULL, *tokens;
	uint64_t sum = 0;

	json_object_object_get_ex(datum, "model_input", &input);
	json_object_object_get_ex(input, "chunks", &chunks);
	if (!json_object_is_type(chunks, json_type_array))
		return DATUM_TOKENS;
	for (size_t i = 0; i < json_object_array_length(chunks); i++) {
		tokens = NULL;
		json_object_object_get_ex(json_object_array_get_idx(chunks, i), "tokens", &tokens);
		if (json_object_is_type(tokens, json_type_array))
			sum += json_object_array_length(tokens);
	}
	return sum;
}

static struct json_object *find_data(const struct submission *submission)
{
	struct json_object *input = member(submission, "forward_backward_input"), *data = NULL;

	if (!input)
		input = member(submission, "forward_input");
	if (!json_object_object_get_ex(input, "data", &data))
		data = member(submission, "data");
	return json_object_is_type(data, json_type_array) ? data : NULL;
}

static struct answer *forward_backward(struct submission *submission)
{
	struct thing *model = find_thing(submission, "model_id", THING_MODEL);
	struct json_object *data = find_data(submission);
	struct result_spec spec = {.kind = RESULT_FORWARD_BACKWARD};
	size_t n = data ? json_object_array_length(data) : 1;
	uint64_t sum = 0;

	if (!member(submission, "model_id"))
		return answer_missing("model_id");
	if (!model)
		return answer_detail(404, "Model not found");
	if (n > DATA_MAX)
		return answer_detail(422, "too many data");
	spec.n_data = (unsigned)n;
	spec.lengths = calloc(n + 1, sizeof spec.lengths[0]);
	if (!spec.lengths)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		uint64_t tokens = data ? datum_tokens(json_object_array_get_idx(data, i)) : DATUM_TOKENS;

		spec.lengths[i] = (uint32_t)tokens;
		sum += tokens;
	}
	if (sum > TOKENS_MAX) {
		free(spec.lengths);
		return answer_detail(422, "too many tokens");
	}
	return accept_operation(submission, &spec, model);
}

static bool is_plain_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/-";

	return name[0] && strlen(name) <= 200 && name[strspn(name, allowed)] == '\0';
}

/* optim_step, save_weights and load_weights: an operation of a model, with a path or without. */
static struct answer *model_operation(struct submission *submission)
{
	struct thing *model = find_thing(submission, "model_id", THING_MODEL);
	struct json_object *value = member(submission, "path");
	const char *path = json_object_is_type(value, json_type_string) ? json_object_get_string(value)
									: NULL;
	struct result_spec spec = {.kind = submission->kind};
	int size = 0;

	if (!member(submission, "model_id"))
		return answer_missing("model_id");
	if (!model)
		return answer_detail(404, "Model not found");
	if (path && !is_plain_name(path))
		return answer_detail(422, "path is not a plain name");
	if (spec.kind == RESULT_LOAD_WEIGHTS && !path)
		return answer_missing("path");
	if (spec.kind == RESULT_LOAD_WEIGHTS)
		size = asprintf(&spec.name, "%s", path);
	else if (spec.kind == RESULT_SAVE_WEIGHTS && path)
		size = asprintf(&spec.name, "tinker://%s/weights/%s", model->id, path);
	else if (spec.kind == RESULT_SAVE_WEIGHTS)
		size = asprintf(&spec.name, "tinker://%s/weights/%06u", model->id, ++model->saves);
	return size < 0 ? NULL : accept_operation(submission, &spec, model);
}

static struct answer *create_model(struct submission *submission)
{
	struct thing *model = add_thing(submission, THING_MODEL);
	struct result_spec spec = {.kind = RESULT_CREATE_MODEL};

	if (!model)
		return NULL;
	spec.name = strdup(model->id);
	return spec.name ? accept_operation(submission, &spec, model) : NULL;
}

static const struct {
	const char *name;
	struct answer *(*submit)(struct submission *submission);
	enum result_kind kind;
} submissions[] = {
	{"create_session", create_session, 0},
	{"create_sampling_session", create_sampling_session, 0},
	{"session_heartbeat", session_heartbeat, 0},
	{"create_model", create_model, RESULT_CREATE_MODEL},
	{"asample", asample, RESULT_SAMPLE},
	{"forward", forward_backward, RESULT_FORWARD_BACKWARD},
	{"forward_backward", forward_backward, RESULT_FORWARD_BACKWARD},
	{"optim_step", model_operation, RESULT_OPTIM_STEP},
	{"save_weights", model_operation, RESULT_SAVE_WEIGHTS},
	{"load_weights", model_operation, RESULT_LOAD_WEIGHTS},
};

struct answer *lifelike_submit(struct lifelike *lifelike, const char *name, struct http_text body)
{
	struct submission submission = {.lifelike = lifelike};
	struct answer *answer;

	for (size_t i = 0; i < ARRAY_LEN(submissions); i++) {
		if (strcmp(submissions[i].name, name) != 0)
			continue;
		submission.kind = submissions[i].kind;
		submission.body = tree_parse(body, TREE_DEEP);
		if (json_object_is_type(submission.body, json_type_object))
			answer = submissions[i].submit(&submission);
		else
			answer = answer_detail(422, "the body must be a JSON object");
		json_object_put(submission.body);
		return answer;
	}
	return answer_detail(404, "Not Found");
}
