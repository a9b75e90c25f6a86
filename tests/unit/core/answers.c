#include "answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/timers.h"
#include "must.h"
#include "proto/attributes.h"
#include "proto/json_scan.h"
#include "proto/json_text.h"

#define WALL (INT64_C(784111777) * USEC_PER_SEC) /* Sun, 06 Nov 1994 08:49:37 GMT */

struct outcome classify(const struct answer *answer, bool skyrl, const char *body, size_t size, size_t first,
			size_t rest, char **ret_after)
{
	struct outcome_reader *reader = malloc(sizeof(*reader));
	char *after = malloc(size + 1);
	struct outcome outcome;
	size_t step;

	memset(reader, 0xa5, sizeof(*reader));
	outcome_reader_init(reader, answer);
	for (size_t at = 0; at < size; at += step) {
		size_t want = at ? rest : first;
		char *piece;

		step = size - at < want ? size - at : want;
		piece = malloc(step);
		memcpy(piece, body + at, step);
		outcome_reader_feed(reader, piece, step);
		memcpy(after + at, piece, step);
		free(piece);
	}
	after[size] = 0;
	outcome_classify(answer, reader, skyrl, MAX_RESULT, &outcome);
	outcome_reader_release(reader);
	free(reader);
	if (ret_after)
		*ret_after = after;
	else
		free(after);
	return outcome;
}

/* "completed json RESULT", "try_again active 'reason' retry_after 5000", "metadata 512",
 * "failed_user = request_failed/user -: message" */
static void put_outcome(struct buffer *out, const struct outcome *outcome, const char *body)
{
	const struct error *error = outcome->error;
	const char *category;

	buffer_puts(out, outcome_kind_name(outcome->kind));
	if (outcome->kind == OUTCOME_COMPLETED) {
		buffer_puts(out, outcome->content == CONTENT_PROTOBUF ? " protobuf " : " json ");
		buffer_append(out, body + outcome->result.start,
			      (size_t)(outcome->result.end - outcome->result.start));
	} else {
		ck_assert_uint_eq(outcome->result.end, 0);
	}
	if (outcome->kind == OUTCOME_METADATA)
		buffer_printf(out, " %llu", (unsigned long long)outcome->payload_size);
	if (outcome->queue_state != QUEUE_NONE)
		buffer_printf(out, " %s '%s'", queue_state_name(outcome->queue_state), outcome->reason);
	if (outcome->retry_after >= 0)
		buffer_printf(out, " retry_after %lld", (long long)(outcome->retry_after / USEC_PER_MSEC));
	if (!error)
		return;
	category = error_category_name(error->category);
	buffer_printf(out, " = %s/%s ", error_type_name(error->type), category ? category : "-");
	if (error->status)
		buffer_printf(out, "%u: %s", error->status, error->message);
	else
		buffer_printf(out, "-: %s", error->message);
}

static bool is_strict_line(const char *text, size_t size)
{
	static struct json_names names;
	struct json_scan scan;

	json_names_init(&names, (const uint8_t *)"0123456789abcdef");
	return !memchr(text, '\n', size) && !memchr(text, '\r', size) &&
	       json_scan_text(&scan, JSON_STRICT, &names, NULL, 0, text, size) == JSON_OK;
}

char *error_line(const struct outcome *outcome)
{
	struct buffer line = BUFFER_INIT(1 << 20);

	if (outcome->error) {
		error_put(&line, outcome->error, NULL);
		ck_assert_int_eq(buffer_error(&line), 0);
		must(is_strict_line(line.data, line.size));
	}
	buffer_putc(&line, 0);
	return line.data;
}

char *describe(const struct answer *answer, bool skyrl, const char *body, size_t size, size_t first,
	       size_t rest, char **ret_summary)
{
	struct buffer summary = BUFFER_INIT(4 << 20), all = BUFFER_INIT(16 << 20);
	char *after, *line;
	struct outcome outcome = classify(answer, skyrl, body, size, first, rest, &after);

	must(outcome.status == answer->status);
	put_outcome(&summary, &outcome, after);
	buffer_append(&all, summary.data, summary.size);
	buffer_putc(&summary, 0);
	line = error_line(&outcome);
	buffer_printf(&all, "\n%s\n", line);
	buffer_append(&all, after, size);
	buffer_putc(&all, 0);
	outcome_release(&outcome);
	must(!outcome.error);
	free(after);
	free(line);
	if (ret_summary)
		*ret_summary = summary.data;
	else
		buffer_release(&summary);
	ck_assert_int_eq(buffer_error(&all), 0);
	return all.data;
}

void assert_same_cut(const struct answer *answer, bool skyrl, const char *body, size_t size, size_t first,
		     size_t rest, const char *expected)
{
	char *all = describe(answer, skyrl, body, size, first, rest, NULL);

	if (strcmp(all, expected) != 0)
		ck_abort_msg("fed %zu, then %zu at a time:\n%s\ninstead of\n%s", first, rest, all, expected);
	free(all);
}

void assert_means_n(const struct answer *answer, bool skyrl, const char *body, size_t size,
		    const char *expected)
{
	char *summary, *all = describe(answer, skyrl, body, size, SIZE_MAX, SIZE_MAX, &summary);

	ck_assert_msg(strcmp(summary, expected) == 0, "HTTP %u %s\n%s\ninstead of\n%s", answer->status, body,
		      summary, expected);
	for (size_t rest = 1; rest < 8; rest++)
		assert_same_cut(answer, skyrl, body, size, rest, rest, all);
	for (size_t first = 1; first < size; first++)
		assert_same_cut(answer, skyrl, body, size, first, SIZE_MAX, all);
	free(summary);
	free(all);
}

struct answer http(unsigned status)
{
	return (struct answer){
		.transport_ok = true,
		.status = status,
		.content_type = "application/json",
		.wall_now = WALL,
	};
}

void assert_means(unsigned status, const char *body, const char *expected)
{
	struct answer answer = http(status);

	assert_means_n(&answer, false, body, strlen(body), expected);
}
