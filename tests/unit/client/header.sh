#!/bin/sh
# usage: header.sh COMPILER INCLUDE_FOLDER: tinkex.h as C99, C11 and C++17 without a warning. 77: no C++ compiler.
set -eu
here=$(dirname "$0")
warnings="-Wall -Wextra -Wpedantic -Wshadow -Wundef -Wconversion -Wmissing-declarations -Werror -fsyntax-only"
for standard in c99 c11; do
	"$1" -std=$standard $warnings -Wstrict-prototypes -I"$2" "$here/header.c"
done
if ! echo '#include <cstddef>' | "$1" -x c++ -std=c++17 -fsyntax-only - 2>/dev/null; then
	echo "no C++ compiler beside $1"
	exit 77
fi
"$1" -x c++ -std=c++17 $warnings -Wold-style-cast -I"$2" "$here/header.c"
