/*
 * What follows when a reply with outcomes is with the kernel: they count as delivered, and, if the call asked
 * for it, as acknowledged. A receipt of the reply's line.
 */
#ifndef TINKEX_IPC_DELIVERY_H
#define TINKEX_IPC_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>

#include "commands.h"
#include "core/future.h"
#include "line.h"

struct delivery;

/* Room for n outcomes; NULL: no memory. */
struct delivery *delivery_new(struct commands *commands, size_t n, bool ack);
/* The registration's own outcome stands in the line. */
void delivery_add(struct delivery *delivery, const struct registration *registration);
/* Hangs it on the line, which has been given all its outcomes; takes it over. An empty one is freed. */
void delivery_attach(struct delivery *delivery, struct line *line);

#endif
