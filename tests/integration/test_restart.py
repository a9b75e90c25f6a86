"""What a restart keeps, and which state directories the daemon refuses. (That nothing is lost by kills at any moment is the
theme of test_crash.py.)"""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import tempfile
import time
import unittest

from daemon import KEY, WAIT_SECONDS, Daemon, binary, wait_for
from running import PENDING, Running, completed
from sim import Sim, generated_body

HELD = {"json": PENDING["json"], "until_release": True}
NEVER = [{"never": True, "repeat": True}]
LARGE = 300_000
DATABASE = "tinkexd.db"
MANY = 100_000
BATCH = 1000
MAX_IN_FLIGHT = 200
READY_SECONDS = 10 if os.environ.get("TINKEX_SANITIZED") else 2  # of the optimised build
SECRET = "hvs.a-secret-header-value"


class Restarting(Running):
    shared = False

    def restart(self, meanwhile=None, graceful=False):
        """SIGKILL (or SIGTERM), and a new start."""
        if graceful:
            self.daemon.stop()
        else:
            self.daemon.kill()
        if meanwhile:
            meanwhile()
        self.daemon.start()
        self.peer = self.daemon.connect()
        self.addCleanup(self.peer.close)

    def spool(self):
        return os.path.join(self.daemon.state_dir, "spool")

    def in_spool(self):
        return sorted(os.listdir(self.spool()))


class Waiting(Restarting):
    """Who waited gets the answer after the restart."""

    def library_client(self):
        process = subprocess.Popen([binary("TINKEX_CRASH_CLIENT"), self.daemon.socket_path], text=True, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env=self.daemon.environment())
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for file in (process.stdin, process.stdout, process.stderr):
            if file:
                file.close()

    def facts(self, process):
        """What the client tells up to its `done`."""
        lines = []
        while not lines or lines[-1] != "done":
            line = process.stdout.readline()
            self.assertTrue(line, f"crash_client ended: {lines}")
            lines.append(line.strip())
        return lines[:-1]

    def outstanding(self):
        return self.peer.call("stats")["gauges"]["calls_outstanding"]

    def test_raw(self):
        """A client that asks again gets it, without registering."""
        self.register("a", [HELD, completed(1)])
        self.register("b", [completed(2)])
        self.peer.outcome("b")
        self.peer.send("await", request_ids=["a", "b"])
        self.sim.wait_polls("a", 1)
        self.restart()
        call = self.peer.send("await", request_ids=["a", "b"])
        self.sim.wait_polls("a", 2)
        results = self.peer.reply(call)["results"]
        self.assertEqual([outcome["result"] for outcome in results], [1, 2])
        self.assert_polls("b", 1)

    def test_library(self):
        """A program in a waiting call of libtinkex notices nothing of the restart: small, large and failed."""
        self.sim.script({"small": [HELD, completed(1)], "large": [HELD, {"size": LARGE}],
                         "failed": [HELD, {"json": {"error": "no luck", "category": "user"}}]})
        registering, waiting = self.library_client(), self.library_client()
        before = self.outstanding()
        self.peer.call("register", request_ids=["small", "large", "failed"])
        for process, flags in ((registering, "r"), (waiting, "e")):
            process.stdin.write(f"await {flags} small large failed\n")
            process.stdin.flush()
        for request_id in ("small", "large", "failed"):
            self.sim.wait_polls(request_id, 1)
        wait_for(lambda: self.outstanding() == before + 2, "both wait")
        self.restart()
        for process in (registering, waiting):
            facts = self.facts(process)
            returned = sorted(line.split()[1:3] for line in facts if line.startswith("returned"))
            self.assertEqual(returned, [["failed", "failed"], ["large", "ok"], ["small", "ok"]], facts)
            self.assertFalse([line for line in facts if line.startswith("trouble")], facts)

    def test_command_line(self):
        """tinkexctl await, too."""
        self.register("a", [HELD, completed({"v": 1})])
        before = self.outstanding()
        process = subprocess.Popen([binary("TINKEXCTL"), "await", "a"], text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**self.daemon.environment(), "TINKEXD_SOCKET": self.daemon.socket_path})
        self.addCleanup(self.end, process)
        wait_for(lambda: self.outstanding() == before + 1, "it waits")
        self.sim.wait_polls("a", 1)
        self.restart()
        out, err = process.communicate(timeout=WAIT_SECONDS)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn('{"v":1}', out)


