/*
 * The futures that a call is about: named by request_id or request_ids with an endpoint, or found among the
 * caller's registrations by `where`. The first rows of the parameter table of every call that takes futures.
 */
#ifndef TINKEX_IPC_TARGETS_H
#define TINKEX_IPC_TARGETS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/endpoint.h"
#include "core/future.h"
#include "proto/attributes.h"
#include "request.h"

/* Their places in the tables. */
enum target_row { TARGET_ID, TARGET_IDS, TARGET_ENDPOINT, TARGET_WHERE, TARGET_ROWS };
/* clang-format off */
#define TARGET_PARAMETERS                                                                                    \
	[TARGET_ID] = {.name = "request_id", .type = PARAMETER_STRING},                                      \
	[TARGET_IDS] = {.name = "request_ids", .type = PARAMETER_ARRAY},                                     \
	[TARGET_ENDPOINT] = {.name = "endpoint", .type = PARAMETER_STRING},                                  \
	[TARGET_WHERE] = {.name = "where", .type = PARAMETER_OBJECT}
/* clang-format on */

struct target {
	struct endpoint *endpoint;
	const char *request_id;            /* in targets.text, or the future's own */
	struct registration *registration; /* the caller's; NULL: none */
};

struct targets {
	struct target *list; /* owned */
	size_t n;
	bool named;                /* by their ids (perhaps none at all) */
	bool more;                 /* targets_search() left some out */
	struct endpoint *endpoint; /* of the named ones; else the one that was asked for, NULL: any */
	const char *where;         /* into the line: object's text; NULL: none */
	size_t where_size;
	char *text; /* owned: decoded request ids */
};
void targets_release(struct targets *targets);

/* Reads the first TARGET_ROWS arguments. With ids, the list is filled, and registrations of the caller that
 * match `where` are looked up; without, targets_search() may be asked. False: at fault. */
_must_check_ bool targets_read(struct request *request, const struct argument *arguments,
			       struct targets *ret_targets);
/* The same for one id that stands elsewhere (a JSON string, or an integer, which names itself); `member` is
 * named when it is at fault. */
_must_check_ bool targets_read_one(struct request *request, const struct argument *id, const char *member,
				   struct endpoint *endpoint, struct targets *ret_targets);
/* Fills the list with the caller's registrations that match, oldest first, at most FUTURES_PER_CALL. `wanted`
 * (NULL: all) says which count. False: at fault (the search would take too long). */
_must_check_ bool targets_search(struct request *request,
				 bool (*wanted)(const struct registration *registration),
				 struct targets *targets);

/* The outcome of an id that is not registered: a new reference. */
struct result *target_not_registered(const struct request *request, const struct target *target);

/* The endpoint of a call: by its name, or, if none was given, `default`, or the only one that the caller may
 * use. False: at fault, and it is all the same whether there is no such endpoint or it is not for this
 * caller. By its name also one that is no longer configured: what is registered there stays in its owner's
 * hands. */
_must_check_ bool request_endpoint(struct request *request, const struct argument *name,
				   struct endpoint **ret_endpoint);
/* That very fault. Always false. */
bool request_no_endpoint(struct request *request);
/* May this caller use it, for something new? */
bool request_may_use(const struct request *request, const struct endpoint *endpoint);

/* A walk over registrations with a limit on its work, so that one call does not hold up the turn. */
struct search {
	const struct endpoint *endpoint; /* NULL: any */
	const char *where;               /* NULL: none */
	size_t where_size;
	size_t where_members;
	size_t effort_left; /* about 10 ns each */
};
#define SEARCH_PAGE_EFFORT ((size_t)200 * 1000)      /* for a page of list or collect, which can go on */
#define SEARCH_CALL_EFFORT ((size_t)4 * 1000 * 1000) /* where all must be seen */
void search_init(struct search *search, const struct endpoint *endpoint, const char *where, size_t where_size,
		 size_t effort);
/* Looks at one registration. */
bool search_matches(struct search *search, const struct registration *registration);

#endif
