#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "sys/clock.h"

struct world *world;
void (*world_after)(void);
uint64_t world_max_result = UINT64_C(64) * 1024 * 1024;

/* What the poller says. */

static void on_sent(void *context, uint64_t future)
{
	(void)context;
	world->n_sent++;
	world->last_sent = future;
}

static void on_done(void *context, uint64_t future, struct outcome *outcome, struct poll_report *report)
{
	struct record *record = &world->records[world->n_done];

	(void)context;
	ck_assert_uint_lt(world->n_done, RECORDS);
	record->future = future;
	record->outcome = *outcome;
	error_ref(outcome->error);
	record->report = *report;
	result_ref(report->result);
	world->n_done++;
}

static void on_key_changed(void *context, struct endpoint *endpoint, bool have_key)
{
	(void)context;
	ck_assert_ptr_eq(endpoint, world->endpoint);
	world->n_keys++;
	world->have_key = have_key;
}

static const struct poller_operations operations = {on_sent, on_done, on_key_changed};

/* The server. */

static void on_request(void *context, const struct request_seen *request)
{
	(void)context;
	snprintf(world->head, sizeof(world->head), "%s", request->head);
	snprintf(world->body, sizeof(world->body), "%s", request->body);
	world->handler(world, request);
}

void handle_hold(void *context, const struct request_seen *request)
{
	(void)context;
	ck_assert_uint_lt(world->n_held, RECORDS);
	world->held[world->n_held++] = request->connection;
}

void handle_ok(void *context, const struct request_seen *request)
{
	(void)context;
	connection_answer_json(request->connection, 200, "{\"status\":\"completed\",\"result\":42}");
}

/* Waiting. */

static void on_housekeeping(void *context, struct timer *timer, int64_t now)
{
	(void)context;
	(void)now;
	if (timer == &world->guard)
		ck_abort_msg("waited for %d s in vain: %u sent, %u done, %u requests", PATIENCE_S,
			     world->n_sent, world->n_done, world->server->requests);
	loop_stop(world->loop); /* the alarm */
}

static void on_turn(void *context)
{
	(void)context;
	world->turns++;
	if (world->until && world->until(world))
		loop_stop(world->loop);
}

void world_until(bool (*until)(struct world *world))
{
	timers_set(loop_timers(world->loop), &world->guard, clock_now() + PATIENCE_S * USEC_PER_SEC);
	world->until = until;
	if (!until || !until(world))
		ck_assert_int_eq(loop_run(world->loop), 0);
	world->until = NULL;
	timers_cancel(loop_timers(world->loop), &world->guard);
}

static bool enough_done(struct world *w)
{
	return w->n_done >= w->wanted;
}

static bool enough_requests(struct world *w)
{
	return w->server->requests >= w->wanted;
}

static bool enough_held(struct world *w)
{
	return w->n_held >= w->wanted;
}

void world_until_done(unsigned n)
{
	world->wanted = n;
	world_until(enough_done);
}

void world_until_requests(unsigned n)
{
	world->wanted = n;
	world_until(enough_requests);
}

void world_until_held(unsigned n)
{
	world->wanted = n;
	world_until(enough_held);
}

void world_run_for(int64_t milliseconds)
{
	timers_set(loop_timers(world->loop), &world->alarm, clock_now() + milliseconds * USEC_PER_MSEC);
	world_until(NULL);
}

int64_t world_now_ms(void)
{
	return clock_now() / USEC_PER_MSEC;
}

/* Polls. */

struct poll_request world_request(uint64_t future)
{
	return (struct poll_request){
		.future = future,
		.endpoint = world->endpoint,
		.request_id = "req-1",
		.create_roundtrip_ms = -1,
		.allow_metadata_only = true,
		.http_timeout = 10 * USEC_PER_SEC,
	};
}

void world_start(uint64_t future)
{
	struct poll_request request = world_request(future);
	unsigned done = world->n_done;

	ck_assert(poller_start(world->poller, &request));
	ck_assert_uint_eq(world->n_done, done); /* nothing is told from inside */
}

const struct record *world_record(uint64_t future)
{
	for (unsigned i = world->n_done; i-- > 0;) {
		if (world->records[i].future == future)
			return &world->records[i];
	}
	ck_abort_msg("no end of poll %llu was told", (unsigned long long)future);
}

