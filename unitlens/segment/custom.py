"""Any function of images as a segmenter."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from unitlens.data.concepts import Concept, Vocabulary
from unitlens.data.probe import Batch
from unitlens.data.segmentation import Segmentation
from unitlens.errors import ConceptError, ShapeMismatch, UnitLensError


class Custom:
    """Wraps a function of images as a segmenter.

    function: takes float32 (B, 3, H, W), RGB in [0, 1], and returns one of
        whole numbers (B, h, w), one label per pixel: 0 = no concept, i + 1 = concept i of the vocabulary;
        whole numbers (B, K, h, w), K labels per pixel;
        bool (B, C, h, w), one mask per concept of the vocabulary, in its order.
        It runs without gradients. Labels on another grid than the images take the label under each pixel's centre.
        A network of C classes without "none" gives labels as `scores.argmax(1) + 1`.
    vocabulary: the C concepts, as a Vocabulary or (name, category) pairs.
    fingerprint: text that changes whenever the function's answers change (a digest of its weights, say).
        None = results are not kept in the store.

    >>> dark = Custom(lambda images: images.mean(1, keepdim=True) < 0.5, [("dark", "material")])
    >>> batch = Batch(torch.zeros(1, 3, 2, 4), torch.tensor([0]), torch.tensor([-1]))
    >>> dark(batch).labels.flatten().tolist()
    [1, 1, 1, 1, 1, 1, 1, 1]
    """

    def __init__(
        self,
        function: Callable[[torch.Tensor], torch.Tensor],
        vocabulary: Vocabulary | Iterable[Concept | tuple[str, str]],
        fingerprint: str | None = None,
    ):
        if not callable(function):
            raise ShapeMismatch(f"function: expected a callable of images (B, 3, H, W), got {type(function).__name__}")
        self.function = function
        self.vocabulary = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)
        self.fingerprint = None if fingerprint is None else f"custom:{fingerprint}"

    def __call__(self, batch: Batch) -> Segmentation:
        """What the function sees in a batch: labels (B, K, H, W).

        Raises ShapeMismatch or ConceptError for an answer of the wrong form, UnitLensError around its own errors.
        """
        with torch.no_grad():
            answer = self._answer(batch.images)
        self._check(answer, batch)
        planes = _planes(answer) if answer.dtype == torch.bool else answer if answer.ndim == 4 else answer[:, None]
        try:
            seen = Segmentation(planes, self.vocabulary)
        except ConceptError as error:
            raise ConceptError(
                f"{self}: {error} For classes counted from 0 return scores.argmax(1) + 1; "
                "set ignored pixels (255, -1) to 0."
            ) from error
        return seen.resized((batch.images.shape[-2], batch.images.shape[-1]))

    def _answer(self, images: torch.Tensor) -> torch.Tensor:
        try:
            return self.function(images)
        except UnitLensError:
            raise
        except Exception as error:
            raise UnitLensError(
                f"{self}: the function raised {type(error).__name__}: {error}. "
                f"It was called with {images.dtype} {tuple(images.shape)} on {images.device}, values in [0, 1]."
            ) from error

    def _check(self, answer: torch.Tensor, batch: Batch) -> None:
        count, concepts = len(batch), len(self.vocabulary)
        if not isinstance(answer, torch.Tensor):
            raise ShapeMismatch(f"{self}: expected a tensor of labels or masks, got {type(answer).__name__}")
        if answer.is_floating_point() or answer.is_complex():
            raise ShapeMismatch(
                f"{self}: expected whole numbers or bool masks, got {answer.dtype} {tuple(answer.shape)}. "
                "For class scores return scores.argmax(1) + 1, for probabilities per concept (scores > 0.5)."
            )
        masks = answer.dtype == torch.bool
        if masks and (answer.ndim != 4 or answer.shape[1] != concepts):
            raise ShapeMismatch(
                f"{self}: expected bool masks (images, concepts, height, width) = ({count}, {concepts}, h, w), "
                f"got {tuple(answer.shape)}. Masks stand in the order of the vocabulary."
            )
        if len(answer) != count or answer.ndim not in (3, 4) or 0 in answer.shape[1:]:
            raise ShapeMismatch(
                f"{self}: expected labels ({count}, h, w) or ({count}, planes, h, w), got {tuple(answer.shape)}."
            )

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"Custom({name}, {len(self.vocabulary)} concepts)"


def _planes(masks: torch.Tensor) -> torch.Tensor:
    """Label planes of bool masks (B, C, h, w): int16 (B, K, h, w), K = the most concepts that one pixel shows."""
    left = masks.to(torch.uint8)  # a copy: the function's own masks stay as they are
    count = max(1, int(left.sum(1).max()))
    planes = []
    for _ in range(count):  # planes, a few; every pixel at once takes the first concept it has left
        found, concept = left.max(dim=1, keepdim=True)  # (B, 1, h, w)
        planes.append(torch.where(found > 0, concept + 1, 0).to(torch.int16))
        left.scatter_(1, concept, 0)
    return torch.cat(planes, dim=1)
