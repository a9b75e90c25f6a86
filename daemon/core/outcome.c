#include "outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json_text.h"
#include "retry_after.h"
#include "text.h"
#include "timers.h"

#define ERROR_BODY_DEPTH 24 /* with the levels of a reply around it a body stays within JSON_STRICT_DEPTH */
#define ERROR_BODY_MAX   (8 * 1024)   /* bytes of an error's body that go into its data */
#define ERROR_DATA_MAX   (256 * 1024) /* a body of OUTCOME_BODY_MAX as base64, and more */

static const char *const kind_names[] = {
#define X(constant, name) [constant] = name,
	OUTCOMES(X)
#undef X
};

static const char *const queue_names[] = {
	[QUEUE_NONE] = NULL,
	[QUEUE_ACTIVE] = "active",
	[QUEUE_PAUSED_RATE_LIMIT] = "paused_rate_limit",
	[QUEUE_PAUSED_CAPACITY] = "paused_capacity",
	[QUEUE_UNKNOWN] = "unknown",
};

const char *outcome_kind_name(enum outcome_kind kind)
{
	return kind_names[kind];
}

const char *queue_state_name(enum queue_state state)
{
	return queue_names[state];
}

enum queue_state queue_state_from_text(const char *text)
{
	for (size_t i = QUEUE_NONE + 1; i < ARRAY_LEN(queue_names); i++) {
		if (text_is(text, queue_names[i]))
			return (enum queue_state)i;
	}
	return QUEUE_UNKNOWN;
}

/* Errors. */

static void put_name(struct buffer *data, const char *name)
{
	if (data->size)
		buffer_putc(data, ',');
	buffer_printf(data, "\"%s\":", name);
}

static void put_count(struct buffer *data, const char *name, uint64_t count)
{
	put_name(data, name);
	buffer_printf(data, "%llu", (unsigned long long)count);
}

static void put_text(struct buffer *data, const char *name, const char *text)
{
	put_name(data, name);
	json_put_string(data, text);
}

/* Lines go to strict clients, so a body may stand in one as it is only if it is strict itself. The names'
 * key is no secret: so short a text has too few names for colliding ones to cost anything. */
static bool make_strict(char *text, size_t size, struct json_range *ret_value)
{
	static const uint8_t key[16] = {0};
	struct json_names *names = malloc(sizeof(*names));
	struct json_scan scan;
	bool strict;

	if (!names)
		return false;
	json_names_init(names, key);
	json_scan_init(&scan, JSON_STRICT, names, NULL, 0);
	scan.depth_max = ERROR_BODY_DEPTH;
	scan.flatten = true;
	json_scan_feed(&scan, text, size);
	strict = json_scan_finish(&scan) == JSON_OK;
	free(names);
	if (strict)
		*ret_value = scan.value;
	return strict;
}

static bool put_json_body(struct buffer *data, const struct outcome_reader *reader)
{
	size_t before = data->size, at;
	struct json_range value;

	put_name(data, "body");
	at = data->size;
	buffer_append(data, reader->head, reader->head_size);
	if (buffer_error(data) || !make_strict(data->data + at, data->size - at, &value)) {
		data->size = before;
		return false;
	}
	data->size = at + (size_t)value.end;
	return true;
}

static void put_body(struct buffer *data, const struct outcome_reader *reader)
{
	size_t size = reader ? reader->head_size : 0;

	if (!size || (reader->size == size && size <= ERROR_BODY_MAX && put_json_body(data, reader)))
		return;
	if (size > ERROR_BODY_MAX)
		size = ERROR_BODY_MAX;
	put_name(data, "body_text");
	json_put_string_n(data, reader->head, size);
	if (size < reader->size)
		put_count(data, "body_size", reader->size);
}

/* Takes over what is in `data`. A large one may fail for want of memory: then the error goes without. */
static void set_error(struct outcome *outcome, enum error_type type, enum error_category category,
		      unsigned status, const char *message, struct buffer *data)
{
	buffer_putc(data, 0);
	outcome->error = error_new(type, category, status, message, buffer_error(data) ? NULL : data->data);
	buffer_release(data);
}

