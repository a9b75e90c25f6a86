/*
 * A store in the scratch folder with a loop that runs, registrations to be kept in it, and what a new start
 * finds.
 */
#ifndef TINKEX_TESTS_UNIT_STORE_KEEPING_H
#define TINKEX_TESTS_UNIT_STORE_KEEPING_H

#include "store/store.h"
#include "world.h"

#define ROWS_MAX 16

/* What was loaded: texts are copies, the result is a reference of its own. */
struct loaded {
	struct stored_registration row;
	char *texts[4];
};

struct keeping {
	struct world world;
	struct metrics metrics;
	struct store *store;
	uint64_t settled; /* the last ticket */
	int error;        /* of that */
	unsigned n_settled, n_errors;
	bool full;
	unsigned n_full; /* times that it was told */
	int broken;
	struct loaded rows[ROWS_MAX];
	size_t n_rows;
};

/* Opens it and loads. */
void keeping_init(struct keeping *keeping);
void keeping_stop(struct keeping *keeping);
/* Stops and frees all. */
void keeping_release(struct keeping *keeping);
/* As a restart; in between `sql` (NULL: none) is run on the database. `later`: how much later it is by the
 * wall clock, while the monotonic one stands still; microseconds. */
void keeping_restart(struct keeping *keeping, const char *sql, int64_t later);
/* Commits what is queued, and runs until `ticket` is settled. */
void keeping_commit(struct keeping *keeping, uint64_t ticket);
/* Runs until `until` is true of it. */
void keeping_run(struct keeping *keeping, bool (*until)(void *context));
/* Lets go of the loaded results. */
void keeping_forget(struct keeping *keeping);

/* A registration as the registry would have it, of endpoint "default"; nothing is asked for. Freed by
 * registration_drop(), with its result. */
struct registration *registration_make(uint64_t id, uid_t uid, const char *request_id);
void registration_drop(struct registration *registration);
/* Saves it, and if it has a result its end, in one batch; and waits. */
void keeping_save(struct keeping *keeping, struct registration *registration);

/* Asks a closed or an open database: the number in the first column of the first row, -1 for NULL. */
int64_t ask(const char *sql);
void run_sql(const char *sql);
/* Writes spool file `id` of `size` bytes, as world_byte() has them. */
void make_spool_file(uint64_t id, size_t size);
bool spool_has(uint64_t id);

#endif
