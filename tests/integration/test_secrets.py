"""API keys, and what else is secret in a configuration: nowhere to be read, whatever goes wrong.

Everything that the daemon says in a whole scenario is gathered and searched: its log at level debug, its replies, its
configuration as it shows it, its command line.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import unittest
import urllib.parse

from daemon import Daemon, wait_for
from running import completed
from sim import Sim

KEYS = ["tml-first-Qk9zWJ4mXr7Lc2Vb", "tml-second-Hd8sNf3pYt6Gw1Ke"]
HEADER_SECRET = "cf-header-Zx5cVb8nMq2W"
PROXY_SECRET = "proxy-password-Rt7yUi9oPl"


def forms(secret):
    """The secret as it is, and as it might be written by somebody who meant well."""
    return [secret, secret[4:], secret.upper(), base64.b64encode(secret.encode()).decode().rstrip("="),
            secret.encode().hex(), urllib.parse.quote(secret, safe="").replace("-", "%2D"), secret[::-1]]


class Gathering(unittest.TestCase):
    def setUp(self):
        self.said = []  # (where, text)

    def say(self, where, text):
        self.said.append((where, text if isinstance(text, str) else json.dumps(text)))

    def assert_silent(self, secrets):
        for where, text in self.said:
            for secret in secrets:
                for form in forms(secret):
                    self.assertNotIn(form, text, f"{where} shows a secret")

    def ask_everything(self, daemon, peer, ids):
        for request_id in ids:
            self.say(f"status {request_id}", peer.call("status", request_id=request_id))
        for method in ("list", "endpoints", "stats", "hello", "collect"):
            self.say(method, peer.call(method))
        for line in (["status", ids[0]], ["list"], ["endpoints"], ["stats"], ["--json", "endpoints"], ["--json", "status", ids[0]]):
            result = daemon.ctl(*line)
            self.say(" ".join(line), result.stdout + result.stderr)
        with open(f"/proc/{daemon.process.pid}/cmdline") as file:
            self.say("cmdline", file.read())
        with open(f"/proc/{daemon.process.pid}/status") as file:
            self.say("/proc status", file.read())

    def check_config(self, daemon):
        result = subprocess.run([*daemon.command(), "--check-config"], capture_output=True, text=True, timeout=60,
                                env=daemon.environment(), check=False)
        self.say("--check-config", result.stdout + result.stderr)
        return result


class Keys(Gathering):
    def test_whole_scenario(self):
        """401s whose bodies repeat the key, refusals, resets, server errors, a new key, a bad key file, a stop."""
        first, second = KEYS
        echo = f"the key {first} is not known"
        sim = Sim({
            "json": [{"status": 422, "json": {"detail": echo, "headers": {"X-API-Key": first}}}],
            "text": [{"status": 403, "body": echo + "\n" + first}],
            "failed": [{"json": {"status": "failed", "error": {"message": echo, "category": "user"}}}],
            "state": [{"json": {"type": "try_again", "queue_state": "paused_capacity", "queue_state_reason": echo}},
                      {"json": {"type": "try_again", "queue_state_reason": echo}, "until_release": True}],
            "server": [{"status": 503, "body": echo}, {"never": True}],
            "reset": [{"reset": True}, {"garbage": f"HTTP/1.1 {first}\r\n\r\n"}, {"never": True}],
            "busy": [{"status": 429, "json": {"detail": echo}, "headers": {"Retry-After": first}}, {"never": True}],
            "auth": [{"status": 401, "json": {"detail": echo}}, completed("let in")],
        })
        self.addCleanup(sim.stop)
        daemon = Daemon(sim.url, key=first, daemon={"log_level": "debug"},
                        endpoint={"backoff_initial": "10ms", "backoff_max": "50ms",
                                  "extra_header": f"CF-Access-Client-Secret: {HEADER_SECRET}"})
        self.addCleanup(daemon.__exit__, None, None, None)
        peer = daemon.connect()
        self.addCleanup(peer.close)
        for request_id in ("json", "text", "failed"):
            self.say(request_id, peer.call("register", request_id=request_id))
            outcome = peer.outcome(request_id)
            self.assertIs(outcome["ok"], False)
            self.assertTrue(outcome["error"]["message"])
            self.say(request_id, outcome)
        self.assertIn("*", outcome["error"]["message"], "the key stood there, and is masked")
        for request_id in ("state", "server", "reset", "busy"):
            peer.call("register", request_id=request_id)
            sim.wait_polls(request_id, 2)
            self.say(request_id, peer.call("status", request_id=request_id))
            self.say("endpoints", peer.call("endpoints"))
        peer.call("register", request_id="auth")
        wait_for(lambda: peer.call("endpoints")["endpoints"][0]["reason"] == "unauthorised", "the key is refused")
        self.ask_everything(daemon, peer, ["auth", "json", "state"])
        self.check_config(daemon)

        daemon.write_key(second)
        self.assertEqual(peer.outcome("auth")["result"], "let in")
        self.assertEqual({poll["headers"]["x-api-key"] for poll in sim.polls("auth")}, {first, second})
        daemon.write_key(second + " and more")
        wait_for(lambda: "stays as it was" in daemon.log(), "a file that is no key is complained of")
        os.chmod(daemon.key_path, 0o644)
        wait_for(lambda: "others can read" in daemon.log(), "and one that others can read")
        result = self.check_config(daemon)
        self.assertEqual(result.returncode, 2)
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: "reload refused" in daemon.log(), "it is refused")
        self.ask_everything(daemon, peer, ["auth"])
        daemon.stop()
        self.say("log", daemon.log())
        self.assertIn(" debug ", daemon.log())
        self.assert_silent([first, second, HEADER_SECRET])

    def test_from_the_environment(self):
        key = KEYS[0]
        with Sim({"a": [{"status": 401, "body": key}]}) as sim:
            daemon = Daemon(sim.url, start=False, env={"TINKER_API_KEY": key}, args=["--log-level", "debug"])
            self.addCleanup(daemon.__exit__, None, None, None)
            del daemon.config_lines["endpoint default"]["api_key_file"]
            daemon.write_config()
            self.assertEqual(self.check_config(daemon).returncode, 0)
            daemon.start()
            with daemon.connect() as peer:
                peer.call("register", request_id="a")
                sim.wait_polls("a", 1)
                self.assertEqual(sim.polls("a")[0]["headers"]["x-api-key"], key)
                wait_for(lambda: peer.call("status", request_id="a")["last_error"], "it is refused")
                self.ask_everything(daemon, peer, ["a"])
            daemon.stop()
            self.say("log", daemon.log())
            self.assert_silent([key])

    def test_a_bad_one_in_the_environment(self):
        daemon = Daemon("http://127.0.0.1:9", start=False, env={"TINKER_API_KEY": KEYS[0] + "\nX: y"})
        self.addCleanup(shutil.rmtree, daemon.folder)
        del daemon.config_lines["endpoint default"]["api_key_file"]
        daemon.write_config()
        result = subprocess.run(daemon.command(), capture_output=True, text=True, timeout=60, env=daemon.environment(),
                                check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("TINKER_API_KEY", result.stderr)
        self.say("output", result.stderr + result.stdout)
        self.assert_silent(KEYS)


class Proxy(Gathering):
    def test_its_password(self):
        with Daemon("https://example.invalid", daemon={"log_level": "debug"},
                    endpoint={"proxy": f"http://name:{PROXY_SECRET}@127.0.0.1:9", "profile": "guide",
                              "backoff_min": "100ms"}) as daemon, daemon.connect() as peer:
            peer.call("register", request_id="p")
            outcome = peer.outcome("p")
            self.assertEqual(outcome["error"]["type"], "network")
            self.say("outcome", outcome)
            self.ask_everything(daemon, peer, ["p"])
            self.check_config(daemon)
            daemon.stop()
            self.say("log", daemon.log())
        self.assert_silent([PROXY_SECRET])


if __name__ == "__main__":
    unittest.main()
