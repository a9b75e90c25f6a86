/* Why an id is not registered: remembered for a while in a small table in which newer entries overwrite older
 * ones. */
#ifndef TINKEX_CORE_GONE_H
#define TINKEX_CORE_GONE_H

#include <stdint.h>

enum gone_reason { GONE_NEVER, GONE_ACKED, GONE_RETENTION, GONE_CANCELLED };
/* As data.reason of a not_registered error says it. */
const char *gone_reason_name(enum gone_reason reason);

#define GONE_SLOTS 16384

struct gone {
	struct {
		uint64_t hash;
		uint8_t reason;
	} slots[GONE_SLOTS];
};

/* `hash`: keyed, over uid, endpoint and request id. */
void gone_remember(struct gone *gone, uint64_t hash, enum gone_reason reason);
enum gone_reason gone_reason(const struct gone *gone, uint64_t hash);

#endif
