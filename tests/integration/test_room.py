"""Bounds of what is kept: room for outcomes, registrations of one user, and time; also over restarts."""

import signal
import unittest

from daemon import wait_for
from running import PENDING, completed
from storing import NEVER, Storing
from users import UIDS, connect_as, needs_root, open_to_all

MIB = 1 << 20
ROW, SIZE = 256, 100_000  # what an outcome is charged for beside its body; a body
FIT = MIB // (SIZE + ROW)  # so many stay below a MiB
ONGOING = [dict(PENDING, repeat=True)]


class Keeping(Storing):
    def setUp(self):
        super().setUp()
        self.start()

    def restart(self, in_order=False, **limits):
        """What nobody waits for, such as that something was delivered, is written after a moment, or in an orderly end."""
        if in_order:
            self.daemon.stop()
        self.daemon.config_lines["limits"].update(limits)
        self.daemon.write_config()
        super().restart(kill=not in_order)

    def end(self, request_id, peer=None, size=SIZE):
        """Ended, and delivered to nobody."""
        peer = peer or self.peer
        self.sim.script({request_id: [{"size": size, "repeat": True}]})
        self.assertNotIn("error", self.try_register(request_id, peer))
        wait_for(lambda: peer.call("status", request_id=request_id)["ok"], f"{request_id} ends")

    def deliver(self, request_id):
        self.assertIs(self.peer.call("collect", request_id=request_id)["results"][0]["ok"], True)
        # The daemon knows of it when the kernel has all of the reply; the next call comes after that.
        self.peer.call("ping")

    def there(self, peer=None):
        return [one["request_id"] for one in (peer or self.peer).call("list", limit=1000)["futures"]]

    def assert_gone(self, request_id, reason="retention"):
        error = self.assert_error(self.peer.outcome(request_id), "not_registered")
        self.assertEqual(error["data"]["reason"], reason)

    def assert_refused(self, name, *parts, peer=None, limit=None):
        error = self.try_register("one more", peer)["error"]
        self.assertEqual((error["data"]["name"], error["data"].get("limit")), (name, limit))
        for part in parts:
            self.assertIn(part, error["message"])

    def wait_stuck(self, request_id):
        """It waits for room, and is not polled."""
        wait_for(lambda: self.waits_for_storage(request_id), "no poll is started")
        polls = len(self.sim.polls(request_id))
        self.assertEqual(self.finished_round(), polls)

    def finished_round(self):
        """Polls of "ongoing" after the daemon has had the time for many more: it looks for what to do in every turn."""
        for _ in range(100):
            self.peer.call("stats")
        return len(self.sim.polls("ongoing"))

    def counts(self):
        counters = self.counters()
        return counters["expired"], counters["outcomes_evicted"]

    def stored(self):
        return self.peer.call("stats")["gauges"]["stored_bytes"]


