/*
 * libtinkex: talking to tinkexd, the daemon that polls futures of a Tinker-style API.
 *
 * A future is named by an endpoint (a name out of the daemon's configuration) and a request id (what the
 * server gave out when the work was submitted). You register it; from then on the daemon polls it, whatever
 * becomes of your process; you await or collect its result, and acknowledge that you have it.
 *
 * Two ways to call. The blocking form (tinkex_await()) returns when the answer is there. The other one
 * (tinkex_await_async()) returns at once and calls back from tinkex_process(), which your event loop calls
 * when tinkex_get_fd() is ready or tinkex_get_timeout() is over. Both may be mixed on one client.
 *
 * Errors. Functions return 0 or a negative TINKEX_E number; tinkex_strerror() says what it means and
 * tinkex_error_text() what exactly happened. A future that failed is no error of a call: it is a result whose
 * tinkex_result_ok() is 0.
 *
 * Connection. It is made by the first call and made again when it is lost: with growing pauses, until a limit
 * that you set. What was asked and not answered is asked again; futures that were awaited are awaited again.
 *
 * Memory. Strings that you pass in are copied. Strings that you get belong to the object that gave them and
 * live as long as it. Replies and results are immutable and counted, outlive the client, and may be shared by
 * threads.
 *
 * Threads. A client is used by one thread at a time; different clients are independent. The library has no
 * global state, starts no threads, installs no signal handlers, raises no SIGPIPE, opens every descriptor
 * close-on-exec and never ends the process. Do not use a client in a child after fork().
 *
 * Times are milliseconds in int64_t. Strings are UTF-8 and end with NUL. "JSON text" is a complete JSON
 * value.
 */
#ifndef TINKEX_H
#define TINKEX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TINKEX_PUBLIC     __attribute__((visibility("default")))
#define TINKEX_MUST_CHECK __attribute__((warn_unused_result))
#else
#define TINKEX_PUBLIC
#define TINKEX_MUST_CHECK
#endif

/* Version of this header; tinkex_version() gives that of the library in use. */
#define TINKEX_VERSION_MAJOR 0
#define TINKEX_VERSION_MINOR 1
#define TINKEX_VERSION_PATCH 0

/*
 * Error numbers. They never change their meaning. Those from -20 on are what the daemon answered.
 */
enum tinkex_error {
	TINKEX_OK = 0,
	TINKEX_EINVAL = -1,    /* an argument is wrong */
	TINKEX_ENOMEM = -2,    /* no memory */
	TINKEX_ENODAEMON = -3, /* no daemon could be reached, or it was gone for longer than allowed */
	TINKEX_EPROTOCOL = -4, /* the daemon's answer could not be understood, or it speaks another version */
	TINKEX_ETIMEOUT = -5,  /* the daemon did not answer in call_timeout_ms */
	TINKEX_ECANCELLED = -6, /* the call was abandoned, or the client freed, while it was waited for */
	TINKEX_EIO = -7,        /* a descriptor could not be read, or your writer failed */
	TINKEX_EREFUSED = -20,  /* not a request that the daemon takes */
	TINKEX_ENOMETHOD = -21, /* the daemon does not know the method: it is older than this library */
	TINKEX_EPARAMS = -22,   /* a parameter is missing or has the wrong type */
	TINKEX_EINTERNAL = -23, /* the daemon failed to carry out the call */
	TINKEX_EDENIED = -24,   /* not allowed, or no such endpoint */
	TINKEX_ENOTFOUND = -25, /* no such registration of yours */
	TINKEX_ELIMIT = -26,    /* a limit of the daemon is reached */
	TINKEX_ESHUTDOWN = -27, /* the daemon is going down */
	TINKEX_ESTORAGE = -28,  /* the daemon could not store it */
	TINKEX_ECONFLICT = -29  /* registered with a different setting before */
};

/* A time that is not given: the default of the daemon or the library holds. */
#define TINKEX_UNSET   INT64_C(-1)
/* A time without end: no deadline, for ever. */
#define TINKEX_FOREVER INT64_C(-2)

