/* Records, counters and overlaps; see ledger.h. */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "clock.h"
#include "idmap.h"
#include "record.h"

enum {
	OTHERS_MAX = 10000,
	OVERLAPPED_MAX = 20, /* ids named in the statistics */
	STATUS_MAX = 1000,
};

TAILQ_HEAD(poll_list, poll);

/* A request id that was polled. Lives while it has polls in flight or on record. */
struct polled_id {
	struct idmap_node node;
	unsigned in_flight;
	uint64_t references; /* polls that point here */
	struct poll_list polls;
	char id[];
};

struct poll {
	TAILQ_ENTRY(poll) link;  /* in ledger.polls */
	TAILQ_ENTRY(poll) of_id; /* in polled_id.polls */
	struct polled_id *id;    /* NULL when the request named none */
	enum poll_outcome outcome;
	bool overlap;
	int status, index; /* 0 and -1 until known */
	uint64_t seq, answer_us, end_us, bytes;
	struct ledger_source source;
	struct record *record; /* NULL when only counters are kept */
};

struct ledger {
	uint64_t start_us, record_limit, ended_kept;
	struct poll_list polls;
	struct record_list others;
	unsigned n_others;
	struct idmap ids;
	uint64_t changes, seq;
	uint64_t n_polls, n_reused, n_overlaps, n_other, n_bad, n_dropped, body_bytes;
	uint64_t in_flight, max_in_flight;
	uint64_t by_outcome[POLL_OUTCOMES];
	uint64_t by_status[STATUS_MAX];
	char *overlapped[OVERLAPPED_MAX];
};

static const char *const outcome_names[POLL_OUTCOMES] = {
	"pending", "answered", "aborted", "reset", "closed", "truncated", "garbage",
};

struct ledger *ledger_new(uint64_t record_limit)
{
	struct ledger *ledger = calloc(1, sizeof *ledger);

	if (!ledger)
		return NULL;
	ledger->start_us = clock_us();
	ledger->record_limit = record_limit;
	TAILQ_INIT(&ledger->polls);
	TAILQ_INIT(&ledger->others);
	return ledger;
}

static struct polled_id *find_id(const struct ledger *ledger, const char *id)
{
	struct idmap_node *node = idmap_find(&ledger->ids, id);

	return node ? container_of(node, struct polled_id, node) : NULL;
}

static struct polled_id *need_id(struct ledger *ledger, const char *text)
{
	struct polled_id *id = find_id(ledger, text);
	size_t size = strlen(text) + 1;

	if (id)
		return id;
	id = calloc(1, sizeof *id + size);
	if (!id)
		return NULL;
	memcpy(id->id, text, size);
	id->node.key = id->id;
	TAILQ_INIT(&id->polls);
	if (idmap_add(&ledger->ids, &id->node) < 0) {
		free(id);
		return NULL;
	}
	return id;
}

/* Takes the poll out of all lists and frees it, and its id with the last one. */
static void forget_poll(struct ledger *ledger, struct poll *poll)
{
	TAILQ_REMOVE(&ledger->polls, poll, link);
	if (poll->id) {
		TAILQ_REMOVE(&poll->id->polls, poll, of_id);
		if (--poll->id->references == 0) {
			idmap_remove(&ledger->ids, &poll->id->node);
			free(poll->id);
		}
	}
	record_free(poll->record);
	free(poll);
}

static void forget_ended(struct ledger *ledger)
{
	struct poll *poll = TAILQ_FIRST(&ledger->polls);

	while (poll) {
		struct poll *next = TAILQ_NEXT(poll, link);

		if (poll->outcome != POLL_PENDING)
			forget_poll(ledger, poll);
		poll = next;
	}
	ledger->ended_kept = 0;
	while (!TAILQ_EMPTY(&ledger->others))
		record_unlink_free(&ledger->others, TAILQ_FIRST(&ledger->others));
	ledger->n_others = 0;
	for (size_t i = 0; i < OVERLAPPED_MAX; i++) {
		free(ledger->overlapped[i]);
		ledger->overlapped[i] = NULL;
	}
}

struct ledger *ledger_free(struct ledger *ledger)
{
	if (ledger) {
		forget_ended(ledger);
		idmap_release(&ledger->ids);
		free(ledger);
	}
	return NULL;
}

void ledger_reset(struct ledger *ledger)
{
	forget_ended(ledger);
	ledger->n_polls = ledger->n_reused = ledger->n_overlaps = ledger->n_other = ledger->n_bad = 0;
	ledger->n_dropped = ledger->body_bytes = 0;
	memset(ledger->by_outcome, 0, sizeof ledger->by_outcome);
	memset(ledger->by_status, 0, sizeof ledger->by_status);
	ledger->max_in_flight = ledger->in_flight;
	ledger->changes++;
}

