/* Bodies that are no result or no JSON, large ones and long texts: what is kept of them, and that it does not
 * depend on how they arrive. */
#include <stdio.h>
#include <string.h>

#include "../proto/test_run.h"
#include "answers.h"
#include "core/timers.h"
#include "must.h"
#include "proto/attributes.h"
#include "proto/json_text.h"

/* Bodies that are no JSON text. */
START_TEST(bad_bodies)
{
	static const char *const bodies[] = {
		"nope",
		" ",
		"\n\n",
		"{",
		"}",
		"[1,2",
		"{\"a\":1",
		"{\"a\":}",
		"{\"a\" 1}",
		"{a:1}",
		"{'a':1}",
		"{\"a\":1,}",
		"[1,]",
		"[1 2]",
		"{\"a\":1}}",
		"{\"a\":1}{\"b\":2}",
		"1 2",
		"01",
		"1.",
		".5",
		"+1",
		"-",
		"1e",
		"0x1",
		"nan",
		"NAN",
		"infinity",
		"tru",
		"truex",
		"True",
		"None",
		"nul",
		"\"abc",
		"\"a\nb\"",
		"\"\t\"",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\u12g4\"",
		"\"\xff\"",
		"\"\xc0\xaf\"",
		"\"\xed\xa0\x80\"",
		"\"\xc3\"",
		"\xef\xbb\xbf{}",
		"<html><body>502</body></html>",
		"{\"status\":\"pending\"",
		"{\"status\":\"pending\"}x",
		"{\"type\":\"try_again\",}",
		"{\"error\":\"x\"",
		"status=pending",
		"{\"a\":1/*c*/}",
		"{\"status\":\"completed\",\"result\":}",
		"\x01",
		"{\"a\":1}\v",
		"event: x\ndata: {}\n\n",
		"{\"a\":\"\\ud800\\u\"}",
	};
	struct answer answer = http(200);

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		size_t size = strlen(bodies[i]);
		char *summary, *all = describe(&answer, false, bodies[i], size, SIZE_MAX, SIZE_MAX, &summary);
		struct buffer base64 = BUFFER_INIT(1000);

		ck_assert_msg(strncmp(summary,
				      "validation = validation/server 200: the server's answer is not JSON: ",
				      68) == 0,
			      "%s: %s", bodies[i], summary);
		json_put_base64(&base64, bodies[i], size);
		buffer_putc(&base64, 0);
		ck_assert_ptr_nonnull(strstr(all, "\"data\":{\"reason\":\"not_json\",\"body_base64\":"));
		ck_assert_ptr_nonnull(strstr(all, base64.data));
		buffer_release(&base64);
		free(all);
		assert_means_n(&answer, false, bodies[i], size, summary);
		free(summary);
	}
	/* The position is that of the whole body. */
	assert_means(200, "{\"abc\":nope}",
		     "validation = validation/server 200: the server's answer is not JSON: unexpected "
		     "character at "
		     "byte 8");
	/* A NUL byte is no white space. */
	assert_means_n(
		&answer, false, "{}\0", 3,
		"validation = validation/server 200: the server's answer is not JSON: more after the end of "
		"the text at byte 2");
}
END_TEST

START_TEST(nesting_has_its_limit)
{
	struct answer answer = http(200);
	char body[2 * 513];
	struct outcome outcome;

	memset(body, '[', 513);
	memset(body + 513, ']', 513);
	outcome = classify(&answer, false, body + 1, 2 * 512, 7, 100, NULL);
	ck_assert_int_eq(outcome.kind, OUTCOME_COMPLETED);
	outcome_release(&outcome);
	outcome = classify(&answer, false, body, 2 * 513, 7, 100, NULL);
	ck_assert_int_eq(outcome.kind, OUTCOME_VALIDATION);
	outcome_release(&outcome);
}
END_TEST

