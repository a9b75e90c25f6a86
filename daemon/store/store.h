/*
 * What survives: registrations and their ends, in an SQLite database, and large bodies in the spool.
 * Asynchronous: what is queued in a turn is one batch with one ticket, committed on the store's own thread;
 * the settled callback says when it is durable, in the order of the tickets and never from inside a call of
 * this interface. While a batch is being committed the next one gathers.
 *
 * The row of a result, and its file, live as long as somebody holds the result in memory: the store is every
 * stored result's keeper.
 */
#ifndef TINKEX_STORE_STORE_H
#define TINKEX_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/metrics.h"
#include "core/registry.h"
#include "proto/attributes.h"
#include "reader.h"
#include "spool.h"
#include "sys/loop.h"

struct store;

struct store_operations {
	/* All batches up to `ticket` are durable (error 0), or failed: -ENOSPC, the disk is full and rows may
	 * be queued again later; anything else, and the database cannot be trusted any more. */
	void (*settled)(void *context, uint64_t ticket, int error);
	/* The disk is full (only removals are committed, from space held in reserve), or has space again. */
	void (*full)(void *context, bool full);
	/* As the spool's. */
	void (*congested)(void *context, bool congested);
	/* The spool's disk cannot be trusted any more. */
	void (*broken)(void *context, int error);
};

/* Opens the database in the state directory, or makes it; brings one of an older version up to date; removes
 * what no row names. 0, or negative errno with a sentence in *ret_message, freed by the caller: what is wrong
 * with which file, and what to do. `path` is the directory's name for people. */
_must_check_ int store_open(const char *path, int state_dir_fd, struct loop *loop, struct metrics *metrics,
			    const struct store_operations *operations, void *context,
			    struct store **ret_store, char **ret_message);
/* Commits what is queued, ends both threads, and calls nothing but the callbacks of readings. Results may
 * outlive it: they have no keeper's doings to fear afterwards, and nothing of them is removed. */
void store_stop(struct store *store);
/* After store_stop(), when no result is left. Takes and returns NULL. */
struct store *store_close(struct store *store);

/* All that is stored, oldest first. `now` and `wall`: the time, for the deadlines. A body that is missing is
 * not there: its registration has not ended. Before the loop runs. 0, or negative errno with a sentence. */
_must_check_ int store_load(struct store *store, int64_t now, int64_t wall,
			    void (*visit)(void *context, struct stored_registration *row), void *context,
			    char **ret_message);

/* Queue a row; what is needed of the registration is copied or referenced before the call returns. Each
 * returns the ticket of the open batch. */
uint64_t store_save(struct store *store, const struct registration *registration);
uint64_t store_save_end(struct store *store, const struct registration *registration);
uint64_t store_remove(struct store *store, const struct registration *registration);
/* Its outcome was delivered: a row that goes with the next batch, or after a second. */
void store_save_delivered(struct store *store, const struct registration *registration);
/* Ends the turn: hands the open batch over, or lets it gather while another is being committed. */
void store_commit(struct store *store);
/* Batches that have not been settled. */
bool store_busy(const struct store *store);

/* For a body that is about to arrive: the id of the result that it may become. */
uint64_t store_new_result_id(struct store *store);
struct result_keeper *store_keeper(struct store *store);
struct spool *store_spool(struct store *store);
struct reader *store_reader(struct store *store);

#endif
