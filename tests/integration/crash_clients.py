"""Clients that go on working while the daemon dies under them: on a raw socket, and through libtinkex (crash_client.c).
What they send and what they are told goes into the ledger. Standard library only.

A client decides at random, by a generator of its own that follows from the seed, what to do next. It never registers again
what it acknowledged or cancelled, so that "it is gone" has one meaning.
"""

import hashlib
import json
import os
import random
import socket
import subprocess
import threading
import traceback
from collections import deque

from crash_ledger import Outcome, Violation
from crash_work import SHARED
from daemon import WAIT_SECONDS, CallError, Peer, binary
from users import become

OPEN_MAX = 12  # registrations without an outcome, of a client
KEPT_MAX = 15  # outcomes that a client leaves with the daemon for long
THINK_SECONDS = 0.02  # at most, between two calls
FDS_MAX = 16
BODY_MARK = b'"result":'
PIECE = 1 << 20


class Gone(Exception):
    """The daemon went away."""


# Connections


def _connector(pipe, path, uid):
    """Connects as that user each time it is asked to, and hands the connection over; ends with the pipe."""
    if uid != os.geteuid():
        become(uid)
    while pipe.recv(1):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.connect(path)
            except OSError:
                pipe.send(b"-")
            else:
                socket.send_fds(pipe, [b"+"], [connection.fileno()])


class Connector:
    """Connections of a user, made by a process of that user. To be made before there are threads: it forks."""

    def __init__(self, path, uid):
        self.uid, self.lock = uid, threading.Lock()
        self.pipe, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.closerange(3, theirs.fileno())
                os.closerange(theirs.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
                _connector(theirs, path, uid)
                code = 0
            finally:
                os._exit(code)
        theirs.close()

    def connect(self):
        """A Wire, or None: nobody listens."""
        with self.lock:
            self.pipe.send(b".")
            _, descriptors, _, _ = socket.recv_fds(self.pipe, 1, 1, socket.MSG_CMSG_CLOEXEC)
        return Wire(socket.socket(fileno=descriptors[0])) if descriptors else None

    def close(self):
        self.pipe.shutdown(socket.SHUT_RDWR)
        self.pipe.close()
        os.waitpid(self.pid, 0)


class Wire(Peer):
    """A Peer that takes descriptors, cuts results out of the line byte for byte, and calls an end an end (Gone)."""

    def __init__(self, connected):
        super().__init__(None, connected=connected)
        self.descriptors = deque()
        self.heard = None  # takes each outcome that is a message of its own

    def close(self):
        super().close()
        while self.descriptors:
            os.close(self.descriptors.popleft())

    def send_raw(self, data):
        try:
            super().send_raw(data)
        except (BrokenPipeError, ConnectionError) as error:
            raise Gone from error

    def reply(self, call):
        try:
            return super().reply(call)
        except CallError as error:
            if error.name == "shutting_down":
                raise Gone from error
            raise

    def read_raw(self):
        parts = [self.buffer]
        while b"\n" not in parts[-1]:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.socket, PIECE, FDS_MAX, socket.MSG_CMSG_CLOEXEC)
            except ConnectionError as error:
                raise Gone from error
            self.descriptors.extend(descriptors)
            if not data:
                raise Gone
            parts.append(data)
        line, _, self.buffer = b"".join(parts).partition(b"\n")
        return line

    def read(self):
        """The next message. Outcomes in it have a member "made": the Outcome, from its bytes; None where there is none."""
        line = self.read_raw()
        message = json.loads(line)
        at = max(0, line.find(b'"results":'))  # a reply is itself called so
        for outcome in self._outcomes(message):
            at = self._read_outcome(outcome, line, at)
        if message.get("method") == "outcome":
            self.heard(message["params"])
        return message

    @staticmethod
    def _outcomes(message):
        if message.get("method") == "outcome":
            return [message["params"]]
        return message.get("result", {}).get("results", [])

    def _read_outcome(self, outcome, line, at):
        outcome["made"], outcome["how"] = None, "inline"
        if outcome["ok"] and outcome.get("fd"):
            outcome["how"] = "by descriptor"
            outcome["made"] = Outcome(True, outcome["size"], self._hash_file(outcome["offset"], outcome["size"]))
        elif outcome["ok"]:
            # The bodies that the simulator generates are objects whose last member is a string of plain characters.
            begin = line.index(BODY_MARK, at) + len(BODY_MARK)
            at = line.index(b'"}', begin) + 2
            outcome["made"] = Outcome(True, at - begin, hashlib.sha256(line[begin:at]).hexdigest())
            outcome["result"] = None
        elif outcome["ok"] is False:
            error = outcome["error"]
            outcome["made"] = Outcome.failed(error["type"], error["category"], error["status"], error["message"])
        return at

    def _hash_file(self, offset, size):
        descriptor = self.descriptors.popleft()
        try:
            sha256, end = hashlib.sha256(), offset + size
            while offset < end:
                data = os.pread(descriptor, min(PIECE, end - offset), offset)
                if not data:
                    break  # shorter than it should be: its hash says so
                sha256.update(data)
                offset += len(data)
            return sha256.hexdigest()
        finally:
            os.close(descriptor)


