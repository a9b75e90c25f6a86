/* What people write for durations, sizes, numbers and modes, and what they see of it. */
#include <errno.h>
#include <string.h>

#include "../proto/test_run.h"
#include "proto/attributes.h"
#include "sys/value.h"

static const struct {
	const char *text;
	int64_t duration;
} good_durations[] = {
	{"0", 0},
	{"0s", 0},
	{"1ms", 1000},
	{"500ms", 500000},
	{"30s", 30000000},
	{"007s", 7000000},
	{"5m", 300000000},
	{"24h", INT64_C(86400000000)},
	{"7d", INT64_C(604800000000)},
	{"9223372036854775ms", INT64_C(9223372036854775000)},
	{"106751991d", INT64_C(106751991) * 86400 * 1000000},
};

START_TEST(reads_durations)
{
	for (size_t i = 0; i < ARRAY_LEN(good_durations); i++) {
		const char *reason = NULL;
		int64_t duration = -1;

		ck_assert_msg(value_duration(good_durations[i].text, &duration, &reason) == 0, "%s: %s",
			      good_durations[i].text, reason);
		ck_assert_int_eq(duration, good_durations[i].duration);
	}
}
END_TEST

static const struct {
	const char *text;
	int error;
	const char *reason;
} bad_durations[] = {
	{"", -EINVAL, "is not a duration"},
	{"s", -EINVAL, "is not a duration"},
	{"-1s", -EINVAL, "is not a duration"},
	{"+1s", -EINVAL, "is not a duration"},
	{" 1s", -EINVAL, "is not a duration"},
	{"forever", -EINVAL, "is not a duration"},
	{"30", -EINVAL, "has no unit"},
	{"1", -EINVAL, "has no unit"},
	{"30 s", -EINVAL, "has an unknown unit"},
	{"30S", -EINVAL, "has an unknown unit"},
	{"30sec", -EINVAL, "has an unknown unit"},
	{"1.5s", -EINVAL, "has an unknown unit"},
	{"1h30m", -EINVAL, "has an unknown unit"},
	{"1us", -EINVAL, "has an unknown unit"},
	{"0x10s", -EINVAL, "has an unknown unit"},
	{"9223372036854776ms", -ERANGE, "is too long"},
	{"9223372036855s", -ERANGE, "is too long"},
	{"106751992d", -ERANGE, "is too long"},
	{"18446744073709551615s", -ERANGE, "is too long"},
	{"18446744073709551616s", -ERANGE, "is too long"},
	{"99999999999999999999999999s", -ERANGE, "is too long"},
};

START_TEST(refuses_durations)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_durations); i++) {
		const char *reason = "";
		int64_t duration = 77;

		ck_assert_msg(value_duration(bad_durations[i].text, &duration, &reason) ==
				      bad_durations[i].error,
			      "%s", bad_durations[i].text);
		ck_assert_msg(strstr(reason, bad_durations[i].reason) == reason, "%s: %s",
			      bad_durations[i].text, reason);
		ck_assert_int_eq(duration, 77);
	}
}
END_TEST

static const struct {
	const char *text;
	uint64_t size;
} good_sizes[] = {
	{"0", 0},
	{"0G", 0},
	{"1", 1},
	{"65536", 65536},
	{"64K", 65536},
	{"50M", 52428800},
	{"1G", 1073741824},
	{"2T", UINT64_C(2199023255552)},
	{"18446744073709551615", UINT64_MAX},
	{"16777215T", UINT64_C(16777215) << 40},
};

static const struct {
	const char *text;
	int error;
} bad_sizes[] = {
	{"", -EINVAL},
	{"K", -EINVAL},
	{"-1", -EINVAL},
	{"64k", -EINVAL},
	{"64KB", -EINVAL},
	{"64 K", -EINVAL},
	{"1.5G", -EINVAL},
	{"64KiB", -EINVAL},
	{"0x40", -EINVAL},
	{"16777216T", -ERANGE},
	{"17179869184G", -ERANGE},
	{"18446744073709551616", -ERANGE},
	{"18014398509481984K", -ERANGE},
};

