"""Probe sets: the images a dissection is measured over."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from unitlens.data.concepts import Vocabulary
from unitlens.data.segmentation import Segmentation
from unitlens.data.stream import read_ahead
from unitlens.errors import ProbeError

FEW = 200  # files or images up to which reading them shows no progress bar


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

    def pictures(self) -> np.ndarray:
        """The images for people: uint8 (B, H, W, 3)."""
        return (self.images * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


class ProbeSet(ABC):
    """Images in a fixed order, every one reached by its position.

    A new kind of probe set gives `size`, `__len__`, `fingerprint` and `load`; batches, subsets and pictures follow.
    """

    #: Names of the classes that `Batch.class_labels` counts through; empty where there are none.
    class_names: tuple[str, ...] = ()
    #: Vocabulary of the segmentation that comes with the images; None where there is none.
    vocabulary: Vocabulary | None = None
    #: The word for the segmenter that knows such images, where they come without a segmentation; "" = none does.
    segments: str = ""
    #: Height and width of the images.
    size: tuple[int, int]

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Text that changes whenever an image, a label or their order changes."""

    def digest(self, index: Sequence[int]) -> str:
        """Text that changes whenever one of these images, its truth or label, or the vocabulary changes.

        A probe set to which images are appended keeps the digests of its earlier ranges where its kind says so; this
        general one holds the fingerprint of all the images, and so changes with them.

        Raises ProbeError for positions outside the set.

        >>> images = torch.arange(5 * 3 * 2 * 4).reshape(5, 3, 2, 4) / 119
        >>> ArrayProbe(images[:3]).digest(range(2)) == ArrayProbe(images).digest([0, 1])
        True
        """
        return f"{self.fingerprint}[{positions_text(check_index(index, len(self)))}]"

    @abstractmethod
    def load(self, index: Sequence[int]) -> Batch:
        """The images at these positions. Images that cannot be read are left out, with a DataWarning."""

    def prepare(self, *, progress: bool = True) -> ProbeSet:
        """Does what takes long once (rendering, checking) with a progress bar; does nothing by default."""
        return self

    def identify(self, *, progress: bool = True) -> str:
        """The fingerprint, with a progress bar where it means reading many files (`progress=False`: without)."""
        return self.fingerprint

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
        spans = [range(s, min(s + batch_size, len(self))) for s in range(0, len(self), batch_size)]
        for batch in self.stream(spans):
            if len(batch):
                yield batch

    def stream(
        self, spans: Iterable[Sequence[int]], coming: Sequence[Sequence[int]] | None = None
    ) -> Iterator[Batch]:
        """One batch per span of positions, in order; the next one is loaded while this one is used.

        spans may be decided late: each is asked for when the one before it is handed out. coming: what will be asked
        for, as far as it is known; a probe set that has to draw its images begins with it.

        A span of which no image can be read gives a batch of none. An error is raised where its span would come.

        >>> probe = ArrayProbe(torch.rand(5, 3, 2, 4))
        >>> [batch.index.tolist() for batch in probe.stream([range(2), [4]])]
        [[0, 1], [4]]
        """
        return read_ahead(self.load, spans)

    def pictures(self, index: Sequence[int]) -> np.ndarray:
        """The images at these positions for people: uint8 (N, H, W, 3)."""
        return self.load(list(index)).pictures()

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


def positions_text(index: Sequence[int]) -> str:
    """Positions in few letters, the same for equal positions.

    >>> positions_text(range(64, 128)), positions_text([64, 65, 66]), positions_text([3, 1])
    ('64..127', '64..66', '3,1')
    """
    first = index[0] if index else 0
    if len(index) > 1 and list(index) == list(range(first, first + len(index))):
        return f"{first}..{index[-1]}"
    return ",".join(map(str, index))


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

    def identify(self, *, progress: bool = True) -> str:
        self.whole.identify(progress=progress)  # what is read is kept
        return self.fingerprint

    def digest(self, index: Sequence[int]) -> str:
        """The digest these images have in the whole, and where they stand here."""
        asked = check_index(index, len(self))
        return f"{self.whole.digest([self.index[i] for i in asked])}at[{positions_text(asked)}]"

    def load(self, index: Sequence[int]) -> Batch:
        asked = check_index(index, len(self))
        return self._own(asked, self.whole.load([self.index[i] for i in asked]))

    def stream(
        self, spans: Iterable[Sequence[int]], coming: Sequence[Sequence[int]] | None = None
    ) -> Iterator[Batch]:
        asked: deque[list[int]] = deque()

        def places() -> Iterator[list[int]]:
            for span in spans:
                asked.append(check_index(span, len(self)))
                yield [self.index[i] for i in asked[-1]]

        ahead = None if coming is None else [[self.index[i] for i in span] for span in coming]
        for batch in self.whole.stream(places(), ahead):
            yield self._own(asked.popleft(), batch)

    def _own(self, asked: Sequence[int], batch: Batch) -> Batch:
        """A batch of the whole with the positions its images have here."""
        here = {self.index[i]: i for i in asked}
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
        return f"arrays:{self._hash(slice(None))}"

    def digest(self, index: Sequence[int]) -> str:
        """sha256 over these images with their labels and the vocabulary, and their positions."""
        asked = check_index(index, len(self))
        positions, first = positions_text(asked), asked[0] if asked else 0
        ascending = asked == list(range(first, first + len(asked)))
        rows = slice(first, first + len(asked)) if ascending else torch.tensor(asked, dtype=torch.int64)
        return f"arrays:{self._hash(rows)}[{positions}]"

    def _hash(self, rows: slice | torch.Tensor) -> str:
        parts = [self.images[rows], self._class_labels[rows]]
        digest = hashlib.sha256(f"{tuple(parts[0].shape)}".encode())
        if self.truth is not None:
            parts += [part[rows] for part in (self.truth.labels, self.truth.annotated) if part is not None]
            digest.update(repr(self.truth.vocabulary.concepts).encode())
        for part in parts:
            digest.update(
                f"{part.dtype}{tuple(part.shape)}".encode()
            )  # (2, 1, 3, 4) and (2, 1, 4, 3) may hold the same bytes
            digest.update(np.ascontiguousarray(part.cpu().numpy()).data)
        return digest.hexdigest()

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
