"""A model for lm-evaluation-harness whose log-likelihoods are those of `sortilege score`.

The model makes logits, the program scores them; the harness sees texts alone. No probability is computed here.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from lm_eval import utils
from lm_eval.api.model import TemplateLM


class SortilegeLM(TemplateLM):
    """`model` has `eot`, `max_length`, `encode(text) -> ids` and `logits(list of ids) -> [requests][positions][vocab]`,
    of which the rows past the end of a shorter list are of no use."""

    def __init__(self, model, program="sortilege", device="auto", batch_size=16):
        super().__init__()
        self.model, self.batch_size = model, batch_size
        self.command = [str(program), "score", "--device", device, "--format", "jsonl"]

    @property
    def eot_token_id(self):
        return self.model.eot

    def tok_encode(self, string, add_special_tokens=None, **kwargs):
        return self.model.encode(string)

    def _loglikelihood_tokens(self, requests, **kwargs):
        answers = []
        for first in range(0, len(requests), self.batch_size):
            batch = requests[first : first + self.batch_size]
            answers += self.score([(context, continuation) for _, context, continuation in batch])
        for (texts, _, _), answer in zip(requests, answers):
            if texts is not None:
                self.cache_hook.add_partial("loglikelihood", texts, answer)
        return answers

    def score(self, pairs):
        """(log-likelihood, whether it is greedy) of each continuation: one forward pass, and one question, for each."""
        inputs, questions, rows = [], [], 0
        for context, continuation in pairs:
            # The last token is predicted, and predicts nothing. What is too long loses its beginning.
            tokens = (context + continuation)[-(self.model.max_length + 1) :][:-1]
            if len(continuation) > len(tokens):
                raise ValueError(f"a continuation of {len(continuation)} tokens needs a context and as many positions")
            inputs.append(tokens)
            questions.append({"tokens": continuation, "request": 0, "first_row": rows})
            rows += len(continuation)
        with tempfile.TemporaryDirectory() as folder:
            logits, candidates = Path(folder, "logits.npy"), Path(folder, "candidates.jsonl")
            with logits.open("wb") as file:
                self.write_rows(file, inputs, [len(continuation) for _, continuation in pairs])
            candidates.write_text("\n".join(map(json.dumps, questions)))
            command = [*self.command, logits, "--candidates", candidates]
            # What the program says on stderr is the user's to hear.
            scored = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        entries = [json.loads(line)["candidates"][0] for line in scored.splitlines()]
        # JSON has no infinity: the total of an impossible sequence is null.
        totals = [float("-inf") if entry["total"] is None else entry["total"] for entry in entries]
        return [(total, entry["is_greedy"]) for total, entry in zip(totals, entries)]

    def write_rows(self, file, inputs, lengths):
        """The last rows of each request, so many as its continuation has tokens, as one [rows][vocab] array: what nobody
        asks about is not written."""
        batch = self.model.logits(inputs)
        header = {"descr": "<f4", "fortran_order": False, "shape": (sum(lengths), batch.shape[-1])}
        np.lib.format.write_array_header_1_0(file, header)
        for logits, tokens, length in zip(batch, inputs, lengths):
            file.write(np.ascontiguousarray(logits[len(tokens) - length : len(tokens)], "<f4"))

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        answers = []
        for text in (request.args[0] for request in requests):
            windows = utils.get_rolling_token_windows(
                token_list=self.tok_encode(text),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.model.max_length,
                context_len=1,
            )
            windows = [(None, *utils.make_disjoint_window(window)) for window in windows]
            answers.append(sum(total for total, _ in self._loglikelihood_tokens(windows)))
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), answers[-1])
        return answers

    def generate_until(self, requests, disable_tqdm=False):
        raise NotImplementedError("this adapter scores texts: it draws none")
