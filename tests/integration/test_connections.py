"""How many connections there may be, how they end, and what the daemon does without a free descriptor."""

import os
import resource
import signal
import socket
import time
import unittest

from daemon import CallError, Daemon, Peer, wait_for
from running import SLACK_MS, Running, completed
from sim import Sim, generated_body
from users import UIDS, connect_as, needs_root, open_to_all
from watching import assert_idle, assert_quick, peers_are

BIG = 10 * 1024 * 1024
HELD = [{"never": True}]
STOP_SECONDS = 4  # after which the daemon no longer waits for anybody


def try_connect(daemon):
    """A connection that was let in, or None."""
    peer = daemon.connect()
    try:
        peer.call("ping")
        return peer
    except (EOFError, ConnectionError):
        peer.close()
        return None


def let_in(daemon):
    return wait_for(lambda: try_connect(daemon), "a connection is let in")


class HalfClosed(Running):
    def test_whoever_stops_sending_gets_everything(self):
        self.register("big", [{"size": BIG}])
        self.register("later", [{"json": "now", "until_release": True}])
        wait_for(lambda: self.status("big")["ok"], "the large one has ended")
        big = b'"result":' + generated_body("big", BIG)
        with self.daemon.connect() as peer:
            wait, ping = peer.send("await", request_id="later"), peer.send("ping")
            register, collect = peer.send("register", request_id="last"), peer.send("collect", request_id="big")
            stream = peer.send("await", request_ids=["later", "big"], stream=True)
            peer.send_raw('{"id":99,"method":"ping"')  # never finished
            peer.socket.shutdown(socket.SHUT_WR)
            lines = [peer.read_large() for _ in range(4)]
            for start in (f'"id":{ping},"result":{{}}', f'"id":{register},"result":{{"registrations":[{{"request_id":"last"'):
                self.assertTrue(any(start.encode() in line for line in lines), start)
            self.assertEqual(sum(big in line for line in lines), 2, "the collect's, and the stream's first")
            self.assertTrue(any(b'"id":%d,' % collect in line for line in lines))
            assert_idle(self, self.daemon)  # waiting on a half-closed connection costs nothing
            self.sim.release("later")
            lines = list(iter(peer.read_raw, None))
            self.assertEqual(len(lines), 3, lines)
            self.assertTrue(any(b'"id":%d,"result":{"results":[' % wait in line for line in lines), lines)
            self.assertTrue(any(b'"call":%d,"index":0,' % stream in line for line in lines), lines)
            self.assertTrue(any(b'"id":%d,"result":{"ended":2' % stream in line for line in lines), lines)
        self.assertEqual(self.status("last")["request_id"], "last")


