/*
 * What the functions that stand in for libc's have in common. Each asks first whether the call is about the
 * directory, then the rules; makes the call between record_begin() and record_end(); and dies if it shall.
 */
#ifndef TINKEX_FAULTS_FAULTS_H
#define TINKEX_FAULTS_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "place.h"
#include "record.h"
#include "rules.h"

#define EXPORT __attribute__((visibility("default")))

/* All that changes the directory, or makes a change last. */
#define OPERATIONS_CHANGING                                                                                  \
	(OPERATION_OPEN | OPERATION_CREATE | OPERATION_WRITE | OPERATION_SYNC | OPERATION_TRUNCATE |         \
	 OPERATION_ALLOCATE | OPERATION_UNLINK | OPERATION_RENAME | OPERATION_MKDIR | OPERATION_MAP)

/* Whether anybody wants to know of such calls; cheap. */
bool faults_wanted(uint32_t operations);
/* False: the call is not made and fails, errno says how. */
bool faults_permitted(const struct verdict *verdict);
/* After the call was made, and its record written: does not return if that was all. */
void faults_after(const struct verdict *verdict);

#endif
