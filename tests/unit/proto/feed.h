/* Feeding a scan in pieces, each in memory of exactly its size. */
#ifndef TINKEX_TESTS_UNIT_PROTO_FEED_H
#define TINKEX_TESTS_UNIT_PROTO_FEED_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json_scan.h"

/* Feeds a text that is cut at the positions `cuts`, and ends it. */
static inline enum json_error feed_cut(struct json_scan *scan, const char *text, size_t size,
				       const size_t *cuts, size_t n_cuts)
{
	size_t at = 0;

	for (size_t i = 0; i <= n_cuts; i++) {
		size_t end = i < n_cuts ? cuts[i] : size;
		char *piece = malloc(end - at ? end - at : 1);

		ck_assert_ptr_nonnull(piece);
		memcpy(piece, text + at, end - at);
		json_scan_feed(scan, piece, end - at);
		free(piece);
		at = end;
	}
	return json_scan_finish(scan);
}

/* The same byte by byte. */
static inline enum json_error feed_bytes(struct json_scan *scan, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		char byte = text[i];

		json_scan_feed(scan, &byte, 1);
	}
	return json_scan_finish(scan);
}

#endif
