"""What goes over the wire to the server, and what becomes of what comes back, over plain HTTP/1.1."""

import base64
import json
import socket
import unittest

from daemon import KEY, Daemon, wait_for
from running import PENDING, Running, completed
from sim import Sim, generated_body

AGENT = "tinkexd/"


class Request(Running):
    sim_options = {"base_path": "/services/tinker-prod"}
    endpoint = {"extra_header": ["CF-Access-Client-Id: abc.access", "CF-Access-Client-Secret: s3cret",
                                 "X-Twice: 1"]}

    @classmethod
    def make_daemon(cls, sim):
        return Daemon(sim.url + "///", endpoint=cls.endpoint)

    def test_every_header(self):
        self.assert_ok(self.run_through("h", [PENDING, PENDING, completed(1)], request_type="ForwardBackward",
                                        create_roundtrip_ms=1234), 1)
        for iteration, poll in enumerate(self.sim.polls("h")):
            headers = dict(poll["headers"])
            agent = headers.pop("user-agent")
            self.assertTrue(agent.startswith(AGENT) and len(agent) > len(AGENT), agent)
            expected = {
                "host": f"127.0.0.1:{self.sim.port}",
                "x-api-key": KEY,
                "content-type": "application/json",
                "content-length": str(len(poll["body_text"])),
                "accept": "application/json",
                "x-tinker-request-iteration": str(iteration),
                "x-tinker-request-type": "ForwardBackward",
                "cf-access-client-id": "abc.access",
                "cf-access-client-secret": "s3cret",
                "x-twice": "1",
            }
            if iteration == 0:
                expected["x-tinker-create-promise-roundtrip-time"] = "1.234"
            self.assertEqual(headers, expected)
            self.assertEqual(len(poll["header_list"]), len(expected) + 1, "no header twice")
            self.assertEqual((poll["method"], poll["path"], poll["query"]),
                             ("POST", "/services/tinker-prod/api/v1/retrieve_future", ""))

    def test_headers_that_were_not_asked_for(self):
        self.assert_ok(self.run_through("bare", [completed(1)]), 1)
        headers = self.sim.polls("bare")[0]["headers"]
        for name in ("x-tinker-request-type", "x-tinker-create-promise-roundtrip-time", "authorization", "expect",
                     "accept-encoding", "transfer-encoding", "cookie"):
            self.assertNotIn(name, headers)

    def test_round_trip_of_less_than_a_second(self):
        self.run_through("rt", [completed(1)], create_roundtrip_ms=7)
        self.assertEqual(self.sim.polls("rt")[0]["headers"]["x-tinker-create-promise-roundtrip-time"], "0.007")

    def test_body_is_exact(self):
        self.sim.script({"*": [{"json": {"status": "complete_metadata", "response_payload_size": 1}}, completed(1)]})
        for request_id in ("plain", '"\\/', "zwölf €", "\U0001f600", "x" * 512, "{}", "a b"):
            with self.subTest(request_id=request_id):
                self.assert_ok(self.run_through(request_id, None), 1)
                polls = self.sim.polls(request_id)
                self.assertEqual([poll["body"] for poll in polls],
                                 [{"request_id": request_id, "allow_metadata_only": True},
                                  {"request_id": request_id, "allow_metadata_only": False}])
                for poll in polls:
                    # Exactly these two members, and nothing before or behind the object.
                    self.assertRegex(poll["body_text"], r'^\{"request_id": ?".*", ?"allow_metadata_only": ?\w+\}$')
        self.assertEqual(self.sim.requests(), [], "nothing was asked of any other path")


