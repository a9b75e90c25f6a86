"""The lifelike server: submissions, queue states, holds and results."""

import json
import time
import unittest

from support import EARLY, LIMIT, Raw  # first: it makes sim.py importable
from sim import Sim


class Lifelike(unittest.TestCase):
    FAST = ["--min-ms", "20", "--max-ms", "150", "--hold-ms", "50"]

    def sim(self, *args, **options):
        sim = Sim(mode="lifelike", args=args, **options)
        self.addCleanup(sim.stop)
        return sim

    def run_out(self, sim, request_id, allow=True):
        """Polls until something final comes: all answers, each (status, decoded body)."""
        answers = []
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            status, _, body = sim.poll(request_id, allow)
            body = json.loads(body)
            answers.append((status, body))
            if body.get("status") == "complete_metadata":
                allow = False
            elif status not in (200, 408) or (status == 200 and body.get("type") != "try_again"):
                return answers
        self.fail("no end: %r" % answers)

    def sampler(self, sim):
        status, session = sim.submit("create_session", {})
        self.assertEqual(status, 200)
        status, sampler = sim.submit("create_sampling_session", {"session_id": session["session_id"],
                                                                 "base_model": "Qwen/Qwen3-8B"})
        self.assertEqual(status, 200)
        return session["session_id"], sampler["sampling_session_id"]

    def sample(self, sim, sampler, **more):
        status, answer = sim.submit("asample", {"sampling_session_id": sampler, "seq_id": 0, "num_samples": 2,
                                                "prompt": {"chunks": []}, "sampling_params": {"max_tokens": 32},
                                                **more})
        self.assertEqual(status, 200, answer)
        return answer["request_id"]

    def test_every_kind_to_its_end(self):
        sim = self.sim(*self.FAST, "--fail-percent", "0")
        session, sampler = self.sampler(sim)
        self.assertEqual(sim.submit("session_heartbeat", {"session_id": session})[0], 200)
        result = self.run_out(sim, self.sample(sim, sampler))[-1][1]
        self.assertEqual(result["type"], "sample")
        self.assertEqual(len(result["sequences"]), 2)
        for sequence in result["sequences"]:
            self.assertEqual(len(sequence["tokens"]), len(sequence["logprobs"]))
            self.assertTrue(16 < len(sequence["tokens"]) <= 32)
            self.assertTrue(all(isinstance(token, int) for token in sequence["tokens"]))
            self.assertTrue(all(-8 <= logprob <= 0 for logprob in sequence["logprobs"]))
            self.assertEqual(sequence["stop_reason"], "length" if len(sequence["tokens"]) == 32 else "stop")

        _, model = sim.submit("create_model", {"session_id": session, "base_model": "Qwen/Qwen3-8B"})
        self.assertEqual(self.run_out(sim, model["request_id"])[-1][1]["model_id"], model["model_id"])
        model_id = model["model_id"]

        data = [{"model_input": {"chunks": [{"tokens": [1] * n}, {"tokens": [2]}]}} for n in (3, 5)]
        _, submitted = sim.submit("forward_backward", {"model_id": model_id, "seq_id": 1,
                                                       "forward_backward_input": {"data": data,
                                                                                  "loss_fn": "cross_entropy"}})
        self.assertEqual(submitted["model_id"], model_id)
        result = self.run_out(sim, submitted["request_id"])[-1][1]
        self.assertEqual([output["logprobs"]["shape"] for output in result["loss_fn_outputs"]], [[4], [6]])
        self.assertEqual([len(output["logprobs"]["data"]) for output in result["loss_fn_outputs"]], [4, 6])
        self.assertIn("loss:sum", result["metrics"])

        for name, body, member in (("optim_step", {}, "metrics"), ("save_weights", {"path": "step-1"}, "path"),
                                   ("save_weights", {}, "path"), ("load_weights", {"path": "tinker://x/y"}, "path")):
            _, submitted = sim.submit(name, {"model_id": model_id, "seq_id": 2, **body})
            result = self.run_out(sim, submitted["request_id"])[-1][1]
            self.assertIn(member, result)
            if name == "save_weights":
                self.assertTrue(result["path"].startswith("tinker://%s/weights/" % model_id))

    def test_every_queue_state_occurs(self):
        sim = self.sim("--min-ms", "3600000", "--max-ms", "3600000", "--hold-ms", "1", "--hold-answer", "try_again")
        _, sampler = self.sampler(sim)
        seen = set()
        for _ in range(20):
            body = json.loads(sim.poll(self.sample(sim, sampler))[2])
            self.assertEqual(body["type"], "try_again")
            seen.add((body["queue_state"], bool(body["queue_state_reason"])))
        self.assertEqual(seen, {("active", False), ("paused_capacity", True), ("paused_rate_limit", True)})

    def test_changes_of_the_queue_state_end_a_hold(self):
        """Until one request was seen to go from a pause to active while its poll was held."""
        sim = self.sim("--min-ms", "200", "--max-ms", "400", "--hold-ms", "3600000", "--fail-percent", "0")
        _, sampler = self.sampler(sim)
        deadline = time.monotonic() + LIMIT
        resumed = False
        while not resumed and time.monotonic() < deadline:
            answers = self.run_out(sim, self.sample(sim, sampler))
            states = [body["queue_state"] for _, body in answers[:-1]]
            self.assertEqual(answers[-1][1]["type"], "sample")
            self.assertTrue(all(one != two for one, two in zip(states, states[1:])), states)
            resumed = len(states) > 1 and states[-1] == "active"
        self.assertTrue(resumed)
        self.assertEqual(sim.stats()["overlaps"], 0)

    def test_polls_are_held(self):
        for form, expected in (("try_again", {200}), ("408", {408}), ("mixed", {200, 408})):
            sim = self.sim("--min-ms", "3600000", "--max-ms", "3600000", "--hold-ms", "40", "--hold-answer", form)
            _, sampler = self.sampler(sim)
            statuses = set()
            for _ in range(4):
                request_id = self.sample(sim, sampler)
                for _ in range(3):
                    status, _, body = sim.poll(request_id)
                    poll = sim.polls(request_id)[-1]
                    if poll["t_answer_ms"] - poll["t_ms"] >= 40 - EARLY * 1000:
                        statuses.add(status)
                        self.assertIn("queue_state", json.loads(body))
            self.assertEqual(statuses, expected, form)

    def test_the_seed_decides(self):
        def everything(seed):
            with Sim(mode="lifelike", seed=seed, args=["--min-ms", "1", "--max-ms", "2"]) as sim:
                _, sampler = self.sampler(sim)
                ids = [self.sample(sim, sampler) for _ in range(12)]
                return ids, [self.run_out(sim, id)[-1] for id in ids]

        self.assertEqual(everything(7), everything(7))
        self.assertNotEqual(everything(7), everything(8))

    def test_failures(self):
        for category in ("user", "server"):
            sim = self.sim(*self.FAST, "--fail-percent", "100", "--fail-category", category)
            _, sampler = self.sampler(sim)
            status, body = self.run_out(sim, self.sample(sim, sampler))[-1]
            self.assertEqual((status, body["category"]), (200, category))
            self.assertTrue(body["error"])

    def test_large_results_announce_themselves(self):
        sim = self.sim("--min-ms", "1", "--max-ms", "1", "--fail-percent", "0", "--metadata-above", "1000")
        _, sampler = self.sampler(sim)
        small = self.sample(sim, sampler, num_samples=1, sampling_params={"max_tokens": 10})
        self.assertNotIn("complete_metadata", json.dumps(self.run_out(sim, small)))
        large = self.sample(sim, sampler, num_samples=4, sampling_params={"max_tokens": 1000})
        answers = self.run_out(sim, large)
        self.assertEqual(answers[-2][1]["status"], "complete_metadata")
        self.assertEqual(answers[-2][1]["response_payload_size"], sim.polls(large)[-1]["body_bytes"])
        self.assertEqual(len(answers[-1][1]["sequences"]), 4)
        again = self.run_out(sim, large, allow=False)
        self.assertEqual(again, answers[-1:])

    def test_operations_of_a_model_are_done_in_order(self):
        sim = self.sim("--min-ms", "50", "--max-ms", "60", "--hold-ms", "20000", "--fail-percent", "0")
        _, model = sim.submit("create_model", {})
        ids = [model["request_id"]]
        for seq_id in range(3):
            ids.append(sim.submit("optim_step", {"model_id": model["model_id"], "seq_id": seq_id})[1]["request_id"])
        self.run_out(sim, ids[-1])
        for id in ids[:-1]:
            self.assertEqual(len(self.run_out(sim, id)), 1, "done before the last one was")

    def test_a_result_can_be_forgotten(self):
        sim = self.sim("--min-ms", "1", "--max-ms", "1", "--fail-percent", "0", "--forget-ms", "1")
        _, sampler = self.sampler(sim)
        request_id = self.sample(sim, sampler)
        self.assertEqual(self.run_out(sim, request_id)[-1][0], 200)
        deadline = time.monotonic() + LIMIT
        status = 200
        while status != 404 and time.monotonic() < deadline:
            status = sim.poll(request_id)[0]
        self.assertEqual(status, 404)

    def test_ids_in_decimal(self):
        sim = self.sim(*self.FAST, "--ids", "decimal")
        _, sampler = self.sampler(sim)
        self.assertEqual([self.sample(sim, sampler) for _ in range(3)], ["1", "2", "3"])
        self.assertEqual(sim.poll("x")[0], 500)
        self.assertEqual(sim.poll("99")[0], 404)

    def test_unknown_things(self):
        sim = self.sim()
        self.assertEqual(sim.poll("x")[0], 404)
        for name, body, status in (("create_sampling_session", {}, 422),
                                   ("create_sampling_session", {"session_id": "x"}, 422),
                                   ("create_sampling_session", {"session_id": "x", "base_model": "m"}, 404),
                                   ("session_heartbeat", {}, 422), ("session_heartbeat", {"session_id": "x"}, 404),
                                   ("asample", {}, 422), ("asample", {"sampling_session_id": "x"}, 404),
                                   ("asample", {"sampling_session_id": 7}, 404),
                                   ("asample", {"base_model": "m", "num_samples": 0}, 422),
                                   ("asample", {"base_model": "m", "sampling_params": {"max_tokens": 1 << 40}}, 422),
                                   ("optim_step", {}, 422), ("optim_step", {"model_id": "x"}, 404),
                                   ("forward_backward", {"model_id": "x"}, 404), ("asample", [], 422),
                                   ("nothing", {}, 404)):
            self.assertEqual(sim.submit(name, body)[0], status, (name, body))
        _, model = sim.submit("create_model", {})
        for name, body in (("save_weights", {"path": 'a"b'}), ("load_weights", {})):
            self.assertEqual(sim.submit(name, {"model_id": model["model_id"], **body})[0], 422)

    def test_key(self):
        sim = self.sim(require_key="tml-1")
        self.assertEqual(sim.submit("create_session", {})[0], 401)
        self.assertEqual(sim.submit("create_session", {}, {"X-API-Key": "tml-1"})[0], 200)
        self.assertEqual(sim.poll("a")[0], 401)

    def test_scripts_come_first(self):
        sim = self.sim(*self.FAST, "--fail-percent", "0", script={"a": [{"json": {"scripted": True}}]})
        _, sampler = self.sampler(sim)
        sim.script({"**": [{"status": 503}]})
        request_id = self.sample(sim, sampler)
        self.assertEqual(sim.poll(request_id)[0], 503)
        self.assertEqual(sim.poll("a")[2], b'{"scripted":true}')
        self.assertEqual(self.run_out(sim, request_id)[-1][1]["type"], "sample")

    def test_held_polls_that_are_given_up(self):
        sim = self.sim("--min-ms", "3600000", "--max-ms", "3600000", "--hold-ms", "3600000")
        _, sampler = self.sampler(sim)
        request_id = self.sample(sim, sampler)
        for count in range(1, 4):
            with Raw(sim) as raw:
                raw.poll(request_id)
                sim.wait_for(lambda stats: stats["polls"] == count)
            sim.wait_for(lambda stats: stats["in_flight"] == 0)
        self.assertEqual(sim.stats()["overlaps"], 0)


if __name__ == "__main__":
    unittest.main()
