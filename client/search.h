/* Which sockets a client tries, in which order, and how the search ended, in words. Opens nothing. */
#ifndef TINKEX_CLIENT_SEARCH_H
#define TINKEX_CLIENT_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/attributes.h"

#define SEARCH_MAX 2

/* One socket to try. */
struct search_place {
	char *path;    /* owned */
	bool anybodys; /* it was not named by the caller, and anybody could have made its folder */
	int error;     /* negative errno of the last attempt; 0: none yet */
	char note[96]; /* more exact than `error`, or "" */
};

struct search {
	struct search_place place[SEARCH_MAX];
	size_t count;
};

/* Fills `ret_search` from `path` or, if that is NULL, from the environment, by the rules in tinkex.h.
 * -ENOMEM. */
int search_init(struct search *ret_search, const char *path) _must_check_;
void search_release(struct search *search);
/* Looks whether the folder of a place that anybody could have made can be trusted; 0 or a negative errno,
 * which is also kept in the place. What the caller named, and folders of the system, are trusted. */
int search_check(struct search_place *place) _must_check_;
/* "tried …; start one with …", allocated; NULL: no memory. */
char *search_explain(const struct search *search);

#endif
