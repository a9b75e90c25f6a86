"""Watching a daemon from outside: its memory, its processor time, how quickly it answers. Standard library only."""

import os
import time

from daemon import wait_for

QUICK_SECONDS = 0.5  # p99 of a ping, with sanitizers on a loaded machine; without either it is well below a millisecond
IDLE_SECONDS = 1.0


def measuring_environment():
    """Freed memory goes back at once where AddressSanitizer would keep it, so that memory can be measured."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return {"ASAN_OPTIONS": options + (":" if options else "") +
            "quarantine_size_mb=1:thread_local_quarantine_size_kb=64:allocator_release_to_os_interval_ms=100"}


class peak_growth:
    """`with peak_growth(daemon) as growth: …`, then growth(): by how many bytes the resident memory rose at most."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.before = self.after = None

    def __enter__(self):
        try:
            with open(f"/proc/{self.daemon.process.pid}/clear_refs", "w") as file:
                file.write("5")  # the highest mark is now what is resident
        except OSError:
            pass  # then it is measured against the highest mark so far
        self.before = self.daemon.status_value("VmHWM")
        return self

    def __exit__(self, *unused):
        self.after = self.daemon.status_value("VmHWM")

    def __call__(self):
        return (self.after - self.before) * 1024


def ping_seconds(peer, n):
    """How long each of n pings took, sorted."""
    took = []
    for _ in range(n):
        start = time.monotonic()
        peer.call("ping")
        took.append(time.monotonic() - start)
    return sorted(took)


def assert_quick(test, peer, when, n=300):
    """The 99th percentile of this peer's pings is short; it is printed."""
    took = ping_seconds(peer, n)
    p99 = took[n * 99 // 100]
    print(f"ping {when}: median {took[n // 2] * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms")
    test.assertLess(p99, QUICK_SECONDS, f"p99 of a ping {when}")


def processor_seconds(daemon):
    """Processor time that the daemon used so far, in all its threads."""
    with open(f"/proc/{daemon.process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def assert_idle(test, daemon, seconds=IDLE_SECONDS, share=0.2):
    """Over a stretch of time the daemon uses next to no processor time: it does not spin."""
    start, used = time.monotonic(), processor_seconds(daemon)
    wait_for(lambda: time.monotonic() - start >= seconds, "the stretch of time is over")
    test.assertLess(processor_seconds(daemon) - used, share * seconds, "processor seconds of an idle daemon")


def peers_are(peer, n):
    """Waits until the daemon counts n connections, `peer`'s among them."""
    wait_for(lambda: peer.call("stats")["gauges"]["peers"] == n, f"{n} connections")


def own_descriptors(daemon, peer):
    """Open descriptors of the daemon but for the connections to its servers."""
    return daemon.descriptors() - sum(one["connections"] for one in peer.call("endpoints")["endpoints"])
