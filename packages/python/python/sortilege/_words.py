"""Parameters of vLLM and Transformers in our words."""

from __future__ import annotations

from typing import Any

from ._errors import ParamsError

# What is asked of the draw and is not done here, with the values that ask for nothing.
_VLLM_UNABLE: dict[str, tuple[Any, ...]] = {
    "logits_processors": (None, [], ()),
    "structured_outputs": (None,),
    "guided_decoding": (None,),
    "watermarking": (None, False),
    "thinking_token_budget": (None,),
    "trace_decode_token_ids": (None,),
    "repetition_detection": (None,),
}
_TRANSFORMERS_UNABLE: dict[str, tuple[Any, ...]] = {
    "num_beams": (None, 1),
    "num_beam_groups": (None, 1),
    "penalty_alpha": (None, 0, 0.0),
    "dola_layers": (None,),
    "guidance_scale": (None, 1, 1.0),
    "constraints": (None, []),
    "force_words_ids": (None, []),
    "encoder_no_repeat_ngram_size": (None, 0),
    "encoder_repetition_penalty": (None, 1, 1.0),
    "exponential_decay_length_penalty": (None,),
    "min_length": (None, 0),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "begin_suppress_tokens": (None, []),
    "watermarking_config": (None,),
    "remove_invalid_values": (None, False),
    "assistant_ensemble_weight": (None,),
}

# Those that choose a loop of their own, and make no processor.
_TRANSFORMERS_MODES = ("num_beams", "num_beam_groups", "penalty_alpha", "dola_layers", "constraints", "force_words_ids")

# The order of Transformers' warpers.
_TRANSFORMERS_ORDER = ("temperature", "top_h", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")

# The processors that `generate` makes of the words below.
TRANSFORMERS_PROCESSORS = frozenset(
    f"{name}LogitsWarper" for name in ("Temperature", "TopH", "TopK", "TopP", "MinP", "Typical", "Epsilon", "Eta")
) | frozenset(
    f"{name}LogitsProcessor"
    for name in ("RepetitionPenalty", "NoRepeatNGram", "NoBadWords", "SuppressTokens", "MinNewTokensLength", "SequenceBias")
)


def of_vllm(params: Any) -> dict[str, Any]:
    """What vLLM's `SamplingParams` ask of a draw."""
    _refuse(params, _VLLM_UNABLE)
    asked = _given(
        params,
        ["temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "seed", "n"]
        + ["min_tokens", "max_tokens", "logit_bias", "allowed_token_ids", "logprob_token_ids"],
    )
    asked["top_k"] = max(0, _get(params, "top_k", 0))
    asked["stop_token_ids"] = sorted(_vllm_stops(params))
    bad_words = _get(params, "bad_words_token_ids", None)
    if bad_words is None and _get(params, "bad_words", None):
        raise ParamsError("bad_words are texts: call update_from_tokenizer of vLLM's parameters first, or pass token ids")
    asked["bad_words"] = bad_words or ()
    # Given tokens are asked about in the raw distribution too.
    logprobs = _get(params, "logprobs", 0 if asked.get("logprob_token_ids") else None)
    asked["raw_logprobs"] = 2**20 if logprobs == -1 else logprobs  # all
    return asked


def _vllm_stops(params: Any) -> set[int]:
    """Tokens that end a request, which are those that `min_tokens` keeps away, unless the end token is ignored."""
    stops = set(_get(params, "stop_token_ids", ()))
    early = stops | set(_get(params, "all_stop_token_ids", ()))
    if not _get(params, "ignore_eos", False):
        return early
    if early != stops and _get(params, "min_tokens", 0) > 0:
        raise ParamsError("ignore_eos with min_tokens is not done here, tokens that come late and end nothing: leave one of them out")
    return stops


def of_transformers(config: Any) -> dict[str, Any]:
    """What Transformers' `GenerationConfig` asks of a draw; None is the default of `generate`."""
    _refuse(config, _TRANSFORMERS_UNABLE)
    eos = _get(config, "eos_token_id", ())
    ends = [eos] if isinstance(eos, int) else list(eos)
    # An end token alone is no bad word for `generate`.
    bad_words = [words for words in _get(config, "bad_words_ids", ()) if words not in [[end] for end in ends]]
    asked: dict[str, Any] = {
        "repetition_penalty": _get(config, "repetition_penalty", 1.0),
        "no_repeat_ngram_size": _get(config, "no_repeat_ngram_size", 0),
        "bad_words": [*bad_words, *([token] for token in _get(config, "suppress_tokens", ()))],
        "min_tokens": _get(config, "min_new_tokens", 0),
        "max_tokens": _get(config, "max_new_tokens", None),
        "stop_token_ids": ends,
        "n": _get(config, "num_return_sequences", 1),
        "logit_bias": _biases(_get(config, "sequence_bias", {})),
    }
    if not _get(config, "do_sample", False):
        return asked | {"temperature": 0.0}
    filters = _given(config, [name for name in _TRANSFORMERS_ORDER if name != "top_k"])
    return asked | filters | {"top_k": _get(config, "top_k", 50), "order": _TRANSFORMERS_ORDER}


def refuse_modes(config: Any) -> None:
    """Refuses a loop other than one draw a token, which a draw's own parameters cannot ask for."""
    _refuse(config, {name: _TRANSFORMERS_UNABLE[name] for name in _TRANSFORMERS_MODES})


def _get(params: Any, name: str, default: Any) -> Any:
    value = getattr(params, name, None)
    return default if value is None else value


def _given(params: Any, names: list[str]) -> dict[str, Any]:
    values = {name: getattr(params, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _refuse(params: Any, unable: dict[str, tuple[Any, ...]]) -> None:
    for name, nothing in unable.items():
        value = getattr(params, name, None)
        if value not in nothing:
            raise ParamsError(f"{name}={value!r} is not done here: leave it out, or change the logits or the mask yourself")


def _biases(biases: Any) -> dict[int, float]:
    """Biases of single tokens: a mapping of tuples, or a list of pairs."""
    pairs = biases.items() if hasattr(biases, "items") else biases
    longer = [tokens for tokens, _ in pairs if len(tokens) != 1]
    if longer:
        raise ParamsError(f"sequence_bias of {tuple(longer[0])!r} is of several tokens: only those of one are done here")
    return {tokens[0]: bias for tokens, bias in pairs}
