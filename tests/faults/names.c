/* The calls that are about names: opening, removing, renaming, making directories; and closing. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "faults.h"
#include "raw.h"

static void record_opened(struct record *record, const char *name, int fd, int flags)
{
	static const char text[] = "O_TMPFILE";
	struct iovec why = raw_part(text, sizeof(text) - 1);
	int error = errno;

	if (fd >= 0 && record_wanted())
		record_identify(record, fd);
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		record->type = RECORD_UNKNOWN;
		record->data_size = why.iov_len;
	}
	errno = error;
	record_end(record, name, &why, 1, fd >= 0 && S_ISREG(record->mode));
}

static int do_open(int dirfd, const char *path, int flags, mode_t mode)
{
	uint32_t operations = OPERATION_OPEN | (flags & O_CREAT ? OPERATION_CREATE : 0U);
	struct record record = {.type = RECORD_OPEN, .flags = (uint32_t)flags & O_TRUNC};
	struct verdict verdict;
	struct place place;
	struct stat stat;
	int fd, error = errno;

	if (!faults_wanted(operations) || !place_of_path(dirfd, path, &place))
		return raw_openat(dirfd, path, flags, mode);
	/* Two threads that make the same file at once are not expected. */
	if (flags & O_CREAT && raw_lstatat(dirfd, path, &stat) < 0)
		record.type = RECORD_CREATE;
	errno = error;
	verdict = rules_judge(record.type == RECORD_CREATE ? operations : OPERATION_OPEN, place.name, NULL);
	if (!faults_permitted(&verdict))
		return -1;
	record_begin(&record, -1, place.name, NULL, 0);
	fd = raw_openat(dirfd, path, flags, mode);
	record_opened(&record, place.name, fd, flags);
	faults_after(&verdict);
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

	if (faults_wanted(OPERATION_CLOSE) && place_of_fd(fd, &place))
		verdict = rules_judge(OPERATION_CLOSE, place.name, NULL);
	r = raw_close(fd);
	faults_after(&verdict);
	return faults_permitted(&verdict) ? r : -1;
}

static int do_unlink(int dirfd, const char *path, int flags)
{
	struct record record = {.type = RECORD_UNLINK, .flags = (uint32_t)flags};
	struct verdict verdict;
	struct place place;
	int r;

	if (!faults_wanted(OPERATION_UNLINK) || !place_of_path(dirfd, path, &place))
		return (int)syscall(SYS_unlinkat, dirfd, path, flags);
	verdict = rules_judge(OPERATION_UNLINK, place.name, NULL);
	if (!faults_permitted(&verdict))
		return -1;
	record_begin(&record, -1, place.name, NULL, 0);
	r = (int)syscall(SYS_unlinkat, dirfd, path, flags);
	record_end(&record, place.name, NULL, 0, r == 0);
	faults_after(&verdict);
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

/* Either name is NULL if it is not in the directory. */
static int rename_and_record(int from_dirfd, const char *from, int to_dirfd, const char *to,
			     unsigned int flags, const char *old, const char *new)
{
	const char *data = old && new ? new : "renamed into or out of the directory", *name = old ? old : new;
	struct record record = {.type = old && new ? RECORD_RENAME : RECORD_UNKNOWN, .flags = flags};
	struct iovec part = raw_part(data, strlen(data));
	int r;

	record.data_size = part.iov_len;
	record_begin(&record, -1, name, &part, 1);
	r = (int)syscall(SYS_renameat2, from_dirfd, from, to_dirfd, to, flags);
	record_end(&record, name, &part, 1, r == 0);
	return r;
}

static int do_rename(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned int flags)
{
	struct place old, new;
	bool leaves, arrives;
	struct verdict verdict;
	int r;

	if (!faults_wanted(OPERATION_RENAME))
		return (int)syscall(SYS_renameat2, from_dirfd, from, to_dirfd, to, flags);
	leaves = place_of_path(from_dirfd, from, &old);
	arrives = place_of_path(to_dirfd, to, &new);
	if (!leaves && !arrives)
		return (int)syscall(SYS_renameat2, from_dirfd, from, to_dirfd, to, flags);
	verdict = rules_judge(OPERATION_RENAME, leaves ? old.name : new.name, NULL);
	if (!faults_permitted(&verdict))
		return -1;
	r = rename_and_record(from_dirfd, from, to_dirfd, to, flags, leaves ? old.name : NULL,
			      arrives ? new.name : NULL);
	faults_after(&verdict);
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

	if (!faults_wanted(OPERATION_MKDIR) || !place_of_path(dirfd, path, &place))
		return (int)syscall(SYS_mkdirat, dirfd, path, mode);
	verdict = rules_judge(OPERATION_MKDIR, place.name, NULL);
	if (!faults_permitted(&verdict))
		return -1;
	record_begin(&record, -1, place.name, NULL, 0);
	r = (int)syscall(SYS_mkdirat, dirfd, path, mode);
	record_end(&record, place.name, NULL, 0, r == 0);
	faults_after(&verdict);
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
