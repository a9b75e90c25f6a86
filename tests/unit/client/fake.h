/*
 * A scripted daemon for the tests of libtinkex: a listening socket in a folder of its own, and exact lines in
 * and out. With a client given, waiting runs that client's tinkex_process(), so that one thread plays both
 * sides and a test reads like a transcript; without one it just waits, for a thread beside a blocking call.
 *
 * Every wait has a limit and fails the test when it is over.
 */
#ifndef TINKEX_TESTS_FAKE_H
#define TINKEX_TESTS_FAKE_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#include "tinkex.h"

#define FAKE_LIMIT_MS 20000

struct fake {
	char folder[64];
	char path[96];
	int listener;
	int fd; /* the accepted connection; -1: none */
	char *in;
	size_t in_size, in_capacity;
	char line[65536]; /* the last one read */
};

/* Makes the folder and listens. */
void fake_start(struct fake *fake);
/* Closes everything and removes the folder. */
void fake_stop(struct fake *fake);
/* Stops listening and hangs up: the daemon has died. The socket file stays. */
void fake_die(struct fake *fake);
/* Listens again at the same place. */
void fake_revive(struct fake *fake);

/* A client of this daemon with short pauses; further options may be set in `options` (NULL: none), whose
 * socket_path is filled in. */
tinkex_client *fake_client(struct fake *fake, struct tinkex_client_options *options);
/* Runs the client until it has nothing to do. */
void fake_settle(tinkex_client *client);
/* Runs the client, waiting, until *flag is true. */
void fake_run_until(tinkex_client *client, const bool *flag);

void fake_accept(struct fake *fake, tinkex_client *client);
/* Closes the connection but goes on listening. */
void fake_hang_up(struct fake *fake);
/* The next line, without LF; also in fake->line. */
const char *fake_read(struct fake *fake, tinkex_client *client);
/* The next line is exactly this one; "jsonrpc":"2.0" in front and the braces are added. Ids count from 1,
 * which is hello. */
void fake_expect(struct fake *fake, tinkex_client *client, const char *line);
/* Sends bytes as they are. */
void fake_send_bytes(struct fake *fake, tinkex_client *client, const void *data, size_t size);
/* Sends a line, to which the LF is added. */
void fake_send(struct fake *fake, tinkex_client *client, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Sends `size` bytes of `data` with a descriptor. */
void fake_send_fd(struct fake *fake, const void *data, size_t size, int fd);
/* Accepts, expects hello and answers it with these features, as JSON text of an array. */
void fake_hello(struct fake *fake, tinkex_client *client, const char *features);

/* Runs `script` with the fake in a thread of its own while a blocking call is made; join with fake_join(). */
void fake_spawn(struct fake *fake, void (*script)(struct fake *fake));
void fake_join(void);

/* A test case of `suite` whose limits are those of a loaded machine. */
TCase *fake_case(Suite *suite, const char *name);
/* Runs the suite; the exit code of main(). */
int fake_main(Suite *suite);

#endif
