"""Killing the daemon again and again while clients work, and checking that nothing is lost. Standard library only.

    with CrashRun(seed=1) as run:
        run.go(kills=200)
    print(run.summary())

Each life of the daemon ends by one of ENDS: SIGKILL at a random moment after it answers, SIGKILL while it starts, or (rarely)
SIGTERM; or at a named point of its own doing (crash_points.py). Clients (crash_clients.py) work all the time; what they learn
stands in the ledger (crash_ledger.py), and each life is compared with it, by list, collect and status, while it lasts.

All random choices follow from the seed. The moments at which threads and processes get their turns do not: a run with the
same seed sends the same work and plans the same ends, and is not the same to the microsecond.
"""

import os
import random
import signal
import subprocess
import threading
import time

from crash_clients import Connector, Gone, LibraryClient, RawClient, note_outcome
from crash_ledger import Ledger, Violation
from crash_points import CRASH_POINTS
from crash_work import SHARED, Work
from daemon import WAIT_SECONDS, CallError, Daemon, wait_for
from faults import Faults
from sim import Sim
from users import UIDS, open_to_all

WINDOW_SECONDS = 0.5  # a life, from the daemon's being ready to its end
POINTS_SHARE = 0.35  # of the lives end at a named point
POINT_SECONDS = 1.0  # in which it must be reached, or it is killed all the same
EARLY = ("during-start", "during-migration")  # points on the way to being ready
EARLY_MAX = 12  # at the how-manyth occurrence, at most
NTH_MAX = {"during-commit": 20, "during-commit-torn": 20, "before-commit": 8, "after-commit-before-reply": 8,
           "spool-half-written": 6}  # of the others; else 2
ENDS = {"killed": 78, "killed at start": 17, "stopped": 5}  # in percent
UNCHECKED_MAX = 2  # so many lives may end before they were compared; the next one waits for it
PAGE = 1000
SAMPLE = 8  # outcomes that are read back in each life, of each user
LARGE = 64 * 1024
N_LARGE = 2  # of them
RAW_CLIENTS = 4
LIBRARY_CLIENTS = 2


