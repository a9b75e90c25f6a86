/* What the daemon counts. One table: `stats` and, later, the Prometheus text are made from it. */
#ifndef TINKEX_CORE_METRICS_H
#define TINKEX_CORE_METRICS_H

#include <stdint.h>

#include "outcome.h"

/* X(member, name) */
#define METRICS_COUNTERS(X)                                                                                  \
	X(polls, "polls")                                                                                    \
	X(poll_repeats, "poll_repeats_on_fresh_connection")                                                  \
	X(polls_aborted, "polls_aborted")                                                                    \
	X(connections_opened, "connections_opened")                                                          \
	X(bytes_received, "upstream_bytes_received")                                                         \
	X(registrations, "registrations")                                                                    \
	X(registrations_joined, "registrations_joined")                                                      \
	X(results, "results")                                                                                \
	X(failures, "failures")                                                                              \
	X(acks, "acks")                                                                                      \
	X(cancels, "cancels")                                                                                \
	X(expired, "expired")                                                                                \
	X(gate_closed, "gate_closed")                                                                        \
	X(peers_accepted, "peers_accepted")                                                                  \
	X(peers_refused, "peers_refused")                                                                    \
	X(peers_dropped, "peers_dropped")                                                                    \
	X(calls, "calls")                                                                                    \
	X(call_errors, "call_errors")                                                                        \
	X(commits, "commits")                                                                                \
	X(commit_rows, "commit_rows")                                                                        \
	X(commits_failed, "commits_failed")                                                                  \
	X(disk_full, "disk_full")                                                                            \
	X(registrations_refused, "registrations_refused")                                                    \
	X(evicted, "outcomes_evicted")

struct metrics {
#define X(member, name) uint64_t member;
	METRICS_COUNTERS(X)
#undef X
	uint64_t outcomes[OUTCOME_COUNT];
};

#endif
