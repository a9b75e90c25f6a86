"""How the daemon starts, and what it refuses: configuration, key files, state directory, socket, command line."""

import concurrent.futures
import os
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

from daemon import KEY, WAIT_SECONDS, Daemon, binary
from running import completed
from sim import Sim
from users import needs_root

USAGE, TROUBLE = 2, 1

# (section, line): what is wrong is in that line, and the message names file, line, key and value.
BAD_VALUES = [
    ("daemon", "socket_mode = 0999"), ("daemon", "socket_mode = rw-------"), ("daemon", "socket_mode = 07777"),
    ("daemon", "socket = relative/path"), ("daemon", "socket = /" + "x" * 200), ("daemon", "socket_group = no-such-group"),
    ("daemon", "state_dir = state"), ("daemon", "log_level = loud"), ("daemon", "log_level = INFO"),
    ("limits", "max_peers = 0"), ("limits", "max_peers = -1"), ("limits", "max_peers = many"), ("limits", "max_peers = 1.5"),
    ("limits", "max_peers = 99999999999999999999999"), ("limits", "inline_result_bytes = 64X"),
    ("limits", "inline_result_bytes = -1"), ("limits", "max_result_bytes = 0"), ("limits", "inflight_result_bytes = 1e6"),
    ("limits", "max_result_bytes = 99999999999T"), ("limits", "retention = 7"), ("limits", "retention = 7 days"),
    ("limits", "retention = 1y"), ("limits", "retention = 0"), ("limits", "retention = forever"),
    ("endpoint default", "base_url = ftp://example.com"), ("endpoint default", "base_url = example.com"),
    ("endpoint default", "base_url = http://example.com/x"), ("endpoint default", "base_url = http://10.0.0.1"),
    ("endpoint default", "base_url = https://"), ("endpoint default", "base_url = https://user:pw@example.com"),
    ("endpoint default", "base_url = https://example.com?x=1"), ("endpoint default", "base_url = https://example.com/#x"),
    ("endpoint default", "base_url = https://example.com:99999"), ("endpoint default", "base_url = https://exa mple.com"),
    ("endpoint default", "profile = best"), ("endpoint default", "on_network_error = maybe"),
    ("endpoint default", "on_server_failure = ignore"), ("endpoint default", "on_auth_error = 401"),
    ("endpoint default", "http_timeout = 60"), ("endpoint default", "http_timeout = 0ms"), ("endpoint default", "http_timeout = -1s"),
    ("endpoint default", "connect_timeout = forever"), ("endpoint default", "backoff_initial = 40s"),
    ("endpoint default", "max_in_flight = 0"), ("endpoint default", "max_in_flight = 1000000"),
    ("endpoint default", "max_connections = 0"), ("endpoint default", "ca_file = /no/such/ca.pem"),
    ("endpoint default", "ca_file = ca.pem"), ("endpoint default", "api_key_file = key"),
    ("endpoint default", "api_key_credential = ../key"), ("endpoint default", "allow_plain_http = maybe"),
    ("endpoint default", "allow_users = no-such-user"), ("endpoint default", "allow_groups = no-such-group"),
]
# Headers may be secrets: the value is not shown.
BAD_HEADERS = ["no colon", "Bad Name: x", ": x", "Host: example.com", "X-API-Key: x", "Content-Length: 5",
               "X-Tinker-Request-Iteration: 5", "X: a\x01b"]
# (text, line that is complained of, part of the message)
BAD_STRUCTURE = [
    ("[daemon]\ncolour = red\n", 2, "colour"), ("[server]\n", 1, "[server]"), ("[endpoint]\n", 1, "endpoint"),
    ("[endpoint a b]\n", 1, "a b"), ("[endpoint a/b]\n", 1, "a/b"), ("[daemon\n", 1, "]"), ("[daemon] x\n", 1, "x"),
    ("[daemon]\nsocket\n", 2, "key = value"), ("socket = /x\n", 1, "socket"), ("\n; fine\n[limits]\n\nsocket = /x\n", 5, "[daemon]"),
    ("[daemon]\nbase_url = https://example.com\n", 2, "[endpoint NAME]"),
    ("[daemon]\nlog_level = info\nlog_level = debug\n", 3, "twice"), ("[daemon]\nlog_level = in\0fo\n", 2, "NUL"),
    ("[daemon]\nsocket = /" + "x" * 5000 + "\n", 2, "longer"), ("[endpoint other]\nprofile = sdk\n", 1, "base_url"),
    ("[daemon]\nlog_level =\n", 2, "log_level"),
]


