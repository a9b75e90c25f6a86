"""Everything that a client may get wrong: each is named, changes nothing, and the connection goes on."""

import json
import socket
import unittest

import document
from daemon import CallError
from running import Running, completed

LINE_MAX = 1048576
ID_MAX = 512
MS_MAX = 315360000000
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]

# What is wrong with each: by the byte, if the message says so.
NOT_JSON = {
    "half an object": b'{"id":1,"method":"ping"',
    "half a string": b'{"id":1,"method":"ping',
    "half an escape": b'{"id":"\\',
    "a name alone": b'{"id"}',
    "no colon": b'{"id" 1}',
    "two colons": b'{"id"::1}',
    "no comma": b'{"id":1 "method":"ping"}',
    "two commas": b'{"id":1,,"method":"ping"}',
    "a comma before all": b'{,"id":1}',
    "a comma after all": b'{"id":1,"method":"ping",}',
    "a comma at the end of an array": b'{"id":1,"method":"ping","params":{"x":[1,]}}',
    "an array closed as an object": b'{"x":[1}}',
    "a closing brace alone": b"}",
    "one brace more": b'{"id":1,"method":"ping"}}',
    "two values": b'{"id":1,"method":"ping"} {"id":2,"method":"ping"}',
    "words behind": b'{"id":1,"method":"ping"} thanks',
    "words": b"hello daemon",
    "single quotes": b"{'id':1,'method':'ping'}",
    "a name without quotes": b'{id:1,"method":"ping"}',
    "a comment": b'{"id":1,/* x */"method":"ping"}',
    "a line comment": b'{"id":1,"method":"ping"} // x',
    "NaN": b'{"id":1,"method":"ping","params":{"x":NaN}}',
    "Infinity": b'{"id":1,"method":"ping","params":{"x":Infinity}}',
    "-Infinity": b'{"id":1,"method":"ping","params":{"x":-Infinity}}',
    "True": b'{"id":1,"method":"ping","params":{"x":True}}',
    "tru": b'{"id":1,"method":"ping","params":{"x":tru}}',
    "nulls": b'{"id":1,"method":"ping","params":{"x":nulls}}',
    "undefined": b'{"id":1,"method":"ping","params":{"x":undefined}}',
    "a leading zero": b'{"id":01,"method":"ping"}',
    "a plus": b'{"id":+1,"method":"ping"}',
    "a minus alone": b'{"id":-,"method":"ping"}',
    "nothing before the point": b'{"id":1,"method":"ping","params":{"x":.5}}',
    "nothing behind the point": b'{"id":1,"method":"ping","params":{"x":5.}}',
    "no exponent": b'{"id":1,"method":"ping","params":{"x":5e}}',
    "an exponent's sign alone": b'{"id":1,"method":"ping","params":{"x":5e+}}',
    "hexadecimal": b'{"id":0x1,"method":"ping"}',
    "a number with a gap": b'{"id":1 000,"method":"ping"}',
    "an unknown escape": b'{"id":"\\x41","method":"ping"}',
    "a short escape": b'{"id":"\\u041","method":"ping"}',
    "no hexadecimal digit": b'{"id":"\\u00g1","method":"ping"}',
    "a high surrogate alone": b'{"id":"\\ud83d","method":"ping"}',
    "a low surrogate alone": b'{"id":"\\ude00","method":"ping"}',
    "two high surrogates": b'{"id":"\\ud83d\\ud83d","method":"ping"}',
    "a surrogate and a letter": b'{"id":"\\ud83dA","method":"ping"}',
    "surrogates the wrong way round": b'{"id":"\\ude00\\ud83d","method":"ping"}',
    "a tab in a string": b'{"id":"a\tb","method":"ping"}',
    "a CR in a string": b'{"id":"a\rb","method":"ping"}',
    "a NUL in a string": b'{"id":"a\0b","method":"ping"}',
    "an escape character in a string": b'{"id":"\x1b[31m","method":"ping"}',
    "a NUL between tokens": b'{"id":1,\0"method":"ping"}',
    "a NUL behind": b'{"id":1,"method":"ping"}\0',
    "a form feed between tokens": b'{"id":1,\f"method":"ping"}',
    "a no-break space between tokens": '{"id":1,\u00a0"method":"ping"}'.encode(),
    "a byte order mark": b'\xef\xbb\xbf{"id":1,"method":"ping"}',
    "UTF-16": '{"id":1}'.encode("utf-16-le"),
    "Latin-1": '{"id":"é","method":"ping"}'.encode("latin-1"),
    "the byte ff": b'{"id":"\xff","method":"ping"}',
    "a continuation alone": b'{"id":"\x80","method":"ping"}',
    "a character cut short": b'{"id":"\xe2\x82","method":"ping"}',
    "an overlong slash": b'{"id":"\xc0\xaf","method":"ping"}',
    "an overlong NUL": b'{"id":"\xc0\x80","method":"ping"}',
    "overlong in three bytes": b'{"id":"\xe0\x80\xaf","method":"ping"}',
    "overlong in four bytes": b'{"id":"\xf0\x80\x80\xaf","method":"ping"}',
    "a surrogate in UTF-8": b'{"id":"\xed\xa0\x80","method":"ping"}',
    "beyond Unicode": b'{"id":"\xf4\x90\x80\x80","method":"ping"}',
    "a member twice": b'{"id":1,"method":"ping","id":1}',
    "a member twice, once escaped": b'{"id":1,"method":"ping","\\u0069d":1}',
    "a member twice deep inside": b'{"id":1,"method":"ping","params":{"x":[{"a":1,"b":2,"a":3}]}}',
    "33 levels": b'{"id":1,"method":"ping","params":{"x":' + b"[" * 31 + b"]" * 31 + b"}}",
    "4,097 members": b'{"id":1,"method":"ping","params":{'
                     + b",".join(b'"%d":0' % k for k in range(4094)) + b"}}",
}

