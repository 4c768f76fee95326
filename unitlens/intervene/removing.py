"""Removing: more and more units of a layer switched off, best, worst or random first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from unitlens.data.probe import ProbeSet
from unitlens.errors import OptionError, RecipeMismatch
from unitlens.intervene.curve import AblationCurve
from unitlens.intervene.importance import Importance
from unitlens.intervene.means import unit_means
from unitlens.intervene.names import number_of
from unitlens.intervene.source import Source
from unitlens.intervene.tallies import drawn_class, draws_of, tally
from unitlens.intervene.trials import Trials, digest, run_trials
from unitlens.models.hooks import find_layer
from unitlens.store import Store

DRAWS = 200  # of the images
POINTS = 10
MOST = 2**28  # answers that are held: images times sets


@dataclass(frozen=True, eq=False)
class Ranking:
    """An order of the units for each class that is measured. orders: int64 (U, k). names: k. told: by what."""

    orders: np.ndarray
    names: tuple[str, ...]
    told: str


def ablation_curve(
    model: nn.Module,
    layer: str,
    probe: ProbeSet,
    ranking: Importance | Sequence[int] | np.ndarray,
    *,
    counts: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    draws: int = 5,
    seed: int = 0,
    to: str = "zero",
    classes: Mapping[str, Sequence[int]] | None = None,
    unit_axis: int | None = None,
    preprocess: Any = None,
    batch_size: int | None = None,
    store: Store | bool = True,
    show_progress: bool = True,
) -> AblationCurve:
    """Balanced accuracy with the n most important units removed, the n least important, n at random, and with only the
    n most important kept [paper.md 1.3, Figure 2].

    All sets of all classes are measured in one pass; see `Replay`. Rank on training images, and give others here.

    ranking: an `Importance`, whose order is each class's own; or the numbers of all units in one order for every class,
    as by their IoU with a concept: `numpy.argsort(-dissection.iou("conv5_3")[:, number])`.
    counts: the n; None = ten of them, in equal ratios. names: the classes; None = all that have images.
    draws: random sets for each n, the same ones for every class, from `seed`.
    to: "zero" or "mean" (over `probe`). classes, unit_axis, preprocess, batch_size, store: as in `measure`.

    >>> import unitlens as ul
    >>> model, probe = ul.load_model("scenenet"), ul.load_probe("scenes", count=72)
    >>> ranking = ul.rank_units(model, "conv5_3", probe, show_progress=False)
    >>> curve = ul.ablation_curve(model, "conv5_3", probe, ranking, counts=[4, 20], show_progress=False)
    >>> curve.at("most important removed", 20).value < curve.intact_at().value
    True

    Raises LayerNotFound, OptionError, ProbeError, RecipeMismatch (a ranking of another layer or of other classes).
    """
    find_layer(model, layer)
    if to not in ("zero", "mean"):
        raise OptionError(f"to: expected 'zero' or 'mean', got {to!r}")
    source = Source.of(model, probe, classes=classes, preprocess=preprocess, batch_size=batch_size, store=store,
                       show_progress=show_progress)  # fmt: skip
    chosen = _ranking(ranking, layer, source, names)
    units = len(chosen.orders)
    many = _counts(counts, units)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise OptionError(f"seed: expected a whole number from 0 on, got {seed!r}")
    keep, places = _sets(chosen.orders, many, _checked_draws(draws), seed)
    if len(keep) * len(probe) > MOST:
        raise OptionError(f"counts: {len(keep):,} sets of units on {len(probe):,} images are too many; ask for fewer "
                          "counts, or for some classes: names=[...]")  # fmt: skip
    fill = unit_means(source, layer, unit_axis) if to == "mean" else None
    trials = run_trials(source, layer, keep, fill=fill, unit_axis=unit_axis, title=f"Switching off units of {layer}")
    recipe = source.recipe(kind="curve", layer=layer, to=to, unit_axis=unit_axis, probe=probe.fingerprint,
                           keep=digest(keep))  # fmt: skip
    name = str(getattr(model, "unitlens_name", type(model).__name__))
    notes = {"model": name, "way": trials.way, "images": len(trials.true), "skipped": trials.skipped, "sets": len(keep)}
    return AblationCurve(layer, chosen.names, units, many, *_measured(trials, source, chosen.names, places),
                         chosen.told, recipe, notes)  # fmt: skip


def _ranking(ranking: Any, layer: str, source: Source, names: Sequence[str] | None) -> Ranking:
    """The orders that are asked for. Raises OptionError, RecipeMismatch."""
    shown = np.bincount(source.probe.class_labels.clip(-1) + 1, minlength=len(source.names) + 1)[1:]
    present = [name for name, some in zip(source.names, shown, strict=False) if some]
    wanted = present if names is None else [names] if isinstance(names, str) else list(names)
    for name in wanted:
        number_of(name, source.names, "names")
        if name not in present:
            raise OptionError(f"names: no image of the probe set is of class {name!r}")
    if isinstance(ranking, Importance):
        if ranking.layer != layer or ranking.class_names != source.names:
            other = ranking.layer if ranking.layer != layer else f"classes {', '.join(ranking.class_names[:5])} ..."
            raise RecipeMismatch(f"ranking: it is of {other}, not of {layer} and the classes of this probe set")
        some = [name for name in wanted if names is not None or name in ranking.ranked]
        if not some:
            raise OptionError("ranking: it ranks none of the classes that these images show")
        columns = [ranking.number(name) for name in some]
        told = "importance" if ranking.by == "ablation" else "gradient x activation"
        return Ranking(ranking.orders[:, columns], tuple(some), told)
    order = np.asarray(ranking)
    if order.ndim != 1 or not np.array_equal(np.sort(order), np.arange(len(order))) or not len(order):
        raise OptionError("ranking: expected an Importance, or the numbers of all units in one order")
    return Ranking(np.repeat(order[:, None].astype(np.int64), len(wanted), 1), tuple(wanted), "the order given")


def _counts(counts: Sequence[int] | None, units: int) -> np.ndarray:
    if counts is None:
        return np.unique(np.geomspace(1, units, POINTS).round().astype(np.int64))
    given = np.unique(np.asarray(counts))
    if given.ndim != 1 or not given.size or given.dtype.kind not in "iu" or given[0] < 1 or given[-1] > units:
        raise OptionError(f"counts: expected numbers of units from 1 to {units}, got {counts!r}")
    return given.astype(np.int64)


def _checked_draws(draws: int) -> int:
    if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or draws < 1:
        raise OptionError(f"draws: expected a whole number from 1 on, got {draws!r}")
    return int(draws)


def _sets(orders: np.ndarray, counts: np.ndarray, draws: int, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """All the sets, each once: bool (S, U), True stays on. And for each kind which of them are meant: (P, k, draws of
    it), draws being 1 but for random sets."""
    units, many = orders.shape
    rank = np.empty_like(orders)
    np.put_along_axis(rank, orders, np.arange(units)[:, None], axis=0)  # (U, k): place of each unit
    best = rank.T[None] >= counts[:, None, None]  # (P, k, U): the n best are off
    worst = rank.T[None] < units - counts[:, None, None]
    rng = np.random.default_rng(seed)
    places = np.stack([rng.permutation(units) for _ in range(draws)])  # (draws, U)
    random = np.broadcast_to((places[None] >= counts[:, None, None])[:, None], (len(counts), many, draws, units))
    kinds = [best[:, :, None], worst[:, :, None], random, ~best[:, :, None]]
    rows = np.concatenate([kind.reshape(-1, units) for kind in kinds])
    packed, which = np.unique(np.packbits(rows, axis=1), axis=0, return_inverse=True)
    keep = np.unpackbits(packed, axis=1, count=units).astype(bool)
    ends = np.cumsum([kind[..., 0].size for kind in kinds])[:-1]
    parts = np.split(which.reshape(-1), ends)
    return keep, [part.reshape(kind.shape[:3]) for part, kind in zip(parts, kinds, strict=True)]


def _measured(
    trials: Trials, source: Source, names: Sequence[str], places: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """value (4, P, k), draws (R, 4, P, k), intact (k,), intact_draws (R, k)."""
    numbers = [number_of(name, source.names) for name in names]
    whole = tally(trials.said, trials.true, len(source.names)).balanced_accuracy  # (S, K)
    intact = tally(trials.base, trials.true, len(source.names)).balanced_accuracy[numbers]
    weights, rng = draws_of(trials.true, DRAWS), np.random.default_rng(1)
    few = np.bincount(trials.true, minlength=len(source.names))[numbers] < 2  # no interval from a single image
    value = np.stack([whole[kind, np.array(numbers)[None, :, None]].mean(-1) for kind in places])
    draws = np.empty((DRAWS, *value.shape))
    intact_draws = np.empty((DRAWS, len(numbers)))
    for at, number in enumerate(numbers):
        sets, which = np.unique(np.concatenate([kind[:, at].reshape(-1) for kind in places]), return_inverse=True)
        said = np.concatenate([trials.base[:, None], trials.said[:, sets]], 1)
        found = drawn_class(weights, said, trials.true, number).balanced_accuracy[..., 0]  # (R, 1 + sets)
        intact_draws[:, at] = found[:, 0]
        start = 0
        for row, kind in enumerate(places):
            size = kind[:, at].size
            part = found[:, 1 + which.reshape(-1)[start : start + size]].reshape(DRAWS, len(kind), -1)
            lots = rng.integers(0, part.shape[2], (DRAWS, part.shape[2]))  # random sets are drawn again, too
            draws[:, row, :, at] = np.take_along_axis(part, lots[:, None], 2).mean(2)
            start += size
    draws[..., few], intact_draws[:, few] = np.nan, np.nan
    return value, draws, intact, intact_draws
