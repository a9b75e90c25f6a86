"""TLS and HTTP/2, through real proxies in front of the simulator. What is not installed is skipped."""

import tempfile
import unittest

from daemon import Daemon, wait_for
from running import PENDING, Running, completed
from sim import Sim, generated_body
from tls_front import TlsFront, available, make_certificates

N_HELD = 200


class Front(Running):
    """A daemon that polls the simulator through one kind of proxy. `kind` None: a base class."""

    kind = None
    front_options = {}

    @classmethod
    def make_daemon(cls, sim):
        cls.front = TlsFront(sim.port, kind=cls.kind, **cls.front_options)
        cls.addClassCleanup(cls.front.stop)
        return Daemon(cls.front.url, endpoint={"ca_file": cls.front.ca_file, "backoff_initial": "20ms",
                                               "backoff_max": "100ms", **cls.endpoint})

    @classmethod
    def setUpClass(cls):
        if cls.kind is None:
            raise unittest.SkipTest("a base class")
        if cls.kind not in available():
            raise unittest.SkipTest(f"{cls.kind} is not installed")
        super().setUpClass()

    def register_all(self, prefix, n, answers):
        ids = [f"{prefix}{k}" for k in range(n)]
        self.sim.script({request_id: answers for request_id in ids})
        self.peer.call("register", request_ids=ids)
        return ids

    def results(self, ids):
        return [outcome.get("result") for outcome in self.peer.call("await", request_ids=ids)["results"]]

    def network_errors(self):
        return self.counted("network")


class Http2:
    endpoint = {"max_in_flight": str(N_HELD)}

    def test_held_polls_share_few_connections(self):
        """Also right after the start, when nothing is known of the server yet: polls wait for the first handshake."""
        first = self.register_all("first", 40, [dict(completed(1), until_release=True)])
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 40)
        self.assertEqual(self.front.open_connections(), 1)
        self.sim.release()
        self.assertEqual(self.results(first), [1] * 40)
        self.assertEqual(self.endpoint_status()["http_version"], "2")

        ids = self.register_all("held", N_HELD, [dict(PENDING, until_release=True), completed(2)])
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == N_HELD)
        self.assertLessEqual(self.front.open_connections(), 3, "100 streams each, and one to spare")
        self.assertEqual(self.endpoint_status()["connections"], self.front.open_connections())
        self.assertEqual(self.endpoint_status()["in_flight"], N_HELD)
        self.sim.release()
        self.assertEqual(self.results(ids), [2] * N_HELD)
        self.assertEqual(self.network_errors(), 0)
        self.assertEqual(self.sim.stats()["overlaps"], 0)
        wait_for(lambda: len(self.front.requests()) >= 40 + 2 * N_HELD, "the proxy has logged all")
        self.assertEqual({request["http2"] for request in self.front.requests()}, {True})
        self.assertLessEqual(len({request["connection"] for request in self.front.requests()}), 4)

    def test_request(self):
        self.assert_ok(self.run_through("r", [PENDING, completed(1)], request_type="Sample", create_roundtrip_ms=20), 1)
        first, second = (poll["headers"] for poll in self.sim.polls("r"))
        self.assertEqual((first["x-tinker-request-type"], first["x-tinker-create-promise-roundtrip-time"],
                          first["x-tinker-request-iteration"]), ("Sample", "0.020", "0"))
        self.assertEqual(second["x-tinker-request-iteration"], "1")
        self.assertEqual(self.sim.polls("r")[0]["body"], {"request_id": "r", "allow_metadata_only": True})

    def test_large_results_side_by_side(self):
        """Several rounds: what curl has read of one stream's body must not wait for the server's next byte."""
        size = 1 << 20
        for k in range(6):
            ids = self.register_all(f"large{k}-", 4, [{"size": size}])
            call = self.peer.send("await", request_ids=ids)
            line = self.peer.read_large(4 * size)
            self.assertIn(b'"id":%d' % call, line[:100])
            for request_id in ids:
                self.assertIn(generated_body(request_id, size), line)
        self.assertEqual(self.network_errors(), 0)

    def test_a_poll_that_is_given_up_costs_no_connection(self):
        self.assert_ok(self.run_through("warm", [completed(0)]), 0)
        before = self.counters()["connections_opened"]
        self.register("other", [dict(completed("other"), until_release=True)])
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 1)
        self.assert_ok(self.run_through("given up", [{"never": True}, completed(1)], http_timeout_ms=300), 1)
        self.register("cancelled", [{"never": True}])
        self.sim.wait_polls("cancelled", 1)
        self.peer.call("cancel", request_id="cancelled")
        self.sim.release("other")
        self.assert_ok(self.peer.outcome("other"), "other")
        self.assertEqual(len(self.sim.polls("other")), 1)
        self.assertEqual(self.counters()["connections_opened"], before)
        self.assertEqual(self.network_errors(), 0)

    def test_server_error_of_the_proxy(self):
        """What the simulator resets, the proxy answers with a 502 of its own, in HTML."""
        outcome = self.run_through("502", [{"reset": True}, {"reset": True}, completed(1)])
        self.assert_ok(outcome, 1)
        self.assertEqual((self.counted("server_error"), self.network_errors()), (2, 0))


