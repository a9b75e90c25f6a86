"""A name server that does not answer: it holds up its own endpoint, and nothing else."""

import os
import shutil
import subprocess
import tempfile
import time
import unittest

from daemon import Daemon, binary, wait_for
from running import SLACK_MS, completed
from sim import Sim

STALL_SECONDS = 20

# Takes the place of the C library's function; other names go to that.
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (node && strstr(node, "stalled.invalid")) {
		sleep(%d);
		return EAI_AGAIN;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, list);
}
""" % STALL_SECONDS


def sanitizer_runtime():
    """The runtime that the daemon wants to be loaded first, if it was built with a shared one."""
    loaded = subprocess.run(["ldd", binary("TINKEXD")], capture_output=True, text=True, check=True).stdout
    return [line.split()[2] for line in loaded.splitlines() if "libasan" in line and "=>" in line]


@unittest.skipUnless(shutil.which("cc"), "no C compiler")
class StalledResolver(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="tinkexd-resolver-")
        cls.addClassCleanup(shutil.rmtree, folder)
        source, cls.shim = os.path.join(folder, "shim.c"), os.path.join(folder, "shim.so")
        with open(source, "w") as file:
            file.write(SHIM)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", cls.shim, source, "-ldl"], check=True)

    def setUp(self):
        self.sim = Sim({"*": [{"json": {"status": "pending"}}, completed("from two")]})
        self.addCleanup(self.sim.stop)

    def start(self, **endpoint):
        preload = " ".join([*sanitizer_runtime(), self.shim])
        sections = (f"[endpoint two]\nbase_url = {self.sim.url}\nbackoff_min = 0\nbackoff_initial = 10ms\n"
                    "api_key_file = {key}\n")
        daemon = Daemon("https://stalled.invalid/x", endpoint={"backoff_min": "100ms", **endpoint}, start=False,
                        env={"LD_PRELOAD": preload})
        daemon.sections = sections.format(key=daemon.key_path)
        daemon.write_config()
        self.addCleanup(shutil.rmtree, daemon.folder)
        self.addCleanup(daemon.kill)
        daemon.start()
        return daemon

    def test_nothing_else_waits(self):
        daemon = self.start(connect_timeout="60s")
        start = time.monotonic()
        with daemon.connect() as peer:
            peer.call("register", request_ids=[f"stalled{k}" for k in range(5)])
            wait_for(lambda: peer.call("status", request_id="stalled0")["state"] == "polling", "the name is asked for")
            ids = [f"two{k}" for k in range(50)]
            peer.call("register", request_ids=ids, endpoint="two")
            results = peer.call("await", request_ids=ids, endpoint="two")["results"]
            self.assertEqual([outcome.get("result") for outcome in results], ["from two"] * 50)
            slowest = 0
            for _ in range(50):
                before = time.monotonic()
                peer.call("ping")
                slowest = max(slowest, time.monotonic() - before)
            self.assertLess(slowest, STALL_SECONDS / 4)
            self.assertLess(peer.call("stats")["gauges"]["longest_turn_us"], STALL_SECONDS * 1e6 / 4)
            self.assertEqual(peer.call("status", request_id="stalled0")["state"], "polling")
            self.assertLess(time.monotonic() - start, STALL_SECONDS, "all that while the resolver stood still")
            # A deadline and a cancel do not wait for it either.
            peer.call("register", request_id="stalled1", poll_timeout_ms=100)
            self.assertEqual(peer.outcome("stalled1")["error"]["type"], "api_timeout")
            peer.call("cancel", request_id="stalled2")
            self.assertEqual(peer.outcome("stalled2")["error"]["type"], "cancelled")
        before = time.monotonic()
        daemon.stop()
        self.assertLess(time.monotonic() - before, STALL_SECONDS / 2, "nor does a stop")
        self.assertLess(time.monotonic() - start, STALL_SECONDS)

    def test_connect_timeout_includes_the_name(self):
        daemon = self.start(connect_timeout="500ms", profile="guide")
        with daemon.connect() as peer:
            before = time.monotonic()
            peer.call("register", request_id="stalled")
            error = peer.outcome("stalled")["error"]
            took = (time.monotonic() - before) * 1000
        self.assertEqual((error["type"], error["status"]), ("network", None))
        self.assertTrue(450 <= took < 500 + 2 * SLACK_MS, took)
        daemon.stop()


if __name__ == "__main__":
    unittest.main()
