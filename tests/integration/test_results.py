"""Results byte for byte, whatever their form and size: compared as raw bytes of the reply lines, not as decoded JSON."""

import base64
import multiprocessing
import os
import random
import statistics
import threading
import time
import unittest

from daemon import Daemon, Peer, binary, wait_for
from running import Running, completed
from sim import Sim, generated_body

MIB = 1 << 20
ID = "x"
MARK = b'"content_type":"application/json","result":'  # what follows is the server's

# What the server writes: kept as it is.
VERBATIM = [
    "null", "true", "false", "0", "-0", "-0.0", "1.0", "1.50", "1E5", "1e+05", "1e400", "-1e-400",
    "0.1000000000000000055511151231257827", "123456789012345678901234567890", '""', "[]", "{}",
    '{"b":1,"a":2,"c":{"z":[],"y":{}}}', '{"a":1,"a":2}', '{"":{"":""}}',
    r'"\u0041\/\"\\\b\f\n\r\t\u0000"', r'"\uD83D\uDE00"', r'"\ud800"', r'"\udfff\ud800"', '"é€\U0001f600\u2028\u007f"',
    "NaN", "[NaN,Infinity,-Infinity]", '{"loss":NaN,"n":[1,2.0,3e0]}',
    '{ "a" :\t1 , "b" : [ 1 , 2 ] }', '{"result":{"result":1},"ok":false,"error_count":0}',
    "[" * 511 + "]" * 511, '{"a":' * 300 + "1" + "}" * 300, '"' + "long " * 4000 + '"',
    "[" + ",".join(str(k * 0.37) for k in range(3000)) + "]",
]
# Line breaks between tokens become spaces, one for one.
FLATTENED = {
    '{\n  "a": 1,\r\n  "b": [\n    1\n  ]\n}': '{   "a": 1,    "b": [     1   ] }',
    "[1,\n\n2\r]": "[1,  2 ]",
}


def as_body(text, **members):
    return {"body_base64": base64.b64encode(text.encode()).decode(), **members}


class Verbatim(Running):
    def raw_reply(self, method, **params):
        self.peer.send(method, **params)
        return self.peer.read_raw()

    def check(self, request_id, text):
        """The outcome's last member is the result: the line ends with it and with what closes the reply."""
        for method in ("await", "collect"):
            line = self.raw_reply(method, request_ids=[request_id])
            before, _, after = line.partition(MARK)
            self.assertIn(b'"request_id":"%s"' % request_id.encode(), before)
            self.assertTrue(after.startswith(text.encode()), after[:200])
            self.assertIn(after[len(text.encode()):], (b"}]}}", b'}],"next":null}}'))

    def check_all(self, prefix, dress, texts, **members):
        for k, (sent, expected) in enumerate(texts):
            with self.subTest(sent=sent[:60]):
                self.register(f"{prefix}{k}", [as_body(dress(sent), **members)])
                self.check(f"{prefix}{k}", expected)

    TEXTS = [(text, text) for text in VERBATIM] + list(FLATTENED.items())

    def test_member_result(self):
        self.check_all("w", lambda text: '{"status":"completed","result":%s,"more":[1]}' % text, self.TEXTS)

    def test_member_result_first_and_with_spaces(self):
        self.check_all("v", lambda text: ' {\n"result" :\n %s \n, "status" : "completed" } \n' % text, self.TEXTS)

    def test_whole_body(self):
        texts = self.TEXTS + [(f" \r\n{text}\n", text) for text in VERBATIM[:6]]
        self.check_all("b", str, texts)

    def test_in_pieces(self):
        """Cut anywhere: within numbers, escapes and characters of several bytes."""
        texts = [pair for pair in self.TEXTS if len(pair[0]) < 100]
        self.check_all("p", lambda text: '{"status":"completed","result":%s}' % text, texts,
                       slow_body={"chunk": 1, "interval_ms": 0}, chunked=True)

    def test_streamed(self):
        texts = self.TEXTS
        ids = [f"s{k}" for k in range(len(texts))]
        self.sim.script({request_id: [as_body(sent)] for request_id, (sent, _) in zip(ids, texts)})
        self.peer.call("register", request_ids=ids)
        self.peer.send("await", request_ids=ids, stream=True)
        seen = {}
        for _ in ids:
            line = self.peer.read_raw()
            before, _, after = line.partition(MARK)
            index = int(before.split(b'"index":')[1].split(b",")[0])
            seen[index] = after[:-2]
        self.assertEqual([seen[k] for k in range(len(ids))], [expected.encode() for _, expected in texts])
        self.assertEqual(self.peer.read()["result"], {"ended": len(ids), "ok": len(ids), "failed": 0})


