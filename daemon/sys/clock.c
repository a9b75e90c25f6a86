#include "clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec time;

	/* Both clocks exist on every Linux that this runs on, and the address is good: it cannot fail. */
	clock_gettime(id, &time);
	return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

int64_t clock_now(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}

char *clock_format(int64_t wall, char *out)
{
	int64_t seconds = wall / 1000000, rest = wall % 1000000;
	time_t time;
	struct tm tm;

	if (rest < 0) {
		rest += 1000000;
		seconds--;
	}
	time = (time_t)seconds;
	/* A year beyond int: no clock shows it, and 32 bytes would not hold it. */
	if (seconds > INT64_C(253402300799) || seconds < -INT64_C(62135596800) || !gmtime_r(&time, &tm)) {
		snprintf(out, 32, "-");
		return out;
	}
	snprintf(out, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)(tm.tm_year + 1900) % 10000,
		 (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, (unsigned)(rest / 1000) % 1000);
	return out;
}
