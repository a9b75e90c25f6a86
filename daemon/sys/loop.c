#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "core/alloc.h"

struct deferred {
	void *object;
	void (*destroy)(void *object);
};

/* The time of a turn. libevent does not tell when it woke up; so the first who asks within a turn reads the
 * clocks, and everybody after sees the same. */
struct turn_time {
	bool running; /* inside loop_run(): outside, every question reads the clocks anew */
	bool known;
	int64_t now, wall;
};

struct loop {
	struct event_base *base;
	struct timers timers;
	int timer_fd;
	struct event *timer_event;
	int64_t armed; /* what the timerfd is set to; TIME_NEVER: not set */
	struct turn_time *time;
	void (*hook)(void *context);
	void *hook_context;
	bool wake, stop;
	struct deferred *deferred;
	size_t n_deferred, deferred_capacity;
	int64_t longest_turn;
};

static void ask_clocks(struct turn_time *time)
{
	if (time->running && time->known)
		return;
	time->now = clock_now();
	time->wall = clock_wall();
	time->known = true;
}

/* The timerfd only ends the wait; what is due is run in its place of the turn. */
static void timer_fired(struct loop *loop)
{
	uint64_t expirations;

	if (read(loop->timer_fd, &expirations, sizeof(expirations)) > 0)
		loop->armed = TIME_NEVER;
}

static void on_timer(evutil_socket_t fd, short events, void *context)
{
	(void)fd;
	(void)events;
	timer_fired(context);
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	return base;
}

DEFINE_FREEP(struct loop, loop_free)

int loop_new(struct loop **ret_loop)
{
	_cleanup_(loop_freep) struct loop *loop = xnew(struct loop);

	loop->time = xnew(struct turn_time);
	loop->armed = TIME_NEVER;
	timers_init(&loop->timers);
	loop->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer_fd < 0)
		return -errno;
	loop->base = new_base();
	if (!loop->base)
		return -ENOMEM;
	loop->timer_event = event_new(loop->base, loop->timer_fd, EV_READ | EV_PERSIST, on_timer, loop);
	if (!loop->timer_event || event_add(loop->timer_event, NULL) < 0)
		return -ENOMEM;
	*ret_loop = steal_pointer(loop);
	return 0;
}

static void free_deferred(struct loop *loop)
{
	/* A destroy function may defer further frees: the list may grow and move while we go through it. */
	for (size_t i = 0; i < loop->n_deferred; i++) {
		struct deferred deferred = loop->deferred[i];

		deferred.destroy(deferred.object);
	}
	loop->n_deferred = 0;
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	free_deferred(loop);
	free(loop->deferred);
	if (loop->timer_event)
		event_free(loop->timer_event);
	if (loop->base)
		event_base_free(loop->base);
	if (loop->timer_fd >= 0)
		close(loop->timer_fd);
	timers_release(&loop->timers);
	free(loop->time);
	free(loop);
	return NULL;
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

struct timers *loop_timers(struct loop *loop)
{
	return &loop->timers;
}

int64_t loop_now(const struct loop *loop)
{
	ask_clocks(loop->time);
	return loop->time->now;
}

int64_t loop_wall(const struct loop *loop)
{
	ask_clocks(loop->time);
	return loop->time->wall;
}

void loop_set_turn_hook(struct loop *loop, void (*hook)(void *context), void *context)
{
	loop->hook = hook;
	loop->hook_context = context;
}

void loop_wake(struct loop *loop)
{
	loop->wake = true;
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}

void loop_defer_free(struct loop *loop, void *object, void (*destroy)(void *object))
{
	if (loop->n_deferred == loop->deferred_capacity) {
		size_t capacity = loop->deferred_capacity ? 2 * loop->deferred_capacity : 64;
		struct deferred *bigger = realloc(loop->deferred, capacity * sizeof(*bigger));

		if (!bigger)
			abort(); /* losing it would be a leak at best: as every small allocation */
		loop->deferred = bigger;
		loop->deferred_capacity = capacity;
	}
	loop->deferred[loop->n_deferred++] = (struct deferred){.object = object, .destroy = destroy};
}

/* Sets the timerfd to the next timer, if that has changed. What is due already is not waited for at all. */
static int arm(struct loop *loop)
{
	int64_t next = timers_next(&loop->timers);
	struct itimerspec spec = {0};

	if (next <= loop->time->now) {
		loop->wake = true;
		return 0;
	}
	if (next == loop->armed)
		return 0;
	if (next != TIME_NEVER) {
		spec.it_value.tv_sec = (time_t)(next / USEC_PER_SEC);
		spec.it_value.tv_nsec = (long)(next % USEC_PER_SEC) * 1000;
	}
	if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
		return -errno;
	loop->armed = next;
	return 0;
}

static int turn(struct loop *loop)
{
	int flags = EVLOOP_ONCE | (loop->wake ? EVLOOP_NONBLOCK : 0);
	int64_t length;

	loop->wake = false;
	loop->time->known = false;
	if (event_base_loop(loop->base, flags) < 0)
		return -EIO;
	timers_run(&loop->timers, loop_now(loop));
	if (loop->hook)
		loop->hook(loop->hook_context);
	free_deferred(loop);
	length = clock_now() - loop->time->now;
	if (length > loop->longest_turn)
		loop->longest_turn = length;
	return arm(loop);
}

int loop_run(struct loop *loop)
{
	int r;

	loop->time->running = true;
	/* Timers that were set before the first turn. */
	loop->time->known = false;
	ask_clocks(loop->time);
	r = arm(loop);
	while (r >= 0 && !loop->stop)
		r = turn(loop);
	loop->time->running = false;
	loop->stop = false;
	return r;
}

int64_t loop_longest_turn(struct loop *loop, bool reset)
{
	int64_t longest = loop->longest_turn;

	if (reset)
		loop->longest_turn = 0;
	return longest;
}
