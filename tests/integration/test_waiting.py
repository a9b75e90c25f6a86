"""What clients build on: linked registrations, streams, abandoning, and acknowledging what was delivered."""

import os
import signal
import socket
import unittest

import document
from daemon import Peer, wait_for
from running import Running, completed
from sim import generated_body
from watching import peers_are

BIG = 10 * 1024 * 1024
HELD = [{"never": True}]


def released(result):
    return [{**completed(result), "until_release": True}]


class Process:
    """A process of its own that speaks to the daemon: body(peer, tell) runs there, until it is killed at the block's end.

    tell() lets the block begin; after body() the process only waits.
    """

    def __init__(self, daemon, body):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.pid = os.fork()
            if self.pid == 0:
                try:
                    with Peer(daemon.socket_path) as peer:
                        body(peer, lambda: theirs.send(b"."))
                        signal.pause()
                finally:
                    os._exit(1)
            theirs.close()
            ours.settimeout(60)
            if ours.recv(1) != b".":
                raise ChildProcessError("the process ended before it was ready")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Waiting(Running):
    def setUp(self):
        super().setUp()
        self.others = []
        self.prefix = self.id().rpartition(".")[2]

    def tearDown(self):
        for peer in self.others:
            peer.close()
        peers_are(self.peer, 1)
        self.assertEqual(self.peer.notifications, [])

    def connect(self):
        self.others.append(self.daemon.connect())
        return self.others[-1]

    def gone(self, peer):
        self.others.remove(peer)
        peer.close()

    def ids(self, names, answers=None):
        """Ids of this test's own for the given letters; with answers for each, `None`: held."""
        ids = [f"{self.prefix} {name}" for name in names]
        self.sim.script({request_id: answers or HELD for request_id in ids})
        return ids

    def live(self, peer, *ids):
        return {request_id for request_id in ids if peer.call("status", request_id=request_id)["ok"] is None}

    def assert_cancelled(self, *ids):
        for outcome in self.peer.call("await", request_ids=list(ids))["results"]:
            self.assert_error(outcome, "cancelled")


class Linked(Waiting):
    def test_it_ends_with_its_connection(self):
        a, b, other = self.ids("abc")
        self.register(other)
        one = self.connect()
        one.call("register", request_ids=[a, b], linked=True)
        self.assertTrue(self.status(a)["linked"])
        self.gone(one)
        self.assert_cancelled(a, b)
        self.assertEqual(self.live(self.peer, a, b, other), {other})

    def test_it_ends_with_its_process(self):
        """Killed, so that nothing but the kernel can say so."""
        a, = self.ids("a")
        with Process(self.daemon, lambda peer, tell: (peer.call("register", request_id=a, linked=True), tell())):
            self.assertEqual(self.live(self.peer, a), {a})
        self.assert_cancelled(a)

    def test_two_connections(self):
        """It lives while one of them does, whichever goes first."""
        for first in (0, 1):
            a, = self.ids(f"{first}")
            pair = [self.connect(), self.connect()]
            self.assertEqual([peer.call("register", request_id=a, linked=True)["registrations"][0]["new"]
                              for peer in pair], [True, False])
            self.gone(pair[first])
            peers_are(self.peer, 2)
            self.assertEqual(self.live(self.peer, a), {a})
            self.gone(pair[1 - first])
            self.assert_cancelled(a)

    def test_one_connection_twice(self):
        """Linking twice is linking once."""
        a, = self.ids("a")
        one = self.connect()
        for _ in range(3):
            one.call("register", request_id=a, linked=True)
        self.gone(one)
        self.assert_cancelled(a)

    def test_once_registered_without(self):
        """It is linked no longer, whoever says so and whatever is said later."""
        for options in ({}, {"linked": False}):
            a, b = self.ids(f"{len(options)}{name}" for name in "ab")
            one = self.connect()
            one.call("register", request_ids=[a, b], linked=True)
            self.peer.call("register", request_id=a, **options)
            one.call("register", request_id=b, **options)
            self.assertFalse(self.status(a)["linked"])
            one.call("register", request_id=a, linked=True)
            self.gone(one)
            peers_are(self.peer, 1)
            self.assertEqual(self.live(self.peer, a, b), {a, b})

    def test_shutting_down_the_sending_side_is_not_going(self):
        a, = self.ids("a", released("in time"))
        one = self.connect()
        one.call("register", request_id=a, linked=True)
        one.send("await", request_id=a)
        one.socket.shutdown(socket.SHUT_WR)
        self.peer.call("ping")
        self.assertEqual(self.live(self.peer, a), {a})
        self.sim.release(a)
        self.assertEqual([message["result"]["results"][0]["result"] for message in one.at_end()], ["in time"])

    def test_what_has_ended_stays(self):
        a, = self.ids("a", [completed("kept")])
        one = self.connect()
        one.call("register", request_id=a, linked=True)
        self.assert_ok(one.outcome(a), "kept")
        self.gone(one)
        peers_are(self.peer, 1)
        self.assert_ok(self.peer.outcome(a), "kept")


