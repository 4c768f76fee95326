"""The pilot: a look at some of the images that tells where every unit's tail lies, before all of them are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from unitlens.dissection.tails import TailTable
from unitlens.stats.levels import tail_count
from unitlens.stats.quantile import TailQuantile, descending, largest

EDGES = {2**23: 40, 2**25: 32, math.inf: 14}  # per unit: the most with which the table of a layer takes no more bytes
COARSE = {40: (5, 11, 18, 28), 32: (4, 8, 14, 21), 14: (1, 3, 5, 8)}  # edges that blocks are counted at
BEYOND_PILOT = {  # edges above the last level: in steps of what the pilot's maximum is above it
    40: (0.1, 0.25, 0.5, 1.0, 3.0),
    32: (0.1, 0.25, 0.5, 1.0, 3.0),
    14: (0.3, 1.0, 3.0),
}
WINDOW, DENSE = (1.35, 0.74), 2.0  # around the quantile asked for, edges stand twice as close
GROUPS = 8  # of the pilot's images: where they disagree about a unit, its bracket is wider
SAMPLE = 2**15  # pixels of all its images together that the pilot looks at; but 64 of each at least
LEAST, ERRORS, WIDEST = 1.3, 5.0, 3.5  # a bracket's lower end: at least, and at most, so many times the share of pixels
# that the lowest quantile leaves; between them, so many standard errors of the pilot's estimate above it
ROOM = 4  # so many tails of a group are collected before they are cut back to one
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

    @classmethod
    def joined(cls, parts: Sequence[Bracket]) -> Bracket:
        """The bracket of a layer from those of its units, part after part."""
        return cls(torch.cat([part.edges for part in parts]), torch.cat([part.bound for part in parts]))


def edge_count(units: int, concepts: int) -> int:
    """How many edges the units of a layer have: a table of them all has to stay in memory.

    >>> edge_count(160, 194), edge_count(512, 300), edge_count(512, 1825)
    (40, 32, 14)
    """
    return next(edges for room, edges in EDGES.items() if units * (concepts + 1) * edges * 4 <= room)


def pilot_index(images: int) -> list[int]:
    """The positions of the pilot among `images`: spread evenly, but not in step with anything, ascending.

    An eighth of the images, from 64 to 512.

    >>> len(pilot_index(2000)), pilot_index(3)
    (250, [0, 1, 2])
    """
    count = max(ONE_SHARD, min(LARGEST, images // 8))
    if count >= images:
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


def levels(first: np.ndarray, here: float, last: float, count: int) -> np.ndarray:
    """Shares of the pixels above `count` edges, from `first` to `last`: float64 (U, count), descending.

    At even steps in the logarithm, half as wide around `here`. first: float64 (U,).

    >>> levels(np.array([0.04]), 0.01, 0.001, 9)[0].round(4).tolist()
    [0.04, 0.0234, 0.0137, 0.0104, 0.008, 0.005, 0.0029, 0.0017, 0.001]
    """
    top, end = np.log(first)[:, None], math.log(last)
    high = np.minimum(top, max(end, math.log(WINDOW[0] * here)))
    low = np.clip(math.log(WINDOW[1] * here), end, high)
    before, inside = top - high, DENSE * (high - low)  # (U, 1)
    way = np.linspace(0, 1, count) * (before + inside + low - end)  # (U, count)
    fallen = np.minimum(way, before) + np.clip(way - before, 0, inside) / DENSE + np.maximum(way - before - inside, 0)
    return np.asarray(np.exp(top - fallen))


class PilotTails:
    """What the pilot collects of one layer: the tails at some pixels, and the peaks of its images.

    A unit whose pixels above a value differ much between groups of images gets a bracket that begins lower: other
    images may differ as much.
    """

    def __init__(
        self, units: int, edges: int, bracket: tuple[float, float], quantile: float, images: int, pixels: int
    ):
        self.units, self.edges, self.here = units, edges, 1 - quantile
        self.lowest, self.highest = 1 - bracket[0], 1 - bracket[1]
        self.share = min(0.999, WIDEST * self.lowest)
        self.tail = int(self.share * -(-images // GROUPS) * pixels) + 1  # values kept of each unit and group
        self.kept: list[list[torch.Tensor]] = [[] for _ in range(GROUPS)]  # each (U, n)
        self.drawn = [0] * GROUPS
        self.seen = 0
        self.peaks: list[torch.Tensor] = []
        self.minimum = torch.full((units,), torch.inf)

    def update(self, sampled: torch.Tensor, peak: torch.Tensor, low: torch.Tensor) -> None:
        """sampled: finite (B, U, S). peak and low: (B, U), what no value of an image is above and below."""
        for group in range(GROUPS):
            some = sampled[(group - self.seen) % GROUPS :: GROUPS]
            if not len(some):
                continue
            kept = self.kept[group]
            kept.append(some.transpose(0, 1).flatten(1).cpu())
            self.drawn[group] += kept[-1].shape[1]
            if sum(values.shape[1] for values in kept) > ROOM * self.tail:
                self.kept[group] = [largest(torch.cat(kept, 1), self.tail)]
        if not len(sampled):
            return
        self.seen += len(sampled)
        self.peaks.append(peak.cpu())
        self.minimum = torch.minimum(self.minimum, low.amin(0).cpu())

    def bracket(self, images: int, top: int) -> Bracket:
        """The edges, and the peak that about 4 top / images of the images exceed."""
        drawn = torch.tensor([count for count in self.drawn if count])
        groups = [largest(torch.cat(kept, 1), self.tail) for kept in self.kept if kept]
        upper = descending(torch.cat(groups, 1))  # (U, N)
        total = int(drawn.sum())
        low = _at_share(upper, total, self.lowest)  # (U,)
        each = torch.stack([(values > low[:, None]).sum(1) for values in groups]) / drawn[:, None]  # (G, U)
        unseen = max(0.0, 1 - self.seen / images)
        spread = each.std(0) * math.sqrt(unseen / len(groups)) if len(groups) > 1 else torch.zeros(len(low))
        first = (1.05 * (self.lowest + ERRORS * spread)).clamp(LEAST * self.lowest, self.share).double().numpy()
        beyond = BEYOND_PILOT[self.edges]
        shares = levels(first, self.here, self.highest, self.edges - len(beyond))
        rank = np.minimum((shares * total).astype(np.int64), upper.shape[1] - 1)
        placed = upper.gather(1, torch.from_numpy(rank))
        last = placed[:, -1:]
        step = (upper[:, :1] - last).clamp(min=0)
        edges = torch.cat([placed, *(last + step * share for share in beyond)], 1).cummax(1).values
        peaks = torch.cat(self.peaks).sort(0, descending=True).values  # (P, U)
        rank_of_peak = int(np.ceil(4 * top * len(peaks) / images)) + 1
        bound = peaks[rank_of_peak] if rank_of_peak < len(peaks) else torch.full_like(peaks[0], -torch.inf)
        return Bracket(with_atoms(edges, self.minimum), bound)


def _at_share(upper: torch.Tensor, drawn: int, share: float) -> torch.Tensor:
    """The value that a share of all `drawn` pixels exceeds; upper: (U, N) the highest ones, from high to low."""
    return upper[:, min(int(share * drawn), upper.shape[1] - 1)]


def exact_bracket(
    tails: TailQuantile, quantile: float, highest: float, count: int, hazen: bool = False
) -> Bracket:
    """Edges at exact order statistics: the threshold at `quantile` first, then up to `highest`; `count` in all.

    hazen: the threshold is the paper's, between two order statistics; the tails then hold one value more."""
    upper, drawn = tails.upper_values(), int(tails.drawn)
    threshold = hazen_threshold(upper, drawn, quantile) if hazen else tails.compute()
    last = min(max(1 - highest, 1e-9), 0.05 * (1 - quantile))
    shares = np.geomspace((1 - quantile) * 0.8, last, count - 1)
    rank = np.minimum((shares * drawn).astype(np.int64), upper.shape[1] - 1)
    edges = torch.cat([threshold[:, None], upper[:, torch.from_numpy(rank)]], 1).cummax(1).values
    # The lowest edge is the threshold itself, and stays.
    return Bracket(with_atoms(edges, edges[:, 0]), torch.full((len(edges),), -torch.inf), quantile)