/* A connection to the daemon, with the calls that are under way on it. */
typedef struct tinkex_client tinkex_client;
/* What became of one future: its result or its error. */
typedef struct tinkex_result tinkex_result;
/* What a call was answered. */
typedef struct tinkex_reply tinkex_reply;

/*
 * Callbacks run inside tinkex_process(), or inside the blocking call that they were passed to, and nowhere
 * else. In a callback every function may be called, tinkex_client_free() included. The objects that they are
 * given are borrowed: take a reference to keep one.
 */

/* A call has ended. `error` 0: `reply` is its answer. Else `reply` is NULL, and tinkex_error_text() tells
 * more. */
typedef void (*tinkex_done_fn)(tinkex_client *client, int error, tinkex_reply *reply, void *userdata);
/* One future of an await call has ended. `index`: its place among the ids that were passed in. */
typedef void (*tinkex_outcome_fn)(tinkex_client *client, size_t index, tinkex_result *result, void *userdata);
/* A remark for people. `level` is that of syslog(3): 4 warning, 6 info, 7 debug. It runs wherever there is
 * something to remark, and must not call the library. */
typedef void (*tinkex_log_fn)(void *userdata, int level, const char *text);
/* Takes `size` bytes. Anything but 0 ends the writing. */
typedef int (*tinkex_write_fn)(const void *data, size_t size, void *userdata);

/* ---- options: set them up with the init macro, then change what you want ---- */

/* The whole answer is sent inline, never as a descriptor. */
#define TINKEX_NO_DESCRIPTORS UINT32_C(1)

struct tinkex_client_options {
	size_t size;
	const char *socket_path; /* NULL: the search order of tinkex_client_new() */
	const char
		*endpoint; /* used where a call names none; NULL: $TINKEX_ENDPOINT, else the daemon decides */
	const char *name;  /* "program/version", for the daemon's log */
	/* How long to go on trying when nothing answers at the first attempt. 0 (default): try each socket
	 * once. */
	int64_t connect_timeout_ms;
	/* How long to go on trying after a connection was lost. Default 60 s; 0: try each socket once. */
	int64_t reconnect_timeout_ms;
	/* The pause after the first failed attempt (default 50 ms), and the longest: they double (default 2
	 * s). */
	int64_t reconnect_initial_ms, reconnect_max_ms;
	/* How long a call that waits for nothing may take until TINKEX_ETIMEOUT. Default 60 s. */
	int64_t call_timeout_ms;
	tinkex_log_fn log; /* NULL: silence */
	void *log_userdata;
	uint32_t flags; /* TINKEX_NO_DESCRIPTORS or 0 */
};
#define TINKEX_CLIENT_OPTIONS_INIT                                                                           \
	{                                                                                                    \
		sizeof(struct tinkex_client_options), NULL, NULL, NULL, 0, TINKEX_UNSET, TINKEX_UNSET,       \
			TINKEX_UNSET, TINKEX_UNSET, NULL, NULL, 0                                            \
	}

/* How futures are to be polled. What is not given is the endpoint's default, or stays as it is when
 * registered. */
struct tinkex_register_options {
	size_t size;
	const char *endpoint;
	/* Deadline of the polling, from now. TINKEX_FOREVER takes one away that was set before. */
	int64_t poll_timeout_ms;
	int64_t http_timeout_ms; /* how long one poll may be held by the server */
	int64_t backoff_initial_ms, backoff_max_ms;
	int64_t create_roundtrip_ms;   /* how long submitting took, told to the server */
	const char *on_network_error;  /* "fail" or "retry" */
	const char *on_server_failure; /* "retry" or "fail" */
	const char *accept;            /* "json" or "protobuf" */
	const char *request_type;      /* "Sample", "ForwardBackward", … */
	const char *metadata;          /* JSON text of an object, at most 4 KiB */
	const char *if_ended;          /* "restart": poll again although there is an outcome */
	const char *response; /* in place of ids: JSON text of the server's answer to the submission */
	int linked;           /* not 0: the registration ends with the connection */
};
#define TINKEX_REGISTER_OPTIONS_INIT                                                                         \
	{                                                                                                    \
		sizeof(struct tinkex_register_options), NULL, TINKEX_UNSET, TINKEX_UNSET, TINKEX_UNSET,      \
			TINKEX_UNSET, TINKEX_UNSET, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0              \
	}

