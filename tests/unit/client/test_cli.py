"""tinkexctl against a fake daemon: what it asks, what it prints, how it ends. $TINKEXCTL names the program."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
import fcntl
import struct
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_daemon import FakeDaemon  # noqa: E402

TINKEXCTL = os.environ["TINKEXCTL"]
LIMIT = 60

OK = '"ok":true,"content_type":"application/json","result":%s'
FAILED = '"ok":false,"error":{"type":"%s","category":%s,"message":"%s","status":%s,"data":{"reason":%s}}'


def failed(type_, message="m", category="null", status="null", reason="null"):
    return FAILED % (type_, category, message, status, reason)


class Case(unittest.TestCase):
    def setUp(self):
        self.daemon = FakeDaemon()
        self.addCleanup(self.daemon.stop)

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("TINKEX") and k not in ("XDG_RUNTIME_DIR", "COLUMNS")}
        env["TINKEXD_SOCKET"] = self.daemon.path
        env["TERM"] = "xterm"
        return env

    def run_ctl(self, *args, code=0, stdin=b"", env=None):
        done = subprocess.run([TINKEXCTL, *args], input=stdin, capture_output=True, timeout=LIMIT,
                              env=env or self.environment())
        self.assertEqual(done.returncode, code, (args, done.stdout, done.stderr))
        return done.stdout.decode(), done.stderr.decode()

    def start_ctl(self, *args, **pipes):
        process = subprocess.Popen([TINKEXCTL, *args], stdin=subprocess.DEVNULL, env=self.environment(),
                                   **(pipes or {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}))
        self.addCleanup(process.wait, LIMIT)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process


class Usage(Case):
    def assert_usage(self, expected, *args, stdin=b""):
        out, err = self.run_ctl(*args, code=2, stdin=stdin)
        self.assertEqual(out, "")
        self.assertIn(expected, err)
        self.assertEqual(self.daemon.calls, [])

    def test_usage_errors(self):
        for expected, args in [
            ("which command", ()),
            ("did you mean await?", ("awiat",)),
            ("no command nonsense", ("nonsense",)),
            ("--poll-timeout says how long the daemon polls, --await-timeout", ("await", "a", "--timeout", "5s")),
            ("--poll-timeout says how long the daemon polls, --await-timeout", ("register", "a", "--timeout=5s")),
            ("did you mean --endpoint?", ("register", "--endpont", "x", "a")),
            ("--poll-timeout 5: must be a duration", ("register", "--poll-timeout", "5", "a")),
            ("--poll-timeout 5w: must be", ("register", "--poll-timeout=5w", "a")),
            ("--poll-timeout -5s: must be", ("register", "--poll-timeout", "-5s", "a")),
            ("--poll-timeout 99999999h: must be", ("register", "--poll-timeout", "99999999h", "a")),
            ("--poll-timeout needs a value: DURATION", ("register", "a", "--poll-timeout")),
            ("--accept xml: must be one of json|protobuf", ("register", "--accept", "xml", "a")),
            ("--metadata k: must be KEY=VALUE", ("register", "--metadata", "k", "a")),
            ("--limit 0: must be a number", ("list", "--limit", "0")),
            ("--json takes no value", ("list", "--json=yes")),
            ("list has no option --poll-timeout", ("list", "--poll-timeout", "5s")),
            ("list takes no argument `a`", ("list", "a")),
            ("register needs ID", ("register",)),
            ("await needs ids or --where", ("await",)),
            ("cancel needs ids or --where", ("cancel",)),
            ("unknown option -x", ("list", "-x")),
            ("there is no command x", ("help", "x")),
            ("the input is empty", ("register", "-")),
            ("the input is empty", ("collect", "-")),
            ("--socket: the value is empty", ("ping", "--socket", "")),
            ("id number 2 of 2, ``, is empty", ("register", "a", "")),
            ("id number 1 of 1, `%s…`, is too long: at most 512 bytes" % ("x" * 40), ("status", "x" * 513)),
            ("id number 1 of 1, `a b`, has a control character", ("await", "a\nb")),
            ("id number 1 of 1, `a b`, has a control character", ("ack", "a\u009bb")),
            ("id number 1 of 1, `?`, is not valid UTF-8", ("cancel", b"\xff")),
        ]:
            with self.subTest(args=args):
                self.assert_usage(expected, *args)

    def test_bad_responses(self):
        for expected, text in [("not JSON at byte 1", b"{x"), ("there is no request_id", b'{"a":1}'),
                               ("where the server's answer", b"[1]"), ("nothing in it", b"")]:
            with self.subTest(text=text):
                self.assert_usage(expected, "register", "--response", "-", stdin=text)
        self.assert_usage("No such file", "register", "--response", "/nonexistent")
        self.assert_usage("stdin can be read only once", "register", "--response", "-", "-", stdin=b'{"request_id":"a"}')

    def test_help(self):
        overview, _ = self.run_ctl("help")
        for name in ["register", "retry", "await", "collect", "ack", "cancel", "status", "list", "endpoints", "stats",
                     "ping", "version", "help"]:
            self.assertIn("\n  %s" % name, overview)
            page, _ = self.run_ctl("help", name)
            self.assertIn("usage: tinkexctl %s" % name, page)
            self.assertEqual(self.run_ctl(name, "--help")[0], page)
            self.assertLessEqual(max(len(line) for line in page.split("\n")), 80)
        self.assertEqual(self.run_ctl("--help")[0], overview)
        self.assertIn("--poll-timeout DURATION", self.run_ctl("help", "await")[0])
        self.assertEqual(self.daemon.calls, [])

    def test_no_daemon(self):
        env = self.environment()
        env["TINKEXD_SOCKET"] = "/dev/null/x"
        for args in [("ping",), ("list",), ("register", "a"), ("await", "a"), ("collect",), ("stats", "--json")]:
            out, err = self.run_ctl(*args, code=3, env=env)
            self.assertEqual(out, "")
            self.assertIn("/dev/null/x: does not exist", err)
            self.assertIn("start one with `tinkexd &`", err)
        out, _ = self.run_ctl("version", env=env)
        self.assertIn("no daemon answers", out)
        self.run_ctl("--socket", self.daemon.path, "ping", env=env)

    def test_refusals(self):
        for name, code in [("denied", 7), ("limit_exceeded", 8), ("storage", 8), ("shutting_down", 8), ("internal", 8),
                           ("invalid_params", 2), ("method_not_found", 8)]:
            self.daemon.refuse["status"] = (name, "for this reason\x1b[2J")
            _, err = self.run_ctl("status", "a", code=code)
            self.assertIn("for this reason", err)
            self.assertNotIn("\x1b", err)
        self.daemon.refuse["status"] = ("not_found", "no such registration of yours")
        _, err = self.run_ctl("status", "a", "b", code=4)
        self.assertEqual([line.split(";")[0] for line in err.splitlines()],
                         ["tinkexctl: a is not registered", "tinkexctl: b is not registered"])

    def test_what_is_denied(self):
        self.daemon.refuse["list"] = ("denied", "there is no such endpoint")
        _, err = self.run_ctl("list", "--endpoint", "e", code=7)
        self.assertIn("there is no such endpoint (given by --endpoint e); `tinkexctl endpoints` shows", err)
        env = self.environment()
        env["TINKEX_ENDPOINT"] = "v"
        self.daemon.refuse["register"] = ("denied", "there is no such endpoint")
        _, err = self.run_ctl("register", "a", env=env, code=7)
        self.assertIn("(given by $TINKEX_ENDPOINT, v)", err)
        self.daemon.refuse["list"] = ("denied", "only root may see all")
        self.assertEqual(self.run_ctl("list", "--all", code=7)[1], "tinkexctl: list: only root may see all\n")

    def test_full_output(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([TINKEXCTL, "list", "--json"], stdout=full, stderr=subprocess.PIPE, timeout=LIMIT,
                                  env=self.environment())
            self.assertEqual(done.returncode, 0)
            self.daemon.futures = [{"request_id": "a"}]
            done = subprocess.run([TINKEXCTL, "list", "--json"], stdout=full, stderr=subprocess.PIPE, timeout=LIMIT,
                                  env=self.environment())
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left", done.stderr)


class Register(Case):
    def test_options(self):
        out, err = self.run_ctl(
            "register", "a", "--endpoint", "e", "--poll-timeout", "24h", "--http-timeout=500ms", "--backoff-initial", "0",
            "--backoff-max", "2m", "--on-network-error", "retry", "--on-server-failure", "fail", "--accept", "protobuf",
            "--request-type", "Sample", "--metadata", "k=v=w", "--metadata", "n=", "b")
        self.assertEqual((out, err), ("a\nb\n", ""))
        self.assertEqual(self.daemon.params("register"), [{
            "request_ids": ["a", "b"], "endpoint": "e", "poll_timeout_ms": 86400000, "http_timeout_ms": 500,
            "backoff": {"initial_ms": 0, "max_ms": 120000}, "on_network_error": "retry", "on_server_failure": "fail",
            "accept": "protobuf", "request_type": "Sample", "metadata": {"k": "v=w", "n": ""}}])

    def test_endpoint_variable(self):
        env = self.environment()
        env["TINKEX_ENDPOINT"] = "fromenv"
        self.run_ctl("register", "a", env=env)
        self.run_ctl("register", "a", "--endpoint", "given", env=env)
        self.assertEqual([p["endpoint"] for p in self.daemon.params("register")], ["fromenv", "given"])

    def test_stdin(self):
        out, _ = self.run_ctl("register", "x", "-", "--", "--json", stdin=b"a\r\n\n b \nc")
        self.assertEqual(out, "x\na\n b \nc\n--json\n")

    def test_responses(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b'{"request_id":"a","model_id":"m"}{"request_id": 7}\n\n {"request_id":"\\u00e9"}\n')
            file.flush()
            out, _ = self.run_ctl("register", "--response", file.name)
        self.assertEqual(out, "a\n7\n\u00e9\n")

    def test_retry(self):
        self.run_ctl("retry", "a")
        self.assertEqual(self.daemon.params("register"), [{"request_ids": ["a"], "if_ended": "restart"}])

    def test_json_and_refused_ids(self):
        self.daemon.refuse_ids["b"] = ("limit_exceeded", "100000 are enough")
        out, err = self.run_ctl("register", "--json", "a", "b", "c", code=8)
        items = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([i["request_id"] for i in items], ["a", "b", "c"])
        self.assertIs(items[0]["new"], True)
        self.assertEqual(items[1]["error"]["data"]["name"], "limit_exceeded")
        self.assertIn("b was refused: 100000 are enough", err)
        out, _ = self.run_ctl("register", "a", "b", code=8)
        self.assertEqual(out, "a\n")

    def test_many(self):
        ids = ["id%d" % i for i in range(2345)]
        out, _ = self.run_ctl("register", "-", stdin="\n".join(ids).encode())
        self.assertEqual(out.splitlines(), ids)
        self.assertEqual([len(p["request_ids"]) for p in self.daemon.params("register")], [1000, 1000, 345])


class Await(Case):
    def test_order_and_acks(self):
        process = self.start_ctl("await", "a", "b", "c")
        self.daemon.wait_for_call("await")
        self.daemon.end("c", OK % '{"v": 1.50}')
        self.daemon.end("a", failed("request_failed", "bad\\u001b[31m\\ninput", '"user"'))
        self.daemon.wait_for_call("ack")  # of a; c waits for b
        self.daemon.end("b", OK % "null")
        out, err = process.communicate(timeout=LIMIT)
        self.assertEqual(out, b"a\tfailed\trequest_failed (user): bad [31m input\nb\tok\tnull\nc\tok\t{\"v\": 1.50}\n")
        self.assertEqual(err, b"tinkexctl: registered a, b, c\n")
        self.assertEqual(process.returncode, 1)
        acked = sum((p["request_ids"] for p in self.daemon.params("ack")), [])
        self.assertEqual(acked, ["a", "b", "c"])
        self.assertEqual({p["endpoint"] for p in self.daemon.params("ack")}, {"default"})

    def test_as_completed(self):
        process = self.start_ctl("await", "a", "b", "--as-completed")
        self.daemon.wait_for_call("await")
        self.daemon.end("b", OK % "2")
        self.daemon.wait_for_call("ack")
        self.daemon.end("a", OK % "1")
        out, _ = process.communicate(timeout=LIMIT)
        self.assertEqual(out, b"b\tok\t2\na\tok\t1\n")

    def test_json_byte_for_byte(self):
        result = '{ "b":1e400,"a":NaN, "b":"\\ud800\u00e9\u202e"}'
        self.daemon.end("a", OK % result)
        out, _ = self.run_ctl("--json", "await", "a")
        self.assertEqual(out, '{"request_id":"a","endpoint":"default",%s}\n' % (OK % result))
        out, _ = self.run_ctl("await", "--result-only", "a")
        self.assertEqual(out, result + "\n")

    def test_protobuf(self):
        self.daemon.end("a", '"ok":true,"content_type":"application/x-protobuf","size":4,"result_base64":"AAoN/w=="')
        self.assertEqual(self.run_ctl("await", "a")[0], "a\tok\tbase64:AAoN/w==\n")
        self.assertIn('"size":4,"result_base64":"AAoN/w=="}', self.run_ctl("await", "--json", "a")[0])
        done = subprocess.run([TINKEXCTL, "await", "--result-only", "a"], capture_output=True, timeout=LIMIT,
                              env=self.environment())
        self.assertEqual(done.stdout, b"\x00\x0a\x0d\xff")

    def test_options(self):
        self.daemon.registered.add("a")
        self.daemon.end("a", OK % "1")
        _, err = self.run_ctl("await", "a", "--no-register", "--no-ack", "--await-timeout", "5m", "--on-timeout", "keep",
                              "--where", "k=v", "--endpoint", "e")
        self.assertEqual(err, "")
        self.assertEqual([m for m, _ in self.daemon.calls], ["hello", "await"])
        params = self.daemon.params("await")[0]
        self.assertEqual(params, {"request_ids": ["a"], "stream": True, "endpoint": "e", "on_timeout": "keep",
                                  "where": {"k": "v"}, "await_timeout_ms": 300000})

    def test_exit_codes(self):
        for code, outcome in [
            (0, OK % "1"),
            (1, failed("request_failed")),
            (1, failed("network")),
            (1, failed("cancelled")),
            (1, failed("validation")),
            (1, failed("api_timeout", reason='"poll_deadline"')),
            (1, failed("api_timeout", reason='"max_age"')),
            (5, failed("api_timeout", reason='"await_timeout"')),
            (6, failed("api_status", status="404")),
            (6, failed("api_status", status="410")),
            (7, failed("api_status", status="401")),
            (7, failed("api_status", status="402")),
            (7, failed("api_status", status="403")),
            (1, failed("api_status", status="422")),
            (4, failed("not_registered", reason='"acked"')),
        ]:
            self.daemon.end("a", outcome)
            self.run_ctl("await", "a", code=code)
        self.run_ctl("await", "--no-register", "unknown", code=4)
        self.daemon.end("b", failed("api_status", status="410"))
        self.daemon.end("c", OK % "1")
        # the first, in the order given, that is not ok
        self.run_ctl("await", "c", "b", "a", code=6)
        self.run_ctl("await", "c", "a", "b", code=4)
        self.daemon.refuse_ids["d"] = ("limit_exceeded", "too many")
        out, _ = self.run_ctl("await", "c", "d", code=8)
        self.assertIn("d\tfailed\tnot_registered (limit_exceeded): too many\n", out)

    def test_time_up(self):
        self.daemon.end("a", OK % "1")
        out, _ = self.run_ctl("await", "a", "b", "--await-timeout", "0", code=5)
        self.assertEqual(out, "a\tok\t1\nb\tfailed\tapi_timeout (await_timeout): not in time\n")
        # b may end at any moment: only a is acknowledged
        self.assertEqual([p["request_ids"] for p in self.daemon.params("ack")], [["a"]])

    def test_interrupted(self):
        process = self.start_ctl("await", "a", "b", "c")
        self.daemon.wait_for_call("await")
        self.daemon.end("a", OK % "1")
        self.daemon.wait_for_call("ack")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(out, b"a\tok\t1\n")
        self.assertIn(b"interrupted: 1 of 3 done. The daemon goes on polling b, c;", err)
        self.assertEqual(self.daemon.params("cancel"), [])

    def test_closed_pipe(self):
        """Nobody reads any more: nothing is acknowledged."""
        reader, writer = os.pipe()
        process = self.start_ctl("await", "a", stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        self.daemon.wait_for_call("await")
        os.close(reader)
        self.daemon.end("a", OK % "1")
        _, err = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"the output could not be written: Broken pipe", err)
        self.assertEqual(self.daemon.params("ack"), [])

    def test_many(self):
        ids = ["id%d" % i for i in range(2100)]
        for request_id in ids:
            self.daemon.outcomes[request_id] = OK % json.dumps(request_id)
        out, err = self.run_ctl("await", "-", "--result-only", stdin="\n".join(ids).encode())
        self.assertEqual([json.loads(line) for line in out.splitlines()], ids)
        self.assertIn("id9 and 2090 more", err)
        self.assertEqual(sorted(sum((p["request_ids"] for p in self.daemon.params("ack")), [])), sorted(ids))

    def test_large(self):
        result = "[" + ",".join(["1234567890"] * 1000000) + "]"
        self.daemon.end("a", OK % result)
        out, _ = self.run_ctl("await", "a", "--result-only")
        self.assertTrue(out == result + "\n")

    def test_daemon_restart(self):
        process = self.start_ctl("await", "a", "b")
        self.daemon.wait_for_call("await")
        self.daemon.end("a", OK % "1")
        self.daemon.wait_for_call("ack")
        self.daemon.die()
        self.daemon.registered.clear()
        self.daemon.listen()
        self.daemon.wait_for_call("await", 3)  # refused as unknown, registered again, awaited again
        self.daemon.end("b", OK % "2")
        out, err = process.communicate(timeout=LIMIT)
        self.assertEqual(out, b"a\tok\t1\nb\tok\t2\n")
        self.assertEqual(process.returncode, 0)
        self.assertIn(b"closed the connection; looking for it again", err)
        self.assertEqual([p["request_ids"] for p in self.daemon.params("register")], [["a", "b"], ["b"]])

    def test_output_folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        target = os.path.join(folder.name, "results")
        long_id = "x" * 400
        ids = ["a/../b c", ".hidden", long_id, "bad", "pb"]
        for request_id in ids[:3]:
            self.daemon.outcomes[request_id] = OK % '{"v": 1}'
        self.daemon.outcomes["bad"] = failed("network")
        self.daemon.outcomes["pb"] = '"ok":true,"content_type":"application/x-protobuf","size":1,"result_base64":"/w=="'
        out, _ = self.run_ctl("await", "--output", target, *ids, code=1)
        files = sorted(os.listdir(target))
        self.assertEqual(len(files), 5)
        self.assertIn("a%2F..%2Fb%20c.json", files)
        self.assertIn("%2Ehidden.json", files)
        self.assertLess(max(len(name) for name in files), 255)
        with open(os.path.join(target, "pb.pb"), "rb") as file:
            self.assertEqual(file.read(), b"\xff")
        with open(os.path.join(target, "index.jsonl"), encoding="utf-8") as file:
            index = [json.loads(line) for line in file]
        self.assertEqual([line["request_id"] for line in index], ids)
        self.assertEqual(index[3]["error"]["type"], "network")
        for line in index[:3]:
            with open(os.path.join(target, line["file"]), encoding="utf-8") as file:
                self.assertEqual(file.read(), '{"v": 1}')
            self.assertEqual(line["size"], 8)
        self.assertIn("a/../b c\tok\t%s/a%%2F..%%2Fb%%20c.json\n" % target, out)
        _, err = self.run_ctl("await", "--output", "/dev/null/x", "pb", code=2)
        self.assertIn("--output /dev/null/x", err)


class Collect(Case):
    def test_all_in_pages(self):
        for i in range(250):
            self.daemon.outcomes["id%03d" % i] = OK % i
            self.daemon.registered.add("id%03d" % i)
        out, err = self.run_ctl("collect")
        self.assertEqual(out.splitlines(), ["id%03d\tok\t%d" % (i, i) for i in range(250)])
        self.assertEqual([len(p["request_ids"]) for p in self.daemon.params("ack")], [100, 100, 50])
        out, err = self.run_ctl("collect", "--limit", "2", "--no-ack")
        self.assertEqual(len(out.splitlines()), 2)
        self.assertIn("--after id001", err)
        out, _ = self.run_ctl("collect", "--limit", "2", "--no-ack", "--after", "id001", "--result-only")
        self.assertEqual(out, "2\n3\n")
        self.assertEqual(len(self.daemon.params("ack")), 3)

    def test_by_id(self):
        self.daemon.registered.update(["a", "b"])
        self.daemon.outcomes["a"] = OK % "1"
        out, _ = self.run_ctl("collect", "a", "b", "c", code=5)
        self.assertEqual(out.splitlines()[:2], ["a\tok\t1", "b\tnot ended\tpolling"])
        self.assertIn("c\tfailed\tnot_registered (never)", out)
        self.assertEqual([p["request_ids"] for p in self.daemon.params("ack")], [["a"]])
        out, _ = self.run_ctl("collect", "--json", "b", code=5)
        self.assertEqual(json.loads(out), {"request_id": "b", "endpoint": "default", "ok": None, "state": "polling"})

    def test_nothing(self):
        self.assertEqual(self.run_ctl("collect"), ("", "tinkexctl: there is nothing to collect\n"))
        self.assertEqual(self.run_ctl("collect", "--json"), ("", ""))

    def test_ack_and_cancel(self):
        self.daemon.registered.add("a")
        self.assertEqual(self.run_ctl("cancel", "a"), ("cancelled 1\n", ""))
        out, err = self.run_ctl("ack", "a", "x", code=4)
        self.assertEqual((out, err), ("acked 1\n", "tinkexctl: x is not registered\n"))
        out, _ = self.run_ctl("ack", "--json", "a", "x", code=4)
        self.assertEqual(json.loads(out), {"acked": 1, "not_registered": [{"request_id": "x", "endpoint": "default"}]})


class Look(Case):
    def test_ping_and_version(self):
        out, _ = self.run_ctl("ping")
        self.assertRegex(out, r"^fake/1 at .*sock answers \(\d+\.\d{3} ms\)\n$")
        self.assertEqual(json.loads(self.run_ctl("ping", "--json")[0])["server"], "fake/1")
        self.assertIn("fake/1 at ", self.run_ctl("version")[0])
        self.assertEqual(json.loads(self.run_ctl("version", "--json")[0])["server"], "fake/1")
        self.assertRegex(self.run_ctl("--version")[0], r"^tinkexctl \d+\.\d+\.\d+\n$")

    def test_status(self):
        out, _ = self.run_ctl("status", "a", "--all")
        self.assertIn("age                                   3 m 12 s\n", out)
        self.assertIn("queue_state_reason                    busy [31m hour\n", out)
        self.assertEqual(self.daemon.params("status"), [{"request_id": "a", "all": True}])
        out, _ = self.run_ctl("status", "a", "b", "--json")
        self.assertEqual([json.loads(line)["request_id"] for line in out.splitlines()], ["a", "b"])

    def test_list(self):
        self.daemon.futures = [
            {"request_id": "id%04d" % i, "endpoint": "default", "state": "blocked", "queue_state": None,
             "why_waiting": "gate", "age_ms": 125000, "iteration": 3, "next_poll_in_ms": None, "deadline_in_ms": 1,
             "ok": None, "metadata": {"k": "v"}} for i in range(1500)]
        out, _ = self.run_ctl("list")
        lines = out.splitlines()
        self.assertEqual(len(lines), 1501)
        self.assertRegex(lines[0], r"^REQUEST ID +ENDPOINT +STATE +WAITS FOR +AGE +POLLS +DEADLINE +METADATA$")
        self.assertRegex(lines[1], r'^id0000 +default +blocked +gate +2 m 5 s +3 +1 ms +\{"k":"v"\}$')
        out, _ = self.run_ctl("list", "--json", "--state", "blocked", "--where", "k=v", "--endpoint", "e", "--all")
        self.assertEqual([json.loads(line) for line in out.splitlines()], self.daemon.futures)
        self.assertEqual(self.daemon.params("list")[-2],
                         {"state": "blocked", "where": {"k": "v"}, "endpoint": "e", "limit": 1000, "all": True})
        out, err = self.run_ctl("list", "--limit", "10", "--json")
        self.assertEqual(len(out.splitlines()), 10)
        self.assertIn("--after 10", err)
        self.daemon.futures = []
        self.assertEqual(self.run_ctl("list"), ("", "tinkexctl: nothing is registered\n"))

    def test_endpoints(self):
        out, _ = self.run_ctl("endpoints")
        self.assertIn("closed: rate_limited", out)
        self.assertIn("3 of 1000", out)
        self.assertIn("default: last error: slow down\n", out)
        self.assertEqual(json.loads(self.run_ctl("endpoints", "--json")[0])["retry_in_ms"], 4000)

    def test_stats(self):
        out, _ = self.run_ctl("stats")
        self.assertIn("uptime                                3 m 12 s\n", out)
        self.assertIn("counters\n  polls\n    ok                                3\n", out)
        self.assertEqual(json.loads(self.run_ctl("stats", "--json")[0])["gauges"], {"peers": 1})


class Terminal(Case):
    """With a terminal of a given width on stdout and stderr."""

    def open_terminal(self, columns, *args, env=None):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([TINKEXCTL, *args], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                                   env=env or self.environment())
        os.close(slave)
        self.addCleanup(os.close, master)
        self.addCleanup(process.wait, LIMIT)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process, master

    def read_until(self, master, expected, seen=b""):
        """Everything up to and with `expected`, or up to the end if that is None."""
        end = time.monotonic() + LIMIT
        while expected is None or expected not in seen:
            ready, _, _ = select.select([master], [], [], max(0, end - time.monotonic()))
            if not ready:
                self.fail("%r did not come: %r" % (expected, seen))
            try:
                data = os.read(master, 65536)
            except OSError:
                data = b""
            if not data:
                if expected is not None:
                    self.fail("%r did not come: %r" % (expected, seen))
                break
            seen += data
        return seen

    def run_terminal(self, columns, *args, env=None):
        process, master = self.open_terminal(columns, *args, env=env)
        out = self.read_until(master, None).decode()
        return process.wait(LIMIT), out.replace("\r\n", "\n")

    def test_tables_fit(self):
        self.daemon.futures = [
            {"request_id": "a-very-long-request-id-" * 4, "endpoint": "default", "state": "completed",
             "queue_state": "paused_rate_limit", "why_waiting": None, "age_ms": 125000, "iteration": 3,
             "next_poll_in_ms": 100, "deadline_in_ms": 1000, "ok": None, "metadata": {"key": "value" * 9}}]
        for columns in (40, 80, 120, 200, 400):
            env = self.environment()
            env["NO_COLOR"] = "1"
            code, out = self.run_terminal(columns, "list", env=env)
            self.assertEqual(code, 0)
            self.assertLessEqual(max(len(line) for line in out.splitlines()), columns, out)
            self.assertIn("…" if columns < 400 else "value" * 9, out)
            self.assertNotIn("\033", out)
        _, out = self.run_terminal(200, "list")
        self.assertIn("\033[32m", out)

    def test_register_table(self):
        self.daemon.registered.add("b")
        _, out = self.run_terminal(80, "register", "a", "b")
        self.assertRegex(out, r"a +default +scheduled +registered now")
        self.assertRegex(out, r"b +default +scheduled +was registered")

    def test_results_do_not_command_the_terminal(self):
        self.daemon.end("a", OK % '"\u009b31m\u007f\u202e\u00e9"')
        _, out = self.run_terminal(80, "await", "a", "--json")
        self.assertIn('"result":"\\u009b31m\\u007f\\u202e\u00e9"}', out)

    def test_binary_to_terminal(self):
        self.daemon.end("a", '"ok":true,"content_type":"application/x-protobuf","size":1,"result_base64":"/w=="')
        code, out = self.run_terminal(80, "await", "a", "--result-only")
        self.assertEqual(code, 1)
        self.assertIn("stdout is a terminal", out)
        self.assertEqual(self.daemon.params("ack"), [])

    def test_progress(self):
        self.daemon.futures = [
            {"request_id": "other", "ok": None, "queue_state": "paused_capacity"},
            {"request_id": "b", "endpoint": "default", "ok": None, "state": "scheduled", "why_waiting": "backoff",
             "queue_state": "paused_rate_limit"}]
        process, master = self.open_terminal(120, "await", "a", "b")
        seen = self.read_until(master, "0 of 2 done · 2 waiting".encode())
        self.daemon.wait_for_call("await")
        self.daemon.end("a", OK % "1")
        seen = self.read_until(master, "1 of 2 done · 1 waiting".encode(), seen)
        seen = self.read_until(master, "1 paused (rate limit): busy [31m hour".encode(), seen)
        self.daemon.futures[1]["why_waiting"] = "gate"
        self.read_until(master, "1 paused: endpoint default is closed (rate_limited), next try in 4 s".encode())
        self.daemon.end("b", OK % "2")
        seen = self.read_until(master, None)
        self.assertIn(b"\r\033[Kb\t", seen)
        self.assertEqual(process.wait(LIMIT), 0)


if __name__ == "__main__":
    unittest.main()
