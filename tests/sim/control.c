/* Control interface; see control.h. */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <json-c/json.h>

#include "clock.h"
#include "sim.h"
#include "tree.h"

enum { WAIT_MAX_MS = 600000 };

/* A request for statistics that is answered once there is news. Ends with its exchange. */
struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct control *control;
	struct exchange *exchange;
	uint64_t after;
	struct event *timer;
};

struct control {
	struct sim *sim;
	TAILQ_HEAD(waiter_list, waiter) waiters;
	struct event *wake;
};

/* One control request. Its query and body live as long as the call. */
struct call {
	struct control *control;
	struct sim *sim;
	struct exchange *exchange;
	struct evkeyvalq query;
	struct json_object *body; /* NULL when there is none */
};

static struct answer *answer_stats(struct control *control);

static void waiter_free(struct waiter *waiter)
{
	TAILQ_REMOVE(&waiter->control->waiters, waiter, link);
	if (waiter->timer)
		event_free(waiter->timer);
	free(waiter);
}

static void answer_waiter(struct waiter *waiter)
{
	struct exchange *exchange = waiter->exchange;
	struct control *control = waiter->control;

	waiter_free(waiter);
	exchange_answer(exchange, answer_stats(control), -1);
}

static void on_wake(int fd, short what, void *arg)
{
	struct control *control = arg;
	struct waiter *waiter = TAILQ_FIRST(&control->waiters);

	(void)fd;
	(void)what;
	while (waiter) {
		struct waiter *next = TAILQ_NEXT(waiter, link);

		if (ledger_changes(control->sim->ledger) > waiter->after)
			answer_waiter(waiter);
		waiter = next;
	}
}

static void on_waited(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	answer_waiter(arg);
}

static void on_waiter_gone(struct exchange *exchange, void *arg)
{
	(void)exchange;
	waiter_free(arg);
}

struct control *control_new(struct sim *sim)
{
	struct control *control = calloc(1, sizeof *control);

	if (!control)
		return NULL;
	control->sim = sim;
	TAILQ_INIT(&control->waiters);
	control->wake = event_new(sim->base, -1, 0, on_wake, control);
	return control->wake ? control : control_free(control);
}

struct control *control_free(struct control *control)
{
	if (!control)
		return NULL;
	if (control->wake)
		event_free(control->wake);
	free(control);
	return NULL;
}

void control_changed(struct control *control)
{
	if (!TAILQ_EMPTY(&control->waiters))
		event_active(control->wake, 0, 0);
}

static const char *query(const struct call *call, const char *name)
{
	return evhttp_find_header(&call->query, name);
}

