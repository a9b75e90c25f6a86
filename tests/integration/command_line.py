"""A test case for tinkexctl against a daemon and a simulator that run, and a terminal for it. Standard library only."""

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import termios
import time

from daemon import WAIT_SECONDS, binary, wait_for
from running import Running

HELD = {"json": {"status": "pending"}, "until_release": True}
NEVER = [{"never": True, "repeat": True}]


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


class CommandLine(Running):
    """Tests share a simulator and a daemon: each uses ids of its own."""

    def environment(self, **more):
        environment = self.daemon.environment()
        for name in ("COLUMNS", "NO_COLOR"):
            environment.pop(name, None)
        return {**environment, "TINKEXD_SOCKET": self.daemon.socket_path, "TERM": "xterm", "LC_ALL": "C.UTF-8", **more}

    def ctl(self, *args, code=0, input="", **env):
        """Runs tinkexctl to its end, which must be `code`: what it wrote to stdout and to stderr."""
        data = input.encode() if isinstance(input, str) else input
        done = subprocess.run([binary("TINKEXCTL"), *args], input=data, capture_output=True, timeout=WAIT_SECONDS,
                              env=self.environment(**env), check=False)
        self.assertEqual(done.returncode, code, (args, done.stdout[-2000:], done.stderr[-2000:]))
        return done.stdout.decode(), done.stderr.decode()

    def ctl_json(self, *args, **options):
        """What a command with --json says, line for line."""
        return json_lines(self.ctl("--json", *args, **options)[0])

    def start_ctl(self, *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, popen=(),
                  **env):
        """Starts tinkexctl; ended at the end of the test at the latest. `popen`: further arguments of Popen, `env`: variables."""
        process = subprocess.Popen([binary("TINKEXCTL"), *args], stdin=stdin, stdout=stdout, stderr=stderr,
                                   env=self.environment(**env), **dict(popen))
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()

    def finish(self, process, code=0):
        """Waits for the end, which must be `code`: the rest of stdout and stderr."""
        out, err = process.communicate(timeout=WAIT_SECONDS)
        out, err = (out or b"").decode(), (err or b"").decode()
        self.assertEqual(process.returncode, code, (out[-2000:], err[-2000:]))
        return out, err

    def states(self):
        """State by id of everything that is registered."""
        futures, after = {}, None
        while True:
            page = self.peer.call("list", limit=1000, after=after)
            futures.update((future["request_id"], future["state"]) for future in page["futures"])
            after = page["next"]
            if after is None:
                return futures

    def wait_ended(self, *request_ids):
        """Waits until these are registered and have ended."""
        def ended():
            states = self.states()
            return all(states.get(request_id) in ("completed", "failed") for request_id in request_ids)

        wait_for(ended, f"{len(request_ids)} have ended: {request_ids[:5]}")

    def assert_registered(self, request_id, registered=True):
        outcome = self.peer.call("collect", request_id=request_id)["results"][0]
        unknown = outcome["ok"] is False and outcome["error"]["type"] == "not_registered"
        self.assertEqual(not unknown, registered, outcome)


class Terminal:
    """tinkexctl on a terminal of its own, `columns` wide, as stdout and stderr."""

    def __init__(self, test, *args, columns=80, **env):
        self.master, slave = pty.openpty()
        test.addCleanup(os.close, self.master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = test.start_ctl(*args, stdout=slave, stderr=slave, **env)
        os.close(slave)
        self.seen = ""

    def read(self, expected=None):
        """Reads up to and with `expected`, or to the end: everything that was shown so far."""
        end = time.monotonic() + WAIT_SECONDS
        data = self.seen.encode()
        while expected is None or expected not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise TimeoutError(f"{expected!r} did not come: {self.seen!r}")
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # the other side is closed
                piece = b""
            if not piece:
                if expected is not None:
                    raise EOFError(f"{expected!r} did not come: {self.seen!r}")
                break
            data += piece
            self.seen = data.decode(errors="replace")
        return self.seen

    def finish(self):
        """(exit code, everything that was shown, with plain line ends)"""
        text = self.read().replace("\r\n", "\n")
        return self.process.wait(WAIT_SECONDS), text
