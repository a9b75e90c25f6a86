/*
 * The state directory, and the lock that keeps a second daemon out of it. The lock is the kernel's (flock on
 * the file "lock" inside): it is gone with the process that held it, however it ended.
 */
#ifndef TINKEX_SYS_STATE_DIR_H
#define TINKEX_SYS_STATE_DIR_H

#include "proto/attributes.h"

struct state_dir;

/* Makes the directory (and its parents) with mode 0700 if it is missing, and locks it. Refused with a
 * negative errno and a sentence in *ret_message (freed by the caller): -EBUSY if another daemon has it,
 * -EPERM if it is not ours or others may write to it, or what the kernel said. */
_must_check_ int state_dir_open(const char *path, struct state_dir **ret_state_dir, char **ret_message);
/* Gives the lock back. Takes and returns NULL. */
struct state_dir *state_dir_close(struct state_dir *state_dir);
DEFINE_FREEP(struct state_dir, state_dir_close)
/* The directory's descriptor, for openat(); it stays the state_dir's. */
int state_dir_fd(const struct state_dir *state_dir);

#endif
