/* The growing run of bytes: contents, maximum, sticky errors, handing over. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/buffer.h"
#include "test_run.h"

static void assert_holds(const struct buffer *buffer, const char *text)
{
	ck_assert_int_eq(buffer_error(buffer), 0);
	ck_assert_uint_eq(buffer->size, strlen(text));
	ck_assert(memcmp(buffer->data, text, buffer->size) == 0);
}

START_TEST(test_append)
{
	struct buffer buffer = BUFFER_INIT(1000);

	ck_assert_ptr_null(buffer.data);
	buffer_append(&buffer, "ab", 2);
	buffer_puts(&buffer, "cd");
	buffer_putc(&buffer, 'e');
	buffer_printf(&buffer, "%d-%s", 42, "x");
	buffer_append(&buffer, NULL, 0);
	assert_holds(&buffer, "abcde42-x");
	buffer_consume(&buffer, 3);
	assert_holds(&buffer, "de42-x");
	buffer_consume(&buffer, 0);
	assert_holds(&buffer, "de42-x");
	buffer_consume(&buffer, 6);
	ck_assert_uint_eq(buffer.size, 0);
	buffer_release(&buffer);
	ck_assert_ptr_null(buffer.data);
	ck_assert_uint_eq(buffer.max, 1000);
	buffer_release(&buffer);
}
END_TEST

/* Formatted text longer than any small buffer, and one that fits the maximum exactly, without room for a NUL.
 */
START_TEST(test_printf_long)
{
	struct buffer buffer;
	char text[2001];

	memset(text, 'y', 2000);
	text[2000] = 0;
	buffer_init(&buffer, 2001);
	buffer_printf(&buffer, "%s%c", text, 'z');
	ck_assert_int_eq(buffer_error(&buffer), 0);
	ck_assert_uint_eq(buffer.size, 2001);
	ck_assert_int_eq(buffer.data[2000], 'z');
	buffer_printf(&buffer, "%s", "");
	ck_assert_int_eq(buffer_error(&buffer), 0);
	buffer_printf(&buffer, "%s", text);
	ck_assert_int_eq(buffer_error(&buffer), -EMSGSIZE);
	ck_assert_uint_eq(buffer.size, 2001);
	buffer_release(&buffer);

	for (int size = 250; size < 260; size++) {
		buffer_init(&buffer, 1000);
		buffer_printf(&buffer, "%.*s", size, text);
		ck_assert_uint_eq(buffer.size, (size_t)size);
		buffer_release(&buffer);
	}
}
END_TEST

START_TEST(test_maximum)
{
	struct buffer buffer = BUFFER_INIT(100);

	for (int i = 0; i < 100; i++)
		buffer_putc(&buffer, 'a');
	ck_assert_int_eq(buffer_error(&buffer), 0);
	ck_assert_uint_eq(buffer.size, 100);
	ck_assert_uint_le(buffer.capacity, 100);
	ck_assert_int_eq(buffer_reserve(&buffer, 0), 0);
	buffer_putc(&buffer, 'b');
	ck_assert_int_eq(buffer_error(&buffer), -EMSGSIZE);
	ck_assert_uint_eq(buffer.size, 100);
	/* It sticks, even where there would be room. */
	buffer_consume(&buffer, 50);
	buffer_puts(&buffer, "c");
	ck_assert_uint_eq(buffer.size, 50);
	ck_assert_int_eq(buffer_reserve(&buffer, 1), -EMSGSIZE);
	buffer_clear(&buffer);
	ck_assert_int_eq(buffer_error(&buffer), 0);
	ck_assert_ptr_nonnull(buffer.data);
	buffer_puts(&buffer, "again");
	assert_holds(&buffer, "again");
	buffer_release(&buffer);
}
END_TEST

START_TEST(test_huge_reserve)
{
	struct buffer buffer = BUFFER_INIT(SIZE_MAX);

	buffer_puts(&buffer, "x");
	ck_assert_int_eq(buffer_reserve(&buffer, SIZE_MAX), -EMSGSIZE);
	buffer_clear(&buffer);
	ck_assert_int_eq(buffer_reserve(&buffer, 100000), 0);
	ck_assert_uint_ge(buffer.capacity, 100000);
	buffer_release(&buffer);
}
END_TEST

START_TEST(test_steal)
{
	struct buffer buffer = BUFFER_INIT(10);
	size_t size = 99;
	int error = 99;
	char *text;

	buffer_puts(&buffer, "0123456789");
	text = buffer_steal(&buffer, &size, &error);
	ck_assert_str_eq(text, "0123456789");
	ck_assert_uint_eq(size, 10);
	ck_assert_int_eq(error, 99);
	free(text);
	ck_assert_ptr_null(buffer.data);
	ck_assert_uint_eq(buffer.size, 0);
	ck_assert_uint_eq(buffer.max, 10);

	text = buffer_steal(&buffer, &size, NULL);
	ck_assert_str_eq(text, "");
	ck_assert_uint_eq(size, 0);
	free(text);

	size = 99;
	buffer_puts(&buffer, "01234567890");
	ck_assert_ptr_null(buffer_steal(&buffer, &size, &error));
	ck_assert_int_eq(error, -EMSGSIZE);
	ck_assert_uint_eq(size, 99);
	ck_assert_int_eq(buffer_error(&buffer), 0);
	ck_assert_ptr_null(buffer.data);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_append, test_printf_long, test_maximum, test_huge_reserve,
				      test_steal};

	return RUN_SUITE("proto.buffer", tests);
}
