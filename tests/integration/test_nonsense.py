"""A server that answers nonsense of every form: each has its documented outcome, and the next good future works."""

import base64
import gzip
import itertools
import json
import unittest

from daemon import Daemon, wait_for
from running import PENDING, Running, completed
from sim import Sim

BASE64_MAX = 64 * 1024
TEXT_MAX = 8 * 1024


def raw(body, **members):
    body = body if isinstance(body, bytes) else body.encode()
    return {"body_base64": base64.b64encode(body).decode(), **members}


def bytes_of(text):
    """An answer that is these bytes and nothing more, status line included, then the end of the connection."""
    text = text if isinstance(text, bytes) else text.encode()
    return {"garbage_base64": base64.b64encode(text).decode()}


def again(kind):
    """Polled again, and counted as this kind."""
    return {"again": kind}


def ok(text):
    """The result is this JSON text, byte for byte."""
    return {"ok": text}


def error(kind, category, status=None, message=None, **data):
    return {"error": (kind, category, status), "message": message, "data": data}


# 200 answers that are not one JSON text.
NOT_JSON = [
    b"nope", b"{", b'{"a":1', b'{"a":1}}', b"{} {}", b"{}{}", b"1 2", b"'a'", b"{'a':1}", b'{"a":1,}', b"[1,]", b"[,1]",
    b"[1 2]", b'{"a" 1}', b'{"a":}', b"{a:1}", b"{1:1}", b"// x\n{}", b"/* x */ 1", b"\xef\xbb\xbf{}", b'"\xff"', b'"\xc0\xaf"',
    b'"\xed\xa0\x80"', b'"\xe2\x82"', b'"\xf4\x90\x80\x80"', b'"\x00"', b'"\n"', b'"\t"', b'"\\x41"', b'"\\u12"', b'"\\u12g4"',
    b'"open', b"01", b"-", b"+1", b"1.", b".5", b"1e", b"1e+", b"--1", b"0x10", b"1_000", b"nan", b"Nan", b"-NaN", b"inf",
    b"+Infinity", b"tru", b"True", b"nullnull", b"undefined", b"\x00", b"{}\x00", b"\x1f", b" " * 100_000, b"\n", b"[" * 100_000,
    b"[" * 513 + b"]" * 513, b'{"a":' * 512 + b"[]" + b"}" * 512, b'{"status":"completed","result":' + b"[" * 512 + b"]" * 512 + b"}",
    b"<!DOCTYPE html><html><body>It works!</body></html>", gzip.compress(b'{"status":"completed","result":1}', mtime=0),
    b'{"status":"completed","result":[1,2', b'{"type":"try_again"', b'{"status":"completed","result":1}x', b'"' + b"x" * 200_000,
]

