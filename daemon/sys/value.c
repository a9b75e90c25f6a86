#include "value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
	uint64_t from; /* least number that is shown in it: people say 60s and 24h */
};

/* Smallest first: formatting takes the last that divides. */
static const struct unit durations[] = {
	{"ms", 1000, 1},
	{"s", 1000000, 1},
	{"m", UINT64_C(60) * 1000000, 2},
	{"h", UINT64_C(3600) * 1000000, 1},
	{"d", UINT64_C(86400) * 1000000, 2},
};
static const struct unit sizes[] = {
	{"", 1, 1},
	{"K", UINT64_C(1) << 10, 1},
	{"M", UINT64_C(1) << 20, 1},
	{"G", UINT64_C(1) << 30, 1},
	{"T", UINT64_C(1) << 40, 1},
};

static int fail(int error, const char *reason, const char **ret_reason)
{
	*ret_reason = reason;
	return error;
}

/* Digits at the start of `text`; what follows them in *ret_end. -EINVAL: there are none. -ERANGE: too many.
 */
static int read_digits(const char *text, unsigned base, uint64_t *ret_number, const char **ret_end)
{
	uint64_t number = 0;
	const char *at = text;

	for (; *at >= '0' && *at < (char)('0' + base); at++) {
		unsigned digit = (unsigned)(*at - '0');

		if (number > (UINT64_MAX - digit) / base)
			return -ERANGE;
		number = number * base + digit;
	}
	if (at == text)
		return -EINVAL;
	*ret_number = number;
	*ret_end = at;
	return 0;
}

static const struct unit *find_unit(const struct unit *units, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(units[i].name, name) == 0)
			return &units[i];
	}
	return NULL;
}

int value_duration(const char *text, int64_t *ret_duration, const char **ret_reason)
{
	const struct unit *unit;
	const char *end;
	uint64_t number;
	int r = read_digits(text, 10, &number, &end);

	if (r == -ERANGE)
		return fail(r, "is too long", ret_reason);
	if (r < 0)
		return fail(r, "is not a duration; write 500ms, 30s, 5m, 24h or 7d", ret_reason);
	if (!*end && number > 0)
		return fail(-EINVAL, "has no unit; write 500ms, 30s, 5m, 24h or 7d", ret_reason);
	unit = *end ? find_unit(durations, ARRAY_LEN(durations), end) : &durations[0];
	if (!unit)
		return fail(-EINVAL, "has an unknown unit; write 500ms, 30s, 5m, 24h or 7d", ret_reason);
	/* INT64_MAX itself means never. */
	if (number > (INT64_MAX - 1) / unit->factor)
		return fail(-ERANGE, "is too long", ret_reason);
	*ret_duration = (int64_t)(number * unit->factor);
	return 0;
}

int value_size(const char *text, uint64_t *ret_size, const char **ret_reason)
{
	const struct unit *unit;
	const char *end;
	uint64_t number;
	int r = read_digits(text, 10, &number, &end);

	if (r == -ERANGE)
		return fail(r, "is too large", ret_reason);
	if (r < 0)
		return fail(r, "is not a size; write bytes, or 64K, 50M, 1G", ret_reason);
	unit = find_unit(sizes, ARRAY_LEN(sizes), end);
	if (!unit)
		return fail(-EINVAL, "has an unknown unit; write bytes, or 64K, 50M, 1G", ret_reason);
	if (number > UINT64_MAX / unit->factor)
		return fail(-ERANGE, "is too large", ret_reason);
	*ret_size = number * unit->factor;
	return 0;
}

int value_count(const char *text, uint64_t *ret_count, const char **ret_reason)
{
	const char *end;
	uint64_t number;
	int r = read_digits(text, 10, &number, &end);

	if (r == -ERANGE)
		return fail(r, "is too large", ret_reason);
	if (r < 0 || *end)
		return fail(-EINVAL, "is not a number", ret_reason);
	*ret_count = number;
	return 0;
}

int value_mode(const char *text, mode_t *ret_mode, const char **ret_reason)
{
	const char *end;
	uint64_t number;

	if (read_digits(text, 8, &number, &end) < 0 || *end || number > 0777)
		return fail(-EINVAL, "is not a file mode; write it in octal, such as 0600 or 0660",
			    ret_reason);
	*ret_mode = (mode_t)number;
	return 0;
}

static char *format(const struct unit *units, size_t n, uint64_t value, char *out)
{
	const struct unit *best = &units[0];

	for (size_t i = 0; i < n; i++) {
		if (value % units[i].factor == 0 && value / units[i].factor >= units[i].from)
			best = &units[i];
	}
	snprintf(out, VALUE_TEXT_MAX, "%" PRIu64 "%s", value / best->factor, best->name);
	return out;
}

char *value_format_duration(int64_t duration, char *out)
{
	if (duration <= 0) {
		snprintf(out, VALUE_TEXT_MAX, "0");
		return out;
	}
	return format(durations, ARRAY_LEN(durations), (uint64_t)duration, out);
}

char *value_format_size(uint64_t size, char *out)
{
	if (size == 0) {
		snprintf(out, VALUE_TEXT_MAX, "0");
		return out;
	}
	return format(sizes, ARRAY_LEN(sizes), size, out);
}
