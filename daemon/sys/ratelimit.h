/*
 * Which lines of the log are too many of a kind. A small table of call sites, each of which may say so much
 * in so much time; what is held back is counted, and told once the time is up. Has no clock and writes
 * nothing.
 */
#ifndef TINKEX_SYS_RATELIMIT_H
#define TINKEX_SYS_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define RATELIMIT_LINES    20
#define RATELIMIT_INTERVAL INT64_C(5000000) /* microseconds */
#define RATELIMIT_SITES    64

/* One call site: known by the addresses of two string literals. */
struct ratelimit_site {
	const char *module, *format;
	int64_t since; /* begin of its interval, microseconds */
	uint32_t passed, suppressed;
	int level; /* of the lines that were held back, for the report */
};

/* All zero is a valid start. */
struct ratelimit {
	struct ratelimit_site sites[RATELIMIT_SITES];
	uint32_t holding; /* sites that hold something back */
};

/* May this line go out at `now` (monotonic microseconds)? false: it was counted instead. A site that finds no
 * room in the table may always. */
bool ratelimit_pass(struct ratelimit *limit, const char *module, const char *format, int level, int64_t now);
/* A site whose interval is over and that held lines back: a copy of it in *ret_site, and it starts anew.
 * false: there is none. INT64_MAX as `now` takes every site's interval as over. */
bool ratelimit_report(struct ratelimit *limit, int64_t now, struct ratelimit_site *ret_site);

#endif
