/* Error objects and results: names, how they are written, and that counted memory is freed once (the
 * sanitizers look). */
#include <errno.h>
#include <string.h>

#include "../proto/test_run.h"
#include "core/result.h"
#include "proto/attributes.h"
#include "proto/json_scan.h"

static void assert_line(const struct error *error, const char *request_id, const char *expected)
{
	_cleanup_(buffer_release) struct buffer buffer = BUFFER_INIT(1 << 20);

	error_put(&buffer, error, request_id);
	buffer_putc(&buffer, 0);
	ck_assert_int_eq(buffer_error(&buffer), 0);
	ck_assert_str_eq(buffer.data, expected);
}

START_TEST(types_have_names)
{
	static const char *const names[] = {"api_timeout", "request_failed", "network",       "api_status",
					    "validation",  "cancelled",      "not_registered"};
	enum error_type type;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		ck_assert_str_eq(error_type_name((enum error_type)i), names[i]);
		ck_assert_int_eq(error_type_from_name(names[i], &type), 0);
		ck_assert_uint_eq(type, i);
	}
	type = ERROR_CANCELLED;
	ck_assert_int_eq(error_type_from_name("Network", &type), -EINVAL);
	ck_assert_int_eq(error_type_from_name("", &type), -EINVAL);
	ck_assert_uint_eq(type, ERROR_CANCELLED);
}
END_TEST

