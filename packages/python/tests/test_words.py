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
    assert asked == SamplingParams(top_p=0.9, seed=4, raw_logprobs=5, logit_bias={3: 1.5}, min_tokens=2, stop_token_ids=[2, 9], bad_words=())
    row = np.random.default_rng(1).normal(size=(5, 50)).astype(np.float32)
    assert (sample(row, vllm_params(seed=3, top_k=2)).kept == 2).all()
    assert Request(vllm_params(temperature=0.0)).params.temperature == 0
    for words, message in [
        (dict(bad_words=["no"]), "bad_words are texts"),
        (dict(logprobs=-1), "1024 at most"),
        (dict(structured_outputs=object()), "structured_outputs=.* is not done here"),
        (dict(logits_processors=[print]), "logits_processors"),
        (dict(thinking_token_budget=3), "thinking_token_budget=3 is not done here"),
        (dict(top_p=2.0), "top_p 2 is outside"),
    ]:
        with pytest.raises(sortilege.ParamsError, match=message):
            as_params(vllm_params(**words))
    assert as_params(vllm_params(bad_words=["no"], bad_words_token_ids=[[1, 2]])).bad_words == [[1, 2]]