class Connections(Running):
    shared = False

    def test_one_after_the_other_over_one_connection(self):
        self.run_through("k", [PENDING] * 20 + [completed(1)])
        self.assertEqual({poll["connection"] for poll in self.sim.polls("k")}, {self.sim.polls("k")[0]["connection"]})
        self.assertEqual(self.sim.stats()["connections"]["poll_used"], 1)
        self.assertEqual(self.endpoint_status()["http_version"], "1.1")

    def test_never_more_than_allowed_though_the_server_closes_each(self):
        self.daemon.config_lines["endpoint default"]["max_connections"] = "3"
        self.daemon.stop()
        self.daemon.write_config()
        self.daemon.start()
        self.sim.script({"*": [{"json": 1, "connection_close": True, "hold_ms": 5}]})
        ids = [f"c{k}" for k in range(40)]
        with self.daemon.connect() as peer:
            peer.call("register", request_ids=ids)
            results = peer.call("await", request_ids=ids)["results"]
        self.assertEqual([outcome["result"] for outcome in results], [1] * 40)
        stats = self.sim.stats()
        self.assertLessEqual(stats["max_in_flight"], 3)
        self.assertLessEqual(stats["connections"]["poll_max_open"], 3)
        self.assertEqual(stats["connections"]["poll_used"], 40)

    def test_idle_connection_closed_by_the_server(self):
        self.assert_ok(self.run_through("a", [completed(1)]), 1)
        for reset in (False, True):
            self.sim.drop(reset=reset)
            self.assert_ok(self.run_through(f"b{reset}", [completed(2)]), 2)
        self.assertEqual(self.counted("network"), 0)


class DeadConnection(Running):
    """A kept connection that dies under a poll: repeated once, at once, on a fresh one, before it counts."""

    shared = False
    endpoint = {"profile": "guide"}  # a network error would be the end

    def repeats(self):
        return self.counters()["poll_repeats_on_fresh_connection"]

    def test_repeated_once(self):
        self.run_through("warm", [completed(0)])
        self.assert_ok(self.run_through("d", [dict(completed(1), reset_if_reused=True)]), 1)
        polls = self.sim.polls("d")
        self.assertEqual([poll["outcome"] for poll in polls], ["reset", "answered"])
        self.assertEqual([poll["headers"]["x-tinker-request-iteration"] for poll in polls], ["0", "0"])
        self.assertEqual([poll["reused"] for poll in polls], [True, False])
        self.assertEqual((self.repeats(), self.counted("network"), self.counters()["polls"]), (1, 0, 2))
        self.assertEqual(self.status("d")["iteration"], 1)

    def test_repeated_at_most_once(self):
        self.run_through("warm", [completed(0)])
        outcome = self.run_through("d", [{"reset": True, "reset_if_reused": True}, completed(1)])
        self.assert_error(outcome, "network")
        self.assertEqual([poll["reused"] for poll in self.sim.polls("d")], [True, False])
        self.assertEqual((self.repeats(), self.counted("network")), (1, 1))

    def test_not_repeated_on_a_fresh_connection(self):
        self.assert_error(self.run_through("d", [{"reset": True}, completed(1)]), "network")
        self.assert_polls("d", 1)
        self.assertEqual(self.repeats(), 0)

    def test_not_repeated_once_the_answer_has_begun(self):
        """The server may think that it has delivered: this one counts."""
        self.run_through("warm", [completed(0)])
        self.assert_error(self.run_through("d", [{"size": 1000, "truncate": 10, "reset": True}, completed(1)]),
                          "network")
        self.assertEqual([poll["reused"] for poll in self.sim.polls("d")], [True])

    def test_many_at_once(self):
        """All kept connections have died: each poll is repeated, none counts."""
        ids = [f"m{k}" for k in range(20)]
        self.sim.script({request_id: [dict(PENDING, until_release=True), dict(completed(1), reset_if_reused=True)]
                         for request_id in ids})
        self.peer.call("register", request_ids=ids)
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 20)
        self.sim.release()
        results = self.peer.call("await", request_ids=ids)["results"]
        self.assertEqual([outcome["ok"] for outcome in results], [True] * 20)
        self.assertEqual(self.counted("network"), 0)


# What a server or the network between can do to an answer, each on a fresh connection.
FAULTS = {
    "reset": {"reset": True},
    "closed without a byte": {"close": True},
    "body cut": {"size": 5000, "truncate": 1000},
    "body cut by a reset": {"size": 5000, "truncate": 1000, "reset": True},
    "chunked body cut": {"size": 5000, "truncate": 1000, "chunked": True},
    "header cut": {"json": 1, "truncate_headers": 30},
    "header cut in the status line": {"json": 1, "truncate_headers": 12},
    "no HTTP": {"garbage": "SSH-2.0-OpenSSH_9.2\r\n"},
    "binary": {"garbage_base64": base64.b64encode(bytes(range(256)) * 4).decode()},
    "empty 200": {"body": "", "connection_close": True},
    "empty 200 without a length": {"body": "", "until_close": True},
    "empty 204": {"status": 204, "body": "", "connection_close": True},
}


