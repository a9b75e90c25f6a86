"""Local processes that do not read, do not finish, or go away in the middle of something: nobody else notices."""

import random
import socket
import threading
import unittest

import document
from daemon import Daemon, wait_for
from running import Running, completed
from sim import generated_body
from watching import assert_idle, assert_quick, measuring_environment, own_descriptors, peak_growth, peers_are

BIG = 10 * 1024 * 1024
MIB = 1024 * 1024
HELD = [{"never": True}]


class Measured(Running):
    """A daemon whose memory can be measured, and one connection that is used like any other."""

    endpoint = {"max_connections": "8"}

    @classmethod
    def make_daemon(cls, sim):
        return Daemon(sim.url, endpoint={"backoff_initial": "20ms", **cls.endpoint}, limits=cls.limits,
                      env=measuring_environment())

    def have_big(self):
        """A result of 10 MB under the id `big`."""
        self.register("big", [{"size": BIG}])
        wait_for(lambda: self.status("big")["ok"], "it has ended")

    def gauges(self):
        return self.peer.call("stats")["gauges"]

    def counted_calls(self):
        return self.counters()["calls"]


class NoReaders(Measured):
    """Peers that never read what they ask for."""

    def have_long_list(self):
        """400 registrations whose list takes a megabyte."""
        for start in range(0, 400, 100):
            self.peer.call("register", request_ids=[f"l{k}" for k in range(start, start + 100)],
                           metadata={"m": "x" * 2500})

    def setUp(self):
        super().setUp()
        self.sim.script({"*": HELD})
        self.addCleanup(self.forget)

    def forget(self):
        for method in ("cancel", "ack"):
            while self.peer.call(method, where={}).get("more"):
                pass
        peers_are(self.peer, 1)
        wait_for(lambda: self.gauges()["peer_memory_bytes"] == 0, "nothing is held for anybody")

    def test_replies_without_end(self):
        """Five gigabytes of replies are asked for; the daemon stops reading after about one megabyte of them."""
        self.have_long_list()
        before = self.counted_calls()
        with self.daemon.connect() as lazy, peak_growth(self.daemon) as growth:
            line = document.json_line({"id": 1, "method": "list", "params": {"limit": 1000}})
            writer = threading.Thread(target=self.write_all, args=(lazy, line * 5000))
            writer.start()
            wait_for(lambda: self.gauges()["peer_memory_bytes"] > MIB // 2, "as much is owed as may be")
            assert_quick(self, self.peer, "while another reads nothing")
            self.assertLess(self.gauges()["peer_memory_bytes"], 4 * MIB)
            own = 300 + 100  # pings and questions of this test, about
            self.assertLess(self.counted_calls() - before, 50 + own)
            # it is paused, not closed: what it is owed comes when it reads
            for _ in range(10):
                self.assertEqual(len(lazy.read()["result"]["futures"]), 400)
            lazy.socket.shutdown(socket.SHUT_RDWR)
            writer.join()
        self.assertLess(growth(), 20 * MIB)

    @staticmethod
    def write_all(peer, text):
        try:
            peer.send_raw(text)
        except OSError:
            pass  # closed before all was taken: that is the test's end

    def test_large_results_that_nobody_reads(self):
        """Twenty peers ask for 10 MB a thousand times each: the body is in memory once."""
        self.have_big()
        with peak_growth(self.daemon) as growth:
            lazy = [self.daemon.connect() for _ in range(20)]
            line = document.json_line({"id": 1, "method": "collect", "params": {"request_id": "big"}})
            for peer in lazy:
                peer.send_raw(line * 1000)
            wait_for(lambda: self.counted_calls() > 20 * 1000, "all calls are carried out")
            assert_quick(self, self.peer, "while twenty are owed ten gigabytes each")
        self.assertLess(growth(), 80 * MIB)
        result = lazy[7].read_large()
        self.assertIn(b'"result":' + generated_body("big", BIG) + b"}", result)
        for peer in lazy:
            peer.close()

    def test_streams_that_nobody_reads(self):
        """A thousand outcomes of 20 KB, told one by one: they wait in their place, and come in the end."""
        ids = [f"s{k}" for k in range(1000)]
        self.sim.script({"*": [{"size": 20000}]})
        with self.daemon.connect() as lazy, peak_growth(self.daemon) as growth:
            lazy.call("register", request_ids=ids)
            call = lazy.send("await", request_ids=ids, stream=True)
            self.peer.call("await", request_ids=ids[:500], stream=True)
            assert_quick(self, self.peer, "while a thousand outcomes are owed")
            self.peer.call("await", request_ids=ids, stream=True)
            self.assertEqual(lazy.reply(call), {"ended": 1000, "ok": 1000, "failed": 0})
            self.assertEqual({one["params"]["request_id"] for one in lazy.notifications}, set(ids))
        self.peer.notifications.clear()
        self.assertLess(growth(), 80 * MIB)  # 20 MB are the results themselves

    def test_pings_without_end(self):
        """Small replies: several writers send as much as they can, and read nothing."""
        lazy = [self.daemon.connect() for _ in range(4)]
        lines = (document.json_line({"id": 1, "method": "ping"}) * 100000).encode()
        with peak_growth(self.daemon) as growth:
            threads = [threading.Thread(target=self.write_all, args=(peer, lines)) for peer in lazy]
            for thread in threads:
                thread.start()
            wait_for(lambda: self.gauges()["peer_memory_bytes"] > 2 * MIB, "as much is owed to all as may be")
            assert_quick(self, self.peer, "while four write without reading")
            self.assertLess(self.gauges()["peer_memory_bytes"], 12 * MIB)
        self.assertLess(growth(), 30 * MIB)
        for peer in lazy:
            peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for peer in lazy:
            peer.close()


class GreedyPeers(Measured):
    """max_peer_memory: whoever holds most is closed."""

    limits = {"max_peer_memory": "4M"}

    def test_the_greediest_are_closed(self):
        self.sim.script({"*": HELD})
        for start in range(0, 400, 100):
            self.peer.call("register", request_ids=[f"l{k}" for k in range(start, start + 100)],
                           metadata={"m": "x" * 2500})
        greedy = [self.daemon.connect() for _ in range(10)]
        for peer in greedy:
            peer.send("list", limit=1000)
            peer.send("list", limit=1000)
        wait_for(lambda: self.counters()["peers_dropped"] >= 6, "some are closed")
        self.assertLessEqual(self.gauges()["peer_memory_bytes"], 4 * MIB)
        # the others still get what they asked for
        whole = 0
        for peer in greedy:
            lines = [peer.read_raw(), peer.read_raw()]
            whole += None not in lines
            peer.close()
        self.assertEqual(whole, 10 - self.counters()["peers_dropped"])
        self.assertGreater(whole, 0)


class HalfLines(Measured):
    """Lines that do not end, or come slowly."""

    def test_half_a_line_for_ever(self):
        """A hundred of them cost their bytes and nothing else; when they end they are answered."""
        line = document.json_line({"id": 7, "method": "ping", "params": {"x": "y" * 50000}}).encode()
        generator = random.Random(3)
        halves = [(self.daemon.connect(), generator.randrange(1, len(line))) for _ in range(100)]
        sent = 0
        for peer, cut in halves:
            peer.send_raw(line[:cut])
            sent += cut
        wait_for(lambda: self.gauges()["peer_memory_bytes"] >= sent, "all has been read")
        self.assertLess(self.gauges()["peer_memory_bytes"], 100 * (2 * len(line) + 2 * 65536))
        assert_idle(self, self.daemon)
        assert_quick(self, self.peer, "beside a hundred half lines")
        for peer, cut in halves:
            peer.send_raw(line[cut:])
        for peer, _ in halves:
            self.assertEqual(peer.read(), {"jsonrpc": "2.0", "id": 7, "result": {}})
            peer.close()

    def test_one_byte_at_a_time(self):
        self.sim.script({"slow": [completed("byte by byte")]})
        text = "".join(document.json_line(line) for line in (
            {"id": 1, "method": "register", "params": {"request_id": "slow"}},
            {"id": 2, "method": "await", "params": {"request_id": "slow"}},
            {"id": "é", "method": "ping"}))
        with self.daemon.connect() as peer:
            for k, byte in enumerate(text.encode()):
                peer.send_raw(bytes([byte]))
                if k % 16 == 0:
                    self.peer.call("ping")  # so that the byte is read by itself
            replies = {message["id"]: message["result"] for message in (peer.read(), peer.read(), peer.read())}
        self.assertEqual(replies["é"], {})
        self.assertEqual(replies[2]["results"][0]["result"], "byte by byte")

    def test_one_byte_of_many_at_a_time(self):
        """Many lines of many peers at once, each in pieces of its own size."""
        generator = random.Random(4)
        peers = [self.daemon.connect() for _ in range(20)]
        left = [b"".join(document.json_line({"id": k, "method": "ping"}).encode() for k in range(50)) for _ in peers]
        while any(left):
            i = generator.randrange(len(peers))
            size = generator.choice((1, 2, 7, 40, 300))
            peers[i].send_raw(left[i][:size])
            left[i] = left[i][size:]
        for peer in peers:
            self.assertEqual([peer.read()["id"] for _ in range(50)], list(range(50)))
            peer.close()


class Disconnects(Measured):
    """Going away in the middle of everything, over and over."""

    def setUp(self):
        super().setUp()
        self.have_big()
        self.sim.script({"*": [completed(1)], "held": HELD})
        self.register("held")
        self.generator = random.Random(5)
        self.kept = []
        self.n_rounds = 0

    def new_ids(self, prefix):
        self.n_rounds += 1
        return [f"{prefix}-{self.n_rounds}-{k}" for k in range(20)]

    def send_register(self, peer, ids, **options):
        return peer.send("register", request_ids=ids, metadata={"by": "somebody who went"}, **options)

    def in_a_line(self, peer):
        peer.send_raw('{"id":1,"method":"regis')

    def in_a_long_line(self, peer):
        peer.send_raw('{"id":1,"method":"ping","params":{"x":"' + "y" * 200000)

    def before_reading(self, peer):
        for _ in range(50):
            peer.send("stats")

    def while_a_register_is_held(self, peer):
        ids = self.new_ids("held")
        self.send_register(peer, ids)
        self.kept += ids

    def while_a_linked_register_is_held(self, peer):
        self.send_register(peer, self.new_ids("linked"), linked=True)

    def while_it_waits(self, peer):
        peer.send("await", request_ids=["held", "big"])
        peer.send("await", request_id="held", await_timeout_ms=600000)

    def in_a_stream(self, peer):
        ids = self.new_ids("streamed")
        peer.reply(self.send_register(peer, ids))
        self.kept += ids
        peer.send("await", request_ids=["big", "held", *ids], stream=True)
        peer.socket.recv(100)

    def in_ten_megabytes(self, peer):
        peer.send("collect", request_id="big", ack=True)
        left = self.generator.randrange(1, MIB)
        while left > 0:
            left -= len(peer.socket.recv(left))

    def before_ten_megabytes(self, peer):
        for _ in range(5):
            peer.send("await", request_id="big", ack=True)

    def after_shutting_down(self, peer):
        peer.send("await", request_id="held")
        peer.socket.shutdown(socket.SHUT_WR)

    def without_a_word(self, peer):
        """Connected, and gone again."""

    def go_away(self, rounds):
        """In all ways, in any order; then waits until nothing is left of them."""
        ways = [self.in_a_line, self.in_a_long_line, self.before_reading, self.while_a_register_is_held,
                self.while_a_linked_register_is_held, self.while_it_waits, self.in_a_stream, self.in_ten_megabytes,
                self.before_ten_megabytes, self.after_shutting_down, self.without_a_word]
        for _ in range(rounds):
            for way in self.generator.sample(ways, len(ways)):
                with self.daemon.connect() as peer:
                    way(peer)
        peers_are(self.peer, 1)
        wait_for(lambda: self.gauges()["registrations_live"] == 1, "all but `held` has ended")
        self.assertEqual(self.gauges()["calls_outstanding"], 0)
        self.assertEqual(self.gauges()["peer_memory_bytes"], 0)
        while self.kept:
            results = self.peer.call("await", request_ids=self.kept[:1000])["results"]  # until all of that is durable
            self.assertEqual({one["ok"] for one in results}, {True})
            del self.kept[:1000]
        while self.peer.call("ack", where={"by": "somebody who went"}).get("more"):
            pass

    def test_everything_is_as_before(self):
        self.go_away(10)  # now every buffer and pool has its size
        descriptors, memory = own_descriptors(self.daemon, self.peer), self.daemon.status_value("VmRSS")
        self.go_away(40)
        self.assertEqual(own_descriptors(self.daemon, self.peer), descriptors)
        wait_for(lambda: self.daemon.status_value("VmRSS") - memory < 10 * 1024, "memory as before")
        self.assertEqual([one["request_id"] for one in self.peer.call("list")["futures"]], ["big", "held"])
        self.assertTrue(self.peer.call("status", request_id="big")["ok"], "nobody had all of it")
        self.assert_ok(self.run_through("after all", [completed("well")]), "well")


if __name__ == "__main__":
    unittest.main()
