#include "spool_work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

/* So that the last sync of a large file is as short as that of a small one. */
#define SYNC_EVERY ((uint64_t)8 * 1024 * 1024)
#define PIECES     64 /* chunks in one call */

size_t spool_chunks_drop(struct spool_chunks *chunks)
{
	struct spool_chunk *chunk;
	size_t size = 0;

	while ((chunk = TAILQ_FIRST(chunks))) {
		TAILQ_REMOVE(chunks, chunk, next);
		size += chunk->end - chunk->start;
		free(chunk);
	}
	return size;
}

void spool_work_init(struct spool_work *work, int folder, uint64_t id)
{
	*work = (struct spool_work){.folder = folder, .fd = -1};
	spool_name(id, work->name);
	TAILQ_INIT(&work->chunks);
}

static void close_file(struct spool_work *work)
{
	if (work->fd >= 0)
		close(work->fd); /* what matters has been synced: its error says nothing */
	work->fd = -1;
}

void spool_work_release(struct spool_work *work)
{
	close_file(work);
	spool_chunks_drop(&work->chunks);
}

static int fail(struct spool_work *work, enum spool_outcome outcome, int error)
{
	work->outcome = outcome;
	work->error = error;
	return error;
}

static enum spool_outcome outcome_of(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return SPOOL_NO_SPACE;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return SPOOL_LATER;
	default:
		return SPOOL_FAILED;
	}
}

static int open_file(struct spool_work *work)
{
	if (work->fd >= 0)
		return 0;
	do {
		work->fd = openat(work->folder, work->name,
				  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	} while (work->fd < 0 && errno == EINTR);
	if (work->fd >= 0)
		return 0;
	return fail(work, outcome_of(errno), -errno);
}

/* A sync that failed has thrown away what it could not write, and the next would succeed: it is always the
 * end, also when space is what it had none of. */
static int sync_file(struct spool_work *work)
{
	if (fdatasync(work->fd) < 0)
		return fail(work, SPOOL_FAILED, -errno);
	work->unsynced = 0;
	return 0;
}

static int list_pieces(const struct spool_chunks *chunks, struct iovec pieces[PIECES])
{
	struct spool_chunk *chunk;
	int n = 0;

	TAILQ_FOREACH (chunk, chunks, next) {
		if (n == PIECES)
			break;
		pieces[n++] = (struct iovec){.iov_base = chunk->data + chunk->start,
					     .iov_len = chunk->end - chunk->start};
	}
	return n;
}

/* The first `size` bytes have been written. */
static void consume(struct spool_work *work, size_t size)
{
	work->offset += size;
	work->written += size;
	work->unsynced += size;
	while (size) {
		struct spool_chunk *chunk = TAILQ_FIRST(&work->chunks);
		size_t left = chunk->end - chunk->start;

		if (size < left) {
			chunk->start += size;
			return;
		}
		TAILQ_REMOVE(&work->chunks, chunk, next);
		free(chunk);
		size -= left;
	}
}

static int write_chunks(struct spool_work *work)
{
	struct iovec pieces[PIECES];
	int r;

	while (!TAILQ_EMPTY(&work->chunks)) {
		ssize_t n = pwritev(work->fd, pieces, list_pieces(&work->chunks, pieces),
				    (off_t)work->offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(work, outcome_of(errno), -errno);
		if (n == 0) /* no file does that, and it would never end */
			return fail(work, SPOOL_FAILED, -EIO);
		consume(work, (size_t)n);
		if (work->unsynced >= SYNC_EVERY) {
			r = sync_file(work);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static void finish_file(struct spool_work *work)
{
	if (sync_file(work) < 0)
		return;
	close_file(work);
	if (fsync(work->folder) < 0)
		fail(work, SPOOL_FAILED, -errno);
}

static void unlink_file(struct spool_work *work)
{
	close_file(work);
	if (unlinkat(work->folder, work->name, 0) < 0 && errno != ENOENT)
		fail(work, SPOOL_FAILED, -errno);
}

void spool_work_run(struct job *job)
{
	struct spool_work *work = container_of(job, struct spool_work, job);

	work->written = 0;
	work->outcome = SPOOL_DONE;
	work->error = 0;
	if (work->step == SPOOL_UNLINK) {
		unlink_file(work);
		return;
	}
	if (open_file(work) < 0 || write_chunks(work) < 0)
		return;
	if (work->step == SPOOL_FINISH)
		finish_file(work);
}