def note_outcome(ledger, uid, since, outcome):
    """Writes down an outcome that a Wire read. True: it is an end, False: it is not, or not there."""
    request_id = outcome["request_id"]
    if outcome["ok"] is None:
        ledger.state(uid, request_id, since, outcome["state"])
        return False
    error = outcome.get("error", {})
    if error.get("type") == "not_registered":
        ledger.not_there(uid, request_id, since)
        return False
    if error.get("type") == "api_timeout" and error["data"].get("reason") == "await_timeout":
        ledger.state(uid, request_id, since, "waited for")
        return False
    ledger.outcome(uid, request_id, since, outcome["made"], outcome["how"], error.get("type") == "cancelled")
    return True


# What all clients have in common


class Client(threading.Thread):
    """`run`: the CrashRun. Ends by finish(), or with a violation."""

    actions = {}  # name of the method: weight

    def __init__(self, run, name, uid):
        super().__init__(name=name, daemon=True)
        self.crash_run, self.ledger, self.uid = run, run.ledger, uid
        self.random = random.Random(f"{run.seed}/{name}")
        self.stopping = threading.Event()
        self.entries = []  # not acknowledged, or that is not known
        self.kept = set()
        self.made = 0
        self.doing = "nothing"

    def run(self):
        try:
            self.work()
        except Violation:
            pass
        except Exception:
            if not self.stopping.is_set():
                self.ledger.violations.append(f"{self.name}, at {self.doing}: {traceback.format_exc()}")

    # Choosing

    def some(self, entries, most):
        entries = list(entries)
        return self.random.sample(entries, min(len(entries), self.random.randint(1, most)))

    def waiting(self):
        return [e for e in self.entries if e.registered and not e.outcome and e.ack_sent is None]

    def unsure(self):
        """An acknowledgement was sent and not answered: it may be gone."""
        return [e for e in self.entries if e.ack_sent is not None and e.acked is None]

    def finished(self):
        return [e for e in self.entries if e.outcome and e.ack_sent is None and e.request_id not in self.kept]

    def fresh(self, most=4):
        """New ones, or one that another user has."""
        if len(self.waiting()) >= OPEN_MAX:
            return []
        work, uid = self.crash_run.work, self.uid
        borrowed = work.borrow(uid) if self.random.random() < 0.3 else None
        if borrowed:
            new = [borrowed]
        else:
            n = self.random.randint(1, most)
            prefix = self.name + (SHARED if self.random.random() < 0.2 else "")
            new = work.fresh(prefix, self.made, n)
            self.made += n
            if prefix.endswith(SHARED):
                work.share(uid, new)
        entries = [self.ledger.sending(uid, *one) for one in new]
        self.entries += entries
        return entries

    def tidy(self):
        """Forgets what is acknowledged, and decides what is kept for long."""
        self.entries = [e for e in self.entries if e.acked is None]
        for entry in self.finished():
            if self.random.random() < 0.02:
                self.kept.add(entry.request_id)
        if len(self.kept) > KEPT_MAX:
            self.kept.discard(self.random.choice(sorted(self.kept)))

    def choose(self):
        name = self.random.choices(list(self.actions), self.actions.values())[0]
        self.doing = name
        getattr(self, name)()
        self.tidy()
        self.stopping.wait(self.random.uniform(0, THINK_SECONDS))


# The raw socket