class CrashDaemon(Daemon):
    """A Daemon that is expected to die."""

    def __init__(self, url, **options):
        self.log_read = 0
        super().__init__(url, start=False, **options)

    def launch(self):
        """Starts it and does not wait."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment())

    def is_ready(self):
        """It answers. RuntimeError: it ended by itself."""
        return self._answers()

    def new_log(self):
        """What was written since this was asked last."""
        with open(self.log_path, "rb") as file:
            file.seek(self.log_read)
            text = file.read()
            self.log_read += len(text)
        return text.decode(errors="replace")


class Plan:
    """How a life is to end. `rule`: with `point`, what kills it there; `early`: it holds from the start."""

    def __init__(self, end, share, point=None, rule=None, early=False):
        self.end = end
        self.share = share  # of the window, or of the time that a start takes
        self.point, self.rule, self.early = point, rule, early

    def __str__(self):
        return f"{self.end}{' at ' + self.point if self.point else ''}, {self.share:.2f} of the time"


class Points:
    """Plans lives that end at one of CRASH_POINTS, each as often as the others."""

    def __init__(self, state_dir):
        self.faults = Faults(state_dir)
        self.slot = None

    def plan(self, random_, share):
        name = random_.choice(sorted(CRASH_POINTS))
        early = name.startswith(EARLY)
        nth = random_.randint(1, EARLY_MAX if early else NTH_MAX.get(name, 2))
        end = "stopped" if "checkpoint" in name else "killed"  # the last checkpoint is that of the stop
        return Plan(end, share, name, CRASH_POINTS[name](nth), early)

    def arm(self, plan):
        self.slot = self.faults.arm(plan.rule)

    def disarm(self):
        """Whether the point was reached."""
        if self.slot is None:
            return False
        counts = self.faults.disarm(self.slot)
        self.slot = None
        return counts.fired > 0


class CrashRun:
    """`report`: takes a line about each life. `between`: called after each, with the run."""

    def __init__(self, seed, report=None, between=None):
        self.seed, self.between = seed, between
        self.report = report or (lambda text: None)
        self.random = random.Random(f"{seed}/ends")
        self.ledger = Ledger()
        self.ends = {}
        self.starts = []  # seconds from the start to the first answer
        self.unchecked = 0
        self.checked = 0
        self.users = [os.geteuid()] + (UIDS[:2] if os.geteuid() == 0 else [])
        self.connectors, self.clients = {}, []

    def __enter__(self):
        self.sim = Sim(args=["--record-limit", 50000])
        self.daemon = CrashDaemon(self.sim.url, endpoint={"backoff_initial": "20ms", "backoff_max": "60ms"},
                                  daemon={"socket_mode": "0666"})
        open_to_all(self.daemon)
        self.client_environment = self.daemon.environment()
        self.points = Points(self.daemon.state_dir)
        self.daemon.env.update(self.points.faults.environment())
        self.connectors = {uid: Connector(self.daemon.socket_path, uid) for uid in self.users}
        self.work = Work(self.sim, self.seed)
        self.clients = [RawClient(self, f"raw{k}", self.users[k % len(self.users)]) for k in range(RAW_CLIENTS)]
        self.clients += [LibraryClient(self, f"lib{k}", self.users[0]) for k in range(LIBRARY_CLIENTS)]
        return self

    def __exit__(self, kind, value, trace):
        for client in self.clients:
            client.stopping.set()
            if isinstance(client, LibraryClient):
                client.end()
        for connector in self.connectors.values():
            connector.close()
        self.daemon.__exit__(kind, value, trace)
        self.points.faults.close()
        self.sim.__exit__(kind, value, trace)

    # The run

    def go(self, kills):
        """All lives, and the end of the run. Violation: the first that was found."""
        for client in self.clients:
            client.start()
        try:
            for _ in range(kills):
                self.live(self.plan())
            self.finish()
        except Violation:
            pass
        self.raise_violations()

    def raise_violations(self):
        if self.ledger.violations:
            raise Violation(f"seed {self.seed}, life {self.ledger.life}:\n" + "\n".join(self.ledger.violations))

    def plan(self):
        share = self.random.random()
        if self.random.random() < POINTS_SHARE:
            return self.points.plan(self.random, share)
        return Plan(self.random.choices(list(ENDS), ENDS.values())[0], share)

    def typical_start(self):
        latest = sorted(self.starts[-9:])
        return latest[len(latest) // 2] if latest else 0.3

    def live(self, plan):
        """One life of the daemon."""
        life = self.ledger.new_life()
        if plan.end == "killed at start":
            self.daemon.launch()
            self.let_live(self.typical_start() * 1.2 * plan.share)
        elif self.start(plan):
            self.live_and_check(plan)
        self.end_life(plan)
        self.report(f"life {life}: {plan}")
        if self.between:
            self.between(self)

    def start(self, plan):
        """Starts it and waits until it answers. False: it was killed at its point before."""
        begin = time.monotonic()
        if plan.early:
            self.points.arm(plan)
        self.daemon.launch()
        while True:
            try:
                if self.daemon.is_ready():
                    break
            except (EOFError, ConnectionError):
                continue  # it was killed in the middle of an answer, or is about to
            except RuntimeError:
                if plan.point and self.daemon.process.returncode == -signal.SIGKILL:
                    return False
                raise
            if time.monotonic() > begin + WAIT_SECONDS:
                self.ledger.violate(None, f"the daemon does not start:\n{self.daemon.new_log()[-6000:]}")
            self.let_live(0.003)
        self.starts.append(time.monotonic() - begin)
        return True

    def let_live(self, seconds):
        """Until the time is over or the daemon has ended."""
        try:
            self.daemon.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass

    def live_and_check(self, plan):
        """Compares this life with the ledger while the clients work, and while its time lasts."""
        seconds = POINT_SECONDS if plan.point and plan.end == "killed" else WINDOW_SECONDS * plan.share
        end = time.monotonic() + seconds
        must = self.unchecked >= UNCHECKED_MAX and not plan.point
        process = self.daemon.process
        timer = None
        if plan.rule and not plan.early:
            self.points.arm(plan)
        if not must:
            timer = threading.Timer(max(0, end - time.monotonic()), self.send_end, [process, plan])
            timer.start()
        self.unchecked += 1
        try:
            self.check()
            self.unchecked, self.checked = 0, self.checked + 1
        except (Gone, EOFError):
            if must:
                self.ledger.violate(None, f"the daemon ended by itself:\n{self.daemon.new_log()[-6000:]}")
        finally:
            if self.ledger.violations and timer:
                timer.cancel()
        self.let_live(max(0, end - time.monotonic()))
        if timer:
            timer.join()

    @staticmethod
    def send_end(process, plan):
        if process.poll() is None:
            process.send_signal(signal.SIGTERM if plan.end == "stopped" else signal.SIGKILL)

    def end_life(self, plan):
        """It ends, and has ended as it should."""
        process = self.daemon.process
        self.send_end(process, plan)
        code = process.wait(WAIT_SECONDS)
        was_reached = self.points.disarm()
        expected = 0 if plan.end == "stopped" and not was_reached else -signal.SIGKILL
        log = self.daemon.new_log()
        if code != expected or "Sanitizer" in log or "runtime error" in log:
            self.ledger.violate(None, f"the daemon ended with {code}, expected {expected} ({plan}):\n{log[-6000:]}")
        name = f"point {plan.point}{'' if was_reached else ' (not reached)'}" if plan.point else plan.end
        self.ends[name] = self.ends.get(name, 0) + 1
        if self.ledger.violations:
            raise Violation

    # Comparing

    def check(self, everything=False):
        """This life against the ledger. Gone: it ended meanwhile."""
        self.check_polls()
        for uid in self.users:
            wire = self.connectors[uid].connect()
            if wire is None:
                raise Gone
            with wire:
                self.check_list(wire, uid)
                self.check_outcomes(wire, uid, everything)
                self.check_status(wire, uid)
                self.check_others(wire, uid)
                if uid == 0:
                    self.check_all_users(wire)

    def check_polls(self):
        stats = self.sim.stats()
        if stats["overlaps"]:
            polls = [self.sim.polls(request_id, brief=True) for request_id in stats["overlapped_ids"]]
            self.ledger.violate(None, f"polled twice at once: {stats['overlapped_ids']}: {polls}")

    def pages(self, wire, method, member, **params):
        after = None
        while True:
            reply = wire.call(method, limit=PAGE, after=after, **params)
            yield from reply[member]
            after = reply["next"]
            if after is None:
                return

    def check_list(self, wire, uid):
        since = self.ledger.mark()
        shown = set()
        for future in self.pages(wire, "list", "futures"):
            self.ledger.state(uid, future["request_id"], since, future["state"], future["ok"])
            if future["request_id"] in shown:
                self.ledger.violate(self.ledger.get(uid, future["request_id"]), "is listed twice")
            shown.add(future["request_id"])
        self.ledger.all_there(uid, since, shown)

    def check_all_users(self, wire):
        """User 0 sees everybody's, and each is its user's."""
        since = self.ledger.mark()
        for future in self.pages(wire, "list", "futures", all=True):
            self.ledger.state(future["uid"], future["request_id"], since, future["state"], future["ok"])

    def chosen(self, uid, everything):
        """What is read back: everything that was returned and not acknowledged, or a sample with few large ones."""
        returned = [entry for entry in self.ledger.of(uid) if entry.outcome and entry.ack_sent is None]
        if everything:
            return [entry.request_id for entry in returned]
        random.Random(f"{self.seed}/{uid}/{self.ledger.life}").shuffle(returned)
        large = [entry for entry in returned if entry.outcome.size > LARGE][:N_LARGE]
        small = [entry for entry in returned if entry.outcome.size <= LARGE][:SAMPLE - len(large)]
        return [entry.request_id for entry in large + small]

    def check_outcomes(self, wire, uid, everything):
        ids = self.chosen(uid, everything)
        for first in range(0, len(ids), SAMPLE):
            since = self.ledger.mark()
            accept_fd = bool((self.ledger.life + first // SAMPLE) % 2)
            results = wire.call("collect", request_ids=ids[first:first + SAMPLE], accept_fd=accept_fd)["results"]
            for outcome in results:
                note_outcome(self.ledger, uid, since, outcome)
            self.ledger.count("outcomes read back", len(results))

    def check_status(self, wire, uid):
        owed = [entry for entry in self.ledger.of(uid) if entry.owed]
        for entry in random.Random(f"{self.seed}/{uid}/{self.ledger.life}/status").sample(owed, min(3, len(owed))):
            since = self.ledger.mark()
            try:
                status = wire.call("status", request_id=entry.request_id)
                self.ledger.state(uid, entry.request_id, since, status["state"], status["ok"])
            except CallError as error:
                if error.name != "not_found":
                    raise
                self.ledger.not_there(uid, entry.request_id, since)

    def check_others(self, wire, uid):
        """By no name can a user reach what is another's."""
        others = [entry.request_id for other in self.users if other != uid for entry in self.ledger.of(other)[-4:]
                  if SHARED not in entry.request_id]
        for method in ("collect", "await", "ack", "cancel") if others else ():
            params = {"await_timeout_ms": 0} if method == "await" else {}
            reply = wire.call(method, request_ids=others, **params)
            if method in ("ack", "cancel"):
                n = len(reply["not_registered"])
            else:
                n = sum(outcome.get("error", {}).get("type") == "not_registered" for outcome in reply["results"])
            if n != len(others):
                self.ledger.violate(None, f"uid {uid} reached one of {others} by {method}: {reply}")

    # The end of the run

    def finish(self):
        """A last life, in which every client's waiting ends, everything owed ends as it should, and all can be acknowledged."""
        self.ledger.new_life()
        plan = Plan("stopped", 1)
        self.start(plan)
        for client in self.clients:
            client.stopping.set()
        for client in self.clients:
            client.join(WAIT_SECONDS)
            if client.is_alive():
                self.ledger.violate(None, f"{client.name} still waits, at {client.doing}")
        if self.ledger.violations:
            raise Violation
        for uid in self.users:
            with self.connectors[uid].connect() as wire:
                self.await_owed(wire, uid)
        self.check(everything=True)
        for uid in self.users:
            with self.connectors[uid].connect() as wire:
                self.ack_everything(wire, uid)
        self.check(everything=True)
        self.check_files()
        self.end_life(plan)

    def await_owed(self, wire, uid):
        ids = [entry.request_id for entry in self.ledger.of(uid) if entry.owed]
        for first in range(0, len(ids), SAMPLE):
            since = self.ledger.mark()
            for outcome in wire.call("await", request_ids=ids[first:first + SAMPLE], on_timeout="keep",
                                     await_timeout_ms=WAIT_SECONDS * 1000)["results"]:
                if not note_outcome(self.ledger, uid, since, outcome):
                    self.ledger.violate(self.ledger.get(uid, outcome["request_id"]), f"does not end: {outcome}")

    def ack_everything(self, wire, uid):
        for future in list(self.pages(wire, "list", "futures")):
            entry = self.ledger.get(uid, future["request_id"])
            outcome = wire.outcome(entry.request_id)  # what nobody waited for may not have ended
            note_outcome(self.ledger, uid, self.ledger.mark(), outcome)
            self.ledger.ack_sending([entry])
            reply = wire.call("ack", request_id=entry.request_id)
            if reply["acked"] != 1:
                self.ledger.violate(entry, f"cannot be acknowledged: {reply}")
            self.ledger.acked(uid, entry.request_id, True)
        left = wire.call("list")["futures"]
        if left:
            self.ledger.violate(None, f"everything is acknowledged, and still there: {left}")

    def check_files(self):
        """No body outlives the last that wanted it."""
        spool = os.path.join(self.daemon.state_dir, "spool")
        wait_for(lambda: not os.path.exists(spool) or not os.listdir(spool), "the spool is empty")

    # Telling

    def summary(self):
        starts = sorted(self.starts)
        lines = [f"seed {self.seed}: {self.ledger.life} lives, {self.checked} compared in full while they lasted; "
                 f"start {starts[len(starts) // 2] * 1000:.0f} ms, longest {starts[-1] * 1000:.0f} ms"]
        lines.append("  ends: " + ", ".join(f"{n} {name}" for name, n in sorted(self.ends.items())))
        counts = {"registrations": len(self.ledger.entries), **self.ledger.counts}
        lines.append("  " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
        stats = self.sim.stats()
        lines.append(f"  polls: {stats['polls']}, {stats['aborted']} of them cut, at most {stats['max_in_flight']} at once")
        return "\n".join(lines)
