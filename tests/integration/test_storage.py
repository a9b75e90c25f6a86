"""The database when the disk is full or fails: each fault once and from then on. (Bodies in files: test_spool.py.)"""

import itertools
import os
import shutil
import unittest

from daemon import CallError, Peer, wait_for
from faults import Rule
from running import PENDING, completed
from storing import DATABASE, NEVER, RESERVE, WAL, Storing, held

ONGOING = [dict(PENDING, repeat=True)]
AN_OUTCOME = {"request_id": "kept", "endpoint": "default", "ok": True, "content_type": "application/json", "result": "kept"}


class Broken(Storing):
    """A disk that fails: nothing is acknowledged that may not be there, and the daemon ends."""

    def prepare(self):
        """What was acknowledged before."""
        self.start()
        self.assertEqual(self.finish("kept"), AN_OUTCOME)
        self.finish("done")
        self.register("live", NEVER)
        self.register("arriving", [held({"json": "arrived"}), {"json": "arrived", "repeat": True}])
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 1)

    def check_after(self):
        """All of it is there, and nothing else went."""
        self.assertEqual(self.peer.call("collect", request_id="kept")["results"], [AN_OUTCOME])
        self.assertIs(self.status("live")["ok"], None)
        self.assert_ok(self.peer.outcome("arriving"), "arrived")

    def send_batch(self):
        """Three calls that are one transaction; their replies."""
        calls = [{"id": 1, "method": "register", "params": {"request_id": "new"}},
                 {"id": 2, "method": "ack", "params": {"request_id": "done"}},
                 {"id": 3, "method": "cancel", "params": {"request_id": "live"}}]
        with self.daemon.connect() as peer:
            peer.send_raw("".join(str(call).replace("'", '"') + "\n" for call in calls))
            return peer.at_end()

    def registered(self):
        return {one["request_id"]: one["state"] for one in self.peer.call("list", limit=1000)["futures"]}

    def check_refused(self, replies):
        self.assertEqual(sorted(reply["id"] for reply in replies), [1, 2, 3])
        for reply in replies:
            self.assertEqual(reply["error"]["data"]["name"], "storage", reply)

    def break_with(self, rule, file, reason):
        """A batch that meets the rule. What was written before a sync failed may have been kept: all of it then."""
        self.prepare()
        number = self.faults.arm(rule)
        replies = self.send_batch()
        self.check_refused(replies)
        self.assert_breaks(file, reason, "going down")
        self.assertGreaterEqual(self.faults.counts(number).fired, 1)
        self.restart()
        there = self.registered()
        happened = ("new" in there, "done" not in there, there["live"] == "failed")
        self.assertIn(happened, ([(False,) * 3] if "write" in rule.operations else [(False,) * 3, (True,) * 3]))
        if not any(happened):
            self.check_after()
        self.end_in_order()

    def test_log_cannot_be_written(self):
        for error, reason in (("EIO", "Input/output error"), ("EROFS", "Input/output error")):
            for always in (False, True):
                with self.subTest(error=error, always=always):
                    self.setUp()
                    self.break_with(Rule("write", WAL, error=error, always=always), DATABASE, reason)

    def test_log_cannot_be_synced(self):
        """Once is enough: the next sync would succeed, without what this one lost; also if what it lacked was space."""
        for error, always in (("EIO", False), ("EIO", True), ("ENOSPC", False)):
            with self.subTest(error=error, always=always):
                self.setUp()
                self.break_with(Rule("fsync", WAL, error=error, always=always), DATABASE, "Input/output error")

    def test_result_is_not_announced(self):
        for rule in (Rule("write", WAL, error="EIO"), Rule("fsync", WAL, error="EIO")):
            with self.subTest(rule=rule):
                self.setUp()
                self.prepare()
                with self.daemon.connect() as peer:
                    peer.send("await", request_id="arriving")
                    self.faults.arm(rule)
                    self.sim.release("arriving")
                    self.assertEqual(peer.at_end(), [], "nobody hears of it")
                self.assert_breaks(DATABASE, "Input/output error")
                self.restart()
                self.check_after()
                self.end_in_order()

    def test_checkpoint_fails(self):
        """Nobody waits for one; and yet what it could not move is not to be trusted to the same disk."""
        for rule in (Rule("write", DATABASE, error="EIO"), Rule("fsync", DATABASE, error="EIO")):
            with self.subTest(rule=rule):
                self.setUp()
                self.start()
                number = self.faults.arm(rule)
                self.finish("kept")
                self.register("live", NEVER)
                self.register("arriving", [{"json": "arrived", "repeat": True}])
                self.assert_breaks(DATABASE, "Input/output error", "going down")
                self.assertEqual(self.faults.counts(number).fired, 1)
                self.restart()
                self.check_after()
                self.end_in_order()


