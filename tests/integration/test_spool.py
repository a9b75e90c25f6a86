"""Bodies in files, and reading bodies back, when the disk is full or fails: each fault once and from then on."""

import json
import os
import unittest

from daemon import wait_for
from faults import Rule
from sim import generated_body
from storing import SPOOL, SPOOL_FILE, Storing

LARGE, SMALL = 3_000_000, 50_000


class Spooled(Storing):
    def answers(self, size=LARGE):
        return [{"size": size, "repeat": True}]

    def assert_comes(self, request_id, size=LARGE, method="await", **params):
        """The reply has the body, byte for byte."""
        call = self.peer.send(method, request_id=request_id, **params)
        line = self.peer.read_large()
        self.assertIsNotNone(line, "the connection was closed")
        self.assertTrue(line.startswith(b'{"jsonrpc":"2.0","id":%d,' % call), line[:200])
        self.assertIn(b'"result":' + generated_body(request_id, size), line)

    def complete(self, request_id, size=LARGE):
        self.register(request_id, self.answers(size))
        self.assert_comes(request_id, size)

    def reconnect(self):
        self.peer = self.daemon.connect()
        self.addCleanup(self.peer.close)


class Broken(Spooled):
    """A body that may not last is not announced, and the daemon ends."""

    def break_with(self, rule, reason="Input/output error"):
        self.start()
        self.finish("kept")
        number = self.faults.arm(rule)
        self.register("large", self.answers())
        with self.daemon.connect() as peer:
            peer.send("await", request_id="large")
            self.assertEqual(peer.at_end(), [], "nobody hears of it")
        self.assert_breaks("spool/0000", reason, "going down")
        self.assertGreaterEqual(self.faults.counts(number).fired, 1)
        self.restart()
        self.assert_comes("large")
        self.assert_ok(self.peer.call("collect", request_id="kept")["results"][0], "kept")
        self.assertEqual(len(self.sim.polls("large")), 2)
        wait_for(lambda: len(self.in_spool()) == 1, "what is of no use is removed")
        self.end_in_order()

    def check(self, *rules, reason="Input/output error"):
        for rule in rules:
            with self.subTest(rule=rule):
                self.setUp()
                self.break_with(rule, reason)

    def test_file_cannot_be_made(self):
        self.check(Rule("create", SPOOL_FILE, error="EIO"))

    def test_file_cannot_be_written(self):
        self.check(*(Rule("write", SPOOL_FILE, nth=nth, error="EIO", always=always) for nth in (1, 2) for always in (False, True)))
        self.check(Rule("write", SPOOL_FILE, error="EROFS"), reason="Read-only file system")

    def test_file_cannot_be_synced(self):
        """Once is enough, whatever it was."""
        self.check(Rule("fsync", SPOOL_FILE, error="EIO"), Rule("fsync", SPOOL_FILE, error="EIO", always=True))
        self.check(Rule("fsync", SPOOL_FILE, error="ENOSPC"), reason="No space left on device")

    def test_name_cannot_be_synced(self):
        self.check(Rule("fsync", SPOOL, error="EIO"))


class Unnoticed(Spooled):
    def check(self, *rules, n=3):
        self.start()
        numbers = [self.faults.arm(rule) for rule in rules]
        ids = [f"large{k}" for k in range(n)]
        for request_id in ids:
            self.register(request_id, self.answers())
        for request_id in ids:
            self.assert_comes(request_id)
            self.assert_comes(request_id, method="collect")
            self.assertEqual(len(self.sim.polls(request_id)), 1)
        for number, rule in zip(numbers, rules):
            self.assertGreaterEqual(self.faults.counts(number).fired, 1, rule)
        self.daemon.stop()
        self.start()
        for request_id in ids:
            self.assert_comes(request_id, method="collect")
        self.assertNotIn(" error ", self.daemon.log())
        self.end_in_order()

    def test_short_writes(self):
        self.check(Rule("write", SPOOL_FILE, action="short", always=True))

    def test_short_reads(self):
        self.check(Rule("read", SPOOL_FILE, action="short", always=True))

    def test_interrupted(self):
        for operation in ("create", "write", "open", "read"):
            with self.subTest(operation=operation):
                self.setUp()
                self.check(*(Rule(operation, SPOOL_FILE, nth=nth, error="EINTR") for nth in (1, 2)))

    def test_no_descriptors(self):
        """None to write with, and then none to read with: both are tried again."""
        for error in ("EMFILE", "ENFILE", "ENOMEM"):
            with self.subTest(error=error):
                self.setUp()
                self.check(*(Rule("create", SPOOL_FILE, nth=nth, error=error) for nth in (1, 2, 3)))