class RawClient(Client):
    actions = {"register": 4, "wait": 6, "collect": 3, "page": 1, "acknowledge": 4, "cancel": 1, "look": 2, "again": 1,
               "leave": 1}

    def work(self):
        while not self.stopping.is_set():
            wire = self.crash_run.connectors[self.uid].connect()
            if wire is None:
                self.stopping.wait(self.random.uniform(0.002, 0.02))  # the next attempt
                continue
            with wire:
                self.wire = wire
                try:
                    self.recover()
                    while not self.stopping.is_set():
                        self.choose()
                except Gone:
                    self.ledger.count("connections cut")

    def recover(self):
        """As a program does after a crash: everything that was not answered is asked again."""
        self.doing = "recover"
        unanswered = [e for e in self.entries if not e.registered]
        if unanswered:
            self.note_registrations(self.ledger.mark(), self.send_register(unanswered))
        unsure = self.unsure()
        if unsure and self.random.random() < 0.5:
            self.send_ack(unsure)

    # Calls

    @staticmethod
    def ids(entries):
        return [entry.request_id for entry in entries]

    def send_register(self, entries):
        return self.wire.send("register", request_ids=self.ids(entries))

    def note_registrations(self, since, call):
        for item in self.wire.reply(call)["registrations"]:
            if "error" in item:
                self.ledger.violate(self.ledger.get(self.uid, item["request_id"]), f"is refused: {item['error']}")
            told = item.get("outcome")
            self.ledger.registered(self.uid, item["request_id"], since, item["new"], item["state"],
                                   told and (told["ok"], told.get("size")))

    def register(self):
        entries = self.fresh()
        if not entries:
            return
        since = self.ledger.mark()
        call = self.send_register(entries)
        if self.random.random() < 0.5:  # without waiting for the answer
            waiting = self.wire.send("await", request_ids=self.ids(entries), await_timeout_ms=self.random.choice([0, 50, 300]),
                                     on_timeout="keep")
            self.note_registrations(since, call)
            self.note_outcomes(since, self.wire.reply(waiting)["results"])
        else:
            self.note_registrations(since, call)

    def note_outcomes(self, since, outcomes, acking=False):
        for outcome in outcomes:
            if not note_outcome(self.ledger, self.uid, since, outcome) and acking:
                if outcome.get("error", {}).get("type") != "not_registered":
                    self.ledger.ack_was_void(self.ledger.get(self.uid, outcome["request_id"]), since)

    def wait(self):
        entries = self.some(self.waiting() + self.unsure(), 5)
        if not entries:
            return
        acking = self.random.random() < 0.2
        since = self.ledger.ack_sending(entries) if acking else self.ledger.mark()
        params = {"request_ids": self.ids(entries), "ack": acking, "accept_fd": self.random.random() < 0.5,
                  "await_timeout_ms": self.random.choice([0, 20, 100, 400, 400, None]), "on_timeout": "keep"}
        if self.random.random() < 0.4:
            self.wait_streaming(since, entries, params)
        else:
            self.note_outcomes(since, self.wire.call("await", **params)["results"], acking)

    def wait_streaming(self, since, entries, params):
        n = 0

        def heard(outcome):  # each counts from the moment it came, whatever becomes of the others
            nonlocal n
            n += 1
            self.note_outcomes(since, [outcome], params["ack"])

        self.wire.heard = heard
        reply = self.wire.call("await", stream=True, **params)
        if n != len(entries) or reply["ended"] != n:
            self.ledger.violate(None, f"{self.name}: {n} outcomes came for {self.ids(entries)}, then {reply}")

    def collect(self):
        entries = self.some(self.entries, 5)
        if not entries:
            return
        since = self.ledger.mark()
        self.note_outcomes(since, self.wire.call("collect", request_ids=self.ids(entries),
                                                 accept_fd=self.random.random() < 0.5)["results"])

    def page(self):
        """A page of what has ended."""
        since = self.ledger.mark()
        reply = self.wire.call("collect", limit=self.random.randint(1, 8), accept_fd=self.random.random() < 0.7)
        self.note_outcomes(since, reply["results"])

    def acknowledge(self):
        entries = self.some(self.finished() + self.unsure(), 6)
        if entries:
            self.send_ack(entries)

    def send_ack(self, entries):
        self.ledger.ack_sending(entries)
        reply = self.wire.call("ack", request_ids=self.ids(entries))
        gone = {item["request_id"] for item in reply["not_registered"]}
        if reply["acked"] + len(gone) == len(entries):
            for entry in entries:
                self.ledger.acked(self.uid, entry.request_id, entry.request_id not in gone)
            return
        # Some call that acknowledges was cut off, and what it was about has not ended: that one stays.
        if all(entry.outcome for entry in entries):
            self.ledger.violate(entries[0], f"and {self.ids(entries[1:])} have ended, and cannot be acknowledged: {reply}")
        for request_id in gone:
            self.ledger.acked(self.uid, request_id, False)

    def cancel(self):
        entries = self.some(self.waiting(), 2)
        if not entries:
            return
        self.ledger.cancel_sending(entries)
        reply = self.wire.call("cancel", request_ids=self.ids(entries))
        for item in reply["not_registered"]:
            self.ledger.violate(self.ledger.get(self.uid, item["request_id"]), "is waited for, and cannot be cancelled")
        for entry in entries:
            self.ledger.cancelled(self.uid, entry.request_id)

    def look(self):
        """status of one."""
        for entry in self.some(self.entries, 1):
            since = self.ledger.mark()
            try:
                status = self.wire.call("status", request_id=entry.request_id)
                self.ledger.state(self.uid, entry.request_id, since, status["state"], status["ok"])
            except CallError as error:
                if error.name != "not_found":
                    raise
                self.ledger.not_there(self.uid, entry.request_id, since)

    def again(self):
        """Registering what is registered finds it."""
        entries = self.some([e for e in self.entries if e.registered and e.ack_sent is None and e.cancel_sent is None], 5)
        if entries:
            self.note_registrations(self.ledger.mark(), self.send_register(entries))

    def leave(self):
        """Goes in the middle of a call."""
        if self.waiting():
            self.wire.send("await", request_ids=self.ids(self.some(self.waiting(), 5)))
        raise Gone


