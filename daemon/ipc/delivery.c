#include "delivery.h"

#include <stdlib.h>

#include "core/registry.h"

/* The registration may be gone, or have begun anew, when the line is written: it is looked for by its id, and
 * touched only if it still has the same outcome. */
struct delivered {
	uint64_t registration;
	struct result *result; /* owned reference */
};

struct delivery {
	struct receipt receipt;
	struct commands *commands;
	bool ack;
	size_t n;
	struct delivered outcomes[];
};

static void delivery_free(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->n; i++)
		result_unref(delivery->outcomes[i].result);
	free(delivery);
}

static void take_effect(struct delivery *delivery)
{
	struct commands *commands = delivery->commands;

	for (size_t i = 0; i < delivery->n; i++) {
		const struct delivered *outcome = &delivery->outcomes[i];
		struct registration *registration = registry_find_id(commands->registry,
								     outcome->registration);

		if (!registration || registration->result != outcome->result)
			continue;
		registry_delivered(commands->registry, registration, loop_now(commands->loop));
		if (delivery->ack && registry_ack(commands->registry, registration))
			commands->metrics->acks++;
	}
	loop_wake(
		commands->loop); /* this is the end of a turn; what it has to keep is committed in the next */
}

static void on_written(struct receipt *receipt, bool sent)
{
	struct delivery *delivery = container_of(receipt, struct delivery, receipt);

	if (sent)
		take_effect(delivery);
	delivery_free(delivery);
}

struct delivery *delivery_new(struct commands *commands, size_t n, bool ack)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery) + n * sizeof(delivery->outcomes[0]));

	if (!delivery)
		return NULL;
	delivery->receipt.done = on_written;
	delivery->commands = commands;
	delivery->ack = ack;
	return delivery;
}

void delivery_add(struct delivery *delivery, const struct registration *registration)
{
	delivery->outcomes[delivery->n++] = (struct delivered){
		.registration = registration->id,
		.result = result_ref(registration->result),
	};
}

void delivery_attach(struct delivery *delivery, struct line *line)
{
	if (delivery->n)
		line->receipt = &delivery->receipt;
	else
		delivery_free(delivery);
}
