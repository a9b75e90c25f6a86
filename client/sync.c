/* The blocking forms: each starts the operation that the asynchronous form would start, and waits for it
 * alone. */
#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "await.h"
#include "calls.h"
#include "client.h"
#include "text.h"

/* Waits for the client's descriptor, at most until it has something to do. Signals end the waiting, not the
 * call. */
static void sync_sleep(const tinkex_client *client)
{
	struct pollfd watch = {.fd = client->epoll, .events = POLLIN};
	int64_t due = client_due_in(client);
	int timeout = due == CLIENT_NEVER             ? -1
		      : due > INT_MAX * INT64_C(1000) ? INT_MAX
						      : (int)((due + 999) / 1000);

	(void)!poll(&watch, 1, timeout);
}

static void sync_call_back(tinkex_client *client, const struct operation *operation,
			   const struct delivery *delivery)
{
	void *userdata;
	tinkex_done_fn registered;

	if (delivery->kind == DELIVERY_REGISTERED) {
		registered = await_on_registered(operation, &userdata);
		registered(client, 0, delivery->reply, userdata);
	} else if (operation->outcome) {
		operation->outcome(client, delivery->index, delivery->result, operation->userdata);
	}
}

/* The last delivery: the call's result. Frees it. */
static int sync_end(tinkex_client *client, struct delivery *delivery, tinkex_reply **ret_reply)
{
	int error = delivery->error;

	if (error)
		client_set_error(client, steal_pointer(delivery->text), steal_pointer(delivery->data));
	else if (ret_reply)
		*ret_reply = steal_pointer(delivery->reply);
	delivery_free(delivery);
	return error;
}

/*
 * Runs the operation, which is freed, to its end. Callbacks of other operations are not run: they stay queued
 * for tinkex_process(). Those of this one may free the client: then nothing of it is touched but its `dead`.
 */
static int sync_run(tinkex_client *client, struct operation *operation, tinkex_reply **ret_reply)
{
	_cleanup_(client_unrefp) tinkex_client *held = client_ref(client);
	struct delivery *delivery;
	bool gone = false, last;
	int r;

	operation->waited = true;
	operation->gone = &gone;
	client_start(client, operation);
	for (;;) {
		while ((delivery = operation_fetch(operation))) {
			last = delivery->kind == DELIVERY_DONE;
			if (last) {
				r = sync_end(client, delivery, ret_reply);
				operation_free(operation);
				return r;
			}
			sync_call_back(client, operation, delivery);
			delivery_free(delivery);
			if (held->dead) {
				if (!gone)
					operation_free(operation);
				return TINKEX_ECANCELLED;
			}
		}
		if (!client_turn(client))
			sync_sleep(client);
	}
}

static int sync_finish(tinkex_client *client, int r, struct operation *operation, tinkex_reply **ret_reply)
{
	return r < 0 ? r : sync_run(client, operation, ret_reply);
}

int tinkex_hello(tinkex_client *client, tinkex_reply **ret_reply)
{
	struct operation *operation = NULL;
	int r = calls_info(client, OPERATION_INFO, "hello", &operation);

	return sync_finish(client, r, operation, ret_reply);
}

int tinkex_ping(tinkex_client *client)
{
	struct operation *operation = NULL;
	int r = calls_info(client, OPERATION_INFO, "ping", &operation);

	return sync_finish(client, r, operation, NULL);
}

int tinkex_register(tinkex_client *client, const char *const *request_ids, size_t n,
		    const struct tinkex_register_options *options, tinkex_reply **ret_reply)
{
	struct operation *operation = NULL;
	int r = calls_register(client, request_ids, n, options, &operation);

	return sync_finish(client, r, operation, ret_reply);
}

int tinkex_await_each(tinkex_client *client, const char *const *request_ids, size_t n,
		      const struct tinkex_await_options *options, tinkex_outcome_fn outcome, void *userdata)
{
	struct operation *operation = NULL;
	int r = calls_await(client, request_ids, n, options, &operation);

	if (r < 0)
		return r;
	operation->outcome = outcome;
	operation->userdata = userdata;
	return sync_run(client, operation, NULL);
}

static void sync_keep_result(tinkex_client *client, size_t index, tinkex_result *result, void *userdata)
{
	tinkex_result **results = userdata;

	(void)client;
	results[index] = tinkex_result_ref(result);
}

int tinkex_await_many(tinkex_client *client, const char *const *request_ids, size_t n,
		      const struct tinkex_await_options *options, tinkex_result **ret_results)
{
	if (!client || (n > 0 && !ret_results))
		return TINKEX_EINVAL;
	for (size_t i = 0; i < n; i++)
		ret_results[i] = NULL;
	if (n == 0) /* there would be no place for what `where` finds */
		return 0;
	return tinkex_await_each(client, request_ids, n, options, sync_keep_result, ret_results);
}

int tinkex_await(tinkex_client *client, const char *request_id, const struct tinkex_await_options *options,
		 tinkex_result **ret_result)
{
	tinkex_result *result = NULL;
	int r;

	if (!ret_result)
		return TINKEX_EINVAL;
	r = tinkex_await_many(client, &request_id, 1, options, &result);
	if (r < 0)
		tinkex_result_unref(result);
	else
		*ret_result = result;
	return r;
}

int tinkex_collect(tinkex_client *client, const char *const *request_ids, size_t n,
		   const struct tinkex_select_options *options, tinkex_reply **ret_reply)
{
	struct operation *operation = NULL;
	int r = calls_select(client, OPERATION_COLLECT, "collect", request_ids, n, options, &operation);

	return sync_finish(client, r, operation, ret_reply);
}

int tinkex_ack(tinkex_client *client, const char *const *request_ids, size_t n,
	       const struct tinkex_select_options *options, tinkex_reply **ret_reply)
{
	struct operation *operation = NULL;
	int r = calls_select(client, OPERATION_AFFECT, "ack", request_ids, n, options, &operation);

	return sync_finish(client, r, operation, ret_reply);
}

int tinkex_cancel(tinkex_client *client, const char *const *request_ids, size_t n,
		  const struct tinkex_select_options *options, tinkex_reply **ret_reply)
{
	struct operation *operation = NULL;
	int r = calls_select(client, OPERATION_AFFECT, "cancel", request_ids, n, options, &operation);

	return sync_finish(client, r, operation, ret_reply);
}

int tinkex_status(tinkex_client *client, const char *request_id, const struct tinkex_select_options *options,
		  tinkex_reply **ret_reply)
{
	struct operation *operation = NULL;
	int r = calls_status(client, request_id, options, &operation);

	return sync_finish(client, r, operation, ret_reply);
}

int tinkex_list(tinkex_client *client, const struct tinkex_select_options *options, tinkex_reply **ret_reply)
{
	struct operation *operation = NULL;
	int r = calls_select(client, OPERATION_LIST, "list", NULL, 0, options, &operation);

	return sync_finish(client, r, operation, ret_reply);
}

int tinkex_endpoints(tinkex_client *client, tinkex_reply **ret_reply)
{
	struct operation *operation = NULL;
	int r = calls_info(client, OPERATION_LIST, "endpoints", &operation);

	return sync_finish(client, r, operation, ret_reply);
}

int tinkex_stats(tinkex_client *client, tinkex_reply **ret_reply)
{
	struct operation *operation = NULL;
	int r = calls_info(client, OPERATION_INFO, "stats", &operation);

	return sync_finish(client, r, operation, ret_reply);
}
