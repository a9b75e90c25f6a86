/* Words compared loosely, and text made printable. */
#include <stdio.h>
#include <string.h>

#include "../proto/test_run.h"
#include "core/text.h"
#include "must.h"
#include "proto/attributes.h"

START_TEST(words_are_compared_without_case_and_white_space_around)
{
	ck_assert(text_is("active", "active"));
	ck_assert(text_is(" \r\n\t\v\fAcTiVe \r\n\t\v\f", "active"));
	ck_assert(!text_is("", "active"));
	ck_assert(!text_is("activ", "active"));
	ck_assert(!text_is("actives", "active"));
	ck_assert(!text_is("act ive", "active"));
	ck_assert(!text_is("active active", "active"));
	ck_assert(!text_is("\xc2\xa0"
			   "active",
			   "active"));
}
END_TEST

static void assert_cleaned(const char *text, size_t size, const char *expected)
{
	char copy[64];

	memcpy(copy, text, size);
	memset(copy + size, 'X', sizeof(copy) - size);
	ck_assert_uint_eq(text_clean(copy, size), strlen(expected));
	ck_assert_str_eq(copy, expected);
}

#define CLEANED(text, expected) assert_cleaned(text, sizeof(text) - 1, expected)

START_TEST(control_characters_become_spaces)
{
	CLEANED("", "");
	CLEANED("plain", "plain");
	CLEANED("a\nb\tc\rd", "a b c d");
	CLEANED("a\0b", "a b");
	CLEANED("\x1b]0;t\x07", " ]0;t ");
	CLEANED("\x7f", " ");
	CLEANED("\xc2\x80\xc2\x9b\xc2\x9f.", "   .");
	CLEANED("\xc2\xa0.", "\xc2\xa0.");
	CLEANED("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
}
END_TEST

START_TEST(what_is_not_utf_8_becomes_question_marks)
{
	CLEANED("\xff", "?");
	CLEANED("a\x80z", "a?z");
	CLEANED("\xc3", "?");
	CLEANED("\xc3(", "?(");
	CLEANED("\xe2\x82", "??");
	CLEANED("\xe2\x82(", "?"
			     "?(");
	CLEANED("\xc0\xaf", "??");
	CLEANED("\xed\xa0\x80", "???");
	CLEANED("\xf4\x90\x80\x80", "????");
}
END_TEST

static bool is_printable(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

START_TEST(any_two_bytes_come_out_printable_and_stay_so)
{
	for (unsigned pair = 0; pair < 0x10000; pair++) {
		char text[3] = {(char)(pair >> 8), (char)pair, 0}, again[3];
		size_t size = text_clean(text, 2);

		must(size <= 2);
		must(size == strlen(text));
		must(is_printable(text));
		memcpy(again, text, sizeof(again));
		must(text_clean(again, size) == size);
		must(strcmp(again, text) == 0);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		words_are_compared_without_case_and_white_space_around,
		control_characters_become_spaces,
		what_is_not_utf_8_becomes_question_marks,
		any_two_bytes_come_out_printable_and_stay_so,
	};

	return RUN_SUITE("text", tests);
}
