"""The adapter beside the definition: log_softmax in float64, token by token, under the real harness.

Exits with an error if a log-likelihood is off by more than 1e-6 per token, if `is_greedy` is another, or if a task's
metrics are; and if a fault planted in either is not seen.
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from lm_eval import evaluator, tasks
from lm_eval.api.instance import Instance

from sortilege_lm import SortilegeLM
from tiny_model import TinyModel

LIMIT = 1e-6  # nats per token: what a logprob may be off


class Definition(SortilegeLM):
    """The same texts, windows and batches, and its own arithmetic."""

    def score(self, pairs):
        answers = []
        for context, continuation in pairs:
            tokens = (context + continuation)[-(self.model.max_length + 1) :][:-1]
            rows = self.model.logits([tokens])[0].astype(np.float64)[len(tokens) - len(continuation) :]
            shifted = rows - rows.max(axis=1, keepdims=True)
            logprobs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            total = float(sum(logprobs[place, token] for place, token in enumerate(continuation)))
            # Of equal logits argmax takes the first, as greedy decoding does here.
            answers.append((total, bool((rows.argmax(axis=1) == continuation).all())))
        return answers


class Faulty(Definition):
    """Reads each row one place too early."""

    def score(self, pairs):
        return super().score([(context[:-1] + context[:1], continuation) for context, continuation in pairs])


def texts(count, longest, seed):
    letters = random.Random(seed)
    words = ["the", "cat", "sat", "on", "a", "mat", "é", "漢字", "...", "\n"]
    several = (letters.choices(words, k=letters.randint(1, longest)) for _ in range(count))
    # White space alone is no context: the harness moves it to the continuation.
    return ["a" + " ".join(some) for some in several]


def greedy_continuation(model, context, count):
    tokens = model.encode(context)
    for _ in range(count):
        tokens.append(int(model.logits([tokens[-model.max_length :]])[0][-1].argmax()))
    return tokens[-count:]


def requests(model):
    """Contexts of none to more than the model takes, some with a space at their end; some continuations are greedy."""
    contexts = ["", *texts(60, 20, 1)]
    pairs = [(context + " " * (place % 3 == 1), text) for place, (context, text) in
             enumerate(zip(contexts, texts(61, 4, 2)))]
    for context in contexts[1:]:
        # Those bytes that are text.
        greedy = bytes(token for token in greedy_continuation(model, context, 1) if token < 128).decode()
        if greedy.strip():
            pairs.append((context, greedy))
    kind = "loglikelihood"
    return [Instance(kind, {}, pair, number) for number, pair in enumerate(pairs)]


def worst_difference(ours, theirs, lengths):
    return max(abs(a - b) / length for a, b, length in zip(ours, theirs, lengths))


def check_loglikelihood(ours, theirs):
    asked = requests(ours.model)
    got, expected = ours.loglikelihood(asked, disable_tqdm=True), theirs.loglikelihood(asked, disable_tqdm=True)
    lengths = [len(ours.model.encode(request.args[1])) for request in asked]
    worst = worst_difference([total for total, _ in got], [total for total, _ in expected], lengths)
    same = [greedy for _, greedy in got] == [greedy for _, greedy in expected]
    n_greedy = sum(greedy for _, greedy in expected)
    words = f"loglikelihood: {len(asked)} requests, {n_greedy} greedy, worst {worst:.1e} nats a token"
    return words, worst < LIMIT and same and 0 < n_greedy < len(asked)


def check_rolling(ours, theirs):
    asked = [Instance("loglikelihood_rolling", {}, (text,), n) for n, text in enumerate(texts(20, 120, 3))]
    got, expected = ours.loglikelihood_rolling(asked), theirs.loglikelihood_rolling(asked)
    lengths = [len(ours.model.encode(request.args[0])) for request in asked]
    worst = worst_difference(got, expected, lengths)
    longest = max(lengths) / ours.model.max_length
    words = f"loglikelihood_rolling: {len(asked)} texts of up to {longest:.1f} windows, worst {worst:.1e} nats a token"
    return words, worst < LIMIT and longest > 3


TASK = """\
task: tiny_choice
dataset_path: json
dataset_kwargs:
  data_files: {{test: {data}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
doc_to_choice: "{{{{choices}}}}"
target_delimiter: " "
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
"""


def metrics(model, folder):
    manager = tasks.TaskManager(include_path=str(folder), include_defaults=False)
    found = evaluator.simple_evaluate(
        model=model, tasks=["tiny_choice"], task_manager=manager, bootstrap_iters=0, random_seed=1
    )
    return {name: value for name, value in found["results"]["tiny_choice"].items() if name.startswith("acc")}


def check_task(ours, theirs):
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "test.jsonl")
        docs = zip(texts(40, 8, 4), *(texts(40, longest, 5 + longest) for longest in (2, 3, 4, 6)))
        lines = [{"question": question, "choices": choices, "answer": n % 4} for n, (question, *choices) in enumerate(docs)]
        data.write_text("\n".join(map(json.dumps, lines)))
        Path(folder, "tiny_choice.yaml").write_text(TASK.format(data=data))
        got, expected = metrics(ours, folder), metrics(theirs, folder)
    return f"tiny_choice: {got}", got == expected and len(got) >= 2


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="sortilege")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    model = TinyModel()
    ours, theirs = SortilegeLM(model, args.program, args.device), Definition(model)
    failed = []
    for check in (check_loglikelihood, check_rolling, check_task):
        start = time.monotonic()
        words, holds = check(ours, theirs)
        print(f"{words}, {time.monotonic() - start:.1f} s{'' if holds else ': FAILED'}")
        failed += [check.__name__] * (not holds)
    for check in (check_loglikelihood, check_rolling):
        if check(ours, Faulty(model))[1]:
            failed.append(f"{check.__name__} does not see a fault")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")
    print("lm-evaluation-harness says the same of sortilege's numbers and of the definition's")


if __name__ == "__main__":
    main()
