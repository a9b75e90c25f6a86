"""State that older versions left, in state/: all of it is served, and a crash on the way leaves the old or the new version."""

import base64
import json
import os
import shutil
import sqlite3
import time
import unittest

from daemon import Daemon
from faults import Faults, Rule
from running import completed
from sim import Sim

HERE = os.path.dirname(os.path.abspath(__file__))
WRITTEN = 1795521600  # when it was, by its own account
DATABASE = "tinkexd.db"
LARGE = json.dumps("x" * 200000).encode()
IDS = ["plain", "asked-for", "late", "small", "protobuf", "failed", "failed-large", "large", "lost", "delivered", "cancelled",
       "linked"]
# Those that may be asked for any number of times without changing anything.
ENDED = ["small", "protobuf", "failed", "failed-large", "large", "delivered", "cancelled"]


def lay_out(state_dir):
    """The old state, as if it had been written just now by whoever runs the tests."""
    shutil.rmtree(state_dir, ignore_errors=True)
    os.makedirs(os.path.join(state_dir, "spool"), mode=0o700)
    os.chmod(state_dir, 0o700)
    path = os.path.join(state_dir, DATABASE)
    shutil.copyfile(os.path.join(HERE, "state", "v1.db"), path)
    passed = (int(time.time()) - WRITTEN) * 1_000_000
    with open(os.path.join(state_dir, "spool", f"{5:016x}"), "wb") as file:
        file.write(b'{"status":"completed" ' + LARGE + b"}")
    database = sqlite3.connect(path)
    with database:
        database.execute("UPDATE registrations SET uid = CASE uid WHEN 1000 THEN ? ELSE ? END", (os.getuid(), os.getuid() + 1))
        database.execute("UPDATE registrations SET registered_wall = registered_wall + ?1, deadline_wall = deadline_wall + ?1,"
                         " delivered_wall = delivered_wall + ?1", (passed,))
        database.execute("UPDATE results SET ended_wall = ended_wall + ?", (passed,))
    database.close()


def ask(path, sql):
    database = sqlite3.connect(path)
    try:
        return database.execute(sql).fetchone()[0]
    finally:
        database.close()


