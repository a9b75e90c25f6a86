/* TLS, and HTTP/2, in front of a test's server: nghttpx as a process of its own, with a certificate of its
 * own. */
#ifndef TEST_UPSTREAM_FRONT_H
#define TEST_UPSTREAM_FRONT_H

#include <stdbool.h>
#include <sys/types.h>

struct front {
	pid_t pid; /* 0: not running */
	int port, backend;
	char key[128], certificate[128]; /* in the world's directory; the certificate is its own authority */
};

/* nghttpx and openssl are installed. */
bool front_is_possible(void);
/* Starts it in front of the world's server and waits until it listens. `alpn`: "h2", "http/1.1" or both with
 * a comma; `streams`: at most that many on a connection. */
void front_start(struct front *front, const char *alpn, int streams);
/* Kills it: its connections die without a word. */
void front_kill(struct front *front);
/* The same again, on the same port. */
void front_restart(struct front *front, const char *alpn, int streams);
/* Another self-signed certificate, into `path`. */
void front_make_certificate(const char *key, const char *path);

#endif
