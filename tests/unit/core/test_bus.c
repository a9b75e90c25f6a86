/* Subscribers are told in order, and may come and go while they are being told. */
#include <stdio.h>
#include <string.h>

#include "../proto/test_run.h"
#include "core/bus.h"
#include "proto/attributes.h"

static struct bus bus;
static char heard[256];

struct listener {
	struct bus_subscriber subscriber;
	char name;
	struct listener *leaves, *joins; /* done when told */
	int publishes;                   /* further events, when told */
};

static void on_event(void *context, const struct bus_event *event)
{
	struct listener *listener = context;
	size_t size = strlen(heard);

	snprintf(heard + size, sizeof(heard) - size, "%c%d ", listener->name, event->kind);
	if (listener->leaves)
		bus_unsubscribe(&bus, &listener->leaves->subscriber);
	if (listener->joins)
		bus_subscribe(&bus, &listener->joins->subscriber);
	listener->leaves = NULL;
	listener->joins = NULL;
	if (listener->publishes) {
		listener->publishes--;
		bus_publish(&bus, &(struct bus_event){.kind = event->kind + 1});
	}
}

static void listener_init(struct listener *listener, char name)
{
	*listener = (struct listener){.name = name};
	listener->subscriber = (struct bus_subscriber){.notify = on_event, .context = listener};
}

static void assert_heard(const char *expected)
{
	heard[0] = 0;
	bus_publish(&bus, &(struct bus_event){.kind = EVENT_REGISTERED});
	ck_assert_str_eq(heard, expected);
}

START_TEST(all_are_told_in_order)
{
	struct listener a, b, c;

	bus_init(&bus);
	listener_init(&a, 'a');
	listener_init(&b, 'b');
	listener_init(&c, 'c');
	assert_heard("");
	bus_subscribe(&bus, &b.subscriber);
	bus_subscribe(&bus, &a.subscriber);
	bus_subscribe(&bus, &c.subscriber);
	assert_heard("b0 a0 c0 ");
	bus_unsubscribe(&bus, &a.subscriber);
	assert_heard("b0 c0 ");
	bus_unsubscribe(&bus, &b.subscriber);
	bus_unsubscribe(&bus, &c.subscriber);
	assert_heard("");
	ck_assert_uint_eq(bus.published[EVENT_REGISTERED], 4);
	ck_assert_uint_eq(bus.published[EVENT_ENDPOINT], 0);
}
END_TEST

START_TEST(subscribers_leave_while_being_told)
{
	struct listener listeners[4];

	/* The one at `by` takes out the one at `who`: what was not told yet is not told any more. */
	for (int by = 0; by < 4; by++) {
		for (int who = 0; who < 4; who++) {
			char expected[32], after[32];
			size_t n_expected = 0, n_after = 0;

			bus_init(&bus);
			for (int i = 0; i < 4; i++) {
				listener_init(&listeners[i], (char)('a' + i));
				bus_subscribe(&bus, &listeners[i].subscriber);
				if (i != who || who <= by)
					n_expected += (size_t)snprintf(expected + n_expected, 8, "%c0 ",
								       'a' + i);
				if (i != who)
					n_after += (size_t)snprintf(after + n_after, 8, "%c0 ", 'a' + i);
			}
			listeners[by].leaves = &listeners[who];
			assert_heard(expected);
			assert_heard(after);
		}
	}
}
END_TEST

START_TEST(subscribers_join_and_publish_while_being_told)
{
	struct listener a, b, c;

	bus_init(&bus);
	listener_init(&a, 'a');
	listener_init(&b, 'b');
	listener_init(&c, 'c');
	bus_subscribe(&bus, &a.subscriber);
	bus_subscribe(&bus, &b.subscriber);
	a.joins = &c;
	assert_heard("a0 b0 c0 ");
	assert_heard("a0 b0 c0 ");
	/* An event from inside is delivered whole before the outer one goes on. */
	a.publishes = 1;
	assert_heard("a0 a1 b1 c1 b0 c0 ");
	/* The inner delivery takes out the one that the outer one would have told next. */
	a.publishes = 1;
	c.leaves = &b;
	assert_heard("a0 a1 b1 c1 c0 ");
	assert_heard("a0 c0 ");
}
END_TEST

START_TEST(kinds_have_names)
{
	static const char *const names[] = {"registered", "queue_state", "poll_error", "completed",
					    "failed",     "expired",     "endpoint"};

	ck_assert_uint_eq(ARRAY_LEN(names), EVENT_KIND_COUNT);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ck_assert_str_eq(event_kind_name((enum event_kind)i), names[i]);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		all_are_told_in_order,
		subscribers_leave_while_being_told,
		subscribers_join_and_publish_while_being_told,
		kinds_have_names,
	};

	return RUN_SUITE("bus", tests);
}
