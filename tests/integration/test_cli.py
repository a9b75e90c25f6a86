"""tinkexctl against the real daemon: every command but await, tables and JSON lines, and the exit codes."""

import json
import os
import re
import tempfile
import unittest

from command_line import NEVER, CommandLine, Terminal
from daemon import Daemon, wait_for
from running import completed

ODD = '{ "b":1e400,"a":NaN, "b":"\\ud800\u00e9\\u0000","c":-0.0}'


class Registering(CommandLine):
    def test_ids(self):
        self.sim.script({"r1": NEVER, "r2": NEVER})
        self.assertEqual(self.ctl("register", "r1", "r2", "r1"), ("r1\nr2\nr1\n", ""))
        items = self.ctl_json("register", "r1", "r3")
        self.assertEqual([(item["request_id"], item["new"]) for item in items], [("r1", False), ("r3", True)])
        self.assertIn(items[1]["state"], ("scheduled", "polling"))  # nothing is in its way
        self.sim.wait_polls("r1", 1)

    def test_options_arrive(self):
        self.sim.script({"o1": NEVER})
        self.ctl("register", "o1", "--poll-timeout", "24h", "--request-type", "Sample", "--metadata", "job=x=y",
                 "--metadata", "empty=", "--accept", "protobuf", "--http-timeout", "5m")
        headers = self.sim.wait_polls("o1", 1)[0]["headers"]
        self.assertEqual((headers["x-tinker-request-type"], headers["accept"]), ("Sample", "application/x-protobuf"))
        status = self.status("o1")
        self.assertEqual(status["metadata"], {"job": "x=y", "empty": ""})
        self.assertAlmostEqual(status["deadline_in_ms"], 86400000, delta=60000)

    def test_stdin(self):
        self.sim.script({"i%d" % k: NEVER for k in range(4)})
        out, _ = self.ctl("register", "i0", "-", input="i1\n\ni2\r\ni3")
        self.assertEqual(out, "i0\ni1\ni2\ni3\n")
        self.assertEqual(set(self.states()) & {"i0", "i1", "i2", "i3"}, {"i0", "i1", "i2", "i3"})

    def test_responses(self):
        """What a server answered to submissions, several in one file: with and without line breaks between them."""
        self.sim.script({"resp-1": NEVER, "17": NEVER, "resp-\u00e9": NEVER})
        text = '{"request_id":"resp-1","model_id":"m"}{"request_id": 17}\n\n {"request_id":"resp-\\u00e9"}\n'
        self.assertEqual(self.ctl("register", "--response", "-", input=text)[0], "resp-1\n17\nresp-\u00e9\n")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            items = self.ctl_json("register", "--response", file.name)
        self.assertEqual([(item["request_id"], item["new"]) for item in items],
                         [("resp-1", False), ("17", False), ("resp-\u00e9", False)])

    def test_retry(self):
        """register keeps a last word, retry asks again."""
        self.sim.script({"again": [completed(1), completed(2)]})
        self.assertEqual(self.ctl("await", "again", "--no-ack")[0], "again\tok\t1\n")
        item = self.ctl_json("register", "again")[0]
        self.assertEqual((item["new"], item["state"], item["outcome"]["ok"]), (False, "completed", True))
        self.assertEqual(self.ctl("retry", "again")[0], "again\n")
        self.assertEqual(self.ctl("await", "again", "--no-register")[0], "again\tok\t2\n")
        self.assertEqual(len(self.sim.polls("again")), 2)
        self.assertEqual(self.sim.polls("again")[1]["headers"]["x-tinker-request-iteration"], "0")

    def test_table(self):
        self.sim.script({"t1": NEVER, "t2": NEVER})
        self.ctl("register", "t2")
        code, text = Terminal(self, "register", "t1", "t2").finish()
        self.assertEqual(code, 0)
        self.assertRegex(text, r"t1 +default +\w+ +registered now\n")
        self.assertRegex(text, r"t2 +default +\w+ +was registered\n")


