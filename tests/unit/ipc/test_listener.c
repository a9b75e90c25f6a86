/* The socket file, and who is let in. What needs other users is tested when root runs it. */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/listener.h"
#include "stage.h"

#define PING(id) "{\"id\":" id ",\"method\":\"ping\"}"

static struct stage *stage;
static char folder[64], path[96];
static char *message;

static void begin(void)
{
	stage = stage_new();
	snprintf(folder, sizeof(folder), "/tmp/tinkexd-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/d.sock", folder);
	message = NULL;
}

static void end(void)
{
	listener_free(stage->listener);
	stage->listener = NULL;
	stage_free(stage);
	free(message);
	unlink(path);
	rmdir(folder);
}

static struct listener_settings settings(void)
{
	return (struct listener_settings){
		.path = path,
		.mode = 0600,
		.group = (gid_t)-1,
		.fd = -1,
		.max_peers = 100,
		.max_peers_per_uid = 50,
		.max_peer_memory = 1 << 20,
	};
}

static int listen_with(const struct listener_settings *with)
{
	free(message);
	return listener_new(with, &stage->commands, stage->loop, &stage->metrics, &stage->listener, &message);
}

static void start(void)
{
	struct listener_settings with = settings();
	int error = listen_with(&with);

	ck_assert_msg(error == 0, "%s", message);
}

static void expect_refusal(const struct listener_settings *with, int error, const char *part)
{
	ck_assert_int_eq(listen_with(with), error);
	ck_assert_ptr_nonnull(message);
	ck_assert_msg(strstr(message, part) != NULL, "\"%s\" does not say \"%s\"", message, part);
}

static int try_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -errno;
}

static struct client *client_connect(void)
{
	int fd = try_connect();

	ck_assert_int_ge(fd, 0);
	return client_adopt(stage, fd);
}

START_TEST(a_socket_with_the_right_mode)
{
	struct listener_settings with = settings();
	struct client *client;
	struct stat info;

	begin();
	with.mode = 0666;
	with.group = getgid();
	ck_assert_int_eq(listen_with(&with), 0);
	ck_assert_int_eq(stat(path, &info), 0);
	ck_assert(S_ISSOCK(info.st_mode));
	ck_assert_int_eq(info.st_mode & 07777, 0666);
	ck_assert_int_eq(info.st_gid, getgid());
	client = client_connect();
	client_ask(client, "{\"id\":1,\"method\":\"hello\"}", OK("1", "{~}"));
	ck_assert_uint_eq(listener_peers(stage->listener), 1);
	ck_assert_uint_eq(stage->metrics.peers_accepted, 1);
	client_free(client);
	for (int i = 0; i < 3; i++)
		stage_turn(stage);
	ck_assert_uint_eq(listener_peers(stage->listener), 0);
	stage->listener = listener_free(stage->listener);
	ck_assert_int_eq(access(path, F_OK), -1);
	end();
}
END_TEST

START_TEST(the_uid_is_the_kernels)
{
	struct client *client;
	char *line;

	begin();
	start();
	client = client_connect();
	client_say(client, "{\"id\":1,\"method\":\"hello\"}");
	line = client_line(client);
	ck_assert_int_eq(int_at(line, "/result/uid"), getuid());
	free(line);
	client_free(client);
	end();
}
END_TEST

START_TEST(a_folder_is_made_for_its_owner_only)
{
	struct stat info;
	char sub[80];

	begin();
	snprintf(sub, sizeof(sub), "%s/sub", folder);
	snprintf(path, sizeof(path), "%s/d.sock", sub);
	start();
	ck_assert_int_eq(stat(sub, &info), 0);
	ck_assert_int_eq(info.st_mode & 07777, 0700);
	stage->listener = listener_free(stage->listener);
	rmdir(sub);
	/* One level is made, not a tree. */
	snprintf(path, sizeof(path), "%s/a/b/d.sock", folder);
	expect_refusal(&(struct listener_settings){.path = path, .mode = 0600, .group = (gid_t)-1, .fd = -1},
		       -ENOENT, "for the socket");
	end();
}
END_TEST

START_TEST(a_dead_socket_is_replaced)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	begin();
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	start();
	fd = try_connect();
	ck_assert_int_ge(fd, 0);
	close(fd);
	end();
}
END_TEST

