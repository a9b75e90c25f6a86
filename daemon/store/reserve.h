/*
 * Space held in reserve, as a file of its own in the state directory: given up when the disk is full, so that
 * acknowledgements can still be written, which make space.
 */
#ifndef TINKEX_STORE_RESERVE_H
#define TINKEX_STORE_RESERVE_H

#include "proto/attributes.h"

#define RESERVE_FILE "reserve"

/* 16 MB, really allocated. 0 also if it is held already; -ENOSPC: there is no space for it;
 * others: it cannot be had, and waiting does not help. Waits for the
 * disk. */
_must_check_ int reserve_hold(int state_dir_fd);
void reserve_give_up(int state_dir_fd);

#endif
