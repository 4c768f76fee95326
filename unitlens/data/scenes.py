"""Scenes: a procedural world with exact labels. No download, the same on every machine."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import torch

from unitlens.data.drawing import Drawing, can_draw
from unitlens.data.probe import Batch, ProbeSet, check_index, positions_text
from unitlens.data.segmentation import Segmentation
from unitlens.data.world.scene import FAMILIES as FAMILIES
from unitlens.data.world.scene import SCENE_CONCEPTS as SCENE_CONCEPTS
from unitlens.data.world.scene import SEEDS as SEEDS
from unitlens.data.world.scene import WORLD as WORLD
from unitlens.data.world.scene import Scene as Scene
from unitlens.data.world.scene import chunk_recipe, packed
from unitlens.data.world.scene import render_scene as render_scene
from unitlens.data.world.vocabulary import CLASSES
from unitlens.errors import OptionError
from unitlens.progress import progress
from unitlens.store import Store, default_store

CHUNK = 64  # scenes rendered and kept together
MANY = 256  # scenes from which on worker processes draw them: below, starting them takes as long
IN_MEMORY = 4  # chunks held in memory, and as many scenes as one chunk drawn alone

_lock = threading.Lock()  # of what the probe sets hold in memory: the loading thread and the caller share it


class SceneProbe(ProbeSet):
    """The first `count` scenes of a seed, rendered once and kept in the store.

    seed: a number, or "train", "validation" or "probe" (what SceneNet learnt from, what its accuracy is measured on,
        and what is left for everything else).
    family: None, the classes in turn; or "village", what the generator is trained on: scenes of no class.
    """

    class_names: tuple[str, ...] = CLASSES
    vocabulary = SCENE_CONCEPTS

    def __init__(
        self, count: int = 1000, *, seed: int | str = "probe", size: int = 128, family: str | None = None,
        store: Store | None = None,
    ):  # fmt: skip
        if count < 1:
            raise OptionError(f"count: expected 1 or more scenes, got {count}")
        if isinstance(seed, str) and seed not in SEEDS:
            raise OptionError(f"seed: expected a number or one of {', '.join(SEEDS)}; got {seed!r}")
        if not 64 <= size <= 256:
            raise OptionError(f"size: scenes are drawn from 64 to 256 pixels, got {size}")
        if family is not None and family not in FAMILIES:
            raise OptionError(f"family: expected None or one of {', '.join(map(repr, FAMILIES))}, got {family!r}")
        self.family = family
        if family is not None:
            self.class_names = ()
        self.count, self.seed = count, SEEDS[seed] if isinstance(seed, str) else seed
        self.size, self.store = (size, size), store or default_store()
        self._chunks: OrderedDict[int, dict[str, np.ndarray]] = OrderedDict()
        self._alone: OrderedDict[int, Scene] = OrderedDict()  # scenes of chunks that are not drawn
        self._whole: frozenset[int] = frozenset()  # chunks a stream asked for: drawn whole, in however many spans
        self._drawing: Drawing | None = None  # what draws ahead of a stream

    def __len__(self) -> int:
        return self.count

    @property
    def fingerprint(self) -> str:
        return f"{self._kind}:{self.seed}:{self.size[0]}:{self.count}"

    @property
    def _kind(self) -> str:
        return f"scenes:{WORLD}" if self.family is None else f"scenes:{WORLD}:{self.family}"

    @cached_property
    def class_labels(self) -> np.ndarray:
        return np.full(self.count, -1) if self.family else np.arange(self.count) % len(CLASSES)

    def digest(self, index: Sequence[int]) -> str:
        """World, seed, size and positions: nothing is drawn for it."""
        positions = positions_text(check_index(index, self.count))
        return f"{self._kind}:{self.seed}:{self.size[0]}[{positions}]"

    def prepare(self, *, progress: bool = True) -> SceneProbe:
        """Draws what the store does not have yet, on all cores."""
        missing = self._missing(range(-(-self.count // CHUNK)))
        if missing:
            self._render_chunks(missing, show=progress)
        return self

    def stream(
        self, spans: Iterable[Sequence[int]], coming: Sequence[Sequence[int]] | None = None
    ) -> Iterator[Batch]:
        """One batch per span; what is not in the store yet is drawn ahead of it, on all cores, and kept."""
        if coming is None:
            coming = spans = list(spans)
        with self._drawn_ahead(coming):
            yield from super().stream(spans)

    def _missing(self, chunks: Iterable[int]) -> list[int]:
        return [c for c in chunks if not self.store.hit(self._recipe(c))]

    def _workers(self, chunks: Sequence[int]) -> Drawing:
        return Drawing(self.store.root, chunks, seed=self.seed, size=self.size[0], scenes=CHUNK, family=self.family)

    def _render_chunks(self, chunks: Sequence[int], show: bool) -> None:
        with progress(f"Drawing scenes, {CHUNK} at a time", len(chunks) * CHUNK, unit="scenes", show=show) as meter:
            if len(chunks) * CHUNK >= MANY and can_draw():
                with self._workers(chunks) as drawing:
                    for _ in drawing.finished():
                        meter.step(CHUNK)
                chunks = self._missing(chunks)  # none, unless the workers failed
            for chunk in chunks:
                self._render(chunk)
                meter.step(CHUNK)
                if not self.store.hit(self._recipe(chunk)):
                    return  # nothing can be kept here: drawn again when loaded, so drawing ahead is in vain

    @contextmanager
    def _drawn_ahead(self, spans: Sequence[Sequence[int]]) -> Iterator[None]:
        asked = Counter(int(i) // CHUNK for span in spans for i in span if 0 <= i < self.count)  # `load` refuses others
        whole = [chunk for chunk, scenes in asked.items() if self._is_most(chunk, scenes)]
        self._whole |= frozenset(whole)
        missing = self._missing(whole)
        if len(missing) * CHUNK < MANY or not can_draw() or self._drawing is not None:
            yield
            return
        with self._workers(missing) as self._drawing:
            try:
                yield
            finally:
                self._drawing = None

    def _is_most(self, chunk: int, scenes: int) -> bool:
        """Whether so many scenes are half or more of those a chunk has in this set."""
        return 2 * scenes >= min(CHUNK, self.count - chunk * CHUNK)

    def _recipe(self, chunk: int) -> dict[str, object]:
        return chunk_recipe(self.seed, self.size[0], chunk, CHUNK, self.family)

    def _render(self, chunk: int) -> dict[str, np.ndarray]:
        first = chunk * CHUNK
        with ThreadPoolExecutor(2) as pool:
            arrays = packed(list(pool.map(self._scene, range(first, first + CHUNK))))
        self.store.offer(self._recipe(chunk), arrays, {})
        return arrays

    def _scene(self, index: int) -> Scene:
        return render_scene(index, seed=self.seed, size=self.size[0], scene_class=self.family)

    def _chunk(self, chunk: int, scenes: int) -> dict[str, np.ndarray] | None:
        """A chunk of which so many scenes are asked for; None where these few are better drawn alone."""
        with _lock:
            arrays = self._chunks.get(chunk)
        if arrays is not None:
            return arrays
        drawing = self._drawing
        if drawing is not None:
            drawing.wait(chunk)
        stored = self.store.get(self._recipe(chunk))
        if stored is None and chunk not in self._whole and not self._is_most(chunk, scenes):
            return None
        arrays = stored[0] if stored else self._render(chunk)
        with _lock:
            self._chunks[chunk] = arrays
            while len(self._chunks) > IN_MEMORY:
                self._chunks.popitem(last=False)
        return arrays

    def _one(self, index: int) -> Scene:
        """A scene drawn alone, without the rest of its chunk."""
        with _lock:
            scene = self._alone.get(index)
        if scene is None:
            scene = self._scene(index)
            with _lock:
                self._alone[index] = scene
                while len(self._alone) > CHUNK:
                    self._alone.popitem(last=False)
        return scene

    def _pick(self, index: Sequence[int]) -> list[Scene]:
        asked = check_index(index, self.count)
        by_chunk: dict[int, list[int]] = {}
        for i in dict.fromkeys(asked):
            by_chunk.setdefault(i // CHUNK, []).append(i)
        found: dict[int, Scene] = {}
        for chunk, own in by_chunk.items():  # one after the other: more than fit into memory may be asked for
            arrays = self._chunk(chunk, len(own))
            for i in own:
                place = i % CHUNK
                if arrays is None:
                    found[i] = self._one(i)
                else:
                    planes = arrays["pictures"][place], arrays["surface"][place], arrays["surfaces"][place]
                    found[i] = Scene(*planes, -1 if self.family else i % len(CLASSES))
        return [found[i] for i in asked]

    def load(self, index: Sequence[int]) -> Batch:
        scenes = self._pick(index)
        images = torch.from_numpy(np.stack([s.picture for s in scenes])).permute(0, 3, 1, 2).float() / 255
        labels = torch.from_numpy(np.stack([s.labels for s in scenes]))
        classes = torch.tensor([s.class_label for s in scenes])
        truth = Segmentation(labels, SCENE_CONCEPTS)
        return Batch(images, torch.tensor(list(index), dtype=torch.int64), classes, truth)

    def pictures(self, index: Sequence[int]) -> np.ndarray:
        return np.stack([s.picture for s in self._pick(index)])