class Migration(unittest.TestCase):
    def setUp(self):
        self.sim = Sim({request_id: [{**answer, "repeat": True}] for request_id, answer in (
            ("plain", completed("p")), ("asked-for", completed("a")), ("lost", {"status": 404, "json": {}}),
            ("linked", completed("l")))})
        self.addCleanup(self.sim.stop)
        self.daemon = Daemon(self.sim.url, start=False)
        self.addCleanup(shutil.rmtree, self.daemon.folder, True)
        self.addCleanup(self.daemon.kill)
        self.database = os.path.join(self.daemon.state_dir, DATABASE)

    def present_version(self):
        with Daemon(self.sim.url) as fresh:
            return ask(os.path.join(fresh.state_dir, DATABASE), "PRAGMA user_version")

    def check_ended(self, peer):
        outcomes = {request_id: peer.outcome(request_id) for request_id in ENDED}
        self.assertEqual([request_id for request_id in ENDED if outcomes[request_id]["ok"]],
                         ["small", "protobuf", "large", "delivered"])
        self.assertEqual(outcomes["small"]["result"], {"loss": 0.25})
        self.assertEqual(base64.b64decode(outcomes["protobuf"]["result_base64"]), b"\x00\x01\x0a\x03")
        self.assertEqual(json.dumps(outcomes["large"]["result"]).encode(), LARGE)
        self.assertEqual(outcomes["delivered"]["result"], 7)
        error = outcomes["failed"]["error"]
        self.assertEqual((error["type"], error["category"], error["status"], error["message"], error["data"]["hint"]),
                         ("request_failed", "user", None, "no luck", "x"))
        error = outcomes["failed-large"]["error"]
        self.assertEqual((error["type"], error["category"], error["status"], error["data"]["detail"]),
                         ("api_status", "server", 410, "ab" * 1000))
        self.assertEqual(outcomes["cancelled"]["error"]["type"], "cancelled")
        for request_id in ENDED:
            self.assertEqual(self.sim.polls(request_id), [])

    def check_live(self, peer):
        status = peer.call("status", request_id="asked-for")
        self.assertEqual(status["metadata"], {"run": "x"})
        self.assertEqual(peer.call("status", request_id="small")["metadata"], {"n": 4})
        self.assertEqual(peer.outcome("plain")["result"], "p")
        self.assertEqual(peer.outcome("asked-for")["result"], "a")
        self.assertEqual(peer.outcome("linked")["result"], "l")
        headers = self.sim.polls("asked-for")[0]["headers"]
        self.assertEqual(headers["accept"], "application/x-protobuf")
        self.assertEqual(peer.outcome("late")["error"]["type"], "api_timeout")
        self.assertEqual(self.sim.polls("late"), [])
        self.assertEqual(peer.outcome("lost")["error"]["data"]["reason"], "lost")

    def test_version_1(self):
        lay_out(self.daemon.state_dir)
        self.daemon.start()
        with self.daemon.connect() as peer:
            self.assertEqual(sorted(one["request_id"] for one in peer.call("list")["futures"]), sorted(IDS))
            self.check_live(peer)
            self.check_ended(peer)
        self.daemon.stop()
        self.assertEqual(ask(self.database, "PRAGMA user_version"), self.present_version())
        self.assertEqual(ask(self.database, "SELECT count(*) FROM registrations"), len(IDS) + 1)
        self.assertEqual(ask(self.database, "SELECT count(*) FROM results WHERE id IN (6, 8)"), 0)
        self.daemon.start()
        with self.daemon.connect() as peer:
            self.check_ended(peer)
            self.assertEqual(peer.outcome("plain")["result"], "p")
        self.assertEqual(len(self.sim.polls("plain")), 1)
        self.daemon.stop()

    def test_a_deadline_by_the_clock(self):
        lay_out(self.daemon.state_dir)
        database = sqlite3.connect(self.database)
        with database:
            database.execute("UPDATE registrations SET request_id = 'never' WHERE request_id = 'asked-for'")
        database.close()
        self.sim.script({"never": [{"never": True, "repeat": True}]})
        self.daemon.start()
        left = self.daemon.call("status", request_id="never")["deadline_in_ms"]
        self.assertTrue(6_400_000 < left <= 6_600_000, left)
        self.daemon.stop()

    def crash(self, rule):
        """A start that is killed by the rule; false: it came through without."""
        lay_out(self.daemon.state_dir)
        with Faults(self.daemon.state_dir) as faults:
            self.daemon.env = faults.environment()
            slot = faults.arm(rule)
            try:
                self.daemon.start()
            except (RuntimeError, EOFError, ConnectionError):  # it may have begun to answer
                self.assertEqual(faults.counts(slot).fired, 1, self.daemon.log()[-2000:])
                return True
            finally:
                self.daemon.env = {}
                self.daemon.kill()
        return False

    def check_usable(self, versions):
        aside = os.path.join(self.daemon.folder, "aside")
        shutil.copytree(self.daemon.state_dir, aside)
        copy = os.path.join(aside, DATABASE)
        self.assertEqual(ask(copy, "PRAGMA integrity_check"), "ok")
        version = ask(copy, "PRAGMA user_version")
        self.assertIn(version, (1, versions[-1]))
        self.assertEqual(ask(copy, "SELECT count(*) FROM pragma_table_info('registrations') WHERE name = 'deadline_boot'"),
                         version > 1)
        self.assertEqual(ask(copy, "SELECT count(*) FROM registrations"), len(IDS) + 1)
        shutil.rmtree(aside)
        self.daemon.start()
        with self.daemon.connect() as peer:
            self.assertEqual(len(peer.call("list")["futures"]), len(IDS))
            self.check_ended(peer)
        self.daemon.kill()
        self.assertEqual(ask(self.database, "PRAGMA user_version"), versions[-1])
        return version

    def crash_everywhere(self, operations, action):
        present, seen, nth = self.present_version(), set(), 1
        while self.crash(Rule(operations, DATABASE + "*", nth=nth, action=action)):
            with self.subTest(nth=nth):
                seen.add(self.check_usable((1, present)))
            nth += 1
        self.assertEqual(seen, {1, present})

    def test_killed_before_each_change(self):
        self.crash_everywhere("change", "kill")

    def test_killed_in_the_middle_of_each_write(self):
        self.crash_everywhere("write", "kill-short")


if __name__ == "__main__":
    unittest.main()
