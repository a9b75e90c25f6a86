/* Retry-After in seconds and as a date in its three forms, and retry-after-ms. */
#include <stdio.h>
#include <time.h>

#include "../proto/test_run.h"
#include "core/retry_after.h"
#include "core/timers.h"
#include "must.h"
#include "proto/attributes.h"

#define NOW (INT64_C(784111777) * USEC_PER_SEC) /* Sun, 06 Nov 1994 08:49:37 GMT */

START_TEST(numbers)
{
	static const struct {
		const char *seconds, *milliseconds;
		int64_t expected;
	} rows[] = {
		{NULL, NULL, -1},
		{"2", NULL, 2 * USEC_PER_SEC},
		{"0", NULL, 0},
		{" 120\t", NULL, 120 * USEC_PER_SEC},
		{NULL, "1500", 1500 * USEC_PER_MSEC},
		{"2", "1500", 1500 * USEC_PER_MSEC},
		{"2", "0", 0},
		{"2", "", 2 * USEC_PER_SEC},
		{"2", "-5", 2 * USEC_PER_SEC},
		{"2", "1.5", 2 * USEC_PER_SEC},
		{"2", "soon", 2 * USEC_PER_SEC},
		{NULL, "5x", -1},
		{"", NULL, -1},
		{"-1", NULL, -1},
		{"+1", NULL, -1},
		{"1.5", NULL, -1},
		{"1e3", NULL, -1},
		{"0x10", NULL, -1},
		{"1 2", NULL, -1},
		{"later", NULL, -1},
		{"1000000000000", NULL, INT64_C(1000000000000) * USEC_PER_SEC},
		{"99999999999999999999999999999999999999", NULL, INT64_C(1000000000000) * USEC_PER_SEC},
		{NULL, "99999999999999999999999999999999999999", INT64_C(1000000000000) * USEC_PER_MSEC},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ck_assert_int_eq(retry_after_parse(rows[i].seconds, rows[i].milliseconds, NOW),
				 rows[i].expected);
}
END_TEST

START_TEST(dates)
{
	static const struct {
		const char *text;
		int64_t seconds; /* from NOW; -1: not given */
	} rows[] = {
		{"Sun, 06 Nov 1994 08:49:40 GMT", 3},
		{" Sun, 06 Nov 1994 08:49:40 GMT ", 3},
		{"Sunday, 06-Nov-94 08:49:40 GMT", 3},
		{"Sun Nov  6 08:49:40 1994", 3},
		{"Mon Nov 14 08:49:37 1994", 8 * 86400},
		{"Tue, 29 Feb 2000 00:00:00 GMT", 951782400 - 784111777},
		{"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800 - 784111777}, /* a leap second */
		/* past, or now */
		{"Sun, 06 Nov 1994 08:49:37 GMT", -1},
		{"Sun, 06 Nov 1994 08:49:36 GMT", -1},
		{"Thu, 01 Jan 1970 00:00:00 GMT", -1},
		{"Wed, 31 Dec 1969 23:59:59 GMT", -1},
		{"Mon, 01 Jan 0001 00:00:00 GMT", -1},
		/* no dates */
		{"Wed, 30 Feb 2000 00:00:00 GMT", -1},
		{"Thu, 29 Feb 2001 00:00:00 GMT", -1},
		{"Mon, 29 Feb 2100 00:00:00 GMT", -1},
		{"Sun, 00 Nov 1999 08:49:37 GMT", -1},
		{"Sun, 31 Nov 1999 08:49:37 GMT", -1},
		{"Sun, 06 Nov 1999 24:00:00 GMT", -1},
		{"Sun, 06 Nov 1999 23:60:00 GMT", -1},
		{"Sun, 06 Nov 1999 23:59:61 GMT", -1},
		{"Sun, 06 Nov 1999 08:49:37", -1},
		{"Sun, 06 Nov 1999 08:49:37 UTC", -1},
		{"Sun, 06 Nov 1999 08:49:37 GMT+1", -1},
		{"Sun, 6 Nov 1999 08:49:37 GMT", -1},
		{"Xyz, 06 Nov 1999 08:49:37 GMT", -1},
		{"Sun, 06 Nvo 1999 08:49:37 GMT", -1},
		{"Sun 06 Nov 1999 08:49:37 GMT", -1},
		{"Sun, 06 Nov 1999 8:49:37 GMT", -1},
		{"Sun, 06 Nov 1999 08:49 GMT", -1},
		{"Sun, 06 Nov 1999 08-49-37 GMT", -1},
		{"Sunday, 06-Nov-1999 08:49:37 GMT", -1},
		{"Sun, ", -1},
		{"Sun", -1},
		{"Sun, 06 Nov 1999 08:", -1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t expected = rows[i].seconds < 0 ? -1 : rows[i].seconds * USEC_PER_SEC;

		ck_assert_msg(retry_after_parse(rows[i].text, NULL, NOW) == expected, "%s", rows[i].text);
	}
}
END_TEST

START_TEST(two_digit_years_are_near)
{
	/* In 2026 "76" is 50 years ahead, "77" is 49 years ago. */
	int64_t now = INT64_C(1795564800) * USEC_PER_SEC; /* 25 Nov 2026 */

	ck_assert_int_gt(retry_after_parse("Wednesday, 25-Nov-76 00:00:00 GMT", NULL, now), 0);
	ck_assert_int_eq(retry_after_parse("Wednesday, 25-Nov-77 00:00:00 GMT", NULL, now), -1);
	ck_assert_int_eq(retry_after_parse("Wednesday, 25-Nov-26 00:00:01 GMT", NULL, now), USEC_PER_SEC);
	/* In 1994 "26" is ahead too. */
	ck_assert_int_gt(retry_after_parse("Wednesday, 25-Nov-26 00:00:00 GMT", NULL, NOW), 0);
}
END_TEST

/* Every day of two centuries, against the C library. */
START_TEST(days_agree_with_the_c_library)
{
	for (int64_t day = 1; day < 74000; day++) {
		time_t at = (time_t)(day * 86400 + day % 86400);
		struct tm tm;
		char text[64];

		gmtime_r(&at, &tm);
		if (day % 2)
			strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm);
		else
			strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
		must(retry_after_parse(text, NULL, 0) == (int64_t)at * USEC_PER_SEC);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		numbers,
		dates,
		two_digit_years_are_near,
		days_agree_with_the_c_library,
	};

	return RUN_SUITE("retry_after", tests);
}