struct tinkex_await_options {
	size_t size;
	const char *endpoint;
	/* How long to wait. TINKEX_UNSET: until all have ended; 0: do not wait. */
	int64_t await_timeout_ms;
	/* What happens to a registration when the time is up: "cancel" (the daemon's default; it touches only
	 * what this connection itself registered anew and nobody else waits for) or "keep". */
	const char *on_timeout;
	const char *where; /* JSON text of an object: only futures whose metadata has these members; ids may
			      be none */
	int ack;           /* not 0: receiving the result acknowledges it */
	/* Register first, with these options (`endpoint` and `response` in them are ignored). NULL: only
	 * await. If the daemon forgot the futures while the connection was lost, they are registered again,
	 * with what is left of their deadline. */
	const struct tinkex_register_options *registration;
	/* Called once, before the first outcome, with the answer to that registration. */
	tinkex_done_fn registered;
	void *registered_userdata;
};
#define TINKEX_AWAIT_OPTIONS_INIT                                                                            \
	{                                                                                                    \
		sizeof(struct tinkex_await_options), NULL, TINKEX_UNSET, NULL, NULL, 0, NULL, NULL, NULL     \
	}

/* Which futures, for collect, ack, cancel, status and list. */
struct tinkex_select_options {
	size_t size;
	const char *endpoint;
	const char *where; /* as in tinkex_await_options */
	const char *state; /* list: "scheduled", "polling", "blocked", "completed" or "failed" */
	const char *after; /* list, collect: go on where tinkex_reply_next() of the page before said */
	int64_t limit;     /* list, collect: at most so many in a page; TINKEX_UNSET: the daemon's default */
	int ack;           /* collect: not 0: receiving the results acknowledges them */
	int all;           /* not 0: those of all users (only for root and the daemon's own user) */
};
#define TINKEX_SELECT_OPTIONS_INIT                                                                           \
	{                                                                                                    \
		sizeof(struct tinkex_select_options), NULL, NULL, NULL, NULL, TINKEX_UNSET, 0, 0             \
	}

/* ---- library ---- */

/* "0.1.0". */
TINKEX_PUBLIC const char *tinkex_version(void);
/* What an error number means: static text, never NULL. */
TINKEX_PUBLIC const char *tinkex_strerror(int error);

/* ---- client ---- */

/*
 * Makes a client; connects to nothing yet. Sockets that will be tried: `socket_path`, else $TINKEXD_SOCKET,
 * and only that; else $XDG_RUNTIME_DIR/tinkexd/tinkexd.sock, or /tmp/tinkexd-UID/tinkexd.sock where that
 * variable is not set and the folder belongs to you and to nobody else, and then /run/tinkexd/tinkexd.sock.
 * `options` may be NULL. TINKEX_EINVAL, TINKEX_ENOMEM.
 */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_client_new(const struct tinkex_client_options *options,
						      tinkex_client **ret_client);
/* Closes the connection and forgets all calls; their callbacks are not called any more. Takes NULL; returns
 * NULL. */
TINKEX_PUBLIC tinkex_client *tinkex_client_free(tinkex_client *client);

/* What went wrong in the call that failed last, in sentences for people; "" if none has. Until the next call.
 */
TINKEX_PUBLIC const char *tinkex_error_text(const tinkex_client *client);
/* The `data` object of the daemon's error reply (JSON text), or NULL. Until the next call. */
TINKEX_PUBLIC const char *tinkex_error_data(const tinkex_client *client);
/* The socket that the client is, or was last, connected to; NULL if it never was. Until the next call. */
TINKEX_PUBLIC const char *tinkex_client_socket(const tinkex_client *client);

/* ---- for event loops ---- */

/* The descriptor to watch. It stays the same for the client's life, over reconnections too. */
TINKEX_PUBLIC int tinkex_get_fd(const tinkex_client *client);
/* The poll(2) events to watch it for. */
TINKEX_PUBLIC int tinkex_get_events(const tinkex_client *client);
/* Milliseconds after which tinkex_process() is to be called although the descriptor is not ready; 0: now; -1:
 * never. */
