/*
 * What lies in the spool's folder at start, and which of it is of use: that of what a row names, and is all
 * there. Knows no rows.
 */
#ifndef TINKEX_STORE_FOUND_FILES_H
#define TINKEX_STORE_FOUND_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/attributes.h"
#include "spool.h"

struct found_files;

/* Looks through the folder; what is no file of the spool's is named in the log, and left alone. 0 or negative
 * errno. */
_must_check_ int found_files_new(struct spool *spool, struct found_files **ret_files);
/* Takes and returns NULL. */
struct found_files *found_files_free(struct found_files *files);
/* As database_files.there; `context` is the found_files. A file that is there is of use from now on; one that
 * is not, or too short, is named in the log. */
bool found_files_take(void *context, uint64_t id, uint64_t size);
/* The highest id of them; 0: there is none. */
uint64_t found_files_last(const struct found_files *files);
/* Has those removed that are of no use. */
void found_files_remove_rest(struct found_files *files);

#endif
