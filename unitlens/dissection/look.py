"""look: any picture through a model whose units have been dissected."""

from __future__ import annotations

import ast
import io
import warnings
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image

from unitlens.data.given import given_picture
from unitlens.data.probe import ArrayProbe
from unitlens.dissection.forward import forward
from unitlens.dissection.layer import LayerDissection
from unitlens.dissection.looked import Look
from unitlens.dissection.plan import DissectionPlan, make_plan
from unitlens.dissection.reader import LayerReader
from unitlens.dissection.recipe import NUMERICS
from unitlens.dissection.result import Dissection
from unitlens.errors import DataWarning, OptionError, ShapeMismatch
from unitlens.models.basis import as_basis
from unitlens.models.geometry import Geometry
from unitlens.models.identity import has_hooks, model_digest
from unitlens.models.preprocess import Normalize, Preprocess, as_preprocess
from unitlens.stats.topk import as_half

#: Digests of models that were looked through, with the state of their values when they were read.
_digests: WeakKeyDictionary[torch.nn.Module, tuple[Any, str]] = WeakKeyDictionary()


def look(
    model: torch.nn.Module,
    image: Any,
    dissection: Dissection,
    layer: str | None = None,
    *,
    preprocess: Any = None,
    quantile: float | None = None,
    crop: str = "squash",
    basis: Any = None,
) -> Look:
    """Which units of a layer fire where in one picture, and which concepts that makes.

    The picture goes the way of the probe images: the same size, preprocessing, alignment and thresholds. A unit's
    strength is the share of the picture where it fires; over the probe set every unit has the share 1 - quantile, so
    "14 % of this picture" is 14 times its average at quantile 0.99.

    model: the one that was dissected (a DataWarning where it is not: the thresholds are then another model's).
    image: a path, the bytes of a picture file, a PIL image, uint8 (H, W, 3), or a tensor float (3, H, W) in [0, 1].
    dissection: what `dissect` found. layer: one of its layers, the last by default.
    preprocess: as given to `dissect`; None = the same again, where its fingerprint tells how to make it.
    quantile: read the thresholds at another level, as `dissection.at` does.
    crop: "squash" stretches a picture of another shape, "center" takes its middle; as given to `from_folder`.
    basis: as given to `dissect` for this layer.

    >>> import unitlens as ul
    >>> model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=36)
    >>> found = ul.dissect(model, "conv5_3", probe, show_progress=False)
    >>> seen = ul.look(model, ul.render_scene(5).picture, found)
    >>> seen.maps.shape, seen.segmentation().shape
    ((160, 8, 8), (128, 128))

    Raises LayerNotFound for a layer that was not dissected, ShapeMismatch for another number of units or an array of
    another shape, AssetError for a file that is no picture, ProbeError outside [0, 1], OptionError.
    """
    if not isinstance(dissection, Dissection):
        raise OptionError(f"dissection: expected what dissect(...) found, got {type(dissection).__name__}")
    counts = dissection.layer(layer)
    found = dissection if quantile is None else dissection.at(quantile)
    counts = found.layer(counts.name)
    picture, values = given_picture(image, _size(found), crop)
    plan = _plan(model, counts, found, values, preprocess, basis)
    _check_same(model, found.recipe)
    reader, kept, fires, peak = _read(plan, counts)
    label, iou = found.best(counts.name)
    highest = counts.top_value[:, 0] if counts.top_value.shape[1] else peak
    return Look(
        picture, counts.name, str(found.notes.get("model", "model")), kept,
        reader.kept_geometry.numbers if reader.kept_geometry else None, reader.image_size, fires, peak,
        np.array(highest, np.float32), np.array(counts.threshold, np.float32), label, iou, found.vocabulary,
        found.quantile, found.min_iou,
    )  # fmt: skip


def _size(found: Dissection) -> tuple[int, int]:
    """(H, W) of the probe images."""
    known = found.notes.get("image_size")
    if known:
        return int(known[0]), int(known[1])
    for jpeg in found.thumbnails.values():
        with Image.open(io.BytesIO(jpeg)) as picture:
            return picture.height, picture.width
    raise OptionError("dissection: it does not say how large its images were; dissect again with this version")


def _plan(
    model: torch.nn.Module, counts: LayerDissection, found: Dissection, values: torch.Tensor, preprocess: Any,
    basis: Any,
) -> DissectionPlan:  # fmt: skip
    """The plan of the dissection for one picture: what its recipe says decides how the activations are made."""
    recipe, grid = found.recipe, found.recipe.get("grid")
    return make_plan(
        model, counts.name, ArrayProbe(values[None]), segmenter=None, quantile=found.quantile, min_iou=found.min_iou,
        exact=False, convention=recipe.get("convention", "default"), after_relu=recipe.get("after_relu", False),
        call=recipe.get("call"), unit_axis=recipe.get("unit_axis"), basis=_same_basis(basis, counts, found),
        preprocess=_same_preprocess(preprocess, recipe.get("preprocess", "identity")),
        precision=recipe.get("precision", "full"), grid=None if grid is None else (grid[0], grid[1]), top=1,
        batch_size=1,
    )  # fmt: skip