class Whole(Keeping):
    """max_stored_bytes."""

    limits = {"max_stored_bytes": "1M"}

    def test_delivered_go_first_then_nothing_comes(self):
        for k in range(FIT):
            self.end(f"r{k}")
        for k in (2, 0):
            self.deliver(f"r{k}")
        self.register("ongoing", ONGOING)
        self.assertEqual(self.counts(), (0, 0))
        self.assertEqual(self.stored(), FIT * (SIZE + ROW))
        # The oldest delivery goes first, not the oldest result.
        self.end("s0")
        self.assertEqual(self.counts(), (1, 1))
        self.assert_gone("r2")
        self.end("s1")
        self.assertEqual(self.counts(), (2, 2))
        self.assert_gone("r0")
        wait_for(lambda: len(self.in_spool()) == FIT, "their files go")
        # What was not delivered never goes: nothing comes in.
        self.end("s2")
        self.assertEqual(self.counts(), (2, 2))
        self.assertGreaterEqual(self.stored(), MIB)
        self.assert_refused("storage", "room", str(MIB))
        self.wait_stuck("ongoing")
        self.assertIs(self.try_register("ongoing")["new"], False)
        self.assertGreaterEqual(self.counters()["registrations_refused"], 1)
        expected = {f"r{k}" for k in range(FIT)} - {"r0", "r2"} | {"s0", "s1", "s2", "ongoing"}
        self.assertEqual(set(self.there()), expected)
        # The same after a restart.
        before = self.stored()
        self.restart()
        self.assertEqual(self.stored(), before)
        self.assertEqual(set(self.there()), expected)
        self.assert_refused("storage", "room")
        wait_for(lambda: self.waits_for_storage("ongoing"), "no poll is started")
        # Acknowledging frees it.
        polls = len(self.sim.polls("ongoing"))
        self.assertEqual(self.peer.call("ack", request_ids=["r1", "s2"])["acked"], 2)
        self.sim.wait_polls("ongoing", polls + 2)
        self.end("t")
        self.assertLess(self.stored(), MIB)
        self.end_in_order()

    def test_delivering_makes_room(self):
        for k in range(FIT + 1):
            self.end(f"r{k}")
        self.assert_refused("storage", "room")
        self.deliver("r5")
        wait_for(lambda: "r5" not in self.there(), "what was delivered goes at once")
        self.assertEqual(self.counts(), (1, 1))
        self.end("s")
        self.end_in_order()

    def test_order_after_restart(self):
        """Of ends and of deliveries, not of registrations."""
        ids = ["a", "b", "c", "d"]
        self.sim.script({"*": ONGOING})
        self.peer.call("register", request_ids=ids)
        for request_id in ("c", "a", "d", "b"):
            self.sim.script({request_id: [{"size": SIZE}]})
            wait_for(lambda: self.status(request_id)["ok"], "it ends")
        for request_id in ("b", "d", "a"):
            self.deliver(request_id)
        self.restart(in_order=True)
        self.assertEqual([one["request_id"] for one in self.peer.call("collect", limit=4)["results"]], ["c", "a", "d", "b"])
        self.assertEqual(self.there(), ids)
        self.assertEqual(self.stored(), 4 * (SIZE + ROW))
        # Room for one outcome less each time. "c" has just been delivered for the first time.
        for n, gone in ((3, "b"), (2, "d"), (1, "a"), (0, "c")):
            self.restart(in_order=True, max_stored_bytes=n * (SIZE + ROW) + 1)
            ids.remove(gone)
            self.assertEqual(self.there(), ids)
            self.assertEqual((self.counts(), self.stored()), ((1, 1), n * (SIZE + ROW)))
        self.end_in_order()

    def test_reload(self):
        for k in range(4):
            self.end(f"r{k}")
        self.deliver("r1")
        self.daemon.config_lines["limits"]["max_stored_bytes"] = 3 * SIZE
        self.daemon.write_config()
        self.daemon.signal(signal.SIGHUP)
        wait_for(lambda: self.there() == ["r0", "r2", "r3"], "what was delivered goes")
        self.assertEqual(self.counts(), (1, 1))
        self.assert_refused("storage", str(3 * SIZE))
        self.end_in_order()

    def test_what_somebody_waits_for_is_kept(self):
        """The reply is made before the outcome goes."""
        for k in range(FIT):
            self.end(f"r{k}")
        large = self.peer.call("await", request_ids=[f"r{k}" for k in range(FIT)])["results"]
        self.assertTrue(all(outcome["ok"] for outcome in large))
        self.register("s", [{"size": MIB}])
        self.assertIs(self.peer.outcome("s")["ok"], True)
        wait_for(lambda: self.counts() == (FIT + 1, FIT + 1), "all of them go, and it goes last, being delivered")
        self.assertEqual(self.there(), [])
        self.end_in_order()


class Share(Keeping):
    """max_stored_bytes_per_uid."""

    limits = {"max_stored_bytes": "1G", "max_stored_bytes_per_uid": "1M"}
    options = {"daemon": {"socket_mode": "0666"}}

    def fill(self, peer=None):
        for k in range(FIT + 1):
            self.end(f"r{k}", peer)

    def check_full(self):
        self.assert_refused("limit_exceeded", "acknowledge", limit=MIB)
        self.wait_stuck("ongoing")

    def test_alone(self):
        self.register("ongoing", ONGOING)
        for k in range(FIT):
            self.end(f"r{k}")
        self.deliver("r3")
        self.end("s0")
        self.assertEqual(self.counts(), (1, 1))
        self.assert_gone("r3")
        self.end("s1")
        self.check_full()
        self.restart()
        self.assertEqual(self.stored(), (FIT + 1) * (SIZE + ROW))
        self.assert_refused("limit_exceeded", limit=MIB)
        wait_for(lambda: self.waits_for_storage("ongoing"), "no poll is started")
        polls = len(self.sim.polls("ongoing"))
        self.assertEqual(self.peer.call("ack", request_id="s0")["acked"], 1)
        self.sim.wait_polls("ongoing", polls + 2)
        self.end("t")
        self.end_in_order()

    @needs_root
    def test_others_are_not_hurt(self):
        open_to_all(self.daemon)
        self.register("ongoing", ONGOING)
        self.fill()
        self.check_full()
        with connect_as(self.daemon, UIDS[0]) as other:
            self.end("mine", other)
            self.assertTrue(other.outcome("mine")["ok"])
            # A future that both want is polled, for the one who has room; it is charged to both.
            self.sim.script({"ongoing": [completed(1)]})
            self.assertNotIn("error", self.try_register("ongoing", other))
            self.assert_ok(other.outcome("ongoing"), 1)
            self.assert_ok(self.peer.outcome("ongoing"), 1)
            self.assert_refused("limit_exceeded", limit=MIB)
            self.assertEqual(other.call("ack", request_ids=["mine", "ongoing"])["acked"], 2)
        self.end_in_order()


