#include "record.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/file.h>

#include "place.h"
#include "raw.h"
#include "resolve.h"

/* High, so that the program's own descriptors have the numbers they would have anyway. */
#define RECORD_FD 700

static int record_fd = -1;
static pthread_mutex_t record_mutex = PTHREAD_MUTEX_INITIALIZER;

bool record_wanted(void)
{
	return record_fd >= 0;
}

static void lock(void)
{
	pthread_mutex_lock(&record_mutex);
	/* Against another process, as one that finds the directory locked and leaves. */
	while (syscall(SYS_flock, record_fd, LOCK_EX) < 0)
		if (errno != EINTR)
			raw_give_up("cannot lock the recording");
}

static void unlock(void)
{
	syscall(SYS_flock, record_fd, LOCK_UN);
	pthread_mutex_unlock(&record_mutex);
}

/* Writes all of it. Uses up the parts. */
static void write_out(struct iovec *parts, int count)
{
	while (count > 0) {
		ssize_t n;

		if (parts->iov_len == 0) {
			parts++, count--;
			continue;
		}
		n = raw_writev(record_fd, parts, count, -1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			raw_give_up("cannot write to the recording");
		for (; count > 0 && (size_t)n >= parts->iov_len; parts++, count--)
			n -= (ssize_t)parts->iov_len;
		if (count > 0) {
			parts->iov_base = (char *)parts->iov_base + n;
			parts->iov_len -= (size_t)n;
		}
	}
}

void record_add(struct record *record, const char *name, const struct iovec *parts, int count)
{
	struct iovec all[IOV_MAX];
	uint64_t left = record->data_size;
	int error = errno, used = 2;

	if (count > IOV_MAX - 2)
		raw_give_up("a write of too many parts to be recorded");
	record->magic = RECORD_MAGIC;
	record->name_size = (uint16_t)strlen(name);
	all[0] = raw_part(record, sizeof(*record));
	all[1] = raw_part(name, record->name_size);
	for (int i = 0; i < count && left > 0; i++) {
		all[used] = parts[i];
		if (all[used].iov_len > left)
			all[used].iov_len = left;
		left -= all[used++].iov_len;
	}
	write_out(all, used);
	errno = error;
}

void record_identify(struct record *record, int fd)
{
	struct stat stat;

	if (raw_fstat(fd, &stat) < 0)
		return;
	record->mode = stat.st_mode;
	record->inode = stat.st_ino;
}

/* Where a write() begins. */
static uint64_t position_of(int fd)
{
	struct stat stat;

	if (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND && raw_fstat(fd, &stat) == 0)
		return (uint64_t)stat.st_size;
	return (uint64_t)raw_position(fd);
}

void record_begin(struct record *record, int fd, const char *name, const struct iovec *parts, int count)
{
	struct stat stat;
	int error = errno;

	if (record_fd < 0)
		return;
	lock();
	if (fd >= 0)
		record_identify(record, fd);
	else if (place_stat(name, &stat) == 0)
		record->inode = stat.st_ino;
	if (record->type == RECORD_WRITE && record->offset == UINT64_MAX)
		record->offset = position_of(fd);
	record->type |= RECORD_INTENT;
	record_add(record, name, parts, count);
	record->type &= (uint16_t)~RECORD_INTENT;
	errno = error;
}

void record_end(struct record *record, const char *name, const struct iovec *parts, int count, bool done)
{
	int error = errno;

	if (record_fd < 0)
		return;
	if (done)
		record_add(record, name, parts, count);
	unlock();
	errno = error;
}

/* Where the last whole record ends, and that record with its name and data. */
static off_t end_of_records(struct record *ret_last, char *ret_name, char *ret_data)
{
	struct record record;
	struct stat stat;
	off_t end = 0, last = -1;

	if (raw_fstat(record_fd, &stat) < 0)
		raw_give_up("cannot look at the recording");
	while (raw_pread(record_fd, &record, sizeof(record), end) == (ssize_t)sizeof(record)) {
		off_t next = end + (off_t)(sizeof(record) + record.name_size + record.data_size);

		if (record.magic != RECORD_MAGIC || record.name_size >= PATH_MAX)
			raw_give_up("the recording is damaged");
		if (next > stat.st_size)
			break;
		*ret_last = record;
		last = end;
		end = next;
	}
	if (last >= 0 && ret_last->type & RECORD_INTENT && ret_last->data_size < PATH_MAX) {
		last += (off_t)sizeof(record);
		raw_pread(record_fd, ret_name, ret_last->name_size, last);
		raw_pread(record_fd, ret_data, ret_last->data_size, last + ret_last->name_size);
	}
	return end;
}

void record_open(const char *path)
{
	struct record start = {.type = RECORD_START}, last = {0};
	char name[PATH_MAX] = "", data[PATH_MAX] = "";
	int fd = raw_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int high = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, RECORD_FD);

	if (fd < 0)
		raw_give_up("cannot open the file named by TINKEX_FAULTS_RECORD");
	record_fd = high < 0 ? fd : high;
	if (high >= 0)
		raw_close(fd);
	lock();
	if (syscall(SYS_ftruncate, record_fd, end_of_records(&last, name, data)) < 0)
		raw_give_up("cannot remove what a kill left in the recording");
	if (last.type & RECORD_INTENT)
		resolve_intent(&last, name, data);
	start.offset = (uint64_t)syscall(SYS_getpid);
	record_add(&start, "", NULL, 0);
	unlock();
}