/* No answer, or one that is no HTTP. */

static void classify_network(const struct answer *answer, const char *why, struct outcome *outcome)
{
	struct buffer data = BUFFER_INIT(ERROR_DATA_MAX);

	outcome->kind = OUTCOME_NETWORK;
	if (answer->transport_error && answer->transport_error[0])
		why = answer->transport_error;
	set_error(outcome, ERROR_NETWORK, CATEGORY_NONE, 0, why, &data);
}

/* Other than 2xx. */

struct status_row {
	unsigned status;
	enum outcome_kind kind;
	enum error_category category; /* unless the body says another */
	const char *message;          /* unless the body has one */
};

static const struct status_row *status_row(unsigned status)
{
	static const struct status_row known[] = {
		{400, OUTCOME_BAD_REQUEST, CATEGORY_USER, "the server refused the request"},
		{401, OUTCOME_UNAUTHORISED, CATEGORY_USER, "the server does not accept the API key"},
		{402, OUTCOME_PAYMENT_REQUIRED, CATEGORY_USER, "the server asks for payment"},
		{403, OUTCOME_FORBIDDEN, CATEGORY_USER, "the API key may not do this"},
		{404, OUTCOME_NOT_FOUND, CATEGORY_USER, "the server does not know this request"},
		{410, OUTCOME_GONE, CATEGORY_SERVER, "the request has expired: submit a new one"},
		{429, OUTCOME_RATE_LIMITED, CATEGORY_SERVER, "the server asks for fewer requests"},
	};
	static const struct status_row server = {500, OUTCOME_SERVER_ERROR, CATEGORY_SERVER,
						 "the server failed"};
	static const struct status_row redirect = {300, OUTCOME_OTHER_STATUS, CATEGORY_UNKNOWN,
						   "the server redirects, which is not followed"};
	static const struct status_row client = {400, OUTCOME_OTHER_STATUS, CATEGORY_USER,
						 "the server refused the request"};
	static const struct status_row other = {0, OUTCOME_OTHER_STATUS, CATEGORY_UNKNOWN,
						"the server answered with an unknown status"};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (known[i].status == status)
			return &known[i];
	}
	switch (status / 100) {
	case 3:
		return &redirect;
	case 4:
		return &client;
	case 5:
		return &server;
	default:
		return &other;
	}
}

static void read_queue_state(const struct outcome_reader *reader, struct outcome *outcome)
{
	char text[64];

	if (!outcome_reader_text(reader, MEMBER_QUEUE_STATE, text, sizeof(text)))
		text[0] = 0; /* missing or no string: unknown, as what is not known is */
	outcome->queue_state = queue_state_from_text(text);
	if (!outcome_reader_text(reader, MEMBER_QUEUE_STATE_REASON, outcome->reason, sizeof(outcome->reason)))
		outcome->reason[0] = 0;
}

static void read_retry_after(const struct outcome_reader *reader, struct outcome *outcome)
{
	uint64_t milliseconds;

	if (!outcome_reader_count(reader, MEMBER_RETRY_AFTER_MS, &milliseconds))
		return;
	outcome->retry_after = milliseconds < RETRY_AFTER_MAX_US / USEC_PER_MSEC
				       ? (int64_t)milliseconds * USEC_PER_MSEC
				       : RETRY_AFTER_MAX_US;
}

/* 408: the server held the poll for as long as it liked. Its body may tell of the queue. */
static void classify_request_timeout(struct outcome_reader *reader, struct outcome *outcome)
{
	outcome->kind = OUTCOME_REQUEST_TIMEOUT;
	if (!outcome_reader_is_json(reader))
		return;
	read_retry_after(reader, outcome);
	if (outcome_reader_type(reader, MEMBER_QUEUE_STATE) > JSON_NULL)
		read_queue_state(reader, outcome);
}

