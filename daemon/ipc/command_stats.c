/*
 * endpoints and stats: the state of the daemon as a whole.
 */
#include <string.h>

#include "outcome_json.h"
#include "request.h"
#include "targets.h"

static void put_gate(const struct request *request, struct json_writer *writer, const struct gate *gate)
{
	int64_t left = gate->until - loop_now(request->commands->loop);

	json_member_string(writer, "gate", gate->cause == GATE_NONE ? "open" : "closed");
	json_member_string(writer, "reason", gate_cause_name(gate->cause));
	json_name(writer, "retry_in_ms");
	if (gate->cause == GATE_NONE || gate->until == TIME_NEVER)
		json_null(writer);
	else
		json_int(writer, left <= 0 ? 0 : (left + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

static void put_connections(const struct request *request, struct json_writer *writer,
			    const struct endpoint *endpoint)
{
	struct commands *commands = request->commands;
	uint32_t connections = 0;
	unsigned version = 0;

	if (commands->upstream_status)
		commands->upstream_status(commands->context, endpoint, &connections, &version);
	json_member_int(writer, "connections", connections);
	json_member_string(writer, "http_version", version == 11 ? "1.1" : version == 20 ? "2" : NULL);
}

/* The last error of an endpoint is of anybody's poll. Only what concerns all who use it may be shown, and
 * nothing of the body that the server sent for somebody's future. */
static bool concerns_everybody(const struct error *error)
{
	if (error->type == ERROR_NETWORK)
		return true;
	return error->type == ERROR_API_STATUS &&
	       (error->status == 401 || error->status == 402 || error->status == 403 ||
		error->status == 429 || error->status >= 500);
}

static void put_last_error(struct line *line, struct json_writer *writer, const struct error *error)
{
	char none[] = "";
	struct error bare;

	json_name(writer, "last_error");
	if (!error || !concerns_everybody(error)) {
		json_null(writer);
		return;
	}
	bare = *error;
	bare.data = none;
	outcome_put_error(line, writer, &bare, NULL);
}

static void put_endpoint(const struct request *request, struct line *line, struct json_writer *writer,
			 const struct endpoint *endpoint)
{
	json_open(writer, '{');
	json_member_string(writer, "endpoint", endpoint->name);
	json_member_string(writer, "base_url", endpoint->base_url);
	json_member_string(writer, "profile", endpoint->policy.name);
	put_gate(request, writer, &endpoint->gate);
	json_member_int(writer, "in_flight", endpoint->in_flight);
	json_member_int(writer, "max_in_flight", endpoint->limits.max_in_flight);
	json_member_int(writer, "waiting", endpoint->ready.count);
	put_connections(request, writer, endpoint);
	put_last_error(line, writer, endpoint->last_error);
	json_close(writer);
}

bool command_endpoints(struct request *request)
{
	const struct commands *commands = request->commands;
	struct json_writer writer;
	struct line line;

	request_begin(request, &line, &writer);
	json_open(&writer, '{');
	json_name(&writer, "endpoints");
	json_open(&writer, '[');
	for (size_t i = 0; i < commands->n_endpoints; i++) {
		if (request_may_use(request, commands->endpoints[i]))
			put_endpoint(request, &line, &writer, commands->endpoints[i]);
	}
	json_close(&writer);
	json_close(&writer);
	return request_send(request, &line);
}

static void put_counters(const struct commands *commands, struct json_writer *writer)
{
	json_name(writer, "counters");
	json_open(writer, '{');
#define X(member, name) json_member_int(writer, name, (int64_t)commands->metrics->member);
	METRICS_COUNTERS(X)
#undef X
	json_name(writer, "poll_outcomes");
	json_open(writer, '{');
	for (int kind = 0; kind < OUTCOME_COUNT; kind++)
		json_member_int(writer, outcome_kind_name(kind), (int64_t)commands->metrics->outcomes[kind]);
	json_close(writer);
	json_name(writer, "events");
	json_open(writer, '{');
	for (int kind = 0; kind < EVENT_KIND_COUNT; kind++)
		json_member_int(writer, event_kind_name(kind), (int64_t)commands->bus->published[kind]);
	json_close(writer);
	json_close(writer);
}

static void put_gauges(const struct request *request, struct json_writer *writer)
{
	const struct commands *commands = request->commands;
	const struct registry *registry = commands->registry;
	const struct peers *peers = peer_peers(request->peer);
	int64_t in_flight = 0;

	for (size_t i = 0; i < commands->n_endpoints; i++)
		in_flight += commands->endpoints[i]->in_flight;
	json_name(writer, "gauges");
	json_open(writer, '{');
	json_name(writer, "futures");
	json_open(writer, '{');
	for (int state = 0; state < FUTURE_STATE_COUNT; state++)
		json_member_int(writer, future_state_name(state), (int64_t)registry->census.by_state[state]);
	json_close(writer);
	json_member_int(writer, "registrations", (int64_t)registry->registrations_by_id.count);
	json_member_int(writer, "registrations_live", (int64_t)registry->live);
	json_member_int(writer, "stored_bytes", (int64_t)registry->stored_bytes);
	json_member_int(writer, "waiting_for_disk_bytes", (int64_t)registry->stalled_bytes);
	json_member_int(writer, "in_flight", in_flight);
	json_member_int(writer, "inflight_result_bytes", (int64_t)commands->scheduler->budget.used);
	json_member_int(writer, "peers", (int64_t)peers->count);
	json_member_int(writer, "peer_memory_bytes", (int64_t)peers->memory);
	json_member_int(writer, "calls_outstanding", (int64_t)commands->outstanding);
	json_member_int(writer, "longest_turn_us", loop_longest_turn(commands->loop, false));
	json_close(writer);
}

bool command_stats(struct request *request)
{
	const struct commands *commands = request->commands;
	struct json_writer writer;
	struct line line;

	request_begin(request, &line, &writer);
	json_open(&writer, '{');
	json_member_string(&writer, "server", "tinkexd/" TINKEX_VERSION);
	json_member_string(&writer, "instance", commands->instance);
	json_member_int(&writer, "uptime_ms", (loop_now(commands->loop) - commands->started) / USEC_PER_MSEC);
	put_counters(commands, &writer);
	put_gauges(request, &writer);
	json_close(&writer);
	return request_send(request, &line);
}
