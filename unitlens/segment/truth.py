"""The segmentation that comes with the images."""

from __future__ import annotations

from unitlens.data.concepts import Vocabulary
from unitlens.data.probe import Batch
from unitlens.data.segmentation import Segmentation
from unitlens.errors import ConceptError, ProbeError

NO_TRUTH = (
    "truth: the images come without a segmentation. Load them with their masks "
    "(from_folder(path, masks=..., names=...)), or use segmenter='colours' or a Custom segmenter."
)


class Truth:
    """Gives the segmentation that is part of the probe set, as it is.

    vocabulary: the probe set's, `probe.vocabulary`.

    The fingerprint does not depend on the labels: those are in the probe set's own fingerprint.

    Raises ProbeError where the probe set has no segmentation.

    >>> import torch
    >>> from unitlens.data.probe import ArrayProbe
    >>> words = Vocabulary([("sky", "object")])
    >>> probe = ArrayProbe(torch.rand(1, 3, 4, 5), labels=torch.ones(1, 1, 4, 5, dtype=torch.int16), vocabulary=words)
    >>> int(Truth(probe.vocabulary)(probe.load([0])).labels.sum())
    20
    """

    fingerprint = "truth"

    def __init__(self, vocabulary: Vocabulary | None):
        if vocabulary is None:
            raise ProbeError(NO_TRUTH)
        self.vocabulary = vocabulary

    def __call__(self, batch: Batch) -> Segmentation:
        """The true segmentation of a batch: labels (B, K, H, W).

        Raises ProbeError where the batch has none, ConceptError where it is in another vocabulary.
        """
        if batch.truth is None:
            raise ProbeError(NO_TRUTH)
        if batch.truth.vocabulary != self.vocabulary:
            raise ConceptError(
                f"truth: expected labels in {self.vocabulary!r}, got {batch.truth.vocabulary!r}. "
                "Make the segmenter from the same probe set: Truth(probe.vocabulary)."
            )
        return batch.truth

    def __repr__(self) -> str:
        return f"Truth({len(self.vocabulary)} concepts)"
