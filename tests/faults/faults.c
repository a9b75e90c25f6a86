/*
 * tinkex_faults: a library that tests preload into tinkexd (or any program) to put themselves between it and
 * the file system. It knows nothing of tinkexd but a directory.
 *
 * README
 *
 *   LD_PRELOAD=…/libtinkex_faults.so     and, for a program with AddressSanitizer in it,
 *   ASAN_OPTIONS=verify_asan_link_order=0, because then another library is loaded before its runtime
 *   TINKEX_FAULTS_DIR       the directory under test, absolute and without symbolic links. Calls about
 * anything else pass untouched. It need not exist yet. TINKEX_FAULTS_CONTROL   a file with rules (rules.h):
 * which call, how the n-th of them ends. Made by tests/integration/faults.py, which also arms and reads rules
 * while the program runs. TINKEX_FAULTS_RECORD    a log, outside the directory, of every call that changed it
 * (record.h), from which tests/integration/power_loss.py makes what a power failure could have left.
 *
 * Which calls: all that tinkexd and libsqlite3 make. libsqlite3 calls libc through its dynamic symbols (`nm
 * -D` shows which), so what a preloaded library defines is what it gets: open64, read, write, pread64,
 * pwrite64, ftruncate64, fdatasync, unlink, mkdir, rmdir, close, mmap64. Under a sanitizer these functions
 * stand before the sanitizer's own, whose checks of the buffers are then not made.
 *
 * What it does not see: stdio and whatever else libc does by itself, stores into a shared mapping,
 * copy_file_range and its like, and system calls made without libc. Power_loss.py can compare what a
 * recording amounts to with the directory, and so finds out. Only one mapping is expected, SQLite's -shm: it
 * is not recorded, because it is only an index of the -wal in memory that processes share. SQLite never syncs
 * it, and the first to open a database after a crash empties it and builds it again from the -wal. Any other
 * writable shared mapping is noted in the log, and makes it unusable.
 *
 * Threads: rules are counted atomically; with a recording, calls that change the directory are made one after
 * the other, so that the log's order is the order of things, and what was written before a sync is what comes
 * before it in the log. A call that waits in a rule (stall, slow) holds no lock. A record is in the log
 * before its call returns; a call whose process is killed in the middle may have happened without one, and
 * nobody was told.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include "attributes.h"
#include "place.h"
#include "raw.h"
#include "record.h"
#include "rules.h"

#define EXPORT __attribute__((visibility("default")))
/* All that changes the directory, or makes a change last. */
#define OPERATIONS_CHANGING                                                                                  \
	(OPERATION_OPEN | OPERATION_CREATE | OPERATION_WRITE | OPERATION_SYNC | OPERATION_TRUNCATE |         \
	 OPERATION_ALLOCATE | OPERATION_UNLINK | OPERATION_RENAME | OPERATION_MKDIR | OPERATION_MAP)

/* Before the program's own code, and on one thread. What libc does for the loader before that is not ours. */
__attribute__((constructor)) static void set_up(void)
{
	const char *directory = getenv("TINKEX_FAULTS_DIR"), *control = getenv("TINKEX_FAULTS_CONTROL"),
		   *record = getenv("TINKEX_FAULTS_RECORD");

	if (!directory)
		return;
	if (control)
		rules_open(control);
	if (record)
		record_open(record);
	place_set_directory(directory);
}

static bool wanted(uint32_t operations)
{
	return rules_concern(operations) || (record_wanted() && operations & OPERATIONS_CHANGING);
}

/* Judges a call that is made whole or not at all. False: it fails, errno says how. */
static bool permitted(const struct verdict *verdict)
{
	if (verdict->error)
		errno = verdict->error;
	return !verdict->error;
}

/* The call was made, and its record is written. */
static void after(const struct verdict *verdict)
{
	if (verdict->kill_after)
		raw_kill_self();
}

/* A record about an open file. */
static struct record record_of(int fd, enum record_type type)
{
	struct stat stat;