def again_bracket(
    tails: TailQuantile, bracket: tuple[float, float], here: float, count: int, minimum: torch.Tensor
) -> Bracket:
    """Edges of units that are measured again, at exact order statistics: `count` in all.

    The thresholds at the lowest quantile and at `here`, the one asked for, have bins of their own: as many pixels may
    share a value there as there are cells. tails: above the lowest quantile. minimum: float32 (U,).
    """
    upper, drawn = tails.upper_values(), int(tails.drawn)
    lowest, highest = bracket
    last = min(max(1 - highest, 1e-9), 0.05 * (1 - lowest))
    rank = np.minimum((np.geomspace((1 - lowest) * 0.8, last, count - 4) * drawn).astype(np.int64), upper.shape[1] - 1)
    at = min(tail_count(drawn, here), upper.shape[1] - 1)
    own = torch.stack([tails.compute(), upper[:, at]], 1)  # (U, 2)
    below = torch.nextafter(own, torch.full_like(own, -torch.inf))
    pairs = torch.cat([torch.where(own > minimum[:, None], below, own), own], 1)
    edges = torch.cat([pairs, upper[:, torch.from_numpy(rank)]], 1).sort(1).values
    return Bracket(with_atoms(edges, minimum), torch.full((len(edges),), -torch.inf))