START_TEST(protobuf_passes_untouched)
{
	static const char body[] = "\n\x05\r\n \t{\"type\":\"try_again\"}\0\n";
	static const char *const types[] = {"application/x-protobuf", "application/x-protobuf; v=1",
					    "Application/X-Protobuf", "a, application/x-protobuf"};
	struct answer answer = http(200);
	struct outcome outcome;
	char *after;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		answer.content_type = types[i];
		for (size_t first = 1; first < sizeof(body); first++) {
			outcome = classify(&answer, false, body, sizeof(body), first, 5, &after);
			must(outcome.kind == OUTCOME_COMPLETED);
			must(outcome.content == CONTENT_PROTOBUF);
			must(outcome.result.start == 0);
			must(outcome.result.end == sizeof(body));
			must(memcmp(after, body, sizeof(body)) == 0);
			outcome_release(&outcome);
			free(after);
		}
	}
	answer.content_type = "application/protobuf";
	outcome = classify(&answer, false, body, sizeof(body), 3, 5, NULL);
	ck_assert_int_eq(outcome.kind, OUTCOME_VALIDATION);
	outcome_release(&outcome);
	/* An error's body is for people, whatever it is called. */
	answer.content_type = "application/x-protobuf";
	answer.status = 400;
	assert_means_n(&answer, false, "{\"detail\":\"boom\"}", 17,
		       "bad_request_detail = api_status/user 400: boom");
}
END_TEST

START_TEST(the_content_type_of_json_does_not_matter)
{
	static const char *const types[] = {NULL, "", "text/html", "text/plain; charset=utf-8"};
	struct answer answer = http(200);

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		answer.content_type = types[i];
		assert_means_n(&answer, false, "{\"a\":1}", 7, "completed json {\"a\":1}");
	}
}
END_TEST

/* Data of errors. */

static void assert_data(unsigned status, const char *body, size_t size, const char *expected)
{
	struct answer answer = http(status);
	struct outcome outcome;

	answer.retry_after = "2";
	for (size_t rest = 1; rest < 1000000; rest *= 10) {
		outcome = classify(&answer, false, body, size, rest, rest, NULL);
		ck_assert_ptr_nonnull(outcome.error);
		ck_assert_str_eq(outcome.error->data, expected);
		free(error_line(&outcome));
		outcome_release(&outcome);
	}
}

#define DATA(status, body, expected) assert_data(status, body, sizeof(body) - 1, expected)

START_TEST(errors_hold_the_body)
{
	DATA(400, "", "");
	DATA(400, "{\"detail\":\"boom\"}", "\"body\":{\"detail\":\"boom\"}");
	DATA(400, "\n {\"a\":\n1}\r\n", "\"body\":  {\"a\": 1}");
	DATA(500, "null", "\"body\":null");
	DATA(410, "{}", "\"reason\":\"expired\",\"body\":{}");
	DATA(429, "7", "\"retry_after_ms\":2000,\"body\":7");
	DATA(200, "{\"error\":\"x\"}", "\"body\":{\"error\":\"x\"}");
	/* What is not JSON as strict clients know it comes as a text. */
	DATA(500, "<p>\n\x1b\xff</p>", "\"body_text\":\"<p>\\n\\u001b\xef\xbf\xbd</p>\"");
	DATA(500, "{\"a\":NaN}", "\"body_text\":\"{\\\"a\\\":NaN}\"");
	DATA(500, "{\"a\":1,\"a\":2}", "\"body_text\":\"{\\\"a\\\":1,\\\"a\\\":2}\"");
	DATA(500, "{\"a\":\n\"\\ud800\"}", "\"body_text\":\"{\\\"a\\\":\\n\\\"\\\\ud800\\\"}\"");
	DATA(500, "a\0b", "\"body_text\":\"a\\u0000b\"");
	DATA(500, " ", "\"body_text\":\" \"");
	/* What is no JSON at all although it should be a result is kept byte for byte. */
	DATA(200, "\nnope\r\n\0\xff", "\"reason\":\"not_json\",\"body_base64\":\"Cm5vcGUNCgD/\"");
}
END_TEST

START_TEST(deep_bodies_come_as_text)
{
	/* A reply has six levels around the body, and strict clients stop at 32. */
	char body[2 * 25 + 1], expected[256];

	memset(body, '[', 25);
	memset(body + 25, ']', 25);
	body[50] = 0;
	snprintf(expected, sizeof(expected), "\"body_text\":\"%s\"", body);
	assert_data(500, body, 50, expected);
	body[49] = 0;
	snprintf(expected, sizeof(expected), "\"body\":%s", body + 1);
	assert_data(500, body + 1, 48, expected);
}
END_TEST

static char *repeated(const char *before, char filler, size_t count, const char *after, size_t *ret_size)
{
	size_t n_before = strlen(before), n_after = strlen(after);
	char *text = malloc(n_before + count + n_after + 1);

	memcpy(text, before, n_before);
	memset(text + n_before, filler, count);
	memcpy(text + n_before + count, after, n_after + 1);
	*ret_size = n_before + count + n_after;
	return text;
}

static struct outcome classify_large(unsigned status, const char *body, size_t size, size_t step)
{
	struct answer answer = http(status);

