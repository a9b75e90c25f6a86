/* What registry.c and registry_register.c share. Nobody else includes this. */
#ifndef TINKEX_CORE_REGISTRY_PRIVATE_H
#define TINKEX_CORE_REGISTRY_PRIVATE_H

#include "registry.h"

/* The uid's stake in a future that is not being removed; NULL: none. */
struct registration *registry_stake(const struct future *future, uid_t uid);
/* Found, or made: never NULL. An owner without registrations does not last. */
struct owner *registry_owner_get(struct registry *registry, uid_t uid);
/* A future that nobody polls yet. */
struct future *registry_future_new(struct registry *registry, struct endpoint *endpoint,
				   const char *request_id);
/* A stake in phase SAVING that is on no list of pending ones yet: registry_set_phase() follows. */
struct registration *registry_registration_new(struct registry *registry, struct owner *owner,
					       struct future *future);
/* The only way from one phase to another. `ticket`: of the batch that a pending phase waits for, never 0;
 * else 0. */
void registry_set_phase(struct registry *registry, struct registration *registration,
			enum registration_phase phase, uint64_t ticket);
/* From SAVING or LIVE to ENDING; takes over the reference to `result`. */
void registry_end_stake(struct registry *registry, struct registration *registration, struct result *result);

#endif