def _read(plan: DissectionPlan, counts: LayerDissection) -> tuple[LayerReader, np.ndarray, np.ndarray, np.ndarray]:
    """One forward pass: the layer's reader, maps as kept (U, h, w), where units fire (U, H', W'), peaks (U,)."""
    name, readers = counts.name, dict[str, LayerReader]()
    read: list[np.ndarray] = []
    threshold = torch.from_numpy(np.array(counts.threshold, np.float32))

    def use(_: str, reader: LayerReader, grid: torch.Tensor) -> None:
        if grid.shape[1] != counts.units:
            raise ShapeMismatch(
                f"model: its layer {name!r} has {grid.shape[1]} units, the dissection {counts.units}. "
                "Give look the model that was dissected."
            )
        maps = reader.maps(grid)
        fires = reader.aligned(maps.values)[0] > threshold.to(grid.device)[:, None, None]
        kept = as_half(reader.keepsake(grid[0].float()))
        read.extend(part.cpu().numpy() for part in (kept.clone(), fires, maps.peak[0]))

    with forward(plan, [name], readers) as run:
        inputs = run.inputs(plan.probe.load([0]))
        if counts.top_map.shape[2:] != plan.grid:  # else the maps may be kept coarser than the layer's own grid
            run.geometry = {name: None}
            if counts.geometry:
                seen = (inputs.shape[-2], inputs.shape[-1])
                run.geometry = {name: Geometry(*counts.geometry).scaled(plan.probe.size, seen)}
        run.run(inputs, use)
    kept, fires, peak = read
    return readers[name], kept, fires, peak


def _same_preprocess(given: Any, known: str | None) -> Preprocess:
    """The preprocessing of the dissection. known: its fingerprint. Raises OptionError for another one."""
    if given is None and known not in (None, "identity"):
        given = _normalize(str(known))
        if given is None:
            raise OptionError(f"preprocess: the dissection was made with {known}; give look the same one")
    elif given is None and known is None:
        raise OptionError("preprocess: the dissection was made with one that has no name; give look the same one")
    mine = as_preprocess(given)
    if None not in (known, mine.fingerprint) and mine.fingerprint != known:
        raise OptionError(f"preprocess: the dissection was made with {known}, got {mine.fingerprint}")
    return mine


def _normalize(text: str) -> Normalize | None:
    """The `Normalize` whose fingerprint a text is.

    >>> _normalize("Normalize(mean=(0.5,), std=(0.25,), size=None)")
    Normalize(mean=(0.5,), std=(0.25,), size=None)
    """
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not text.startswith("Normalize("):
            return None
        made = Normalize(**{str(part.arg): ast.literal_eval(part.value) for part in call.keywords})
    except (SyntaxError, ValueError, TypeError):
        return None
    return made if made.fingerprint == text else None


def _same_basis(given: Any, counts: LayerDissection, found: Dissection) -> Any:
    """The basis of the layer. Raises OptionError where the dissection has another one than is given."""
    known = dict(zip(found.recipe.get("layers", ()), found.recipe.get("basis", ()), strict=False))
    name = counts.name
    one = given.get(name) if isinstance(given, Mapping) else given
    if one is None and known.get(name, "units") != "units":
        raise OptionError(f"basis: the units of {name!r} were dissected in another basis; give look the same one")
    if one is not None and known.get(name, "") == "units":
        raise OptionError(f"basis: the units of {name!r} were dissected as they are; leave it out")
    if one is not None and known.get(name):
        width = one.shape[1] if getattr(one, "ndim", 0) == 2 else 1
        mine = as_basis(one, int(width))
        if mine is not None and mine.fingerprint not in (None, known[name]):
            raise OptionError(f"basis: the units of {name!r} were dissected in another basis than this one")
    return None if one is None else {name: one}


def _check_same(model: torch.nn.Module, recipe: Mapping[str, Any]) -> None:
    """Warns where the model is not the one that was dissected; inside `edit` nothing is said."""
    known = recipe.get("model")
    if known is None or recipe.get("numerics") != NUMERICS or has_hooks(model):
        return
    tensors = [*model.parameters(), *model.buffers()]
    state = [(t.data_ptr(), None if t.is_inference() else t._version) for t in tensors]
    if model not in _digests or _digests[model][0] != state:
        _digests[model] = state, model_digest(model)
    if _digests[model][1] != known:
        warnings.warn(
            "model: it is not the one that was dissected, or its weights have changed since. The thresholds and "
            "labels are those of the other one.",
            DataWarning, stacklevel=3,
        )  # fmt: skip
