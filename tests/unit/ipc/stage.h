/*
 * The daemon's local side on a stage: the real loop, core and peers; store and server are played by the test.
 * Clients are socket pairs whose other end is a peer of any uid that the test likes.
 */
#ifndef TINKEX_TESTS_STAGE_H
#define TINKEX_TESTS_STAGE_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/bus.h"
#include "core/endpoint.h"
#include "core/metrics.h"
#include "core/registry.h"
#include "core/scheduler.h"
#include "ipc/commands.h"
#include "ipc/peer.h"
#include "sys/loop.h"

#define ALICE   1000
#define BOB     1001
#define MALLORY 1666 /* may not use the endpoint "closed" */
#define LIMIT_S 20   /* seconds after which something that does not happen fails the test */

struct stage {
	struct loop *loop;
	struct json_names *names;
	struct metrics metrics;
	struct bus bus;
	struct registry *registry;
	struct scheduler *scheduler;
	struct endpoint *endpoints[3]; /* "default", "other", "closed" (for ALICE and BOB) */
	struct commands commands;
	struct peers peers;
	struct listener *listener; /* when set, its peers are flushed too */
	/* the store */
	uint64_t ticket;    /* of the open batch */
	bool dirty;         /* something is in it */
	bool store_stopped; /* nothing settles */
	bool store_fails;   /* what settles was not stored */
	/* see disk.h */
	struct disk *disk; /* NULL: all results are in memory */
	unsigned n_lost;   /* bodies that could not be read, and the last of them */
	uint64_t lost_id;
	int lost_error;
};

struct stage *stage_new(void);
void stage_free(struct stage *stage);
/* One turn that does not wait. */
void stage_turn(struct stage *stage);
/* Only the first n endpoints are configured. */
void stage_set_endpoints(struct stage *stage, size_t n);

/* The server answers the poll of this future, which may have to come first. */
void stage_complete(struct stage *stage, const char *request_id, const char *json);
void stage_complete_body(struct stage *stage, const char *request_id, enum content_kind content, char *body,
			 size_t size);
/* ... with this result, which is taken over. */
void stage_end(struct stage *stage, const char *request_id, struct result *result);
void stage_fail(struct stage *stage, const char *request_id, const char *message, const char *data);
/* ALICE's or somebody's registration on "default"; NULL: none. */
struct registration *stage_find(struct stage *stage, uid_t uid, const char *request_id);

struct client {
	struct stage *stage;
	int fd;
	char *data; /* received, not yet taken */
	size_t size, capacity;
	bool over;    /* the daemon closed */
	size_t step;  /* reads at most so much at once; 0: all that is there */
	int fds[400]; /* owned: descriptors that came and were not taken */
	size_t n_fds;
};

struct client *client_new(struct stage *stage, uid_t uid);
/* On a connected socket, which is taken over. */
struct client *client_adopt(struct stage *stage, int fd);
/* Closes. NULL is fine. */
void client_free(struct client *client);
/* Sends text as it is; while the socket is full, the daemon has its turns. */
void client_put(struct client *client, const char *data, size_t size);
/* Sends a line. */
void client_say(struct client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Waits for the next line; without its LF, freed by the caller. Fails the test if none comes. */
char *client_line(struct client *client);
/* Waits for the next line and compares; in `expected` a '~' stands for any characters. */
void client_expect(struct client *client, const char *expected);
/* Says and expects. */
void client_ask(struct client *client, const char *line, const char *expected);
/* Nothing was sent that has not been taken. */
void client_expect_silence(struct client *client);
/* The daemon closes, after nothing more. */
void client_expect_end(struct client *client);
/* Registers `id` on the default endpoint and takes the reply. */
void client_register(struct client *client, const char *request_id);

/* The text of the value at a JSON pointer without escapes ("/result/results/0/ok"), copied; NULL: there is
 * none. */
char *value_at(const char *line, const char *pointer);
/* It is there, and is this text. */
void expect_at(const char *line, const char *pointer, const char *expected);
int64_t int_at(const char *line, const char *pointer);
/* How many items the array has. */
size_t items_at(const char *line, const char *pointer);

/* Lines of the daemon; `id`, `code` and so on are literals. */
#define REPLY(id, what)       "{\"jsonrpc\":\"2.0\",\"id\":" id "," what "}"
#define FAULT(id, code, data) REPLY(id, "\"error\":{\"code\":" code ",\"message\":\"~\",\"data\":{" data "}}")
#define OK(id, result)        REPLY(id, "\"result\":" result)
#define ERROR(id, code, name) FAULT(id, code, "\"name\":\"" name "\"")
#define BAD(id, member)       FAULT(id, "-32602", "\"name\":\"invalid_params\",\"member\":\"" member "\"")

/* Runs the cases of one suite as main(). */
int run_suite(const char *name, const TTest *const *tests, size_t n);
#define SUITE(name, ...)                                                                                     \
	int main(void)                                                                                       \
	{                                                                                                    \
		const TTest *const tests[] = {__VA_ARGS__};                                                  \
		return run_suite(name, tests, sizeof(tests) / sizeof(tests[0]));                             \
	}

#endif