class Full(Spooled):
    """No space: what arrives waits, and goes on."""

    def test_once(self):
        for rule in (Rule("write", SPOOL_FILE, error="ENOSPC"), Rule("write", SPOOL_FILE, nth=2, error="EDQUOT"),
                     Rule("create", SPOOL_FILE, error="ENOSPC")):
            with self.subTest(rule=rule):
                self.setUp()
                self.start()
                number = self.faults.arm(rule)
                self.complete("large")
                self.assertEqual(self.faults.counts(number).fired, 1)
                self.assertEqual(len(self.sim.polls("large")), 1)
                self.wait_accepted("more")
                self.restart(kill=True)
                self.assert_comes("large", method="collect")
                self.end_in_order()

    def prepare(self):
        """A disk that gets full while a body arrives."""
        self.start()
        self.wait_space()
        self.finish("kept")
        self.finish("done")
        self.register("live", [dict(json={"status": "pending"}, repeat=True)])
        self.fill(room=LARGE // 3)
        self.register("large", self.answers())
        wait_for(lambda: "is full" in self.daemon.log(), "it is full")

    def check_full(self):
        status = self.status("large")
        self.assertEqual((status["ok"], status["state"]), (None, "polling"))
        self.sim.wait_polls("live", len(self.sim.polls("live")) + 3)
        self.assertEqual(self.try_register("more")["error"]["data"]["name"], "storage")
        self.assertIs(self.try_register("large")["new"], False)
        self.assert_ok(self.peer.call("collect", request_id="kept")["results"][0], "kept")

    def check_recovery(self, polls):
        waiting = self.daemon.connect()
        self.addCleanup(waiting.close)
        waiting.send("await", request_id="large")
        self.faults.disarm()
        self.assertIn(b'"result":' + generated_body("large", LARGE), waiting.read_large())
        self.assertEqual(len(self.sim.polls("large")), polls)
        self.wait_accepted("more")
        self.wait_space()
        self.assertIs(self.status("live")["ok"], None)
        self.restart(kill=True)
        self.assert_comes("large", method="collect")
        self.assertEqual(len(self.in_spool()), 1)
        self.end_in_order()

    def test_while_it_arrives(self):
        self.prepare()
        self.check_full()
        self.assertEqual(self.peer.call("ack", request_id="done")["acked"], 1)
        self.check_recovery(polls=1)

    def test_killed_while_it_waits(self):
        self.prepare()
        before = len(self.daemon.log())
        self.restart(kill=True)
        wait_for(lambda: "is full" in self.daemon.log()[before:], "it is full again")
        self.check_full()
        self.check_recovery(polls=2)

    def test_stopped_while_it_waits(self):
        self.prepare()
        self.daemon.stop()
        self.restart()
        self.assert_comes("large")
        self.wait_accepted("more")
        wait_for(lambda: len(self.in_spool()) == 1, "what had come is removed")
        self.end_in_order()

    def test_many_arrive(self):
        """More than may wait in memory."""
        self.start()
        self.wait_space()
        ids = [f"large{k}" for k in range(8)]
        self.fill(room=LARGE)
        self.sim.script({request_id: self.answers(2 * LARGE) for request_id in ids})
        self.peer.call("register", request_ids=ids)
        wait_for(lambda: "is full" in self.daemon.log(), "it is full")
        self.assertTrue(all(self.status(request_id)["ok"] is None for request_id in ids[1:]))
        self.faults.disarm()
        for request_id in ids:
            self.assert_comes(request_id, 2 * LARGE)
            self.assertEqual(len(self.sim.polls(request_id)), 1)
        self.end_in_order()

    def test_acknowledged_bodies_make_room(self):
        """Space that the daemon itself frees is seen, too."""
        self.start()
        self.complete("first")
        self.wait_space()
        self.fill(room=LARGE // 3)
        self.register("large", self.answers())
        wait_for(lambda: "is full" in self.daemon.log(), "it is full")
        self.assertEqual(self.peer.call("ack", request_id="first")["acked"], 1)
        self.assert_comes("large")
        self.end_in_order()

    def test_file_that_cannot_be_removed(self):
        """Nobody is told of that but the log, and the next start removes it."""
        self.start()
        self.complete("large")
        rule = self.arm("unlink", SPOOL_FILE, error="EIO")
        self.assertEqual(self.peer.call("ack", request_id="large")["acked"], 1)
        self.faults.wait_fired(rule)
        self.assertEqual(len(self.in_spool()), 1)
        self.end_in_order()
        self.start()
        wait_for(lambda: not self.in_spool(), "it is removed")
        self.assert_error(self.peer.outcome("large"), "not_registered")
        self.end_in_order()


class Reading(Spooled):
    """Bodies that cannot be read back."""

    def assert_lost_and_comes_again(self, request_id="large", size=LARGE, **params):
        """Who asks is disconnected, for the line was begun; who asks again gets it."""
        self.peer.send("collect", request_id=request_id, **params)
        self.assertIsNone(self.peer.read_large(), "no line that is whole")
        self.reconnect()
        self.assert_comes(request_id, size, **params)
        self.assertEqual(len(self.sim.polls(request_id)), 2)
        self.assertIn("cannot be read", self.daemon.log())
        self.restart(kill=True)
        self.assert_comes(request_id, size, method="collect")
        self.end_in_order()

    def path(self):
        return os.path.join(self.daemon.state_dir, SPOOL, self.in_spool()[0])

    def prepare(self, size=LARGE):
        self.start()
        self.complete("large", size)

    def test_deleted(self):
        self.prepare()
        os.unlink(self.path())
        self.assert_lost_and_comes_again()

    def test_cut_off(self):
        self.prepare()
        os.truncate(self.path(), LARGE - 1)
        self.assert_lost_and_comes_again()

    def test_deleted_and_gone_at_the_server(self):
        self.start()
        self.register("large", [{"size": LARGE}])
        self.assert_comes("large")
        os.unlink(self.path())
        self.peer.send("collect", request_id="large")
        self.assertIsNone(self.peer.read_large())
        self.reconnect()
        error = self.assert_error(self.peer.outcome("large"), "api_status", "user", 404)
        self.assertEqual(error["data"]["reason"], "lost")
        self.end_in_order()

    def test_two_have_it(self):
        """A future that two wait for is polled once more, for both."""
        self.prepare()
        os.unlink(self.path())
        with self.daemon.connect() as other:
            other.send("collect", request_id="large")
            self.peer.send("collect", request_id="large")
            for peer in (other, self.peer):
                line = peer.read_large()
                # The second one may have asked when it was already known.
                self.assertTrue(line is None or json.loads(line)["result"]["results"][0]["ok"] is None, (line or b"")[:200])
        self.reconnect()
        self.assert_comes("large")
        self.assertEqual(len(self.sim.polls("large")), 2)
        self.end_in_order()

    def test_unreadable(self):
        for operation in ("read", "open"):
            with self.subTest(operation=operation):
                self.setUp()
                self.prepare()
                self.arm(operation, SPOOL_FILE, error="EIO")
                self.assert_lost_and_comes_again()

    def test_unreadable_row(self):
        self.prepare(SMALL)
        self.assertEqual(self.in_spool(), [])
        self.arm("read", "tinkexd.db*", error="EIO")
        self.assert_lost_and_comes_again(size=SMALL)

    def test_no_descriptor_to_pass(self):
        """It comes inline; and when there is none to read with, a little later."""
        for error in ("EMFILE", "ENFILE", "ENOMEM"):
            for times in (1, 4):
                with self.subTest(error=error, times=times):
                    self.setUp()
                    self.prepare()
                    for nth in range(1, times + 1):
                        self.arm("open", SPOOL_FILE, nth=nth, error=error)
                    self.assert_comes("large", method="collect", accept_fd=True)
                    outcome = self.peer.call("collect", request_id="large", accept_fd=True)["results"][0]
                    self.assertTrue(outcome["fd"])
                    self.assertEqual(self.peer.body(outcome), generated_body("large", LARGE))
                    self.assertEqual(len(self.sim.polls("large")), 1)
                    self.end_in_order()

    def test_deleted_with_descriptor(self):
        self.prepare()
        os.unlink(self.path())
        self.peer.send("collect", request_id="large", accept_fd=True)
        self.assertIsNone(self.peer.read_large())
        self.reconnect()
        self.assert_comes("large")
        self.end_in_order()


if __name__ == "__main__":
    unittest.main()