class NetworkErrors(Running):
    def test_retried_by_durable(self):
        for name, fault in FAULTS.items():
            with self.subTest(name):
                before = self.counted("network")
                self.assert_ok(self.run_through(name, [fault, dict(completed(name), connection_close=True)]), name)
                self.assert_polls(name, 2)
                self.assertEqual(self.counted("network"), before + 1)
                self.assertEqual(self.endpoint_status()["gate"], "open")

    def test_terminal_for_who_wants_so(self):
        for name, fault in FAULTS.items():
            with self.subTest(name):
                outcome = self.run_through("f " + name, [fault, completed(1)], on_network_error="fail")
                error = outcome["error"]
                self.assertEqual((outcome["ok"], error["type"], error["category"]), (False, "network", None))
                self.assertTrue(error["message"])
                self.assertEqual(error["data"]["request_id"], "f " + name)
                self.assert_polls("f " + name, 1)


class Redirects(Running):
    def test_not_followed(self):
        with Sim({"*": [completed("from the target")]}) as target:
            for status in (301, 302, 303, 307, 308):
                with self.subTest(status=status):
                    location = f"{target.url}/api/v1/retrieve_future"
                    outcome = self.run_through(f"r{status}", [{"status": status, "body": "",
                                                               "headers": {"Location": location}}, completed(1)])
                    self.assert_error(outcome, "api_status", "unknown", status)
                    self.assert_polls(f"r{status}", 1)
            stats = target.stats()
            self.assertEqual((stats["polls"], stats["other_requests"]), (0, 0))


class Timeouts(Running):
    def test_no_answer_is_followed_at_once(self):
        before = self.counted("no_answer")
        self.assert_ok(self.run_through("n", [{"never": True}, {"never": True}, completed(1)], http_timeout_ms=1200), 1)
        polls = self.sim.polls("n")
        self.assertEqual([poll["headers"]["x-tinker-request-iteration"] for poll in polls], ["0", "1", "2"])
        for one, next_one in zip(polls, polls[1:]):
            self.assertEqual(one["outcome"], "aborted")
            self.assert_took(next_one["t_ms"] - one["t_ms"], 1200, 1000)
        self.assertEqual(self.counted("no_answer"), before + 2)
        self.assertIsNone(self.status("n")["last_error"], "the server held it: nothing went wrong")
        self.assertEqual(self.counted("network"), 0)

    def test_a_slow_body_may_take_longer(self):
        """2.5 s in pieces of 0.1 s, with an HTTP timeout of 1 s."""
        self.assert_ok(self.run_through("slow", [{"size": 2500, "slow_body": {"chunk": 100, "interval_ms": 100}}],
                                        http_timeout_ms=1000, on_network_error="fail"),
                       json.loads(generated_body("slow", 2500)))
        poll = self.sim.polls("slow")[0]
        self.assertGreater(poll["t_end_ms"] - poll["t_answer_ms"], 2000)

    def test_silence_after_the_first_byte(self):
        for name, answer in {"behind the header": {"json": 1, "body_delay_ms": 30000},
                             "in the body": {"size": 200, "slow_body": {"chunk": 100, "interval_ms": 30000}}}.items():
            with self.subTest(name):
                outcome, took = self.timed(self.run_through, name, [answer], http_timeout_ms=400,
                                           on_network_error="fail")
                self.assertIn("no further byte", self.assert_error(outcome, "network")["message"])
                self.assert_took(took, 400)

    def test_deadline_during_a_held_poll(self):
        outcome, took = self.timed(self.run_through, "held", [{"never": True}], poll_timeout_ms=500)
        error = self.assert_error(outcome, "api_timeout")
        self.assertEqual((error["data"]["reason"], error["data"]["timeout_ms"]), ("poll_deadline", 500))
        self.assert_took(took, 500)
        wait_for(lambda: self.sim.polls("held")[0]["outcome"] == "aborted", "the poll is given up")

    def test_deadline_during_a_sleep(self):
        outcome, took = self.timed(self.run_through, "asleep", [PENDING], poll_timeout_ms=500,
                                   backoff={"initial_ms": 60000, "max_ms": 60000})
        self.assert_error(outcome, "api_timeout")
        self.assert_took(took, 500)

    def test_deadline_gives_the_last_error(self):
        failed = {"json": {"error": "flaky", "category": "server"}}
        outcome, took = self.timed(self.run_through, "flaky", [failed, dict(PENDING, repeat=True, never=True)],
                                   poll_timeout_ms=500)
        error = self.assert_error(outcome, "request_failed", "server")
        self.assertEqual((error["message"], error["data"]["exit_reason"]), ("flaky", "poll_deadline"))
        self.assert_took(took, 500)

    def test_an_answer_that_has_begun_outlives_the_deadline(self):
        """The server may drop what it has written once: it is read to its end and serves the next registration."""
        self.register("begun", [{"size": 100, "slow_body": {"chunk": 25, "interval_ms": 400}}])
        wait_for(lambda: self.sim.polls("begun") and self.sim.polls("begun")[0]["t_answer_ms"], "the answer begins")
        self.register("begun", poll_timeout_ms=0)
        self.assert_error(self.peer.outcome("begun"), "api_timeout")
        self.assertTrue(self.register("begun", poll_timeout_ms=None)["new"])
        outcome = self.peer.outcome("begun")
        self.assertIs(outcome["ok"], True, outcome)
        self.assert_polls("begun", 1)
        self.assertEqual(self.sim.polls("begun")[0]["outcome"], "answered")