# 200 answers that are JSON, with members of wrong types, in wrong places, or more than once.
MEMBERS = [
    *[(f'{{"type":"try_again","queue_state":{value}}}', again("try_again"))
      for value in ("1", "null", "[]", "{}", "true", '"weird"', '""', '"PAUSED_CAPACITY"', '" active "', "1e999")],
    *[(f'{{"type":"try_again","retry_after_ms":{value}}}', again("try_again"))
      for value in ("-1", "1.5", '"5"', "null", "[]", "{}", "true", "1e3", "NaN", "-99999999999999999999", "0")],
    *[(f'{{"type":"try_again","queue_state_reason":{value}}}', again("try_again"))
      for value in ("1", "[]", r'"\u0000\u001b[31m"', r'"\ud800"', json.dumps("long " * 50_000))],
    (r'{"typ\u0065":"\u0074ry_again"}', again("try_again")),
    ('{"type":"x","type":"try_again"}', again("try_again")),
    ('{"type":"try_again","error":"x","status":"completed","result":1}', again("try_again")),
    *[(body, ok(body)) for body in (
        '{"type":"TRY_AGAIN"}', '{"type":" try_again"}', '{"type":["try_again"]}', '{"type":null}', '{"type":{"type":"try_again"}}',
        '[{"type":"try_again"}]', '{"status":5}', '{"status":null}', '{"status":["pending"]}', '{"status":"Pending"}',
        '{"status":"completed"}', '{"status":"complete"}', '{"Status":"failed"}', '{"x":{"error":"x"}}', '[{"error":1}]', '"error"',
        '{"status":"pending","status":"x"}', '{"result":1}', '{"type":"try_again","type":1}')],
    *[(f'{{"status":"complete_metadata","response_payload_size":{value}}}', again("metadata"))
      for value in ("null", '"5"', "-1", "1.5", "[]", "{}", "true", "1e3", "0", "NaN")],
    ('{"status":"complete_metadata"}', again("metadata")),
    ('{"status":"complete_metadata","error":"x"}', again("metadata")),
    *[(f'{{"status":"complete_metadata","response_payload_size":{value}}}',
       error("validation", "server", 200, reason="too_large")) for value in ("99999999999999999999999", "9" * 5000)],
    ('{"status":"pending","error":"x"}', again("pending")),
    ('{"status":"completed","status":"pending"}', again("pending")),
    ('{"status":"completed","result":null}', ok("null")),
    ('{"status":"completed","result":1,"error":"x"}', ok("1")),
    ('{"status":"pending","status":"completed","result":1,"result":2}', ok("2")),
    ('{"status":"failed"}', error("request_failed", "unknown")),
    ('{"error":null}', error("request_failed", "unknown")),
    *[(f'{{"status":"failed","error":{value}}}', error("request_failed", "unknown", body={"status": "failed", "error": shown}))
      for value, shown in (("null", None), ("5", 5), ("[]", []), ("{}", {}), ('""', ""), ('{"message":5}', {"message": 5}),
                           ('{"message":null,"category":7}', {"message": None, "category": 7}),
                           ('{"message":{"message":"x"}}', {"message": {"message": "x"}}))],
    ('{"error":"m","category":"USER"}', error("request_failed", "user", message="m")),
    ('{"error":{"message":"m","category":" Server "}}', error("request_failed", "server", message="m")),
    ('{"error":"m","category":"martian"}', error("request_failed", "unknown", message="m")),
    ('{"error":"m","category":["user"]}', error("request_failed", "unknown", message="m")),
    ('{"error":{"message":"first","message":"last"}}', error("request_failed", "unknown", message="last")),
    (json.dumps({"error": "m" * 300_000}), error("request_failed", "unknown", body_size=300_013)),
    ('{"error":NaN}', error("request_failed", "unknown", body_text='{"error":NaN}')),
    (r'{"error":"\u001b[2J\u0000\u0007bell"}', error("request_failed", "unknown")),
]

# What other statuses mean; the body is in `data`.
STATUSES = [
    *[({"status": status, "json": {"status": "completed", "result": 1}}, ok("1")) for status in (200, 201, 202, 206, 226, 299)],
    *[({"status": status, "body": ""}, again("network")) for status in (200, 201, 204, 205, 299)],
    *[({"status": status, "body": "x"}, error("api_status", "unknown", status, body_text="x"))
      for status in (300, 302, 305, 399, 600, 999)],
    ({"status": 304, "body": ""}, error("api_status", "unknown", 304)),
    *[({"status": status, "json": {"detail": "no"}}, error("api_status", "user", status, "no", body={"detail": "no"}))
      for status in (403, 405, 409, 411, 418, 422, 425, 431, 451, 499)],
    *[({"status": status, "body": "x", "headers": {"Retry-After": "1"}}, again("server_error"))
      for status in (500, 501, 502, 503, 504, 520, 599)],
    ({"status": 404, "body": ""}, error("api_status", "user", 404, reason="unknown_request")),
    ({"status": 410, "body": "{"}, error("api_status", "server", 410, reason="expired", body_text="{")),
    ({"status": 410, "json": {"category": "user"}}, error("api_status", "server", 410, reason="expired")),
    *[(raw(body, status=408), again("request_timeout"))
      for body in (b"", b"{", b"[]", b"5", b'{"queue_state":5}', b'{"queue_state":null}', b'{"retry_after_ms":-1}', b"\xff" * 1000,
                   b"[" * 513 + b"]" * 513)],
    *[({"status": 429, "headers": {"Retry-After": value}}, again("rate_limited"))
      for value in ("soon", "-5", "", "1.5", "0", "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 99 Foo 1970", "1, 2", "\u00e9", "0x10")],
    (raw(b"\x00\x01\xfe\xff", status=422), error("api_status", "user", 422)),
    (raw(b'{"a":NaN}', status=422), error("api_status", "user", 422, body_text='{"a":NaN}')),
    (raw(b'{"a":1,"a":2}', status=422), error("api_status", "user", 422, body_text='{"a":1,"a":2}')),
    (raw(b"[" * 400 + b"]" * 400, status=422), error("api_status", "user", 422, body_text="[" * 400 + "]" * 400)),
    (raw(b"y" * 20_000, status=422), error("api_status", "user", 422, body_text="y" * TEXT_MAX, body_size=20_000)),
    ({"status": 422, "size": 3 << 20}, error("api_status", "user", 422)),
    ({"status": 422, "json": {"detail": [{"loc": ["body"], "msg": "field required"}]}}, error("api_status", "user", 422)),
    ({"status": 200, "body": "5", "content_type": None}, ok("5")),
    ({"status": 200, "body": "5", "content_type": "text/html; charset=latin1"}, ok("5")),
    ({"status": 200, "body": "5", "content_type": ";;;=\""}, ok("5")),
    ({"status": 200, "body": "5", "headers": {"Content-Encoding": "gzip"}}, ok("5")),
    ({"status": 200, "body": "5", "reason": "Not\tFound  \u00e9"}, ok("5")),
]

