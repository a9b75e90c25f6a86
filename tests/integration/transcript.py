"""Replaying the transcripts of proto/examples against a running daemon. Their format is described in the README there.

    replay("proto/examples/session.jsonl", sim, daemon)

Raises Mismatch, an AssertionError that names file and line, what was expected and what came. Standard library only.
"""

import json
import socket
import time

LIMIT_SECONDS = 60  # for each expectation

# What a line may have beside the member that gives it its kind.
_KINDS = {
    "comment": set(),
    "upstream": set(),
    "send_json": {"peer"},
    "send": {"peer", "times"},
    "send_hex": {"peer"},
    "expect": {"peer", "containing"},
    "expect_any_order": {"peer"},
    "closed": {"peer"},
    "shutdown": {"peer"},
    "close": {"peer"},
}


class Mismatch(AssertionError):
    """The daemon did not say what the transcript says."""


class Malformed(ValueError):
    """The transcript itself is wrong."""


def difference(expected, got, path="$"):
    """The first place where `got` does not match, in words; None if it matches."""
    if expected == "*":
        return None
    if expected == "*int":
        return None if isinstance(got, int) and not isinstance(got, bool) else f"{path}: no integer"
    if expected == "*str":
        return None if isinstance(got, str) else f"{path}: no string"
    if type(expected) is not type(got):
        return f"{path}: {json.dumps(got)} is not {json.dumps(expected)}"
    if isinstance(expected, dict):
        for name, value in expected.items():
            if name not in got:
                return f"{path}: there is no {json.dumps(name)}"
            found = difference(value, got[name], f"{path}.{name}")
            if found:
                return found
        return None
    if isinstance(expected, list):
        if len(expected) != len(got):
            return f"{path}: {len(got)} elements, not {len(expected)}"
        for i, value in enumerate(expected):
            found = difference(value, got[i], f"{path}[{i}]")
            if found:
                return found
        return None
    return None if expected == got else f"{path}: {json.dumps(got)} is not {json.dumps(expected)}"


def read_steps(path):
    """[(line number, kind, line's object)]; Malformed if a line is not in the format."""
    steps = []
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                step = json.loads(text)
                kinds = step.keys() & _KINDS.keys()
            except (ValueError, AttributeError):
                raise Malformed(f"{path}:{number}: no JSON object") from None
            if len(kinds) != 1:
                raise Malformed(f"{path}:{number}: one of {', '.join(_KINDS)} is needed, not {sorted(kinds)}")
            kind = kinds.pop()
            unknown = step.keys() - {kind} - _KINDS[kind]
            if unknown:
                raise Malformed(f"{path}:{number}: {sorted(unknown)} does not go with {kind}")
            steps.append((number, kind, step))
    return steps


class Conversation:
    """One transcript being replayed: the connections that it has open."""

    def __init__(self, sim, daemon, limit=LIMIT_SECONDS):
        self.sim = sim
        self.daemon = daemon
        self.limit = limit
        self.peers = {}

    def peer(self, step):
        name = step.get("peer", "")
        if name not in self.peers:
            self.peers[name] = self.daemon.connect(self.limit)
        return self.peers[name]

    def close(self):
        for peer in self.peers.values():
            peer.close()
        self.peers = {}

    def next_line(self, peer):
        """The next line as bytes, without its LF; None at the end. `limit` holds for the whole of it."""
        end = time.monotonic() + self.limit
        while b"\n" not in peer.buffer:
            try:
                peer.socket.settimeout(max(0.001, end - time.monotonic()))
                data = peer.socket.recv(1 << 20)
            except TimeoutError:
                raise Mismatch(f"nothing came within {self.limit} s (unfinished: {peer.buffer!r})") from None
            except ConnectionResetError:
                data = b""
            if not data:
                if peer.buffer:
                    raise Mismatch(f"the connection ends in the middle of a line: {peer.buffer!r}")
                return None
            peer.buffer += data
        line, _, peer.buffer = peer.buffer.partition(b"\n")
        return line

    def next_message(self, peer):
        line = self.next_line(peer)
        if line is None:
            raise Mismatch("the daemon has closed the connection")
        try:
            return line, json.loads(line)
        except ValueError:
            raise Mismatch(f"no JSON: {line!r}") from None

    # One method a kind of line.

    def do_comment(self, step):
        """For readers."""

    def do_upstream(self, step):
        self.sim.script({step["upstream"]["request_id"]: step["upstream"]["answers"]})

    def do_send_json(self, step):
        self.peer(step).send_raw(json.dumps(step["send_json"]) + "\n")

    def do_send(self, step):
        self.peer(step).send_raw(step["send"] * step.get("times", 1) + "\n")

    def do_send_hex(self, step):
        self.peer(step).send_raw(bytes.fromhex(step["send_hex"]) + b"\n")

    def do_expect(self, step):
        line, got = self.next_message(self.peer(step))
        found = difference(step["expect"], got)
        if not found and step.get("containing", "") not in line.decode():
            found = f"the line does not contain {step['containing']!r}"
        if found:
            raise Mismatch(f"{found}\nexpected {json.dumps(step['expect'])}\ngot      {line.decode()}")

    def do_expect_any_order(self, step):
        left, peer = list(step["expect_any_order"]), self.peer(step)
        while left:
            line, got = self.next_message(peer)
            hit = next((i for i, expected in enumerate(left) if not difference(expected, got)), None)
            if hit is None:
                raise Mismatch(f"none of these\nexpected {json.dumps(left)}\ngot      {line.decode()}")
            del left[hit]

    def do_closed(self, step):
        line = self.next_line(self.peer(step))
        if line is not None:
            raise Mismatch(f"the connection was to be closed\ngot      {line.decode()}")

    def do_shutdown(self, step):
        self.peer(step).socket.shutdown(socket.SHUT_WR)

    def do_close(self, step):
        self.peer(step).close()
        del self.peers[step.get("peer", "")]


def replay(path, sim, daemon, limit=LIMIT_SECONDS):
    """Plays the transcript; returns how many expectations it had. Mismatch names the line."""
    conversation = Conversation(sim, daemon, limit)
    expectations = 0
    try:
        for number, kind, step in read_steps(path):
            try:
                getattr(conversation, "do_" + kind)(step)
            except Mismatch as mismatch:
                raise Mismatch(f"{path}:{number}: {mismatch}") from None
            except OSError as error:
                raise Mismatch(f"{path}:{number}: {error}") from error
            expectations += kind in ("expect", "expect_any_order", "closed")
    finally:
        conversation.close()
    return expectations
