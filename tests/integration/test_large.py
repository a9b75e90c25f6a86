"""Large results, many at a time and a very large one, with a daemon that stays small. Compared by SHA-256 with what the
simulator makes, which is computed here anew."""

import hashlib
import json
import os
import socket
import unittest

from daemon import Daemon
from sim import Sim, generated_pieces

MIB = 1 << 20
SANITIZED = os.environ.get("TINKEX_SANITIZED") == "1"
# What a daemon may take, in KiB: for 50 results of 50 MB, and beyond what it takes when idle for one of 1 GB. Sanitizers
# keep some of what was freed and shadow what is there, so their figure says less.
ENVIRONMENT = {"ASAN_OPTIONS": "quarantine_size_mb=16"}
MANY_LIMIT = (500 if SANITIZED else 150) * 1024
ONE_LIMIT = (300 if SANITIZED else 12) * 1024
VERY_LARGE = (256 if SANITIZED else 1024) * MIB


def digest_of(pieces):
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def file_pieces(fd, offset, size):
    while size:
        piece = os.pread(fd, min(MIB, size), offset)
        if not piece:
            raise EOFError(f"{size} bytes are missing")
        yield piece
        offset += len(piece)
        size -= len(piece)


class Connection:
    """A connection that keeps nothing of a large reply."""

    def __init__(self, daemon):
        self.socket = daemon.connect(timeout=300).socket
        self.last_id = 0

    def send(self, method, **params):
        self.last_id += 1
        line = json.dumps({"id": self.last_id, "method": method, "params": params}) + "\n"
        self.socket.sendall(line.encode())

    def reply_with_fd(self):
        """A reply that fits into memory, and the descriptor that came with it."""
        data, fds = b"", []
        while not data.endswith(b"\n"):
            part, more, _, _ = socket.recv_fds(self.socket, 1 << 16, 16)
            if not part:
                raise EOFError(data)
            data += part
            fds += more
        return json.loads(data)["result"], fds

    def inline_pieces(self, size, rest):
        """The bytes of the one result in a reply; rest[0] is then what came after it."""
        mark, data = b'"result":', b""
        # The outermost "result" is that of the reply; the next is the outcome's.
        while data.count(mark) < 2:
            data += self.socket.recv(1 << 12)
        data = data.split(mark, 2)[2]
        while size:
            if not data:
                data = self.socket.recv(MIB)
            if not data:
                raise EOFError(f"{size} bytes are missing")
            yield data[:size]
            data, size = data[size:], size - min(size, len(data))
        while not data.endswith(b"\n"):
            data += self.socket.recv(1 << 12)
        rest.append(data)


class Large(unittest.TestCase):
    def test_fifty_at_a_time(self):
        count, size = 50, 50 * MIB
        ids = [f"r{k}" for k in range(count)]
        script = {request_id: [{"size": size, "hold_ms": 200}] for request_id in ids}
        with Sim(script=script) as sim, Daemon(sim.url, env=ENVIRONMENT) as daemon:
            with daemon.connect() as peer:
                peer.call("register", request_ids=ids)
            connection = Connection(daemon)
            for request_id in ids:
                connection.send("await", request_id=request_id, accept_fd=True)
                reply, fds = connection.reply_with_fd()
                outcome = reply["results"][0]
                self.assertEqual((outcome["request_id"], outcome["size"], outcome.get("fd"), len(fds)),
                                 (request_id, size, True, 1))
                self.assertEqual(digest_of(file_pieces(fds[0], outcome["offset"], size)),
                                 digest_of(generated_pieces(request_id, size)), request_id)
                os.close(fds[0])
            peak = daemon.status_value("VmHWM")
            print(f"\n50 results of 50 MB: peak {peak / 1024:.0f} MB")
            self.assertLess(peak, MANY_LIMIT)

    def test_a_very_large_one(self):
        """In and out again, inline: what it takes does not depend on its size."""
        with Sim(script={"x": [{"size": VERY_LARGE}]}) as sim, Daemon(sim.url, env=ENVIRONMENT) as daemon:
            idle = daemon.status_value("VmRSS")
            connection = Connection(daemon)
            connection.send("register", request_id="x")
            connection.reply_with_fd()
            connection.send("await", request_id="x")
            rest = []
            self.assertEqual(digest_of(connection.inline_pieces(VERY_LARGE, rest)),
                             digest_of(generated_pieces("x", VERY_LARGE)))
            self.assertEqual(rest, [b"}]}}\n"])
            peak = daemon.status_value("VmHWM")
            print(f"\none result of {VERY_LARGE // MIB} MB: peak {(peak - idle) / 1024:.1f} MB above idle")
            self.assertLess(peak - idle, ONE_LIMIT)


if __name__ == "__main__":
    unittest.main()
