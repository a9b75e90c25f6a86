/*
 * The folder that the spool's files lie in: opened, checked, and looked through at start. Knows names, but
 * not what is in the files.
 */
#ifndef TINKEX_STORE_SPOOL_FOLDER_H
#define TINKEX_STORE_SPOOL_FOLDER_H

#include <stdint.h>

#include "proto/attributes.h"

/* As spool_new(). The descriptor is the caller's. */
_must_check_ int spool_folder_open(int state_dir_fd, int *ret_fd, char **ret_message);
/* As spool_each(). A file that nobody can say the size of is an error: it may be a result's. */
_must_check_ int spool_folder_each(int folder,
				   void (*visit)(void *context, uint64_t id, const char *name, uint64_t size),
				   void *context);

#endif
