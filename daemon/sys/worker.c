#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "core/alloc.h"

STAILQ_HEAD(job_list, job);

struct worker {
	pthread_t thread;
	bool started;
	struct event *event; /* of the eventfd, which is readable when jobs have finished */
	int event_fd;

	pthread_mutex_t mutex; /* of all that follows */
	pthread_cond_t queued_more, finished_more;
	struct job_list queued, finished;
	bool running, ending;
	int64_t running_since; /* valid while running */
};

/* Under the mutex. The eventfd is a bell: it rings for the first that finished, and all are taken then. */
static void add_finished(struct worker *worker, struct job *job)
{
	bool ring = STAILQ_EMPTY(&worker->finished);

	STAILQ_INSERT_TAIL(&worker->finished, job, next);
	pthread_cond_signal(&worker->finished_more);
	if (ring)
		eventfd_write(worker->event_fd, 1); /* cannot fail: the counter is far from its end */
}

/* Under the mutex, which is not held while the job runs. */
static void run_job(struct worker *worker, struct job *job)
{
	STAILQ_REMOVE_HEAD(&worker->queued, next);
	worker->running = true;
	worker->running_since = clock_now();
	pthread_mutex_unlock(&worker->mutex);
	job->run(job);
	pthread_mutex_lock(&worker->mutex);
	worker->running = false;
	add_finished(worker, job);
}

static void *thread_main(void *context)
{
	struct worker *worker = context;

	pthread_mutex_lock(&worker->mutex);
	for (;;) {
		struct job *job = STAILQ_FIRST(&worker->queued);

		if (job)
			run_job(worker, job);
		else if (worker->ending)
			break;
		else
			pthread_cond_wait(&worker->queued_more, &worker->mutex);
	}
	pthread_mutex_unlock(&worker->mutex);
	return NULL;
}

static void call_done(struct job_list *jobs)
{
	struct job *job;

	while ((job = STAILQ_FIRST(jobs))) {
		STAILQ_REMOVE_HEAD(jobs, next);
		job->done(job);
	}
}

/* What finishes meanwhile is for the next turn: the loop has other things to do. */
static void worker_collect(struct worker *worker)
{
	struct job_list jobs = STAILQ_HEAD_INITIALIZER(jobs);
	eventfd_t count;

	pthread_mutex_lock(&worker->mutex);
	eventfd_read(worker->event_fd, &count);
	STAILQ_CONCAT(&jobs, &worker->finished);
	pthread_mutex_unlock(&worker->mutex);
	call_done(&jobs);
}

static void on_finished(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	worker_collect(context);
}

/* A thread inherits its creator's mask: signals are the loop's. */
static int start_thread(struct worker *worker, const char *name)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&worker->thread, NULL, thread_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	worker->started = true;
	pthread_setname_np(worker->thread, name);
	return 0;
}

DEFINE_FREEP(struct worker, worker_free)

int worker_new(struct loop *loop, const char *name, struct worker **ret_worker)
{
	_cleanup_(worker_freep) struct worker *worker = xnew(struct worker);
	int r;

	STAILQ_INIT(&worker->queued);
	STAILQ_INIT(&worker->finished);
	pthread_mutex_init(&worker->mutex, NULL);
	pthread_cond_init(&worker->queued_more, NULL);
	pthread_cond_init(&worker->finished_more, NULL);
	worker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->event_fd < 0)
		return -errno;
	worker->event = event_new(loop_base(loop), worker->event_fd, EV_READ | EV_PERSIST, on_finished,
				  worker);
	if (!worker->event || event_add(worker->event, NULL) < 0)
		return -ENOMEM;
	r = start_thread(worker, name);
	if (r < 0)
		return r;
	*ret_worker = steal_pointer(worker);
	return 0;
}

/* Until nothing is queued, runs, or waits for its done(): each done() may submit anew. */
static void drain(struct worker *worker)
{
	pthread_mutex_lock(&worker->mutex);
	for (;;) {
		if (!STAILQ_EMPTY(&worker->finished)) {
			pthread_mutex_unlock(&worker->mutex);
			worker_collect(worker);
			pthread_mutex_lock(&worker->mutex);
		} else if (worker->running || !STAILQ_EMPTY(&worker->queued)) {
			pthread_cond_wait(&worker->finished_more, &worker->mutex);
		} else {
			break;
		}
	}
	worker->ending = true;
	pthread_cond_signal(&worker->queued_more);
	pthread_mutex_unlock(&worker->mutex);
}

struct worker *worker_free(struct worker *worker)
{
	if (!worker)
		return NULL;
	if (worker->started) {
		drain(worker);
		pthread_join(worker->thread, NULL);
	}
	if (worker->event)
		event_free(worker->event);
	if (worker->event_fd >= 0)
		close(worker->event_fd);
	pthread_cond_destroy(&worker->finished_more);
	pthread_cond_destroy(&worker->queued_more);
	pthread_mutex_destroy(&worker->mutex);
	free(worker);
	return NULL;
}

void worker_submit(struct worker *worker, struct job *job)
{
	pthread_mutex_lock(&worker->mutex);
	STAILQ_INSERT_TAIL(&worker->queued, job, next);
	pthread_cond_signal(&worker->queued_more);
	pthread_mutex_unlock(&worker->mutex);
}

int64_t worker_busy_for(struct worker *worker)
{
	int64_t busy = 0;

	pthread_mutex_lock(&worker->mutex);
	if (worker->running) {
		busy = clock_now() - worker->running_since;
		if (busy < 1)
			busy = 1; /* it runs, if only since this very microsecond */
	}
	pthread_mutex_unlock(&worker->mutex);
	return busy;
}
