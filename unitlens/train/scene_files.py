"""Training pictures: scenes rendered by several processes into one array on disk, resumable."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np

from unitlens.data.concepts import Concept
from unitlens.data.scenes import SCENE_CONCEPTS, WORLD, render_scene
from unitlens.data.world.vocabulary import CLASSES
from unitlens.models.labelling import PLANES
from unitlens.progress import progress

SPAN = 128  # scenes a process renders at a time


def rendered_scenes(
    folder: Path, count: int, seed: int, size: int, workers: int = 0, family: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (count, size, size, 3) as a memory map, and class labels int64 (count,).

    What an earlier, broken run has rendered is kept. family: scenes of this class or family; None = classes in turn.
    """
    path = _drawn(folder, count, seed, size, workers, family, with_labels=False)
    return np.load(path, mmap_mode="r"), np.arange(count) % len(CLASSES)


def labelled_scenes(
    folder: Path, count: int, seed: int, size: int, family: str, workers: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (count, size, size, 3) and what SceneSegmenter is to say of them, uint8 (count, 2, size, size)."""
    path = _drawn(folder, count, seed, size, workers, family, with_labels=True)
    return np.load(path, mmap_mode="r"), np.load(labels_path(path), mmap_mode="r")


def labels_path(path: Path) -> Path:
    """Where the labels of a file of pictures are."""
    return path.with_suffix(".labels.npy")


def _drawn(
    folder: Path, count: int, seed: int, size: int, workers: int, family: str | None, *, with_labels: bool
) -> Path:
    """The file of the pictures, drawn where it is not."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = "labelled" if with_labels else "scenes"
    path = folder / f"{kind}-world{WORLD}-seed{seed}-{size}px-{count}{f'-{family}' if family else ''}.npy"
    done_path = path.with_suffix(".done.npy")
    spans = -(-count // SPAN)
    done = np.load(done_path) if done_path.exists() else np.zeros(spans, dtype=bool)
    if not path.exists():
        np.lib.format.open_memmap(path, "w+", np.uint8, (count, size, size, 3)).flush()
        if with_labels:
            shape = (count, len(PLANES), size, size)
            np.lib.format.open_memmap(labels_path(path), "w+", np.uint8, shape).flush()
    jobs = [(str(path), int(s), count, seed, size, family, with_labels) for s in np.flatnonzero(~done)]
    if jobs:
        context = multiprocessing.get_context("spawn")
        with (
            context.Pool(workers or os.cpu_count() or 1) as pool,
            progress("Drawing scenes", len(jobs) * SPAN) as meter,
        ):
            for span in pool.imap_unordered(_render_span, jobs):
                done[span] = True
                np.save(done_path, done)
                meter.step(SPAN)
    return path


def _render_span(job: tuple[str, int, int, int, int, str | None, bool]) -> int:
    path, span, count, seed, size, family, with_labels = job
    pictures = np.load(path, mmap_mode="r+")
    labels = np.load(labels_path(Path(path)), mmap_mode="r+") if with_labels else None
    tables = _plane_tables()
    for index in range(span * SPAN, min(count, (span + 1) * SPAN)):
        scene = render_scene(index, seed=seed, size=size, scene_class=family)
        pictures[index] = scene.picture
        if labels is not None:
            labels[index] = [table[plane] for table, plane in zip(tables, scene.labels, strict=False)]
    pictures.flush()
    if labels is not None:
        labels.flush()
    return span


def _plane_tables() -> list[np.ndarray]:
    """For each plane: label of SCENE_CONCEPTS -> what SceneSegmenter is to say of it, 0 = none."""
    tables = []
    for category, names in PLANES:
        table = np.zeros(len(SCENE_CONCEPTS) + 1, np.uint8)
        for said, name in enumerate(names, start=1):
            table[SCENE_CONCEPTS.label(Concept(name, category))] = said
        tables.append(table)
    return tables
