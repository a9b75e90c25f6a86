"""Scripts, records, overlaps, the control interface, and many or large polls at once."""

import json
import resource
import select
import threading
import time
import unittest

from support import EARLY, LIMIT, Raw  # first: it makes sim.py importable
from sim import Sim, SimError, generated_body


def memory_of(pid):
    """Resident bytes."""
    with open("/proc/%d/statm" % pid) as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class Scripts(unittest.TestCase):
    def setUp(self):
        self.sim = Sim()
        self.addCleanup(self.sim.stop)

    def answers(self, request_id, n):
        """Bodies of the next n polls, None for 404."""
        got = []
        for _ in range(n):
            status, _, body = self.sim.poll(request_id)
            got.append(json.loads(body) if status == 200 else None)
            if status != 200:
                self.assertEqual((status, json.loads(body)), (404, {"detail": "Future not found"}))
        return got

    def test_in_order_then_404(self):
        self.sim.script({"a": [{"json": 1}, {"json": 2}]})
        self.assertEqual(self.answers("a", 4), [1, 2, None, None])
        self.assertEqual(self.answers("b", 1), [None])

    def test_repeat_and_times(self):
        self.sim.script({"a": [{"json": 1, "times": 3}, {"json": 2, "repeat": True}]})
        self.assertEqual(self.answers("a", 6), [1, 1, 1, 2, 2, 2])

    def test_default_list_is_walked_by_each_id(self):
        self.sim.script({"*": [{"json": 1}, {"json": 2, "repeat": True}], "own": [{"json": 9}]})
        self.assertEqual(self.answers("a", 3), [1, 2, 2])
        self.assertEqual(self.answers("b", 3), [1, 2, 2])
        self.assertEqual(self.answers("own", 2), [9, None])

    def test_common_list_comes_first(self):
        self.sim.script({"**": [{"json": 0, "times": 2}], "*": [{"json": 1, "repeat": True}], "a": [{"json": 2}]})
        self.assertEqual(self.answers("a", 1) + self.answers("b", 2) + self.answers("a", 1), [0, 0, 1, 2])

    def test_replace_and_append(self):
        self.sim.script({"a": [{"json": 1}, {"json": 2}]})
        self.assertEqual(self.answers("a", 1), [1])
        self.sim.script({"a": [{"json": 3}]}, append=True)
        self.assertEqual(self.answers("a", 3), [2, 3, None])
        self.sim.script({"a": [{"json": 4}]}, append=True)
        self.assertEqual(self.answers("a", 2), [4, None])
        self.sim.script({"a": [{"json": 5}]})
        self.assertEqual(self.answers("a", 2), [5, None])

    def test_append_behind_a_repeated_answer(self):
        self.sim.script({"a": [{"json": 1, "repeat": True}]})
        self.assertEqual(self.answers("a", 2), [1, 1])
        self.sim.script({"a": [{"json": 2, "repeat": True}]}, append=True)
        self.assertEqual(self.answers("a", 2), [2, 2])

    def test_replacing_the_default_list_restarts_its_walkers(self):
        self.sim.script({"*": [{"json": 1}, {"json": 2}]})
        self.assertEqual(self.answers("a", 1), [1])
        self.sim.script({"*": [{"json": 3}]}, append=True)
        self.assertEqual(self.answers("a", 2), [2, 3])
        self.sim.script({"*": [{"json": 4}, {"json": 5}]})
        self.assertEqual(self.answers("a", 2) + self.answers("b", 1), [4, 5, 4])

    def test_an_id_gets_its_own_list_later(self):
        self.sim.script({"*": [{"json": 1}, {"json": 2}]})
        self.assertEqual(self.answers("a", 1), [1])
        self.sim.script({"a": [{"json": 7}]}, append=True)
        self.assertEqual(self.answers("a", 2), [7, None])

    def test_mistakes_are_named_and_change_nothing(self):
        self.sim.script({"a": [{"json": 1}]})
        for script, word in (({"a": {}}, "array"), ({"a": [1]}, "a[0]"), ({"a": [{}, {"x": 1}]}, "a[1]: "),
                             ({"a": [{"status": 99}]}, "HTTP status"), ({"a": [{"status": "200"}]}, "HTTP status"),
                             ({"a": [{"reset": 1}]}, "true or false"), ({"a": [{"delay_ms": -1}]}, "milliseconds"),
                             ({"a": [{"json": 1, "size": 30}]}, "only one"), ({"a": [{"size": 25}]}, "26"),
                             ({"a": [{"body": 1}]}, "string"), ({"a": [{"body_base64": "YQ="}]}, "base64"),
                             ({"a": [{"slow_body": {"chunk": 0, "interval_ms": 1}}]}, "chunk"),
                             ({"a": [{"repeat": True}, {}]}, "last"), ({"a": [{"times": 0}]}, "at least 1"),
                             ({"b": [{"json": 5}], "a": [{"truncate": -1}]}, "bytes"),
                             ({"a": [{"headers": []}]}, "object"), ([], "object")):
            with self.assertRaises(SimError) as caught:
                self.sim.script(script)
            self.assertIn(word, str(caught.exception))
        self.assertEqual(self.answers("a", 1) + self.answers("b", 1), [1, None])

    def test_ids_of_every_kind(self):
        for request_id in ("", " ", "é\n\"\\", "x" * 10000, "a/b?c=d&e", "%41"):
            self.sim.script({request_id: [{"json": {"is": request_id}}]})
            self.assertEqual(self.answers(request_id, 1), [{"is": request_id}])
            self.assertEqual(self.sim.polls(request_id)[0]["body"]["request_id"], request_id)


