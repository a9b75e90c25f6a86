#!/bin/sh
# Every C file of the tree obeys .clang-format.
#
# usage: sh tests/check_format.sh ROOT
set -eu
cd "$1"
command -v clang-format >/dev/null || {
	echo "clang-format is not installed"
	exit 77
}
git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format --dry-run -Werror
