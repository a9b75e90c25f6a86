/*
 * tinkex_faults: a library that tests preload into tinkexd (or any program) to put themselves between it and
 * the file system. It knows nothing of tinkexd but a directory.
 *
 * README
 *
 * In the environment of the program:
 *
 * - LD_PRELOAD: the path of libtinkex_faults.so.
 *
 * - ASAN_OPTIONS=verify_asan_link_order=0, if the program has AddressSanitizer in it, because then another
 *   library is loaded before its runtime.
 *
 * - TINKEX_FAULTS_DIR: the directory under test, absolute and without symbolic links. Calls about anything
 *   else pass untouched. It need not exist yet.
 *
 * - TINKEX_FAULTS_CONTROL: a file with rules (rules.h): which call, and how the n-th of them ends. It is made
 *   by tests/integration/faults.py, which also arms and reads rules while the program runs.
 *
 * - TINKEX_FAULTS_RECORD: a log, outside the directory, of every call that changed it (record.h), from which
 *   tests/integration/power_loss.py makes what a power failure could have left.
 *
 * Which calls: all that tinkexd and libsqlite3 make. libsqlite3 calls libc through its dynamic symbols (`nm
 * -D` shows which), so what a preloaded library defines is what it gets: open64, read, write, pread64,
 * pwrite64, ftruncate64, fdatasync, unlink, mkdir, rmdir, close, mmap64. Under a sanitizer these functions
 * stand before the sanitizer's own, whose checks of the buffers are then not made.
 *
 * What it does not see: stdio and whatever else libc does by itself, stores into a shared mapping,
 * copy_file_range and its like, and system calls made without libc. power_loss.py can compare what a
 * recording amounts to with the directory, and so finds out. Only one mapping is expected, SQLite's -shm: it
 * is not recorded, because it is only an index of the -wal in memory that processes share. SQLite never syncs
 * it, and the first to open a database after a crash empties it and builds it again from the -wal. Any other
 * writable shared mapping is noted in the log, and makes it unusable.
 *
 * Threads: rules are counted atomically. With a recording, calls that change the directory are made one after
 * the other, so that the log's order is the order of things, and what was written before a sync is what comes
 * before it in the log. A call that waits in a rule (stall, slow) holds no lock. A record is in the log
 * before its call returns. If the process is killed in between, the next process that is started with the
 * library looks what became of the call (resolve.c): so kills, at any moment, and power failures can be
 * tested in one recording.
 */
#include "faults.h"

#include <errno.h>
#include <stdlib.h>

#include "raw.h"

/* Before the program's own code, and on one thread. What libc does for the loader before that is not ours. */
__attribute__((constructor)) static void set_up(void)
{
	const char *directory = getenv("TINKEX_FAULTS_DIR"), *control = getenv("TINKEX_FAULTS_CONTROL"),
		   *record = getenv("TINKEX_FAULTS_RECORD");

	if (!directory)
		return;
	place_set_directory(directory);
	if (control)
		rules_open(control);
	if (record)
		record_open(record);
}

bool faults_wanted(uint32_t operations)
{
	return rules_concern(operations) || (record_wanted() && operations & OPERATIONS_CHANGING);
}

bool faults_permitted(const struct verdict *verdict)
{
	if (verdict->error)
		errno = verdict->error;
	return !verdict->error;
}

void faults_after(const struct verdict *verdict)
{
	if (verdict->kill_after)
		raw_kill_self();
}
