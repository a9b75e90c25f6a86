"""`tinkexctl await` against the real daemon: orders, forms, times, interruptions, lost daemons, large results."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from command_line import HELD, NEVER, CommandLine, Terminal
from daemon import WAIT_SECONDS, Daemon, binary, wait_for
from running import completed
from sim import Sim, generated_body

ODD = '{ "b":1e400,"a":NaN, "b":"\\ud800\u00e9\\u0000","c":-0.0}'
PROTOBUF = {"content_type": "application/x-protobuf", "body_base64": "AAoN/w=="}
GONE_AFTER = 60  # seconds for which tinkexctl looks for a lost daemon
FAILED = {"json": {"error": "no", "category": "user"}}


class Forms(CommandLine):
    def test_order(self):
        self.sim.script({"o1": [HELD, completed({"n": 1})], "o2": [completed({"n": 2})], "o3": [FAILED]})
        process = self.start_ctl("await", "o1", "o2", "o3")
        self.wait_ended("o2", "o3")
        self.sim.release("o1")
        out, err = self.finish(process, 1)
        self.assertEqual(out, 'o1\tok\t{"n":1}\no2\tok\t{"n":2}\no3\tfailed\trequest_failed (user): no\n')
        self.assertEqual(err, "tinkexctl: registered o1, o2, o3\n")
        for request_id in ("o1", "o2", "o3"):
            self.assert_registered(request_id, False)

    def test_as_completed(self):
        self.sim.script({"c1": [HELD, completed(1)], "c2": [completed(2)]})
        process = self.start_ctl("await", "c1", "c2", "--as-completed")
        self.assertEqual(process.stdout.readline(), b"c2\tok\t2\n")  # while c1 is held
        self.sim.release("c1")
        self.assertEqual(self.finish(process)[0], "c1\tok\t1\n")

    def test_named_twice(self):
        self.sim.script({"t1": [completed(1)]})
        self.assertEqual(self.ctl("await", "t1", "t1")[0], "t1\tok\t1\n" * 2)
        self.assertEqual(len(self.sim.polls("t1")), 1)

    def test_byte_for_byte(self):
        self.sim.script({"b1": [{"body": ODD}], "b2": [{"body": '{"status":"completed","result":\n [1.50,\n2]}'}], "b3": [PROTOBUF]})
        out, _ = self.ctl("await", "b1", "b2", "--json", "--no-ack")
        head = '{"request_id":"%s","endpoint":"default","ok":true,"content_type":"application/json","result":%s}\n'
        self.assertEqual(out, head % ("b1", ODD) + head % ("b2", "[1.50, 2]"))
        self.assertEqual(self.ctl("await", "b1", "b2", "--result-only")[0], ODD + "\n[1.50, 2]\n")
        self.assertEqual(self.ctl("await", "b3", "--no-ack", "--accept", "protobuf")[0], "b3\tok\tbase64:AAoN/w==\n")
        self.assertEqual(self.ctl_json("await", "b3", "--no-ack")[0]["result_base64"], "AAoN/w==")
        process = self.start_ctl("await", "b3", "--result-only")
        self.assertEqual(process.communicate(timeout=WAIT_SECONDS)[0], b"\x00\x0a\x0d\xff")

    def test_failures_beside_results(self):
        self.sim.script({"r1": [FAILED], "r2": [completed(2)]})
        out, err = self.ctl("await", "r1", "r2", "--result-only", code=1)
        self.assertEqual(out, "2\n")
        self.assertIn("tinkexctl: r1 failed: request_failed: no\n", err)

    def test_output(self):
        self.sim.script({"f1": [HELD, {"size": 100000}], "f/2": [completed([1])], "f3": [PROTOBUF], "f4": [FAILED]})
        with tempfile.TemporaryDirectory() as parent:
            folder = os.path.join(parent, "results")
            process = self.start_ctl("await", "f1", "f/2", "f3", "f4", "--output", folder, "--as-completed")
            lines = sorted(process.stdout.readline().decode() for _ in range(3))
            self.assertEqual(lines, [f"f/2\tok\t{folder}/f%2F2.json\n", f"f3\tok\t{folder}/f3.pb\n",
                                     "f4\tfailed\trequest_failed\n"])
            self.sim.release("f1")
            self.assertEqual(self.finish(process, 1)[0], f"f1\tok\t{folder}/f1.json\n")
            self.assertEqual(sorted(os.listdir(folder)), ["f%2F2.json", "f1.json", "f3.pb", "index.jsonl"])
            with open(os.path.join(folder, "index.jsonl"), encoding="utf-8") as file:
                index = {line["request_id"]: line for line in map(json.loads, file)}
            self.assertEqual(index["f4"]["error"]["type"], "request_failed")
            for request_id, body in (("f1", generated_body("f1", 100000)), ("f/2", b"[1]"), ("f3", b"\x00\x0a\x0d\xff")):
                with open(os.path.join(folder, index[request_id]["file"]), "rb") as file:
                    self.assertEqual(file.read(), body)
                self.assertEqual(index[request_id]["size"], len(body))
        self.assert_registered("f1", False)

    def test_output_that_cannot_be_written(self):
        """What is not safely in its file is not acknowledged."""
        self.sim.script({"w1": [completed(1)], "w2": [completed(2)]})
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "w1.json"))
            _, err = self.ctl("await", "w1", "w2", "--output", folder, code=1)
            self.assertIn(f"--output {folder}: w1.json cannot be written: Is a directory", err)
            self.assertNotIn("w1.json.tmp", os.listdir(folder))
        for request_id in ("w1", "w2"):
            self.assert_registered(request_id)
        self.assertIn("--output /dev/null/x: ", self.ctl("await", "w1", "--output", "/dev/null/x", code=2)[1])

    def test_no_ack_and_no_register(self):
        self.sim.script({"n1": [completed(1)]})
        self.ctl("await", "n1", "--no-register", code=4)
        self.assertEqual(self.sim.polls("n1"), [])
        for _ in range(2):
            self.assertEqual(self.ctl("await", "n1", "--no-ack")[0], "n1\tok\t1\n")
        self.assertEqual(self.ctl("await", "n1", "--no-register"), ("n1\tok\t1\n", ""))
        self.ctl("await", "n1", "--no-register", code=4)

    def test_where(self):
        self.sim.script({"w%d" % k: [completed(k)] for k in range(4)})
        for k in range(4):
            self.ctl("register", "w%d" % k, "--metadata", "set=w", "--metadata", "odd=%d" % (k % 2))
        out, _ = self.ctl("await", "--where", "set=w", "--where", "odd=1", "--no-ack")
        self.assertEqual(sorted(out.splitlines()), ["w1\tok\t1", "w3\tok\t3"])
        out, _ = self.ctl("await", "w0", "w1", "--where", "odd=0", "--no-register", code=4)
        self.assertTrue(out.startswith("w0\tok\t0\nw1\tfailed\tnot_registered"), out)
        self.assertEqual(self.ctl("await", "--where", "set=none"),
                         ("", "tinkexctl: nothing is registered that matches\n"))

    def test_time_is_up(self):
        self.sim.script({name: NEVER for name in ("u1", "u2", "u3", "u4", "u5")})
        out, _ = self.ctl("await", "u1", "--await-timeout", "100ms", code=5)
        self.assertRegex(out, r"^u1\tfailed\tapi_timeout \(await_timeout\): .*100 ms\n$")
        self.wait_ended("u1")
        self.assertEqual(self.status("u1")["last_error"]["type"], "cancelled")
        self.ctl("await", "u2", "--await-timeout", "100ms", "--on-timeout", "keep", code=5)
        self.ctl("await", "u3", "--await-timeout", "0", code=5)
        self.ctl("register", "u4")
        self.ctl("await", "u4", "--await-timeout", "100ms", code=5)
        self.assertEqual({name: self.status(name)["state"] for name in ("u2", "u3", "u4")},
                         {"u2": "polling", "u3": "polling", "u4": "polling"})
        _, err = self.ctl("await", "u4", "--timeout", "5s", code=2)
        self.assertIn("--poll-timeout says how long the daemon polls, --await-timeout how long this command waits", err)
        out, _ = self.ctl("await", "u5", "--poll-timeout", "0", "--http-timeout", "1s", code=1)
        self.assertIn("u5\tfailed\tapi_timeout (poll_deadline)", out)

    def test_large(self):
        """50 MB, whole, on three ways out."""
        size = 50 << 20
        self.sim.script({"big": [{"size": size}]})
        with tempfile.TemporaryDirectory() as folder:
            self.ctl("await", "big", "--output", folder, "--no-ack")
            with open(os.path.join(folder, "big.json"), "rb") as file:
                body = file.read()
            path = os.path.join(folder, "stdout")
            for args, head, tail in ((["--result-only", "--no-ack"], b"", b"\n"),
                                     (["--json"], b'{"request_id":"big","endpoint":"default","ok":true,'
                                                  b'"content_type":"application/json","result":', b"}\n")):
                with open(path, "wb") as file:
                    self.finish(self.start_ctl("await", "big", *args, stdout=file))
                with open(path, "rb") as file:
                    self.assertTrue(file.read() == head + body + tail, args)
        self.assertTrue(body == generated_body("big", size))
        self.assert_registered("big", False)


class Interruptions(CommandLine):
    def test_interrupt(self):
        self.sim.script({"i1": [completed(1)], "i2": [HELD, completed(2)], "i3": [HELD, completed(3)]})
        process = self.start_ctl("await", "i1", "i2", "i3")
        self.assertEqual(process.stdout.readline(), b"i1\tok\t1\n")
        wait_for(lambda: "i1" not in self.states(), "i1 is acknowledged")
        process.send_signal(signal.SIGINT)
        out, err = self.finish(process, 130)
        self.assertEqual(out, "")
        self.assertIn("tinkexctl: interrupted: 1 of 3 done. The daemon goes on polling i2, i3; `tinkexctl await` or "
                      "`tinkexctl collect` gets them later\n", err)
        for request_id in ("i2", "i3"):
            self.sim.release(request_id)
        self.assertEqual(self.ctl("await", "i2", "i3", "--no-register"), ("i2\tok\t2\ni3\tok\t3\n", ""))

    def test_interrupt_elsewhere(self):
        path = os.path.join(self.daemon.folder, "deaf")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf:
            deaf.bind(path)
            deaf.listen()
            deaf.settimeout(WAIT_SECONDS)
            process = self.start_ctl("--socket", path, "ping")
            with deaf.accept()[0]:
                process.send_signal(signal.SIGINT)
                self.finish(process, 130)

    def test_nobody_reads(self):
        """What nobody takes is not acknowledged."""
        ids = ["p%d" % k for k in range(5)]
        self.sim.script({request_id: [HELD, {"size": 1000}] for request_id in ids})
        process = self.start_ctl("await", *ids, "--result-only")
        self.sim.release("p0")
        self.assertEqual(process.stdout.readline(), generated_body("p0", 1000) + b"\n")
        wait_for(lambda: "p0" not in self.states(), "p0 is acknowledged")
        process.stdout.close()
        process.stdout = None
        for request_id in ids[1:]:
            self.sim.release(request_id)
        _, err = process.communicate(timeout=WAIT_SECONDS)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"the output could not be written: Broken pipe", err)
        self.assertEqual(self.ctl("collect", *ids[1:], "--result-only", "--no-ack")[0].encode(),
                         b"".join(generated_body(request_id, 1000) + b"\n" for request_id in ids[1:]))

    def test_head(self):
        """Lines longer than a pipe: beyond the first, `head -1` has room for a part of one."""
        ids = ["h%d" % k for k in range(10)]
        self.sim.script({request_id: [{"size": 200000}] for request_id in ids})
        command = f"{binary('TINKEXCTL')} await {' '.join(ids)} --result-only | head -1"
        done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=WAIT_SECONDS, env=self.environment(),
                              check=False)
        self.assertTrue(done.stdout == generated_body("h0", 200000) + b"\n")
        self.assertIn(b"Broken pipe", done.stderr)
        self.peer.call("await", request_ids=ids)
        for request_id in ids[1:]:
            self.assert_registered(request_id)

    def test_progress(self):
        paused = {"type": "try_again", "queue_state": "paused_rate_limit", "queue_state_reason": "server\x1b[31m throttle",
                  "retry_after_ms": 600000}
        self.sim.script({"t1": [HELD, completed(1)], "t2": [{"json": paused}]})
        terminal = Terminal(self, "await", "t1", "t2", columns=100)
        terminal.read("0 of 2 done · 2 waiting · ")
        terminal.read("1 paused (rate limit): server [31m throttle")
        self.sim.release("t1")
        terminal.read("\r\033[Kt1\t\033[32mok\033[0m\t1")
        terminal.read("1 of 2 done · 1 waiting")
        self.ctl("cancel", "t2")
        code, text = terminal.finish()
        self.assertEqual(code, 1)
        self.assertIn("\r\033[Kt2\t\033[31mfailed\033[0m\tcancelled", text)

    def test_progress_only_for_people(self):
        self.sim.script({"q1": [completed(1)], "q2": [completed(2)]})
        code, text = Terminal(self, "await", "q1", NO_COLOR="1").finish()
        self.assertEqual(code, 0)
        self.assertIn("q1\tok\t1\n", text)
        self.assertNotIn("\033[3", text)
        self.assertEqual(self.ctl("await", "q2"), ("q2\tok\t2\n", "tinkexctl: registered q2\n"))


class Restarts(CommandLine):
    shared = False

    def await_over(self, end_daemon):
        """When the daemon goes a1 has been handed out, a2 waits for its turn, a3 is being polled. (State is in memory.)"""
        self.sim.script({"a1": [completed(1)], "a2": [completed(2)], "a3": [HELD, completed(3)]})
        process = self.start_ctl("await", "a1", "a3", "a2", "--metadata", "k=v")
        self.assertEqual(process.stdout.readline(), b"a1\tok\t1\n")
        wait_for(lambda: self.states() == {"a2": "completed", "a3": "polling"}, "a2 has ended")
        self.sim.script({"a1": [], "a2": [completed(2)], "a3": [completed(3)]})
        end_daemon()
        self.daemon.start()
        out, err = self.finish(process)
        self.assertEqual(out, "a3\tok\t3\na2\tok\t2\n")
        self.assertIn("; looking for it again\n", err)
        self.assertIn("was started anew\n", err)
        self.assertEqual(self.sim.polls("a1", brief=True)[1:], [], "what was handed out is not asked for again")

    def test_killed(self):
        self.await_over(self.daemon.kill)

    def test_stopped_in_order(self):
        self.await_over(self.daemon.stop)

    def test_time_is_up_meanwhile(self):
        self.sim.script({"a": NEVER})
        process = self.start_ctl("await", "a", "--await-timeout", "2s")
        self.sim.wait_polls("a", 1)
        self.daemon.kill()
        out, _ = self.finish(process, 5)
        self.assertIn("a\tfailed\tapi_timeout (await_timeout)", out)
        self.daemon.start()


class Vanished(CommandLine):
    """The daemon goes away for longer than tinkexctl looks for it. Begun first and looked at last: it takes a minute."""

    shared = False

    @classmethod
    def setUpClass(cls):
        pass

    def setUp(self):
        self.daemon = vanished.daemon

    def test_gone(self):
        out, err = vanished.process.communicate(timeout=GONE_AFTER + WAIT_SECONDS)
        self.assertEqual(vanished.process.returncode, 1)
        self.assertEqual(out.decode(), "v1\tok\t1\nv2\tfailed\tapi_timeout (daemon_gone): the daemon went away and did not "
                                       "come back\n")
        self.assertIn("; looking for it again\n", err.decode())
        self.daemon.start()
        self.assertEqual(self.ctl("await", "v2")[0], "v2\tok\t2\n")
        self.daemon.stop()


class Vanishing:
    """What Vanished looks at."""

    def __init__(self):
        self.sim = Sim({"v1": [completed(1)], "v2": [HELD, completed(2)]})
        self.daemon = Daemon(self.sim.url)
        self.process = subprocess.Popen([binary("TINKEXCTL"), "--socket", self.daemon.socket_path, "await", "v1", "v2"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=self.daemon.environment())
        self.sim.wait_polls("v2", 1)
        wait_for(lambda: len(self.daemon.call("list")["futures"]) == 1, "v1 is acknowledged")
        self.daemon.kill()

    def end(self):
        self.process.kill()
        self.process.communicate()
        self.daemon.kill()
        shutil.rmtree(self.daemon.folder)
        self.sim.stop()


def setUpModule():
    global vanished
    vanished = Vanishing()
    unittest.addModuleCleanup(vanished.end)


if __name__ == "__main__":
    unittest.main()
