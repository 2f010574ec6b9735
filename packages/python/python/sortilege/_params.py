"""Sampling parameters: our own, and those of others in our words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from . import _words
from ._core import validate_params
from ._errors import ParamsError

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, kw_only=True)
class Mirostat:
    """Mirostat v2: keeps the tokens whose surprise is at most a limit that steers it to `tau`, in bits."""

    tau: float
    """The surprise to aim at, bits, above 0 to 30."""
    eta: float = 0.1
    """How fast to adapt, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Dry:
    """DRY: a token that would extend a repetition of `l >= allowed_length` tokens loses
    `multiplier * base ** (l - allowed_length)`."""

    multiplier: float = 0.8
    base: float = 1.75
    allowed_length: int = 2
    last_n: int | None = None
    """Looks at so many of the last tokens; None at all."""
    sequence_breakers: Sequence[int] = ()
    """Tokens over which no repetition reaches."""


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """What a request may ask of its rows. The names are those of vLLM and llama.cpp; docs/sampling.md defines each.

    The default draws from the plain distribution at temperature 1.

    >>> SamplingParams(temperature=0.8, top_p=0.95, seed=7).top_p
    0.95
    >>> SamplingParams(top_p=1.5)
    Traceback (most recent call last):
    ...
    sortilege._errors.ParamsError: top_p 1.5 is outside 0 to 1: 1 keeps all
    """

    temperature: float = 1.0
    """Divides the logits. 0 is greedy; otherwise 0.001 to 1000."""
    dynatemp_range: float = 0.0
    """Half the range of the dynamic temperature, 0 for a fixed one."""
    dynatemp_exponent: float = 1.0
    """The exponent of the dynamic temperature, 0 to 255."""
    top_k: int = 0
    """Keeps the k most probable tokens; 0 keeps all."""
    top_p: float = 1.0
    """Keeps a token while the mass before it is below this share, 0 to 1; 1 keeps all."""
    min_p: float = 0.0
    """Keeps tokens of at least this share of the largest probability, 0 to 1."""
    typical_p: float = 1.0
    """Keeps the tokens whose surprise is nearest to the entropy, as few as reach this share, 0 to 1; 1 keeps all."""
    top_n_sigma: float = 0.0
    """Keeps logits of at least the largest less so many standard deviations; 0 keeps all."""
    p_less: bool = False
    """Keeps tokens of at least the sum of the squares of all probabilities."""
    top_h: float = 1.0
    """Keeps tokens while their entropy is at most this share of the whole, 0 to 1; 1 keeps all."""
    top_a: float = 0.0
    """Keeps tokens of at least this share of the square of the largest probability, 0 to 1."""
    epsilon_cutoff: float = 0.0
    """Keeps tokens of at least this probability, 0 to below 1."""
    eta_cutoff: float = 0.0
    """Keeps tokens of at least the probability min(eta, sqrt(eta) * exp(-entropy)), 0 to below 1."""
    xtc_threshold: float = 0.1
    """Excludes all but the last of the tokens of at least this probability; with `xtc_probability`."""
    xtc_probability: float = 0.0
    """How often XTC acts, 0 to 1."""
    xtc_exempt_token_ids: Sequence[int] = ()
    """Tokens that XTC does not exclude, at most 64."""
    mirostat: Mirostat | None = None
    order: Literal["vllm", "llama"] | Sequence[str] = "vllm"
    """The order of temperature and filters, or a list of the steps by name."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of tokens."""
    repetition_penalty: float = 1.0
    """Divides the positive logits of tokens seen before, multiplies the others; 0.01 to 100."""
    presence_penalty: float = 0.0
    """Subtracted from the logits of tokens seen before; -100 to 100."""
    frequency_penalty: float = 0.0
    """Subtracted once for each time that a token was seen; -100 to 100."""
    penalty_last_n: int | None = None
    """None as in vLLM; n as in llama.cpp: the last n of prompt and output for all three penalties."""
    penalty_exempt_token_ids: Sequence[int] = ()
    """Tokens that penalties, DRY and `no_repeat_ngram_size` leave alone."""
    no_repeat_ngram_size: int = 0
    """Tokens of a sequence that must not come about twice in prompt and output; 0 allows all."""
    no_repeat_ngram_window: int | None = None
    """Looks at so many of the last tokens; None at all."""
    dry: Dry | None = None
    bad_words: Sequence[Sequence[int]] = ()
    """Sequences of tokens that must not come about."""
    min_tokens: int = 0
    """Tokens before which `stop_token_ids` are impossible."""
    max_tokens: int | None = None
    """Tokens with which a request has finished, 1 or more; None for as many as one likes. Rows at this position or later draw
    nothing."""
    stop_token_ids: Sequence[int] = ()
    """Tokens that end a request: once one is drawn and accepted, later rows draw nothing. `Request.finish_reason`."""
    allowed_token_ids: Sequence[int] | None = None
    """The only possible tokens, if given."""
    seed: int | None = None
    """Seed of the draws; without one, one is found, and told."""
    stream: int = 0
    """Tells draws with one seed and one position apart."""
    n: int = 1
    """Draws per row, independent of each other, 1 to 16."""
    raw_logprobs: int | None = None
    """Asks for the raw distribution, of the logits as they are, and so many of its most probable tokens: up to 2^20, of which there
    are at most as many as tokens. More than 1024 take further passes."""
    processed_logprobs: int | None = None
    """So many of the most probable tokens of the distribution that is drawn from: all that the filters keep, where it is the vocabulary."""
    logprob_token_ids: Sequence[int] = ()
    """Asks what the distributions say of these tokens, drawn or not."""
    entropy: bool = False
    """Asks for the entropies."""

    def __post_init__(self) -> None:
        validate_params(self)