class Ledger(unittest.TestCase):
    def sim(self, script, **options):
        sim = Sim(script, **options)
        self.addCleanup(sim.stop)
        return sim

    def test_what_is_recorded(self):
        sim = self.sim({"a": [{"json": {"value": 42}}]})
        before = time.monotonic()
        sim.poll("a", False, {"X-API-Key": "tml-1", "X-Tinker-Request-Iteration": "3"})
        after = time.monotonic()
        (poll,) = sim.polls("a")
        self.assertEqual(poll["body"], {"request_id": "a", "allow_metadata_only": False})
        self.assertEqual(poll["headers"]["x-api-key"], "tml-1")
        self.assertEqual(poll["headers"]["x-tinker-request-iteration"], "3")
        self.assertIn(["X-API-Key", "tml-1"], poll["header_list"])
        self.assertEqual((poll["method"], poll["path"], poll["query"]), ("POST", "/api/v1/retrieve_future", ""))
        self.assertLessEqual(poll["t_ms"], poll["t_answer_ms"])
        self.assertLessEqual(poll["t_answer_ms"], poll["t_end_ms"])
        read = sim.stats()["start_monotonic"] + poll["t_ms"] / 1000
        self.assertTrue(before - EARLY <= read <= after + EARLY)
        self.assertNotIn("headers", sim.polls("a", brief=True)[0])

    def test_repeated_headers_are_kept_apart_in_the_list(self):
        sim = self.sim({"a": [{}]})
        with Raw(sim) as raw:
            raw.poll("a", "X-A: 1\r\nx-a:  2 \r\n")
            raw.read_response()
        (poll,) = sim.polls("a")
        self.assertEqual(poll["headers"]["x-a"], "1, 2")
        self.assertEqual([pair for pair in poll["header_list"] if pair[0].lower() == "x-a"],
                         [["X-A", "1"], ["x-a", "2"]])

    def test_polls_of_one_of_all_and_after(self):
        sim = self.sim({"*": [{"json": 1, "repeat": True}]})
        for request_id in ("a", "b", "a"):
            sim.poll(request_id)
        self.assertEqual([poll["request_id"] for poll in sim.polls()], ["a", "b", "a"])
        self.assertEqual([poll["seq"] for poll in sim.polls("a")], [1, 3])
        self.assertEqual([poll["seq"] for poll in sim.polls(after=1)], [2, 3])
        self.assertEqual(sim.polls("c"), [])

    def test_two_polls_at_once_are_an_overlap(self):
        sim = self.sim({"*": [{"until_release": True, "repeat": True}]})
        with Raw(sim) as first, Raw(sim) as second, Raw(sim) as other:
            first.poll("a")
            sim.wait_for(lambda stats: stats["in_flight"] == 1)
            other.poll("b")
            sim.wait_for(lambda stats: stats["in_flight"] == 2)
            self.assertEqual(sim.stats()["overlaps"], 0)
            second.poll("a")
            stats = sim.wait_for(lambda stats: stats["in_flight"] == 3)
            self.assertEqual((stats["overlaps"], stats["overlapped_ids"]), (1, ["a"]))
        stats = sim.wait_for(lambda stats: stats["in_flight"] == 0)
        self.assertEqual((stats["overlaps"], stats["max_in_flight"], stats["aborted"]), (1, 3, 3))
        self.assertEqual([poll["overlap"] for poll in sim.polls("a")], [False, True])

    def test_a_poll_being_written_out_is_still_in_flight(self):
        sim = self.sim({"a": [{"size": 50000000}, {"json": 1}]})
        with Raw(sim) as first:
            first.poll("a")
            first.read_exactly(1)
            sim.poll("a")
            self.assertEqual(sim.stats()["overlaps"], 1)

    def test_ask_again_once_answered_is_no_overlap(self):
        sim = self.sim({"a": [{"size": 300000, "repeat": True}]})
        with Raw(sim) as first, Raw(sim) as second:
            for _ in range(100):
                for raw in (first, second):
                    raw.poll("a")
                    raw.read_response()
        stats = sim.stats()
        self.assertEqual((stats["polls"], stats["overlaps"], stats["max_in_flight"]), (200, 0, 1))

    def test_give_up_and_ask_again_is_no_overlap(self):
        """The new poll may arrive in the same moment as the old connection's end: the end counts first."""
        sim = self.sim({"*": [{"never": True, "repeat": True}]})
        raw = Raw(sim)
        raw.poll("a")
        sim.wait_for(lambda stats: stats["polls"] == 1)
        for _ in range(300):
            following = Raw(sim)
            raw.close()
            following.poll("a")
            raw = following
        sim.wait_for(lambda stats: stats["polls"] == 301)
        raw.close()
        stats = sim.wait_for(lambda stats: stats["in_flight"] == 0)
        self.assertEqual((stats["overlaps"], stats["aborted"], stats["max_in_flight"]), (0, 301, 1))

    def test_a_request_whose_client_is_gone_already_counts(self):
        sim = self.sim({"a": [{"never": True}, {"json": 1}]})
        with Raw(sim) as raw:
            raw.poll("a")
        stats = sim.wait_for(lambda stats: stats["aborted"] == 1)
        self.assertEqual((stats["polls"], stats["in_flight"]), (1, 0))
        self.assertEqual(sim.poll("a")[2], b"1")

    def test_connections(self):
        sim = self.sim({"*": [{"json": 1, "repeat": True}]})
        with Raw(sim) as first, Raw(sim) as second, Raw(sim) as idle:
            for raw in (first, second, first):
                raw.poll("a")
                raw.read_response()
            stats = sim.wait_for(lambda stats: stats["connections"]["open"] == 4)
            self.assertEqual(stats["connections"], {"accepted": 4, "open": 4, "max_open": 4, "control": 1,
                                                    "poll_used": 2, "poll_open": 2, "poll_max_open": 2})
            self.assertEqual(stats["reused"], 1)
            self.assertTrue(idle.is_silent())
        stats = sim.wait_for(lambda stats: stats["connections"]["open"] == 1)
        self.assertEqual((stats["connections"]["poll_open"], stats["connections"]["poll_max_open"]), (0, 2))

    def test_by_status(self):
        sim = self.sim({"a": [{"status": 503}, {"status": 503}, {}, {"reset": True}]})
        for _ in range(3):
            sim.poll("a")
        with self.assertRaises(OSError):
            sim.poll("a")
        stats = sim.stats()
        self.assertEqual(stats["by_status"], {"200": 1, "503": 2})
        self.assertEqual((stats["answered"], stats["reset"]), (3, 1))

    def test_reset(self):
        sim = self.sim({"*": [{"json": 1, "repeat": True}], "held": [{"until_release": True}]})
        with Raw(sim) as held:
            held.poll("held")
            sim.wait_for(lambda stats: stats["in_flight"] == 1)
            sim.poll("a")
            sim.reset(keep_scripts=True)
            stats = sim.stats()
            self.assertEqual((stats["polls"], stats["answered"], stats["in_flight"], stats["max_in_flight"]),
                             (0, 0, 1, 1))
            self.assertEqual([poll["request_id"] for poll in sim.polls()], ["held"])
            self.assertEqual(sim.poll("b")[0], 200)
            sim.reset()
            self.assertEqual(sim.poll("b")[0], 404)
            sim.release("held")
            held.read_response()

    def test_no_record_keeps_counters(self):
        sim = self.sim({"*": [{"json": 1, "repeat": True}], "h": [{"never": True}]}, args=["--no-record"])
        with Raw(sim) as held:
            held.poll("h")
            sim.wait_for(lambda stats: stats["in_flight"] == 1)
            for number in range(20):
                sim.poll("id-%d" % number)
            stats = sim.stats()
            self.assertEqual((stats["polls"], stats["answered"], stats["in_flight"], stats["ids"]), (21, 20, 1, 1))
            self.assertEqual([poll["request_id"] for poll in sim.polls()], ["h"])

    def test_record_limit(self):
        sim = self.sim({"*": [{"json": 1, "repeat": True}]}, args=["--record-limit", "3"])
        for number in range(5):
            sim.poll("id-%d" % number)
        self.assertEqual([poll["request_id"] for poll in sim.polls()], ["id-2", "id-3", "id-4"])
        stats = sim.stats()
        self.assertEqual((stats["polls"], stats["records_dropped"], stats["ids"]), (5, 2, 3))


