/*
 * The progress line of await: how many are done and waiting, what holds them up, how long it has taken. Only
 * on a terminal. It asks the daemon now and then over the client that waits, and never blocks.
 */
#ifndef TINKEXCTL_PROGRESS_H
#define TINKEXCTL_PROGRESS_H

#include "app.h"

struct progress;

/* NULL where stderr is no terminal: every function takes that. `ids`, sorted here into a list of its own, are
 * what is waited for; none: `where` chooses. */
struct progress *progress_new(struct app *app, const struct ids *ids);
/* Takes the line away and asks no more. */
void progress_free(struct progress *progress);
/* So many have ended. */
void progress_set_done(struct progress *progress, size_t done);
/* Draws and asks if it is time to. */
void progress_tick(struct progress *progress);
/* ms until progress_tick() is due; -1: never. */
int progress_timeout(const struct progress *progress);
/* Takes the line away, until the next tick: something else is about to be written. */
void progress_hide(struct progress *progress);

#endif
