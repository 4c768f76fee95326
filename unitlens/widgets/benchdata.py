"""BenchData: what the ablation bench shows of a workbench, as small arrays that a page draws."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from unitlens.dissection.result import Dissection
from unitlens.errors import OptionError
from unitlens.intervene.edits import checked_units
from unitlens.intervene.effect import Effect
from unitlens.intervene.importance import Importance
from unitlens.intervene.names import number_of
from unitlens.intervene.tallies import MEASURES, drawn_tally, draws_of, ends, tally
from unitlens.intervene.workbench import Workbench

Units = Sequence[int] | np.ndarray
WAYS = ("class", "concept", "numbers", "random")
CONTROLS = 5  # random sets of the same size
DRAWS = 200
SHOTS = 12
PAIRS = 8
PICTURE = 144  # pixels of the shorter side


class BenchData:
    """A workbench with an order of its units for each class, concept or lot."""

    def __init__(self, workbench: Workbench, ranking: Importance, dissection: Dissection | None):
        self.workbench, self.ranking, self.dissection = workbench, ranking, dissection
        self.classes = len(workbench.names)
        self._weights = draws_of(workbench.true, DRAWS)
        self.before = workbench.base.argmax(1).cpu().numpy()
        self.concepts: dict[str, np.ndarray] = {}
        if dissection is not None:
            shared = [c.name for c in dissection.vocabulary]
            for concept in dissection.concepts(workbench.layer):
                name = concept.name if shared.count(concept.name) == 1 else str(concept)
                self.concepts[name] = dissection.units_for(concept, workbench.layer)

    def about(self) -> dict[str, Any]:
        """What does not change: classes, units and their labels, what can be chosen."""
        bench = self.workbench
        intact = tally(self.before, bench.true, self.classes)
        return {
            "model": str(getattr(bench.source.model, "unitlens_name", type(bench.source.model).__name__)),
            "layer": bench.layer, "units": bench.units, "images": len(bench.true), "skipped": bench.skipped,
            "classes": list(bench.names), "shows": [int(n) for n in intact.true], "measures": list(MEASURES),
            "intact": [[_number(v) for v in intact.measure(name)] for name in MEASURES],
            "top1": float((self.before == bench.true).mean()), "ranked": list(self.ranking.ranked),
            "concepts": list(self.concepts), "labels": self._labels(), "way": bench.way,
        }  # fmt: skip

    def _labels(self) -> list[str]:
        """What each unit detects, in a few letters; "" for units that are no detectors."""
        if self.dissection is None:
            return [""] * self.workbench.units
        first, iou = self.dissection.best(self.workbench.layer)
        words = self.dissection.vocabulary
        least = self.dissection.min_iou
        return [f"{words[c].name} {v:.2f}" if c >= 0 and v >= least else "" for c, v in zip(first, iou, strict=True)]

    def order(self, by: str, name: str, numbers: Sequence[int], draw: int) -> np.ndarray:
        """Units in the order in which they are taken: int64. Raises OptionError for an unknown class or concept."""
        if by == "class":
            return self.ranking.order(name)
        if by == "concept":
            if name not in self.concepts:
                known = ", ".join(map(repr, list(self.concepts)[:8])) or "none: no dissection was given"
                raise OptionError(f"name: expected a concept that units of this layer detect ({known}); got {name!r}")
            return self.concepts[name]
        if by == "numbers":
            units = checked_units(list(numbers), "numbers") or ()
            if any(unit >= self.workbench.units for unit in units):
                raise OptionError(f"numbers: expected units 0..{self.workbench.units - 1}, got {max(units)}")
            return np.array(units, dtype=np.int64)
        if by == "random":
            return np.random.default_rng(draw).permutation(self.workbench.units)
        raise OptionError(f"by: expected one of {', '.join(map(repr, WAYS))}, got {by!r}")

    def keep(self, units: Units, factor: float) -> np.ndarray:
        """The factor of every unit: float32 (U,)."""
        factors = np.ones(self.workbench.units, np.float32)
        factors[np.asarray(units, dtype=np.int64)] = factor
        return factors

    def effect(self, units: Units, factor: float, words: str) -> Effect:
        """What scaling these units changes."""
        return self.workbench.effect(self.keep(units, factor), words)

    def state(self, units: np.ndarray, factor: float, most: int) -> dict[str, np.ndarray]:
        """units int32. most int32 (1,): how many could be taken. after, low, high float32 (3, K): the measures with
        both ends of their intervals. top1 float32 (1,): share named rightly. flips int32 (1,): answers that change.
        pairs int32 (P, 3): images newly taken for another class (true class, class now said, images)."""
        bench = self.workbench
        said = bench.said(self.keep(units, factor)[None])[0]
        now = tally(said, bench.true, self.classes)
        drawn = drawn_tally(self._weights, said, bench.true, self.classes)
        few = now.true < 2  # no interval from a single image
        both = [[np.where(few, np.nan, end) for end in ends(drawn.measure(name))] for name in MEASURES]
        return {
            "units": units.astype(np.int32), "most": np.array([most], np.int32),
            "after": np.stack([now.measure(name) for name in MEASURES]).astype(np.float32),
            "low": np.stack([low for low, _ in both]).astype(np.float32),
            "high": np.stack([high for _, high in both]).astype(np.float32),
            "top1": np.array([(said == bench.true).mean()], np.float32),
            "flips": np.array([(said != self.before).sum()], np.int32), "pairs": self._pairs(said),
        }  # fmt: skip

    def _pairs(self, said: np.ndarray) -> np.ndarray:
        true = self.workbench.true
        new = (self.before == true) & (said != true)
        kinds, many = np.unique(true[new] * self.classes + said[new], return_counts=True)
        first = np.argsort(-many, kind="stable")[:PAIRS]
        return np.stack([kinds[first] // self.classes, kinds[first] % self.classes, many[first]], 1).astype(np.int32)

    def control(self, count: int, factor: float) -> dict[str, np.ndarray]:
        """The same number of random units: control float32 (D, 3, K), control_top1 float32 (D,)."""
        bench, rng = self.workbench, np.random.default_rng([1, count])  # other lots than `order` draws
        sets = np.stack([self.keep(rng.permutation(bench.units)[:count], factor) for _ in range(CONTROLS)])
        said = bench.said(sets)
        found = tally(said.T, bench.true, self.classes)
        values = np.stack([found.measure(name) for name in MEASURES], 1)
        return {"control": values.astype(np.float32), "control_top1": (said == bench.true).mean(1).astype(np.float32)}

    def shots(self, units: np.ndarray, factor: float, shown: str) -> dict[str, np.ndarray]:
        """Images whose answer changes, in the order of `Effect.flips`: count int32 (1,), how many there are;
        shot int32 (n, 4): true class, class said before and now, and the unit whose change does most for it; image
        int32 (n,): position in the probe set; map uint8 (n, h, w): where that unit fires; sizes, bytes: JPEGs."""
        bench = self.workbench
        keep = self.keep(units, factor)
        effect = bench.effect(keep, "")
        places = effect.flips
        if shown:
            number = number_of(shown, bench.names, "shown")
            parts = (effect.true, effect.before, effect.after)
            places = places[np.any([part[places] == number for part in parts], 0)]
        first = places[:SHOTS]
        cause = bench.causes(first.tolist(), keep, units.tolist())
        shot = np.stack([effect.true[first], effect.before[first], effect.after[first], cause], 1)
        maps = bench.maps(first.tolist(), cause.clip(0).tolist()) if len(first) else np.zeros((0, 0, 0), np.float32)
        top = maps.max((1, 2), initial=0.0)[:, None, None]
        heat = np.divide(maps, top, out=np.zeros_like(maps), where=top > 0).clip(0, 1)
        files = [self._picture(int(i)) for i in effect.index[first]]
        return {
            "count": np.array([len(places)], np.int32), "shot": shot.astype(np.int32).reshape(-1, 4),
            "image": effect.index[first].astype(np.int32), "map": (255 * heat).round().astype(np.uint8),
            "sizes": np.array([len(file) for file in files], np.int32),
            "bytes": np.frombuffer(b"".join(files), np.uint8),
        }  # fmt: skip

    def _picture(self, index: int) -> bytes:
        """One image as a small JPEG."""
        picture = Image.fromarray(self.workbench.probe.pictures([index])[0])
        scale = PICTURE / min(picture.size)
        if scale < 1:
            size = round(picture.width * scale), round(picture.height * scale)
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=88)
        return data.getvalue()


def _number(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return float(value) if np.isfinite(value) else None
