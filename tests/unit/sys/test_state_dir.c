/* The state directory: who may have it, and that only one has. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "sys/state_dir.h"

static struct state_dir *open_good(const char *path)
{
	struct state_dir *state_dir = NULL;
	char *message = NULL;
	int r = state_dir_open(path, &state_dir, &message);

	ck_assert_msg(r == 0, "%s", message);
	return state_dir;
}

static void open_bad(const char *path, int error, const char *why)
{
	struct state_dir *state_dir = NULL;
	char *message = NULL;

	ck_assert_int_eq(state_dir_open(path, &state_dir, &message), error);
	ck_assert_ptr_null(state_dir);
	ck_assert_msg(message && strstr(message, path) && strstr(message, why), "%s", message);
	free(message);
}

START_TEST(is_made_for_us_alone)
{
	const char *path = scratch_path("a/b/state");
	struct state_dir *state_dir;
	struct stat status;
	char pid[32];

	umask(0);
	state_dir = open_good(path);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0700);
	ck_assert_int_eq(stat(scratch_path("a"), &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0700);
	ck_assert_int_eq(stat(scratch_path("a/b/state/lock"), &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	snprintf(pid, sizeof(pid), "%d\n", getpid());
	ck_assert_str_eq(scratch_read("a/b/state/lock"), pid);
	/* For openat(), and not for children. */
	ck_assert_int_eq(fstatat(state_dir_fd(state_dir), "lock", &status, 0), 0);
	ck_assert_int_eq(fcntl(state_dir_fd(state_dir), F_GETFD), FD_CLOEXEC);
	ck_assert_ptr_null(state_dir_close(state_dir));
	/* Again, with a lock file that is there. */
	state_dir_close(open_good(path));
	ck_assert_ptr_null(state_dir_close(NULL));
}
END_TEST

/* Another process that holds the directory until it is killed. */
static pid_t hold(const char *path)
{
	int ready[2];
	pid_t pid;
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct state_dir *state_dir;
		char *message;

		if (state_dir_open(path, &state_dir, &message) == 0 && write(ready[1], "x", 1) == 1) {
			for (;;)
				pause();
		}
		_exit(1);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

START_TEST(a_second_daemon_is_refused)
{
	const char *path = scratch_path("state");
	pid_t holder = hold(path);
	char why[64];

	snprintf(why, sizeof(why), "is in use by another tinkexd (pid %d); stop that one", holder);
	open_bad(path, -EBUSY, why);
	open_bad(path, -EBUSY, why);
	/* However it ends, the lock ends with it. */
	ck_assert_int_eq(kill(holder, SIGKILL), 0);
	ck_assert_int_eq(waitpid(holder, NULL, 0), holder);
	state_dir_close(open_good(path));
}
END_TEST

START_TEST(one_process_has_it_once)
{
	const char *path = scratch_path("state");
	struct state_dir *state_dir = open_good(path);
	int fd;

	open_bad(path, -EBUSY, "is in use by another tinkexd (pid ");
	/* A lock file that says nothing. */
	fd = open(scratch_path("state/lock"), O_WRONLY | O_TRUNC | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	close(fd);
	open_bad(path, -EBUSY, "is in use by another tinkexd; stop");
	/* Somebody has taken the file for a stale one. */
	ck_assert_int_eq(unlink(scratch_path("state/lock")), 0);
	open_bad(path, -EBUSY, "is in use by another tinkexd; stop");
	open_bad(path, -EBUSY, "is in use by another tinkexd; stop");
	state_dir_close(state_dir);
	state_dir_close(open_good(path));
}
END_TEST

START_TEST(others_must_not_write)
{
	static const mode_t bad[] = {0770, 0702, 0777, 01777}, good[] = {0700, 0750, 0755};
	const char *path = scratch_path("state");

	ck_assert_int_eq(mkdir(path, 0700), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_int_eq(chmod(path, bad[i]), 0);
		open_bad(path, -EPERM, "others could change what is stored; chmod 700 ");
		ck_assert_int_eq(access(scratch_path("state/lock"), F_OK), -1);
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		ck_assert_int_eq(chmod(path, good[i]), 0);
		state_dir_close(open_good(path));
	}
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(path, 54321, 0), 0);
		open_bad(path, -EPERM, "belongs to uid 54321, not to the daemon's uid 0");
	}
}
END_TEST

START_TEST(not_everything_is_a_directory)
{
	const char *file = scratch_write("file", 0600, "");

	open_bad(file, -ENOTDIR, "cannot make the state directory");
	open_bad(scratch_path("file/below"), -ENOTDIR, "cannot make the state directory");
	/* A link to a directory is one: systemd makes them. */
	ck_assert_int_eq(mkdir(scratch_path("real"), 0700), 0);
	ck_assert_int_eq(symlink("real", scratch_path("link")), 0);
	state_dir_close(open_good(scratch_path("link")));
	/* A lock that leads elsewhere is not followed. */
	ck_assert_int_eq(unlink(scratch_path("real/lock")), 0);
	ck_assert_int_eq(symlink(file, scratch_path("real/lock")), 0);
	open_bad(scratch_path("real"), -ELOOP, "/lock");
	ck_assert_str_eq(scratch_read("file"), "");
}
END_TEST

START_TEST(where_nothing_can_be_made)
{
	scratch_drop_root();
	ck_assert_int_eq(mkdir(scratch_path("closed"), 0500), 0);
	open_bad(scratch_path("closed/state"), -EACCES, "Permission denied");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {is_made_for_us_alone,          a_second_daemon_is_refused,
				      one_process_has_it_once,       others_must_not_write,
				      not_everything_is_a_directory, where_nothing_can_be_made};

	return SCRATCH_RUN("state_dir", tests);
}