	if (raw_fstat(fd, &stat) < 0)
		return (struct record){.type = (uint16_t)type};
	return (struct record){.type = (uint16_t)type, .mode = stat.st_mode, .inode = stat.st_ino};
}

/* The change is of a kind that power_loss.py does not know. */
static void record_unknown(const char *name, const char *what)
{
	struct iovec text = raw_part(what, strlen(what));
	struct record record = {.type = RECORD_UNKNOWN, .data_size = text.iov_len};

	record_add(&record, name, &text, 1);
}

/* Opening */

static void record_opening(int fd, const struct place *place, int flags, bool existed)
{
	struct record record = record_of(fd, existed ? RECORD_OPEN : RECORD_CREATE);

	if (!S_ISREG(record.mode))
		return;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		record_unknown(place->name, "O_TMPFILE");
	record_add(&record, place->name, NULL, 0);
	if (existed && flags & O_TRUNC) {
		record.type = RECORD_TRUNCATE;
		record_add(&record, place->name, NULL, 0);
	}
}

static int do_open(int dirfd, const char *path, int flags, mode_t mode)
{
	uint32_t operations = OPERATION_OPEN | (flags & O_CREAT ? OPERATION_CREATE : 0U);
	struct verdict verdict;
	struct place place;
	struct stat stat;
	int fd, error = errno;
	bool existed;

	if (!wanted(operations) || !place_of_path(dirfd, path, &place))
		return raw_openat(dirfd, path, flags, mode);
	existed = !(flags & O_CREAT) || raw_lstatat(dirfd, path, &stat) == 0;
	errno = error;
	verdict = rules_judge(existed ? OPERATION_OPEN : operations, place.name, NULL);
	if (!permitted(&verdict))
		return -1;
	record_lock();
	if (record_wanted())
		existed = !(flags & O_CREAT) || raw_lstatat(dirfd, path, &stat) == 0;
	errno = error;
	fd = raw_openat(dirfd, path, flags, mode);
	if (fd >= 0 && record_wanted())
		record_opening(fd, &place, flags, existed);
	record_unlock();
	after(&verdict);
	return fd;
}

static mode_t mode_argument(int flags, va_list arguments)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

#define DEFINE_OPEN(name)                                                                                    \
	EXPORT int name(const char *path, int flags, ...)                                                    \
	{                                                                                                    \
		va_list arguments;                                                                           \
		mode_t mode;                                                                                 \
                                                                                                             \
		va_start(arguments, flags);                                                                  \
		mode = mode_argument(flags, arguments);                                                      \
		va_end(arguments);                                                                           \
		return do_open(AT_FDCWD, path, flags, mode);                                                 \
	}
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

#define DEFINE_OPENAT(name)                                                                                  \
	EXPORT int name(int dirfd, const char *path, int flags, ...)                                         \
	{                                                                                                    \
		va_list arguments;                                                                           \
		mode_t mode;                                                                                 \
                                                                                                             \
		va_start(arguments, flags);                                                                  \
		mode = mode_argument(flags, arguments);                                                      \
		va_end(arguments);                                                                           \
		return do_open(dirfd, path, flags, mode);                                                    \
	}
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

/* What the headers turn open() into under _FORTIFY_SOURCE, as read() and pread() below. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

EXPORT int __open_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}

EXPORT int __openat_2(int dirfd, const char *path, int flags)
{
	return do_open(dirfd, path, flags, 0);
}

EXPORT int __openat64_2(int dirfd, const char *path, int flags)
{
	return do_open(dirfd, path, flags, 0);
}

EXPORT int creat(const char *path, mode_t mode)
{
	return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

EXPORT int creat64(const char *path, mode_t mode)
{
	return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

EXPORT int close(int fd)
{
	struct verdict verdict = {0};
	struct place place;
	int r;

	if (wanted(OPERATION_CLOSE) && place_of_fd(fd, &place))
		verdict = rules_judge(OPERATION_CLOSE, place.name, NULL);
	r = raw_close(fd);
	after(&verdict);
	return permitted(&verdict) ? r : -1;
}

/* Bytes */

