"""`sample` and `Request`."""

import collections

import numpy as np
import pytest
from conftest import log_softmax

import sortilege
from sortilege import Dry, Mirostat, Request, SamplingParams, as_params, sample, score


def test_draws_are_functions_of_seed_position_and_stream(logits):
    params = SamplingParams(temperature=1.3, seed=5, entropy=True)
    first = sample(logits, params)
    assert first.tokens.shape == (7,) and first.tokens.dtype == np.int32
    assert (sample(logits, params).tokens == first.tokens).all()
    assert sample(logits[4], params, positions=4).tokens == first.tokens[4]
    assert (sample(logits, SamplingParams(temperature=1.3, seed=5, stream=1)).tokens != first.tokens).any()
    expected = log_softmax(logits, 1.3)
    assert np.abs(first.logprobs - np.take_along_axis(expected, first.tokens[:, None], 1)[:, 0]).max() < 1e-6
    assert (first.seed == 5).all() and np.isfinite(first.entropy).all()


def test_a_seed_is_found_and_told(logits):
    drawn = sample(logits)
    again = sample(logits, SamplingParams(seed=int(drawn.seed[0])))
    assert (again.tokens == drawn.tokens).all()
    assert len({int(sample(logits[0]).seed) for _ in range(3)}) == 3


def test_tokens_come_as_often_as_they_are_probable():
    row = np.float32([2.0, 1.0, 0.0, -1.0, -np.inf])
    count = 20000
    drawn = sample(np.tile(row, (count, 1)), SamplingParams(seed=3, n=2)).draws
    assert drawn.shape == (count, 2)
    expected = np.exp(log_softmax(row)) * drawn.size
    found = np.bincount(drawn.ravel(), minlength=5)
    chi_square = ((found - expected)[:4] ** 2 / expected[:4]).sum()
    assert chi_square < 22 and found[4] == 0  # one in 10 000 of three degrees of freedom
    # The measure sees a temperature of 1.05.
    other = np.bincount(sample(np.tile(row, (count, 1)), SamplingParams(seed=3, n=2, temperature=1.05)).draws.ravel(), minlength=5)
    assert ((other - expected)[:4] ** 2 / expected[:4]).sum() > 22


def test_filters_and_views(logits):
    greedy = sample(logits, SamplingParams(temperature=0, raw_logprobs=3, processed_logprobs=2))
    assert (greedy.tokens == logits.argmax(axis=1)).all()
    assert (greedy.raw_top_tokens[:, 0] == greedy.tokens).all() and greedy.raw_top_logprobs.shape == (7, 3)
    assert greedy.top_tokens.shape == (7, 2) and (greedy.raw_ranks == 1).all()
    few = sample(logits, SamplingParams(top_k=3, seed=1))
    assert (few.kept == 3).all() and (few.kept_mass < 1).all()
    assert np.isnan(few.raw_logprobs).all() and (few.raw_ranks == 0).all()
    assert few.draws.shape == (7, 1) and few.draw_logprobs[:, 0].tolist() == few.logprobs.tolist()


def test_a_batch_of_requests(logits):
    requests = [Request({"seed": seed, "temperature": 0.5 + seed / 4}) for seed in range(7)]
    for step in range(3):
        samples = sample(logits, requests)
        for request, one in zip(requests, samples):
            request.accept(one)
    assert [len(request.output) for request in requests] == [3] * 7 and requests[0].position == 3
    # Each is what it is alone.
    alone = Request(SamplingParams(seed=4, temperature=1.5))
    for step in range(3):
        alone.accept(sample(logits[4], alone))
    assert alone.output == requests[4].output
    # Rows are shared out evenly.
    both = sample(logits[:6], [SamplingParams(seed=1), SamplingParams(seed=2)])
    assert both.seed.tolist() == [1, 1, 1, 2, 2, 2]
    assert (both.tokens[3:] == sample(logits[3:6], SamplingParams(seed=2)).tokens).all()


