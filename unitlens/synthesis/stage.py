"""Stage: some generated pictures held at a layer, where units are removed and inserted again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unitlens.data.concepts import Concept
from unitlens.dissection.result import Dissection
from unitlens.errors import OptionError, RecipeMismatch
from unitlens.intervene.edits import Ablate, Insert, Scale, UnitEdit
from unitlens.models.hooks import at_rest
from unitlens.models.samples import Samples
from unitlens.synthesis.content import ContentEffect
from unitlens.synthesis.cut import Cut
from unitlens.synthesis.pixels import pixels_of
from unitlens.synthesis.ranked import CausalUnits
from unitlens.synthesis.trials import Trials

ACTIONS = ("remove", "insert")


class Stage:
    """The first `count` samples at a layer; what comes before it is not computed again.

    units: U of the layer. grid: rows and columns of its cells. before: pictures uint8 (B, H, W, 3) as they are.
    """

    def __init__(
        self, samples: Samples, layer: str, dissection: Dissection, segmenter: Any = None, count: int = 12,
        ranking: Sequence[CausalUnits] = (),
    ):  # fmt: skip
        self.trials = Trials(samples, segmenter, store=False, show_progress=False)
        self.samples, self.layer, self.dissection = samples, layer, dissection
        self.batch = samples.load(range(min(count, len(samples))))
        self.latents = self.trials.latents(self.batch)
        self.cut = Cut(samples.generator, layer)
        self.output = self.cut.head(self.latents)
        self.units = int(self.output.shape[1])
        self.grid = (int(self.output.shape[2]), int(self.output.shape[3]))
        if dissection.layer(layer).units != self.units:
            raise RecipeMismatch(
                f"dissection: its layer {layer} has {dissection.layer(layer).units} units, the generator's {self.units}"
            )
        for learnt in ranking:
            if (learnt.layer, len(learnt.alpha)) != (layer, self.units):
                raise RecipeMismatch(f"ranking: it is of {learnt.layer} with {len(learnt.alpha)} units, the bench of "
                                     f"{layer} with {self.units}; learn the shares of this layer's units")  # fmt: skip
        self.learnt = {one.concept: one.units[one.alpha[one.units] > 0] for one in ranking}
        start = self.cut.pictures(self.output, self.latents)
        self.before = as_bytes(start)
        self._labels = self.trials.labels(start)

    @property
    def concepts(self) -> list[Concept]:
        """The concepts that units of the layer match, the one with the best unit first."""
        best = self.dissection.iou(self.layer).max(0)
        known = set(self.trials.vocabulary)
        order = [int(c) for c in np.argsort(-best, kind="stable") if best[c] > 0]
        return [c for c in (self.dissection.vocabulary[place] for place in order) if c in known]

    def order(self, concept: str | Concept) -> np.ndarray:
        """The units by their learnt share in a concept, where it has been learnt, or by their IoU with it."""
        concept = self.dissection.vocabulary[self.dissection.vocabulary.index(concept)]
        if concept in self.learnt:
            return self.learnt[concept]
        return self.dissection.units_for(concept, self.layer)

    def edit(self, units: Sequence[int], action: str, strength: float, cell: Sequence[int] = ()) -> UnitEdit:
        """What is done: "remove" takes away the share `strength` (0..1) of units, "insert" sets them to so many times
        their thresholds; everywhere, or at one cell (row, column)."""
        if action not in ACTIONS:
            raise OptionError(f"action: expected one of {', '.join(map(repr, ACTIONS))}, got {action!r}")
        region = None
        if len(cell):
            region = np.zeros(self.grid, np.float32)
            region[cell[0], cell[1]] = 1
        if action == "insert":
            values = strength * self.dissection.layer(self.layer).threshold[list(units)].astype(np.float64)
            return Insert(self.layer, list(units), values if len(units) else 0.0, region=region)
        if strength == 1:
            return Ablate(self.layer, list(units), region=region)
        return Scale(self.layer, list(units), 1 - strength, region=region)

    def pictures(self, edit: UnitEdit) -> Tensor:
        """The pictures after an edit: float32 (B, 3, H, W)."""
        with at_rest(self.samples.generator, self.latents):
            after = edit.change(self.output.clone()) if edit.units else self.output
        return self.cut.pictures(after, self.latents)

    def seen(self, pictures: Tensor) -> tuple[np.ndarray, np.ndarray, tuple[Tensor, Tensor]]:
        """Each concept's share of the pixels before and after, float64 (C,), and the labels (B, K, H, W) of both."""
        labels = self.trials.labels(pictures)
        pixels = labels.shape[0] * labels.shape[2] * labels.shape[3]
        shares = [
            pixels_of(one, self.trials.concepts).sum(0).double().cpu().numpy() / pixels
            for one in (self._labels, labels)
        ]
        return shares[0], shares[1], (self._labels, labels)

    def effect(self, edit: UnitEdit, concept: str | Concept) -> ContentEffect:
        """The effect of an edit on these pictures, as `measure_content` gives it."""
        from unitlens.synthesis.changing import measure_content

        return measure_content(
            self.samples.subset(range(len(self.latents))), edit, concept=concept, segmenter=self.trials.segmenter,
            store=False, show_progress=False,
        )  # fmt: skip


def as_bytes(pictures: Tensor) -> np.ndarray:
    """Pictures (B, 3, H, W) in [0, 1] for people: uint8 (B, H, W, 3)."""
    return (255 * pictures).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
