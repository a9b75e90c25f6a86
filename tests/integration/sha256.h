/* SHA-256 (FIPS 180-4), for test programs that must say what they got without repeating it. */
#ifndef TINKEX_TESTS_SHA256_H
#define TINKEX_TESTS_SHA256_H

#include <stddef.h>

#define SHA256_TEXT_SIZE 65 /* 64 hexadecimal digits and a NUL */

/* The hash of `size` bytes, in lower-case hexadecimal digits. */
void sha256_text(const void *data, size_t size, char ret_text[SHA256_TEXT_SIZE]);

#endif
