"""What a program found is compared with what `sortilege log` wrote, and with the logits themselves."""

import math

import numpy as np

TOLERANCE = 1e-5
# Logits that are this close can round to one f32 logprob, and then count into a peer's rank.
NEAR = 4e-6
# Of a right program, a mean of 1024 draws is outside this many standard errors once in a million.
SIGMAS = 5.0


class Mismatch(Exception):
    """A program's output is wrong."""


def found(name: str, found: list[dict], ours: list[dict], logits: np.ndarray, targets: list[int]) -> None:
    """Tokens equal ours unless their logits tie; logprobs within TOLERANCE; ranks equal, less what a peer counts for
    ties and for its own rounding. `ours` is what `sortilege log` wrote, `logits` [rows][vocab] f32."""
    if len(found) != len(ours):
        raise Mismatch(f"{name}: {len(found)} rows, {len(ours)} expected")
    for row, (peer, our) in enumerate(zip(found, ours, strict=True)):
        try:
            same_row(peer, our, logits[row], targets[row])
        except Mismatch as mismatch:
            raise Mismatch(f"{name}, row {row}: {mismatch}") from None


def same_row(peer: dict, our: dict, logits: np.ndarray, target: int) -> None:
    top = our["top"]
    if len(peer["tokens"]) != len(top) or len(set(peer["tokens"])) != len(top):
        raise Mismatch(f"tokens {peer['tokens']}, {len(top)} different ones expected")
    for place, (token, logprob, entry) in enumerate(zip(peer["tokens"], peer["logprobs"], top, strict=True)):
        if logits[token] != logits[entry["token"]]:
            raise Mismatch(f"token {token} in place {place}, {entry['token']} expected")
        same_logprob(logprob, entry["logprob"], f"logprob of token {token}")
    same_logprob(peer["logprob"], our["logprob"], f"logprob of target {target}")
    greater = int(np.count_nonzero(logits > logits[target]))
    if our["rank"] != 1 + greater:
        raise Mismatch(f"our rank of target {target} is {our['rank']}, {1 + greater} expected")
    most = int(np.count_nonzero(logits >= logits[target] - np.float32(NEAR)))
    if "rank" in peer and not our["rank"] <= peer["rank"] <= most:
        raise Mismatch(f"rank {peer['rank']} of target {target}, {our['rank']} to {most} expected")


def same_logprob(value: float, expected: float, what: str) -> None:
    if not abs(value - expected) <= TOLERANCE:
        raise Mismatch(f"{what} is {value!r}, {expected!r} expected")


def drawn(name: str, drawn: list[list[int]], logits: np.ndarray) -> None:
    """The mean logprob of all draws is minus the entropy, within SIGMAS standard errors: a sampler that prefers the head
    or the tail is off. `drawn` is [rows][draws]."""
    if len(drawn) != len(logits):
        raise Mismatch(f"{name}: {len(drawn)} rows drawn, {len(logits)} expected")
    total = variance = 0.0
    for row, (tokens, values) in enumerate(zip(drawn, logits, strict=True)):
        if not tokens or not all(0 <= token < values.size for token in tokens):
            raise Mismatch(f"{name}, row {row}: tokens {tokens}, of 0 to {values.size - 1} expected")
        logprobs = values.astype(np.float64) - values.max()
        logprobs -= math.log(np.exp(logprobs).sum())
        mean = float(np.exp(logprobs) @ logprobs)
        total += float((logprobs[tokens] - mean).sum())
        variance += len(tokens) * float(np.exp(logprobs) @ (logprobs - mean) ** 2)
    sigmas = abs(total) / math.sqrt(variance) if variance else abs(total)
    if not sigmas <= SIGMAS:
        raise Mismatch(f"{name}: the mean logprob of its draws is {sigmas:.1f} standard errors from minus the entropy")
