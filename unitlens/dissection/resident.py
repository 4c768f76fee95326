"""Resident: tails kept in memory until all images are seen, and counted then: one pass without a pilot.

For a probe set of a single shard, whose pilot would be too small to tell where the tails lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unitlens.dissection.counting import Counting, Task
from unitlens.dissection.forward import forward
from unitlens.dissection.pilot import Bracket, edge_count, pilot_pixels, spread, with_atoms
from unitlens.dissection.reader import LayerReader
from unitlens.dissection.shards import LayerState, Part
from unitlens.dissection.workers import Workers
from unitlens.models.tailpixels import quotient
from unitlens.progress import Meter
from unitlens.stats.tailcount import LabelPlanes, TailCount
from unitlens.stats.topk import TopK

SAMPLED = 512  # values per unit that its edges are placed by
MEMORY_MB = 1024  # for the tails of all layers; a set that needs more is bracketed by a pilot, as larger ones are
KEPT = 1.8  # of the first batch's pixels this many times the widest tail is kept: images differ


@dataclass(eq=False)
class _Part:
    """Some units of a layer, those of one thread. tails: (unit, place, value) of every batch."""

    units: slice
    top: TopK
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
    """Measures all layers, keeping the tails in memory. What is kept is told by the first batch, a fair sample."""

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
            for batch in plan.probe.stream(pieces):
                if len(batch):
                    self.seen.append(_Seen(batch.index.tolist(), counting.labeller.planes(counting.labeller(batch))))
                    model.run(model.inputs(batch), self._take)
                    if self._bytes() * len(plan.probe) / len(batch) > MEMORY_MB * 2**20 and len(self.seen) == 1:
                        counting.labeller.close(everything)
                        return None
                    meter.step(len(batch))
            counting.labeller.close(everything)
            return {name: self._counted(name) for name in self.parts}

    def _take(self, name: str, reader: LayerReader, grid: Tensor) -> None:
        if name not in self.parts:
            slices = self.workers.slices(grid.shape[1], grid.device)
            self.parts[name] = [_Part(units, TopK(units.stop - units.start, self.plan.top)) for units in slices]
        index = torch.tensor(self.seen[-1].positions)

        @torch.inference_mode()
        def keep(part: _Part) -> None:
            if part.bound is None:
                pixels = pilot_pixels(self.plan.cells, 8 * len(grid)).to(grid.device)  # a rough bound is enough
                part.bound = self._first_bound(reader.sampled(reader.maps(grid, part.units), pixels))
            bound, tails, peaks = part.bound.to(grid.device), [], []
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

        self.workers.map(keep, self.parts[name])

    def _bytes(self) -> int:
        """What is kept of the tails."""
        tails = (tail for parts in self.parts.values() for part in parts for batch in part.tails for tail in batch)
        return sum(values.nbytes for tail in tails for values in tail)

    def _first_bound(self, sampled: Tensor) -> Tensor:
        """A bound below the widest tail. sampled: (B, U, S) of the first batch."""
        values = sampled.transpose(0, 1).flatten(1)  # (U, B S)
        share = min(0.999, KEPT * (1 - self.plan.bracket[0]))
        rank = max(1, values.shape[1] - int(share * values.shape[1]))
        return values.kthvalue(rank, dim=1).values.cpu()

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

        They are activations themselves, from a sample of the tails: where exactly they lie does not matter.
        """
        bound = part.bound if part.bound is not None else torch.zeros(0)
        units, tails = len(bound), [tail for batch in part.tails for tail in batch]
        total = sum(len(tail[0]) for tail in tails)
        step = max(1, total // (SAMPLED * units))
        nothing = torch.zeros(0, dtype=torch.int32), torch.zeros(0)  # where no unit exceeds its bound
        unit = torch.cat([nothing[0], *(tail[0][::step].cpu() for tail in tails)]).numpy()
        value = torch.cat([nothing[1], *(tail[2][::step].cpu() for tail in tails)]).numpy()
        order = np.lexsort((value, unit))
        unit, value = unit[order], value[order]
        last = np.searchsorted(unit, np.arange(units), side="right")  # one past each unit's highest
        first = np.searchsorted(unit, np.arange(units), side="left")
        pixels = sum(len(seen.positions) for seen in self.seen) * self.plan.cells
        rank = (spread(self.plan.bracket, edges) * pixels / step).astype(np.int64)
        at = last[:, None] - 1 - rank[None]  # (U, J)
        found = value[np.clip(at, 0, max(0, len(value) - 1))] if len(value) else np.zeros(at.shape, np.float32)
        placed = torch.from_numpy(np.where(at >= first[:, None], found, bound.numpy()[:, None]))
        placed[:, 0] = bound
        highest = torch.stack(part.highest).amax(0)
        top = torch.nextafter(highest, torch.full_like(highest, -torch.inf))
        placed[:, -1] = torch.maximum(bound, top)  # a unit that saturates does so at its highest value
        return with_atoms(placed.cummax(1).values)

    def _count(self, part: _Part, task: Task) -> TailCount:
        table, lender = self.counting.table(task, part.units), self.counting.lender
        for seen, tails in zip(self.seen, part.tails, strict=True):
            lent = lender.lend(seen.positions, task.draws)
            for unit, place, value in tails:
                image = quotient(place, self.plan.cells)
                table.update(unit, image, place - image * self.plan.cells, value, seen.labels, lent)
        table.note(torch.stack(part.minimum).amin(0), part.wrong)
        return table


def mixed(images: int, batch_size: int) -> list[list[int]]:
    """The positions of a small set in batches, each a fair sample of it: the same order everywhere."""
    order = np.random.Generator(np.random.PCG64(3)).permutation(images).tolist()
    return [order[first : first + batch_size] for first in range(0, images, batch_size)]