class Control(unittest.TestCase):
    def setUp(self):
        self.sim = Sim({"*": [{"json": 1, "repeat": True}]})
        self.addCleanup(self.sim.stop)

    def refused(self):
        try:
            Raw(self.sim).close()
        except ConnectionRefusedError:
            return True
        return False

    def test_statistics_wait_for_news(self):
        changes = self.sim.stats()["changes"]
        stats = self.sim.control("GET", "stats", after=changes, timeout_ms=50)
        self.assertEqual(stats["changes"], changes)
        got = []
        thread = threading.Thread(target=lambda: got.append(self.sim.control("GET", "stats", after=changes)))
        thread.start()
        self.sim.poll("a")
        thread.join(LIMIT)
        self.assertGreater(got[0]["changes"], changes)

    def test_a_waiter_that_leaves(self):
        with Raw(self.sim) as raw:
            stats = self.sim.wait_for(lambda stats: stats["connections"]["open"] == 2)
            raw.send(b"GET /sim/stats?after=%d HTTP/1.1\r\n\r\n" % stats["changes"])
            self.assertTrue(raw.is_silent())
        self.sim.poll("a")
        self.sim.wait_for(lambda stats: stats["connections"]["open"] == 1)

    def test_refuse_and_accept(self):
        with Raw(self.sim) as kept:
            kept.poll("a")
            kept.read_response()
            self.sim.refuse()
            self.assertTrue(self.refused())
            self.assertFalse(self.sim.stats()["accepting"])
            kept.poll("a")
            self.assertEqual(kept.read_response()[2], b"1")
            self.sim.accept()
            self.assertFalse(self.refused())
            self.assertEqual(self.sim.poll("a")[0], 200)

    def test_refuse_for_a_while(self):
        begin = time.monotonic()
        self.sim.refuse(for_ms=200)
        deadline = begin + LIMIT
        while self.refused() and time.monotonic() < deadline:
            select.select([], [], [], 0.005)
        self.assertGreaterEqual(time.monotonic() - begin, 0.2)
        self.assertEqual(self.sim.poll("a")[0], 200)

    def test_drop_idle_connections(self):
        self.sim.script({"held": [{"until_release": True, "json": 2}]})
        with Raw(self.sim) as idle, Raw(self.sim) as busy:
            idle.poll("a")
            idle.read_response()
            busy.poll("held")
            self.sim.wait_for(lambda stats: stats["in_flight"] == 1)
            self.assertEqual(self.sim.drop(), 1)
            self.assertEqual(idle.read_all(), b"")
            self.sim.release("held")
            self.assertEqual(busy.read_response()[2], b"2")

    def test_drop_all_by_reset(self):
        self.sim.script({"held": [{"until_release": True}]})
        with Raw(self.sim) as busy:
            busy.poll("held")
            self.sim.wait_for(lambda stats: stats["in_flight"] == 1)
            self.assertEqual(self.sim.drop(idle_only=False, reset=True), 1)
            with self.assertRaises(ConnectionResetError):
                busy.read_some()
        stats = self.sim.stats()
        self.assertEqual((stats["in_flight"], stats["awaiting_release"]), (0, 0))

    def test_key(self):
        def status(headers):
            return self.sim.poll("a", headers=headers)[0]

        self.sim.require_key("tml-right")
        self.assertEqual(status({}), 401)
        self.assertEqual(status({"X-API-Key": "tml-wrong"}), 401)
        self.assertEqual(status({"x-api-key": "tml-right"}), 200)
        self.assertEqual([poll["status"] for poll in self.sim.polls("a")], [401, 401, 200])
        self.sim.require_key(None)
        self.assertEqual(status({}), 200)

    def test_key_and_base_path_from_the_command_line(self):
        with Sim({"a": [{"json": 1}]}, base_path="/services/tinker-prod/", require_key="k") as sim:
            self.assertTrue(sim.url.endswith("/services/tinker-prod"))
            self.assertEqual(sim.poll("a")[0], 401)
            self.assertEqual(sim.poll("a", headers={"X-API-Key": "k"})[0], 200)
            self.assertEqual(sim.polls("a")[0]["path"], "/services/tinker-prod/api/v1/retrieve_future")

    def test_unknown_calls(self):
        for method, name, body, status in (("GET", "nothing", None, 404), ("POST", "stats", {}, 405),
                                           ("GET", "script", None, 405), ("POST", "release", [1], 422),
                                           ("GET", "body", None, 422)):
            with self.assertRaises(SimError) as caught:
                self.sim.control(method, name, body)
            self.assertIn(": %d " % status, str(caught.exception))


