"""Parameters of vLLM's real class in our words; its kernels, which need CUDA, are not there."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from vllm import SamplingParams as Theirs
from vllm.sampling_params import RepetitionDetectionParams, StructuredOutputsParams
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

import sortilege
from sortilege import Request, SamplingParams, _words, as_params, sample

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples"))
import vllm_draw  # noqa: E402

# What is asked beside the draws: stops by text, what to return, and how.
BESIDE = set(
    """stop prompt_logprobs prompt_logprob_token_ids prompt_logprob_start flat_logprobs detokenize
    skip_special_tokens spaces_between_special_tokens include_stop_str_in_output output_kind stream_interval skip_clone
    output_text_buffer_length extra_args skip_reading_prefix_cache routed_experts_prompt_start""".split()
)


def test_the_default_is_ours():
    assert as_params(Theirs()) == SamplingParams(bad_words=(), max_tokens=16, stop_token_ids=[], logit_bias={})


def test_every_field_is_taken_refused_or_beside_the_draw():
    """A field that vLLM gains must be thought of."""
    source = open(_words.__file__).read()
    named = set(re.findall(r'"(\w+)"', source))
    fields = {name for name in Theirs.__annotations__ if not name.startswith("_")}
    assert len(fields) > 30 and fields - named - BESIDE == set()
    assert named & BESIDE == set()


def test_what_is_asked_is_taken():
    theirs = Theirs(n=2, temperature=0.7, top_k=-1, top_p=0.9, min_p=0.05, seed=4, logprobs=5, logit_bias={3: 1.5}, min_tokens=2,
                    max_tokens=70, stop_token_ids=[9, 2], repetition_penalty=1.1, presence_penalty=0.5, frequency_penalty=0.25,
                    allowed_token_ids=[1, 2, 3, 9])  # fmt: skip
    assert as_params(theirs) == SamplingParams(
        n=2, temperature=0.7, top_p=0.9, min_p=0.05, seed=4, raw_logprobs=5, logit_bias={3: 1.5}, min_tokens=2, max_tokens=70,
        stop_token_ids=[2, 9],
        repetition_penalty=1.1, presence_penalty=0.5, frequency_penalty=0.25, allowed_token_ids=[1, 2, 3, 9], bad_words=(),
    )
    assert as_params(Theirs(logprob_token_ids=[4, 8])).logprob_token_ids == [4, 8]
    # vLLM itself raises small temperatures, and makes greedy what has none.
    assert as_params(Theirs(temperature=0.001)).temperature == 0.01 and as_params(Theirs(temperature=0, top_k=5)).temperature == 0
    row = np.random.default_rng(1).normal(size=(5, 50)).astype(np.float32)
    assert (sample(row, Theirs(seed=3, top_k=2)).kept == 2).all()
    assert Request(Theirs(temperature=0.0)).params.temperature == 0


def test_the_end_token_ends_unless_it_is_ignored():
    for ignore, stops in [(False, [2, 7]), (True, [7])]:
        theirs = Theirs(stop_token_ids=[7], ignore_eos=ignore)
        theirs.update_from_generation_config({"eos_token_id": [2]}, eos_token_id=2)
        assert as_params(theirs).stop_token_ids == stops
    theirs.min_tokens = 3
    with pytest.raises(sortilege.ParamsError, match="ignore_eos with min_tokens"):
        as_params(theirs)
    vllm_draw.Draw.validate_params(theirs)  # vLLM does min_tokens itself


class Tokenizer:
    """Of letters, as vLLM asks one for bad words."""

    max_token_id = 25
    eos_token_id = None

    def encode(self, text, add_special_tokens=False):
        return [ord(letter) - ord("a") for letter in text.strip()]


def test_bad_words_are_those_of_the_tokenizer():
    theirs = Theirs(bad_words=["no", "never"])
    with pytest.raises(sortilege.ParamsError, match="update_from_tokenizer"):
        as_params(theirs)
    theirs.update_from_tokenizer(Tokenizer())
    assert [13, 14] in as_params(theirs).bad_words and [13, 4, 21, 4, 17] in as_params(theirs).bad_words


@pytest.mark.parametrize(
    "words",
    [dict(structured_outputs=StructuredOutputsParams(regex="a+")), dict(watermarking=True), dict(thinking_token_budget=4),
     dict(trace_decode_token_ids=[1]), dict(repetition_detection=RepetitionDetectionParams(max_pattern_size=4, min_count=3))],  # fmt: skip
)
def test_what_is_not_done_is_refused(words):
    with pytest.raises(sortilege.ParamsError, match=next(iter(words))):
        as_params(Theirs(**words))


def test_given_tokens_are_of_the_raw_distribution():
    assert as_params(Theirs(logprob_token_ids=[2, 3])).raw_logprobs == 0
    assert as_params(Theirs(logprob_token_ids=[2, 3], logprobs=2)).raw_logprobs == 2


def test_a_request_is_one_sequence():
    assert sample(LOGITS[0], Theirs(n=3)).draws.shape == (3, 3)
    with pytest.raises(sortilege.ParamsError, match="n=3 asks for several sequences"):
        Request(Theirs(n=3))


LOGITS = torch.randn(12, 3, 40, generator=torch.Generator().manual_seed(5)) * 2  # of each step, by sequence


def drawn_alone(sequence, steps, **words):
    """What a sequence draws outside of any batch."""
    request = Request(SamplingParams(**words), prompt=[sequence])
    for step in steps:
        request.accept(sample(LOGITS[step, sequence], request))
    return request.output


def test_the_logits_processor_draws_the_same_in_any_batch(tmp_path, monkeypatch):
    monkeypatch.setenv("SORTILEGE_LOGS", str(tmp_path))
    draw, outputs = vllm_draw.Draw(None, torch.device("cpu"), False), [[], [], []]
    asked = [dict(seed=3, top_p=0.9), dict(seed=4, temperature=1.5, repetition_penalty=1.3), dict(seed=5, temperature=0)]
    added = [Theirs(**words, max_tokens=most, logprobs=2, logit_bias={1: 0.0}) for words, most in zip(asked, [100, 6, 100])]

    def step(number, batch, **update):
        draw.update_state(BatchUpdate(len(batch), **({"removed": [], "added": [], "moved": []} | update)) if update else None)
        out = draw.apply(LOGITS[number, batch].clone())
        assert (torch.isfinite(out).sum(dim=1) == 1).all()
        for sequence, token in zip(batch, out.argmax(dim=1).tolist()):
            outputs[sequence].append(token)

    new = [(place, params, [place], outputs[place]) for place, params in enumerate(added)]
    step(0, [0, 1], added=new[:2])
    step(1, [0, 1, 2], added=new[2:])
    step(2, [2, 1, 0], moved=[(0, 2, MoveDirectionality.SWAP)])
    for number in [3, 4, 5]:
        step(number, [2, 1, 0])
    assert len(list(tmp_path.iterdir())) == 1  # the one of six tokens is over
    step(6, [2, 0], removed=[1], moved=[(2, 1, MoveDirectionality.UNIDIRECTIONAL)])
    # One is preempted, and comes again with what it has.
    step(7, [2], removed=[1])
    step(8, [2, 0], added=[(1, added[0], [0], outputs[0])])
    draw.update_state(BatchUpdate(0, removed=[1, 0], added=[], moved=[]))

    steps = [[0, 1, 2, 3, 4, 5, 6, 8], range(6), range(1, 9)]
    assert outputs == [drawn_alone(sequence, steps[sequence], **asked[sequence]) for sequence in range(3)]
    logs = [[json.loads(line) for line in path.read_text().splitlines()] for path in sorted(tmp_path.iterdir())]
    tokens = [[record["draws"][0]["token"] for record in log] for log in logs]
    assert tokens == [outputs[1], outputs[0][:7], outputs[0][7:], outputs[2]]
    assert [record["position"] for record in logs[2]] == [7] and len(logs[3][0]["raw"]["top"]) == 2


def test_a_processor_is_asked_what_it_does():
    vllm_draw.Draw.validate_params(Theirs(top_p=0.5))
    # vLLM ends a request that repeats itself, whoever draws.
    repeating = RepetitionDetectionParams(max_pattern_size=4, min_count=3)
    vllm_draw.Draw.validate_params(Theirs(repetition_detection=repeating))
    with pytest.raises(ValueError, match="watermarking"):
        vllm_draw.Draw.validate_params(Theirs(watermarking=True))
