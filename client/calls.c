/* Arguments into operations, and the asynchronous forms of all calls. */
#include "calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "await.h"
#include "error.h"
#include "members.h"
#include "text.h"

/* A failure while an operation is made, as the user gets it. -EINVAL has its text already. */
static int calls_failed(tinkex_client *client, const char *method, int r)
{
	if (r == -ENOMEM)
		return client_fail(client, TINKEX_ENOMEM, "%s: out of memory", method);
	return error_from_errno(r);
}

static int calls_begin(tinkex_client *client, enum operation_kind kind, const char *method,
		       const char *const *ids, size_t n, struct operation **ret_operation)
{
	int r;

	if (!client)
		return TINKEX_EINVAL;
	client_set_error(client, NULL, NULL);
	r = operation_new(client, kind, method, ids, n, ret_operation);
	return r < 0 ? calls_failed(client, method, r) : 0;
}

/* Gives the operation its members and, unless it makes its own, its requests. */
static int calls_complete(struct operation *operation, struct members *members)
{
	int r = members_finish(members, &operation->members);

	members_release(members);
	if (r == 0 && !operation->await)
		r = operation_add_requests(operation, REQUEST_PLAIN, NULL, operation->n_ids);
	return r < 0 ? calls_failed(operation->client, operation->method, r) : 0;
}

int calls_info(tinkex_client *client, enum operation_kind kind, const char *method,
	       struct operation **ret_operation)
{
	_cleanup_(operation_freep) struct operation *operation = NULL;
	struct members members;
	int r = calls_begin(client, kind, method, NULL, 0, &operation);

	if (r < 0)
		return r;
	members_init(&members, client);
	if (strcmp(method, "hello") == 0) {
		members_string(&members, "client", client->name ? client->name : "libtinkex/" TINKEX_VERSION);
		members_time(&members, "protocol", 1, false);
	}
	r = calls_complete(operation, &members);
	if (r == 0)
		*ret_operation = steal_pointer(operation);
	return r;
}

int calls_register(tinkex_client *client, const char *const *ids, size_t n,
		   const struct tinkex_register_options *options, struct operation **ret_operation)
{
	struct tinkex_register_options full = TINKEX_REGISTER_OPTIONS_INIT;
	_cleanup_(operation_freep) struct operation *operation = NULL;
	struct members members;
	int r = calls_begin(client, OPERATION_REGISTER, "register", ids, n, &operation);

	if (r < 0)
		return r;
	if (members_copy_options(&full, sizeof(full), options) < 0)
		return client_fail(client, TINKEX_EINVAL,
				   "register: the options have no size: use their init macro");
	if ((n == 0) == !full.response)
		return client_fail(client, TINKEX_EINVAL,
				   "register: either request ids or a response must be given");
	members_init(&members, client);
	members_string(&members, "endpoint", full.endpoint ? full.endpoint : client->endpoint);
	members_time(&members, "poll_timeout_ms", full.poll_timeout_ms, true);
	members_register(&members, &full);
	members_string(&members, "if_ended", full.if_ended);
	members_object(&members, "response", full.response);
	r = calls_complete(operation, &members);
	if (r == 0)
		*ret_operation = steal_pointer(operation);
	return r;
}

int calls_await(tinkex_client *client, const char *const *ids, size_t n,
		const struct tinkex_await_options *options, struct operation **ret_operation)
{
	struct tinkex_await_options full = TINKEX_AWAIT_OPTIONS_INIT;
	_cleanup_(operation_freep) struct operation *operation = NULL;
	int r = calls_begin(client, OPERATION_AWAIT, "await", ids, n, &operation);

	if (r < 0)
		return r;
	if (members_copy_options(&full, sizeof(full), options) < 0)
		return client_fail(client, TINKEX_EINVAL,
				   "await: the options have no size: use their init macro");
	if (n == 0 && !full.where)
		return client_fail(client, TINKEX_EINVAL,
				   "await: neither request ids nor `where` were given");
	if (n == 0 && full.registration)
		return client_fail(client, TINKEX_EINVAL,
				   "await: without request ids there is nothing to register");
	r = await_new(operation, &full);
	if (r < 0)
		return calls_failed(client, "await", r);
	*ret_operation = steal_pointer(operation);
	return 0;
}

int calls_select(tinkex_client *client, enum operation_kind kind, const char *method, const char *const *ids,
		 size_t n, const struct tinkex_select_options *options, struct operation **ret_operation)
{
	struct tinkex_select_options full = TINKEX_SELECT_OPTIONS_INIT;
	_cleanup_(operation_freep) struct operation *operation = NULL;
	struct members members;
	int r = calls_begin(client, kind, method, ids, n, &operation);

	if (r < 0)
		return r;
	if (members_copy_options(&full, sizeof(full), options) < 0)
		return client_fail(client, TINKEX_EINVAL,
				   "%s: the options have no size: use their init macro", method);
	if (kind == OPERATION_AFFECT && n == 0 && !full.where)
		return client_fail(client, TINKEX_EINVAL, "%s: neither request ids nor `where` were given",
				   method);
	members_init(&members, client);
	/* A list without an endpoint is of all endpoints; the client's default is for calls that need one. */
	members_string(&members, "endpoint",
		       full.endpoint || kind == OPERATION_LIST ? full.endpoint : client->endpoint);
	members_object(&members, "where", full.where);
	members_string(&members, "state", full.state);
	members_string(&members, "after", full.after);
	members_time(&members, "limit", full.limit, false);
	members_true(&members, "ack", full.ack);
	members_true(&members, "all", full.all);
	r = calls_complete(operation, &members);
	if (r == 0)
		*ret_operation = steal_pointer(operation);
	return r;
}

