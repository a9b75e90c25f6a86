/*
 * The loop: libevent's base, the daemon's one timer (a timerfd on CLOCK_BOOTTIME under the timers heap), and
 * the order of a turn: events, then what is due, then the turn hook (hand out polls, commit, flush), then
 * deferred frees. `now` and `wall` are read once a turn. Knows nothing of what its events and timers are for.
 */
#ifndef TINKEX_SYS_LOOP_H
#define TINKEX_SYS_LOOP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/timers.h"
#include "proto/attributes.h"

struct loop;

/* 0 or negative errno. */
_must_check_ int loop_new(struct loop **ret_loop);
struct loop *loop_free(struct loop *loop);
struct event_base *loop_base(struct loop *loop);
struct timers *loop_timers(struct loop *loop);
/* Time of this turn: monotonic and wall clock, microseconds. Both are read when somebody first asks in a turn
 * (libevent does not tell when it woke up) and stay the same until its end. Outside loop_run() they are the
 * time of the call. */
int64_t loop_now(const struct loop *loop);
int64_t loop_wall(const struct loop *loop);
/* Runs at the end of every turn. */
void loop_set_turn_hook(struct loop *loop, void (*hook)(void *context), void *context);
/* Another turn follows at once (may be called from the hook). */
void loop_wake(struct loop *loop);
/* Turns until loop_stop(), whose turn is finished with all that belongs to it. 0 or negative errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Frees `object` by `destroy` at the end of this turn: whatever libevent or curl may still call back lives
 * until then. The only way to free inside a callback chain. In the order of the calls; `destroy` may defer
 * further. What is still deferred when the loop is freed goes then. Never fails. */
void loop_defer_free(struct loop *loop, void *object, void (*destroy)(void *object));
/* How long the longest turn took since the last call with `reset`, microseconds, waiting excluded: from the
 * first question for the time to the last deferred free. */
int64_t loop_longest_turn(struct loop *loop, bool reset);

#endif
