"""The conformance vectors P, S, K and A, each by its number, through the real daemon and the simulator.

Backoff is scaled to a fiftieth by the registrations' own options (and the endpoint's, for its gate): 1 s is 20 ms here. What
the server dictates in seconds (Retry-After, 402, held polls) takes its real time.
"""

import base64
import socket
import unittest

from daemon import Daemon, wait_for
from running import least
from sim import Sim

SCALE = 50
BACKOFF = {"initial_ms": 1000 // SCALE, "max_ms": 30000 // SCALE}
SLACK_MS = 2000  # how late a poll may be on a loaded machine


def check_sleeps(test, sim, request_id, expected_ms):
    """Between an answer and the next poll the daemon waited as long as expected: never less, and not much more."""
    polls = sim.polls(request_id)
    slept = [after["t_ms"] - (before["t_answer_ms"] or before["t_ms"]) for before, after in zip(polls, polls[1:])]
    test.assertEqual(len(slept), len(expected_ms), slept)
    for k, (real, expected) in enumerate(zip(slept, expected_ms)):
        test.assertGreaterEqual(real, least(expected), f"sleep {k}: {slept}")
        test.assertLess(real, expected + SLACK_MS, f"sleep {k}: {slept}")


def completed(result):
    return {"json": {"status": "completed", "result": result}}


PENDING = {"json": {"status": "pending"}}


class Profile(unittest.TestCase):
    """A simulator and a daemon with one profile, shared by the vectors of that profile."""

    profile = None
    limits = {}

    @classmethod
    def setUpClass(cls):
        if cls.profile is None:
            raise unittest.SkipTest("a base class")
        cls.sim = Sim()
        cls.addClassCleanup(cls.sim.stop)
        cls.daemon = Daemon(cls.sim.url, limits=cls.limits, endpoint={
            "profile": cls.profile, "backoff_initial": f"{BACKOFF['initial_ms']}ms",
            "backoff_max": f"{BACKOFF['max_ms']}ms"})
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)
        cls.peer = cls.daemon.connect()
        cls.addClassCleanup(cls.peer.close)

    def start(self, request_id, answers, **options):
        self.sim.script({request_id: answers})
        options.setdefault("backoff", BACKOFF)
        result = self.peer.call("register", request_id=request_id, **options)
        self.assertEqual(result["registrations"][0]["request_id"], request_id)

    def run_vector(self, request_id, answers, **options):
        self.start(request_id, answers, **options)
        return self.peer.outcome(request_id)

    def assert_ok(self, outcome, result):
        self.assertIs(outcome["ok"], True, outcome)
        self.assertEqual(outcome["result"], result)

    def assert_error(self, outcome, kind, category, status=None):
        self.assertIs(outcome["ok"], False, outcome)
        error = outcome["error"]
        self.assertEqual((error["type"], error["category"], error["status"]), (kind, category, status), error)
        return error

    def assert_polls(self, request_id, count):
        self.assertEqual(len(self.sim.polls(request_id)), count)

    def assert_sleeps(self, request_id, *expected_ms):
        check_sleeps(self, self.sim, request_id, expected_ms)

    def queue_state_events(self):
        return self.daemon.call("stats")["counters"]["events"]["queue_state"]

    def status(self, request_id):
        return self.peer.call("status", request_id=request_id)


