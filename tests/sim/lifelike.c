/* Lifelike futures and their polls; see lifelike.h. */
#include "lifelike.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "idmap.h"
#include "random.h"

enum { PHASES_MAX = 3 };

enum queue_state {
	QUEUE_ACTIVE,
	QUEUE_CAPACITY,
	QUEUE_RATE_LIMIT,
};

static const struct {
	const char *name;
	const char *reason;
} queue_states[] = {
	[QUEUE_ACTIVE] = {"active", NULL},
	[QUEUE_CAPACITY] = {"paused_capacity",
			    "No free workers for this model right now, your request is queued"},
	[QUEUE_RATE_LIMIT] = {"paused_rate_limit", "Too many concurrent requests of this organisation"},
};

struct phase {
	enum queue_state state;
	uint64_t until_us;
};

struct future {
	struct idmap_node node;
	struct result_spec spec;
	struct phase phases[PHASES_MAX];
	unsigned n_phases;
	uint64_t done_us;
	uint64_t forget_us;      /* 0: not given yet, or never forgotten */
	enum queue_state told;   /* what the last answer said */
	unsigned holds;          /* how often a poll was held to the end */
	unsigned retry_after_ms; /* said with paused_rate_limit; 0: null */
	bool fails;
	char id[64];
};

struct lifelike {
	struct event_base *base;
	struct lifelike_options options;
	struct idmap futures, things;
	uint64_t state; /* of the stream of numbers */
	uint64_t submitted;
};

/* A poll that is held. Ends with its exchange. */
struct hold {
	struct lifelike *lifelike;
	struct exchange *exchange;
	struct future *future;
	uint64_t until_us;
	struct event *timer;
	bool allow_metadata_only;
};

struct lifelike *lifelike_new(struct event_base *base, const struct lifelike_options *options)
{
	struct lifelike *lifelike = calloc(1, sizeof *lifelike);

	if (!lifelike)
		return NULL;
	lifelike->base = base;
	lifelike->options = *options;
	lifelike->state = options->seed;
	return lifelike;
}

static void future_free(struct future *future)
{
	free(future->spec.lengths);
	free(future->spec.name);
	free(future);
}

struct lifelike *lifelike_free(struct lifelike *lifelike)
{
	struct idmap_node *node;
	size_t cursor = 0;

	if (!lifelike)
		return NULL;
	while ((node = idmap_pop(&lifelike->futures, &cursor)))
		future_free(container_of(node, struct future, node));
	submit_clear(&lifelike->things);
	idmap_release(&lifelike->futures);
	idmap_release(&lifelike->things);
	free(lifelike);
	return NULL;
}

struct idmap *lifelike_things(struct lifelike *lifelike)
{
	return &lifelike->things;
}

void lifelike_name(struct lifelike *lifelike, const char *kind, char *text, size_t size)
{
	snprintf(text, size, "%s-%016" PRIx64, kind, random_next(&lifelike->state));
}

static void add_phase(struct future *future, enum queue_state state, uint64_t until_us)
{
	future->phases[future->n_phases++] = (struct phase){state, until_us};
}

/* A third waits for capacity, a quarter is rate-limited, some are both in turn; the rest is active from the
 * start. */
static void plan_phases(struct lifelike *lifelike, struct future *future, uint64_t start_us)
{
	const struct lifelike_options *options = &lifelike->options;
	uint64_t took_us = 1000 * random_between(&lifelike->state, options->min_ms, options->max_ms);
	unsigned dice = (unsigned)random_between(&lifelike->state, 0, 99);
	uint64_t share = random_between(&lifelike->state, 20, 60);

	future->done_us = start_us + took_us;
	future->retry_after_ms = dice % 2 ? (unsigned)random_between(&lifelike->state, 100, 400) : 0;
	if (dice < 35) {
		add_phase(future, QUEUE_CAPACITY, start_us + took_us * share / 100);
	} else if (dice < 60) {
		add_phase(future, QUEUE_RATE_LIMIT, start_us + took_us * share / 100);
	} else if (dice < 75) {
		add_phase(future, QUEUE_CAPACITY, start_us + took_us * share / 200);
		add_phase(future, QUEUE_RATE_LIMIT, start_us + took_us * share / 100);
	}
	add_phase(future, QUEUE_ACTIVE, future->done_us);
}

