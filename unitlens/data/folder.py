"""A folder of image files as a probe set, with masks where there are some."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unitlens.data.masknames import MaskNames
from unitlens.data.picture import (
    CROPS,
    EXTENSIONS,
    UNREADABLE,
    Size,
    check_size,
    open_picture,
    open_values,
    resized,
    values_at,
)
from unitlens.data.probe import FEW, Batch, ProbeSet, check_index, positions_text
from unitlens.data.segmentation import Segmentation
from unitlens.errors import DataWarning, OptionError, ProbeError, ShapeMismatch
from unitlens.progress import progress

#: Endings of mask files, in the order they are looked for.
MASK_EXTENSIONS = (".png", ".tif", ".tiff", ".bmp", ".gif")
#: Folders that hold masks by their name, if nobody says otherwise.
MASK_FOLDERS = ("masks", "labels", "annotations", "segmentations")


def from_folder(
    path: str | Path,
    *,
    size: int | Size = 224,
    crop: str = "squash",
    masks: str | Path | None = None,
    names: Mapping[Any, Any] | str | Path | None = None,
    limit: int | None = None,
) -> FolderProbe:
    """The images of a folder, in the order of their paths.

    path: a folder of images, or of one folder per class (their names become `class_names`).
    size: pixels, of a square or (height, width).
    crop: "squash" stretches every image to the size, "center" takes its largest middle part of that shape.
    masks: a folder with one mask per image under the same name (.png: grey 8 or 16 bits, or palette), of the size of
        its image. An image without a mask is not annotated.
    names: what the mask values mean: {value: name, (name, category), Concept or None}, or the path of a JSON file.
        0 has no concept unless it is named.
    limit: at most so many images, spread evenly over the folder.

    Images are resized bilinearly with antialiasing; masks take the value under the centre of each pixel.
    Images that cannot be read are left out with a DataWarning, and listed in `skipped`.

    Raises ProbeError for a folder without images or masks that belong to none, OptionError for other arguments;
    when loading, ShapeMismatch for a mask of another size than its image, ConceptError for a value without a name.

    >>> import tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a.png", "b.png"):
    ...     Image.new("RGB", (6, 4), "red").save(folder / name)
    >>> from_folder(folder, size=(4, 6))
    FolderProbe(2 images of 6x4)
    """
    root = Path(path).expanduser()
    if crop not in CROPS:
        raise OptionError(f"crop: expected one of {', '.join(map(repr, CROPS))}, got {crop!r}")
    if limit is not None and limit < 1:
        raise OptionError(f"limit: expected 1 or more images, or None for all, got {limit}")
    if (masks is None) != (names is None):
        raise OptionError("masks and names: give both, the folder of the masks and what their values mean, or neither")
    mask_root = None if masks is None else Path(masks).expanduser()
    images = _find_images(root, mask_root)
    if masks is None:
        _warn_of_masks(images)
    found = {} if mask_root is None else _find_masks(images, mask_root)
    if limit is not None and limit < len(images):
        images = [images[i * len(images) // limit] for i in range(limit)]
    meaning = None if names is None else MaskNames(names)
    return FolderProbe(root, images, size=check_size(size), crop=crop, masks=found, names=meaning)


class FolderProbe(ProbeSet):
    """Image files as a probe set; made by `from_folder`.

    paths: the image files. skipped: those that could not be read when they were loaded. masks: the mask of each image
    that has one, by the image's path. All are relative to `root`, except the masks.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        *,
        size: Size,
        crop: str,
        masks: Mapping[str, Path],
        names: MaskNames | None,
    ):
        self.root, self.paths, self.size, self.crop = root, tuple(paths), size, crop
        self.masks, self.names = dict(masks), names
        self.vocabulary = None if names is None else names.vocabulary
        folders = [p.split("/")[0] if "/" in p else None for p in self.paths]
        self.class_names = tuple(sorted({f for f in folders if f is not None}))
        number = {name: i for i, name in enumerate(self.class_names)}
        self._class_labels = np.array([-1 if f is None else number[f] for f in folders], dtype=np.int64)
        self._unreadable: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def skipped(self) -> list[str]:
        """Image files that could not be read so far, relative to `root`, sorted."""
        return sorted(self._unreadable)

    @property
    def class_labels(self) -> np.ndarray:
        return self._class_labels.copy()

    @property
    def fingerprint(self) -> str:
        """sha256 over paths, contents of images and masks, and options; a file is read again only when it changes."""
        return self.identify()

    def identify(self, *, progress: bool = True) -> str:
        """The fingerprint; `progress=False` keeps the bar away that shows where more than 200 files are new."""
        _read_contents(self._files(range(len(self))), show=progress)
        digest = hashlib.sha256(self._options().encode())
        for path in self.paths:
            digest.update(json.dumps([path, *self._contents(path)]).encode() + b"\n")
        return f"folder:{digest.hexdigest()}"

    def digest(self, index: Sequence[int]) -> str:
        """sha256 over the contents of these images and masks, their classes and options, and their positions.

        Where the files lie and what they are called is no part of it.
        """
        asked = check_index(index, len(self))
        _read_contents(self._files(asked), show=True)
        digest = hashlib.sha256(self._options().encode())
        for i in asked:
            line = [*self._contents(self.paths[i]), int(self._class_labels[i])]
            digest.update(json.dumps(line).encode() + b"\n")
        return f"folder:{digest.hexdigest()}[{positions_text(asked)}]"

    def _options(self) -> str:
        options: dict[str, object] = {"size": list(self.size), "crop": self.crop}
        if self.names is not None:
            meaning = self.names.meaning.items()
            options["names"] = {str(v): None if c is None else [c.name, c.category] for v, c in meaning}
        return json.dumps(options, sort_keys=True)

    def _contents(self, path: str) -> tuple[str, str | None]:
        mask = self.masks.get(path)
        return _content(self.root / path), None if mask is None else _content(mask)

    def _files(self, index: Sequence[int]) -> list[Path]:
        paths = [self.paths[i] for i in index]
        return [self.root / path for path in paths] + [self.masks[path] for path in paths if path in self.masks]

    def prepare(self, *, progress: bool = True) -> ProbeSet:
        """Reads every file once for the fingerprint, with a progress bar where there are many."""
        _read_contents(self._files(range(len(self))), show=progress)
        return self

    def load(self, index: Sequence[int]) -> Batch:
        """The images at these positions: float32 (B, 3, H, W). Images that cannot be read are left out."""
        at = check_index(index, len(self))
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # PIL decodes outside the interpreter lock
            loaded = list(pool.map(self._load_one, at))
        read = [(i, *pair) for i, pair in zip(at, loaded, strict=True) if not isinstance(pair, Exception)]
        for i, error in zip(at, loaded, strict=True):
            if isinstance(error, Exception):
                self._skip(self.paths[i], error)
        return self._batch(read)

    def _load_one(self, i: int) -> tuple[np.ndarray, np.ndarray | None] | Exception:
        """One image uint8 (H, W, 3) with its labels int16 (H, W), or why it cannot be read."""
        path = self.root / self.paths[i]
        try:
            image = open_picture(path)
        except UNREADABLE as error:
            return error
        mask = self.masks.get(self.paths[i])
        if mask is None or self.names is None:
            return resized(image, self.size, self.crop), None
        try:
            values = open_values(mask)
        except ShapeMismatch:
            raise
        except UNREADABLE as error:
            raise ProbeError(
                f"mask {mask}: cannot be read ({error}). Mend it, or remove it: {path} is then not annotated."
            ) from error
        if values.shape != (image.height, image.width):
            raise ShapeMismatch(
                f"mask {mask}: is {values.shape[1]}x{values.shape[0]}, "
                f"its image {path} is {image.width}x{image.height} (upright, as EXIF says). "
                "Save the mask at the size of its image."
            )
        return resized(image, self.size, self.crop), self.names.labels(values_at(values, self.size, self.crop), mask)

    def _skip(self, path: str, error: Exception) -> None:
        if path not in self._unreadable:
            self._unreadable[path] = None
            why = str(error) or type(error).__name__
            warnings.warn(f"image {self.root / path} cannot be read ({why}); it is left out", DataWarning, stacklevel=3)

    def _batch(self, read: Sequence[tuple[int, np.ndarray, np.ndarray | None]]) -> Batch:
        height, width = self.size
        at = torch.tensor([i for i, _, _ in read], dtype=torch.int64)
        pixels = np.stack([p for _, p, _ in read]) if read else np.zeros((0, height, width, 3), np.uint8)
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255  # (B, 3, H, W)
        truth = None
        if self.vocabulary is not None:
            empty = np.zeros((height, width), np.int16)
            planes = [empty if labels is None else labels for _, _, labels in read]
            labels = torch.from_numpy(np.stack(planes)[:, None] if planes else empty[None, None][:0])  # (B, 1, H, W)
            has_mask = torch.tensor([labels is not None for _, _, labels in read], dtype=torch.bool)
            truth = Segmentation(labels, self.vocabulary, has_mask[:, None].repeat(1, len(self.vocabulary.categories)))
        return Batch(images, at, torch.from_numpy(self._class_labels)[at], truth)


