"""measure_content: what an edit of units does to the contents of generated pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from unitlens.data.concepts import Concept
from unitlens.errors import OptionError
from unitlens.intervene.edits import Edits, UnitEdit
from unitlens.models.hooks import find_layer
from unitlens.models.samples import SampleBatch, Samples
from unitlens.progress import Meter
from unitlens.store import Store
from unitlens.synthesis.content import ContentEffect, Example
from unitlens.synthesis.cut import Cut
from unitlens.synthesis.pixels import compared
from unitlens.synthesis.trials import Change, Trials, planes_of

PER_PICTURE = ("before", "after", "both", "kept")


def measure_content(
    samples: Samples,
    edit: UnitEdit | Edits,
    *,
    concept: str | Concept | None = None,
    segmenter: Any = None,
    examples: int = 8,
    batch_size: int | None = None,
    store: Store | bool = True,
    show_progress: bool = True,
) -> ContentEffect:
    """What an edit of units does to the contents of generated pictures: what disappears, and what appears instead
    [paper.md 1.5].

    Every picture is made before and after the edit and segmented; concepts are counted pixel by pixel, in pairs.

    samples: see `from_generator`. edit: `Ablate`, `Insert`, `Scale`, several added up; with `region=` at a place only.
    concept: the one that is asked about; it decides which pictures are shown. segmenter: None (what knows the pictures
        of this generator, else colour names), or as in `dissect`.
    examples: how many pictures are kept to be shown. batch_size, store: as in `dissect`.

    >>> import unitlens as ul
    >>> samples = ul.from_generator(ul.load_model("scenegenerator"), 8)
    >>> found = measure_content(samples, ul.Ablate("layer4", range(20)), concept="tree", show_progress=False)
    >>> found.before.shape, found.pixels
    ((8, 37), 4096)

    Raises OptionError, ConceptError, LayerNotFound.
    """
    edits = Edits([edit]) if isinstance(edit, UnitEdit) else edit
    if not isinstance(edits, Edits) or not edits.edits:
        raise OptionError(f"edit: expected Ablate, Scale or Insert, or several added up, got {edit!r}")
    needy = [one.needs for one in edits.edits if one.needs]
    if needy:
        raise OptionError(f"edit: to={needy[0]!r} is known for classifiers only; give numbers: to=[...]")
    trials = Trials(samples, segmenter, batch_size=batch_size, store=store, show_progress=show_progress)
    asked = trials.concept(concept)
    for layer in edits.layers:
        find_layer(samples.generator, layer)
    run = _Run(trials, edits)
    recipe = trials.recipe(kind="content", edit=edits.identity)
    parts = trials.shards(recipe, run.shard, "Measuring an edit", ("moved", "planes", *PER_PICTURE))
    counts: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in PER_PICTURE}
    planes = np.sum([part["planes"] for part in parts], axis=0) > 0
    effect = ContentEffect(
        trials.vocabulary, planes.argmax(1), samples.size[0] * samples.size[1], **counts,
        moved=np.sum([part["moved"] for part in parts], axis=0), edit=repr(edits), concept=asked,
        recipe={**recipe, "probe": samples.fingerprint},
        notes={"model": str(getattr(samples.generator, "unitlens_name", type(samples.generator).__name__))},
    )  # fmt: skip
    shown = run.examples(_telling(effect, asked, examples)) if examples else ()
    return ContentEffect(**{**vars(effect), "examples": shown})


def _telling(effect: ContentEffect, concept: Concept | None, count: int) -> list[int]:
    """Pictures to show: evenly spread over how much they change, so that they are neither the best nor the worst."""
    if concept is None:
        size = np.abs(effect.after - effect.before).sum(1)
        known = np.arange(len(size))
    else:
        c = effect.vocabulary.index(concept)
        size = effect.before[:, c] - effect.after[:, c]
        known = np.flatnonzero((effect.before[:, c] + effect.after[:, c]) > 0)
    order = known[np.argsort(-size[known], kind="stable")]
    if not len(order):
        return []
    places = np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))
    return [int(order[i]) for i in places]


class _Run:
    """An edit made and seen, shard by shard."""

    def __init__(self, trials: Trials, edits: Edits):
        self.trials, self.edits = trials, edits
        self.functions = edits.functions()
        self.cut = Cut(trials.generator, edits.layers[0]) if len(edits.layers) == 1 else None

    def shard(self, span: Sequence[int], _: Meter) -> dict[str, np.ndarray]:
        """Counts of a shard's pictures."""
        found: dict[str, list[Any]] = {name: [] for name in ("index", "moved", "planes", *PER_PICTURE)}
        concepts = self.trials.concepts
        for batch in self.trials.batches(span):
            before, after = (self.trials.labels(pictures) for pictures in self.pair(batch))
            change = compared(before, after, concepts)
            found["index"].append(batch.index.numpy())
            found["moved"].append(change.moved.cpu().numpy())
            found["planes"].append(planes_of(torch.cat([before, after]), concepts))
            for name in PER_PICTURE:
                found[name].append(getattr(change, name).cpu().numpy())
        joined = {name: np.concatenate(found[name]) for name in ("index", *PER_PICTURE)}
        return {**joined, "moved": np.sum(found["moved"], axis=0), "planes": np.sum(found["planes"], axis=0)}

    def pair(self, batch: SampleBatch) -> tuple[Tensor, Tensor]:
        """A batch's pictures before and after."""
        if self.cut is None:
            return self.trials.whole(batch, {}), self.trials.whole(batch, self.functions)
        change: Change = self.functions[self.cut.layer]
        before, after = self.trials.made(batch, self.cut, (same, change))
        return before, after

    def examples(self, chosen: Sequence[int]) -> tuple[Example, ...]:
        """Some pictures with their labels."""
        if not chosen:
            return ()
        batch = self.trials.samples.load(chosen)
        pictures = [made.cpu() for made in self.pair(batch)]
        labels = [self.trials.labels(made).cpu().numpy().astype(np.int16) for made in pictures]
        rows = zip(chosen, *(map(jpeg, made) for made in pictures), *labels, strict=True)
        return tuple(Example(index, before, after, (old, new)) for index, before, after, old, new in rows)


def same(output: Tensor) -> Tensor:
    """No change."""
    return output


def jpeg(picture: Tensor) -> bytes:
    """A picture (3, H, W) in [0, 1] as JPEG."""
    file = io.BytesIO()
    made = Image.fromarray((255 * picture).round().byte().permute(1, 2, 0).numpy())
    made.save(file, "JPEG", quality=92, subsampling=0)
    return file.getvalue()
