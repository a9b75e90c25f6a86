/*
 * What each outcome leads to: the profiles as a table, and the pure decision. Nothing here remembers
 * anything: the history of the future and of its endpoint is handed in.
 */
#ifndef TINKEX_CORE_POLICY_H
#define TINKEX_CORE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "backoff.h"
#include "outcome.h"

enum action {
	ACTION_DONE,     /* the result is there */
	ACTION_METADATA, /* take the bytes from the budget, poll again with allow_metadata_only false */
	ACTION_BACKOFF,  /* wait backoff(iteration) */
	ACTION_PACED,    /* at once if the server held the poll, else backoff(quick answers in a row) */
	ACTION_BACKOFF_FAILURES, /* wait backoff(failures in a row) */
	ACTION_RETRY_BRIEFLY, /* up to BRIEF_RETRIES times, 1 s apart, on a fresh connection; then terminal */
	ACTION_SERVER_FAILURE, /* by each registration's on_server_failure: end it, or backoff(iteration) */
	ACTION_NETWORK,        /* by each registration's on_network_error: end it, or wait behind the gate */
	ACTION_GATE,           /* the endpoint's gate closes; the future waits behind it */
	ACTION_AUTH,           /* by the endpoint's on_auth_error: terminal, or hold behind the gate */
	ACTION_TERMINAL,       /* everybody's end */
};

enum on_failure { ON_FAILURE_DEFAULT, ON_FAILURE_FAIL, ON_FAILURE_RETRY };

enum profile_name { PROFILE_DURABLE, PROFILE_GUIDE, PROFILE_SDK, PROFILE_SKYRL, PROFILE_COUNT };

struct policy {
	const char *name;
	enum on_failure on_network_error, on_server_failure;
	bool hold_on_auth_error;
	bool skyrl;                   /* 400 {"detail"} and 500 "Unknown error" are failed futures */
	int64_t http_timeout;         /* microseconds */
	int64_t server_failure_grace; /* how long failures in a row are retried by default; TIME_NEVER: until
					 the deadline */
	int64_t payment_grace;        /* how long 402 is retried */
	int64_t auth_grace;           /* how long 401 is retried when held */
	int64_t backoff_min;          /* no delay is shorter; microseconds */
	struct backoff backoff;
	uint8_t actions[OUTCOME_COUNT];
};

/* A copy of a named preset, to be adjusted by the configuration. */
struct policy policy_profile(enum profile_name name);
/* -EINVAL if unknown. */
int policy_profile_from_name(const char *text, enum profile_name *ret_name);

/* What the decision needs to know of the past. */
struct history {
	uint32_t iteration;     /* polls of this future before this one */
	uint32_t quick_answers; /* answers in a row that came in less than PACED_HOLD */
	uint32_t failures;      /* 5xx in a row before this one */
	uint32_t brief_retries; /* 400s in a row before this one */
	bool metadata_seen;     /* this poll was sent with allow_metadata_only false */
	int64_t held;           /* request sent to first byte (or to giving up), microseconds */
	struct backoff backoff; /* the shortest that its registrations ask for */
};
#define PACED_HOLD    INT64_C(1000000) /* a poll held for this long may be followed at once */
#define BRIEF_RETRIES 3

enum why_scheduled { WHY_NOTHING, WHY_BACKOFF, WHY_RETRY_AFTER };
struct verdict {
	enum action action; /* DONE, METADATA, SERVER_FAILURE, NETWORK, GATE, AUTH, TERMINAL; or BACKOFF: poll
			       again after `delay` */
	int64_t delay;      /* microseconds; for BACKOFF and for those who retry under SERVER_FAILURE */
	enum why_scheduled why;
	bool fresh_connection; /* the next poll must not re-use one */
};
/* Pure. Every ACTION_* that only means "again at T" comes back as ACTION_BACKOFF with its delay; none but the
 * at-once after a held poll is shorter than the policy's backoff_min. A second metadata answer is
 * ACTION_TERMINAL although the outcome holds no error: the caller says what is wrong. */
struct verdict policy_decide(const struct policy *policy, const struct outcome *outcome,
			     const struct history *history);

#endif
