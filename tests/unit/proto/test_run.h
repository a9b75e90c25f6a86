/* The main() of a Check program with one suite. */
#ifndef TINKEX_TESTS_UNIT_PROTO_TEST_RUN_H
#define TINKEX_TESTS_UNIT_PROTO_TEST_RUN_H

#include <check.h>
#include <stdlib.h>

/* Runs the suite; the program's exit code. A test may take `timeout` seconds on a busy machine. */
static inline int run_suite(const char *name, const TTest *const *tests, size_t n_tests, double timeout)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < n_tests; i++)
		tcase_add_test(tcase, tests[i]);
	tcase_set_timeout(tcase, timeout);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define RUN_SUITE(name, tests) run_suite(name, tests, sizeof(tests) / sizeof((tests)[0]), 60)

#endif