class Collecting(CommandLine):
    def end_all(self, outcomes, **options):
        """Registers and waits until all have ended, without taking the results."""
        self.sim.script(outcomes)
        self.peer.call("register", request_ids=list(outcomes), **options)
        self.peer.call("await", request_ids=list(outcomes))

    def test_collect_and_ack(self):
        self.end_all({"c1": [{"body": ODD}], "c2": [{"json": {"error": "bad\ninput", "category": "user"}}]},
                     metadata={"set": "c"})
        self.assertEqual(self.ctl("collect", "c1", "c2", "--no-ack", code=1)[0],
                         f"c1\tok\t{ODD}\nc2\tfailed\trequest_failed (user): bad input\n")
        self.assertEqual(self.ctl("collect", "c1", "--result-only", "--no-ack")[0], ODD + "\n")
        line = self.ctl("collect", "c1", "--json", "--no-ack")[0]
        self.assertEqual(line, '{"request_id":"c1","endpoint":"default","ok":true,"content_type":"application/json",'
                               f'"result":{ODD}}}\n')
        items = {item["request_id"]: item for item in self.ctl_json("collect", "--where", "set=c", code=1)}
        self.assertEqual(set(items), {"c1", "c2"})
        self.assertEqual(items["c2"]["error"]["category"], "user")
        for request_id in ("c1", "c2"):
            self.assert_registered(request_id, False)
        out, err = self.ctl("ack", "c1", "c2", code=4)
        self.assertEqual((out, err), ("acked 0\n", "tinkexctl: c1 is not registered\ntinkexctl: c2 is not registered\n"))

    def test_ack(self):
        self.end_all({"a1": [completed(1)], "a2": [completed(2)]}, metadata={"set": "a"})
        self.sim.script({"a3": NEVER})
        self.ctl("register", "a3", "--metadata", "set=a")
        out, err = self.ctl("ack", "a1", "a3", "a1")
        self.assertEqual(out, "acked 1\n")
        self.assertIn("2 were not acked: they have not ended, or were named twice", err)
        self.assertEqual(self.ctl_json("ack", "--where", "set=a"), [{"acked": 1, "not_registered": []}])
        self.assertEqual(self.status("a3")["state"], "polling")

    def test_cancel(self):
        self.sim.script({"x1": NEVER, "x2": NEVER, "x3": NEVER})
        self.ctl("register", "x1", "x2", "x3", "--metadata", "set=x")
        self.sim.wait_polls("x1", 1)
        self.assertEqual(self.ctl("cancel", "x1", "nothing", code=4),
                         ("cancelled 1\n", "tinkexctl: nothing is not registered\n"))
        self.sim.wait_for(lambda stats: self.sim.polls("x1")[0]["outcome"] == "aborted")
        self.assertEqual(self.ctl_json("cancel", "--where", "set=x"), [{"cancelled": 2, "not_registered": []}])
        self.assertEqual(self.ctl("collect", "x1", code=1)[0], "x1\tfailed\tcancelled: the registration was cancelled\n")

    def test_not_ended(self):
        self.sim.script({"n1": NEVER})
        self.ctl("register", "n1")
        self.sim.wait_polls("n1", 1)
        self.assertEqual(self.ctl("collect", "n1", code=5)[0], "n1\tnot ended\tpolling\n")
        self.assertEqual(self.ctl_json("collect", "n1", code=5),
                         [{"request_id": "n1", "endpoint": "default", "ok": None, "state": "polling"}])
        out, err = self.ctl("collect", "n1", "--result-only", code=5)
        self.assertEqual((out, err), ("", "tinkexctl: n1 has not ended: polling\n"))
        self.assert_registered("n1")

    def test_files(self):
        self.end_all({"f/1": [{"size": 300000}], "f2": [{"json": {"error": "no", "category": "user"}}]})
        with tempfile.TemporaryDirectory() as folder:
            out, _ = self.ctl("collect", "f/1", "f2", "--output", folder, code=1)
            self.assertEqual(out, f"f/1\tok\t{folder}/f%2F1.json\nf2\tfailed\trequest_failed\n")
            with open(os.path.join(folder, "index.jsonl"), encoding="utf-8") as file:
                index = [json.loads(line) for line in file]
            self.assertEqual(index[0], {"request_id": "f/1", "endpoint": "default", "ok": True, "size": 300000,
                                        "content_type": "application/json", "file": "f%2F1.json"})
            self.assertEqual(index[1]["error"]["message"], "no")
            self.assertEqual(sorted(os.listdir(folder)), ["f%2F1.json", "index.jsonl"])
            self.assertEqual(os.path.getsize(os.path.join(folder, "f%2F1.json")), 300000)
        self.assert_registered("f/1", False)


