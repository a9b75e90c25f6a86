/* What arrives on stderr. A socket that keeps messages apart stands in for it: one write is one message. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/attributes.h"
#include "scratch.h"
#include "sys/clock.h"
#include "sys/log.h"

static int reader = -1, saved_stderr = -1;

static void capture(void)
{
	int pair[2], size = 4 << 20;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	saved_stderr = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(pair[1], STDERR_FILENO), 0);
	close(pair[1]);
	reader = pair[0];
	ck_assert_int_eq(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
}

static void release(void)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(reader);
}

/* The next message, "" if there is none. */
static const char *next(void)
{
	static char line[8192];
	ssize_t n = recv(reader, line, sizeof(line) - 1, 0);

	line[n > 0 ? n : 0] = '\0';
	return line;
}

START_TEST(line_for_people)
{
	char before[32], after[32];
	const char *line;

	capture();
	log_init(LOG_LEVEL_INFO);
	clock_format(clock_wall(), before);
	log_info("poller", "endpoint %s: %d polls", "default", 3);
	clock_format(clock_wall(), after);
	line = next();
	release();
	/* The time has a fixed width, so its order is that of the text. */
	ck_assert_uint_gt(strlen(line), 24);
	ck_assert_int_ge(strncmp(line, before, 24), 0);
	ck_assert_int_le(strncmp(line, after, 24), 0);
	ck_assert_str_eq(line + 24, " info poller: endpoint default: 3 polls\n");
}
END_TEST

static void name_journal(uintmax_t inode_offset)
{
	char text[64];
	struct stat status;

	ck_assert_int_eq(fstat(STDERR_FILENO, &status), 0);
	snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)status.st_dev,
		 (uintmax_t)status.st_ino + inode_offset);
	setenv("JOURNAL_STREAM", text, 1);
}

START_TEST(line_for_the_journal)
{
	char lines[4][256];

	capture();
	name_journal(0);
	log_init(LOG_LEVEL_DEBUG);
	log_error("a", "one");
	log_warning("a", "two");
	log_info("a", "three");
	log_debug("a", "four");
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		snprintf(lines[i], sizeof(lines[i]), "%.200s", next());
	release();
	ck_assert_str_eq(lines[0], "<3>a: one\n");
	ck_assert_str_eq(lines[1], "<4>a: two\n");
	ck_assert_str_eq(lines[2], "<6>a: three\n");
	ck_assert_str_eq(lines[3], "<7>a: four\n");
}
END_TEST

START_TEST(another_journal_stream_is_not_ours)
{
	static const char *const streams[] = {"", "nonsense", "1:", "1:1"};
	char lines[5][256];

	capture();
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		if (i < ARRAY_LEN(streams))
			setenv("JOURNAL_STREAM", streams[i], 1);
		else
			name_journal(1);
		log_init(LOG_LEVEL_INFO);
		log_info("a", "text");
		snprintf(lines[i], sizeof(lines[i]), "%.200s", next());
	}
	release();
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		ck_assert_str_eq(lines[i] + 24, " info a: text\n");
}
END_TEST

START_TEST(levels)
{
	unsigned lines = 0;

	capture();
	log_init(LOG_LEVEL_WARNING);
	log_info("a", "not now");
	log_debug("a", "not now");
	while (*next())
		lines++;
	ck_assert_uint_eq(lines, 0);
	log_set_level(LOG_LEVEL_DEBUG);
	ck_assert(log_enabled(LOG_LEVEL_DEBUG));
	log_debug("a", "now");
	ck_assert_ptr_nonnull(strstr(next(), " debug a: now\n"));
	log_set_level(LOG_LEVEL_ERROR);
	ck_assert(!log_enabled(LOG_LEVEL_WARNING));
	ck_assert(log_enabled(LOG_LEVEL_ERROR));
	release();
}
END_TEST

static const struct {
	const char *text, *clean;
} dirty[] = {
	{"", ""},
	{"plain", "plain"},
	{"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8e\x89",
	 "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8e\x89"},
	{"a\nb\r\nc\td", "a b  c d"},
	{"\x1b[31mred\x1b[0m", " [31mred [0m"},
	{"\a\b\x7f|", "   |"},
	{"\xc2\x9b|\xc2\x80|\xc2\xa0", " | |\xc2\xa0"},               /* C1 controls, and what follows them */
	{"\xe2\x80\xae|\xe2\x81\xa6|", " | |"},                       /* other direction */
	{"\xe2\x80\xa7|\xe2\x80\xaf|", "\xe2\x80\xa7|\xe2\x80\xaf|"}, /* their neighbours */
	{"\xff\xfe|", "??|"},
	{"\xc0\x80|", "??|"},           /* overlong */
	{"\xed\xa0\x80|", "???|"},      /* surrogate */
	{"\xf4\x90\x80\x80|", "????|"}, /* above U+10FFFF */
	{"a\xe2\x82", "a??"},           /* cut short */
	{"\xe2\x82z", "??z"},
};