TINKEX_PUBLIC int tinkex_get_timeout(const tinkex_client *client);
/* Does a bounded piece of work and runs at most one callback. 1: call again at once; 0: nothing left to do,
 * go back to waiting (also after the client was freed in a callback); TINKEX_EINVAL: `client` is NULL. Never
 * blocks. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_process(tinkex_client *client);

/*
 * ---- calls ----
 *
 * `request_ids` are `n` strings; any number of them: more than the daemon takes at once are asked in several
 * calls. `options` may be NULL. `ret_reply` is written only on success; give it back with
 * tinkex_reply_unref().
 *
 * The _async forms return TINKEX_EINVAL or TINKEX_ENOMEM, and nothing will be called; or 0, and `done` (may
 * be NULL) will be called exactly once, unless the call is abandoned or the client freed. `ret_call` (may be
 * NULL) gets the number by which it can be abandoned.
 */

/* Who the daemon is, which features it has, and its limits: tinkex_reply_json(). */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_hello(tinkex_client *client, tinkex_reply **ret_reply);
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_hello_async(tinkex_client *client, tinkex_done_fn done,
						       void *userdata, uint64_t *ret_call);
/* The daemon is there and answers. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_ping(tinkex_client *client);
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_ping_async(tinkex_client *client, tinkex_done_fn done,
						      void *userdata, uint64_t *ret_call);

/* Registers futures; answered when that is durable. An item for each id, in order: tinkex_reply_future(). A
 * single id that is refused is an item with an error, not an error of the call. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_register(tinkex_client *client, const char *const *request_ids,
						    size_t n, const struct tinkex_register_options *options,
						    tinkex_reply **ret_reply);
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_register_async(tinkex_client *client,
							  const char *const *request_ids, size_t n,
							  const struct tinkex_register_options *options,
							  tinkex_done_fn done, void *userdata,
							  uint64_t *ret_call);

/* Waits until the future has ended or the time is up; the latter too is a result, with the error
 * `api_timeout`. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_await(tinkex_client *client, const char *request_id,
						 const struct tinkex_await_options *options,
						 tinkex_result **ret_result);
/*
 * Waits for all. `ret_results` has room for `n`; each id gets a result of its own, in the order given. Give
 * back each with tinkex_result_unref(). If the call itself fails, the results that had arrived are in their
 * places all the same and the others are NULL. If the daemon goes away for longer than the client allows,
 * what has not ended is `api_timeout` with the reason `daemon_gone`.
 */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_await_many(tinkex_client *client, const char *const *request_ids,
						      size_t n, const struct tinkex_await_options *options,
						      tinkex_result **ret_results);
/* Waits for all and calls `outcome` for each as it ends. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_await_each(tinkex_client *client, const char *const *request_ids,
						      size_t n, const struct tinkex_await_options *options,
						      tinkex_outcome_fn outcome, void *userdata);
/* The same without blocking: `outcome` for each, then `done` with a reply that holds nothing but
 * tinkex_reply_affected(), the number of outcomes. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_await_async(tinkex_client *client, const char *const *request_ids,
						       size_t n, const struct tinkex_await_options *options,
						       tinkex_outcome_fn outcome, tinkex_done_fn done,
						       void *userdata, uint64_t *ret_call);
/* Forgets a call and tells the daemon so: none of its callbacks is called any more. Registrations stay.
 * Nothing happens if there is no such call. */
TINKEX_PUBLIC void tinkex_abandon(tinkex_client *client, uint64_t call);