class Many(CommandLine):
    """2,500 ids, through stdin, by pages."""

    shared = True
    endpoint = {"max_connections": 16}
    ids = ["m%04d" % k for k in range(2500)]

    def test_all(self):
        self.sim.script({"*": [{"json": {"status": "pending"}, "until_release": True, "times": 1}, completed(0)],
                         **{request_id: [completed(k)] for k, request_id in enumerate(self.ids) if k >= 16}})
        self.assertEqual(self.ctl("register", "-", input="\n".join(self.ids))[0].splitlines(), self.ids)
        self.assertEqual([future["request_id"] for future in self.ctl_json("list")], self.ids)
        self.assertEqual(len(self.ctl("list")[0].splitlines()), 2501)

        out, err = self.ctl("list", "--limit", "1200", "--json")
        first = [json.loads(line)["request_id"] for line in out.splitlines()]
        cursor = re.fullmatch(r"tinkexctl: there are more: go on with --after (\S+)\n", err)[1]
        rest = [future["request_id"] for future in self.ctl_json("list", "--after", cursor)]
        self.assertEqual(first + rest, self.ids)
        self.assertEqual(len(first), 1200)
        self.assertEqual(len(self.ctl_json("list", "--state", "polling")), 16)
        self.assertEqual(len(self.ctl_json("list", "--state", "blocked")), 2484)

        waiting = self.start_ctl("await", "-", "--result-only", stdin=self.file("\n".join(self.ids)))
        self.sim.release()
        out, err = self.finish(waiting)
        self.assertEqual(out.split(), [str(k if k >= 16 else 0) for k in range(2500)])
        self.assertEqual(err, "")
        self.assertEqual(self.ctl("list"), ("", "tinkexctl: nothing is registered\n"))
        self.assertEqual(self.sim.stats()["overlaps"], 0)

    def file(self, text):
        file = tempfile.TemporaryFile("w+")
        self.addCleanup(file.close)
        file.write(text)
        file.seek(0)
        return file


class Looking(CommandLine):
    def test_status(self):
        self.register("s1", [{"json": {"type": "try_again", "queue_state": "paused_capacity", "retry_after_ms": 500000}}],
                      metadata={"k": "v"})
        wait_for(lambda: self.status("s1")["queue_state"], "the daemon has its queue state")
        answer = self.ctl_json("status", "s1", "s1")
        self.assertEqual([one["request_id"] for one in answer], ["s1", "s1"])
        self.assertEqual(set(answer[0]), set(self.status("s1")))
        text = self.ctl("status", "s1")[0]
        self.assertRegex(text, r"(?m)^queue_state +paused_capacity$")
        self.assertRegex(text, r"(?m)^next_poll_in +8 m \d+ s$")
        self.assertRegex(text, r"(?m)^metadata\n  k +v$")

    def test_list(self):
        self.sim.script({"l1": NEVER, "l2": [completed(1)]})
        self.ctl("register", "l1", "--metadata", "set=l")
        self.ctl("register", "l2")
        self.peer.outcome("l2")
        self.assertEqual([future["request_id"] for future in self.ctl_json("list", "--where", "set=l")], ["l1"])
        done = self.ctl_json("list", "--state", "completed")
        self.assertEqual([(future["request_id"], future["ok"]) for future in done], [("l2", True)])
        lines = self.ctl("list", "--where", "set=l")[0].splitlines()
        self.assertRegex(lines[0], r"^REQUEST ID +ENDPOINT +STATE +AGE +POLLS +DEADLINE +METADATA$")
        self.assertRegex(lines[1], r'^l1 +default +polling +.*\{"set":"l"\}$')
        self.assertEqual(self.ctl("list", "--where", "set=none"), ("", "tinkexctl: nothing is registered that matches\n"))
        if os.geteuid() == 0:
            self.assertIn("USER ID", self.ctl("list", "--all")[0])

    def test_tables_fit(self):
        name = "0dd2b6a1-1c5e-4b0c-8d3e-2f6f3f9c1a77"
        self.register(name, [{"json": {"type": "try_again", "queue_state": "paused_rate_limit", "retry_after_ms": 500000}}])
        wait_for(lambda: self.status(name)["queue_state"], "the daemon has its queue state")
        for command in ("list", "endpoints"):
            code, text = Terminal(self, command, columns=80).finish()
            self.assertEqual(code, 0)
            self.assertIn("\033[1m", text)
            plain = re.sub("\033\\[\\d*m", "", text)
            self.assertLessEqual(max(len(line) for line in plain.splitlines()), 80, plain)
        code, text = Terminal(self, "list", columns=80, NO_COLOR="1").finish()
        self.assertNotIn("\033", text)
        self.assertRegex(text, f"{name}  scheduled +retry_after +paused_rate_limit")

    def test_stats_and_ping(self):
        self.ctl("register", "one", "--backoff-initial", "0")
        stats = self.ctl_json("stats")[0]
        self.assertGreaterEqual(stats["counters"]["registrations"], 1)
        self.assertEqual(set(stats), {"server", "instance", "uptime_ms", "counters", "gauges"})
        text = self.ctl("stats")[0]
        self.assertRegex(text, r"(?m)^uptime +\d+ m?s$")
        self.assertRegex(text, r"(?m)^  registrations +\d+$")
        self.assertRegex(self.ctl("ping")[0], r"^tinkexd/\S+ at %s answers \(\d+\.\d{3} ms\)\n$" % self.daemon.socket_path)
        ping = self.ctl_json("ping")[0]
        self.assertEqual((ping["socket"], ping["server"]), (self.daemon.socket_path, stats["server"]))

    def test_version(self):
        out, _ = self.ctl("version")
        version = re.match(r"tinkexctl (\S+)\nlibtinkex \1\n(tinkexd/\1) at ", out)
        self.assertTrue(version, out)
        self.assertEqual(self.ctl_json("version"),
                         [{"tinkexctl": version[1], "libtinkex": version[1], "server": version[2]}])
        self.assertEqual(self.ctl("version", TINKEXD_SOCKET="/nonexistent/s")[0].splitlines()[2], "no daemon answers")


