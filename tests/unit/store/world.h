/* What the modules of the store live in: a loop, the file thread, and a state directory in the scratch
 * folder. */
#ifndef TINKEX_TESTS_UNIT_STORE_WORLD_H
#define TINKEX_TESTS_UNIT_STORE_WORLD_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "sys/loop.h"
#include "sys/worker.h"

struct world {
	struct loop *loop;
	struct worker *worker;
	int state_fd; /* the scratch folder */
	bool (*until)(void *context);
	void *context;
	struct timer guard;
};

void world_init(struct world *world);
/* Ends the thread, which runs all that is queued. */
void world_stop(struct world *world);
void world_release(struct world *world);
/* Turns until `until` is true at the end of a turn; not at all if it is true already. Fails the test when
 * that does not come to be. */
void world_run(struct world *world, bool (*until)(void *context), void *context);

/* Bytes that tell where they belong: the one at `offset` of body `id`. */
char world_byte(uint64_t id, uint64_t offset);
/* malloc'd: `size` of them from `offset` on. */
char *world_bytes(uint64_t id, uint64_t offset, size_t size);

#endif
