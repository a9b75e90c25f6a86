/* What was stored comes back as it was; what nobody holds goes; batches are settled in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sys/scratch.h"
#include "core/alloc.h"
#include "keeping.h"
#include "sick_disk.h"

#define ME      1000
#define SOMEONE 1001

static struct keeping here;

static struct result *body_result(const char *body)
{
	return result_ok(CONTENT_JSON, blob_copy(body, strlen(body)), 1790000000000777);
}

static struct result *failed_result(const char *message, const char *data)
{
	return result_failed(error_new(ERROR_REQUEST_FAILED, CATEGORY_USER, 422, message, data),
			     1790000000000888);
}

/* Kept, and no longer held by anybody but the store. */
static void keep(uint64_t id, const char *request_id, struct result *result)
{
	struct registration *registration = registration_make(id, ME, request_id);

	registration->result = result;
	keeping_save(&here, registration);
	store_stop(here.store); /* from here on nothing of it is removed */
	registration_drop(registration);
	here.store = store_close(here.store);
	keeping_restart(&here, NULL, 0);
}

static const struct stored_registration *row(size_t i)
{
	ck_assert_uint_lt(i, here.n_rows);
	return &here.rows[i].row;
}

static struct registration *everything(void)
{
	struct registration *registration = registration_make(41, ME, "sess:1/\xc3\xa4");
	struct future *future = registration->future;

	future->accept_protobuf = true;
	future->request_type = xstrdup("Sample");
	future->create_roundtrip_ms = 77;
	registration->metadata = xstrdup("{\"run\":\"x\"}");
	registration->poll_timeout = 60 * USEC_PER_SEC;
	registration->deadline = loop_now(here.world.loop) + 12345678;
	registration->http_timeout = 30 * USEC_PER_SEC;
	registration->backoff_initial = 0;
	registration->backoff_max = 1500;
	registration->on_network_error = ON_FAILURE_FAIL;
	registration->on_server_failure = ON_FAILURE_RETRY;
	registration->deadline_is_max_age = true;
	return registration;
}

static void check_everything(const struct registration *saved, bool linked)
{
	const struct stored_registration *loaded = row(0);

	ck_assert_uint_eq(loaded->id, 41);
	ck_assert_uint_eq(loaded->uid, ME);
	ck_assert_str_eq(loaded->endpoint, "default");
	ck_assert_str_eq(loaded->request_id, "sess:1/\xc3\xa4");
	ck_assert_str_eq(loaded->request_type, "Sample");
	ck_assert_str_eq(loaded->metadata, "{\"run\":\"x\"}");
	ck_assert_int_eq(loaded->create_roundtrip_ms, 77);
	ck_assert_int_eq(loaded->registered_wall, saved->registered_wall);
	ck_assert_int_eq(loaded->deadline, saved->deadline);
	ck_assert_int_eq(loaded->poll_timeout, saved->poll_timeout);
	ck_assert_int_eq(loaded->http_timeout, saved->http_timeout);
	ck_assert_int_eq(loaded->backoff_initial, 0);
	ck_assert_int_eq(loaded->backoff_max, 1500);
	ck_assert_int_eq(loaded->delivered_wall, 0);
	ck_assert_uint_eq(loaded->on_network_error, ON_FAILURE_FAIL);
	ck_assert_uint_eq(loaded->on_server_failure, ON_FAILURE_RETRY);
	ck_assert(loaded->accept_protobuf && loaded->deadline_is_max_age);
	ck_assert_int_eq(loaded->linked, linked);
	ck_assert_ptr_null(loaded->result);
}

START_TEST(every_field_comes_back)
{
	struct registration *registration;
	struct registration_links links;

	keeping_init(&here);
	registration = everything();
	registration->links = &links;
	keeping_save(&here, registration);
	keeping_restart(&here, NULL, 0);
	check_everything(registration, true);
	registration->links = NULL; /* a row that exists is changed */
	keeping_save(&here, registration);
	keeping_restart(&here, NULL, 0);
	check_everything(registration, false);
	registration_drop(registration);
	keeping_release(&here);
}
END_TEST

