#include "spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/alloc.h"
#include "spool_folder.h"
#include "spool_work.h"
#include "sys/log.h"

#define RETRY_AFTER (500 * USEC_PER_MSEC)

/* Why a file is in the list of those that are stuck; WAIT_NOTHING: it is not. */
enum wait { WAIT_NOTHING, WAIT_SPACE, WAIT_OTHER };

struct spool_file {
	struct spool_work work; /* the worker's while `in_flight` */
	struct spool *spool;
	LIST_ENTRY(spool_file) in_files;
	TAILQ_ENTRY(spool_file) in_stuck; /* unless WAIT_NOTHING */
	enum wait wait;                   /* as the last attempt ended: a new one may be in flight */
	struct spool_chunks gathered;     /* for the next step */
	bool in_flight, finishing, discarded;
	void (*done)(void *context);
	void *context;
};

struct spool {
	int fd;
	struct loop *loop;
	struct worker *worker;
	const struct spool_operations *operations;
	void *context;
	LIST_HEAD(spool_files, spool_file) files;
	size_t n_files; /* of them, not counting those that only wait to be removed */
	TAILQ_HEAD(stuck_files, spool_file) stuck; /* in the order in which they are tried again */
	size_t n_full;                             /* of them, for want of space */
	struct timer retry;                        /* armed while one is stuck */
	size_t queued;                             /* bytes in chunks, over all files */
	bool congested, full, broken;              /* as they were told */
	bool suspended;
};

/* Steps of files. */

static void submit(struct spool_file *file)
{
	file->work.step = file->discarded ? SPOOL_UNLINK : file->finishing ? SPOOL_FINISH : SPOOL_WRITE;
	TAILQ_CONCAT(&file->work.chunks, &file->gathered, next);
	file->in_flight = true;
	worker_submit(file->spool->worker, &file->work.job);
}

/* The next step, if there is one for now. */
static void go_on(struct spool_file *file)
{
	const struct spool *spool = file->spool;

	if (file->in_flight || file->wait != WAIT_NOTHING || spool->broken || spool->suspended)
		return;
	if (file->finishing || !TAILQ_EMPTY(&file->gathered))
		submit(file);
}

static void retry_stuck(struct spool *spool)
{
	struct spool_file *file;

	if (spool->broken || spool->suspended)
		return;
	TAILQ_FOREACH (file, &spool->stuck, in_stuck) {
		if (!file->in_flight)
			submit(file);
	}
}

static void arm_retry(struct spool *spool)
{
	if (!timer_armed(&spool->retry))
		timers_set(loop_timers(spool->loop), &spool->retry, loop_now(spool->loop) + RETRY_AFTER);
}

static void on_retry(void *context, struct timer *timer, int64_t now)
{
	struct spool *spool = context;

	(void)timer;
	(void)now;
	if (spool->broken || TAILQ_EMPTY(&spool->stuck))
		return;
	retry_stuck(spool);
	arm_retry(spool);
}

/* One that is stuck again keeps its place. */
static void set_wait(struct spool_file *file, enum wait wait)
{
	struct spool *spool = file->spool;

	if (file->wait == WAIT_NOTHING && wait != WAIT_NOTHING)
		TAILQ_INSERT_TAIL(&spool->stuck, file, in_stuck);
	else if (file->wait != WAIT_NOTHING && wait == WAIT_NOTHING)
		TAILQ_REMOVE(&spool->stuck, file, in_stuck);
	spool->n_full -= file->wait == WAIT_SPACE;
	spool->n_full += wait == WAIT_SPACE;
	file->wait = wait;
	if (wait != WAIT_NOTHING)
		arm_retry(spool);
}

/* What could not be written stands before what has been gathered meanwhile. */
static void get_stuck(struct spool_file *file, enum wait wait)
{
	TAILQ_CONCAT(&file->work.chunks, &file->gathered, next);
	TAILQ_CONCAT(&file->gathered, &file->work.chunks, next);
	set_wait(file, wait);
}

