/* Routing and composition; see sim.h. */
#include "sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "control.h"
#include "tree.h"

static const char api_prefix[] = "/api/v1/";

int sim_require_key(struct sim *sim, const char *key)
{
	char *copy = key ? strdup(key) : NULL;

	if (key && !copy)
		return -ENOMEM;
	free(sim->required_key);
	sim->required_key = copy;
	return 0;
}

static bool key_is_right(const struct sim *sim, const struct http_request *request)
{
	struct http_text key;

	if (!sim->required_key)
		return true;
	return http_find_header(request, "X-API-Key", &key) && http_text_equals(key, sim->required_key);
}

static struct ledger_source source_of(const struct conn *conn)
{
	return (struct ledger_source){
		.read_us = conn->read_us,
		.connection = conn->number,
		.nth = conn->requests,
	};
}

/* What a poll's body says; the id points into `json`. False when it names no usable request id. */
static bool read_poll_body(struct json_object *json, const char **ret_id, bool *ret_allow_metadata_only)
{
	struct json_object *id, *allow = NULL;

	if (!json_object_object_get_ex(json, "request_id", &id) || !json_object_is_type(id, json_type_string))
		return false;
	if (strlen(json_object_get_string(id)) != (size_t)json_object_get_string_len(id))
		return false;
	json_object_object_get_ex(json, "allow_metadata_only", &allow);
	*ret_id = json_object_get_string(id);
	*ret_allow_metadata_only = json_object_get_boolean(allow);
	return true;
}

static void answer_poll(struct sim *sim, struct exchange *exchange, const char *id, bool allow_metadata_only)
{
	bool reused = exchange->conn->requests > 1;
	unsigned index;
	struct answer *answer = script_next(sim->script, id, reused, &index);

	if (answer && answer->reset_if_reused && reused) {
		answer_unref(answer);
		exchange_reset(exchange);
	} else if (answer) {
		exchange_answer(exchange, answer, (int)index);
	} else if (sim->lifelike && !script_knows(sim->script, id)) {
		lifelike_poll(sim->lifelike, exchange, id, allow_metadata_only);
	} else {
		exchange_answer(exchange, answer_detail(404, "Future not found"), -1);
	}
}

static void handle_poll(struct sim *sim, struct exchange *exchange, const struct http_request *request)
{
	struct json_object *json = tree_parse(request->body, TREE_SHALLOW);
	struct ledger_source source = source_of(exchange->conn);
	bool allow_metadata_only = false;
	const char *id = NULL;
	struct poll *poll;

	server_conn_is_poll(exchange->conn);
	(void)read_poll_body(json, &id, &allow_metadata_only);
	poll = ledger_poll_begin(sim->ledger, id, &source, request);
	if (!poll || exchange_set_poll(exchange, poll, id) < 0)
		exchange_reset(exchange);
	else if (!key_is_right(sim, request))
		exchange_answer(exchange, answer_detail(401, "Invalid or missing API key"), -1);
	else if (!id)
		exchange_answer(exchange, answer_detail(422, "the body names no request_id"), -1);
	else
		answer_poll(sim, exchange, id, allow_metadata_only);
	json_object_put(json);
}

/* The path behind the base path, or NULL when it is somewhere else. */
static const char *below_base(const struct sim *sim, const char *path)
{
	size_t size = strlen(sim->options.base_path);

	return strncmp(path, sim->options.base_path, size) == 0 ? path + size : NULL;
}

static struct answer *answer_other(struct sim *sim, const struct http_request *request, const char *path)
{
	bool get = http_text_equals(request->method, "GET");
	const char *below = below_base(sim, path);
	const char *name;

	if (get && (strcmp(path, "/healthz") == 0 ||
		    (below && (strcmp(below, "/healthz") == 0 || strcmp(below, "/api/v1/healthz") == 0))))
		return answer_text(200, "{\"status\":\"ok\"}", 15);
	if (!below || strncmp(below, api_prefix, sizeof api_prefix - 1) != 0)
		return answer_detail(404, "Not Found");
	name = below + sizeof api_prefix - 1;
	if (strcmp(name, "retrieve_future") == 0 || (sim->lifelike && get))
		return answer_detail(405, "Method Not Allowed");
	if (!sim->lifelike)
		return answer_detail(404, "Not Found");
	if (!key_is_right(sim, request))
		return answer_detail(401, "Invalid or missing API key");
	return lifelike_submit(sim->lifelike, name, request->body);
}