START_TEST(what_was_not_given_comes_back_so)
{
	struct registration *registration = registration_make(1, 4294967294U, "a");

	keeping_init(&here);
	keeping_save(&here, registration);
	keeping_restart(&here, NULL, 0);
	ck_assert_uint_eq(row(0)->uid, 4294967294U);
	ck_assert_ptr_null(row(0)->request_type);
	ck_assert_ptr_null(row(0)->metadata);
	ck_assert_int_eq(row(0)->create_roundtrip_ms, -1);
	ck_assert_int_eq(row(0)->deadline, TIME_NEVER);
	ck_assert_int_eq(row(0)->poll_timeout, TIME_NEVER);
	ck_assert_int_eq(row(0)->http_timeout, 0);
	ck_assert_int_eq(row(0)->backoff_initial, -1);
	ck_assert_int_eq(row(0)->backoff_max, -1);
	ck_assert(!row(0)->accept_protobuf && !row(0)->linked && !row(0)->deadline_is_max_age);
	registration_drop(registration);
	keeping_release(&here);
}
END_TEST

START_TEST(a_deadline_is_exact_in_this_boot_and_by_the_clock_in_another)
{
	struct registration *registration;
	int64_t left;

	keeping_init(&here);
	registration = everything();
	keeping_save(&here, registration);
	keeping_restart(&here, NULL, 3600 * USEC_PER_SEC);
	ck_assert_int_eq(row(0)->deadline, registration->deadline);
	keeping_restart(&here, "UPDATE registrations SET deadline_boot = 'another'", 5 * USEC_PER_SEC);
	left = registration->deadline - row(0)->deadline - 5 * USEC_PER_SEC;
	ck_assert_int_lt(llabs(left), USEC_PER_SEC / 2); /* between the readings of the two clocks */
	keeping_restart(&here, "UPDATE registrations SET deadline_boot = NULL, deadline_boottime = NULL",
			3600 * USEC_PER_SEC);
	ck_assert_int_lt(row(0)->deadline, loop_now(here.world.loop));
	registration_drop(registration);
	keeping_release(&here);
}
END_TEST

static void on_read(void *context, struct blob *bytes, int error)
{
	ck_assert_int_eq(error, 0);
	*(struct blob **)context = bytes;
}

static bool is_read(void *context)
{
	return *(struct blob **)context;
}

static void check_body(struct result *result, const char *bytes, size_t size)
{
	struct blob *read = NULL;

	ck_assert(result_is_cold(result));
	ck_assert_uint_eq(result->size, size);
	reader_read(store_reader(here.store), result, 0, size, on_read, &read);
	world_run(&here.world, is_read, &read);
	ck_assert_uint_eq(read->size, size);
	ck_assert_mem_eq(read->data, bytes, size);
	blob_unref(read);
}

START_TEST(a_small_body_comes_back)
{
	keeping_init(&here);
	keep(1, "a", body_result("{\"x\":1}"));
	ck_assert(row(0)->result->ok && !row(0)->result->in_file);
	ck_assert_uint_eq(row(0)->result->content, CONTENT_JSON);
	ck_assert_int_eq(row(0)->result->ended_wall, 1790000000000777);
	ck_assert_ptr_eq(row(0)->result->keeper, store_keeper(here.store));
	check_body(row(0)->result, "{\"x\":1}", 7);
	keeping_release(&here);
}
END_TEST

START_TEST(protobuf_comes_back_as_such)
{
	keeping_init(&here);
	keep(1, "a", result_ok(CONTENT_PROTOBUF, blob_copy("\0\1\2", 3), 5));
	ck_assert_uint_eq(row(0)->result->content, CONTENT_PROTOBUF);
	check_body(row(0)->result, "\0\1\2", 3);
	keeping_release(&here);
}
END_TEST