def test_a_request_sees_what_it_accepted():
    row = np.float32([5.0, 4.9, 0, 0])
    request = Request(SamplingParams(temperature=0, presence_penalty=1), prompt=[2])
    tokens = []
    for _ in range(3):
        drawn = sample(row, request)
        request.accept(drawn)
        tokens.append(drawn.tokens.item())
    assert tokens == [0, 1, 0] == request.output
    request.accept_token(3)
    assert request.output == [0, 1, 0, 3]
    request.set_params(SamplingParams(temperature=0))
    assert sample(row, request).tokens == 0 and request.params.presence_penalty == 0
    surprise = Request(SamplingParams(mirostat=sortilege.Mirostat(tau=3), seed=1))
    assert surprise.mu == 6
    surprise.accept(sample(row, surprise))
    assert surprise.mu != 6


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_a_request_finishes_at_a_stop_token_or_at_its_length(logits, device):
    """The drawn token that ends it is its last; rows behind it have none."""
    best = logits.argmax(axis=1)
    assert len(set(best)) == 7
    for words, length, reason in [
        (dict(stop_token_ids=[best[3], best[5]]), 4, "stop"),
        (dict(stop_token_ids=[best[3], best[5]], max_tokens=4), 4, "stop"),
        (dict(stop_token_ids=[best[3], best[5]], max_tokens=3), 3, "length"),
        (dict(max_tokens=1), 1, "length"),
        (dict(stop_token_ids=[best[0]], max_tokens=8), 1, "stop"),
        (dict(), 7, None),
    ]:
        request = Request(SamplingParams(temperature=0, **words))
        for step, row in enumerate(logits):
            drawn = sample(row, request, device=device)
            is_behind = step >= length
            assert drawn.finish_reason.item() == (reason if step + 1 >= length else None)
            assert drawn.status == (sortilege.Status.FINISHED if is_behind else sortilege.Status.OK)
            assert drawn.tokens == (-1 if is_behind else best[step]) and np.isnan(drawn.logprobs) == is_behind
            request.accept(drawn)
            assert request.finish_reason == (reason if step + 1 >= length else None)
        assert request.output == best[:length].tolist()
    # A token that was drawn elsewhere ends it too, one that comes before min_tokens does not.
    request = Request(SamplingParams(stop_token_ids=[3], min_tokens=1))
    for token, reason in [(3, None), (4, None), (3, "stop"), (4, "stop")]:
        request.accept_token(token)
        assert request.finish_reason == reason
    # Rows of one call do not see each other's tokens.
    drawn = sample(logits, SamplingParams(temperature=0, stop_token_ids=[best[3]], max_tokens=6))
    assert drawn.finish_reason.tolist() == [None] * 3 + ["stop", None, "length", "length"]
    assert (drawn.status == sortilege.Status.FINISHED).tolist() == [False] * 6 + [True]
    assert drawn.finish_reason.shape == (7,) and (drawn.finish_reason == "length").sum() == 2


def test_masks(logits):
    allowed = np.zeros((7, 9001), bool)
    allowed[np.arange(7), [0, 31, 32, 63, 64, 9000, 5000]] = True
    packed = np.zeros((7, 282 * 32), bool)
    packed[:, :9001] = allowed
    words = np.packbits(packed, axis=1, bitorder="little").view(np.int32)
    for mask in [allowed, words, words.view(np.uint32)]:
        assert sample(logits, mask=mask).tokens.tolist() == [0, 31, 32, 63, 64, 9000, 5000]
    with pytest.raises(sortilege.ParamsError, match=r"needs? \[7, 282\]"):
        sample(logits, mask=words[:, :-1])
    with pytest.raises(TypeError, match="a mask of type float32"):
        sample(logits, mask=logits)


def test_nothing_to_draw_from():
    drawn = sample(np.full((2, 3), -np.inf, np.float32))
    assert drawn.tokens.tolist() == [-1, -1] and (drawn.status == sortilege.Status.NOTHING_FINITE).all()
    assert np.isnan(drawn.logprobs).all() and (drawn.draws == [[-1], [-1]]).all()
    request = Request()
    request.accept(sample(np.full(3, -np.inf, np.float32), request))
    assert request.output == []


def test_samples_are_accepted_in_turn(logits):
    request = Request(SamplingParams(seed=1))
    first = sample(logits[0], request)
    request.accept(first)
    with pytest.raises(sortilege.ParamsError, match="of position 0, and the next one of its request of 1"):
        request.accept(first)
    with pytest.raises(sortilege.ParamsError, match="drawn with seed 2, this request draws with 1"):
        request.accept(sample(logits[1], Request(SamplingParams(seed=2))))
    assert request.output == [first.tokens.item()]