class Http2Nghttpx(Http2, Front):
    kind = "nghttpx"


class Http2Nginx(Http2, Front):
    kind = "nginx"


class GoAway(Front):
    """A server that ends each connection after 100 requests, in good order: nothing is lost, nothing polled twice.

    What it has refused is repeated at once. Only what is refused twice in a row, which these small numbers make
    possible, counts as a network error.
    """

    kind = "nginx"
    front_options = {"requests_per_connection": 100}

    def test_all_arrive(self):
        ids = self.register_all("g", 400, [PENDING, completed("g")])
        self.assertEqual(self.results(ids), ["g"] * 400)
        stats = self.sim.stats()
        self.assertEqual((stats["polls"], stats["overlaps"], stats["aborted"]), (800, 0, 0))
        self.assertLess(self.network_errors(), 40)
        wait_for(lambda: len(self.front.requests()) >= 800, "the proxy has logged all")
        self.assertGreaterEqual(len({request["connection"] for request in self.front.requests()}), 8)


class Http11(Front):
    kind = "nginx"
    front_options = {"http2": False}
    endpoint = {"max_connections": "4"}

    def test_one_poll_a_connection(self):
        ids = self.register_all("one", 20, [dict(PENDING, hold_ms=20), completed("one")])
        self.assertEqual(self.results(ids), ["one"] * 20)
        stats = self.sim.stats()
        self.assertLessEqual(stats["max_in_flight"], 4)
        self.assertEqual((stats["overlaps"], self.network_errors()), (0, 0))
        self.assertEqual(self.endpoint_status()["http_version"], "1.1")
        self.assertEqual(self.counters()["connections_opened"], 4)
        wait_for(lambda: len(self.front.requests()) == 40, "the proxy has logged all")
        self.assertEqual({request["http2"] for request in self.front.requests()}, {False})


@unittest.skipUnless(available(), "neither nginx nor nghttpx is installed")
class Trust(unittest.TestCase):
    """Whoever cannot prove that it is the server gets no request, and no key."""

    def setUp(self):
        self.sim = Sim({"*": [completed(1)]})
        self.addCleanup(self.sim.stop)
        self.front = TlsFront(self.sim.port)
        self.addCleanup(self.front.stop)

    def check_refused(self, url, ca_file, words):
        endpoint = {"profile": "guide", "backoff_min": "100ms"}
        if ca_file:
            endpoint["ca_file"] = ca_file
        with Daemon(url, endpoint=endpoint) as daemon, daemon.connect() as peer:
            peer.call("register", request_id="t")
            message = Running().assert_error(peer.outcome("t"), "network")["message"]
            self.assertRegex(message.lower(), words)
        self.assertEqual(self.sim.stats()["polls"], 0)
        self.assertEqual(self.front.requests(), [])

    def test_own_authority(self):
        with Daemon(self.front.url, endpoint={"ca_file": self.front.ca_file}) as daemon, daemon.connect() as peer:
            peer.call("register", request_id="t")
            self.assertEqual(peer.outcome("t")["result"], 1)

    def test_without_our_authority(self):
        self.check_refused(self.front.url, None, "certificate")

    def test_another_authority(self):
        with tempfile.TemporaryDirectory() as directory:
            self.check_refused(self.front.url, make_certificates(directory), "certificate")

    def test_another_name(self):
        url = f"https://another.localhost:{self.front.port}"
        self.check_refused(url, self.front.ca_file, "another.localhost|certificate")

    def test_no_tls_at_all(self):
        self.check_refused(f"https://localhost:{self.sim.port}", self.front.ca_file, "ssl|tls")


if __name__ == "__main__":
    unittest.main()