class Kept(Restarting):
    """What a registration is, is stored with it."""

    def test_what_was_given(self):
        self.register("a", NEVER, metadata={"step": 3, "name": "é"}, poll_timeout_ms=600_000)
        self.register("b", NEVER)
        self.register("c", [completed([1, 2.50])])
        self.peer.outcome("c")
        before = self.peer.call("list")["futures"]
        self.restart()
        after = self.peer.call("list")["futures"]
        for name in ("request_id", "endpoint", "metadata", "ok"):
            self.assertEqual([one[name] for one in after], [one[name] for one in before], name)
        status = self.status("a")
        self.assertLessEqual(status["deadline_in_ms"], 600_000)
        self.assertGreater(status["deadline_in_ms"], 600_000 - WAIT_SECONDS * 1000)
        self.assertGreaterEqual(status["age_ms"], before[0]["age_ms"])
        self.assertEqual([one["request_id"] for one in self.peer.call("list", where={"step": 3})["futures"]], ["a"])
        item = self.register("c")
        self.assertIs(item["new"], False)
        self.assertEqual(item["outcome"]["size"], len("[1,2.5]"))

    def test_stopped_in_order(self):
        """SIGTERM keeps as much as SIGKILL."""
        self.register("a", NEVER)
        self.register("b", [completed(2)])
        self.peer.outcome("b")
        self.restart(graceful=True)
        self.assertEqual([one["request_id"] for one in self.peer.call("list")["futures"]], ["a", "b"])
        self.assert_ok(self.peer.outcome("b"), 2)

    def test_ends(self):
        """Each kind of end is told after the restart as before, until it is acknowledged; then it does not come back."""
        self.sim.script({"json": [completed({"v": 1})], "large": [{"size": LARGE}], "gone": [{"status": 410}],
                         "user": [{"json": {"error": "no luck", "category": "user"}}], "cancelled": NEVER,
                         "broken": [{"body": "{"}], "late": NEVER})
        ids = ["json", "large", "gone", "user", "cancelled", "broken", "late"]
        self.peer.call("register", request_ids=ids[:-1])
        self.peer.call("register", request_id="late", poll_timeout_ms=1)
        self.peer.call("cancel", request_id="cancelled")
        before = self.peer.call("await", request_ids=ids)["results"]
        self.assertEqual([one["ok"] for one in before], [True, True, False, False, False, False, False])
        self.restart()
        self.assertEqual(self.peer.call("collect", request_ids=ids)["results"], before)
        self.assertEqual(self.peer.call("ack", request_ids=ids)["acked"], len(ids))
        self.restart()
        self.assertEqual(self.peer.call("list")["futures"], [])
        self.assertEqual(self.peer.call("ack", request_ids=ids)["acked"], 0)
        self.assertEqual(self.in_spool(), [])

    def test_not_found_after_restart_is_lost(self):
        """The server had known it, or it would have ended."""
        self.register("a", [HELD, {"status": 404}])
        self.sim.wait_polls("a", 1)
        self.restart()
        error = self.assert_error(self.peer.outcome("a"), "api_status", "user", 404)
        self.assertEqual(error["data"]["reason"], "lost")


class Deadlines(Restarting):
    def test_passed_while_down(self):
        polls_before = []

        def while_down():
            polls_before.extend(self.sim.polls("late"))
            wait_for(lambda: time.monotonic() > begin + 1, "the deadline is over")

        begin = time.monotonic()
        self.register("late", NEVER, poll_timeout_ms=700)
        self.register("later", NEVER, poll_timeout_ms=3_600_000)
        self.restart(while_down)
        outcome, took = self.timed(self.peer.outcome, "late")
        error = self.assert_error(outcome, "api_timeout")
        self.assertEqual((error["data"]["reason"], error["data"]["timeout_ms"]), ("poll_deadline", 700))
        self.assert_took(took, 0)
        self.assert_polls("late", len(polls_before))
        self.assertIsNone(self.status("later")["ok"])

    def test_goes_on(self):
        """One that is not over ends at its time, the time of being down included."""
        begin = time.monotonic()
        self.register("a", NEVER, poll_timeout_ms=4000)
        self.restart()
        self.assert_error(self.peer.outcome("a"), "api_timeout")
        self.assert_took((time.monotonic() - begin) * 1000, 4000)