class Protobuf(Running):
    TYPE = "application/x-protobuf"

    def test_bytes(self):
        for size in (1, 2, 3, 100, 300001):
            content = random.Random(size).randbytes(size)
            with self.subTest(size=size):
                outcome = self.run_through(f"p{size}", [{"body_base64": base64.b64encode(content).decode(),
                                                         "content_type": self.TYPE}], accept="protobuf")
                self.assertEqual((outcome["ok"], outcome["content_type"], outcome["size"]), (True, self.TYPE, size))
                self.assertEqual(base64.b64decode(outcome["result_base64"], validate=True), content)
                self.assertEqual(self.sim.polls(f"p{size}")[0]["headers"]["accept"], self.TYPE)

    def test_json_all_the_same(self):
        self.assert_ok(self.run_through("j", [{"json": {"type": "try_again"}}, completed({"a": 1})], accept="protobuf"),
                       {"a": 1})

    def test_not_asked_for(self):
        outcome = self.run_through("n", [{"body": "{}", "content_type": "Application/X-Protobuf;v=1"}])
        self.assertEqual((outcome["content_type"], outcome["result_base64"]), (self.TYPE, "e30="))

    def test_an_error_is_still_an_error(self):
        error = self.assert_error(self.run_through("e", [{"status": 422, "body": "\x01", "content_type": self.TYPE}],
                                                   accept="protobuf"), "api_status", "user", 422)
        self.assertNotIn("\x01", error["message"])


class Sizes(Running):
    limits = {"max_result_bytes": "64K", "inflight_result_bytes": "100000"}
    LIMIT = 64 * 1024

    def assert_too_large(self, request_id, answer, size=None):
        error = self.assert_error(self.run_through(request_id, [answer, completed(1)]), "validation", "server", 200)
        self.assertEqual((error["data"]["reason"], error["data"]["limit"]), ("too_large", self.LIMIT))
        if size is not None:
            self.assertEqual(error["data"]["size"], size)
        self.assert_polls(request_id, 1)

    def test_at_the_limit(self):
        for name, how in {"length": {}, "chunks": {"chunked": True}, "close": {"until_close": True}}.items():
            with self.subTest(name):
                outcome = self.run_through("fits " + name, [{"size": self.LIMIT, **how}])
                self.assertEqual(len(outcome["result"]["pad"]), self.LIMIT - 26)
                self.assert_too_large("over " + name, {"size": self.LIMIT + 1, **how})

    def test_not_read_to_its_end(self):
        """200 MB are announced, or come without a length: neither is taken in."""
        for name, how in {"length": {}, "chunks": {"chunked": True}}.items():
            with self.subTest(name):
                before = self.counters()["upstream_bytes_received"]
                self.assert_too_large("huge " + name, {"size": 200 * MIB, **how})
                self.assertLess(self.counters()["upstream_bytes_received"] - before, 2 * MIB)

    def test_announced(self):
        """A size that is too large is the end before anything is retrieved."""
        metadata = {"json": {"status": "complete_metadata", "response_payload_size": self.LIMIT + 1}}
        self.assert_too_large("announced", metadata, self.LIMIT + 1)

    def test_announced_again(self):
        metadata = {"json": {"status": "complete_metadata", "response_payload_size": 10}}
        error = self.assert_error(self.run_through("twice", [metadata, metadata, completed(1)]),
                                  "validation", "server", 200)
        self.assertEqual(error["data"]["reason"], "metadata_repeated")

    def test_budget(self):
        """20 results of 30,000 bytes with room for 100,000: three are retrieved at a time, and the fourth waits."""
        ids = [f"m{k}" for k in range(20)]
        self.sim.script({request_id: [{"json": {"status": "complete_metadata", "response_payload_size": 30000}},
                                      {"size": 30000, "until_release": True}] for request_id in ids})
        self.peer.call("register", request_ids=ids)
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 3)
        wait_for(lambda: sum(future["why_waiting"] == "byte_budget"
                             for future in self.peer.call("list", limit=1000)["futures"]) == 17, "the others wait")
        self.assertEqual(self.peer.call("stats")["gauges"]["inflight_result_bytes"], 90000)
        released = 0
        while released < 20:
            released += self.sim.release()
        results = self.peer.call("await", request_ids=ids)["results"]
        self.assertEqual([outcome["ok"] for outcome in results], [True] * 20)
        retrievals = [poll for request_id in ids for poll in self.sim.polls(request_id) if poll["body_bytes"] > 1000]
        self.assertEqual([poll["body"]["allow_metadata_only"] for poll in retrievals], [False] * 20)
        for one in retrievals:
            together = sum(other["t_ms"] <= one["t_ms"] <= other["t_answer_ms"] for other in retrievals)
            self.assertLessEqual(together, 3)
        self.assertEqual(self.peer.call("stats")["gauges"]["inflight_result_bytes"], 0)


def sanitized():
    """Whether the daemon was built with the address sanitizer: there a growing block is copied, not moved."""
    with open(binary("TINKEXD"), "rb") as file:
        return b"__asan_init" in file.read()


def ping_until(path, done, pipe):
    """Process: pings one after the other, then tells how long each took, in seconds."""
    took = []
    with Peer(path) as peer:
        pipe.send("begun")
        while not done.is_set():
            start = time.monotonic()
            peer.call("ping")
            took.append(time.monotonic() - start)
    pipe.send(took)


