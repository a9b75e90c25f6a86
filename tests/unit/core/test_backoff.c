/* The backoff sequence, and its arithmetic at the edges of the number range. */
#include "../proto/test_run.h"
#include "core/backoff.h"
#include "core/timers.h"
#include "must.h"
#include "proto/attributes.h"

START_TEST(doubles_up_to_its_maximum)
{
	static const int64_t seconds[] = {1, 2, 4, 8, 16, 30, 30, 30};
	struct backoff backoff = {USEC_PER_SEC, 30 * USEC_PER_SEC};

	for (uint32_t n = 0; n < ARRAY_LEN(seconds); n++)
		ck_assert_int_eq(backoff_delay(backoff, n), seconds[n] * USEC_PER_SEC);
	ck_assert_int_eq(backoff_delay(backoff, UINT32_MAX), 30 * USEC_PER_SEC);
}
END_TEST

START_TEST(zero_means_no_sleep)
{
	for (uint32_t n = 0; n < 200; n++) {
		ck_assert_int_eq(backoff_delay((struct backoff){0, 0}, n), 0);
		ck_assert_int_eq(backoff_delay((struct backoff){0, 1000}, n), 0);
		ck_assert_int_eq(backoff_delay((struct backoff){1000, 0}, n), 0);
	}
	ck_assert_int_eq(backoff_delay((struct backoff){0, INT64_MAX}, UINT32_MAX), 0);
}
END_TEST

START_TEST(an_initial_beyond_the_maximum_is_the_maximum)
{
	ck_assert_int_eq(backoff_delay((struct backoff){5000, 100}, 0), 100);
	ck_assert_int_eq(backoff_delay((struct backoff){5000, 100}, 9), 100);
}
END_TEST

/* min(initial * 2^n, max) in 128 bits; beyond 2^64 the product is past any maximum. */
static int64_t naive(struct backoff backoff, uint32_t n)
{
	unsigned __int128 product = (unsigned __int128)backoff.initial << (n > 64 ? 64 : n);

	return product > (unsigned __int128)backoff.max ? backoff.max : (int64_t)product;
}

START_TEST(agrees_with_wide_arithmetic_everywhere)
{
	static const int64_t values[] = {0,
					 1,
					 2,
					 3,
					 7,
					 1000,
					 999999,
					 1000000,
					 30000000,
					 INT64_C(1) << 31,
					 INT64_C(1) << 62,
					 (INT64_C(1) << 62) - 1,
					 (INT64_C(1) << 62) + 1,
					 INT64_MAX / 2,
					 INT64_MAX - 1,
					 INT64_MAX};
	static const uint32_t more[] = {100, 127, 128, 1000, UINT32_MAX / 2, UINT32_MAX - 1, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		for (size_t j = 0; j < ARRAY_LEN(values); j++) {
			struct backoff backoff = {values[i], values[j]};

			for (uint32_t n = 0; n < 70; n++)
				must(backoff_delay(backoff, n) == naive(backoff, n));
			for (size_t k = 0; k < ARRAY_LEN(more); k++)
				must(backoff_delay(backoff, more[k]) == naive(backoff, more[k]));
		}
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		doubles_up_to_its_maximum,
		zero_means_no_sleep,
		an_initial_beyond_the_maximum_is_the_maximum,
		agrees_with_wide_arithmetic_everywhere,
	};

	return RUN_SUITE("backoff", tests);
}