class Limits(unittest.TestCase):
    """max_peers and max_peers_per_uid: one line says why, and room that is made is room."""

    def start(self, **options):
        sim = Sim(script={})
        self.addCleanup(sim.stop)
        daemon = Daemon(sim.url, **options)
        self.addCleanup(daemon.__exit__, None, None, None)
        return daemon

    def assert_refused(self, peer, limit):
        with peer:
            message = peer.read()
            self.assertIsNone(message["id"])
            self.assertEqual((message["error"]["code"], message["error"]["data"]),
                             (-32002, {"name": "limit_exceeded", "limit": limit}))
            self.assertIsNone(peer.read(), "and the connection is closed")

    def check_limit(self, daemon, limit):
        peers = [let_in(daemon) for _ in range(limit)]
        for _ in range(5):
            self.assert_refused(daemon.connect(), limit)
        for peer in peers:
            self.assertEqual(peer.call("ping"), {})
        self.assertGreaterEqual(peers[0].call("stats")["counters"]["peers_refused"], 5)
        for k in (0, 1):
            peers[k].close()
            peers[k] = let_in(daemon)
        self.assert_refused(daemon.connect(), limit)
        return peers

    def test_of_one_user(self):
        daemon = self.start(limits={"max_peers_per_uid": "5"})
        peers = self.check_limit(daemon, 5)
        daemon.config_lines["limits"]["max_peers_per_uid"] = "7"
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        peers += [let_in(daemon), let_in(daemon)]
        self.assert_refused(daemon.connect(), 7)
        for peer in peers:
            peer.close()

    def test_of_all(self):
        for peer in self.check_limit(self.start(limits={"max_peers": "8"}), 8):
            peer.close()

    @needs_root
    def test_some_places_are_kept(self):
        """Two of sixteen are for root and the daemon's user; another user's limit is that user's alone."""
        daemon = self.start(limits={"max_peers": "16", "max_peers_per_uid": "12"}, daemon={"socket_mode": "0666"})
        open_to_all(daemon)
        with let_in(daemon) as own:
            peers_are(own, 1)
            others = [connect_as(daemon, UIDS[0]) for _ in range(12)]
            for peer in others:
                self.assertEqual(peer.call("hello")["uid"], UIDS[0])
            self.assert_refused(connect_as(daemon, UIDS[0]), 12)
            others.append(connect_as(daemon, UIDS[1]))
            self.assertEqual(others[-1].call("hello")["uid"], UIDS[1])
            self.assert_refused(connect_as(daemon, UIDS[1]), 16)
            others += [let_in(daemon), let_in(daemon)]
            self.assert_refused(daemon.connect(), 16)
            for peer in others:
                peer.close()
            peers_are(own, 1)
            with connect_as(daemon, UIDS[1]) as peer:
                self.assertEqual(peer.call("ping"), {})


