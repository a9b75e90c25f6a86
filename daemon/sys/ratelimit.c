#include "ratelimit.h"

#include <stddef.h>

#define PROBES 4 /* places that a site may have */

static unsigned hash(const char *module, const char *format)
{
	uint64_t value = (uint64_t)(uintptr_t)format * UINT64_C(0x9e3779b97f4a7c15) ^ (uintptr_t)module;

	return (unsigned)(value * UINT64_C(0xff51afd7ed558ccd) >> 56);
}

static bool is_over(const struct ratelimit_site *site, int64_t now)
{
	return now - site->since >= RATELIMIT_INTERVAL;
}

/* Its place: the one it has, else a free one, else that of a site which has nothing to tell and is over. */
static struct ratelimit_site *find(struct ratelimit *limit, const char *module, const char *format,
				   int64_t now)
{
	struct ratelimit_site *room = NULL;
	unsigned start = hash(module, format);

	for (unsigned i = 0; i < PROBES; i++) {
		struct ratelimit_site *site = &limit->sites[(start + i) % RATELIMIT_SITES];

		if (site->format == format && site->module == module)
			return site;
		if (!room && (!site->format || (!site->suppressed && is_over(site, now))))
			room = site;
	}
	if (room)
		*room = (struct ratelimit_site){.module = module, .format = format, .since = now};
	return room;
}

bool ratelimit_pass(struct ratelimit *limit, const char *module, const char *format, int level, int64_t now)
{
	struct ratelimit_site *site = find(limit, module, format, now);

	if (!site)
		return true;
	if (is_over(site, now) && !site->suppressed) {
		site->since = now;
		site->passed = 0;
	}
	if (site->passed < RATELIMIT_LINES) {
		site->passed++;
		return true;
	}
	if (site->suppressed++ == 0) {
		limit->holding++;
		site->level = level;
	}
	return false;
}

bool ratelimit_report(struct ratelimit *limit, int64_t now, struct ratelimit_site *ret_site)
{
	for (unsigned i = 0; limit->holding && i < RATELIMIT_SITES; i++) {
		struct ratelimit_site *site = &limit->sites[i];

		if (!site->suppressed || (now != INT64_MAX && !is_over(site, now)))
			continue;
		*ret_site = *site;
		site->suppressed = 0;
		site->passed = 0;
		site->since = now == INT64_MAX ? site->since : now;
		limit->holding--;
		return true;
	}
	return false;
}
