"""proto/PROTOCOL.md against the running daemon: its transcripts, its tables, pages, and many calls at once."""

import os
import random
import threading
import unittest

import document
from daemon import CallError, Daemon, wait_for
from running import Running, completed
from sim import Sim
from transcript import Malformed, Mismatch, difference, read_steps, replay

HELD = [{"never": True}]


class Transcripts(unittest.TestCase):
    """One test for each file of proto/examples, each with a fresh simulator and a fresh daemon."""

    def run_transcript(self, name):
        with Sim(script={}) as sim, Daemon(sim.url) as daemon:
            self.assertGreater(replay(os.path.join(document.EXAMPLES, name), sim, daemon), 5)

    def test_every_method_has_an_example(self):
        said = set()
        for name in transcripts():
            for _, kind, step in read_steps(os.path.join(document.EXAMPLES, name)):
                if kind == "send_json":
                    said.add(step[kind].get("method"))
        self.assertEqual(set(document.implemented_methods()) - said, set())


def transcripts():
    return sorted(name for name in os.listdir(document.EXAMPLES) if name.endswith(".jsonl"))


def transcript_test(name):
    return lambda self: self.run_transcript(name)


for transcript in transcripts():
    setattr(Transcripts, "test_" + transcript.removesuffix(".jsonl"), transcript_test(transcript))


class Replayer(Running):
    """The replayer itself finds what is wrong."""

    def write(self, *lines):
        path = os.path.join(self.daemon.folder, "t.jsonl")
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        return path

    def assert_mismatch(self, pattern, *lines, limit=60):
        with self.assertRaisesRegex(Mismatch, rf"(?s)t\.jsonl:{len(lines)}: {pattern}"):
            replay(self.write(*lines), self.sim, self.daemon, limit)

    def test_what_matches(self):
        for expected, got in (("*", None), ("*int", -3), ("*str", ""), ({"a": 1}, {"b": 2, "a": 1}),
                              ([{"a": "*"}, 2], [{"a": []}, 2]), (42.10, 42.1), (None, None)):
            self.assertIsNone(difference(expected, got), (expected, got))

    def test_what_does_not(self):
        for expected, got, place in (("*int", True, r"\$"), ("*int", 1.0, r"\$"), ("*str", 1, r"\$"), (1, 1.0, r"\$"),
                                     (1, True, r"\$"), (False, 0, r"\$"), ({"a": 1}, {}, r"\$"), ([], {}, r"\$"),
                                     ([1], [1, 2], r"\$"), ({"a": [0, {"b": "c"}]}, {"a": [0, {"b": "d"}]}, r"\$\.a\[1\]\.b"),
                                     (None, {}, r"\$")):
            self.assertRegex(difference(expected, got) or "", "^" + place + ":", (expected, got))

    def test_mismatches_name_the_line(self):
        ping = '{"send_json":{"id":1,"method":"ping"}}'
        self.assert_mismatch(r'\$\.id: 1 is not 2\nexpected \{"id": 2\}\ngot      \{"jsonrpc"', ping,
                             '{"expect":{"id":2}}')
        self.assert_mismatch("the line does not contain 'pong'", ping, '{"expect":{"id":1},"containing":"pong"}')
        self.assert_mismatch("nothing came within 0.2 s", '{"comment":"waits"}', '{"expect":{}}', limit=0.2)
        self.assert_mismatch("none of these", ping, ping, '{"expect_any_order":[{"id":1},{"id":2}]}')
        self.assert_mismatch("the connection was to be closed\ngot ", ping, '{"closed":true}')
        self.assert_mismatch("the daemon has closed", ping, '{"shutdown":true}', '{"expect":{"id":1}}',
                             '{"expect":{"id":1}}')
        self.assert_mismatch("nothing came", ping, '{"expect":{"id":1},"peer":"b"}', limit=0.2)

    def test_malformed_transcripts(self):
        for line in ("[]", "{", '{"expect":{},"send":""}', '{"expected":{}}', '{"send_hex":"00","times":3}'):
            with self.assertRaisesRegex(Malformed, r"t\.jsonl:1: "):
                replay(self.write(line), self.sim, self.daemon)


