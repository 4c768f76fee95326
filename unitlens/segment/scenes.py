"""SceneLabels: what SceneSegmenter sees, as a segmenter: for generated villages, which come without a truth."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from unitlens.data.concepts import Concept, Vocabulary
from unitlens.data.probe import Batch
from unitlens.data.segmentation import Segmentation
from unitlens.errors import ConceptError
from unitlens.models.hooks import at_rest
from unitlens.models.identity import model_digest


class SceneLabels:
    """Objects and parts of villages, as a network sees them, one of each per pixel.

    network: a SceneSegmenter; None = the one that ships.

    >>> seen = SceneLabels()(Batch(torch.rand(2, 3, 64, 64), torch.arange(2), torch.full((2,), -1)))
    >>> tuple(seen.labels.shape), len(seen.vocabulary)
    ((2, 2, 64, 64), 26)
    """

    def __init__(self, network: Any = None):
        if network is None:
            from unitlens.models.zoo import load_model

            network = load_model("scenesegmenter")
        self.network = network
        self.vocabulary = Vocabulary([(name, category) for category, names in network.planes for name in names])
        starts = [0]
        for _, names in network.planes:
            starts.append(starts[-1] + len(names))
        self._starts = starts[:-1]

    @cached_property
    def fingerprint(self) -> str:
        return f"scenes:{model_digest(self.network)}"

    def __call__(self, batch: Batch) -> Segmentation:
        """What the network sees in a batch: labels int16 (B, 2, H, W)."""
        return Segmentation(self.labels(batch.images), self.vocabulary)

    def labels(self, images: Tensor) -> Tensor:
        """The same of images float32 (B, 3, H, W) in [0, 1] on any device: int16 (B, 2, H, W), on that device."""
        network = self._on(images)
        with at_rest(network, images):
            said = network.labels(network(images.contiguous(memory_format=torch.channels_last))).to(torch.int16)
        start = torch.tensor(self._starts, dtype=torch.int16, device=said.device)[:, None, None]
        return torch.where(said > 0, said + start, 0)

    def probability(self, images: Tensor, concept: Concept) -> Tensor:
        """How likely each pixel shows a concept: (B, H, W) in 0..1, differentiable with respect to the images.

        Raises ConceptError for a concept that the network does not know."""
        if concept not in self.vocabulary:
            raise ConceptError(f"concept: {concept} is none of {', '.join(c.name for c in self.vocabulary)}")
        return self._on(images).probability(images, concept.name)

    def _on(self, images: Tensor) -> Any:
        if next(self.network.parameters()).device != images.device:
            self.network = self.network.to(images.device)
        return self.network

    def __repr__(self) -> str:
        return f"SceneLabels({len(self.vocabulary)} concepts)"
