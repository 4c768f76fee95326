"""Workbench: all images of a probe set held at a layer, so that any set of units is switched off in a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unitlens.data.probe import ProbeSet
from unitlens.errors import LayerError, OptionError, ProbeError
from unitlens.intervene.effect import Effect
from unitlens.intervene.replay import Moment, Replay
from unitlens.intervene.source import Source
from unitlens.models.capture import capture
from unitlens.models.hooks import find_layer
from unitlens.models.layout import layout_of
from unitlens.progress import progress

MEMORY = 2 * 2**30  # bytes


class Workbench:
    """A model at one layer, with every labelled image of a probe set: what is said with units scaled or switched off.

    index, true int64 (N,). base: (N, K) scores with all units. way: how it is computed, see `Replay`.
    skipped: images that could not be read or have no label.

    Raises LayerNotFound, OptionError, ProbeError (no labels).
    """

    def __init__(
        self, model: nn.Module, layer: str, probe: ProbeSet, *, classes: Mapping[str, Sequence[int]] | None = None,
        unit_axis: int | None = None, preprocess: Any = None, batch_size: int | None = None,
        show_progress: bool = True,
    ):  # fmt: skip
        find_layer(model, layer)
        self.source = Source.of(model, probe, classes=classes, preprocess=preprocess, batch_size=batch_size,
                                store=False, show_progress=show_progress)  # fmt: skip
        self.layer, self.probe, self.names = layer, probe, self.source.names
        #: What `measure` needs to be told to say the same, as Python.
        self.options = {"classes": repr(dict(classes)) if classes else "", "preprocess": "preprocess" if preprocess else
                        "", "unit_axis": repr(unit_axis) if unit_axis else ""}  # fmt: skip
        self.options = {name: value for name, value in self.options.items() if value}
        self.replay = Replay(model, layer, self.source.classes, unit_axis=unit_axis)  # type: ignore[arg-type]
        self.moments: list[Moment] = []
        index, true = [], []
        with progress(f"Reading {layer}", len(probe), show=show_progress) as meter:
            for batch in self.source.batches(range(len(probe))):
                known = ((batch.class_labels >= 0) & (batch.class_labels < len(self.names))).nonzero()[:, 0]
                if len(known):
                    images = self.source.inputs(batch)
                    self.moments.append(self.replay.begin(images[known.to(images.device)]))
                    self._check_memory(len(known))
                    index.append(batch.index[known].numpy())
                    true.append(batch.class_labels[known].numpy())
                meter.step(len(batch))
        if not self.moments:
            raise ProbeError("probe: no image has a class label; nothing can be lost")
        self.index, self.true = np.concatenate(index), np.concatenate(true)
        self.base = torch.cat([moment.base for moment in self.moments])
        self.skipped = len(probe) - len(self.true)

    def _check_memory(self, images: int) -> None:
        """Told by the first batch, not after minutes. Raises OptionError."""
        needed = self.moments[0].bytes / images * len(self.probe)
        if len(self.moments) == 1 and needed > MEMORY:
            fitting = int(len(self.probe) * MEMORY / needed)
            raise OptionError(
                f"probe: its {len(self.probe):,} images take {needed / 1e9:.1f} GB at {self.layer!r}, more than "
                f"{MEMORY / 1e9:.1f}; take some of them, such as probe.subset(range(0, {len(self.probe)}, "
                f"{max(2, -(-len(self.probe) // max(1, fitting)))}))"
            )

    @property
    def units(self) -> int:
        """U."""
        return self.moments[0].units

    @property
    def way(self) -> str:
        """How what follows the layer is computed."""
        return str(self.replay.way)

    def scores(self, keep: np.ndarray) -> Tensor:
        """Scores with each unit times its factor: keep (S, U) -> (S, N, K). Raises OptionError."""
        factors = torch.from_numpy(np.ascontiguousarray(keep, dtype=np.float32))
        if factors.ndim != 2 or factors.shape[1] != self.units or not torch.isfinite(factors).all():
            raise OptionError(f"keep: expected finite factors (S, {self.units}), got {tuple(factors.shape)}")
        found = [torch.cat([scores for _, scores in moment.sets(factors)], 1) for moment in self.moments]
        return torch.cat(found).transpose(0, 1)

    def said(self, keep: np.ndarray) -> np.ndarray:
        """The class said of each image, int64 (S, N)."""
        return self.scores(keep).argmax(2).cpu().numpy()

    def effect(self, keep: np.ndarray, words: str) -> Effect:
        """What one set of factors (U,) changes, as `measure` gives it."""
        after = self.scores(keep[None])[0]
        return self.effect_of(after, words)

    def effect_of(self, after: Tensor, words: str) -> Effect:
        """The same, of scores (N, K)."""
        where = torch.from_numpy(self.true).to(after.device)[:, None]
        log = self.source.classes.log_probability  # type: ignore[union-attr]
        arrays: dict[str, Any] = {}
        for name, scores in (("before", self.base), ("after", after)):
            arrays[name] = scores.argmax(1).cpu().numpy()
            arrays[f"score_{name}"] = scores.gather(1, where)[:, 0].double().cpu().numpy()
            arrays[f"log_{name}"] = log(scores).gather(1, where)[:, 0].double().cpu().numpy()
        notes = {"model": str(getattr(self.source.model, "unitlens_name", type(self.source.model).__name__)),
                 "way": self.way, "skipped": self.skipped}  # fmt: skip
        return Effect(self.names, self.index, self.true, **arrays, edit=words, notes=notes)

    def causes(self, images: Sequence[int], keep: np.ndarray, candidates: Sequence[int]) -> np.ndarray:
        """For each of these images (places 0..N-1) the unit whose own change does most for the new answer against
        the old one: int64 (n,), -1 without candidates. keep: factors (U,)."""
        chosen = list(candidates)
        if not chosen or not len(images):
            return np.full(len(images), -1)
        alone = np.ones((len(chosen), self.units), np.float32)
        alone[np.arange(len(chosen)), chosen] = keep[chosen]
        before = self.base[list(images)]
        moment = self.replay.begin(self._inputs(images))
        together = torch.cat([scores for _, scores in moment.sets(torch.from_numpy(keep[None].astype(np.float32)))], 1)
        old, new = before.argmax(1), together[:, 0].argmax(1)
        scores = torch.cat([found for _, found in moment.sets(torch.from_numpy(alone))], 1)  # (n, S, K)
        many = len(chosen)
        gain = scores.gather(2, new[:, None, None].expand(-1, many, 1)) - scores.gather(
            2, old[:, None, None].expand(-1, many, 1))  # fmt: skip
        return np.array(chosen)[gain[..., 0].argmax(1).cpu().numpy()]

    def maps(self, images: Sequence[int], units: Sequence[int]) -> np.ndarray:
        """One unit's activation in each of these images: float32 (n, h, w); (n, 0, 0) where the layer has no grid."""
        with capture(self.source.model, self.layer, stop=True) as captured:
            output = captured.run(self._inputs(images))[self.layer]
        places = _grid(output, self.probe.size, self.replay.unit_axis)
        if places is None:
            return np.zeros((len(units), 0, 0), np.float32)
        rows = torch.arange(len(units), device=output.device)
        return places[rows, torch.tensor(list(units), device=output.device)].float().cpu().numpy()

    def _inputs(self, images: Sequence[int]) -> Tensor:
        return self.source.inputs(self.probe.load(self.index[list(images)].tolist()))


def _grid(output: Tensor, size: tuple[int, int], unit_axis: int | None) -> Tensor | None:
    """The output as (B, U, h, w), or None where it has no grid."""
    if output.ndim < 3:
        return None
    try:
        return layout_of(tuple(output.shape), size, unit_axis).to_grid(output)
    except LayerError:
        return None
