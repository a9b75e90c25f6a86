/* Parameters by a table: every type, every bound, and the name of what is wrong. */
#include <check.h>
#include <string.h>

#include "ipc/parameters.h"
#include "stage.h"

enum { FLAG, COUNT, NAME, MODE, LIST, THING, CALL, MAYBE, ROWS };
static const struct parameter table[ROWS] = {
	[FLAG] = {.name = "flag", .type = PARAMETER_BOOL},
	[COUNT] = {.name = "count", .type = PARAMETER_INT, .min = 1, .max = 10},
	[NAME] = {.name = "name", .type = PARAMETER_STRING},
	[MODE] = {.name = "mode", .type = PARAMETER_CHOICE, .choices = "low|middle|high"},
	[LIST] = {.name = "list", .type = PARAMETER_ARRAY},
	[THING] = {.name = "thing", .type = PARAMETER_OBJECT},
	[CALL] = {.name = "call", .type = PARAMETER_ID},
	[MAYBE] = {.name = "maybe", .type = PARAMETER_INT, .nullable = true, .max = INT64_MAX},
};

static struct argument arguments[ROWS];
static struct message_fault fault;

static bool read_text(const char *text)
{
	memset(&fault, 0, sizeof(fault));
	return parameters_read(table, ROWS, text, text ? strlen(text) : 0, NULL, arguments, &fault);
}

START_TEST(nothing_is_given)
{
	ck_assert(read_text(NULL));
	ck_assert(read_text("{}"));
	for (int i = 0; i < ROWS; i++)
		ck_assert(!argument_given(&arguments[i]));
}
END_TEST

START_TEST(everything_is_given)
{
	ck_assert(
		read_text("{\"flag\":true,\"count\":10,\"name\":\"a\\u00e9\",\"mode\":\"high\",\"list\":[1],"
			  "\"thing\":{\"x\":{}},\"call\":7,\"maybe\":null,\"unknown\":[[[1]]]}"));
	ck_assert_int_eq(arguments[FLAG].number, 1);
	ck_assert_int_eq(arguments[COUNT].number, 10);
	ck_assert_int_eq(arguments[NAME].type, JSON_STRING);
	ck_assert_uint_eq(arguments[NAME].size, strlen("\"a\\u00e9\""));
	ck_assert_int_eq(arguments[MODE].number, 2);
	ck_assert_uint_eq(arguments[LIST].size, 3);
	ck_assert_uint_eq(arguments[THING].size, 8);
	ck_assert(argument_given(&arguments[CALL]));
	ck_assert(argument_given(&arguments[MAYBE]));
	ck_assert(!argument_has_value(&arguments[MAYBE]));
}
END_TEST

START_TEST(names_are_compared_decoded)
{
	ck_assert(read_text("{\"fl\\u0061g\":false}"));
	ck_assert(argument_given(&arguments[FLAG]));
	ck_assert_int_eq(arguments[FLAG].number, 0);
}
END_TEST

START_TEST(what_is_wrong_is_named)
{
	static const struct {
		const char *text, *member, *sentence;
	} cases[] = {
		{"{\"flag\":1}", "flag", "flag must be true or false, not 1"},
		{"{\"flag\":null}", "flag", "flag must be true or false, not null"},
		{"{\"count\":0}", "count", "count must be an integer from 1 to 10, not 0"},
		{"{\"count\":11}", "count", "count must be an integer from 1 to 10, not 11"},
		{"{\"count\":1.0}", "count", "count must be an integer from 1 to 10, not 1.0"},
		{"{\"count\":1e1}", "count", "count must be an integer from 1 to 10, not 1e1"},
		{"{\"count\":99999999999999999999}", "count",
		 "count must be an integer from 1 to 10, not 99999999999999999999"},
		{"{\"count\":\"5\"}", "count", "count must be an integer from 1 to 10, not string"},
		{"{\"name\":5}", "name", "name must be a string, not 5"},
		{"{\"mode\":\"no\"}", "mode", "mode must be \"low\", \"middle\" or \"high\""},
		{"{\"mode\":\"lo\"}", "mode", "mode must be \"low\", \"middle\" or \"high\""},
		{"{\"mode\":\"\"}", "mode", "mode must be \"low\", \"middle\" or \"high\""},
		{"{\"mode\":2}", "mode", "mode must be \"low\", \"middle\" or \"high\", not 2"},
		{"{\"list\":{}}", "list", "list must be an array, not object"},
		{"{\"thing\":[]}", "thing", "thing must be an object, not array"},
		{"{\"call\":true}", "call", "call must be the id of a call, not boolean"},
		{"{\"call\":1.5}", "call", "call must be the id of a call, not 1.5"},
		{"{\"maybe\":-1}", "maybe",
		 "maybe must be an integer from 0 to 9223372036854775807 or null, not -1"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ck_assert_msg(!read_text(cases[i].text), "%s", cases[i].text);
		ck_assert_int_eq(fault.error, PROTO_INVALID_PARAMS);
		ck_assert_str_eq(fault.member, cases[i].member);
		ck_assert_str_eq(fault.text, cases[i].sentence);
	}
}
END_TEST

START_TEST(a_prefix_stands_before_the_member)
{
	const char *text = "{\"count\":\"x\"}";

	ck_assert(!parameters_read(table, ROWS, text, strlen(text), "outer.", arguments, &fault));
	ck_assert_str_eq(fault.member, "outer.count");
}
END_TEST

SUITE("parameters", nothing_is_given, everything_is_given, names_are_compared_decoded, what_is_wrong_is_named,
      a_prefix_stands_before_the_member)