static enum outcome_kind refined_kind(const struct status_row *row, unsigned status,
				      struct outcome_reader *reader)
{
	if (row->kind == OUTCOME_BAD_REQUEST) {
		if (outcome_reader_is_empty(reader))
			return OUTCOME_BAD_REQUEST_EMPTY;
		if (outcome_reader_is_json(reader) && outcome_reader_type(reader, MEMBER_DETAIL) != JSON_NONE)
			return OUTCOME_BAD_REQUEST_DETAIL;
	}
	if (status == 500 && outcome_reader_is_json(reader) &&
	    outcome_reader_equals(reader, MEMBER_DETAIL, "Unknown error"))
		return OUTCOME_SERVER_ERROR_UNKNOWN;
	return row->kind;
}

static void read_retry_after_fields(const struct answer *answer, struct outcome *outcome)
{
	int64_t delay = retry_after_parse(answer->retry_after, answer->retry_after_ms, answer->wall_now);

	outcome->retry_after = delay > RETRY_AFTER_MAX_US ? RETRY_AFTER_MAX_US : delay;
}

/* SkyRL tells of a failed future by a status. */
static bool is_failed_future(bool skyrl, enum outcome_kind kind)
{
	return skyrl && (kind == OUTCOME_BAD_REQUEST_DETAIL || kind == OUTCOME_SERVER_ERROR_UNKNOWN);
}

static void classify_status(const struct answer *answer, struct outcome_reader *reader, bool skyrl,
			    struct outcome *outcome)
{
	struct buffer data = BUFFER_INIT(ERROR_DATA_MAX);
	const struct status_row *row = status_row(answer->status);
	struct complaint complaint;
	bool failed_future;

	outcome->kind = refined_kind(row, answer->status, reader);
	failed_future = is_failed_future(skyrl, outcome->kind);
	outcome_reader_complaint(reader, &complaint);
	if (outcome->kind == OUTCOME_GONE) {
		put_text(&data, "reason", "expired");
		complaint.category = row->category;
	}
	if (outcome->kind == OUTCOME_RATE_LIMITED) {
		read_retry_after_fields(answer, outcome);
		if (outcome->retry_after >= 0)
			put_count(&data, "retry_after_ms", (uint64_t)(outcome->retry_after / USEC_PER_MSEC));
	}
	if (complaint.category == CATEGORY_NONE)
		complaint.category = failed_future ? CATEGORY_UNKNOWN : row->category;
	if (!complaint.message[0])
		snprintf(complaint.message, sizeof(complaint.message), "%s (HTTP %u)", row->message,
			 answer->status);
	put_body(&data, reader);
	set_error(outcome, failed_future ? ERROR_REQUEST_FAILED : ERROR_API_STATUS, complaint.category,
		  answer->status, complaint.message, &data);
}

/* 2xx. */

static void classify_too_large(const struct answer *answer, uint64_t size, uint64_t max_result,
			       struct outcome *outcome)
{
	struct buffer data = BUFFER_INIT(ERROR_DATA_MAX);
	char message[128];

	outcome->kind = OUTCOME_TOO_LARGE;
	put_text(&data, "reason", "too_large");
	put_count(&data, "size", size);
	put_count(&data, "limit", max_result);
	snprintf(message, sizeof(message), "the result is larger than the %llu bytes that are allowed",
		 (unsigned long long)max_result);
	set_error(outcome, ERROR_VALIDATION, CATEGORY_SERVER, answer->status, message, &data);
}

static void classify_no_json(const struct answer *answer, const struct outcome_reader *reader,
			     struct outcome *outcome)
{
	struct buffer data = BUFFER_INIT(ERROR_DATA_MAX);
	char message[128];

	outcome->kind = OUTCOME_VALIDATION;
	snprintf(message, sizeof(message), "the server's answer is not JSON: %s at byte %llu",
		 json_error_text(reader->scan.error), (unsigned long long)reader->scan.error_at);
	put_text(&data, "reason", "not_json");
	if (reader->head_size < reader->size)
		put_count(&data, "body_size", reader->size);
	if (reader->head_size) {
		put_name(&data, "body_base64");
		json_put_base64(&data, reader->head, reader->head_size);
	}
	set_error(outcome, ERROR_VALIDATION, CATEGORY_SERVER, answer->status, message, &data);
}

