/* What tests of the spool share: a spool whose callbacks are on record, and bodies that are known by number.
 */
#ifndef TINKEX_TESTS_SPOOLING_H
#define TINKEX_TESTS_SPOOLING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disk.h"
#include "store/spool.h"
#include "world.h"

#define FILES 64
#define MIB   ((size_t)1024 * 1024)

struct body {
	struct here *here;
	uint64_t id;
	struct spool_file *file;
	uint64_t size;     /* so much has been appended */
	unsigned finished; /* the order in which it was told, from 1; 0: not yet */
};

struct here {
	struct world world;
	struct spool *spool;
	struct body bodies[FILES];
	unsigned n_done, wanted;
	char told[64]; /* C c: congested and no longer; F f: full; B: broken */
	int error;
	bool inside; /* a call that must not call back */
};

/* What a spool tells goes into the struct here that is its context. */
extern const struct spool_operations spool_records;

/* A spool on a scratch folder, behind disk.h. */
void here_init(struct here *here);
void here_release(struct here *here);
/* The steps of a body, under the id that is its number; its bytes follow from both. */
struct body *begin(struct here *here, unsigned number);
void append(struct body *body, size_t size);
void finish(struct body *body);
void discard(struct body *body);
/* So many bodies have been told to be done, and no more. */
void run_until_done(struct here *here, unsigned wanted);
/* As it lies in the folder. -1: it does not. */
int64_t size_of(const struct body *body);
/* Its file has exactly the bytes that were appended. */
void check_body(const struct body *body);
/* The thread waits inside a call that disk.h holds. */
void run_until_held(struct here *here);
/* Nothing of any body stays; ends the test. */
void expect_nothing_left(struct here *here);
/* For world_run(); the context is a struct here, of has_size() a body. */
bool folder_is_empty(void *context);
bool not_congested(void *context);
bool is_full(void *context);
bool has_size(void *context);

#endif
