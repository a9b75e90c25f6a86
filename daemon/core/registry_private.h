/* What the files of registry share. Nobody else includes this. What stands without a heading is in
 * registry.c.
 */
#ifndef TINKEX_CORE_REGISTRY_PRIVATE_H
#define TINKEX_CORE_REGISTRY_PRIVATE_H

#include "registry.h"

/* The uid's stake in a future that is not being removed; NULL: none. */
struct registration *registry_stake(const struct future *future, uid_t uid);
/* What an id that is gone is remembered by. */
uint64_t registry_gone_hash(const struct registry *registry, uid_t uid, const struct endpoint *endpoint,
			    const char *request_id);
/* Found, or made: never NULL. An owner without registrations does not last. */
struct owner *registry_owner_get(struct registry *registry, uid_t uid);
/* A future that nobody polls yet. */
struct future *registry_future_new(struct registry *registry, struct endpoint *endpoint,
				   const char *request_id);
/* A stake in phase SAVING that is on no list of pending ones yet: registry_set_phase() follows. */
struct registration *registry_registration_new(struct registry *registry, struct owner *owner,
					       struct future *future, uint64_t id);
/* Takes it out of everything, and with it an owner and a future that nobody needs any more. */
void registry_registration_free(struct registry *registry, struct registration *registration);
/* The only way from one phase to another. `ticket`: of the batch that a pending phase waits for;
 * else 0. ENDING with 0 waits for space on the disk; SAVING with 0 stands nowhere, for a moment in which what
 * the lists go by is changed. */
void registry_set_phase(struct registry *registry, struct registration *registration,
			enum registration_phase phase, uint64_t ticket);

/* registry_end.c */
/* From SAVING or LIVE to ENDING; takes over the reference to `result`. */
void registry_end_stake(struct registry *registry, struct registration *registration, struct result *result);
/* From when on the outcome is kept (monotonic microseconds): its delivery, else its end; never from the
 * future, whatever clocks say. */
int64_t registry_kept_since(const struct registration *registration, int64_t now, int64_t wall);
/* ENDED, for as long as an outcome is kept from `since` on. */
void registry_keep(struct registry *registry, struct registration *registration, int64_t since);
/* From ENDED to REMOVING. */
void registry_begin_removal(struct registry *registry, struct registration *registration,
			    enum gone_reason reason);
/* Polling starts anew: what earlier polls told, or took, no longer counts. */
void registry_future_restart(struct registry *registry, struct future *future);
/* There is space again: the ends that waited for it are stored. */
void registry_store_stalled(struct registry *registry);
/* The handler of TIMER_REGISTRATION. */
void registry_on_timer(void *context, struct timer *timer, int64_t now);

/* registry_register.c */
/* How it ended no longer counts: it is on record as a new one, with what it once asked for. */
void registry_begin_anew(struct registry *registry, struct registration *registration, int64_t now);
/* The time that it asked for begins again: what it had been given is lost, so the time was not used. */
void registry_renew_deadline(struct registration *registration, int64_t now);
/* The server's own last word: stays the answer when somebody registers again. */
bool registry_is_last_word(const struct result *result);

/* registry_room.c */
/* Its outcome counts, or no longer does. */
void registry_charge(struct registry *registry, struct registration *registration);
void registry_discharge(struct registry *registry, struct registration *registration);
/* While limits are exceeded, outcomes that were delivered go. */
void registry_make_room(struct registry *registry, struct owner *owner);

#endif
