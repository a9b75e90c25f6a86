#include "service.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "log.h"

#ifdef HAVE_SYSTEMD
#include <inttypes.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

void service_ready(void)
{
	sd_notify(0, "READY=1");
}

void service_reloading(void)
{
	struct timespec time;

	/* The manager tells this reload from an earlier one by the time on its own clock. */
	clock_gettime(CLOCK_MONOTONIC, &time);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		   (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000);
}

void service_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

static void send_status(const char *text)
{
	sd_notifyf(0, "STATUS=%s", text);
}

int64_t service_watchdog_interval(void)
{
	uint64_t interval;

	if (sd_watchdog_enabled(0, &interval) <= 0 || interval > INT64_MAX)
		return 0;
	return (int64_t)(interval / 2);
}

void service_watchdog_ping(void)
{
	sd_notify(0, "WATCHDOG=1");
}

int service_listening_socket(void)
{
	int n = sd_listen_fds(1), found = -1;

	if (n < 0)
		log_error("service", "cannot take over the service manager's sockets: %s", strerror(-n));
	for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++) {
		if (found < 0 && sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) > 0) {
			found = fd;
			continue;
		}
		log_warning("service",
			    "descriptor %d from the service manager is not needed: one listening Unix stream "
			    "socket is",
			    fd);
		close(fd);
	}
	return found;
}

#else

void service_ready(void)
{
}

void service_reloading(void)
{
}

void service_stopping(void)
{
}

static void send_status(const char *text)
{
	(void)text;
}

int64_t service_watchdog_interval(void)
{
	return 0;
}

void service_watchdog_ping(void)
{
}

int service_listening_socket(void)
{
	return -1;
}

#endif

void service_status(const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_clean(text); /* a line break would begin another assignment */
	send_status(text);
}

uint64_t service_raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	if (limit.rlim_cur != limit.rlim_max) {
		struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	return limit.rlim_cur;
}
