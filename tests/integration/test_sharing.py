"""Many processes and many users on the same futures: one poll of each at a time, and everybody gets every outcome."""

import collections
import multiprocessing
import os
import unittest

from daemon import WAIT_SECONDS, CallError, Daemon, Peer, wait_for
from sim import Sim
from users import OVERFLOW_UID, UIDS, become, connect_as, needs_root, open_to_all

N_FUTURES = 1000
N_SHARED = N_FUTURES // 4  # registered by several processes
N_WORKERS = 20
KILLED = (3, 9, 14)  # these processes end by SIGKILL after they have registered
AT_ONCE = {"initial_ms": 0, "max_ms": 0}


def name(k):
    return f"f{k:04}"


def answers(k):
    """Pending once, then an outcome that can be told from every other; each seventh fails."""
    last = {"error": f"no {k}", "category": "user"} if k % 7 == 0 else {"status": "completed", "result": {"k": k}}
    return [{"json": {"status": "pending"}}, {"json": last, "hold_ms": 3}]


def summary(outcome):
    return outcome["result"] if outcome["ok"] else outcome["error"]["message"]


def expected(request_id):
    k = int(request_id[1:])
    return f"no {k}" if k % 7 == 0 else {"k": k}


def portions():
    """What each worker registers: every future has one, and the first quarter three to five."""
    mine = [[] for _ in range(N_WORKERS)]
    for k in range(N_FUTURES):
        several = range(3 + k % 3) if k < N_SHARED else range(1)
        for i in several:
            mine[(k + 7 * i) % N_WORKERS].append(name(k))
    return mine


def by_await(peer, ids):
    return peer.call("await", request_ids=ids)["results"]


def by_stream(peer, ids):
    call = peer.send("await", request_ids=ids, stream=True)
    counts = peer.reply(call)
    messages = [message["params"] for message in peer.notifications]
    assert counts["ended"] == len(messages) == len(ids), counts
    assert counts["ok"] == sum(message["ok"] for message in messages), counts
    for message in messages:
        assert message["call"] == call and ids[message["index"]] == message["request_id"], message
    return messages


def by_collect(peer, ids):
    """Half by asking for the ids, half by reading all of this user's pages: neither waits, so both ask again."""
    def asked():
        results = peer.call("collect", request_ids=ids)["results"]
        return results if all(outcome["ok"] is not None for outcome in results) else None

    def read():
        found, after = {}, None
        while True:
            page = peer.call("collect", limit=97, after=after)
            found.update((outcome["request_id"], outcome) for outcome in page["results"])
            after = page["next"]
            if after is None:
                return [found[request_id] for request_id in ids] if found.keys() >= set(ids) else None

    return wait_for(read if len(ids) % 2 else asked, "all has ended")


def work(path, uid, ids, gather, pipe):
    """One worker process: registers, says so, gathers the outcomes, says them."""
    if uid != os.geteuid():
        become(uid)
    with Peer(path) as peer:
        items = peer.call("register", request_ids=ids, backoff=AT_ONCE)["registrations"]
        pipe.send(sum(item["new"] for item in items))
        pipe.send({outcome["request_id"]: summary(outcome) for outcome in gather(peer, ids)})


