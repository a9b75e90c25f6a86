#!/bin/sh
# The library exports what its map says, the map says what the header declares, and nothing else.
# usage: symbols.sh LIBRARY MAP HEADER
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

nm -D --defined-only "$1" | awk '$2 ~ /[TDBRVW]/ { sub(/@.*/, "", $3); print $3 }' | grep -v '^__\|^TINKEX_' | sort >"$folder/exported"
sed -n 's/^[[:space:]]*\(tinkex_[a-z0-9_]*\);$/\1/p' "$2" | sort >"$folder/map"
grep -v '^typedef' "$3" | sed 's/^\( \*\|\/\*\).*//' | grep -o '\<tinkex_[a-z0-9_]*(' | tr -d '(' | sort -u >"$folder/header"

test "$(wc -l <"$folder/map")" -gt 50
diff -u "$folder/map" "$folder/exported"
diff -u "$folder/map" "$folder/header"
