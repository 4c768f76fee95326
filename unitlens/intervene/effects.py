"""Effects: how the answers of a model change with an edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unitlens.data.probe import Batch, ProbeSet
from unitlens.errors import OptionError, ProbeError
from unitlens.intervene.edits import Edits, UnitEdit
from unitlens.intervene.effect import Effect
from unitlens.intervene.means import unit_means
from unitlens.intervene.replay import Replay
from unitlens.intervene.source import Arrays, Source, joined
from unitlens.models.capture import capture
from unitlens.models.capture import edit as edited
from unitlens.models.hooks import at_rest, find_layer
from unitlens.progress import Meter
from unitlens.store import Store

PER_IMAGE = ("before", "after", "score_before", "score_after", "log_before", "log_after")
Change = UnitEdit | Edits | Mapping[str, Callable[[Tensor], Tensor]]


def measure(
    model: nn.Module,
    edit: Change,
    probe: ProbeSet,
    *,
    classes: Mapping[str, Sequence[int]] | None = None,
    unit_axis: int | None = None,
    preprocess: Any = None,
    batch_size: int | None = None,
    store: Store | bool = True,
    show_progress: bool = True,
) -> Effect:
    """What an edit does to the answers of a classifier [paper.md 1.3].

    Balanced accuracy, recall and precision of each class, from the class with the highest score, before and after;
    the score and probability of the true class; with bootstrap intervals over the images.

    model: returns class scores (B, O). edit: `Ablate`, `Scale`, `Insert`, several added up, or layer -> function as
    `unitlens.edit` takes (then nothing is stored). probe: labelled images; those without a label are left out.
    classes: for each class of the probe set the model's outputs that stand for it, where they are not the same in the
    same order; the highest of them counts, and only these compete.
    unit_axis, preprocess, batch_size, store: as in `dissect`.

    >>> import unitlens as ul
    >>> probe = ul.load_probe("scenes", count=72)
    >>> found = ul.measure(ul.load_model("scenenet"), ul.Ablate("conv5_3"), probe, show_progress=False)
    >>> found.top1[0] > 0.8, round(found.top1[1], 2)
    (True, 0.06)

    Raises LayerNotFound, OptionError, ProbeError (no labels), ShapeMismatch (other outputs than classes).
    """
    source = Source.of(
        model, probe, classes=classes, preprocess=preprocess, batch_size=batch_size,
        store=False if isinstance(edit, Mapping) else store, show_progress=show_progress,
    )  # fmt: skip
    edits = Edits([edit]) if isinstance(edit, UnitEdit) else edit
    if not isinstance(edits, (Edits, Mapping)) or not (edits.edits if isinstance(edits, Edits) else edits):
        raise OptionError(f"edit: expected Ablate, Scale, Insert, or layer -> function, got {edit!r}")
    layers = edits.layers if isinstance(edits, Edits) else tuple(edits)
    for layer in layers:
        find_layer(model, layer)
    run = _Run(source, edits, layers, unit_axis)
    identity = edits.identity if isinstance(edits, Edits) else None
    means = {layer: mean.tolist() for layer, mean in run.means.items()}
    recipe = source.recipe(kind="effect", edit=identity, unit_axis=unit_axis, means=means, donors=run.donors_recipe)
    parts = [p for p in source.shards(recipe, run.shard, "Measuring an edit", PER_IMAGE) if len(p["true"])]
    if not parts:
        raise ProbeError("probe: no image has a class label; nothing can be lost")
    arrays = {name: joined(parts, name) for name in ("at", "true", *PER_IMAGE)}
    notes = {"model": str(getattr(model, "unitlens_name", type(model).__name__)),
             "skipped": len(probe) - len(arrays["true"])}  # fmt: skip
    words = repr(edits) if isinstance(edits, Edits) else f"a function of {', '.join(layers)}"
    whole = {**recipe, "probe": probe.fingerprint}
    return Effect(source.names, arrays.pop("at"), **arrays, edit=words, recipe=whole, notes=notes)


class _Run:
    """An edit measured on the images of a shard: before and after come from one pass where that is possible."""

    def __init__(self, source: Source, edits: Edits | Mapping[str, Any], layers: tuple[str, ...], axis: int | None):
        self.source, self.edits, self.layers, self.axis = source, edits, layers, axis
        self.all = edits.edits if isinstance(edits, Edits) else ()
        self.replay: Replay | None = None
        if len(layers) == 1:
            self.replay = Replay(source.model, layers[0], source.classes, unit_axis=axis)  # type: ignore[arg-type]
        averaged = dict.fromkeys(one.layer for one in self.all if one.needs == "mean")
        self.means: dict[str, Tensor] = {layer: unit_means(source, layer, axis) for layer in averaged}
        self.seeds = sorted({getattr(one, "seed", 0) for one in self.all if one.needs == "resample"})
        self.donors = {seed: _donors(len(source.probe), seed) for seed in self.seeds}

    @property
    def donors_recipe(self) -> Any:
        """What resampling depends on besides the images of a shard: those of all others."""
        return [self.seeds, self.source.probe.fingerprint] if self.seeds else None

    def shard(self, span: Sequence[int], _: Meter) -> Arrays:
        """index (all images that were read), and of the labelled ones at, true and PER_IMAGE."""
        classes, found = len(self.source.names), []
        seen = [np.zeros(0, np.int64)]
        for batch in self.source.batches(span):
            seen.append(batch.index.numpy())
            known = ((batch.class_labels >= 0) & (batch.class_labels < classes)).nonzero()[:, 0]
            if len(known):
                kept = Batch(batch.images[known], batch.index[known], batch.class_labels[known])
                found.append({"at": kept.index.numpy(), "true": kept.class_labels.numpy(), **self._of(kept)})
        empty = {name: np.zeros(0) for name in ("at", "true", *PER_IMAGE)}
        joint = {name: joined(found, name) for name in empty} if found else empty
        return {"index": np.concatenate(seen), **joint}

    def _of(self, batch: Batch) -> Arrays:
        before, after = self._scores(self.source.inputs(batch), self._others(batch))
        for what, scores in (("model", before), ("edit", after)):
            if torch.isnan(scores).any():
                raise OptionError(f"{what}: the scores of some images are NaN. Look at the weights and at preprocess=.")
        labels = batch.class_labels.to(before.device)[:, None]
        arrays: Arrays = {}
        for name, scores in (("before", before), ("after", after)):
            log = self.source.classes.log_probability(scores)  # type: ignore[union-attr]
            arrays[name] = scores.argmax(1).cpu().numpy()
            arrays[f"score_{name}"] = scores.gather(1, labels)[:, 0].double().cpu().numpy()
            arrays[f"log_{name}"] = log.gather(1, labels)[:, 0].double().cpu().numpy()
        return arrays

    def _scores(self, images: Tensor, others: Mapping[Any, Tensor]) -> tuple[Tensor, Tensor]:
        """Scores (B, K) before and after."""
        functions: Mapping[str, Callable[[Tensor], Tensor]] = (
            self.edits.functions(self.means, others, self.axis) if isinstance(self.edits, Edits) else self.edits
        )
        if self.replay is not None:
            split = self.replay.split
            output = split.head(images)
            if split.exact_tail:
                with at_rest(self.source.model, images):
                    after = functions[self.layers[0]](output.clone())
                return self._tail(output), self._tail(after)
        model, classes = self.source.model, self.source.classes
        with at_rest(model, images):
            before = classes.scores(model(images))  # type: ignore[union-attr]
            with edited(model, functions):
                return before, classes.scores(model(images))  # type: ignore[union-attr]

    def _tail(self, output: Tensor) -> Tensor:
        return self.source.classes.scores(self.replay.split.tail(output))  # type: ignore[union-attr]

    def _others(self, batch: Batch) -> dict[tuple[str, int], Tensor]:
        """What the layers return for the images whose values are taken instead."""
        found: dict[tuple[str, int], Tensor] = {}
        for seed, donors in self.donors.items():
            other = self.source.probe.load(donors[batch.index.numpy()].tolist())
            if len(other) != len(batch):
                raise ProbeError("probe: an image whose values are to be taken cannot be read. Leave it out: subset().")
            layers = [one.layer for one in self.all if one.needs == "resample" and getattr(one, "seed", 0) == seed]
            with capture(self.source.model, list(dict.fromkeys(layers))) as captured:
                outputs = captured.run(self.source.inputs(other))
                found |= {(layer, seed): outputs[layer] for layer in dict.fromkeys(layers)}
        return found


def _donors(count: int, seed: int) -> np.ndarray:
    """Another image for every image, each used once: int64 (N,). Raises OptionError for a single image."""
    if count < 2:
        raise OptionError("to='resample': expected a probe set of two images or more")
    order = np.random.default_rng(seed).permutation(count)
    donors = np.empty(count, np.int64)
    donors[order] = np.roll(order, 1)
    return donors
