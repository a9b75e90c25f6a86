/*
 * A disk that fails when the test says so: the linker puts it between the daemon's modules and the system's
 * calls (see CMakeLists.txt). All of it may be called while the file thread works.
 */
#ifndef TINKEX_TESTS_UNIT_STORE_DISK_H
#define TINKEX_TESTS_UNIT_STORE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_call {
	DISK_OPENAT,
	DISK_PWRITEV,
	DISK_FDATASYNC,
	DISK_FSYNC,
	DISK_UNLINKAT,
	DISK_FSTATAT,
	DISK_CALLS
};

#define DISK_ALWAYS UINT32_MAX

/* A good disk again, that has done nothing yet. */
void disk_reset(void);
/* The next `times` calls fail with `error`. */
void disk_fail(enum disk_call call, int error, uint32_t times);
/* So much can be written before there is no space; negative: as much as you like. */
void disk_set_space(int64_t bytes);
/* No more than this in one call; 0: as much as you like. */
void disk_set_piece(size_t bytes);
/* The next such call waits until disk_let_go(). */
void disk_hold(enum disk_call call);
/* It does. */
bool disk_held(void);
void disk_let_go(void);
/* How many such calls there have been, the failed ones included. */
unsigned disk_count(enum disk_call call);
/* A letter for each call, in their order: open, write, data sync, (folder) sync, unlink; looks are not seen.
 * At most 255. */
const char *disk_trace(void);

#endif
