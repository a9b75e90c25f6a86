#include "peer.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commands.h"
#include "core/alloc.h"
#include "output.h"
#include "proto/framer.h"
#include "sys/log.h"

#define TURN_SHARE  ((size_t)1024 * 1024) /* bytes of input carried out in one turn, over all peers */
#define PEER_SHARE  ((size_t)128 * 1024)  /* ... and for one of them, before the next has its share */
#define LINE_COST   256                   /* what a line costs beside its bytes */
#define STALL_LIMIT (5 * USEC_PER_SEC)    /* a peer that took nothing for so long does not read */

struct peer {
	struct peers *peers;
	TAILQ_ENTRY(peer) in_all, in_busy, in_dirty;
	uint64_t id;
	int fd;
	struct peer_identity identity; /* groups owned */
	struct framer framer;
	struct output output;
	struct peer_calls calls;
	struct event read_event, write_event, watch_event;
	size_t memory;         /* what of it is counted in peers->memory */
	int64_t last_progress; /* when the socket last took something, or had nothing to take */
	const char *doom;      /* why it ends; NULL: it does not */
	bool busy, dirty;      /* on peers' lists */
	bool readable;         /* the socket has something to read */
	bool eof;              /* nothing more will come */
	bool paused;           /* not read from: it is owed too much */
	bool blocked;          /* the socket takes no more for now */
	bool waits_for_disk;   /* what it is owed next is being read */
	bool linked;
	bool reading, writing, watching; /* which events are armed */
};

uint64_t peer_id(const struct peer *peer)
{
	return peer->id;
}

const struct peer_identity *peer_identity(const struct peer *peer)
{
	return &peer->identity;
}

struct peers *peer_peers(const struct peer *peer)
{
	return peer->peers;
}

struct peer_calls *peer_calls(struct peer *peer)
{
	return &peer->calls;
}

void peer_set_linked(struct peer *peer)
{
	peer->linked = true;
}

bool peer_is_linked(const struct peer *peer)
{
	return peer->linked;
}

/* Lists. */

static void push_dirty(struct peer *peer)
{
	if (peer->dirty)
		return;
	peer->dirty = true;
	TAILQ_INSERT_TAIL(&peer->peers->dirty, peer, in_dirty);
	peer->peers->n_dirty++;
}

static void pop_dirty(struct peer *peer)
{
	if (!peer->dirty)
		return;
	peer->dirty = false;
	TAILQ_REMOVE(&peer->peers->dirty, peer, in_dirty);
	peer->peers->n_dirty--;
}

static void push_busy(struct peer *peer)
{
	struct peers *peers = peer->peers;

	if (!peer->busy) {
		peer->busy = true;
		TAILQ_INSERT_TAIL(&peers->busy, peer, in_busy);
		peers->n_busy++;
	}
	if (!peers->work_due) {
		/* After the callbacks that are already to run, so that all who are readable have their turn.
		 */
		peers->work_due = true;
		event_active(peers->work, EV_TIMEOUT, 0);
	}
}

static void pop_busy(struct peer *peer)
{
	if (!peer->busy)
		return;
	peer->busy = false;
	TAILQ_REMOVE(&peer->peers->busy, peer, in_busy);
	peer->peers->n_busy--;
}

/* Limits. */

/* It ends at the end of the turn, by its own doing. */
static void peer_end(struct peer *peer, const char *reason)
{
	if (peer->doom)
		return;
	peer->doom = reason;
	peer->peers->memory -= peer->memory;
	peer->memory = 0;
	push_dirty(peer);
}

void peer_doom(struct peer *peer, const char *reason)
{
	if (peer->doom)
		return;
	peer->peers->metrics->peers_dropped++;
	peer_end(peer, reason);
}

/* Whoever holds most of the memory ends, until the rest fits: a small peer does not pay for a big one. */
static void enforce_max_memory(struct peers *peers)
{
	while (peers->memory > peers->max_memory) {
		struct peer *peer, *biggest = NULL;

		TAILQ_FOREACH (peer, &peers->all, in_all) {
			if (!peer->doom && (!biggest || peer->memory > biggest->memory))
				biggest = peer;
		}
		if (!biggest)
			return;
		peer_doom(biggest, "max_peer_memory is reached, and it holds most");
	}
}

