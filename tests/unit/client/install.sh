#!/bin/sh
# usage: install.sh BUILD_FOLDER COMPILER CFLAGS: what is installed can be used: the programs, and the library by pkg-config
# and by CMake.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cmake --install "$1" --prefix "$folder/usr" >"$folder/log" || { cat "$folder/log"; exit 1; }
pc=$(find "$folder/usr" -name tinkex.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
cat >"$folder/main.c" <<'C'
#include <stdio.h>
#include <string.h>
#include <tinkex.h>
int main(void)
{
	struct tinkex_client_options options = TINKEX_CLIENT_OPTIONS_INIT;
	tinkex_client *client;

	options.socket_path = "/dev/null/no/such/socket";
	if (tinkex_client_new(&options, &client) != 0 || tinkex_ping(client) != TINKEX_ENODAEMON)
		return 1;
	puts(tinkex_version());
	return tinkex_client_free(client) != NULL;
}
C
pkg() { pkg-config --define-variable=prefix="$folder/usr" "$@" tinkex; }
libdir=$(pkg --variable=libdir)
test -e "$libdir/libtinkex.so.0"
"$2" $3 -o "$folder/main" "$folder/main.c" $(pkg --cflags --libs)
version=$(pkg --modversion)
test "$(LD_LIBRARY_PATH=$libdir "$folder/main")" = "$version"
# The example as README.md says; it is C99.
"$2" $3 -std=c99 -pedantic -Wall -Wextra -Werror -o "$folder/example" "$here/../../../client/examples/await.c" $(pkg --cflags --libs)

mkdir "$folder/project"
mv "$folder/main.c" "$folder/project/main.c"
cat >"$folder/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(tinkex 0.1 REQUIRED)
add_executable(user main.c)
target_link_libraries(user PRIVATE tinkex::tinkex)
CMAKE
cmake -S "$folder/project" -B "$folder/build" -DCMAKE_PREFIX_PATH="$folder/usr" -DCMAKE_C_COMPILER="$2" \
	-DCMAKE_C_FLAGS="$3" >"$folder/log" && cmake --build "$folder/build" >>"$folder/log" || { cat "$folder/log"; exit 1; }
"$folder/build/user" >/dev/null

test "$(LD_LIBRARY_PATH=$libdir "$folder/usr/bin/tinkexctl" --version)" = "tinkexctl $version"
test "$("$folder/usr/bin/tinkexd" --version)" = "tinkexd $version"
