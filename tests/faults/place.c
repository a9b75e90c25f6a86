#include "place.h"

#include <errno.h>
#include <stdio.h>

#include "raw.h"

static char directory[PATH_MAX];
static size_t directory_length;

void place_set_directory(const char *path)
{
	size_t length = strlen(path);

	while (length > 1 && path[length - 1] == '/')
		length--;
	if (path[0] != '/' || length >= sizeof(directory))
		raw_give_up("TINKEX_FAULTS_DIR is not an absolute path");
	memcpy(directory, path, length);
	directory_length = length;
}

const char *place_directory(void)
{
	return directory;
}

/* `path`: absolute and without symbolic links. */
static bool inside(const char *path, struct place *ret_place)
{
	if (!directory_length || strncmp(path, directory, directory_length) != 0)
		return false;
	path += directory_length;
	if (*path == '\0') {
		memcpy(ret_place->name, ".", 2);
		return true;
	}
	if (*path != '/')
		return false;
	memcpy(ret_place->name, path + 1, strlen(path + 1) + 1);
	return true;
}

/* What the kernel calls the descriptor. */
static bool path_of_fd(int fd, bool removed, char ret_path[PATH_MAX])
{
	static const char mark[] = " (deleted)";
	char link[64];
	ssize_t length;

	if (fd == AT_FDCWD)
		memcpy(link, "/proc/self/cwd", sizeof("/proc/self/cwd"));
	else
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = raw_readlink(link, ret_path, PATH_MAX - 1);
	if (length <= 0)
		return false;
	ret_path[length] = '\0';
	if (removed && (size_t)length > sizeof(mark) &&
	    strcmp(ret_path + length - (sizeof(mark) - 1), mark) == 0)
		ret_path[(size_t)length - (sizeof(mark) - 1)] = '\0';
	return true;
}

bool place_of_fd(int fd, struct place *ret_place)
{
	int error = errno;
	char path[PATH_MAX];
	struct stat stat;
	bool found = directory_length && raw_fstat(fd, &stat) == 0 &&
		     (S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode)) &&
		     path_of_fd(fd, stat.st_nlink == 0, path) && inside(path, ret_place);

	errno = error;
	return found;
}

/* The real path of the directory that `name` of `length` bytes names, seen from `dirfd`. */
static bool path_of_directory(int dirfd, const char *name, size_t length, char ret_path[PATH_MAX])
{
	char copy[PATH_MAX];
	int fd;
	bool found;

	if (length == 0)
		return path_of_fd(dirfd, false, ret_path);
	if (length >= sizeof(copy))
		return false;
	memcpy(copy, name, length);
	copy[length] = '\0';
	fd = raw_openat(dirfd, copy, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0) {
		/* No descriptor is left, perhaps because a test wants it so: then the text must do. */
		if ((errno != EMFILE && errno != ENFILE) || copy[0] != '/')
			return false;
		memcpy(ret_path, copy, length + 1);
		return true;
	}
	found = path_of_fd(fd, false, ret_path);
	raw_close(fd);
	return found;
}

static bool is_own_directory(const char *last)
{
	return *last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
}

static bool find_path(int dirfd, const char *path, struct place *ret_place)
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
	char full[PATH_MAX + NAME_MAX + 2];
	size_t length;

	if (*path == '\0')
		return false;
	if (is_own_directory(last))
		return path_of_directory(dirfd, path, strlen(path), full) && inside(full, ret_place);
	if (strlen(last) > NAME_MAX ||
	    !path_of_directory(dirfd, path, slash == path ? 1 : (size_t)(last - path), full))
		return false;
	length = strlen(full);
	if (length == 0 || full[length - 1] != '/')
		full[length++] = '/';
	memcpy(full + length, last, strlen(last) + 1);
	return strlen(full) < PATH_MAX && inside(full, ret_place);
}

bool place_of_path(int dirfd, const char *path, struct place *ret_place)
{
	int error = errno;
	bool found = directory_length && path && find_path(dirfd, path, ret_place);

	errno = error;
	return found;
}

static bool full_path(const char *name, char ret_path[2 * PATH_MAX])
{
	int length = snprintf(ret_path, 2 * PATH_MAX, "%s/%s", directory, name);

	return length > 0 && length < 2 * PATH_MAX;
}

int place_stat(const char *name, struct stat *ret_stat)
{
	char path[2 * PATH_MAX];

	return full_path(name, path) ? raw_lstatat(AT_FDCWD, path, ret_stat) : -1;
}

int place_open(const char *name)
{
	char path[2 * PATH_MAX];

	return full_path(name, path)
		       ? raw_openat(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0)
		       : -1;
}
