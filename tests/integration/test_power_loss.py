"""What tinkexd answered is true after the power failed: its state directory as the disk could have kept it at any moment.

The recording and what is lost of it: power_loss.py. The seed is printed; TINKEX_TEST_SEED repeats it.
"""

import hashlib
import json
import os
import random
import shutil
import unittest

from crash_points import CRASH_POINTS
from daemon import WAIT_SECONDS, Daemon
from faults import Faults
from power_loss import Disk, Recording
from running import PENDING
from sim import Sim, generated_body

NOWHERE = "http://127.0.0.1:1"  # nothing can be polled again there: what is known comes from the disk
LOST = (EOFError, ConnectionError, FileNotFoundError)
CRASHES = int(os.environ.get("TINKEX_TEST_POWER_LOSSES", "60"))


def digest(text):
    return hashlib.sha256(text).hexdigest()


def digest_of(outcome):
    """Of the result as the server wrote it: generated bodies have no spaces."""
    return digest(json.dumps(outcome["result"], separators=(",", ":")).encode())


class Recorded(unittest.TestCase):
    """A daemon with a recording, and another one that is started on what a power failure left of its directory."""

    url = NOWHERE

    def setUp(self):
        seed = int(os.environ.get("TINKEX_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"TINKEX_TEST_SEED={seed}")
        self.rng = random.Random(seed)
        self.daemon = self.make_daemon(self.url)
        self.faults = Faults(self.daemon.state_dir, record=True)
        self.addCleanup(self.faults.close)
        self.daemon.env.update(self.faults.environment())
        self.after = self.make_daemon(NOWHERE)

    def make_daemon(self, url):
        daemon = Daemon(url, start=False, endpoint={"backoff_initial": "20ms", "backoff_max": "100ms"})
        self.addCleanup(shutil.rmtree, daemon.folder, ignore_errors=True)
        self.addCleanup(daemon.kill)
        return daemon

    def start_after(self, disk, seed):
        """Starts on what a power failure leaves that happens where the disk stands."""
        self.after.kill()
        shutil.rmtree(self.after.state_dir, ignore_errors=True)
        disk.crash(seed, self.after.state_dir)
        self.after.start()

    def found(self, request_ids):
        """request id -> its outcome or state, None if it is not known."""
        outcomes = self.after.call("collect", request_ids=request_ids)["results"] if request_ids else []
        return {request_id: None if "error" in outcome and outcome["error"]["type"] == "not_registered" else outcome
                for request_id, outcome in zip(request_ids, outcomes, strict=True)}


class Restart(Recorded):
    def test_what_a_restart_found_and_answered_lasts(self):
        """A commit that a kill kept from the disk is there after a restart: only memory has it. Whoever registers again
        is told that it exists, and may rely on that."""
        self.daemon.start()
        rule = self.faults.arm(CRASH_POINTS["before-commit"](1))
        with self.assertRaises(LOST):
            self.daemon.call("register", request_id="a")
        self.daemon.process.wait(WAIT_SECONDS)
        self.faults.disarm(rule)
        self.daemon.start()
        registration, = self.daemon.call("register", request_id="a")["registrations"]
        position = self.faults.position()
        self.assertFalse(registration["new"])
        self.daemon.kill()
        disk = Disk(Recording(self.faults.record_path))
        disk.advance(position)
        for seed in range(10):
            self.start_after(disk, seed)
            self.assertIsNotNone(self.found(["a"])["a"], f"lost by the power failure {seed}")


class Ledger(Recorded):
    """Registrations, results and acknowledgements over three lives of the daemon, cut off anywhere."""

    IDS = 150
    SIZES = ((30, 5000), (30, 65000), (66000, 400000))

    def setUp(self):
        self.sim = Sim()
        self.addCleanup(self.sim.stop)
        self.url = self.sim.url
        super().setUp()
        self.registered = {}  # request id -> position in the recording after the reply
        self.results = {}     # the same for a result that was told
        self.releasing = {}   # for the moment before an acknowledgement was sent
        self.released = {}    # and after its reply
        self.digests = {}
        self.next = 0

    def register(self, peer):
        request_ids = [f"id-{self.next + k}" for k in range(self.rng.randint(1, 5))]
        self.next += len(request_ids)
        for request_id in request_ids:
            size = self.rng.randint(*self.rng.choice(self.SIZES))
            ends = self.rng.random() < 0.8
            self.sim.script({request_id: [{"size": size, "repeat": True} if ends else {**PENDING, "repeat": True}]})
            self.digests[request_id] = digest(generated_body(request_id, size)) if ends else None
        peer.call("register", request_ids=request_ids)
        self.registered.update(dict.fromkeys(request_ids, self.faults.position()))

    def pick(self, request_ids):
        request_ids = sorted(request_ids)
        return self.rng.sample(request_ids, min(len(request_ids), 3))

    def fetch(self, peer):
        waiting = [request_id for request_id in self.registered
                   if self.digests[request_id] and request_id not in self.results]
        for request_id in self.pick(waiting):
            outcome = peer.outcome(request_id)
            self.assertTrue(outcome["ok"], outcome)
            self.assertEqual(digest_of(outcome), self.digests[request_id])
            self.results[request_id] = self.faults.position()

    def acknowledge(self, peer):
        for request_id in self.pick(set(self.results) - set(self.releasing)):
            self.releasing[request_id] = self.faults.position()
            self.assertEqual(peer.call("ack", request_id=request_id)["acked"], 1)
            self.released[request_id] = self.faults.position()

    def work(self, until):
        with self.daemon.connect() as peer:
            while self.next < until:
                self.register(peer)
                self.rng.choice((self.fetch, self.fetch, self.acknowledge))(peer)

    def live_thrice(self):
        """Two lives end by a kill with much in flight, the last one in order: with a checkpoint."""
        for life in (1, 2):
            self.daemon.start()
            self.work(self.IDS * life // 3)
            with self.daemon.connect() as peer:
                self.register(peer)
            self.daemon.kill()
        self.daemon.start()
        self.work(self.IDS)
        self.daemon.stop()

    def check(self, position):
        """The daemon after the power failure knows what was told before `position`, and nothing that was given back."""
        found = self.found([one for one, after in self.registered.items() if after <= position])
        for request_id, one in found.items():
            if self.released.get(request_id, position + 1) <= position:
                self.assertIsNone(one, f"{request_id} came back")
            elif self.releasing.get(request_id, position + 1) > position:
                self.assertIsNotNone(one, f"{request_id} is gone")
            if one and self.results.get(request_id, position + 1) <= position:
                self.assertTrue(one["ok"], f"the result of {request_id} is gone: {one}")
                self.assertEqual(digest_of(one), self.digests[request_id])

    def test_everything_that_was_answered_is_true_after_a_power_failure(self):
        self.live_thrice()
        recording = Recording(self.faults.record_path)
        told = [position for ledger in (self.registered, self.results, self.released) for position in ledger.values()]
        self.assertGreater(min(len(self.results), len(self.released)), 10)
        # Half of them right after something was told, when it matters most.
        positions = self.rng.sample(told, CRASHES // 2) + self.rng.choices(recording.positions(), k=CRASHES - CRASHES // 2)
        disk = Disk(recording, seed=self.rng.random())
        for position in sorted(positions):
            disk.advance(position)
            seed = self.rng.randrange(1 << 32)
            with self.subTest(position=position, seed=seed):
                self.start_after(disk, seed)
                self.check(position)
        self.after.stop()
        disk.advance()
        self.assertEqual(disk.differences(self.daemon.state_dir), [])


if __name__ == "__main__":
    unittest.main()