NO_REQUEST = {  # and the id of the error
    "an empty array": ("[]", None),
    "a batch": ('[{"id":1,"method":"ping"}]', None),
    "a string": ('"ping"', None),
    "a number": ("1", None),
    "null": ("null", None),
    "true": ("true", None),
    "an empty object": ("{}", None),
    "no method": ('{"id":1}', 1),
    "neither method nor id": ('{"params":{}}', None),
    "a method that is no string": ('{"id":1,"method":["ping"]}', 1),
    "an empty method": ('{"id":1,"method":""}', 1),
    "null as the method": ('{"id":1,"method":null}', 1),
    "a NUL in the method": ('{"id":1,"method":"ping\\u0000"}', 1),
    "another jsonrpc": ('{"jsonrpc":"1.0","id":1,"method":"ping"}', 1),
    "jsonrpc as a number": ('{"jsonrpc":2.0,"id":1,"method":"ping"}', 1),
    "null as jsonrpc": ('{"jsonrpc":null,"id":1,"method":"ping"}', 1),
    "null as the id": ('{"id":null,"method":"ping"}', None),
    "true as the id": ('{"id":true,"method":"ping"}', None),
    "an array as the id": ('{"id":[1],"method":"ping"}', None),
    "an object as the id": ('{"id":{},"method":"ping"}', None),
    "a fraction as the id": ('{"id":1.5,"method":"ping"}', None),
    "an exponent in the id": ('{"id":1e3,"method":"ping"}', None),
    "an id beyond 64 bits": ('{"id":9223372036854775808,"method":"ping"}', None),
    "an id below 64 bits": ('{"id":-9223372036854775809,"method":"ping"}', None),
    "an id of 65 bytes": (json.dumps({"id": "x" * 65, "method": "ping"}), None),
    "an id of 33 characters in 66 bytes": (json.dumps({"id": "é" * 33, "method": "ping"}), None),
    "an id of 10 KB": (json.dumps({"id": "x" * 10240, "method": "ping"}), None),
}

