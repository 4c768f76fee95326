"""What the statistics cost, as ratios to the least that could be done. Run: python tests/benchmarks/bench_stats.py"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch

from unitlens.stats.paircount import PairCount
from unitlens.stats.quantile import TailQuantile


def seconds(action: Callable[[], object]) -> float:
    """The time of one run."""
    start = perf_counter()
    action()
    return perf_counter() - start


def bench_quantile(units: int = 800, batches: int = 24, images: int = 16, pixels: int = 1024) -> None:
    """TailQuantile over all batches, beginning with an empty buffer, against comparing, and against sorting."""
    draw = torch.Generator().manual_seed(0)
    pool = [torch.randn(images, units, pixels, generator=draw) for _ in range(4)]
    quantile = TailQuantile(units, 0.99, batches * images * pixels)
    fixed = torch.full((units, 1), 2.326)
    ours = compare = 0.0
    for step in range(batches):
        values = pool[step % 4] + step * 1e-6
        ours += seconds(lambda values=values: quantile.update(values))
        compare += seconds(lambda values=values: (values > fixed).nonzero())
    ours += seconds(quantile.compute)
    sort = seconds(lambda: pool[0].transpose(0, 1).reshape(units, -1).sort(1)) * batches
    print(f"TailQuantile  {ours:.2f} s = {ours / compare:.2f} x compare and nonzero = 1/{sort / ours:.0f} of sorting")


def bench_pairs(units: int = 512, concepts: int = 300, images: int = 8, pixels: int = 3136) -> None:
    """PairCount against one-hot labels and a matrix product."""
    draw = torch.Generator().manual_seed(0)
    fires = torch.rand(images, units, pixels, generator=draw) < 0.01
    labels = torch.randint(0, concepts + 1, (images, 3, pixels), generator=draw).short()
    pairs = PairCount(units, concepts, 1, [0] * concepts)

    def dense() -> torch.Tensor:
        shown = torch.zeros(images, concepts + 1, pixels).scatter_(1, labels.long(), 1.0)[:, 1:]
        return torch.einsum("bup,bcp->uc", fires.float(), shown)

    ours, theirs = seconds(lambda: pairs.update(fires, labels)), seconds(dense)
    assert torch.equal(pairs.compute().intersection, dense().long())
    print(f"PairCount     {ours:.3f} s = 1/{theirs / ours:.1f} of a dense matrix product")


if __name__ == "__main__":
    bench_quantile()
    bench_pairs()