static void count_memory(struct peer *peer)
{
	size_t memory = output_memory(&peer->output) + peer->framer.buffer.capacity + peer->calls.memory;

	if (peer->doom)
		return;
	peer->peers->memory = peer->peers->memory - peer->memory + memory;
	peer->memory = memory;
	enforce_max_memory(peer->peers);
}

bool peer_full(const struct peer *peer)
{
	return peer->output.text > PEER_OWED_HIGH || peer->output.puller.held > PEER_HELD_HIGH;
}

static bool must_pause(const struct peer *peer)
{
	return peer->calls.count >= CALLS_MAX || peer->output.text + peer->calls.owed > PEER_OWED_HIGH ||
	       peer->output.puller.held > PEER_HELD_HIGH;
}

static bool may_resume(const struct peer *peer)
{
	return peer->calls.count < CALLS_MAX && peer->output.text + peer->calls.owed <= PEER_OWED_LOW &&
	       peer->output.puller.held <= PEER_HELD_LOW;
}

static void arm(struct peer *peer, struct event *event, bool *armed)
{
	if (*armed)
		return;
	if (event_add(event, NULL) < 0)
		peer_doom(peer, "its socket cannot be watched");
	else
		*armed = true;
}

static void disarm(struct event *event, bool *armed)
{
	if (*armed)
		event_del(event);
	*armed = false;
}

/* Lets the loop watch for what is of interest now. A peer that is neither read from nor waited for is watched
 * for its going; that event is edge-triggered (a half-closed socket would report for ever) and may not stand
 * beside the others. */
static void peer_watch(struct peer *peer)
{
	bool read = !peer->eof && !peer->paused, write = peer->blocked, watch = !read && !write;

	if (!read)
		disarm(&peer->read_event, &peer->reading);
	if (!write)
		disarm(&peer->write_event, &peer->writing);
	if (!watch)
		disarm(&peer->watch_event, &peer->watching);
	if (read)
		arm(peer, &peer->read_event, &peer->reading);
	if (write)
		arm(peer, &peer->write_event, &peer->writing);
	if (watch)
		arm(peer, &peer->watch_event, &peer->watching);
}

static void peer_update(struct peer *peer)
{
	if (!peer->paused && must_pause(peer)) {
		peer->paused = true;
	} else if (peer->paused && may_resume(peer)) {
		peer->paused = false;
		push_busy(peer); /* lines may have been left */
	}
	peer_watch(peer);
}

void peer_calls_changed(struct peer *peer)
{
	count_memory(peer);
	push_dirty(peer);
}

/* Output. */

void peer_send(struct peer *peer, struct line *line)
{
	struct peers *peers = peer->peers;

	if (!peer->doom && peer->output.text > peers->hard_cap)
		peer_doom(peer, "it does not read its replies");
	if (peer->doom) {
		line_release(line);
		return;
	}
	if (output_empty(&peer->output))
		peer->last_progress = loop_now(peers->loop);
	if (output_put(&peer->output, line) < 0)
		peer_doom(peer, "no memory for its replies");
	count_memory(peer);
	push_dirty(peer);
}

static void peer_write(struct peer *peer)
{
	enum output_progress progress;
	uint64_t before = peer->output.written;
	int error = output_write(&peer->output, peer->fd, &progress);

	if (error < 0) {
		peer_end(peer, error == -EPIPE ? "it has gone" : strerrordesc_np(-error));
		return;
	}
	if (progress != OUTPUT_BLOCKED || peer->output.written != before)
		peer->last_progress = loop_now(peer->peers->loop);
	peer->blocked = progress == OUTPUT_BLOCKED;
	peer->waits_for_disk = progress == OUTPUT_READING;
	if (progress == OUTPUT_MORE)
		push_dirty(peer);
	count_memory(peer);
}

/* What it is owed next has come from the disk. It was not the peer that was slow. */
static void on_body_arrived(void *context)
{
	struct peer *peer = context;

	if (peer->waits_for_disk)
		peer->last_progress = loop_now(peer->peers->loop);
	push_dirty(peer);
}

/* A line that was begun cannot be ended: all there is to say is that the connection is over. */
static void on_body_lost(void *context, struct result *result, int error)
{
	struct peer *peer = context;
	struct commands *commands = peer->peers->commands;

	if (peer->doom)
		return; /* another piece was read ahead */
	log_error("peer", "stored result %016llx cannot be read: %s", (unsigned long long)result->id,
		  error == -ENOENT ? "it is not there" : strerrordesc_np(-error));
	peer_doom(peer, error == -ENOENT ? "a result that it is owed is not there any more"
					 : "a result that it is owed cannot be read");
	/* Where memory or descriptors were short, it is still there for the next who asks. */
	if (commands->body_lost && error != -ENOMEM && error != -EMFILE)
		commands->body_lost(commands->context, result, error);
}

