#include "sick_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct sickness {
	int error;
	uint32_t times;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct sickness writes, syncs;
static bool no_allocation, hold, held;

static void set(struct sickness *sickness, int error, uint32_t times)
{
	pthread_mutex_lock(&mutex);
	*sickness = (struct sickness){error, times};
	pthread_mutex_unlock(&mutex);
}

void sick_writes(int error, uint32_t times)
{
	set(&writes, error, times);
}

void sick_syncs(int error, uint32_t times)
{
	set(&syncs, error, times);
}

void sick_allocation(bool fails)
{
	pthread_mutex_lock(&mutex);
	no_allocation = fails;
	pthread_mutex_unlock(&mutex);
}

void sick_hold(void)
{
	pthread_mutex_lock(&mutex);
	hold = true;
	pthread_mutex_unlock(&mutex);
}

bool sick_held(void)
{
	bool is;

	pthread_mutex_lock(&mutex);
	is = held;
	pthread_mutex_unlock(&mutex);
	return is;
}

void sick_let_go(void)
{
	pthread_mutex_lock(&mutex);
	hold = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

static bool is_database(int fd)
{
	char link[64], path[512];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	return strstr(path, "/tinkexd.db");
}

/* true: this call fails, with errno set. */
static bool fails(struct sickness *sickness, int fd)
{
	int error = 0;

	if (!is_database(fd))
		return false;
	pthread_mutex_lock(&mutex);
	if (sickness == &syncs && hold) {
		held = true;
		while (hold)
			pthread_cond_wait(&changed, &mutex);
		held = false;
	}
	if (sickness->times) {
		error = sickness->error;
		sickness->times -= sickness->times != SICK_ALWAYS;
	}
	pthread_mutex_unlock(&mutex);
	errno = error;
	return error;
}

ssize_t write(int fd, const void *data, size_t size)
{
	return fails(&writes, fd) ? -1 : syscall(SYS_write, fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return fails(&writes, fd) ? -1 : syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
	return fails(&writes, fd) ? -1 : syscall(SYS_pwrite64, fd, data, size, offset);
}

int fsync(int fd)
{
	return fails(&syncs, fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fails(&syncs, fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
	bool refuse;

	pthread_mutex_lock(&mutex);
	refuse = no_allocation;
	pthread_mutex_unlock(&mutex);
	if (refuse)
		return ENOSPC;
	return syscall(SYS_fallocate, fd, 0, offset, size) == 0 ? 0 : errno;
}
