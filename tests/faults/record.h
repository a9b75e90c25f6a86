/*
 * A log of every call that changed the directory under test, in the one order in which they happened: the
 * calls are made while the log is locked. tests/integration/power_loss.py reads it.
 *
 * A record is a struct record, the name, and `data_size` bytes. One that a kill cut short is the last of what
 * its process wrote; the next process removes it before it adds its own.
 */
#ifndef TINKEX_FAULTS_RECORD_H
#define TINKEX_FAULTS_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define RECORD_MAGIC 0x52584b54U

enum record_type {
	RECORD_START = 1, /* a process: `offset` is its pid */
	RECORD_OPEN = 2,  /* a file that was there */
	RECORD_CREATE = 3,
	RECORD_WRITE = 4,
	RECORD_TRUNCATE = 5,    /* `offset`: the new length */
	RECORD_ALLOCATE = 6,    /* `flags`: fallocate's mode */
	RECORD_SYNC = 7,        /* a file or a directory: it is on the disk */
	RECORD_SYNC_FAILED = 8, /* what was not on the disk before may never get there */
	RECORD_UNLINK = 9,      /* `flags`: unlinkat's */
	RECORD_RENAME = 10,     /* the data is the new name; `flags`: renameat2's */
	RECORD_MKDIR = 11,
	RECORD_UNKNOWN =
		12, /* the directory was changed in a way that cannot be recorded; the data says how */
};

struct record {
	uint32_t magic;
	uint16_t type;
	uint16_t name_size;
	uint32_t flags;
	uint32_t mode;  /* the file's type and permissions */
	uint64_t inode; /* which file, also after its name is gone; a CREATE begins another with the number */
	uint64_t offset;
	uint64_t extent; /* bytes allocated */
	uint64_t data_size;
};

/* `path`: of the log, made if it is missing. Does not return if it cannot be written. */
void record_open(const char *path);
bool record_wanted(void);
/* Around the call and its record_add(); nothing if no recording is wanted. */
void record_lock(void);
void record_unlock(void);
/* Adds a record, of the first `record->data_size` bytes of `parts`; magic and sizes of names are filled in.
 * errno is left alone. */
void record_add(struct record *record, const char *name, const struct iovec *parts, int count);

#endif
