/* How long to wait before the next try. Pure arithmetic, no jitter: the polled service's guide fixes the
 * sequence 1, 2, 4, 8, 16, 30, 30 s. */
#ifndef TINKEX_CORE_BACKOFF_H
#define TINKEX_CORE_BACKOFF_H

#include <stdint.h>

struct backoff {
	int64_t initial, max; /* microseconds, >= 0; 0/0 means no sleep */
};

/* min(initial * 2^n, max) microseconds, without overflow for any n. */
int64_t backoff_delay(struct backoff backoff, uint32_t n);

#endif
