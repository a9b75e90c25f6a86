/*
 * Registrations that have got as far as a test needs them, with outcomes of a given size.
 */
#ifndef TINKEX_TESTS_OUTCOMES_H
#define TINKEX_TESTS_OUTCOMES_H

#include "world.h"

/* What an outcome of so many bytes takes. */
#define SIZE(n) (REGISTRY_ROW_BYTES + (uint64_t)(n))

int64_t wall(const struct world *world);
/* At the first endpoint; NULL: it is not there. */
struct registration *find(struct world *world, uid_t uid, const char *request_id);
enum proto_error try_register(struct world *world, uid_t uid, const char *request_id,
			      const struct registration_options *options);
/* One that is being polled, and gets no answer by itself. */
struct registration *polled(struct world *world, uid_t uid, const char *request_id);
/* It completes with so many bytes, and the store settles. */
void end_with(struct world *world, struct registration *registration, size_t size);
/* One that has ended with so many bytes. */
struct registration *ended(struct world *world, uid_t uid, const char *request_id, size_t size);
/* ... and was delivered, a second after whatever came before. */
struct registration *delivered(struct world *world, uid_t uid, const char *request_id, size_t size);
/* New limits: bytes of all, bytes and number of each uid. */
void limit(struct world *world, uint64_t all, uint64_t each, uint32_t count);

#endif
