#include "state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"
#include "core/alloc.h"
#include "paths.h"

struct state_dir {
	int fd;   /* the directory */
	int lock; /* the lock lives as long as this descriptor */
};

int state_dir_fd(const struct state_dir *state_dir)
{
	return state_dir->fd;
}

struct state_dir *state_dir_close(struct state_dir *state_dir)
{
	if (!state_dir)
		return NULL;
	if (state_dir->lock >= 0)
		close(state_dir->lock);
	if (state_dir->fd >= 0)
		close(state_dir->fd);
	free(state_dir);
	return NULL;
}

static int open_directory(struct state_dir *state_dir, const char *path, char **ret_message)
{
	struct stat stat;
	int r = paths_make_directory(path, 0700);

	if (r < 0)
		return complain(ret_message, r, "cannot make the state directory %s: %s", path, strerror(-r));
	/* Its last part may be a symbolic link: systemd makes one for services with a dynamic user. */
	state_dir->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state_dir->fd < 0 || fstat(state_dir->fd, &stat) < 0)
		return complain(ret_message, -errno, "cannot open the state directory %s: %s", path,
				strerror(errno));
	if (stat.st_uid != geteuid())
		return complain(
			ret_message, -EPERM,
			"the state directory %s belongs to uid %u, not to the daemon's uid %u; choose "
			"another with --state-dir, or chown it",
			path, stat.st_uid, geteuid());
	if (stat.st_mode & 022)
		return complain(ret_message, -EPERM,
				"the state directory %s has mode %04o: others could change what is stored; "
				"chmod 700 %s",
				path, stat.st_mode & 07777U, path);
	return 0;
}

/* Who holds the lock, as it says itself; 0: it does not say. */
static long read_pid(int lock)
{
	char text[32];
	ssize_t n = pread(lock, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return strtol(text, NULL, 10);
}

static int refuse_second(int lock, const char *path, char **ret_message)
{
	long pid = read_pid(lock);

	if (pid > 0)
		return complain(
			ret_message, -EBUSY,
			"the state directory %s is in use by another tinkexd (pid %ld); stop that one, or "
			"choose another directory with --state-dir",
			path, pid);
	return complain(
		ret_message, -EBUSY,
		"the state directory %s is in use by another tinkexd; stop that one, or choose another "
		"directory with --state-dir",
		path);
}

/* The pid is for people; the lock does not depend on it. On a full disk there may be no place for it. */
static int write_pid(int lock, const char *path, char **ret_message)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	ssize_t n = pwrite(lock, text, (size_t)length, 0);

	if (n < 0 && errno != ENOSPC && errno != EDQUOT)
		return complain(ret_message, -errno, "cannot write to %s/lock: %s", path, strerror(errno));
	if (ftruncate(lock, n < 0 ? 0 : n) < 0)
		return complain(ret_message, -errno, "cannot write to %s/lock: %s", path, strerror(errno));
	return 0;
}

static int take_lock(struct state_dir *state_dir, const char *path, char **ret_message)
{
	state_dir->lock = openat(state_dir->fd, "lock",
				 O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (state_dir->lock < 0)
		return complain(ret_message, -errno, "cannot open %s/lock: %s", path, strerror(errno));
	while (flock(state_dir->lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return refuse_second(state_dir->lock, path, ret_message);
		if (errno != EINTR)
			return complain(ret_message, -errno, "cannot lock %s/lock: %s", path,
					strerror(errno));
	}
	return write_pid(state_dir->lock, path, ret_message);
}

int state_dir_open(const char *path, struct state_dir **ret_state_dir, char **ret_message)
{
	_cleanup_(state_dir_closep) struct state_dir *state_dir = xnew(struct state_dir);
	int r;

	state_dir->fd = state_dir->lock = -1;
	r = open_directory(state_dir, path, ret_message);
	if (r >= 0)
		r = take_lock(state_dir, path, ret_message);
	if (r < 0)
		return r;
	*ret_state_dir = steal_pointer(state_dir);
	return 0;
}
