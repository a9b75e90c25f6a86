"""The gate of an endpoint, its key, and several endpoints side by side: what holds polls back, and what lets them go."""

import os
import unittest

from daemon import KEY, Daemon, wait_for
from running import PENDING, Running, completed
from sim import Sim

OTHER_KEY = "tml-another-key-9876543210"


class Gates(Running):
    """Each with a daemon of its own: a closed gate is everybody's."""

    shared = False

    def closed(self, reason):
        def look():
            endpoint = self.endpoint_status()
            return endpoint if (endpoint["gate"], endpoint["reason"]) == ("closed", reason) else None

        return wait_for(look, f"the gate closes: {reason}")

    def check_others_wait(self, request_id="other"):
        self.register(request_id, [completed("other")])
        status = self.status(request_id)
        self.assertEqual((status["state"], status["why_waiting"], status["iteration"]), ("blocked", "gate", 0))

    def test_rate_limit(self):
        for headers, least_ms in (({"Retry-After": "1"}, 1000), ({"retry-after-ms": "700"}, 700)):
            with self.subTest(headers=headers):
                name = str(least_ms)
                self.register(name, [{"status": 429, "headers": headers}, completed(1)])
                endpoint = self.closed("rate_limited")
                self.assertTrue(0 < endpoint["retry_in_ms"] <= least_ms, endpoint)
                error = endpoint["last_error"]
                self.assertEqual((error["type"], error["status"], error["data"]), ("api_status", 429, {}))
                self.check_others_wait("other " + name)
                last = self.status(name)["last_error"]
                self.assertEqual(last["data"]["retry_after_ms"], least_ms)
                self.assert_ok(self.peer.outcome(name), 1)
                self.assert_ok(self.peer.outcome("other " + name), "other")
                self.assertEqual(self.endpoint_status()["gate"], "open")
                first, second = self.sim.polls(name)
                self.assert_took(second["t_ms"] - first["t_answer_ms"], least_ms)

    def test_one_probe_opens_it(self):
        """Ten futures meet a server that is busy: behind the closed gate one poll goes out at a time."""
        ids = [f"p{k}" for k in range(10)]
        busy = {"status": 429, "headers": {"retry-after-ms": "150"}}
        self.sim.script({"**": [dict(busy, until_release=True, times=10), busy, busy],
                         **{request_id: [completed(request_id)] for request_id in ids}})
        self.peer.call("register", request_ids=ids)
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 10)
        self.sim.release()
        results = self.peer.call("await", request_ids=ids)["results"]
        self.assertEqual([outcome["result"] for outcome in results], ids)
        polls = self.sim.polls(brief=True)
        self.assertEqual([poll["status"] for poll in polls[10:13]], [429, 429, 200], "two probes fail, the third opens")
        for one, next_one in zip(polls[10:12], polls[11:13]):
            self.assert_took(next_one["t_ms"] - one["t_answer_ms"], 150)
        self.assertEqual(len(polls), 22)
        self.assertEqual(self.counters()["gate_closed"], 3, "ten refusals at once close it once")

    def test_payment_required(self):
        self.register("p", [{"status": 402, "json": {"detail": "no credit"}}, completed(1)])
        endpoint = self.closed("payment_required")
        self.assertTrue(3000 < endpoint["retry_in_ms"] <= 5000, endpoint)
        self.assertEqual(endpoint["last_error"]["status"], 402)
        self.check_others_wait()

    def test_network(self):
        self.register("n", [{"reset": True}, {"reset": True}, {"reset": True}, completed(1)])
        wait_for(lambda: self.counted("network") >= 1, "the first poll fails")
        self.assert_ok(self.peer.outcome("n"), 1)
        self.assertEqual(self.endpoint_status()["gate"], "open")
        self.assertEqual(self.endpoint_status()["last_error"]["type"], "network")
        self.assertEqual(self.counters()["gate_closed"], 3)

    def test_a_probe_that_is_held_opens_it(self):
        """A server that holds a poll for a second is there again: the others need not wait for its answer."""
        self.register("first", [{"reset": True}, {"never": True}])
        self.sim.wait_polls("first", 2)
        self.register("other", [completed("other")])
        self.assert_ok(self.peer.outcome("other"), "other")
        probe, other = self.sim.polls("first")[1], self.sim.polls("other")[0]
        self.assert_took(other["t_ms"] - probe["t_ms"], 1000)
        self.assertEqual(self.status("first")["state"], "polling")


