"""Two processes, each with half of the vocabulary: `python torch_gloo.py`.

torch.distributed (gloo) exchanges the keys of the targets and the statistics; what they merge to is, in bits, what one process says of the
whole rows. Needs torch.
"""

import os
import sys
import tempfile

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import sortilege

ROWS, VOCAB, WORLD = 6, 50_257, 2
TARGETS = [0, 4095, 4096, 28_671, 28_672, 50_256]  # at the ends, and on both sides of cuts


def all_logits():
    """The whole rows, which no rank of a real run has. Some tokens tie, on both sides of the cut too."""
    drawn = np.random.default_rng(5).normal(0, 3, size=(ROWS, VOCAB))
    return torch.from_numpy((np.round(drawn * 64) / 64).astype(np.float32)).to(torch.bfloat16)


def run(rank, store, out):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD)
    first, end = sortilege.cut_vocab(VOCAB, WORLD)[rank]
    logits = all_logits()[:, first:end].contiguous()  # as the rank's output layer gives them

    keys = torch.from_numpy(sortilege.shard_keys(logits, first, VOCAB, TARGETS))
    dist.all_reduce(keys, dist.ReduceOp.MAX)
    own = sortilege.shard_stats(logits, first, VOCAB, keys.numpy(), TARGETS, top=20, entropy=True)
    gathered = [None] * WORLD
    dist.all_gather_object(gathered, own)

    # Any order will do: here another one on each rank.
    merged = gathered[rank].merge(gathered[1 - rank])
    with open(f"{out}.{rank}", "wb") as file:
        file.write(merged.to_bytes())
    dist.destroy_process_group()


def same(found, whole):
    """Whether two results are the same, to the bit."""
    names = ["status", "max", "logsumexp", "entropy", "target_logprobs", "target_ranks", "top_tokens", "top_logprobs"]
    return all(getattr(found, name).tobytes() == getattr(whole, name).tobytes() for name in names)


def main():
    with tempfile.TemporaryDirectory() as folder:
        store, out = os.path.join(folder, "store"), os.path.join(folder, "merged")
        mp.spawn(run, args=(store, out), nprocs=WORLD)
        merged = [open(f"{out}.{rank}", "rb").read() for rank in range(WORLD)]
    if merged[0] != merged[1]:
        sys.exit("the ranks have merged to different bytes")
    found = sortilege.ShardStats.from_bytes(merged[0]).logprobs()
    logits = all_logits()
    whole = sortilege.logprobs(logits, TARGETS, top=20, device="cpu", entropy=True)
    if not same(found, whole):
        sys.exit("the shards say something else than the whole rows")
    logits[3, 28_672] += 1  # the comparison sees another logit
    if same(found, sortilege.logprobs(logits, TARGETS, top=20, device="cpu", entropy=True)):
        sys.exit("the comparison sees nothing")
    for target, logprob, rank in zip(TARGETS, found.target_logprobs, found.target_ranks):
        print(f"token {target}: logprob {logprob:.6f}, rank {rank}")
    print(f"{ROWS} rows of {WORLD} processes, {len(merged[0])} bytes, are those of one, bit for bit")


if __name__ == "__main__":
    main()
