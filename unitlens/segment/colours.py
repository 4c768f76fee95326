"""The basic colour term of every pixel, as a segmentation."""

from __future__ import annotations

import hashlib

import torch

from unitlens.data.colours import COLOUR_NAMES, colour_table
from unitlens.data.concepts import Vocabulary
from unitlens.data.probe import Batch
from unitlens.data.segmentation import Segmentation


class ColourNames:
    """Names the colour of every pixel: one plane, eleven concepts of the category "colour", no weights, no download.

    The names come from the table of `unitlens.data.colours`, which stands in for van de Weijer et al. (2009), the
    source of the colour concepts of network dissection (paper Methods).

    >>> red = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 4)
    >>> segmenter = ColourNames()
    >>> seen = segmenter(Batch(red, torch.tensor([0]), torch.tensor([-1])))
    >>> tuple(seen.labels.shape), segmenter.vocabulary[int(seen.labels[0, 0, 0, 0]) - 1].name
    ((1, 1, 2, 4), 'red')
    """

    def __init__(self) -> None:
        self.vocabulary = Vocabulary((name, "colour") for name in COLOUR_NAMES)
        self.fingerprint = f"colours:{hashlib.sha256(colour_table().tobytes()).hexdigest()}"
        self._label = torch.from_numpy(colour_table().astype("int16").reshape(-1) + 1)  # (32768,)

    def __call__(self, batch: Batch) -> Segmentation:
        """The colour of every pixel at image size, on the images' device: labels int16 (B, 1, H, W), never 0."""
        cell = (batch.images * 255).round().clamp(0, 255).to(torch.int32) >> 3  # (B, 3, H, W), 0..31
        index = cell[:, 0] * 1024 + cell[:, 1] * 32 + cell[:, 2]
        if self._label.device != index.device:
            self._label = self._label.to(index.device)
        return Segmentation(self._label[index][:, None], self.vocabulary)

    def __repr__(self) -> str:
        return f"ColourNames({len(self.vocabulary)} concepts)"