static size_t size_of_parts(const struct iovec *parts, int count)
{
	size_t size = 0;

	for (int i = 0; i < count && i < IOV_MAX; i++)
		size += parts[i].iov_len;
	return size;
}

/* The first `limit` bytes of the parts; how many parts that are. */
static int shorten(const struct iovec *parts, int count, size_t limit, struct iovec ret_parts[IOV_MAX])
{
	int i;

	for (i = 0; i < count && i < IOV_MAX && limit > 0; i++) {
		ret_parts[i] = parts[i];
		if (ret_parts[i].iov_len > limit)
			ret_parts[i].iov_len = limit;
		limit -= ret_parts[i].iov_len;
	}
	return i;
}

typedef ssize_t transfer(int fd, const struct iovec *parts, int count, off_t offset, int flags);

static ssize_t transfer_limited(transfer *function, int fd, const struct iovec *parts, int count,
				off_t offset, int flags, size_t limit)
{
	struct iovec some[IOV_MAX];

	if (count < 1 || size_of_parts(parts, count) <= limit)
		return function(fd, parts, count, offset, flags);
	return function(fd, some, shorten(parts, count, limit, some), offset, flags);
}

static ssize_t write_and_record(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	ssize_t n = raw_writev(fd, parts, count, offset, flags);
	int error = errno;
	struct record record;
	struct place place;

	if (n > 0 && record_wanted() && place_of_fd(fd, &place)) {
		record = record_of(fd, RECORD_WRITE);
		record.offset = (uint64_t)(offset == -1 ? raw_position(fd) - n : offset);
		record.data_size = (uint64_t)n;
		record_add(&record, place.name, parts, count);
	}
	errno = error;
	return n;
}

static ssize_t do_write(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	struct extent extent = {.fd = fd, .offset = offset};
	struct verdict verdict;
	struct place place;
	ssize_t n;

	if (count < 1 || !wanted(OPERATION_WRITE) || !place_of_fd(fd, &place))
		return raw_writev(fd, parts, count, offset, flags);
	extent.size = size_of_parts(parts, count);
	verdict = rules_judge(OPERATION_WRITE, place.name, &extent);
	if (!permitted(&verdict))
		return -1;
	record_lock();
	n = transfer_limited(write_and_record, fd, parts, count, offset, flags, verdict.limit);
	record_unlock();
	after(&verdict);
	return n;
}

static ssize_t do_read(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	struct extent extent = {.fd = fd, .offset = offset};
	struct verdict verdict;
	struct place place;
	ssize_t n;

	if (count < 1 || !wanted(OPERATION_READ) || !place_of_fd(fd, &place))
		return raw_readv(fd, parts, count, offset, flags);
	extent.size = size_of_parts(parts, count);
	verdict = rules_judge(OPERATION_READ, place.name, &extent);
	if (!permitted(&verdict))
		return -1;
	n = transfer_limited(raw_readv, fd, parts, count, offset, flags, verdict.limit);
	after(&verdict);
	return n;
}

/* A position that the kernel would refuse must not come to mean "where the file stands". */
#define CHECK_OFFSET(offset)                                                                                 \
	do {                                                                                                 \
		if ((offset) < 0) {                                                                          \
			errno = EINVAL;                                                                      \
			return -1;                                                                           \
		}                                                                                            \
	} while (0)

EXPORT ssize_t write(int fd, const void *data, size_t size)
{
	struct iovec part = raw_part(data, size);

	return do_write(fd, &part, 1, -1, 0);
}

#define DEFINE_PWRITE(name)                                                                                  \
	EXPORT ssize_t name(int fd, const void *data, size_t size, off_t offset)                             \
	{                                                                                                    \
		struct iovec part = raw_part(data, size);                                                    \
                                                                                                             \
		CHECK_OFFSET(offset);                                                                        \
		return do_write(fd, &part, 1, offset, 0);                                                    \
	}