int lifelike_add(struct lifelike *lifelike, struct result_spec *spec, uint64_t start_us, const char **ret_id,
		 uint64_t *ret_done_us)
{
	struct future *future = calloc(1, sizeof *future);
	uint64_t high;

	if (!future) {
		free(spec->lengths);
		free(spec->name);
		return -ENOMEM;
	}
	future->spec = *spec;
	lifelike->submitted++;
	high = random_next(&lifelike->state);
	future->spec.seed = random_next(&lifelike->state);
	if (lifelike->options.decimal_ids)
		snprintf(future->id, sizeof future->id, "%" PRIu64, lifelike->submitted);
	else
		snprintf(future->id, sizeof future->id, "%016" PRIx64 "-%" PRIu64, high, lifelike->submitted);
	future->fails = random_between(&lifelike->state, 0, 99) < lifelike->options.fail_percent;
	plan_phases(lifelike, future, start_us);
	future->node.key = future->id;
	if (idmap_add(&lifelike->futures, &future->node) < 0) {
		future_free(future);
		return -ENOMEM;
	}
	*ret_id = future->id;
	*ret_done_us = future->done_us;
	return 0;
}

static const struct phase *phase_at(const struct future *future, uint64_t now_us)
{
	for (unsigned i = 0; i + 1 < future->n_phases; i++)
		if (now_us < future->phases[i].until_us)
			return &future->phases[i];
	return &future->phases[future->n_phases - 1];
}

static void add_queue_state(struct json_object *object, enum queue_state state)
{
	const char *reason = queue_states[state].reason;

	json_object_object_add(object, "queue_state", json_object_new_string(queue_states[state].name));
	json_object_object_add(object, "queue_state_reason", reason ? json_object_new_string(reason) : NULL);
}

static struct answer *try_again(const struct future *future, enum queue_state state)
{
	struct json_object *object = json_object_new_object();
	bool retry_after = state == QUEUE_RATE_LIMIT && future->retry_after_ms > 0;

	if (!object)
		return NULL;
	json_object_object_add(object, "type", json_object_new_string("try_again"));
	json_object_object_add(object, "request_id", json_object_new_string(future->id));
	add_queue_state(object, state);
	json_object_object_add(object, "retry_after_ms",
			       retry_after ? json_object_new_int((int)future->retry_after_ms) : NULL);
	return answer_json(200, object);
}

/* The hold time is over and nothing has changed. */
static struct answer *held_to_the_end(const struct lifelike *lifelike, struct future *future,
				      enum queue_state state)
{
	enum hold_answer form = lifelike->options.hold_answer;
	struct json_object *object;

	future->holds++;
	if (form == HOLD_MIXED)
		form = (future->spec.seed + future->holds) % 2 ? HOLD_408 : HOLD_TRY_AGAIN;
	if (form == HOLD_TRY_AGAIN)
		return try_again(future, state);
	object = json_object_new_object();
	if (!object)
		return NULL;
	json_object_object_add(object, "detail", json_object_new_string("Timeout waiting for the result"));
	add_queue_state(object, state);
	return answer_json(408, object);
}

static struct answer *failure(const struct lifelike *lifelike)
{
	bool server = lifelike->options.fail_server;
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	json_object_object_add(
		object, "error",
		json_object_new_string(server ? "A worker was lost while it executed the request"
					      : "The prompt is longer than the context window of the model"));
	json_object_object_add(object, "category", json_object_new_string(server ? "server" : "user"));
	return answer_json(200, object);
}

