/*
 * The store that forgets with the process. The registry holds everything that a row would hold, and lives
 * exactly as long as this store: so there is nothing to copy, and what remains is the promise of the
 * interface, kept in full: rows of a turn are one batch, batches are settled in order, later, and from the
 * loop. It knows nothing of what the rows mean.
 */
#include <stdlib.h>

#include "core/alloc.h"
#include "store.h"

struct store {
	struct metrics *metrics;
	void (*settled)(void *context, uint64_t ticket, int error);
	void *context;
	struct event *settle_event;
	uint64_t open;      /* ticket of the batch that takes rows */
	uint64_t rows;      /* in it */
	uint64_t committed; /* highest ticket that was handed over */
	uint64_t told;      /* highest ticket that was settled */
};

static void settle(struct store *store)
{
	/* One call stands for all batches up to its ticket; more may be committed from inside it, which make
	 * the event active again. */
	store->told = store->committed;
	store->settled(store->context, store->told, 0);
}

static void on_settle(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	settle(context);
}

struct store *store_open_memory(struct loop *loop, struct metrics *metrics,
				void (*settled)(void *context, uint64_t ticket, int error), void *context)
{
	struct store *store = xnew(struct store);

	store->metrics = metrics;
	store->settled = settled;
	store->context = context;
	store->open = 1;
	store->settle_event = event_new(loop_base(loop), -1, 0, on_settle, store);
	if (!store->settle_event)
		abort(); /* small and fixed, like every allocation that may do this */
	return store;
}

struct store *store_close(struct store *store)
{
	if (!store)
		return NULL;
	event_free(store->settle_event);
	free(store);
	return NULL;
}

static uint64_t add_row(struct store *store)
{
	store->rows++;
	return store->open;
}

uint64_t store_save(struct store *store, const struct registration *registration)
{
	(void)registration;
	return add_row(store);
}

uint64_t store_save_end(struct store *store, const struct registration *registration)
{
	(void)registration;
	return add_row(store);
}

uint64_t store_remove(struct store *store, const struct registration *registration)
{
	(void)registration;
	return add_row(store);
}

void store_commit(struct store *store)
{
	if (!store->rows)
		return;
	store->metrics->commits++;
	store->metrics->commit_rows += store->rows;
	store->rows = 0;
	store->committed = store->open++;
	event_active(store->settle_event, EV_TIMEOUT, 0);
}

bool store_busy(const struct store *store)
{
	return store->rows || store->told < store->committed;
}
