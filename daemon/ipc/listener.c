#include "listener.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/table.h"
#include "peer.h"
#include "proto/message.h"
#include "socket_file.h"
#include "sys/log.h"

#define ACCEPTS_PER_TURN 64
#define RESERVED_PEERS   16    /* places that only root and the daemon's own user can take */
#define OVERFLOW_UID     65534 /* what the kernel says of a uid that this user namespace does not know */

/* Connections of one uid. */
struct visitor {
	struct table_node by_uid;
	uid_t uid;
	uint32_t count;
};

struct listener {
	struct peers peers;
	struct commands *commands;
	struct metrics *metrics;
	struct socket_file file;
	int fd; /* -1: no longer accepting */
	uint32_t max_peers, max_peers_per_uid;
	uid_t overflow_uid;
	struct table visitors;
	struct event *accept_event, *retry_event;
	bool out_of_descriptors; /* told already */
};

/* Counting by uid. */

static struct visitor *find_visitor(const struct listener *listener, uid_t uid)
{
	struct table_node *node = table_find(&listener->visitors, hash_u64(uid));

	for (; node; node = table_find_next(node)) {
		struct visitor *visitor = container_of(node, struct visitor, by_uid);

		if (visitor->uid == uid)
			return visitor;
	}
	return NULL;
}

static void count_in(struct listener *listener, uid_t uid)
{
	struct visitor *visitor = find_visitor(listener, uid);

	if (!visitor) {
		visitor = xnew(struct visitor);
		visitor->uid = uid;
		table_insert(&listener->visitors, &visitor->by_uid, hash_u64(uid));
	}
	visitor->count++;
}

static void count_out(void *context, const struct peer_identity *identity)
{
	struct listener *listener = context;
	struct visitor *visitor = find_visitor(listener, identity->uid);

	if (!visitor || --visitor->count)
		return;
	table_remove(&listener->visitors, &visitor->by_uid);
	free(visitor);
}

/* Who is it? */

static uid_t read_overflow_uid(void)
{
	unsigned uid = OVERFLOW_UID;
	FILE *file = fopen("/proc/sys/kernel/overflowuid", "re");

	if (file) {
		if (fscanf(file, "%u", &uid) != 1)
			uid = OVERFLOW_UID;
		fclose(file);
	}
	return uid;
}

static int read_groups(int fd, struct peer_identity *identity)
{
	socklen_t size = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0)
		return 0; /* none */
	if (errno != ERANGE)
		return -errno;
	identity->groups = malloc(size);
	if (!identity->groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, identity->groups, &size) < 0)
		return -errno;
	identity->n_groups = size / sizeof(gid_t);
	return 0;
}

static int identify(int fd, struct peer_identity *identity)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return -errno;
	identity->uid = credentials.uid;
	identity->gid = credentials.gid;
	identity->pid = credentials.pid;
	return read_groups(fd, identity);
}

/* Letting in. */

/* Why somebody is not let in. */
struct refusal {
	enum proto_error error; /* PROTO_OK: come in */
	const char *sentence;
	uint32_t limit; /* which was reached; 0: none */
};

static struct refusal check_limits(const struct listener *listener, const struct peer_identity *identity)
{
	const struct visitor *visitor = find_visitor(listener, identity->uid);
	uint32_t reserved = listener->max_peers / 8 < RESERVED_PEERS ? listener->max_peers / 8
								     : RESERVED_PEERS;
	bool privileged = identity->uid == 0 || identity->uid == geteuid();

	if (identity->uid == listener->overflow_uid)
		return (struct refusal){PROTO_DENIED, "the kernel does not say which user you are", 0};
	if (listener->peers.count >= listener->max_peers - (privileged ? 0 : reserved))
		return (struct refusal){PROTO_LIMIT_EXCEEDED,
					"the daemon has as many connections as it allows (max_peers)",
					listener->max_peers};
	if (visitor && visitor->count >= listener->max_peers_per_uid)
		return (struct refusal){
			PROTO_LIMIT_EXCEEDED,
			"you have as many connections as one user may have (max_peers_per_uid)",
			listener->max_peers_per_uid};
	return (struct refusal){.error = PROTO_OK};
}