class Processes(unittest.TestCase):
    def start(self, max_in_flight, max_connections, limit):
        """The first polls are held until they are released: what is out then is all that may be out."""
        self.sim = Sim({"**": [{"json": {"type": "try_again", "queue_state": "active"}, "until_release": True,
                                "times": limit}],
                        **{name(k): answers(k) for k in range(N_FUTURES)}})
        self.addCleanup(self.sim.stop)
        self.daemon = Daemon(self.sim.url, daemon={"socket_mode": "0666"},
                             endpoint={"max_in_flight": max_in_flight, "max_connections": max_connections})
        self.addCleanup(self.daemon.__exit__, None, None, None)
        open_to_all(self.daemon)

    def start_workers(self):
        fork = multiprocessing.get_context("fork")
        uids = [0, *UIDS] if os.geteuid() == 0 else [os.geteuid()]
        self.workers = []
        for k, ids in enumerate(portions()):
            ours, theirs = fork.Pipe()
            uid, gather = uids[k % len(uids)], (by_await, by_stream, by_collect)[k % 3]
            process = fork.Process(target=work, args=(self.daemon.socket_path, uid, ids, gather, theirs))
            process.start()
            theirs.close()
            self.addCleanup(process.kill)
            self.workers.append((process, ours, uid, ids))

    def receive(self, pipe):
        self.assertTrue(pipe.poll(WAIT_SECONDS), "a worker does not answer")
        return pipe.recv()

    def check_registered(self):
        """Of the processes of one user exactly one made each registration anew."""
        new, ids_of = collections.Counter(), collections.defaultdict(set)
        for _, pipe, uid, ids in self.workers:
            new[uid] += self.receive(pipe)
            ids_of[uid].update(ids)
        self.assertEqual(new, {uid: len(ids) for uid, ids in ids_of.items()})
        return sum(new.values())

    def check_held(self, limit):
        stats = self.sim.wait_for(lambda stats: stats["awaiting_release"] == limit)
        self.assertEqual((stats["polls"], stats["in_flight"]), (limit, limit))
        endpoint = self.daemon.call("endpoints")["endpoints"][0]
        self.assertEqual((endpoint["in_flight"], endpoint["waiting"]), (limit, N_FUTURES - limit))
        futures = []
        with self.daemon.connect() as peer:
            page = {"next": None}
            while len(futures) == 0 or page["next"]:
                page = peer.call("list", limit=300, after=page["next"])
                futures += page["futures"]
        waiting = [future for future in futures if future["state"] == "blocked"]
        self.assertTrue(waiting)
        self.assertEqual({future["why_waiting"] for future in waiting}, {"in_flight_limit"})

    def check_outcomes(self):
        for k, (process, pipe, uid, ids) in enumerate(self.workers):
            if k in KILLED:
                with self.connect(uid) as peer:
                    outcomes = {outcome["request_id"]: summary(outcome) for outcome in by_collect(peer, ids)}
            else:
                outcomes = self.receive(pipe)
                process.join(WAIT_SECONDS)
                self.assertEqual(process.exitcode, 0)
            self.assertEqual(outcomes, {request_id: expected(request_id) for request_id in ids}, f"worker {k}")

    def connect(self, uid):
        return self.daemon.connect() if uid == os.geteuid() else connect_as(self.daemon, uid)

    def run_all(self, max_in_flight, max_connections):
        limit = min(max_in_flight, max_connections)  # over HTTP/1.1
        self.start(max_in_flight, max_connections, limit)
        self.start_workers()
        registrations = self.check_registered()
        self.check_held(limit)
        for k in KILLED:
            self.workers[k][0].kill()
            self.workers[k][0].join()
        self.sim.release()
        self.check_outcomes()

        stats = self.sim.stats()
        self.assertEqual(stats["overlaps"], 0, stats["overlapped_ids"])
        self.assertEqual(stats["max_in_flight"], limit)
        self.assertLessEqual(stats["connections"]["poll_max_open"], max_connections)
        # Each future walked its own list once, whoever and however many had registered it.
        self.assertEqual(stats["polls"], limit + 2 * N_FUTURES)
        self.assertEqual((stats["aborted"], stats["bad_polls"]), (0, 0))
        counters = self.daemon.call("stats")["counters"]
        self.assertEqual(counters["polls"], stats["polls"])
        self.assertEqual(counters["registrations"], registrations)

    def test_in_flight_limit_below_connections(self):
        self.run_all(max_in_flight=16, max_connections=64)

    def test_in_flight_limit_above_connections(self):
        self.run_all(max_in_flight=1000, max_connections=24)


