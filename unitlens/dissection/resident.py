"""Resident: tails kept in memory until all images are seen, and counted then: one pass without a pilot.

For a probe set of a single shard, whose pilot would be too small to tell where the tails lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unitlens.dissection.counting import Counting, Task
from unitlens.dissection.forward import forward
from unitlens.dissection.pilot import ERRORS, WIDEST, Bracket, edge_count, levels, pilot_pixels, with_atoms
from unitlens.dissection.reader import LayerReader
from unitlens.dissection.shards import LayerState, Part
from unitlens.dissection.workers import Workers
from unitlens.models.tailpixels import quotient
from unitlens.progress import Meter
from unitlens.stats.quantile import descending
from unitlens.stats.tailcount import LabelPlanes, TailCount
from unitlens.stats.topk import TopK

SAMPLED = 512  # values per unit that its edges are placed by
MEMORY_MB = 1024  # for the tails of all layers; a set that needs more is bracketed by a pilot, as larger ones are
FIRST = 16  # images that tell what is kept of all
KEPT = 1.8  # of their pixels this many times the widest tail is kept at least, more where they differ
UPPER = 4.0  # so many times the narrowest tail is looked at in full: a sample says too little there
GOLDEN, SILVER = 0.6180339887498949, 0.41421356237309515
BEYOND = (0.5, 0.2, 0.05)  # edges above the last level, as shares of its pixels


@dataclass(eq=False)
class _Part:
    """Some units of a layer, those of one thread. tails: (unit, place, value) of every batch."""

    units: slice
    top: TopK
    sampled: list[Tensor] = field(default_factory=list)
    bound: Tensor | None = None
    tails: list[list[tuple[Tensor, Tensor, Tensor]]] = field(default_factory=list)
    minimum: list[Tensor] = field(default_factory=list)
    highest: list[Tensor] = field(default_factory=list)
    wrong: Tensor | None = None


@dataclass(frozen=True, eq=False)
class _Seen:
    """A batch whose tails are kept: its images, and their labels."""

    positions: list[int]
    labels: LabelPlanes


class Resident:
    """Measures all layers, keeping the tails in memory. What is kept is told by the first images, a fair sample."""

    def __init__(self, counting: Counting):
        self.counting, self.plan = counting, counting.plan
        self.parts: dict[str, list[_Part]] = {}
        self.seen: list[_Seen] = []

    def run(self, meter: Meter) -> dict[str, tuple[Bracket, LayerState]] | None:
        """One pass over the images: every layer's edges and counts. None where the tails do not fit in memory."""
        counting, plan = self.counting, self.plan
        pieces, everything = mixed(len(plan.probe), plan.batch_size), range(len(plan.probe))
        counting.labeller.open(everything)
        with Workers() as self.workers, forward(plan, plan.layers, counting.readers) as model:
            if plan.batch_size < min(FIRST, len(plan.probe)):  # else the first batch tells enough
                for batch in plan.probe.stream(pieces[: -(-FIRST // plan.batch_size)]):
                    if len(batch):
                        model.run(model.inputs(batch), self._look)
            for batch in plan.probe.stream(pieces):
                if len(batch):
                    labels = counting.labeller.planes(counting.labeller(model.show(batch))).to(plan.device)
                    self.seen.append(_Seen(batch.index.tolist(), labels))
                    model.run(model.inputs(batch), self._take)
                    seen = sum(len(one.positions) for one in self.seen)
                    kept = self._bytes()
                    if max(kept, kept * len(plan.probe) / seen if seen >= FIRST else 0) > MEMORY_MB * 2**20:
                        counting.labeller.close(everything)
                        return None
                    meter.step(len(batch))
            counting.labeller.close(everything)
            return {name: self._counted(name) for name in self.parts}

    def _parts_of(self, name: str, grid: Tensor) -> list[_Part]:
        if name not in self.parts:
            slices = self.workers.slices(grid.shape[1], grid.device)
            self.parts[name] = [_Part(units, TopK(units.stop - units.start, self.plan.top)) for units in slices]
        return self.parts[name]

    def _look(self, name: str, reader: LayerReader, grid: Tensor) -> None:
        """Notes a sample of the first images' pixels: (B, U, S) each."""
        pixels = pilot_pixels(self.plan.cells, 8 * FIRST).to(grid.device)  # a rough bound is enough

        @torch.inference_mode()
        def look(part: _Part) -> None:
            some = grid[: FIRST - sum(map(len, part.sampled))]
            part.sampled += [reader.sampled(maps, pixels).cpu() for maps in reader.pieces(some, part.units)]

        self.workers.map(look, self._parts_of(name, grid))

    def _take(self, name: str, reader: LayerReader, grid: Tensor) -> None:
        parts = self._parts_of(name, grid)
        if parts[0].bound is None:
            if not parts[0].sampled:
                self._look(name, reader, grid)
            for part in parts:
                part.bound, part.sampled = self._first_bound(torch.cat(part.sampled)), []
        index = torch.tensor(self.seen[-1].positions)

        @torch.inference_mode()
        def keep(part: _Part) -> None:
            bound, tails, peaks = part.bound.to(grid.device), [], []  # type: ignore[union-attr]
            for maps in reader.pieces(grid, part.units):
                part.minimum.append(maps.low.amin(0).cpu())
                part.highest.append(maps.peak.amax(0).cpu())
                if maps.wrong is not None:
                    part.wrong = maps.wrong.cpu() + (0 if part.wrong is None else part.wrong)
                found = reader.tail(maps, bound)
                tails.append((found.unit, found.image * self.plan.cells + found.pixel, found.value))
                peaks.append(maps.peak)
            part.tails.append(tails)
            reader.keep_in(part.top, torch.cat(peaks), index, grid[:, part.units])

        self.workers.map(keep, parts)

    def _bytes(self) -> int:
        """What is kept of the tails."""
        tails = (tail for parts in self.parts.values() for part in parts for batch in part.tails for tail in batch)
        return sum(values.nbytes for tail in tails for values in tail)

    def _first_bound(self, sampled: Tensor) -> Tensor:
        """A bound below the widest tail, the lower the more images differ. sampled: (B, U, S) of the first images."""
        images, lowest = len(sampled), 1 - self.plan.bracket[0]
        values = descending(sampled.transpose(0, 1).flatten(1))  # (U, B S)
        count = values.shape[1]
        low = values[:, min(int(lowest * count), count - 1)]
        each = (sampled > low[:, None]).float().mean(2)  # (B, U): the share of each image's pixels
        unseen = max(0.0, 1 - images / len(self.plan.probe))
        error = each.std(0) * math.sqrt(unseen / images) if images > 1 else torch.zeros(len(low))
        share = (lowest + ERRORS * error).clamp(min(0.999, KEPT * lowest), min(0.999, WIDEST * lowest))
        return values.gather(1, (share * count).long().clamp(max=count - 1)[:, None])[:, 0]

    def _counted(self, name: str) -> tuple[Bracket, LayerState]:
        """A layer's edges and its counts. Its tails are given up."""
        parts = self.parts[name]
        units = parts[-1].units.stop
        count = edge_count(units, len(self.counting.labeller.vocabulary))
        edges = torch.cat(self.workers.map(lambda part: self._edges(part, count), parts))
        task = self.counting.task(name, Bracket(edges, torch.full((units,), -torch.inf)))
        tables = self.workers.map(lambda part: self._count(part, task), parts)
        self.parts[name] = []
        counted = [Part(part.units, table, part.top) for part, table in zip(parts, tables, strict=True)]
        return task.bracket, LayerState.of(counted, task.bracket.bound)

    def _edges(self, part: _Part, edges: int) -> Tensor:
        """Edges for the units of a part, about evenly in the logarithm of the pixels above them: float32 (U, J).

        They are activations themselves: the lower ones from a sample of the tails, for where exactly they lie does not
        matter; the upper ones, above which few pixels lie, from all that is there.
        """
        bound = part.bound if part.bound is not None else torch.zeros(0)
        units, tails = len(bound), [tail for batch in part.tails for tail in batch]
        pixels = sum(len(seen.positions) for seen in self.seen) * self.plan.cells
        share = min(1.0, SAMPLED / (KEPT * (1 - self.plan.bracket[0]) * pixels))
        narrow, here = 1 - self.plan.bracket[1], 1 - self.plan.quantile
        first = np.array([1.2 * (1 - self.plan.bracket[0])])
        placed_at = levels(first, here, 0.95 * narrow, edges - 1 - len(BEYOND))[0]
        shares = np.r_[placed_at, [narrow * part for part in BEYOND]]
        sampled = [
            (unit[picked], value[picked])
            for seen, batch in zip(self.seen, part.tails, strict=True)
            for unit, place, value in batch
            for picked in (self._picked(seen.positions, share).to(place.device)[place.long()],)
        ]
        some = _Ranked.of(sampled, units)
        cut = torch.from_numpy(some.at(np.array([UPPER * narrow * pixels * share]), bound.numpy())[:, 0])
        upper = [(unit, value, value > cut.to(value.device)[unit.long()]) for unit, _, value in tails]
        every = _Ranked.of([(unit[high], value[high]) for unit, value, high in upper], units)
        exact = every.at(shares * pixels, np.full(units, -np.inf, np.float32))  # (U, J - 1), -inf below the cut
        roughly = some.at(shares * pixels * share, bound.numpy())
        placed = torch.from_numpy(np.where(np.isneginf(exact), roughly, exact))
        highest = torch.stack(part.highest).amax(0)
        top = torch.nextafter(highest, torch.full_like(highest, -torch.inf))
        ends = bound[:, None], torch.maximum(bound, top)[:, None]  # a unit that saturates does so at its highest value
        found = torch.cat([ends[0], placed[:, 1:], ends[1]], 1).sort(1).values
        return with_atoms(found, torch.stack(part.minimum).amin(0))

    def _picked(self, positions: Sequence[int], share: float) -> Tensor:
        """Which pixels of some images place the lower edges: bool (B x cells,), spread evenly over each image, others
        in each; the same whatever the batches."""
        pixel, image = np.arange(self.plan.cells), np.asarray(positions)[:, None]
        place = (pixel * GOLDEN + image * SILVER) % 1  # as even as a sequence can be (Kronecker)
        return torch.from_numpy((place < share).ravel())

    def _count(self, part: _Part, task: Task) -> TailCount:
        table, lender = self.counting.table(task, part.units), self.counting.lender
        for seen, tails in zip(self.seen, part.tails, strict=True):
            lent = lender.lend(seen.positions, task.draws).to(self.plan.device)
            for unit, place, value in tails:
                image = quotient(place, self.plan.cells)
                table.update(unit, image, place - image * self.plan.cells, value, seen.labels, lent)
        table.note(torch.stack(part.minimum).amin(0), part.wrong)
        return table


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Values of several units, ascending, unit after unit. first, last: int64 (U,), where each unit's begin and end."""

    value: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[tuple[Tensor, Tensor]], units: int) -> _Ranked:
        """Of (unit, value) in any order."""
        nothing = torch.zeros(0, dtype=torch.int32), torch.zeros(0)  # where no unit exceeds its bound
        unit = torch.cat([nothing[0], *(unit.cpu() for unit, _ in parts)]).numpy()
        value = torch.cat([nothing[1], *(value.cpu() for _, value in parts)]).numpy()
        order = np.lexsort((value, unit))
        ends = (np.searchsorted(unit[order], np.arange(units), side) for side in ("left", "right"))
        return cls(value[order], *ends)

    def at(self, ranks: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
        """The values that `ranks` (J,) of each unit's values exceed, float32 (U, J); `otherwise` (U,) beyond them."""
        place = self.last[:, None] - 1 - ranks.astype(np.int64)[None]
        if not len(self.value):
            return np.broadcast_to(otherwise[:, None], place.shape).copy()
        found = self.value[np.clip(place, 0, len(self.value) - 1)]
        return np.where(place >= self.first[:, None], found, otherwise[:, None])


def mixed(images: int, batch_size: int) -> list[list[int]]:
    """The positions of a small set in batches, each a fair sample of it: the same order everywhere."""
    order = np.random.Generator(np.random.PCG64(3)).permutation(images).tolist()
    return [order[first : first + batch_size] for first in range(0, images, batch_size)]
