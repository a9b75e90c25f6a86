/* Base64; see base64.h. */
#include "base64.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int value_of(char c)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

int base64_decode(const char *text, size_t size, char **ret_bytes, size_t *ret_size)
{
	size_t padding = 0, n = 0;
	uint32_t bits = 0;
	char *bytes;

	while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
		padding++;
	if (size % 4 != 0)
		return -EINVAL;
	bytes = malloc(size / 4 * 3 + 1);
	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++) {
		int value = i < size - padding ? value_of(text[i]) : 0;

		if (value < 0) {
			free(bytes);
			return -EINVAL;
		}
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 == 3) {
			bytes[n++] = (char)(bits >> 16 & 255);
			bytes[n++] = (char)(bits >> 8 & 255);
			bytes[n++] = (char)(bits & 255);
		}
	}
	*ret_size = n - padding;
	*ret_bytes = bytes;
	return 0;
}