static bool is_poll(const struct sim *sim, const struct http_request *request, const char *path)
{
	const char *below = below_base(sim, path);

	return below && strcmp(below, "/api/v1/retrieve_future") == 0 &&
	       http_text_equals(request->method, "POST");
}

static void on_request(struct conn *conn, const struct http_request *request, void *arg)
{
	struct sim *sim = arg;
	struct exchange *exchange = exchange_new(&sim->exchanges, conn, request->keep_alive);
	char *path = strndup(request->path.at, request->path.size);

	if (!exchange || !path) {
		if (exchange)
			exchange_reset(exchange);
		else
			conn_close(conn, CONN_RESET);
	} else if (strncmp(path, "/sim/", 5) == 0) {
		server_conn_is_control(conn);
		control_request(sim->control, exchange, request, path + 5);
	} else if (is_poll(sim, request, path)) {
		handle_poll(sim, exchange, request);
	} else {
		struct ledger_source source = source_of(conn);
		struct answer *answer = answer_other(sim, request, path);

		ledger_other(sim->ledger, &source, request, answer ? answer->status : 0);
		control_changed(sim->control);
		exchange_answer(exchange, answer, -1);
	}
	free(path);
}

static void on_drained(struct conn *conn, void *arg)
{
	(void)arg;
	exchange_drained(conn->exchange);
}

static void on_gone(struct conn *conn, void *arg)
{
	(void)arg;
	exchange_gone(conn->exchange);
}

static void on_changed(void *arg)
{
	struct sim *sim = arg;

	control_changed(sim->control);
}

static void on_connections_changed(void *arg)
{
	struct sim *sim = arg;

	ledger_note_change(sim->ledger);
	control_changed(sim->control);
}

static const struct server_handler handler = {on_request, on_drained, on_gone, on_connections_changed};

static int load_script_file(struct sim *sim, const char *path)
{
	struct json_object *json = json_object_from_file(path);
	char *why = NULL;
	int error;

	if (!json) {
		fprintf(stderr, "tinker-sim: %s: %s\n", path, json_util_get_last_err());
		return -EINVAL;
	}
	error = script_load(sim->script, json, false, &why);
	json_object_put(json);
	if (error < 0)
		fprintf(stderr, "tinker-sim: %s: %s\n", path, why ? why : strerror(-error));
	free(why);
	return error;
}

static int build(struct sim *sim)
{
	const struct options *options = &sim->options;

	sim->ledger = ledger_new(options->record_limit);
	sim->script = script_new();
	sim->control = control_new(sim);
	if (options->lifelike_mode)
		sim->lifelike = lifelike_new(sim->base, &options->lifelike);
	if (!sim->ledger || !sim->script || !sim->control || (options->lifelike_mode && !sim->lifelike))
		return -ENOMEM;
	sim->exchanges = (struct exchanges){
		.base = sim->base,
		.ledger = sim->ledger,
		.changed = on_changed,
		.changed_arg = sim,
	};
	TAILQ_INIT(&sim->exchanges.held);
	return sim_require_key(sim, options->require_key);
}

int sim_start(struct event_base *base, const struct options *options, struct sim **ret_sim)
{
	struct sim *sim = calloc(1, sizeof *sim);
	int error;

	if (!sim)
		return -ENOMEM;
	sim->base = base;
	sim->options = *options;
	error = build(sim);
	if (error == 0 && options->script_file)
		error = load_script_file(sim, options->script_file);
	if (error == 0) {
		error = server_start(base, options->listen, &handler, sim, &sim->server);
		if (error < 0)
			fprintf(stderr, "tinker-sim: cannot listen on %s: %s\n", options->listen,
				strerror(-error));
	}
	if (error < 0) {
		sim_free(sim);
		return error;
	}
	*ret_sim = sim;
	return 0;
}

struct sim *sim_free(struct sim *sim)
{
	if (!sim)
		return NULL;
	server_free(sim->server);
	control_free(sim->control);
	lifelike_free(sim->lifelike);
	script_free(sim->script);
	ledger_free(sim->ledger);
	free(sim->required_key);
	free(sim);
	return NULL;
}
