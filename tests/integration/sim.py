"""Starting, scripting and reading tinker-sim, the simulated upstream server, from Python tests.

Standard library only. The binary is $TINKER_SIM. Script form, control calls and the body generator are described
in tests/sim/README.md.

    with Sim(script={"a": [{"json": {"value": 42}}]}) as sim:
        ...                                      # something polls sim.url
        sim.wait_for(lambda stats: stats["answered"] == 1)
        assert sim.polls("a")[0]["headers"]["x-api-key"] == "tml-test"
"""

import http.client
import json
import os
import select
import signal
import subprocess
import threading
import time
import urllib.parse

STOP_SECONDS = 30
WAIT_SECONDS = 60
BODY_MIN = 26
_MASK = (1 << 64) - 1


class SimError(Exception):
    """The simulator refused something, or did not start or end as it should."""


def binary():
    """Path of tinker-sim."""
    path = os.environ.get("TINKER_SIM")
    if not path:
        raise SimError("set TINKER_SIM to the path of the tinker-sim binary")
    return path


def generated_pieces(request_id, size):
    """The bytes of an answer with "size", about a megabyte at a time: computed here, not asked for."""
    if size < BODY_MIN:
        raise ValueError("a generated body has at least %d bytes" % BODY_MIN)
    state = 0xCBF29CE484222325
    for byte in request_id.encode():
        state = ((state ^ byte) * 0x100000001B3) & _MASK
    words = []
    for _ in range(63):
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        words.append("%016x" % (z ^ (z >> 31)))
    pattern = "".join(words)
    length = size - BODY_MIN
    yield b'{"type":"sample","pad":"'
    for first in range(0, (length + 1023) // 1024, 1024):
        left = length - first * 1024
        blocks = min(1024, (left + 1023) // 1024)
        yield "".join("%016x%s" % (block, pattern) for block in range(first, first + blocks))[:left].encode()
    yield b'"}'


def generated_body(request_id, size):
    """All of them."""
    return b"".join(generated_pieces(request_id, size))


class Sim:
    """One running tinker-sim. Ends with stop(), with the `with` block, or with this process.

    `url` is what a client takes as its base URL; `port` and `base_path` are its parts. Control calls may come from
    any thread. Everything that waits has a limit and raises TimeoutError with the last statistics.
    """

    def __init__(self, script=None, mode="scripted", base_path="", require_key=None, seed=None, args=(),
                 listen="127.0.0.1:0", stderr=None):
        self.base_path = base_path.rstrip("/")
        self.host = listen.rpartition(":")[0].strip("[]")
        self._local = threading.local()
        self._connections = []  # of all threads, to be closed at the end; list.append is atomic
        command = [binary(), "--listen", listen, "--mode", mode, "--exit-with-parent"]
        if self.base_path:
            command += ["--base-path", self.base_path]
        if require_key is not None:
            command += ["--require-key", require_key]
        if seed is not None:
            command += ["--seed", str(seed)]
        self.process = subprocess.Popen(command + [str(arg) for arg in args], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=stderr)
        try:
            self.port = self._read_port()
            if script is not None:
                self.script(script)
        except BaseException:
            self.kill()
            raise

    def _read_port(self):
        ready, _, _ = select.select([self.process.stdout], [], [], WAIT_SECONDS)
        line = self.process.stdout.readline().decode() if ready else ""
        if not line.startswith("listening on "):
            raise SimError("tinker-sim did not start: %r" % line)
        return int(line.rpartition(":")[2])

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            self.kill()

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        host = "[%s]" % self.host if ":" in self.host else self.host
        return "http://%s:%d%s" % (host, self.port, self.base_path)

    def stop(self):
        """Ends it in order, and fails when it ends otherwise than with success (a sanitizer's finding, a crash)."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise SimError("tinker-sim did not end on SIGTERM") from None
        self._close_pipes()
        if code != 0:
            raise SimError("tinker-sim ended with %d" % code)

    def kill(self):
        """Ends it at once, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._close_pipes()

    def _close_pipes(self):
        self.process.stdout.close()
        for connection in self._connections:
            connection.close()

    # Control calls

    def control(self, method, name, body=None, timeout=WAIT_SECONDS, **query):
        """One control call on this thread's own connection; the decoded answer."""
        path = "/sim/" + name
        if query:
            path += "?" + urllib.parse.urlencode(query)
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection(self.host, self.port)
            self._connections.append(connection)
        connection.timeout = timeout
        if connection.sock:
            connection.sock.settimeout(timeout)
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data)
            response = connection.getresponse()
            content = response.read()
        except BaseException:
            connection.close()
            self._local.connection = None
            raise
        if response.status != 200:
            raise SimError("%s %s: %d %s" % (method, path, response.status, content.decode(errors="replace")))
        return json.loads(content)

    def script(self, answers, append=False):
        """Sets (or appends) lists of answers: {id: [answer, …]}."""
        return self.control("POST", "script", answers, append=int(append))

    def stats(self):
        return self.control("GET", "stats")

    def polls(self, request_id=None, after=0, brief=False):
        """Recorded polls, oldest first."""
        query = {"after": after, "brief": int(brief)}
        if request_id is not None:
            query["request_id"] = request_id
        return self.control("GET", "polls", **query)

    def requests(self):
        """Requests that were neither polls nor control calls."""
        return self.control("GET", "requests")

    def release(self, request_id=None, timeout=WAIT_SECONDS):
        """Lets held answers (until_release) of this id, or of all, go: waits until there is one."""
        body = {} if request_id is None else {"request_id": request_id}
        deadline = time.monotonic() + timeout
        while True:
            stats = self.stats()
            released = self.control("POST", "release", body)["released"]
            if released:
                return released
            self._next_change(stats, deadline, "nothing of %r to release" % (request_id,))

    def reset(self, keep_scripts=False):
        """Forgets records, counters and (unless kept) scripts."""
        self.control("POST", "reset", {"keep_scripts": keep_scripts})

    def refuse(self, for_ms=0):
        """Refuses new connections for a while, or (0) until accept()."""
        self.control("GET", "stats")  # so that this thread has a connection to undo it with
        self.control("POST", "refuse", {"for_ms": for_ms})

    def accept(self):
        self.control("POST", "accept", {})

    def drop(self, idle_only=True, reset=False):
        """Closes clients' connections (those between two requests, or all) by FIN or RST; returns how many."""
        return self.control("POST", "drop", {"idle_only": idle_only, "reset": reset})["dropped"]

    def require_key(self, key):
        """Changes the required X-API-Key; None: none."""
        self.control("POST", "key", {"require": key})

    # Waiting

    def _next_change(self, stats, deadline, what):
        """Waits for something to happen after `stats`; returns the new statistics."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("%s; last statistics: %s" % (what, json.dumps(stats)))
        return self.control("GET", "stats", timeout=left + WAIT_SECONDS, after=stats["changes"],
                            timeout_ms=max(1, int(left * 1000)))

    def wait_for(self, predicate, timeout=WAIT_SECONDS):
        """Waits until predicate(stats) is true; returns those statistics. Looks again whenever something happened."""
        deadline = time.monotonic() + timeout
        stats = self.stats()
        while not predicate(stats):
            stats = self._next_change(stats, deadline, "what was waited for did not happen")
        return stats

    def wait_polls(self, request_id, count, timeout=WAIT_SECONDS):
        """Waits until this id was polled `count` times; returns the records."""
        deadline = time.monotonic() + timeout
        while True:
            stats = self.stats()
            polls = self.polls(request_id)
            if len(polls) >= count:
                return polls
            self._next_change(stats, deadline, "%r was polled %d times of %d" % (request_id, len(polls), count))

    # Being a client

    def poll(self, request_id, allow_metadata_only=True, headers=None, timeout=WAIT_SECONDS):
        """Polls once on a fresh connection, as a client would: (status, headers, body)."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            body = json.dumps({"request_id": request_id, "allow_metadata_only": allow_metadata_only})
            connection.request("POST", self.base_path + "/api/v1/retrieve_future", body,
                               {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def submit(self, name, body, headers=None, timeout=WAIT_SECONDS):
        """Submits to the lifelike server: (status, decoded answer)."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request("POST", "%s/api/v1/%s" % (self.base_path, name), json.dumps(body),
                               {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()
