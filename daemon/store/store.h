/*
 * What survives: registrations and their ends. Asynchronous: what is queued in a turn is one batch with one
 * ticket, committed after the turn; the settle callback says when it is durable, in the order of the tickets
 * and never from inside a call of this interface.
 */
#ifndef TINKEX_STORE_STORE_H
#define TINKEX_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/future.h"
#include "core/metrics.h"
#include "proto/attributes.h"
#include "sys/loop.h"

struct store;

/* All batches up to `ticket` are durable (error 0), or failed (negative errno). */
typedef void store_settled(void *context, uint64_t ticket, int error);

/* A store that keeps state in memory: what it says is durable lives as long as the process. Never NULL. */
struct store *store_open_memory(struct loop *loop, struct metrics *metrics, store_settled *settled,
				void *context);
struct store *store_close(struct store *store);

/* Queue a row; what is needed of the registration is copied or referenced before the call returns. Each
 * returns the ticket of the open batch. */
uint64_t store_save(struct store *store, const struct registration *registration);
uint64_t store_save_end(struct store *store, const struct registration *registration);
uint64_t store_remove(struct store *store, const struct registration *registration);
/* Ends the turn: hands the open batch over. Nothing queued: nothing happens. */
void store_commit(struct store *store);
/* Batches that have not been settled. */
bool store_busy(const struct store *store);

#endif
