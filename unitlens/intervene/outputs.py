"""Outputs: what a model returns as scores of the probe set's classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unitlens.data.probe import ProbeSet
from unitlens.errors import OptionError, ProbeError, ShapeMismatch
from unitlens.intervene.names import distinct
from unitlens.models.hooks import tensors_in


def logits_of(output: Any) -> Tensor:
    """The class scores (B, O) in what a model returns: the tensor itself, `output["logits"]`, or its only (B, O).

    Raises ShapeMismatch where there is none, or several.
    """
    found = [(path, tensor) for path, tensor in tensors_in(output) if tensor.ndim == 2]
    named = [tensor for path, tensor in found if path[-1:] == ("logits",)]
    if len(named) == 1 or len(found) == 1:
        return (named or [found[0][1]])[0]
    shapes = [tuple(tensor.shape) for _, tensor in tensors_in(output)]
    raise ShapeMismatch(
        f"model: expected class scores (images, classes) as its output, got {shapes or type(output).__name__}. "
        "Wrap the model so that it returns them."
    )


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes that are measured, K of them, and which outputs of the model stand for each.

    names: each once. outputs: for each class the numbers of its outputs; None where they are the model's, in order.
    """

    names: tuple[str, ...]
    outputs: tuple[tuple[int, ...], ...] | None

    @property
    def identity(self) -> Any:
        """For recipes: names change nothing that is measured."""
        return [len(self.names), None if self.outputs is None else [list(some) for some in self.outputs]]

    def scores(self, output: Any) -> Tensor:
        """Scores of the classes (B, K); the largest where several outputs stand for a class. At least float32.

        Raises ShapeMismatch where the model has other outputs.
        """
        logits = logits_of(output)
        logits = logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
        if self.outputs is None:
            if logits.shape[1] != len(self.names):
                raise ShapeMismatch(
                    f"model: {logits.shape[1]} outputs for the {len(self.names)} classes of the probe set. Say which "
                    "outputs stand for which class: classes={'sheep': [348, 349], ...}."
                )
            return logits
        highest = max(max(some) for some in self.outputs)
        if highest >= logits.shape[1]:
            raise OptionError(f"classes: the model has outputs 0..{logits.shape[1] - 1}, got {highest}")
        return torch.stack([logits[:, list(some)].amax(1) for some in self.outputs], 1)

    def log_probability(self, scores: Tensor) -> Tensor:
        """Among these classes: log softmax over the last axis."""
        return scores.log_softmax(-1)


def classes_of(probe: ProbeSet, classes: Mapping[str, Sequence[int]] | None) -> Classes:
    """The classes of a probe set and the outputs that stand for them; see `measure`.

    Raises ProbeError for a probe set without classes, OptionError for other `classes` than its own.
    """
    names = probe.class_names
    if not names:
        labels = probe.class_labels
        if labels.max(initial=-1) < 0:
            raise ProbeError(
                "probe: expected images with class labels, to say what is lost. Use from_folder with a folder for each "
                "class, or ArrayProbe(images, class_labels=...)."
            )
        names = tuple(f"class {number}" for number in range(int(labels.max()) + 1))
    known = distinct(names)
    if classes is None:
        return Classes(known, None)
    if not isinstance(classes, Mapping) or set(classes) != set(known):
        given = sorted(map(str, classes)) if isinstance(classes, Mapping) else classes
        raise OptionError(f"classes: expected outputs for each of {', '.join(known)}; got {given!r}")
    outputs = tuple(_numbers(name, classes[name]) for name in known)
    twice = [number for number, count in Counter(n for some in outputs for n in some).items() if count > 1]
    if twice:
        raise OptionError(f"classes: output {twice[0]} stands for two classes")
    return Classes(known, outputs)


def _numbers(name: str, outputs: Any) -> tuple[int, ...]:
    given = [outputs] if isinstance(outputs, (int, np.integer)) else outputs
    try:
        numbers = tuple(dict.fromkeys(int(n) for n in given))
    except (TypeError, ValueError):
        numbers = ()
    if not numbers or min(numbers) < 0:
        raise OptionError(f"classes: expected numbers of outputs for {name!r}, got {outputs!r}")
    return numbers
