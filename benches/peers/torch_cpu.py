"""torch's recipes for a record of each row, and for a draw."""

import numpy as np
import torch


def tensor(elements: np.ndarray) -> torch.Tensor:
    """Elements of a file (bf16 as u16) as a tensor of their type, without a copy."""
    if elements.dtype == np.uint16:
        return torch.from_numpy(elements.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(elements)


def eager(logits: torch.Tensor, targets: torch.Tensor, top: int) -> tuple[torch.Tensor, ...]:
    """Tokens [rows][top], their logprobs, the targets' logprobs [rows][1] and ranks [rows], all of it from logprobs."""
    logprobs = torch.log_softmax(logits, -1, dtype=torch.float32)
    best, tokens = logprobs.topk(top)
    target = logprobs.gather(-1, targets)
    ranks = (logprobs >= target).sum(-1)
    return tokens, best, target, ranks


def lean(logits: torch.Tensor, targets: torch.Tensor, top: int) -> tuple[torch.Tensor, ...]:
    """As `eager` without the ranks and without a logprob of every token.

    Of 16-bit logits the log-sum-exp is taken in f32, since torch rounds its result to the type of its input.
    """
    best, tokens = logits.topk(top)
    logsumexp = logits.float().logsumexp(-1, keepdim=True)
    target = logits.gather(-1, targets).float() - logsumexp
    return tokens, best.float() - logsumexp, target


def draw(logits: torch.Tensor, draws: int = 1) -> torch.Tensor:
    """Tokens [rows][draws], each drawn from the whole distribution."""
    return torch.softmax(logits, -1, dtype=torch.float32).multinomial(draws, replacement=True)


def found(outputs: tuple[torch.Tensor, ...]) -> list[dict]:
    """What `eager` or `lean` found, a dict per row; without a rank where there is none."""
    tokens, best, target, *ranks = (output.tolist() for output in outputs)
    rows = [
        {"tokens": tokens, "logprobs": best, "logprob": target[0]}
        for tokens, best, target in zip(tokens, best, target, strict=True)
    ]
    for row, rank in zip(rows, ranks[0] if ranks else []):
        row["rank"] = rank
    return rows
