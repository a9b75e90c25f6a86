#include "timers.h"

#include <stdlib.h>

#include "alloc.h"

#define ARITY 4

/* Slots from here on are places among the late ones. */
#define LATE UINT32_C(0x80000000)

void timers_init(struct timers *timers)
{
	*timers = (struct timers){0};
}

void timers_release(struct timers *timers)
{
	free(timers->heap);
	free(timers->late);
	*timers = (struct timers){0};
}

void timers_handle(struct timers *timers, enum timer_kind kind, timer_handler *handler, void *context)
{
	timers->kinds[kind].handler = handler;
	timers->kinds[kind].context = context;
}

/* The heap. */

static void put(struct timers *timers, size_t at, struct timers_entry entry)
{
	timers->heap[at] = entry;
	entry.timer->slot = (uint32_t)at + 1;
}

static void sift_up(struct timers *timers, size_t at, struct timers_entry entry)
{
	while (at > 0) {
		size_t parent = (at - 1) / ARITY;

		if (timers->heap[parent].when <= entry.when)
			break;
		put(timers, at, timers->heap[parent]);
		at = parent;
	}
	put(timers, at, entry);
}

static size_t earliest_child(const struct timers *timers, size_t at)
{
	size_t child = at * ARITY + 1, earliest = child, end = child + ARITY;

	if (end > timers->count)
		end = timers->count;
	while (++child < end) {
		if (timers->heap[child].when < timers->heap[earliest].when)
			earliest = child;
	}
	return earliest;
}

static void sift_down(struct timers *timers, size_t at, struct timers_entry entry)
{
	while (at * ARITY + 1 < timers->count) {
		size_t child = earliest_child(timers, at);

		if (entry.when <= timers->heap[child].when)
			break;
		put(timers, at, timers->heap[child]);
		at = child;
	}
	put(timers, at, entry);
}

/* `entry` takes the place `at`, or whichever its time wants from there. */
static void heap_place(struct timers *timers, size_t at, struct timers_entry entry)
{
	if (at > 0 && timers->heap[(at - 1) / ARITY].when > entry.when)
		sift_up(timers, at, entry);
	else
		sift_down(timers, at, entry);
}

static void heap_insert(struct timers *timers, struct timer *timer)
{
	if (timers->count == timers->capacity) {
		timers->capacity = timers->capacity ? timers->capacity * 2 : 64;
		timers->heap = xreallocarray(timers->heap, timers->capacity, sizeof(struct timers_entry));
	}
	timers->count++;
	sift_up(timers, timers->count - 1, (struct timers_entry){timer->when, timer});
}

static void heap_remove(struct timers *timers, struct timer *timer)
{
	size_t at = timer->slot - 1;
	struct timers_entry last = timers->heap[--timers->count];

	timer->slot = 0;
	if (at < timers->count)
		heap_place(timers, at, last);
}

/* The late ones, in no order. */

static void late_insert(struct timers *timers, struct timer *timer)
{
	if (timers->late_count == timers->late_capacity) {
		timers->late_capacity = timers->late_capacity ? timers->late_capacity * 2 : 16;
		timers->late = xreallocarray(timers->late, timers->late_capacity, sizeof(struct timer *));
	}
	timers->late[timers->late_count] = timer;
	timer->slot = LATE | (uint32_t)++timers->late_count;
}

static void late_remove(struct timers *timers, struct timer *timer)
{
	struct timer *last = timers->late[--timers->late_count];

	timers->late[(timer->slot & ~LATE) - 1] = last;
	last->slot = timer->slot;
	timer->slot = 0;
}

static void late_to_heap(struct timers *timers)
{
	for (size_t i = 0; i < timers->late_count; i++)
		heap_insert(timers, timers->late[i]);
	timers->late_count = 0;
}

/* What is asked for. */

void timers_cancel(struct timers *timers, struct timer *timer)
{
	if (timer->slot & LATE)
		late_remove(timers, timer);
	else if (timer->slot)
		heap_remove(timers, timer);
}

void timers_set(struct timers *timers, struct timer *timer, int64_t when)
{
	bool late = timers->running && when <= timers->running_at;
	bool in_heap = timer->slot && !(timer->slot & LATE);

	if (in_heap && !late && when != TIME_NEVER) {
		timer->when = when;
		heap_place(timers, timer->slot - 1, (struct timers_entry){when, timer});
		return;
	}
	timers_cancel(timers, timer);
	timer->when = when;
	if (late)
		late_insert(timers, timer);
	else if (when != TIME_NEVER)
		heap_insert(timers, timer);
}

int64_t timers_next(const struct timers *timers)
{
	int64_t next = timers->count ? timers->heap[0].when : TIME_NEVER;

	for (size_t i = 0; i < timers->late_count; i++) {
		if (timers->late[i]->when < next)
			next = timers->late[i]->when;
	}
	return next;
}

void timers_run(struct timers *timers, int64_t now)
{
	timers->running = true;
	timers->running_at = now;
	while (timers->count && timers->heap[0].when <= now) {
		struct timer *timer = timers->heap[0].timer;

		heap_remove(timers, timer);
		timers->kinds[timer->kind].handler(timers->kinds[timer->kind].context, timer, now);
	}
	timers->running = false;
	late_to_heap(timers);
}