class Streams(Waiting):
    def next(self, peer, call):
        message = peer.read()
        self.assertEqual((message["method"], message["params"]["call"]), ("outcome", call), message)
        return message["params"]["index"], message["params"]

    def test_in_the_order_of_ends(self):
        """First what has ended or is not there, then each as it ends; the counts come last."""
        ids = self.ids("abcdef", released("x"))
        done, = self.ids(["done"], [completed("d")])
        self.run_through(done, [completed("d")])
        self.peer.call("register", request_ids=ids)
        one = self.connect()
        asked = [*ids[:3], done, "unknown", *ids[3:]]  # a b c done unknown d e f
        call = one.send("await", request_ids=asked, stream=True)
        self.assertEqual([self.next(one, call)[0] for _ in range(2)], [3, 4])
        for index in (5, 0, 7, 2):
            self.sim.release(asked[index])
            self.assertEqual(self.next(one, call)[0], index)
        for index in (6, 1):
            self.peer.call("cancel", request_id=asked[index])
            place, outcome = self.next(one, call)
            self.assertEqual(place, index)
            self.assert_error(outcome, "cancelled")
        self.assertEqual(one.reply(call), {"ended": 8, "ok": 5, "failed": 3})
        self.assertEqual(one.notifications, [])

    def test_the_time_is_up(self):
        """What has not ended comes at the end, in the order asked; with its time as the reason."""
        ids = self.ids("abc")
        done, = self.ids(["done"], [completed("d")])
        self.peer.call("register", request_ids=[*ids, done])
        self.peer.outcome(done)
        call = self.peer.send("await", request_ids=[*ids, done], stream=True, await_timeout_ms=150, on_timeout="keep")
        told = [self.next(self.peer, call) for _ in range(4)]
        self.assertEqual([index for index, _ in told], [3, 0, 1, 2])
        for _, outcome in told[1:]:
            error = self.assert_error(outcome, "api_timeout")
            self.assertEqual((error["data"]["reason"], error["data"]["timeout_ms"]), ("await_timeout", 150))
        self.assertEqual(self.peer.reply(call), {"ended": 4, "ok": 1, "failed": 3})
        self.assertEqual(self.live(self.peer, *ids), set(ids))

    def test_several_streams_at_once(self):
        """Two calls of one connection and one of another, on the same futures."""
        ids = self.ids("abc", released("x"))
        self.peer.call("register", request_ids=ids)
        one, other = self.connect(), self.connect()
        calls = [(one, one.send("await", request_ids=ids, stream=True)),
                 (one, one.send("await", request_ids=[*reversed(ids)], stream=True)),
                 (other, other.send("await", request_ids=ids, stream=True))]
        for peer in (one, other):
            peer.call("ping")
        order = [1, 2, 0]
        for index in order:
            self.sim.release(ids[index])
            self.assertEqual(self.next(other, calls[2][1])[0], index)
        for peer, call in calls:
            self.assertEqual(peer.reply(call), {"ended": 3, "ok": 3, "failed": 0})
        told = [(message["params"]["call"], message["params"]["index"]) for message in one.notifications]
        for (_, call), places in zip(calls, (order, [1, 0, 2])):
            self.assertEqual([place for of, place in told if of == call], places)

    def test_an_id_that_stands_twice(self):
        a, = self.ids("a", released("x"))
        self.register(a)
        call = self.peer.send("await", request_ids=[a, a], stream=True)
        self.peer.call("ping")
        self.sim.release(a)
        self.assertEqual({self.next(self.peer, call)[0] for _ in range(2)}, {0, 1})
        self.assertEqual(self.peer.reply(call), {"ended": 2, "ok": 2, "failed": 0})