START_TEST(an_error_comes_back)
{
	const struct error *error;

	keeping_init(&here);
	keep(1, "a", failed_result("no luck", "\"reason\":\"x\""));
	ck_assert(!row(0)->result->ok && !result_is_cold(row(0)->result));
	ck_assert_int_eq(row(0)->result->ended_wall, 1790000000000888);
	error = row(0)->result->error;
	ck_assert_int_eq(error->type, ERROR_REQUEST_FAILED);
	ck_assert_int_eq(error->category, CATEGORY_USER);
	ck_assert_uint_eq(error->status, 422);
	ck_assert_str_eq(error->message, "no luck");
	ck_assert_str_eq(error->data, "\"reason\":\"x\"");
	keeping_release(&here);
}
END_TEST

START_TEST(an_error_without_category_and_status_comes_back)
{
	keeping_init(&here);
	keep(1, "a", result_failed(error_new(ERROR_CANCELLED, CATEGORY_NONE, 0, NULL, NULL), 5));
	ck_assert_int_eq(row(0)->result->error->type, ERROR_CANCELLED);
	ck_assert_int_eq(row(0)->result->error->category, CATEGORY_NONE);
	ck_assert_uint_eq(row(0)->result->error->status, 0);
	ck_assert_str_eq(row(0)->result->error->data, "");
	keeping_release(&here);
}
END_TEST

START_TEST(the_large_data_of_an_error_comes_back_as_its_body)
{
	char *data = world_bytes(1, 0, 20000);

	for (size_t i = 0; i < 20000; i++)
		data[i] = (char)('a' + (unsigned char)data[i] % 26);
	memcpy(data, "\"d\":\"", 5);
	data[19999] = '"';
	data[20000] = '\0';
	keeping_init(&here);
	keep(1, "a", failed_result("no luck", data));
	ck_assert(!row(0)->result->ok);
	ck_assert_str_eq(row(0)->result->error->data, "");
	check_body(row(0)->result, data, 20000);
	free(data);
	keeping_release(&here);
}
END_TEST

static struct result *file_result(uint64_t id, uint64_t offset, uint64_t size)
{
	return result_in_file(CONTENT_JSON, id, offset, size, 5, store_keeper(here.store));
}

START_TEST(a_body_in_a_file_comes_back)
{
	char *bytes = world_bytes(1, 10, 90000);
	uint64_t id;

	keeping_init(&here);
	id = store_new_result_id(here.store);
	ck_assert_uint_eq(id, 1);
	make_spool_file(id, 90020);
	keep(1, "a", file_result(id, 10, 90000));
	ck_assert(row(0)->result->ok && row(0)->result->in_file);
	ck_assert_uint_eq(row(0)->result->id, id);
	ck_assert_uint_eq(row(0)->result->offset, 10);
	check_body(row(0)->result, bytes, 90000);
	ck_assert_uint_gt(store_new_result_id(here.store), id);
	free(bytes);
	keeping_release(&here);
}
END_TEST

START_TEST(registrations_share_their_result)
{
	struct registration *mine = registration_make(1, ME, "a"),
			    *others = registration_make(2, SOMEONE, "a");

	keeping_init(&here);
	mine->result = body_result("1");
	others->result = result_ref(mine->result);
	keeping_save(&here, mine);
	keeping_save(&here, others);
	ck_assert_int_eq(ask("SELECT count(*) FROM results"), 1);
	store_stop(here.store);
	registration_drop(mine);
	registration_drop(others);
	here.store = store_close(here.store);
	keeping_restart(&here, NULL, 0);
	ck_assert_uint_eq(here.n_rows, 2);
	ck_assert_ptr_eq(row(0)->result, row(1)->result);
	ck_assert_uint_eq(row(0)->result->refs, 2);
	keeping_release(&here);
}
END_TEST

START_TEST(deliveries_and_removals_are_kept)
{
	struct registration *delivered = registration_make(1, ME, "a"),
			    *removed = registration_make(2, ME, "b");

	keeping_init(&here);
	delivered->result = body_result("1");
	keeping_save(&here, delivered);
	keeping_save(&here, removed);
	delivered->delivered = 1790000000001234;
	store_save_delivered(here.store, delivered);
	keeping_commit(&here, store_remove(here.store, removed));
	store_stop(here.store);
	registration_drop(delivered);
	registration_drop(removed);
	here.store = store_close(here.store);
	keeping_restart(&here, NULL, 0);
	ck_assert_uint_eq(here.n_rows, 1);
	ck_assert_int_eq(row(0)->delivered_wall, 1790000000001234);
	keeping_release(&here);
}
END_TEST

