#include "spool_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool.h"
#include "sys/complain.h"

#define FOLDER "spool"

static int open_it(int state_dir_fd, int *ret_fd, char **ret_message)
{
	struct stat status;
	int fd;

	if (mkdirat(state_dir_fd, FOLDER, 0700) < 0 && errno != EEXIST)
		return complain(ret_message, -errno,
				"cannot make the folder \"" FOLDER "\" in the state directory: %s",
				strerror(errno));
	if (fstatat(state_dir_fd, FOLDER, &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(status.st_mode))
		return complain(ret_message, -ENOTDIR,
				"\"" FOLDER "\" in the state directory is not a folder%s; move it away",
				S_ISLNK(status.st_mode) ? " but a symbolic link, which is not followed" : "");
	fd = openat(state_dir_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return complain(ret_message, -errno,
				"cannot open the folder \"" FOLDER "\" in the state directory: %s",
				strerror(errno));
	*ret_fd = fd;
	return 0;
}

static int check_it(int fd, char **ret_message)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return complain(ret_message, -errno,
				"cannot look at the folder \"" FOLDER "\" in the state directory: %s",
				strerror(errno));
	if (status.st_uid != geteuid())
		return complain(ret_message, -EPERM,
				"the folder \"" FOLDER "\" in the state directory belongs to uid %u, not to "
				"the daemon's uid %u; chown it",
				status.st_uid, geteuid());
	if (status.st_mode & 022)
		return complain(ret_message, -EPERM,
				"the folder \"" FOLDER "\" in the state directory has mode %04o: others "
				"could change what is stored; chmod 700 it",
				status.st_mode & 07777U);
	return 0;
}

int spool_folder_open(int state_dir_fd, int *ret_fd, char **ret_message)
{
	int fd = -1, r = open_it(state_dir_fd, &fd, ret_message);

	if (r < 0)
		return r;
	r = check_it(fd, ret_message);
	/* The folder's name has to be as durable as what lies in it. */
	if (r >= 0 && fsync(state_dir_fd) < 0)
		r = complain(ret_message, -errno, "cannot sync the state directory: %s", strerror(errno));
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

void spool_name(uint64_t id, char ret_name[SPOOL_NAME_SIZE])
{
	snprintf(ret_name, SPOOL_NAME_SIZE, "%016" PRIx64, id);
}

/* 0: it is no file of ours. */
static uint64_t id_of(const char *name)
{
	char same[SPOOL_NAME_SIZE];
	uint64_t id = strtoull(name, NULL, 16);

	spool_name(id, same);
	return strcmp(name, same) == 0 ? id : 0;
}

static int visit_entry(int folder, const char *name,
		       void (*visit)(void *context, uint64_t id, const char *name, uint64_t size),
		       void *context)
{
	struct stat status;
	bool ours;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	ours = S_ISREG(status.st_mode);
	visit(context, ours ? id_of(name) : 0, name, ours ? (uint64_t)status.st_size : 0);
	return 0;
}

int spool_folder_each(int folder, void (*visit)(void *context, uint64_t id, const char *name, uint64_t size),
		      void *context)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!entries) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, (entry = readdir(entries))))
		r = visit_entry(folder, entry->d_name, visit, context);
	if (r == 0)
		r = -errno; /* readdir()'s */
	closedir(entries);
	return r;
}