class Unnoticed(Storing):
    """What a disk may do without anything being wrong."""

    def check(self, arm, at_start=True):
        self.start()
        arm()
        for k in range(20):
            self.assert_ok(self.finish(f"a{k}", {"json": k}), k)
        self.assertEqual(self.peer.call("ack", request_ids=["a0", "a1"])["acked"], 2)
        self.wait_space()
        self.assertNotIn(" error ", self.daemon.log())
        if not at_start:
            self.faults.disarm()
        self.restart(kill=True)
        self.assertEqual([one["result"] for one in self.peer.call("collect")["results"]], list(range(2, 20)))
        self.end_in_order()

    def test_short_writes(self):
        self.check(lambda: self.arm("write", "tinkexd.db*", action="short", always=True))

    def test_short_reads(self):
        self.check(lambda: self.arm("read", "tinkexd.db*", action="short", always=True))

    def test_interrupted(self):
        def arm():
            for operation, nth in itertools.product(("open", "read", "write", "fallocate"), (1, 2, 5)):
                self.arm(operation, "tinkexd.db*" if operation != "fallocate" else RESERVE, nth=nth, error="EINTR")

        self.check(arm, at_start=False)


class Full(Storing):
    """A full disk is a state."""

    def fill_up(self):
        """(rule, the ids that were still taken)"""
        rule = self.fill(room=32 * 1024)
        taken, refusal = self.until_refused("taken")
        self.assertEqual(refusal["data"]["name"], "storage")
        self.assertIn("full", refusal["message"])
        return rule, taken

    def test_everything_goes_on_and_recovers(self):
        self.start()
        for name in ("kept", "done", "gone"):
            self.finish(name)
        self.register("live", ONGOING)
        self.register("arriving", [held({"json": "arrived"})])
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 1)
        self.sim.script({"*": NEVER})
        rule, taken = self.fill_up()
        self.assertGreater(self.faults.counts(rule).fired, 0)
        self.assertIsNone(self.reserve_size(), "the reserve was given up")
        # Refused, not only once and not only for the first connection.
        with self.daemon.connect() as other:
            self.assertEqual(self.try_register("more", peer=other)["error"]["data"]["name"], "storage")
        # What is there is registered again without a word.
        self.assertIs(self.try_register("live")["new"], False)
        # Polls go out.
        self.sim.wait_polls("live", len(self.sim.polls("live")) + 5)
        # A result waits, and nobody hears of it.
        self.sim.release("arriving")
        wait_for(lambda: self.waits_for_storage("arriving"), "the result waits for space")
        waiting = self.peer.send("await", request_id="arriving")
        self.assertEqual(self.peer.call("collect", request_id="arriving")["results"][0]["ok"], None)
        # Acknowledging works.
        self.assertEqual(self.peer.call("ack", request_ids=["done", "gone"])["acked"], 2)
        self.assert_error(self.peer.outcome("done"), "not_registered")
        # Cancelling, too: that is small.
        self.assertEqual(self.peer.call("cancel", request_id=taken[0])["cancelled"], 1)
        self.assert_error(self.peer.outcome(taken[0]), "cancelled")
        self.assertEqual(self.peer.call("collect", request_id="kept")["results"], [AN_OUTCOME])
        self.assertTrue(self.waits_for_storage("arriving"))
        self.assertEqual((self.counters()["disk_full"], self.peer.replies), (1, {}))
        self.assertIn("is full", self.daemon.log())
        # By itself, all of it.
        self.faults.disarm()
        self.assert_ok(self.peer.reply(waiting)["results"][0], "arrived")
        self.wait_space()
        self.wait_accepted("more")
        self.assertIn("has space again", self.daemon.log())
        self.restart(kill=True)
        self.assertEqual({one["request_id"] for one in self.peer.call("list", limit=1000)["futures"]},
                         {"kept", "live", "arriving", "more", *taken})
        self.assert_ok(self.peer.outcome("arriving"), "arrived")
        self.assertEqual(len(self.sim.polls("arriving")), 1)
        self.end_in_order()

    def test_killed_while_full(self):
        self.start()
        for name in ("kept", "done"):
            self.finish(name)
        self.register("arriving", [held({"json": "arrived"}), {"json": "arrived", "repeat": True}])
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 1)
        self.sim.script({"*": NEVER})
        _, taken = self.fill_up()
        self.sim.release("arriving")
        wait_for(lambda: self.waits_for_storage("arriving"), "the result waits for space")
        self.restart(kill=True)
        self.assertEqual(self.peer.call("collect", request_id="kept")["results"], [AN_OUTCOME])
        self.assertEqual({one["request_id"] for one in self.peer.call("list", limit=1000)["futures"]},
                         {"kept", "done", "arriving", *taken})
        more, refusal = self.until_refused("more")
        self.assertEqual(refusal["data"]["name"], "storage")
        self.assertEqual(self.peer.call("ack", request_id="done")["acked"], 1)
        self.faults.disarm()
        self.assert_ok(self.peer.outcome("arriving"), "arrived")
        self.wait_accepted("another")
        self.wait_space()
        self.restart(kill=True)
        self.assertEqual({one["request_id"] for one in self.peer.call("list", limit=1000)["futures"]},
                         {"kept", "arriving", "another", *taken, *more})
        self.end_in_order()

    def test_stopped_while_full(self):
        """It ends in order, and what waited comes again."""
        self.start()
        self.finish("kept")
        self.register("arriving", [held({"json": "arrived"}), {"json": "arrived", "repeat": True}])
        self.sim.wait_for(lambda stats: stats["awaiting_release"] == 1)
        self.sim.script({"*": NEVER})
        self.fill_up()
        self.sim.release("arriving")
        wait_for(lambda: self.waits_for_storage("arriving"), "the result waits for space")
        self.daemon.stop()
        self.restart()
        self.assertEqual(self.peer.call("collect", request_id="kept")["results"], [AN_OUTCOME])
        self.assert_ok(self.peer.outcome("arriving"), "arrived")
        self.end_in_order()

    def test_nothing_fits_at_all(self):
        """Not even the reserve helps: calls fail and say so, the daemon stays."""
        for error in ("ENOSPC", "EDQUOT"):
            with self.subTest(error=error):
                self.setUp()
                self.start()
                self.finish("kept")
                self.register("cancelled", NEVER)
                self.register("arriving", [held({"json": "arrived"})])
                self.sim.wait_for(lambda stats: stats["awaiting_release"] == 1)
                self.arm("create|write|fallocate", error=error, always=True)
                for method, request_id in (("register", "new"), ("cancel", "cancelled"), ("ack", "kept")):
                    with self.assertRaises(CallError) as failed:
                        self.peer.call(method, request_id=request_id)
                    self.assertEqual(failed.exception.name, "storage")
                self.assertEqual(self.try_register("new")["error"]["data"]["name"], "storage")
                self.sim.release("arriving")
                wait_for(lambda: self.waits_for_storage("arriving"), "it waits")
                self.assertEqual(self.peer.call("collect", request_id="kept")["results"], [AN_OUTCOME])
                self.assertGreater(self.counters()["commits_failed"], 0)
                self.faults.disarm()
                self.wait_accepted("new")
                self.assert_ok(self.peer.outcome("arriving"), "arrived")
                self.assert_error(self.peer.outcome("cancelled"), "cancelled")
                self.assertEqual(self.peer.call("ack", request_id="kept")["acked"], 1)
                self.restart(kill=True)
                self.assertEqual({one["request_id"] for one in self.peer.call("list")["futures"]},
                                 {"arriving", "cancelled", "new"})
                self.end_in_order()

    def test_once(self):
        """The reserve is used and comes back; the call that met it is answered as ever."""
        for operation, pattern in (("write", WAL), ("write", DATABASE)):
            with self.subTest(operation=operation, pattern=pattern):
                self.setUp()
                self.start()
                self.wait_space()
                rule = self.arm(operation, pattern, error="ENOSPC")
                self.finish("kept")
                self.faults.wait_fired(rule)
                self.wait_space()
                self.wait_accepted("new")
                self.restart(kill=True)
                self.assertEqual(self.peer.call("collect", request_id="kept")["results"], [AN_OUTCOME])
                self.end_in_order()