/* What has ended, without waiting: tinkex_reply_result() for each item. n 0: all of yours that have ended,
 * oldest first, in pages (tinkex_reply_next()). A future that has not ended is a result whose
 * tinkex_result_ok() is -1. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_collect(tinkex_client *client, const char *const *request_ids,
						   size_t n, const struct tinkex_select_options *options,
						   tinkex_reply **ret_reply);
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_collect_async(tinkex_client *client,
							 const char *const *request_ids, size_t n,
							 const struct tinkex_select_options *options,
							 tinkex_done_fn done, void *userdata,
							 uint64_t *ret_call);

/* You have the results, the daemon may forget them. tinkex_reply_affected() says how many it knew; the items
 * are those that it did not. `ret_reply` may be NULL. n 0 is allowed with `where`. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_ack(tinkex_client *client, const char *const *request_ids,
					       size_t n, const struct tinkex_select_options *options,
					       tinkex_reply **ret_reply);
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_ack_async(tinkex_client *client, const char *const *request_ids,
						     size_t n, const struct tinkex_select_options *options,
						     tinkex_done_fn done, void *userdata, uint64_t *ret_call);

/* Your registrations that have not ended end as `cancelled`. Reply as for ack. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_cancel(tinkex_client *client, const char *const *request_ids,
						  size_t n, const struct tinkex_select_options *options,
						  tinkex_reply **ret_reply);
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_cancel_async(tinkex_client *client, const char *const *request_ids,
							size_t n, const struct tinkex_select_options *options,
							tinkex_done_fn done, void *userdata,
							uint64_t *ret_call);

/* Everything known of one future: tinkex_reply_json(), and as the only item. TINKEX_ENOTFOUND. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_status(tinkex_client *client, const char *request_id,
						  const struct tinkex_select_options *options,
						  tinkex_reply **ret_reply);
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_status_async(tinkex_client *client, const char *request_id,
							const struct tinkex_select_options *options,
							tinkex_done_fn done, void *userdata,
							uint64_t *ret_call);

/* A page of your registrations, an item each; tinkex_reply_next() says whether there are more. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int
tinkex_list(tinkex_client *client, const struct tinkex_select_options *options, tinkex_reply **ret_reply);
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_list_async(tinkex_client *client,
						      const struct tinkex_select_options *options,
						      tinkex_done_fn done, void *userdata,
						      uint64_t *ret_call);

/* The endpoints that you may use, an item each. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_endpoints(tinkex_client *client, tinkex_reply **ret_reply);
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_endpoints_async(tinkex_client *client, tinkex_done_fn done,
							   void *userdata, uint64_t *ret_call);
/* The daemon's counters and gauges: tinkex_reply_json(). */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_stats(tinkex_client *client, tinkex_reply **ret_reply);
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_stats_async(tinkex_client *client, tinkex_done_fn done,
						       void *userdata, uint64_t *ret_call);

/* ---- replies ---- */

/* One more, or one less, holder of the reply. Both take NULL; unref returns NULL. */
TINKEX_PUBLIC tinkex_reply *tinkex_reply_ref(tinkex_reply *reply);
TINKEX_PUBLIC tinkex_reply *tinkex_reply_unref(tinkex_reply *reply);

/* The daemon's answer as JSON text (hello, ping, status, list, endpoints, stats), else NULL. `ret_size` (may
 * be NULL): its bytes, without the NUL behind it. */
TINKEX_PUBLIC const char *tinkex_reply_json(const tinkex_reply *reply, size_t *ret_size);
/* register: new registrations; await, collect: outcomes; ack, cancel: futures that were acknowledged or
 * cancelled. */
TINKEX_PUBLIC uint64_t tinkex_reply_affected(const tinkex_reply *reply);
/* The cursor of the next page, for `after`; NULL: there is none. */
TINKEX_PUBLIC const char *tinkex_reply_next(const tinkex_reply *reply);
/* How many items there are. */
TINKEX_PUBLIC size_t tinkex_reply_count(const tinkex_reply *reply);
/* Item `index` as JSON text; NULL: no such item, or it is a result. */
TINKEX_PUBLIC const char *tinkex_reply_item_json(const tinkex_reply *reply, size_t index, size_t *ret_size);
/* Item `index` of a collect reply (borrowed); NULL: no such item, or not a result. */
TINKEX_PUBLIC tinkex_result *tinkex_reply_result(const tinkex_reply *reply, size_t index);

/* What an item says of its future. Strings belong to the reply; NULL where the daemon said nothing or null.
 */