class Load(unittest.TestCase):
    def test_five_thousand_held_polls(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        held = min(5000, hard - 200)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        with Sim({"*": [{"until_release": True, "json": 1, "repeat": True}]}, args=["--no-record"]) as sim:
            raws = []
            try:
                for number in range(held):
                    raws.append(Raw(sim))
                    raws[-1].poll("id-%d" % number)
                stats = sim.wait_for(lambda stats: stats["in_flight"] == held)
                self.assertEqual(stats["connections"]["poll_open"], held)
                self.assertEqual(sim.release(), held)
                for raw in raws:
                    self.assertEqual(raw.read_response()[2], b"1")
            finally:
                for raw in raws:
                    raw.close()
            stats = sim.wait_for(lambda stats: stats["connections"]["poll_open"] == 0)
            self.assertEqual((stats["max_in_flight"], stats["answered"], stats["overlaps"]), (held, held, 0))

    def test_large_bodies_are_never_whole_in_memory(self):
        size, clients = 50 * 1024 * 1024, 50
        with Sim({"*": [{"size": size}]}) as sim:
            raws = [Raw(sim) for _ in range(clients)]
            before = memory_of(sim.pid)
            for number, raw in enumerate(raws):
                raw.poll("id-%d" % number)
            for raw in raws:
                raw.read_exactly(1)
            sim.wait_for(lambda stats: stats["in_flight"] == clients)
            self.assertLess(memory_of(sim.pid) - before, 200 * 1024 * 1024)
            rest = raws[7].read_exactly(len(raws[7].read_head()) and size)
            self.assertEqual(rest, generated_body("id-7", size))
            for raw in raws:
                raw.close()


if __name__ == "__main__":
    unittest.main()