static uint64_t query_number(const struct call *call, const char *name, uint64_t otherwise)
{
	const char *text = query(call, name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static struct json_object *member(const struct call *call, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(call->body, name, &value);
	return value;
}

static void add_count(struct json_object *object, const char *name, uint64_t count)
{
	json_object_object_add(object, name, json_object_new_int64((int64_t)count));
}

static struct answer *answer_count(const char *name, uint64_t count)
{
	struct json_object *object = json_object_new_object();

	if (object)
		add_count(object, name, count);
	return answer_json(200, object);
}

static struct json_object *describe_connections(const struct server_counts *counts)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	add_count(object, "accepted", counts->accepted);
	add_count(object, "open", counts->open);
	add_count(object, "max_open", counts->max_open);
	add_count(object, "control", counts->control);
	add_count(object, "poll_used", counts->poll_used);
	add_count(object, "poll_open", counts->poll_open);
	add_count(object, "poll_max_open", counts->max_polls);
	return object;
}

static struct answer *answer_stats(struct control *control)
{
	const struct sim *sim = control->sim;
	struct json_object *object = ledger_stats(sim->ledger);
	const struct exchange *held;
	uint64_t n_held = 0;

	if (!object)
		return NULL;
	TAILQ_FOREACH (held, &sim->exchanges.held, link)
		n_held++;
	add_count(object, "awaiting_release", n_held);
	json_object_object_add(object, "connections", describe_connections(&sim->server->counts));
	add_count(object, "bad_requests", sim->server->counts.refused);
	json_object_object_add(object, "accepting", json_object_new_boolean(sim->server->listener >= 0));
	json_object_object_add(object, "mode",
			       json_object_new_string(sim->lifelike ? "lifelike" : "scripted"));
	return answer_json(200, object);
}

/* Answers at once, or makes the exchange wait until the ledger has changed beyond `after`. */
static struct answer *call_stats(struct call *call)
{
	struct control *control = call->control;
	uint64_t after = query_number(call, "after", UINT64_MAX);
	uint64_t timeout_ms = query_number(call, "timeout_ms", WAIT_MAX_MS);
	struct waiter *waiter;
	struct timeval delay;

	if (after == UINT64_MAX || ledger_changes(call->sim->ledger) > after)
		return answer_stats(control);
	delay = clock_timeval(1000 * (timeout_ms < WAIT_MAX_MS ? timeout_ms : WAIT_MAX_MS));
	waiter = calloc(1, sizeof *waiter);
	if (!waiter)
		return NULL;
	waiter->control = control;
	waiter->exchange = call->exchange;
	waiter->after = after;
	TAILQ_INSERT_TAIL(&control->waiters, waiter, link);
	waiter->timer = evtimer_new(call->sim->base, on_waited, waiter);
	if (!waiter->timer || event_add(waiter->timer, &delay) < 0) {
		waiter_free(waiter);
		return NULL;
	}
	call->exchange->gone = on_waiter_gone;
	call->exchange->gone_arg = waiter;
	call->exchange = NULL; /* the waiter's now */
	return NULL;
}

static struct answer *call_polls(struct call *call)
{
	return answer_json(200, ledger_polls(call->sim->ledger, query(call, "request_id"),
					     query_number(call, "after", 0),
					     query_number(call, "limit", UINT64_MAX),
					     query_number(call, "brief", 0) > 0));
}

static struct answer *call_requests(struct call *call)
{
	return answer_json(200, ledger_others(call->sim->ledger));
}

static struct answer *call_body(struct call *call)
{
	const char *id = query(call, "request_id");
	uint64_t size = query_number(call, "size", 0);
	struct answer *answer;

	if (!id || size < BODY_GENERATED_MIN)
		return answer_detail(422, "request_id and a size of at least 26 are needed");
	answer = answer_text(200, "", 0);
	free(call->exchange->id);
	call->exchange->id = strdup(id);
	if (!answer || !call->exchange->id)
		return answer_unref(answer);
	answer->generated = true;
	answer->body_size = size;
	return answer;
}

static struct answer *call_script(struct call *call)
{
	char *why = NULL;
	int error = script_load(call->sim->script, call->body, query_number(call, "append", 0) > 0, &why);
	struct answer *answer = error < 0 ? answer_detail(422, why ? why : strerror(-error))
					  : answer_count("ids",
							 (uint64_t)json_object_object_length(call->body));

	free(why);
	return answer;
}

static struct answer *call_release(struct call *call)
{
	struct json_object *id = member(call, "request_id");

	return answer_count("released",
			    exchanges_release(&call->sim->exchanges, id ? json_object_get_string(id) : NULL));
}

static struct answer *call_reset(struct call *call)
{
	if (!json_object_get_boolean(member(call, "keep_scripts")))
		script_clear(call->sim->script);
	ledger_reset(call->sim->ledger);
	server_reset_counts(call->sim->server);
	control_changed(call->control);
	return answer_text(200, "{}", 2);
}

static struct answer *call_refuse(struct call *call)
{
	server_refuse(call->sim->server, (unsigned)json_object_get_int(member(call, "for_ms")));
	return answer_text(200, "{}", 2);
}

static struct answer *call_accept(struct call *call)
{
	int error = server_accept(call->sim->server);

	return error < 0 ? answer_detail(500, strerror(-error)) : answer_text(200, "{}", 2);
}

static struct answer *call_drop(struct call *call)
{
	struct json_object *idle_only = member(call, "idle_only");
	enum conn_end how = json_object_get_boolean(member(call, "reset")) ? CONN_RESET : CONN_FIN;

	return answer_count("dropped", server_drop(call->sim->server,
						   !idle_only || json_object_get_boolean(idle_only), how));
}

static struct answer *call_key(struct call *call)
{
	struct json_object *key = member(call, "require");

	if (sim_require_key(call->sim, key ? json_object_get_string(key) : NULL) < 0)
		return NULL;
	return answer_text(200, "{}", 2);
}

static const struct {
	const char *name;
	const char *method;
	struct answer *(*call)(struct call *call);
} calls[] = {
	{"stats", "GET", call_stats},  {"polls", "GET", call_polls},    {"requests", "GET", call_requests},
	{"body", "GET", call_body},    {"script", "POST", call_script}, {"release", "POST", call_release},
	{"reset", "POST", call_reset}, {"refuse", "POST", call_refuse}, {"accept", "POST", call_accept},
	{"drop", "POST", call_drop},   {"key", "POST", call_key},
};

/* Fills in query and body. An answer when they are no good, else NULL. */
static struct answer *read_call(struct call *call, const struct http_request *request)
{
	char *text = strndup(request->query.size ? request->query.at : "", request->query.size);
	struct answer *refusal = NULL;

	if (!text || evhttp_parse_query_str(text, &call->query) < 0)
		refusal = answer_detail(400, "bad query");
	if (!refusal && request->body.size > 0) {
		call->body = tree_parse(request->body, TREE_DEEP);
		if (!json_object_is_type(call->body, json_type_object))
			refusal = answer_detail(422, "the body must be a JSON object");
	}
	free(text);
	return refusal;
}

static struct answer *carry_out(struct call *call, const struct http_request *request, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		struct answer *refusal;

		if (strcmp(calls[i].name, name) != 0)
			continue;
		if (!http_text_equals(request->method, calls[i].method))
			return answer_detail(405, "Method Not Allowed");
		refusal = read_call(call, request);
		return refusal ? refusal : calls[i].call(call);
	}
	return answer_detail(404, "no such control call");
}

void control_request(struct control *control, struct exchange *exchange, const struct http_request *request,
		     const char *name)
{
	struct call call = {.control = control, .sim = control->sim, .exchange = exchange};
	struct answer *answer;

	TAILQ_INIT(&call.query);
	answer = carry_out(&call, request, name);
	if (call.exchange)
		exchange_answer(call.exchange, answer, -1);
	evhttp_clear_headers(&call.query);
	json_object_put(call.body);
}
