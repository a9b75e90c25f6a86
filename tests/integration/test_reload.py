"""SIGHUP and SIGTERM: what changes while the daemon runs, what does not, and how it ends under load."""

import os
import signal
import time
import unittest

from daemon import KEY, CallError, wait_for
from running import PENDING, Running, completed
from sim import Sim

STOP_LIMIT = 4  # seconds after which the daemon waits for nothing and nobody any more


class Reload(Running):
    shared = False

    def reload(self, expect="configuration reloaded"):
        before = self.daemon.log().count(expect)
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        wait_for(lambda: self.daemon.log().count(expect) > before, expect)

    def add_endpoint(self, name, url, lines=""):
        self.daemon.sections += (f"[endpoint {name}]\nbase_url = {url}\nbackoff_min = 0\nbackoff_initial = 20ms\n"
                                 f"api_key_file = {self.daemon.key_path}\n{lines}")

    def refused(self, method, **params):
        with self.assertRaises(CallError) as caught:
            self.peer.call(method, **params)
        return caught.exception.name

    def test_new_endpoint(self):
        self.assertEqual(self.refused("register", request_id="a", endpoint="late"), "denied")
        with Sim({"a": [completed("late")]}) as late:
            self.add_endpoint("late", late.url, "max_in_flight = 7\n")
            self.reload()
            self.peer.call("register", request_id="a", endpoint="late")
            self.assert_ok(self.peer.outcome("a", endpoint="late"), "late")
            self.assertEqual(self.endpoint_status("late")["max_in_flight"], 7)

    def test_changed_limits(self):
        self.daemon.config_lines["limits"]["max_registrations_per_uid"] = "2"
        self.daemon.config_lines["endpoint default"].update({"max_in_flight": "1", "profile": "sdk"})
        self.reload()
        self.sim.script({"*": [dict(completed(1), until_release=True)]})
        items = self.peer.call("register", request_ids=["a", "b", "c"])["registrations"]
        self.assertEqual([item.get("error", {}).get("data", {}).get("name") for item in items], [None, None, "limit_exceeded"])
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 1)
        self.assertEqual(self.status("b")["why_waiting"], "in_flight_limit")
        endpoint = self.endpoint_status()
        self.assertEqual((endpoint["max_in_flight"], endpoint["profile"]), (1, "sdk"))
        self.daemon.config_lines["limits"]["max_registrations_per_uid"] = "3"
        self.daemon.config_lines["endpoint default"]["max_in_flight"] = "10"
        self.reload()
        self.register("c")
        self.sim.wait_for(lambda stats: stats["in_flight"] == 3)

    def test_mistakes_change_nothing(self):
        """Also where only the last of several things is wrong: it is all or nothing."""
        self.add_endpoint("two", self.sim.url, "max_in_flight = 5\n")
        self.reload()
        good, good_lines = self.daemon.sections, dict(self.daemon.config_lines["endpoint default"])
        open_key = os.path.join(self.daemon.folder, "open-key")
        with open(open_key, "w") as file:
            file.write(KEY)
        os.chmod(open_key, 0o644)
        bad_key = os.path.join(self.daemon.folder, "bad-key")
        with open(os.open(bad_key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("not one word")
        for mistake in ("colour = red\n", f"[endpoint bad]\nbase_url = {self.sim.url}\napi_key_file = {open_key}\n",
                        f"[endpoint bad]\nbase_url = {self.sim.url}\napi_key_file = {bad_key}\n", "[limits]\nmax_peers = 0\n"):
            with self.subTest(mistake):
                self.daemon.config_lines["endpoint default"]["max_in_flight"] = "9"
                self.daemon.sections = good.replace("max_in_flight = 5", "max_in_flight = 6") + mistake
                self.reload("reload refused")
                self.assertEqual([(endpoint["endpoint"], endpoint["max_in_flight"], endpoint["gate"])
                                  for endpoint in self.peer.call("endpoints")["endpoints"]],
                                 [("default", 1000, "open"), ("two", 5, "open")])
                name = f"n{len(mistake)}"
                self.sim.script({name: [completed(1)]})
                for endpoint in ("default", "two"):
                    self.sim.script({name: [completed(endpoint)]})
                    self.peer.call("register", request_id=name, endpoint=endpoint)
                    self.assert_ok(self.peer.outcome(name, endpoint=endpoint), endpoint)
        os.unlink(self.daemon.config_path)
        refused = self.daemon.log().count("reload refused")
        self.daemon.signal(signal.SIGHUP)
        wait_for(lambda: self.daemon.log().count("reload refused") > refused, "a missing file is a mistake, too")
        self.daemon.sections, self.daemon.config_lines["endpoint default"] = good, good_lines
        self.reload()

    def test_removed_endpoint(self):
        self.add_endpoint("gone", self.sim.url)
        self.reload()
        sections = self.daemon.sections
        self.sim.script({"flying": [dict(PENDING, until_release=True), completed("after all")],
                         "sleeping": [PENDING, completed("woken")], "done": [completed("done")]})
        self.peer.call("register", request_id="flying", endpoint="gone")
        self.peer.call("register", request_id="sleeping", endpoint="gone", backoff={"initial_ms": 300, "max_ms": 300})
        self.peer.call("register", request_id="done", endpoint="gone")
        self.assert_ok(self.peer.outcome("done", endpoint="gone"), "done")
        self.sim.wait_polls("flying", 1)
        self.daemon.sections = ""
        self.reload()
        self.sim.release("flying")
        for request_id in ("flying", "sleeping"):
            wait_for(lambda request_id=request_id: self.peer.call("status", request_id=request_id, endpoint="gone")
                     ["why_waiting"] == "endpoint_missing", "it waits for its endpoint")
        self.assertEqual(self.refused("register", request_id="new", endpoint="gone"), "denied")
        self.assertEqual([endpoint["endpoint"] for endpoint in self.peer.call("endpoints")["endpoints"]], ["default"])
        polls = self.sim.stats()["polls"]
        # What is registered stays in its owner's hands.
        self.assert_ok(self.peer.call("collect", request_id="done", endpoint="gone")["results"][0], "done")
        self.assertEqual(len(self.peer.call("list", endpoint="gone")["futures"]), 3)
        self.assertEqual(self.sim.stats()["polls"], polls)
        self.daemon.sections = sections
        self.reload()
        self.assert_ok(self.peer.outcome("flying", endpoint="gone"), "after all")
        self.assert_ok(self.peer.outcome("sleeping", endpoint="gone"), "woken")

    def test_the_server_moves(self):
        """A poll that is out comes back from the old server; the next one goes to the new one."""
        with Sim({"m": [completed("new server")]}) as other:
            self.register("m", [dict(PENDING, until_release=True)])
            self.sim.wait_polls("m", 1)
            self.daemon.config_lines["endpoint default"]["base_url"] = other.url
            self.reload()
            self.assertEqual(self.status("m")["state"], "polling")
            self.sim.release("m")
            self.assert_ok(self.peer.outcome("m"), "new server")
            self.assertEqual((len(self.sim.polls("m")), len(other.polls("m"))), (1, 1))
            self.assertEqual(other.polls("m")[0]["headers"]["x-tinker-request-iteration"], "1")

    def test_log_level(self):
        self.assertNotIn(" debug ", self.daemon.log())
        self.daemon.config_lines["daemon"]["log_level"] = "debug"
        self.reload()
        with self.daemon.connect() as peer:
            wait_for(lambda: peer.call("hello", client="x/1") and " debug " in self.daemon.log(), "debug lines")
        self.daemon.config_lines["daemon"]["log_level"] = "error"
        self.daemon.config_lines["endpoint default"]["max_in_flight"] = "9"
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        wait_for(lambda: self.endpoint_status()["max_in_flight"] == 9, "it is read, and not told")
        # The mistake is told, unlike all else from here on.
        self.daemon.sections = "nonsense\n"
        self.reload("reload refused")
        self.peer.call("ping")
        self.assertTrue(self.daemon.log().splitlines()[-1].count(" error "), self.daemon.log()[-500:])

    def test_under_load(self):
        ids = [f"l{k}" for k in range(300)]
        self.sim.script({request_id: [dict(PENDING, hold_ms=20), dict(PENDING, hold_ms=20), completed(request_id)]
                         for request_id in ids})
        call = self.peer.send("await", request_ids=ids)
        with self.daemon.connect() as other:
            other.call("register", request_ids=ids, backoff={"initial_ms": 50, "max_ms": 100})
        self.peer.reply(call)  # nothing was registered yet
        call = self.peer.send("await", request_ids=ids)
        for _ in range(5):
            self.reload()
        results = self.peer.reply(call)["results"]
        self.assertEqual([outcome.get("result") for outcome in results], ids)
        stats = self.sim.stats()
        self.assertEqual((stats["overlaps"], stats["polls"]), (0, 900))
        self.assertEqual(self.counted("network"), 0)


class Stopping(Running):
    shared = False

    def stop_seconds(self):
        start = time.monotonic()
        self.daemon.stop()
        return time.monotonic() - start

    def test_under_load(self):
        ids = [f"s{k}" for k in range(500)]
        self.sim.script({request_id: [dict(PENDING, repeat=True)] if k % 20 else [{"never": True}]
                         for k, request_id in enumerate(ids)})
        self.peer.call("register", request_ids=ids, backoff={"initial_ms": 0, "max_ms": 5})
        self.sim.wait_for(lambda stats: stats["polls"] > 600)
        call = self.peer.send("await", request_ids=ids)
        self.peer.call("ping")
        self.assertLess(self.stop_seconds(), STOP_LIMIT + 6)
        with self.assertRaises(CallError) as caught:
            self.peer.reply(call)
        self.assertEqual(caught.exception.name, "shutting_down")
        self.assertEqual(self.sim.wait_for(lambda stats: stats["in_flight"] == 0)["overlaps"], 0)

    def hang(self):
        """An answer that has begun, and does not go on."""
        self.register("stuck", [{"size": 1000, "body_delay_ms": 120000}])
        wait_for(lambda: self.sim.polls("stuck") and self.sim.polls("stuck")[0]["t_answer_ms"], "the answer begins")

    def test_a_stuck_server(self):
        """An answer that has begun is waited for, as it may never be given again; but not for ever."""
        self.hang()
        took = self.stop_seconds()
        self.assertTrue(STOP_LIMIT - 0.5 < took < STOP_LIMIT + 10, took)

    def test_an_answer_that_comes_to_its_end(self):
        self.register("slow", [{"size": 100, "slow_body": {"chunk": 25, "interval_ms": 200}}])
        wait_for(lambda: self.sim.polls("slow") and self.sim.polls("slow")[0]["t_answer_ms"], "the answer begins")
        self.daemon.stop()
        self.assertEqual(self.sim.polls("slow")[0]["outcome"], "answered")

    def test_second_signal(self):
        self.hang()
        self.daemon.signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in self.daemon.log(), "it is going down")
        self.daemon.stop()
        self.assertIn("stopping at once", self.daemon.log())

    def test_interrupt(self):
        self.register("held", [{"never": True}])
        self.sim.wait_polls("held", 1)
        self.daemon.signal(signal.SIGINT)
        self.daemon.process.wait(30)
        self.daemon.stop()
        self.assertIn("stopped", self.daemon.log())
        self.assertFalse(os.path.exists(self.daemon.socket_path))


if __name__ == "__main__":
    unittest.main()