static const struct puller_operations puller_operations = {.arrived = on_body_arrived, .lost = on_body_lost};

/* Input. */

/* One read. false: nothing came. */
static bool peer_read(struct peer *peer)
{
	size_t size;
	char *space = framer_space(&peer->framer, &size);
	ssize_t got;

	if (!space) {
		peer_doom(peer, "no memory for its lines");
		return false;
	}
	peer->readable = false;
	got = recv(peer->fd, space, size, MSG_DONTWAIT);
	if (got > 0) {
		framer_commit(&peer->framer, (size_t)got);
		return true;
	}
	if (got == 0)
		peer->eof = true;
	else if (errno != EAGAIN && errno != EINTR)
		peer_end(peer, errno == ECONNRESET ? "it has gone" : strerrordesc_np(errno));
	return false;
}

/* Carries out the lines that are there, up to its share of the turn. */
static void peer_work(struct peer *peer)
{
	struct peers *peers = peer->peers;
	size_t share = PEER_SHARE < peers->turn_left ? PEER_SHARE : peers->turn_left, used = 0;
	bool has_read = false;

	while (!peer->doom && !must_pause(peer) && used < share) {
		char *line;
		size_t size = 0;

		switch (framer_next(&peer->framer, &line, &size)) {
		case FRAMER_LINE:
			commands_line(peers->commands, peer, line, size);
			break;
		case FRAMER_TOO_LONG:
			commands_line_too_long(peers->commands, peer);
			break;
		case FRAMER_MORE:
			/* One read a turn: whoever writes without end is served like the others. */
			if (has_read || !peer->readable || peer->eof || !peer_read(peer))
				goto idle;
			has_read = true;
			continue;
		}
		used += size + LINE_COST;
	}
	if (!peer->doom && used >= share)
		push_busy(peer);
idle:
	peers->turn_left -= used < peers->turn_left ? used : peers->turn_left;
	framer_trim(&peer->framer);
	count_memory(peer);
	peer_update(peer);
	if (peer->eof)
		push_dirty(peer); /* it may be over */
}

static void peers_work(struct peers *peers)
{
	static const struct timeval at_once = {0};
	size_t n = peers->n_busy;

	peers->work_due = true;
	while (n-- && peers->turn_left && !TAILQ_EMPTY(&peers->busy)) {
		struct peer *peer = TAILQ_FIRST(&peers->busy);

		pop_busy(peer);
		peer_work(peer);
	}
	/* The rest is for the next turn, where this comes after the sockets. */
	peers->work_due = peers->n_busy != 0;
	if (peers->work_due)
		event_add(peers->work, &at_once);
}

/* What the loop calls. */

static void on_work(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	peers_work(context);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct peer *peer = context;

	(void)fd;
	(void)what;
	peer->readable = true;
	push_busy(peer);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct peer *peer = context;

	(void)fd;
	(void)what;
	peer->blocked = false;
	push_dirty(peer);
}

/* Half-closed is not gone: who shuts down its sending side still wants its replies. */
static void on_closed(evutil_socket_t fd, short what, void *context)
{
	struct peer *peer = context;
	struct pollfd state = {.fd = fd};

	(void)what;
	if (poll(&state, 1, 0) == 1 && state.revents & (POLLHUP | POLLERR))
		peer_end(peer, "it has gone");
}

/* Beginning and end. */

struct peer *peer_new(struct peers *peers, int fd, const struct peer_identity *identity)
{
	struct event_base *base = loop_base(peers->loop);
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer) {
		close(fd);
		free(identity->groups);
		return NULL;
	}
	peer->peers = peers;
	peer->id = ++peers->last_id;
	peer->fd = fd;
	peer->identity = *identity;
	framer_init(&peer->framer, FRAMER_REQUEST_MAX);
	output_init(&peer->output, peers->commands->reader, peers->loop, &puller_operations, peer);
	peer_calls_init(&peer->calls);
	event_assign(&peer->read_event, base, fd, EV_READ | EV_PERSIST, on_readable, peer);
	event_assign(&peer->write_event, base, fd, EV_WRITE | EV_PERSIST, on_writable, peer);
	event_assign(&peer->watch_event, base, fd, EV_CLOSED | EV_ET | EV_PERSIST, on_closed, peer);
	TAILQ_INSERT_TAIL(&peers->all, peer, in_all);
	peers->count++;
	peer_watch(peer);
	log_debug("peer", "%llu: uid %u, pid %d connected", (unsigned long long)peer->id, identity->uid,
		  identity->pid);
	return peer;
}