DEFINE_PWRITE(pwrite)
DEFINE_PWRITE(pwrite64)

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
	return do_write(fd, parts, count, -1, 0);
}

#define DEFINE_VECTOR(name, function)                                                                        \
	EXPORT ssize_t name(int fd, const struct iovec *parts, int count, off_t offset)                      \
	{                                                                                                    \
		CHECK_OFFSET(offset);                                                                        \
		return function(fd, parts, count, offset, 0);                                                \
	}
DEFINE_VECTOR(pwritev, do_write)
DEFINE_VECTOR(pwritev64, do_write)
DEFINE_VECTOR(preadv, do_read)
DEFINE_VECTOR(preadv64, do_read)

#define DEFINE_VECTOR2(name, function)                                                                       \
	EXPORT ssize_t name(int fd, const struct iovec *parts, int count, off_t offset, int flags)           \
	{                                                                                                    \
		return function(fd, parts, count, offset, flags);                                            \
	}
DEFINE_VECTOR2(pwritev2, do_write)
DEFINE_VECTOR2(pwritev64v2, do_write)
DEFINE_VECTOR2(preadv2, do_read)
DEFINE_VECTOR2(preadv64v2, do_read)

ssize_t __read_chk(int fd, void *data, size_t size, size_t room);
ssize_t __pread_chk(int fd, void *data, size_t size, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *data, size_t size, off_t offset, size_t room);

EXPORT ssize_t read(int fd, void *data, size_t size)
{
	struct iovec part = raw_part(data, size);

	return do_read(fd, &part, 1, -1, 0);
}

EXPORT ssize_t __read_chk(int fd, void *data, size_t size, size_t room)
{
	if (size > room)
		raw_give_up("read() beyond the end of its buffer");
	return read(fd, data, size);
}

#define DEFINE_PREAD(name)                                                                                   \
	EXPORT ssize_t name(int fd, void *data, size_t size, off_t offset)                                   \
	{                                                                                                    \
		struct iovec part = raw_part(data, size);                                                    \
                                                                                                             \
		CHECK_OFFSET(offset);                                                                        \
		return do_read(fd, &part, 1, offset, 0);                                                     \
	}                                                                                                    \
                                                                                                             \
	EXPORT ssize_t __##name##_chk(int fd, void *data, size_t size, off_t offset, size_t room)            \
	{                                                                                                    \
		if (size > room)                                                                             \
			raw_give_up("pread() beyond the end of its buffer");                                 \
		return name(fd, data, size, offset);                                                         \
	}
DEFINE_PREAD(pread)
DEFINE_PREAD(pread64)

EXPORT ssize_t readv(int fd, const struct iovec *parts, int count)
{
	return do_read(fd, parts, count, -1, 0);
}

/* Lengths */

#define DEFINE_FTRUNCATE(name)                                                                               \
	EXPORT int name(int fd, off_t length)                                                                \
	{                                                                                                    \
		return do_truncate(fd, length);                                                              \
	}

static int do_truncate(int fd, off_t length)
{
	struct verdict verdict;
	struct record record;
	struct place place;
	int r;

	if (!wanted(OPERATION_TRUNCATE) || !place_of_fd(fd, &place))
		return (int)syscall(SYS_ftruncate, fd, length);
	verdict = rules_judge(OPERATION_TRUNCATE, place.name, NULL);
	if (!permitted(&verdict))
		return -1;
	record_lock();
	r = (int)syscall(SYS_ftruncate, fd, length);
	if (r == 0 && record_wanted()) {
		record = record_of(fd, RECORD_TRUNCATE);
		record.offset = (uint64_t)length;
		record_add(&record, place.name, NULL, 0);
	}
	record_unlock();
	after(&verdict);
	return r;
}
DEFINE_FTRUNCATE(ftruncate)
DEFINE_FTRUNCATE(ftruncate64)

