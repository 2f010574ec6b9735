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
    fields |= dict(watermarking=None, thinking_token_budget=None, trace_decode_token_ids=None, repetition_detection=None)
    fields |= dict(logprob_token_ids=None)
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
        (dict(repetition_detection=object()), "repetition_detection=.* is not done here"),
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


def test_given_tokens_of_vllm_are_of_the_raw_distribution():
    """With or without a list beside them."""
    logits = np.float32([[3.0, 2.0, 1.0, 0.0]])
    for words, listed in [(dict(), 0), (dict(logprobs=None), 0), (dict(logprobs=2), 2)]:
        drawn = sample(logits, vllm_params(logprob_token_ids=[2, 3], temperature=0.5, top_k=1, seed=1, **words))
        found = sortilege.logprobs(logits, token_ids=[2, 3])
        assert drawn.raw_token_logprobs.tolist() == found.token_logprobs.tolist() and drawn.raw_top_tokens.shape == (1, listed)
        assert np.isneginf(drawn.token_logprobs).all() and np.isfinite(drawn.raw_logprobs).all()
    assert as_params(vllm_params(logprob_token_ids=[])).raw_logprobs is None


def config(**words):
    """The fields of Transformers' `GenerationConfig` that are given; every other is None."""
    return SimpleNamespace(**({"do_sample": True} | words))


def test_end_tokens_of_transformers_are_no_bad_words():
    for eos in [7, [7, 8]]:
        asked = as_params(config(bad_words_ids=[[7], [1, 7], [3]], eos_token_id=eos, suppress_tokens=[7]))
        assert asked.bad_words == [[1, 7], [3], [7]]
    assert as_params(config(bad_words_ids=[[7]])).bad_words == [[7]]


def test_what_transformers_does_to_logits_beside_is_refused():
    for words in [dict(remove_invalid_values=True), dict(assistant_ensemble_weight=0.5)]:
        with pytest.raises(sortilege.ParamsError, match=f"{next(iter(words))}=.* is not done here"):
            as_params(config(**words))
    assert as_params(config(remove_invalid_values=False)).top_k == 50


def test_several_sequences_are_draws_of_a_row_and_no_request():
    logits = np.zeros((3, 50), np.float32)
    for params, one, name in [
        (vllm_params(n=4, seed=1), vllm_params(n=1), "n=4"),
        (config(num_return_sequences=4), config(num_return_sequences=1), "num_return_sequences=4"),
    ]:
        assert sample(logits, params).draws.shape == (3, 4)
        with pytest.raises(sortilege.ParamsError, match=f"^{name} asks for several sequences, and a Request is one: make 4"):
            Request(params)
        request = Request(one)
        with pytest.raises(sortilege.ParamsError, match=name):
            request.set_params(params)
        assert request.params is one
    # Of ours, draws beside the one that is accepted.
    assert sample(logits[0], Request(SamplingParams(n=2))).draws.shape == sample(logits[0], Request({"n": 2})).draws.shape == (2,)
