#!/usr/bin/env python3
"""Checks that the #include lines obey the house: arrows go down only, and the core stays pure.

usage: check_includes.py ROOT

proto/ is the ground; daemon/core stands on proto; daemon/{upstream,ipc} on core and store; daemon/{store,sys} serve the edges
and daemon.c; main.c stands on daemon.c; client/ stands on proto and knows no daemon; client/cli knows only tinkex.h.
"""

import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# room -> rooms that it may include, besides itself
ALLOWED = {
    "proto": set(),
    "daemon/core": {"proto"},
    "daemon/sys": {"daemon/core", "proto"},
    "daemon/store": {"daemon/core", "daemon/sys", "proto"},
    "daemon/upstream": {"daemon/core", "daemon/store", "daemon/sys", "proto"},
    "daemon/ipc": {"daemon/core", "daemon/store", "daemon/sys", "proto"},
    "daemon": {"daemon/core", "daemon/sys", "daemon/store", "daemon/upstream", "daemon/ipc", "proto"},
    "client": {"proto", "client/include"},
    "client/include": set(),
    "client/cli": {"client/include"},
}

# What only some rooms may know of the world outside.
FOREIGN = [
    (re.compile(r"^curl/"), {"daemon/upstream"}),
    (re.compile(r"^event2?/"), {"daemon/upstream", "daemon/ipc", "daemon/sys", "daemon/store", "daemon"}),
    (re.compile(r"^sqlite3\.h"), {"daemon/store"}),
    (re.compile(r"^systemd/"), {"daemon/sys"}),
    (re.compile(r"^ini\.h"), {"daemon/sys"}),
    (re.compile(r"^json-c/"), {"client/cli", "daemon/ipc"}),
]

# sys knows of the core only what configuration and the loop are made of.
SYS_CORE = {"core/policy.h", "core/timers.h", "core/backoff.h", "core/alloc.h"}

# The pure rooms know no descriptors, files, processes or clocks.
PURE = {"daemon/core", "proto"}
IMPURE = re.compile(r"^(event|curl|json-c|sqlite3|systemd|ini\.h|unistd\.h|fcntl\.h|time\.h|signal\.h|pthread\.h|poll\.h|"
                    r"sys/(socket|un|stat|time|epoll|timerfd|eventfd|file|uio|mman|wait)|netinet|arpa|netdb)")


def room_of(path):
    """The longest room that the file lies in; None: none of the house (tests, generated files)."""
    folder = os.path.dirname(path)
    while folder:
        if folder in ALLOWED:
            return folder
        folder = os.path.dirname(folder)
    return None


def resolve(root, path, name):
    """The included file's path from the root, or None for a header of the system."""
    for base in (os.path.dirname(path), "daemon", "client/include", "client", ""):
        candidate = os.path.normpath(os.path.join(base, name))
        if os.path.exists(os.path.join(root, candidate)):
            return candidate
    return None


def check_file(root, path):
    room = room_of(path)
    with open(os.path.join(root, path), encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            name = match.group(2)
            target = resolve(root, path, name) if match.group(1) == '"' else None
            if match.group(1) == '"' and target is None:
                yield f"{path}:{number}: \"{name}\" is no file of the house"
            if target:
                goal = room_of(target)
                if goal != room and goal not in ALLOWED[room]:
                    yield f"{path}:{number}: {room} must not include {goal} ({name})"
                if room == "daemon/sys" and goal == "daemon/core" and name not in SYS_CORE:
                    yield f"{path}:{number}: sys may know only {', '.join(sorted(SYS_CORE))} of the core, not {name}"
                continue
            if room in PURE and IMPURE.match(name):
                yield f"{path}:{number}: {room} is pure and must not include <{name}>"
            for pattern, rooms in FOREIGN:
                if pattern.match(name) and room not in rooms:
                    yield f"{path}:{number}: <{name}> belongs to {', '.join(sorted(rooms))} only"


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    root = sys.argv[1]
    faults, files = [], 0
    for top in ("proto", "daemon", "client"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if name.endswith((".c", ".h")) and room_of(path) and "examples" not in path.split(os.sep):
                    files += 1
                    faults += check_file(root, path)
    for fault in faults:
        print(fault)
    print(f"{files} files, {len(faults)} includes against the house")
    return 1 if faults or not files else 0


if __name__ == "__main__":
    sys.exit(main())
