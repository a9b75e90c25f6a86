/*
 * Being connected or not: the search for a daemon, hello, lost connections, pauses, and giving up.
 *
 *   IDLE --outage_begin()--> WAITING --connected--> HELLO --answered--> READY
 *             ^                 ^ '--limit over: all calls fail--> IDLE     |
 *             '-- nothing asks  '---------- outage_lost() ------------------'
 */
#ifndef TINKEX_CLIENT_OUTAGE_H
#define TINKEX_CLIENT_OUTAGE_H

#include "client.h"

/* A call wants a connection and there is none. */
void outage_begin(tinkex_client *client);
/* Tries to connect if it is time to, or gives up. true: something was done. */
bool outage_turn(tinkex_client *client, int64_t now);
/* µs of the next thing that outage_turn() has to do; CLIENT_NEVER. */
int64_t outage_due(const tinkex_client *client);
/* The first line on a connection came. false: the connection is of no use. */
bool outage_hello_answer(tinkex_client *client, const struct message_reply *message);
/* The connection failed with this negative errno: it is closed, and looked for again if calls wait. */
void outage_lost(tinkex_client *client, int error);
/* Ends every call with this error. */
void outage_fail_all(tinkex_client *client, int error, const char *text);

#endif
