"""Scenes: a procedural world with exact labels. No download, the same on every machine."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch

from unitlens.data.colours import name_colours
from unitlens.data.concepts import Concept, Segmentation, Vocabulary
from unitlens.data.probe import Batch, ProbeSet, check_index
from unitlens.data.world.canvas import Canvas
from unitlens.data.world.dice import Dice
from unitlens.data.world.vocabulary import CLASSES, COLOURS, MATERIALS, OBJECTS, PARTS
from unitlens.errors import OptionError
from unitlens.progress import progress
from unitlens.store import Store, default_store

WORLD = 1  # raised whenever a scene would look different; part of every fingerprint
CHUNK = 64  # scenes rendered and kept together
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
    surfaces: int16 (R, 3), labels of object, part and material, 0 = none. class_label: position in CLASSES.
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
    from unitlens.data.world import home, nature, town

    return {**nature.CLASSES, **town.CLASSES, **home.CLASSES}


@lru_cache(maxsize=4096)
def _surface_labels(surface: tuple[str, str | None, str | None]) -> tuple[int, int, int]:
    thing, part, material = (
        SCENE_CONCEPTS.label(Concept(name, category)) if name else 0
        for name, category in zip(surface, ("object", "part", "material"), strict=True)
    )
    return thing, part, material


def render_scene(index: int, *, seed: int = SEEDS["probe"], size: int = 128, scene_class: str | None = None) -> Scene:
    """Draws scene `index` of a seed, the same whatever else is drawn and at every size.

    size: 64..256 pixels. scene_class: a name of CLASSES; by default they take turns.

    >>> scene = render_scene(3, size=64)
    >>> scene.picture.shape, scene.labels.shape, CLASSES[scene.class_label]
    ((64, 64, 3), (4, 64, 64), 'snow slope')

    Raises OptionError for an unknown class or a size outside 64..256.
    """
    if not 64 <= size <= 256:
        raise OptionError(f"size: scenes are drawn from 64 to 256 pixels, got {size}")
    label = index % len(CLASSES) if scene_class is None else _class_label(scene_class)
    dice = Dice("scene", seed, index, CLASSES[label])
    canvas = Canvas(size, dice)
    _composers()[CLASSES[label]](canvas, dice)
    surface, surfaces = canvas.planes()
    table = np.array([(0, 0, 0), *(_surface_labels(s) for s in surfaces)], dtype=np.int16)
    return Scene(canvas.picture(), surface, table, label)


def _class_label(name: str) -> int:
    if name not in CLASSES:
        raise OptionError(f"scene_class: expected one of {', '.join(CLASSES)}; got {name!r}")
    return CLASSES.index(name)


class SceneProbe(ProbeSet):
    """The first `count` scenes of a seed, rendered once and kept in the store.

    seed: a number, or "train", "validation" or "probe" (what SceneNet learnt from, what its accuracy is measured on,
        and what is left for everything else).
    """

    class_names = CLASSES
    vocabulary = SCENE_CONCEPTS

    def __init__(self, count: int = 1000, *, seed: int | str = "probe", size: int = 128, store: Store | None = None):
        if count < 1:
            raise OptionError(f"count: expected 1 or more scenes, got {count}")
        if isinstance(seed, str) and seed not in SEEDS:
            raise OptionError(f"seed: expected a number or one of {', '.join(SEEDS)}; got {seed!r}")
        if not 64 <= size <= 256:
            raise OptionError(f"size: scenes are drawn from 64 to 256 pixels, got {size}")
        self.count, self.seed = count, SEEDS[seed] if isinstance(seed, str) else seed
        self.size, self.store = (size, size), store or default_store()
        self._chunks: OrderedDict[int, dict[str, np.ndarray]] = OrderedDict()

    def __len__(self) -> int:
        return self.count

    @property
    def fingerprint(self) -> str:
        return f"scenes:{WORLD}:{self.seed}:{self.size[0]}:{self.count}"

    @cached_property
    def class_labels(self) -> np.ndarray:
        return np.arange(self.count) % len(CLASSES)

    def prepare(self, *, progress: bool = True) -> SceneProbe:
        """Renders what the store does not have yet."""
        missing = [c for c in range(-(-self.count // CHUNK)) if not self.store.hit(self._recipe(c))]
        if missing:
            self._render_chunks(missing, show=progress)
        return self

    def _render_chunks(self, chunks: Sequence[int], show: bool) -> None:
        with progress("Drawing scenes", len(chunks) * CHUNK, unit="scenes", show=show) as meter:
            for chunk in chunks:
                self._render(chunk)
                meter.step(CHUNK)
                if not self.store.hit(self._recipe(chunk)):
                    return  # nothing can be kept here: drawn again when loaded, so drawing ahead is in vain

    def _recipe(self, chunk: int) -> dict[str, object]:
        drawn = {"world": WORLD, "seed": self.seed, "size": self.size[0]}
        return {"kind": "scenes", **drawn, "chunk": chunk, "scenes": CHUNK}

    def _render(self, chunk: int) -> dict[str, np.ndarray]:
        first = chunk * CHUNK
        with ThreadPoolExecutor(2) as pool:
            scenes = list(pool.map(self._scene, range(first, first + CHUNK)))
        tables = np.zeros((CHUNK, max(len(s.surfaces) for s in scenes), 3), dtype=np.int16)
        for table, scene in zip(tables, scenes, strict=True):
            table[: len(scene.surfaces)] = scene.surfaces
        arrays = {
            "pictures": np.stack([s.picture for s in scenes]),
            "surface": np.stack([s.surface for s in scenes]),
            "surfaces": tables,
        }
        self.store.offer(self._recipe(chunk), arrays, {})
        return arrays

    def _scene(self, index: int) -> Scene:
        return render_scene(index, seed=self.seed, size=self.size[0])

    def _chunk(self, chunk: int) -> dict[str, np.ndarray]:
        arrays = self._chunks.get(chunk)
        if arrays is None:  # `batches` loads in a thread of its own: never look twice, another may drop it in between
            stored = self.store.get(self._recipe(chunk))
            arrays = self._chunks[chunk] = stored[0] if stored else self._render(chunk)
            while len(self._chunks) > 4:
                self._chunks.popitem(last=False)
        return arrays

    def _pick(self, index: Sequence[int]) -> list[Scene]:
        scenes = []
        for i in check_index(index, self.count):
            arrays, place = self._chunk(i // CHUNK), i % CHUNK
            planes = arrays["pictures"][place], arrays["surface"][place], arrays["surfaces"][place]
            scenes.append(Scene(*planes, i % len(CLASSES)))
        return scenes

    def load(self, index: Sequence[int]) -> Batch:
        scenes = self._pick(index)
        images = torch.from_numpy(np.stack([s.picture for s in scenes])).permute(0, 3, 1, 2).float() / 255
        labels = torch.from_numpy(np.stack([s.labels for s in scenes]))
        classes = torch.tensor([s.class_label for s in scenes])
        truth = Segmentation(labels, SCENE_CONCEPTS)
        return Batch(images, torch.tensor(list(index), dtype=torch.int64), classes, truth)

    def pictures(self, index: Sequence[int]) -> np.ndarray:
        return np.stack([s.picture for s in self._pick(index)])