class Abandoned(Waiting):
    def test_it_is_never_answered(self):
        a, = self.ids("a", released("x"))
        self.register(a)
        one = self.connect()
        for call in (7, "seven", "", -9223372036854775808, "é"):
            for stream in (False, True):
                one.send_raw(document.json_line({"id": call, "method": "await",
                                                 "params": {"request_id": a, "stream": stream}}))
                self.assertEqual(one.call("abandon", call=call), {"abandoned": True})
                self.assertEqual(one.call("abandon", call=call), {"abandoned": False})
        keep = one.send("await", request_id=a)
        self.sim.release(a)
        self.assert_ok(one.reply(keep)["results"][0], "x")
        self.assertEqual(one.call("ping"), {})
        self.assertEqual((one.replies, one.notifications), ({}, []))

    def test_all_with_that_id_and_of_this_connection_only(self):
        a, = self.ids("a", released("x"))
        self.register(a)
        one, other = self.connect(), self.connect()
        line = document.json_line({"id": "w", "method": "await", "params": {"request_id": a}})
        one.send_raw(line * 3)
        other.send_raw(line)
        other.call("ping")
        self.assertEqual(other.call("abandon", call="v"), {"abandoned": False})
        self.assertEqual(one.call("abandon", call="w"), {"abandoned": True})
        self.sim.release(a)
        self.assertEqual(other.read()["id"], "w")
        self.assertEqual(one.call("ping"), {})
        self.assertEqual(one.replies, {})

    def test_a_stream_in_the_middle(self):
        ids = self.ids("abc", released("x"))
        self.peer.call("register", request_ids=ids)
        one = self.connect()
        call = one.send("await", request_ids=ids, stream=True, ack=True)
        one.call("ping")
        self.sim.release(ids[1])
        self.assertEqual(one.read()["params"]["index"], 1)
        self.assertEqual(one.call("abandon", call=call), {"abandoned": True})
        for request_id in (ids[0], ids[2]):
            self.sim.release(request_id)
            self.assert_ok(self.peer.outcome(request_id), "x")
        self.assert_ok(self.peer.outcome(ids[1]), "x")  # not acknowledged: the reply was never sent
        self.assertEqual(one.call("ping"), {})
        self.assertEqual((one.replies, one.notifications), ({}, []))

    def test_registrations_stay(self):
        """Whether the register is held still or was answered already, its registration stands."""
        a, = self.ids("a", [completed("x")])
        one = self.connect()
        call = one.send("register", request_id=a)
        one.call("abandon", call=call)
        self.assert_ok(self.peer.outcome(a), "x")