static void file_free(struct spool_file *file)
{
	spool_work_release(&file->work);
	spool_chunks_drop(&file->gathered);
	LIST_REMOVE(file, in_files);
	file->spool->n_files -= !file->discarded;
	free(file);
}

static void tell_broken(struct spool *spool, const struct spool_work *work)
{
	if (spool->broken)
		return;
	spool->broken = true;
	log_error("spool", "cannot write the file spool/%s or make it last: %s", work->name,
		  strerrordesc_np(-work->error));
	spool->operations->broken(spool->context, work->error);
}

/* Few bodies need little memory. On a full disk all of them use what there is, so that what is small goes on
 * as long as possible. */
static size_t queue_limit(const struct spool *spool)
{
	if (spool->n_full || spool->suspended || spool->n_files >= SPOOL_QUEUE_MAX / SPOOL_FILE_QUEUE_MAX)
		return SPOOL_QUEUE_MAX;
	return (spool->n_files ? spool->n_files : 1) * SPOOL_FILE_QUEUE_MAX;
}

/* Last in a step: the callbacks may call whatever they like. */
static void tell(struct spool *spool)
{
	bool full = spool->n_full > 0;

	if (spool->congested && spool->queued < queue_limit(spool) / 2) {
		spool->congested = false;
		spool->operations->congested(spool->context, false);
	}
	if (full != spool->full) {
		spool->full = full;
		spool->operations->full(spool->context, full);
	}
}

/* There may be space now. A file that stays is removed at the next start, as of no use. */
static void unlinked(struct spool *spool, const struct spool_work *work)
{
	if (work->error < 0)
		log_warning("spool", "cannot remove the file %s: %s", work->name, strerror(-work->error));
	else
		retry_stuck(spool);
}

static void finished(struct spool_file *file)
{
	void (*done)(void *context) = file->done;
	void *context = file->context;

	file_free(file);
	done(context);
}

static void discarded_returned(struct spool_file *file)
{
	struct spool *spool = file->spool;

	spool->queued -= spool_chunks_drop(&file->work.chunks);
	if (file->work.step == SPOOL_UNLINK) {
		unlinked(spool, &file->work);
		file_free(file);
	} else {
		submit(file);
	}
}

static void step_done(struct spool_file *file)
{
	set_wait(file, WAIT_NOTHING);
	if (file->work.step != SPOOL_FINISH)
		go_on(file);
	else if (!file->spool->broken) /* or else it stays until it is discarded: that has been said */
		finished(file);
}

static void file_returned(struct spool_file *file)
{
	struct spool *spool = file->spool;

	file->in_flight = false;
	spool->queued -= (size_t)file->work.written;
	if (file->discarded) {
		discarded_returned(file);
	} else {
		switch (file->work.outcome) {
		case SPOOL_DONE:
			step_done(file);
			break;
		case SPOOL_NO_SPACE:
			get_stuck(file, WAIT_SPACE);
			break;
		case SPOOL_LATER:
			get_stuck(file, WAIT_OTHER);
			break;
		case SPOOL_FAILED:
			tell_broken(spool, &file->work);
			break;
		}
	}
	tell(spool);
}

static void on_file_done(struct job *job)
{
	file_returned(container_of(job, struct spool_file, work.job));
}

/* What the header promises. */

int spool_new(int state_dir_fd, struct loop *loop, struct worker *worker,
	      const struct spool_operations *operations, void *context, struct spool **ret_spool,
	      char **ret_message)
{
	struct spool *spool;
	int fd = -1, r;

	r = spool_folder_open(state_dir_fd, &fd, ret_message);
	if (r < 0)
		return r;
	spool = xnew(struct spool);
	spool->fd = fd;
	spool->loop = loop;
	spool->worker = worker;
	spool->operations = operations;
	spool->context = context;
	LIST_INIT(&spool->files);
	TAILQ_INIT(&spool->stuck);
	timer_init(&spool->retry, TIMER_SPOOL);
	timers_handle(loop_timers(loop), TIMER_SPOOL, on_retry, spool);
	*ret_spool = spool;
	return 0;
}

struct spool *spool_free(struct spool *spool)
{
	struct spool_file *file;

