/* The two clocks. Nobody else asks the kernel for the time. */
#ifndef TINKEX_SYS_CLOCK_H
#define TINKEX_SYS_CLOCK_H

#include <stdint.h>

/* Monotonic microseconds that go on during suspend (CLOCK_BOOTTIME): for everything that is scheduled. */
int64_t clock_now(void);
/* Wall clock, microseconds since 1970: for stored deadlines and for people. */
int64_t clock_wall(void);
/* RFC 3339 in UTC with milliseconds, "2026-01-02T03:04:05.678Z", into at least 32 bytes. Returns `out`. */
char *clock_format(int64_t wall, char *out);

#endif