int calls_status(tinkex_client *client, const char *id, const struct tinkex_select_options *options,
		 struct operation **ret_operation)
{
	int r = calls_select(client, OPERATION_INFO, "status", &id, 1, options, ret_operation);

	if (r == 0)
		(*ret_operation)->single = true;
	return r;
}

/* ---- asynchronous forms ---- */

static int calls_start(tinkex_client *client, struct operation *operation, tinkex_outcome_fn outcome,
		       tinkex_done_fn done, void *userdata, uint64_t *ret_call)
{
	operation->outcome = outcome;
	operation->done = done;
	operation->userdata = userdata;
	client_start(client, operation);
	if (ret_call)
		*ret_call = operation->call;
	return 0;
}

int tinkex_hello_async(tinkex_client *client, tinkex_done_fn done, void *userdata, uint64_t *ret_call)
{
	struct operation *operation = NULL;
	int r = calls_info(client, OPERATION_INFO, "hello", &operation);

	return r < 0 ? r : calls_start(client, operation, NULL, done, userdata, ret_call);
}

int tinkex_ping_async(tinkex_client *client, tinkex_done_fn done, void *userdata, uint64_t *ret_call)
{
	struct operation *operation = NULL;
	int r = calls_info(client, OPERATION_INFO, "ping", &operation);

	return r < 0 ? r : calls_start(client, operation, NULL, done, userdata, ret_call);
}

int tinkex_endpoints_async(tinkex_client *client, tinkex_done_fn done, void *userdata, uint64_t *ret_call)
{
	struct operation *operation = NULL;
	int r = calls_info(client, OPERATION_LIST, "endpoints", &operation);

	return r < 0 ? r : calls_start(client, operation, NULL, done, userdata, ret_call);
}

int tinkex_stats_async(tinkex_client *client, tinkex_done_fn done, void *userdata, uint64_t *ret_call)
{
	struct operation *operation = NULL;
	int r = calls_info(client, OPERATION_INFO, "stats", &operation);

	return r < 0 ? r : calls_start(client, operation, NULL, done, userdata, ret_call);
}

int tinkex_register_async(tinkex_client *client, const char *const *request_ids, size_t n,
			  const struct tinkex_register_options *options, tinkex_done_fn done, void *userdata,
			  uint64_t *ret_call)
{
	struct operation *operation = NULL;
	int r = calls_register(client, request_ids, n, options, &operation);

	return r < 0 ? r : calls_start(client, operation, NULL, done, userdata, ret_call);
}

int tinkex_await_async(tinkex_client *client, const char *const *request_ids, size_t n,
		       const struct tinkex_await_options *options, tinkex_outcome_fn outcome,
		       tinkex_done_fn done, void *userdata, uint64_t *ret_call)
{
	struct operation *operation = NULL;
	int r = calls_await(client, request_ids, n, options, &operation);

	return r < 0 ? r : calls_start(client, operation, outcome, done, userdata, ret_call);
}

int tinkex_collect_async(tinkex_client *client, const char *const *request_ids, size_t n,
			 const struct tinkex_select_options *options, tinkex_done_fn done, void *userdata,
			 uint64_t *ret_call)
{
	struct operation *operation = NULL;
	int r = calls_select(client, OPERATION_COLLECT, "collect", request_ids, n, options, &operation);

	return r < 0 ? r : calls_start(client, operation, NULL, done, userdata, ret_call);
}

int tinkex_ack_async(tinkex_client *client, const char *const *request_ids, size_t n,
		     const struct tinkex_select_options *options, tinkex_done_fn done, void *userdata,
		     uint64_t *ret_call)
{
	struct operation *operation = NULL;
	int r = calls_select(client, OPERATION_AFFECT, "ack", request_ids, n, options, &operation);

	return r < 0 ? r : calls_start(client, operation, NULL, done, userdata, ret_call);
}

int tinkex_cancel_async(tinkex_client *client, const char *const *request_ids, size_t n,
			const struct tinkex_select_options *options, tinkex_done_fn done, void *userdata,
			uint64_t *ret_call)
{
	struct operation *operation = NULL;
	int r = calls_select(client, OPERATION_AFFECT, "cancel", request_ids, n, options, &operation);

	return r < 0 ? r : calls_start(client, operation, NULL, done, userdata, ret_call);
}

int tinkex_status_async(tinkex_client *client, const char *request_id,
			const struct tinkex_select_options *options, tinkex_done_fn done, void *userdata,
			uint64_t *ret_call)
{
	struct operation *operation = NULL;
	int r = calls_status(client, request_id, options, &operation);

	return r < 0 ? r : calls_start(client, operation, NULL, done, userdata, ret_call);
}

int tinkex_list_async(tinkex_client *client, const struct tinkex_select_options *options, tinkex_done_fn done,
		      void *userdata, uint64_t *ret_call)
{
	struct operation *operation = NULL;
	int r = calls_select(client, OPERATION_LIST, "list", NULL, 0, options, &operation);

	return r < 0 ? r : calls_start(client, operation, NULL, done, userdata, ret_call);
}
