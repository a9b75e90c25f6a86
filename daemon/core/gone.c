#include "gone.h"

static const char *const names[] = {
	[GONE_NEVER] = "never",
	[GONE_ACKED] = "acked",
	[GONE_RETENTION] = "retention",
	[GONE_CANCELLED] = "cancelled",
};

const char *gone_reason_name(enum gone_reason reason)
{
	return names[reason];
}

void gone_remember(struct gone *gone, uint64_t hash, enum gone_reason reason)
{
	gone->slots[hash % GONE_SLOTS].hash = hash;
	gone->slots[hash % GONE_SLOTS].reason = (uint8_t)reason;
}

enum gone_reason gone_reason(const struct gone *gone, uint64_t hash)
{
	return gone->slots[hash % GONE_SLOTS].hash == hash ? gone->slots[hash % GONE_SLOTS].reason
							   : GONE_NEVER;
}