class Documentation(unittest.TestCase):
    """PROTOCOL.md says what the sources' tables say."""

    def test_methods(self):
        self.assertEqual(sorted(document.sections()), sorted(document.implemented_methods()))

    def test_errors_of_calls(self):
        table = {}
        for _, rest in document.x_table("proto/errors.h", "PROTO_ERRORS"):
            code, name = rest.split(",")[:2]
            table[name.strip().strip('"')] = int(code)
        self.assertEqual(document.documented_errors(), table)

    def test_tables_of_names(self):
        for chapter, path, macro in ((4, "daemon/core/future.h", "FUTURE_STATES"),
                                     (4, "daemon/core/future.h", "WHY_WAITING"),
                                     (7, "daemon/core/result.h", "ERROR_TYPES")):
            first_cells = {name for row in document.rows(document.chapter(chapter)) for name in document.names(row[0])}
            self.assertEqual(document.words(path, macro) - first_cells, set(), macro)
        types = {row[0] for row in document.rows(document.chapter(7)) if len(row) == 4}
        self.assertEqual({f"`{name}`" for name in document.words("daemon/core/result.h", "ERROR_TYPES")},
                         types - {"`type`", "---"})

    def test_other_names(self):
        for text, path, macro in ((document.chapter(7), "daemon/core/result.h", "ERROR_CATEGORIES"),
                                  (document.sections()["endpoints"], "daemon/core/endpoint.h", "GATE_CAUSES")):
            for name in document.words(path, macro):
                self.assertIn(f"`{name}`", text, macro)

    def test_parameters(self):
        known, in_sources = document.n_parameter_tables()
        self.assertEqual(known, in_sources)
        tables = document.documented_tables()
        common = tables.pop("")
        self.assertEqual(sorted(tables), ["await", "collect", "list", "register"])
        for method in document.implemented_methods():
            names = document.implemented_parameters(method)
            if method in tables:
                # register reads the rows that all have in common, but has nothing to search
                self.assertEqual(tables[method], names - ({"where"} if method == "register" else set()), method)
                continue
            text = document.sections()["ack" if method == "cancel" else method]
            for name in names:
                self.assertIn(f"`{name}`", text, method)
        for name in document.implemented_parameters("backoff"):
            self.assertIn(f"`{name}`", document.sections()["register"])
        self.assertEqual(common, {"request_id", "request_ids", "endpoint", "where"})

    def test_limits_and_features_that_hello_tells(self):
        with Sim(script={}) as sim, Daemon(sim.url) as daemon:
            hello = daemon.call("hello")
        text = document.sections()["hello"]
        for name, value in hello["limits"].items():
            self.assertIn(f'"{name}":{value}', text)
        for feature in hello["features"]:
            self.assertIn(f'"{feature}"', text)
        self.assertEqual(difference({"protocol": 1, "server": "*str", "instance": "*str", "uid": os.getuid()}, hello), None)


class Pages(Running):
    """Cursors of list and collect."""

    shared = False
    N = 250

    def setUp(self):
        super().setUp()
        self.ids = [f"p{k:03}" for k in range(self.N)]

    def register_all(self, answers):
        """In several calls; every third one with other metadata."""
        self.sim.script({"*": answers})
        for k in range(3):
            self.peer.call("register", request_ids=self.ids[k::3], metadata={"k": k, "of": 3})
        return self.ids[0::3] + self.ids[1::3] + self.ids[2::3]

    def end_all(self):
        """All ended; the ids in the order of their ends."""
        self.register_all([{**completed({"v": 1}), "until_release": True}])
        call = self.peer.send("await", request_ids=self.ids, stream=True)
        self.peer.call("ping")  # now it waits: none has ended before
        released = 0
        while released < self.N:
            released += self.sim.release()
        self.assertEqual(self.peer.reply(call), {"ended": self.N, "ok": self.N, "failed": 0})
        return [message["params"]["request_id"] for message in self.peer.notifications]

    def pages(self, method, between=lambda page: None, **params):
        """Every page; between() is called with each before the next one is asked for."""
        entries, after, n = "futures" if method == "list" else "results", None, 0
        while True:
            page = self.peer.call(method, after=after, **params)
            n += 1
            self.assertLess(n, 2 * self.N, "the pages do not end")
            self.assertLessEqual(len(page[entries]), params.get("limit", 100))
            yield [entry["request_id"] for entry in page[entries]]
            after = page["next"]
            if after is None:
                return
            between(page)

    def test_list_in_the_order_of_registering(self):
        order = self.register_all(HELD)
        for limit in (1, 7, 250, 1000):
            with self.subTest(limit=limit):
                self.assertEqual(sum(self.pages("list", limit=limit), []), order)
        self.assertEqual([len(page) for page in self.pages("list")], [100, 100, 50])
        self.assertEqual(sum(self.pages("list", limit=10, where={"k": 1}), []), self.ids[1::3])
        self.assertEqual(sum(self.pages("list", limit=10, state="completed"), []), [])

    def test_list_while_things_change(self):
        order = self.register_all(HELD)
        rest = iter(list(order))
        cancelled, late = [], []

        def change(_page):
            """Between two pages some end and go, one of them the page's last, and others come."""
            gone = [next(rest) for _ in range(5)]
            self.peer.call("cancel", request_ids=gone)
            self.peer.call("ack", request_ids=gone)
            cancelled.extend(gone)
            late.append(f"late{len(late)}")
            self.peer.call("register", request_id=late[-1])

        seen = sum(self.pages("list", between=change, limit=20), [])
        self.assertEqual(len(seen), len(set(seen)), "something came twice")
        self.assertEqual([request_id for request_id in seen if not request_id.startswith("late")],
                         [request_id for request_id in order
                          if request_id not in cancelled or request_id in seen])
        self.assertEqual(set(order) - set(cancelled) - set(seen), set())

    def test_collect_in_the_order_of_ends(self):
        order = self.end_all()
        for limit in (1, 9, 1000):
            with self.subTest(limit=limit):
                self.assertEqual(sum(self.pages("collect", limit=limit), []), order)
        chosen = [request_id for request_id in order if int(request_id[1:]) % 3 == 2]
        self.assertEqual(sum(self.pages("collect", limit=10, where={"k": "2"}), []), chosen)

    def test_collect_and_acknowledge_page_by_page(self):
        """However they are acknowledged, nothing is left out and nothing comes twice."""
        ways = {
            "with the page": ({"ack": True}, lambda page: None),
            "by a call": ({}, lambda page: self.peer.call("ack", request_ids=[one["request_id"] for one in page["results"]])),
        }
        for name, (params, between) in ways.items():
            with self.subTest(name):
                order = self.end_all()
                self.peer.notifications.clear()
                self.assertEqual(sum(self.pages("collect", between, limit=40, **params), []), order)
                self.peer.call("ack", where={})
                self.assertEqual(self.peer.call("list")["futures"], [])

    def test_cursors_that_no_page_gave(self):
        self.end_all()
        for method in ("list", "collect"):
            cursor = self.peer.call(method, limit=3)["next"]
            self.assertIsInstance(cursor, str)
            for wrong in ("", "x", "-1", "1-", "0x10", cursor + "x", "x" + cursor, "é", "1\0", "9" * 70, cursor + "\n"):
                with self.subTest(method=method, after=wrong), self.assertRaises(CallError) as caught:
                    self.peer.call(method, after=wrong)
                self.assertEqual((caught.exception.name, caught.exception.data["member"]), ("invalid_params", "after"))
            self.assertEqual(len(sum(self.pages(method, limit=50), [])), self.N)