static struct answer *metadata(const struct future *future, size_t size)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	json_object_object_add(object, "status", json_object_new_string("complete_metadata"));
	json_object_object_add(object, "request_id", json_object_new_string(future->id));
	json_object_object_add(object, "response_payload_size", json_object_new_int64((int64_t)size));
	return answer_json(200, object);
}

static struct answer *final_answer(const struct lifelike *lifelike, struct future *future,
				   bool allow_metadata_only)
{
	size_t size;
	char *text;

	if (future->fails)
		return failure(lifelike);
	text = results_write(&future->spec, &size);
	if (text && allow_metadata_only && size > lifelike->options.metadata_above) {
		free(text);
		return metadata(future, size);
	}
	if (lifelike->options.forget_ms > 0 && future->forget_us == 0)
		future->forget_us = clock_us() + 1000 * (uint64_t)lifelike->options.forget_ms;
	return answer_take_text(200, text, size);
}

/* The answer that is due now, or NULL with the moment to look again in *ret_us. */
static struct answer *due_answer(struct hold *hold, bool *ret_due, uint64_t *ret_us)
{
	struct future *future = hold->future;
	uint64_t now_us = clock_us();
	const struct phase *phase = phase_at(future, now_us);

	*ret_due = true;
	if (now_us >= future->done_us)
		return final_answer(hold->lifelike, future, hold->allow_metadata_only);
	if (phase->state != future->told) {
		future->told = phase->state;
		return try_again(future, phase->state);
	}
	if (now_us >= hold->until_us)
		return held_to_the_end(hold->lifelike, future, phase->state);
	*ret_due = false;
	*ret_us = phase->until_us < hold->until_us ? phase->until_us : hold->until_us;
	*ret_us -= now_us;
	return NULL;
}

static void hold_free(struct hold *hold)
{
	if (hold->timer)
		event_free(hold->timer);
	free(hold);
}

static void on_gone(struct exchange *exchange, void *arg)
{
	(void)exchange;
	hold_free(arg);
}

static void look_again(int fd, short what, void *arg)
{
	struct hold *hold = arg;
	struct exchange *exchange = hold->exchange;
	struct answer *answer;
	struct timeval delay;
	uint64_t wait_us = 0;
	bool due;

	(void)fd;
	(void)what;
	answer = due_answer(hold, &due, &wait_us);
	delay = clock_timeval(wait_us);
	if (due || event_add(hold->timer, &delay) < 0) {
		hold_free(hold);
		exchange_answer(exchange, answer, -1);
	}
}

static bool all_digits(const char *id)
{
	return *id && id[strspn(id, "0123456789")] == '\0';
}

void lifelike_poll(struct lifelike *lifelike, struct exchange *exchange, const char *id,
		   bool allow_metadata_only)
{
	struct idmap_node *node = idmap_find(&lifelike->futures, id);
	struct future *future = node ? container_of(node, struct future, node) : NULL;
	struct hold *hold;

	if (!future && lifelike->options.decimal_ids && !all_digits(id)) {
		exchange_answer(exchange, answer_detail(500, "Unknown error"), -1);
		return;
	}
	if (!future || (future->forget_us > 0 && clock_us() >= future->forget_us)) {
		exchange_answer(exchange, answer_detail(404, "Future not found"), -1);
		return;
	}
	hold = calloc(1, sizeof *hold);
	if (hold)
		hold->timer = evtimer_new(lifelike->base, look_again, hold);
	if (!hold || !hold->timer) {
		free(hold);
		exchange_answer(exchange, NULL, -1);
		return;
	}
	hold->lifelike = lifelike;
	hold->exchange = exchange;
	hold->future = future;
	hold->until_us = clock_us() + 1000 * (uint64_t)lifelike->options.hold_ms;
	hold->allow_metadata_only = allow_metadata_only;
	exchange->gone = on_gone;
	exchange->gone_arg = hold;
	look_again(-1, 0, hold);
}