START_TEST(categories_are_read_loosely)
{
	static const struct {
		const char *text;
		enum error_category category;
	} rows[] = {
		{"user", CATEGORY_USER},         {"USER", CATEGORY_USER},
		{" \tUser\r\n", CATEGORY_USER},  {"server", CATEGORY_SERVER},
		{"Server ", CATEGORY_SERVER},    {"provider", CATEGORY_PROVIDER},
		{"pRoViDeR", CATEGORY_PROVIDER}, {"unknown", CATEGORY_UNKNOWN},
		{"", CATEGORY_UNKNOWN},          {"   ", CATEGORY_UNKNOWN},
		{"users", CATEGORY_UNKNOWN},     {"us er", CATEGORY_UNKNOWN},
		{"use", CATEGORY_UNKNOWN},       {"user server", CATEGORY_UNKNOWN},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ck_assert_int_eq(error_category_from_text(rows[i].text), rows[i].category);
	ck_assert_ptr_null(error_category_name(CATEGORY_NONE));
	ck_assert_str_eq(error_category_name(CATEGORY_USER), "user");
	ck_assert_str_eq(error_category_name(CATEGORY_SERVER), "server");
	ck_assert_str_eq(error_category_name(CATEGORY_PROVIDER), "provider");
	ck_assert_str_eq(error_category_name(CATEGORY_UNKNOWN), "unknown");
}
END_TEST

START_TEST(errors_are_written_as_objects)
{
	struct error *error = error_new(ERROR_API_STATUS, CATEGORY_SERVER, 410, "promise \"expired\"",
					"\"reason\":\"expired\",\"n\":1");

	assert_line(
		error, "a/\"b\"",
		"{\"type\":\"api_status\",\"category\":\"server\",\"message\":\"promise \\\"expired\\\"\","
		"\"status\":410,\"data\":{\"request_id\":\"a/\\\"b\\\"\",\"reason\":\"expired\",\"n\":1}}");
	assert_line(
		error, NULL,
		"{\"type\":\"api_status\",\"category\":\"server\",\"message\":\"promise \\\"expired\\\"\","
		"\"status\":410,\"data\":{\"reason\":\"expired\",\"n\":1}}");
	error_unref(error);

	error = error_new(ERROR_NETWORK, CATEGORY_NONE, 0, NULL, NULL);
	assert_line(error, NULL,
		    "{\"type\":\"network\",\"category\":null,\"message\":\"\",\"status\":null,\"data\":{}}");
	assert_line(error, "x",
		    "{\"type\":\"network\",\"category\":null,\"message\":\"\",\"status\":null,"
		    "\"data\":{\"request_id\":\"x\"}}");
	error_unref(error);
}
END_TEST

START_TEST(an_error_can_be_the_value_of_a_member)
{
	_cleanup_(buffer_release) struct buffer buffer = BUFFER_INIT(1000);
	_cleanup_(error_unrefp) struct error *error = error_new(ERROR_CANCELLED, CATEGORY_NONE, 0, "m", NULL);

	buffer_puts(&buffer, "{\"error\":");
	error_put(&buffer, error, NULL);
	buffer_putc(&buffer, '}');
	buffer_putc(&buffer, 0);
	ck_assert_str_eq(buffer.data,
			 "{\"error\":{\"type\":\"cancelled\",\"category\":null,\"message\":\"m\","
			 "\"status\":null,\"data\":{}}}");
}
END_TEST

START_TEST(messages_are_cleaned)
{
	_cleanup_(error_unrefp) struct error *error = error_new(
		ERROR_VALIDATION, CATEGORY_USER, 0, "a\x1b[31mb\nc\x7f\xc2\x9b d\xff\xc3\xa4", NULL);

	ck_assert_str_eq(error->message, "a [31mb c   d?\xc3\xa4");
}
END_TEST

START_TEST(more_data_goes_in_front_of_a_new_error)
{
	struct error *first = error_new(ERROR_API_STATUS, CATEGORY_USER, 404, "no", NULL);
	struct error *second = error_with_data(first, "\"reason\":\"lost\"");
	struct error *third = error_with_data(second, "\"a\":1,\"b\":{}");
	struct error *fourth = error_with_data(third, "");

	ck_assert_str_eq(first->data, "");
	ck_assert_str_eq(second->data, "\"reason\":\"lost\"");
	ck_assert_str_eq(third->data, "\"a\":1,\"b\":{},\"reason\":\"lost\"");
	ck_assert_str_eq(fourth->data, third->data);
	first = error_unref(first);
	assert_line(second, NULL,
		    "{\"type\":\"api_status\",\"category\":\"user\",\"message\":\"no\",\"status\":404,"
		    "\"data\":{\"reason\":\"lost\"}}");
	ck_assert_uint_eq(third->refs, 1);
	error_unref(second);
	error_unref(third);
	error_unref(fourth);
}
END_TEST

START_TEST(references_are_counted)
{
	struct blob *blob = blob_copy("bytes", 5);
	struct result *ok = result_ok(CONTENT_PROTOBUF, blob_ref(blob), 77);
	struct error *error = error_new(ERROR_NETWORK, CATEGORY_NONE, 0, "x", NULL);
	struct result *failed = result_failed(error_ref(error), 78);

	ck_assert_uint_eq(blob->refs, 2);
	ck_assert_ptr_eq(result_ref(ok), ok);
	ck_assert_ptr_null(result_unref(ok));
	ck_assert(ok->ok);
	ck_assert_int_eq(ok->content, CONTENT_PROTOBUF);
	ck_assert_int_eq(ok->ended_wall, 77);
	ck_assert_ptr_null(ok->error);
	ck_assert_ptr_null(result_unref(ok));
	ck_assert_uint_eq(blob->refs, 1);
	ck_assert_int_eq(memcmp(blob->data, "bytes", 5), 0);
	ck_assert_ptr_null(blob_unref(blob));

	ck_assert(!failed->ok);
	ck_assert_ptr_null(failed->body);
	ck_assert_uint_eq(error->refs, 2);
	ck_assert_ptr_null(result_unref(failed));
	ck_assert_uint_eq(error->refs, 1);
	ck_assert_ptr_null(error_unref(error));

	ck_assert_ptr_null(result_ref(NULL));
	ck_assert_ptr_null(result_unref(NULL));
	ck_assert_ptr_null(error_ref(NULL));
	ck_assert_ptr_null(error_unref(NULL));
	ck_assert_ptr_null(blob_ref(NULL));
	ck_assert_ptr_null(blob_unref(NULL));
}
END_TEST

START_TEST(blobs_may_be_empty)
{
	struct blob *copy = blob_copy(NULL, 0), *taken = blob_take(NULL, 0);
	struct blob *full = blob_take(strdup("abc"), 3);

	ck_assert_uint_eq(copy->size, 0);
	ck_assert_uint_eq(taken->size, 0);
	ck_assert_uint_eq(full->size, 3);
	ck_assert_str_eq(full->data, "abc");
	blob_unref(copy);
	blob_unref(taken);
	blob_unref(full);
}
END_TEST

START_TEST(content_types_have_names)
{
	ck_assert_str_eq(content_type_name(CONTENT_JSON), "application/json");
	ck_assert_str_eq(content_type_name(CONTENT_PROTOBUF), "application/x-protobuf");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		types_have_names,
		categories_are_read_loosely,
		errors_are_written_as_objects,
		an_error_can_be_the_value_of_a_member,
		messages_are_cleaned,
		more_data_goes_in_front_of_a_new_error,
		references_are_counted,
		blobs_may_be_empty,
		content_types_have_names,
	};

	return RUN_SUITE("result", tests);
}
