"""Ranking: the importance of every unit of a layer for every class, by ablation or by gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unitlens.data.probe import ProbeSet
from unitlens.errors import OptionError, ProbeError
from unitlens.intervene.importance import ORDERS, WAYS, Importance
from unitlens.intervene.means import unit_means
from unitlens.intervene.places import Places
from unitlens.intervene.source import Arrays, Source
from unitlens.intervene.trials import digest, run_trials
from unitlens.models.capture import edit
from unitlens.models.hooks import at_rest, find_layer
from unitlens.progress import Meter
from unitlens.store import Store


def rank_units(
    model: nn.Module,
    layer: str,
    probe: ProbeSet,
    *,
    by: str = "ablation",
    order_by: str = "probability",
    held_out: ProbeSet | None = None,
    to: str = "zero",
    classes: Mapping[str, Sequence[int]] | None = None,
    unit_axis: int | None = None,
    preprocess: Any = None,
    batch_size: int | None = None,
    store: Store | bool = True,
    show_progress: bool = True,
) -> Importance:
    """How much every class rests on every unit of a layer [paper.md 1.3].

    The layer's output is computed once for each image, and only what follows it is run again for every unit: see
    `Replay`. What has been measured stays in the store, shard by shard.

    probe: labelled images, those that the model was trained on (ranking and judging on the same images flatters).
    held_out: other images, on which the same ablations are measured; the result's `held_out`.
    by: "ablation" switches each unit off; "gradient" estimates what that would do to the log probability of the class
    by gradient x activation, from one backward pass.
    order_by: "probability" (how far that of the class falls in its own images, by its logarithm), or "balanced
    accuracy", as in the paper. A network that is nearly always right loses hardly any answer without a single unit;
    what it loses is chance, and the units found by it matter less.
    to: "zero", or "mean" (over `probe`). classes, unit_axis, preprocess, batch_size, store: as in `measure`.

    >>> import unitlens as ul
    >>> probe = ul.load_probe("scenes", count=72)
    >>> found = ul.rank_units(ul.load_model("scenenet"), "conv5_3", probe, show_progress=False)
    >>> found.drop.shape, len(found.top("beach", 4))
    ((160, 18), 4)

    Raises LayerNotFound, OptionError, ProbeError (no labels), ShapeMismatch (other outputs than classes).
    """
    find_layer(model, layer)
    if by not in WAYS:
        raise OptionError(f"by: expected one of {', '.join(map(repr, WAYS))}, got {by!r}")
    if order_by not in ORDERS or (by == "gradient" and order_by != ORDERS[0]):
        known = ", ".join(map(repr, ORDERS if by == "ablation" else ORDERS[:1]))
        raise OptionError(f"order_by: expected one of {known} for by={by!r}, got {order_by!r}")
    if to not in ("zero", "mean"):
        raise OptionError(f"to: expected 'zero' or 'mean', got {to!r}")
    shared = {"classes": classes, "preprocess": preprocess, "batch_size": batch_size, "store": store,
              "show_progress": show_progress}  # fmt: skip
    source = Source.of(model, probe, **shared)
    fill = unit_means(source, layer, unit_axis) if to == "mean" else None
    other = None
    if held_out is not None:
        if by == "gradient":
            raise OptionError("held_out: an estimate by gradient is not measured on other images; use by='ablation'")
        checked = Source.of(model, held_out, **shared)
        if checked.names != source.names:
            raise OptionError(f"held_out: its classes differ: {checked.names} against {source.names}")
    found = _by_gradient(source, layer, fill, unit_axis) if by == "gradient" else _ablated(source, layer, fill,
                                                                                           unit_axis)  # fmt: skip
    if held_out is not None:
        other = _ablated(checked, layer, fill, unit_axis)
    return dataclasses.replace(found, held_out=other, order_by=order_by)


def _ablated(source: Source, layer: str, fill: Tensor | None, unit_axis: int | None) -> Importance:
    trials = run_trials(source, layer, None, fill=fill, unit_axis=unit_axis, title=f"Switching off units of {layer}")
    return Importance(
        layer, source.names, "ablation", trials.lost, trials.true, trials.base, trials.said, None,
        _recipe(source, layer, "ablation", fill, unit_axis), _notes(source, trials.skipped, trials.way), trials.error,
    )  # fmt: skip


def _recipe(source: Source, layer: str, by: str, fill: Tensor | None, unit_axis: int | None) -> dict[str, Any]:
    return source.recipe(
        kind="importance", layer=layer, by=by, fill=None if fill is None else digest(fill.numpy()),
        unit_axis=unit_axis, probe=source.probe.fingerprint,
    )  # fmt: skip


def _notes(source: Source, skipped: int, way: str) -> dict[str, Any]:
    name = str(getattr(source.model, "unitlens_name", type(source.model).__name__))
    return {"model": name, "images": len(source.probe) - skipped, "skipped": skipped, "way": way}


def _by_gradient(source: Source, layer: str, fill: Tensor | None, unit_axis: int | None) -> Importance:
    """(activation - fill) x gradient of the log probability of the true class, summed over the cells of a unit."""
    classes = len(source.names)

    def shard(span: Sequence[int], _: Meter) -> Arrays:
        seen, sums, counts = [np.zeros(0, np.int64)], [], np.zeros(classes)
        for batch in source.batches(span):
            seen.append(batch.index.numpy())
            known = ((batch.class_labels >= 0) & (batch.class_labels < classes)).nonzero()[:, 0]
            if not len(known):
                continue
            labels = batch.class_labels[known]
            images = source.inputs(batch)
            images = images[known.to(images.device)]
            shares = _shares(source, layer, images, labels.to(images.device), fill, unit_axis)  # (B, U)
            total = torch.zeros(classes, shares.shape[1], dtype=torch.float64)
            sums.append(total.index_add_(0, labels, shares.double().cpu()).numpy())
            counts += np.bincount(labels.numpy(), minlength=classes)
        return {"index": np.concatenate(seen), "sum": np.add.reduce(sums) if sums else np.zeros((0, 0)),
                "count": counts}  # fmt: skip

    recipe = source.recipe(kind="gradient", layer=layer, unit_axis=unit_axis,
                           fill=None if fill is None else fill.tolist())  # fmt: skip
    parts = source.shards(recipe, shard, f"Gradients at {layer}", ("sum", "count"))
    parts = [part for part in parts if part["sum"].size]
    if not parts:
        raise ProbeError("probe: no image has a class label; nothing can be lost")
    sums, counts = (np.add.reduce([part[name] for part in parts]) for name in ("sum", "count"))
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = np.where(counts[:, None] > 0, sums / counts[:, None], np.nan).T
    notes = _notes(source, len(source.probe) - int(counts.sum()), "one backward pass")
    whole = _recipe(source, layer, "gradient", fill, unit_axis)
    return Importance(layer, source.names, "gradient", estimate, recipe=whole, notes=notes)


def _shares(source: Source, layer: str, images: Tensor, labels: Tensor, fill: Tensor | None,
            unit_axis: int | None) -> Tensor:  # fmt: skip
    """What each unit adds to the log probability of each image's class, to first order: (B, U)."""
    kept: list[Tensor] = []

    def watch(output: Tensor) -> Tensor:
        if kept:
            raise OptionError(f"layer {layer!r}: called more than once in a forward pass; gradients need a single call")
        kept.append(output.detach().clone().requires_grad_())
        return kept[0].clone()  # what follows may work in place

    with at_rest(source.model, images), torch.enable_grad(), edit(source.model, {layer: watch}):
        scores = source.classes.scores(source.model(images))  # type: ignore[union-attr]
        log = source.classes.log_probability(scores).gather(1, labels[:, None]).sum()  # type: ignore[union-attr]
        slope = torch.autograd.grad(log, kept[0], allow_unused=True)[0] if log.requires_grad else None
    places = Places.of(kept[0].detach(), unit_axis)
    rows = places.rows(None, layer)
    values = places.values(rows)
    if slope is None:  # the scores do not depend on this layer
        return torch.zeros(values.shape[:2])
    away = values if fill is None else values - fill.to(values)[None, :, None]
    return (away * places.like(slope).values(rows)).flatten(2).sum(2)
