/*
 * The composition root of the simulator: owns server, ledger, script and lifelike server, and decides who
 * answers a request: a poll (script first, then lifelike), a submission, a health check, or the control
 * interface.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <event2/event.h>

#include "exchange.h"
#include "ledger.h"
#include "lifelike.h"
#include "options.h"
#include "script.h"
#include "server.h"

struct control;

struct sim {
	struct event_base *base;
	struct options options;
	struct ledger *ledger;
	struct script *script;
	struct exchanges exchanges;
	struct lifelike *lifelike; /* NULL in scripted mode */
	struct control *control;
	struct server *server;
	char *required_key; /* owned; NULL: none */
};

/* Builds everything and listens. 0, or a negative errno after the reason was printed. */
_must_check_ int sim_start(struct event_base *base, const struct options *options, struct sim **ret_sim);
/* Closes all connections and frees everything. Takes NULL, returns NULL. */
struct sim *sim_free(struct sim *sim);
/* From now on polls and submissions need this key; NULL: none. 0 or -ENOMEM. */
_must_check_ int sim_require_key(struct sim *sim, const char *key);

#endif