void world_expect_kind(uint64_t future, enum outcome_kind kind)
{
	const struct outcome *outcome = &world_record(future)->outcome;

	if (outcome->kind != kind)
		ck_abort_msg("poll %llu: expected %s, got %s (%s)", (unsigned long long)future,
			     outcome_kind_name(kind), outcome_kind_name(outcome->kind),
			     outcome->error ? outcome->error->message : "no error");
}

void world_expect_result(uint64_t future, const char *bytes)
{
	const struct record *record = world_record(future);

	world_expect_kind(future, OUTCOME_COMPLETED);
	ck_assert_ptr_nonnull(record->report.result);
	ck_assert_uint_eq(record->report.result->body->size, strlen(bytes));
	ck_assert_mem_eq(record->report.result->body->data, bytes, strlen(bytes));
}

/* Around a test. */

void world_write_key(const char *text)
{
	char temporary[128];
	int fd;

	snprintf(temporary, sizeof(temporary), "%s.new", world->key_file);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	ck_assert_int_eq(rename(temporary, world->key_file), 0);
}

int world_try_attach(struct endpoint *endpoint, const struct config_endpoint *config, char **ret_message)
{
	struct upstream *upstream;
	int r = poller_prepare(world->poller, config, &upstream, ret_message);

	if (r == 0)
		poller_attach(world->poller, endpoint, upstream);
	return r;
}

void world_attach(void)
{
	char *message = NULL;
	int r = world_try_attach(world->endpoint, &world->config, &message);

	if (r < 0)
		ck_abort_msg("attach: %s", message);
}

void world_setup(void)
{
	static char name[] = "test";

	signal(SIGPIPE, SIG_IGN);
	world = xnew(struct world);
	ck_assert_int_eq(loop_new(&world->loop), 0);
	loop_set_turn_hook(world->loop, on_turn, NULL);
	timers_handle(loop_timers(world->loop), TIMER_HOUSEKEEPING, on_housekeeping, NULL);
	timer_init(&world->guard, TIMER_HOUSEKEEPING);
	timer_init(&world->alarm, TIMER_HOUSEKEEPING);
	world->server = server_new(world->loop, on_request, world);
	world->handler = handle_ok;
	snprintf(world->directory, sizeof(world->directory), "/tmp/tinkex-upstream-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(world->directory));
	snprintf(world->key_file, sizeof(world->key_file), "%s/key", world->directory);
	world_write_key(KEY "\n");
	snprintf(world->base_url, sizeof(world->base_url), "http://127.0.0.1:%d/services/test",
		 world->server->port);
	world->config = (struct config_endpoint){
		.name = name,
		.base_url = world->base_url,
		.api_key_file = world->key_file,
		.profile = PROFILE_GUIDE,
		.policy = policy_profile(PROFILE_GUIDE),
		.connect_timeout = 10 * USEC_PER_SEC,
		.max_body_time = 10 * USEC_PER_SEC,
		.max_in_flight = 100,
		.max_connections = 8,
	};
	world->endpoint = endpoint_new("test", PROFILE_GUIDE);
	ck_assert_int_eq(poller_new(world->loop, &world->metrics, &operations, world, world_max_result, NULL, NULL,
				    &world->poller),
			 0);
	world_attach();
}

static void remove_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] != '.' || (entry->d_name[1] && entry->d_name[1] != '.'))
			unlinkat(dirfd(directory), entry->d_name, 0);
	}
	if (directory)
		closedir(directory);
	rmdir(path);
}

void world_teardown(void)
{
	if (world_after)
		world_after();
	poller_free(world->poller);
	server_free(world->server);
	for (unsigned i = 0; i < world->n_done; i++) {
		outcome_release(&world->records[i].outcome);
		result_unref(world->records[i].report.result);
	}
	endpoint_free(world->endpoint);
	loop_free(world->loop);
	remove_directory(world->directory);
	free(world);
}

int world_main(const char *name, const struct world_tests *all, size_t n_all)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < n_all; i++) {
		for (size_t j = 0; j < all[i].n_tests; j++)
			tcase_add_loop_test(tcase, all[i].tests[j], 0, all[i].times);
	}
	tcase_add_checked_fixture(tcase, world_setup, world_teardown);
	tcase_set_timeout(tcase, 2 * PATIENCE_S);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