static void peer_destroy(void *object)
{
	struct peer *peer = object;

	free(peer->identity.groups);
	free(peer);
}

static void peer_close(struct peer *peer, const char *reason)
{
	struct peers *peers = peer->peers;
	size_t unfinished = framer_pending(&peer->framer);

	log_debug("peer", "%llu: uid %u, pid %d closed: %s%s", (unsigned long long)peer->id,
		  peer->identity.uid, peer->identity.pid, reason,
		  unfinished ? ", in the middle of a line" : "");
	peer_end(peer, reason); /* nothing more is queued */
	commands_peer_gone(peers->commands, peer);
	output_release(&peer->output);
	framer_release(&peer->framer);
	disarm(&peer->read_event, &peer->reading);
	disarm(&peer->write_event, &peer->writing);
	disarm(&peer->watch_event, &peer->watching);
	close(peer->fd);
	pop_busy(peer);
	pop_dirty(peer);
	TAILQ_REMOVE(&peers->all, peer, in_all);
	peers->count--;
	if (peers->gone)
		peers->gone(peers->context, &peer->identity);
	loop_defer_free(peers->loop, peer, peer_destroy);
}

/* All it sent is carried out, and all it is owed is with the kernel. */
static bool peer_is_over(const struct peer *peer)
{
	return peer->eof && !peer->busy && !peer->calls.count && output_empty(&peer->output);
}

static void peer_flush(struct peer *peer)
{
	if (!peer->doom && !peer->blocked && !output_empty(&peer->output))
		peer_write(peer);
	if (!peer->doom && !peer_full(peer) && !TAILQ_EMPTY(&peer->calls.stalled))
		commands_resume(peer->peers->commands, peer);
	if (!peer->doom)
		peer_update(peer);
	if (peer->doom)
		peer_close(peer, peer->doom);
	else if (peer_is_over(peer))
		peer_close(peer, "it has all it asked for");
}

void peers_flush(struct peers *peers)
{
	size_t n = peers->n_dirty;

	while (n-- && !TAILQ_EMPTY(&peers->dirty)) {
		struct peer *peer = TAILQ_FIRST(&peers->dirty);

		pop_dirty(peer);
		peer_flush(peer);
	}
	if (peers->n_dirty)
		loop_wake(peers->loop);
	peers->turn_left = TURN_SHARE;
}

void peers_set_max_memory(struct peers *peers, uint64_t max_memory)
{
	peers->max_memory = max_memory;
	enforce_max_memory(peers);
}

bool peers_owe(const struct peers *peers)
{
	const struct peer *peer;

	TAILQ_FOREACH (peer, &peers->all, in_all) {
		if (!peer->doom && !output_empty(&peer->output) &&
		    (peer->waits_for_disk || loop_now(peers->loop) - peer->last_progress < STALL_LIMIT))
			return true;
	}
	return false;
}

int peers_init(struct peers *peers, struct loop *loop, struct commands *commands, struct metrics *metrics,
	       uint64_t max_memory)
{
	*peers = (struct peers){
		.loop = loop,
		.commands = commands,
		.metrics = metrics,
		.max_memory = max_memory,
		.hard_cap = PEER_HARD_CAP,
		.turn_left = TURN_SHARE,
	};
	TAILQ_INIT(&peers->all);
	TAILQ_INIT(&peers->busy);
	TAILQ_INIT(&peers->dirty);
	commands_init(commands);
	peers->work = event_new(loop_base(loop), -1, 0, on_work, peers);
	return peers->work ? 0 : -ENOMEM;
}

void peers_release(struct peers *peers)
{
	struct peer *peer;

	while ((peer = TAILQ_FIRST(&peers->all)))
		peer_close(peer, "the daemon ends");
	if (peers->work)
		event_free(peers->work);
	peers->work = NULL;
}