static void note_overlap(struct ledger *ledger, struct poll *poll)
{
	poll->overlap = true;
	ledger->n_overlaps++;
	for (size_t i = 0; i < OVERLAPPED_MAX; i++) {
		if (!ledger->overlapped[i])
			ledger->overlapped[i] = strdup(poll->id->id);
		if (!ledger->overlapped[i] || strcmp(ledger->overlapped[i], poll->id->id) == 0)
			return;
	}
}

static void enter_id(struct ledger *ledger, struct poll *poll, struct polled_id *id)
{
	poll->id = id;
	id->references++;
	TAILQ_INSERT_TAIL(&id->polls, poll, of_id);
	if (id->in_flight++ > 0)
		note_overlap(ledger, poll);
}

struct poll *ledger_poll_begin(struct ledger *ledger, const char *id, const struct ledger_source *source,
			       const struct http_request *request)
{
	struct poll *poll = calloc(1, sizeof *poll);
	struct polled_id *polled = NULL;

	if (!poll)
		return NULL;
	if (ledger->record_limit > 0)
		poll->record = record_new(request);
	if (id)
		polled = need_id(ledger, id);
	if ((id && !polled) || (ledger->record_limit > 0 && !poll->record)) {
		record_free(poll->record);
		free(poll);
		return NULL;
	}
	poll->source = *source;
	poll->seq = ++ledger->seq;
	poll->index = -1;
	TAILQ_INSERT_TAIL(&ledger->polls, poll, link);
	if (polled)
		enter_id(ledger, poll, polled);
	else
		ledger->n_bad++;
	ledger->n_polls++;
	ledger->n_reused += source->nth > 1;
	if (++ledger->in_flight > ledger->max_in_flight)
		ledger->max_in_flight = ledger->in_flight;
	ledger->changes++;
	return poll;
}

void ledger_poll_answer(struct poll *poll, int status, int index)
{
	poll->status = status;
	poll->index = index;
}

void ledger_poll_answering(struct poll *poll)
{
	if (poll->answer_us == 0)
		poll->answer_us = clock_us();
}

void ledger_poll_end(struct ledger *ledger, struct poll *poll, enum poll_outcome outcome, uint64_t bytes)
{
	poll->outcome = outcome;
	poll->bytes = bytes;
	poll->end_us = clock_us();
	if (poll->id)
		poll->id->in_flight--;
	ledger->in_flight--;
	ledger->by_outcome[outcome]++;
	if (outcome == POLL_ANSWERED && poll->status > 0 && poll->status < STATUS_MAX)
		ledger->by_status[poll->status]++;
	ledger->body_bytes += bytes;
	ledger->changes++;
	ledger->ended_kept++;
	if (ledger->record_limit == 0) {
		forget_poll(ledger, poll);
		ledger->ended_kept--;
		return;
	}
	/* The oldest goes first; one that is still in flight at the head holds the others up. */
	while (ledger->ended_kept > ledger->record_limit &&
	       TAILQ_FIRST(&ledger->polls)->outcome != POLL_PENDING) {
		forget_poll(ledger, TAILQ_FIRST(&ledger->polls));
		ledger->ended_kept--;
		ledger->n_dropped++;
	}
}

void ledger_other(struct ledger *ledger, const struct ledger_source *source,
		  const struct http_request *request, int status)
{
	struct record *record = ledger->record_limit > 0 ? record_new(request) : NULL;

	ledger->n_other++;
	ledger->changes++;
	if (!record)
		return;
	record->read_us = source->read_us;
	record->connection = source->connection;
	record->status = status;
	TAILQ_INSERT_TAIL(&ledger->others, record, link);
	if (++ledger->n_others > OTHERS_MAX) {
		record_unlink_free(&ledger->others, TAILQ_FIRST(&ledger->others));
		ledger->n_others--;
	}
}

void ledger_note_change(struct ledger *ledger)
{
	ledger->changes++;
}

uint64_t ledger_changes(const struct ledger *ledger)
{
	return ledger->changes;
}

static void add_count(struct json_object *object, const char *name, uint64_t count)
{
	json_object_object_add(object, name, json_object_new_int64((int64_t)count));
}

static double ms_since_start(const struct ledger *ledger, uint64_t us)
{
	return ((double)us - (double)ledger->start_us) / 1000.0;
}

static void add_time(struct json_object *object, const char *name, const struct ledger *ledger, uint64_t us)
{
	double ms = ms_since_start(ledger, us);
	char text[32];

	snprintf(text, sizeof text, "%.3f", ms);
	json_object_object_add(object, name, us ? json_object_new_double_s(ms, text) : NULL);
}

