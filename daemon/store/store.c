/*
 * The loop's side of the store: gathers rows into batches, has one committed at a time while the next
 * gathers, tells what became of them, and keeps house: checkpoints, space in reserve, what nobody holds any
 * more.
 */
#include "store.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alloc.h"
#include "database.h"
#include "found_files.h"
#include "reserve.h"
#include "row.h"
#include "sys/complain.h"
#include "sys/log.h"
#include "sys/worker.h"

#define LOG_SIZE_MAX (64 * 1024 * 1024) /* bytes in the write-ahead log beyond which it is moved at once */

/* What can wait does so for this long: rows that nobody waits for, a checkpoint, another look at a full disk.
 */
static const struct timeval pause_time = {.tv_sec = 1};
#define QUIET (USEC_PER_SEC / 2) /* no commit for so long: nobody is made to wait by a checkpoint */

/* A transaction. Belongs to the store's thread while it is under way. */
struct batch {
	struct job job;
	struct store *store;
	uint64_t ticket;
	struct rows rows; /* owned */
	size_t n_rows;
	bool urgent; /* somebody waits for one of them */
	/* what came of it */
	int error;
	char message[256];
	bool reserve_held;
};

struct store {
	struct result_keeper keeper;
	struct loop *loop;
	struct metrics *metrics;
	const struct store_operations *operations;
	void *context;
	int state_dir_fd;
	struct worker *committer, *filer; /* the store thread, the file thread */
	struct spool *spool;
	struct reader *reader;
	struct event *timer;
	struct batch *open;     /* takes rows */
	struct batch *underway; /* is being committed; NULL: none */
	struct job chore;       /* checkpoint and reserve, while `on_chore` */
	int chore_error;
	char chore_message[256];
	bool chore_reserve_held;
	int64_t last_commit; /* monotonic */
	uint64_t last_result_id;
	bool on_chore;
	bool disk_full, spool_full;
	bool failed;  /* the database is not used any more */
	bool stopped; /* nothing is told any more */

	/* the store thread's, from the first job on */
	struct database *database;
	bool reserve_held;
};

static void commit_run(struct job *job);
static void commit_done(struct job *job);

/* Rows. */

static struct batch *batch_new(struct store *store, uint64_t ticket)
{
	struct batch *batch = xnew(struct batch);

	batch->job.run = commit_run;
	batch->job.done = commit_done;
	batch->store = store;
	batch->ticket = ticket;
	STAILQ_INIT(&batch->rows);
	return batch;
}

static void batch_free(struct batch *batch)
{
	struct row *row;

	if (!batch)
		return;
	while ((row = STAILQ_FIRST(&batch->rows))) {
		STAILQ_REMOVE_HEAD(&batch->rows, next);
		row_free(row);
	}
	free(batch);
}

static void arm_timer(struct store *store)
{
	if (!store->stopped && !evtimer_pending(store->timer, NULL))
		evtimer_add(store->timer, &pause_time);
}

static uint64_t put_row(struct store *store, struct row *row, bool urgent)
{
	struct batch *batch = store->open;

	STAILQ_INSERT_TAIL(&batch->rows, row, next);
	batch->n_rows++;
	batch->urgent |= urgent;
	if (!batch->urgent)
		arm_timer(store);
	return batch->ticket;
}

uint64_t store_save(struct store *store, const struct registration *registration)
{
	struct row *row = row_new_save(registration, loop_wall(store->loop) - loop_now(store->loop));

	return put_row(store, row, true);
}

uint64_t store_save_end(struct store *store, const struct registration *registration)
{
	struct row *row = row_new(ROW_END, registration->id);
	struct result *result = registration->result;

	if (!result->id)
		result->id = store_new_result_id(store);
	result->keeper = &store->keeper;
	row->result = result_ref(result);
	row->body = blob_ref(result->body); /* which the result may drop while the row is on its way */
	return put_row(store, row, true);
}

uint64_t store_remove(struct store *store, const struct registration *registration)
{
	return put_row(store, row_new(ROW_REMOVE, registration->id), true);
}

void store_save_delivered(struct store *store, const struct registration *registration)
{
	struct row *row = row_new(ROW_DELIVERED, registration->id);

	row->delivered_wall = registration->delivered;
	put_row(store, row, false);
}

/* Nobody holds it any more: its row is of no use, nor its file. */
static void on_result_gone(struct result_keeper *keeper, uint64_t id, bool in_file)
{
	struct store *store = container_of(keeper, struct store, keeper);
	struct row *row;

	if (store->stopped)
		return;
	row = row_new(ROW_REMOVE_RESULT, id);
	row->in_file = in_file;
	put_row(store, row, false);
}

/* The state of the disk. */

static void tell_full(struct store *store, bool *which, bool full)
{
	bool before = store->disk_full || store->spool_full, after;

	*which = full;
	after = store->disk_full || store->spool_full;
	/* What is written to the spool must not take the space that the reserve has made for the database. */
	spool_suspend(store->spool, store->disk_full);
	if (before == after || store->stopped)
		return;
	if (after)
		store->metrics->disk_full++;
	store->operations->full(store->context, after);
	arm_timer(store);
}