class Connecting(unittest.TestCase):
    def test_connect_timeout(self):
        """A listener whose queue is full: the kernel drops what knocks."""
        with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for one in (first, second):
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with Daemon(url, endpoint={"profile": "guide", "connect_timeout": "500ms"}) as daemon, \
                    daemon.connect() as peer:
                case = Running()
                peer.call("register", request_id="c")
                outcome, took = case.timed(peer.outcome, "c")
                case.assert_error(outcome, "network")
                case.assert_took(took, 450)

    def test_max_body_time(self):
        with Sim({"m": [{"size": 100000, "slow_body": {"chunk": 10, "interval_ms": 50}}]}) as sim, \
                Daemon(sim.url, endpoint={"profile": "guide", "max_body_time": "700ms"}) as daemon, \
                daemon.connect() as peer:
            case = Running()
            peer.call("register", request_id="m")
            outcome, took = case.timed(peer.outcome, "m")
            self.assertIn("not complete", case.assert_error(outcome, "network")["message"])
            case.assert_took(took, 700)

    def test_refused_until_the_server_is_back(self):
        with Sim({"r": [completed(1)]}) as sim:
            sim.refuse()
            with Daemon(sim.url, endpoint={"backoff_initial": "50ms", "backoff_max": "100ms"}) as daemon, \
                    daemon.connect() as peer:
                peer.call("register", request_id="r")
                wait_for(lambda: peer.call("stats")["counters"]["poll_outcomes"]["network"] >= 3, "it is tried again")
                endpoint = peer.call("endpoints")["endpoints"][0]
                self.assertEqual((endpoint["gate"], endpoint["reason"]), ("closed", "network"))
                self.assertEqual(peer.call("status", request_id="r")["why_waiting"], "gate")
                sim.accept()
                self.assertEqual(peer.outcome("r")["result"], 1)
                self.assertEqual(peer.call("endpoints")["endpoints"][0]["gate"], "open")

    def test_a_name_that_is_not_there(self):
        with Daemon("https://tinkexd-test.invalid", endpoint={"profile": "guide", "backoff_min": "100ms"}) as daemon, \
                daemon.connect() as peer:
            peer.call("register", request_id="n")
            message = Running().assert_error(peer.outcome("n"), "network")["message"]
            self.assertIn("tinkexd-test.invalid", message)


if __name__ == "__main__":
    unittest.main()
