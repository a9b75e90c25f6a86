/* A folder that exists for one test, and an environment that says nothing unless the test says it. */
#ifndef TINKEX_TESTS_UNIT_SYS_SCRATCH_H
#define TINKEX_TESTS_UNIT_SYS_SCRATCH_H

#include <check.h>
#include <sys/types.h>

#include "proto/attributes.h"

/* main() of a test program: each test with a scratch folder of its own. The program's exit code. */
int scratch_run(const char *name, const TTest *const *tests, size_t n_tests);
#define SCRATCH_RUN(name, tests) scratch_run(name, tests, ARRAY_LEN(tests))

/* Check fixtures: make and remove the folder; forget what the tester's own environment would change. */
void scratch_setup(void);
void scratch_teardown(void);

/* The folder. */
const char *scratch_folder(void);
/* FOLDER/NAME; valid until the test ends. */
const char *scratch_path(const char *name);
/* Writes a file with this mode. Its path, valid until the test ends. */
const char *scratch_write(const char *name, mode_t mode, const char *text);
/* The whole content of FOLDER/NAME as a string; valid until the test ends. */
const char *scratch_read(const char *name);
/* Goes on as a user without rights who owns the folder, if the tester is root. */
void scratch_drop_root(void);

#endif