	return classify(&answer, false, body, size, step, step, NULL);
}

START_TEST(large_error_bodies_are_cut)
{
	enum { KEPT = 8 * 1024 };
	size_t size;

	for (size_t more = 0; more < 2; more++) {
		/* exactly what is kept, and one byte more */
		char *body = repeated("\"", 'x', KEPT - 2 + more, "\"", &size);
		struct outcome outcome = classify_large(500, body, size, 1000);
		char end[64];

		ck_assert_int_eq(
			strncmp(outcome.error->data, more ? "\"body_text\":\"\\\"xx" : "\"body\":\"xx", 10),
			0);
		snprintf(end, sizeof(end), "xxxx\",\"body_size\":%d", KEPT + 1);
		ck_assert_int_eq(strstr(outcome.error->data, end) != NULL, more);
		ck_assert_uint_lt(strlen(outcome.error->data), KEPT + 64);
		free(error_line(&outcome));
		outcome_release(&outcome);
		free(body);
	}
}
END_TEST

START_TEST(of_large_bodies_that_are_no_json_64_kib_are_kept)
{
	static const size_t sizes[] = {OUTCOME_BODY_MAX - 1, OUTCOME_BODY_MAX, OUTCOME_BODY_MAX + 1, 1 << 20};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t size, kept = sizes[i] < OUTCOME_BODY_MAX ? sizes[i] : OUTCOME_BODY_MAX;
		struct buffer expected = BUFFER_INIT(1 << 20);
		char *body = repeated("", 'n', sizes[i], "", &size);

		for (size_t at = 0; at < size; at += 13)
			body[at] = (char)at;
		buffer_puts(&expected, "\"reason\":\"not_json\",");
		if (kept < size)
			buffer_printf(&expected, "\"body_size\":%zu,", size);
		buffer_puts(&expected, "\"body_base64\":");
		json_put_base64(&expected, body, kept);
		buffer_putc(&expected, 0);
		for (size_t step = 1; step <= size; step = step * 7 + 1) {
			struct outcome outcome = classify_large(200, body, size, step);

			must(outcome.kind == OUTCOME_VALIDATION);
			must(strcmp(outcome.error->data, expected.data) == 0);
			outcome_release(&outcome);
		}
		buffer_release(&expected);
		free(body);
	}
}
END_TEST

/* What matters is found wherever it stands, and whatever its size. */

START_TEST(members_behind_a_large_result)
{
	size_t size;
	char *body = repeated("{\"result\":{\"a\":\"", 'x', 300000,
			      "\"},\"error\":{\"message\":\"no\"},\"status\":\"completed\"}", &size);
	struct outcome outcome = classify_large(200, body, size, 16384);

	ck_assert_int_eq(outcome.kind, OUTCOME_COMPLETED);
	ck_assert_uint_eq(outcome.result.start, 10);
	ck_assert_uint_eq(outcome.result.end, 10 + 300000 + 8);
	outcome_release(&outcome);
	free(body);

	body = repeated("{\"filler\":\"", 'x', 300000,
			"\",\"status\":\"failed\",\"error\":{\"message\":\"late\",\"category\":\"user\"}}",
			&size);
	outcome = classify_large(200, body, size, 16384);
	ck_assert_int_eq(outcome.kind, OUTCOME_FAILED_USER);
	ck_assert_str_eq(outcome.error->message, "late");
	outcome_release(&outcome);
	free(body);

	body = repeated("{\"filler\":\"", 'x', 300000,
			"\",\"type\":\"try_again\",\"queue_state\":\"active\",\"queue_state_reason\":\"r\","
			"\"retry_after_ms\":9}",
			&size);
	outcome = classify_large(200, body, size, 5000);
	ck_assert_int_eq(outcome.kind, OUTCOME_TRY_AGAIN);
	ck_assert_int_eq(outcome.queue_state, QUEUE_ACTIVE);
	ck_assert_str_eq(outcome.reason, "r");
	ck_assert_int_eq(outcome.retry_after, 9000);
	outcome_release(&outcome);
	free(body);
}
END_TEST

START_TEST(a_category_behind_a_long_trace)
{
	static const size_t sizes[] = {100, 1900, 2000, 2100, 8000, 60000};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t size;
		char *body = repeated("{\"error\":{\"trace\":\"", 't', sizes[i],
				      "\",\"message\":\"m\",\"category\":\"user\"}}", &size);

		for (size_t step = 1; step < 100000; step *= 11) {
			struct outcome outcome = classify_large(200, body, size, step);

			must(outcome.kind == OUTCOME_FAILED_USER);
			must(strcmp(outcome.error->message, "m") == 0);
			free(error_line(&outcome));
			outcome_release(&outcome);
		}
		free(body);
	}
}
END_TEST