class Waiting(Storing):
    """What waits for space is bounded."""

    N, SIZE, LIMIT, IN_FLIGHT = 320, 60_000, 16 << 20, 8
    endpoint = {"max_in_flight": IN_FLIGHT}

    def test_polling_pauses(self):
        self.start()
        ids = [f"r{k}" for k in range(self.N)]
        self.sim.script({"*": ONGOING})
        self.peer.call("register", request_ids=ids)
        self.fill(room=0)
        self.until_refused("taken")
        self.sim.script({request_id: [{"size": self.SIZE}] for request_id in ids})
        wait_for(lambda: "polling pauses" in self.daemon.log(), "polling pauses")
        wait_for(lambda: self.peer.call("stats")["gauges"]["in_flight"] == 0, "what was in flight has come")
        allocations = self.arm("fallocate", "reserve", action="count", always=True)
        polls = self.sim.stats()["polls"]
        wait_for(lambda: all(self.waits_for_storage(request_id) for request_id in ids), "all say what they wait for")
        wait_for(lambda: self.faults.counts(allocations).matched >= 3, "it looks for space")
        self.assertEqual(self.sim.stats()["polls"], polls, "no poll is started whose result could not be kept")
        self.faults.disarm()
        for outcome in self.peer.call("await", request_ids=ids)["results"]:
            self.assertIs(outcome["ok"], True, outcome["request_id"])
            self.assertEqual(len(outcome["result"]["pad"]), self.SIZE - 26)
        self.wait_space()
        self.end_in_order()