def refined_bracket(
    table: TailTable, rows: np.ndarray, peak: np.ndarray, bracket: tuple[float, float], quantile: float, total: int
) -> Bracket:
    """Edges for some units of a layer at the `levels` of pixels above, by what has been counted.

    rows: int64 (V,). peak: float32 (U,), each unit's highest activation. total: all pixels of a unit. Between two
    counted edges the tail is taken as exponential; below the first it goes on as in the first three bins; above the
    last, edges stand at even steps up to the peak.
    """
    place, log = table.edges[rows].astype(np.float64), np.log(np.maximum(table.tail[rows], 0.5))  # (V, J)
    last = place.shape[1] - 1
    shares = levels(np.array([1.4 * (1 - bracket[0])]), 1 - quantile, 0.7 * (1 - bracket[1]), last - 1)
    wanted = np.log(shares[0] * total)  # (J - 2,)
    lower = np.clip((log[:, :, None] > wanted).sum(1) - 1, 0, last - 1)  # (V, J - 2)
    low, high, here, there = (
        np.take_along_axis(values, lower + step, 1) for values in (place, log) for step in (0, 1)
    )
    fall = here - there
    found = low + np.divide(here - wanted, fall, out=np.zeros(fall.shape), where=fall > 0).clip(0, 1) * (high - low)
    some = min(3, last)
    slope = (place[:, [some]] - place[:, [0]]) / np.maximum(log[:, [0]] - log[:, [some]], 1e-3)
    found = np.where(wanted > log[:, [0]], place[:, [0]] - slope * (wanted - log[:, [0]]), found)
    beyond = wanted < log[:, [-1]]  # (V, J - 2): the last so many of them
    step = beyond.cumsum(1) / (beyond.sum(1, keepdims=True) + 1)
    highest = np.maximum(peak[rows][:, None], place[:, [-1]])
    found = np.where(beyond, place[:, [-1]] + step * (highest - place[:, [-1]]), found)
    found = np.hstack([found, highest, highest])  # twice: a unit that saturates does so there
    found = np.maximum(found, table.minimum[rows].astype(np.float64)[:, None]).astype(np.float32)
    placed = torch.from_numpy(found).cummax(1).values
    lowest = torch.from_numpy(table.minimum[rows].astype(np.float32))
    return Bracket(with_atoms(placed, lowest), torch.full((len(placed),), -torch.inf))


def hazen_threshold(upper: torch.Tensor, drawn: int, quantile: float) -> torch.Tensor:
    """The quantile by Hazen's definition, as the paper's sketch reads it out [paper.md 9.5]: float32 (U,).

    It lies at rank n q - 1/2 of n ascending values, the lowest being rank 0, interpolated; so round(n (1 - q)) values
    exceed it, a half rounded down, where `tail_count` gives floor(n (1 - q)). upper: float32 (U, M), the highest
    values, descending; M > n (1 - q) + 1/2. drawn: n. quantile: q, read as it is written.

    >>> hazen_threshold(torch.tensor([[9.0, 8.0, 4.0]]), drawn=12, quantile=0.9).tolist()  # rank 10.3
    [8.300000190734863]
    """
    rank = max(Fraction(0), drawn * (1 - Fraction(repr(float(quantile)))) - Fraction(1, 2))  # from the highest down
    high, low = upper[:, math.floor(rank)], upper[:, math.ceil(rank)]
    share = float(rank - math.floor(rank))
    value = (high.double() + share * (low.double() - high.double())).float()
    # Rounded to float32 it may reach `high`, which then would not exceed it.
    below = torch.nextafter(high, torch.full_like(high, -torch.inf))
    return torch.where(low < high, torch.minimum(value, below), high) if share else value


def with_atoms(edges: torch.Tensor, minimum: torch.Tensor) -> torch.Tensor:
    """Edges in which a value that stands at several levels (a unit that saturates) has its lower neighbour beside it.

    The bin between the two then holds this value and no other. The lowest edge stays where it is the unit's `minimum`
    (U,), as after a ReLU: all pixels would be counted below it.

    >>> with_atoms(torch.tensor([[0.0, 0.0, 6.0, 6.0]]), torch.tensor([0.0]))[0].tolist()
    [0.0, 0.0, 5.999999523162842, 6.0]
    """
    same = edges[:, 1:] == edges[:, :-1]  # (U, J - 1)
    first = same.clone()  # the first of several equal edges
    first[:, 1:] &= ~same[:, :-1]
    first[:, 0] &= minimum < edges[:, 0]
    below = torch.nextafter(edges, torch.full_like(edges, -torch.inf))
    lowered = edges.clone()
    lowered[:, :-1] = torch.where(first, below[:, :-1], edges[:, :-1])
    return torch.maximum(lowered, lowered[:, :1])


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


