"""A log as tokens coloured by how much they surprise, for notebooks."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np

# Nats at which the colour is full: a probability of 0.03 %.
_FULL = 8.0
# Tokens that a page is given, and characters of each: more are slow to show.
_MOST, _LONGEST = 4096, 200


class HeatMap:
    """Tokens of a result, coloured from white, which is certain, to red, which has a probability of 0.03 % or less; a pointer
    on one shows its probability, its rank and the alternatives.

    `result` is a `Logprobs` with targets, or `Samples`. `texts` says the text of a token: a function of its id, such as
    `lambda token: tokenizer.decode([token])`, or a list of texts or bytes; a token without one is shown by its id. Of a long
    result the first 4096 tokens are shown.

    >>> import numpy as np, sortilege
    >>> found = sortilege.logprobs(np.float32([[8, 6, 5], [0, 4, 4]]), targets=[1, 2], top=2)
    >>> page = sortilege.HeatMap(found, ["<a>", " b", " c"])._repr_html_()
    >>> "rank 2" in page and "&lt;a&gt; 84.38 %" in page and "<a>" not in page
    True
    """

    def __init__(self, result: Any, texts: Callable[[int], str] | Sequence[str | bytes | None] | None = None):
        self._result, self._texts = result, texts

    def _text(self, token: int) -> str:
        text: str | bytes | None = None
        if callable(self._texts):
            text = self._texts(token)
        elif self._texts is not None and token < len(self._texts):
            text = self._texts[token]
        if text is None:
            return f" {token}"
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

    def _repr_html_(self) -> str:
        result = self._result
        drawn = hasattr(result, "draws")
        names = ["tokens", "logprobs", "ranks"] if drawn else ["target_tokens", "target_logprobs", "target_ranks"]
        tokens, logprobs, ranks = (np.atleast_1d(getattr(result, name)) for name in names)
        tops = (getattr(result, name) for name in ["top_tokens", "top_logprobs"])
        lists = (array.reshape(tokens.size, array.shape[-1]) for array in tops)
        rows = zip(tokens.ravel(), logprobs.ravel(), ranks.ravel(), *lists)
        width = tokens.shape[-1] or 1
        spans: list[str] = []
        for number, row in enumerate(rows):
            if number == _MOST:
                spans.append(f"<br>... {tokens.size - _MOST} more tokens")
                break
            if number and number % width == 0:
                spans.append("<br>")
            spans.append(self._span(*row))
        style = "font-family:monospace;white-space:pre-wrap;line-height:1.7;color:#111;background:#fff;padding:.5em"
        return f'<div style="{style}">{"".join(spans)}</div>'

    def _span(self, token: int, logprob: float, rank: int, top: np.ndarray, top_logprobs: np.ndarray) -> str:
        if token < 0:
            return '<span title="no token">·</span>'
        strength = 1.0 if np.isnan(logprob) else min(1.0, -logprob / _FULL)
        words = [f"{_percent(logprob)} ({logprob:.4f} nats), rank {rank}" if rank else "the row is no distribution"]
        words += [f"{_visible(self._text(int(one)))} {_percent(of_one)}" for one, of_one in zip(top[:5], top_logprobs) if one >= 0]
        title = escape("\n".join(words), quote=True)
        text = escape("⏎\n".join(map(_visible, self._text(int(token)).split("\n"))))
        return f'<span style="background:rgba(214,39,40,{strength:.2f})" title="{title}">{text}</span>'


def _percent(logprob: float) -> str:
    return f"{100 * np.exp(logprob):.2f} %"


def _visible(text: str) -> str:
    """The text with pictures of control characters, and escapes of what would change how its neighbours are shown."""

    def visible(character: str) -> str:
        code = ord(character)
        if code < 0x20:
            return chr(0x2400 + code)
        return f"\\u{code:04x}" if unicodedata.category(character) in ("Cc", "Cf", "Cs") else character

    return "".join(map(visible, text))