static void on_spool_full(void *context, bool full)
{
	struct store *store = context;

	tell_full(store, &store->spool_full, full);
}

static void on_spool_congested(void *context, bool congested)
{
	struct store *store = context;

	if (!store->stopped)
		store->operations->congested(store->context, congested);
}

static void on_spool_broken(void *context, int error)
{
	struct store *store = context;

	if (!store->stopped)
		store->operations->broken(store->context, error);
}

static const struct spool_operations spool_operations = {
	.congested = on_spool_congested,
	.full = on_spool_full,
	.broken = on_spool_broken,
};

/* Commits: the store thread's part. */

static int keep_log_small(struct store *store, uint64_t limit, char message[256])
{
	int error;

	if (database_log_size(store->database) <= limit)
		return 0;
	error = database_checkpoint(store->database, message);
	return error == -ENOSPC ? 0 : error;
}

static void commit_run(struct job *job)
{
	struct batch *batch = container_of(job, struct batch, job);
	struct store *store = batch->store;

	batch->error = database_commit(store->database, &batch->rows, batch->message);
	if (batch->error == -ENOSPC && store->reserve_held) {
		reserve_give_up(store->state_dir_fd);
		store->reserve_held = false;
		batch->error = database_commit(store->database, &batch->rows, batch->message);
	}
	if (!batch->error)
		batch->error = keep_log_small(store, store->reserve_held ? LOG_SIZE_MAX : 0, batch->message);
	batch->reserve_held = store->reserve_held;
}

/* ... and the loop's. */

static void submit(struct store *store)
{
	struct batch *batch = store->open;

	store->open = batch_new(store, batch->ticket + 1);
	store->underway = batch;
	worker_submit(store->committer, &batch->job);
}

/* What nobody waits for is tried again with the next batch, in front of what came later. */
static void keep_lazy_rows(struct store *store, struct batch *batch)
{
	struct rows failed = STAILQ_HEAD_INITIALIZER(failed), later = STAILQ_HEAD_INITIALIZER(later);
	struct row *row;

	STAILQ_CONCAT(&failed, &batch->rows);
	STAILQ_CONCAT(&later, &store->open->rows);
	while ((row = STAILQ_FIRST(&failed))) {
		STAILQ_REMOVE_HEAD(&failed, next);
		if (row->kind == ROW_REMOVE_RESULT || row->kind == ROW_DELIVERED)
			put_row(store, row, false);
		else
			STAILQ_INSERT_TAIL(&batch->rows, row, next);
	}
	STAILQ_CONCAT(&store->open->rows, &later);
}

static void finish_removals(struct store *store, const struct batch *batch)
{
	const struct row *row;

	STAILQ_FOREACH (row, &batch->rows, next) {
		if (row->kind == ROW_REMOVE_RESULT && row->in_file)
			spool_remove(store->spool, row->id);
	}
}

static void commit_done(struct job *job)
{
	struct batch *batch = container_of(job, struct batch, job);
	struct store *store = batch->store;
	int error = batch->error;
	uint64_t ticket = batch->ticket;

	store->underway = NULL;
	store->last_commit = loop_now(store->loop);
	if (error) {
		if (error != -ENOSPC ||
		    !store->disk_full) /* or else it has been said, and is tried all the time */
			log_error("store", "%s", batch->message);
		store->metrics->commits_failed++;
		store->failed |= error != -ENOSPC;
		keep_lazy_rows(store, batch);
	} else {
		store->metrics->commits++;
		store->metrics->commit_rows += batch->n_rows;
		finish_removals(store, batch);
	}
	if (error == -ENOSPC || (!error && !batch->reserve_held))
		tell_full(store, &store->disk_full, true);
	if (!store->stopped)
		store->operations->settled(store->context, store->failed ? store->open->ticket : ticket,
					   error);
	else if (!error && !STAILQ_EMPTY(&store->open->rows))
		submit(store); /* the last */
	batch_free(batch);
	arm_timer(store);
}

void store_commit(struct store *store)
{
	if (store->open->urgent && !store->underway && !store->failed)
		submit(store);
}

bool store_busy(const struct store *store)
{
	return store->underway || store->open->urgent;
}

/* Housekeeping. */

static void chore_run(struct job *job)
{
	struct store *store = container_of(job, struct store, chore);

	store->chore_error = keep_log_small(store, 0, store->chore_message);
	if (!store->chore_error && !store->reserve_held)
		store->reserve_held = reserve_hold(store->state_dir_fd) == 0;
	store->chore_reserve_held = store->reserve_held;
}

static void chore_done(struct job *job)
{
	struct store *store = container_of(job, struct store, chore);

	store->on_chore = false;
	if (store->chore_error) {
		log_error("store", "%s", store->chore_message);
		store->failed = true;
		if (!store->stopped)
			store->operations->broken(store->context, store->chore_error);
		return;
	}
	tell_full(store, &store->disk_full, !store->chore_reserve_held);
	if (store->disk_full)
		arm_timer(store);
}