@needs_root
class Users(unittest.TestCase):
    """Users A and B on one endpoint: two stakes in the same futures, none of which is the other's business."""

    def setUp(self):
        self.sim = Sim({"*": [{"json": {"status": "completed", "result": "for both"}, "until_release": True}]})
        self.addCleanup(self.sim.stop)
        sections = f"[endpoint theirs]\nbase_url = {self.sim.url}\nallow_users = 1001\n"
        self.daemon = Daemon(self.sim.url, daemon={"socket_mode": "0666"}, sections=sections)
        self.addCleanup(self.daemon.__exit__, None, None, None)
        open_to_all(self.daemon)
        self.a, self.b = self.user(1001), self.user(1002)

    def user(self, uid):
        peer = connect_as(self.daemon, uid)
        self.addCleanup(peer.close)
        self.assertEqual(peer.call("hello")["uid"], uid)
        return peer

    def refused(self, peer, method, **params):
        with self.assertRaises(CallError) as context:
            peer.call(method, **params)
        return context.exception

    def test_neither_sees_the_other(self):
        self.a.call("register", request_id="a", metadata={"run": "secret"})
        missing = [{"request_id": "a", "endpoint": "default"}]

        self.assertEqual(self.refused(self.b, "status", request_id="a").name, "not_found")
        ours, never = (self.refused(self.b, "status", request_id=request_id) for request_id in ("a", "b"))
        self.assertEqual((ours.code, ours.message.replace('"a"', "X")), (never.code, never.message.replace('"b"', "X")),
                         "not yours and not there are one error")
        self.assertEqual(self.b.call("list")["futures"], [])
        self.assertEqual(self.b.call("list", where={"run": "secret"})["futures"], [])
        self.assertEqual(self.b.call("cancel", request_id="a"), {"cancelled": 0, "not_registered": missing})
        self.assertEqual(self.b.call("ack", request_id="a"), {"acked": 0, "not_registered": missing})
        for outcome in (self.b.outcome("a"), self.b.call("collect", request_id="a")["results"][0]):
            self.assertEqual((outcome["ok"], outcome["error"]["type"]), (False, "not_registered"))
        self.assertEqual(self.a.call("status", request_id="a")["state"], "polling")

        self.sim.release("a")
        self.assertEqual(self.a.outcome("a")["result"], "for both")
        self.assertEqual(self.b.call("collect")["results"], [])
        self.assertEqual(self.b.call("ack", request_id="a")["acked"], 0)
        self.assertEqual(self.a.call("ack", request_id="a")["acked"], 1)

    def test_one_poll_for_both(self):
        self.assertTrue(self.a.call("register", request_id="x")["registrations"][0]["new"])
        self.sim.wait_polls("x", 1)
        item = self.b.call("register", request_id="x", metadata={"mine": 1})["registrations"][0]
        self.assertTrue(item["new"], "nothing tells B that A was there before")
        self.assertNotIn("outcome", item)
        for peer in (self.a, self.b):
            self.assertEqual(peer.call("status", request_id="x")["registrations"], 1)
        self.assertEqual(self.a.call("status", request_id="x")["metadata"], {})
        calls = [(peer, peer.send("await", request_id="x")) for peer in (self.a, self.b)]
        self.sim.release("x")
        for peer, call in calls:
            self.assertEqual(peer.reply(call)["results"][0]["result"], "for both")
        self.assertEqual(len(self.sim.polls("x")), 1)
        # A's acknowledgement is A's alone.
        self.assertEqual(self.a.call("ack", request_id="x")["acked"], 1)
        self.assertEqual(self.a.outcome("x")["error"]["type"], "not_registered")
        self.assertEqual(self.b.outcome("x")["result"], "for both")

    def test_cancel_and_deadline_end_one_stake(self):
        for peer in (self.a, self.b):
            peer.call("register", request_ids=["cancelled", "late"])
        self.a.call("register", request_id="late", poll_timeout_ms=50)
        self.assertEqual(self.a.call("cancel", request_id="cancelled")["cancelled"], 1)
        self.assertEqual(self.a.outcome("cancelled")["error"]["type"], "cancelled")
        self.assertEqual(self.a.outcome("late")["error"]["type"], "api_timeout")
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 2)
        self.sim.release()
        for request_id in ("cancelled", "late"):
            self.assertEqual(self.b.outcome(request_id)["result"], "for both")
            self.assertEqual(len(self.sim.polls(request_id)), 1, "the poll went on for B")
            self.assertEqual(self.sim.polls(request_id)[0]["outcome"], "answered")
            self.assertIs(self.a.outcome(request_id)["ok"], False)

    def test_all_is_for_root(self):
        self.a.call("register", request_id="mine")
        self.b.call("register", request_ids=["mine", "other"])
        for method, params in (("list", {}), ("status", {"request_id": "mine"})):
            self.assertEqual(self.refused(self.a, method, all=True, **params).name, "denied")
        with self.daemon.connect() as root:
            self.assertEqual(root.call("list")["futures"], [])
            futures = root.call("list", all=True)["futures"]
            self.assertEqual([(future["uid"], future["request_id"]) for future in futures],
                             [(1001, "mine"), (1002, "mine"), (1002, "other")])
            status = root.call("status", request_id="mine", all=True)
            self.assertEqual(status["registrations"], 2)
            self.assertIn(status["uid"], (1001, 1002))

    def test_endpoints_of_others(self):
        self.assertEqual([endpoint["endpoint"] for endpoint in self.a.call("endpoints")["endpoints"]],
                         ["default", "theirs"])
        self.assertEqual([endpoint["endpoint"] for endpoint in self.b.call("endpoints")["endpoints"]], ["default"])
        forbidden = self.refused(self.b, "register", request_id="x", endpoint="theirs")
        unknown = self.refused(self.b, "register", request_id="x", endpoint="nowhere")
        self.assertEqual((forbidden.name, forbidden.code), ("denied", -32000))
        self.assertEqual(forbidden.message.replace("theirs", "X"), unknown.message.replace("nowhere", "X"))
        self.assertTrue(self.a.call("register", request_id="x", endpoint="theirs")["registrations"][0]["new"])

    def test_nobody_is_refused(self):
        with connect_as(self.daemon, OVERFLOW_UID) as peer:
            error = peer.read()["error"]
            self.assertEqual(error["data"]["name"], "denied")
            self.assertIsNone(peer.read_raw())
        self.assertEqual(self.a.call("ping"), {})


@needs_root
class Fairness(unittest.TestCase):
    def test_a_long_queue_is_its_owners(self):
        """200 futures of A wait for the only slot; the one that B brings is polled as the next or the one after."""
        with Sim({"*": [{"json": 1, "until_release": True}]}) as sim, \
                Daemon(sim.url, daemon={"socket_mode": "0666"}, endpoint={"max_in_flight": 1}) as daemon:
            open_to_all(daemon)
            with connect_as(daemon, 1001) as a, connect_as(daemon, 1002) as b:
                a.call("register", request_ids=[f"a{k}" for k in range(200)])
                sim.wait_for(lambda stats: stats["awaiting_release"] == 1)
                b.call("register", request_id="b")
                for k in range(3):
                    sim.release()
                    sim.wait_for(lambda stats: stats["polls"] == k + 2 and stats["awaiting_release"] == 1)
                self.assertIn("b", [poll["request_id"] for poll in sim.polls(brief=True)][:3])


if __name__ == "__main__":
    unittest.main()
