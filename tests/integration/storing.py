"""A test case with a simulator, and a daemon whose file system calls can be made to fail. Standard library only."""

import os
import shutil

from daemon import WAIT_SECONDS, CallError, Daemon, wait_for
from faults import Faults, Rule
from running import Running
from sim import Sim

DATABASE, WAL, INDEX, RESERVE = "tinkexd.db", "tinkexd.db-wal", "tinkexd.db-shm", "reserve"
SPOOL, SPOOL_FILE = "spool", "spool/*"
RESERVE_SIZE = 16 << 20
NEVER = [{"never": True, "repeat": True}]
PAD = {"pad": "p" * 3000}  # metadata that takes room


def held(answer):
    return dict(answer, until_release=True)


class Storing(Running):
    """Each test has a daemon of its own, which is killed at the end; that it ends in order is end_in_order()'s to check."""

    shared = False
    options = {}

    def setUp(self):
        self.sim = Sim()
        self.addCleanup(self.sim.stop)
        self.daemon = Daemon(self.sim.url, endpoint={"backoff_initial": "20ms", "backoff_max": "100ms", **self.endpoint},
                             limits=self.limits, start=False, **self.options)
        self.addCleanup(shutil.rmtree, self.daemon.folder, ignore_errors=True)
        self.faults = Faults(self.daemon.state_dir)
        self.addCleanup(self.faults.close)
        self.addCleanup(self.daemon.kill)
        self.addCleanup(self.no_sanitizer, self.daemon)
        self.daemon.env.update(self.faults.environment())

    def start(self):
        self.daemon.start()
        self.peer = self.daemon.connect()
        self.addCleanup(self.peer.close)

    def restart(self, kill=False):
        """Without faults, unless it is killed."""
        if kill:
            self.daemon.kill()
        else:
            self.faults.disarm()
        self.start()

    def end_in_order(self):
        self.faults.disarm()
        self.daemon.stop()

    def no_sanitizer(self, daemon):
        log = daemon.log() if os.path.exists(daemon.log_path) else ""
        self.assertNotIn("Sanitizer", log)
        self.assertNotIn("runtime error", log)

    # Faults

    def arm(self, operations, pattern="*", **more):
        return self.faults.arm(Rule(operations, pattern, **more))

    def fill(self, room=0):
        """The disk has so many bytes left, beside the reserve."""
        used = sum(os.lstat(os.path.join(folder, name)).st_size
                   for folder, _, files in os.walk(self.daemon.state_dir) for name in files)
        return self.arm("write|fallocate", action="quota", value=used + room)

    def assert_breaks(self, *parts, log_from=0):
        """It ends by itself, not in order, and says why."""
        code = self.daemon.process.wait(WAIT_SECONDS)
        log = self.daemon.log()[log_from:]
        self.assertGreater(code, 0, log[-3000:])
        for part in parts:
            self.assertIn(part, log)
        self.no_sanitizer(self.daemon)

    # Doing

    def finish(self, request_id, answer=None, **options):
        """Registered and ended, in memory of nobody but the daemon."""
        outcome = self.run_through(request_id, [answer or {"json": request_id}], **options)
        self.assertIs(outcome["ok"], True, outcome)
        return outcome

    def try_register(self, request_id, peer=None, **options):
        """Its entry in the reply."""
        return (peer or self.peer).call("register", request_id=request_id, **options)["registrations"][0]

    def until_refused(self, prefix):
        """Registers until nothing more is taken: (the ids that were, the refusal)."""
        taken = []
        for k in range(20000):
            try:
                item = self.try_register(f"{prefix}{k}", metadata=PAD)
            except CallError as refused:  # it was the first that did not fit, and there was no reserve
                item = {"error": {"message": refused.message, "data": refused.data}}
            if "error" in item:
                return taken, item["error"]
            taken.append(item["request_id"])
        raise AssertionError("it never was full")

    # Asking

    def waits_for_storage(self, request_id):
        status = self.status(request_id)
        return (status["state"], status["why_waiting"], status["ok"]) == ("blocked", "storage", None)

    def reserve_size(self):
        try:
            return os.stat(os.path.join(self.daemon.state_dir, RESERVE)).st_size
        except FileNotFoundError:
            return None

    def wait_space(self):
        wait_for(lambda: self.reserve_size() == RESERVE_SIZE, "the reserve is held again")

    def wait_accepted(self, request_id):
        """Somebody who tries again and again is taken."""
        wait_for(lambda: "error" not in self.try_register(request_id), "registrations are accepted again")

    def in_spool(self):
        return sorted(os.listdir(os.path.join(self.daemon.state_dir, SPOOL)))
