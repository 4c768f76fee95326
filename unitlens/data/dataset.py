"""A torch data set of (image, label) as a probe set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from unitlens.data.picture import Size, check_size, resized, upright_rgb
from unitlens.data.probe import FEW, Batch, ProbeSet, check_index, check_range, positions_text
from unitlens.errors import ProbeError, ShapeMismatch
from unitlens.progress import progress as show_progress


def from_dataset(
    dataset: Any, *, size: int | Size | None = None, class_names: Sequence[str] | None = None
) -> DatasetProbe:
    """The images of a torch data set.

    dataset: has a length, and gives (image, label) or an image by position. Images are PIL pictures, uint8 arrays
        (H, W, 3), or tensors (3 or 1, H, W), uint8 or in [0, 1]: before normalisation, and the same at every call.
    size: pixels, of a square or (height, width), that every image is stretched to (bilinear, antialiased);
        None = the images' own size, which must be the same for all.
    class_names: names of the labels 0, 1, ...; None = the data set's own `classes`, where it has them.

    Raises ProbeError for a data set of another form or images outside [0, 1]; when loading, ShapeMismatch for images of
    several sizes.

    >>> pairs = [(torch.rand(3, 4, 6), 1), (torch.rand(3, 4, 6), 0)]
    >>> from_dataset(pairs, class_names=["cat", "dog"])
    DatasetProbe(2 images of 6x4, 2 classes)
    """
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise ProbeError(
            f"dataset: expected images by position (with a length), got {type(dataset).__name__}. "
            "Collect an iterable data set into a list first."
        )
    if not len(dataset):
        raise ProbeError("dataset: expected one image or more, got none")
    names = tuple(getattr(dataset, "classes", ()) if class_names is None else class_names)
    return DatasetProbe(dataset, None if size is None else check_size(size), names)


class DatasetProbe(ProbeSet):
    """A torch data set as a probe set; made by `from_dataset`."""

    def __init__(self, dataset: Any, size: Size | None, class_names: Sequence[str]):
        self.dataset, self.class_names = dataset, tuple(map(str, class_names))
        self._size = size
        first = self._item(0)[0]
        self.size = (first.shape[-2], first.shape[-1])
        self._read: dict[int, tuple[str, int]] = {}  # sha256 and label of every image that was read for its identity

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def fingerprint(self) -> str:
        """sha256 over all the images and labels, read once."""
        return self.identify()

    @property
    def class_labels(self) -> np.ndarray:
        return np.array([label for _, label in self._identities(range(len(self)), show=True)], dtype=np.int64)

    def identify(self, *, progress: bool = True) -> str:
        """The fingerprint; `progress=False` keeps the bar away that shows where more than 200 images are new."""
        lines = self._identities(range(len(self)), show=progress)
        return f"dataset:{_digest(self.size, lines)}"

    def digest(self, index: Sequence[int]) -> str:
        """sha256 over these images and labels, each read once, and their positions."""
        asked = check_index(index, len(self))
        return f"dataset:{_digest(self.size, self._identities(asked, show=True))}[{positions_text(asked)}]"

    def prepare(self, *, progress: bool = True) -> ProbeSet:
        """Reads every image once for the fingerprint, with a progress bar where there are many."""
        self._identities(range(len(self)), show=progress)
        return self

    def _identities(self, index: Sequence[int], show: bool) -> list[tuple[str, int]]:
        """sha256 (with the size) and label of these images."""
        new = [i for i in index if i not in self._read]
        with show_progress("Reading images", len(new), show=show and len(new) > FEW) as meter:
            for i in new:
                image, label = self._item(i)
                content = str(tuple(image.shape)).encode() + image.numpy().tobytes()
                self._read[i] = (hashlib.sha256(content).hexdigest(), label)
                meter.step()
        return [self._read[i] for i in index]

    def load(self, index: Sequence[int]) -> Batch:
        """The images at these positions: float32 (B, 3, H, W)."""
        at = check_index(index, len(self))
        items = [self._item(i) for i in at]
        for i, (image, _) in zip(at, items, strict=True):
            if tuple(image.shape[-2:]) != self.size:
                raise ShapeMismatch(
                    f"dataset: image {i} is {image.shape[-1]}x{image.shape[-2]}, "
                    f"the first is {self.size[1]}x{self.size[0]}. Pass size= to bring all to one size."
                )
        images = torch.stack([image for image, _ in items]) if items else torch.zeros(0, 3, *self.size)
        labels = torch.tensor([label for _, label in items], dtype=torch.int64)
        return Batch(images, torch.tensor(at, dtype=torch.int64), labels)

    def _item(self, i: int) -> tuple[torch.Tensor, int]:
        item = self.dataset[i]
        image, label = (item[0], item[1] if len(item) > 1 else -1) if isinstance(item, (tuple, list)) else (item, -1)
        try:
            number = -1 if label is None else int(label)
        except (TypeError, ValueError) as error:
            raise ProbeError(
                f"dataset: label {i}: expected a whole number, got {type(label).__name__} {label!r}"
            ) from error
        return _as_image(image, i, self._size), number


def _digest(size: Size, lines: Sequence[tuple[str, int]]) -> str:
    text = "\n".join(f"{content}|{label}" for content, label in lines)
    return hashlib.sha256(f"{len(lines)}|{size}\n{text}".encode()).hexdigest()


def _as_image(image: Any, i: int, size: Size | None) -> torch.Tensor:
    """One image as float32 (3, H, W) in [0, 1], on the CPU, at `size` if one is given."""
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[-1] == 3:
        image = Image.fromarray(image)
    if isinstance(image, Image.Image):
        picture = upright_rgb(image)
        pixels = resized(picture, size or (picture.height, picture.width), "squash")
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous().float() / 255
    if not isinstance(image, torch.Tensor) or image.ndim != 3 or image.shape[0] not in (1, 3):
        form = tuple(image.shape) if hasattr(image, "shape") else ""
        raise ProbeError(
            f"dataset: image {i}: expected a PIL picture, a uint8 array (H, W, 3) or a tensor (3, H, W) in [0, 1], "
            f"got {type(image).__name__} {form}"
        )
    tensor = image.detach().cpu().float() / (255 if image.dtype == torch.uint8 else 1)
    check_range(tensor)
    if size is not None and tuple(tensor.shape[-2:]) != size:
        tensor = torch.nn.functional.interpolate(tensor[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)
    return tensor.expand(3, -1, -1).contiguous()
