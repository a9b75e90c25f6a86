/* What the service manager hears, and what it hands over. Without libsystemd: nothing, and nothing. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scratch.h"
#include "sys/service.h"

static int manager = -1;

static void listen_as_manager(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = scratch_path("notify");

	ck_assert_uint_lt(strlen(path), sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(manager, 0);
	ck_assert_int_eq(bind(manager, (const struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
}

static const char *heard(void)
{
	static char text[2048];
	ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

#ifdef HAVE_SYSTEMD
#define EXPECT(text) text
#else
#define EXPECT(text) ""
#endif

START_TEST(notices)
{
	listen_as_manager();
	service_ready();
	ck_assert_str_eq(heard(), EXPECT("READY=1"));
	service_stopping();
	ck_assert_str_eq(heard(), EXPECT("STOPPING=1"));
	service_watchdog_ping();
	ck_assert_str_eq(heard(), EXPECT("WATCHDOG=1"));
	service_status("%d futures", 3);
	ck_assert_str_eq(heard(), EXPECT("STATUS=3 futures"));
	/* What a server said must not become another assignment. */
	service_status("%s", "x\nMAINPID=1");
	ck_assert_str_eq(heard(), EXPECT("STATUS=x MAINPID=1"));
	ck_assert_str_eq(heard(), "");
	close(manager);
}
END_TEST

START_TEST(reload_has_a_time)
{
	struct timespec before, after;
	const char *text;

	listen_as_manager();
	clock_gettime(CLOCK_MONOTONIC, &before);
	service_reloading();
	clock_gettime(CLOCK_MONOTONIC, &after);
	text = heard();
#ifdef HAVE_SYSTEMD
	{
		uint64_t time = 0;

		ck_assert_int_eq(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &time), 1);
		ck_assert_uint_ge(time, (uint64_t)before.tv_sec * 1000000 + (uint64_t)before.tv_nsec / 1000);
		ck_assert_uint_le(time, (uint64_t)after.tv_sec * 1000000 + (uint64_t)after.tv_nsec / 1000);
	}
#else
	ck_assert_str_eq(text, "");
#endif
	close(manager);
}
END_TEST

START_TEST(nobody_listens)
{
	service_ready();
	service_reloading();
	service_stopping();
	service_status("x");
	service_watchdog_ping();
	ck_assert_int_eq(service_watchdog_interval(), 0);
	ck_assert_int_eq(service_listening_socket(), -1);
	/* A manager that is gone. */
	setenv("NOTIFY_SOCKET", scratch_path("none"), 1);
	service_ready();
}
END_TEST

START_TEST(watchdog)
{
	char pid[32];

	setenv("WATCHDOG_USEC", "3000000", 1);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("WATCHDOG_PID", pid, 1);
#ifdef HAVE_SYSTEMD
	ck_assert_int_eq(service_watchdog_interval(), 1500000);
#else
	ck_assert_int_eq(service_watchdog_interval(), 0);
#endif
	setenv("WATCHDOG_PID", "1", 1); /* another's */
	ck_assert_int_eq(service_watchdog_interval(), 0);
	unsetenv("WATCHDOG_PID");
}
END_TEST

/* Descriptors 3 and up are Check's: a process of its own takes them over. Its exit code is the socket that
 * was found, 255 for none. */
static int hand_over(int n, const int *fds)
{
	pid_t pid = fork();
	int status, copies[4];
	char text[32];

	ck_assert_int_ge(pid, 0);
	ck_assert_int_le(n, 4);
	if (pid == 0) {
		for (int i = 0; i < n; i++)
			copies[i] = fcntl(fds[i], F_DUPFD, 100);
		for (int i = 0; i < n; i++)
			dup2(copies[i], 3 + i);
		snprintf(text, sizeof(text), "%d", getpid());
		setenv("LISTEN_PID", text, 1);
		snprintf(text, sizeof(text), "%d", n);
		setenv("LISTEN_FDS", text, 1);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		status = service_listening_socket();
		/* Not for children, and what is not needed is closed; asking again finds nothing. */
		for (int fd = 3; fd < 3 + n; fd++) {
			if (fcntl(fd, F_GETFD) != (fd == status ? FD_CLOEXEC : -1))
				_exit(254);
		}
		if (service_listening_socket() != -1)
			_exit(253);
		_exit(status & 255);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(sockets)
{
#ifdef HAVE_SYSTEMD
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = scratch_path("s");
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int quiet = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	memcpy(address.sun_path, path, strlen(path) + 1);
	ck_assert_int_eq(bind(stream, (const struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(stream, 1), 0);
	ck_assert_int_eq(hand_over(1, (const int[]){stream}), 3);
	ck_assert_int_eq(hand_over(3, (const int[]){null, datagram, stream}), 5);
	ck_assert_int_eq(hand_over(2, (const int[]){stream, stream}), 3);
	ck_assert_int_eq(hand_over(2, (const int[]){quiet, datagram}), 255);
	ck_assert_int_eq(hand_over(0, NULL), 255);
	close(stream);
	close(quiet);
	close(datagram);
	close(null);
#else
	(void)hand_over;
#endif
}
END_TEST

START_TEST(descriptor_limit)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < 128)
		return;
	limit.rlim_cur = 100;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(service_raise_descriptor_limit(), limit.rlim_max);
	ck_assert_uint_eq(service_raise_descriptor_limit(), limit.rlim_max);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(limit.rlim_cur, limit.rlim_max);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {notices,  reload_has_a_time, nobody_listens,
				      watchdog, sockets,           descriptor_limit};

	return SCRATCH_RUN("service", tests);
}
