#include "spooling.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../sys/scratch.h"

static void note(struct here *here, char letter)
{
	size_t n = strlen(here->told);

	ck_assert_uint_lt(n, sizeof(here->told) - 1);
	here->told[n] = letter;
	here->told[n + 1] = '\0';
}

static void on_congested(void *context, bool congested)
{
	struct here *here = context;

	ck_assert(congested == spool_congested(here->spool));
	note(here, congested ? 'C' : 'c');
}

static void on_full(void *context, bool full)
{
	note(context, full ? 'F' : 'f');
}

static void on_broken(void *context, int error)
{
	((struct here *)context)->error = error;
	note(context, 'B');
}

const struct spool_operations spool_records = {
	.congested = on_congested, .full = on_full, .broken = on_broken};

void here_init(struct here *here)
{
	char *message = NULL;

	*here = (struct here){0};
	disk_reset();
	world_init(&here->world);
	ck_assert_int_eq(spool_new(here->world.state_fd, here->world.loop, here->world.worker, &spool_records,
				   here, &here->spool, &message),
			 0);
	ck_assert_ptr_null(message);
	disk_reset();
}

void here_release(struct here *here)
{
	world_stop(&here->world);
	ck_assert_ptr_null(spool_free(here->spool));
	world_release(&here->world);
}

/* The steps of a body, under the id that is its number. */

struct body *begin(struct here *here, unsigned number)
{
	struct body *body = &here->bodies[number];

	body->here = here;
	body->id = number;
	body->file = spool_create(here->spool, number);
	ck_assert_ptr_nonnull(body->file);
	return body;
}

void append(struct body *body, size_t size)
{
	char *bytes = world_bytes(body->id, body->size, size);

	ck_assert_int_eq(spool_append(body->file, bytes, size), 0);
	free(bytes);
	body->size += size;
}

static void on_done(void *context)
{
	struct body *body = context;

	ck_assert(!body->here->inside);
	ck_assert_uint_eq(body->finished, 0);
	body->finished = ++body->here->n_done;
	body->file = NULL;
}

void finish(struct body *body)
{
	body->here->inside = true;
	spool_finish(body->file, on_done, body);
	body->here->inside = false;
}

void discard(struct body *body)
{
	ck_assert_ptr_nonnull(body->file);
	body->file = spool_discard(body->file);
	ck_assert_ptr_null(body->file);
}

static bool all_done(void *context)
{
	struct here *here = context;

	return here->n_done >= here->wanted;
}

void run_until_done(struct here *here, unsigned wanted)
{
	here->wanted = wanted;
	world_run(&here->world, all_done, here);
	ck_assert_uint_eq(here->n_done, wanted);
}

/* As it lies in the folder. -1: it does not. */
int64_t size_of(const struct body *body)
{
	char name[SPOOL_NAME_SIZE];
	struct stat status;

	spool_name(body->id, name);
	if (fstatat(spool_fd(body->here->spool), name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	ck_assert_uint_eq(status.st_mode, S_IFREG | 0600);
	return status.st_size;
}

void check_body(const struct body *body)
{
	char name[SPOOL_NAME_SIZE], path[32], buffer[4096];
	FILE *file;
	uint64_t at = 0;
	size_t n;

	ck_assert_int_eq(size_of(body), (int64_t)body->size);
	spool_name(body->id, name);
	snprintf(path, sizeof(path), "spool/%s", name);
	file = fopen(scratch_path(path), "re");
	ck_assert_ptr_nonnull(file);
	while ((n = fread(buffer, 1, sizeof(buffer), file))) {
		for (size_t i = 0; i < n; i++, at++) {
			if (buffer[i] != world_byte(body->id, at))
				ck_abort_msg("byte %ju of body %ju is wrong", (uintmax_t)at,
					     (uintmax_t)body->id);
		}
	}
	ck_assert_int_eq(ferror(file), 0);
	fclose(file);
	ck_assert_uint_eq(at, body->size);
}

static void count_entry(void *context, uint64_t id, const char *name, uint64_t size)
{
	(void)id;
	(void)name;
	(void)size;
	++*(unsigned *)context;
}

bool folder_is_empty(void *context)
{
	unsigned n = 0;

	ck_assert_int_eq(spool_each(((struct here *)context)->spool, count_entry, &n), 0);
	return n == 0;
}

/* Nobody tells the loop that the thread waits: it keeps turning. */
static bool is_held(void *context)
{
	loop_wake(((struct here *)context)->world.loop);
	return disk_held();
}

void run_until_held(struct here *here)
{
	world_run(&here->world, is_held, here);
}

void expect_nothing_left(struct here *here)
{
	disk_let_go();
	world_run(&here->world, folder_is_empty, here);
	world_stop(&here->world);
	ck_assert(folder_is_empty(here));
	ck_assert_uint_eq(here->n_done, 0);
	here_release(here);
}

bool not_congested(void *context)
{
	return !spool_congested(((struct here *)context)->spool);
}

bool is_full(void *context)
{
	struct here *here = context;

	return strchr(here->told, 'F') != NULL;
}

/* Between two steps: nothing of it is with the thread. */
bool has_size(void *context)
{
	struct body *body = context;

	return size_of(body) == (int64_t)body->size;
}
