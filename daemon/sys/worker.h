/*
 * A thread that does, in order, what the loop must not wait for. A job runs on the thread and is then done on
 * the loop's thread; in between it belongs to the worker alone. Knows nothing of what its jobs are about.
 */
#ifndef TINKEX_SYS_WORKER_H
#define TINKEX_SYS_WORKER_H

#include <stdint.h>
#include <sys/queue.h>

#include "loop.h"
#include "proto/attributes.h"

struct worker;

/* Embedded in whatever has to be done; a job is one thing at a time. */
struct job {
	STAILQ_ENTRY(job) next;
	/* On the worker's thread: touches only the job's own data. Nothing counted without a lock (a result,
	 * a blob) may be referenced or unreferenced here; their immutable bytes may be read. */
	void (*run)(struct job *job);
	/* On the loop's thread afterwards, in the order of submission. May free the job, or submit it again.
	 */
	void (*done)(struct job *job);
};

/* `name`: at most 15 bytes, for those who look at threads. Signals are left to the loop's thread. 0 or
 * negative errno. */
_must_check_ int worker_new(struct loop *loop, const char *name, struct worker **ret_worker);
/* Runs what is queued, calls what is to be called for it (jobs that are submitted by that too), and ends the
 * thread. Takes and returns NULL. */
struct worker *worker_free(struct worker *worker);
void worker_submit(struct worker *worker, struct job *job);
/* How long the job has been running that runs now, microseconds; 0: none does. For the watchdog. */
int64_t worker_busy_for(struct worker *worker);

#endif
