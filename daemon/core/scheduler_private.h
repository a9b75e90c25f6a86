/* What scheduler.c and scheduler_answer.c share. Nobody else includes this. */
#ifndef TINKEX_CORE_SCHEDULER_PRIVATE_H
#define TINKEX_CORE_SCHEDULER_PRIVATE_H

#include "scheduler.h"

/* Polled at `when` (monotonic microseconds). */
void scheduler_schedule(struct scheduler *scheduler, struct future *future, int64_t when,
			enum why_scheduled why);
/* Due: it waits for its turn, first for the bytes of a large result where it knows of them. `front`: it is a
 * poll to be repeated, and keeps its place. */
void scheduler_enqueue(struct scheduler *scheduler, struct future *future, bool front);
/* Out of every queue, and over unless it is in flight. */
void scheduler_stop_polling(struct scheduler *scheduler, struct future *future);
/* Its bytes of the budget, if it holds any, are free again. */
void scheduler_give_bytes_back(struct scheduler *scheduler, struct future *future);
/* Sets the gate's timer and tells the bus. */
void scheduler_announce_gate(struct scheduler *scheduler, struct endpoint *endpoint, enum gate_change change);
/* If this future's poll was its endpoint's probe, the next may go out. */
void scheduler_probe_lost(struct scheduler *scheduler, struct future *future);

#endif