class Starting(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tinkexd-start-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.config = os.path.join(self.folder, "tinkexd.conf")
        self.socket = os.path.join(self.folder, "run", "s")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, text, name="tinkexd.conf"):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text)

    def run_daemon(self, *args, env=None, places=True):
        """A daemon that is expected to end by itself."""
        command = [binary("TINKEXD"), *args]
        if places:
            command += ["--config", self.config, "--socket", self.socket, "--state-dir", self.path("state")]
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": self.folder, **(env or {})}
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, env=environment, check=False)

    def assert_refused(self, result, *parts, code=USAGE):
        self.assertEqual(result.returncode, code, result)
        for part in parts:
            self.assertIn(part, result.stderr)
        self.assertNotIn("Sanitizer", result.stderr)
        self.assertFalse(os.path.exists(self.socket), "it does not listen")


class Configuration(Starting):
    def check_all(self, texts):
        """The results of --check-config on each of these, in a few processes side by side; and of a real start on the first."""
        def check(numbered):
            k, text = numbered
            self.write(text, f"{k}.conf")
            return self.run_daemon("--check-config", "--config", self.path(f"{k}.conf"), places=False)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            results = list(pool.map(check, enumerate(texts)))
        self.write(texts[0])
        started = self.run_daemon()
        self.assert_refused(started)
        self.assertEqual(started.stderr.replace(self.config, "X"), results[0].stderr.replace(self.path("0.conf"), "X"))
        return results

    def test_bad_values(self):
        results = self.check_all([f"; a comment\n[{section}]\n\n{line}\n" for section, line in BAD_VALUES])
        for k, (result, (section, line)) in enumerate(zip(results, BAD_VALUES)):
            with self.subTest(line[:80]):
                key, _, value = line.partition(" = ")
                self.assert_refused(result, f"{self.path(f'{k}.conf')}:4: [{section}] {key}: ", value)
                self.assertEqual(result.stdout, "")

    def test_bad_headers(self):
        results = self.check_all([f"[endpoint default]\nextra_header = {header}\n" for header in BAD_HEADERS])
        for k, (result, header) in enumerate(zip(results, BAD_HEADERS)):
            with self.subTest(header):
                self.assert_refused(result, f"{self.path(f'{k}.conf')}:2: [endpoint default] extra_header: ")

    def test_bad_structure(self):
        results = self.check_all([text for text, _, _ in BAD_STRUCTURE])
        for k, (result, (text, line, part)) in enumerate(zip(results, BAD_STRUCTURE)):
            with self.subTest(text[:80]):
                self.assert_refused(result, f"{self.path(f'{k}.conf')}:{line}: ", part)

    def test_files(self):
        self.assert_refused(self.run_daemon(), self.config, "No such file")
        os.mkdir(self.config)
        self.assert_refused(self.run_daemon(), self.config, "directory")
        os.rmdir(self.config)
        self.assert_refused(self.run_daemon(places=False, env={"TINKEXD_CONFIG": self.path("other.conf")}), "other.conf")

    def test_drop_ins(self):
        """Later files win, in the order of their names; a mistake is told with the file it is in."""
        self.write("[limits]\nmax_peers = 1\n")
        self.write("[limits]\nmax_peers = 3\n", "tinkexd.conf.d/20.conf")
        self.write("[limits]\nmax_peers = 2\nretention = 1h\n", "tinkexd.conf.d/10.conf")
        self.write("nonsense", "tinkexd.conf.d/30.conf.bak")
        result = self.run_daemon("--check-config")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"(?m)^max_peers = 3 +; .*/20\.conf:2$")
        self.assertRegex(result.stdout, r"(?m)^retention = 1h +; .*/10\.conf:3$")
        self.write("[limits]\nmax_peers = x\n", "tinkexd.conf.d/20.conf")
        self.assert_refused(self.run_daemon(), self.path("tinkexd.conf.d/20.conf:2: "))

    def test_two_values_that_do_not_go_together(self):
        for lines, part in (("backoff_min = 50ms\nbase_url = https://example.com", "backoff_min"),
                            ("proxy = http://127.0.0.1:1\nbase_url = http://127.0.0.1:2", "proxy")):
            self.write(f"[endpoint default]\n{lines}\n")
            self.assert_refused(self.run_daemon(), self.config, f"[endpoint default] {part}: ")


