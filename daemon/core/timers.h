/*
 * The one timer of the daemon: a heap of everything that is due at some time. The loop asks it once a turn
 * when the next work is due.
 *
 * A timer is embedded in the object that it wakes; what happens is decided by its kind, for which the owner
 * of the kind installed a handler. Times are microseconds of the monotonic clock (CLOCK_BOOTTIME). This
 * module has no clock: it is told `now`.
 */
#ifndef TINKEX_CORE_TIMERS_H
#define TINKEX_CORE_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USEC_PER_MSEC INT64_C(1000)
#define USEC_PER_SEC  INT64_C(1000000)
#define TIME_NEVER    INT64_MAX

enum timer_kind {
	TIMER_FUTURE_DUE,   /* scheduler: a future's next poll */
	TIMER_REGISTRATION, /* registry: a stake's deadline, or the end of its retention */
	TIMER_GATE,         /* scheduler: an endpoint's gate */
	TIMER_WAITER,       /* waiters: an await call's time is up */
	TIMER_TRANSFER,     /* http: a transfer's own timeouts */
	TIMER_CURL,         /* http: what curl asked for */
	TIMER_SPOOL,        /* spool: what the disk had no space for is tried again */
	TIMER_HOUSEKEEPING, /* daemon: the limit of a stop, and of what a restart interrupted */
	TIMER_KIND_COUNT
};

struct timer {
	int64_t when;  /* valid while armed */
	uint32_t slot; /* private: place in the heap or among the late ones, from 1; 0: not armed */
	uint8_t kind;  /* enum timer_kind */
};

typedef void timer_handler(void *context, struct timer *timer, int64_t now);

/* The time stands beside the pointer, so that ordering the heap does not touch the timers themselves. */
struct timers_entry {
	int64_t when;
	struct timer *timer;
};

struct timers {
	struct timers_entry *heap; /* each with up to four children */
	size_t count, capacity;
	struct timer **late; /* armed by handlers for what is already past, until the run is over */
	size_t late_count, late_capacity;
	bool running;
	int64_t running_at;
	struct {
		timer_handler *handler;
		void *context;
	} kinds[TIMER_KIND_COUNT];
};

void timers_init(struct timers *timers);
/* Gives the memory back; timers that are still armed are left as they are and must not be touched again. */
void timers_release(struct timers *timers);
/* Every kind that is armed needs its handler, for the life of `timers`. */
void timers_handle(struct timers *timers, enum timer_kind kind, timer_handler *handler, void *context);

static inline void timer_init(struct timer *timer, enum timer_kind kind)
{
	timer->when = TIME_NEVER;
	timer->slot = 0;
	timer->kind = (uint8_t)kind;
}
static inline bool timer_armed(const struct timer *timer)
{
	return timer->slot != 0;
}
/* Arms or re-arms; TIME_NEVER disarms. Timers for the same time run in no particular order. Aborts when
 * memory is gone. */
void timers_set(struct timers *timers, struct timer *timer, int64_t when);
void timers_cancel(struct timers *timers, struct timer *timer);
/* When the next timer is due; TIME_NEVER if none. */
int64_t timers_next(const struct timers *timers);
/* Calls the handlers of all that is due at `now`, earliest first; each is disarmed before its handler runs.
 * Timers that handlers arm for `now` or earlier wait for the next call, so that one call always
 * ends; that includes one that was due already and is armed anew before its turn. Handlers may arm and cancel
 * any timer, but not call this. */
void timers_run(struct timers *timers, int64_t now);

#endif
