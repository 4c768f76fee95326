"""The checked arguments of a dissection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from unitlens.data.probe import ProbeSet
from unitlens.dissection.tails import BRACKET
from unitlens.errors import LayerNotFound, OptionError, ProbeError
from unitlens.models.capture import capture
from unitlens.models.preprocess import Preprocess, as_preprocess
from unitlens.models.samples import Samples
from unitlens.segment.segmenter import Segmenter, as_segmenter

CONVENTIONS = ("default", "reference")
PRECISIONS = ("full", "mixed")
PIXELS_AT_A_TIME = 2**20  # of the images of one batch on a CPU: 64 images of 128 px, 16 of 224 px


@dataclass(frozen=True)
class DissectionPlan:
    """The checked arguments of one dissection."""

    model: torch.nn.Module
    layers: tuple[str, ...]
    probe: ProbeSet
    segmenter: Segmenter
    quantile: float
    min_iou: float
    exact: bool
    convention: str
    after_relu: bool
    call: Any
    unit_axis: int | None
    basis: Mapping[str, Any]
    preprocess: Preprocess
    precision: str
    grid: tuple[int, int]
    top: int
    batch_size: int

    @property
    def cells(self) -> int:
        """Pixels of the grid."""
        return self.grid[0] * self.grid[1]

    @property
    def bracket(self) -> tuple[float, float]:
        """The lowest and the highest quantile that the result can be read at."""
        lowest = self.quantile if self.exact else min(BRACKET[0], self.quantile)
        return lowest, max(BRACKET[1], self.quantile)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        parameter = next(self.model.parameters(), None)
        return parameter.device if parameter is not None else torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        parameter = next(self.model.parameters(), None)
        return parameter.dtype if parameter is not None and parameter.is_floating_point() else torch.float32


def make_plan(
    model: torch.nn.Module, layers: str | Sequence[str], probe: ProbeSet, *, segmenter: Any, quantile: float,
    min_iou: float, exact: bool, convention: str, after_relu: bool, call: Any, unit_axis: int | None, basis: Any,
    preprocess: Any, precision: str, grid: tuple[int, int] | None, top: int, batch_size: int | None,
) -> DissectionPlan:  # fmt: skip
    """Checks the arguments of `dissect`; see there. Raises OptionError, ProbeError, LayerNotFound."""
    _check_kinds(layers, probe, quantile, min_iou)
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    _check_layers(names)
    _check_levels(quantile, min_iou)
    if not len(probe):
        raise ProbeError("probe: expected at least one image, got an empty probe set")
    for name, value, known in (("convention", convention, CONVENTIONS), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise OptionError(f"{name}: expected one of {', '.join(map(repr, known))}, got {value!r}")
    for number, given in (("top", top), ("batch_size", 1 if batch_size is None else batch_size)):
        if not isinstance(given, (int, np.integer)) or given < 1:
            raise OptionError(f"{number}: expected a whole number from 1 on, got {given!r}")
    if isinstance(probe, Samples):
        _check_samples(model, probe, preprocess)
    capture(model, names, call=call)  # unknown layers are told now, not after the scenes are drawn
    size = _grid(grid, probe.size)
    return DissectionPlan(
        model, names, probe, as_segmenter(segmenter, probe), float(quantile), float(min_iou), bool(exact), convention,
        bool(after_relu), call, unit_axis, _bases(basis, names), as_preprocess(preprocess),
        precision if _on_gpu(model) else "full", size, int(top), int(batch_size or _fitting(model, probe)),
    )  # fmt: skip


def _check_samples(model: torch.nn.Module, probe: Samples, preprocess: Any) -> None:
    if model is not probe.generator:
        raise OptionError(
            "model: expected the generator that the samples are of. Pass the same object: "
            "dissect(generator, layers, from_generator(generator))."
        )
    if preprocess is not None:
        raise OptionError("preprocess: a generator takes latents, not images; expected None")


def _on_gpu(model: torch.nn.Module) -> bool:
    parameter = next(model.parameters(), None)
    return parameter is not None and parameter.is_cuda


def _fitting(model: torch.nn.Module, probe: ProbeSet) -> int:
    """A batch that fits: the activations of one batch are what the engine holds in memory."""
    room = PIXELS_AT_A_TIME * (4 if _on_gpu(model) else 1)
    count = max(1, room // (probe.size[0] * probe.size[1]))
    return min(64, 2 ** (count.bit_length() - 1))


def _check_layers(names: tuple[str, ...]) -> None:
    if not names:
        raise OptionError("layers: expected at least one layer name, got none. `layers(model)` lists them.")
    if len(set(names)) != len(names):
        raise OptionError(f"layers: a name stands there twice: {', '.join(names)}")


def _check_levels(quantile: float, min_iou: float) -> None:
    if not 0 < quantile < 1:
        raise OptionError(f"quantile: expected a level between 0 and 1 (0.99 keeps the top 1 %), got {quantile}")
    if quantile < 0.5:
        rest = 1 - quantile
        raise OptionError(f"quantile: {quantile} would keep the top {rest:.0%} of the pixels; did you mean {rest:g}?")
    if not 0 <= min_iou <= 1:
        raise OptionError(f"min_iou: expected 0..1, got {min_iou}")


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


def _bases(basis: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The basis of each layer that has one."""
    if basis is None:
        return {}
    if not isinstance(basis, Mapping):
        return dict.fromkeys(names, basis)
    unknown = [name for name in basis if name not in names]
    if unknown:
        raise LayerNotFound(str(unknown[0]), names, dissected=True)
    return {name: one for name, one in basis.items() if one is not None}