def _find_images(root: Path, masks: Path | None) -> list[str]:
    """Image files under a folder, as sorted paths with / relative to it, without hidden ones and the masks."""
    if not root.is_dir():
        raise ProbeError(
            f"path: expected a folder of images, {str(root)!r} is {'a file' if root.exists() else 'not there'}"
        )
    inside = None if masks is None else masks.resolve()
    if inside == root.resolve():
        raise ProbeError(f"masks: expected another folder than the images, got {str(masks)!r} for both")
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".") and (Path(folder) / f).resolve() != inside]
        names = [f for f in files if not f.startswith(".") and f.lower().endswith(EXTENSIONS)]
        found += [(Path(folder) / f).relative_to(root).as_posix() for f in names]
    if not found:
        raise ProbeError(
            f"path: no images in {str(root)!r} or below it. Looked for files ending in {', '.join(EXTENSIONS)}"
        )
    return sorted(found)


def _warn_of_masks(images: Sequence[str]) -> None:
    folders = sorted({path.split("/")[0] for path in images if path.split("/")[0].lower() in MASK_FOLDERS})
    if folders:
        warnings.warn(
            f"path: the folder {folders[0]!r} in it looks like masks, and its files are taken as images. Pass the "
            "folder of the images alone, with masks= and names= for the masks.", DataWarning, stacklevel=3,
        )  # fmt: skip


