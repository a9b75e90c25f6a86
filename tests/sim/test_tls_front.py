"""tls_front.py: nginx and nghttpx in front of the simulator, tried with curl."""

import json
import os
import subprocess
import unittest

import support  # noqa: F401  (first: it makes the modules below importable)
import tls_front
from sim import Sim, generated_body
from tls_front import TlsFront

LIMIT_SECONDS = "60"


def curl(front, request_ids, *options, ca_file=None):
    """Polls each id with one curl process, in parallel when asked to; its exit code and what it wrote."""
    command = ["curl", "--silent", "--max-time", LIMIT_SECONDS, "--cacert", ca_file or front.ca_file, *options]
    for number, request_id in enumerate(request_ids):
        if number > 0:
            command += ["--next", "--silent", "--max-time", LIMIT_SECONDS, "--cacert", ca_file or front.ca_file,
                        *options]
        command += ["--write-out", "%{http_version} %{http_code} %{num_connects}\n", "--output", os.devnull,
                    "--data", json.dumps({"request_id": request_id}), front.url + "/api/v1/retrieve_future"]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.returncode, result.stdout.splitlines()


class FrontCase:
    kind = None

    def setUp(self):
        if self.kind not in tls_front.available():
            self.skipTest(self.kind + " is not installed")

    def test_http2_over_tls(self):
        with Sim({"*": [{"json": {"value": 42}, "repeat": True}]}) as sim, \
                TlsFront(sim.port, kind=self.kind) as front:
            self.assertEqual(curl(front, ["a", "b"], "--http2"), (0, ["2 200 1", "2 200 0"]))
            self.assertEqual([request["http2"] for request in front.requests()], [True, True])
            self.assertEqual(len({request["connection"] for request in front.requests()}), 1)
            self.assertEqual(sim.stats()["polls"], 2)

    def test_http1_over_tls(self):
        with Sim({"*": [{"json": {"value": 42}, "repeat": True}]}) as sim, \
                TlsFront(sim.port, http2=False, kind=self.kind) as front:
            self.assertEqual(curl(front, ["a", "b"], "--http2"), (0, ["1.1 200 1", "1.1 200 0"]))
            self.assertEqual([request["http2"] for request in front.requests()], [False, False])

    def test_another_authority_is_not_trusted(self):
        with Sim({"*": [{"repeat": True}]}) as sim, TlsFront(sim.port, kind=self.kind) as front, \
                TlsFront(sim.port, kind=self.kind) as other:
            code, _ = curl(front, ["a"], "--http2", ca_file=other.ca_file)
            self.assertEqual(code, 60)
            self.assertEqual(sim.stats()["polls"], 0)

    def test_body_of_a_megabyte(self):
        with Sim({"big": [{"size": 1 << 20}]}) as sim, TlsFront(sim.port, kind=self.kind) as front:
            result = subprocess.run(["curl", "--silent", "--max-time", LIMIT_SECONDS, "--http2", "--cacert",
                                     front.ca_file, "--data", '{"request_id":"big"}',
                                     front.url + "/api/v1/retrieve_future"], capture_output=True)
            self.assertEqual(result.returncode, 0)
            self.assertEqual(result.stdout, generated_body("big", 1 << 20))

    def test_held_polls_share_a_connection(self):
        ids = ["h%d" % i for i in range(20)]
        with Sim({id: [{"until_release": True, "json": {"ok": id}}] for id in ids}) as sim, \
                TlsFront(sim.port, kind=self.kind) as front:
            command = ["curl", "--silent", "--no-progress-meter", "--parallel", "--parallel-max", "20", "--max-time", LIMIT_SECONDS]
            for id in ids:
                command += ["--http2", "--cacert", front.ca_file, "--data", json.dumps({"request_id": id}),
                            front.url + "/api/v1/retrieve_future", "--next"]
            process = subprocess.Popen(command[:-1], stdout=subprocess.PIPE)
            try:
                sim.wait_for(lambda stats: stats["in_flight"] == 20)
                self.assertEqual(front.open_connections(), 1)
                self.assertEqual(sim.release(), 20)
                output, _ = process.communicate(timeout=60)
            finally:
                process.kill()
                process.wait()
            self.assertEqual(process.returncode, 0)
            for id in ids:
                self.assertIn(json.dumps({"ok": id}, separators=(",", ":")).encode(), output)

    def test_a_client_that_gives_up_reaches_the_simulator(self):
        with Sim({"a": [{"never": True}]}) as sim, TlsFront(sim.port, kind=self.kind) as front:
            process = subprocess.Popen(["curl", "--silent", "--http2", "--cacert", front.ca_file, "--data",
                                        '{"request_id":"a"}', front.url + "/api/v1/retrieve_future"])
            try:
                sim.wait_for(lambda stats: stats["in_flight"] == 1)
            finally:
                process.kill()
                process.wait()
            sim.wait_for(lambda stats: stats["aborted"] == 1 and stats["in_flight"] == 0)

    def test_nothing_is_left(self):
        with Sim({}) as sim:
            front = TlsFront(sim.port, kind=self.kind)
            pid = front.pid
            front.stop()
            self.assertFalse(os.path.exists(front.directory))
            with self.assertRaises(ProcessLookupError):
                os.kill(pid, 0)


class Nginx(FrontCase, unittest.TestCase):
    kind = "nginx"


class Nghttpx(FrontCase, unittest.TestCase):
    kind = "nghttpx"


if __name__ == "__main__":
    unittest.main()