# One value of each kind, and which kinds a type takes. "nullable" adds null.
VALUES = {"null": None, "true": True, "integer": 3, "fraction": 1.5, "string": "a", "array": [], "object": {}}
TAKES = {
    "bool": {"true"}, "int": {"integer"}, "string": {"string"}, "choice": set(), "array": {"array"},
    "object": {"object"}, "call": {"string", "integer"}, "cursor": {"null"},
}
MS = ("int", [-1, MS_MAX + 1, 1 << 63, "5s", "5"])
NULLABLE_MS = ("int null", MS[1])
TARGETS = {
    "request_id": ("string", ["", "a\0", "x" * (ID_MAX + 1)]),
    "request_ids": ("array", [[1], [None], [["a"]], ["a", ""], ["a", {}], ["a"] * 1001]),
    "endpoint": ("string", []),
    "where": ("object", [{"a": []}, {"a": {}}, {str(k): k for k in range(17)}, {"a": "x" * 4096}]),
}
# Parameter: its type, and further values that are refused. (An unknown endpoint is `denied`, see below.)
PARAMETERS = {
    "hello": {"client": ("string", []), "protocol": ("int", [0, 2, 3, -1])},
    "ping": {},
    "register": {
        **TARGETS,
        "where": ("object", []),  # nothing to search: read, and no more
        "response": ("object", [{}, {"request_id": None}, {"request_id": 1.5}, {"request_id": ["a"]}, {"request_id": ""},
                                {"request_id": "a\x1f"}, {"request_id": 1 << 63}, {"id": "a"}]),
        "poll_timeout_ms": NULLABLE_MS,
        "http_timeout_ms": MS,
        "backoff": ("object", []),
        "on_network_error": ("choice", ["", "FAIL", "fail ", "ignore"]),
        "on_server_failure": ("choice", ["", "fail|retry"]),
        "accept": ("choice", ["text", "application/json"]),
        "request_type": ("string", ["", "x" * 65, "a b", "a\r\nX-Evil: 1", "é", "a\0"]),
        "create_roundtrip_ms": ("int", [-1, 1 << 31]),
        "metadata": ("object", [{"a": "x" * 4096}]),
        "linked": ("bool", []),
        "if_ended": ("choice", ["start"]),
    },
    "await": {**TARGETS, "await_timeout_ms": NULLABLE_MS, "stream": ("bool", []), "on_timeout": ("choice", ["wait"]),
              "ack": ("bool", []), "accept_fd": ("bool", [])},
    "abandon": {"call": ("call", [1 << 63])},
    "collect": {**TARGETS, "limit": ("int", [0, -1, 1001]), "after": ("cursor", ["", "x"]), "ack": ("bool", []),
                "accept_fd": ("bool", [])},
    "ack": TARGETS,
    "cancel": TARGETS,
    "status": {"request_id": TARGETS["request_id"], "endpoint": ("string", []), "all": ("bool", [])},
    "list": {"state": ("choice", ["sleeping", "", "Polling"]), "endpoint": ("string", []), "where": TARGETS["where"],
             "limit": ("int", [0, 1001]), "after": ("cursor", ["x"]), "all": ("bool", [])},
    "endpoints": {},
    "stats": {},
}
# With these alone a call would be carried out.
ALONE = {"abandon": {"call": 0}, "hello": {}, "list": {}, "collect": {"request_id": "a"}}


class Refusing(Running):
    """Whatever a line was, the connection goes on behind it."""

    def assert_refused(self, line, code, name, call=None):
        self.peer.send_raw(line + b"\n")
        self.assert_error_line(code, name, call)

    def assert_error_line(self, code, name, call=None):
        message = self.peer.read()
        self.assertEqual(sorted(message), ["error", "id", "jsonrpc"])
        self.assertEqual((message["id"], message["error"]["code"], message["error"]["data"]["name"]), (call, code, name))
        self.assertTrue(message["error"]["message"])
        return message["error"]

    def tearDown(self):
        self.assertEqual(self.peer.call("ping"), {})