class Count(Keeping):
    """max_registrations_per_uid."""

    limits = {"max_registrations_per_uid": "10"}
    options = {"daemon": {"socket_mode": "0666"}}

    def test_refused(self):
        self.sim.script({"*": NEVER})
        items = self.peer.call("register", request_ids=[f"r{k}" for k in range(12)])["registrations"]
        self.assertEqual(["error" in item for item in items], [False] * 10 + [True] * 2)
        self.assert_refused("limit_exceeded", "10", limit=10)
        self.assertIs(self.try_register("r3")["new"], False)
        self.restart()
        self.assertEqual(len(self.there()), 10)
        self.assert_refused("limit_exceeded", limit=10)
        # Ended ones count until they are acknowledged.
        self.assertEqual(self.peer.call("cancel", request_id="r0")["cancelled"], 1)
        self.assert_refused("limit_exceeded", limit=10)
        self.assertEqual(self.peer.call("ack", request_id="r0")["acked"], 1)
        self.assertIs(self.try_register("another")["new"], True)
        self.assert_refused("limit_exceeded", limit=10)
        self.end_in_order()

    @needs_root
    def test_each_has_its_own(self):
        open_to_all(self.daemon)
        self.sim.script({"*": NEVER})
        ids = [f"r{k}" for k in range(10)]
        self.peer.call("register", request_ids=ids)
        self.assert_refused("limit_exceeded", limit=10)
        with connect_as(self.daemon, UIDS[0]) as other:
            self.assertTrue(all("error" not in item for item in other.call("register", request_ids=ids)["registrations"]))
            self.assert_refused("limit_exceeded", peer=other, limit=10)
        self.end_in_order()


class Size(Keeping):
    """max_result_bytes."""

    limits = {"max_result_bytes": SIZE}

    def test_too_large(self):
        self.end("fits")
        for name, answer in (("announced", {}), ("chunked", {"chunked": True})):
            self.register(name, [dict(size=SIZE + 1, **answer)])
            error = self.assert_error(self.peer.outcome(name), "validation", "server", 200)
            self.assertEqual((error["data"]["reason"], error["data"]["limit"]), ("too_large", SIZE))
        self.assertEqual(len(self.in_spool()), 1)
        self.assertEqual(self.counters()["failures"], 2)
        self.end_in_order()


class Time(Keeping):
    """retention and retention_delivered."""

    limits = {"retention": "1h", "retention_delivered": "1h"}

    def test_collected_by_nobody(self):
        self.restart(retention="1s")
        self.end("a")
        self.register("ongoing", ONGOING)
        wait_for(lambda: self.there() == ["ongoing"], "it goes")
        self.assert_gone("a")
        self.assertEqual((self.counts(), self.stored()), ((1, 0), 0))
        wait_for(lambda: not self.in_spool(), "its file goes")
        # Registered again it is asked for again.
        self.assertIs(self.try_register("a")["new"], True)
        self.assertIs(self.peer.outcome("a")["ok"], True)
        self.assertEqual(len(self.sim.polls("a")), 2)
        self.end_in_order()

    def test_delivered(self):
        self.restart(retention_delivered="1s")
        self.end("a")
        self.end("b")
        self.deliver("a")
        wait_for(lambda: self.there() == ["b"], "it goes")
        self.assert_gone("a")
        self.assertEqual((self.counts(), self.stored()), ((1, 0), SIZE + ROW))
        self.end_in_order()

    def test_cancelled(self):
        self.restart(retention="1s")
        self.register("a", NEVER)
        self.assertEqual(self.peer.call("cancel", request_id="a")["cancelled"], 1)
        wait_for(lambda: not self.there(), "it goes")
        self.assert_gone("a", "cancelled")
        self.end_in_order()

    def test_over_while_down(self):
        self.end("a")
        self.end("b")
        self.deliver("a")
        self.restart(in_order=True)
        self.assertEqual(self.there(), ["a", "b"])
        self.restart(retention_delivered="1s")
        wait_for(lambda: self.there() == ["b"], "it goes")
        self.assert_gone("a")
        # (In order: a kill before that is committed would let it expire once more.)
        self.restart(in_order=True, retention="1s")
        wait_for(lambda: not self.there(), "it goes, too")
        self.assertEqual(self.counts(), (1, 0))
        wait_for(lambda: not self.in_spool(), "their files are gone")
        self.restart()
        self.assertEqual(self.there(), [])
        self.end_in_order()


if __name__ == "__main__":
    unittest.main()
