/*
 * What became of a call whose process was killed before it could say: the directory tells.
 */
#ifndef TINKEX_FAULTS_RESOLVE_H
#define TINKEX_FAULTS_RESOLVE_H

#include "record.h"

/* Adds the records that make up for the missing one. `data`: the new name of a rename. A sync is taken for
 * not made. The log is locked. */
void resolve_intent(const struct record *intent, const char *name, const char *data);

#endif
