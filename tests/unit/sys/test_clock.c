/* The clocks and the time that people read. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../proto/test_run.h"
#include "proto/attributes.h"
#include "sys/clock.h"

START_TEST(boottime_and_wall)
{
	struct timespec before, after;
	int64_t now, wall;

	clock_gettime(CLOCK_BOOTTIME, &before);
	now = clock_now();
	clock_gettime(CLOCK_BOOTTIME, &after);
	ck_assert_int_ge(now, (int64_t)before.tv_sec * 1000000 + before.tv_nsec / 1000);
	ck_assert_int_le(now, (int64_t)after.tv_sec * 1000000 + after.tv_nsec / 1000);

	clock_gettime(CLOCK_REALTIME, &before);
	wall = clock_wall();
	ck_assert_int_ge(wall - (int64_t)before.tv_sec * 1000000, 0);
	ck_assert_int_le(wall - (int64_t)before.tv_sec * 1000000, 60 * INT64_C(1000000));
}
END_TEST

static const struct {
	int64_t wall;
	const char *text;
} times[] = {
	{0, "1970-01-01T00:00:00.000Z"},
	{INT64_C(1767323045678901), "2026-01-02T03:04:05.678Z"},
	{INT64_C(1709210096000999), "2024-02-29T12:34:56.000Z"},
	{-1, "1969-12-31T23:59:59.999Z"},
	{-1000001, "1969-12-31T23:59:58.999Z"},
	{INT64_C(253402300799999999), "9999-12-31T23:59:59.999Z"},
	{INT64_C(253402300800000000), "-"},
	{INT64_MAX, "-"},
	{INT64_MIN, "-"},
};

START_TEST(formats)
{
	char text[32];

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		ck_assert_ptr_eq(clock_format(times[i].wall, text), text);
		ck_assert_str_eq(text, times[i].text);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {boottime_and_wall, formats};

	return RUN_SUITE("clock", tests);
}