START_TEST(a_new_beginning_forgets_the_end)
{
	struct registration *registration = registration_make(1, ME, "a");

	keeping_init(&here);
	registration->result = body_result("1");
	registration->delivered = 5;
	keeping_save(&here, registration);
	keeping_commit(&here, store_save(here.store, registration)); /* its metadata, say: the end stays */
	ck_assert_int_eq(ask("SELECT result FROM registrations"), (int64_t)registration->result->id);
	registration->result = result_unref(registration->result);
	registration->delivered = 0;
	keeping_commit(&here, store_save(here.store, registration));
	keeping_restart(&here, NULL, 0);
	ck_assert_ptr_null(row(0)->result);
	ck_assert_int_eq(row(0)->delivered_wall, 0);
	ck_assert_int_eq(ask("SELECT count(*) FROM results"), 0);
	registration_drop(registration);
	keeping_release(&here);
}
END_TEST

/* What lies about. */

static void check_missing(size_t size)
{
	keeping_init(&here);
	store_new_result_id(here.store);
	if (size)
		make_spool_file(1, size);
	keep(1, "a", file_result(1, 10, 90000));
	ck_assert_ptr_null(row(0)->result);
	ck_assert_int_eq(ask("SELECT count(*) FROM results"), 0);
	ck_assert_int_eq(ask("SELECT result FROM registrations"), -1);
	keeping_restart(&here, NULL, 0);
	ck_assert(!spool_has(1));
	ck_assert_ptr_null(row(0)->result);
	keeping_release(&here);
}

START_TEST(one_whose_file_is_missing_has_not_ended)
{
	check_missing(0);
}
END_TEST

START_TEST(one_whose_file_is_too_short_has_not_ended)
{
	check_missing(90009);
}
END_TEST

START_TEST(what_is_missing_was_not_delivered)
{
	struct registration *registration = registration_make(1, ME, "a");

	keeping_init(&here);
	registration->result = body_result("1");
	registration->delivered = 1790000000001234;
	keeping_save(&here, registration);
	store_stop(here.store);
	registration_drop(registration);
	here.store = store_close(here.store);
	keeping_restart(&here, "DELETE FROM results", 0);
	ck_assert_ptr_null(row(0)->result);
	ck_assert_int_eq(ask("SELECT delivered_wall FROM registrations"), -1);
	keeping_release(&here);
}
END_TEST

static bool spool_is_clean(void *context)
{
	(void)context;
	return !spool_has(9) && !spool_has(8);
}

START_TEST(what_no_row_names_goes_and_what_is_not_ours_stays)
{
	keeping_init(&here);
	keep(1, "a", body_result("1"));
	make_spool_file(8, 10);
	make_spool_file(9, 10);
	scratch_write("spool/readme", 0600, "mine");
	scratch_write("spool/00000000000000AB", 0600, "not as we write it");
	keeping_restart(&here,
			"INSERT INTO results(id, ended_wall, content, in_file, body_offset, body_size)"
			" VALUES(9, 5, 0, 1, 0, 10)",
			0);
	ck_assert_int_eq(ask("SELECT count(*) FROM results"), 1);
	keeping_run(&here, spool_is_clean);
	ck_assert_str_eq(scratch_read("spool/readme"), "mine");
	ck_assert_str_eq(scratch_read("spool/00000000000000AB"), "not as we write it");
	ck_assert_uint_eq(store_new_result_id(here.store), 10); /* never one that a file has had */
	keeping_release(&here);
}
END_TEST

static bool result_is_removed(void *context)
{
	(void)context;
	return !spool_has(1);
}

