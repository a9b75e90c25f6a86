#include "socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/alloc.h"
#include "sys/complain.h"
#include "sys/paths.h"

#define BACKLOG 4096

/* Whoever may rename the folder's entries can put another socket in this one's place. */
static int check_folder(const char *folder, char **ret_message)
{
	struct stat info;

	if (stat(folder, &info) < 0)
		return complain(ret_message, -errno, "%s: %s", folder, strerrordesc_np(errno));
	if (!S_ISDIR(info.st_mode))
		return complain(ret_message, -ENOTDIR, "%s is not a folder", folder);
	if (info.st_uid != 0 && info.st_uid != geteuid())
		return complain(ret_message, -EPERM,
				"%s belongs to uid %u; the socket's folder must be root's or ours", folder,
				info.st_uid);
	if (info.st_mode & S_IWOTH && !(info.st_mode & S_ISVTX))
		return complain(ret_message, -EPERM, "%s can be written by everybody; chmod o-w it", folder);
	return 0;
}

static int prepare_folder(const char *path, char **ret_message)
{
	const char *slash = strrchr(path, '/');
	char *folder;
	int error;

	if (!slash || slash == path)
		return 0;
	error = paths_prepare_socket_folder(path, ret_message);
	if (error < 0)
		return error;
	folder = xstrndup(path, (size_t)(slash - path));
	error = check_folder(folder, ret_message);
	free(folder);
	return error;
}

static int make_socket(char **ret_message)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? complain(ret_message, -errno, "cannot make a socket: %s", strerrordesc_np(errno))
		      : fd;
}

/* Something stands where the socket goes. 0: it was a dead socket, and has been removed. */
static int replace_dead(const struct sockaddr_un *address, char **ret_message)
{
	const char *path = address->sun_path;
	struct stat info;
	int fd, error;

	if (lstat(path, &info) < 0)
		return errno == ENOENT
			       ? 0
			       : complain(ret_message, -errno, "%s: %s", path, strerrordesc_np(errno));
	if (!S_ISSOCK(info.st_mode))
		return complain(ret_message, -EEXIST,
				"%s exists and is not a socket; remove it or choose another path", path);
	fd = make_socket(ret_message);
	if (fd < 0)
		return fd;
	error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	close(fd);
	if (error == 0 || error == EAGAIN)
		return complain(ret_message, -EADDRINUSE, "another daemon is listening on %s", path);
	if (error != ECONNREFUSED)
		return complain(ret_message, -error, "%s is a socket that cannot be tried: %s", path,
				strerrordesc_np(error));
	if (unlink(path) < 0 && errno != ENOENT)
		return complain(ret_message, -errno, "cannot remove the dead socket %s: %s", path,
				strerrordesc_np(errno));
	return 0;
}

/* Nobody else may connect before owner and mode are right: the file begins with 0600, which bind() takes from
 * the socket itself, and it listens last. */
static int bind_and_listen(int fd, const struct sockaddr_un *address, mode_t mode, gid_t group,
			   struct socket_file *file, char **ret_message)
{
	const char *path = address->sun_path;
	struct stat info;

	if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return complain(ret_message, -errno, "cannot bind %s: %s", path, strerrordesc_np(errno));
	if (lstat(path, &info) < 0)
		return complain(ret_message, -errno, "%s: %s", path, strerrordesc_np(errno));
	file->path = strdup(path);
	file->device = info.st_dev;
	file->inode = info.st_ino;
	if (!file->path) {
		unlink(path);
		return -ENOMEM;
	}
	if (group != (gid_t)-1 && lchown(path, (uid_t)-1, group) < 0)
		return complain(ret_message, -errno, "cannot give %s to group %u: %s", path, group,
				strerrordesc_np(errno));
	if (chmod(path, mode) < 0)
		return complain(ret_message, -errno, "cannot set the mode of %s: %s", path,
				strerrordesc_np(errno));
	if (listen(fd, BACKLOG) < 0)
		return complain(ret_message, -errno, "cannot listen on %s: %s", path, strerrordesc_np(errno));
	return 0;
}

int socket_file_listen(const char *path, mode_t mode, gid_t group, struct socket_file *ret_file, int *ret_fd,
		       char **ret_message)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct socket_file file = {0};
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path))
		return complain(ret_message, -ENAMETOOLONG, "the socket path %s is longer than %zu bytes",
				path, sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	error = prepare_folder(path, ret_message);
	if (!error)
		error = replace_dead(&address, ret_message);
	if (error)
		return error;
	fd = make_socket(ret_message);
	if (fd < 0)
		return fd;
	error = bind_and_listen(fd, &address, mode, group, &file, ret_message);
	if (error) {
		socket_file_remove(&file);
		close(fd);
		return error;
	}
	*ret_file = file;
	*ret_fd = fd;
	return 0;
}

int socket_file_adopt(int fd, char **ret_message)
{
	int listening = 0, type = 0, domain = 0;
	socklen_t size = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
		return complain(ret_message, -errno, "descriptor %d that was handed over: %s", fd,
				strerrordesc_np(errno));
	if (!listening || type != SOCK_STREAM || domain != AF_UNIX)
		return complain(ret_message, -EINVAL,
				"descriptor %d that was handed over is not a listening Unix stream socket",
				fd);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return complain(ret_message, -errno, "descriptor %d: %s", fd, strerrordesc_np(errno));
	return 0;
}

void socket_file_remove(struct socket_file *file)
{
	struct stat info;

	if (file->path && lstat(file->path, &info) == 0 && info.st_dev == file->device &&
	    info.st_ino == file->inode)
		unlink(file->path);
	free(file->path);
	file->path = NULL;
}