START_TEST(a_living_one_is_not)
{
	struct listener_settings with;
	struct listener *first;
	struct client *client;

	begin();
	start();
	first = stage->listener;
	with = settings();
	expect_refusal(&with, -EADDRINUSE, "another daemon");
	stage->listener = first;
	client = client_connect();
	client_ask(client, PING("1"), OK("1", "{}"));
	client_free(client);
	end();
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone)
{
	struct listener_settings with;
	FILE *file;

	begin();
	with = settings();
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fclose(file);
	expect_refusal(&with, -EEXIST, "not a socket");
	ck_assert_int_eq(access(path, F_OK), 0);
	unlink(path);
	ck_assert_int_eq(symlink("/tmp/nowhere.sock", path), 0);
	expect_refusal(&with, -EEXIST, "not a socket");
	end();
}
END_TEST

START_TEST(paths_that_cannot_be)
{
	char longest[200];
	struct listener_settings with;

	begin();
	memset(longest, 'l', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	with = settings();
	with.path = longest;
	expect_refusal(&with, -ENAMETOOLONG, "longer than");
	end();
}
END_TEST

START_TEST(folders_that_others_control)
{
	struct listener_settings with;

	begin();
	with = settings();
	ck_assert_int_eq(chmod(folder, 0777), 0);
	expect_refusal(&with, -EPERM, "written by everybody");
	ck_assert_int_eq(chmod(folder, 0700), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(folder, 4242, (gid_t)-1), 0);
		expect_refusal(&with, -EPERM, "belongs to uid 4242");
	}
	end();
}
END_TEST

START_TEST(another_daemons_file_is_not_removed)
{
	begin();
	start();
	ck_assert_int_eq(unlink(path), 0);
	fclose(fopen(path, "w"));
	stage->listener = listener_free(stage->listener);
	ck_assert_int_eq(access(path, F_OK), 0);
	end();
}
END_TEST

START_TEST(a_socket_that_is_handed_over)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct listener_settings with;
	struct client *client;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), fds[2];

	begin();
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	with = settings();
	with.fd = fd;
	expect_refusal(&with, -EINVAL, "not a listening");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	with.fd = fds[0];
	expect_refusal(&with, -EINVAL, "not a listening");
	close(fds[0]);
	close(fds[1]);
	with.fd = 999;
	expect_refusal(&with, -EBADF, "descriptor 999");
	ck_assert_int_eq(listen(fd, 5), 0);
	with.fd = fd;
	ck_assert_int_eq(listen_with(&with), 0);
	client = client_connect();
	client_ask(client, PING("1"), OK("1", "{}"));
	client_free(client);
	stage->listener = listener_free(stage->listener);
	ck_assert_int_eq(access(path, F_OK), 0); /* not bound here, not removed here */
	end();
}
END_TEST

START_TEST(so_many_and_no_more)
{
	struct client *clients[3], *more;

	begin();
	start();
	listener_set_limits(stage->listener, 100, 3, 1 << 20);
	for (int i = 0; i < 3; i++) {
		clients[i] = client_connect();
		client_ask(clients[i], PING("1"), OK("1", "{}"));
	}
	more = client_connect();
	client_expect(more, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32002,\"message\":\"~max_"
			    "peers_per_uid~\",\"data\":{\"name\":"
			    "\"limit_exceeded\",\"limit\":3}}}");
	client_expect_end(more);
	client_free(more);
	ck_assert_uint_eq(stage->metrics.peers_refused, 1);
	listener_set_limits(stage->listener, 3, 50, 1 << 20);
	more = client_connect();
	client_expect(more, "{~(max_peers)~\"limit\":3}}}");
	client_expect_end(more);
	client_free(more);
	/* One goes, one comes. */
	client_free(clients[0]);
	for (int i = 0; i < 3; i++)
		stage_turn(stage);
	clients[0] = client_connect();
	client_ask(clients[0], PING("1"), OK("1", "{}"));
	for (int i = 0; i < 3; i++)
		client_free(clients[i]);
	end();
}
END_TEST

START_TEST(no_more_after_stopping)
{
	struct client *client;

	begin();
	start();
	client = client_connect();
	client_ask(client, PING("1"), OK("1", "{}"));
	listener_stop_accepting(stage->listener);
	ck_assert_int_eq(try_connect(), -ECONNREFUSED);
	client_ask(client, PING("2"), OK("2", "{}"));
	ck_assert_uint_eq(listener_peers(stage->listener), 1);
	listener_stop_accepting(stage->listener);
	client_free(client);
	end();
}
END_TEST