class Keys(unittest.TestCase):
    def setUp(self):
        self.sim = Sim({"*": [completed("with a good key")]}, require_key=OTHER_KEY)
        self.addCleanup(self.sim.stop)

    def start(self, **options):
        daemon = Daemon(self.sim.url, **options)
        self.addCleanup(daemon.__exit__, None, None, None)
        peer = daemon.connect()
        self.addCleanup(peer.close)
        return daemon, peer

    def endpoint(self, peer):
        return peer.call("endpoints")["endpoints"][0]

    def wait_closed(self, peer, reason):
        wait_for(lambda: self.endpoint(peer)["reason"] == reason, f"the gate closes: {reason}")

    def test_401_holds_until_the_key_file_is_replaced(self):
        daemon, peer = self.start()
        peer.call("register", request_ids=["a", "b"])
        self.wait_closed(peer, "unauthorised")
        self.assertTrue(20000 < self.endpoint(peer)["retry_in_ms"] <= 30000)
        wait_for(lambda: peer.call("status", request_id="a")["why_waiting"] == "gate" and
                 peer.call("status", request_id="b")["why_waiting"] == "gate", "both wait")
        daemon.write_key(OTHER_KEY)
        # Far sooner than the next probe of its own accord.
        results = peer.call("await", request_ids=["a", "b"], await_timeout_ms=15000)["results"]
        self.assertEqual([outcome.get("result") for outcome in results], ["with a good key"] * 2)
        self.assertEqual({poll["headers"]["x-api-key"] for poll in self.sim.polls() if poll["status"] == 200},
                         {OTHER_KEY})
        self.assertEqual({poll["headers"]["x-api-key"] for poll in self.sim.polls() if poll["status"] == 401}, {KEY})
        self.assertEqual(self.endpoint(peer)["gate"], "open")

    def test_401_fails_where_it_shall(self):
        _, peer = self.start(endpoint={"profile": "sdk"})
        peer.call("register", request_id="a")
        error = peer.outcome("a")["error"]
        self.assertEqual((error["type"], error["status"]), ("api_status", 401))
        self.assertEqual(self.endpoint(peer)["gate"], "open")

    def test_401_becomes_final_after_the_grace(self):
        _, peer = self.start(endpoint={"auth_grace": "0"})
        peer.call("register", request_id="a")
        self.assertEqual(peer.outcome("a")["error"]["status"], 401)

    def test_a_key_that_is_replaced_is_used_from_the_next_poll_on(self):
        self.sim.require_key(None)
        daemon, peer = self.start()
        self.sim.script({"a": [dict(PENDING, until_release=True), completed(1)]})
        peer.call("register", request_id="a")
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 1)
        daemon.write_key(OTHER_KEY)
        wait_for(lambda: "was read again" in daemon.log(), "the new key is seen")
        self.sim.release()
        peer.outcome("a")
        self.assertEqual([poll["headers"]["x-api-key"] for poll in self.sim.polls("a")], [KEY, OTHER_KEY])

    def test_no_key_until_the_file_appears(self):
        daemon, peer = self.start(key=None)
        self.assertFalse(os.path.exists(daemon.key_path))
        peer.call("register", request_id="a")
        status = peer.call("status", request_id="a")
        self.assertEqual((status["state"], status["why_waiting"]), ("blocked", "no_key"))
        endpoint = self.endpoint(peer)
        self.assertEqual((endpoint["gate"], endpoint["reason"], endpoint["retry_in_ms"]), ("closed", "no_key", None))
        self.assertEqual(self.sim.stats()["polls"], 0)
        daemon.write_key(OTHER_KEY)
        self.assertEqual(peer.outcome("a")["result"], "with a good key")
        os.unlink(daemon.key_path)
        self.wait_closed(peer, "no_key")
        peer.call("register", request_id="b")
        self.assertEqual(peer.call("status", request_id="b")["why_waiting"], "no_key")

    def test_a_key_file_that_others_may_read_is_not_used(self):
        daemon, peer = self.start(key=None)
        peer.call("register", request_id="a")
        with open(os.open(daemon.key_path, os.O_WRONLY | os.O_CREAT, 0o644), "w") as file:
            file.write(OTHER_KEY)
        wait_for(lambda: "others can read" in daemon.log(), "it is complained of")
        self.assertEqual(peer.call("status", request_id="a")["why_waiting"], "no_key")
        self.assertEqual(self.sim.stats()["polls"], 0)
        os.chmod(daemon.key_path, 0o600)
        self.assertEqual(peer.outcome("a")["result"], "with a good key")