class Lines(Refusing):
    """Lines from which no request can be read."""

    def test_not_json(self):
        for what, line in NOT_JSON.items():
            with self.subTest(what):
                self.assert_refused(line, -32700, "parse_error")

    def test_no_request(self):
        for what, (line, call) in NO_REQUEST.items():
            with self.subTest(what):
                self.assert_refused(line.encode(), -32600, "invalid_request", call)

    def test_unknown_methods(self):
        for method in ("pong", "Ping", "ping ", " ping", "subscribe", "unsubscribe", "metrics", "event", "x" * 10240,
                       "\N{PILE OF POO}", "rpc.discover"):
            with self.subTest(method[:20]), self.assertRaises(CallError) as caught:
                self.peer.call(method)
            self.assertEqual((caught.exception.code, caught.exception.name), (-32601, "method_not_found"))

    def test_lines_that_look_wrong_and_are_not(self):
        for line in (b' \t{ "id" : 1 , "method" : "ping" } \r', b'{"id":1,"method":"p\\u0069ng"}',
                     b'{"\\u0069d":1,"method":"ping"}', b'{"id":1,"method":"ping","params":{},"more":[{}]}',
                     b'{"id":1,"method":"ping","params":{"x":"\x7f\\u0000\\/","y":1e999,"z":-0.0E-7}}',
                     b'{"id":1,"method":"ping","params":{"x":' + b"[" * 30 + b"]" * 30 + b"}}",
                     b'{"id":1,"method":"ping","params":{' + b",".join(b'"%d":0' % k for k in range(4093)) + b"}}"):
            self.peer.send_raw(line + b"\n")
            self.assertEqual(self.peer.read(), {"jsonrpc": "2.0", "id": 1, "result": {}}, line[:60])

    def test_ids_come_back_as_they_were_written(self):
        for call in (b"0", b"-0", b"-1", b"9223372036854775807", b"-9223372036854775808", b'""', b'"\\u0061\\n\\u0000"',
                     b'"' + b"\\u00e9" * 32 + b'"', b'"' + b"x" * 64 + b'"', "\"\N{PILE OF POO}\"".encode()):
            self.peer.send_raw(b'{"id":' + call + b',"method":"ping"}\n')
            self.assertEqual(self.peer.read_raw(), b'{"jsonrpc":"2.0","id":' + call + b',"result":{}}')

    def test_blank_lines(self):
        self.peer.send_raw(b"\n\r\n \t \n" + b" " * 70000 + b'\n{"id":1,"method":"ping"}\n')
        self.assertEqual(self.peer.read()["id"], 1)


class LongLines(Refusing):
    """The limit of 1 MiB, to the byte."""

    def ping_of(self, size):
        head, tail = b'{"id":1,"method":"ping","params":{"x":"', b'"}}'
        return head + b"y" * (size - len(head) - len(tail)) + tail

    def test_exactly_1_MiB(self):
        for line in (self.ping_of(LINE_MAX), self.ping_of(1000) + b" " * (LINE_MAX - 1000)):
            self.peer.send_raw(line + b"\n")
            self.assertEqual(self.peer.read(), {"jsonrpc": "2.0", "id": 1, "result": {}})

    def test_one_byte_more(self):
        for size in (LINE_MAX + 1, LINE_MAX + 2, 3 * LINE_MAX):
            with self.subTest(size):
                self.peer.send_raw(self.ping_of(size) + b'\n{"id":2,"method":"ping"}\n')
                self.assert_error_line(-32600, "line_too_long")
                self.assertEqual(self.peer.read()["id"], 2)

    def test_a_CR_counts(self):
        self.assert_refused(self.ping_of(LINE_MAX) + b"\r", -32600, "line_too_long")

    def test_white_space_that_is_too_long(self):
        self.assert_refused(b" " * (LINE_MAX + 1), -32600, "line_too_long")

    def test_many_in_a_row(self):
        for _ in range(10):
            self.peer.send_raw(b"x" * (LINE_MAX + 1) + b"\n" + self.ping_of(LINE_MAX) + b"\n")
            self.assert_error_line(-32600, "line_too_long")
            self.assertEqual(self.peer.read()["id"], 1)

    def test_one_without_an_end(self):
        """It is refused as soon as it is too long, and dropped with its connection."""
        with self.daemon.connect() as peer:
            peer.send_raw(b"x" * (LINE_MAX + 5))
            self.assertEqual(peer.read()["error"]["data"]["name"], "line_too_long")
            peer.send_raw(b"y" * LINE_MAX)
            peer.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(peer.at_end(), [])


