/*
 * What shall happen to which call: rules that a test writes into a shared file while the program runs. The
 * file is mapped, so what a rule has counted can be read by the test, also after the program was killed.
 *
 * The layout is shared with tests/integration/faults.py: native byte order, no padding but what is named.
 */
#ifndef TINKEX_FAULTS_RULES_H
#define TINKEX_FAULTS_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RULES_MAGIC   "TKXFLT01"
#define RULES_MAX     32
#define RULES_PATTERN 136

/* Kinds of calls; bits of rule.operations. */
enum operation {
	OPERATION_OPEN = 1,
	OPERATION_CREATE = 2, /* an open that makes a file that was not there */
	OPERATION_READ = 4,
	OPERATION_WRITE = 8,
	OPERATION_SYNC = 16, /* fsync and fdatasync, of files and directories */
	OPERATION_TRUNCATE = 32,
	OPERATION_ALLOCATE = 64,
	OPERATION_UNLINK = 128, /* and rmdir */
	OPERATION_RENAME = 256, /* the old name counts */
	OPERATION_MKDIR = 512,
	OPERATION_CLOSE = 1024,
	OPERATION_MAP = 2048,
};

enum action {
	ACTION_COUNT = 0, /* nothing */
	ACTION_ERROR = 1, /* `error`, and the call is not made (a close is, so that no descriptor is left) */
	ACTION_SHORT = 2, /* a read or write of half the bytes */
	ACTION_KILL = 3,  /* SIGKILL before the call */
	ACTION_KILL_AFTER = 4, /* SIGKILL after the call */
	ACTION_KILL_SHORT = 5, /* SIGKILL after half of the bytes were written */
	ACTION_STALL = 6,      /* waits until the rule is disarmed, then makes the call */
	ACTION_SLOW = 7,       /* waits `value` milliseconds, then makes the call */
	/* A disk of `value` bytes: what would make the files in the directory longer than that together is
	 * written as far as it fits, or fails with ENOSPC. A rule with this action counts as fired only then.
	 */
	ACTION_QUOTA = 8,
};

struct rule {
	uint32_t armed; /* written last by the test, and 0 first of all when the rule is taken away */
	uint32_t operations;
	uint32_t action;
	int32_t error;    /* positive errno */
	uint64_t nth;     /* the first matching call it acts on; 1 is the next */
	uint32_t always;  /* on all from then on, not only on that one */
	uint32_t waiting; /* threads that it holds up now */
	uint64_t value;
	uint64_t matched;            /* calls that matched since it was armed */
	uint64_t fired;              /* and those of them that it acted on */
	char pattern[RULES_PATTERN]; /* fnmatch() on the name in the directory; `*` also matches `/` */
};

/* What a read, write or allocation is about. */
struct extent {
	int fd;
	int64_t offset; /* -1: the file's position */
	size_t size;
};

struct verdict {
	int error;       /* positive errno: the call fails with it; 0: it is made */
	size_t limit;    /* at most so many bytes */
	bool kill_after; /* when the call has been made */
};

/* `path`: of the file, made by the test. */
void rules_open(const char *path);
/* Whether some rule is about one of these operations at all; cheap. */
bool rules_concern(uint32_t operations);
/* Counts the call in every armed rule that matches it and does what the first of them says that is due: does
 * not return from a kill, returns late from a stall. `extent`: NULL if the call is not about bytes. */
struct verdict rules_judge(uint32_t operations, const char *name, const struct extent *extent);

#endif
