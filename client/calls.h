/* Making operations out of arguments: what the blocking and the asynchronous form of a call have in common.
 */
#ifndef TINKEX_CLIENT_CALLS_H
#define TINKEX_CLIENT_CALLS_H

#include "client.h"

/* Each checks its arguments and makes an operation that was not started. 0, TINKEX_EINVAL or TINKEX_ENOMEM;
 * the client's error text says what is wrong. */
int calls_info(tinkex_client *client, enum operation_kind kind, const char *method,
	       struct operation **ret_operation) _must_check_;
int calls_register(tinkex_client *client, const char *const *ids, size_t n,
		   const struct tinkex_register_options *options,
		   struct operation **ret_operation) _must_check_;
int calls_await(tinkex_client *client, const char *const *ids, size_t n,
		const struct tinkex_await_options *options, struct operation **ret_operation) _must_check_;
int calls_select(tinkex_client *client, enum operation_kind kind, const char *method, const char *const *ids,
		 size_t n, const struct tinkex_select_options *options,
		 struct operation **ret_operation) _must_check_;
int calls_status(tinkex_client *client, const char *id, const struct tinkex_select_options *options,
		 struct operation **ret_operation) _must_check_;

#endif
