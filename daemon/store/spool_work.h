/*
 * What the file thread does for the spool: makes a file, writes chunks to it, syncs it, removes it. While a
 * work is submitted it belongs to that thread; before and after that to the spool. Knows no policy: what an
 * outcome means for other files is the spool's to say.
 */
#ifndef TINKEX_STORE_SPOOL_WORK_H
#define TINKEX_STORE_SPOOL_WORK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "spool.h"
#include "sys/worker.h"

#define SPOOL_CHUNK_SIZE ((size_t)64 * 1024)

/* Bytes that wait to be written: data[start] to data[end - 1]. */
struct spool_chunk {
	TAILQ_ENTRY(spool_chunk) next;
	size_t start, end;
	char data[SPOOL_CHUNK_SIZE];
};
TAILQ_HEAD(spool_chunks, spool_chunk);

enum spool_step {
	SPOOL_WRITE,  /* all chunks */
	SPOOL_FINISH, /* the same, and then file and name are made durable; the file is closed */
	SPOOL_UNLINK  /* closes and removes the file */
};

enum spool_outcome {
	SPOOL_DONE,
	SPOOL_NO_SPACE, /* the same step may be tried again */
	SPOOL_LATER,    /* no descriptor or no memory for now; as above */
	SPOOL_FAILED    /* must not be tried again: a sync that failed has lost what it synced */
};

struct spool_work {
	struct job job;
	int folder;
	char name[SPOOL_NAME_SIZE];
	int fd;                     /* -1: not open yet, or no longer */
	uint64_t offset;            /* of the next byte in the file */
	uint64_t unsynced;          /* bytes written since the last sync */
	enum spool_step step;       /* what is to be done */
	struct spool_chunks chunks; /* owned; those that have been written are freed */
	uint64_t written;           /* how many bytes that were in this step */
	enum spool_outcome outcome;
	int error; /* negative errno, unless SPOOL_DONE */
};

/* `folder` stays the caller's. */
void spool_work_init(struct spool_work *work, int folder, uint64_t id);
/* Closes the file and frees the chunks that are left. */
void spool_work_release(struct spool_work *work);
/* The job: does `step`, sets `written`, `outcome` and `error`. */
void spool_work_run(struct job *job);
/* Frees them all. Returns how many bytes that were. */
size_t spool_chunks_drop(struct spool_chunks *chunks);

#endif