OK_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
# What is hardly HTTP any more.
TRANSPORT = [
    *[(bytes_of(text), again("network")) for text in (
        "\r\n\r\n\r\n", b"\x00" * 100, "hello", "HTTP/1.1", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\n", OK_HEAD, "HTTP/1.1 2OO OK\r\n\r\n{}",
        "HTTP/1.1 -20 OK\r\n\r\n{}", "HTTP/1.1 20 OK\r\n\r\n{}", "HTTP/9.9 200 OK\r\n\r\n{}", "ICY 200 OK\r\n\r\n{}", "HTTP/1.1  \r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\n\r\n", "{}", '{"status":"completed","result":1}', b"\x16\x03\x01\x02\x00\x01\x00" + b"\x01" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", OK_HEAD + "Content-Length: 50\r\n\r\n{}", OK_HEAD + "Content-Length: -5\r\n\r\n{}",
        OK_HEAD + "Content-Length: abc\r\n\r\n{}", OK_HEAD + "no colon\r\n\r\n{}",
        OK_HEAD + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        OK_HEAD + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n", OK_HEAD + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}",
        OK_HEAD + "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", OK_HEAD + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 199 Odd\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n" * 100,
        OK_HEAD + "X: " + "y" * (1 << 20) + "\r\n\r\n{}", OK_HEAD + "X-Flood: 1\r\n" * 50_000 + "\r\n{}",
        OK_HEAD + "".join(f"X-{k}: {'z' * 1000}\r\n" for k in range(300)) + "\r\n{}")],
    *[(bytes_of(text), ok("{}")) for text in (
        "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", "HTTP/1.0 200\r\n\r\n{}",
        OK_HEAD + "X-Folded: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", OK_HEAD + "Content-Length: 2\r\n\r\n{}HTTP/1.1 500 more",
        "HTTP/1.1 100 Continue\r\n\r\n" * 100 + OK_HEAD + "Content-Length: 2\r\n\r\n{}",
        OK_HEAD + "Transfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n",
        OK_HEAD + "X-Long: " + "y" * 50_000 + "\r\nContent-Length: 2\r\n\r\n{}")],
    (bytes_of(OK_HEAD + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), ok("{}")),
    # More than any number holds counts as no length at all: the body ends with the connection.
    (bytes_of(OK_HEAD + "Content-Length: 99999999999999999999\r\n\r\n{}"), ok("{}")),
]