class Linked(Restarting):
    def test_can_be_linked_again(self):
        """The connections are gone, and what they linked is still there; a new one links it. (That it has a minute for that is
        shown under the virtual clock, tests/unit/core.)"""
        self.sim.script({"again": NEVER, "alone": NEVER, "loose": NEVER})
        self.peer.call("register", request_ids=["again", "alone"], linked=True)
        self.peer.call("register", request_id="loose")
        self.restart()
        item = self.register("again", linked=True)
        self.assertIs(item["new"], False)
        for request_id, linked in (("again", True), ("alone", True), ("loose", False)):
            self.assertEqual((self.status(request_id)["linked"], self.status(request_id)["ok"]), (linked, None), request_id)

    def test_can_be_let_loose(self):
        """Registered again without `linked`, it is linked to nothing any more."""
        self.register("a", NEVER, linked=True)
        self.restart()
        self.assertIs(self.register("a")["new"], False)
        self.assertIs(self.status("a")["linked"], False)
        self.restart()
        self.assertEqual((self.status("a")["linked"], self.status("a")["ok"]), (False, None))


class Bodies(Restarting):
    """Files of the spool that do not fit what the database says."""

    def complete(self, request_id, size=LARGE):
        self.register(request_id, [{"size": size, "repeat": True}])
        self.assertIs(self.peer.outcome(request_id)["ok"], True)

    def assert_comes_again(self, damage):
        self.complete("a")
        self.complete("b")
        name = self.in_spool()[0]
        self.restart(lambda: damage(os.path.join(self.spool(), name)))
        call = self.peer.send("await", request_ids=["a", "b"])
        line = self.peer.read_large()
        self.assertEqual(json.loads(line)["id"], call)
        for request_id in ("a", "b"):
            self.assertIn(generated_body(request_id, LARGE), line)
        self.assertEqual(sorted(len(self.sim.polls(one)) for one in ("a", "b")), [1, 2])

    def test_missing(self):
        self.assert_comes_again(os.unlink)

    def test_cut_off(self):
        self.assert_comes_again(lambda path: os.truncate(path, 1000))

    def test_left_over(self):
        """Bodies that nothing names any more are removed at start, the others are not."""
        self.complete("a")
        kept = self.in_spool()
        self.assertEqual(len(kept), 1)
        self.assertRegex(kept[0], r"^[0-9a-f]{16}$")

        def leave():
            for name in ("00000000deadbeef", "0000000100000000"):
                with open(os.open(os.path.join(self.spool(), name), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                    file.write(b"x" * 1000)

        self.restart(leave)
        wait_for(lambda: self.in_spool() == kept, "the others are removed")
        self.peer.send("collect", request_id="a")
        self.assertIn(generated_body("a", LARGE), self.peer.read_large())


class Files(Restarting):
    endpoint = {"extra_header": f"X-Extra: {SECRET}"}

    def assert_files(self):
        """Private, and without a secret."""
        n = 0
        self.assertEqual(stat.S_IMODE(os.stat(self.daemon.state_dir).st_mode), 0o700)
        for folder, folders, files in os.walk(self.daemon.state_dir):
            for name in folders:
                self.assertEqual(stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode), 0o700, name)
            for name in files:
                path = os.path.join(folder, name)
                self.assertEqual(stat.S_IMODE(os.lstat(path).st_mode), 0o600, name)
                with open(path, "rb") as file:
                    content = file.read()
                for secret in (KEY, SECRET):
                    self.assertFalse(secret.encode() in content, f"{name} contains {secret[:6]}…")
                n += 1
        self.assertGreaterEqual(n, 3, "database, spool, lock")

    def test_private_and_without_secrets(self):
        self.sim.require_key(KEY)
        self.register("a", [completed(1)])
        self.register("b", [{"size": LARGE}])
        self.register("c", NEVER)
        for request_id in ("a", "b"):
            self.assertIs(self.peer.outcome(request_id)["ok"], True)
        self.assertEqual(self.sim.polls("a")[0]["headers"]["x-extra"], SECRET)
        self.assert_files()
        self.restart()
        self.assert_files()
        self.daemon.stop()
        self.assert_files()

    def test_locked(self):
        """While it runs nobody else may; after a kill the next one may at once."""
        second = subprocess.run([*self.daemon.command(), "--socket", self.daemon.socket_path + "2"], capture_output=True,
                                text=True, timeout=WAIT_SECONDS, env=self.daemon.environment(), check=False)
        self.assertNotEqual(second.returncode, 0)
        self.assertIn(f"another tinkexd (pid {self.daemon.process.pid})", second.stderr)
        self.restart()


class Many(Restarting):
    endpoint = {"max_in_flight": MAX_IN_FLIGHT, "max_connections": MAX_IN_FLIGHT, "backoff_initial": "60s",
                "backoff_max": "60s"}

    def register_many(self, n):
        ids = [f"many-{k}" for k in range(n)]
        new = 0
        for first in range(0, n, BATCH):
            items = self.peer.call("register", request_ids=ids[first:first + BATCH])["registrations"]
            new += sum(item["new"] for item in items)
        self.assertEqual(new, n)

    def start_again(self):
        """A kill and a start: how long that took, in seconds, and how long it would have taken if the daemon had never
        waited for a processor that others had. Only polls after it are on record."""
        self.daemon.kill()
        self.sim.reset(keep_scripts=True)
        begin = time.monotonic()
        self.daemon.start()
        took = time.monotonic() - begin
        with open(f"/proc/{self.daemon.process.pid}/schedstat", encoding="ascii") as file:
            return took, took - int(file.read().split()[1]) / 1e9

    def test_a_hundred_thousand(self):
        """Ready in 2 s, and never more polls at once than may be."""
        self.sim.script({"*": NEVER})
        self.register_many(MANY)
        took, ready = self.start_again()
        stats = self.sim.wait_for(lambda stats: stats["in_flight"] >= MAX_IN_FLIGHT)
        print(f"\n{MANY} registrations: ready after {took * 1000:.0f} ms, on a machine of its own {ready * 1000:.0f} ms")
        self.assertEqual(stats["max_in_flight"], MAX_IN_FLIGHT)
        self.assertLess(ready, READY_SECONDS)
        gauges = self.daemon.call("stats")["gauges"]
        self.assertEqual(sum(gauges["futures"].values()), MANY, gauges)

    def test_spread_out(self):
        """The first polls come one by one, although all were overdue."""
        self.sim.script({"*": [{**PENDING, "repeat": True}]})
        self.register_many(BATCH)
        self.sim.wait_for(lambda stats: stats["answered"] >= BATCH)
        self.start_again()
        self.sim.wait_for(lambda stats: stats["answered"] >= BATCH)
        times = [poll["t_ms"] for poll in self.sim.polls(brief=True)]
        at_once = sum(t <= times[0] + 100 for t in times)
        print(f"\n{BATCH} registrations: {at_once} polls in the first 100 ms, all of them in {times[-1] - times[0]:.0f} ms")
        self.assertLess(at_once, BATCH / 4)
        self.assertGreater(times[BATCH - 1] - times[0], 1000)


class Refused(unittest.TestCase):
    """State that cannot be trusted is named and left alone."""

    @classmethod
    def setUpClass(cls):
        """A database with results, of a daemon that was stopped."""
        cls.folder = tempfile.mkdtemp(prefix="tinkexd-refused-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.model = os.path.join(cls.folder, "model")
        with Sim(script={"*": [{"size": 5000}], "large": [{"size": LARGE}]}) as sim, Daemon(sim.url) as daemon:
            with daemon.connect() as peer:
                ids = [f"id-{k}" for k in range(200)] + ["large"]
                peer.call("register", request_ids=ids)
                assert all(outcome["ok"] for outcome in peer.call("await", request_ids=ids)["results"])
            daemon.stop()
            shutil.copytree(daemon.state_dir, cls.model)
        with sqlite3.connect(os.path.join(cls.model, DATABASE)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()

    def setUp(self):
        self.daemon = Daemon("http://127.0.0.1:9", start=False)
        self.addCleanup(shutil.rmtree, self.daemon.folder)
        self.addCleanup(self.daemon.kill)
        shutil.copytree(self.model, self.daemon.state_dir)
        self.database = os.path.join(self.daemon.state_dir, DATABASE)

    def content(self):
        """What is in the state directory, links not followed; the lock may be written."""
        found = {}
        for folder, folders, files in os.walk(self.daemon.state_dir):
            for name in folders + files:
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    found[path] = os.readlink(path)
                elif os.path.isfile(path) and name != "lock" and not name.endswith(("-shm", "-wal")):
                    with open(path, "rb") as file:
                        found[path] = file.read()
        return found

    def refused(self, *parts):
        before = self.content()
        result = subprocess.run(self.daemon.command(), capture_output=True, text=True, timeout=WAIT_SECONDS,
                                env=self.daemon.environment(), check=False)
        self.assertGreater(result.returncode, 0, result)
        self.assertNotIn("Sanitizer", result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)
        self.assertTrue(self.content() == before, "nothing is changed")
        self.assertFalse(os.path.exists(self.daemon.socket_path), "it does not listen")

    def overwrite(self, offset, data):
        with open(self.database, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def test_the_model_is_good(self):
        self.daemon.start()
        self.assertEqual(len(self.daemon.call("list", limit=1000)["futures"]), 201)
        self.daemon.stop()

    def test_header(self):
        self.overwrite(0, b"\xa5" * 100)
        self.refused(self.database, "move it away")

    def test_pages(self):
        """The heads of the pages in the middle, and then of any single one."""
        with open(self.database, "rb") as file:
            head = file.read(18)
        size = int.from_bytes(head[16:18], "big")
        size = 65536 if size == 1 else size
        pages = os.path.getsize(self.database) // size
        self.assertGreater(pages, 20)
        for page in range(pages // 3, 2 * pages // 3):
            self.overwrite(page * size, b"\x5a" * 64)
        self.refused(self.database, "damaged", ".recover")

    def test_flipped_bytes(self):
        """All bits of a stretch of the first tables' pages."""
        with open(self.database, "rb") as file:
            content = file.read()
        self.overwrite(100, bytes(byte ^ 0xFF for byte in content[100:4096 + 2048]))
        self.refused(self.database, "damaged", ".recover")

    def test_truncated(self):
        os.truncate(self.database, os.path.getsize(self.database) // 2)
        self.refused(self.database, "damaged", ".recover")

    def test_text(self):
        with open(self.database, "w") as file:
            file.write("Dear diary,\n" * 1000)
        self.refused(self.database, "move it away")

    def test_short_text(self):
        with open(self.database, "w") as file:
            file.write("Dear diary,\n")
        self.refused(self.database, "move it away")

    def alter(self, *statements):
        database = sqlite3.connect(self.database, isolation_level=None)
        for statement in statements:
            database.execute(statement)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()

    def test_newer(self):
        self.alter("PRAGMA user_version = 9999")
        self.refused(self.database, "newer", "9999", "--state-dir")

    def test_somebody_elses_database(self):
        os.unlink(self.database)
        self.alter("CREATE TABLE songs(name TEXT)")
        self.refused(self.database, "move it away")

    def test_symbolic_links(self):
        """None is followed: what it points to stays as it is."""
        for name in (DATABASE, DATABASE + "-wal", DATABASE + "-shm", "spool", "lock"):
            with self.subTest(name):
                path, aside = os.path.join(self.daemon.state_dir, name), os.path.join(self.daemon.folder, "aside-" + name)
                if os.path.exists(path):
                    os.rename(path, aside)
                elif name == "spool":
                    os.mkdir(aside)
                else:
                    open(aside, "w").close()
                os.symlink(aside, path)
                with open(aside, "rb") if name != "spool" else open(os.devnull, "rb") as file:
                    before = file.read()
                self.refused('"spool" in the state directory' if name == "spool" else path)
                os.unlink(path)
                if name == "spool":
                    shutil.move(aside, path)
                else:
                    with open(aside, "rb") as file:
                        self.assertTrue(file.read() == before)
                    if name == DATABASE:
                        os.rename(aside, path)

    def test_directory_in_place_of_the_database(self):
        os.unlink(self.database)
        os.mkdir(self.database)
        self.refused(self.database)

    def test_file_in_place_of_the_spool(self):
        spool = os.path.join(self.daemon.state_dir, "spool")
        shutil.rmtree(spool)
        open(spool, "w").close()
        self.refused('"spool" in the state directory', "move it away")


if __name__ == "__main__":
    unittest.main()
