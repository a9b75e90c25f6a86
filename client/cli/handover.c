/* One line, one body or one file for each result. */
#include "handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool handover_init(struct handover *handover, struct app *app)
{
	*handover = (struct handover){.app = app, .folder = -1, .index = -1};
	return !app->options.output || files_open(app->options.output, &handover->folder, &handover->index);
}

void handover_release(struct handover *handover)
{
	if (handover->folder >= 0)
		close(handover->folder);
	if (handover->index >= 0)
		close(handover->index);
	ids_free(&handover->acks);
	ids_free(&handover->ack_endpoints);
}

/* "request_failed (user): bad input" */
static void handover_put_error(struct output *output, const tinkex_result *result)
{
	const char *category = tinkex_result_error_category(result),
		   *reason = tinkex_result_error_reason(result);
	_cleanup_(freep) char *message = render_clean(tinkex_result_error_message(result));
	_cleanup_(freep) char *type = render_clean(tinkex_result_error_type(result));
	_cleanup_(freep) char *detail = render_clean(reason ? reason : category);

	output_text(output, type ? type : "?");
	if (tinkex_result_error_status(result))
		output_printf(output, " %d", tinkex_result_error_status(result));
	if (detail)
		output_printf(output, " (%s)", detail);
	if (message && *message)
		output_printf(output, ": %s", message);
}

/* Protobuf is not for terminals and not one line: there it is written as in JSON, as Base64. */
static bool is_binary(const tinkex_result *result)
{
	const char *type = tinkex_result_content_type(result);

	return type && strstr(type, "protobuf");
}

/* Reads the body piece by piece and writes it as Base64. 0, or a negative error of the reading. */
static int handover_put_base64(struct output *output, const tinkex_result *result)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char piece[3 * 1024];
	char text[4];
	int64_t n;

	output_text(output, "base64:");
	for (uint64_t at = 0; (n = tinkex_result_read(result, at, piece, sizeof(piece))) > 0;
	     at += (uint64_t)n) {
		for (int64_t i = 0; i < n; i += 3) {
			unsigned bits = (unsigned)piece[i] << 16 |
					(i + 1 < n ? (unsigned)piece[i + 1] << 8 : 0) |
					(i + 2 < n ? piece[i + 2] : 0);

			text[0] = digits[bits >> 18];
			text[1] = digits[bits >> 12 & 63];
			text[2] = i + 1 < n ? digits[bits >> 6 & 63] : '=';
			text[3] = i + 2 < n ? digits[bits & 63] : '=';
			output_write(output, text, sizeof(text));
		}
	}
	return n < 0 ? (int)n : 0;
}

static int handover_put_line(struct output *output, const tinkex_result *result)
{
	_cleanup_(freep) char *id = render_clean(tinkex_result_request_id(result));
	int ok = tinkex_result_ok(result), r = 0;
	const char *word = ok == 1 ? "ok" : ok == 0 ? "failed" : "not ended";

	output_printf(output, "%s\t%s%s%s\t", id ? id : "?",
		      render_colour(ok == 1   ? COLOUR_GOOD
				    : ok == 0 ? COLOUR_BAD
					      : COLOUR_WAIT),
		      word, render_colour_end());
	if (ok == 1)
		r = is_binary(result) ? handover_put_base64(output, result)
				      : tinkex_result_write_body(result, output_json, output);
	else if (ok == 0)
		handover_put_error(output, result);
	else
		output_text(output, tinkex_result_state(result) ? tinkex_result_state(result) : "?");
	output_text(output, "\n");
	return r;
}

static void handover_tell_failure(const tinkex_result *result)
{
	const char *message = tinkex_result_error_message(result), *id = tinkex_result_request_id(result);

	if (tinkex_result_ok(result) < 0)
		complain("%s has not ended: %s", id,
			 tinkex_result_state(result) ? tinkex_result_state(result) : "?");
	else
		complain("%s failed: %s: %s", id, tinkex_result_error_type(result), message ? message : "");
}

