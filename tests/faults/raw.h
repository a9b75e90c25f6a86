/*
 * System calls that pass by libc's names, and so by the functions of this library that stand in for them. The
 * rest of the library does all its input and output through these. Results as libc's: -1 and errno.
 */
#ifndef TINKEX_FAULTS_RAW_H
#define TINKEX_FAULTS_RAW_H

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#if __SIZEOF_LONG__ != 8
#error "offsets are passed as one word here: 64-bit systems only"
#endif

static inline int raw_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	return (int)syscall(SYS_openat, dirfd, path, flags, mode);
}

static inline int raw_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}

static inline int raw_fstat(int fd, struct stat *ret_stat)
{
	return (int)syscall(SYS_fstat, fd, ret_stat);
}

static inline int raw_lstatat(int dirfd, const char *path, struct stat *ret_stat)
{
	return (int)syscall(SYS_newfstatat, dirfd, path, ret_stat, AT_SYMLINK_NOFOLLOW);
}

static inline ssize_t raw_readlink(const char *path, char *ret_target, size_t size)
{
	return syscall(SYS_readlinkat, AT_FDCWD, path, ret_target, size);
}

static inline ssize_t raw_pread(int fd, void *data, size_t size, off_t offset)
{
	return syscall(SYS_pread64, fd, data, size, offset);
}

/* `offset` -1: at the file's position. `flags`: RWF_… */
static inline ssize_t raw_writev(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	if (offset == -1 && !flags)
		return syscall(SYS_writev, fd, parts, count);
	if (!flags)
		return syscall(SYS_pwritev, fd, parts, count, offset, 0L);
	return syscall(SYS_pwritev2, fd, parts, count, offset, 0L, flags);
}

static inline ssize_t raw_readv(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
	if (offset == -1 && !flags)
		return syscall(SYS_readv, fd, parts, count);
	if (!flags)
		return syscall(SYS_preadv, fd, parts, count, offset, 0L);
	return syscall(SYS_preadv2, fd, parts, count, offset, 0L, flags);
}

static inline off_t raw_position(int fd)
{
	return syscall(SYS_lseek, fd, 0L, SEEK_CUR);
}

static inline void raw_sleep(uint64_t milliseconds)
{
	struct timespec left = {.tv_sec = (time_t)(milliseconds / 1000),
				.tv_nsec = (long)(milliseconds % 1000) * 1000000};

	while (syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &left, &left) < 0)
		;
}

/* The kernel only reads what it is told to write; struct iovec cannot say so. */
static inline struct iovec raw_part(const void *data, size_t size)
{
	return (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = size};
}

/* Says why on standard error: a test that goes on without its faults or its recording would prove nothing. */
__attribute__((noreturn)) static inline void raw_give_up(const char *text)
{
	struct iovec parts[] = {raw_part("tinkex_faults: ", 15), raw_part(text, strlen(text)),
				raw_part("\n", 1)};

	raw_writev(STDERR_FILENO, parts, 3, -1, 0);
	abort();
}

/* As the kernel's own SIGKILL: nothing of this process runs after it, no handler and no exit function. */
__attribute__((noreturn)) static inline void raw_kill_self(void)
{
	for (;;)
		syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
}

#endif