class Endpoints(CommandLine):
    shared = False

    def test_gate(self):
        out, _ = self.ctl("endpoints")
        self.assertRegex(out, r"^ENDPOINT +GATE +IN FLIGHT .*\ndefault +open +0 of 1000 +0 +http://127.0.0.1:\d+ +durable")
        self.register("a", [{"status": 429, "headers": {"Retry-After": "300"}, "json": {"detail": "slow down"}}])
        wait_for(lambda: self.endpoint_status()["gate"] == "closed", "the gate is closed")
        out, _ = self.ctl("endpoints")
        self.assertRegex(out, r"default +closed: rate_limited +\d m( \d+ s)?")
        self.assertRegex(out, r"(?m)^default: last error: .*429|slow down")
        item = self.ctl_json("endpoints")[0]
        self.assertEqual((item["gate"], item["reason"]), ("closed", "rate_limited"))
        terminal = Terminal(self, "await", "a", columns=120)
        terminal.read("paused: endpoint default is closed (rate_limited), next try in 4 m")


class ExitCodes(CommandLine):
    """Each out of a real situation. (0 is everywhere; 5 and 130 are in test_cli_await.)"""

    endpoint = {"on_auth_error": "fail"}
    limits = {"max_registrations_per_uid": 40}

    def test_1_a_future_failed(self):
        self.sim.script({"e1": [{"json": {"error": "no", "category": "user"}}], "e2": [completed(1)]})
        out, _ = self.ctl("await", "e2", "e1", code=1)
        self.assertEqual(out, "e2\tok\t1\ne1\tfailed\trequest_failed (user): no\n")

    def test_1_output_full(self):
        with open("/dev/full", "wb") as full:
            self.sim.script({"full": [completed(1)]})
            _, err = self.finish(self.start_ctl("await", "full", stdout=full), 1)
        self.assertIn("the output could not be written: No space left on device", err)
        self.assert_registered("full")

    def test_2_usage(self):
        _, err = self.ctl("register", "e3", "--request-type", "a b", code=2)
        self.assertIn("request_type must be", err)
        self.assertIn("(given by --request-type a b)", err)
        _, err = self.ctl("list", "--after", "nonsense", code=2)
        self.assertIn("(given by --after nonsense)", err)
        for wrong in ("", "x" * 513, "a\nb"):
            self.assertIn("id number 2 of 2, `", self.ctl("register", "e3", wrong, code=2)[1])
        self.assert_registered("e3", False)
        self.sim.script({"x" * 512: NEVER})
        self.ctl("await", "x" * 512, "--await-timeout", "0", code=5)

    def test_3_no_daemon(self):
        for path, reason in (("/nonexistent/s", "does not exist"), (self.daemon.key_path, "is not a socket")):
            for args in (["ping"], ["await", "a"], ["register", "a"], ["collect"], ["list", "--json"]):
                out, err = self.ctl(*args, code=3, TINKEXD_SOCKET=path)
                self.assertEqual(out, "")
                self.assertIn(f"  {path}: {reason}\nstart one with", err)
        self.ctl("--socket", self.daemon.socket_path, "ping", TINKEXD_SOCKET="/nonexistent/s")

    def test_4_not_registered(self):
        self.assertEqual(self.ctl("await", "--no-register", "e4", code=4)[0],
                         "e4\tfailed\tnot_registered (never): no such registration of yours\n")
        self.assertIn("e4 is not registered", self.ctl("status", "e4", code=4)[1])
        self.ctl("collect", "e4", code=4)

    def test_6_gone(self):
        self.sim.script({"e6": [{"status": 410, "json": {"error": "promise expired", "category": "server"}}]})
        self.assertIn("e6\tfailed\tapi_status 410 (expired)", self.ctl("await", "e6", code=6)[0])
        self.assertIn("(unknown_request)", self.ctl("await", "e6-unknown", code=6)[0])

    def test_7_not_authorised(self):
        for status in (401, 403):
            self.sim.script({f"e{status}": [{"status": status, "json": {"detail": "who are you?"}}]})
            self.assertIn(f"api_status {status}", self.ctl("await", f"e{status}", code=7)[0])
        for args in (["register", "a"], ["await", "a"], ["list"], ["collect"], ["ack", "a"], ["status", "a"]):
            _, err = self.ctl(*args, "--endpoint", "elsewhere", code=7)
            self.assertIn("(given by --endpoint elsewhere); `tinkexctl endpoints` shows", err)
        self.assertIn("$TINKEX_ENDPOINT, nowhere", self.ctl("register", "a", code=7, TINKEX_ENDPOINT="nowhere")[1])

    def test_8_refused(self):
        self.sim.script({"e8": NEVER})
        self.ctl("register", "e8", "--accept", "protobuf")
        _, err = self.ctl("register", "e8", "--accept", "json", code=8)
        self.assertIn("e8 was refused: it was registered with another `accept` before", err)
        ids = ["lim%d" % k for k in range(50)]
        self.sim.script({request_id: NEVER for request_id in ids})
        out, err = self.ctl("register", *ids, code=8)
        self.assertLess(len(out.splitlines()), 50)
        self.assertIn("lim49 was refused: you have as many registrations as one user may: 40", err)
        self.assertIn("lim49\tfailed\tnot_registered (limit_exceeded)", self.ctl("await", "lim49", code=8)[0])
        self.ctl("cancel", *out.split())
        self.ctl("ack", *out.split())

    def test_first_in_the_order_given(self):
        self.sim.script({"f1": [{"status": 410, "json": {}}], "f2": [{"status": 403, "json": {}}], "f3": [completed(1)]})
        self.ctl("await", "f3", "f2", "f1", "--no-ack", code=7)
        self.ctl("await", "f3", "f1", "f2", "--no-ack", code=6)
        self.ctl("collect", "f3", "f1", "f2", code=6)


