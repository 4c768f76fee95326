"""One scene of the world: its picture and exact labels. No torch: worker processes that draw start with this alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from unitlens.data.colours import name_colours
from unitlens.data.concepts import Concept, Vocabulary
from unitlens.data.world.canvas import Canvas
from unitlens.data.world.dice import Dice
from unitlens.data.world.vocabulary import CLASSES, COLOURS, MATERIALS, OBJECTS, PARTS
from unitlens.errors import OptionError

WORLD = 1  # raised whenever a scene would look different; part of every fingerprint
FAMILIES = ("village",)  # what render_scene also draws: what the generator is trained on; no class of CLASSES
SEEDS = {"train": 0, "validation": 1, "probe": 2}

SCENE_CONCEPTS = Vocabulary(
    [(name, "object") for name in OBJECTS]
    + [(name, "part") for name in PARTS]
    + [(name, "material") for name in MATERIALS]
    + [(name, "colour") for name in COLOURS]
)


@dataclass(frozen=True)
class Scene:
    """One picture of the world.

    picture: uint8 (S, S, 3). surface: uint8 (S, S), which row of `surfaces` each pixel shows.
    surfaces: int16 (R, 3), labels of object, part and material, 0 = none. class_label: position in CLASSES, -1 = none.
    """

    picture: np.ndarray
    surface: np.ndarray
    surfaces: np.ndarray
    class_label: int

    @property
    def labels(self) -> np.ndarray:
        """Label planes object, part, material and colour of SCENE_CONCEPTS: int16 (4, S, S)."""
        things = self.surfaces[self.surface]  # (S, S, 3)
        first_colour = SCENE_CONCEPTS.label(Concept(COLOURS[0], "colour"))
        colours = name_colours(self.picture).astype(np.int16) + first_colour
        return np.concatenate([np.moveaxis(things, -1, 0), colours[None]])


@lru_cache(maxsize=1)
def _composers() -> dict[str, Callable[[Canvas, Dice], None]]:
    from unitlens.data.world import home, nature, town, village

    return {**nature.CLASSES, **town.CLASSES, **home.CLASSES, **village.FAMILIES}


@lru_cache(maxsize=4096)
def _surface_labels(surface: tuple[str, str | None, str | None]) -> tuple[int, int, int]:
    thing, part, material = (
        SCENE_CONCEPTS.label(Concept(name, category)) if name else 0
        for name, category in zip(surface, ("object", "part", "material"), strict=True)
    )
    return thing, part, material


def render_scene(index: int, *, seed: int = SEEDS["probe"], size: int = 128, scene_class: str | None = None) -> Scene:
    """Draws scene `index` of a seed, the same whatever else is drawn and at every size.

    size: 64..256 pixels. scene_class: a name of CLASSES, which take turns by default, or of FAMILIES.

    >>> scene = render_scene(3, size=64)
    >>> scene.picture.shape, scene.labels.shape, CLASSES[scene.class_label]
    ((64, 64, 3), (4, 64, 64), 'snow slope')

    Raises OptionError for an unknown class or a size outside 64..256.
    """
    if not 64 <= size <= 256:
        raise OptionError(f"size: scenes are drawn from 64 to 256 pixels, got {size}")
    label = index % len(CLASSES) if scene_class is None else _class_label(scene_class)
    name = CLASSES[label] if label >= 0 else str(scene_class)
    dice = Dice("scene", seed, index, name)
    canvas = Canvas(size, dice)
    _composers()[name](canvas, dice)
    surface, surfaces = canvas.planes()
    table = np.array([(0, 0, 0), *(_surface_labels(s) for s in surfaces)], dtype=np.int16)
    return Scene(canvas.picture(), surface, table, label)


def _class_label(name: str) -> int:
    if name in FAMILIES:
        return -1
    if name not in CLASSES:
        raise OptionError(f"scene_class: expected one of {', '.join((*CLASSES, *FAMILIES))}; got {name!r}")
    return CLASSES.index(name)


def chunk_recipe(seed: int, size: int, chunk: int, scenes: int, family: str | None = None) -> dict[str, object]:
    """What the store files `scenes` scenes under: those from chunk * scenes on. family: of FAMILIES, None = classes.

    >>> chunk_recipe(2, 64, 7, 32)["chunk"]
    7
    """
    own = {"kind": "scenes", "world": WORLD, "seed": seed, "size": size, "chunk": chunk, "scenes": scenes}
    return own if family is None else {**own, "family": family}


def packed(scenes: Sequence[Scene]) -> dict[str, np.ndarray]:
    """Scenes as the arrays that are stored.

    pictures uint8 (B, S, S, 3), surface uint8 (B, S, S), surfaces int16 (B, R, 3) with R the longest table, filled up
    with 0. B = scenes, S = size.

    >>> {name: array.shape[:2] for name, array in packed([render_scene(3, size=64)]).items() if name != "surfaces"}
    {'pictures': (1, 64), 'surface': (1, 64)}
    """
    tables = np.zeros((len(scenes), max(len(s.surfaces) for s in scenes), 3), dtype=np.int16)
    for table, scene in zip(tables, scenes, strict=True):
        table[: len(scene.surfaces)] = scene.surfaces
    return {
        "pictures": np.stack([s.picture for s in scenes]),
        "surface": np.stack([s.surface for s in scenes]),
        "surfaces": tables,
    }
