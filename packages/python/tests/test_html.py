"""Results as pages: what a row, a text or a log may be."""

import re

import numpy as np
import pytest

import sortilege
from sortilege import HeatMap


def page(rows, targets, texts=None, **words):
    return HeatMap(sortilege.logprobs(np.asarray(rows, np.float32), targets, **words), texts)._repr_html_()


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4), (), (1,), (2, 1), (1, 2, 2)])
def test_any_shape_is_a_page(shape):
    size = int(np.prod(shape))
    rows = np.random.default_rng(2).normal(size=(*shape, 9)).astype(np.float32)
    targets = np.zeros(shape, int)
    for result in [sortilege.logprobs(rows, targets, top=2), sortilege.logprobs(rows, targets, top=0), sortilege.sample(rows)]:
        html = result._repr_html_()
        assert html.startswith("<div") and html.count("<span") == size
        assert html.count("<br>") == max(0, size // (shape[-1] if shape else 1) - 1 if size else 0)


def test_a_result_without_targets_and_rows_that_are_none():
    html = page([[1, 2], [np.nan, 0], [-np.inf, 1]], [-1, 1, 0], top=1)
    assert html.count("no token") == 1 and html.count("the row is no distribution") == 1
    assert "0.00 % (-inf nats), rank 2" in html and "nan" not in html


def test_texts_that_would_change_the_page():
    texts = ["<b>", '"&', "\n", "\x00\x1b", "\u202e", "\ud800", "x" * 5000, b"\xff", None, "100%", "\r", "\x7f"]
    html = page(np.zeros((13, 13)), np.arange(13), texts, top=5)
    spans = re.findall(r">([^<]*)</span>", html)
    assert spans[:6] == ["&lt;b&gt;", "&quot;&amp;", "⏎\n", "␀␛", "\\u202e", "\\ud800"]
    assert len(spans[6]) == 201 and spans[7:] == ["\ufffd", " 8", "100%", "␍", "\\u007f", " 12"]
    html.encode()  # a page can be written to a file
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", html) and "100% 7.69 %" in page(np.zeros(13), 9, lambda token: texts[9])


def test_a_long_log_is_bounded():
    html = page(np.zeros((100_000, 4)), np.zeros(100_000, int), top=1)
    assert html.count("<span") == 4096 and "95904 more tokens" in html and len(html) < 1 << 20
