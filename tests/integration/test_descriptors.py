"""Large results by descriptor, from the socket's other end: the same bytes as inline, in the order of the outcomes."""

import base64
import json
import os
import unittest

from daemon import FDS_PER_LINE
from running import Running, completed
from sim import generated_body

LARGE = 200000
PROTOBUF = os.urandom(LARGE)


class Descriptors(Running):
    def large(self, *ids, size=LARGE):
        self.sim.script({one: [{"size": size + k}] for k, one in enumerate(ids)})
        self.peer.call("register", request_ids=list(ids))
        self.peer.call("await", request_ids=list(ids), accept_fd=True, stream=True)
        for notification in self.peer.notifications:
            if notification["params"].get("fd"):
                self.peer.body(notification["params"])
        self.peer.notifications.clear()
        self.assertEqual(self.peer.fds, [])

    def check(self, outcome, request_id, size):
        self.assertEqual((outcome["request_id"], outcome["ok"], outcome["fd"], outcome["size"]),
                         (request_id, True, True, size))
        self.assertNotIn("result", outcome)
        self.assertTrue(self.peer.body(outcome) == generated_body(request_id, size))

    def test_hello_names_it(self):
        self.assertIn("fd_results", self.peer.call("hello")["features"])

    def test_in_the_order_asked(self):
        ids = [f"o{k}" for k in range(5)]
        self.large(*ids)
        self.register("o-small", [completed(1)])
        self.peer.outcome("o-small")
        asked = ["o3", "o-small", "o0", "o3", "o-never", "o4"]
        for method in ("collect", "await"):
            outcomes = self.peer.call(method, request_ids=asked, accept_fd=True)["results"]
            self.assertEqual(outcomes[1]["result"], 1)
            self.assertEqual(outcomes[4]["error"]["type"], "not_registered")
            for k, size in ((0, LARGE + 3), (2, LARGE), (3, LARGE + 3), (5, LARGE + 4)):
                self.check(outcomes[k], asked[k], size)
            self.assertEqual(self.peer.fds, [])

    def test_the_same_as_inline(self):
        self.large("same")
        outcome = self.peer.outcome("same", accept_fd=True)
        body = self.peer.body(outcome)
        self.peer.send("await", request_id="same")
        line = self.peer.read_large()
        self.assertIn(b'"result":' + body + b"}]}}", line)

    def test_protobuf(self):
        self.register("proto", [{"body_base64": base64.b64encode(PROTOBUF).decode(), "content_type": "application/x-protobuf"}],
                      accept="protobuf")
        outcome = self.peer.outcome("proto", accept_fd=True)
        self.assertEqual((outcome["content_type"], outcome["size"], outcome["fd"]), ("application/x-protobuf", LARGE, True))
        self.assertTrue(self.peer.body(outcome) == PROTOBUF)
        self.assertEqual(base64.b64decode(self.peer.outcome("proto")["result_base64"]), PROTOBUF)

    def test_no_more_than_sixteen(self):
        ids = [f"m{k}" for k in range(FDS_PER_LINE + 4)]
        self.large(*ids)
        outcomes = self.peer.call("collect", request_ids=ids, accept_fd=True)["results"]
        self.assertEqual(len(self.peer.fds), FDS_PER_LINE)
        for k in range(FDS_PER_LINE):
            self.check(outcomes[k], ids[k], LARGE + k)
        for k in range(FDS_PER_LINE, len(ids)):
            self.assertNotIn("fd", outcomes[k])
            self.assertTrue(outcomes[k]["result"] == json.loads(generated_body(ids[k], LARGE + k)))

    def test_stream(self):
        ids = [f"s{k}" for k in range(20)]
        self.sim.script({one: [{"size": LARGE + k}] for k, one in enumerate(ids)})
        self.peer.call("register", request_ids=ids)
        reply = self.peer.call("await", request_ids=ids, accept_fd=True, stream=True)
        self.assertEqual(reply, {"ended": 20, "ok": 20, "failed": 0})
        self.assertEqual(len(self.peer.notifications), 20)
        for notification in self.peer.notifications:
            outcome = notification["params"]
            self.check(outcome, ids[outcome["index"]], LARGE + outcome["index"])
        self.peer.notifications.clear()

    def test_it_outlives_the_registration(self):
        self.large("gone")
        outcome = self.peer.outcome("gone", accept_fd=True, ack=True)
        self.assertEqual(self.peer.outcome("gone")["error"]["type"], "not_registered")
        self.check(outcome, "gone", LARGE)

    def test_it_can_only_be_read(self):
        self.large("read")
        self.peer.outcome("read", accept_fd=True)
        with self.assertRaises(OSError):
            os.write(self.peer.fds[0], b"x")
        os.close(self.peer.fds.pop())


if __name__ == "__main__":
    unittest.main()