/* Out of descriptors: those who are here go on, and who waits is let in when one is free again. */
START_TEST(out_of_descriptors)
{
	struct rlimit limit, before;
	struct client *client, *late;
	int fd, last = 0;

	begin();
	start();
	client = client_connect();
	client_ask(client, PING("1"), OK("1", "{}"));
	late = client_connect();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (fd = 0; fd < 1000; fd++) {
		struct stat info;

		if (fstat(fd, &info) == 0)
			last = fd;
	}
	/* Close gaps, so that the next descriptor is beyond the limit. */
	while ((fd = dup(0)) >= 0 && fd < last)
		;
	close(fd);
	limit = before;
	limit.rlim_cur = (rlim_t)last + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int i = 0; i < 5; i++)
		client_ask(client, PING("2"), OK("2", "{}"));
	ck_assert_uint_eq(listener_peers(stage->listener), 1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	client_ask(late, PING("3"), OK("3", "{}"));
	client_free(client);
	client_free(late);
	end();
}
END_TEST

/* Runs as another user: connects, says hello, and gives back the first line of the answer. */
static char *hello_as(uid_t uid, gid_t gid, const char *call)
{
	int fds[2], status;
	struct client *pipe_end;
	char *line;
	pid_t child;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	child = fork();
	if (child == 0) {
		gid_t groups[] = {gid, 777};
		char answer[4096];
		ssize_t size;
		int fd;

		if (setgroups(2, groups) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
			_exit(1);
		fd = try_connect();
		if (fd < 0)
			_exit(2);
		send(fd, call, strlen(call), MSG_NOSIGNAL); /* who is refused may find it closed */
		size = read(fd, answer, sizeof(answer));
		if (size > 0)
			(void)!write(fds[1], answer, (size_t)size);
		_exit(0);
	}
	close(fds[1]);
	pipe_end = client_adopt(stage, fds[0]);
	line = client_line(pipe_end);
	client_free(pipe_end);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	return line;
}

START_TEST(other_users)
{
	struct listener_settings with = settings();
	char *line;

	if (geteuid() != 0)
		return;
	begin();
	ck_assert_int_eq(chmod(folder, 0755), 0);
	with.mode = 0666;
	ck_assert_int_eq(listen_with(&with), 0);
	line = hello_as(4242, 4242, "{\"id\":1,\"method\":\"hello\"}\n");
	expect_at(line, "/result/uid", "4242");
	free(line);
	/* The supplementary groups count. */
	stage->endpoints[2]->groups = malloc(sizeof(gid_t));
	stage->endpoints[2]->groups[0] = 777;
	stage->endpoints[2]->n_groups = 1;
	line = hello_as(4242, 4242, "{\"id\":1,\"method\":\"endpoints\"}\n");
	ck_assert_uint_eq(items_at(line, "/result/endpoints"), 3);
	free(line);
	stage->endpoints[2]->groups[0] = 778;
	line = hello_as(4242, 4242, "{\"id\":1,\"method\":\"endpoints\"}\n");
	ck_assert_uint_eq(items_at(line, "/result/endpoints"), 2);
	free(line);
	/* A uid that the kernel cannot name is nobody's. */
	line = hello_as(65534, 65534, "{\"id\":1,\"method\":\"hello\"}\n");
	expect_at(line, "/error/code", "-32000");
	free(line);
	end();
}
END_TEST

START_TEST(places_that_are_kept_for_root)
{
	struct listener_settings with = settings();
	struct client *clients[7], *root;
	char *line;

	if (geteuid() != 0)
		return;
	begin();
	ck_assert_int_eq(chmod(folder, 0755), 0);
	with.mode = 0666;
	with.max_peers = 8; /* one of them is root's */
	ck_assert_int_eq(listen_with(&with), 0);
	for (int i = 0; i < 7; i++) {
		clients[i] = client_connect();
		client_ask(clients[i], PING("1"), OK("1", "{}"));
	}
	line = hello_as(4242, 4242, "{\"id\":1,\"method\":\"hello\"}\n");
	expect_at(line, "/error/code", "-32002");
	free(line);
	root = client_connect();
	client_ask(root, PING("1"), OK("1", "{}"));
	client_free(root);
	for (int i = 0; i < 7; i++)
		client_free(clients[i]);
	end();
}
END_TEST

SUITE("listener", a_socket_with_the_right_mode, the_uid_is_the_kernels, a_folder_is_made_for_its_owner_only,
      a_dead_socket_is_replaced, a_living_one_is_not, what_is_no_socket_is_left_alone, paths_that_cannot_be,
      folders_that_others_control, another_daemons_file_is_not_removed, a_socket_that_is_handed_over,
      so_many_and_no_more, no_more_after_stopping, out_of_descriptors, other_users,
      places_that_are_kept_for_root)
