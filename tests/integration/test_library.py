"""libtinkex under the real daemon: the example program of README.md, alone and many times at once. $TINKEX_EXAMPLE names it."""

import os
import re
import subprocess
import unittest

from command_line import HELD, CommandLine
from daemon import binary
from running import completed
from sim import generated_body

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
N_PROCESSES = 20
N_OWN = 40  # ids that a process has for itself
N_SHARED = 20  # ids that all processes wait for
FAILED = {"json": {"error": "no luck", "category": "user"}}


def text_of(path):
    with open(os.path.join(PROJECT, path), encoding="utf-8") as file:
        return file.read()


class Example(CommandLine):
    endpoint = {"max_connections": 32}

    def start_example(self, *ids, **env):
        process = subprocess.Popen([binary("TINKEX_EXAMPLE"), *ids], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.environment(**env))
        self.addCleanup(self.end, process)
        return process

    def example(self, *ids, code=0, **env):
        return self.finish(self.start_example(*ids, **env), code)

    def test_is_what_readme_shows(self):
        blocks = re.findall(r"^```c\n(.*?)^```$", text_of("README.md"), re.DOTALL | re.MULTILINE)
        self.assertEqual(blocks, [text_of("client/examples/await.c")])

    def test_outcomes(self):
        self.sim.script({"e1": [HELD, completed({"v": 1.50})], "e2": [FAILED], "e3": [{"body": '{"a":NaN,  "a":1e400}'}]})
        process = self.start_example("e1", "e2", "e3", "e4")
        self.wait_ended("e2", "e3", "e4")
        self.assertAlmostEqual(self.status("e1")["deadline_in_ms"], 3600 * 1000, delta=60000)
        self.sim.release("e1")
        self.assertEqual(self.finish(process)[0], 'e1: {"v":1.5}\ne2 failed: no luck\ne3: {"a":NaN,  "a":1e400}\n'
                                                  'e4 failed: Future not found\n')
        for request_id in ("e1", "e2", "e3", "e4"):
            self.assert_registered(request_id, False)

    def test_large(self):
        self.sim.script({"large": [{"size": 20 << 20}]})
        out, _ = self.example("large")
        self.assertTrue(out.encode() == b"large: " + generated_body("large", 20 << 20) + b"\n")

    def test_nothing_to_do(self):
        self.example()

    def test_refused(self):
        out, err = self.example("ok", "bad\nid", code=1)
        self.assertEqual(out, "")
        self.assertRegex(err, r"^a parameter is missing or has the wrong type: await: request_ids\[1\] contains a control")
        self.assertIn("no tinkexd could be reached: ", self.example("a", code=1, TINKEXD_SOCKET="/nonexistent/s")[1])

    def test_daemon_is_started_anew(self):
        """Without a word from the program: the library finds the next daemon, and registers again."""
        self.sim.script({"r1": [HELD], "r2": [completed(2)]})
        process = self.start_example("r1", "r2")
        self.wait_ended("r2")
        self.sim.wait_polls("r1", 1)
        self.sim.script({"r1": [completed(1)], "r2": [completed(2)]})
        self.daemon.stop()
        self.daemon.start()
        type(self).peer = self.daemon.connect()
        self.assertEqual(self.finish(process), ("r1: 1\nr2: 2\n", ""))

    def test_many_at_once(self):
        """Processes with ids of their own and ids that all of them want; a fifth is killed and leaves the others alone."""
        shared = ["s%d" % k for k in range(N_SHARED)]
        own = [["p%d-%d" % (n, k) for k in range(N_OWN)] for n in range(N_PROCESSES)]
        script = {request_id: [HELD, {**completed(request_id), "repeat": True}] for request_id in shared}
        for n, ids in enumerate(own):
            script.update({request_id: [FAILED if k % 7 == 3 else completed([n, k])] for k, request_id in enumerate(ids)})
        self.sim.script(script)
        processes = [self.start_example(*ids, *shared) for ids in own]
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == N_SHARED)
        self.wait_ended(*sum(own, []))
        for process in processes[::5]:
            process.kill()
        self.sim.release()
        tail = "".join(f'{request_id}: "{request_id}"\n' for request_id in shared)
        for n, process in enumerate(processes):
            if n % 5 == 0:
                self.finish(process, -9)
                continue
            head = "".join(f"p{n}-{k} failed: no luck\n" if k % 7 == 3 else f"p{n}-{k}: [{n},{k}]\n" for k in range(N_OWN))
            out, err = self.finish(process)
            self.assertEqual((out, err), (head + tail, ""))
        stats = self.sim.stats()
        self.assertEqual((stats["overlaps"], stats["bad_polls"]), (0, 0))
        self.assertLessEqual(stats["max_in_flight"], 32)
        for request_id in sum(own, []):
            self.assert_polls(request_id, 1)


if __name__ == "__main__":
    unittest.main()
