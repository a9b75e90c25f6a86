/*
 * The await operation: outcomes are streamed, each as it ends; what had not ended is asked again on a new
 * connection.
 *
 * With a registration, the futures are registered first. After a lost connection they are awaited first,
 * because an outcome may be there already and registering again could start it anew; only what the daemon no
 * longer knows is registered again.
 */
#ifndef TINKEX_CLIENT_AWAIT_H
#define TINKEX_CLIENT_AWAIT_H

#include "client.h"
#include "operation.h"

/* Makes operation->await, which goes with the operation also if this fails. `options` are complete
 * (members_copy_options()); what is needed of them is copied. -EINVAL (the client's error text says which of
 * them is wrong, unless it is a registration whose size was never set), -ENOMEM. */
int await_new(struct operation *operation, const struct tinkex_await_options *options) _must_check_;
struct await *await_free(struct await *await);

/* The connection is there: makes the requests that are needed now. */
void await_resume(struct operation *operation);
/* The connection was lost. */
void await_lost(struct operation *operation);
/* Adds the parameters that depend on the moment to a request that is about to be sent. */
void await_put_members(const struct operation *operation, const struct request *request, struct buffer *out);
/* A request of the operation was answered without an error. */
void await_answer(struct request *request, const struct message_reply *message);
/* An "outcome" notification came, for whichever call. -EBADMSG, -ENODATA: the stream cannot be trusted any
 * more. */
int await_outcome(tinkex_client *client, const struct message_reply *message) _must_check_;
/* After lines were read: registers anew what the daemon did not know any more. */
void await_repair(struct operation *operation);
/* µs at which await_expire() is due. */
int64_t await_expires(const struct operation *operation);
/* The time is up and the daemon did not say so: what has not ended ends here. */
void await_expire(struct operation *operation);
/* The daemon is gone for good: what has not ended is `api_timeout` with `daemon_gone`; false: the operation
 * was never asked, it fails as every other call. */
bool await_give_up(struct operation *operation, const char *exit_reason);
/* Whom a DELIVERY_REGISTERED goes to. */
tinkex_done_fn await_on_registered(const struct operation *operation, void **ret_userdata);

#endif
