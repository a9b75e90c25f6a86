#include "front.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

/* Outside of tests too: nothing is asserted here. -1: no process. */
static pid_t run(char *const arguments[])
{
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves nothing behind */
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		close_range(STDERR_FILENO + 1, ~0U, 0);
		execvp(arguments[0], arguments);
		_exit(127);
	}
	return pid;
}

static int status_of(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool program_runs(const char *name, const char *argument)
{
	char *arguments[] = {strdup(name), strdup(argument), NULL};
	int status = status_of(run(arguments));

	free(arguments[0]);
	free(arguments[1]);
	return status == 0;
}

bool front_is_possible(void)
{
	return program_runs("nghttpx", "--version") && program_runs("openssl", "version");
}

/* Runs words without spaces in them; NULL at the end. */
#define WORDS_MAX 32
static pid_t run_words(const char *first, ...)
{
	char *arguments[WORDS_MAX + 1] = {NULL};
	const char *word = first;
	va_list args;
	pid_t pid;

	va_start(args, first);
	for (size_t i = 0; word && i < WORDS_MAX; i++) {
		arguments[i] = strdup(word);
		word = va_arg(args, const char *);
	}
	va_end(args);
	pid = run(arguments);
	for (size_t i = 0; arguments[i]; i++)
		free(arguments[i]);
	return pid;
}

void front_make_certificate(const char *key, const char *path)
{
	pid_t pid = run_words("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
			      "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
			      "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
			      "-out", path, NULL);

	ck_assert_int_eq(status_of(pid), 0);
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int free_port(void)
{
	struct sockaddr_in address = loopback(0);
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static bool listens(int port)
{
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool connected = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

	close(fd);
	return connected;
}

static void wait_until_listening(const struct front *front)
{
	for (int i = 0; i < PATIENCE_S * 50; i++) {
		int status;

		if (listens(front->port))
			return;
		ck_assert_msg(waitpid(front->pid, &status, WNOHANG) == 0, "nghttpx has ended");
		poll(NULL, 0, 20); /* there is no descriptor that would tell */
	}
	ck_abort_msg("nghttpx does not listen");
}

void front_restart(struct front *front, const char *alpn, int streams)
{
	char listen[64], backend[64], protocols[64], maximum[64];

	snprintf(listen, sizeof(listen), "--frontend=127.0.0.1,%d", front->port);
	snprintf(backend, sizeof(backend), "--backend=127.0.0.1,%d", front->backend);
	snprintf(protocols, sizeof(protocols), "--npn-list=%s", alpn);
	snprintf(maximum, sizeof(maximum), "--frontend-http2-max-concurrent-streams=%d", streams);
	front->pid = run_words("nghttpx", "--conf=/dev/null", "--single-process", "--no-ocsp", "--workers=1",
			       listen, backend, protocols, maximum, front->key, front->certificate, NULL);
	ck_assert_int_gt(front->pid, 0);
	wait_until_listening(front);
}

void front_start(struct front *front, const char *alpn, int streams)
{
	front->backend = world->server->port;
	front->port = free_port();
	snprintf(front->key, sizeof(front->key), "%s/front-key.pem", world->directory);
	snprintf(front->certificate, sizeof(front->certificate), "%s/front.pem", world->directory);
	front_make_certificate(front->key, front->certificate);
	front_restart(front, alpn, streams);
}

void front_kill(struct front *front)
{
	if (!front->pid)
		return;
	kill(front->pid, SIGKILL);
	waitpid(front->pid, NULL, 0);
	front->pid = 0;
}