@pytest.mark.parametrize(
    "words, call",
    [
        ("top_p 1.5 is outside", lambda x: SamplingParams(top_p=1.5)),
        ("max_tokens 0 is below 1", lambda x: SamplingParams(max_tokens=0)),
        ("max_tokens=-1", lambda x: SamplingParams(max_tokens=-1)),
        ("bad word has no tokens", lambda x: SamplingParams(bad_words=[[]])),
        ("order 'a' is neither", lambda x: SamplingParams(order="a")),
        ("no parameters are named 'topp'", lambda x: sample(x, {"topp": 1})),
        ("7 rows of logits cannot be shared out evenly to 2 requests", lambda x: sample(x, [None, None])),
        ("7 rows of logits cannot be shared out evenly to 0", lambda x: sample(x, [])),
        (r"positions of shape \[2\]", lambda x: sample(x, positions=[1, 2])),
        ("penalties", lambda x: sample(x, SamplingParams(presence_penalty=1))),
        ("position -1 is below 0", lambda x: sample(x[0], positions=-1)),
        ("7 rows of samples: accept one", lambda x: Request().accept(sample(x))),
        ("9001", lambda x: sample(x, SamplingParams(logit_bias={9001: 1.0}))),
        (r"no parameters are named 'mult', 'tau': see sortilege.Dry", lambda x: as_params({"dry": {"tau": 1, "mult": 2}})),
        (r"prompt of shape \[1, 3\]: pass one flat list of token ids$", lambda x: Request(prompt=[[1, 2, 3]])),
        (r"tokens of shape \[\]: pass one flat list of token ids$", lambda x: score(x, 3)),
        (r"token_ids of shape \[1, 2\]: pass one flat list of token ids$", lambda x: sortilege.logprobs(x[0], token_ids=[[1, 2]])),
        (r"flat list of token ids for all rows, or for each of \[7\] one", lambda x: sortilege.logprobs(x, token_ids=[[1, 2]])),
        (r"token -1 is out of range: pass 0 or more, below 2\*\*32", lambda x: Request().accept_token(-1)),
        ("token 4294967296 is out", lambda x: Request().accept_token(2**32)),
        (r"vocab -1 is out of range: pass 0 or more, below 2\*\*64", lambda x: sortilege.cut_vocab(-1, 2)),
        ("shards -1 is out", lambda x: sortilege.cut_vocab(9001, -1)),
        ("first_token -1 is out", lambda x: sortilege.shard_keys(x, -1, 9001)),
        ("vocab -1 is out", lambda x: sortilege.shard_stats(x, 0, -1)),
        ("threads -1 is out", lambda x: sortilege.set_num_threads(-1)),
        ("bytes -1 is out", lambda x: score(x, [3]).per_byte(-1)),
    ],
)
def test_what_is_out_of_range_is_an_error(logits, words, call):
    with pytest.raises(sortilege.ParamsError, match=words.replace("'", "[\"']")):
        call(logits)


@pytest.mark.parametrize(
    "words", [{"top_k": 1.5}, {"temperature": "hot"}, {"logit_bias": [1]}, {"dry": 3}, {"mirostat": 5.0}, {"dry": {"base": 2}}]
)
def test_what_is_of_another_type_is_an_error(words):
    with pytest.raises(TypeError, match=f"^{next(iter(words))}="):
        SamplingParams(**words)
    for other in [3.5, "ab"]:
        with pytest.raises(TypeError, match="is no parameters"):
            sample(np.zeros(3, np.float32), other)
    with pytest.raises(TypeError, match=r"^token=1\.5: .* as an integer"):
        Request().accept_token(1.5)


