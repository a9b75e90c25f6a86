#!/bin/sh
# Installs the Debian packages that are missing; does nothing where nothing is.
#
# usage: sh packaging/dependencies.sh run|test
#   run    to build and run the daemon, the CLI and the simulator
#   test   all of that, and what the tests use
#
# As root, or with sudo that asks no password, the packages are installed. Otherwise their names are printed and the
# exit status is 1.
set -eu

# One a line: kind of probe, what is probed, package that brings it. pc: a pkg-config module; cmd: a command.
run_needs='
cmd cc gcc
cmd make make
cmd cmake cmake
cmd ninja ninja-build
cmd pkg-config pkg-config
cmd curl curl
cmd python3 python3
pc libevent_core libevent-dev
pc libcurl libcurl4-openssl-dev
pc json-c libjson-c-dev
pc inih libinih-dev
pc sqlite3 libsqlite3-dev
pc libsystemd libsystemd-dev
pc check check
'
test_needs='
cmd gcc gcc
cmd g++ g++
cmd clang clang
cmd clang-format clang-format
cmd git git
cmd nm binutils
cmd openssl openssl
cmd nginx nginx-light
cmd nghttpx nghttp2-proxy
cmd nc netcat-openbsd
'

present() {
	case $1 in
	cmd) command -v "$2" >/dev/null 2>&1 ;;
	pc) command -v pkg-config >/dev/null 2>&1 && pkg-config --exists "$2" ;;
	esac
}

missing() {
	printf '%s\n' "$1" | while read -r kind what package; do
		[ -z "$kind" ] || present "$kind" "$what" || printf '%s ' "$package"
	done
}

case ${1-} in
run) wanted=$(missing "$run_needs") ;;
test) wanted=$(missing "$run_needs$test_needs") ;;
*)
	echo "usage: sh packaging/dependencies.sh run|test" >&2
	exit 2
	;;
esac
[ -n "$wanted" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
	as_root=
elif sudo -n true 2>/dev/null; then
	as_root='sudo -n'
else
	echo "These packages are missing, and installing them needs root:" >&2
	echo "  apt-get update && apt-get install --no-install-recommends $wanted" >&2
	exit 1
fi
echo "installing: $wanted"
export DEBIAN_FRONTEND=noninteractive
# A package that brings a service must not start it here: the tests start their own.
# shellcheck disable=SC2086
$as_root apt-get update -qq && $as_root apt-get install -qq -y --no-install-recommends $wanted >/dev/null
