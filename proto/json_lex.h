/*
 * The lexical rules that the scanner and the readers and writers of single values share: runs of plain bytes
 * in strings, runs of digits, and the number grammar. Pure functions over bytes; no state.
 */
#ifndef TINKEX_PROTO_JSON_LEX_H
#define TINKEX_PROTO_JSON_LEX_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* How far a number is. */
enum json_number {
	JSON_NUMBER_MINUS,
	JSON_NUMBER_ZERO,
	JSON_NUMBER_INT,
	JSON_NUMBER_POINT,
	JSON_NUMBER_FRACTION,
	JSON_NUMBER_E,
	JSON_NUMBER_SIGN,
	JSON_NUMBER_EXPONENT,
};

#define JSON_EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Eight bytes, the first one lowest. */
static inline uint64_t json_load(const char *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return le64toh(x);
}

/* Bytes from `p` before the first that is a quote, a backslash, a control character or not ASCII. */
static inline size_t json_plain_run(const char *p, const char *end)
{
	const char *start = p;

	/* Eight at a time. The lowest mark is exact; those above it may come from its borrow. */
	for (; end - p >= 8; p += 8) {
		uint64_t x = json_load(p);
		uint64_t quotes = x ^ JSON_EACH_BYTE('"'), backslashes = x ^ JSON_EACH_BYTE('\\');
		uint64_t marks = (x | (x - JSON_EACH_BYTE(' ')) | (quotes - JSON_EACH_BYTE(1)) |
				  (backslashes - JSON_EACH_BYTE(1))) &
				 JSON_EACH_BYTE(0x80);

		if (marks)
			return (size_t)(p - start) + (size_t)__builtin_ctzll(marks) / 8;
	}
	for (; p < end; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '"' || c == '\\' || c < ' ' || c >= 0x80)
			break;
	}
	return (size_t)(p - start);
}

static inline bool json_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline bool json_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits from `p` on. */
static inline size_t json_digits_run(const char *p, const char *end)
{
	const char *start = p;

	for (; end - p >= 8; p += 8) {
		uint64_t x = json_load(p) ^ JSON_EACH_BYTE('0'); /* 0 to 9 for digits */
		uint64_t marks = (x | (x + JSON_EACH_BYTE(0x80 - 10))) & JSON_EACH_BYTE(0x80);

		if (marks)
			return (size_t)(p - start) + (size_t)__builtin_ctzll(marks) / 8;
	}
	while (p < end && json_is_digit(*p))
		p++;
	return (size_t)(p - start);
}

/* What a number that is at `number`, its run of digits being over, becomes by `c`; -1: `c` is not part of it.
 */
static inline int json_number_step(uint8_t number, char c)
{
	bool exponent = c == 'e' || c == 'E';

	switch (number) {
	case JSON_NUMBER_MINUS:
		return c == '0' ? JSON_NUMBER_ZERO : json_is_digit(c) ? JSON_NUMBER_INT : -1;
	case JSON_NUMBER_ZERO:
	case JSON_NUMBER_INT:
		return c == '.' ? JSON_NUMBER_POINT : exponent ? JSON_NUMBER_E : -1;
	case JSON_NUMBER_POINT:
		return json_is_digit(c) ? JSON_NUMBER_FRACTION : -1;
	case JSON_NUMBER_FRACTION:
		return exponent ? JSON_NUMBER_E : -1;
	case JSON_NUMBER_E:
		return c == '+' || c == '-' ? JSON_NUMBER_SIGN : json_is_digit(c) ? JSON_NUMBER_EXPONENT : -1;
	case JSON_NUMBER_SIGN:
		return json_is_digit(c) ? JSON_NUMBER_EXPONENT : -1;
	default:
		return -1;
	}
}

static inline bool json_number_in_digits(uint8_t number)
{
	return number == JSON_NUMBER_INT || number == JSON_NUMBER_FRACTION || number == JSON_NUMBER_EXPONENT;
}

static inline bool json_number_may_end(uint8_t number)
{
	return number == JSON_NUMBER_ZERO || json_number_in_digits(number);
}

#endif
