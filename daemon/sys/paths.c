#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"
#include "core/alloc.h"

#define SYSTEM_RUN_FOLDER "/run/tinkexd"

static _printf_(1, 2) char *format_path(const char *format, ...)
{
	va_list arguments;
	char *path = NULL;

	va_start(arguments, format);
	if (vasprintf(&path, format, arguments) < 0)
		abort();
	va_end(arguments);
	return path;
}

const char *paths_environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* As the XDG base directories demand: a relative value is ignored. */
static const char *absolute_environment(const char *name)
{
	const char *value = paths_environment(name);

	return value && *value == '/' ? value : NULL;
}

bool paths_system_wide(void)
{
	/* Both service managers set INVOCATION_ID; a user's always has a runtime folder, too. */
	return geteuid() == 0 ||
	       (paths_environment("INVOCATION_ID") && !paths_environment("XDG_RUNTIME_DIR"));
}

static char *home_path(const char *variable, const char *below_home)
{
	const char *base = absolute_environment(variable), *home = absolute_environment("HOME");
	const struct passwd *entry;

	if (base)
		return xstrdup(base);
	if (!home) {
		entry = getpwuid(geteuid());
		home = entry && *entry->pw_dir == '/' ? entry->pw_dir : "/";
	}
	return format_path("%s/%s", strcmp(home, "/") == 0 ? "" : home, below_home);
}

char *paths_config_file(void)
{
	char *base, *path;

	if (paths_system_wide())
		return xstrdup("/etc/tinkexd/tinkexd.conf");
	base = home_path("XDG_CONFIG_HOME", ".config");
	path = format_path("%s/tinkexd/tinkexd.conf", base);
	free(base);
	return path;
}

static char *fallback_run_folder(void)
{
	return format_path("/tmp/tinkexd-%u", geteuid());
}

char *paths_socket(const char **ret_origin)
{
	const char *runtime = absolute_environment("XDG_RUNTIME_DIR");
	char *folder, *path;

	*ret_origin = "default";
	if (paths_system_wide())
		return xstrdup(SYSTEM_RUN_FOLDER "/tinkexd.sock");
	if (runtime) {
		*ret_origin = "$XDG_RUNTIME_DIR";
		return format_path("%s/tinkexd/tinkexd.sock", runtime);
	}
	folder = fallback_run_folder();
	path = format_path("%s/tinkexd.sock", folder);
	free(folder);
	return path;
}

char *paths_state_dir(const char **ret_origin)
{
	const char *given = absolute_environment("STATE_DIRECTORY");
	char *base, *path;

	if (given) { /* the manager separates several by colons */
		*ret_origin = "$STATE_DIRECTORY";
		return xstrndup(given, strcspn(given, ":"));
	}
	*ret_origin = "default";
	if (paths_system_wide())
		return xstrdup("/var/lib/tinkexd");
	if (absolute_environment("XDG_STATE_HOME"))
		*ret_origin = "$XDG_STATE_HOME";
	base = home_path("XDG_STATE_HOME", ".local/state");
	path = format_path("%s/tinkexd", base);
	free(base);
	return path;
}

char *paths_absolute(const char *path)
{
	char *folder, *absolute;

	if (*path == '/')
		return xstrdup(path);
	folder = getcwd(NULL, 0);
	absolute = format_path("%s/%s", folder && strcmp(folder, "/") != 0 ? folder : "", path);
	free(folder);
	return absolute;
}

static int make_one(const char *path, mode_t mode)
{
	struct stat status;
	int error;

	if (mkdir(path, mode) == 0)
		return chmod(path, mode) < 0 ? -errno : 0; /* whatever the umask is */
	/* It may refuse (read-only, not permitted) before it sees that nothing is to be done. */
	error = errno;
	if (stat(path, &status) < 0)
		return error == EEXIST ? -errno : -error;
	if (S_ISDIR(status.st_mode))
		return 0;
	return error == EEXIST ? -ENOTDIR : -error;
}

int paths_make_directory(const char *path, mode_t mode)
{
	char *partial = xstrdup(path);
	int r = 0;

	for (char *slash = partial + 1; *partial && r >= 0 && (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		r = make_one(partial, mode);
		*slash = '/';
	}
	if (r >= 0)
		r = make_one(path, mode);
	free(partial);
	return r;
}

/* Anybody can make a folder below /tmp: only one that is ours, is no link and is closed to others will do. */
static int check_fallback(const char *folder, char **ret_message)
{
	struct stat status;

	if (lstat(folder, &status) < 0)
		return complain(ret_message, -errno, "cannot use %s: %s", folder, strerror(errno));
	if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 077))
		return complain(ret_message, -EPERM,
				"%s is not a folder of uid %u with mode 0700 (somebody else may have made "
				"it); remove it, "
				"or set XDG_RUNTIME_DIR or --socket",
				folder, geteuid());
	return 0;
}

int paths_prepare_socket_folder(const char *socket, char **ret_message)
{
	const char *slash = strrchr(socket, '/');
	char *folder, *fallback;
	int r = 0;

	if (!slash || slash == socket)
		return 0;
	folder = xstrndup(socket, (size_t)(slash - socket));
	fallback = fallback_run_folder();
	r = make_one(folder, strcmp(folder, SYSTEM_RUN_FOLDER) == 0 ? 0755 : 0700);
	if (r < 0)
		complain(ret_message, r, "cannot make %s for the socket: %s", folder, strerror(-r));
	else if (strcmp(folder, fallback) == 0)
		r = check_fallback(folder, ret_message);
	free(folder);
	free(fallback);
	return r;
}

static int check_secret(const char *path, int fd, char **ret_reason)
{
	struct stat status;
	mode_t others;

	if (fstat(fd, &status) < 0)
		return complain(ret_reason, -errno, "cannot be read: %s", strerror(errno));
	if (!S_ISREG(status.st_mode))
		return complain(ret_reason, -EINVAL, "is no regular file");
	if (status.st_uid != geteuid() && status.st_uid != 0)
		return complain(ret_reason, -EPERM,
				"belongs to uid %u: it must be the daemon's own (uid %u) or root's",
				status.st_uid, geteuid());
	others = status.st_uid == 0 ? 0037 : 0077;
	if (status.st_mode & others)
		return complain(ret_reason, -EPERM,
				"has mode %04o: others can read or change it; chmod %s %s",
				status.st_mode & 07777U, status.st_uid == geteuid() ? "600" : "640", path);
	return 0;
}

int paths_open_secret(const char *path, int *ret_fd, char **ret_reason)
{
	/* O_NONBLOCK: a FIFO in its place must not stop us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;

	if (fd < 0)
		return complain(ret_reason, -errno, "cannot be read: %s", strerror(errno));
	r = check_secret(path, fd, ret_reason);
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}
