/*
 * A disk under SQLite that fails when the test says so. These definitions of the system's calls stand before
 * the C library's for the whole program, also for libsqlite3; all that is not about the database's files, or
 * not told to fail, goes straight to the kernel. May be called while the store's thread works.
 */
#ifndef TINKEX_TESTS_UNIT_STORE_SICK_DISK_H
#define TINKEX_TESTS_UNIT_STORE_SICK_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define SICK_ALWAYS UINT32_MAX

/* The next `times` writes, or syncs, of the database's files fail with `error`; 0 times: they no longer do.
 */
void sick_writes(int error, uint32_t times);
void sick_syncs(int error, uint32_t times);
/* Space is allocated no more (ENOSPC), or again. */
void sick_allocation(bool fails);
/* The next sync of the database's files waits until sick_let_go(). */
void sick_hold(void);
bool sick_held(void);
void sick_let_go(void);

#endif
