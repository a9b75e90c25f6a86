"""Starting tinkexd and speaking its protocol, from Python tests. Standard library only.

The binaries are $TINKEXD and $TINKEXCTL.

    with Sim(script={"a": [{"json": 1}]}) as sim, Daemon(sim.url) as daemon, daemon.connect() as peer:
        peer.call("register", request_id="a")
        assert peer.call("await", request_id="a")["results"][0]["result"] == 1
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

WAIT_SECONDS = 60  # nothing here waits longer; a loaded machine is slow, not broken
FDS_PER_LINE = 16  # most descriptors that come with one line
KEY = "tml-integration-test-key-0123456789"


def binary(variable):
    path = os.environ.get(variable)
    if not path:
        raise RuntimeError(f"set {variable} to the path of the program")
    return path


def wait_for(condition, what, limit=WAIT_SECONDS):
    """Calls condition() until it is true and returns what it gave; TimeoutError names `what`."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {limit} s: {what}")
        time.sleep(0.005)


class CallError(Exception):
    """The daemon answered a call with an error object."""

    def __init__(self, error):
        super().__init__(json.dumps(error))
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data", {})
        self.name = self.data.get("name")


class Peer:
    """One connection. call() pairs replies with calls by their ids; notifications gather in .notifications, descriptors,
    which come to calls with accept_fd, in .fds, in the order of the outcomes that have one: body() takes them from there.

    `connected`: a socket that somebody else has connected, in place of a path.
    """

    def __init__(self, path, timeout=WAIT_SECONDS, connected=None):
        self.socket = connected or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            if not connected:
                self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.buffer = b""
        self.fds = []
        self.last_id = 0
        self.notifications = []
        self.replies = {}

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.socket.close()
        while self.fds:
            os.close(self.fds.pop())

    def send_raw(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def receive(self):
        """Some bytes, at least one; none at the end of the stream."""
        try:
            data, fds, flags, _ = socket.recv_fds(self.socket, 1 << 20, FDS_PER_LINE, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return b""
        self.fds += fds
        if flags & socket.MSG_CTRUNC:
            raise OSError("descriptors were lost")
        return data

    def read_raw(self):
        """The next line without its LF, as bytes; None at the end of the stream."""
        while b"\n" not in self.buffer:
            data = self.receive()
            if not data:
                return None
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def read_large(self, size_hint=1 << 26):
        """Like read_raw(), without searching from the beginning each time: for results of many megabytes."""
        parts, total = [self.buffer], len(self.buffer)
        while b"\n" not in parts[-1]:
            data = self.receive()
            if not data:
                return None
            parts.append(data)
            total += len(data)
            if total > size_hint * 4:
                raise ValueError("the line does not end")
        line, _, self.buffer = b"".join(parts).partition(b"\n")
        return line

    def read(self):
        """The next message, decoded; None at the end of the stream."""
        line = self.read_raw()
        return None if line is None else json.loads(line)

    def send(self, method, **params):
        """Sends a call without waiting; its id."""
        self.last_id += 1
        message = {"jsonrpc": "2.0", "id": self.last_id, "method": method}
        if params:
            message["params"] = params
        self.send_raw(json.dumps(message) + "\n")
        return self.last_id

    def reply(self, call):
        """Waits for the reply of a call that was sent: its result, or CallError."""
        while call not in self.replies:
            message = self.read()
            if message is None:
                raise EOFError("the daemon closed the connection")
            if "id" in message:
                self.replies[message["id"]] = message
            else:
                self.notifications.append(message)
        message = self.replies.pop(call)
        if "error" in message:
            raise CallError(message["error"])
        return message["result"]

    def call(self, method, **params):
        return self.reply(self.send(method, **params))

    def outcome(self, request_id, **params):
        """await of one future; its outcome."""
        return self.call("await", request_id=request_id, **params)["results"][0]

    def body(self, outcome):
        """The bytes that came by descriptor for this outcome. To be asked for each that has "fd", in their order."""
        fd = self.fds.pop(0)
        try:
            parts, at, end = [], outcome["offset"], outcome["offset"] + outcome["size"]
            while at < end:
                parts.append(os.pread(fd, min(end - at, 1 << 20), at))
                if not parts[-1]:
                    raise EOFError("the file is shorter than the daemon says")
                at += len(parts[-1])
            return b"".join(parts)
        finally:
            os.close(fd)

    def at_end(self):
        """Reads up to the end of the stream: everything that still came, decoded."""
        messages = []
        while True:
            message = self.read()
            if message is None:
                return messages
            messages.append(message)


class Daemon:
    """One running tinkexd in a folder of its own, with a key file, that polls `url` as endpoint `default`.

    `endpoint`, `limits`, `daemon`: further configuration lines of these sections, as dictionaries; `sections`: whole
    further sections, as text. The log is in .log(); stop() fails unless the daemon ends in order.
    """

    def __init__(self, url, endpoint=None, limits=None, daemon=None, sections="", args=(), env=None, start=True,
                 key=KEY, preexec=None):
        self.folder = tempfile.mkdtemp(prefix="tinkexd-test-")
        self.socket_path = os.path.join(self.folder, "s")
        self.state_dir = os.path.join(self.folder, "state")
        self.config_path = os.path.join(self.folder, "tinkexd.conf")
        self.key_path = os.path.join(self.folder, "key")
        self.log_path = os.path.join(self.folder, "log")
        self.args = list(args)
        self.env = dict(env or {})
        self.preexec = preexec
        self.process = None
        self.config_lines = {
            "daemon": dict(daemon or {}),
            "limits": dict(limits or {}),
            "endpoint default": {"base_url": url, "api_key_file": self.key_path, "backoff_min": "0",
                                 **(endpoint or {})},
        }
        self.sections = sections
        if key is not None:
            self.write_key(key)
        self.write_config()
        if start:
            self.start()

    def write_key(self, key):
        """Replaces the key file as an administrator's tool would: aside, then renamed."""
        aside = self.key_path + ".new"
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(key + "\n")
        os.rename(aside, self.key_path)

    def write_config(self):
        with open(self.config_path, "w") as file:
            for section, lines in self.config_lines.items():
                file.write(f"[{section}]\n")
                for key, value in lines.items():
                    for one in value if isinstance(value, list) else [value]:
                        file.write(f"{key} = {one}\n")
            file.write(self.sections)

    def command(self):
        return [binary("TINKEXD"), "--config", self.config_path, "--socket", self.socket_path,
                "--state-dir", self.state_dir, *self.args]

    def environment(self):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("TINKER_", "TINKEX", "XDG_")) and not name.lower().endswith("_proxy")}
        environment.update(self.env)
        return environment

    def start(self):
        """Starts and waits until it answers."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment(), preexec_fn=self.preexec)
        wait_for(self._answers, "tinkexd answers a ping")

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"tinkexd ended with {self.process.returncode}:\n{self.log()}")
        try:
            with Peer(self.socket_path) as peer:
                peer.call("ping")
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.stop()
            else:
                self.kill()
                print(f"--- tinkexd's log\n{self.log()[-6000:]}")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self, timeout=WAIT_SECONDS):
        return Peer(self.socket_path, timeout)

    def call(self, method, **params):
        """One call on a connection of its own."""
        with self.connect() as peer:
            return peer.call(method, **params)

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, expect=0):
        """SIGTERM; it must end with `expect`, within the limit, without a sanitizer's word."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_SECONDS)
        log = self.log()
        if code != expect or "Sanitizer" in log or "runtime error" in log:
            raise AssertionError(f"tinkexd ended with {code}, expected {expect}:\n{log[-6000:]}")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def status_value(self, name):
        """A field of /proc/PID/status in KiB or as a number: VmRSS, VmHWM, FDSize…"""
        with open(f"/proc/{self.process.pid}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
        raise KeyError(name)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def ctl(self, *args, input=None, timeout=WAIT_SECONDS, env=None):
        """Runs tinkexctl against this daemon; the CompletedProcess with text output."""
        environment = self.environment()
        environment["TINKEXD_SOCKET"] = self.socket_path
        environment.update(env or {})
        return subprocess.run([binary("TINKEXCTL"), *args], input=input, capture_output=True, text=True,
                              timeout=timeout, env=environment, check=False)
