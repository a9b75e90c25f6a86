"""Being other users of the machine, for tests that run as root. Standard library only.

    open_to_all(daemon)
    with connect_as(daemon, 1001) as peer:
        assert peer.call("hello")["uid"] == 1001
"""

import os
import socket
import unittest

from daemon import WAIT_SECONDS, Peer

# Numbers are enough: the kernel knows users by nothing else. (65534 is the overflow uid, which the daemon refuses.)
UIDS = [1001, 1002, 65533]
OVERFLOW_UID = 65534

needs_root = unittest.skipUnless(os.geteuid() == 0, "only root can be several users")


def open_to_all(daemon):
    """Lets every user reach the socket of a daemon with socket_mode 0666: its folder is its owner's alone."""
    os.chmod(daemon.folder, 0o711)


def become(uid):
    """This process is that user from here on, for ever, and in no group but its own."""
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def _connect_and_hand_over(path, uid, pipe):
    become(uid)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        socket.send_fds(pipe, [b"."], [connection.fileno()])


def connect_as(daemon, uid, timeout=WAIT_SECONDS):
    """A connection made by a process of that user, which hands it to this one: it stays its user's.

    The process is forked, not a new Python: other users need not be able to run this one.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _connect_and_hand_over(daemon.socket_path, uid, theirs)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if status != 0:
            raise ConnectionError(f"no connection as uid {uid}")
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    return Peer(None, timeout, connected=socket.socket(fileno=descriptors[0]))
