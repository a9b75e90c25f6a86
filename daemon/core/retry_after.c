#include "retry_after.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "proto/attributes.h"
#include "timers.h"

#define NUMBER_MAX                                                                                           \
	INT64_C(1000000000000) /* larger ones are cut to it: it fits as seconds in microseconds              \
				*/

static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
				       "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
				     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct date {
	int64_t year;
	int month; /* from 0 */
	int day, hour, minute, second;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Header fields arrive with blanks around them. */
static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t");
}

/* A decimal number and nothing else; -1: it is none. */
static int64_t parse_number(const char *text)
{
	int64_t value = 0;

	text = skip_blanks(text);
	if (!is_digit(*text))
		return -1;
	for (; is_digit(*text); text++) {
		value = value * 10 + (*text - '0');
		if (value > NUMBER_MAX)
			value = NUMBER_MAX;
	}
	return *skip_blanks(text) ? -1 : value;
}

/* Dates. Each read_…() moves *p behind what it read; false or -1: it does not stand there. */

static int read_digits(const char **p, int count)
{
	int value = 0;

	for (; count; count--, (*p)++) {
		if (!is_digit(**p))
			return -1;
		value = value * 10 + (**p - '0');
	}
	return value;
}

/* One of `names`, of which only the first `size` letters are written (0: all). Its index. */
static int read_name(const char **p, const char *const *names, size_t count, size_t size)
{
	for (size_t i = 0; i < count; i++) {
		size_t length = size ? size : strlen(names[i]);

		if (strncmp(*p, names[i], length) == 0) {
			*p += length;
			return (int)i;
		}
	}
	return -1;
}

static bool read_time(const char **p, struct date *date)
{
	date->hour = read_digits(p, 2);
	if (date->hour < 0 || *(*p)++ != ':')
		return false;
	date->minute = read_digits(p, 2);
	if (date->minute < 0 || *(*p)++ != ':')
		return false;
	date->second = read_digits(p, 2);
	return date->second >= 0;
}

/* Two digits mean the last such year that is at most 50 years ahead. */
static int64_t whole_year(int two_digits, int64_t wall_now)
{
	int64_t limit = 1970 + wall_now / USEC_PER_SEC / 31556952 + 50;

	return limit - (limit - two_digits) % 100;
}

static bool read_field(const char **p, char field, int64_t wall_now, struct date *date)
{
	switch (field) {
	case 'w':
		return read_name(p, weekdays, ARRAY_LEN(weekdays), 3) >= 0;
	case 'W':
		return read_name(p, weekdays, ARRAY_LEN(weekdays), 0) >= 0;
	case 'b':
		return (date->month = read_name(p, months, ARRAY_LEN(months), 0)) >= 0;
	case 'e': /* padded with a blank */
		if (**p == ' ') {
			++*p;
			return (date->day = read_digits(p, 1)) >= 0;
		}
		return (date->day = read_digits(p, 2)) >= 0;
	case 'd':
		return (date->day = read_digits(p, 2)) >= 0;
	case 'Y':
		return (date->year = read_digits(p, 4)) >= 0;
	case 'y':
		date->year = read_digits(p, 2);
		if (date->year < 0)
			return false;
		date->year = whole_year((int)date->year, wall_now);
		return true;
	case 'T':
		return read_time(p, date);
	default:
		return false;
	}
}

static bool read_date(const char *text, const char *form, int64_t wall_now, struct date *ret_date)
{
	struct date date = {0};
	const char *p = skip_blanks(text);

	for (; *form; form++) {
		if (*form != '%') {
			if (*p++ != *form)
				return false;
		} else if (!read_field(&p, *++form, wall_now, &date)) {
			return false;
		}
	}
	if (*skip_blanks(p))
		return false;
	*ret_date = date;
	return true;
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool date_exists(const struct date *date)
{
	static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int length = lengths[date->month] + (date->month == 1 && is_leap(date->year));

	return date->day >= 1 && date->day <= length && date->hour < 24 && date->minute < 60 &&
	       date->second <= 60;
}

/* Days from 1970-01-01. */
static int64_t date_days(const struct date *date)
{
	static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	int64_t past = date->year - 1; /* whole years since year 1 */
	int64_t days = past * 365 + past / 4 - past / 100 + past / 400;

	if (date->month > 1 && is_leap(date->year))
		days++;
	return days + before[date->month] + date->day - 1 - 719162;
}

/* Microseconds since 1970; -1: no date, or one before. */
static int64_t parse_date(const char *text, int64_t wall_now)
{
	static const char *const forms[] = {"%w, %d %b %Y %T GMT", "%W, %d-%b-%y %T GMT", "%w %b %e %T %Y"};
	struct date date;

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (!read_date(text, forms[i], wall_now, &date))
			continue;
		if (!date_exists(&date) || date.year < 1970)
			return -1;
		return (((date_days(&date) * 24 + date.hour) * 60 + date.minute) * 60 + date.second) *
		       USEC_PER_SEC;
	}
	return -1;
}

int64_t retry_after_parse(const char *seconds, const char *milliseconds, int64_t wall_now)
{
	int64_t number, date;

	if (milliseconds && (number = parse_number(milliseconds)) >= 0)
		return number * USEC_PER_MSEC;
	if (!seconds)
		return -1;
	if ((number = parse_number(seconds)) >= 0)
		return number * USEC_PER_SEC;
	date = parse_date(seconds, wall_now);
	return date > wall_now ? date - wall_now : -1;
}