class Acknowledged(Waiting):
    """With `ack` an outcome is forgotten when its reply is out, and not before."""

    WAYS = {
        "await": lambda peer, request_id: peer.send("await", request_id=request_id, ack=True),
        "stream": lambda peer, request_id: peer.send("await", request_id=request_id, ack=True, stream=True),
        "collect": lambda peer, request_id: peer.send("collect", request_id=request_id, ack=True),
        "a page": lambda peer, request_id: peer.send("collect", where={"id": request_id}, ack=True),
    }

    def have_big(self, name="big"):
        """A result that does not fit into any socket's buffer: its reply is out when it was read."""
        request_id, = self.ids([name], [{"size": BIG}])
        self.register(request_id, metadata={"id": request_id})
        wait_for(lambda: self.status(request_id)["ok"], "it has ended")
        return request_id

    def acked(self, request_id):
        outcome = self.peer.call("collect", where={"id": request_id})["results"]
        if outcome:
            return False
        error = self.assert_error(self.peer.outcome(request_id), "not_registered")
        self.assertEqual(error["data"]["reason"], "acked")
        return True

    def test_not_before_it_is_read(self):
        for way, send in self.WAYS.items():
            with self.subTest(way):
                request_id = self.have_big(way)
                one = self.connect()
                send(one, request_id)
                left = BIG // 2
                while left > 0:
                    left -= len(one.socket.recv(min(left, 1 << 20)))
                    self.assertTrue(self.status(request_id)["ok"])
                self.gone(one)
                peers_are(self.peer, 1)
                self.assertTrue(self.status(request_id)["ok"], "half a reply is none")

    def test_when_it_is_read(self):
        for way, send in self.WAYS.items():
            with self.subTest(way):
                request_id = self.have_big(way)
                one = self.connect()
                send(one, request_id)
                self.assertIn(b'"result":' + generated_body(request_id, BIG), one.read_large())
                if way == "stream":
                    self.assertEqual(one.read()["result"], {"ended": 1, "ok": 1, "failed": 0})
                wait_for(lambda: self.acked(request_id), "it is acknowledged")

    def test_what_the_kernel_has_is_out(self):
        """A small reply needs no reader to be acknowledged: so PROTOCOL.md warns."""
        for way, send in self.WAYS.items():
            a, = self.ids([way], [completed("small")])
            self.register(a, metadata={"id": a})
            self.assert_ok(self.peer.outcome(a), "small")
            send(self.connect(), a)
            wait_for(lambda: self.acked(a), "it is acknowledged")

    def test_a_process_that_is_killed_while_it_reads(self):
        for way, send in self.WAYS.items():
            with self.subTest(way):
                request_id = self.have_big(way)
                with Process(self.daemon, lambda peer, tell: (send(peer, request_id), peer.socket.recv(1000), tell())):
                    pass
                peers_are(self.peer, 1)
                self.assertTrue(self.status(request_id)["ok"])
                self.assertIn(generated_body(request_id, BIG), self.whole(request_id))

    def whole(self, request_id):
        with self.daemon.connect() as peer:
            peer.send("collect", request_id=request_id)
            return peer.read_large()

    def test_a_process_that_is_killed_while_it_waits(self):
        for stream in (False, True):
            a, = self.ids([f"{stream}"], released("still there"))
            self.register(a)
            with Process(self.daemon, lambda peer, tell: (peer.send("await", request_id=a, ack=True, stream=stream),
                                                          peer.call("ping"), tell())):
                pass
            peers_are(self.peer, 1)
            self.sim.release(a)
            self.assert_ok(self.peer.outcome(a), "still there")

    def test_all_who_wait_get_it(self):
        """One acknowledges what the others still wait for, or have not read."""
        a, = self.ids("a", released("for all"))
        self.register(a)
        everybody = [self.connect() for _ in range(5)]
        calls = [peer.send("await", request_id=a, ack=True) for peer in everybody]
        for peer in everybody:
            peer.call("ping")
        self.sim.release(a)
        for peer, call in zip(everybody, calls):
            self.assert_ok(peer.reply(call)["results"][0], "for all")
        error = self.assert_error(self.peer.outcome(a), "not_registered")
        self.assertEqual(error["data"]["reason"], "acked")

    def test_a_call_that_is_told_nothing_acknowledges_nothing(self):
        a, b = self.ids("ab", released("later"))
        self.peer.call("register", request_ids=[a, b])
        results = self.peer.call("await", request_ids=[a, b, "unknown"], await_timeout_ms=0, ack=True)["results"]
        self.assertEqual([one["error"]["type"] for one in results], ["api_timeout", "api_timeout", "not_registered"])
        self.sim.release(a)
        self.assert_ok(self.peer.outcome(a), "later")
        # one of two has ended when the time is up: that one is acknowledged
        results = self.peer.call("await", request_ids=[a, b], await_timeout_ms=0, ack=True)["results"]
        self.assertEqual([one["ok"] for one in results], [True, False])
        self.assert_error(self.peer.outcome(a), "not_registered")
        self.sim.release(b)
        self.assert_ok(self.peer.outcome(b), "later")


if __name__ == "__main__":
    unittest.main()
