"""What a child process of the tests does: a module of its own, which it can import wherever pytest was started."""

import sortilege


def top_tokens(logits, answers, device="auto"):
    answers.put(sortilege.logprobs(logits, top=3, device=device).top_tokens.tolist())
