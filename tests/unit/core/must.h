/* ck_assert() for inner loops: says nothing to the runner while all is well, which otherwise costs more than
 * what is tested. */
#ifndef TINKEX_TESTS_UNIT_CORE_MUST_H
#define TINKEX_TESTS_UNIT_CORE_MUST_H

#include <check.h>

#define must(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition))                                                                            \
			ck_abort_msg("not true: %s", #condition);                                            \
	} while (0)

#endif
