/* Reads Base64. Knows nothing of results. */
#include "base64.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

int base64_decode(const char *text, size_t size, void *out, size_t *ret_size)
{
	uint32_t bits = 0;
	unsigned n = 0, padding = 0;
	uint8_t *to = out;

	for (size_t i = 0; i < size; i++) {
		int value = base64_value(text[i]);

		if (text[i] == '\\' && i + 1 < size && text[i + 1] == '/')
			continue;
		if (text[i] == '=') {
			padding++;
			continue;
		}
		if (value < 0 || padding > 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)value;
		if (++n == 4) {
			*to++ = (uint8_t)(bits >> 16);
			*to++ = (uint8_t)(bits >> 8);
			*to++ = (uint8_t)bits;
			n = 0;
		}
	}
	if (n == 1 || padding != (4 - n) % 4)
		return -EBADMSG;
	if (n >= 2)
		*to++ = (uint8_t)(bits >> (n == 2 ? 4 : 10));
	if (n == 3)
		*to++ = (uint8_t)(bits >> 2);
	*ret_size = (size_t)(to - (uint8_t *)out);
	return 0;
}
