"""Probe sets: the images a dissection is measured over."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from unitlens.data.concepts import Segmentation, Vocabulary
from unitlens.errors import ProbeError


@dataclass(frozen=True, eq=False)
class Batch:
    """Some images of a probe set.

    images: float32 (B, 3, H, W), RGB in [0, 1].
    index: int64 (B,), positions in the probe set (images that could not be read are missing).
    class_labels: int64 (B,), -1 = unknown.
    truth: the segmentation that comes with the images, or None.
    """

    images: torch.Tensor
    index: torch.Tensor
    class_labels: torch.Tensor
    truth: Segmentation | None = None

    def __len__(self) -> int:
        return len(self.images)


class ProbeSet(ABC):
    """Images in a fixed order, every one reached by its position.

    A new kind of probe set gives `size`, `__len__`, `fingerprint` and `load`; batches, subsets and pictures follow.
    """

    #: Names of the classes that `Batch.class_labels` counts through; empty where there are none.
    class_names: tuple[str, ...] = ()
    #: Vocabulary of the segmentation that comes with the images; None where there is none.
    vocabulary: Vocabulary | None = None
    #: Height and width of the images.
    size: tuple[int, int]

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Text that changes whenever an image, a label or their order changes."""

    @abstractmethod
    def load(self, index: Sequence[int]) -> Batch:
        """The images at these positions. Images that cannot be read are left out, with a DataWarning."""

    def prepare(self, *, progress: bool = True) -> ProbeSet:
        """Does what takes long once (rendering, checking) with a progress bar; does nothing by default."""
        return self

    @property
    def class_labels(self) -> np.ndarray:
        """The class of every image, int64 (N,), -1 = unknown."""
        known = np.full(len(self), -1, dtype=np.int64)
        for batch in self.batches(256):
            known[batch.index.numpy()] = batch.class_labels.numpy()  # not in sequence: unreadable images are missing
        return known

    def batches(self, batch_size: int = 32) -> Iterator[Batch]:
        """All the images in order; the next batch is loaded while this one is used."""
        if batch_size < 1:
            raise ProbeError(f"batch_size: expected 1 or more, got {batch_size}")
        starts = list(range(0, len(self), batch_size))
        with ThreadPoolExecutor(1) as pool:
            spans = [range(s, min(s + batch_size, len(self))) for s in starts]
            waiting = pool.submit(self.load, spans[0]) if spans else None
            for following in [*spans[1:], None]:
                if waiting is None:
                    return
                batch = waiting.result()
                waiting = pool.submit(self.load, following) if following is not None else None
                if len(batch):
                    yield batch

    def pictures(self, index: Sequence[int]) -> np.ndarray:
        """The images at these positions for people: uint8 (N, H, W, 3)."""
        images = self.load(list(index)).images
        return (images * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()

    def subset(self, index: Sequence[int] | slice) -> ProbeSet:
        """Only these images, in this order. Raises ProbeError for positions outside the set, or there twice."""
        return Subset(self, range(len(self))[index] if isinstance(index, slice) else index)

    def __repr__(self) -> str:
        about = [f"{len(self):,} images of {self.size[1]}x{self.size[0]}"]
        if self.class_names:
            about.append(f"{len(self.class_names)} classes")
        if self.vocabulary is not None:
            about.append(f"{len(self.vocabulary)} concepts")
        return f"{type(self).__name__}({', '.join(about)})"


def check_index(index: Sequence[int], count: int) -> list[int]:
    """Positions as whole numbers 0..count-1, in their order.

    Raises ProbeError for a position outside, and for a mask of True and False.
    """
    if any(isinstance(i, (bool, np.bool_)) for i in index) or getattr(index, "dtype", None) == torch.bool:
        raise ProbeError("index: expected positions, got True and False. Use numpy.flatnonzero(mask).")
    positions = [int(i) for i in index]
    outside = [i for i in positions if not 0 <= i < count]
    if outside:
        raise ProbeError(f"index: image {outside[0]} is outside the probe set of {count} (0..{count - 1})")
    return positions


class Subset(ProbeSet):
    """Some images of another probe set; `Batch.index` counts within the subset.

    Raises ProbeError for positions outside the set, or one that is there twice: it would count twice in every sum.
    """

    def __init__(self, whole: ProbeSet, index: Sequence[int]):
        self.whole, self.index = whole, check_index(index, len(whole))
        if len(set(self.index)) != len(self.index):
            twice = next(i for i, count in Counter(self.index).items() if count > 1)
            raise ProbeError(
                f"subset: image {twice} stands there twice; expected every position once, as in dict.fromkeys(index)"
            )
        self.size, self.class_names, self.vocabulary = whole.size, whole.class_names, whole.vocabulary

    def __len__(self) -> int:
        return len(self.index)

    @property
    def fingerprint(self) -> str:
        return f"{self.whole.fingerprint}[{','.join(map(str, self.index))}]"

    def prepare(self, *, progress: bool = True) -> ProbeSet:
        self.whole.prepare(progress=progress)
        return self

    def load(self, index: Sequence[int]) -> Batch:
        asked = check_index(index, len(self))
        places = [self.index[i] for i in asked]
        batch = self.whole.load(places)
        here = dict(zip(places, asked, strict=True))
        own = torch.tensor([here[int(i)] for i in batch.index], dtype=torch.int64)
        return Batch(batch.images, own, batch.class_labels, batch.truth)


class ArrayProbe(ProbeSet):
    """Images that are in memory.

    images: (N, 3, H, W) in [0, 1], or uint8 (N, H, W, 3).
    labels: (N, K, H', W') whole numbers with their vocabulary, or None. annotated: (N, G) bool or None.

    Raises ProbeError for images outside [0, 1] or of the wrong shape.
    """

    def __init__(
        self,
        images: Any,
        *,
        labels: Any = None,
        vocabulary: Vocabulary | None = None,
        annotated: Any = None,
        class_labels: Any = None,
        class_names: Sequence[str] = (),
    ):
        self.images = _as_images(images)
        self.size = (self.images.shape[-2], self.images.shape[-1])
        self.class_names, self.vocabulary = tuple(class_names), vocabulary
        known = np.full(len(self.images), -1) if class_labels is None else np.asarray(class_labels)
        self._class_labels = torch.as_tensor(known, dtype=torch.int64)
        self.truth = None
        if labels is not None:
            if vocabulary is None:
                raise ProbeError("labels: given without the vocabulary that says what they mean; pass vocabulary=")
            looked = None if annotated is None else torch.as_tensor(annotated)
            self.truth = Segmentation(torch.as_tensor(labels), vocabulary, looked)
            if len(self.truth) != len(self.images):
                raise ProbeError(f"labels: {len(self.truth)} segmentations for {len(self.images)} images")
        if len(self._class_labels) != len(self.images):
            raise ProbeError(f"class_labels: {len(self._class_labels)} for {len(self.images)} images")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{tuple(self.images.shape)}".encode())
        parts = [self.images, self._class_labels]
        if self.truth is not None:
            parts += [self.truth.labels] + ([] if self.truth.annotated is None else [self.truth.annotated])
            digest.update(repr(self.truth.vocabulary.concepts).encode())
        for part in parts:
            digest.update(
                f"{part.dtype}{tuple(part.shape)}".encode()
            )  # (2, 1, 3, 4) and (2, 1, 4, 3) may hold the same bytes
            digest.update(part.cpu().numpy().tobytes())
        return f"arrays:{digest.hexdigest()}"

    def load(self, index: Sequence[int]) -> Batch:
        at = torch.tensor(check_index(index, len(self)), dtype=torch.int64)
        truth = self.truth
        if truth is not None:
            annotated = None if truth.annotated is None else truth.annotated[at]
            truth = Segmentation(truth.labels[at], truth.vocabulary, annotated)
        return Batch(self.images[at], at, self._class_labels[at], truth)


def _as_images(images: Any) -> torch.Tensor:
    tensor = torch.as_tensor(images)
    if tensor.dtype == torch.uint8 and tensor.ndim == 4 and tensor.shape[-1] == 3:
        return tensor.permute(0, 3, 1, 2).float() / 255
    if tensor.ndim != 4 or tensor.shape[1] != 3:
        raise ProbeError(
            f"images: expected (N, 3, H, W) in [0, 1] or uint8 (N, H, W, 3), got {tuple(tensor.shape)} {tensor.dtype}"
        )
    check_range(tensor)
    return tensor.float()


def check_range(images: torch.Tensor) -> None:
    """Raises ProbeError unless all the images lie in [0, 1]."""
    if images.numel() == 0:
        return
    low, high = float(images.min()), float(images.max())
    if not (low >= 0.0 and high <= 1.0):
        hint = (
            "Divide by 255." if high > 2 else "Pass images before normalisation; the model's own comes as preprocess=."
        )
        raise ProbeError(f"images: expected values in [0, 1], got {low:.3g}..{high:.3g}. {hint}")
