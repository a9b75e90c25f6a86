/* The disk of a stage: a spool folder and a database with results made by hand, and a reader on a thread. */
#ifndef TINKEX_TESTS_IPC_DISK_H
#define TINKEX_TESTS_IPC_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "core/result.h"
#include "stage.h"

struct disk;

/* A stage whose results may be on the disk; stage_free() ends it. */
struct stage *stage_new_with_disk(void);
/* For stage_free(): after the last peer. NULL is fine. */
void disk_free(struct disk *disk);
struct reader *disk_reader(const struct disk *disk);

/* `size` bytes, malloc'ed, that depend on `seed`: a JSON string, or anything. The NUL behind is not counted.
 */
char *body_json(unsigned seed, size_t size);
char *body_bytes(unsigned seed, size_t size);

/* A file of the spool, with `offset` other bytes in front of the body; or a row. The result of it is cold,
 * and the caller's. */
struct result *disk_file(struct stage *stage, enum content_kind content, uint64_t offset, const char *data,
			 size_t size);
struct result *disk_row(struct stage *stage, enum content_kind content, const char *data, size_t size);
/* A file of `size` bytes that takes no space. */
struct result *disk_sparse_file(struct stage *stage, uint64_t size);
/* The body is gone from the disk. */
void disk_lose(struct stage *stage, const struct result *result);
/* The large body of a failed result goes to a row, and out of the memory. */
void disk_chill(struct stage *stage, struct result *result);

/* Registers for the client, and the future ends with this result, which is taken over. */
void stage_complete_result(struct client *client, const char *request_id, struct result *result);
/* The thread has done all that is queued, and the loop knows. */
void disk_wait(struct stage *stage);

#endif
