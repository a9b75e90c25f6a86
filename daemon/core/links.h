/* The connections that keep a linked registration alive: when the last of them is gone, so is the
 * registration's polling. */
#ifndef TINKEX_CORE_LINKS_H
#define TINKEX_CORE_LINKS_H

#include "future.h"

/* One more connection; the first one makes the registration a linked one. */
void links_add(struct registration *registration, uint64_t peer);
/* No longer linked. */
void links_drop(struct registration *registration);
/* The connection is gone; how many are left. */
uint32_t links_remove(struct registration_links *links, uint64_t peer);

#endif
