"""tinker-sim itself: every kind of answer, the ledger, the control interface, and the lifelike server.

Standard library only; the binary is $TINKER_SIM. Raw sockets are used wherever the bytes on the wire matter.
"""

import base64
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from sim import BODY_MIN, Sim, SimError, binary, generated_body  # noqa: E402

LIMIT = 60
EARLY = 0.001  # a delay must not end before its time, but clocks differ in their last digits


class Raw:
    """A client connection whose every byte is visible."""

    def __init__(self, sim):
        self.socket = socket.create_connection((sim.host, sim.port), timeout=LIMIT)
        self.base_path = sim.base_path

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def poll_bytes(self, request_id, fields=""):
        body = json.dumps({"request_id": request_id, "allow_metadata_only": True})
        return ("POST %s/api/v1/retrieve_future HTTP/1.1\r\nHost: sim\r\nContent-Length: %d\r\n%s\r\n%s"
                % (self.base_path, len(body.encode()), fields, body)).encode()

    def poll(self, request_id, fields=""):
        self.send(self.poll_bytes(request_id, fields))

    def read_some(self):
        return self.socket.recv(65536)

    def read_exactly(self, size):
        data = b""
        while len(data) < size:
            some = self.socket.recv(size - len(data))
            if not some:
                raise EOFError("closed after %d of %d bytes: %r" % (len(data), size, data[:200]))
            data += some
        return data

    def read_all(self):
        data = b""
        while True:
            some = self.read_some()
            if not some:
                return data
            data += some

    def read_head(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read_exactly(1)
        return head.decode()

    def read_response(self):
        """Status line, headers in lower case, body by Content-Length."""
        lines = self.read_head().split("\r\n")
        headers = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return lines[0], headers, self.read_exactly(int(headers["content-length"]))

    def is_silent(self, seconds=0.05):
        return not select.select([self.socket], [], [], seconds)[0]


def memory_of(pid):
    """Resident bytes."""
    with open("/proc/%d/statm" % pid) as file:
        return int(file.read().split()[1]) * resource.getpagesize()


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


class Lifelike(unittest.TestCase):
    FAST = ["--min-ms", "20", "--max-ms", "150", "--hold-ms", "50"]

    def sim(self, *args, **options):
        sim = Sim(mode="lifelike", args=args, **options)
        self.addCleanup(sim.stop)
        return sim

    def run_out(self, sim, request_id, allow=True):
        """Polls until something final comes: all answers, each (status, decoded body)."""
        answers = []
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            status, _, body = sim.poll(request_id, allow)
            body = json.loads(body)
            answers.append((status, body))
            if body.get("status") == "complete_metadata":
                allow = False
            elif status not in (200, 408) or (status == 200 and body.get("type") != "try_again"):
                return answers
        self.fail("no end: %r" % answers)

    def sampler(self, sim):
        status, session = sim.submit("create_session", {})
        self.assertEqual(status, 200)
        status, sampler = sim.submit("create_sampling_session", {"session_id": session["session_id"],
                                                                 "base_model": "Qwen/Qwen3-8B"})
        self.assertEqual(status, 200)
        return session["session_id"], sampler["sampling_session_id"]

    def sample(self, sim, sampler, **more):
        status, answer = sim.submit("asample", {"sampling_session_id": sampler, "seq_id": 0, "num_samples": 2,
                                                "prompt": {"chunks": []}, "sampling_params": {"max_tokens": 32},
                                                **more})
        self.assertEqual(status, 200, answer)
        return answer["request_id"]

    def test_every_kind_to_its_end(self):
        sim = self.sim(*self.FAST, "--fail-percent", "0")
        session, sampler = self.sampler(sim)
        self.assertEqual(sim.submit("session_heartbeat", {"session_id": session})[0], 200)
        result = self.run_out(sim, self.sample(sim, sampler))[-1][1]
        self.assertEqual(result["type"], "sample")
        self.assertEqual(len(result["sequences"]), 2)
        for sequence in result["sequences"]:
            self.assertEqual(len(sequence["tokens"]), len(sequence["logprobs"]))
            self.assertTrue(16 < len(sequence["tokens"]) <= 32)
            self.assertTrue(all(isinstance(token, int) for token in sequence["tokens"]))
            self.assertTrue(all(-8 <= logprob <= 0 for logprob in sequence["logprobs"]))
            self.assertEqual(sequence["stop_reason"], "length" if len(sequence["tokens"]) == 32 else "stop")

        _, model = sim.submit("create_model", {"session_id": session, "base_model": "Qwen/Qwen3-8B"})
        self.assertEqual(self.run_out(sim, model["request_id"])[-1][1]["model_id"], model["model_id"])
        model_id = model["model_id"]

        data = [{"model_input": {"chunks": [{"tokens": [1] * n}, {"tokens": [2]}]}} for n in (3, 5)]
        _, submitted = sim.submit("forward_backward", {"model_id": model_id, "seq_id": 1,
                                                       "forward_backward_input": {"data": data,
                                                                                  "loss_fn": "cross_entropy"}})
        self.assertEqual(submitted["model_id"], model_id)
        result = self.run_out(sim, submitted["request_id"])[-1][1]
        self.assertEqual([output["logprobs"]["shape"] for output in result["loss_fn_outputs"]], [[4], [6]])
        self.assertEqual([len(output["logprobs"]["data"]) for output in result["loss_fn_outputs"]], [4, 6])
        self.assertIn("loss:sum", result["metrics"])

        for name, body, member in (("optim_step", {}, "metrics"), ("save_weights", {"path": "step-1"}, "path"),
                                   ("save_weights", {}, "path"), ("load_weights", {"path": "tinker://x/y"}, "path")):
            _, submitted = sim.submit(name, {"model_id": model_id, "seq_id": 2, **body})
            result = self.run_out(sim, submitted["request_id"])[-1][1]
            self.assertIn(member, result)
            if name == "save_weights":
                self.assertTrue(result["path"].startswith("tinker://%s/weights/" % model_id))

    def test_every_queue_state_occurs(self):
        sim = self.sim("--min-ms", "3600000", "--max-ms", "3600000", "--hold-ms", "1", "--hold-answer", "try_again")
        _, sampler = self.sampler(sim)
        seen = set()
        for _ in range(20):
            body = json.loads(sim.poll(self.sample(sim, sampler))[2])
            self.assertEqual(body["type"], "try_again")
            seen.add((body["queue_state"], bool(body["queue_state_reason"])))
        self.assertEqual(seen, {("active", False), ("paused_capacity", True), ("paused_rate_limit", True)})

    def test_changes_of_the_queue_state_end_a_hold(self):
        """Until one request was seen to go from a pause to active while its poll was held."""
        sim = self.sim("--min-ms", "200", "--max-ms", "400", "--hold-ms", "3600000", "--fail-percent", "0")
        _, sampler = self.sampler(sim)
        deadline = time.monotonic() + LIMIT
        resumed = False
        while not resumed and time.monotonic() < deadline:
            answers = self.run_out(sim, self.sample(sim, sampler))
            states = [body["queue_state"] for _, body in answers[:-1]]
            self.assertEqual(answers[-1][1]["type"], "sample")
            self.assertTrue(all(one != two for one, two in zip(states, states[1:])), states)
            resumed = len(states) > 1 and states[-1] == "active"
        self.assertTrue(resumed)
        self.assertEqual(sim.stats()["overlaps"], 0)

    def test_polls_are_held(self):
        for form, expected in (("try_again", {200}), ("408", {408}), ("mixed", {200, 408})):
            sim = self.sim("--min-ms", "3600000", "--max-ms", "3600000", "--hold-ms", "40", "--hold-answer", form)
            _, sampler = self.sampler(sim)
            statuses = set()
            for _ in range(4):
                request_id = self.sample(sim, sampler)
                for _ in range(3):
                    status, _, body = sim.poll(request_id)
                    poll = sim.polls(request_id)[-1]
                    if poll["t_answer_ms"] - poll["t_ms"] >= 40 - EARLY * 1000:
                        statuses.add(status)
                        self.assertIn("queue_state", json.loads(body))
            self.assertEqual(statuses, expected, form)

    def test_the_seed_decides(self):
        def everything(seed):
            with Sim(mode="lifelike", seed=seed, args=["--min-ms", "1", "--max-ms", "2"]) as sim:
                _, sampler = self.sampler(sim)
                ids = [self.sample(sim, sampler) for _ in range(12)]
                return ids, [self.run_out(sim, id)[-1] for id in ids]

        self.assertEqual(everything(7), everything(7))
        self.assertNotEqual(everything(7), everything(8))

    def test_failures(self):
        for category in ("user", "server"):
            sim = self.sim(*self.FAST, "--fail-percent", "100", "--fail-category", category)
            _, sampler = self.sampler(sim)
            status, body = self.run_out(sim, self.sample(sim, sampler))[-1]
            self.assertEqual((status, body["category"]), (200, category))
            self.assertTrue(body["error"])

    def test_large_results_announce_themselves(self):
        sim = self.sim("--min-ms", "1", "--max-ms", "1", "--fail-percent", "0", "--metadata-above", "1000")
        _, sampler = self.sampler(sim)
        small = self.sample(sim, sampler, num_samples=1, sampling_params={"max_tokens": 10})
        self.assertNotIn("complete_metadata", json.dumps(self.run_out(sim, small)))
        large = self.sample(sim, sampler, num_samples=4, sampling_params={"max_tokens": 1000})
        answers = self.run_out(sim, large)
        self.assertEqual(answers[-2][1]["status"], "complete_metadata")
        self.assertEqual(answers[-2][1]["response_payload_size"], sim.polls(large)[-1]["body_bytes"])
        self.assertEqual(len(answers[-1][1]["sequences"]), 4)
        again = self.run_out(sim, large, allow=False)
        self.assertEqual(again, answers[-1:])

    def test_operations_of_a_model_are_done_in_order(self):
        sim = self.sim("--min-ms", "50", "--max-ms", "60", "--hold-ms", "20000", "--fail-percent", "0")
        _, model = sim.submit("create_model", {})
        ids = [model["request_id"]]
        for seq_id in range(3):
            ids.append(sim.submit("optim_step", {"model_id": model["model_id"], "seq_id": seq_id})[1]["request_id"])
        self.run_out(sim, ids[-1])
        for id in ids[:-1]:
            self.assertEqual(len(self.run_out(sim, id)), 1, "done before the last one was")

    def test_a_result_can_be_forgotten(self):
        sim = self.sim("--min-ms", "1", "--max-ms", "1", "--fail-percent", "0", "--forget-ms", "1")
        _, sampler = self.sampler(sim)
        request_id = self.sample(sim, sampler)
        self.assertEqual(self.run_out(sim, request_id)[-1][0], 200)
        deadline = time.monotonic() + LIMIT
        status = 200
        while status != 404 and time.monotonic() < deadline:
            status = sim.poll(request_id)[0]
        self.assertEqual(status, 404)

    def test_ids_in_decimal(self):
        sim = self.sim(*self.FAST, "--ids", "decimal")
        _, sampler = self.sampler(sim)
        self.assertEqual([self.sample(sim, sampler) for _ in range(3)], ["1", "2", "3"])
        self.assertEqual(sim.poll("x")[0], 500)
        self.assertEqual(sim.poll("99")[0], 404)

    def test_unknown_things(self):
        sim = self.sim()
        self.assertEqual(sim.poll("x")[0], 404)
        for name, body, status in (("create_sampling_session", {}, 422),
                                   ("create_sampling_session", {"session_id": "x"}, 422),
                                   ("create_sampling_session", {"session_id": "x", "base_model": "m"}, 404),
                                   ("session_heartbeat", {}, 422), ("session_heartbeat", {"session_id": "x"}, 404),
                                   ("asample", {}, 422), ("asample", {"sampling_session_id": "x"}, 404),
                                   ("asample", {"sampling_session_id": 7}, 404),
                                   ("asample", {"base_model": "m", "num_samples": 0}, 422),
                                   ("asample", {"base_model": "m", "sampling_params": {"max_tokens": 1 << 40}}, 422),
                                   ("optim_step", {}, 422), ("optim_step", {"model_id": "x"}, 404),
                                   ("forward_backward", {"model_id": "x"}, 404), ("asample", [], 422),
                                   ("nothing", {}, 404)):
            self.assertEqual(sim.submit(name, body)[0], status, (name, body))
        _, model = sim.submit("create_model", {})
        for name, body in (("save_weights", {"path": 'a"b'}), ("load_weights", {})):
            self.assertEqual(sim.submit(name, {"model_id": model["model_id"], **body})[0], 422)

    def test_key(self):
        sim = self.sim(require_key="tml-1")
        self.assertEqual(sim.submit("create_session", {})[0], 401)
        self.assertEqual(sim.submit("create_session", {}, {"X-API-Key": "tml-1"})[0], 200)
        self.assertEqual(sim.poll("a")[0], 401)

    def test_scripts_come_first(self):
        sim = self.sim(*self.FAST, "--fail-percent", "0", script={"a": [{"json": {"scripted": True}}]})
        _, sampler = self.sampler(sim)
        sim.script({"**": [{"status": 503}]})
        request_id = self.sample(sim, sampler)
        self.assertEqual(sim.poll(request_id)[0], 503)
        self.assertEqual(sim.poll("a")[2], b'{"scripted":true}')
        self.assertEqual(self.run_out(sim, request_id)[-1][1]["type"], "sample")

    def test_held_polls_that_are_given_up(self):
        sim = self.sim("--min-ms", "3600000", "--max-ms", "3600000", "--hold-ms", "3600000")
        _, sampler = self.sampler(sim)
        request_id = self.sample(sim, sampler)
        for count in range(1, 4):
            with Raw(sim) as raw:
                raw.poll(request_id)
                sim.wait_for(lambda stats: stats["polls"] == count)
            sim.wait_for(lambda stats: stats["in_flight"] == 0)
        self.assertEqual(sim.stats()["overlaps"], 0)


if __name__ == "__main__":
    unittest.main()