static int handover_put_body(struct handover *handover, const tinkex_result *result)
{
	struct output *output = &handover->app->output;
	int r;

	if (tinkex_result_ok(result) != 1) {
		handover_tell_failure(result);
		return 0;
	}
	if (is_binary(result) && output->is_terminal) {
		complain("%s: the result is binary, and stdout is a terminal; use --output, or send stdout "
			 "elsewhere",
			 tinkex_result_request_id(result));
		handover->failed = true;
		return 0;
	}
	if (is_binary(result))
		return tinkex_result_write_body(result, output_bytes, output);
	r = tinkex_result_write_body(result, output_json, output);
	output_text(output, "\n");
	return r;
}

static int handover_print(struct handover *handover, const tinkex_result *result)
{
	struct output *output = &handover->app->output;
	int r;

	if (handover->app->options.result_only)
		return handover_put_body(handover, result);
	if (!handover->app->options.json)
		return handover_put_line(output, result);
	r = tinkex_result_write_json(result, output_json, output);
	output_text(output, "\n");
	return r;
}

/* What the daemon may forget: outcomes that are its own. That a time was up here, or that it knows nothing,
 * is not one; what it is still polling may end just now, and that outcome would be lost. */
static bool handover_is_final(const tinkex_result *result)
{
	const char *type = tinkex_result_error_type(result), *reason = tinkex_result_error_reason(result);

	if (tinkex_result_ok(result) < 0)
		return false;
	if (type && strcmp(type, "not_registered") == 0)
		return false;
	return !(type && strcmp(type, "api_timeout") == 0 && reason &&
		 (strcmp(reason, "await_timeout") == 0 || strcmp(reason, "daemon_gone") == 0));
}

static void handover_note_ack(struct handover *handover, const tinkex_result *result)
{
	const char *id = tinkex_result_request_id(result), *endpoint = tinkex_result_endpoint(result);

	if (handover->app->options.no_ack || !handover_is_final(result))
		return;
	if (!endpoint)
		endpoint = "";
	if (!ids_add(&handover->acks, id, strlen(id)) ||
	    !ids_add(&handover->ack_endpoints, endpoint, strlen(endpoint)))
		handover->failed = true;
}

void handover_take(struct handover *handover, const tinkex_result *result)
{
	int r;

	if (handover->failed)
		return;
	if (handover->folder >= 0)
		handover->failed = !files_write(handover, result);
	else if ((r = handover_print(handover, result)) < 0 && handover->app->output.error == 0) {
		complain("%s: the result could not be read: %s", tinkex_result_request_id(result),
			 tinkex_strerror(r));
		handover->failed = true;
	}
	if (!handover->failed)
		handover_note_ack(handover, result);
}

bool handover_settle(struct handover *handover)
{
	if (output_flush(&handover->app->output) < 0)
		handover->failed = true; /* app_finish() tells it */
	else if (handover->folder >= 0 && handover->acks.n > 0 && !files_sync(handover))
		handover->failed = true;
	return !handover->failed;
}

void handover_acknowledge(struct handover *handover,
			  void (*ack)(struct app *app, const char *endpoint, const struct ids *ids,
				      void *userdata),
			  void *userdata)
{
	struct ids *acks = &handover->acks, *endpoints = &handover->ack_endpoints;

	while (acks->n > 0) {
		struct ids same = {0};
		char *endpoint = strdup(endpoints->id[0]);
		size_t left = 0;

		for (size_t i = 0; i < acks->n; i++) {
			if (endpoint && strcmp(endpoints->id[i], endpoint) == 0) {
				ids_add(&same, acks->id[i], strlen(acks->id[i]));
				free(acks->id[i]);
				free(endpoints->id[i]);
				continue;
			}
			acks->id[left] = acks->id[i];
			endpoints->id[left++] = endpoints->id[i];
		}
		if (!endpoint)
			return; /* no memory: they stay with the daemon */
		acks->n = endpoints->n = left;
		ack(handover->app, *endpoint ? endpoint : NULL, &same, userdata);
		ids_free(&same);
		free(endpoint);
	}
}
