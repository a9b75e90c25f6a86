/* The folder of the socket, and a few paths that no configuration test asks for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "sys/paths.h"

static void prepare_bad(const char *socket, int error, const char *why)
{
	char *message = NULL;

	ck_assert_int_eq(paths_prepare_socket_folder(socket, &message), error);
	ck_assert_msg(message && strstr(message, why), "%s", message);
	free(message);
}

START_TEST(makes_the_socket_folder)
{
	char *message = NULL;
	struct stat status;

	umask(0);
	ck_assert_int_eq(paths_prepare_socket_folder(scratch_path("run/tinkexd.sock"), &message), 0);
	ck_assert_int_eq(stat(scratch_path("run"), &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0700);
	/* One that is there stays as it is. */
	ck_assert_int_eq(chmod(scratch_path("run"), 0755), 0);
	ck_assert_int_eq(paths_prepare_socket_folder(scratch_path("run/tinkexd.sock"), &message), 0);
	ck_assert_int_eq(stat(scratch_path("run"), &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0755);
	/* No parents: a folder that does not exist is most likely a mistake. */
	prepare_bad(scratch_path("no/such/tinkexd.sock"), -ENOENT, "cannot make ");
	scratch_write("file", 0600, "");
	prepare_bad(scratch_path("file/tinkexd.sock"), -ENOTDIR, "cannot make ");
	ck_assert_int_eq(paths_prepare_socket_folder("/tinkexd.sock", &message), 0);
	ck_assert_int_eq(paths_prepare_socket_folder("tinkexd.sock", &message), 0);
}
END_TEST

/* /tmp/tinkexd-UID may have been made by anybody. */
START_TEST(checks_the_fallback_folder)
{
	char *message = NULL, *socket, *folder;
	const char *origin;

	scratch_drop_root();
	socket = paths_socket(&origin);
	folder = strdup(socket);
	*strrchr(folder, '/') = '\0';
	if (access(folder, F_OK) == 0) { /* somebody's own daemon: not ours to play with */
		free(socket);
		free(folder);
		return;
	}
	ck_assert_int_eq(paths_prepare_socket_folder(socket, &message), 0);
	ck_assert_int_eq(paths_prepare_socket_folder(socket, &message), 0);
	ck_assert_int_eq(chmod(folder, 0770), 0);
	prepare_bad(socket, -EPERM, "is not a folder of uid");
	ck_assert_int_eq(chmod(folder, 0701), 0);
	prepare_bad(socket, -EPERM, "with mode 0700");
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(symlink(scratch_folder(), folder), 0);
	prepare_bad(socket, -EPERM, "somebody else may have made it");
	ck_assert_int_eq(unlink(folder), 0);
	free(socket);
	free(folder);
}
END_TEST

START_TEST(configuration_file)
{
	char *path;

	if (geteuid() == 0) {
		path = paths_config_file();
		ck_assert_str_eq(path, "/etc/tinkexd/tinkexd.conf");
		free(path);
	}
	scratch_drop_root();
	path = paths_config_file();
	ck_assert_str_eq(path, scratch_path(".config/tinkexd/tinkexd.conf"));
	free(path);
	setenv("XDG_CONFIG_HOME", "relative", 1); /* to be ignored */
	path = paths_config_file();
	ck_assert_str_eq(path, scratch_path(".config/tinkexd/tinkexd.conf"));
	free(path);
	setenv("XDG_CONFIG_HOME", "/xdg", 1);
	path = paths_config_file();
	ck_assert_str_eq(path, "/xdg/tinkexd/tinkexd.conf");
	free(path);
	/* A system service knows by its manager, a user's service has a runtime folder besides. */
	setenv("INVOCATION_ID", "0123", 1);
	path = paths_config_file();
	ck_assert_str_eq(path, "/etc/tinkexd/tinkexd.conf");
	free(path);
	setenv("XDG_RUNTIME_DIR", "/run/user/12345", 1);
	path = paths_config_file();
	ck_assert_str_eq(path, "/xdg/tinkexd/tinkexd.conf");
	free(path);
}
END_TEST

START_TEST(absolute_paths)
{
	char *path = paths_absolute("/a/b");

	ck_assert_str_eq(path, "/a/b");
	free(path);
	ck_assert_int_eq(chdir(scratch_folder()), 0);
	path = paths_absolute("a/b");
	ck_assert_str_eq(path, scratch_path("a/b"));
	free(path);
	ck_assert_int_eq(chdir("/"), 0);
	path = paths_absolute("a");
	ck_assert_str_eq(path, "/a");
	free(path);
}
END_TEST

START_TEST(directories)
{
	ck_assert_int_eq(paths_make_directory(scratch_path("a//b/c/"), 0750), 0);
	ck_assert_int_eq(access(scratch_path("a/b/c"), F_OK), 0);
	ck_assert_int_eq(paths_make_directory(scratch_path("a/b/c"), 0700), 0);
	ck_assert_int_eq(paths_make_directory("/", 0700), 0);
	ck_assert_int_eq(paths_make_directory("", 0700), -ENOENT);
	ck_assert_int_eq(paths_make_directory(scratch_write("f", 0600, ""), 0700), -ENOTDIR);
	ck_assert_int_eq(symlink("nowhere", scratch_path("dangling")), 0);
	ck_assert_int_eq(paths_make_directory(scratch_path("dangling"), 0700), -ENOENT);
}
END_TEST

START_TEST(secrets)
{
	const char *path = scratch_write("secret", 0600, "tml-x");
	char *reason = NULL, text[16] = "";
	int fd = -1;

	ck_assert_int_eq(paths_open_secret(path, &fd, &reason), 0);
	ck_assert_int_eq(read(fd, text, sizeof(text)), 5);
	ck_assert_str_eq(text, "tml-x");
	close(fd);
	fd = -1;
	ck_assert_int_eq(paths_open_secret(scratch_path("none"), &fd, &reason), -ENOENT);
	free(reason);
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(paths_open_secret(path, &fd, &reason), -EPERM);
	ck_assert_ptr_nonnull(strstr(reason, "has mode 0644: "));
	ck_assert_ptr_nonnull(strstr(reason, "; chmod 600 "));
	free(reason);
	ck_assert_int_eq(fd, -1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {makes_the_socket_folder,
				      checks_the_fallback_folder,
				      configuration_file,
				      absolute_paths,
				      directories,
				      secrets};

	return SCRATCH_RUN("paths", tests);
}
