/*
 * Making and freeing the rows that go to the database (see database.h): what of a registration or a result is
 * copied, and what is referenced. The loop's side only: it counts references.
 */
#ifndef TINKEX_STORE_ROW_H
#define TINKEX_STORE_ROW_H

#include <stdint.h>

#include "database.h"

/* One without texts; the caller fills in the rest. `id`: see struct row. Never NULL. */
struct row *row_new(enum row_kind kind, uint64_t id);
/* ROW_SAVE, with copies of all texts. `wall_offset`: wall clock minus monotonic clock, microseconds. Never
 * NULL. */
struct row *row_new_save(const struct registration *registration, int64_t wall_offset);
/* Lets go of what it references, too. */
void row_free(struct row *row);

#endif