class Large(unittest.TestCase):
    """A base class: one result of SIZE bytes, registered, and let go when somebody waits for it."""

    SIZE = None

    @classmethod
    def setUpClass(cls):
        if cls.SIZE is None:
            raise unittest.SkipTest("a base class")
        cls.expected = generated_body(ID, cls.SIZE)

    def setUp(self):
        self.sim = Sim({ID: [{"size": self.SIZE, "until_release": True}]})
        self.addCleanup(self.sim.stop)
        # The address sanitizer keeps freed memory for a while: as little as it can.
        options = "quarantine_size_mb=1:thread_local_quarantine_size_kb=64:" + os.environ.get("ASAN_OPTIONS", "")
        self.daemon = Daemon(self.sim.url, env={"ASAN_OPTIONS": options})
        self.addCleanup(self.daemon.__exit__, None, None, None)
        self.daemon.call("register", request_id=ID)

    def start_reading(self, n, timeout=120):
        """Peers that wait for the result; released once all of them do."""
        peers = []
        for _ in range(n):
            peers.append(self.daemon.connect(timeout))
            self.addCleanup(peers[-1].close)
            peers[-1].send("await", request_id=ID)
        wait_for(lambda: self.daemon.call("stats")["gauges"]["calls_outstanding"] >= n, "all wait")
        self.sim.release(ID)
        return peers

    def check(self, line):
        before, _, after = line.partition(MARK)
        self.assertLess(len(before), 1000)
        self.assertTrue(after[:self.SIZE] == self.expected, "the result is not what the server sent")
        self.assertEqual(after[self.SIZE:], b"}]}}")


class FiftyMegabytes(Large):
    SIZE = 50 * MIB

    def test_two_peers_at_once(self):
        """The body comes from the disk for both, and whoever asks for something small meanwhile gets it at once."""
        fork = multiprocessing.get_context("fork")
        done, (ours, theirs) = fork.Event(), fork.Pipe()
        pinger = fork.Process(target=ping_until, args=(self.daemon.socket_path, done, theirs))
        pinger.start()
        self.addCleanup(pinger.kill)
        ours.recv()
        before = self.daemon.status_value("VmHWM")
        lines = []
        readers = [threading.Thread(target=lambda peer=peer: lines.append(peer.read_large(self.SIZE)))
                   for peer in self.start_reading(2)]
        for thread in readers:
            thread.start()
        for thread in readers:
            thread.join()
        grown = (self.daemon.status_value("VmHWM") - before) * 1024
        done.set()
        took = ours.recv()
        pinger.join()

        self.assertEqual(len(lines), 2)
        for line in lines:
            self.check(line)
        if not sanitized():  # else what was freed counts, too
            self.assertLess(grown, 16 * MIB)
        self.assertGreater(len(took), 20)
        self.assertLess(statistics.median(took), 0.1)
        self.assertLess(max(took), 10 if sanitized() else 2)
        self.assertEqual(self.daemon.call("ack", request_id=ID)["acked"], 1)
        wait_for(lambda: (self.daemon.status_value("VmRSS") - before) * 1024 < 8 * MIB, "the body's memory is free")


class Leaving(Large):
    @classmethod
    def setUpClass(cls):
        cls.SIZE = (20 if sanitized() else 50) * MIB  # there a growing body is copied many times over
        super().setUpClass()

    def test_a_peer_that_leaves_in_the_middle(self):
        self.daemon.call("ping")
        before = self.daemon.descriptors()
        leaver, stayer = self.start_reading(2)
        received = 0
        while received < MIB:
            received += len(leaver.socket.recv(64 * 1024))
        leaver.close()
        self.check(stayer.read_large(self.SIZE))
        # What was not taken whole is not delivered: it is there for the next one, too.
        with self.daemon.connect(timeout=120) as peer:
            peer.send("collect", request_id=ID)
            line = peer.read_large(self.SIZE)
            self.assertTrue(line.partition(MARK)[2].startswith(self.expected))
            stayer.close()
        wait_for(lambda: self.daemon.descriptors() <= before + 1, "nothing of the connections is left")
        self.assertEqual(len(self.sim.polls(ID)), 1)

    def test_acknowledged_only_when_taken(self):
        """`ack` of somebody who leaves in the middle counts for nothing."""
        peer = self.daemon.connect()
        peer.send("await", request_id=ID, ack=True)
        self.sim.release(ID)
        self.assertTrue(peer.socket.recv(1000))
        peer.close()
        with self.daemon.connect(timeout=120) as peer:
            wait_for(lambda: peer.call("stats")["gauges"]["peers"] == 1, "the daemon has noticed")
            self.assertIs(peer.call("status", request_id=ID)["ok"], True)
            peer.send("await", request_id=ID, ack=True)
            self.check(peer.read_large(self.SIZE))
            wait_for(lambda: peer.call("stats")["counters"]["acks"] == 1, "the second one's counts")
            self.assertEqual(peer.outcome(ID)["error"]["data"]["reason"], "acked")


if __name__ == "__main__":
    unittest.main()
