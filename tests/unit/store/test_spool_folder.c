/* The folder: which is taken, and what lies in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../sys/scratch.h"
#include "spooling.h"

/* The folder. */

static void refuse(int error, const char *words)
{
	struct world world;
	struct spool *spool = NULL;
	char *message = NULL;

	world_init(&world);
	ck_assert_int_eq(
		spool_new(world.state_fd, world.loop, world.worker, &spool_records, NULL, &spool, &message),
		error);
	ck_assert_ptr_null(spool);
	ck_assert_ptr_nonnull(message);
	if (!strstr(message, words))
		ck_abort_msg("\"%s\" does not say \"%s\"", message, words);
	free(message);
	world_release(&world);
}

START_TEST(folder_is_refused)
{
	const char *path = scratch_path("spool");

	disk_reset();
	ck_assert_int_eq(mkdir(scratch_path("elsewhere"), 0700), 0);
	ck_assert_int_eq(symlink("elsewhere", path), 0);
	refuse(-ENOTDIR, "symbolic link");
	ck_assert_int_eq(unlink(path), 0);
	scratch_write("spool", 0600, "text");
	refuse(-ENOTDIR, "not a folder");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(chmod(path, 0770), 0);
	refuse(-EPERM, "chmod 700");
	ck_assert_int_eq(chmod(path, 0700), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(path, 12345, (gid_t)-1), 0);
		refuse(-EPERM, "uid 12345");
		ck_assert_int_eq(chown(path, 0, (gid_t)-1), 0);
	}
	disk_fail(DISK_FSYNC, EIO, 1);
	refuse(-EIO, "sync");
}
END_TEST

START_TEST(folder_is_made)
{
	struct here here;
	struct stat status;

	here_init(&here);
	ck_assert_int_eq(stat(scratch_path("spool"), &status), 0);
	ck_assert_uint_eq(status.st_mode, S_IFDIR | 0700);
	here_release(&here);
	here_init(&here); /* and found the next time */
	here_release(&here);
}
END_TEST

struct seen {
	unsigned n, foreign;
	uint64_t ids, bytes;
};

static void see(void *context, uint64_t id, const char *name, uint64_t size)
{
	struct seen *seen = context;
	char same[SPOOL_NAME_SIZE];

	spool_name(id, same);
	ck_assert(!id || strcmp(name, same) == 0);
	seen->n++;
	seen->foreign += !id;
	seen->ids += id;
	seen->bytes += size;
}

START_TEST(each_file)
{
	static const char *const foreign[] = {"spool/x",
					      "spool/000000000000000",
					      "spool/000000000000000A",
					      "spool/0000000000000000",
					      "spool/10000000000000001",
					      "spool/ 000000000000001",
					      "spool/-000000000000001"};
	struct here here;
	struct seen seen = {0};

	here_init(&here);
	ck_assert_int_eq(spool_each(here.spool, see, &seen), 0);
	ck_assert_uint_eq(seen.n, 0);
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		scratch_write(foreign[i], 0600, "abc");
	ck_assert_int_eq(mkdir(scratch_path("spool/00000000000000ff"), 0700), 0);
	ck_assert_int_eq(symlink("x", scratch_path("spool/00000000000000fe")), 0);
	scratch_write("spool/0000000000000001", 0600, "0123456789");
	scratch_write("spool/ffffffffffffff00", 0600, "");
	for (int i = 0; i < 2; i++) { /* as often as one likes */
		seen = (struct seen){0};
		ck_assert_int_eq(spool_each(here.spool, see, &seen), 0);
		ck_assert_uint_eq(seen.n, ARRAY_LEN(foreign) + 4);
		ck_assert_uint_eq(seen.foreign, ARRAY_LEN(foreign) + 2);
		ck_assert_uint_eq(seen.ids, UINT64_C(0xffffffffffffff01));
		ck_assert_uint_eq(seen.bytes, 3 * ARRAY_LEN(foreign) + 10);
	}
	disk_fail(DISK_OPENAT, EMFILE, 1);
	ck_assert_int_eq(spool_each(here.spool, see, &seen), -EMFILE);
	/* One that is not seen would count as lost: its result would be forgotten. */
	disk_fail(DISK_FSTATAT, EIO, 1);
	ck_assert_int_eq(spool_each(here.spool, see, &seen), -EIO);
	disk_fail(DISK_FSTATAT, ENOENT, 1);
	ck_assert_int_eq(spool_each(here.spool, see, &seen), 0);
	here_release(&here);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {folder_is_refused, folder_is_made, each_file};

	return SCRATCH_RUN("spool_folder", tests);
}
