"""removal_curve: a concept's pixels with more and more units of a generator removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unitlens.data.concepts import Concept
from unitlens.errors import OptionError
from unitlens.intervene.edits import checked_units
from unitlens.models.samples import Samples
from unitlens.progress import Meter
from unitlens.store import Store
from unitlens.synthesis.changing import same
from unitlens.synthesis.cut import Cut
from unitlens.synthesis.pixels import compared
from unitlens.synthesis.removal import RemovalCurve
from unitlens.synthesis.trials import Change, Trials, planes_of

COUNTS = (1, 2, 4, 8, 12, 16, 20, 30)
ARRAYS = ("before", "after", "both", "kept", "planes")


def removal_curve(
    samples: Samples,
    layer: str,
    concept: str | Concept,
    units: Any,
    *,
    counts: Sequence[int] | None = None,
    draws: int = 3,
    seed: int = 0,
    segmenter: Any = None,
    batch_size: int | None = None,
    store: Store | bool = True,
    show_progress: bool = True,
) -> RemovalCurve:
    """How much of a concept is gone with the n first of some units set to zero everywhere, against n units at random
    [paper.md 1.5].

    samples: see `from_generator`. units: unit numbers, the most important first, such as
        `dissection.units_for("tree", layer)`. counts: which n; 1 to 30 by default. draws: of as many units at random.
    segmenter, batch_size, store: as in `measure_content`.

    The layer's output is made once for a picture; only what follows runs again for every set of units.

    >>> import unitlens as ul
    >>> samples = ul.from_generator(ul.load_model("scenegenerator"), 8)
    >>> curve = removal_curve(samples, "layer4", "tree", range(9), counts=(3, 9), draws=1, show_progress=False)
    >>> curve.after.shape
    (8, 2)

    Raises OptionError, ConceptError, LayerNotFound.
    """
    order, known = _checked(units, counts, draws)
    trials = Trials(samples, segmenter, batch_size=batch_size, store=store, show_progress=show_progress)
    asked = trials.vocabulary.index(concept)
    width = Cut(trials.generator, layer).head(trials.latents(samples.load([0]))).shape[1]
    if order.max() >= width:
        raise OptionError(f"units: layer {layer!r} has units 0..{width - 1}, got {order.max()}")
    dice = np.random.default_rng(seed)
    chance = [dice.permutation(width) for _ in range(draws)]
    sets = [order[:n] for n in known] + [drawn[:n] for n in known for drawn in chance]
    recipe = trials.recipe(kind="removal", layer=layer, sets=[one.tolist() for one in sets])
    run = _Run(trials, layer, sets)
    parts = trials.shards(recipe, run.shard, "Removing units", ARRAYS)
    planes = np.sum([part["planes"] for part in parts], axis=0)
    plane, some = int(planes[asked].argmax()), len(known)
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in ("before", "after", "both", "kept")}
    own: dict[str, Any] = {name: arrays[name][:, :, asked] for name in ("after", "both")}
    own["kept"] = arrays["kept"][:, :, plane]
    drawn: dict[str, Any] = {
        f"random_{name}": table[:, some:].reshape(len(table), some, draws) for name, table in own.items()
    }
    return RemovalCurve(
        trials.vocabulary[asked], layer, np.array(known), order, samples.size[0] * samples.size[1],
        arrays["before"][:, asked], **{name: table[:, :some] for name, table in own.items()}, **drawn,
        recipe={**recipe, "probe": samples.fingerprint, "concept": str(trials.vocabulary[asked])},
    )  # fmt: skip


def _checked(units: Any, counts: Sequence[int] | None, draws: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """The units in their order, and how many of them are removed. Raises OptionError."""
    order = np.array(checked_units(units) or (), dtype=np.int64)
    if not len(order):
        raise OptionError(f"units: expected unit numbers, the most important first, got {units!r}")
    known = tuple(n for n in COUNTS if n <= len(order)) if counts is None else tuple(int(n) for n in counts)
    wrong = [n for n in known if not 1 <= n <= len(order)]
    if wrong or not known:
        raise OptionError(f"counts: expected numbers 1 to {len(order)}, as many units as are given; got {counts!r}")
    if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or draws < 1:
        raise OptionError(f"draws: expected 1 or more, got {draws!r}")
    return order, known


class _Run:
    """Sets of units removed from the pictures of a shard; all concepts are counted, so that another one is free."""

    def __init__(self, trials: Trials, layer: str, sets: Sequence[np.ndarray]):
        self.trials, self.cut = trials, Cut(trials.generator, layer)
        self.changes: list[Change] = [same, *map(without_units, sets)]

    def shard(self, span: Sequence[int], _: Meter) -> dict[str, np.ndarray]:
        """before (n, C), after and both (n, E, C), kept (n, E, K) as int32, planes (C, K)."""
        found: dict[str, list[np.ndarray]] = {name: [] for name in ("index", *ARRAYS)}
        concepts = self.trials.concepts
        for batch in self.trials.batches(span):
            pictures = self.trials.made(batch, self.cut, self.changes)
            before = self.trials.labels(next(pictures))
            changed = [compared(before, self.trials.labels(made), concepts) for made in pictures]
            found["index"].append(batch.index.numpy())
            found["before"].append(_small(changed[0].before))
            for name in ("after", "both", "kept"):
                found[name].append(_small(torch.stack([getattr(one, name) for one in changed], 1)))
            found["planes"].append(planes_of(before, concepts))
        joined = {name: np.concatenate(found[name]) for name in ("index", "before", "after", "both", "kept")}
        return {**joined, "planes": np.sum(found["planes"], axis=0)}


def _small(counts: Tensor) -> np.ndarray:
    return counts.cpu().numpy().astype(np.int32)


def without_units(units: np.ndarray) -> Callable[[Tensor], Tensor]:
    """The change that sets some units to zero everywhere."""
    rows = torch.from_numpy(units)

    def change(output: Tensor) -> Tensor:
        output[:, rows.to(output.device)] = 0
        return output

    return change