class CheckConfig(Starting):
    def test_origins_and_masks(self):
        self.write(KEY + "\n", "key")
        os.chmod(self.path("key"), 0o600)
        self.write(f"[limits]\nmax_peers = 77\n[endpoint default]\nprofile = sdk\napi_key_file = {self.path('key')}\n"
                   "extra_header = CF-Access-Client-Secret: s3cr3t-header\nproxy = http://name:s3cr3t-proxy@proxy.example.com:3128\n"
                   "base_url = https://example.com/api/\n[endpoint two]\nbase_url = https://two.example.com\n")
        result = self.run_daemon("--check-config", "--log-level", "debug", env={"TINKER_API_KEY": "tml-from-environment-0123"})
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for line in (r"max_peers = 77 +; .*/tinkexd.conf:2", r"max_peers_per_uid = 4096 +; default", r"log_level = debug +; --log-level",
                     r"socket = .*/run/s +; --socket", r"profile = sdk +; .*:4", r"on_network_error = retry +; profile sdk",
                     r"base_url = https://example.com/api +; .*:8", r"extra_header = CF-Access-Client-Secret: \S*\*+.*",
                     r"proxy = http://\*+@proxy.example.com:3128 .*", r"\[endpoint two\]"):
            self.assertRegex(result.stdout, f"(?m)^{line}$")
        for secret in (KEY, "s3cr3t", "tml-from-environment", "name:"):
            self.assertNotIn(secret, result.stdout)
        self.assertFalse(os.path.exists(self.socket))
        self.assertFalse(os.path.exists(self.path("state")), "checking leaves nothing behind")

    def test_what_it_prints_can_be_read_again(self):
        self.write("[daemon]\nsocket_mode = 0660\n[limits]\nretention = 90m\nmax_result_bytes = 3M\n"
                   "[endpoint default]\nhttp_timeout = 1500ms\nallow_users = 0, 1001\n")
        first = self.run_daemon("--check-config").stdout
        self.write(first)
        second = self.run_daemon("--check-config")
        self.assertEqual(second.returncode, 0, second.stderr)
        values = [re.sub(r" *;.*", "", text) for text in (first, second.stdout)]
        self.assertEqual(*values)
        self.assertIn("http_timeout = 1500ms", values[1])

    def test_full_disk(self):
        with open("/dev/full", "w") as full:
            code = subprocess.run([binary("TINKEXD"), "--check-config", "--config", "/dev/null"], stdout=full,
                                  stderr=subprocess.DEVNULL, timeout=WAIT_SECONDS, check=False).returncode
        self.assertEqual(code, TROUBLE)