static int do_allocate(int fd, int mode, off_t offset, off_t size)
{
	struct extent extent = {.fd = fd, .offset = offset, .size = (size_t)size};
	struct verdict verdict;
	struct record record;
	struct place place;
	int r;

	if (offset < 0 || size <= 0 || !wanted(OPERATION_ALLOCATE) || !place_of_fd(fd, &place))
		return (int)syscall(SYS_fallocate, fd, mode, offset, size);
	verdict = rules_judge(OPERATION_ALLOCATE, place.name, &extent);
	/* There is no allocating of a part. */
	if (verdict.limit < extent.size)
		verdict.error = ENOSPC;
	if (!permitted(&verdict))
		return -1;
	record_lock();
	r = (int)syscall(SYS_fallocate, fd, mode, offset, size);
	if (r == 0 && record_wanted()) {
		record = record_of(fd, RECORD_ALLOCATE);
		record.flags = (uint32_t)mode;
		record.offset = (uint64_t)offset;
		record.extent = (uint64_t)size;
		record_add(&record, place.name, NULL, 0);
	}
	record_unlock();
	after(&verdict);
	return r;
}

#define DEFINE_FALLOCATE(name)                                                                               \
	EXPORT int name(int fd, int mode, off_t offset, off_t size)                                          \
	{                                                                                                    \
		return do_allocate(fd, mode, offset, size);                                                  \
	}
DEFINE_FALLOCATE(fallocate)
DEFINE_FALLOCATE(fallocate64)

/* Says its error by its value. A file system that cannot allocate says so: it is not helped by writing. */
#define DEFINE_POSIX_FALLOCATE(name)                                                                         \
	EXPORT int name(int fd, off_t offset, off_t size)                                                    \
	{                                                                                                    \
		int error = errno, r = do_allocate(fd, 0, offset, size) < 0 ? errno : 0;                     \
                                                                                                             \
		errno = error;                                                                               \
		return r;                                                                                    \
	}
DEFINE_POSIX_FALLOCATE(posix_fallocate)
DEFINE_POSIX_FALLOCATE(posix_fallocate64)

/* What lasts */

static int do_sync(int fd, long number)
{
	struct verdict verdict;
	struct record record;
	struct place place;
	int r;

	if (!wanted(OPERATION_SYNC) || !place_of_fd(fd, &place))
		return (int)syscall(number, fd);
	verdict = rules_judge(OPERATION_SYNC, place.name, NULL);
	record_lock();
	r = permitted(&verdict) ? (int)syscall(number, fd) : -1;
	/* One that was interrupted has neither written anything nor forgotten it. */
	if (record_wanted() && (r == 0 || errno != EINTR)) {
		record = record_of(fd, r == 0 ? RECORD_SYNC : RECORD_SYNC_FAILED);
		record_add(&record, place.name, NULL, 0);
	}
	record_unlock();
	after(&verdict);
	return r;
}

EXPORT int fsync(int fd)
{
	return do_sync(fd, SYS_fsync);
}

EXPORT int fdatasync(int fd)
{
	return do_sync(fd, SYS_fdatasync);
}

/* Names */

static int do_unlink(int dirfd, const char *path, int flags)
{
	struct record record = {.type = RECORD_UNLINK, .flags = (uint32_t)flags};
	struct verdict verdict;
	struct place place;
	int r;

	if (!wanted(OPERATION_UNLINK) || !place_of_path(dirfd, path, &place))
		return (int)syscall(SYS_unlinkat, dirfd, path, flags);
	verdict = rules_judge(OPERATION_UNLINK, place.name, NULL);
	if (!permitted(&verdict))
		return -1;
	record_lock();
	r = (int)syscall(SYS_unlinkat, dirfd, path, flags);
	if (r == 0)
		record_add(&record, place.name, NULL, 0);
	record_unlock();
	after(&verdict);
	return r;
}

EXPORT int unlink(const char *path)
{
	return do_unlink(AT_FDCWD, path, 0);
}

EXPORT int unlinkat(int dirfd, const char *path, int flags)
{
	return do_unlink(dirfd, path, flags);
}

EXPORT int rmdir(const char *path)
{
	return do_unlink(AT_FDCWD, path, AT_REMOVEDIR);
}