START_TEST(a_result_that_nobody_holds_goes)
{
	struct registration *mine = registration_make(1, ME, "a"),
			    *others = registration_make(2, SOMEONE, "a");

	keeping_init(&here);
	make_spool_file(store_new_result_id(here.store), 90000);
	mine->result = file_result(1, 0, 90000);
	others->result = result_ref(mine->result);
	keeping_save(&here, mine);
	keeping_save(&here, others);
	keeping_commit(&here, store_remove(here.store, mine));
	registration_drop(mine);
	keeping_commit(&here, store_remove(here.store, others));
	ck_assert_int_eq(ask("SELECT count(*) FROM results"), 1); /* somebody may still be reading it */
	ck_assert(spool_has(1));
	registration_drop(others);
	ck_assert(!store_busy(here.store)); /* nobody waits for that */
	keeping_run(&here, result_is_removed);
	ck_assert_int_eq(ask("SELECT count(*) FROM results"), 0);
	keeping_release(&here);
}
END_TEST

/* Batches. */

static bool is_held(void *context)
{
	(void)context;
	loop_wake(here.world.loop);
	return sick_held();
}

START_TEST(batches_gather_while_one_is_under_way)
{
	struct registration *registrations[4];
	uint64_t first, second;

	for (size_t i = 0; i < ARRAY_LEN(registrations); i++)
		registrations[i] = registration_make(i + 1, ME, "a");
	keeping_init(&here);
	sick_hold();
	first = store_save(here.store, registrations[0]);
	store_commit(here.store);
	keeping_run(&here, is_held);
	second = store_save(here.store, registrations[1]);
	ck_assert_uint_eq(second, first + 1);
	store_commit(here.store);
	ck_assert_uint_eq(store_save(here.store, registrations[2]), second);
	store_commit(here.store);
	ck_assert_uint_eq(store_save(here.store, registrations[3]), second);
	ck_assert(store_busy(here.store));
	ck_assert_uint_eq(here.n_settled, 0);
	sick_let_go();
	keeping_commit(&here, first);
	ck_assert_uint_eq(here.settled, first);
	keeping_commit(&here, second);
	ck_assert_uint_eq(here.n_settled, 2);
	ck_assert_uint_eq(here.metrics.commits, 2);
	ck_assert_uint_eq(here.metrics.commit_rows, 4);
	ck_assert(!store_busy(here.store));
	ck_assert_int_eq(ask("SELECT count(*) FROM registrations"), 4);
	for (size_t i = 0; i < ARRAY_LEN(registrations); i++)
		registration_drop(registrations[i]);
	keeping_release(&here);
}
END_TEST

START_TEST(stopping_commits_what_is_queued)
{
	struct registration *first = registration_make(1, ME, "a"), *second = registration_make(2, ME, "b");

	keeping_init(&here);
	second->result = body_result("1");
	store_save(here.store, first);
	store_commit(here.store); /* under way */
	store_save(here.store, second);
	store_save_end(here.store, second);
	store_stop(here.store);
	ck_assert_uint_eq(here.n_settled, 0); /* nobody is told any more */
	registration_drop(first);
	registration_drop(second);
	here.store = store_close(here.store);
	keeping_restart(&here, NULL, 0);
	ck_assert_uint_eq(here.n_rows, 2);
	ck_assert_ptr_null(row(0)->result);
	ck_assert(row(1)->result->ok);
	keeping_release(&here);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		every_field_comes_back,
		what_was_not_given_comes_back_so,
		a_deadline_is_exact_in_this_boot_and_by_the_clock_in_another,
		a_small_body_comes_back,
		protobuf_comes_back_as_such,
		an_error_comes_back,
		an_error_without_category_and_status_comes_back,
		the_large_data_of_an_error_comes_back_as_its_body,
		a_body_in_a_file_comes_back,
		registrations_share_their_result,
		deliveries_and_removals_are_kept,
		a_new_beginning_forgets_the_end,
		one_whose_file_is_missing_has_not_ended,
		one_whose_file_is_too_short_has_not_ended,
		what_is_missing_was_not_delivered,
		what_no_row_names_goes_and_what_is_not_ours_stays,
		a_result_that_nobody_holds_goes,
		batches_gather_while_one_is_under_way,
		stopping_commits_what_is_queued,
	};

	return SCRATCH_RUN("store", tests);
}
