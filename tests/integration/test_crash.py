"""The daemon is killed again and again while clients work; nothing that was promised is lost.

As a program, for more and for a certain run:

    python3 test_crash.py --kills 5000 --seed 42

needs $TINKEXD, $TINKEX_CRASH_CLIENT and $TINKER_SIM.
"""

import argparse
import os
import random
import shutil
import sys
import time
import unittest

from crash import CrashRun
from crash_ledger import Violation

KILLS = 200


def run(kills, seed, verbose=False):
    """The CrashRun that went well; Violation."""
    print(f"\ncrash harness: {kills} kills, seed {seed}", flush=True)
    start = time.monotonic()
    report = (lambda text: print(text, flush=True)) if verbose else None
    with CrashRun(seed, report=report) as crash_run:
        crash_run.go(kills)
        print(f"{crash_run.summary()}\n  {time.monotonic() - start:.0f} s", flush=True)
    return crash_run


class Rollback:
    """Damage that the harness must notice: after some lives the state directory becomes again what it was some lives ago."""

    def __init__(self, keep_at, restore_at):
        self.keep_at, self.restore_at = keep_at, restore_at

    def __call__(self, crash_run):
        state, copy = crash_run.daemon.state_dir, crash_run.daemon.state_dir + ".old"
        if crash_run.ledger.life == self.keep_at:
            shutil.copytree(state, copy)
        elif crash_run.ledger.life == self.restore_at:
            shutil.rmtree(state)
            os.rename(copy, state)


class Crash(unittest.TestCase):
    def test_killed_and_restarted(self):
        seed = int(os.environ.get("TINKEX_CRASH_SEED") or random.randrange(1 << 32))
        done = run(int(os.environ.get("TINKEX_CRASH_KILLS") or KILLS), seed)
        counts, lives = done.ledger.counts, done.ledger.life
        # That it found nothing counts for something only if there was something to find.
        self.assertGreater(done.checked, lives / 6)
        self.assertGreater(len(done.ledger.entries), lives)
        for what in ("acks answered", "cancels answered", "connections cut", "outcomes read back",
                     "outcomes returned inline", "outcomes returned by libtinkex, inline"):
            self.assertGreater(counts.get(what, 0), lives / 20, what)

    def test_notices(self):
        """A daemon that forgets what happened between two kills is found out."""
        with self.assertRaises(Violation) as caught:
            with CrashRun(random.randrange(1 << 32), between=Rollback(4, 12)) as crash_run:
                crash_run.go(20)
        self.assertRegex(str(caught.exception), "was registered and never|had been lost|had ended, and|was acknowledged, and|"
                                                "was cancelled, and|cannot be")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--verbose", action="store_true", help="a line for each life")
    options = parser.parse_args()
    try:
        run(options.kills, options.seed, options.verbose)
    except Violation as violation:
        print(f"VIOLATION\n{violation}\nseed {options.seed}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
