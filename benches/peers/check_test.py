"""`python3 check_test.py`: what is right passes, and every fault is seen."""

import copy
import unittest

import numpy as np

import check
import data
import numpy_cpu

ROWS, VOCAB, TOP = 16, 1000, 5


def as_ours(found: list[dict]) -> list[dict]:
    """Rows of numpy's records in the shape of `sortilege log`."""
    return [
        {
            "logprob": row["logprob"],
            "rank": row["rank"],
            "top": [{"token": t, "logprob": p} for t, p in zip(row["tokens"], row["logprobs"])],
        }
        for row in found
    ]


class Found(unittest.TestCase):
    def setUp(self) -> None:
        self.logits = data.values("normal", ROWS, VOCAB)
        self.logits[3, 10:12] = 30  # a tie at the top
        self.targets = data.targets(ROWS, VOCAB)
        self.found = numpy_cpu.record(self.logits, np.array(self.targets), TOP)
        self.ours = as_ours(copy.deepcopy(self.found))

    def compare(self) -> None:
        check.found("peer", self.found, self.ours, self.logits, self.targets)

    def assert_seen(self) -> None:
        with self.assertRaises(check.Mismatch):
            self.compare()

    def test_equal(self) -> None:
        self.compare()

    def test_tied_tokens_may_change_places(self) -> None:
        tokens = self.found[3]["tokens"]
        tokens[0], tokens[1] = tokens[1], tokens[0]
        self.compare()

    def test_one_tied_token_twice(self) -> None:
        self.found[3]["tokens"][0] = self.found[3]["tokens"][1]
        self.assert_seen()

    def test_a_wrong_token(self) -> None:
        self.found[7]["tokens"][4] = int(np.argsort(self.logits[7])[-6])
        self.assert_seen()

    def test_a_missing_token(self) -> None:
        self.found[7]["tokens"].pop()
        self.assert_seen()

    def test_a_logprob_of_the_top(self) -> None:
        self.found[15]["logprobs"][4] += 2e-5
        self.assert_seen()

    def test_the_target(self) -> None:
        self.found[0]["logprob"] -= 2e-5
        self.assert_seen()

    def test_not_a_number(self) -> None:
        self.found[0]["logprob"] = float("nan")
        self.assert_seen()

    def test_a_rank_too_small(self) -> None:
        self.found[2]["rank"] -= 1
        self.assert_seen()

    def test_a_rank_too_large(self) -> None:
        self.found[2]["rank"] += 1
        self.assert_seen()

    def test_our_own_rank(self) -> None:
        self.ours[2]["rank"] += 1
        self.found[2]["rank"] += 1
        self.assert_seen()

    def test_a_missing_row(self) -> None:
        self.found.pop()
        self.assert_seen()


class Drawn(unittest.TestCase):
    def setUp(self) -> None:
        self.logits = data.values("normal", ROWS, VOCAB)
        rng = np.random.default_rng(1)
        weights = np.exp(self.logits.astype(np.float64))
        self.weights = weights / weights.sum(1, keepdims=True)
        self.drawn = [rng.choice(VOCAB, 64, p=row).tolist() for row in self.weights]

    def assert_seen(self) -> None:
        with self.assertRaises(check.Mismatch):
            check.drawn("peer", self.drawn, self.logits)

    def test_right(self) -> None:
        check.drawn("peer", self.drawn, self.logits)

    def test_always_the_best(self) -> None:
        self.drawn = [[int(row.argmax())] * 64 for row in self.logits]
        self.assert_seen()

    def test_uniform(self) -> None:
        rng = np.random.default_rng(1)
        self.drawn = rng.integers(0, VOCAB, (ROWS, 64)).tolist()
        self.assert_seen()

    def test_a_lukewarm_temperature(self) -> None:
        rng = np.random.default_rng(1)
        cooler = self.weights**1.3
        self.drawn = [rng.choice(VOCAB, 64, p=row / row.sum()).tolist() for row in cooler]
        self.assert_seen()

    def test_no_such_token(self) -> None:
        self.drawn[1][0] = VOCAB
        self.assert_seen()

    def test_a_missing_row(self) -> None:
        self.drawn.pop()
        self.assert_seen()


class Data(unittest.TestCase):
    def test_bf16_rounds_to_even(self) -> None:
        values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-7, -3.14159], np.float32)
        expected = np.array([1.0, 1.0, 1 + 2**-6, 1 + 2**-7, -3.140625], np.float32)
        np.testing.assert_array_equal(data.widen(data.to_bf16(values)), expected)

    def test_few_rows_are_the_head_of_many(self) -> None:
        np.testing.assert_array_equal(data.values("normal", 2, VOCAB), data.values("normal", 3, VOCAB)[:2])


if __name__ == "__main__":
    unittest.main()
