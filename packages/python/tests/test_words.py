"""Parameters of vLLM in our words, by their fields. The real classes of vLLM and Transformers: tests/full/."""

from types import SimpleNamespace

import numpy as np
import pytest

import sortilege
from sortilege import Request, SamplingParams, as_params, sample


def vllm_params(**words):
    """The fields of vLLM's `SamplingParams` with their defaults: its package is large."""
    fields = dict(n=1, presence_penalty=0.0, frequency_penalty=0.0, repetition_penalty=1.0, temperature=1.0, top_p=1.0)
    fields |= dict(top_k=0, min_p=0.0, seed=None, stop=None, stop_token_ids=[], bad_words=None, ignore_eos=False)
    fields |= dict(max_tokens=16, min_tokens=0, logprobs=None, prompt_logprobs=None, detokenize=True, logits_processors=None)
    fields |= dict(structured_outputs=None, logit_bias=None, allowed_token_ids=None, all_stop_token_ids=set())
    fields |= dict(watermarking=None, thinking_token_budget=None, trace_decode_token_ids=None)
    return SimpleNamespace(**(fields | words))


def test_parameters_of_vllm():
    asked = as_params(vllm_params(top_k=-1, top_p=0.9, seed=4, logprobs=5, logit_bias={3: 1.5}, min_tokens=2, all_stop_token_ids={9, 2}))
    assert asked == SamplingParams(top_p=0.9, seed=4, raw_logprobs=5, logit_bias={3: 1.5}, min_tokens=2, max_tokens=16, stop_token_ids=[2, 9], bad_words=())
    row = np.random.default_rng(1).normal(size=(5, 50)).astype(np.float32)
    assert (sample(row, vllm_params(seed=3, top_k=2)).kept == 2).all()
    assert Request(vllm_params(temperature=0.0)).params.temperature == 0
    every = sample(row, vllm_params(seed=3, logprobs=-1)).raw_top_tokens
    assert every.shape == (5, 50) and (np.sort(every) == np.arange(50)).all()
    for words, message in [
        (dict(bad_words=["no"]), "bad_words are texts"),
        (dict(structured_outputs=object()), "structured_outputs=.* is not done here"),
        (dict(logits_processors=[print]), "logits_processors"),
        (dict(thinking_token_budget=3), "thinking_token_budget=3 is not done here"),
        (dict(top_p=2.0), "top_p 2 is outside"),
        (dict(min_tokens=9, max_tokens=8), "max_tokens 8 is below 9"),
        (dict(ignore_eos=True, min_tokens=1, all_stop_token_ids={7}), "ignore_eos with min_tokens"),
    ]:
        with pytest.raises(sortilege.ParamsError, match=message):
            as_params(vllm_params(**words))
    assert as_params(vllm_params(bad_words=["no"], bad_words_token_ids=[[1, 2]])).bad_words == [[1, 2]]


def test_ends_of_vllm():
    """What ends a request: all stop tokens, without the end token where that is ignored, and the length."""
    for words, stops in [
        (dict(stop_token_ids=[5, 3], all_stop_token_ids={3, 5, 8}), [3, 5, 8]),
        (dict(stop_token_ids=[5, 3], all_stop_token_ids={3, 5, 8}, ignore_eos=True), [3, 5]),
        (dict(stop_token_ids=[5, 3], all_stop_token_ids={3, 5}, ignore_eos=True, min_tokens=2), [3, 5]),
        (dict(all_stop_token_ids={8}, ignore_eos=True), []),
    ]:
        assert as_params(vllm_params(**words)).stop_token_ids == stops
    assert as_params(vllm_params(max_tokens=None)).max_tokens is None
    drawn = sample(np.zeros((5, 50), np.float32), vllm_params(max_tokens=3))
    assert drawn.finish_reason.tolist() == [None, None, "length", "length", "length"] and (drawn.tokens < 0).tolist() == [False] * 3 + [True] * 2