class Start(Storing):
    """A start that meets a fault says which file it was about and ends; the next one finds everything."""

    CHANGES = "create|write|fsync|ftruncate|mkdir"
    KINDS = CHANGES + "|open|read|mmap"
    # The last: SQLite opens what it cannot open for writing for reading, and then cannot write.
    REASONS = ("Input/output error", "disk I/O error", "unable to open", "readonly database")
    FILES = ("tinkexd.db", "spool", "lock", "state directory")

    def model(self):
        """A state directory as a kill leaves it: with a log that is not in the database, and a body in a file."""
        self.start()
        self.finish("kept")
        self.finish("large", {"size": 200_000})
        self.register("live", NEVER)
        self.daemon.kill()
        shutil.copytree(self.daemon.state_dir, self.daemon.folder + "/model")

    def put_model(self):
        shutil.rmtree(self.daemon.state_dir)
        if os.path.exists(self.daemon.folder + "/model"):
            shutil.copytree(self.daemon.folder + "/model", self.daemon.state_dir)
        else:
            os.mkdir(self.daemon.state_dir, 0o700)

    def attempt(self):
        """Starts; what it said if it ended, None if it serves."""
        log = os.path.getsize(self.daemon.log_path)
        try:
            self.daemon.start()
        except RuntimeError:
            self.assertGreater(self.daemon.process.returncode, 0)
            return self.daemon.log()[log:]
        return None

    def check_content(self):
        self.start()
        self.assertEqual(self.peer.call("collect", request_id="kept")["results"], [AN_OUTCOME])
        self.assertEqual(self.registered(), {"kept": "completed", "large": "completed", "live": "polling"})
        self.daemon.kill()

    def registered(self):
        wait_for(lambda: self.status("live")["state"] == "polling", "it is polled")
        return {one["request_id"]: one["state"] for one in self.peer.call("list")["futures"]}

    def every_call_fails(self, kinds, error, reasons, check, least=5):
        """Each call of the start in its turn; so many of them at the least are not got over."""
        refused = 0
        for nth in range(1, 1000):
            self.put_model()
            rule = self.arm(kinds, nth=nth, error=error)
            said = self.attempt()
            self.daemon.kill()
            if not self.faults.disarm(rule).fired:
                break
            if said is not None:
                refused += 1
                self.assertTrue(any(file in said for file in self.FILES), f"{nth}: {said}")
                self.assertTrue(any(reason in said for reason in reasons), f"{nth}: {said}")
                self.assertNotIn("damaged", said, "that is another thing")
                check()
        self.assertGreaterEqual(refused, least)

    def test_of_a_kept_state(self):
        self.model()
        self.every_call_fails(self.KINDS, "EIO", self.REASONS, self.check_content)
        # A lack of space that passes is got over by giving up the reserve.
        self.every_call_fails(self.CHANGES, "ENOSPC", self.REASONS + ("No space left", "no space left"), self.check_content,
                              least=2)

    def test_of_a_new_state(self):
        self.start()
        self.daemon.kill()
        self.every_call_fails(self.KINDS, "EIO", self.REASONS, lambda: None)

    def test_read_only(self):
        """A file system that was mounted again, without permission to write."""
        self.model()
        self.put_model()
        rule = self.arm("create|write|ftruncate|fallocate|unlink|mkdir", error="EROFS", always=True)
        said = self.attempt()
        self.assertIn("/lock", said)
        self.assertIn("Read-only file system", said)
        self.faults.disarm(rule)
        self.check_content()

    def test_full(self):
        """No space from the beginning: a new one says so; one that is there serves what it has, and recovers."""
        self.start()
        self.daemon.kill()
        self.put_model()
        self.fill()
        said = self.attempt()
        self.assertTrue("No space left on device" in said or "no space left" in said, said)
        self.faults.disarm()
        self.model()
        self.put_model()
        os.unlink(os.path.join(self.daemon.state_dir, RESERVE))
        self.fill()
        self.start()
        self.assertEqual(self.peer.call("collect", request_id="kept")["results"], [AN_OUTCOME])
        self.until_refused("more")
        self.faults.disarm()
        self.wait_accepted("another")
        self.wait_space()
        self.end_in_order()

    def test_full_after_a_stop(self):
        """There is not even room for the files that SQLite has beside the database: the reserve makes it."""
        self.start()
        self.finish("kept")
        self.wait_space()
        self.daemon.stop()
        self.assertTrue(os.path.exists(os.path.join(self.daemon.state_dir, RESERVE)))
        self.fill()
        self.start()
        self.assertEqual(self.peer.call("collect", request_id="kept")["results"], [AN_OUTCOME])
        self.assertEqual(self.peer.call("ack", request_id="kept")["acked"], 1)
        self.faults.disarm()
        self.wait_space()
        self.wait_accepted("another")
        self.end_in_order()


if __name__ == "__main__":
    unittest.main()