class KeyFile(Starting):
    def start_with(self, content=KEY + "\n", mode=0o600):
        self.write(content, "key")
        os.chmod(self.path("key"), mode)
        self.write(f"[endpoint default]\napi_key_file = {self.path('key')}\n")
        return self.run_daemon()

    def test_others_can_read_it(self):
        for mode in (0o644, 0o604, 0o620, 0o660, 0o777):
            with self.subTest(oct(mode)):
                self.assert_refused(self.start_with(mode=mode), f"{self.config}:2: ", "api_key_file", self.path("key"), "chmod")

    @needs_root
    def test_others_own_it(self):
        self.write(KEY, "key")
        os.chmod(self.path("key"), 0o600)
        os.chown(self.path("key"), 1001, -1)
        self.write(f"[endpoint default]\napi_key_file = {self.path('key')}\n")
        self.assert_refused(self.run_daemon(), f"{self.config}:2: ", "1001")

    def test_no_file(self):
        os.mkdir(self.path("key"), 0o700)
        self.write(f"[endpoint default]\napi_key_file = {self.path('key')}\n")
        self.assert_refused(self.run_daemon(), f"{self.config}:2: ", self.path("key"))

    def test_no_key_in_it(self):
        """What cannot be a header is refused, and not shown."""
        for content in ("tml secret words", "tml-secret\nX-Other: 1\n", "tml-secret\x01", "tml-secr\u00e9t", "s" * 5000):
            with self.subTest(content[:20]):
                result = self.start_with(content)
                self.assert_refused(result, self.path("key"))
                for part in ("secret", "secr", "words", "ssss"):
                    self.assertNotIn(part, result.stderr.replace(self.folder, ""))


class Places(Starting):
    """State directory and socket: one daemon each."""

    def start(self, **options):
        daemon = Daemon("http://127.0.0.1:9", **options)
        self.addCleanup(daemon.__exit__, None, None, None)
        return daemon

    def second(self, first, socket_path=None, state_dir=None):
        return subprocess.run([binary("TINKEXD"), "--config", first.config_path, "--socket", socket_path or self.socket,
                               "--state-dir", state_dir or self.path("state")], capture_output=True, text=True,
                              timeout=WAIT_SECONDS, env=first.environment(), check=False)

    def test_second_daemon_on_the_same_state(self):
        first = self.start()
        result = self.second(first, state_dir=first.state_dir)
        self.assert_refused(result, first.state_dir, "another tinkexd", str(first.process.pid), "--state-dir", code=TROUBLE)
        self.assertEqual(first.call("ping"), {})
        # By another way to the same place.
        os.symlink(first.state_dir, self.path("link"))
        self.assert_refused(self.second(first, state_dir=self.path("link")), "another tinkexd", code=TROUBLE)

    def test_live_socket(self):
        first = self.start()
        inode = os.stat(first.socket_path).st_ino
        result = self.second(first, socket_path=first.socket_path)
        self.assertEqual(result.returncode, TROUBLE)
        self.assertIn(f"another daemon is listening on {first.socket_path}", result.stderr)
        self.assertEqual(first.call("ping"), {})
        self.assertEqual(os.stat(first.socket_path).st_ino, inode)

    def test_dead_socket(self):
        first = self.start()
        first.kill()
        self.assertTrue(stat.S_ISSOCK(os.stat(first.socket_path).st_mode), "it was left behind")
        first.start()
        self.assertEqual(first.call("ping"), {})
        first.stop()
        self.assertFalse(os.path.exists(first.socket_path))

    def test_no_socket(self):
        first = self.start()
        self.write("precious", "run/file")
        os.chmod(self.path("run"), 0o700)
        os.symlink(first.socket_path, self.path("run/link"))
        for name in ("file", "link"):
            with self.subTest(name):
                result = self.second(first, socket_path=self.path("run/" + name))
                self.assertEqual(result.returncode, TROUBLE)
                self.assertIn("not a socket", result.stderr)
        with open(self.path("run/file")) as file:
            self.assertEqual(file.read(), "precious")
        self.assertTrue(os.path.islink(self.path("run/link")))

    def test_folder_and_mode(self):
        with Daemon("http://127.0.0.1:9", start=False, daemon={"socket_mode": "0660"}) as daemon:
            daemon.socket_path = os.path.join(daemon.folder, "new", "s")
            daemon.start()
            self.assertEqual(stat.S_IMODE(os.stat(daemon.socket_path).st_mode), 0o660)
            self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(daemon.socket_path)).st_mode), 0o700)
            self.assertEqual(stat.S_IMODE(os.stat(daemon.state_dir).st_mode), 0o700)

    def test_state_directory_of_others(self):
        first = self.start()
        os.mkdir(self.path("open"))
        os.chmod(self.path("open"), 0o777)
        self.assert_refused(self.second(first, state_dir=self.path("open")), self.path("open"), "chmod")


