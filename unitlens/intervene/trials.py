"""Trials: what a model says of every image with sets of units switched off, all sets in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unitlens.errors import ProbeError
from unitlens.intervene.replay import Moment, Replay
from unitlens.intervene.source import Arrays, Source, joined
from unitlens.progress import Meter

NEEDS = ("at", "true", "base", "said")


@dataclass(frozen=True, eq=False)
class Trials:
    """What was said of N labelled images, intact and with S sets of units switched off.

    index int64 (N,): positions in the probe set. true, base: class numbers (N,). said (N, S). lost: float64 (S, K),
    the mean fall of the true class's log probability over the images of each class; NaN for a class without images.
    error: float64 (S, K), the standard error of that mean; NaN for a class of one image. Both (0, K) for sets of units.
    way: how it was computed, see `Replay`. skipped: images that could not be read or have no label.
    """

    index: np.ndarray
    true: np.ndarray
    base: np.ndarray
    said: np.ndarray
    lost: np.ndarray
    error: np.ndarray
    way: str
    skipped: int


def run_trials(
    source: Source, layer: str, keep: np.ndarray | None, *, fill: Tensor | None = None, unit_axis: int | None = None,
    title: str = "Switching units off",
) -> Trials:  # fmt: skip
    """Every set of units on every image. keep: bool (S, U), True leaves a unit on; None = each unit off, alone.

    Raises ProbeError where no image has a label of a class.
    """
    replay = Replay(source.model, layer, source.classes, fill=fill, unit_axis=unit_axis)  # type: ignore[arg-type]
    recipe = source.recipe(
        kind="trials", layer=layer, unit_axis=unit_axis, keep=None if keep is None else digest(keep),
        fill=None if fill is None else digest(fill.double().cpu().numpy()),
    )  # fmt: skip
    counted = _Counted(source, replay, keep)
    parts = [part for part in source.shards(recipe, counted.shard, title, NEEDS) if len(part["true"])]
    if not parts:
        raise ProbeError("probe: no image has a class label; nothing can be lost")
    true = joined(parts, "true")
    per_class = np.bincount(true, minlength=len(source.names))
    lost = error = np.zeros((0, len(per_class)))
    if keep is None:
        total, squares = (np.add.reduce([part[name] for part in parts]) for name in ("lost", "squares"))
        lost, error = _mean(total, squares, per_class)
    return Trials(
        joined(parts, "at"), true, joined(parts, "base"), joined(parts, "said"), lost, error, replay.way or "stored",
        len(source.probe) - len(true),
    )  # fmt: skip


def _mean(total: np.ndarray, squares: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of `count` values and their standard errors, NaN where there are too few."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > 0, total / count, np.nan)
        spread = np.where(count > 1, (squares - total * mean) / (count - 1), np.nan)
        return mean, np.sqrt(spread.clip(0) / count)


def digest(array: np.ndarray) -> str:
    """What stands for an array in a recipe."""
    array = np.ascontiguousarray(array)
    return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()


class _Counted:
    """Trials of the images of a shard."""

    def __init__(self, source: Source, replay: Replay, keep: np.ndarray | None):
        self.source, self.replay = source, replay
        self.keep = None if keep is None else torch.from_numpy(np.ascontiguousarray(keep)).float()

    def shard(self, span: Sequence[int], _: Meter) -> Arrays:
        """index (all images that were read), at, true, base, said; where each unit is off alone also lost
        and its squares, summed over each class."""
        classes = len(self.source.names)
        kind = np.int16 if classes < 2**15 else np.int32
        seen, at, true, base, said = [], [], [], [], []
        lost: np.ndarray | None = None
        for batch in self.source.batches(span):
            seen.append(batch.index.numpy())
            known = ((batch.class_labels >= 0) & (batch.class_labels < classes)).nonzero()[:, 0]
            if not len(known):
                continue
            labels = batch.class_labels[known]
            images = self.source.inputs(batch)
            moment = self.replay.begin(images[known.to(images.device)])
            say, fall = self._of(moment, labels)
            at.append(batch.index[known].numpy())
            true.append(labels.numpy())
            base.append(moment.base.argmax(1).cpu().numpy())
            said.append(say)
            if fall is not None:
                lost = fall if lost is None else np.add(lost, fall, out=lost)
        sets = said[0].shape[1] if said else 0 if self.keep is None else len(self.keep)
        arrays = {
            "index": np.concatenate(seen) if seen else np.zeros(0, np.int64),
            "at": np.concatenate(at) if at else np.zeros(0, np.int64),
            "true": np.concatenate(true).astype(kind) if true else np.zeros(0, kind),
            "base": np.concatenate(base).astype(kind) if base else np.zeros(0, kind),
            "said": np.concatenate(said).astype(kind) if said else np.zeros((0, sets), kind),
        }
        if lost is not None:
            arrays |= {"lost": lost[0], "squares": lost[1]}
        return arrays

    def _of(self, moment: Moment, labels: Tensor) -> tuple[np.ndarray, np.ndarray | None]:
        """What is said (B, S), and the fall of the log probability and its square, summed by class: (2, S, K);
        None for sets."""
        classes: int = len(self.source.names)
        log = self.source.classes.log_probability  # type: ignore[union-attr]
        where = labels.to(moment.base.device)
        intact = log(moment.base).gather(1, where[:, None])  # (B, 1)
        said, falls = [], []
        for _, scores in moment.singles() if self.keep is None else moment.sets(self.keep):
            said.append(scores.argmax(2))
            if self.keep is not None:
                continue
            left = log(scores).gather(2, where[:, None, None].expand(-1, scores.shape[1], 1))[..., 0]  # (B, s)
            falls.append((intact - left).double())
        answers = torch.cat(said, 1).cpu().numpy()
        if not falls:
            return answers, None
        fall = torch.cat(falls, 1)
        sums = torch.zeros(2, classes, fall.shape[1], dtype=torch.float64, device=where.device)
        sums.index_add_(1, where, torch.stack([fall, fall**2]))
        return answers, sums.transpose(1, 2).cpu().numpy()