	if (!spool)
		return NULL;
	while ((file = LIST_FIRST(&spool->files)))
		file_free(file);
	timers_cancel(loop_timers(spool->loop), &spool->retry);
	close(spool->fd);
	free(spool);
	return NULL;
}

int spool_fd(const struct spool *spool)
{
	return spool->fd;
}

int spool_each(struct spool *spool,
	       void (*visit)(void *context, uint64_t id, const char *name, uint64_t size), void *context)
{
	return spool_folder_each(spool->fd, visit, context);
}

struct spool_file *spool_create(struct spool *spool, uint64_t id)
{
	struct spool_file *file = xnew(struct spool_file);

	spool_work_init(&file->work, spool->fd, id);
	file->work.job.run = spool_work_run;
	file->work.job.done = on_file_done;
	file->spool = spool;
	TAILQ_INIT(&file->gathered);
	LIST_INSERT_HEAD(&spool->files, file, in_files);
	spool->n_files++;
	if (!spool->broken && !spool->suspended)
		submit(file);
	return file;
}

/* One with room for at least a byte; NULL when there is no memory. */
static struct spool_chunk *chunk_to_fill(struct spool_file *file)
{
	struct spool_chunk *chunk = TAILQ_LAST(&file->gathered, spool_chunks);

	if (chunk && chunk->end < SPOOL_CHUNK_SIZE)
		return chunk;
	chunk = malloc(sizeof(*chunk));
	if (!chunk)
		return NULL;
	chunk->start = chunk->end = 0;
	TAILQ_INSERT_TAIL(&file->gathered, chunk, next);
	return chunk;
}

int spool_append(struct spool_file *file, const char *data, size_t size)
{
	struct spool *spool = file->spool;

	if (spool->broken)
		return 0; /* it will never be finished */
	while (size) {
		struct spool_chunk *chunk = chunk_to_fill(file);
		size_t n;

		if (!chunk)
			return -ENOMEM;
		n = SPOOL_CHUNK_SIZE - chunk->end < size ? SPOOL_CHUNK_SIZE - chunk->end : size;
		memcpy(chunk->data + chunk->end, data, n);
		chunk->end += n;
		spool->queued += n;
		data += n;
		size -= n;
	}
	go_on(file);
	if (!spool->congested && spool->queued >= queue_limit(spool)) {
		spool->congested = true;
		spool->operations->congested(spool->context, true);
	}
	return 0;
}

void spool_finish(struct spool_file *file, void (*done)(void *context), void *context)
{
	file->finishing = true;
	file->done = done;
	file->context = context;
	go_on(file);
}

struct spool_file *spool_discard(struct spool_file *file)
{
	if (!file)
		return NULL;
	file->discarded = true;
	file->spool->n_files--;
	file->spool->queued -= spool_chunks_drop(&file->gathered);
	set_wait(file, WAIT_NOTHING);
	if (!file->in_flight) { /* what is, is looked after when it returns */
		file->spool->queued -= spool_chunks_drop(&file->work.chunks);
		submit(file);
	}
	return NULL;
}

struct removal {
	struct spool_work work;
	struct spool *spool;
};

static void on_removed(struct job *job)
{
	struct removal *removal = container_of(job, struct removal, work.job);
	struct spool *spool = removal->spool;

	unlinked(spool, &removal->work);
	spool_work_release(&removal->work);
	free(removal);
	tell(spool);
}

void spool_remove(struct spool *spool, uint64_t id)
{
	struct removal *removal = xnew(struct removal);

	spool_work_init(&removal->work, spool->fd, id);
	removal->work.step = SPOOL_UNLINK;
	removal->work.job.run = spool_work_run;
	removal->work.job.done = on_removed;
	removal->spool = spool;
	worker_submit(spool->worker, &removal->work.job);
}

void spool_suspend(struct spool *spool, bool suspended)
{
	struct spool_file *file;

	if (suspended == spool->suspended)
		return;
	spool->suspended = suspended;
	retry_stuck(spool);
	LIST_FOREACH (file, &spool->files, in_files)
		go_on(file);
}

bool spool_congested(const struct spool *spool)
{
	return spool->congested;
}