_INNER: dict[str, type[Any]] = {"mirostat": Mirostat, "dry": Dry}


def as_params(params: Any) -> SamplingParams:
    """Parameters of ours: of none, of a mapping of our fields, of vLLM's `SamplingParams`, of Transformers'
    `GenerationConfig`. vLLM's `max_tokens` and Transformers' `max_new_tokens` end a request, and so do their end tokens. What
    they ask beside the draws (`max_length`, which counts the prompt, and stops by text) is not looked at; what changes
    the draws and cannot be done is an error. vLLM's `n` and Transformers' `num_return_sequences` are draws of each row.
    Of `bad_words_ids` of several tokens those of the output count, as in vLLM; Transformers looks at the end of the prompt too.

    >>> as_params({"temperature": 0.7, "dry": {"multiplier": 0.5}}).dry.multiplier
    0.5
    """
    if isinstance(params, SamplingParams):
        return params
    if params is None:
        return SamplingParams()
    if isinstance(params, Mapping):
        inner = {name: _of_mapping(kind, params[name]) for name, kind in _INNER.items() if isinstance(params.get(name), Mapping)}
        return _of_mapping(SamplingParams, {**params, **inner})
    if hasattr(params, "do_sample"):
        return SamplingParams(**_words.of_transformers(params))
    if hasattr(params, "prompt_logprobs"):
        return SamplingParams(**_words.of_vllm(params))
    raise TypeError(f"{type(params).__name__} is no parameters: pass sortilege.SamplingParams, or a mapping of its "
                    "fields, or parameters of vLLM or Transformers")


def params_of_request(params: Any) -> SamplingParams:
    """As `as_params`, for a request, which is one sequence: several of vLLM or Transformers are an error."""
    asked = as_params(params)
    if asked.n > 1 and not isinstance(params, (SamplingParams, Mapping)):
        name = "num_return_sequences" if hasattr(params, "do_sample") else "n"
        raise ParamsError(f"{name}={asked.n} asks for several sequences, and a Request is one: make {asked.n} of {name}=1, each with a "
                          "seed of its own")
    return asked


def _of_mapping(kind: type[_Kind], given: Mapping[str, Any]) -> _Kind:
    """Parameters of this kind: a mapping of its fields."""
    unknown = sorted(map(repr, set(given) - set(kind.__annotations__)))
    if unknown:
        raise ParamsError(f"no parameters are named {', '.join(unknown)}: see sortilege.{kind.__name__}")
    return kind(**given)
