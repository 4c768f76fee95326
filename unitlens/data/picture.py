"""Picture files: decoded, cut and resized to the size of a probe set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from unitlens.errors import OptionError, ShapeMismatch

#: Files with these endings count as images, in capitals too.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
#: What PIL raises for files that are broken, cut short or no pictures.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
#: How a picture of another shape becomes (H, W): stretched, or its middle.
CROPS = ("squash", "center")

Size = tuple[int, int]
Box = tuple[float, float, float, float]


def check_size(size: int | Size) -> Size:
    """A size argument as (height, width). Raises OptionError unless it is one or two whole numbers from 1 on."""
    pair = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in pair):
        raise OptionError(f"size: expected pixels, 224 or (height, width), got {size!r}")
    return pair[0], pair[1]


def open_picture(path: Path) -> Image.Image:
    """The picture in a file: RGB, turned upright as its EXIF orientation says. Raises one of UNREADABLE."""
    with Image.open(path) as file:
        return upright_rgb(file)


def upright_rgb(image: Image.Image) -> Image.Image:
    """A PIL picture as RGB, turned upright; 16-bit grey is scaled to 8 bits, transparency is dropped."""
    image = ImageOps.exif_transpose(image) or image
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image, dtype=np.float64)
        image = Image.fromarray(
            (grey / (257 if grey.max(initial=0) > 255 else 1)).clip(0, 255).round().astype(np.uint8)
        )
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def cut(width: int, height: int, size: Size, crop: str) -> Box:
    """The part of a picture that is shown at `size` (H, W): (left, top, right, bottom) in its own pixels.

    >>> cut(320, 200, (100, 100), "center")
    (60.0, 0.0, 260.0, 200.0)
    """
    if crop == "squash":
        return 0.0, 0.0, float(width), float(height)
    scale = min(height / size[0], width / size[1])
    across, down = min(size[1] * scale, width), min(size[0] * scale, height)
    left, top = (width - across) / 2, (height - down) / 2
    return left, top, left + across, top + down


def resized(image: Image.Image, size: Size, crop: str) -> np.ndarray:
    """A picture at `size`, bilinear and antialiased: uint8 (H, W, 3)."""
    box = cut(image.width, image.height, size, crop)
    if image.size != (size[1], size[0]) or box != (0, 0, *image.size):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
    return np.asarray(image)


def open_values(path: Path) -> np.ndarray:
    """The value of every pixel of a mask file (grey 8 or 16 bits, palette positions, or one bit): int64 (H, W).

    Raises ShapeMismatch for a mask in colours, or one of UNREADABLE.
    """
    with Image.open(path) as file:
        if len(file.getbands()) != 1 or file.mode == "F":
            raise ShapeMismatch(
                f"mask {path}: expected one whole number per pixel (grey or palette), got mode {file.mode}. "
                "Save it as an 8 or 16 bit grey PNG whose values are the keys of names."
            )
        return np.array(file, dtype=np.int64)


def values_at(values: np.ndarray, size: Size, crop: str) -> np.ndarray:
    """Mask values at `size`: the value under the centre of every new pixel, in the same part of the picture."""
    height, width = values.shape
    left, top, right, bottom = cut(width, height, size, crop)
    rows = np.floor(top + (np.arange(size[0]) + 0.5) * (bottom - top) / size[0]).astype(np.int64)
    columns = np.floor(left + (np.arange(size[1]) + 0.5) * (right - left) / size[1]).astype(np.int64)
    return values[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)]
