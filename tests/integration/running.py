"""A test case with a simulator and a daemon that runs: what most themes begin with. Standard library only."""

import time
import unittest

from daemon import Daemon
from sim import Sim

SLACK_MS = 3000  # how late something may be on a loaded machine
PENDING = {"json": {"status": "pending"}}


def least(expected_ms):
    """What a wait of so many milliseconds may look like from outside, at the least. The daemon counts from the turn in which
    it read what happened, and on a busy machine it may have been interrupted between the two. (That waits are exact is shown
    under the virtual clock, tests/unit/core; a wrong step of a backoff is off by half or more.)"""
    return expected_ms * 0.75 - 5


def completed(result):
    return {"json": {"status": "completed", "result": result}}


class Running(unittest.TestCase):
    """`shared`: one simulator and one daemon for all tests of the class, else a pair for each."""

    shared = True
    sim_options = {}
    endpoint = {}
    limits = {}

    @classmethod
    def launch(cls, target, add_cleanup):
        target.sim = Sim(**cls.sim_options)
        add_cleanup(target.sim.stop)
        target.daemon = cls.make_daemon(target.sim)
        add_cleanup(target.daemon.__exit__, None, None, None)
        target.peer = target.daemon.connect()
        add_cleanup(target.peer.close)

    @classmethod
    def make_daemon(cls, sim):
        return Daemon(sim.url, endpoint={"backoff_initial": "20ms", "backoff_max": "100ms", **cls.endpoint},
                      limits=cls.limits)

    @classmethod
    def setUpClass(cls):
        if cls is not Running and cls.shared:
            cls.launch(cls, cls.addClassCleanup)

    def setUp(self):
        if not self.shared:
            self.launch(self, self.addCleanup)

    # Doing

    def register(self, request_id, answers=None, **options):
        if answers is not None:
            self.sim.script({request_id: answers})
        items = self.peer.call("register", request_id=request_id, **options)["registrations"]
        self.assertNotIn("error", items[0])
        return items[0]

    def run_through(self, request_id, answers, **options):
        """Registers and waits for the end: its outcome."""
        self.register(request_id, answers, **options)
        return self.peer.outcome(request_id)

    def timed(self, call, *args, **params):
        """(what it returned, milliseconds)"""
        start = time.monotonic()
        return call(*args, **params), (time.monotonic() - start) * 1000

    # Asking

    def status(self, request_id):
        return self.peer.call("status", request_id=request_id)

    def endpoint_status(self, name="default"):
        return next(one for one in self.peer.call("endpoints")["endpoints"] if one["endpoint"] == name)

    def counters(self):
        return self.peer.call("stats")["counters"]

    def counted(self, outcome):
        return self.counters()["poll_outcomes"][outcome]

    # Checking

    def assert_ok(self, outcome, result):
        self.assertIs(outcome["ok"], True, outcome)
        self.assertEqual(outcome["result"], result)

    def assert_error(self, outcome, kind, category=None, status=None):
        self.assertIs(outcome["ok"], False, outcome)
        error = outcome["error"]
        self.assertEqual((error["type"], error["category"], error["status"]), (kind, category, status), error)
        return error

    def assert_polls(self, request_id, count):
        self.assertEqual(len(self.sim.polls(request_id)), count, self.sim.polls(request_id, brief=True))

    def assert_took(self, real_ms, expected_ms, slack_ms=SLACK_MS):
        self.assertGreaterEqual(real_ms, least(expected_ms))
        self.assertLess(real_ms, expected_ms + slack_ms)