# libtinkex


class LibraryClient(Client):
    """Drives a crash_client, which is the same process for the whole run."""

    actions = {"register": 2, "register_and_wait": 4, "wait": 4, "collect": 2, "acknowledge": 4, "cancel": 1}

    def __init__(self, run, name, uid):
        super().__init__(run, name, uid)
        self.process = subprocess.Popen([binary("TINKEX_CRASH_CLIENT"), run.daemon.socket_path], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=run.client_environment)

    def work(self):
        while not self.stopping.is_set():
            self.choose()
        self.process.stdin.close()
        code = self.process.wait(WAIT_SECONDS)
        if code != 0:
            self.ledger.violate(None, f"crash_client ended with {code}")

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def command(self, since, name, entries):
        """Has it carried out, and writes down the facts as they come."""
        self.doing = f"{name} {' '.join(entry.request_id for entry in entries)}"
        self.process.stdin.write(self.doing + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            fact, *words = line.split()
            if fact == "done":
                return
            if fact == "shutdown":
                continue
            if fact == "trouble":
                self.ledger.violate(self.ledger.get(self.uid, words[0]) or entries[0], f"libtinkex, at {self.doing}: {line}")
            self.note(name, since, fact, *words)
        self.ledger.violate(None, f"crash_client ended at {self.doing}")

    def note(self, name, since, fact, request_id, *words):
        ledger = self.ledger
        if fact == "registered":
            ledger.registered(self.uid, request_id, since, words[0] == "new", words[1])
        elif fact == "returned":
            kind, how, size, sha256 = words
            outcome = Outcome(kind == "ok", int(size), sha256)
            ledger.outcome(self.uid, request_id, since, outcome, f"by libtinkex, {how}", kind == "cancelled")
        elif fact == "open":
            ledger.state(self.uid, request_id, since, words[0])
        elif fact == "unknown" and name == "ack":
            ledger.acked(self.uid, request_id, False)
        elif fact == "unknown":
            ledger.not_there(self.uid, request_id, since)
        elif fact == "acked":
            ledger.acked(self.uid, request_id, True)
        elif fact == "cancelled":
            ledger.cancelled(self.uid, request_id)
        else:
            raise ValueError(f"crash_client says {fact}")

    def register(self):
        entries = [e for e in self.entries if not e.registered] or self.fresh()
        if entries:
            self.command(self.ledger.mark(), "register", entries)

    def register_and_wait(self):
        entries = self.fresh()
        if entries:
            self.await_all(entries, "r")

    def wait(self):
        entries = self.some(self.waiting(), 5)
        if entries:
            self.await_all(entries, "")

    def await_all(self, entries, flags):
        acking = self.random.random() < 0.2
        since = self.ledger.ack_sending(entries) if acking else self.ledger.mark()
        flags += ("a" if acking else "") + ("e" if self.random.random() < 0.5 else "")
        self.command(since, f"await {flags or '-'}", entries)

    def collect(self):
        entries = self.some(self.entries, 5)
        if entries:
            self.command(self.ledger.mark(), "collect", entries)

    def acknowledge(self):
        entries = self.some(self.finished() + self.unsure(), 6)
        if entries:
            self.command(self.ledger.ack_sending(entries), "ack", entries)

    def cancel(self):
        entries = self.some(self.waiting(), 2)
        if entries:
            self.ledger.cancel_sending(entries)
            self.command(self.ledger.mark(), "cancel", entries)