def _find_masks(images: Sequence[str], masks: Path) -> dict[str, Path]:
    """The mask of each image: the same path in the masks' folder, or the same name directly in it."""
    if not masks.is_dir():
        raise ProbeError(f"masks: expected a folder, {str(masks)!r} is {'a file' if masks.exists() else 'not there'}")
    there = {p.relative_to(masks).as_posix() for p in sorted(masks.rglob("*")) if p.suffix.lower() in MASK_EXTENSIONS}
    by_stem: dict[str, str] = {}
    for name in sorted(there, key=lambda n: MASK_EXTENSIONS.index(Path(n).suffix.lower()), reverse=True):
        by_stem[str(Path(name).with_suffix(""))] = name
    shared = Counter(Path(p).stem for p in images)
    found = {}
    for image in images:
        own, flat = str(Path(image).with_suffix("")), Path(image).stem
        if own in by_stem:
            found[image] = masks / by_stem[own]
        elif flat in by_stem:
            if shared[flat] > 1:
                raise ProbeError(
                    f"masks: {by_stem[flat]!r} could belong to {shared[flat]} images named {flat!r}. "
                    "Put the masks into folders like those of the images."
                )
            found[image] = masks / by_stem[flat]
    if not found:
        raise ProbeError(
            f"masks: none of the {len(there)} files in {str(masks)!r} has the name of an image: "
            f"expected {Path(images[0]).with_suffix('.png').as_posix()!r} for {images[0]!r}. "
            f"Looked for files ending in {', '.join(MASK_EXTENSIONS)}"
        )
    return found


#: Digest of every file that was read, with the time and size it had then.
_digests: dict[Path, tuple[int, int, str]] = {}


def _content(path: Path) -> str:
    """Length and sha256 of a file, read only if its time or size changed; "absent" where it cannot be read."""
    try:
        state = path.stat()
        known = _digests.get(path)
        if known is None or known[:2] != (state.st_mtime_ns, state.st_size):
            known = (state.st_mtime_ns, state.st_size, hashlib.sha256(path.read_bytes()).hexdigest())
            _digests[path] = known
    except OSError:
        return "absent"
    return f"{known[1]}:{known[2]}"


def _read_contents(paths: Sequence[Path], show: bool) -> None:
    """Reads the files that were never read; a bar shows where these are many."""
    new = [path for path in paths if path not in _digests]
    with progress("Reading files", len(new), unit="files", show=show and len(new) > FEW) as meter:
        for path in new:
            _content(path)
            meter.step()
