/*
 * Handing results out: printed or written into files, and remembered for the acknowledgement that follows
 * once they are safe. Shared by await and collect.
 */
#ifndef TINKEXCTL_HANDOVER_H
#define TINKEXCTL_HANDOVER_H

#include "app.h"

struct handover {
	struct app *app;
	int folder;                     /* --output: its descriptor; -1: none */
	int index;                      /* ... and that of index.jsonl */
	struct ids acks, ack_endpoints; /* handed out, and to be acknowledged; in step */
	bool failed; /* something could not be written: told on stderr, nothing more is handed out */
};

/* Opens --output's folder, making it. false: told on stderr. */
bool handover_init(struct handover *handover, struct app *app);
void handover_release(struct handover *handover);
/* Hands out one result in the form that the options say. */
void handover_take(struct handover *handover, const tinkex_result *result);
/* Makes sure that all handed out so far has arrived: flushes stdout or syncs files. false: it has not, which
 * is told; then nothing of it may be acknowledged. */
bool handover_settle(struct handover *handover);
/* Calls `ack` for what has been settled and not acknowledged, once for each endpoint, and forgets it. */
void handover_acknowledge(struct handover *handover,
			  void (*ack)(struct app *app, const char *endpoint, const struct ids *ids,
				      void *userdata),
			  void *userdata);

/* files.c; false: told on stderr. */
/* Opens the folder, making it, and its index, to which is appended; the caller closes both. */
bool files_open(const char *path, int *ret_folder, int *ret_index);
/* Writes the result into its file and a line into the index. */
bool files_write(struct handover *handover, const tinkex_result *result);
/* Waits until all that was written is on the disk. */
bool files_sync(const struct handover *handover);

#endif
