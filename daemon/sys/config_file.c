#include "config_file.h"

#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"
#include "core/alloc.h"

#define LINE_SIZE 4096

/*
 * Some builds of libinih (Debian's) let a program choose where and how large its line buffer is; elsewhere
 * these do not exist and lines are limited to what libinih was built with, mostly 200 bytes. The guard asks
 * for no more than libinih tells it.
 */
extern bool ini_use_stack __attribute__((weak));
extern int ini_max_line __attribute__((weak));
extern int ini_initial_alloc __attribute__((weak));

struct reader {
	const char *path;
	const struct config_file_operations *operations;
	void *context;
	FILE *file;
	char *line; /* getline()'s */
	size_t line_capacity;
	int number; /* of the line */
	bool in_section;
	int error; /* what ended the reading, if not the end */
	int error_line;
	char *reason; /* owned */
};

static void want_long_lines(void)
{
	if (!&ini_use_stack || !&ini_max_line || !&ini_initial_alloc)
		return;
	ini_use_stack = false;
	ini_max_line = ini_initial_alloc = LINE_SIZE;
}

static void stop(struct reader *reader, int error)
{
	reader->error = error;
	reader->error_line = reader->number;
}

static char *origin_of(const struct reader *reader)
{
	char *origin = NULL;

	complain(&origin, 0, "%s:%d", reader->path, reader->number);
	return origin;
}

static char *trim(char *text)
{
	static const char blanks[] = " \t\r\n\v\f";
	size_t size;

	text += strspn(text, blanks);
	size = strlen(text);
	while (size > 0 && strchr(blanks, text[size - 1]))
		size--;
	text[size] = '\0';
	return text;
}

/* "[section]", with nothing but a comment behind it. */
static void begin_section(struct reader *reader, const char *line)
{
	const char *close = strchr(line, ']'), *behind;
	char *section, *origin;
	int r;

	if (!close) {
		stop(reader, complain(&reader->reason, -EINVAL, "the section has no closing ]"));
		return;
	}
	behind = close + 1 + strspn(close + 1, " \t");
	if (*behind && *behind != ';' && *behind != '#') {
		stop(reader,
		     complain(&reader->reason, -EINVAL, "\"%s\" behind the section means nothing", behind));
		return;
	}
	section = xstrndup(line + 1, (size_t)(close - line - 1));
	origin = origin_of(reader);
	r = reader->operations->section(reader->context, trim(section), origin, &reader->reason);
	if (r < 0)
		stop(reader, r);
	reader->in_section = true;
	free(origin);
	free(section);
}

/* libinih's fgets(): one whole line, without blanks around it, or the end. */
static char *read_line(char *out, int size, void *stream)
{
	struct reader *reader = stream;
	char *line;
	ssize_t n;

	if (reader->error)
		return NULL;
	errno = 0;
	n = getline(&reader->line, &reader->line_capacity, reader->file);
	reader->number++;
	if (n < 0) {
		if (ferror(reader->file))
			stop(reader, complain(&reader->reason, errno ? -errno : -EIO, "cannot be read: %s",
					      strerror(errno)));
		return NULL;
	}
	if (strlen(reader->line) != (size_t)n) {
		stop(reader, complain(&reader->reason, -EINVAL, "the line has a NUL byte"));
		return NULL;
	}
	line = trim(reader->line);
	if (reader->number == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0)
		line = trim(line + 3);         /* a byte order mark */
	if (strlen(line) + 3 > (size_t)size) { /* libinih wants room for a line break, too */
		stop(reader,
		     complain(&reader->reason, -EINVAL, "the line is longer than %d bytes", size - 3));
		return NULL;
	}
	if (*line == '[') {
		begin_section(reader, line);
		*line = '\0';
	}
	memcpy(out, line, strlen(line) + 1);
	return reader->error ? NULL : out;
}

/* libinih's handler; the section is the guard's, whole. 0 makes libinih count an error. */
static int take_setting(void *context, const char *section, const char *key, const char *value)
{
	struct reader *reader = context;
	char *origin;
	int r;

	(void)section;
	if (reader->error)
		return 0;
	if (!reader->in_section) {
		stop(reader,
		     complain(&reader->reason, -EINVAL, "\"%s\" stands before the first [section]", key));
		return 0;
	}
	origin = origin_of(reader);
	r = reader->operations->setting(reader->context, key, value ? value : "", origin, &reader->reason);
	free(origin);
	if (r < 0)
		stop(reader, r);
	return r >= 0;
}

static int finish(struct reader *reader, int first_bad_line, char **ret_message)
{
	if (first_bad_line > 0 && (!reader->error || first_bad_line < reader->error_line))
		return complain(ret_message, -EINVAL, "%s:%d: the line is neither [section] nor key = value",
				reader->path, first_bad_line);
	if (first_bad_line < 0 && !reader->error)
		return complain(ret_message, -ENOMEM, "%s: no memory to read it", reader->path);
	if (reader->error)
		return complain(ret_message, reader->error, "%s:%d: %s", reader->path, reader->error_line,
				reader->reason);
	return 0;
}

int config_file_read(const char *path, const struct config_file_operations *operations, void *context,
		     char **ret_message)
{
	struct reader reader = {.path = path, .operations = operations, .context = context};
	struct stat status;
	int r;

	reader.file = fopen(path, "re");
	if (!reader.file)
		return complain(ret_message, -errno, "%s: cannot be read: %s", path, strerror(errno));
	if (fstat(fileno(reader.file), &status) == 0 && S_ISDIR(status.st_mode)) {
		fclose(reader.file);
		return complain(ret_message, -EISDIR, "%s: is a directory, not a file", path);
	}
	want_long_lines();
	r = finish(&reader, ini_parse_stream(read_line, &reader, take_setting, &reader), ret_message);
	fclose(reader.file);
	free(reader.line);
	free(reader.reason);
	return r;
}