class WrongParameters(Running):
    """Every parameter of every method with every wrong type, and values that are not allowed."""

    def assert_invalid(self, method, member, params):
        call = self.peer.send(method, **params)
        message = self.peer.read()
        self.assertEqual(message["id"], call)
        self.assertIn("error", message, f"{method} takes {params}")
        error = message["error"]
        self.assertEqual((error["code"], error["data"]["name"]), (-32602, "invalid_params"), error)
        self.assertEqual(error["data"]["member"], member, error)
        self.assertRegex(error["message"], "response|request_id" if member == "response" else member)

    def base(self, method, name):
        """What makes the call complete beside the parameter."""
        base = ALONE.get(method, {"request_id": "a"} if PARAMETERS[method] else {})
        if name in ("request_ids", "response", "request_id"):
            base = {key: value for key, value in base.items() if key != "request_id"}
        return base

    def test_the_table_is_complete(self):
        self.assertEqual({method: set(parameters) for method, parameters in PARAMETERS.items()},
                         {method: document.implemented_parameters(method) for method in document.implemented_methods()})

    def test_types_and_values(self):
        n = 0
        for method, parameters in PARAMETERS.items():
            for name, (kind, further) in parameters.items():
                taken = TAKES[kind.split()[0]] | ({"null"} if "null" in kind else set())
                wrong = [VALUES[value] for value in VALUES.keys() - taken if not (kind == "cursor" and value == "string")]
                for value in wrong + further:
                    with self.subTest(method=method, parameter=name, value=str(value)[:40]):
                        self.assert_invalid(method, name, {**self.base(method, name), name: value})
                        n += 1
        self.assertGreater(n, 300)
        self.assert_nothing_happened()

    def test_members_of_backoff(self):
        for name in ("initial_ms", "max_ms"):
            for value in [VALUES[kind] for kind in VALUES.keys() - {"integer"}] + MS[1]:
                self.assert_invalid("register", "backoff." + name, {"request_id": "a", "backoff": {name: value}})
        self.assert_nothing_happened()

    def test_integers_are_written_as_integers(self):
        for text in ("1e3", "1.0", "-0.0", "1E0", "99999999999999999999999999"):
            self.peer.send_raw('{"id":1,"method":"collect","params":{"limit":%s}}\n' % text)
            self.assertEqual(self.peer.read()["error"]["data"], {"name": "invalid_params", "member": "limit"})

    def test_params_that_are_no_object(self):
        for method in document.implemented_methods():
            for value in (None, True, 3, "a", [], ["a"]):
                self.peer.send_raw(document.json_line({"id": 1, "method": method, "params": value}))
                error = self.peer.read()["error"]
                self.assertEqual((error["code"], error["data"]), (-32602, {"name": "invalid_params", "member": "params"}))

    def test_what_is_missing(self):
        for method, member in (("register", "request_id"), ("await", "request_id"), ("ack", "request_id"),
                               ("cancel", "request_id"), ("status", "request_id"), ("abandon", "call")):
            self.assert_invalid(method, member, {})
            self.assert_invalid(method, member, {"unknown": 1})
        self.assert_nothing_happened()

    def test_two_ways_to_name_futures(self):
        for method in ("register", "await", "collect", "ack", "cancel"):
            self.assert_invalid(method, "request_ids", {"request_id": "a", "request_ids": ["a"]})
        for other in ({"request_id": "a"}, {"request_ids": ["a"]}):
            self.assert_invalid("register", "response", {"response": {"request_id": "a"}, **other})
        self.assert_nothing_happened()

    def test_endpoints_that_are_not_there(self):
        for method, parameters in PARAMETERS.items():
            if "endpoint" not in parameters:
                continue
            for endpoint in ("elsewhere", "", "Default", "default\0", "x" * 10240):
                with self.subTest(method=method), self.assertRaises(CallError) as caught:
                    self.peer.call(method, **{**self.base(method, "endpoint"), "endpoint": endpoint})
                self.assertEqual((caught.exception.code, caught.exception.name), (-32000, "denied"))
        self.assert_nothing_happened()

    def test_wrong_notifications_do_nothing(self):
        for method, parameters in PARAMETERS.items():
            for name in parameters:
                self.peer.send_raw(document.json_line({"method": method, "params": {**self.base(method, name), name: 1.5}}))
        self.assert_nothing_happened()  # and the next line that comes is its answer

    def assert_nothing_happened(self):
        self.assertEqual(self.peer.call("list")["futures"], [])
        self.assertEqual(self.counters()["registrations"], 0)
        self.assertEqual(self.peer.notifications, [])


