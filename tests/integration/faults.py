"""Making the file system calls of a program fail, stop, kill it or be recorded. Standard library only.

The library that does it is $TINKEX_FAULTS_LIBRARY; tests/faults/faults.c describes it.

    with Sim(...) as sim:
        daemon = Daemon(sim.url, start=False)
        with Faults(daemon.state_dir, record=True) as faults, daemon:
            daemon.env.update(faults.environment())
            daemon.start()
            rule = faults.arm(Rule("write", "tinkexd.db-wal", error="ENOSPC", always=True))
            ...
            faults.disarm(rule)
"""

import dataclasses
import errno
import mmap
import os
import shutil
import struct
import tempfile

from daemon import wait_for

# The kinds of calls a rule can be about; they are joined by "|".
OPERATIONS = {"open": 1, "create": 2, "read": 4, "write": 8, "fsync": 16, "ftruncate": 32, "fallocate": 64, "unlink": 128,
              "rename": 256, "mkdir": 512, "close": 1024, "mmap": 2048}
OPERATIONS["change"] = sum(OPERATIONS[name] for name in
                           ("create", "write", "fsync", "ftruncate", "fallocate", "unlink", "rename", "mkdir"))
OPERATIONS["any"] = OPERATIONS["change"] | sum(OPERATIONS[name] for name in ("open", "read", "close", "mmap"))

ACTIONS = {"count": 0, "error": 1, "short": 2, "kill": 3, "kill-after": 4, "kill-short": 5, "stall": 6, "slow": 7,
           "quota": 8}

# tests/faults/rules.h and rules.c
HEADER = struct.Struct("=8sII48x")
RULE = struct.Struct("=IIIiQIIQQQ136s")
MAGIC, SLOTS = b"TKXFLT01", 32
SIZE = HEADER.size + SLOTS * RULE.size


@dataclasses.dataclass(frozen=True)
class Rule:
    """What happens to the nth of the calls (1: the next one) of the kinds `operations` on files that `pattern` matches.

    `pattern` is a shell pattern for the name in the directory, whose `*` also matches "/"; the directory itself is
    ".". One of:
    error    the call fails with this errno, given by its name, and is not made
    action   "count": nothing but counting; "short": half of the bytes are read or written; "kill": SIGKILL before
             the call, "kill-after": after it, "kill-short": after half of its bytes; "stall": waits until the rule
             is disarmed; "slow": waits `value` milliseconds; "quota": the disk has `value` bytes, and what would
             make the files of the directory longer than that together fails with ENOSPC, after what still fits
    `always`: all further ones too; with quota it is understood.
    """

    operations: str
    pattern: str = "*"
    nth: int = 1
    error: str = None
    action: str = None
    always: bool = False
    value: int = 0

    def packed(self):
        """The fields of the slot after `armed`."""
        action = "error" if self.error else self.action
        if bool(self.error) == bool(self.action) or self.nth < 1:
            raise ValueError(f"a rule has an error or an action, and counts from 1: {self}")
        operations = mask(self.operations)
        if action in ("short", "kill-short") and operations & ~mask("read|write"):
            raise ValueError(f"only a read or a write can be short: {self}")
        pattern = self.pattern.encode()
        if len(pattern) >= 136:
            raise ValueError(f"the pattern is too long: {self}")
        return (operations, ACTIONS[action], getattr(errno, self.error) if self.error else 0, self.nth,
                self.always or action == "quota", 0, self.value, 0, 0, pattern)


def mask(operations):
    bits = 0
    for name in operations.split("|"):
        bits |= OPERATIONS[name.strip()]
    return bits


@dataclasses.dataclass(frozen=True)
class Counts:
    """`matched`: calls since the rule was armed; `fired`: those it acted on; `waiting`: held up by it just now."""

    matched: int
    fired: int
    waiting: int


class Faults:
    """The rules, and the recording if there is to be one, for the files below `directory`, which need not exist yet.

    Rules and counts outlive the program: they stay for one that is started again in the same environment.
    """

    def __init__(self, directory, record=False):
        self.directory = os.path.realpath(directory)
        self.folder = tempfile.mkdtemp(prefix="tinkexd-faults-")
        self.control_path = os.path.join(self.folder, "control")
        self.record_path = os.path.join(self.folder, "record") if record else None
        self.rules = {}  # slot -> Rule
        self.next_slot = 0
        with open(self.control_path, "w+b") as file:
            file.truncate(SIZE)
            self.control = mmap.mmap(file.fileno(), SIZE)
        HEADER.pack_into(self.control, 0, MAGIC, SIZE, 0)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        """Also lets everything go that waits in a rule."""
        if not self.control.closed:
            self.disarm()
            self.control.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, base=None):
        """What has to be in the environment of the program; other options of sanitizers in `base` are kept."""
        base = os.environ if base is None else base
        options = [base["ASAN_OPTIONS"]] if base.get("ASAN_OPTIONS") else []
        library = os.environ.get("TINKEX_FAULTS_LIBRARY")
        if not library:
            raise RuntimeError("set TINKEX_FAULTS_LIBRARY to the path of libtinkex_faults.so")
        environment = {"LD_PRELOAD": library, "TINKEX_FAULTS_DIR": self.directory,
                       "TINKEX_FAULTS_CONTROL": self.control_path,
                       "ASAN_OPTIONS": ":".join(options + ["verify_asan_link_order=0"])}
        if self.record_path:
            environment["TINKEX_FAULTS_RECORD"] = self.record_path
        return environment

    def arm(self, rule):
        """The rule holds from now on, and counts from here. Its number, for counts() and disarm()."""
        fields = rule.packed()
        slot = self.next_slot
        while slot in self.rules:
            slot = (slot + 1) % SLOTS
            if slot == self.next_slot:
                raise RuntimeError("too many rules")
        # Round and round: a thread that still looks at a rule just disarmed does not find another in its place.
        self.next_slot = (slot + 1) % SLOTS
        RULE.pack_into(self.control, self._at(slot), 0, *fields)
        self.rules[slot] = rule
        self._write_operations()
        self._set_armed(slot, 1)
        return slot

    def disarm(self, slot=None):
        """Takes one rule away, or all; its last counts, or None for all."""
        counts = None
        for one in list(self.rules) if slot is None else [slot]:
            self._set_armed(one, 0)
            counts = self.counts(one)
            del self.rules[one]
        self._write_operations()
        return None if slot is None else counts

    def counts(self, slot):
        """The Counts of a rule, also of one that is disarmed, until its place is taken."""
        _, _, _, _, _, _, waiting, _, matched, fired, _ = RULE.unpack_from(self.control, self._at(slot))
        return Counts(matched, fired, waiting)

    def wait_fired(self, slot, times=1):
        """Waits until the rule has acted so often, and in case of a stall holds somebody up."""
        stall = self.rules[slot].action == "stall"

        def fired():
            counts = self.counts(slot)
            return counts.fired >= times and (counts.waiting or not stall)

        wait_for(fired, f"{self.rules[slot]} acts")

    def position(self):
        """How far the recording goes. What a reply said that was read before is recorded before this position."""
        try:
            return os.stat(self.record_path).st_size
        except FileNotFoundError:
            return 0

    @staticmethod
    def _at(slot):
        return HEADER.size + slot * RULE.size

    def _set_armed(self, slot, armed):
        struct.pack_into("=I", self.control, self._at(slot), armed)

    def _write_operations(self):
        operations = 0
        for rule in self.rules.values():
            operations |= mask(rule.operations)
        struct.pack_into("=I", self.control, 12, operations)