START_TEST(cleans)
{
	char text[64], line[256];

	for (size_t i = 0; i < ARRAY_LEN(dirty); i++) {
		snprintf(text, sizeof(text), "%s", dirty[i].text);
		ck_assert_uint_eq(log_clean(text), strlen(dirty[i].clean));
		ck_assert_msg(strcmp(text, dirty[i].clean) == 0, "case %zu: %s", i, text);
	}
	/* So that nobody outside can write lines of his own into the log. */
	capture();
	log_init(LOG_LEVEL_INFO);
	log_info("peer", "said \"%s\"", "x\n2026-01-01T00:00:00.000Z error main: forged");
	snprintf(line, sizeof(line), "%.200s", next());
	release();
	ck_assert_str_eq(line + 24, " info peer: said \"x 2026-01-01T00:00:00.000Z error main: forged\"\n");
}
END_TEST

static void say(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		log_warning("site", "line %u", i);
}

START_TEST(limits_a_noisy_site)
{
	unsigned lines = 0;
	const char *line;

	capture();
	log_init(LOG_LEVEL_INFO);
	say(20);
	while (*next())
		lines++;
	ck_assert_uint_eq(lines, 20);
	say(7);
	ck_assert_str_eq(next(), "");
	/* Others are heard. */
	log_warning("site", "something else");
	ck_assert_str_eq(next() + 24, " warning site: something else\n");
	log_flush();
	line = next();
	ck_assert_msg(strcmp(line + 24, " warning site: 7 similar lines suppressed: line %u\n") == 0, "%s",
		      line);
	log_flush();
	ck_assert_str_eq(next(), "");
	release();
}
END_TEST

START_TEST(debug_is_not_limited)
{
	unsigned lines = 0;

	capture();
	log_init(LOG_LEVEL_DEBUG);
	for (unsigned i = 0; i < 200; i++) {
		log_debug("site", "line %u", i);
		lines += *next() != '\0';
	}
	release();
	ck_assert_uint_eq(lines, 200);
}
END_TEST

START_TEST(long_lines_are_cut)
{
	char *text = malloc(100001);
	const char *line;

	ck_assert_ptr_nonnull(text);
	memset(text, 'x', 100000);
	text[100000] = '\0';
	capture();
	log_init(LOG_LEVEL_INFO);
	log_info("a", "%s", text);
	line = next();
	release();
	free(text);
	ck_assert_uint_le(strlen(line), 2048);
	ck_assert_uint_gt(strlen(line), 2000);
	ck_assert_str_eq(line + strlen(line) - 4, "xxx\n");
}
END_TEST

static void *say_much(void *context)
{
	for (unsigned i = 0; i < 50; i++)
		log_debug("thread", "%s %u", (const char *)context, i);
	return NULL;
}

START_TEST(threads_do_not_mix)
{
	static char names[4][2] = {"a", "b", "c", "d"};
	unsigned counts[4] = {0}, index;
	pthread_t threads[4];
	const char *line;
	char name;

	capture();
	log_init(LOG_LEVEL_DEBUG);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, say_much, names[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	while (*(line = next())) {
		ck_assert_int_eq(sscanf(line + 24, " debug thread: %c %u\n", &name, &index), 2);
		/* Each thread's lines are whole and in order. */
		ck_assert_uint_eq(counts[name - 'a']++, index);
	}
	release();
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		ck_assert_uint_eq(counts[i], 50);
}
END_TEST

START_TEST(disturbs_nothing)
{
	int saved = dup(STDERR_FILENO);

	close(STDERR_FILENO);
	log_init(LOG_LEVEL_INFO);
	errno = ENOTTY;
	log_error("a", "nobody hears this");
	ck_assert_int_eq(errno, ENOTTY);
	ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {line_for_people,
				      line_for_the_journal,
				      another_journal_stream_is_not_ours,
				      levels,
				      cleans,
				      limits_a_noisy_site,
				      debug_is_not_limited,
				      long_lines_are_cut,
				      threads_do_not_mix,
				      disturbs_nothing};

	return SCRATCH_RUN("log", tests);
}
