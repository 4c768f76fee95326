"""Given pictures: any image a user has in hand, as the picture and the numbers that a probe image of it would be."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from unitlens.data.picture import CROPS, UNREADABLE, Size, resized, upright_rgb
from unitlens.data.probe import check_range
from unitlens.errors import AssetError, OptionError, ShapeMismatch

HUGE = 2**25  # pixels of a file from which on a JPEG is decoded smaller: it would fill the memory


def given_picture(image: Any, size: Size, crop: str = "squash") -> tuple[np.ndarray, torch.Tensor]:
    """A picture at `size` (H, W): uint8 (H, W, 3) for people, float32 (3, H, W) in [0, 1] for a model.

    image: a path, the bytes of a picture file, a PIL image, uint8 (H', W', 3), or a tensor float (3, H', W') in
    [0, 1]. crop: "squash" stretches a picture of another shape, "center" takes its middle, as in `from_folder`.
    A tensor of the right size reaches the model as it is; every other picture through 8 bits, as files do.

    Raises AssetError for a file that cannot be read, ShapeMismatch, ProbeError outside [0, 1], OptionError.

    >>> given_picture(np.zeros((10, 20, 3), np.uint8), (4, 6))[1].shape
    torch.Size([3, 4, 6])
    """
    if crop not in CROPS:
        raise OptionError(f"crop: expected one of {', '.join(map(repr, CROPS))}, got {crop!r}")
    values = None
    if isinstance(image, torch.Tensor):
        values = _checked_tensor(image)
        image = (values * 255).round().byte().permute(1, 2, 0).numpy()
    if isinstance(image, np.ndarray):
        image = Image.fromarray(_checked_array(image))
    picture = resized(_as_pil(image), size, crop)
    if values is None or tuple(values.shape[1:]) != size:
        values = torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255
    return picture, values


def _as_pil(image: Any) -> Image.Image:
    if isinstance(image, Image.Image):
        try:
            return upright_rgb(image)  # a lazy file is read only now
        except UNREADABLE as error:
            raise AssetError(f"image: the picture could not be read: {error}") from error
    if isinstance(image, (str, os.PathLike)):
        path = Path(image)
        if not path.is_file():
            raise AssetError(f"image: there is no file {str(path)!r}. Give a path, or the picture itself.")
        return _opened(path, f"{str(path)!r}")
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _opened(io.BytesIO(bytes(image)), f"{len(bytes(image)):,} bytes")
    raise OptionError(
        "image: expected a path, the bytes of a JPEG or PNG, a PIL image, an array uint8 (H, W, 3) or a tensor float "
        f"(3, H, W) in [0, 1], got {type(image).__name__}. Of a scene give `scene.picture`."
    )


def _opened(source: Path | io.BytesIO, words: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # made small at once
            with Image.open(source) as file:
                if file.width * file.height > HUGE:
                    file.draft("RGB", (file.width // 4, file.height // 4))
                return upright_rgb(file)
    except UNREADABLE as error:
        raise AssetError(
            f"image: {words}: no picture that can be read ({error}). Save it as PNG or JPEG, not too large."
        ) from error


def _checked_array(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        hint = "For floats in [0, 1]: (255 * image).round().astype('uint8'). Grey: numpy.stack([grey] * 3, -1)."
        raise ShapeMismatch(f"image: expected an array uint8 (H, W, 3), got {image.dtype} {image.shape}. {hint}")
    return np.ascontiguousarray(image)


def _checked_tensor(image: torch.Tensor) -> torch.Tensor:
    if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point() or image.numel() == 0:
        hint = "For a batch: images[0]. For whole numbers 0..255: image / 255."
        raise ShapeMismatch(
            f"image: expected a tensor float (3, H, W) in [0, 1], got {image.dtype} {tuple(image.shape)}. {hint}"
        )
    image = image.detach().cpu().float()
    check_range(image)
    return image
