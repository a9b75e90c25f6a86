#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXTS 256

static char folder[64];
/* What was handed out: freed with the folder, so that the leak checker sees only real leaks. */
static char *texts[TEXTS];
static size_t n_texts;

static const char *keep(char *text)
{
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_lt(n_texts, TEXTS);
	texts[n_texts++] = text;
	return text;
}

void scratch_setup(void)
{
	static const char *const variables[] = {"TINKEXD_CONFIG",  "TINKEXD_SOCKET",  "TINKER_BASE_URL",
						"TINKER_API_KEY",  "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY",
						"XDG_CONFIG_HOME", "XDG_STATE_HOME",  "XDG_RUNTIME_DIR",
						"INVOCATION_ID",   "JOURNAL_STREAM",  "NOTIFY_SOCKET",
						"LISTEN_FDS",      "LISTEN_PID",      "WATCHDOG_USEC"};

	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		unsetenv(variables[i]);
	snprintf(folder, sizeof(folder), "/tmp/tinkex-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	setenv("HOME", folder, 1);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

void scratch_teardown(void)
{
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	while (n_texts)
		free(texts[--n_texts]);
}

const char *scratch_folder(void)
{
	return folder;
}

const char *scratch_path(const char *name)
{
	char *path = NULL;

	ck_assert_int_gt(asprintf(&path, "%s/%s", folder, name), 0);
	return keep(path);
}

const char *scratch_write(const char *name, mode_t mode, const char *text)
{
	const char *path = scratch_path(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

const char *scratch_read(const char *name)
{
	FILE *file = fopen(scratch_path(name), "re");
	size_t capacity = 0, size = 0, n;
	char *text = NULL;

	ck_assert_ptr_nonnull(file);
	do {
		if (size + 1 >= capacity) {
			capacity = capacity ? 2 * capacity : 4096;
			text = realloc(text, capacity);
			ck_assert_ptr_nonnull(text);
		}
		n = fread(text + size, 1, capacity - size - 1, file);
		size += n;
	} while (n);
	text[size] = '\0';
	fclose(file);
	return keep(text);
}

void scratch_drop_root(void)
{
	enum { SOMEBODY = 12345 };

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chown(folder, SOMEBODY, SOMEBODY), 0);
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(SOMEBODY, SOMEBODY, SOMEBODY), 0);
	ck_assert_int_eq(setresuid(SOMEBODY, SOMEBODY, SOMEBODY), 0);
	/* A process that changed its user may not be looked at: not even by its own leak checker. */
	prctl(PR_SET_DUMPABLE, 1);
}

int scratch_run(const char *name, const TTest *const *tests, size_t n_tests)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
	tcase_set_timeout(tcase, 60);
	for (size_t i = 0; i < n_tests; i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
