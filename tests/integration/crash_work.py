"""The work that the clients of the crash tests have: request ids, what the simulator answers to them, and what must come of
it. Everything follows from the seed. Standard library only."""

import math
import random
import threading

from crash_ledger import Outcome, digest
from sim import generated_body

PENDING = {"status": "pending"}
SMALL = (100, 60_000)  # kept in the database
LARGE = (100_000, 2_000_000)  # kept in files
HOLD_MS = (100, 900)
SLOW_PIECES = 12
SHARED = "+"  # stands in ids that several users may have
KINDS = {"small": 50, "large": 14, "slow": 8, "failed": 8, "gone": 4, "pending": 10, "held": 8}  # in percent


def between(random_, bounds):
    """Each order of magnitude as often as the other."""
    return int(math.exp(random_.uniform(math.log(bounds[0]), math.log(bounds[1]))))


def plan(request_id, random_):
    """(answers for the simulator, the Outcome). The last answer is given for ever: a kill may cut any poll."""
    kind = random_.choices(list(KINDS), KINDS.values())[0]
    if kind == "failed":
        message = f"bad input {request_id}"
        return ([{"json": {"error": message, "category": "user"}, "repeat": True}],
                Outcome.failed("request_failed", "user", None, message))
    if kind == "gone":
        message = f"expired {request_id}"
        return ([{"status": 410, "json": {"detail": message}, "repeat": True}],
                Outcome.failed("api_status", "server", 410, message))
    size = between(random_, LARGE if kind in ("large", "slow") else SMALL)
    last = {"size": size, "repeat": True}
    before = []
    if kind == "slow":
        last["slow_body"] = {"chunk": size // SLOW_PIECES + 1, "interval_ms": random_.randint(2, 20)}
    if kind == "pending":
        before = [{"json": PENDING, "times": random_.randint(1, 12)}]
    if kind == "held":
        before = [{"json": PENDING, "hold_ms": random_.randint(*HOLD_MS)}]
        last["size"] = size = between(random_, LARGE) if random_.random() < 0.3 else size
    return before + [last], Outcome(True, size, digest(generated_body(request_id, size)))


class Work:
    """Gives out request ids whose answers the simulator knows already."""

    def __init__(self, sim, seed):
        self.sim, self.seed = sim, seed
        self.lock = threading.Lock()
        self.shared = {}  # request id: (Outcome, the users that have it)

    def fresh(self, prefix, first, n):
        """[(request id, Outcome)] of `n` new ones."""
        work, script = [], {}
        for k in range(first, first + n):
            request_id = f"{prefix}-{k}"
            script[request_id], expected = plan(request_id, random.Random(f"{self.seed}/{request_id}"))
            work.append((request_id, expected))
        self.sim.script(script)
        return work

    def share(self, uid, work):
        """Lets other users register these too."""
        with self.lock:
            for request_id, expected in work:
                self.shared[request_id] = (expected, {uid})

    def borrow(self, uid):
        """One that another user has and this one never had, or None."""
        with self.lock:
            for request_id, (expected, users) in self.shared.items():
                if uid not in users:
                    users.add(uid)
                    return request_id, expected
        return None
