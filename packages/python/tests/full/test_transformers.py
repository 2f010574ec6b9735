"""Transformers' parameters in our words, and its `generate` with tiny random models: `scripts/test-python --full` runs this."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, LogitsProcessor

import sortilege
from sortilege import Request, SamplingParams, _words, sample
from sortilege._params import as_params
from sortilege.transformers import Draw, generate

VOCAB = 131


@pytest.fixture(params=[GPT2LMHeadModel, LlamaForCausalLM], ids=["gpt2", "llama"])
def model(request):
    torch.manual_seed(1)
    if request.param is GPT2LMHeadModel:
        config = GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=0, pad_token_id=0, tie_word_embeddings=False)
    else:
        config = LlamaConfig(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2)
        config.pad_token_id = config.eos_token_id = 0
    model = request.param(config).eval()
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(40)  # a peaked distribution
    return model


PROMPTS = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 5]])


def test_parameters_of_transformers():
    assert as_params(GenerationConfig()).temperature == 0
    asked = as_params(GenerationConfig(do_sample=True, temperature=0.7, top_p=0.9, eos_token_id=[3, 2], suppress_tokens=[8], sequence_bias={(4,): 1.0}))
    assert (asked.temperature, asked.top_k, asked.top_p) == (0.7, 50, 0.9)
    assert list(asked.stop_token_ids) == [3, 2] and asked.bad_words == [[8]] and asked.logit_bias == {4: 1.0}
    assert asked.max_tokens is None and as_params(GenerationConfig(max_new_tokens=7)).max_tokens == 7
    for words, message in [
        (dict(num_beams=4), "num_beams=4 is not done here"),
        (dict(guidance_scale=2.0), "guidance_scale"),
        (dict(remove_invalid_values=True), "remove_invalid_values"),
        (dict(assistant_ensemble_weight=0.5), "assistant_ensemble_weight"),
        (dict(sequence_bias={(4, 5): 1.0}), "several tokens"),
    ]:
        with pytest.raises(sortilege.ParamsError, match=message):
            as_params(GenerationConfig(**words))


# What is asked beside the draws: ends by whole length, time and text, beams, caches, drafts, and what to return.
BESIDE = set(
    """max_length max_time stop_strings early_stopping length_penalty diversity_penalty renormalize_logits token_healing low_memory
    use_cache cache_implementation cache_config max_cache_len compile_config disable_compile continuous_batching_config
    prefill_chunk_size output_attentions output_hidden_states output_scores output_logits return_dict_in_generate pad_token_id
    bos_token_id decoder_start_token_id use_mtp is_assistant num_assistant_tokens num_assistant_tokens_schedule
    assistant_confidence_threshold prompt_lookup_num_tokens max_matching_ngram_size assistant_early_exit assistant_lookbehind
    target_lookbehind speculation_type transformers_version""".split()
)


def test_every_field_is_taken_refused_or_beside_the_draw():
    """A field that Transformers gains must be thought of."""
    named = set(re.findall(r'"(\w+)"', Path(_words.__file__).read_text()))
    asked = {name for name in vars(GenerationConfig()) if not name.startswith("_")}
    assert len(asked) > 50 and asked - named - BESIDE == set()
    assert named & BESIDE == set()


@pytest.mark.parametrize(
    "words",
    [
        dict(temperature=0.7),
        dict(top_k=4),
        dict(top_p=0.8),
        dict(top_h=0.4),
        dict(temperature=1.2, top_h=0.6, top_k=9),
        dict(min_p=0.1),
        dict(typical_p=0.7),
        dict(epsilon_cutoff=0.02),
        dict(eta_cutoff=0.1),
        dict(temperature=1.7, top_k=20, top_p=0.85, min_p=0.02),
        dict(repetition_penalty=1.4, top_k=30),
        dict(no_repeat_ngram_size=1),
        dict(no_repeat_ngram_size=2, top_k=40),
        dict(suppress_tokens=[3, 9], bad_words_ids=[[17]], top_k=0, sequence_bias={(5,): 2.0}),
        # Of several tokens those of the output alone count, Transformers looks at the prompt too.
        dict(bad_words_ids=[[17], [2], [40, 8, 11], [11, 2]], eos_token_id=[2, 3]),
    ],
    ids=str,
)
def test_keeps_what_transformers_processors_keep(model, words):
    """The kept tokens and their probabilities are those of the real processors, in the same order."""
    config = GenerationConfig(do_sample=True, **({"top_k": 0} | words))
    ids = torch.tensor([[5, 6, 7, 8], [9, 9, 11, 5]])
    with torch.no_grad():
        logits = model(ids).logits[:, -1].float()
    model._prepare_special_tokens(config, device="cpu")
    processors = model._get_logits_processor(config, input_ids_seq_length=4)
    theirs = torch.log_softmax(processors(ids, logits.clone()), -1).numpy()
    params = as_params(config)
    ours = [sample(row, Request(replace_list(params), prompt=prompt)) for row, prompt in zip(logits, ids.tolist())]
    for row, found in zip(theirs, ours):
        kept = np.isfinite(row).sum()
        assert found.kept == kept
        tokens, logprobs = found.top_tokens[:kept], found.top_logprobs[:kept]
        assert sorted(tokens) == np.flatnonzero(np.isfinite(row)).tolist()
        assert np.abs(logprobs - row[tokens]).max() < 2e-5


def replace_list(params):
    return replace(params, processed_logprobs=VOCAB)


def test_draw_is_the_draw_of_generate(model, tmp_path):
    draw = Draw(SamplingParams(temperature=0.9, top_p=0.95, seed=7, raw_logprobs=4, stop_token_ids=[0]))
    out = model.generate(PROMPTS, do_sample=False, max_new_tokens=12, logits_processor=[draw], pad_token_id=0, eos_token_id=0)
    generated = out[:, 4:].tolist()
    for row, request in zip(generated, draw.requests):
        stop = row.index(0) + 1 if 0 in row else len(row)
        assert request.output[:stop] == row[:stop]
    # A second run draws the same; the streams tell the sequences apart.
    again = Draw(SamplingParams(temperature=0.9, top_p=0.95, seed=7, raw_logprobs=4, stop_token_ids=[0]))
    assert (model.generate(PROMPTS, do_sample=False, max_new_tokens=12, logits_processor=[again], pad_token_id=0, eos_token_id=0) == out).all()
    same = torch.stack([PROMPTS[0], PROMPTS[0]])
    both = model.generate(same, do_sample=False, max_new_tokens=12, logits_processor=[Draw(SamplingParams(temperature=3.0, seed=7))], pad_token_id=0)
    assert (both[0] != both[1]).any()

    draw.write_log(tmp_path / "log.jsonl")
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    for number, row in enumerate(generated):
        own = [record for record in records if record["request"] == number]
        assert [record["position"] for record in own] == list(range(len(own)))
        assert [record["draws"][0]["token"] for record in own] == row[: len(own)]
    # The raw logprobs are those of the model itself.
    with torch.no_grad():
        logprobs = torch.log_softmax(model(out).logits.double(), -1)
    for record in records:
        number, place = record["request"], record["position"]
        expected = logprobs[number, 3 + place, record["draws"][0]["token"]].item()
        assert abs(record["draws"][0]["raw_logprob"] - expected) < 1e-4
        assert abs(record["draws"][0]["raw_logprob"] - logprobs[number, 2 + place, record["draws"][0]["token"]].item()) > 1e-4


def test_the_custom_loop_of_generate(model):
    """Greedy, it is the model's own; drawing, it is `Draw` with the config's words."""
    greedy = model.generate(PROMPTS, do_sample=False, max_new_tokens=9, pad_token_id=0)
    assert (model.generate(PROMPTS, do_sample=False, max_new_tokens=9, pad_token_id=0, custom_generate=generate) == greedy).all()
    draw = Draw(SamplingParams(temperature=1.5, top_k=50, seed=3))
    words = dict(max_new_tokens=9, pad_token_id=0)
    out = model.generate(PROMPTS, do_sample=False, custom_generate=generate, draw=draw, **words)
    other = Draw(SamplingParams(temperature=1.5, top_k=50, seed=3))
    assert (model.generate(PROMPTS, do_sample=False, logits_processor=[other], **words) == out).all()
    assert draw.samples and (out != greedy).any()


def test_sequences_to_return_are_rows_of_the_batch(model):
    """`generate` makes them, and each draws with a stream of its own."""
    with pytest.raises(sortilege.ParamsError, match="num_return_sequences=3 asks for several sequences"):
        Request(GenerationConfig(do_sample=True, num_return_sequences=3))
    words = dict(max_new_tokens=6, pad_token_id=0, do_sample=True, temperature=2.0, num_return_sequences=3)
    assert model.generate(PROMPTS, custom_generate=generate, **words).shape[0] == 6
    draw = Draw(GenerationConfig(**words))
    out = model.generate(PROMPTS, max_new_tokens=6, pad_token_id=0, do_sample=False, logits_processor=[draw])
    assert out.shape[0] == 2 and all(one.draws.shape == (1,) for one in draw.samples)


def test_processors_of_ones_own_run_first(model):
    class Only(LogitsProcessor):
        def __call__(self, input_ids, scores):
            return torch.full_like(scores, -torch.inf).index_fill_(1, torch.tensor([42]), 1.0)

    words = dict(max_new_tokens=3, pad_token_id=0, do_sample=True, custom_generate=generate)
    assert (model.generate(PROMPTS, logits_processor=[Only()], **words)[:, 4:] == 42).all()


def test_no_processor_is_lost(model):
    words = dict(max_new_tokens=3, pad_token_id=0, custom_generate=generate)
    with pytest.raises(sortilege.ParamsError, match="PrefixConstrainedLogitsProcessor"):
        model.generate(PROMPTS, do_sample=True, prefix_allowed_tokens_fn=lambda *_: [42], **words)
    with pytest.raises(sortilege.ParamsError, match="RepetitionPenaltyLogitsProcessor .* do_sample=False"):
        model.generate(PROMPTS, do_sample=False, repetition_penalty=1.3, draw=Draw(), **words)


@pytest.mark.parametrize("asked", [{"num_beams": 4}, {"penalty_alpha": 0.6, "top_k": 4}, {"dola_layers": "high"}], ids=str)
def test_no_loop_is_lost(model, asked):
    words = dict(max_new_tokens=3, pad_token_id=0, do_sample=False, custom_generate=generate)
    for draw in [None, Draw()]:
        with pytest.raises(sortilege.ParamsError, match=f"{next(iter(asked))}=.* is not done here"):
            model.generate(PROMPTS, draw=draw, **asked, **words)


def test_a_draw_serves_one_call():
    draw = Draw(device="cpu")
    draw(PROMPTS, torch.zeros(2, VOCAB))
    with pytest.raises(sortilege.ParamsError, match="one call of generate"):
        draw(PROMPTS, torch.zeros(2, VOCAB))


def test_a_draw_ends_at_its_stop_token_and_at_its_length():
    """The one sequence ends at once and gets its stop token again; at the length there is nothing to give."""
    draw = Draw(SamplingParams(temperature=0, stop_token_ids=[9], max_tokens=3))
    ids, scores = PROMPTS, torch.zeros(2, VOCAB)
    scores[0, 9] = scores[1, 4] = 1
    for _ in range(3):
        tokens = draw(ids, scores).argmax(-1)
        assert tokens.tolist() == [9, 4]
        ids = torch.cat([ids, tokens[:, None]], 1)
    assert [request.output for request in draw.requests] == [[9], [4, 4, 4]]
    assert sorted((sample.places[0], sample.finish_reason.item()) for sample in draw.samples if sample.finish_reason.item()) == [
        ((0, 0), "stop"), ((1, 2), "length")]  # fmt: skip
    assert len(draw.samples) == 4
    with pytest.raises(sortilege.ParamsError, match="max_tokens 3 of the draw: pass it max_new_tokens"):
        draw(ids, scores)


def test_nothing_to_draw_from_is_an_error():
    with pytest.raises(ValueError, match="sequence 1 has nothing to draw from"):
        Draw()(PROMPTS, torch.tensor([[0.0, 1.0], [torch.nan, 1.0]]))


def test_tensors_of_torch():
    logits = torch.randn(5, 3000, generator=torch.Generator().manual_seed(2))
    found = sortilege.logprobs(logits, torch.arange(5), top=6)
    values, tokens = torch.log_softmax(logits.double(), -1).topk(6)
    assert (found.top_tokens == tokens.numpy()).all() and np.abs(found.top_logprobs - values.numpy()).max() < 1e-6
    halves = logits.bfloat16()
    assert (sortilege.log_softmax(halves[:, :2000]) == sortilege.log_softmax(halves[:, :2000].float())).all()
    assert (sortilege.log_softmax(logits.double()) == sortilege.log_softmax(logits)).all()
    with pytest.raises(sortilege.LogitsError, match="grad") as raised:
        sortilege.log_softmax(logits.requires_grad_())
    assert isinstance(raised.value.__cause__, (BufferError, RuntimeError))
    with pytest.raises(sortilege.LogitsError):
        sortilege.log_softmax(torch.empty(2, 3, device="meta"))
