"""Training pictures: scenes rendered by several processes into one array on disk, resumable."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np

from unitlens.data.scenes import WORLD, render_scene
from unitlens.data.world.vocabulary import CLASSES
from unitlens.progress import progress

SPAN = 128  # scenes a process renders at a time


def rendered_scenes(
    folder: Path, count: int, seed: int, size: int, workers: int = 0, family: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (count, size, size, 3) as a memory map, and class labels int64 (count,).

    What an earlier, broken run has rendered is kept. family: scenes of this class or family; None = classes in turn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"scenes-world{WORLD}-seed{seed}-{size}px-{count}{f'-{family}' if family else ''}.npy"
    done_path = path.with_suffix(".done.npy")
    spans = -(-count // SPAN)
    done = np.load(done_path) if done_path.exists() else np.zeros(spans, dtype=bool)
    if not path.exists():
        np.lib.format.open_memmap(path, "w+", np.uint8, (count, size, size, 3)).flush()
    jobs = [(str(path), int(s), count, seed, size, family) for s in np.flatnonzero(~done)]
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
    return np.load(path, mmap_mode="r"), np.arange(count) % len(CLASSES)


def _render_span(job: tuple[str, int, int, int, int, str | None]) -> int:
    path, span, count, seed, size, family = job
    pictures = np.load(path, mmap_mode="r+")
    for index in range(span * SPAN, min(count, (span + 1) * SPAN)):
        pictures[index] = render_scene(index, seed=seed, size=size, scene_class=family).picture
    pictures.flush()
    return span
