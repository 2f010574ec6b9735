"""Draws and logs for Transformers' `generate`: torch and transformers are needed for this module alone."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from os import PathLike
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from . import Request, Samples, Status, sample, write_log
from ._errors import LogitsError, ParamsError
from ._params import SamplingParams, params_of_request
from ._words import TRANSFORMERS_PROCESSORS, refuse_modes


class Draw(LogitsProcessor):
    """Draws the tokens of `generate`, and keeps what was drawn and from which distribution.

    It is the last of the processors of a greedy `generate`, and leaves no choice: the drawn token alone is possible.
    One object serves one call of `generate`.

        draw = Draw(SamplingParams(top_p=0.9, seed=7, raw_logprobs=5))
        model.generate(ids, do_sample=False, logits_processor=[draw])
        draw.write_log("log.jsonl")

    `params` are those of every sequence of the batch; each draws with a stream of its own, counted from `params.stream`.
    The `num_return_sequences` of a `GenerationConfig` are sequences of the batch, which `generate` makes.
    `prompts` are what penalties see of the prompts, `input_ids` as they are unless given: without the padding, say.

    Behind a stop token a sequence gets that token again, where `generate` itself goes on; it ends them together where its
    `eos_token_id` is the same. `max_tokens` ends nothing in `generate`: its `max_new_tokens` must be as few.
    """

    def __init__(self, params: Any = None, *, prompts: Sequence[Sequence[int]] | None = None, device: str = "auto"):
        if isinstance(params, GenerationConfig):
            params = copy(params)
            params.num_return_sequences = 1  # `generate` makes a row of the batch of each
        self.params: SamplingParams = params_of_request(params)
        self.device = device
        self.requests: list[Request] = []
        self.samples: list[Samples] = []
        """A row for each token of each sequence, up to what stops it."""
        self._prompts = prompts
        self._length = 0

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if not self.requests:
            prompts = input_ids.tolist() if self._prompts is None else self._prompts
            first = self.params.stream
            params = [replace(self.params, stream=first + number) for number in range(len(prompts))]
            self.requests = [Request(one, prompt=prompt) for one, prompt in zip(params, prompts, strict=True)]
        elif tuple(input_ids.shape) != (len(self.requests), self._length + 1):
            raise ParamsError(f"input_ids of shape {tuple(input_ids.shape)} do not follow {len(self.requests)} sequences of {self._length} "
                              "tokens: a Draw serves one call of generate, make one for each")
        self._length = input_ids.shape[1]
        finished = [request.finish_reason for request in self.requests]
        if "length" in finished:
            raise ParamsError(f"generate asks for more tokens than max_tokens {self.params.max_tokens} of the draw: pass it max_new_tokens "
                              "of as many, or leave out max_tokens")
        drawn = sample(scores.detach().cpu(), self.requests, device=self.device)
        failed = (drawn.tokens < 0) & (drawn.status != Status.FINISHED)
        if failed.any():
            row = int(failed.argmax())
            raise LogitsError(f"sequence {row} has nothing to draw from at token {len(self.requests[row].output)}: its logits are "
                             f"no distribution, status {drawn.status[row]}")
        for reason, request, row in zip(finished, self.requests, drawn, strict=True):
            if reason is None:
                request.accept(row)
                self.samples.append(row)
        tokens = torch.tensor([request.output[-1] for request in self.requests], device=scores.device)
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens[:, None], 0.0)

    def write_log(self, path: str | PathLike[str], **words: Any) -> None:
        """Writes a record of every token: the request is the sequence of the batch. As of `sortilege.write_log`."""
        order = sorted(range(len(self.samples)), key=lambda place: self.samples[place].places[0])
        write_log(path, [self.samples[place] for place in order], **words)


def generate(
    model: Any,
    input_ids: torch.LongTensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: Any,
    generation_config: GenerationConfig,
    draw: Draw | None = None,
    **model_kwargs: Any,
) -> Any:
    """The loop of `model.generate(..., custom_generate=sortilege.transformers.generate, draw=Draw(params))`.

    Without `draw`, the generation config's words are done here: temperature, filters and penalties of Transformers' own
    processors are then ours. Processors of your own run first. Everything else is the model's loop. With `draw`, say all
    in its parameters, and pass `do_sample=False`: another processor of Transformers is an error, as nothing would do its work,
    and so are beams and other loops.
    """
    refuse_modes(generation_config)
    done = TRANSFORMERS_PROCESSORS if draw is None else frozenset()
    theirs = []
    for one in logits_processor:
        kind = type(one)
        if not kind.__module__.startswith("transformers."):
            theirs.append(one)
        elif kind.__name__ not in done:
            remedy = "leave it out" if draw is None else "say it in the draw's parameters, and pass do_sample=False"
            raise ParamsError(f"{kind.__name__} of Transformers is not done here: {remedy}, or wrap it in a processor of your own")
    draw = Draw(generation_config) if draw is None else draw
    greedy = copy(generation_config)
    greedy.do_sample = False
    processors = LogitsProcessorList([*theirs, draw])
    return model._sample(input_ids, processors, stopping_criteria, greedy, **model_kwargs)
