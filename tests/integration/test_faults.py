"""The tools themselves: faults.py and power_loss.py do what the tests that stand on them believe."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import unittest

from crash_points import CRASH_POINTS
from daemon import WAIT_SECONDS, Daemon
from faults import Faults, Rule
from power_loss import SYNC, Disk, Recording, Unsound, replay
from sim import Sim

# A small program for the calls to come from; it knows its directory as D.
PROLOGUE = """
import errno, os, sqlite3, sys
D = sys.argv[1]
def path(name):
    return os.path.join(D, name)
def attempt(function, *args):
    try:
        return function(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
def new(name):
    return os.open(path(name), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""

# Every transaction says when it is over, and is acknowledged by the reader before the next one begins.
TRANSACTIONS = """
db = sqlite3.connect(path("tinkexd.db"), isolation_level=None)
db.execute("pragma journal_mode=wal")
db.execute("pragma synchronous=full")
db.execute("pragma wal_autocheckpoint=0")
db.execute("create table if not exists t(id integer primary key, body blob)")
first = 1 + (db.execute("select max(id) from t where id < 1000000").fetchone()[0] or 0)
for i in range(first, first + int(sys.argv[2])):
    db.execute("begin")
    db.execute("insert into t values(?, zeroblob(3000))", (i,))
    db.execute("insert into t values(?, zeroblob(10))", (i + 1000000,))
    db.execute("commit")
    say(i)
    sys.stdin.readline()
    if i % 10 == 0:
        db.execute("pragma wal_checkpoint(passive)")
"""


class Case(unittest.TestCase):
    record = False

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tinkexd-faults-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.directory = os.path.join(self.folder, "state")
        os.mkdir(self.directory)
        self.faults = Faults(self.directory, record=self.record)
        self.addCleanup(self.faults.close)

    def start(self, program, *args):
        environment = {**os.environ, **self.faults.environment()}
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", PROLOGUE + textwrap.dedent(program), self.directory, *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def run_program(self, program, *args, expect=0):
        """What it said, as lines."""
        process = self.start(program, *args)
        output, _ = process.communicate(timeout=WAIT_SECONDS)
        self.assertEqual(process.returncode, expect, output)
        return output.splitlines()

    def content(self, name, directory=None):
        with open(os.path.join(directory or self.directory, name), "rb") as file:
            return file.read()

    def transactions(self, directory):
        with sqlite3.connect(os.path.join(directory, "tinkexd.db")) as db:
            self.assertEqual(db.execute("pragma integrity_check").fetchone()[0], "ok")
            found = [row[0] for row in db.execute("select id from t where id < 1000000 order by id")]
            second = [row[0] - 1000000 for row in db.execute("select id from t where id > 1000000 order by id")]
        db.close()
        self.assertEqual(found, second)
        return found

    def crashed(self, position, seed, base=None):
        """The directory after a power failure."""
        target = os.path.join(self.folder, "after")
        replay(self.faults.record_path, position, seed, target, base)
        return target


class Errors(Case):
    def test_every_operation_can_fail_and_is_not_made_then(self):
        program = """
            os.mkdir(path("spool"))
            a = new("a")
            os.write(a, b"0123456789")
            say("ready")
            sys.stdin.readline()
            say(attempt(os.open, path("a"), os.O_RDONLY), attempt(new, "b"), attempt(os.write, a, b"x"),
                attempt(os.pwrite, a, b"x", 0), attempt(os.writev, a, [b"x", b"y"]), attempt(os.pwritev, a, [b"x"], 3),
                attempt(os.pread, a, 4, 0), attempt(os.read, a, 4), attempt(os.fsync, a), attempt(os.fdatasync, a),
                attempt(os.ftruncate, a, 3), attempt(os.posix_fallocate, a, 0, 100), attempt(os.unlink, path("a")),
                attempt(os.rmdir, path("spool")), attempt(os.rename, path("a"), path("c")),
                attempt(os.mkdir, path("d")), attempt(os.close, a), attempt(os.fstat, a) == "EBADF")
        """
        process = self.start(program)
        self.assertEqual(process.stdout.readline(), "ready\n")
        rule = self.faults.arm(Rule("any", "*", error="EDQUOT", always=True))
        process.stdin.write("\n")
        process.stdin.flush()
        words = process.stdout.readline().split()
        self.assertEqual(words, ["EDQUOT"] * 17 + ["True"])
        self.assertEqual(process.wait(WAIT_SECONDS), 0)
        counts = self.faults.disarm(rule)
        self.assertEqual((counts.matched, counts.fired), (17, 17))
        self.assertEqual(self.content("a"), b"0123456789")
        self.assertEqual(sorted(os.listdir(self.directory)), ["a", "spool"])

    def test_once_and_from_then_on_counted_from_the_nth_call(self):
        once = self.faults.arm(Rule("write", "once", nth=3, error="EIO"))
        always = self.faults.arm(Rule("write", "always", nth=3, error="ENOSPC", always=True))
        other = self.faults.arm(Rule("write", "nobody", error="EIO"))
        words = self.run_program("""
            a, b = new("once"), new("always")
            say(*[attempt(os.write, a, b"x") for i in range(5)])
            say(*[attempt(os.write, b, b"x") for i in range(5)])
        """)
        self.assertEqual(words, ["1 1 EIO 1 1", "1 1 ENOSPC ENOSPC ENOSPC"])
        self.assertEqual([(self.faults.counts(rule).matched, self.faults.counts(rule).fired)
                          for rule in (once, always, other)], [(5, 1), (5, 3), (0, 0)])

    def test_patterns_name_files_in_the_directory_and_nothing_outside(self):
        outside = os.path.join(self.folder, "outside")
        self.faults.arm(Rule("write|create", "spool/*", error="ENOSPC", always=True))
        root = self.faults.arm(Rule("fsync", ".", error="EIO", always=True))
        words = self.run_program("""
            os.mkdir(path("spool"))
            spool, root = os.open(path("spool"), os.O_RDONLY), os.open(D, os.O_RDONLY)
            say(attempt(lambda: os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=spool)),
                attempt(os.open, path("spool/../spool/./x"), os.O_CREAT | os.O_WRONLY))
            os.chdir(path("spool"))
            say(attempt(os.open, "x", os.O_CREAT | os.O_WRONLY), attempt(os.mkdir, "y") is None,
                attempt(os.fsync, root), attempt(os.fsync, spool) is None)
            a = new("a")
            say(attempt(os.write, a, b"1"), attempt(os.write, os.dup(a), b"2"))
            os.rename(path("a"), path("spool/a"))
            say(attempt(os.write, a, b"3"))
            os.unlink(path("spool/a"))
            say(attempt(os.write, a, b"4"))
            b = os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY)
            say(attempt(os.write, b, b"5"))
        """, outside)
        self.assertEqual(words, ["ENOSPC ENOSPC", "ENOSPC True EIO True", "1 1", "ENOSPC", "ENOSPC", "1"])
        self.assertEqual(self.faults.counts(root).fired, 1)

    def test_short_reads_and_writes(self):
        self.faults.arm(Rule("write", "a", action="short"))
        self.faults.arm(Rule("read", "a", nth=2, action="short"))
        words = self.run_program("""
            a = new("a")
            say(os.writev(a, [b"012", b"345", b"678"]), os.write(a, b"rest"))
            say(len(os.pread(a, 6, 0)), len(os.pread(a, 6, 0)), len(os.pread(a, 6, 0)))
        """)
        self.assertEqual(words, ["4 4", "6 3 6"])
        self.assertEqual(self.content("a"), b"0123rest")

    def test_rules_come_and_go_while_the_program_runs(self):
        process = self.start("""
            a = new("a")
            for line in sys.stdin:
                say(attempt(os.write, a, b"x"))
        """)

        def write():
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        for _ in range(50):  # more than there are places for rules
            self.assertEqual(write(), "1")
            rule = self.faults.arm(Rule("write", "a", error="EROFS", always=True))
            self.assertEqual((write(), write()), ("EROFS", "EROFS"))
            self.assertEqual(self.faults.disarm(rule).fired, 2)

    def test_stall_holds_one_thread_until_it_is_disarmed_and_no_other(self):
        rule = self.faults.arm(Rule("fsync", "a", action="stall"))
        process = self.start("""
            import threading
            a, b = new("a"), new("b")
            stuck = threading.Thread(target=lambda: (os.fsync(a), say("released")))
            stuck.start()
            sys.stdin.readline()
            os.fsync(b)
            say("not stuck")
            stuck.join()
        """)
        self.faults.wait_fired(rule)
        process.stdin.write("\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "not stuck\n")
        self.assertEqual(self.faults.counts(rule).waiting, 1)
        self.faults.disarm(rule)
        self.assertEqual(process.stdout.readline(), "released\n")
        self.assertEqual(process.wait(WAIT_SECONDS), 0)

    def test_quota_is_a_full_disk(self):
        rule = self.faults.arm(Rule("write|fallocate", "*", action="quota", value=1000))
        words = self.run_program("""
            os.mkdir(path("spool"))
            a, b = new("a"), new("spool/b")
            say(attempt(os.write, a, bytes(600)), attempt(os.posix_fallocate, b, 0, 401),
                attempt(os.posix_fallocate, b, 0, 100), attempt(os.pwrite, b, bytes(400), 0),
                attempt(os.write, a, b"x"), attempt(os.pwrite, a, b"x", 599))
            os.unlink(path("spool/b"))
            say(attempt(os.write, a, bytes(500)), attempt(os.write, a, bytes(500)))
        """)
        # 300 of the 400 bytes do not fit: 100 were there, 300 are free.
        self.assertEqual(words, ["600 ENOSPC None 400 ENOSPC 1", "400 ENOSPC"])
        self.assertEqual(self.faults.counts(rule).fired, 4)

    def test_sqlite_is_seen(self):
        self.faults.arm(Rule("write", "tinkexd.db-wal", nth=1, error="ENOSPC"))
        self.faults.arm(Rule("fsync", "tinkexd.db-wal", nth=2, error="EIO"))
        words = self.run_program("""
            db = sqlite3.connect(path("tinkexd.db"), isolation_level=None)
            db.execute("pragma journal_mode=wal")
            db.execute("pragma synchronous=full")
            for i in range(3):
                try:
                    db.execute(f"create table t{i}(x)")
                    say("done")
                except sqlite3.Error as error:
                    say(error)
        """)
        self.assertEqual(words, ["database or disk is full", "disk I/O error", "done"])


class Kills(Case):
    def test_before_after_and_in_the_middle(self):
        for action, content in (("kill", b""), ("kill-after", b"0123456789"), ("kill-short", b"01234")):
            with self.subTest(action):
                rule = self.faults.arm(Rule("write", "a", nth=1, action=action))
                self.run_program("""
                    os.write(new("a"), b"0123456789")
                    say("alive")
                """, expect=-signal.SIGKILL)
                self.assertEqual(self.content("a"), content)
                self.assertEqual(self.faults.disarm(rule).fired, 1)

    def test_what_was_killed_before_a_sync_lets_the_next_start_go_on(self):
        self.faults.arm(Rule("fsync", "a", nth=2, action="kill"))
        program = """
            a = new("a")
            os.fsync(a)
            say("one")
            os.fsync(a)
            say("two")
        """
        self.assertEqual(self.run_program(program, expect=-signal.SIGKILL), ["one"])
        self.assertEqual(self.run_program(program), ["one", "two"])  # the third and fourth call

    def test_the_crash_points_of_a_commit(self):
        """Which transactions are there after a kill: those that were reported, and the one in question if it was synced."""
        for name, last in (("before-commit", None), ("after-commit-before-reply", 4), ("during-commit", 3),
                           ("during-commit-torn", 3), ("during-checkpoint", None), ("during-checkpoint-torn", None),
                           ("checkpoint-before-sync", None), ("checkpoint-after-sync", None)):
            with self.subTest(name):
                shutil.rmtree(self.directory)
                os.mkdir(self.directory)
                process = self.start(TRANSACTIONS, 30)
                acknowledged = []
                for line in process.stdout:
                    acknowledged.append(int(line))
                    if acknowledged[-1] == 3:
                        rule = self.faults.arm(CRASH_POINTS[name](1))
                    process.stdin.write("\n")
                    process.stdin.flush()
                self.assertEqual(process.wait(WAIT_SECONDS), -signal.SIGKILL)
                self.assertEqual(self.faults.disarm(rule).fired, 1)
                found = self.transactions(self.directory)
                self.assertEqual(found[:len(acknowledged)], acknowledged)
                self.assertLessEqual(len(found), len(acknowledged) + 1)
                if last:
                    self.assertEqual(found[-1], last)


class PowerLoss(Case):
    record = True

    def recorded(self, program, *args):
        lines = self.run_program(program, *args)
        disk = Disk(Recording(self.faults.record_path))
        disk.advance()
        self.assertEqual(disk.differences(self.directory), [])
        return lines

    def survivors(self, name, position=None, seeds=200):
        """What the file is like, over many power failures; None: not there."""
        disk = Disk(Recording(self.faults.record_path))
        disk.advance(position)
        found = []
        for seed in range(seeds):
            target = os.path.join(self.folder, "after")
            disk.crash(seed, target)
            try:
                with open(os.path.join(target, name), "rb") as file:
                    found.append(file.read())
            except FileNotFoundError:
                found.append(None)
            shutil.rmtree(target)
        return found

    def test_synced_bytes_stay_and_others_may_go_by_sectors(self):
        self.recorded("""
            a = new("a")
            os.fsync(os.open(D, os.O_RDONLY))
            os.write(a, b"a" * 2048)
            os.fdatasync(a)
            os.pwrite(a, b"b" * 1024, 256)
            os.pwrite(a, b"c" * 10, 2048)
        """)
        found = self.survivors("a", seeds=2000)
        for content in found:
            self.assertEqual(content[:256] + content[1280:2048], b"a" * 1024)
            self.assertIn(content[2048:], (b"", b"c" * 10))
            for begin, end in ((256, 512), (512, 1024), (1024, 1280)):
                self.assertIn(content[begin:end], (b"a" * (end - begin), b"b" * (end - begin)))
        # Three sectors and a second write, each there or not.
        self.assertEqual(len(set(found)), 16)

    def test_lengths_of_files(self):
        self.recorded("""
            a = new("a")
            os.write(a, b"0123456789")
            os.fsync(a)
            os.fsync(os.open(D, os.O_RDONLY))
            os.ftruncate(a, 4)
            os.posix_fallocate(a, 0, 6)
        """)
        self.assertEqual(set(self.survivors("a")), {b"0123456789", b"0123", b"0123\0\0"})

    def test_names_need_a_sync_of_their_directory(self):
        self.recorded("""
            d = os.open(D, os.O_RDONLY)
            for name in ("kept", "gone", "old"):
                a = new(name)
                os.write(a, name.encode())
                os.fsync(a)
            os.fsync(d)
            os.fsync(new("made"))
            os.unlink(path("gone"))
            os.rename(path("old"), path("renamed"))
            os.unlink(path("made"))
        """)
        self.assertEqual(set(self.survivors("kept")), {b"kept"})
        self.assertEqual(set(self.survivors("gone")), {b"gone", None})
        self.assertEqual(set(self.survivors("made")), {b"", None})
        old, renamed = self.survivors("old"), self.survivors("renamed")
        self.assertEqual(set(zip(old, renamed)), {(b"old", None), (None, b"old")})

    def test_a_synced_directory_keeps_names_and_not_bytes(self):
        self.recorded("""
            os.mkdir(path("spool"))
            os.fsync(os.open(D, os.O_RDONLY))
            a = new("spool/a")
            os.fsync(os.open(path("spool"), os.O_RDONLY))
            os.write(a, b"x")
        """)
        self.assertEqual(set(self.survivors("spool/a")), {b"", b"x"})

    def test_a_failed_sync_is_not_healed_by_the_next(self):
        self.faults.arm(Rule("fsync", "a", nth=1, error="EIO"))
        self.recorded("""
            a = new("a")
            os.fsync(os.open(D, os.O_RDONLY))
            os.write(a, b"x")
            say(attempt(os.fsync, a), attempt(os.fsync, a))
        """)
        recording, found = Recording(self.faults.record_path), set()
        for seed in range(20):
            disk = Disk(recording, seed=seed)
            disk.advance()
            target = os.path.join(self.folder, "after")
            disk.crash(0, target)
            with open(os.path.join(target, "a"), "rb") as file:
                found.add(file.read())
            shutil.rmtree(target)
        self.assertEqual(found, {b"", b"x"})

    def test_the_same_seed_makes_the_same(self):
        self.recorded(TRANSACTIONS.replace("sys.stdin.readline()", "pass"), 5)
        position = Recording(self.faults.record_path).positions()[-7]
        for seed in range(10):
            found = []
            for _ in range(2):
                target = self.crashed(position, seed)
                found.append({name: self.content(name, target) for name in sorted(os.listdir(target))})
            self.assertEqual(found[0], found[1])

    def test_a_recording_goes_on_in_the_next_process_and_from_what_was_there(self):
        base = os.path.join(self.folder, "base")
        with open(os.path.join(self.directory, "old"), "wb") as file:
            file.write(b"before")
        shutil.copytree(self.directory, base)
        program = """
            a = os.open(path("old"), os.O_WRONLY | os.O_APPEND)
            os.write(a, b"+")
            os.fsync(a)
        """
        self.run_program(program)
        # What a kill in the middle of a record leaves is removed.
        with open(self.faults.record_path, "ab") as file:
            file.write(b"TKXR" + bytes(10))
        self.run_program(program)
        disk = Disk(Recording(self.faults.record_path), base)
        disk.advance()
        self.assertEqual(disk.differences(self.directory), [])
        with open(os.path.join(self.crashed(None, 1, base), "old"), "rb") as file:
            self.assertEqual(file.read(), b"before++")

    def test_what_became_of_a_call_that_was_cut_off_is_looked_up(self):
        """A kill between a call and its record, made by taking the record away again."""
        program = """
            d = os.open(D, os.O_RDONLY)
            os.mkdir(path("dir"))
            a, b = new("a"), new("b")
            os.write(a, b"x" * 100000)
            os.fsync(a)
            os.fsync(d)
            os.pwrite(a, b"yyy", 7)
            os.write(os.open(path("a"), os.O_WRONLY | os.O_APPEND), b"z")
            os.ftruncate(a, 5)
            os.posix_fallocate(b, 0, 10)
            os.rename(path("a"), path("c"))
            os.unlink(path("b"))
            new("c")
            os.rmdir(path("dir"))
            """
        lines = [line.strip() for line in program.strip().splitlines()]
        for number in range(2, len(lines) + 1):
            with self.subTest(lines[number - 1]):
                shutil.rmtree(self.directory)
                os.mkdir(self.directory)
                if os.path.exists(self.faults.record_path):
                    os.unlink(self.faults.record_path)
                self.recorded("\n".join(lines[:number]))
                last = Recording(self.faults.record_path).records[-1]
                os.truncate(self.faults.record_path, last.begin + 20)
                self.recorded("pass")

    def test_what_cannot_be_replayed_is_said(self):
        self.run_program("""
            import mmap
            a = new("a")
            os.write(a, bytes(4096))
            mmap.mmap(a, 4096)[0:1] = b"x"
        """)
        disk = Disk(Recording(self.faults.record_path))
        with self.assertRaisesRegex(Unsound, "mapped"):
            disk.advance()
        self.faults.close()

    def test_what_was_not_recorded_is_found(self):
        self.recorded("os.write(new('a'), b'x')")
        disk = Disk(Recording(self.faults.record_path))
        disk.advance()
        with open(os.path.join(self.directory, "a"), "ab") as file:
            file.write(b"y")
        with open(os.path.join(self.directory, "b"), "ab") as file:
            pass
        self.assertEqual(len(disk.differences(self.directory)), 2)

    def test_two_threads_are_recorded_in_one_order(self):
        self.recorded("""
            import threading
            a = new("a")
            def work(word):
                for i in range(300):
                    os.pwrite(a, word * 100, i * 7 % 400)
                    if i % 50 == 0:
                        os.fdatasync(a)
            threads = [threading.Thread(target=work, args=(word,)) for word in (b"1", b"2")]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        """)


class PowerLossOfSqlite(Case):
    """The real thing: a database that was killed, restarted and checkpointed, cut off anywhere."""

    record = True

    def run_transactions(self, number):
        """Runs them and kills the program at the end; (transaction, position that its commit had reached) of each."""
        acknowledged = []
        process = self.start(TRANSACTIONS, number + 10)
        for line in process.stdout:
            acknowledged.append((int(line), self.faults.position()))
            if len(acknowledged) == number:
                process.kill()
                break
            process.stdin.write("\n")
            process.stdin.flush()
        process.wait(WAIT_SECONDS)
        return acknowledged

    def test_exactly_the_transactions_that_were_acknowledged_survive(self):
        acknowledged = [one for number in (14, 3, 14) for one in self.run_transactions(number)]
        recording = Recording(self.faults.record_path)
        self.assertEqual([number for number, _ in acknowledged], list(range(1, 32)))
        seed = int(os.environ.get("TINKEX_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"TINKEX_TEST_SEED={seed}")
        rng, target = random.Random(seed), os.path.join(self.folder, "after")
        positions = sorted(rng.sample(recording.positions(), 80) + [position for _, position in acknowledged[::3]])
        disk = Disk(recording)
        for position in positions:
            disk.advance(position)
            for _ in range(3):
                one = rng.randrange(1 << 32)
                shutil.rmtree(target, ignore_errors=True)
                disk.crash(one, target)
                promised = [number for number, end in acknowledged if end <= position]
                with self.subTest(position=position, seed=one):
                    try:
                        found = self.transactions(target)
                    except sqlite3.OperationalError as error:
                        # The table itself was not committed yet.
                        self.assertIn("no such table", str(error))
                        found = []
                    self.assertEqual(found[:len(promised)], promised)
                    self.assertEqual(found, list(range(1, len(found) + 1)))
                    self.assertLessEqual(len(found), len(promised) + 1)
        disk.advance()
        self.assertEqual(disk.differences(self.directory), [])

    def test_a_recording_stays_true_over_kills_at_any_moment(self):
        acknowledged, rng = [], random.Random(1)
        for _ in range(25):
            process = self.start(TRANSACTIONS, 1000)
            process.stdin.write("\n" * 1000)  # never to wait for
            process.stdin.flush()
            for _ in range(rng.randrange(1, 25)):
                acknowledged.append((int(process.stdout.readline()), self.faults.position()))
            process.kill()
            process.wait(WAIT_SECONDS)
            self.run_program("pass")
            disk = Disk(Recording(self.faults.record_path))
            disk.advance()
            self.assertEqual(disk.differences(self.directory), [])
        disk, target = Disk(disk.recording), os.path.join(self.folder, "after")
        for number, position in acknowledged:
            disk.advance(position)
            disk.crash(number, target)
            found = self.transactions(target)
            self.assertEqual(found, list(range(1, len(found) + 1)))
            self.assertGreaterEqual(len(found), number)
            shutil.rmtree(target)

    def test_a_lie_about_a_sync_is_found(self):
        """The same check fails for a disk that forgets syncs: it can fail."""
        acknowledged = self.run_transactions(8)
        recording = Recording(self.faults.record_path)
        recording.records = [record for record in recording.records
                             if record.type != SYNC or record.end < acknowledged[3][1]]
        disk, target, lost = Disk(recording), os.path.join(self.folder, "after"), 0
        disk.advance()
        for seed in range(20):
            disk.crash(seed, target)
            lost += len(self.transactions(target)) < len(acknowledged)
            shutil.rmtree(target)
        self.assertGreater(lost, 0)


class WithTinkexd(unittest.TestCase):
    """The library gets on with the daemon as it is built, sanitizers included."""

    def setUp(self):
        self.sim = Sim()
        self.addCleanup(self.sim.stop)
        self.daemon = Daemon(self.sim.url, start=False)
        self.addCleanup(shutil.rmtree, self.daemon.folder, ignore_errors=True)
        self.faults = Faults(self.daemon.state_dir, record=True)
        self.addCleanup(self.faults.close)
        self.daemon.env.update(self.faults.environment())

    def assert_starts_and_stops(self):
        self.daemon.start()
        try:
            self.daemon.stop()
        finally:
            self.daemon.kill()

    def test_a_start_whose_lock_cannot_be_written(self):
        self.faults.arm(Rule("write", "lock", error="EIO"))
        with self.assertRaisesRegex(RuntimeError, "cannot write to .*/lock"):
            self.daemon.start()
        self.assert_starts_and_stops()

    def test_killed_at_every_change_of_its_start_it_starts_again(self):
        for action in ("kill", "kill-after"):
            for k in range(1, 10000):
                shutil.rmtree(self.daemon.state_dir, ignore_errors=True)
                rule = self.faults.arm(Rule("change", nth=k, action=action))
                try:
                    self.daemon.start()
                except (RuntimeError, EOFError, ConnectionError):
                    self.assertEqual(self.daemon.process.wait(WAIT_SECONDS), -signal.SIGKILL, self.daemon.log())
                self.daemon.kill()
                if not self.faults.disarm(rule).fired:
                    break
                self.assert_starts_and_stops()
            self.assertGreater(k, 2)


if __name__ == "__main__":
    unittest.main()
