/* The control interface under /sim/: scripts in, statistics and records out. README.md lists its calls. */
#ifndef SIM_CONTROL_H
#define SIM_CONTROL_H

#include "exchange.h"
#include "http.h"

struct control;
struct sim;

/* NULL when there is no memory. `sim` is used from the first request on. */
struct control *control_new(struct sim *sim);
/* No exchange may be left. Takes NULL, returns NULL. */
struct control *control_free(struct control *control);
/* Answers the request for /sim/<name>, now or (waiting for a change) later. */
void control_request(struct control *control, struct exchange *exchange, const struct http_request *request,
		     const char *name);
/* The ledger has news: those who wait for them are answered at the end of the loop's turn. */
void control_changed(struct control *control);

#endif
