/* The calls that are about what is in a file: reading and writing, its length, syncing, mapping. */
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "faults.h"
#include "raw.h"

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

/* Writes at most `limit` bytes. */
static ssize_t write_and_record(int fd, const struct place *place, const struct iovec *parts, int count,
				off_t offset, int flags, size_t limit)
{
	struct record record = {.type = RECORD_WRITE, .offset = (uint64_t)offset};
	struct iovec some[IOV_MAX];
	ssize_t n;

	count = shorten(parts, count, limit, some);
	record.extent = size_of_parts(some, count);
	record_begin(&record, fd, place->name, NULL, 0);
	n = raw_writev(fd, some, count, offset, flags);
	record.extent = 0;
	record.data_size = n > 0 ? (uint64_t)n : 0;
	record_end(&record, place->name, some, count, n > 0);
	return n;
}

static ssize_t do_write(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	struct extent extent = {.fd = fd, .offset = offset};
	struct verdict verdict;
	struct place place;
	ssize_t n;

	if (count < 1 || count > IOV_MAX || !faults_wanted(OPERATION_WRITE) || !place_of_fd(fd, &place))
		return raw_writev(fd, parts, count, offset, flags);
	extent.size = size_of_parts(parts, count);
	verdict = rules_judge(OPERATION_WRITE, place.name, &extent);
	if (!faults_permitted(&verdict))
		return -1;
	n = write_and_record(fd, &place, parts, count, offset, flags, verdict.limit);
	faults_after(&verdict);
	return n;
}

static ssize_t do_read(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	struct extent extent = {.fd = fd, .offset = offset};
	struct iovec some[IOV_MAX];
	struct verdict verdict;
	struct place place;
	ssize_t n;

	if (count < 1 || count > IOV_MAX || !faults_wanted(OPERATION_READ) || !place_of_fd(fd, &place))
		return raw_readv(fd, parts, count, offset, flags);
	extent.size = size_of_parts(parts, count);
	verdict = rules_judge(OPERATION_READ, place.name, &extent);
	if (!faults_permitted(&verdict))
		return -1;
	n = raw_readv(fd, some, shorten(parts, count, verdict.limit, some), offset, flags);
	faults_after(&verdict);
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
	struct record record = {.type = RECORD_TRUNCATE, .offset = (uint64_t)length};
	struct verdict verdict;
	struct place place;
	int r;

	if (!faults_wanted(OPERATION_TRUNCATE) || !place_of_fd(fd, &place))
		return (int)syscall(SYS_ftruncate, fd, length);
	verdict = rules_judge(OPERATION_TRUNCATE, place.name, NULL);
	if (!faults_permitted(&verdict))
		return -1;
	record_begin(&record, fd, place.name, NULL, 0);
	r = (int)syscall(SYS_ftruncate, fd, length);
	record_end(&record, place.name, NULL, 0, r == 0);
	faults_after(&verdict);
	return r;
}
DEFINE_FTRUNCATE(ftruncate)
DEFINE_FTRUNCATE(ftruncate64)

static int do_allocate(int fd, int mode, off_t offset, off_t size)
{
	struct extent extent = {.fd = fd, .offset = offset, .size = (size_t)size};
	struct record record = {.type = RECORD_ALLOCATE, .flags = (uint32_t)mode, .offset = (uint64_t)offset};
	struct verdict verdict;
	struct place place;
	int r;

	if (offset < 0 || size <= 0 || !faults_wanted(OPERATION_ALLOCATE) || !place_of_fd(fd, &place))
		return (int)syscall(SYS_fallocate, fd, mode, offset, size);
	verdict = rules_judge(OPERATION_ALLOCATE, place.name, &extent);
	/* There is no allocating of a part. */
	if (verdict.limit < extent.size)
		verdict.error = ENOSPC;
	if (!faults_permitted(&verdict))
		return -1;
	record.extent = (uint64_t)size;
	record_begin(&record, fd, place.name, NULL, 0);
	r = (int)syscall(SYS_fallocate, fd, mode, offset, size);
	record_end(&record, place.name, NULL, 0, r == 0);
	faults_after(&verdict);
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
	struct record record = {.type = RECORD_SYNC};
	struct verdict verdict;
	struct place place;
	int r;

	if (!faults_wanted(OPERATION_SYNC) || !place_of_fd(fd, &place))
		return (int)syscall(number, fd);
	verdict = rules_judge(OPERATION_SYNC, place.name, NULL);
	record_begin(&record, fd, place.name, NULL, 0);
	r = faults_permitted(&verdict) ? (int)syscall(number, fd) : -1;
	if (r < 0)
		record.type = RECORD_SYNC_FAILED;
	/* One that was interrupted has neither written anything nor forgotten it. */
	record_end(&record, place.name, NULL, 0, r == 0 || errno != EINTR);
	faults_after(&verdict);
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

/* Mappings */

static bool is_wal_index(const char *name)
{
	size_t length = strlen(name);

	return length > 4 && strcmp(name + length - 4, "-shm") == 0;
}

static void *do_map(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	static const char text[] = "mapped to be written to";
	struct record record = {.type = RECORD_UNKNOWN, .data_size = sizeof(text) - 1};
	struct iovec why = raw_part(text, sizeof(text) - 1);
	struct verdict verdict;
	struct place place;
	long mapping;

	if (flags & MAP_ANONYMOUS || !faults_wanted(OPERATION_MAP) || !place_of_fd(fd, &place))
		return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
	verdict = rules_judge(OPERATION_MAP, place.name, NULL);
	if (!faults_permitted(&verdict))
		return MAP_FAILED;
	record_begin(&record, fd, place.name, &why, 1);
	mapping = syscall(SYS_mmap, address, size, protection, flags, fd, offset);
	record_end(&record, place.name, &why, 1,
		   mapping != -1 && protection & PROT_WRITE && flags & MAP_SHARED &&
			   !is_wal_index(place.name));
	faults_after(&verdict);
	return (void *)mapping;
}

#define DEFINE_MAP(name)                                                                                     \
	EXPORT void *name(void *address, size_t size, int protection, int flags, int fd, off_t offset)       \
	{                                                                                                    \
		return do_map(address, size, protection, flags, fd, offset);                                 \
	}
DEFINE_MAP(mmap)
DEFINE_MAP(mmap64)
