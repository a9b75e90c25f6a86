#include "bus.h"

#include <stddef.h>

static const char *const kind_names[] = {
#define X(constant, name) [constant] = name,
	EVENT_KINDS(X)
#undef X
};

/* A delivery under way: subscribers may come and go, and events be published, from inside notify(). */
struct bus_walk {
	struct bus_subscriber *next;
	struct bus_walk *outer;
};

const char *event_kind_name(enum event_kind kind)
{
	return kind_names[kind];
}

void bus_init(struct bus *bus)
{
	*bus = (struct bus){0};
	TAILQ_INIT(&bus->subscribers);
}

void bus_subscribe(struct bus *bus, struct bus_subscriber *subscriber)
{
	TAILQ_INSERT_TAIL(&bus->subscribers, subscriber, in_bus);
}

void bus_unsubscribe(struct bus *bus, struct bus_subscriber *subscriber)
{
	for (struct bus_walk *walk = bus->walk; walk; walk = walk->outer) {
		if (walk->next == subscriber)
			walk->next = TAILQ_NEXT(subscriber, in_bus);
	}
	TAILQ_REMOVE(&bus->subscribers, subscriber, in_bus);
}

void bus_publish(struct bus *bus, const struct bus_event *event)
{
	struct bus_walk walk = {.next = TAILQ_FIRST(&bus->subscribers), .outer = bus->walk};

	bus->published[event->kind]++;
	bus->walk = &walk;
	while (walk.next) {
		struct bus_subscriber *subscriber = walk.next;

		walk.next = TAILQ_NEXT(subscriber, in_bus);
		subscriber->notify(subscriber->context, event);
	}
	bus->walk = walk.outer;
}
