/* tinker-sim: process matters only: limits, signals, the port file, the end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "options.h"
#include "sim.h"

static void on_end(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	/* Delays must never end early and hardly late: no cached time, and a timer finer than milliseconds.
	 */
	if (config &&
	    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_NO_CACHE_TIME |
						  EVENT_BASE_FLAG_NOLOCK) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	if (base && event_base_priority_init(base, SERVER_PRIORITIES) < 0) {
		event_base_free(base);
		return NULL;
	}
	return base;
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Written aside and renamed: who sees the file sees all of it. */
static int write_port_file(const char *path, unsigned port)
{
	char *aside;
	FILE *file;
	int error = 0;

	if (asprintf(&aside, "%s.%ld", path, (long)getpid()) < 0)
		return -ENOMEM;
	file = fopen(aside, "we");
	if (!file || fprintf(file, "%u\n", port) < 0)
		error = -errno;
	if (file && fclose(file) != 0 && error == 0)
		error = -errno;
	if (error == 0 && rename(aside, path) < 0)
		error = -errno;
	if (error < 0)
		unlink(aside);
	free(aside);
	return error;
}

/*
 * The parent's pidfd becomes readable when the whole process has ended; the kernel's parent-death signal,
 * which goes with the thread that started us, is only the fallback for old kernels.
 */
static int watch_parent(struct event *event, struct event_base *base, int *ret_fd)
{
	pid_t parent = getppid();
	int fd = pidfd_open(parent, 0);

	if (fd < 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
			return -errno;
	} else if (event_assign(event, base, fd, EV_READ, on_end, base) < 0 || event_add(event, NULL) < 0) {
		close(fd);
		return -ENOMEM;
	}
	if (getppid() != parent) {
		if (fd >= 0)
			close(fd);
		return -ESRCH;
	}
	*ret_fd = fd;
	return 0;
}

static int announce(const struct sim *sim)
{
	char address[128];

	server_address(sim->server, address, sizeof address);
	if (printf("listening on %s\n", address) < 0 || fflush(stdout) != 0)
		return -EIO;
	if (sim->options.port_file)
		return write_port_file(sim->options.port_file, server_port(sim->server));
	return 0;
}

static int run(struct event_base *base, const struct options *options)
{
	struct event *term = evsignal_new(base, SIGTERM, on_end, base);
	struct event *interrupt = evsignal_new(base, SIGINT, on_end, base);
	struct event *parent = event_new(base, -1, 0, on_end, base);
	struct sim *sim = NULL;
	int parent_fd = -1;
	int error = term && interrupt && parent ? 0 : -ENOMEM;

	if (error == 0 && (event_add(term, NULL) < 0 || event_add(interrupt, NULL) < 0))
		error = -ENOMEM;
	if (error == 0 && options->exit_with_parent) {
		error = watch_parent(parent, base, &parent_fd);
		if (error < 0)
			fprintf(stderr, "tinker-sim: cannot watch the parent: %s\n", strerror(-error));
	}
	if (error == 0)
		error = sim_start(base, options, &sim);
	if (error == 0) {
		error = announce(sim);
		if (error < 0)
			fprintf(stderr, "tinker-sim: cannot announce the port: %s\n", strerror(-error));
	}
	if (error == 0)
		event_base_dispatch(base);
	sim_free(sim);
	if (parent)
		event_free(parent);
	if (parent_fd >= 0)
		close(parent_fd);
	if (interrupt)
		event_free(interrupt);
	if (term)
		event_free(term);
	return error;
}

int main(int argc, char **argv)
{
	struct options options;
	struct event_base *base;
	int error = options_parse(argc, argv, &options);

	if (error != 0)
		return error > 0 ? 0 : 2;
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	base = new_base();
	if (!base)
		return 1;
	error = run(base, &options);
	event_base_free(base);
	libevent_global_shutdown();
	return error < 0 ? 1 : 0;
}