class Nonsense(Running):
    def check_ok(self, request_id, answer, text):
        self.register(request_id, [answer], on_server_failure="fail")
        self.peer.send("await", request_id=request_id)
        line = self.peer.read_raw()
        self.assertTrue(line.endswith(b'"content_type":"application/json","result":' + text.encode() + b"}]}}"), line[:300])

    def check_again(self, request_id, answer, kind):
        before = self.counted(kind)
        # The connection ends with it: the next fault is not taken for one of a kept connection that has died.
        outcome = self.run_through(request_id, [answer, dict(completed("good"), connection_close=True)])
        self.assert_ok(outcome, "good")
        self.assertEqual(self.counted(kind), before + 1)
        self.assert_polls(request_id, 2)

    def check_error(self, request_id, answer, expected):
        outcome = self.run_through(request_id, [answer, completed("good")], on_server_failure="fail")
        found = self.assert_error(outcome, *expected["error"])
        self.assertTrue(found["message"])
        self.assertFalse(any(ord(char) < 32 or ord(char) == 127 for char in found["message"]), found["message"])
        self.assertLess(len(found["message"]), 4096)
        if expected["message"]:
            self.assertEqual(found["message"], expected["message"])
        for name, value in expected["data"].items():
            self.assertEqual(found["data"].get(name), value, name)
        self.assert_polls(request_id, 1)

    def check_rows(self, prefix, rows):
        for k, (answer, expected) in enumerate(rows):
            request_id = f"{prefix}{k}"
            with self.subTest(str(answer)[:100]):
                if "ok" in expected:
                    self.check_ok(request_id, answer, expected["ok"])
                elif "again" in expected:
                    self.check_again(request_id, answer, expected["again"])
                else:
                    self.check_error(request_id, answer, expected)
        self.assert_ok(self.run_through(prefix + "next", [PENDING, completed("next")]), "next")

    def setUp(self):
        super().setUp()
        self.assert_ok(self.run_through("before " + self.id(), [completed(1)]), 1)
        self.before = self.daemon.descriptors()

    def tearDown(self):
        self.assertIsNone(self.daemon.process.poll())
        self.assertLessEqual(self.daemon.descriptors(), self.before)
        self.assertEqual(self.endpoint_status()["gate"], "open")
        super().tearDown()

    def test_not_json(self):
        rows = []
        for body in NOT_JSON:
            data = {"reason": "not_json", "body_base64": base64.b64encode(body[:BASE64_MAX]).decode()}
            if len(body) > BASE64_MAX:
                data["body_size"] = len(body)
            rows.append((raw(body), error("validation", "server", 200, **data)))
        self.check_rows("n", rows)

    def test_members(self):
        self.check_rows("m", [(raw(body), expected) for body, expected in MEMBERS])

    def test_statuses(self):
        self.check_rows("s", STATUSES)

    def test_hardly_http(self):
        self.check_rows("t", TRANSPORT)

    def test_mixed_at_once(self):
        """All of them together, on many connections: each future gets its own outcome."""
        answers = [raw(body) for body in NOT_JSON] + [raw(body) for body, _ in MEMBERS] + [answer for answer, _ in TRANSPORT]
        ids = [f"mix{k}" for k in range(len(answers))]
        self.sim.script({request_id: [answer, completed(request_id)] for request_id, answer in zip(ids, answers)})
        self.peer.call("register", request_ids=ids, on_server_failure="retry")
        for outcome in self.peer.call("await", request_ids=ids)["results"]:
            if outcome["ok"]:
                continue
            self.assertIn(outcome["error"]["type"], ("validation", "request_failed"))
        self.assertEqual(self.sim.stats()["overlaps"], 0)

        # The connections that this needed are idle. Once the server has closed them, the next polls notice.
        self.sim.drop()
        rounds = itertools.count()

        def tidy():
            self.run_through(f"after{next(rounds)}", [completed(1)])
            return self.daemon.descriptors() <= self.before

        wait_for(tidy, "no descriptor is left")


class LongWaits(unittest.TestCase):
    """The server may ask for ten minutes, and no more."""

    MS = ["600001", "1000000000000000", "99999999999999999999999"]
    RETRY_AFTER = ["601", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"]

    def test_at_most_ten_minutes(self):
        script = {f"m{k}": [raw(f'{{"type":"try_again","retry_after_ms":{value}}}')] for k, value in enumerate(self.MS)}
        script.update({f"h{k}": [{"status": 429, "headers": {"Retry-After": value}}]
                       for k, value in enumerate(self.RETRY_AFTER)})
        with Sim(script) as sim, Daemon(sim.url, start=False) as daemon:
            daemon.sections = "".join(f"[endpoint e{k}]\nbase_url = {sim.url}\napi_key_file = {daemon.key_path}\n"
                                      for k in range(len(self.RETRY_AFTER)))
            daemon.write_config()
            daemon.start()
            with daemon.connect() as peer:
                for k in range(len(self.MS)):
                    peer.call("register", request_id=f"m{k}")
                    wait_for(lambda k=k: peer.call("status", request_id=f"m{k}")["why_waiting"] == "retry_after",
                             "it waits")
                    left = peer.call("status", request_id=f"m{k}")["next_poll_in_ms"]
                    self.assertTrue(500_000 < left <= 600_000, left)
                for k, value in enumerate(self.RETRY_AFTER):
                    peer.call("register", request_id=f"h{k}", endpoint=f"e{k}")
                    wait_for(lambda k=k: peer.call("endpoints")["endpoints"][1 + k]["gate"] == "closed", "the gate closes")
                    left = peer.call("endpoints")["endpoints"][1 + k]["retry_in_ms"]
                    self.assertTrue(500_000 < left <= 600_000, (value, left))


if __name__ == "__main__":
    unittest.main()