class SeveralEndpoints(unittest.TestCase):
    """Own servers, keys, profiles and gates: what befalls one is not the other's business."""

    def setUp(self):
        self.one = Sim({"a": [{"status": 429, "headers": {"Retry-After": "30"}}]}, require_key=KEY)
        self.addCleanup(self.one.stop)
        self.two = Sim({"*": [completed("from two")], "boom": [{"status": 400, "json": {"detail": "boom"}}]},
                       require_key=OTHER_KEY, base_path="/v")
        self.addCleanup(self.two.stop)
        self.daemon = Daemon(self.one.url, start=False)
        self.addCleanup(self.daemon.__exit__, None, None, None)
        key_path = self.daemon.key_path + "-two"
        with open(os.open(key_path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(OTHER_KEY)
        self.daemon.sections = (f"[endpoint two]\nbase_url = {self.two.url}\napi_key_file = {key_path}\n"
                                "profile = skyrl\nbackoff_min = 0\nmax_in_flight = 2\nextra_header = X-Two: 2\n")
        self.daemon.write_config()
        self.daemon.start()
        self.peer = self.daemon.connect()
        self.addCleanup(self.peer.close)

    def test_each_for_itself(self):
        self.peer.call("register", request_id="a")
        self.peer.call("register", request_ids=["a", "b", "boom"], endpoint="two")
        results = self.peer.call("await", request_ids=["a", "b", "boom"], endpoint="two")["results"]
        self.assertEqual([outcome.get("result") for outcome in results], ["from two", "from two", None])
        # The profile is the second one's: a 400 with a detail is the failed future.
        self.assertEqual(results[2]["error"]["type"], "request_failed")
        wait_for(lambda: self.peer.call("status", request_id="a")["why_waiting"] == "gate", "the first one is paused")
        one, two = self.peer.call("endpoints")["endpoints"]
        self.assertEqual((one["endpoint"], one["profile"], one["gate"], one["reason"], one["base_url"]),
                         ("default", "durable", "closed", "rate_limited", self.one.url))
        self.assertEqual((two["endpoint"], two["profile"], two["gate"], two["max_in_flight"], two["last_error"]),
                         ("two", "skyrl", "open", 2, None))
        self.assertEqual({poll["headers"]["x-api-key"] for poll in self.one.polls()}, {KEY})
        self.assertEqual({(poll["headers"]["x-api-key"], poll["headers"].get("x-two")) for poll in self.two.polls()},
                         {(OTHER_KEY, "2")})
        self.assertNotIn("x-two", self.one.polls()[0]["headers"])
        self.assertEqual(self.two.stats()["by_status"].get("401", 0), 0)

    def test_which_one_is_meant(self):
        """Without a name it is `default`; the same id on two endpoints is two futures."""
        self.peer.call("register", request_id="x", endpoint="two")
        self.assertEqual(self.peer.outcome("x", endpoint="two")["result"], "from two")
        self.assertEqual(self.peer.outcome("x")["error"]["type"], "not_registered")
        self.assertEqual([future["endpoint"] for future in self.peer.call("list")["futures"]], ["two"])


class Overrides(Running):
    """What one registration asks for, against what its endpoint says."""

    endpoint = {"http_timeout": "30s", "profile": "durable"}

    def test_server_failure(self):
        failed = {"json": {"error": "flaky", "category": "server"}}
        self.assert_error(self.run_through("fail", [failed, completed(1)], on_server_failure="fail"),
                          "request_failed", "server")
        self.assert_polls("fail", 1)
        self.assert_ok(self.run_through("retry", [failed, failed, completed(1)]), 1)

    def test_http_timeout(self):
        outcome, took = self.timed(self.run_through, "held", [{"never": True}, completed(1)], http_timeout_ms=300)
        self.assert_ok(outcome, 1)
        self.assert_took(took, 300)

    def test_backoff(self):
        self.run_through("own", [PENDING, PENDING, PENDING, completed(1)],
                         backoff={"initial_ms": 200, "max_ms": 300})
        polls = self.sim.polls("own")
        for one, next_one, expected in zip(polls, polls[1:], (200, 300, 300)):
            self.assert_took(next_one["t_ms"] - one["t_answer_ms"], expected)

    def test_registering_again_changes_what_it_names(self):
        self.register("again", [dict(PENDING, repeat=True)], backoff={"initial_ms": 60000, "max_ms": 60000},
                      poll_timeout_ms=60000)
        wait_for(lambda: self.status("again")["why_waiting"] == "backoff", "it sleeps")
        self.register("again", metadata={"a": 1})
        self.assertGreater(self.status("again")["deadline_in_ms"], 30000)
        outcome, took = self.timed(lambda: (self.register("again", poll_timeout_ms=300), self.peer.outcome("again"))[1])
        self.assert_error(outcome, "api_timeout")
        self.assert_took(took, 300)

    def test_network_error(self):
        cut = {"size": 100, "truncate": 10}
        self.assert_error(self.run_through("net", [cut, completed(1)], on_network_error="fail"), "network")
        self.assert_polls("net", 1)


if __name__ == "__main__":
    unittest.main()