class CommandLine(Starting):
    def test_help_and_version(self):
        result = self.run_daemon("--help", places=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for option in ("--config", "--socket", "--state-dir", "--log-level", "--check-config", "--version", "--help"):
            self.assertIn(option, result.stdout)
        result = self.run_daemon("--version", places=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"^tinkexd \d+\.\d+\.\d+\n$")

    def test_mistakes(self):
        self.write("")
        for args in (["--bogus"], ["-x"], ["extra"], ["--socket"], ["--log-level"], ["--help=x"], ["--api-key", "tml-x"]):
            with self.subTest(args=args):
                result = self.run_daemon(*args, places=False)
                self.assert_refused(result, "--help")
                self.assertEqual(result.stdout, "")
        self.assert_refused(self.run_daemon("--log-level", "loud"), "--log-level", "loud")
        self.assert_refused(self.run_daemon("--socket", "/" + "x" * 200, "--config", self.config, places=False), "--socket")


class Environment(unittest.TestCase):
    def first_key(self, sim, daemon):
        daemon.call("register", request_id="a")
        daemon.call("await", request_id="a")
        return sim.polls("a")[-1]["headers"].get("x-api-key")

    def test_no_configuration_is_fine(self):
        with Sim({"a": [completed(1)]}) as sim:
            env = {"TINKER_BASE_URL": sim.url, "TINKER_API_KEY": "tml-from-the-environment"}
            with Daemon(sim.url, start=False, env=env) as daemon:
                daemon.config_lines = {}
                daemon.write_config()
                daemon.start()
                self.assertEqual(self.first_key(sim, daemon), "tml-from-the-environment")
                self.assertEqual(daemon.call("endpoints")["endpoints"][0]["base_url"], sim.url)

    def test_the_file_wins(self):
        with Sim({"a": [completed(1)]}) as sim:
            env = {"TINKER_BASE_URL": "http://127.0.0.1:9", "TINKER_API_KEY": "tml-from-the-environment"}
            with Daemon(sim.url, env=env) as daemon:
                self.assertEqual(self.first_key(sim, daemon), KEY)

    def test_not_for_other_endpoints(self):
        with Sim({"a": [completed(1)]}) as sim:
            with Daemon(sim.url, start=False, env={"TINKER_API_KEY": "tml-from-the-environment"}) as daemon:
                daemon.config_lines = {"endpoint other": {"base_url": sim.url}}
                daemon.write_config()
                daemon.start()
                daemon.call("register", request_id="a")
                self.assertEqual(daemon.call("status", request_id="a")["why_waiting"], "no_key")

    def test_service_credential(self):
        with Sim({"a": [completed(1)]}) as sim, tempfile.TemporaryDirectory() as credentials:
            path = os.path.join(credentials, "tinker-api-key")
            for content, key in (("tml-from-the-service", "tml-from-the-service"), ("unset\n", None)):
                with open(path, "w") as file:
                    file.write(content)
                os.chmod(path, 0o400)
                with self.subTest(content), Daemon(sim.url, start=False, env={"CREDENTIALS_DIRECTORY": credentials}) as daemon:
                    daemon.config_lines["endpoint default"].pop("api_key_file")
                    daemon.write_config()
                    daemon.start()
                    if key:
                        self.assertEqual(self.first_key(sim, daemon), key)
                    else:
                        daemon.call("register", request_id="b")
                        self.assertEqual(daemon.call("status", request_id="b")["why_waiting"], "no_key")
                os.chmod(path, 0o600)


if __name__ == "__main__":
    unittest.main()
