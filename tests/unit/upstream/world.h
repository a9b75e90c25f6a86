/*
 * What the tests of the poller stand in: a loop, a spool, a poller with one endpoint, a server of their own,
 * and a record of what the poller said. Waits for things, never for time alone.
 */
#ifndef TEST_UPSTREAM_WORLD_H
#define TEST_UPSTREAM_WORLD_H

#include <check.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/endpoint.h"
#include "core/metrics.h"
#include "server.h"
#include "sys/config.h"
#include "upstream/poller.h"

#define KEY        "tml-secret-0123456789abcdef"
#define OTHER_KEY  "tml-other-0123456789abcdef"
#define RECORDS    2048
#define PATIENCE_S 60 /* a test that waits longer has failed */

/* One poll's end. */
struct record {
	uint64_t future;
	struct outcome outcome;    /* holds a reference to its error */
	struct poll_report report; /* holds a reference to its result */
};

struct world {
	struct loop *loop;
	struct poller *poller;
	struct metrics metrics;
	struct endpoint *endpoint;
	struct config_endpoint config;
	struct server *server;
	char directory[64]; /* of its own, removed at the end */
	char key_file[96];
	char base_url[128];
	/* files */
	struct worker *worker;
	struct spool *spool;
	struct result_keeper keeper; /* removes the file of a result that is gone */
	struct job plug;             /* stops the file thread */
	sem_t plug_pulled;
	bool plugged;
	uint64_t last_id;   /* of results; how many bodies went to a file */
	unsigned n_gone;    /* results whose keeper was told */
	unsigned congested; /* how often */
	/* what the poller said */
	unsigned n_sent;
	uint64_t last_sent;
	unsigned n_done;
	struct record records[RECORDS];
	unsigned n_keys;
	bool have_key;
	/* what the server saw; set by the handlers of the tests */
	server_handler *handler;
	struct connection *held[RECORDS];
	unsigned n_held;
	char head[8192], body[8192]; /* of the last request */
	unsigned long turns;         /* of the loop */
	/* waiting */
	bool (*until)(struct world *world);
	unsigned wanted;
	struct timer guard, alarm;
};

/* Check's checked fixtures around each test. The endpoint has 8 connections, 100 polls, a key and 10 s for
 * everything. */
void world_setup(void);
void world_teardown(void);
extern struct world *world;
extern uint64_t world_max_result; /* bytes, for the next world */
extern bool world_in_memory;      /* the next world's poller has no spool */
extern void (*world_after)(void); /* what a test program has to clean up itself; may be NULL */

/* (Re)attaches the endpoint with the present config. */
void world_attach(void);
/* The same for any endpoint: 0, or what poller_prepare() refused. */
int world_try_attach(struct endpoint *endpoint, const struct config_endpoint *config, char **ret_message);
void world_write_key(const char *text);

/* Starts a poll of this future, first iteration, JSON. */
void world_start(uint64_t future);
struct poll_request world_request(uint64_t future);

/* Run the loop until something is so; fail after PATIENCE_S. */
void world_until(bool (*until)(struct world *world));
void world_until_done(unsigned n);     /* polls over since the beginning */
void world_until_requests(unsigned n); /* requests that the server has seen */
void world_until_held(unsigned n);
/* Lets `milliseconds` pass in the loop, for tests that something does not happen or happens in a span. */
void world_run_for(int64_t milliseconds);
int64_t world_now_ms(void);

/* The end of the poll of this future that was told last. */
const struct record *world_record(uint64_t future);
/* Its result, which must be there, is exactly this. */
void world_expect_result(uint64_t future, const char *bytes);
void world_expect_kind(uint64_t future, enum outcome_kind kind);

/* A copy of the bytes of its result, which must be there; freed by the caller. */
char *world_result(uint64_t future, size_t *ret_size);

/* Files. */
void world_stop_files(
	void); /* the file thread does nothing from here on, when it has done what it was told */
void world_go_on_files(void);
unsigned world_files(void); /* that lie in the spool */
void world_until_files(unsigned n);
void world_forget(uint64_t future); /* the reference to its result goes */

/* Handlers. */
void handle_hold(void *context, const struct request_seen *request); /* into world->held */
void handle_ok(void *context, const struct request_seen *request);   /* {"status":"completed","result":42} */

/* Runs tests, each in a world of its own and `times` times with _i counting up from 0; the program's exit
 * code. */
struct world_tests {
	const TTest *const *tests;
	size_t n_tests;
	int times;
};
int world_main(const char *name, const struct world_tests *all, size_t n_all);

#endif