static void record_rename(const struct place *from, const struct place *to, unsigned int flags)
{
	struct record record = {.type = RECORD_RENAME, .flags = flags};
	struct iovec name = raw_part(to ? to->name : "", to ? strlen(to->name) : 0);

	record.data_size = name.iov_len;
	if (from && to)
		record_add(&record, from->name, &name, 1);
	else
		record_unknown(from ? from->name : to->name, "renamed into or out of the directory");
}

static int do_rename(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned int flags)
{
	struct place old, new;
	bool leaves, arrives;
	struct verdict verdict;
	int r;

	if (!wanted(OPERATION_RENAME))
		return (int)syscall(SYS_renameat2, from_dirfd, from, to_dirfd, to, flags);
	leaves = place_of_path(from_dirfd, from, &old);
	arrives = place_of_path(to_dirfd, to, &new);
	if (!leaves && !arrives)
		return (int)syscall(SYS_renameat2, from_dirfd, from, to_dirfd, to, flags);
	verdict = rules_judge(OPERATION_RENAME, leaves ? old.name : new.name, NULL);
	if (!permitted(&verdict))
		return -1;
	record_lock();
	r = (int)syscall(SYS_renameat2, from_dirfd, from, to_dirfd, to, flags);
	if (r == 0)
		record_rename(leaves ? &old : NULL, arrives ? &new : NULL, flags);
	record_unlock();
	after(&verdict);
	return r;
}

EXPORT int rename(const char *from, const char *to)
{
	return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORT int renameat(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	return do_rename(from_dirfd, from, to_dirfd, to, 0);
}

EXPORT int renameat2(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned int flags)
{
	return do_rename(from_dirfd, from, to_dirfd, to, flags);
}

static int do_mkdir(int dirfd, const char *path, mode_t mode)
{
	struct record record = {.type = RECORD_MKDIR, .mode = mode};
	struct verdict verdict;
	struct place place;
	int r;

	if (!wanted(OPERATION_MKDIR) || !place_of_path(dirfd, path, &place))
		return (int)syscall(SYS_mkdirat, dirfd, path, mode);
	verdict = rules_judge(OPERATION_MKDIR, place.name, NULL);
	if (!permitted(&verdict))
		return -1;
	record_lock();
	r = (int)syscall(SYS_mkdirat, dirfd, path, mode);
	if (r == 0)
		record_add(&record, place.name, NULL, 0);
	record_unlock();
	after(&verdict);
	return r;
}

EXPORT int mkdir(const char *path, mode_t mode)
{
	return do_mkdir(AT_FDCWD, path, mode);
}

EXPORT int mkdirat(int dirfd, const char *path, mode_t mode)
{
	return do_mkdir(dirfd, path, mode);
}

/* Mappings */

static bool is_wal_index(const char *name)
{
	size_t length = strlen(name);

	return length > 4 && strcmp(name + length - 4, "-shm") == 0;
}

static void *do_map(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	struct verdict verdict = {0};
	struct place place;
	long mapping;

	if (flags & MAP_ANONYMOUS || !wanted(OPERATION_MAP) || !place_of_fd(fd, &place))
		return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
	verdict = rules_judge(OPERATION_MAP, place.name, NULL);
	if (!permitted(&verdict))
		return MAP_FAILED;
	record_lock();
	mapping = syscall(SYS_mmap, address, size, protection, flags, fd, offset);
	if (mapping != -1 && protection & PROT_WRITE && flags & MAP_SHARED && !is_wal_index(place.name))
		record_unknown(place.name, "mapped to be written to");
	record_unlock();
	after(&verdict);
	return (void *)mapping;
}

#define DEFINE_MAP(name)                                                                                     \
	EXPORT void *name(void *address, size_t size, int protection, int flags, int fd, off_t offset)       \
	{                                                                                                    \
		return do_map(address, size, protection, flags, fd, offset);                                 \
	}
DEFINE_MAP(mmap)
DEFINE_MAP(mmap64)
