"""The process, HTTP, and every kind of answer. The binary is $TINKER_SIM.

Standard library only. Raw sockets are used wherever the bytes on the wire matter.
"""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from support import EARLY, LIMIT, Raw  # first: it makes sim.py importable
from sim import BODY_MIN, Sim, binary, generated_body


class Process(unittest.TestCase):
    def run_sim(self, *args):
        return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=LIMIT)

    def test_port_file_is_whole(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "port")
            with Sim(args=["--port-file", path]) as sim:
                sim.stats()
                with open(path) as file:
                    self.assertEqual(file.read(), "%d\n" % sim.port)
                self.assertEqual(os.listdir(directory), ["port"])

    def test_ends_cleanly_on_both_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            sim = Sim({"a": [{"never": True}]})
            with Raw(sim) as raw:
                raw.poll("a")
                sim.wait_for(lambda stats: stats["in_flight"] == 1)
                sim.process.send_signal(number)
                self.assertEqual(sim.process.wait(LIMIT), 0)
                self.assertEqual(raw.read_all(), b"")
            sim.stop()

    def test_ends_with_its_parent(self):
        program = ("import subprocess, sys, time\n"
                   "child = subprocess.Popen([%r, '--exit-with-parent'], stdout=subprocess.PIPE)\n"
                   "print(child.stdout.readline().decode().strip(), flush=True)\n"
                   "time.sleep(%d)\n" % (binary(), LIMIT))
        parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        try:
            port = int(parent.stdout.readline().rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection:
                parent.kill()
                self.assertEqual(connection.recv(1), b"")
        finally:
            parent.kill()
            parent.wait()
            parent.stdout.close()

    def test_a_port_in_use_is_refused(self):
        with Sim() as sim:
            result = self.run_sim("--listen", "127.0.0.1:%d" % sim.port)
            self.assertEqual(result.returncode, 1)
            self.assertIn("Address already in use", result.stderr)

    def test_a_port_can_be_taken_again_at_once(self):
        with Sim({"a": [{}]}) as sim:
            port = sim.port
            sim.poll("a")
        with Sim(listen="127.0.0.1:%d" % port) as sim:
            self.assertEqual(sim.port, port)

    def test_bad_command_lines(self):
        for args in (["--nonsense"], ["--mode", "dream"], ["--seed", "-1"], ["--min-ms", "9", "--max-ms", "8"],
                     ["--base-path", "x"], ["--fail-percent", "101"], ["stray"]):
            self.assertEqual(self.run_sim(*args).returncode, 2, args)
        for address in ("127.0.0.1", "localhost:0", "127.0.0.1:70000", "127.0.0.1:x", "[::1:0", ""):
            self.assertEqual(self.run_sim("--listen", address).returncode, 1, address)

    def test_help(self):
        result = self.run_sim("--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("--exit-with-parent", result.stdout)

    def test_script_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"a": [{"json": {"value": 42}}]}')
            file.flush()
            with Sim(args=["--script", file.name]) as sim:
                self.assertEqual(sim.poll("a")[2], b'{"value":42}')

    def test_bad_script_files(self):
        for text in ("", "{", "[]", '{"a": {}}', '{"a": [{"stauts": 200}]}'):
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                file.write(text)
                file.flush()
                result = self.run_sim("--script", file.name)
                self.assertEqual(result.returncode, 1, text)
                self.assertIn(file.name, result.stderr)

    def test_listens_on_ipv6(self):
        if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("no IPv6 here")
        with Sim({"a": [{"json": 1}]}, listen="[::1]:0") as sim:
            self.assertEqual(sim.poll("a")[2], b"1")


class Http(unittest.TestCase):
    def setUp(self):
        self.sim = Sim({"*": [{"json": {"n": 1}, "repeat": True}]})
        self.addCleanup(self.sim.stop)

    def test_a_connection_is_kept(self):
        with Raw(self.sim) as raw:
            for _ in range(3):
                raw.poll("a")
                status, headers, body = raw.read_response()
                self.assertEqual(status, "HTTP/1.1 200 OK")
                self.assertEqual(headers, {"content-type": "application/json", "content-length": "7"})
                self.assertEqual(body, b'{"n":1}')
        polls = self.sim.polls("a")
        self.assertEqual([poll["nth"] for poll in polls], [1, 2, 3])
        self.assertEqual([poll["reused"] for poll in polls], [False, True, True])
        self.assertEqual(len({poll["connection"] for poll in polls}), 1)

    def test_connection_close_of_the_client_is_obeyed(self):
        with Raw(self.sim) as raw:
            raw.poll("a", "Connection: close\r\n")
            self.assertIn(b"Connection: close", raw.read_all())

    def test_http_1_0_is_closed(self):
        with Raw(self.sim) as raw:
            raw.send(raw.poll_bytes("a").replace(b"HTTP/1.1", b"HTTP/1.0"))
            self.assertTrue(raw.read_all().endswith(b'{"n":1}'))

    def test_requests_sent_ahead_are_answered_in_order(self):
        with Raw(self.sim) as raw:
            raw.send(raw.poll_bytes("a") + raw.poll_bytes("b") + raw.poll_bytes("c"))
            for _ in range(3):
                self.assertEqual(raw.read_response()[2], b'{"n":1}')
        self.assertEqual([poll["request_id"] for poll in self.sim.polls()], ["a", "b", "c"])
        self.assertEqual(self.sim.stats()["max_in_flight"], 1)

    def test_a_request_byte_by_byte(self):
        with Raw(self.sim) as raw:
            for byte in raw.poll_bytes("a"):
                raw.send(bytes([byte]))
            self.assertEqual(raw.read_response()[2], b'{"n":1}')

    def test_half_a_request_is_no_poll(self):
        with Raw(self.sim) as raw:
            raw.send(raw.poll_bytes("a")[:-1])
        with Raw(self.sim) as raw:
            raw.send(b"POST /api/v1/retr")
        self.sim.wait_for(lambda stats: stats["connections"]["accepted"] == 3 and stats["connections"]["open"] == 1)
        self.assertEqual(self.sim.stats()["polls"], 0)

    def test_requests_that_are_refused(self):
        for request, status in ((b"nonsense\r\n\r\n", 400),
                                (b"GET / HTTP/2.0\r\n\r\n", 400),
                                (b"GET nowhere HTTP/1.1\r\n\r\n", 400),
                                (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
                                (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
                                (b"GET / HTTP/1.1\r\nContent-Length: 1 1\r\n\r\n", 400),
                                (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
                                (b"POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 100000, 413),
                                (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
                                (b"GET /" + b"x" * 70000, 431)):
            with Raw(self.sim) as raw:
                raw.send(request)
                self.assertTrue(raw.read_all().startswith(b"HTTP/1.1 %d " % status), request[:60])
        self.assertEqual(self.sim.stats()["bad_requests"], 10)

    def test_bodies_that_name_no_request(self):
        for body in ("", "x", "[]", "{}", '{"request_id":1}', '{"request_id":"a\\u0000b"}', '{"request_id":"a"}}',
                     '{"request_id":"a"', "null"):
            with Raw(self.sim) as raw:
                raw.send(("POST /api/v1/retrieve_future HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s"
                          % (len(body), body)).encode())
                self.assertEqual(raw.read_response()[0], "HTTP/1.1 422 Unprocessable Content", body)
        self.assertEqual(self.sim.stats()["bad_polls"], 9)
        self.assertEqual([poll["body_text"] for poll in self.sim.polls()][:2], ["", "x"])

    def test_other_paths(self):
        for line, status in (("GET /healthz", 200), ("GET /api/v1/healthz", 200), ("GET /", 404),
                             ("GET /api/v1/retrieve_future", 405), ("POST /api/v1/asample", 404),
                             ("POST /api/v1/retrieve_future/", 404), ("POST /x/api/v1/retrieve_future", 404)):
            with Raw(self.sim) as raw:
                raw.send(("%s HTTP/1.1\r\nX-Test: 1\r\n\r\n" % line).encode())
                self.assertIn(" %d " % status, raw.read_response()[0], line)
        requests = self.sim.requests()
        self.assertEqual([request["status"] for request in requests], [200, 200, 404, 405, 404, 404, 404])
        self.assertEqual(requests[3]["path"], "/api/v1/retrieve_future")
        self.assertEqual(requests[3]["headers"], {"x-test": "1"})
        stats = self.sim.stats()
        self.assertEqual((stats["other_requests"], stats["polls"]), (7, 0))


class Answers(unittest.TestCase):
    def sim(self, script, **options):
        sim = Sim(script, **options)
        self.addCleanup(sim.stop)
        return sim

    def one(self, answer, read=Raw.read_all, request_id="a"):
        """What a client reads that polls once and is given `answer`; the record of the poll."""
        sim = self.sim({request_id: [answer]})
        with Raw(sim) as raw:
            raw.poll(request_id)
            got = read(raw)
        sim.wait_for(lambda stats: stats["in_flight"] == 0)
        return got, sim.polls(request_id)[0]

    def test_status_headers_reason(self):
        (status, headers, body), poll = self.one(
            {"status": 429, "reason": "Slow Down", "headers": {"Retry-After": "2", "X-N": 3}, "json": None},
            Raw.read_response)
        self.assertEqual(status, "HTTP/1.1 429 Slow Down")
        self.assertEqual(headers, {"content-type": "application/json", "retry-after": "2", "x-n": "3",
                                   "content-length": "4"})
        self.assertEqual(body, b"null")
        self.assertEqual((poll["status"], poll["outcome"], poll["answer"]), (429, "answered", 0))

    def test_repeated_header(self):
        head, _ = self.one({"headers": {"X-A": ["1", "2"]}}, Raw.read_head)
        self.assertIn("X-A: 1\r\nX-A: 2\r\n", head)

    def test_content_types(self):
        for answer, expected in (({}, "application/json"), ({"content_type": "text/plain"}, "text/plain"),
                                 ({"headers": {"content-type": "text/html"}}, "text/html")):
            (_, headers, _), _ = self.one(answer, Raw.read_response)
            self.assertEqual(headers["content-type"], expected)
        (_, headers, _), _ = self.one({"content_type": None}, Raw.read_response)
        self.assertNotIn("content-type", headers)

    def test_bodies(self):
        for answer, expected in (({}, b""), ({"body": ""}, b""), ({"body": "not {json"}, b"not {json"),
                                 ({"body": "a\u0000é"}, "a\0é".encode()),
                                 ({"json": {"a": [1, 2.50, "/", None, True]}}, b'{"a":[1,2.5,"/",null,true]}'),
                                 ({"json": "text"}, b'"text"'),
                                 ({"body_base64": base64.b64encode(bytes(range(256))).decode()}, bytes(range(256))),
                                 ({"body_base64": "YQ=="}, b"a"), ({"body_base64": ""}, b"")):
            (_, _, body), _ = self.one(answer, Raw.read_response)
            self.assertEqual(body, expected)

    def test_redirect(self):
        (status, headers, _), _ = self.one({"status": 307, "headers": {"Location": "/elsewhere"}}, Raw.read_response)
        self.assertEqual(status, "HTTP/1.1 307 Temporary Redirect")
        self.assertEqual(headers["location"], "/elsewhere")

    def test_no_body_with_204(self):
        got, _ = self.one({"status": 204, "body": "x", "connection_close": True})
        self.assertTrue(got.endswith(b"Connection: close\r\n\r\n"))
        self.assertNotIn(b"Content-Length", got)

    def test_generated_bodies(self):
        for size in (BODY_MIN, BODY_MIN + 1, 39, 40, 41, 42, 1000, BODY_MIN + 1024, BODY_MIN + 1025, 131072, 131073,
                     1 << 20, 3000001):
            (_, headers, body), poll = self.one({"size": size}, Raw.read_response, "id-é-%d" % size)
            self.assertEqual(headers["content-length"], str(size))
            self.assertEqual(body, generated_body("id-é-%d" % size, size))
            self.assertEqual(json.loads(body)["type"], "sample")
            self.assertEqual(poll["body_bytes"], size)

    def test_generated_body_depends_on_the_id(self):
        self.assertNotEqual(generated_body("a", 100), generated_body("b", 100))

    def test_generated_body_on_its_own(self):
        sim = self.sim({})
        self.assertEqual(json.dumps(sim.control("GET", "body", request_id="a b", size=5000), separators=(",", ":")),
                         generated_body("a b", 5000).decode())

    def test_chunked(self):
        got, _ = self.one({"size": 300000, "chunked": True, "connection_close": True})
        head, _, rest = got.partition(b"\r\n\r\n")
        self.assertIn(b"Transfer-Encoding: chunked", head)
        self.assertNotIn(b"Content-Length", head)
        body = b""
        while True:
            length, _, rest = rest.partition(b"\r\n")
            n = int(length, 16)
            if n == 0:
                break
            body += rest[:n]
            self.assertEqual(rest[n:n + 2], b"\r\n")
            rest = rest[n + 2:]
        self.assertEqual(rest, b"\r\n")
        self.assertEqual(body, generated_body("a", 300000))

    def test_chunked_without_body(self):
        got, _ = self.one({"chunked": True, "connection_close": True})
        self.assertTrue(got.endswith(b"\r\n\r\n0\r\n\r\n"))

    def test_until_close(self):
        got, _ = self.one({"size": 300000, "until_close": True})
        head, _, body = got.partition(b"\r\n\r\n")
        self.assertNotIn(b"Content-Length", head)
        self.assertNotIn(b"Transfer-Encoding", head)
        self.assertEqual(body, generated_body("a", 300000))

    def test_delays(self):
        for name in ("delay_ms", "hold_ms"):
            sent = []

            def read(raw):
                sent.append(time.monotonic())
                raw.read_exactly(1)
                return time.monotonic() - sent[0]

            took, poll = self.one({name: 120.5, "json": 1}, read)
            self.assertGreaterEqual(took, 0.05)
            self.assertGreaterEqual(poll["t_answer_ms"] - poll["t_ms"], 120.5 - EARLY * 1000)

    def test_body_delay(self):
        def read(raw):
            head = raw.read_head()
            begin = time.monotonic()
            self.assertIn("Content-Length: 5", head)
            body = raw.read_exactly(5)
            return time.monotonic() - begin, body

        (took, body), poll = self.one({"body": "hello", "body_delay_ms": 150}, read)
        self.assertEqual(body, b"hello")
        self.assertGreater(took, 0.05)
        self.assertGreaterEqual(poll["t_end_ms"] - poll["t_answer_ms"], 150 - EARLY * 1000)

    def test_slow_body(self):
        def read(raw):
            return raw.read_response()[2]

        body, poll = self.one({"body": "0123456789", "slow_body": {"chunk": 3, "interval_ms": 30}}, read)
        self.assertEqual(body, b"0123456789")
        self.assertGreaterEqual(poll["t_end_ms"] - poll["t_answer_ms"], 90 - EARLY * 1000)

    def test_slow_chunked_body(self):
        got, _ = self.one({"body": "abcd", "slow_body": {"chunk": 2, "interval_ms": 1}, "chunked": True,
                           "connection_close": True})
        self.assertTrue(got.endswith(b"\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"))

    def test_reset(self):
        def read(raw):
            with self.assertRaises(ConnectionResetError):
                raw.read_some()

        _, poll = self.one({"reset": True}, read)
        self.assertEqual((poll["outcome"], poll["body_bytes"]), ("reset", 0))

    def test_close(self):
        got, poll = self.one({"close": True})
        self.assertEqual(got, b"")
        self.assertEqual(poll["outcome"], "closed")

    def test_delayed_reset_and_close(self):
        _, poll = self.one({"close": True, "delay_ms": 60})
        self.assertGreaterEqual(poll["t_end_ms"] - poll["t_ms"], 60 - EARLY * 1000)

    def test_truncate(self):
        for size, n in ((1000, 0), (1000, 1), (1000, 999), (1000000, 500000)):
            got, poll = self.one({"size": size, "truncate": n})
            head, _, body = got.partition(b"\r\n\r\n")
            self.assertIn(b"Content-Length: %d" % size, head)
            self.assertEqual(body, generated_body("a", size)[:n])
            self.assertEqual((poll["outcome"], poll["body_bytes"]), ("truncated", n))

    def test_truncate_by_reset(self):
        def read(raw):
            raw.read_head()
            with self.assertRaises(ConnectionResetError):
                while raw.read_some():
                    pass

        self.one({"size": 1000, "truncate": 10, "reset": True, "slow_body": {"chunk": 5, "interval_ms": 100}}, read)

    def test_truncate_chunked(self):
        got, _ = self.one({"body": "abcdef", "chunked": True, "truncate": 3})
        self.assertTrue(got.endswith(b"\r\n\r\n3\r\nabc\r\n"))

    def test_truncate_headers(self):
        whole, _ = self.one({"json": 1, "connection_close": True})
        for n in (0, 1, 17, 40):
            got, poll = self.one({"json": 1, "truncate_headers": n})
            self.assertEqual(got, whole[:n])
            self.assertEqual(poll["outcome"], "truncated")

    def test_garbage(self):
        got, poll = self.one({"garbage": "220 ready\r\n"})
        self.assertEqual((got, poll["outcome"]), (b"220 ready\r\n", "garbage"))
        got, _ = self.one({"garbage_base64": base64.b64encode(b"\x00\xff").decode()})
        self.assertEqual(got, b"\x00\xff")

    def test_connection_close_and_close_after(self):
        got, _ = self.one({"json": 1, "connection_close": True})
        self.assertIn(b"Connection: close\r\n", got)
        got, _ = self.one({"json": 1, "close_after": True})
        self.assertTrue(got.endswith(b"Content-Length: 1\r\n\r\n1"))
        self.assertNotIn(b"Connection", got)

    def test_reset_if_reused_uses_nothing_up(self):
        sim = self.sim({"a": [{"json": 0}, {"json": 1, "reset_if_reused": True}]})
        with Raw(sim) as raw:
            raw.poll("a")
            raw.read_response()
            raw.poll("a")
            with self.assertRaises(ConnectionResetError):
                raw.read_some()
        with Raw(sim) as raw:
            raw.poll("a")
            self.assertEqual(raw.read_response()[2], b"1")
        self.assertEqual([poll["outcome"] for poll in sim.polls("a")], ["answered", "reset", "answered"])

    def test_until_release(self):
        sim = self.sim({"a": [{"until_release": True, "json": 1}], "b": [{"until_release": True, "json": 2}]})
        with Raw(sim) as a, Raw(sim) as b:
            a.poll("a")
            b.poll("b")
            sim.wait_for(lambda stats: stats["awaiting_release"] == 2)
            self.assertEqual(sim.release("a"), 1)
            self.assertEqual(a.read_response()[2], b"1")
            self.assertTrue(b.is_silent())
            self.assertEqual(sim.release(), 1)
            self.assertEqual(b.read_response()[2], b"2")
        with self.assertRaises(TimeoutError):
            sim.release("a", timeout=0.05)

    def test_never(self):
        sim = self.sim({"a": [{"never": True}]})
        with Raw(sim) as raw:
            raw.poll("a")
            sim.wait_for(lambda stats: stats["in_flight"] == 1)
            self.assertEqual(sim.stats()["awaiting_release"], 0)
            self.assertTrue(raw.is_silent())
        sim.wait_for(lambda stats: stats["aborted"] == 1 and stats["in_flight"] == 0)
        self.assertEqual(sim.polls("a")[0]["outcome"], "aborted")

    def test_a_client_that_gives_up_during_a_delay_or_a_slow_body(self):
        for answer in ({"delay_ms": 3600000}, {"json": 1, "body_delay_ms": 3600000}, {"until_release": True},
                       {"size": 10000, "slow_body": {"chunk": 1, "interval_ms": 10}}, {"size": 100000000}):
            sim = self.sim({"a": [answer]})
            with Raw(sim) as raw:
                raw.poll("a")
                sim.wait_for(lambda stats: stats["in_flight"] == 1)
            sim.wait_for(lambda stats: stats["aborted"] == 1 and stats["in_flight"] == 0)


if __name__ == "__main__":
    unittest.main()
