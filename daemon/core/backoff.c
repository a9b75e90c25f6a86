#include "backoff.h"

int64_t backoff_delay(struct backoff backoff, uint32_t n)
{
	if (backoff.initial <= 0 || backoff.max <= 0)
		return 0;
	if (n >= 63 || backoff.initial > backoff.max >> n)
		return backoff.max;
	return backoff.initial << n;
}
