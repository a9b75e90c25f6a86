/*
 * The sockets of a pool: how they are made, how many are open, and libevent's eye on them. Refuses plain HTTP
 * to other machines where the address is known for certain: when the socket to it is made.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/alloc.h"
#include "http_private.h"

/* A peer that has vanished is noticed after this, whether we wait for it or send to it. */
#define KEEPALIVE_IDLE_S     30L
#define KEEPALIVE_INTERVAL_S 10L
#define USER_TIMEOUT_MS      60000U

/* One for each socket that curl wants to be watched. */
struct http_socket {
	LIST_ENTRY(http_socket) in_http;
	struct http *http;
	struct event *event;
	short interest; /* EV_READ, EV_WRITE */
};

static void socket_destroy(void *object)
{
	struct http_socket *sock = object;

	event_free(sock->event);
	free(sock);
}

static void socket_ready(struct http_socket *sock, evutil_socket_t fd, short events)
{
	struct http *http = sock->http; /* `sock` may be given up meanwhile */
	int mask = (events & EV_READ ? CURL_CSELECT_IN : 0) | (events & EV_WRITE ? CURL_CSELECT_OUT : 0);
	int running;

	curl_multi_socket_action(http->multi, fd, mask, &running);
	http_settle(http);
}

static void on_socket(evutil_socket_t fd, short events, void *context)
{
	socket_ready(context, fd, events);
}

static int socket_interest(struct http *http, struct http_socket *sock, curl_socket_t fd, short interest)
{
	if (!sock) {
		sock = xnew(struct http_socket);
		sock->http = http;
		sock->event = event_new(loop_base(http->loop), fd, interest | EV_PERSIST, on_socket, sock);
		if (!sock->event) {
			free(sock);
			return -ENOMEM;
		}
		LIST_INSERT_HEAD(&http->sockets, sock, in_http);
		curl_multi_assign(http->multi, fd, sock);
	} else if (sock->interest == interest) {
		return 0;
	} else {
		event_del(sock->event);
		event_assign(sock->event, loop_base(http->loop), fd, interest | EV_PERSIST, on_socket, sock);
	}
	sock->interest = interest;
	if (http->held)
		return 0;
	return event_add(sock->event, NULL) < 0 ? -ENOMEM : 0;
}

static int on_interest(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
	struct http *http = context;
	struct http_socket *sock = socket_context;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (sock) {
			LIST_REMOVE(sock, in_http);
			event_del(sock->event);
			loop_defer_free(http->loop, sock, socket_destroy);
		}
		return 0;
	}
	return socket_interest(
		http, sock, fd,
		(short)((what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0)));
}

void http_socket_hold(struct http *http)
{
	struct http_socket *sock;

	LIST_FOREACH (sock, &http->sockets, in_http) {
		if (http->held)
			event_del(sock->event);
		else
			(void)event_add(sock->event, NULL); /* else its transfers run into their timeouts */
	}
}

void http_socket_nudge(struct http *http)
{
	struct http_socket *sock;

	if (http->held)
		return;
	LIST_FOREACH (sock, &http->sockets, in_http)
		event_active(sock->event, EV_READ, 0);
}

bool http_address_is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, address, sizeof(in));
		return ntohl(in.sin_addr.s_addr) >> 24 == 127;
	}
	if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, address, sizeof(in6));
		return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) ||
		       (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) && in6.sin6_addr.s6_addr[12] == 127);
	}
	return false;
}

static void refuse(struct http_transfer *transfer, const struct sockaddr *address)
{
	char text[INET6_ADDRSTRLEN] = "an unknown address";

	if (address->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, text,
			  sizeof(text));
	else if (address->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, text,
			  sizeof(text));
	snprintf(transfer->note, sizeof(transfer->note),
		 "http:// to %s is refused: it is no loopback address (allow_plain_http = yes, or use "
		 "https://)",
		 text);
}

/* An address of a family that this machine does not have is nothing to tell: others follow. */
static void note_shortage(struct http_transfer *transfer, int error)
{
	if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM)
		snprintf(transfer->note, sizeof(transfer->note), "no socket: %s", strerrordesc_np(error));
}

static int socket_open(struct http_transfer *transfer, const struct curl_sockaddr *address)
{
	struct http *http = transfer->http;
	unsigned timeout = USER_TIMEOUT_MS;
	int fd;

	/* With a proxy this is the proxy's address: whoever configured one has allowed plain http. */
	if (!http->tls && !http->allow_plain_http && !http_address_is_loopback(&address->addr)) {
		refuse(transfer, &address->addr);
		return -1;
	}
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0) {
		note_shortage(transfer, errno);
		return -1;
	}
	/* Not on every kind of socket: a peer that vanished is then noticed by the HTTP timeouts alone. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	http->n_sockets++;
	http->metrics->connections_opened++;
	return fd;
}

static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	return socket_open(context, address);
}

static int on_close(void *context, curl_socket_t fd)
{
	struct http *http = context;

	http->n_sockets--;
	return close(fd);
}

void http_socket_watch(struct http *http)
{
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_interest);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
}

void http_socket_prepare(struct http_transfer *transfer)
{
	CURL *easy = transfer->easy;

	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	/* A connection outlives the transfer that made it: it knows the pool only. */
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->http);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
}