class Guide(Profile):
    profile = "guide"

    def test_P1(self):
        self.assert_ok(self.run_vector("P1", [completed({"value": 42})]), {"value": 42})
        self.assert_polls("P1", 1)

    def test_P2(self):
        outcome = self.run_vector("P2", [{"json": {"status": "complete_metadata", "response_payload_size": 512}},
                                         completed({"value": 43})])
        self.assert_ok(outcome, {"value": 43})
        self.assertEqual([poll["body"] for poll in self.sim.polls("P2")],
                         [{"request_id": "P2", "allow_metadata_only": True},
                          {"request_id": "P2", "allow_metadata_only": False}])

    def test_P3(self):
        self.assert_ok(self.run_vector("P3", [PENDING, completed(3)]), 3)
        self.assert_sleeps("P3", 1000 / SCALE)

    def test_P4(self):
        outcome = self.run_vector("P4", [{"json": {"status": "failed",
                                                   "error": {"message": "bad input", "category": "user"}}}])
        self.assertEqual(self.assert_error(outcome, "request_failed", "user")["message"], "bad input")
        self.assert_polls("P4", 1)

    def test_P5(self):
        empty = {"status": 400, "body": ""}
        self.assert_ok(self.run_vector("P5", [empty, empty, completed(5)]), 5)
        self.assert_polls("P5", 3)
        connections = [poll["connection"] for poll in self.sim.polls("P5")]
        self.assertEqual(len(set(connections)), 3, "each retry goes over a fresh connection")

    def test_P6(self):
        flaky = {"json": {"status": "failed", "error": {"message": "flaky", "category": "server"}},
                 "repeat": True, "delay_ms": 1}
        outcome = self.run_vector("P6", [flaky], poll_timeout_ms=200, backoff={"initial_ms": 0, "max_ms": 0})
        self.assertEqual(self.assert_error(outcome, "request_failed", "server")["message"], "flaky")

    def test_P7(self):
        events = self.queue_state_events()
        outcome = self.run_vector("P7", [
            {"json": {"type": "try_again", "queue_state": "paused_rate_limit", "retry_after_ms": None,
                      "queue_state_reason": "server throttle"}}, completed(7)])
        self.assert_ok(outcome, 7)
        self.assert_sleeps("P7", 1000 / SCALE)
        self.assertEqual(self.queue_state_events(), events + 1)
        status = self.status("P7")
        self.assertEqual((status["queue_state"], status["queue_state_reason"]),
                         ("paused_rate_limit", "server throttle"))

    def test_P8(self):
        outcome = self.run_vector("P8", [dict(PENDING, repeat=True)], poll_timeout_ms=50)
        error = self.assert_error(outcome, "api_timeout", None)
        self.assertEqual((error["data"]["reason"], error["data"]["timeout_ms"]), ("poll_deadline", 50))

    def test_P9(self):
        outcome = self.run_vector("P9", [{"status": 410, "json": {"message": "promise expired",
                                                                  "category": "server"}}])
        error = self.assert_error(outcome, "api_status", "server", 410)
        self.assertEqual(error["data"]["reason"], "expired")
        self.assert_polls("P9", 1)

    def test_P10(self):
        self.assert_ok(self.run_vector("P10", [{"json": {"type": "try_again", "retry_after_ms": 500}},
                                               completed(10)]), 10)
        self.assert_sleeps("P10", 500)

    def test_P11(self):
        self.assert_ok(self.run_vector("P11", [PENDING] * 7 + [completed(11)]), 11)
        self.assert_sleeps("P11", *(ms / SCALE for ms in (1000, 2000, 4000, 8000, 16000, 30000, 30000)))

    def test_P12(self):
        with socket.socket() as closed:  # bound and never listening: connecting is refused
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
            with Daemon(url, endpoint={"profile": "guide"}) as daemon, daemon.connect() as peer:
                peer.call("register", request_id="P12")
                self.assert_error(peer.outcome("P12"), "network", None)
                self.assertEqual(peer.call("stats")["counters"]["polls"], 1)

    def test_P13(self):
        provider = {"json": {"status": "failed", "error": {"message": "busy", "category": "provider"}}}
        self.assert_ok(self.run_vector("P13", [provider, provider, completed(13)]), 13)
        self.assert_sleeps("P13", 1000 / SCALE, 2000 / SCALE)


