"""Trials: samples of a generator with units of one layer edited in many ways, each seen by the segmenter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unitlens.data.concepts import Concept
from unitlens.data.probe import Batch
from unitlens.errors import OptionError
from unitlens.intervene.source import Source
from unitlens.models.capture import edit as edited
from unitlens.models.hooks import at_rest, device_of
from unitlens.models.samples import SampleBatch, Samples
from unitlens.progress import Meter
from unitlens.segment.segmenter import Segmenter, as_segmenter, check_segmentation
from unitlens.store import Store
from unitlens.synthesis.cut import Cut

AT_ONCE = 64  # edited pictures made together on a CPU, at 64 pixels; fewer where they are larger
Change = Callable[[Tensor], Tensor]


class Trials:
    """The checked arguments that all experiments on generators share, and what they do again and again."""

    def __init__(
        self, samples: Any, segmenter: Any = None, *, batch_size: int | None = None, store: Store | bool = True,
        show_progress: bool = True,
    ):  # fmt: skip
        if not isinstance(samples, Samples):
            raise OptionError(
                f"samples: expected generated pictures, got {type(samples).__name__}. from_generator(generator, count) "
                "makes them."
            )
        self.samples, self.generator = samples, samples.generator
        self.segmenter: Segmenter = as_segmenter(segmenter, samples)
        keep = store if self.segmenter.fingerprint is not None else False
        self.source = Source.of(
            self.generator, samples, batch_size=batch_size, store=keep, show_progress=show_progress, labelled=False
        )
        self.vocabulary = self.segmenter.vocabulary
        self.concepts = len(self.vocabulary)
        self.device = device_of(self.generator) or torch.device("cpu")

    def recipe(self, **more: Any) -> dict[str, Any]:
        """What decides the numbers, but for the samples."""
        words = [[c.name, c.category] for c in self.vocabulary]
        return self.source.recipe(segmenter=self.segmenter.fingerprint, vocabulary=words, **more)

    def concept(self, name: str | Concept | None) -> Concept | None:
        """A concept of the vocabulary. Raises ConceptError."""
        return None if name is None else self.vocabulary[self.vocabulary.index(name)]

    @property
    def at_once(self) -> int:
        """How many edited pictures are made together."""
        height, width = self.samples.size
        return max(1, AT_ONCE * 64 * 64 // (height * width)) * (8 if self.device.type == "cuda" else 1)

    def batches(self, span: Sequence[int]) -> Iterator[SampleBatch]:
        """The samples of a shard, some at a time."""
        for batch in self.source.batches(span):
            if isinstance(batch, SampleBatch):
                yield batch

    def latents(self, batch: SampleBatch) -> Tensor:
        """A batch's latents where the generator is."""
        return batch.latents.to(self.device)

    def labels(self, pictures: Tensor) -> Tensor:
        """What the segmenter sees in pictures (B, 3, H, W): whole numbers (B, K, H, W)."""
        seen = Batch(pictures, torch.arange(len(pictures)), torch.full((len(pictures),), -1))
        found = check_segmentation(self.segmenter(seen), seen, self.vocabulary)
        return found.resized((pictures.shape[-2], pictures.shape[-1])).labels

    def made(self, batch: SampleBatch, cut: Cut, changes: Iterable[Change]) -> Iterator[Tensor]:
        """The pictures of a batch with each change of the layer's output made."""
        latents = self.latents(batch)
        output = cut.head(latents)
        for change in changes:
            with at_rest(self.generator, latents):
                after = change(output.clone())
            yield cut.pictures(after, latents)

    def whole(self, batch: SampleBatch, functions: Mapping[str, Change]) -> Tensor:
        """Pictures of a batch made by the whole generator with these layers changed."""
        with edited(self.generator, functions):
            return self.generator.generate(self.latents(batch))

    def shards(self, recipe: Mapping[str, Any], work: Callable[[Sequence[int], Meter], dict[str, np.ndarray]],
               title: str, needs: Sequence[str]) -> list[dict[str, np.ndarray]]:  # fmt: skip
        """See `Source.shards`."""
        return self.source.shards(recipe, work, title, needs)


def planes_of(labels: Tensor, concepts: int) -> np.ndarray:
    """Which planes each concept is seen in: bool (C, K). labels (B, K, H, W)."""
    planes = labels.shape[1]
    key = labels.long() * planes + torch.arange(planes, device=labels.device)[:, None, None]
    seen = torch.bincount(key.flatten(), minlength=(concepts + 1) * planes).view(concepts + 1, planes)
    return (seen[1:] > 0).cpu().numpy()
