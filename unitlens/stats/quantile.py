"""TailQuantile: the threshold t_u that only the strongest share of a unit's activations exceeds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from unitlens.errors import OptionError, ProbeError, RecipeMismatch
from unitlens.stats.accumulator import Accumulator, at_least_one, by_image, positions
from unitlens.stats.levels import tail_count as tail_count  # re-exported

RANK_ERROR = 3e-4  # the largest rank error of the sampled form, at SIGMAS standard deviations
SIGMAS = 6.0  # 2e-9 per unit: still 1 in 100,000 over 5,000 units
MIN_ROOM = 1024  # free columns of the buffer, so that short tails are not compressed all the time


class TailQuantile(Accumulator):
    """Thresholds t_u at a level, e.g. 0.99: with k = tail_count(n, level), the (k+1)-th largest of a unit's n values.

    At most k values are strictly greater than t_u, exactly k when there are no ties (paper.md 1.0, 9.6). A unit that
    never fires after a ReLU gets 0, and nothing exceeds it.

    Exact form: only values that can still be in the tail are kept. Each unit has a lower bound, the (k+1)-th largest
    value seen so far; what does not exceed it is dropped by one comparison, and when the buffer is full it is cut
    back to its k+1 largest. float16 and bfloat16 are widened to float32, which loses nothing.

    Sampled form, when two tails per unit do not fit in `memory_mb`: the same share p of pixel positions for all
    units, drawn by a hash of (image index, pixel position), so order, batches and merging do not matter. Of the
    n p values drawn, the share above a fixed value has standard deviation sqrt(q (1-q) / (n p)) (binomial; less,
    since nothing is drawn twice). p is as large as memory allows, but never so small that 6 standard deviations
    exceed a rank of 3e-4: accuracy goes before memory, see `memory`. `rank_error` states the bound.

    units: U. quantile: the level, in (0, 1). expected: values per unit that will come, images x pixels.
    memory_mb: what the kept values may take.
    `nan_count` (U,) int64: NaN, which count as the lowest values. `inf_count` (U,) int64: +inf, legal highest values.
    Raises OptionError when an argument is outside its range.

    >>> threshold = TailQuantile(units=1, quantile=0.9, expected=20)
    >>> threshold.update(torch.arange(20.0)[None])
    >>> threshold.compute().tolist()  # two of twenty exceed it: 18 and 19
    [17.0]
    """

    sizes: ClassVar = ("units",)
    settings: ClassVar = ("quantile", "expected", "memory_mb")
    states: ClassVar = {"count": "sum", "drawn": "sum", "nan_count": "sum", "inf_count": "sum", "kept": "_merge_kept"}

    def __init__(self, units: int, quantile: float, expected: int, *, memory_mb: float = 512):
        super().__init__()
        at_least_one(units=units, expected=expected)
        if not 0 < quantile < 1:
            raise OptionError(f"quantile: expected a level in (0, 1), such as 0.99 for the top 1 %, got {quantile}")
        if not memory_mb > 0:
            raise OptionError(f"memory_mb: expected more than 0, got {memory_mb}")
        self.units, self.quantile, self.expected = int(units), float(quantile), int(expected)
        self.memory_mb = float(memory_mb)
        self.share = self._choose_share()
        plan = self.expected
        if self.share < 1:  # the number drawn varies too: room for 8 standard deviations more than its mean
            mean = self.expected * self.share
            plan = min(plan, math.ceil(mean + 8 * math.sqrt(mean * (1 - self.share))))
        self.tail = tail_count(plan, self.quantile) + 1  # values to keep per unit
        self.room = max(self.tail, MIN_ROOM)  # free columns of the buffer
        self.count = torch.zeros((), dtype=torch.int64)  # values per unit that came
        self.drawn = torch.zeros((), dtype=torch.int64)  # values per unit that were looked at
        self.nan_count = torch.zeros(self.units, dtype=torch.int64)
        self.inf_count = torch.zeros(self.units, dtype=torch.int64)
        self.kept = torch.empty(self.units, 0)  # (U, 0), (U, tail) at rest, or (U, tail + room) while updating
        self._loaded()

    @property
    def exact(self) -> bool:
        """True when every value is looked at."""
        return self.share == 1

    @property
    def rank_error(self) -> float:
        """How far the rank of t_u can be off: 0.0 in the exact form, else 6 standard deviations, at most 3e-4."""
        spread = self.quantile * (1 - self.quantile) / (self.expected * self.share)
        return 0.0 if self.exact else SIGMAS * math.sqrt(spread)

    @property
    def memory(self) -> int:
        """Bytes of the buffer while updating."""
        return self.units * (self.tail + self.room) * 4

    @torch.inference_mode()
    def update(self, values: torch.Tensor, index: torch.Tensor | None = None) -> None:
        """Take in activations.

        values: (B, U, P), (B, U, H, W), or (U, M) with M = B x P, image after image; any float dtype, any device.
        index: (B,) int64, each image's position in the probe set; only the sampled form needs it.
        Raises ShapeMismatch, or OptionError when the sampled form gets no index.
        """
        images = None if index is None else len(index)
        blocks = by_image(values, self.units, images)  # (B, U, P)
        self._follow(blocks.device)
        self.count += blocks.shape[0] * blocks.shape[2]
        if not self.exact:
            blocks = self._draw(blocks, index)
        self.drawn += blocks.shape[0] * blocks.shape[2]
        if blocks.numel():
            self._widen()
            for block in self._cut(blocks):
                self._absorb(block.float())

    def compute(self) -> torch.Tensor:
        """The thresholds t_u, float32 (U,), on the CPU, of the values that came (more or fewer than expected).

        Raises ProbeError before the first value, RecipeMismatch when so many more than expected came that the value
        asked for has been dropped.
        """
        drawn = int(self.drawn)
        if drawn == 0:
            raise ProbeError("threshold: expected at least one value per unit, got none. Call update(values) first.")
        above = tail_count(drawn, self.quantile)
        if above >= self.tail:
            raise RecipeMismatch(
                f"threshold: expected {self.expected} values per unit, got {int(self.count)}; the {self.tail} kept "
                f"are too few for level {self.quantile}. Set expected = images x pixels and measure again."
            )
        return self.upper_values()[:, above].clone()

    def upper_values(self) -> torch.Tensor:
        """The kept values of each unit, descending: float32 (U, tail), CPU; -inf where fewer came; (U, 0) when none."""
        self._settle()
        return self.kept.cpu().clone()

    def _choose_share(self) -> float:
        tail = tail_count(self.expected, self.quantile) + 1
        fits = self.memory_mb * 2**20 / (2 * 4 * self.units)  # values per unit, twice (tail and room), float32
        if tail <= fits:
            return 1.0
        needed = self.quantile * (1 - self.quantile) * (SIGMAS / RANK_ERROR) ** 2 / self.expected
        allowed = (fits - 8 * math.sqrt(fits)) / tail  # as a share; less, because the number drawn varies
        return min(1.0, max(needed, allowed))

    def _draw(self, blocks: torch.Tensor, index: torch.Tensor | None) -> torch.Tensor:
        """The drawn pixels of all images in one row: (1, U, N). Values of the others are not looked at."""
        if index is None:
            raise OptionError(
                f"index: expected the images' positions in the probe set, got None. {self.expected} values for each of "
                f"{self.units} units are sampled by image and pixel; give index, or raise memory_mb={self.memory_mb:g}."
            )
        drawn = hash_mask(np.asarray(index.detach().cpu(), dtype=np.int64), blocks.shape[2], self.share)
        image, pixel = (torch.from_numpy(where).to(blocks.device) for where in np.nonzero(drawn))
        return blocks.transpose(0, 1)[:, image, pixel][None]

    def _cut(self, blocks: torch.Tensor) -> Iterator[torch.Tensor]:
        """Blocks that fit in the CPU's cache, with no more values per unit than the buffer has room for."""
        cells = 2**20 if blocks.device.type == "cpu" else 2**26
        width = min(self.room, max(1, cells // self.units))
        for part in torch.split(blocks, max(1, width // blocks.shape[2])):
            yield from torch.split(part, width, dim=2)

    def _absorb(self, block: torch.Tensor) -> None:  # (b, U, p) float32
        bound = self._bound.to(block.device)
        peak = block.amax(2)  # (b, U): NaN where a NaN is, +inf where an infinity is
        if not bool(peak.isfinite().all()):
            self.nan_count += block.isnan().sum((0, 2)).to(self.device)
            self.inf_count += (block == torch.inf).sum((0, 2)).to(self.device)
        if self._takes_all(block):
            return
        live = ~(peak <= bound)  # most units exceed their bound in few images; a NaN peak says nothing, so look
        if len(block) == 1 and bool(live.all()):
            unit, rows = torch.arange(self.units, device=block.device), block[0]
        else:
            unit, image = live.T.nonzero(as_tuple=True)  # ordered by unit
            rows = block[image, unit]  # (L, p)
        found = positions(rows > bound[unit, None])
        picks, unit = rows.reshape(-1)[found], unit[found // max(1, rows.shape[1])]
        self._append(unit.to(self.device), picks.to(self.device))

    def _takes_all(self, block: torch.Tensor) -> bool:
        """Copy a block whole while no unit has a bound yet and all are filled alike; False when that is over."""
        column, size = int(self._filled[0]), block.shape[0] * block.shape[2]
        uneven = (self._filled != column).any() | (self._bound > -torch.inf).any()
        if column + size > self.tail + self.room or bool(uneven):
            return False
        whole = block.transpose(0, 1).reshape(self.units, -1).to(self.device)
        self.kept[:, column : column + size] = torch.where(whole.isnan(), -torch.inf, whole)
        self._filled += size
        return True

    def _append(self, unit: torch.Tensor, picks: torch.Tensor) -> None:  # (N,) ordered by unit, (N,)
        if len(unit) == 0:
            return
        counts = torch.bincount(unit, minlength=self.units)
        width = self.tail + self.room
        full = self._filled + counts > width
        if bool(full.any()):
            # Units fill up at about the same time: compress those that are nearly full in the same go.
            self._compress((full | (self._filled > self.tail + self.room // 2)).nonzero().squeeze(1))
            still = picks > self._bound[unit]
            unit, picks = unit[still], picks[still]
            counts = torch.bincount(unit, minlength=self.units)
        start = self._filled - (counts.cumsum(0) - counts)
        column = torch.arange(len(unit), device=self.device) + start[unit]
        self.kept.view(-1)[unit * width + column] = picks
        self._filled += counts

    def _compress(self, units: torch.Tensor) -> None:
        best = largest(self.kept[units], self.tail)  # (N, tail)
        self.kept[units, : self.tail] = best
        self.kept[units, self.tail :] = -torch.inf
        self._bound[units] = best.amin(1)
        self._filled[units] = self.tail

    def _widen(self) -> None:
        missing = self.tail + self.room - self.kept.shape[1]
        if missing:
            empty = torch.full((self.units, missing), -torch.inf, device=self.device)
            self.kept = torch.cat([self.kept, empty], dim=1)

    def _settle(self) -> None:
        if self.kept.shape[1] > self.tail:
            self.kept = descending(largest(self.kept, self.tail))
            self._loaded()

    def _loaded(self) -> None:
        empty = self.kept.shape[1] == 0
        # Padding counts as filled after a compression: it is -inf, the lowest there is, and goes first.
        self._filled = torch.full((self.units,), 0 if empty else self.tail, device=self.kept.device)
        self._bound = torch.full((self.units,), -torch.inf, device=self.kept.device) if empty else self.kept.amin(1)

    def _merge_kept(self, other: TailQuantile) -> None:
        both = torch.cat([self.kept, other.kept.to(self.device)], dim=1)
        self.kept = descending(largest(both, self.tail)) if both.shape[1] else both
        self._loaded()


def largest(values: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` largest of each row, in no order: (N, M) -> (N, count); the rows themselves when M <= count.

    >>> sorted(largest(torch.tensor([[3.0, 1.0, 2.0]]), 2)[0].tolist())
    [2.0, 3.0]
    """
    drop = values.shape[1] - count
    if drop <= 0:
        return values
    if values.device.type == "cpu":  # a SIMD selection, 10 times as quick as torch.topk
        return torch.from_numpy(np.partition(values.numpy(), drop, axis=1)[:, drop:])
    return values.topk(count, dim=1, sorted=False).values


def descending(values: torch.Tensor) -> torch.Tensor:
    """Each row sorted from high to low.

    >>> descending(torch.tensor([[1.0, 3.0, 2.0]])).tolist()
    [[3.0, 2.0, 1.0]]
    """
    if values.device.type == "cpu":
        return torch.from_numpy(np.sort(values.numpy(), axis=1)).flip(1)
    return values.sort(dim=1, descending=True).values


def hash_mask(index: npt.NDArray[np.int64], pixels: int, share: float) -> npt.NDArray[np.bool_]:
    """Which pixels of which images are drawn: bool (B, P), each with probability `share`, the same in every run.

    index: int64 (B,), positions in the probe set. The hash is splitmix64 of the image index, then of the pixel.

    >>> round(float(hash_mask(np.arange(1000), 100, 0.25).mean()), 2)
    0.25
    """
    image = _splitmix(index.astype(np.uint64))[:, None]
    mixed = _splitmix(image ^ np.arange(pixels, dtype=np.uint64))  # (B, P)
    drawn: npt.NDArray[np.bool_] = mixed < np.uint64(min(int(share * 2**64), 2**64 - 1))
    return drawn


def _splitmix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = state + np.uint64(0x9E3779B97F4A7C15)  # uint64 arrays wrap around, without a warning
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = state ^ (state >> np.uint64(31))
    return mixed