static void classify_failed(struct outcome_reader *reader, struct outcome *outcome)
{
	struct buffer data = BUFFER_INIT(ERROR_DATA_MAX);
	struct complaint complaint;

	outcome_reader_complaint(reader, &complaint);
	if (complaint.category == CATEGORY_NONE)
		complaint.category = CATEGORY_UNKNOWN;
	outcome->kind = complaint.category == CATEGORY_USER ? OUTCOME_FAILED_USER : OUTCOME_FAILED;
	put_body(&data, reader);
	set_error(outcome, ERROR_REQUEST_FAILED, complaint.category, 0,
		  complaint.message[0] ? complaint.message
				       : "the request failed, the server does not say why",
		  &data);
}

static void classify_metadata(const struct answer *answer, const struct outcome_reader *reader,
			      uint64_t max_result, struct outcome *outcome)
{
	uint64_t size;

	outcome->kind = OUTCOME_METADATA;
	if (!outcome_reader_count(reader, MEMBER_PAYLOAD_SIZE, &size))
		return;
	if (size > max_result)
		classify_too_large(answer, size, max_result, outcome);
	else
		outcome->payload_size = size;
}

/* A body that is one JSON text: told apart in this order. */
static void classify_json(const struct answer *answer, struct outcome_reader *reader, uint64_t max_result,
			  struct outcome *outcome)
{
	outcome->kind = OUTCOME_COMPLETED;
	outcome->result = reader->scan.value;
	if (outcome_reader_equals(reader, MEMBER_TYPE, "try_again")) {
		outcome->kind = OUTCOME_TRY_AGAIN;
		read_queue_state(reader, outcome);
		read_retry_after(reader, outcome);
	} else if (outcome_reader_equals(reader, MEMBER_STATUS, "complete_metadata")) {
		classify_metadata(answer, reader, max_result, outcome);
	} else if (outcome_reader_equals(reader, MEMBER_STATUS, "pending")) {
		outcome->kind = OUTCOME_PENDING;
	} else if (outcome_reader_equals(reader, MEMBER_STATUS, "failed")) {
		classify_failed(reader, outcome);
	} else if (outcome_reader_equals(reader, MEMBER_STATUS, "completed") &&
		   outcome_reader_type(reader, MEMBER_RESULT) != JSON_NONE) {
		outcome->result = reader->members[MEMBER_RESULT].value;
	} else if (outcome_reader_type(reader, MEMBER_ERROR) != JSON_NONE) {
		classify_failed(reader, outcome);
	}
	if (outcome->kind != OUTCOME_COMPLETED)
		outcome->result = (struct json_range){0};
}

static void classify_success(const struct answer *answer, struct outcome_reader *reader, uint64_t max_result,
			     struct outcome *outcome)
{
	if (answer->too_large) {
		classify_too_large(answer, reader ? reader->size : 0, max_result, outcome);
	} else if (outcome_reader_is_empty(reader)) {
		/* Also what is left of an answer whose header was cut short. */
		classify_network(answer, "the server closed the connection without an answer", outcome);
	} else if (reader->opaque) {
		outcome->kind = OUTCOME_COMPLETED;
		outcome->content = CONTENT_PROTOBUF;
		outcome->result = (struct json_range){0, reader->size};
	} else if (outcome_reader_is_json(reader)) {
		classify_json(answer, reader, max_result, outcome);
	} else {
		classify_no_json(answer, reader, outcome);
	}
}

void outcome_classify(const struct answer *answer, struct outcome_reader *reader, bool skyrl,
		      uint64_t max_result, struct outcome *ret_outcome)
{
	*ret_outcome = (struct outcome){.status = answer->status, .retry_after = -1};
	if ((!answer->transport_ok && !answer->too_large) || !answer->status) {
		if (answer->timed_out)
			ret_outcome->kind = OUTCOME_NO_ANSWER;
		else
			classify_network(answer, "the exchange with the server broke off", ret_outcome);
	} else if (answer_is_success(answer)) {
		classify_success(answer, reader, max_result, ret_outcome);
	} else if (answer->status == 408) {
		classify_request_timeout(reader, ret_outcome);
	} else {
		classify_status(answer, reader, skyrl, ret_outcome);
	}
}

void outcome_release(struct outcome *outcome)
{
	outcome->error = error_unref(outcome->error);
}
