#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static struct {
	struct {
		int error;
		uint32_t times;
		unsigned count;
		bool hold;
	} calls[DISK_CALLS];
	int64_t space;
	size_t piece;
	bool held;
	char trace[256];
	size_t n_trace;
} disk = {.space = -1};

/* The names are the linker's. */
int __real_openat(int folder, const char *name, int flags, mode_t mode);
ssize_t __real_pwritev(int fd, const struct iovec *pieces, int n, off_t offset);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_unlinkat(int folder, const char *name, int flags);
int __real_fstatat(int folder, const char *name, struct stat *status, int flags);
int __wrap_openat(int folder, const char *name, int flags, ...);
ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int n, off_t offset);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_unlinkat(int folder, const char *name, int flags);
int __wrap_fstatat(int folder, const char *name, struct stat *status, int flags);

void disk_reset(void)
{
	pthread_mutex_lock(&mutex);
	disk = (__typeof__(disk)){.space = -1};
	pthread_mutex_unlock(&mutex);
}

void disk_fail(enum disk_call call, int error, uint32_t times)
{
	pthread_mutex_lock(&mutex);
	disk.calls[call].error = error;
	disk.calls[call].times = times;
	pthread_mutex_unlock(&mutex);
}

void disk_set_space(int64_t bytes)
{
	pthread_mutex_lock(&mutex);
	disk.space = bytes;
	pthread_mutex_unlock(&mutex);
}

void disk_set_piece(size_t bytes)
{
	pthread_mutex_lock(&mutex);
	disk.piece = bytes;
	pthread_mutex_unlock(&mutex);
}

void disk_hold(enum disk_call call)
{
	pthread_mutex_lock(&mutex);
	disk.calls[call].hold = true;
	pthread_mutex_unlock(&mutex);
}

bool disk_held(void)
{
	bool held;

	pthread_mutex_lock(&mutex);
	held = disk.held;
	pthread_mutex_unlock(&mutex);
	return held;
}

void disk_let_go(void)
{
	pthread_mutex_lock(&mutex);
	for (int call = 0; call < DISK_CALLS; call++)
		disk.calls[call].hold = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

unsigned disk_count(enum disk_call call)
{
	unsigned count;

	pthread_mutex_lock(&mutex);
	count = disk.calls[call].count;
	pthread_mutex_unlock(&mutex);
	return count;
}

const char *disk_trace(void)
{
	static char copy[sizeof(disk.trace)];

	pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < sizeof(copy); i++)
		copy[i] = disk.trace[i];
	pthread_mutex_unlock(&mutex);
	return copy;
}

/* Under the mutex. 0, or what the call fails with. */
static int begin(enum disk_call call)
{
	disk.calls[call].count++;
	if (call != DISK_FSTATAT && disk.n_trace + 1 < sizeof(disk.trace))
		disk.trace[disk.n_trace++] = "owdsu"[call];
	if (disk.calls[call].hold) {
		disk.held = true;
		while (disk.calls[call].hold)
			pthread_cond_wait(&changed, &mutex);
		disk.held = false;
	}
	if (!disk.calls[call].times)
		return 0;
	if (disk.calls[call].times != DISK_ALWAYS)
		disk.calls[call].times--;
	return disk.calls[call].error;
}

static bool fails(enum disk_call call)
{
	int error;

	pthread_mutex_lock(&mutex);
	error = begin(call);
	pthread_mutex_unlock(&mutex);
	errno = error;
	return error != 0;
}

int __wrap_openat(int folder, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list arguments;

	if (flags & O_CREAT) {
		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	return fails(DISK_OPENAT) ? -1 : __real_openat(folder, name, flags, mode);
}

int __wrap_fdatasync(int fd)
{
	return fails(DISK_FDATASYNC) ? -1 : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
	return fails(DISK_FSYNC) ? -1 : __real_fsync(fd);
}

int __wrap_unlinkat(int folder, const char *name, int flags)
{
	return fails(DISK_UNLINKAT) ? -1 : __real_unlinkat(folder, name, flags);
}

int __wrap_fstatat(int folder, const char *name, struct stat *status, int flags)
{
	return fails(DISK_FSTATAT) ? -1 : __real_fstatat(folder, name, status, flags);
}

/* Under the mutex: how much of what is wanted is written now; takes it from the space. */
static size_t grant(size_t wanted)
{
	if (disk.piece && wanted > disk.piece)
		wanted = disk.piece;
	if (disk.space >= 0 && (int64_t)wanted > disk.space)
		wanted = (size_t)disk.space;
	if (disk.space >= 0)
		disk.space -= (int64_t)wanted;
	return wanted;
}

/* Cuts the pieces to `size` bytes in all. Returns how many pieces that are. */
static int cut(const struct iovec *pieces, int n, size_t size, struct iovec *ret_pieces)
{
	int used = 0;

	while (used < n && size) {
		ret_pieces[used] = pieces[used];
		if (ret_pieces[used].iov_len > size)
			ret_pieces[used].iov_len = size;
		size -= ret_pieces[used++].iov_len;
	}
	return used;
}

ssize_t __wrap_pwritev(int fd, const struct iovec *pieces, int n, off_t offset)
{
	struct iovec granted[1024];
	size_t wanted = 0, size;
	int error;

	for (int i = 0; i < n; i++)
		wanted += pieces[i].iov_len;
	pthread_mutex_lock(&mutex);
	error = begin(DISK_PWRITEV);
	size = error ? 0 : grant(wanted);
	pthread_mutex_unlock(&mutex);
	if (error || !size) {
		errno = error ? error : ENOSPC;
		return -1;
	}
	return __real_pwritev(fd, granted, cut(pieces, n, size, granted), offset);
}
