#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "store/spool.h"
#include "sys/clock.h"
#include "sys/worker.h"

struct world *world;
void (*world_after)(void);
uint64_t world_max_result = UINT64_C(64) * 1024 * 1024;
bool world_in_memory;

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

static uint64_t on_new_result_id(void *context)
{
	ck_assert_ptr_eq(context, world);
	return ++world->last_id;
}

static const struct poller_operations operations = {on_sent, on_done, on_key_changed, on_new_result_id};

/* What the spool says, and the results in it. */

static void on_congested(void *context, bool congested)
{
	(void)context;
	world->congested += congested;
	if (world->poller) /* a test has freed it: the spool goes on */
		poller_set_congested(world->poller, congested);
}

static void on_full(void *context, bool full)
{
	(void)context;
	(void)full;
	ck_abort_msg("the disk is full");
}

static void on_broken(void *context, int error)
{
	(void)context;
	ck_abort_msg("the disk is broken: %s", strerror(-error));
}

static const struct spool_operations spool_operations = {on_congested, on_full, on_broken};

static void on_gone(struct result_keeper *keeper, uint64_t id, bool in_file)
{
	ck_assert_ptr_eq(keeper, &world->keeper);
	ck_assert(in_file);
	world->n_gone++;
	spool_remove(world->spool, id);
}

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

static void read_file(const struct result *result, char *data)
{
	char name[SPOOL_NAME_SIZE];
	size_t got = 0;
	int fd;

	ck_assert_ptr_null(result->body);
	spool_name(result->id, name);
	fd = openat(spool_fd(world->spool), name, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	while (got < result->size) {
		ssize_t n = pread(fd, data + got, result->size - got, (off_t)(result->offset + got));

		ck_assert_int_gt(n, 0);
		got += (size_t)n;
	}
	close(fd);
}

char *world_result(uint64_t future, size_t *ret_size)
{
	const struct result *result = world_record(future)->report.result;
	char *data;

	world_expect_kind(future, OUTCOME_COMPLETED);
	ck_assert_ptr_nonnull(result);
	ck_assert(result->ok);
	data = malloc(result->size + 1);
	ck_assert_ptr_nonnull(data);
	if (result->in_file) {
		read_file(result, data);
	} else if (result->size) {
		ck_assert_uint_eq(result->body->size, result->size);
		memcpy(data, result->body->data, result->size);
	}
	*ret_size = result->size;
	return data;
}

void world_expect_result(uint64_t future, const char *bytes)
{
	size_t size;
	char *data = world_result(future, &size);

	ck_assert_uint_eq(size, strlen(bytes));
	ck_assert_mem_eq(data, bytes, size);
	free(data);
}

void world_forget(uint64_t future)
{
	for (unsigned i = 0; i < world->n_done; i++) {
		struct poll_report *report = &world->records[i].report;

		if (world->records[i].future == future)
			report->result = result_unref(report->result);
	}
}

/* Files. */

static void plug_run(struct job *job)
{
	(void)job;
	while (sem_wait(&world->plug_pulled) < 0)
		ck_assert_int_eq(errno, EINTR);
}

static void plug_done(struct job *job)
{
	(void)job;
}

void world_stop_files(void)
{
	ck_assert(!world->plugged);
	world->plugged = true;
	worker_submit(world->worker, &world->plug);
}

void world_go_on_files(void)
{
	if (world->plugged)
		sem_post(&world->plug_pulled);
	world->plugged = false;
}

static void count_file(void *context, uint64_t id, const char *name, uint64_t size)
{
	(void)size;
	ck_assert_msg(id, "%s is no file of the spool", name);
	++*(unsigned *)context;
}

unsigned world_files(void)
{
	unsigned n = 0;

	ck_assert_int_eq(spool_each(world->spool, count_file, &n), 0);
	return n;
}

static bool right_files(struct world *w)
{
	return world_files() == w->wanted;
}

void world_until_files(unsigned n)
{
	world->wanted = n;
	world_until(right_files);
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

static void setup_files(void)
{
	int fd = open(world->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *message = NULL;

	ck_assert_int_ge(fd, 0);
	world->keeper.gone = on_gone;
	world->plug = (struct job){.run = plug_run, .done = plug_done};
	ck_assert_int_eq(sem_init(&world->plug_pulled, 0, 0), 0);
	ck_assert_int_eq(worker_new(world->loop, "files", &world->worker), 0);
	if (spool_new(fd, world->loop, world->worker, &spool_operations, world, &world->spool, &message) < 0)
		ck_abort_msg("spool: %s", message);
	close(fd);
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
	setup_files();
	world->endpoint = endpoint_new("test", PROFILE_GUIDE);
	ck_assert_int_eq(poller_new(world->loop, &world->metrics, &operations, world, world_max_result,
				    world_in_memory ? NULL : world->spool, &world->keeper, &world->poller),
			 0);
	world_attach();
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
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
	world_go_on_files();
	worker_free(world->worker);
	ck_assert_uint_eq(world_files(), 0); /* nothing is left lying about */
	spool_free(world->spool);
	sem_destroy(&world->plug_pulled);
	endpoint_free(world->endpoint);
	loop_free(world->loop);
	ck_assert_int_eq(nftw(world->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
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