class Sdk(Profile):
    profile = "sdk"

    def test_S1(self):
        self.assert_ok(self.run_vector("S1", [{"body": '{"metrics":{"loss":1}}'}]), {"metrics": {"loss": 1}})

    def test_S2(self):
        content = b"\x08\x96\x01\n\xff\x00"
        outcome = self.run_vector("S2", [{"body_base64": base64.b64encode(content).decode(),
                                          "content_type": "application/x-protobuf; v=1"}], accept="protobuf")
        self.assertEqual(outcome["content_type"], "application/x-protobuf")
        self.assertEqual(base64.b64decode(outcome["result_base64"]), content)
        self.assertEqual(outcome["size"], len(content))
        self.assertEqual(self.sim.polls("S2")[0]["headers"]["accept"], "application/x-protobuf")

    def test_S3(self):
        events = self.queue_state_events()
        held = {"json": {"type": "try_again", "queue_state": "active"}, "hold_ms": 1010}
        self.assert_ok(self.run_vector("S3", [held, held, held, {"json": 3}]), 3)
        self.assertEqual([poll["headers"]["x-tinker-request-iteration"] for poll in self.sim.polls("S3")],
                         ["0", "1", "2", "3"])
        self.assert_sleeps("S3", 0, 0, 0)
        self.assertEqual(self.queue_state_events(), events + 1)

    def test_S4(self):
        events = self.queue_state_events()
        self.assert_ok(self.run_vector("S4", [{"status": 408, "json": {"queue_state": "paused_capacity"}},
                                              {"json": 4}]), 4)
        self.assertEqual(self.queue_state_events(), events + 1)
        self.assertEqual(self.status("S4")["queue_state_reason"],
                         "Tinker backend is running short on capacity, please wait")

    def test_S5(self):
        events = self.queue_state_events()
        self.assert_ok(self.run_vector("S5", [{"status": 408, "body": "<html>no</html>"}, {"json": 5}]), 5)
        self.assertEqual(self.queue_state_events(), events)

    def test_S6(self):
        bad = {"status": 400, "body": "x"}
        self.assert_ok(self.run_vector("S6a", [bad] * 3 + [{"json": 6}]), 6)
        self.assert_polls("S6a", 4)
        self.assert_error(self.run_vector("S6b", [bad] * 4), "api_status", "user", 400)
        self.assert_polls("S6b", 4)

    def test_S10(self):
        for status in (401, 403, 404, 409, 422):
            with self.subTest(status=status):
                outcome = self.run_vector(f"S10-{status}", [{"status": status, "json": {"detail": "no"}}])
                self.assertEqual(outcome["error"]["type"], "api_status")
                self.assertEqual(outcome["error"]["status"], status)
                self.assert_polls(f"S10-{status}", 1)
                if status == 404:
                    self.assertEqual(outcome["error"]["data"]["reason"], "unknown_request")

    def test_S11(self):
        outcome = self.run_vector("S11", [{"json": {"error": "boom", "category": "server"}}])
        self.assertEqual(self.assert_error(outcome, "request_failed", "server")["message"], "boom")
        self.assert_polls("S11", 1)


class SdkGate(unittest.TestCase):
    """Vectors about the gate, each with a daemon of its own: a closed gate is everybody's."""

    def setUp(self):
        self.sim = Sim()
        self.addCleanup(self.sim.stop)
        self.daemon = Daemon(self.sim.url, endpoint={"profile": "sdk", "backoff_initial": "20ms",
                                                     "backoff_max": "600ms", "connect_timeout": "5s"})
        self.addCleanup(self.daemon.__exit__, None, None, None)
        self.peer = self.daemon.connect()
        self.addCleanup(self.peer.close)

    def test_S7(self):
        # A reset before any byte, on a fresh connection, is the refusal that the server can count; the 503 closes its connection,
        # so that the refusal after it is not taken for a dead re-used one.
        refused = {"reset": True}
        self.sim.script({"S7": [refused, refused, refused, {"status": 503, "connection_close": True}, refused,
                                {"json": 7}]})
        self.peer.call("register", request_id="S7", backoff=BACKOFF)
        self.assertEqual(self.peer.outcome("S7")["result"], 7)
        check_sleeps(self, self.sim, "S7", (20, 40, 80, 20, 20))
        self.assertEqual(self.daemon.call("stats")["counters"]["gate_closed"], 4)

    def test_S8(self):
        self.sim.script({"S8": [{"status": 429, "headers": {"Retry-After": "2"}}, {"json": 8}],
                         "other": [{"json": 88}]})
        self.peer.call("register", request_id="S8")
        wait_for(lambda: self.sim.polls("S8") and self.peer.call("endpoints")["endpoints"][0]["gate"] == "closed",
                 "the gate closes")
        endpoint = self.peer.call("endpoints")["endpoints"][0]
        self.assertEqual(endpoint["reason"], "rate_limited")
        self.assertTrue(0 < endpoint["retry_in_ms"] <= 2000, endpoint)
        self.peer.call("register", request_id="other")
        status = self.peer.call("status", request_id="other")
        self.assertEqual((status["state"], status["why_waiting"]), ("blocked", "gate"))
        self.assertEqual(self.peer.outcome("S8")["result"], 8)
        self.assertEqual(self.peer.outcome("other")["result"], 88)
        check_sleeps(self, self.sim, "S8", (2000,))
        self.assertGreaterEqual(self.sim.polls("other")[0]["t_ms"], self.sim.polls("S8")[0]["t_answer_ms"] + least(2000))

    def test_S9(self):
        self.sim.script({"S9": [{"status": 402}, {"status": 402}, {"json": 9}]})
        self.peer.call("register", request_id="S9")
        self.assertEqual(self.peer.outcome("S9")["result"], 9)
        check_sleeps(self, self.sim, "S9", (5000, 5000))


