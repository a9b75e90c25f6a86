#!/bin/sh
# Installs a build into a temporary folder and uses the library from outside, as a stranger's project would: by pkg-config and by
# the CMake package.
#
# usage: sh tests/install_test.sh BUILD-FOLDER
set -eu
build=$1
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

cmake --install "$build" --prefix "$stage/usr" >/dev/null
for file in bin/tinkexd bin/tinkexctl include/tinkex.h; do
	[ -e "$stage/usr/$file" ] || {
		echo "not installed: $file"
		exit 1
	}
done
library=$(find "$stage/usr" -name 'libtinkex.so.0' -print -quit)
pc=$(find "$stage/usr" -name 'tinkex.pc' -print -quit)
[ -n "$library" ] && [ -n "$pc" ] || {
	echo "not installed: library or pkg-config file"
	exit 1
}
"$stage/usr/bin/tinkexd" --version
LD_LIBRARY_PATH=$(dirname "$library") "$stage/usr/bin/tinkexctl" version

mkdir "$stage/user"
cat >"$stage/user/main.c" <<'C'
#include <stdio.h>
#include <tinkex.h>
int main(void)
{
	printf("%s\n", tinkex_strerror(0));
	return 0;
}
C
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
cc -o "$stage/user/by_pkg_config" "$stage/user/main.c" \
	$(pkg-config --define-variable=prefix="$stage/usr" --cflags --libs tinkex)
LD_LIBRARY_PATH=$(dirname "$library") "$stage/user/by_pkg_config" >/dev/null

cat >"$stage/user/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(tinkex REQUIRED)
add_executable(by_cmake main.c)
target_link_libraries(by_cmake PRIVATE tinkex::tinkex)
C
cmake -S "$stage/user" -B "$stage/user/build" -DCMAKE_PREFIX_PATH="$stage/usr" >/dev/null
cmake --build "$stage/user/build" >/dev/null
"$stage/user/build/by_cmake" >/dev/null
echo "installed, and usable by pkg-config and by CMake"