static struct json_object *statuses(const struct ledger *ledger)
{
	struct json_object *object = json_object_new_object();
	char name[16];

	for (int i = 0; object && i < STATUS_MAX; i++) {
		if (ledger->by_status[i] > 0) {
			snprintf(name, sizeof name, "%d", i);
			add_count(object, name, ledger->by_status[i]);
		}
	}
	return object;
}

struct json_object *ledger_stats(const struct ledger *ledger)
{
	struct json_object *object = json_object_new_object();
	struct json_object *overlapped = json_object_new_array();
	double start = (double)ledger->start_us / 1000000.0;
	char text[32];

	if (!object || !overlapped) {
		json_object_put(object);
		json_object_put(overlapped);
		return NULL;
	}
	add_count(object, "changes", ledger->changes);
	add_time(object, "now_ms", ledger, clock_us());
	snprintf(text, sizeof text, "%.6f", start);
	json_object_object_add(object, "start_monotonic", json_object_new_double_s(start, text));
	add_count(object, "polls", ledger->n_polls);
	add_count(object, "reused", ledger->n_reused);
	add_count(object, "overlaps", ledger->n_overlaps);
	add_count(object, "in_flight", ledger->in_flight);
	add_count(object, "max_in_flight", ledger->max_in_flight);
	for (int i = POLL_ANSWERED; i < POLL_OUTCOMES; i++)
		add_count(object, outcome_names[i], ledger->by_outcome[i]);
	json_object_object_add(object, "by_status", statuses(ledger));
	add_count(object, "bad_polls", ledger->n_bad);
	add_count(object, "other_requests", ledger->n_other);
	add_count(object, "body_bytes", ledger->body_bytes);
	add_count(object, "ids", ledger->ids.count);
	add_count(object, "records_dropped", ledger->n_dropped);
	for (size_t i = 0; i < OVERLAPPED_MAX && ledger->overlapped[i]; i++)
		json_object_array_add(overlapped, json_object_new_string(ledger->overlapped[i]));
	json_object_object_add(object, "overlapped_ids", overlapped);
	return object;
}

static struct json_object *describe_poll(const struct ledger *ledger, const struct poll *poll, bool brief)
{
	struct json_object *object = json_object_new_object();

	if (!object)
		return NULL;
	add_count(object, "seq", poll->seq);
	json_object_object_add(object, "request_id", poll->id ? json_object_new_string(poll->id->id) : NULL);
	add_time(object, "t_ms", ledger, poll->source.read_us);
	add_time(object, "t_answer_ms", ledger, poll->answer_us);
	add_time(object, "t_end_ms", ledger, poll->end_us);
	json_object_object_add(object, "outcome", json_object_new_string(outcome_names[poll->outcome]));
	json_object_object_add(object, "status", poll->status ? json_object_new_int(poll->status) : NULL);
	json_object_object_add(object, "answer", poll->index >= 0 ? json_object_new_int(poll->index) : NULL);
	json_object_object_add(object, "overlap", json_object_new_boolean(poll->overlap));
	add_count(object, "connection", poll->source.connection);
	add_count(object, "nth", poll->source.nth);
	json_object_object_add(object, "reused", json_object_new_boolean(poll->source.nth > 1));
	add_count(object, "body_bytes", poll->bytes);
	if (poll->record)
		record_describe(poll->record, object, brief);
	return object;
}

struct json_object *ledger_polls(const struct ledger *ledger, const char *id, uint64_t after, uint64_t limit,
				 bool brief)
{
	const struct polled_id *polled = id ? find_id(ledger, id) : NULL;
	struct json_object *array = json_object_new_array();
	const struct poll *poll = polled ? TAILQ_FIRST(&polled->polls) : NULL;

	if (!id)
		poll = TAILQ_FIRST(&ledger->polls);
	for (; array && poll && limit > 0; poll = id ? TAILQ_NEXT(poll, of_id) : TAILQ_NEXT(poll, link)) {
		if (poll->seq <= after)
			continue;
		json_object_array_add(array, describe_poll(ledger, poll, brief));
		limit--;
	}
	return array;
}

struct json_object *ledger_others(const struct ledger *ledger)
{
	struct json_object *array = json_object_new_array();
	const struct record *record;

	TAILQ_FOREACH (record, &ledger->others, link) {
		struct json_object *object = json_object_new_object();

		if (!object)
			break;
		add_time(object, "t_ms", ledger, record->read_us);
		add_count(object, "connection", record->connection);
		json_object_object_add(object, "status", json_object_new_int(record->status));
		record_describe(record, object, false);
		json_object_array_add(array, object);
	}
	return array;
}