def test_lists_are_as_wide_as_was_asked(logits):
    """Whatever the rows have: none, one that is no distribution, or fewer kept tokens."""
    asked = [SamplingParams(n=3, raw_logprobs=2, seed=1), SamplingParams(temperature=0, processed_logprobs=6)]
    for rows in [logits[:2], logits[:0], np.full((2, 9001), -np.inf, np.float32)]:
        drawn = sample(rows, asked)
        widths = {"draws": 3, "draw_logprobs": 3, "top_tokens": 6, "top_logprobs": 6, "raw_top_tokens": 2, "raw_top_logprobs": 2}
        for name, width in widths.items():
            assert getattr(drawn, name).shape == (len(rows), width), name
            assert all(getattr(row, name).shape == (width,) for row in drawn), name
    kept = sample(logits[0], SamplingParams(top_k=2, processed_logprobs=6)).top_tokens
    assert (kept >= 0).tolist() == [True] * 2 + [False] * 4
    assert sample(logits[:, :4], SamplingParams(raw_logprobs=9)).raw_top_tokens.shape == (7, 4)


def test_rows_of_samples(logits):
    samples = sample(logits, SamplingParams(seed=9))
    assert len(samples) == 7 and samples[-1].tokens == samples.tokens[6]
    assert [one.tokens.item() for one in samples] == samples.tokens.tolist()
    with pytest.raises(IndexError):
        samples[7]
    with pytest.raises(IndexError):
        samples[-8]
    assert collections.Counter(samples.tokens.tolist())


def test_a_mapping_may_hold_mappings(logits):
    for given, params in [
        ({"dry": {"multiplier": 0.5, "sequence_breakers": [3]}}, SamplingParams(dry=Dry(multiplier=0.5, sequence_breakers=[3]))),
        ({"mirostat": {"tau": 5.0}, "seed": 3}, SamplingParams(mirostat=Mirostat(tau=5.0), seed=3)),
        ({"dry": Dry(), "mirostat": None}, SamplingParams(dry=Dry())),
        ({"dry": {}}, SamplingParams(dry=Dry())),
    ]:
        assert as_params(given) == params
    assert Request({"mirostat": {"tau": 5.0}}).mu == 10


def test_a_sequence_of_any_kind_is_a_batch(logits):
    requests = [Request({"seed": seed}) for seed in range(7)]
    expected = sample(logits, requests).tokens.tolist()
    for kind in [tuple, collections.deque, collections.UserList]:
        assert sample(logits, kind(requests)).tokens.tolist() == expected


def test_given_tokens_are_arrays_of_both_distributions(logits):
    logits = logits.copy()
    logits[2, 5] = np.nan
    asked = [SamplingParams(logprob_token_ids=[1, 9000, 1], top_k=4000, temperature=2, raw_logprobs=0, seed=1)] * 6
    drawn = sample(logits, [*asked, SamplingParams(logprob_token_ids=[4], seed=2)])
    for raw, temperature in [("", 2), ("raw_", 1)]:
        logprobs, ranks, among = (getattr(drawn, f"{raw}token_{name}") for name in ("logprobs", "ranks", "set_logprobs"))
        assert logprobs.shape == ranks.shape == among.shape == (7, 3)
        assert (logprobs.dtype, ranks.dtype, among.dtype) == (np.float64, np.int32, np.float64)
        assert np.isnan(logprobs[2]).all() and np.isnan(logprobs[6, 1:]).all() and (ranks[6, 1:] == 0).all()
        assert np.array_equal(getattr(drawn[3], f"{raw}token_logprobs"), logprobs[3])
        found = sortilege.logprobs(logits, token_ids=[1, 9000, 1], temperature=temperature)
        if raw:
            rows = [0, 1, 3, 4, 5]
            assert np.array_equal(logprobs[rows], found.token_logprobs[rows]) and np.array_equal(ranks[rows], found.token_ranks[rows])
            assert np.array_equal(among[rows], found.token_set_logprobs[rows])
            assert np.isnan(logprobs[6]).all() and (ranks[6] == 0).all() and np.isnan(among[6]).all()
        else:
            assert logprobs[6, 0] == sortilege.logprobs(logits[6], token_ids=[4]).token_logprobs[0]
            for row in [0, 1, 3, 4, 5]:
                is_kept = found.token_ranks[row] <= 4000
                assert (np.isfinite(logprobs[row]) == is_kept).all() and (logprobs[row][is_kept] > found.token_logprobs[row][is_kept]).all()
    none = sample(logits, SamplingParams(seed=1))
    assert none.token_logprobs.shape == none.raw_token_ranks.shape == (7, 0)
