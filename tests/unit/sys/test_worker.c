/* Jobs run in order on a thread of their own and are done on the loop's. */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../proto/test_run.h"
#include "proto/attributes.h"
#include "sys/loop.h"
#include "sys/worker.h"

struct world {
	struct loop *loop;
	struct worker *worker;
	pthread_t loop_thread, job_thread; /* the second: as the first job saw it */
	unsigned run, done, wanted;
	unsigned faults; /* that the thread saw: Check's assertions are for one thread */
};

struct task {
	struct job job;
	struct world *world;
	unsigned number;
	unsigned again; /* how often it is submitted anew */
};

static void world_init(struct world *world, unsigned wanted)
{
	*world = (struct world){.wanted = wanted, .loop_thread = pthread_self()};
	ck_assert_int_eq(loop_new(&world->loop), 0);
	ck_assert_int_eq(worker_new(world->loop, "test worker", &world->worker), 0);
}

static void world_release(struct world *world)
{
	ck_assert_ptr_null(worker_free(world->worker));
	ck_assert_ptr_null(loop_free(world->loop));
	ck_assert_uint_eq(world->faults, 0);
}

static void task_run(struct job *job)
{
	struct task *task = container_of(job, struct task, job);
	struct world *world = task->world;

	if (!world->run)
		world->job_thread = pthread_self();
	world->faults += !pthread_equal(pthread_self(), world->job_thread);
	world->faults += !!pthread_equal(pthread_self(), world->loop_thread);
	world->run++;
}

static void task_done(struct job *job)
{
	struct task *task = container_of(job, struct task, job);
	struct world *world = task->world;

	ck_assert(pthread_equal(pthread_self(), world->loop_thread));
	if (task->again) {
		task->again--;
		worker_submit(world->worker, job);
		return;
	}
	world->done++;
	if (world->done == world->wanted)
		loop_stop(world->loop);
	free(task);
}

static void submit(struct world *world, unsigned number, unsigned again)
{
	struct task *task = malloc(sizeof(*task));

	ck_assert_ptr_nonnull(task);
	*task = (struct task){.job = {.run = task_run, .done = task_done},
			      .world = world,
			      .number = number,
			      .again = again};
	worker_submit(world->worker, &task->job);
}

/* The order, on either side. */

static void ordered_run(struct job *job)
{
	struct task *task = container_of(job, struct task, job);

	task->world->faults += task->number != task->world->run;
	task_run(job);
}

static void ordered_done(struct job *job)
{
	struct task *task = container_of(job, struct task, job);

	ck_assert_uint_eq(task->number, task->world->done);
	task_done(job);
}

START_TEST(in_order)
{
	enum { MANY = 20000 };
	struct world world;

	world_init(&world, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		struct task *task = malloc(sizeof(*task));

		ck_assert_ptr_nonnull(task);
		*task = (struct task){
			.job = {.run = ordered_run, .done = ordered_done}, .world = &world, .number = i};
		worker_submit(world.worker, &task->job);
	}
	ck_assert_uint_eq(world.done, 0); /* on the loop's thread only, and that is here */
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_uint_eq(world.done, MANY);
	world_release(&world);
	ck_assert_uint_eq(world.run, MANY);
}
END_TEST

START_TEST(again_from_done)
{
	struct world world;

	world_init(&world, 2);
	submit(&world, 0, 500);
	submit(&world, 1, 100);
	ck_assert_int_eq(loop_run(world.loop), 0);
	world_release(&world);
	ck_assert_uint_eq(world.run, 602);
	ck_assert_uint_eq(world.done, 2);
}
END_TEST

/* The end: nothing that was submitted is forgotten, though the loop does not run. */

START_TEST(free_drains)
{
	struct world world;

	world_init(&world, 0);
	for (unsigned i = 0; i < 100; i++)
		submit(&world, i, i % 3);
	world_release(&world);
	ck_assert_uint_eq(world.done, 100);
	ck_assert_uint_eq(world.run, 100 + 33 + 2 * 33);
}
END_TEST

START_TEST(free_without_jobs)
{
	struct world world;

	ck_assert_ptr_null(worker_free(NULL));
	world_init(&world, 0);
	world_release(&world);
	ck_assert_uint_eq(world.run, 0);
}
END_TEST

/* The thread as others see it. */

struct look {
	struct job job;
	struct world *world;
	char name[16];
	sigset_t mask;
};

static void look_run(struct job *job)
{
	struct look *look = container_of(job, struct look, job);

	look->world->faults += pthread_sigmask(SIG_SETMASK, NULL, &look->mask) != 0;
}

static void look_done(struct job *job)
{
	loop_stop(container_of(job, struct look, job)->world->loop);
}

static void name_run(struct job *job)
{
	struct look *look = container_of(job, struct look, job);

	look->world->faults += pthread_getname_np(pthread_self(), look->name, sizeof(look->name)) != 0;
}

START_TEST(named_and_left_alone)
{
	struct world world;
	struct look look = {.job = {.run = look_run, .done = look_done}, .world = &world};
	sigset_t mine;

	world_init(&world, 0);
	worker_submit(world.worker, &look.job);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_int_eq(sigismember(&look.mask, SIGTERM), 1);
	ck_assert_int_eq(sigismember(&look.mask, SIGCHLD), 1);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mine), 0);
	ck_assert_int_eq(sigismember(&mine, SIGTERM), 0);

	look.job.run = name_run; /* a second job: worker_new() has named the thread for certain */
	worker_submit(world.worker, &look.job);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_str_eq(look.name, "test worker");
	world_release(&world);
}
END_TEST

/* How long it has been busy. */

struct held {
	struct job job;
	struct world *world;
	sem_t begun, go;
};

static void held_run(struct job *job)
{
	struct held *held = container_of(job, struct held, job);

	sem_post(&held->begun);
	while (sem_wait(&held->go) < 0)
		continue;
}

static void held_done(struct job *job)
{
	loop_stop(container_of(job, struct held, job)->world->loop);
}

START_TEST(busy_for)
{
	struct world world;
	struct held held = {.job = {.run = held_run, .done = held_done}, .world = &world};
	int64_t first;

	sem_init(&held.begun, 0, 0);
	sem_init(&held.go, 0, 0);
	world_init(&world, 0);
	ck_assert_int_eq(worker_busy_for(world.worker), 0);
	worker_submit(world.worker, &held.job);
	while (sem_wait(&held.begun) < 0)
		continue;
	first = worker_busy_for(world.worker);
	ck_assert_int_gt(first, 0);
	while (worker_busy_for(world.worker) < first + 1000)
		continue;
	sem_post(&held.go);
	ck_assert_int_eq(loop_run(world.loop), 0);
	ck_assert_int_eq(worker_busy_for(world.worker), 0);
	world_release(&world);
	sem_destroy(&held.begun);
	sem_destroy(&held.go);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {in_order,          again_from_done,      free_drains,
				      free_without_jobs, named_and_left_alone, busy_for};

	return RUN_SUITE("worker", tests);
}
