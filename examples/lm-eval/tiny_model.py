"""A small deterministic model: bytes, and an end of text; each row depends on the three tokens before it."""

import numpy as np


class TinyModel:
    eot, vocab, max_length = 256, 257, 48

    def __init__(self, seed=7):
        random = np.random.default_rng(seed)
        # A few values only, so that logits tie now and then.
        self.tables = random.integers(-12, 13, size=(3, self.vocab, self.vocab)).astype(np.float32) / 4

    def encode(self, text):
        return list(text.encode())

    def logits(self, inputs):
        positions = max(map(len, inputs))
        logits = np.zeros((len(inputs), positions, self.vocab), np.float32)
        for row, tokens in zip(logits, inputs):
            for back, table in enumerate(self.tables):
                for position in range(back, len(tokens)):
                    row[position] += table[tokens[position - back]]
        return logits