/* One line that says why, then the end. Best effort: an empty socket takes a line. */
static void turn_away(struct listener *listener, int fd, const struct refusal *refusal)
{
	_cleanup_(buffer_release) struct buffer line = BUFFER_INIT(1024);
	struct message_fault fault = {.error = refusal->error};
	char extra[32] = "";

	listener->metrics->peers_refused++;
	snprintf(fault.text, sizeof(fault.text), "%s", refusal->sentence);
	if (refusal->limit)
		snprintf(extra, sizeof(extra), "\"limit\":%u", refusal->limit);
	message_put_error(&line, NULL, &fault, extra);
	if (!buffer_error(&line) && send(fd, line.data, line.size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("listener", "a refused connection did not wait for the reason");
	close(fd);
}

static void welcome(struct listener *listener, int fd)
{
	struct peer_identity identity = {0};
	int error = identify(fd, &identity);
	struct refusal refusal = error ? (struct refusal){PROTO_INTERNAL, strerrordesc_np(-error), 0}
				       : check_limits(listener, &identity);

	if (refusal.error) {
		log_debug("listener", "uid %u, pid %d refused: %s", identity.uid, identity.pid,
			  refusal.sentence);
		turn_away(listener, fd, &refusal);
		free(identity.groups);
		return;
	}
	if (!peer_new(&listener->peers, fd, &identity))
		return; /* no memory: its end of the connection closes */
	count_in(listener, identity.uid);
	listener->metrics->peers_accepted++;
}

/* No descriptor is free: the socket would be readable for ever. Another look in a second. */
static void pause_accepting(struct listener *listener, int error)
{
	static const struct timeval pause = {.tv_sec = 1};

	if (!listener->out_of_descriptors)
		log_warning("listener", "cannot accept connections (%s); trying again every second",
			    strerrordesc_np(error));
	listener->out_of_descriptors = true;
	event_del(listener->accept_event);
	event_add(listener->retry_event, &pause);
}

static void accept_peers(struct listener *listener)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			listener->out_of_descriptors = false;
			welcome(listener, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			pause_accepting(listener, errno);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return; /* EAGAIN: that was all */
		}
	}
}

static void on_connection(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	accept_peers(context);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	struct listener *listener = context;

	(void)fd;
	(void)what;
	if (listener->fd >= 0)
		event_add(listener->accept_event, NULL);
}

/* Beginning and end. */

static int open_socket(struct listener *listener, const struct listener_settings *settings,
		       char **ret_message)
{
	int error;

	if (settings->fd < 0)
		return socket_file_listen(settings->path, settings->mode, settings->group, &listener->file,
					  &listener->fd, ret_message);
	error = socket_file_adopt(settings->fd, ret_message);
	if (!error)
		listener->fd = settings->fd;
	return error;
}

static int watch_socket(struct listener *listener, struct loop *loop)
{
	struct event_base *base = loop_base(loop);

	listener->accept_event = event_new(base, listener->fd, EV_READ | EV_PERSIST, on_connection, listener);
	listener->retry_event = event_new(base, -1, 0, on_retry, listener);
	if (!listener->accept_event || !listener->retry_event)
		return -ENOMEM;
	return event_add(listener->accept_event, NULL) < 0 ? -EIO : 0;
}

int listener_new(const struct listener_settings *settings, struct commands *commands, struct loop *loop,
		 struct metrics *metrics, struct listener **ret_listener, char **ret_message)
{
	struct listener *listener = xnew(struct listener);
	int error;

	*ret_message = NULL;
	listener->fd = -1;
	listener->commands = commands;
	listener->metrics = metrics;
	listener->max_peers = settings->max_peers;
	listener->max_peers_per_uid = settings->max_peers_per_uid;
	listener->overflow_uid = read_overflow_uid();
	table_init(&listener->visitors);
	error = peers_init(&listener->peers, loop, commands, metrics, settings->max_peer_memory);
	listener->peers.gone = count_out;
	listener->peers.context = listener;
	if (!error)
		error = open_socket(listener, settings, ret_message);
	if (!error)
		error = watch_socket(listener, loop);
	if (error) {
		if (!*ret_message)
			*ret_message = strdup(strerrordesc_np(-error));
		listener_free(listener);
		return error;
	}
	log_debug("listener", "listening on %s", settings->path ? settings->path : "the socket handed over");
	*ret_listener = listener;
	return 0;
}

void listener_stop_accepting(struct listener *listener)
{
	if (listener->accept_event)
		event_free(listener->accept_event);
	if (listener->retry_event)
		event_free(listener->retry_event);
	listener->accept_event = listener->retry_event = NULL;
	/* Who is still in the queue is told by the closing. A socket of the service manager's stays open
	 * there. */
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
}

struct listener *listener_free(struct listener *listener)
{
	if (!listener)
		return NULL;
	listener_stop_accepting(listener);
	peers_release(&listener->peers);
	table_release(&listener->visitors);
	socket_file_remove(&listener->file);
	free(listener);
	return NULL;
}

void listener_set_limits(struct listener *listener, uint32_t max_peers, uint32_t max_peers_per_uid,
			 uint64_t max_peer_memory)
{
	listener->max_peers = max_peers;
	listener->max_peers_per_uid = max_peers_per_uid;
	peers_set_max_memory(&listener->peers, max_peer_memory);
}

void listener_flush(struct listener *listener)
{
	peers_flush(&listener->peers);
}

bool listener_owes(const struct listener *listener)
{
	return peers_owe(&listener->peers);
}

size_t listener_peers(const struct listener *listener)
{
	return listener->peers.count;
}
