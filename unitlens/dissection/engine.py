"""The dissection engine: the only file that knows the order of the steps."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from unitlens.data.concepts import Segmentation
from unitlens.data.probe import Batch, ProbeSet, check_range
from unitlens.dissection.halfway import LayerTails, halfway_recipe, packed, unpacked
from unitlens.dissection.recipe import NOT_STORED, dissection_recipe, unnamed_parts
from unitlens.dissection.result import Dissection, LayerDissection
from unitlens.errors import DataWarning, LayerError, OptionError, ProbeError
from unitlens.models.capture import capture
from unitlens.models.preprocess import Preprocess, as_preprocess
from unitlens.models.upsample import Geometry, layer_geometry, upsample
from unitlens.progress import Meter, progress
from unitlens.segment.segmenter import Segmenter, as_segmenter, check_segmentation
from unitlens.stats.paircount import LabelCount, PairCount
from unitlens.stats.quantile import TailQuantile
from unitlens.stats.topk import TopK
from unitlens.store import Store, default_store

MEMORY_MB = 1024  # for the tails of all layers together; beyond it thresholds are taken from a sample of the pixels
BEYOND = 1e30  # stands for an infinite activation: finite, so that interpolation never makes NaN of it


def dissect(
    model: torch.nn.Module,
    layers: str | Sequence[str],
    probe: ProbeSet,
    *,
    segmenter: Any = None,
    quantile: float = 0.99,
    min_iou: float = 0.04,
    after_relu: bool = False,
    call: Any = None,
    preprocess: Any = None,
    grid: tuple[int, int] | None = None,
    top: int = 12,
    batch_size: int = 64,
    store: Store | bool = True,
    show_progress: bool = True,
    name: str | None = None,
) -> Dissection:
    """Finds the concepts that the units of some layers match [paper.md 1.0, 1.1].

    A unit fires where its activation, upsampled to the pixel grid, is strictly greater than its threshold t_u; t_u is
    the unit's (1 - quantile) tail over all pixels of the probe set. Its IoU with a concept is the number of pixels
    where it fires and the concept is seen, over the number where either is, over all images together.

    model: any module that takes images (B, 3, H, W); it is run in eval mode, on the device where it is.
    layers: dotted module names (see `layers(model)`), all measured in the same passes.
    probe: the images. segmenter: None (the truth if the probe set has one, else colour names), "truth", "colours",
        a Segmenter, or a list of them.
    quantile: 0.99 keeps the top 1 % of the pixels. min_iou: a unit is a detector from this best IoU on.
    after_relu: measure max(activation, 0), as the paper's in-place ReLUs did.
    call: "first", "last" or a position, for a layer that is called several times in one forward pass.
    preprocess: what the model wants done to images in [0, 1], such as `Normalize(...)` or a torchvision transform.
    grid: (H, W) where activations and labels meet; a quarter of the image size by default, as in the paper.
    top: images kept per unit. batch_size: images at a time (does not change the result).
    store: False, or a Store; by default the result is kept and a second call opens it without running the model.
    name: how displays call the model; does not change the result.

    >>> import unitlens as ul
    >>> probe = ul.load_probe("scenes", count=36)
    >>> found = ul.dissect(ul.load_model("scenenet"), "conv5_3", probe, show_progress=False)
    >>> found.frame().columns[:5].tolist()
    ['layer', 'unit', 'concept', 'category', 'iou']

    Raises LayerNotFound, LayerError (a layer without a grid), ProbeError (empty, images outside [0, 1]), OptionError.
    """
    plan = _plan(
        model, layers, probe, segmenter, quantile, min_iou, after_relu, call, preprocess, grid, top, batch_size
    )  # fmt: skip
    label = name or str(getattr(model, "unitlens_name", type(model).__name__))
    recipe = dissection_recipe(plan)
    unnamed = unnamed_parts(recipe)
    keep = _store(store) if not unnamed else None
    if unnamed and store is not False:
        warnings.warn(NOT_STORED.format(parts=" and ".join(unnamed)), DataWarning, stacklevel=2)
    stored = keep.get(recipe) if keep else None
    if stored:
        return Dissection.from_store(*stored).renamed(label).with_min_iou(min_iou)
    run = _Run(plan, recipe, keep, show_progress)
    result = run.result(label)
    if keep:
        keep.offer(recipe, *result.to_store())
    return result


@dataclass(frozen=True)
class DissectionPlan:
    """The checked arguments of one dissection."""

    model: torch.nn.Module
    layers: tuple[str, ...]
    probe: ProbeSet
    segmenter: Segmenter
    quantile: float
    min_iou: float
    after_relu: bool
    call: Any
    preprocess: Preprocess
    grid: tuple[int, int]
    top: int
    batch_size: int

    @property
    def cells(self) -> int:
        """Pixels of the grid."""
        return self.grid[0] * self.grid[1]


def _plan(
    model: torch.nn.Module, layers: str | Sequence[str], probe: ProbeSet, segmenter: Any, quantile: float,
    min_iou: float, after_relu: bool, call: Any, preprocess: Any, grid: tuple[int, int] | None, top: int,
    batch_size: int,
) -> DissectionPlan:  # fmt: skip
    _check_kinds(layers, probe, quantile, min_iou)
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    if not names:
        raise OptionError("layers: expected at least one layer name, got none. `layers(model)` lists them.")
    if len(set(names)) != len(names):
        raise OptionError(f"layers: a name stands there twice: {', '.join(names)}")
    if not len(probe):
        raise ProbeError("probe: expected at least one image, got an empty probe set")
    if not 0 < quantile < 1:
        raise OptionError(f"quantile: expected a level between 0 and 1 (0.99 keeps the top 1 %), got {quantile}")
    if quantile < 0.5:
        rest = 1 - quantile
        raise OptionError(f"quantile: {quantile} would keep the top {rest:.0%} of the pixels; did you mean {rest:g}?")
    if not 0 <= min_iou <= 1:
        raise OptionError(f"min_iou: expected 0..1, got {min_iou}")
    if top < 1 or batch_size < 1:
        raise OptionError(f"top and batch_size: expected 1 or more, got {top} and {batch_size}")
    capture(model, names, call=call)  # unknown layers are told now, not after the scenes are drawn
    height, width = _grid(grid, probe.size)
    return DissectionPlan(
        model, names, probe, as_segmenter(segmenter, probe), float(quantile), float(min_iou), bool(after_relu), call,
        as_preprocess(preprocess), (height, width), int(top), int(batch_size),
    )  # fmt: skip


def _check_kinds(layers: object, probe: object, quantile: object, min_iou: object) -> None:
    if not isinstance(probe, ProbeSet):
        raise OptionError(
            f"probe: expected a probe set, got {type(probe).__name__}. Wrap it: from_folder(path), ArrayProbe(images), "
            "from_dataset(dataset), or load_probe('scenes')."
        )
    names = [layers] if isinstance(layers, str) else layers
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise OptionError(f"layers: expected a layer name or a list of them, got {layers!r}. See layers(model).")
    for name, value in (("quantile", quantile), ("min_iou", min_iou)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise OptionError(f"{name}: expected a number, got {value!r}")


def _grid(grid: tuple[int, int] | None, size: tuple[int, int]) -> tuple[int, int]:
    if grid is None:
        return max(1, size[0] // 4), max(1, size[1] // 4)
    pair = tuple(grid) if isinstance(grid, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in pair):
        raise OptionError(f"grid: expected (height, width) of 1 or more, such as (56, 56), got {grid!r}")
    return int(pair[0]), int(pair[1])


def _store(store: Store | bool) -> Store | None:
    return store if isinstance(store, Store) else default_store() if store else None


class _Run:
    """One dissection under way: thresholds and top images first, then counts."""

    def __init__(self, plan: DissectionPlan, recipe: Mapping[str, Any], store: Store | None, show: bool):
        self.plan, self.recipe, self.store, self.show = plan, recipe, store, show
        self.vocabulary = plan.segmenter.vocabulary
        parameter = next(plan.model.parameters(), None)
        self.device = parameter.device if parameter is not None else torch.device("cpu")
        self.dtype = parameter.dtype if parameter is not None and parameter.is_floating_point() else torch.float32
        self.first_labels: Segmentation | None = None  # of the first batch: a segmenter that fails must fail at once

    def result(self, label: str) -> Dissection:
        plan, started = self.plan, time.perf_counter()
        plan.probe.prepare(progress=self.show)
        half = halfway_recipe(self.recipe)
        stored = self.store.get(half) if self.store else None
        with progress("Thresholds", (1 if stored else 2) * len(plan.probe), show=self.show) as meter:
            tails, images = unpacked(*stored) if stored else self.first_pass(meter)
            if self.store and not stored:
                self.store.offer(half, *packed(tails, images))
            meter.label("Counting")
            counts, seen = self.second_pass(tails, meter)
        concept_area, pixels = seen.compute()
        layers = {}
        for name, found in tails.items():
            intersection, area = counts[name].compute()
            layers[name] = LayerDissection(
                name, found.threshold, _numpy(intersection), _numpy(area), found.top_value, found.top_index,
                found.top_map, found.nonfinite, found.geometry,
            )  # fmt: skip
        notes = {
            "model": label, "images": images, "skipped": len(plan.probe) - images, "image_size": list(plan.probe.size),
            "seconds": round(time.perf_counter() - started, 2),
        }  # fmt: skip
        return Dissection(
            layers, self.vocabulary, _numpy(concept_area), _numpy(pixels), self.thumbnails(layers), plan.quantile,
            plan.min_iou, self.recipe, notes,
        )  # fmt: skip

    def activations(self, meter: Meter) -> Iterator[tuple[Batch, torch.Tensor, dict[str, torch.Tensor]]]:
        """Every batch with its images as the model saw them and the activations of all layers, (B, U, h, w)."""
        plan = self.plan
        with capture(plan.model, plan.layers, after_relu=plan.after_relu, call=plan.call, stop=True) as captured:
            for batch in plan.probe.batches(plan.batch_size):
                check_range(batch.images)
                inputs = plan.preprocess(batch.images.to(self.device)).to(self.dtype)
                yield batch, inputs, captured.run(inputs)
                meter.step(len(batch))

    def first_pass(self, meter: Meter) -> tuple[dict[str, LayerTails], int]:
        """Thresholds and top images of every layer, and how many images could be measured."""
        plan, images = self.plan, 0
        tails: dict[str, TailQuantile] = {}
        tops: dict[str, TopK] = {}
        geometry: dict[str, Geometry | None] = {}
        nonfinite: dict[str, torch.Tensor] = {}
        for batch, inputs, found in self.activations(meter):
            if not images:
                self.first_labels = self.segment(batch)
            images += len(batch)
            for name, raw in found.items():
                if name not in tails:
                    units, share = _units(name, raw), MEMORY_MB / len(plan.layers)
                    tails[name] = TailQuantile(units, plan.quantile, len(plan.probe) * plan.cells, memory_mb=share)
                    tops[name] = TopK(units, plan.top)
                    geometry[name] = layer_geometry(plan.model, name, inputs[:1])
                    nonfinite[name] = torch.zeros(units, dtype=torch.int64)
                activation, wrong = _cleaned(raw)
                nonfinite[name] += wrong
                tops[name].update(activation.amax((2, 3)), batch.index, activation)
                tails[name].update(self.aligned(activation, geometry[name], inputs), batch.index)
        if not images:
            raise ProbeError("probe: none of its images could be read")
        _warn_nonfinite(nonfinite)
        layers = {}
        for name, tail in tails.items():
            value, index, maps = tops[name].compute()
            centres = geometry[name]
            layers[name] = LayerTails(
                _numpy(tail.compute()), _numpy(value), _numpy(index),
                _numpy(cast(torch.Tensor, maps)),  # there are maps: every update above gave some
                _numpy(nonfinite[name]), centres.numbers if centres is not None else None,
            )  # fmt: skip
        return layers, images

    def second_pass(self, tails: Mapping[str, LayerTails], meter: Meter) -> tuple[dict[str, PairCount], LabelCount]:
        """Pixels where a unit fires and a concept is seen."""
        shape = (len(self.vocabulary), len(self.vocabulary.categories), self.vocabulary.category_index)
        thresholds = {name: torch.from_numpy(found.threshold) for name, found in tails.items()}
        geometry = {name: Geometry(*found.geometry) if found.geometry else None for name, found in tails.items()}
        counts = {name: PairCount(len(t), *shape) for name, t in thresholds.items()}
        seen = LabelCount(*shape)
        for batch, inputs, found in self.activations(meter):
            segmentation, self.first_labels = self.first_labels or self.segment(batch), None
            labels = segmentation.resized(self.plan.grid).labels
            seen.update(labels, segmentation.annotated)
            for name, raw in found.items():
                activation = self.aligned(_cleaned(raw)[0], geometry[name], inputs)
                counts[name].update(activation, labels, segmentation.annotated, thresholds=thresholds[name])
        return counts, seen

    def segment(self, batch: Batch) -> Segmentation:
        return check_segmentation(self.plan.segmenter(batch), batch, self.vocabulary)

    def aligned(self, activation: torch.Tensor, geometry: Geometry | None, inputs: torch.Tensor) -> torch.Tensor:
        """Activations on the pixel grid: float32 (B, U, H, W)."""
        size = (inputs.shape[-2], inputs.shape[-1])
        return upsample(activation, self.plan.grid, geometry=geometry, image_size=size)

    def thumbnails(self, layers: Mapping[str, LayerDissection]) -> dict[int, bytes]:
        """The top images of all units as JPEG, each once."""
        wanted = np.unique(np.concatenate([counts.top_index.ravel() for counts in layers.values()]))
        wanted = wanted[wanted >= 0]
        thumbnails: dict[int, bytes] = {}
        for first in range(0, len(wanted), 64):
            index = [int(i) for i in wanted[first : first + 64]]
            thumbnails.update(zip(index, map(_jpeg, self.plan.probe.pictures(index)), strict=True))
        return thumbnails


def _units(name: str, raw: torch.Tensor) -> int:
    if raw.ndim != 4:
        raise LayerError(
            f"layer {name!r} returns {tuple(raw.shape)}: dissection needs a spatial grid, "
            "(images, units, height, width). Choose a layer before the pooling or flattening."
        )
    return raw.shape[1]


def _cleaned(raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | int]:
    """float32 activations without NaN (never fires) and infinities (+inf: the highest value), and each unit's count."""
    activation = raw.float()
    wrong = ~activation.isfinite()
    if not wrong.any():
        return activation, 0
    return torch.nan_to_num(activation, nan=-BEYOND, posinf=BEYOND, neginf=-BEYOND), wrong.sum((0, 2, 3)).cpu()


def _warn_nonfinite(nonfinite: Mapping[str, torch.Tensor]) -> None:
    for name, counts in nonfinite.items():
        if counts.any():
            warnings.warn(
                f"layer {name!r}: {int(counts.sum())} activations of {int((counts > 0).sum())} units were NaN or "
                "infinite. NaN never fires, +inf is the highest value; `dissection[layer].nonfinite` counts them.",
                DataWarning, stacklevel=5,
            )  # fmt: skip


def _jpeg(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=88)
    return file.getvalue()


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
