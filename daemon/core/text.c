#include "text.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "proto/utf8.h"

bool text_is(const char *text, const char *word)
{
	static const char space[] = " \t\r\n\v\f";
	size_t size = strlen(word);

	text += strspn(text, space);
	return strncasecmp(text, word, size) == 0 && text[size + strspn(text + size, space)] == 0;
}

/* Bytes of the well-formed UTF-8 character that begins at `text`; 0: none does. */
static size_t character_size(const char *text, const char *end)
{
	const char *p = text;
	struct utf8 utf8;

	if ((uint8_t)*p < 0x80)
		return 1;
	if (!utf8_begin(&utf8, (uint8_t)*p++))
		return 0;
	while (utf8.left) {
		if (p == end || !utf8_continue(&utf8, (uint8_t)*p++))
			return 0;
	}
	return (size_t)(p - text);
}

/* U+0000 to U+001F, U+007F to U+009F: what a terminal takes for commands. */
static bool is_control(const char *character, size_t size)
{
	uint8_t first = (uint8_t)character[0];

	return first < 0x20 || first == 0x7f || (size == 2 && first == 0xc2 && (uint8_t)character[1] < 0xa0);
}

size_t text_clean(char *text, size_t size)
{
	const char *from = text, *end = text + size;
	char *to = text;

	while (from < end) {
		size_t step = character_size(from, end);

		if (!step || is_control(from, step)) {
			*to++ = step ? ' ' : '?';
		} else {
			memmove(to, from, step);
			to += step;
		}
		from += step ? step : 1;
	}
	*to = 0;
	return (size_t)(to - text);
}
