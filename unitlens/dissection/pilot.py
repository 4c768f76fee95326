"""The pilot: a look at some of the images that tells where every unit's tail lies, before all of them are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from unitlens.stats.quantile import TailQuantile

EDGES = (28, 14)  # per unit; the smaller number where the table of a layer would take more than TABLE_BYTES
TABLE_BYTES = 2**25
COARSE = {28: (4, 9, 15, 24), 14: (1, 3, 6, 10)}  # edges that blocks are counted at; the control: all but the first
BEYOND_PILOT = (0.4, 0.9, 1.8, 4.0)  # edges above the last level: in steps of what the pilot's maximum is above it
SAMPLE = 2**15  # pixels of all its images together that the pilot looks at; but 64 of each at least
SMALL = 16  # so few images are measured exactly
ONE_SHARD = 64
LARGEST = 512  # images of a pilot


@dataclass(frozen=True, eq=False)
class Bracket:
    """Where the tails of a layer's units lie.

    edges: float32 (U, J), ascending. bound: float32 (U,), a peak that only some images exceed: maps of the others are
    not kept with their block. exact: the quantile whose thresholds are edges[:, 0], or None.
    """

    edges: torch.Tensor
    bound: torch.Tensor
    exact: float | None = None


def edge_count(units: int, concepts: int) -> int:
    """How many edges the units of a layer have: a table of them all has to stay in memory.

    >>> edge_count(512, 300), edge_count(512, 1825)
    (28, 14)
    """
    return EDGES[0] if units * (concepts + 1) * EDGES[0] * 4 <= TABLE_BYTES else EDGES[1]


def pilot_index(images: int) -> list[int]:
    """The positions of the pilot among `images`: spread evenly, but not in step with anything, ascending.

    An eighth of the images, from 64 to 512; 8 of a set that is a single shard.

    >>> len(pilot_index(2000)), len(pilot_index(40)), pilot_index(3)
    (250, 8, [0, 1, 2])
    """
    count = 8 if images <= ONE_SHARD else max(ONE_SHARD, min(LARGEST, images // 8))
    if images <= SMALL or count >= images:
        return list(range(images))
    ends = np.arange(count + 1) * images // count
    jitter = _uniform(count)
    return [int(a + u * (b - a)) for a, b, u in zip(ends[:-1], ends[1:], jitter, strict=True)]


def _uniform(count: int) -> np.ndarray:
    """Numbers in [0, 1) that are the same everywhere."""
    return np.random.Generator(np.random.PCG64(1)).random(count)


def pilot_pixels(cells: int, images: int) -> torch.Tensor:
    """The pixels of every image that a pilot of some images looks at: int64 (S,), ascending."""
    count = max(64, SAMPLE // images)
    if cells <= count:
        return torch.arange(cells)
    mixed = np.random.Generator(np.random.PCG64(2)).permutation(cells)[:count]
    return torch.from_numpy(np.sort(mixed))


def levels(bracket: tuple[float, float], edges: int) -> np.ndarray:
    """Shares of the pixels above each of the edges that the pilot places: float64 (edges - 4,), descending.

    They reach beyond the bracket at both ends, because the pilot errs.

    >>> levels((0.97, 0.999), 14).round(4)[[0, -1]].tolist()
    [0.0375, 0.002]
    """
    below, above = 1 - bracket[0], 1 - bracket[1]
    return np.geomspace(min(0.999, below / 0.8), above * 2, edges - len(BEYOND_PILOT))


class PilotTails:
    """What the pilot collects of one layer: the tails at some pixels, and the peaks of its images."""

    def __init__(self, units: int, edges: int, bracket: tuple[float, float], images: int, pixels: int):
        self.shares = levels(bracket, edges)
        share = min(0.999, float(self.shares[0]) * 1.02)
        self.tails = TailQuantile(units, 1 - share, images * pixels)
        self.peaks: list[torch.Tensor] = []

    def update(self, sampled: torch.Tensor, peak: torch.Tensor, index: torch.Tensor) -> None:
        """sampled: (B, U, S). peak: (B, U). index: int64 (B,), positions in the probe set."""
        self.tails.update(sampled, index)
        self.peaks.append(peak.cpu())

    def bracket(self, images: int, top: int) -> Bracket:
        """The edges, and the peak that about 4 top / images of the images exceed."""
        upper, drawn = self.tails.upper_values(), int(self.tails.drawn)
        rank = np.minimum((self.shares * drawn).astype(np.int64), upper.shape[1] - 1)
        placed = upper[:, torch.from_numpy(rank)]  # (U, J - 4)
        last = placed[:, -1:]
        step = (upper[:, :1] - last).clamp(min=0)
        beyond = torch.cat([last + step * share for share in BEYOND_PILOT], 1)
        edges = torch.cat([placed, beyond], 1).cummax(1).values
        peaks = torch.cat(self.peaks).sort(0, descending=True).values  # (P, U)
        rank_of_peak = int(np.ceil(4 * top * len(peaks) / images)) + 1
        bound = peaks[rank_of_peak] if rank_of_peak < len(peaks) else torch.full_like(peaks[0], -torch.inf)
        return Bracket(with_atoms(edges), bound)


def exact_bracket(tails: TailQuantile, quantile: float, highest: float, count: int) -> Bracket:
    """Edges at exact order statistics: the threshold at `quantile` first, then up to `highest`; `count` in all."""
    upper, threshold = tails.upper_values(), tails.compute()
    drawn = int(tails.drawn)
    shares = np.geomspace((1 - quantile) * 0.8, max(1 - highest, 1e-9), count - 1)
    rank = np.minimum((shares * drawn).astype(np.int64), upper.shape[1] - 1)
    edges = torch.cat([threshold[:, None], upper[:, torch.from_numpy(rank)]], 1).cummax(1).values
    return Bracket(edges, torch.full((len(edges),), -torch.inf), quantile)


def with_atoms(edges: torch.Tensor) -> torch.Tensor:
    """Edges in which a value that stands at several levels (a unit that saturates) has its lower neighbour beside it.

    The bin between the two then holds this value and no other. The lowest edge stays: below it nothing is counted.

    >>> with_atoms(torch.tensor([[0.0, 1.0, 6.0, 6.0]]))[0].tolist()
    [0.0, 1.0, 5.999999523162842, 6.0]
    """
    same = edges[:, 1:] == edges[:, :-1]  # (U, J - 1)
    first = same.clone()  # the first of several equal edges, but not the lowest edge of all
    first[:, 1:] &= ~same[:, :-1]
    first[:, 0] = False
    below = torch.nextafter(edges, torch.full_like(edges, -torch.inf))
    lowered = edges.clone()
    lowered[:, :-1] = torch.where(first, below[:, :-1], edges[:, :-1])
    return torch.maximum(lowered, edges[:, :1])


def donors(index: Sequence[int], draws: int, pilot: Sequence[int]) -> np.ndarray:
    """For each image and draw, which image of the pilot lends its labels to the control: positions in `pilot`, (D, B).

    Never the image itself where the pilot has another one. The same whatever the batches.
    """
    asked, lenders = np.asarray(index, dtype=np.int64), np.asarray(pilot, dtype=np.int64)
    draw = np.arange(draws, dtype=np.int64)[:, None]
    mixed = (asked[None] * 2654435761 + draw * 40503 + 12345) % 4294967296
    chosen = (mixed ^ (mixed >> 13)) * 2246822519 % 4294967296 % len(lenders)
    same = lenders[chosen] == asked[None]
    return np.where(same, (chosen + 1) % len(lenders), chosen)