class Descriptors(Running):
    """A daemon that may have 64 open descriptors, and a hundred who want one."""

    shared = False
    limit = 64

    @classmethod
    def make_daemon(cls, sim):
        return Daemon(sim.url, endpoint={"backoff_initial": "20ms", "backoff_max": "200ms"},
                      preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (cls.limit, cls.limit)))

    def test_accepting_pauses_and_goes_on(self):
        crowd = [self.daemon.connect() for _ in range(100)]
        for peer in crowd:
            self.addCleanup(peer.close)
        calls = [peer.send("ping") for peer in crowd]
        wait_for(lambda: "cannot accept connections" in self.daemon.log(), "no descriptor is left")
        accepted = self.peer.call("stats")["gauges"]["peers"] - 1
        self.assertLess(accepted, self.limit)
        self.assertGreater(accepted, self.limit // 2)
        wait_for(lambda: self.daemon.descriptors() == self.limit, "all descriptors are in use")
        # Nothing can be polled either, for now.
        self.register("starved", [completed("fed")])
        wait_for(lambda: self.endpoint_status()["reason"] == "network", "the gate says so")
        assert_idle(self, self.daemon, 2.5)  # two and more attempts to accept
        assert_quick(self, self.peer, "without a free descriptor", 100)
        for peer, call in zip(crowd[:accepted], calls):
            self.assertEqual(peer.reply(call), {})
            peer.close()
        for peer, call in zip(crowd[accepted:], calls[accepted:]):
            self.assertEqual(peer.reply(call), {}, "whoever waited is let in")
            peer.close()
        self.assert_ok(self.peer.outcome("starved"), "fed")
        peers_are(self.peer, 1)
        with self.daemon.connect() as peer:
            self.assertEqual(peer.call("ping"), {})
        self.assertLess(self.daemon.log().count("cannot accept connections"), 5)


class Stopping(Running):
    """SIGTERM."""

    shared = False

    def assert_shutting_down(self, message, call):
        self.assertEqual((message["id"], message["error"]["code"], message["error"]["data"]),
                         (call, -32003, {"name": "shutting_down"}))

    def assert_refused(self, peer, method, **params):
        with self.assertRaises(CallError) as caught:
            peer.call(method, **params)
        self.assertEqual(caught.exception.name, "shutting_down", method)

    def test_outstanding_awaits_are_told(self):
        self.sim.script({"a": HELD, "b": HELD, "done": [completed(1)]})
        self.peer.call("register", request_ids=["a", "b", "done"], metadata={"m": 1})
        self.assert_ok(self.peer.outcome("done"), 1)
        with self.daemon.connect() as other:
            calls = [self.peer.send("await", request_id="a"), self.peer.send("await", request_ids=["b", "a"], ack=True),
                     self.peer.send("await", where={"m": 1}, await_timeout_ms=600000)]
            stream = other.send("await", request_ids=["a", "done"], stream=True)
            first = other.read()
            self.assertEqual((first["method"], first["params"]["request_id"]), ("outcome", "done"))
            self.peer.call("ping")
            self.daemon.signal(signal.SIGTERM)
            self.assert_shutting_down(other.read(), stream)
            told = sorted((self.peer.read() for _ in calls), key=lambda message: message["id"])
            for message, call in zip(told, calls):
                self.assert_shutting_down(message, call)
            self.assertIsNone(self.peer.read())
            self.assertIsNone(other.read())
        self.daemon.stop()
        self.assertFalse(os.path.exists(self.daemon.socket_path))

    def test_what_goes_on_meanwhile(self):
        """As long as somebody still reads what is owed, others may ask, but begin nothing."""
        self.register("big", [{"size": BIG}])
        self.register("held", HELD)
        wait_for(lambda: self.status("big")["ok"], "it has ended")
        with self.daemon.connect() as reader:
            call = reader.send("collect", request_id="big", ack=True)
            reader.socket.recv(1, socket.MSG_PEEK)  # the reply has begun
            wait = self.peer.send("await", request_id="held")
            self.peer.call("ping")
            self.daemon.signal(signal.SIGTERM)
            self.assert_shutting_down(self.peer.read(), wait)
            self.assertEqual(self.peer.call("ping"), {})
            self.assertEqual(self.peer.call("hello")["protocol"], 1)
            self.assertEqual(self.status("held")["ok"], None)
            self.assertEqual(len(self.peer.call("list")["futures"]), 2)
            self.assertEqual(len(self.peer.call("endpoints")["endpoints"]), 1)
            self.assertEqual(self.peer.call("stats")["gauges"]["peers"], 2)
            self.assertEqual(self.peer.call("collect", request_id="held")["results"][0]["ok"], None)
            self.assertEqual(self.peer.call("abandon", call=wait), {"abandoned": False})
            for method in ("register", "await", "ack", "cancel"):
                self.assert_refused(self.peer, method, request_id="held")
            with self.assertRaises((ConnectionRefusedError, FileNotFoundError)):
                Peer(self.daemon.socket_path)
            line = reader.read_large()
            self.assertTrue(line.startswith(b'{"jsonrpc":"2.0","id":%d,' % call))
            self.assertIn(b'"result":' + generated_body("big", BIG), line)
            self.assertIsNone(reader.read_raw())
        self.assertIsNone(self.peer.read())
        self.daemon.stop()

    def test_who_does_not_read_does_not_hold_it_up(self):
        self.register("big", [{"size": BIG}])
        wait_for(lambda: self.status("big")["ok"], "it has ended")
        lazy = self.daemon.connect()
        lazy.send("collect", request_id="big")
        lazy.socket.recv(1, socket.MSG_PEEK)
        start = time.monotonic()
        self.daemon.stop()
        self.assertLess(time.monotonic() - start, STOP_SECONDS + SLACK_MS / 1000)
        self.assertIn("not everything could be delivered", self.daemon.log())
        lazy.close()

    def test_a_second_signal_stops_at_once(self):
        self.register("big", [{"size": BIG}])
        wait_for(lambda: self.status("big")["ok"], "it has ended")
        lazy = self.daemon.connect()
        lazy.send("collect", request_id="big")
        lazy.socket.recv(1, socket.MSG_PEEK)
        self.daemon.signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in self.daemon.log(), "it is going down")
        self.daemon.stop()
        self.assertIn("stopping at once", self.daemon.log())
        lazy.close()


if __name__ == "__main__":
    unittest.main()
