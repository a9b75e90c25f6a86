"""What the simulator's tests share: a raw client, and the way to sim.py in tests/integration."""

import json
import os
import select
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

LIMIT = 60
EARLY = 0.001  # a delay must not end before its time, but clocks differ in their last digits


class Raw:
    """A client connection whose every byte is visible."""

    def __init__(self, sim):
        self.socket = socket.create_connection((sim.host, sim.port), timeout=LIMIT)
        self.base_path = sim.base_path

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def poll_bytes(self, request_id, fields=""):
        body = json.dumps({"request_id": request_id, "allow_metadata_only": True})
        return ("POST %s/api/v1/retrieve_future HTTP/1.1\r\nHost: sim\r\nContent-Length: %d\r\n%s\r\n%s"
                % (self.base_path, len(body.encode()), fields, body)).encode()

    def poll(self, request_id, fields=""):
        self.send(self.poll_bytes(request_id, fields))

    def read_some(self):
        return self.socket.recv(65536)

    def read_exactly(self, size):
        data = b""
        while len(data) < size:
            some = self.socket.recv(size - len(data))
            if not some:
                raise EOFError("closed after %d of %d bytes: %r" % (len(data), size, data[:200]))
            data += some
        return data

    def read_all(self):
        data = b""
        while True:
            some = self.read_some()
            if not some:
                return data
            data += some

    def read_head(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read_exactly(1)
        return head.decode()

    def read_response(self):
        """Status line, headers in lower case, body by Content-Length."""
        lines = self.read_head().split("\r\n")
        headers = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return lines[0], headers, self.read_exactly(int(headers["content-length"]))

    def is_silent(self, seconds=0.05):
        return not select.select([self.socket], [], [], seconds)[0]
