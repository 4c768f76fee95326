"""Bracketing: finds where every unit's tail lies, from a pilot of some images or, exactly, from all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from unitlens.data.segmentation import Segmentation
from unitlens.dissection.forward import forward
from unitlens.dissection.labeller import Labeller, Lender, joined
from unitlens.dissection.pilot import Bracket, PilotTails, again_bracket, edge_count, exact_bracket, pilot_pixels
from unitlens.dissection.pilots import find_pilot
from unitlens.dissection.plan import DissectionPlan
from unitlens.dissection.reader import LayerReader
from unitlens.dissection.recipe import bracket_recipe, rows_digest
from unitlens.dissection.tails import TailTable
from unitlens.dissection.workers import Workers
from unitlens.errors import ProbeError
from unitlens.progress import Meter
from unitlens.stats.quantile import TailQuantile
from unitlens.store import Store

MEMORY_MB = 1024  # for exact tails of all layers together; beyond it thresholds are taken from a sample of the pixels
WAIT = 0.2
Numbers = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Measured:
    """What is known of a layer before it is counted: its bracket, and grid and geometry of the maps that are kept."""

    bracket: Bracket
    grid: tuple[int, int]
    geometry: Numbers | None

    def packed(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and notes for the store."""
        arrays = {"edges": self.bracket.edges.numpy(), "bound": self.bracket.bound.numpy()}
        geometry = list(self.geometry) if self.geometry else None
        return arrays, {"exact": self.bracket.exact, "grid": list(self.grid), "geometry": geometry}

    @classmethod
    def unpacked(cls, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> Measured:
        """What `packed` gave."""
        edges, bound = (torch.from_numpy(arrays[name]) for name in ("edges", "bound"))
        geometry = tuple(notes["geometry"]) if notes["geometry"] else None
        return cls(Bracket(edges, bound, notes["exact"]), tuple(notes["grid"]), geometry)


class Bracketing:
    """Runs the pilot for the layers whose brackets are not in the store, once, whoever else needs them.

    pilot: positions of its images. digest: of these. chosen_for: the number of images the probe set had when it was
    chosen.
    """

    def __init__(
        self, plan: DissectionPlan, store: Store | None, measuring: Mapping[str, Any], labeller: Labeller,
        readers: dict[str, LayerReader],
    ):  # fmt: skip
        self.plan, self.store, self.measuring, self.labeller, self.readers = plan, store, measuring, labeller, readers
        chosen = find_pilot(plan.probe, store, {**measuring, **labeller.recipe})
        self.pilot, self.digest, self.chosen_for = chosen.index, chosen.digest, chosen.images

    def lender(self) -> Lender:
        """The labels of the pilot's images, from the store or segmented now. Raises ProbeError if none can be read."""
        recipe = {**self.labeller.recipe, "kind": "lender", "images": self.digest}
        stored = self.store.get(recipe, needs=("labels", "positions")) if self.store else None
        if stored:
            arrays, _ = stored
            looked = torch.from_numpy(arrays["annotated"]) if "annotated" in arrays else None
            labels = torch.from_numpy(arrays["labels"])
            seen = Segmentation(labels, self.labeller.vocabulary, looked)
            return Lender(self.labeller, arrays["positions"].tolist(), seen)
        positions, parts = self._segmented()
        planes = max(part.labels.shape[1] for part in parts)
        labels = torch.cat([_widened(part.labels, planes) for part in parts])
        looked = joined([part.annotated for part in parts], [len(part) for part in parts], self.labeller.groups)
        arrays = {"labels": labels.numpy(), "positions": np.array(positions)}
        if self.store:
            self.store.offer(recipe, arrays if looked is None else {**arrays, "annotated": looked.numpy()}, {})
        return Lender(self.labeller, positions, Segmentation(labels, self.labeller.vocabulary, looked))

    def _segmented(self) -> tuple[list[int], list[Segmentation]]:
        positions: list[int] = []
        parts: list[Segmentation] = []
        self.labeller.open(self.pilot)
        for batch in self.plan.probe.stream(self._pieces(self.pilot)):
            if len(batch):
                parts.append(self.labeller(batch))
                positions.extend(batch.index.tolist())
        if not positions:
            raise ProbeError("probe: none of its images could be read")
        self.labeller.close(self.pilot)
        return positions, parts

    def find(self, layers: Sequence[str], meter: Meter) -> dict[str, Measured]:
        """The brackets of these layers, from the store, from another process, or by looking at the pilot."""
        look = self._look_exactly if self.plan.exact else self._look
        return self._shared({name: self._recipe(name) for name in layers}, lambda wanted: look(wanted, meter))

    def again(
        self, units: Mapping[str, torch.Tensor], tables: Mapping[str, TailTable], meter: Meter
    ) -> dict[str, Bracket]:
        """Brackets of some units of some layers from their exact tails. tables: what has been counted of the layers."""
        lowest, images = self.plan.bracket[0], self.plan.probe.fingerprint
        recipes = {
            name: {
                **self._recipe(name), "images": images, "exact": lowest, "here": self.plan.quantile,
                "units": rows_digest(rows),
            }
            for name, rows in units.items()
        }

        def look(wanted: Sequence[str]) -> dict[str, Measured]:
            tails = self.exact_tails({name: units[name] for name in wanted}, lowest, meter)
            found = {}
            for name, tail in tails.items():
                minimum = torch.from_numpy(tables[name].minimum[units[name].numpy()])
                sizes = self.plan.bracket, self.plan.quantile, tables[name].edges.shape[1]
                found[name] = Measured(again_bracket(tail, *sizes, minimum), (1, 1), None)
            return found

        return {name: one.bracket for name, one in self._shared(recipes, look).items()}

    def _shared(
        self, recipes: Mapping[str, dict[str, Any]], look: Callable[[Sequence[str]], Mapping[str, Measured]]
    ) -> dict[str, Measured]:
        """What the store holds for each layer's recipe; `look` gives what nobody else is looking at."""
        found: dict[str, Measured] = {}
        while missing := [name for name in recipes if name not in found]:
            with ExitStack() as claims:
                mine = [name for name in missing if self._claimed(recipes[name], claims)]
                for name in missing:
                    known = self._stored(recipes[name])
                    if known:
                        found[name] = known
                wanted = [name for name in mine if name not in found]
                if wanted:
                    for name, measured in look(wanted).items():
                        if self.store:
                            self.store.offer(recipes[name], *measured.packed())
                        found[name] = measured
            if not wanted and len(found) < len(recipes):
                time.sleep(WAIT)
        return {name: found[name] for name in recipes}

    def exact_tails(
        self, units: Mapping[str, torch.Tensor | None], lowest: float, meter: Meter
    ) -> dict[str, TailQuantile]:
        """The tails of some units (None = all) of some layers over all images: what exceeds their quantile `lowest`."""
        plan, tails = self.plan, dict[str, TailQuantile]()
        share = MEMORY_MB / max(1, len(units))
        expected = len(plan.probe) * plan.cells
        if plan.convention == "reference":  # Hazen's quantile may look at one value more
            expected += math.ceil(1 / (1 - lowest))

        def use(name: str, reader: LayerReader, grid: torch.Tensor) -> None:
            chosen = units[name]
            values = reader.maps(grid, None if chosen is None else chosen.to(grid.device)).values
            if name not in tails:
                tails[name] = TailQuantile(values.shape[1], lowest, expected, memory_mb=share)
            tails[name].update(reader.aligned(values), index)

        with forward(plan, list(units), self.readers) as model:
            for batch in plan.probe.stream(self._pieces(range(len(plan.probe)))):
                if len(batch):
                    index = batch.index
                    model.run(model.inputs(batch), use)
                    meter.step(len(batch))
        return tails

    def _look(self, layers: Sequence[str], meter: Meter) -> dict[str, Measured]:
        """Brackets from the pilot."""
        plan, tails = self.plan, dict[str, list[tuple[slice, PilotTails]]]()
        pixels = pilot_pixels(plan.cells, len(self.pilot)).to(plan.device)

        def use(name: str, reader: LayerReader, grid: torch.Tensor) -> None:
            if name not in tails:
                edges = edge_count(grid.shape[1], len(self.labeller.vocabulary))
                sizes = edges, plan.bracket, plan.quantile, len(self.pilot), len(pixels)
                slices = workers.slices(grid.shape[1], grid.device)
                tails[name] = [(units, PilotTails(units.stop - units.start, *sizes)) for units in slices]

            @torch.inference_mode()
            def look(part: tuple[slice, PilotTails]) -> None:
                maps = list(reader.pieces(grid, part[0]))
                sampled = torch.cat([reader.sampled(piece, pixels) for piece in maps])
                part[1].update(sampled, *(torch.cat([getattr(m, side) for m in maps]) for side in ("peak", "low")))

            workers.map(look, tails[name])

        with Workers() as workers, forward(plan, layers, self.readers) as model:
            for batch in plan.probe.stream(self._pieces(self.pilot)):
                if len(batch):
                    model.run(model.inputs(batch), use)
            if not tails:
                raise ProbeError("probe: none of its images could be read")
            every = [one for parts in tails.values() for _, one in parts]
            found = iter(workers.map(lambda one: one.bracket(self.chosen_for, plan.top), every))
        joined = {name: Bracket.joined([next(found) for _ in parts]) for name, parts in tails.items()}
        return {name: self.measured(name, one) for name, one in joined.items()}

    def _look_exactly(self, layers: Sequence[str], meter: Meter) -> dict[str, Measured]:
        """Brackets from all images: the first edge is the threshold itself."""
        meter.label("Thresholds")
        tails = self.exact_tails(dict.fromkeys(layers), self.plan.quantile, meter)
        if not tails:
            raise ProbeError("probe: none of its images could be read")
        return {name: self.measured(name, self.exactly(tail, self.plan.quantile)) for name, tail in tails.items()}

    def exactly(self, tail: TailQuantile, lowest: float) -> Bracket:
        """The bracket of exact tails, from `lowest` up."""
        edges = edge_count(tail.units, len(self.labeller.vocabulary))
        return exact_bracket(tail, lowest, self.plan.bracket[1], edges, self.plan.convention == "reference")

    def measured(self, name: str, bracket: Bracket) -> Measured:
        """A layer's bracket with what its reader knows."""
        reader = self.readers[name]
        place = reader.kept_geometry  # in pixels of what the model sees; the pictures are those of the probe set
        if place and reader.image_size != self.plan.probe.size:
            place = place.scaled(reader.image_size, self.plan.probe.size)
        return Measured(bracket, reader.kept_grid, place.numbers if place else None)

    def _pieces(self, index: Sequence[int]) -> list[list[int]]:
        size = self.plan.batch_size
        return [list(index[first : first + size]) for first in range(0, len(index), size)]

    def _recipe(self, layer: str) -> dict[str, Any]:
        images = self.plan.probe.fingerprint if self.plan.exact else self.digest
        return bracket_recipe(self.plan, self.measuring, layer, images, len(self.labeller.vocabulary))

    def _stored(self, recipe: Mapping[str, Any]) -> Measured | None:
        return self.store.load(recipe, Measured.unpacked, ("edges", "bound")) if self.store else None

    def _claimed(self, recipe: Mapping[str, Any], claims: ExitStack) -> bool:
        return self.store is None or claims.enter_context(self.store.claim(recipe))


def _widened(labels: torch.Tensor, planes: int) -> torch.Tensor:
    """Label planes (B, K, H, W) with empty planes added."""
    missing = planes - labels.shape[1]
    return labels if not missing else torch.cat([labels, labels.new_zeros(len(labels), missing, *labels.shape[2:])], 1)