class RequestIds(Running):
    """Which ids may be registered: refused ones by every way in, good ones up to the server and back."""

    def ways(self, request_id):
        yield "request_id", "register", {"request_id": request_id}
        yield "request_ids", "register", {"request_ids": ["good", request_id]}
        yield "response", "register", {"response": {"request_id": request_id}}
        for method in ("await", "collect", "ack", "cancel", "status"):
            yield "request_id", method, {"request_id": request_id}

    def test_bad_ids(self):
        bad = ["", "x" * (ID_MAX + 1), "€" * 171, "x" * 10240, "é" * 5120, "a\0b", "\0" * 10]
        registered = self.counters()["registrations"]
        bad += [f"a{control}b" for control in CONTROLS] + ["end\n", "\x1b[2J"]
        for request_id in bad:
            for member, method, params in self.ways(request_id):
                with self.subTest(id=request_id[:10], method=method), self.assertRaises(CallError) as caught:
                    self.peer.call(method, **params)
                self.assertEqual((caught.exception.name, caught.exception.data["member"]), ("invalid_params", member))
                # what is told for people and logs has nothing of it that could move a cursor
                self.assertTrue(caught.exception.message.isprintable(), caught.exception.message)
        self.assertEqual(self.counters()["registrations"], registered)

    def test_good_ids(self):
        good = ["x", "x" * ID_MAX, "é" * (ID_MAX // 2), "\u00a0", "\u2028", "a b", ' "quoted" \\', "/../../etc/passwd",
                "%00", "\N{PILE OF POO}" * 128, "null", "0", "\ufeff", "\u202e", "{}", "*?[a]"]
        self.sim.script({request_id: [completed(k)] for k, request_id in enumerate(good)})
        self.peer.call("register", request_ids=good)
        results = self.peer.call("await", request_ids=good)["results"]
        self.assertEqual([(one["request_id"], one["result"]) for one in results],
                         [(request_id, k) for k, request_id in enumerate(good)])
        self.assertEqual([one["request_id"] for one in self.peer.call("list")["futures"]], good)
        self.assertEqual(self.peer.call("ack", request_ids=good), {"acked": len(good), "not_registered": []})

    def test_integers_of_responses(self):
        for number in (0, -1, 17, 9223372036854775807, -9223372036854775808):
            self.sim.script({str(number): [completed(number)]})
            self.peer.call("register", response={"request_id": number, "model_id": "m"})
            self.assertEqual(self.peer.outcome(str(number), ack=True)["result"], number)

    def test_a_thousand_ids_and_one_more(self):
        ids = [f"t{k}" for k in range(1000)]
        self.sim.script({"*": [completed(1)]})
        self.assertEqual(len(self.peer.call("register", request_ids=ids)["registrations"]), 1000)
        for method in ("register", "await", "collect", "ack", "cancel"):
            with self.assertRaises(CallError) as caught:
                self.peer.call(method, request_ids=[*ids, "one more"])
            self.assertEqual((caught.exception.name, caught.exception.data["member"]), ("invalid_params", "request_ids"))
        self.assertEqual(len(self.peer.call("await", request_ids=ids, ack=True)["results"]), 1000)


if __name__ == "__main__":
    unittest.main()
