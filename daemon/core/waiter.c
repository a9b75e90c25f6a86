#include "waiter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/attributes.h"

static void time_is_up(struct waiter *waiter, int64_t now);

static void on_timer(void *context, struct timer *timer, int64_t now)
{
	(void)context;
	time_is_up(container_of(timer, struct waiter, timer), now);
}

void waiters_init(struct timers *timers)
{
	timers_handle(timers, TIMER_WAITER, on_timer, NULL);
}

struct waiter *waiter_new(size_t n_items, const struct waiter_operations *operations, void *context,
			  struct registry *registry, struct timers *timers)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter) + n_items * sizeof(waiter->items[0]));

	if (!waiter)
		return NULL;
	waiter->operations = operations;
	waiter->context = context;
	waiter->registry = registry;
	waiter->timers = timers;
	waiter->n_items = n_items;
	waiter->await_timeout = TIME_NEVER;
	timer_init(&waiter->timer, TIMER_WAITER);
	return waiter;
}

static void item_let_go(struct wait_item *item)
{
	if (!item->registration)
		return;
	LIST_REMOVE(item, in_registration);
	item->registration = NULL;
}

struct waiter *waiter_free(struct waiter *waiter)
{
	if (!waiter)
		return NULL;
	timers_cancel(waiter->timers, &waiter->timer);
	for (size_t i = 0; i < waiter->n_items; i++) {
		item_let_go(&waiter->items[i]);
		result_unref(waiter->items[i].result);
		free(waiter->items[i].request_id);
	}
	free(waiter);
	return NULL;
}

int waiter_set(struct waiter *waiter, size_t index, const struct endpoint *endpoint, const char *request_id,
	       struct registration *registration, struct result *result)
{
	struct wait_item *item = &waiter->items[index];

	item->request_id = strdup(request_id);
	if (!item->request_id) {
		result_unref(result);
		return -ENOMEM;
	}
	item->waiter = waiter;
	item->endpoint = endpoint;
	if (!registration) {
		item->result = result;
		return 0;
	}
	item->registration_id = registration->id;
	if (registration->phase == REGISTRATION_ENDED) {
		item->result = result_ref(registration->result);
		return 0;
	}
	item->registration = registration;
	LIST_INSERT_HEAD(&registration->waits, item, in_registration);
	waiter->remaining++;
	return 0;
}

static void item_done(struct wait_item *item, struct result *result)
{
	struct waiter *waiter = item->waiter;

	item_let_go(item);
	item->result = result;
	waiter->remaining--;
	waiter->operations->item_done(waiter->context, waiter, (size_t)(item - waiter->items));
}

static void done(struct waiter *waiter, bool timed_out)
{
	timers_cancel(waiter->timers, &waiter->timer);
	waiter->operations->done(waiter->context, waiter, timed_out);
}

static struct result *timeout_result(const struct waiter *waiter)
{
	long long milliseconds = waiter->await_timeout / USEC_PER_MSEC;
	char data[64], message[96];

	snprintf(data, sizeof(data), "\"reason\":\"await_timeout\",\"timeout_ms\":%lld", milliseconds);
	snprintf(message, sizeof(message), "not finished within the await timeout of %lld ms", milliseconds);
	return result_failed(error_new(ERROR_API_TIMEOUT, CATEGORY_NONE, 0, message, data), 0);
}

/* The guide's await kills its task when its time is up. Here that is only right for what this very connection
 * has brought in and nobody else waits for. */
static void cancel_own(struct waiter *waiter, struct registration *registration, int64_t now)
{
	if (waiter->cancel_on_timeout && waiter->await_timeout > 0 &&
	    registration->registered_by == waiter->peer && LIST_EMPTY(&registration->waits))
		registry_cancel(waiter->registry, registration, now + waiter->registry->wall_offset);
}

static void time_is_up(struct waiter *waiter, int64_t now)
{
	for (size_t i = 0; i < waiter->n_items; i++) {
		struct wait_item *item = &waiter->items[i];
		struct registration *registration = item->registration;

		if (!registration)
			continue;
		item_done(item, timeout_result(waiter));
		cancel_own(waiter, registration, now);
	}
	done(waiter, true);
}

void waiter_start(struct waiter *waiter, int64_t await_timeout, int64_t now)
{
	waiter->await_timeout = await_timeout;
	for (size_t i = 0; i < waiter->n_items; i++) {
		if (waiter->items[i].result)
			waiter->operations->item_done(waiter->context, waiter, i);
	}
	if (!waiter->remaining)
		done(waiter, false);
	else if (await_timeout == 0)
		time_is_up(waiter, now);
	else
		timers_set(waiter->timers, &waiter->timer,
			   await_timeout > TIME_NEVER - now ? TIME_NEVER : now + await_timeout);
}

void waiters_registration_ended(struct registration *registration)
{
	struct wait_item *item;

	while ((item = LIST_FIRST(&registration->waits))) {
		struct waiter *waiter = item->waiter;

		item_done(item, result_ref(registration->result));
		if (!waiter->remaining)
			done(waiter, false);
	}
}

void waiters_registration_gone(struct registration *registration)
{
	struct wait_item *item;

	while ((item = LIST_FIRST(&registration->waits))) {
		struct waiter *waiter = item->waiter;
		enum gone_reason reason = registry_gone_reason(waiter->registry, registration->owner->uid,
							       registration->future->endpoint,
							       item->request_id);
		char data[48];

		snprintf(data, sizeof(data), "\"reason\":\"%s\"", gone_reason_name(reason));
		item_done(item, result_failed(error_new(ERROR_NOT_REGISTERED, CATEGORY_NONE, 0,
							"the registration is gone", data),
					      0));
		if (!waiter->remaining)
			done(waiter, false);
	}
}
