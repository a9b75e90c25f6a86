/* One file, line by line: what libinih alone would cut, join or swallow. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "sys/complain.h"
#include "sys/config_file.h"

/* What was read, as "[section]key=value|". */
static char seen[16384];

static void add(const char *origin, const char *text)
{
	size_t size = strlen(seen);

	snprintf(seen + size, sizeof(seen) - size, "%s%s|", strrchr(origin, ':') + 1, text);
}

static int on_section(void *context, const char *section, const char *origin, char **ret_reason)
{
	char text[256];

	(void)context;
	if (strcmp(section, "bad") == 0)
		return complain(ret_reason, -EINVAL, "a bad section");
	snprintf(text, sizeof(text), "[%s]", section);
	add(origin, text);
	return 0;
}

static int on_setting(void *context, const char *key, const char *value, const char *origin,
		      char **ret_reason)
{
	char text[8192];

	(void)context;
	if (strcmp(key, "bad") == 0)
		return complain(ret_reason, -ERANGE, "a bad key");
	snprintf(text, sizeof(text), "%s=%s", key, value);
	add(origin, text);
	return 0;
}

static const struct config_file_operations operations = {.section = on_section, .setting = on_setting};

static int read_path(const char *path, char **ret_message)
{
	seen[0] = '\0';
	return config_file_read(path, &operations, NULL, ret_message);
}

static const struct {
	const char *text, *seen;
} good[] = {
	{"", ""},
	{"\n\n", ""},
	{"# a\n; b\n   # c\n", ""},
	{"[a]\nk=v\n", "1[a]|2k=v|"},
	{"[a]\r\nk = v\r\n", "1[a]|2k=v|"},
	{"[a]\nk=v", "1[a]|2k=v|"},
	{"[ a b ] ; c\n  k  =  v w  ; c\n", "1[a b]|2k=v w|"},
	{"  [a] # c\n", "1[a]|"},
	{"[a]\nk: v=w\n", "1[a]|2k=v=w|"},
	{"[a]\nk=v;w\n", "1[a]|2k=v;w|"},
	{"[a]\nk=v # w\n", "1[a]|2k=v # w|"},
	{"[a]\nk=\nl= ; c\n", "1[a]|2k=|3l=|"},
	{"\xef\xbb\xbf[a]\nk=v\n", "1[a]|2k=v|"},
	/* An indented line is a line, not the continuation of the one before. */
	{"[a]\nk=v\n  l=w\n\tm=x\n", "1[a]|2k=v|3l=w|4m=x|"},
	{"[a]\n[a]\n[b]\n", "1[a]|2[a]|3[b]|"},
	{"[a]\n=v\n", "1[a]|2=v|"},
};

START_TEST(reads)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char *message = NULL;

		ck_assert_msg(read_path(scratch_write("f", 0600, good[i].text), &message) == 0,
			      "case %zu: %s", i, message);
		ck_assert_str_eq(seen, good[i].seen);
	}
}
END_TEST

static const struct {
	const char *text, *message;
	int error;
} bad[] = {
	{"k=v\n", ":1: \"k\" stands before the first [section]", -EINVAL},
	{"[a]\nnonsense\n", ":2: the line is neither [section] nor key = value", -EINVAL},
	{"[a]\n\n  bob\n", ":3: the line is neither [section] nor key = value", -EINVAL},
	{"[a\nk=v\n", ":1: the section has no closing ]", -EINVAL},
	{"[a] b\n", ":1: \"b\" behind the section means nothing", -EINVAL},
	{"[a]]\n", ":1: \"]\" behind the section means nothing", -EINVAL},
	{"[bad]\nnonsense\n", ":1: a bad section", -EINVAL},
	{"[a]\nk=v\nbad=1\nnonsense\n", ":3: a bad key", -ERANGE},
	{"[a]\nnonsense\nbad=1\n", ":2: the line is neither [section] nor key = value", -EINVAL},
};

static void check_bad(const char *path, int error, const char *expected)
{
	char *message = NULL;

	ck_assert_int_eq(read_path(path, &message), error);
	ck_assert_ptr_nonnull(message);
	ck_assert_int_eq(strncmp(message, path, strlen(path)), 0);
	ck_assert_str_eq(message + strlen(path), expected);
	free(message);
}

START_TEST(refuses)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		check_bad(scratch_write("f", 0600, bad[i].text), bad[i].error, bad[i].message);
}
END_TEST

START_TEST(nothing_is_read_behind_an_error)
{
	char *message = NULL;

	ck_assert_int_lt(read_path(scratch_write("f", 0600, "[a]\nbad=1\nk=v\n[b]\n"), &message), 0);
	ck_assert_str_eq(seen, "1[a]|");
	free(message);
}
END_TEST

/* Reads a file whose second line has `size` bytes. */
static int read_line_of(size_t size, char **ret_message)
{
	char text[8300];
	size_t used = (size_t)snprintf(text, sizeof(text), "[a]\nk=");

	ck_assert_uint_lt(size + 8, sizeof(text));
	memset(text + used, 'v', size - 2);
	memcpy(text + used + size - 2, "\n", 2);
	return read_path(scratch_write("f", 0600, text), ret_message);
}

/* A line is whole or refused, never cut: the longest that goes, and one byte more. */
START_TEST(long_lines)
{
	static const char complaint[] = ":2: the line is longer than ";
	char *message = NULL;
	size_t limit;

	ck_assert_int_eq(read_line_of(8000, &message), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message, complaint));
	limit = strtoul(strstr(message, complaint) + strlen(complaint), NULL, 10);
	free(message);
	ck_assert_uint_ge(limit, 197);
	ck_assert_int_eq(read_line_of(limit, &message), 0);
	ck_assert_uint_eq(strlen(seen), strlen("1[a]|2|") + limit);
	ck_assert_int_eq(read_line_of(limit + 1, &message), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message, complaint));
	free(message);
}
END_TEST

START_TEST(nul_bytes)
{
	const char *path = scratch_path("f");
	FILE *file = fopen(path, "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite("[a]\nk=v\0w\n", 1, 10, file), 10);
	fclose(file);
	check_bad(path, -EINVAL, ":2: the line has a NUL byte");
}
END_TEST

START_TEST(files_of_every_kind)
{
	const char *folder = scratch_path("d"), *none = scratch_path("none");
	char *message = NULL;

	ck_assert_int_eq(mkdir(folder, 0700), 0);
	check_bad(folder, -EISDIR, ": is a directory, not a file");
	check_bad(none, -ENOENT, ": cannot be read: No such file or directory");
	ck_assert_int_eq(read_path("/dev/null", &message), 0);
	ck_assert_str_eq(seen, "");
	if (geteuid() == 0)
		scratch_drop_root();
	check_bad(scratch_write("f", 0000, "[a]\n"), -EACCES, ": cannot be read: Permission denied");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {reads,      refuses,   nothing_is_read_behind_an_error,
				      long_lines, nul_bytes, files_of_every_kind};

	return SCRATCH_RUN("config_file", tests);
}