START_TEST(reads_and_refuses_sizes)
{
	const char *reason;
	uint64_t size;

	for (size_t i = 0; i < ARRAY_LEN(good_sizes); i++) {
		ck_assert_int_eq(value_size(good_sizes[i].text, &size, &reason), 0);
		ck_assert_uint_eq(size, good_sizes[i].size);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_sizes); i++) {
		size = 77;
		reason = NULL;
		ck_assert_msg(value_size(bad_sizes[i].text, &size, &reason) == bad_sizes[i].error, "%s",
			      bad_sizes[i].text);
		ck_assert_uint_eq(size, 77);
		ck_assert_ptr_nonnull(reason);
	}
}
END_TEST

START_TEST(numbers)
{
	const char *reason;
	uint64_t number = 0;

	ck_assert_int_eq(value_count("0", &number, &reason), 0);
	ck_assert_uint_eq(number, 0);
	ck_assert_int_eq(value_count("18446744073709551615", &number, &reason), 0);
	ck_assert_uint_eq(number, UINT64_MAX);
	ck_assert_int_eq(value_count("18446744073709551616", &number, &reason), -ERANGE);
	ck_assert_int_eq(value_count("", &number, &reason), -EINVAL);
	ck_assert_int_eq(value_count("-1", &number, &reason), -EINVAL);
	ck_assert_int_eq(value_count("1 ", &number, &reason), -EINVAL);
	ck_assert_int_eq(value_count("1e3", &number, &reason), -EINVAL);
	ck_assert_uint_eq(number, UINT64_MAX);
}
END_TEST

START_TEST(modes)
{
	static const char *const bad[] = {"", "8", "0680", "1000", "07777", "-1", "u=rw", "0600 ", "0o600"};
	const char *reason;
	mode_t mode = 0;

	ck_assert_int_eq(value_mode("0600", &mode, &reason), 0);
	ck_assert_uint_eq(mode, 0600);
	ck_assert_int_eq(value_mode("660", &mode, &reason), 0);
	ck_assert_uint_eq(mode, 0660);
	ck_assert_int_eq(value_mode("0000777", &mode, &reason), 0);
	ck_assert_uint_eq(mode, 0777);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(value_mode(bad[i], &mode, &reason) == -EINVAL, "%s", bad[i]);
}
END_TEST

static const struct {
	int64_t duration;
	const char *text;
} shown_durations[] = {
	{0, "0"},
	{-5, "0"},
	{1000, "1ms"},
	{1000000, "1s"},
	{1500000, "1500ms"},
	{60000000, "60s"},
	{90000000, "90s"},
	{600000000, "10m"},
	{INT64_C(3600000000), "1h"},
	{INT64_C(86400000000), "24h"},
	{INT64_C(604800000000), "7d"},
};

START_TEST(shows_durations_and_sizes)
{
	char text[VALUE_TEXT_MAX];
	const char *reason;
	int64_t duration;
	uint64_t size;

	for (size_t i = 0; i < ARRAY_LEN(shown_durations); i++)
		ck_assert_str_eq(value_format_duration(shown_durations[i].duration, text),
				 shown_durations[i].text);
	/* Whatever is shown reads back as itself. */
	for (size_t i = 0; i < ARRAY_LEN(good_durations); i++) {
		ck_assert_int_eq(value_duration(value_format_duration(good_durations[i].duration, text),
						&duration, &reason),
				 0);
		ck_assert_int_eq(duration, good_durations[i].duration);
	}
	for (size_t i = 0; i < ARRAY_LEN(good_sizes); i++) {
		ck_assert_int_eq(value_size(value_format_size(good_sizes[i].size, text), &size, &reason), 0);
		ck_assert_uint_eq(size, good_sizes[i].size);
	}
	ck_assert_str_eq(value_format_size(65536, text), "64K");
	ck_assert_str_eq(value_format_size(1000, text), "1000");
	ck_assert_str_eq(value_format_size(UINT64_C(10) << 30, text), "10G");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		reads_durations, refuses_durations,        reads_and_refuses_sizes, numbers,
		modes,           shows_durations_and_sizes};

	return RUN_SUITE("value", tests);
}