/* A quiet second: for what could wait. */
static void on_timer(evutil_socket_t fd, short events, void *context)
{
	struct store *store = context;

	(void)fd;
	(void)events;
	if (store->failed)
		return;
	if (store->underway || store->on_chore) {
		arm_timer(store);
		return;
	}
	if (!STAILQ_EMPTY(&store->open->rows)) {
		submit(store);
		return;
	}
	if (!store->disk_full && loop_now(store->loop) - store->last_commit < QUIET) {
		arm_timer(store);
		return;
	}
	store->on_chore = true;
	worker_submit(store->committer, &store->chore);
}

/* Reading all of it. */

int store_load(struct store *store, int64_t now, int64_t wall,
	       void (*visit)(void *context, struct stored_registration *row), void *context,
	       char **ret_message)
{
	struct found_files *files = NULL;
	struct database_load load = {
		.now = now,
		.wall = wall,
		.keeper = &store->keeper,
		.visit = visit,
		.context = context,
	};
	uint64_t last = 0;
	int r;

	r = found_files_new(store->spool, &files);
	if (r < 0)
		return complain(ret_message, r, "cannot read the spool folder of the state directory: %s",
				strerrordesc_np(-r));
	load.files = (struct database_files){.there = found_files_take, .context = files};
	r = database_load(store->database, &load, &last, ret_message);
	store->last_result_id = last > found_files_last(files) ? last : found_files_last(files);
	if (r >= 0)
		found_files_remove_rest(files);
	found_files_free(files);
	return r;
}

uint64_t store_new_result_id(struct store *store)
{
	return ++store->last_result_id;
}

struct result_keeper *store_keeper(struct store *store)
{
	return &store->keeper;
}

struct spool *store_spool(struct store *store)
{
	return store->spool;
}

struct reader *store_reader(struct store *store)
{
	return store->reader;
}

/* Beginning and end. */

/* A daemon that ended on a full disk has to start there again: its outcomes are what can make space. */
static int open_database(struct store *store, const char *path, char **ret_message)
{
	int r = database_open(path, store->state_dir_fd, &store->database, ret_message);

	if (r != -ENOSPC)
		return r;
	reserve_give_up(store->state_dir_fd);
	free(*ret_message);
	*ret_message = NULL;
	return database_open(path, store->state_dir_fd, &store->database, ret_message);
}

static int open_parts(struct store *store, const char *path, char **ret_message)
{
	char *file;
	int r;

	if ((r = open_database(store, path, ret_message)) < 0 ||
	    (r = worker_new(store->loop, "tinkexd-store", &store->committer)) < 0 ||
	    (r = worker_new(store->loop, "tinkexd-files", &store->filer)) < 0 ||
	    (r = spool_new(store->state_dir_fd, store->loop, store->filer, &spool_operations, store,
			   &store->spool, ret_message)) < 0)
		return r;
	if (asprintf(&file, "%s/%s", path, DATABASE_FILE) < 0)
		return -ENOMEM;
	r = reader_new(file, spool_fd(store->spool), store->filer, &store->reader, ret_message);
	free(file);
	return r;
}

int store_open(const char *path, int state_dir_fd, struct loop *loop, struct metrics *metrics,
	       const struct store_operations *operations, void *context, struct store **ret_store,
	       char **ret_message)
{
	/* SQLite is told to follow no symbolic link, and the directory may lie behind one. */
	char *real = realpath(path, NULL);
	struct store *store;
	int r;

	if (!real)
		return complain(ret_message, -errno, "cannot find the state directory %s: %s", path,
				strerrordesc_np(errno));
	store = xnew(struct store);
	store->keeper.gone = on_result_gone;
	store->loop = loop;
	store->metrics = metrics;
	store->operations = operations;
	store->context = context;
	store->state_dir_fd = state_dir_fd;
	store->chore = (struct job){.run = chore_run, .done = chore_done};
	store->open = batch_new(store, 1);
	store->timer = evtimer_new(loop_base(loop), on_timer, store);
	r = store->timer ? open_parts(store, real, ret_message) : -ENOMEM;
	free(real);
	if (r < 0) {
		store_stop(store);
		store_close(store);
		return r;
	}
	/* Without it the disk is as good as full, which the first commit or quiet second tells. */
	store->reserve_held = reserve_hold(state_dir_fd) == 0;
	arm_timer(store);
	*ret_store = store;
	return 0;
}

void store_stop(struct store *store)
{
	if (!store || store->stopped)
		return;
	store->stopped = true;
	if (store->committer && !store->failed && !store->underway && !STAILQ_EMPTY(&store->open->rows))
		submit(store);
	store->committer = worker_free(store->committer);
	store->filer = worker_free(store->filer);
}

struct store *store_close(struct store *store)
{
	if (!store)
		return NULL;
	reader_free(store->reader);
	spool_free(store->spool);
	database_close(store->database);
	batch_free(store->open);
	if (store->timer)
		event_free(store->timer);
	free(store);
	return NULL;
}
