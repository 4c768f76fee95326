"""A small dissection made by hand: real JPEG pictures, maps with known masks, names that try to break a page."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from unitlens.data.concepts import Concept, Vocabulary
from unitlens.dissection.result import Dissection, LayerDissection

HEIGHT, WIDTH, ROWS, COLUMNS, TOP, IMAGES = 48, 64, 6, 8, 4, 9  # H x W pictures, h x w grid
EVIL = "<script>alert('x')</script>"
WORDS = Vocabulary(
    [("tree", "object"), ("sky", "object"), (EVIL, "object"), ("door", "part"), ("door", "object"),
     ("red & white", "colour"), ("unicorn", "weird \"category\"")]
)  # fmt: skip
#: Best concept and IoU in hundredths of every unit; -1 fires on no concept.
PLAN = {
    "conv1": [(0, 31), (1, 12), (5, 3)],
    "block<2>.conv": [(0, 25), (0, 40), (2, 22), (3, 9), (-1, 0), (5, 7), (4, 5), (1, 2), (0, 4), (5, 50)],
}


def jpeg(number: int) -> bytes:
    """A picture that differs with its number: sky, ground and one tree."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), (120 + 8 * number, 180, 240 - 9 * number))
    pen = ImageDraw.Draw(picture)
    pen.rectangle([0, 30, WIDTH, HEIGHT], fill=(90, 150 - 6 * number, 60))
    pen.ellipse([5 * number, 8, 5 * number + 20, 32], fill=(30, 110, 40))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95)
    return file.getvalue()


def layer(name: str, plan: list[tuple[int, int]], seed: int, geometry: tuple | None = None) -> LayerDissection:
    """Counts that give exactly the IoUs of the plan, from whole pixels."""
    units, rng = len(plan), np.random.default_rng(seed)
    intersection = np.zeros((units, len(WORDS)), dtype=np.int64)
    area = np.zeros((units, len(WORDS.categories)), dtype=np.int64)
    for unit, (concept, hundredths) in enumerate(plan):
        # S = 1000 for every concept. With I = 20 n and A + S - I = 2000, IoU = n / 100.
        area[unit] = 1000
        if concept >= 0:
            intersection[unit, concept] = 20 * hundredths
            area[unit] = 2000 + 20 * hundredths - 1000
    maps = np.zeros((units, TOP, ROWS, COLUMNS), dtype=np.float16)
    maps[:, :, 1:4, 2:6] = 2 + rng.random((units, TOP, 3, 4)).astype(np.float16)
    index = np.stack([rng.permutation(IMAGES)[:TOP] for _ in range(units)])
    index[-1, -1] = -1  # one unit has fewer top images
    return LayerDissection(
        name, np.linspace(0.5, 1.5, units, dtype=np.float32), intersection, area,
        maps.max(axis=(2, 3)).astype(np.float32), index, maps, np.arange(units) % 2, geometry,
    )  # fmt: skip


def build(plan: dict[str, list[tuple[int, int]]], model: str = "tiny <b>net</b>", **changes: object) -> Dissection:
    """A dissection whose best IoUs are those of the plan."""
    concept_area = np.full(len(WORDS), 1000, dtype=np.int64)
    concept_area[-1] = 0  # the unicorn is never seen
    parts: dict = {
        "layers": {name: layer(name, units, seed) for seed, (name, units) in enumerate(plan.items())},
        "vocabulary": WORDS, "concept_area": concept_area, "pixels": np.full(len(WORDS.categories), 10**6),
        "thumbnails": {i: jpeg(i) for i in range(IMAGES)}, "quantile": 0.99, "min_iou": 0.04,
        "recipe": {"grid": [12, 16]}, "notes": {"model": model, "images": IMAGES},
    }  # fmt: skip
    return Dissection(**{**parts, **changes})


@pytest.fixture(scope="session")
def found() -> Dissection:
    """Two layers, eleven detectors, three of them in the first layer's plan above and below the minimum."""
    return build(PLAN)


@pytest.fixture(scope="session")
def twin() -> Dissection:
    """The same layers with hardly a detector."""
    return build({name: [(c, n // 12) for c, n in units] for name, units in PLAN.items()}, model="random twin")


@pytest.fixture(scope="session")
def make() -> Callable[..., Dissection]:
    """`build`, for tests that need a dissection of their own."""
    return build


@pytest.fixture(scope="session")
def evil() -> Concept:
    """A concept whose name is a script."""
    return WORDS[2]
