#!/bin/sh
# Installs what is missing, builds in three ways, and runs every test.
#
# usage: sh tests/run.sh [CTest arguments, for example -R unit.core]
#
# 1. gcc with AddressSanitizer and UndefinedBehaviorSanitizer: all tests
# 2. clang, optimised: builds without a warning, unit tests
# 3. gcc, optimised: builds without a warning, installs, and the installed library is used from outside; and what is said
#    of memory and of the time of a start holds for this build
set -eu
cd "$(dirname "$0")/.."
jobs=$(nproc)

step() {
	printf '\n== %s\n' "$*"
}

step "packages"
sh packaging/dependencies.sh test

step "gcc, sanitizers"
CC=gcc cmake --preset asan >/dev/null
cmake --build --preset asan -j "$jobs"
failed=0
ctest --test-dir build/asan --output-on-failure -j "$jobs" "$@" || failed=1

step "clang, optimised, warnings are errors"
CC=clang cmake -S . -B build/clang -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTINKEX_WERROR=ON >/dev/null
cmake --build build/clang -j "$jobs"
ctest --test-dir build/clang --output-on-failure -j "$jobs" -R '^unit\.' || failed=1

step "gcc, optimised, warnings are errors, installed"
CC=gcc cmake --preset release -DTINKEX_WERROR=ON >/dev/null
cmake --build --preset release -j "$jobs"
ctest --test-dir build/release --output-on-failure -R '^(unit\.client\.(install|symbols|header)|integration\.(large|restart))$' || failed=1

exit $failed