class NoDaemon(CommandLine):
    def test_it_died(self):
        """The socket is still there, and nobody listens; with several places to look, all are told."""
        with Daemon(self.sim.url) as daemon:
            daemon.kill()
            _, err = self.ctl("ping", code=3, TINKEXD_SOCKET=daemon.socket_path)
            self.assertIn(f"  {daemon.socket_path}: nobody listens on it\n", err)
            daemon.start()
            self.ctl("ping", TINKEXD_SOCKET=daemon.socket_path)
        _, err = self.ctl("ping", code=3, TINKEXD_SOCKET="", XDG_RUNTIME_DIR=daemon.folder)
        self.assertIn(f"  {daemon.folder}/tinkexd/tinkexd.sock: does not exist\n  /run/tinkexd/tinkexd.sock: ", err)

    @unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
    def test_not_for_you(self):
        os.chmod(self.daemon.folder, 0o711)
        somebody = {"user": 1001, "group": 1001, "extra_groups": []}
        try:
            self.finish(self.start_ctl("--version", popen=somebody))
        except PermissionError:
            self.skipTest("the programs are where nobody else may go")
        _, err = self.finish(self.start_ctl("ping", popen=somebody), 3)
        self.assertIn(f"  {self.daemon.socket_path}: you may not open it (socket_mode and socket_group in", err)


if __name__ == "__main__":
    unittest.main()
