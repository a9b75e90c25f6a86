/* How many lines of a call site pass, under a clock that the test turns. */
#include <stdio.h>

#include "../proto/test_run.h"
#include "sys/ratelimit.h"

#define SECOND INT64_C(1000000)

static const char module[] = "module", format[] = "format %d", other[] = "other";

static unsigned pass_many(struct ratelimit *limit, const char *line, unsigned n, int64_t now)
{
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++)
		passed += ratelimit_pass(limit, module, line, 1, now);
	return passed;
}

START_TEST(limits_a_site)
{
	struct ratelimit limit = {0};
	struct ratelimit_site site;

	ck_assert_uint_eq(pass_many(&limit, format, 50, SECOND), RATELIMIT_LINES);
	/* Another one is not touched by it. */
	ck_assert_uint_eq(pass_many(&limit, other, 3, SECOND), 3);
	/* Neither the same text of another module. */
	ck_assert(ratelimit_pass(&limit, "another module", format, 1, SECOND));
	/* Nothing is told before the interval is over... */
	ck_assert(!ratelimit_report(&limit, SECOND + RATELIMIT_INTERVAL - 1, &site));
	/* ... then once. */
	ck_assert(ratelimit_report(&limit, SECOND + RATELIMIT_INTERVAL, &site));
	ck_assert_ptr_eq(site.format, format);
	ck_assert_ptr_eq(site.module, module);
	ck_assert_uint_eq(site.suppressed, 30);
	ck_assert_int_eq(site.level, 1);
	ck_assert(!ratelimit_report(&limit, SECOND + RATELIMIT_INTERVAL, &site));
	/* And the site starts anew. */
	ck_assert_uint_eq(pass_many(&limit, format, 50, SECOND + RATELIMIT_INTERVAL), RATELIMIT_LINES);
}
END_TEST

START_TEST(slow_lines_always_pass)
{
	struct ratelimit limit = {0};
	struct ratelimit_site site;

	for (int i = 0; i < 1000; i++)
		ck_assert(
			ratelimit_pass(&limit, module, format, 1, i * RATELIMIT_INTERVAL / RATELIMIT_LINES));
	ck_assert(!ratelimit_report(&limit, INT64_MAX, &site));
}
END_TEST

START_TEST(tells_all_at_the_end)
{
	struct ratelimit limit = {0};
	struct ratelimit_site site;
	unsigned suppressed = 0;

	pass_many(&limit, format, 25, SECOND);
	pass_many(&limit, other, 27, SECOND);
	while (ratelimit_report(&limit, INT64_MAX, &site))
		suppressed += site.suppressed;
	ck_assert_uint_eq(suppressed, 5 + 7);
}
END_TEST

/* More sites than the table has places, all of them noisy: what passes and what is told add up to what was
 * said; nothing is lost and nothing is held back without being counted. */
START_TEST(full_table_loses_nothing)
{
	static const char texts[1000] = "";
	struct ratelimit limit = {0};
	struct ratelimit_site site;
	unsigned passed = 0, suppressed = 0;

	/* Each round has sites of its own, which want the places of those that still have something to tell.
	 */
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 300; i++)
			passed += pass_many(&limit, texts + 300 * round + i, 30, round * RATELIMIT_INTERVAL);
	}
	while (ratelimit_report(&limit, 3 * RATELIMIT_INTERVAL, &site))
		suppressed += site.suppressed;
	ck_assert_uint_eq(passed + suppressed, 3 * 300 * 30);
	ck_assert_uint_gt(suppressed, 0);
	/* A quiet table takes new sites again. */
	ck_assert_uint_eq(pass_many(&limit, format, 30, 10 * RATELIMIT_INTERVAL), RATELIMIT_LINES);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {limits_a_site, slow_lines_always_pass, tells_all_at_the_end,
				      full_table_loses_nothing};

	return RUN_SUITE("ratelimit", tests);
}
