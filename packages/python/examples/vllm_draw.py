"""A logits processor of vLLM that draws the tokens, and logs them: `LLM(model, logits_processors=["vllm_draw:Draw"])`.

Requests ask in vLLM's own `SamplingParams`. What is drawn is a function of the logits, the parameters and the seed alone, whatever
else is in the batch, and `sortilege.audit` finds out whether a log follows from its logits. Each sequence has a log of its own in the
folder `SORTILEGE_LOGS`, written when a stop token or the last token is drawn, or when vLLM lets go of the sequence: one that a stop
string ends, and after which no other is computed, has none.
"""

import os
from copy import copy
from dataclasses import replace
from pathlib import Path

import torch
from vllm.v1.sample.logits_processor import LogitsProcessor, MoveDirectionality

import sortilege
from sortilege import as_params

# What vLLM itself does to the logits before its processors run, as it does min_tokens; it also looks for repetitions.
DONE = dict(logit_bias={}, allowed_token_ids=None, bad_words=())


def left_to_do(params):
    """What of vLLM's parameters is done here."""
    params = copy(params)
    params.min_tokens, params.repetition_detection = 0, None
    return replace(as_params(params), **DONE)


class Sequence:
    """What is drawn for one request."""

    def __init__(self, params, prompt, output):
        self.request = sortilege.Request(left_to_do(params), prompt=prompt or [])
        for token in output:  # of a sequence that was preempted, and goes on
            self.request.accept_token(token)
        self.samples = []

    def is_over(self):
        return self.request.finish_reason is not None

    def draw(self, logits):
        """The token of a row."""
        drawn = sortilege.sample(logits, self.request)
        self.request.accept(drawn)
        self.samples.append(drawn)
        return drawn.tokens.item()


class Draw(LogitsProcessor):
    """Leaves no token but the drawn one possible, whatever comes after it."""

    def __init__(self, vllm_config, device, is_pin_memory):
        self.folder = Path(os.environ.get("SORTILEGE_LOGS", "."))
        self.sequences = {}  # by their places in the batch
        self.logs = 0

    @classmethod
    def validate_params(cls, params):
        left_to_do(params)

    def is_argmax_invariant(self):
        return False

    def update_state(self, update):
        if update is None:
            return
        for place in update.removed:
            self.end(self.sequences.pop(place, None))
        for place, *asked in update.added:
            self.end(self.sequences.pop(place, None))
            self.sequences[place] = Sequence(*asked)
        for place, to, way in update.moved:
            moved, before = self.sequences.pop(place, None), self.sequences.pop(to, None)
            self.sequences[to] = moved
            if way is MoveDirectionality.SWAP:
                self.sequences[place] = before
            else:
                self.end(before)

    def apply(self, logits):
        rows = logits.float().cpu()
        for place, row in enumerate(rows):
            sequence = self.sequences[place]
            if sequence.is_over():  # and vLLM a step ahead, whose token it throws away
                continue
            token = sequence.draw(row)
            if token < 0:
                raise ValueError(f"row {place} of the batch has nothing to draw from: its logits are no distribution")
            logits[place] = -torch.inf
            logits[place, token] = 0
            if sequence.is_over():
                self.end(sequence)
        return logits

    def end(self, sequence):
        """Writes the log of a sequence, once."""
        if sequence is not None and sequence.samples:
            sortilege.write_log(self.folder / f"{os.getpid()}-{self.logs}.jsonl", sequence.samples)
            self.logs += 1
            sequence.samples = []
