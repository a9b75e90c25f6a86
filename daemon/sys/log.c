#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "proto/utf8.h"
#include "ratelimit.h"

#define LINE_MAX_BYTES 2048

static const struct {
	const char *name;
	int priority; /* syslog's */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARNING] = {"warning", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};

/* The process has one stderr. */
static struct {
	atomic_int level;
	bool prefixed; /* read by the journal; set before threads */
	pthread_mutex_t lock;
	struct ratelimit limit; /* under the lock */
} state = {.level = LOG_LEVEL_INFO, .lock = PTHREAD_MUTEX_INITIALIZER};

/* JOURNAL_STREAM is inherited by everything below a unit: it counts only if it names this very stderr. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat stat;

	return stream && sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &stat) == 0 && stat.st_dev == device && stat.st_ino == inode;
}

void log_init(enum log_level level)
{
	log_set_level(level);
	state.prefixed = stderr_is_journal();
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&state.level, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&state.level, memory_order_relaxed);
}

/* Bytes of the character at the start of `text`, 0 if what stands there is no UTF-8. The NUL at the end
 * belongs to no longer character, so this never looks behind it. */
static size_t character(const char *text)
{
	struct utf8 utf8 = {0};
	size_t size = 1;

	if ((uint8_t)text[0] < 0x80)
		return 1;
	if (!utf8_begin(&utf8, (uint8_t)text[0]))
		return 0;
	while (utf8.left) {
		if (!utf8_continue(&utf8, (uint8_t)text[size++]))
			return 0;
	}
	return size;
}

/* Moves a terminal's cursor, begins a command to it, or turns the direction of writing. */
static bool is_control(const char *text, size_t size)
{
	const uint8_t *bytes = (const uint8_t *)text;

	if (size == 1)
		return bytes[0] < 0x20 || bytes[0] == 0x7f;
	if (size == 2)
		return bytes[0] == 0xc2 && bytes[1] < 0xa0; /* U+0080 to U+009F */
	return size == 3 && bytes[0] == 0xe2 &&
	       ((bytes[1] == 0x80 && bytes[2] >= 0xa8 && bytes[2] <= 0xae) || /* U+2028 to U+202E */
		(bytes[1] == 0x81 && bytes[2] >= 0xa6 && bytes[2] <= 0xa9));  /* U+2066 to U+2069 */
}

size_t log_clean(char *text)
{
	const char *from = text;
	char *to = text;

	while (*from) {
		size_t size = character(from);

		if (size == 0 || is_control(from, size)) {
			*to++ = size ? ' ' : '?';
		} else {
			memmove(to, from, size);
			to += size;
		}
		from += size ? size : 1;
	}
	*to = '\0';
	return (size_t)(to - text);
}

static void write_all(const char *line, size_t size)
{
	while (size > 0) {
		ssize_t n = write(STDERR_FILENO, line, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nobody reads it, and there is nowhere to say so */
		line += n;
		size -= (size_t)n;
	}
}

/* Writes one line; the text is not yet clean. */
static _printf_(3, 0) void emit(enum log_level level, const char *module, const char *format,
				va_list arguments)
{
	char line[LINE_MAX_BYTES], time[32];
	size_t size, room;
	int head, body;

	if (state.prefixed)
		head = snprintf(line, sizeof(line), "<%d>%s: ", levels[level].priority, module);
	else
		head = snprintf(line, sizeof(line), "%s %s %s: ", clock_format(clock_wall(), time),
				levels[level].name, module);
	if (head < 0 || (size_t)head >= sizeof(line) / 2)
		return;
	size = (size_t)head;
	room = sizeof(line) - size - 1;
	body = vsnprintf(line + size, room, format, arguments);
	if (body < 0)
		return;
	size += log_clean(line + size);
	line[size++] = '\n';
	write_all(line, size);
}

static _printf_(3, 4) void emitf(enum log_level level, const char *module, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	emit(level, module, format, arguments);
	va_end(arguments);
}

static void report(int64_t now)
{
	struct ratelimit_site site;

	while (ratelimit_report(&state.limit, now, &site))
		emitf((enum log_level)site.level, site.module, "%u similar line%s suppressed: %s",
		      site.suppressed, site.suppressed == 1 ? "" : "s", site.format);
}

void log_write(enum log_level level, const char *module, const char *format, ...)
{
	int saved_errno = errno;
	va_list arguments;
	int64_t now;

	if (!log_enabled(level))
		return;
	now = clock_now();
	va_start(arguments, format);
	pthread_mutex_lock(&state.lock);
	report(now);
	if (level == LOG_LEVEL_DEBUG || ratelimit_pass(&state.limit, module, format, (int)level, now))
		emit(level, module, format, arguments);
	pthread_mutex_unlock(&state.lock);
	va_end(arguments);
	errno = saved_errno;
}

void log_flush(void)
{
	pthread_mutex_lock(&state.lock);
	report(INT64_MAX);
	pthread_mutex_unlock(&state.lock);
}