struct tinkex_future {
	size_t size;
	const char *request_id;
	const char *endpoint;
	const char *state;
	const char *queue_state;
	const char *why_waiting;
	int ok;                 /* 1 completed, 0 failed, -1 not ended or not told */
	int is_new;             /* register: this call made the registration, or started it anew */
	int error;              /* register: 0, or why this id was refused */
	const char *error_text; /* ... in words */
};
#define TINKEX_FUTURE_INIT                                                                                   \
	{                                                                                                    \
		sizeof(struct tinkex_future), NULL, NULL, NULL, NULL, NULL, -1, 0, 0, NULL                   \
	}
/* Fills `future`, whose `size` must be set. TINKEX_EINVAL: no such item. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_reply_future(const tinkex_reply *reply, size_t index,
							struct tinkex_future *future);

/* ---- results ---- */

/* One more, or one less, holder of the result. Both take NULL; unref returns NULL. */
TINKEX_PUBLIC tinkex_result *tinkex_result_ref(tinkex_result *result);
TINKEX_PUBLIC tinkex_result *tinkex_result_unref(tinkex_result *result);

TINKEX_PUBLIC const char *tinkex_result_request_id(const tinkex_result *result);
/* NULL if the future's endpoint never became known. */
TINKEX_PUBLIC const char *tinkex_result_endpoint(const tinkex_result *result);
/* 1: completed; 0: ended with an error; -1: has not ended (only from collect). */
TINKEX_PUBLIC int tinkex_result_ok(const tinkex_result *result);
/* The state of a future that has not ended, else NULL. */
TINKEX_PUBLIC const char *tinkex_result_state(const tinkex_result *result);

/* "application/json" or "application/x-protobuf"; NULL if not completed. */
TINKEX_PUBLIC const char *tinkex_result_content_type(const tinkex_result *result);
/* Bytes of the server's answer. */
TINKEX_PUBLIC uint64_t tinkex_result_size(const tinkex_result *result);
/* The server's answer, byte for byte; a NUL stands behind it. An answer that came as a descriptor is read
 * into memory by the first call. NULL: not completed, or it could not be read. `ret_size` may be NULL. */
TINKEX_PUBLIC const void *tinkex_result_data(const tinkex_result *result, size_t *ret_size);
/* Copies up to `size` bytes from `offset` on without loading the rest. Bytes copied (0: past the end),
 * TINKEX_EIO. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int64_t tinkex_result_read(const tinkex_result *result, uint64_t offset,
							   void *buffer, size_t size);
/* The descriptor (borrowed; read it with pread(2) from *ret_offset on) if the answer came as one, else -1. */
TINKEX_PUBLIC int tinkex_result_fd(const tinkex_result *result, uint64_t *ret_offset);

/* Of a result that is not ok: "api_timeout", "request_failed", "network", "api_status", "validation",
 * "cancelled" or "not_registered". NULL if completed. */
TINKEX_PUBLIC const char *tinkex_result_error_type(const tinkex_result *result);
/* "user", "server", "provider", "unknown" or NULL. */
TINKEX_PUBLIC const char *tinkex_result_error_category(const tinkex_result *result);
/* HTTP status, 0 if none. */
TINKEX_PUBLIC int tinkex_result_error_status(const tinkex_result *result);
/* A sentence for people. It may be the server's: strip control characters before you show it. */
TINKEX_PUBLIC const char *tinkex_result_error_message(const tinkex_result *result);
/* Further details: JSON text of an object, or NULL; and its member `reason`, or NULL. */
TINKEX_PUBLIC const char *tinkex_result_error_data(const tinkex_result *result);
TINKEX_PUBLIC const char *tinkex_result_error_reason(const tinkex_result *result);

/* Hands the whole outcome as one JSON object, without a line break, to `write`, piece by piece; the answer in
 * it byte for byte, whatever its size. 0; TINKEX_EIO: `write` said no, or a descriptor could not be read. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_result_write_json(const tinkex_result *result,
							     tinkex_write_fn write, void *userdata);
/* The same for the server's answer alone; nothing if the future is not completed. */
TINKEX_PUBLIC TINKEX_MUST_CHECK int tinkex_result_write_body(const tinkex_result *result,
							     tinkex_write_fn write, void *userdata);

#ifdef __cplusplus
}
#endif

#endif