class Pipelining(Running):
    """Calls that do not wait for each other."""

    def test_a_thousand_calls(self):
        """Of many kinds, in one go; each reply is that of its id."""
        self.register("done", [completed("done")])
        self.peer.outcome("done")
        self.register("held", HELD)
        wanted, lines = {}, []
        for k in range(1000):
            call = k if k % 2 else f"call {k}"
            method, params, expected = (
                ("ping", {}, {}),
                ("status", {"request_id": "done"}, {"request_id": "done", "ok": True}),
                ("collect", {"request_ids": ["done", "held"]}, {"results": [{"result": "done"}, {"ok": None}]}),
                ("await", {"request_id": "done"}, {"results": [{"request_id": "done", "ok": True}]}),
                ("register", {"request_id": f"r{k}"}, {"registrations": [{"request_id": f"r{k}", "new": True}]}),
                ("cancel", {"request_id": f"r{k - 1}"}, {"not_registered": []}),
                ("status", {"request_id": f"unknown{k}"}, "not_found"),
                ("nothing", {}, "method_not_found"),
            )[k % 8]
            wanted[call] = expected
            lines.append({"id": call, "method": method, "params": params})
        with self.daemon.connect() as peer:
            peer.send_raw("".join(document.json_line(line) for line in lines))
            while wanted:
                message = peer.read()
                expected = wanted.pop(message["id"])
                got = message["error"]["data"]["name"] if "error" in message else message["result"]
                self.assertIsNone(difference(expected, got), (expected, message))
        self.assertEqual(self.peer.call("cancel", where={})["cancelled"], 1)

    def test_more_than_may_be_outstanding(self):
        """1,024 calls wait; what is sent behind them is read when one of them is answered."""
        self.register("later", [{"json": "now", "until_release": True}])
        waits = 1024
        with self.daemon.connect() as peer:
            peer.send_raw("".join(document.json_line({"id": k, "method": "await", "params": {"request_id": "later"}})
                                  for k in range(waits - 1)))
            peer.send_raw(document.json_line({"id": "before", "method": "ping"}))
            self.assertEqual(peer.read()["id"], "before")
            peer.send_raw(document.json_line({"id": waits - 1, "method": "await", "params": {"request_id": "later"}})
                          + document.json_line({"id": "behind", "method": "ping"}))
            wait_for(lambda: self.peer.call("stats")["gauges"]["calls_outstanding"] == waits, "all of them wait")
            self.sim.release("later")
            order = [peer.read()["id"] for _ in range(waits + 1)]
            self.assertNotEqual(order[0], "behind")
            self.assertEqual(set(order), {*range(waits), "behind"})

    def test_more_than_is_held_for_it(self):
        """Ten thousand calls by a client that begins to read when all are sent, or when it can send no more."""
        generator, sent = random.Random(1), []
        for k in range(10000):
            sent.append(document.json_line({"id": k, "method": generator.choice(["ping", "hello", "endpoints", "stats"])}))
        with self.daemon.connect() as peer:
            writer = threading.Thread(target=peer.send_raw, args=("".join(sent),))
            writer.start()
            before = self.daemon.call("stats")["counters"]["calls"]
            wait_for(lambda: not writer.is_alive() or self.daemon.call("stats")["counters"]["calls"] > before + 100,
                     "calls are carried out")
            self.assertEqual([peer.read()["id"] for _ in range(10000)], list(range(10000)))
            writer.join()


if __name__ == "__main__":
    unittest.main()