/* Long texts are cut, never in the middle of an escape or a character. */
static void assert_long_text(const char *unit, const char *decoded, size_t count, const char *before,
			     const char *after)
{
	struct buffer body = BUFFER_INIT(8 << 20);
	struct outcome outcome;
	size_t length, whole = strlen(decoded);

	buffer_puts(&body, before);
	for (size_t i = 0; i < count; i++)
		buffer_puts(&body, unit);
	buffer_puts(&body, after);
	outcome = classify_large(200, body.data, body.size, 777);
	must(outcome.error);
	length = strlen(outcome.error->message);
	must(length > 300 && length < 1024);
	must(length % whole == 0);
	for (size_t at = 0; at < length; at += whole)
		must(memcmp(outcome.error->message + at, decoded, whole) == 0);
	free(error_line(&outcome));
	outcome_release(&outcome);
	buffer_release(&body);
}

START_TEST(long_texts_are_cut_at_characters)
{
	static const struct {
		const char *unit, *decoded;
	} units[] = {
		{"x", "x"},
		{"\\\\", "\\"},
		{"\\u20ac", "\xe2\x82\xac"},
		{"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
		{"\xe2\x82\xac", "\xe2\x82\xac"},
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
		{"\\n", " "},
	};
	static const char *const before[] = {
		"{\"error\":\"", "{\"error\":{\"message\":\"",
		"{\"category\":\"user\",\"error\":{\"category\":\"user\",\"message\":\""};
	static const char *const after[] = {"\"}", "\"}}", "\",\"a\":1}}"};

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		for (size_t j = 0; j < ARRAY_LEN(before); j++) {
			/* at hand as a whole, beyond what is captured, and beyond the body's beginning */
			assert_long_text(units[i].unit, units[i].decoded, 400, before[j], after[j]);
			assert_long_text(units[i].unit, units[i].decoded, 5000, before[j], after[j]);
			assert_long_text(units[i].unit, units[i].decoded, 100000, before[j], after[j]);
		}
	}
}
END_TEST

START_TEST(long_reasons_are_cut)
{
	size_t size;
	char *body = repeated("{\"type\":\"try_again\",\"queue_state_reason\":\"", 'r', 5000, "\"}", &size);
	struct outcome outcome = classify_large(200, body, size, 100);

	ck_assert_uint_eq(strlen(outcome.reason), OUTCOME_TEXT_MAX - 1);
	ck_assert_uint_eq(strspn(outcome.reason, "r"), OUTCOME_TEXT_MAX - 1);
	ck_assert_ptr_null(outcome.error);
	free(body);
}
END_TEST

START_TEST(odd_bodies_survive_every_cut)
{
	/* All short strings over an alphabet that says a lot in JSON: whatever comes out, comes out the same.
	 */
	static const char alphabet[] = "{}[]\",:\\u10-.eNnt \n\xc3\xa4";
	struct answer answer = http(200);
	uint32_t random_state = 7;

	for (int round = 0; round < 4000; round++) {
		char body[24], *all;
		size_t size = 1 + (random_state >> 8) % (sizeof(body) - 1);

		for (size_t i = 0; i < size; i++) {
			random_state = random_state * 1664525 + 1013904223;
			body[i] = alphabet[(random_state >> 8) % (sizeof(alphabet) - 1)];
		}
		answer.status = round % 3 ? 200 : 400;
		all = describe(&answer, round % 2, body, size, SIZE_MAX, SIZE_MAX, NULL);
		assert_same_cut(&answer, round % 2, body, size, 1, 1, all);
		assert_same_cut(&answer, round % 2, body, size, 1 + (random_state >> 8) % size, SIZE_MAX,
				all);
		free(all);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		bad_bodies,
		nesting_has_its_limit,
		protobuf_passes_untouched,
		the_content_type_of_json_does_not_matter,
		errors_hold_the_body,
		deep_bodies_come_as_text,
		large_error_bodies_are_cut,
		of_large_bodies_that_are_no_json_64_kib_are_kept,
		members_behind_a_large_result,
		a_category_behind_a_long_trace,
		long_texts_are_cut_at_characters,
		long_reasons_are_cut,
		odd_bodies_survive_every_cut,
	};

	return RUN_SUITE("outcome_reader", tests);
}
