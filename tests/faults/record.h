/*
 * A log of every call that changed the directory under test, in the one order in which they happened: the
 * calls are made while the log is locked. tests/integration/power_loss.py reads it.
 *
 * A record is a struct record, the name, and `data_size` bytes. It is written after its call, and an intent
 * of it before, so that a kill in between is no secret: the next process looks what became of the last
 * intent, and adds what it finds. It also removes a record that a kill cut short.
 */
#ifndef TINKEX_FAULTS_RECORD_H
#define TINKEX_FAULTS_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define RECORD_MAGIC 0x52584b54U

enum record_type {
	RECORD_START = 1, /* a process: `offset` is its pid */
	RECORD_OPEN = 2,  /* a file that was there; `flags`: O_TRUNC or none */
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
	/* Added to one of these: the call is about to be made. Only of interest if nothing follows. */
	RECORD_INTENT = 256,
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

/* Before a call. No other change is made until record_end(). The caller has filled in `type` and what the
 * call is about; a write's `offset` may be UINT64_MAX, its `extent` is its size. Which file it is, is found
 * out from `fd`, or from the name if that is -1. The new name of a rename is in `parts`. Nothing, if no
 * recording is wanted. */
void record_begin(struct record *record, int fd, const char *name, const struct iovec *parts, int count);
/* After it, with the errno that it left, which stays. `done`: there is something to record, with the first
 * `data_size` bytes of `parts`. */
void record_end(struct record *record, const char *name, const struct iovec *parts, int count, bool done);
/* Just adds one; the log is locked. */
void record_add(struct record *record, const char *name, const struct iovec *parts, int count);
/* Fills in inode and mode. */
void record_identify(struct record *record, int fd);

#endif
