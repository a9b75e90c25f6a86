/* Text, times, sizes and colours for people. Tables are table.c. */
#include "render.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*before_stderr)(void);

void freep(void *pointer)
{
	free(*(void **)pointer);
}

void render_set_hook(void (*hook)(void))
{
	before_stderr = hook;
}

/* ---- cleaning ---- */

size_t render_sequence(const unsigned char *s, uint32_t *ret_code)
{
	size_t n = s[0] < 0x80                   ? 1
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		   : (s[0] & 0xf0) == 0xe0       ? 3
		   : (s[0] & 0xf8) == 0xf0       ? 4
						 : 0;
	uint32_t code = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));

	if (n == 0)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if ((n == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
	    (n == 4 && (code < 0x10000 || code > 0x10ffff)))
		return 0;
	*ret_code = code;
	return n;
}

static bool render_is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
	       (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0x200e ||
	       code == 0x200f;
}

static char *render_clean_but(const char *text, char keep)
{
	const unsigned char *from = (const unsigned char *)text;
	char *clean = text ? malloc(strlen(text) + 1) : NULL, *to = clean;
	uint32_t code = 0;

	if (!clean)
		return NULL;
	while (*from) {
		size_t n = render_sequence(from, &code);

		if (n == 0) {
			*to++ = '?';
			from++;
		} else if (render_is_control(code) && (n > 1 || *from != (unsigned char)keep || !keep)) {
			*to++ = ' ';
			from += n;
		} else {
			memcpy(to, from, n);
			to += n;
			from += n;
		}
	}
	*to = '\0';
	return clean;
}

char *render_clean(const char *text)
{
	return render_clean_but(text, '\0');
}

size_t render_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* ---- stderr ---- */

static _printf_(1, 0) void render_say(const char *format, va_list args)
{
	_cleanup_(freep) char *text = NULL, *clean = NULL;

	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
		return;
	}
	clean = render_clean_but(text, '\n');
	if (before_stderr)
		before_stderr();
	fprintf(stderr, "tinkexctl: %s\n", clean ? clean : "out of memory");
}

bool complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	render_say(format, args);
	va_end(args);
	return false;
}

void remark(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	render_say(format, args);
	va_end(args);
}

/* ---- times, sizes, colours ---- */

const char *render_time(int64_t ms, char buffer[RENDER_TIME_MAX])
{
	int64_t s = ms / 1000, m = s / 60, h = m / 60, d = h / 24;

	if (ms < 0)
		ms = 0;
	if (ms < 1000)
		snprintf(buffer, RENDER_TIME_MAX, "%" PRId64 " ms", ms);
	else if (s < 60)
		snprintf(buffer, RENDER_TIME_MAX, "%" PRId64 " s", s);
	else if (m < 60)
		snprintf(buffer, RENDER_TIME_MAX, "%" PRId64 " m %" PRId64 " s", m, s % 60);
	else if (h < 48)
		snprintf(buffer, RENDER_TIME_MAX, "%" PRId64 " h %" PRId64 " m", h, m % 60);
	else
		snprintf(buffer, RENDER_TIME_MAX, "%" PRId64 " d %" PRId64 " h", d, h % 24);
	return buffer;
}

bool render_has_colours(void)
{
	const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && !(term && strcmp(term, "dumb") == 0);
}

const char *render_colour(enum colour colour)
{
	static const char *const sequences[] = {[COLOUR_NONE] = "",
						[COLOUR_GOOD] = "\033[32m",
						[COLOUR_BAD] = "\033[31m",
						[COLOUR_WAIT] = "\033[33m",
						[COLOUR_HEAD] = "\033[1m"};

	return render_has_colours() ? sequences[colour] : "";
}

const char *render_colour_end(void)
{
	return render_has_colours() ? "\033[0m" : "";
}