class Skyrl(Profile):
    profile = "skyrl"

    def test_K1(self):
        outcome = self.run_vector("K1", [{"status": 400, "json": {"detail": "boom"}}])
        self.assertEqual(self.assert_error(outcome, "request_failed", "unknown", 400)["message"], "boom")
        self.assert_polls("K1", 1)

    def test_K2(self):
        """Held long, then 408: followed at once. (330 s of waiting are the profile's; here 1.2 s are held.)"""
        self.assert_ok(self.run_vector("K2", [{"status": 408, "body": "", "hold_ms": 1200}, {"json": 2}]), 2)
        self.assert_sleeps("K2", 0)


class Any:
    """Vectors that hold under every profile."""

    limits = {"inflight_result_bytes": "1000"}

    def test_S12(self):
        self.assert_ok(self.run_vector("S12", [{"json": {"type": "try_again", "error": "x"}}, {"json": 12}]), 12)
        self.assert_polls("S12", 2)

    def test_S13(self):
        outcome = self.run_vector("S13e", [{"body": "", "repeat": True}], poll_timeout_ms=700)
        self.assert_error(outcome, "network", None, outcome["error"]["status"])
        # Where a network error closed the gate, the next good answer opens it.
        outcome = self.run_vector("S13n", [{"body": "nope"}])
        self.assertEqual(outcome["error"]["type"], "validation")
        self.assertEqual(base64.b64decode(outcome["error"]["data"]["body_base64"]), b"nope")

    def test_S14(self):
        metadata = {"status": "complete_metadata"}
        self.sim.script({"S14a": [{"json": dict(metadata, response_payload_size=1001)},
                                  {"json": "large", "until_release": True}],
                         "S14b": [{"json": dict(metadata, response_payload_size=1)}, {"json": "small"}]})
        self.peer.call("register", request_id="S14a")
        wait_for(lambda: len(self.sim.polls("S14a")) == 2, "the large one is admitted")
        self.peer.call("register", request_id="S14b")
        wait_for(lambda: self.status("S14b")["why_waiting"] == "byte_budget", "the small one waits for bytes")
        self.sim.release("S14a")
        self.assert_ok(self.peer.outcome("S14a"), "large")
        self.assert_ok(self.peer.outcome("S14b"), "small")
        self.assertGreaterEqual(self.sim.polls("S14b")[1]["t_ms"], self.sim.polls("S14a")[1]["t_answer_ms"])

    def test_A1(self):
        self.sim.script({"A1slow": [{"json": 1, "hold_ms": 300}], "A1fast": [{"json": 2}]})
        self.peer.call("register", request_ids=["A1slow", "A1fast"])
        results = self.peer.call("await", request_ids=["A1slow", "A1fast"])["results"]
        self.assertEqual([outcome["result"] for outcome in results], [1, 2])

    def test_A2(self):
        self.sim.script({"A2ok": [{"json": 1}], "A2never": [{"never": True}],
                         "A2failed": [{"json": {"error": "no", "category": "user"}}]})
        self.peer.call("register", request_ids=["A2ok", "A2failed", "A2never"])
        wait_for(lambda: self.status("A2ok")["ok"] is not None and self.status("A2failed")["ok"] is not None,
                 "two of three end")
        results = self.peer.call("await", request_ids=["A2ok", "A2failed", "A2never"], await_timeout_ms=10)["results"]
        self.assert_ok(results[0], 1)
        self.assert_error(results[1], "request_failed", "user")
        self.assert_error(results[2], "api_timeout", None)

    def test_A3(self):
        self.sim.script({"A3mine": [{"never": True}], "A3kept": [{"never": True}]})
        self.peer.call("register", request_ids=["A3mine", "A3kept"])
        error = self.assert_error(self.peer.outcome("A3mine", await_timeout_ms=10), "api_timeout", None)
        self.assertEqual((error["data"]["reason"], error["data"]["timeout_ms"]), ("await_timeout", 10))
        self.peer.outcome("A3kept", await_timeout_ms=10, on_timeout="keep")
        wait_for(lambda: self.status("A3mine")["state"] == "failed", "what was not kept is cancelled")
        self.assertEqual(self.peer.call("collect", request_id="A3mine")["results"][0]["error"]["type"], "cancelled")
        self.assertEqual(self.status("A3kept")["state"], "polling")


class AnyDurable(Any, Profile):
    profile = "durable"


class AnyGuide(Any, Profile):
    profile = "guide"


class AnySdk(Any, Profile):
    profile = "sdk"


class AnySkyrl(Any, Profile):
    profile = "skyrl"


if __name__ == "__main__":
    unittest.main()
