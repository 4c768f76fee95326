"""Replay: a layer's output computed once, and only what follows it run again for every set of units switched off."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unitlens.errors import DataWarning, OptionError
from unitlens.intervene.outputs import Classes
from unitlens.intervene.places import Places, unit_axis_of
from unitlens.models.capture import split
from unitlens.models.chain import Parts, parts_of, run
from unitlens.models.hooks import at_rest

ROOM = 2**24  # numbers that are made at a time
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}  # of the largest score; 3e-2 for half precision
WHOLE = (
    "replay: layer {layer!r} cannot be run on from (a skip connection goes round it, or the forward cannot be traced), "
    "so the whole network runs for every set of units. A layer after the whole block is much quicker."
)


class Replay:
    """A model whose units of one layer are switched off again and again.

    way, known after `begin`: "sums": a linear step follows that gives the scores, and a unit's share of each score is
    taken away; "step": the first linear step after the layer is corrected and what follows it runs again; "tail": all
    that follows the layer runs again; "whole": the whole network does, with a DataWarning [paper.md 6.1].
    fill: what units are set to, (U,); None = zero.
    """

    def __init__(self, model: nn.Module, layer: str, classes: Classes, *, fill: Tensor | None = None,
                 unit_axis: int | None = None):  # fmt: skip
        self.model, self.layer, self.classes, self.fill, self.unit_axis = model, layer, classes, fill, unit_axis
        self.split = split(model, layer)
        self.way: str | None = None
        self.parts: Parts | None = None
        self.mixed: _Mixed | None = None  # the linear step, once

    def begin(self, images: Tensor) -> Moment:
        """The layer's output for these images (as the model takes them), ready for sets of units."""
        output = self.split.head(images)
        if output.shape[0] != len(images):
            raise OptionError(f"layer {self.layer!r}: expected images on the first axis, got {tuple(output.shape)}")
        Places.of(output, self.unit_axis)  # raises for what has no units
        first = self.way is None
        self.way = self.way or self._choose(images[:2], output[:2])
        moment = self._moment(images, output)
        if torch.isnan(moment.base).any():
            raise OptionError("model: it returns NaN scores for some images. Look at its weights, and at preprocess=.")
        if first and self.way == "whole":
            warnings.warn(WHOLE.format(layer=self.layer), DataWarning, stacklevel=5)
        return moment

    def _moment(self, images: Tensor, output: Tensor) -> Moment:
        with at_rest(self.model, images):
            return (_Corrected if self.parts else Moment)(self, images, output)

    def _choose(self, images: Tensor, output: Tensor) -> str:
        """The quickest way whose scores are those of the tail: intact, and for some units switched off."""
        if not self.split.exact_tail:
            return "whole"
        first = unit_axis_of(output.ndim, self.unit_axis) == 1 and output.ndim in (2, 4)
        parts = parts_of(self.split.steps) if first else None
        if parts is None:
            return "tail"
        plain = self._moment(images, output)
        keep = torch.ones(4, plain.units, device=output.device)
        for row, unit in enumerate((0, plain.units // 2, plain.units - 1)):
            keep[row, unit] = 0
        keep[3] = torch.rand(plain.units, generator=torch.Generator().manual_seed(0)).to(keep).round()
        self.parts, self.mixed = parts, _Mixed.of(parts.mix)
        try:
            mine = self._moment(images, output)
            (_, expected), (_, got) = next(plain.sets(keep)), next(mine.sets(keep))
            close = _close(mine.base, plain.base) and _close(got, expected)
        except (RuntimeError, TypeError, IndexError):  # the parts do not fit together as they seemed to
            close = False
        if not close:
            self.parts = None
            return "tail"
        return "sums" if not parts.rest and isinstance(parts.mix, nn.Linear) else "step"


def _close(got: Tensor, expected: Tensor) -> bool:
    limit = TOLERANCE.get(expected.dtype, 3e-2)
    both = torch.isfinite(expected) & torch.isfinite(got)
    scale = float(expected[both].abs().max()) if both.any() else 1.0
    return bool(both.all()) and float((got - expected).abs().max()) <= limit * max(scale, 1e-3)


class Moment:
    """Some images at the layer: what they score with sets of units switched off, by running the tail.

    base: float32 or float64 (B, K), the scores with all units; computed as those without are.
    """

    def __init__(self, replay: Replay, images: Tensor, output: Tensor):
        self.replay, self.output = replay, output
        self.images = None if replay.split.exact_tail else images  # else nobody needs them any more
        self.axis = unit_axis_of(output.ndim, replay.unit_axis)
        self.units = output.shape[self.axis]
        if replay.fill is not None and replay.fill.shape != (self.units,):
            raise OptionError(f"fill: expected {self.units} numbers, got {tuple(replay.fill.shape)}")
        self.base = self._prepared()

    def singles(self) -> Iterator[tuple[slice, Tensor]]:
        """Each unit switched off alone: chunks of units, with scores (B, u, K)."""
        for chunk in self._chunks(self.units):
            keep = torch.ones(chunk.stop - chunk.start, self.units, device=self.output.device)
            keep[torch.arange(len(keep)), torch.arange(chunk.start, chunk.stop)] = 0
            yield chunk, self._at_rest(keep)

    def sets(self, keep: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Each set: chunks of sets, with scores (B, s, K).

        keep: float (S, U): 1 leaves a unit as it is, 0 sets it to the fill, other factors lie between or beyond.
        Raises OptionError for another number of units than the layer has.
        """
        if keep.ndim != 2 or keep.shape[1] != self.units:
            raise OptionError(f"units: layer {self.replay.layer!r} has {self.units}, got sets of {keep.shape[-1]}")
        for chunk in self._chunks(len(keep)):
            yield chunk, self._at_rest(keep[chunk].to(self.output.device))

    @property
    def bytes(self) -> int:
        """What it takes to hold."""
        held = [value for value in vars(self).values() if isinstance(value, Tensor)]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)

    def edited(self, output: Tensor) -> Tensor:
        """Scores (B, K) for another output of the layer."""
        with at_rest(self.replay.model, self.base):
            return self._scores(output, self.images)

    def _at_rest(self, keep: Tensor) -> Tensor:
        with at_rest(self.replay.model, self.base):
            return self._without(keep)

    def _prepared(self) -> Tensor:
        return self._scores(self.output, self.images)

    def _scores(self, output: Tensor, images: Tensor | None) -> Tensor:
        return self.replay.classes.scores(self.replay.split.tail(output, images))

    def _chunks(self, count: int, held: int = 0) -> list[slice]:
        """count sets in parts that take no more room than there is. held: numbers that one of them takes."""
        size = max(1, ROOM // max(1, held or self.output.numel()))
        return [slice(a, min(a + size, count)) for a in range(0, count, size)]

    def _without(self, keep: Tensor) -> Tensor:
        """Scores (B, S, K). Where a set changes nothing in an image, they are the base's, to the bit."""
        before = self.output.movedim(self.axis, 1)  # (B, U, cells)
        fill = self._filled(before)
        differs = (before != fill).flatten(2).any(2) if before.ndim > 2 else before != fill  # (B, U)
        changed = (differs[:, None] & (keep != 1)[None]).any(2)  # (B, S)
        images, sets = changed.nonzero(as_tuple=True)
        found = self.base[:, None].repeat(1, len(keep), 1)
        if len(images):
            after = _blended(before[images], keep[sets], fill).movedim(1, self.axis)
            found[images, sets] = self._scores(after.contiguous(), None if self.images is None else self.images[images])
        return found

    def _filled(self, like: Tensor) -> Tensor:
        """What units are set to, broadcastable to (B, U, cells)."""
        fill = self.replay.fill
        numbers = torch.zeros(self.units, dtype=like.dtype, device=like.device) if fill is None else fill.to(like)
        return numbers.reshape(1, -1, *([1] * (like.ndim - 2)))


def _blended(values: Tensor, keep: Tensor, fill: Tensor) -> Tensor:
    """values (N, U, ...) where keep (N, U) is 1, fill where it is 0, else in proportion; no NaN from 0 times inf."""
    share = keep.to(values).reshape(*keep.shape, *([1] * (values.ndim - 2)))
    mixed = torch.where(share == 0, fill, values * share + (1 - share) * fill)
    return torch.where(share == 1, values, mixed)


@dataclass(frozen=True, eq=False)
class _Mixed:
    """A linear step with its numbers in the precision that is counted in."""

    step: nn.Linear | nn.Conv2d
    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, step: nn.Linear | nn.Conv2d) -> _Mixed:
        exact = step.weight.dtype in (torch.float32, torch.float64)
        as_counted = (lambda t: t) if exact else (lambda t: t.float())
        return cls(step, as_counted(step.weight), None if step.bias is None else as_counted(step.bias))

    def all(self, values: Tensor) -> Tensor:
        """The step of values (N, U, p) or (N, U, h, w)."""
        if isinstance(self.step, nn.Linear):
            return functional.linear(values.flatten(1), self.weight, self.bias)
        return self._conv(values, self.weight, self.bias, 1)

    def some(self, values: Tensor, units: Tensor) -> Tensor:
        """What these units add: of values (N, u, p) or (N, u, h, w)."""
        if isinstance(self.step, nn.Linear):
            weight = self.weight.unflatten(1, (-1, values.shape[2]))[:, units].flatten(1)
            return functional.linear(values.flatten(1), weight)
        return self._conv(values, self.weight[:, units], None, 1)

    def each(self, values: Tensor, units: slice) -> Tensor:
        """What each of these units adds: of values (B, u, p) or (B, u, h, w), (B, u, D, ...)."""
        if isinstance(self.step, nn.Linear):
            weight = self.weight.unflatten(1, (-1, values.shape[2]))[:, units]  # (D, u, p)
            return torch.einsum("bup,dup->bud", values, weight)
        weight = self.weight[:, units].transpose(0, 1).flatten(0, 1)[:, None]  # (u D, 1, kh, kw)
        return self._conv(values, weight, None, values.shape[1]).unflatten(1, (values.shape[1], -1))

    def _conv(self, values: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        step: Any = self.step
        return functional.conv2d(values, weight, bias, step.stride, step.padding, step.dilation, groups)


class _Corrected(Moment):
    """The same, by taking units out of the first linear step after the layer."""

    def _prepared(self) -> Tensor:
        parts: Parts = self.replay.parts  # type: ignore[assignment]
        self.mixed: _Mixed = self.replay.mixed  # type: ignore[assignment]
        self.rest = parts.rest
        self.values = self._apart(self.output)  # (B, U, p) or (B, U, h, w)
        filled = self._filled(self.output).expand(1, *self.output.shape[1:])
        self.lost = self.values - self._apart(filled)  # what a unit that is switched off takes away
        self.hidden = self.mixed.all(self.values)
        return self._finished(self.hidden)

    def _apart(self, output: Tensor) -> Tensor:
        values = run(self.replay.parts.apart, output.clone())  # type: ignore[union-attr]
        values = values.to(self.mixed.weight.dtype)
        if isinstance(self.mixed.step, nn.Linear):
            return values.reshape(len(values), self.units, -1)
        return values

    def _finished(self, hidden: Tensor) -> Tensor:
        if self.rest:
            return self.replay.classes.scores(run(self.rest, hidden.to(self.output.dtype, copy=True)))
        return self.replay.classes.scores(hidden)

    def _chunks(self, count: int, held: int = 0) -> list[slice]:
        hidden = max(self.hidden.numel(), self.base.numel()) * (4 if self.rest else 1)
        return super()._chunks(count, max(hidden, held or self.lost.numel()))

    def singles(self) -> Iterator[tuple[slice, Tensor]]:
        for chunk in self._chunks(self.units, self.hidden.numel()):
            with at_rest(self.replay.model, self.base):
                lost = self.lost[:, chunk]
                hidden = self.hidden[:, None] - self.mixed.each(lost, chunk)  # (B, u, D, ...)
                yield chunk, self._where((lost != 0).flatten(2).any(2), hidden)

    def _without(self, keep: Tensor) -> Tensor:
        plain = ((keep == 0) | (keep == 1)).all() or (
            self.replay.parts.proportional and self.replay.fill is None and bool((keep >= 0).all())  # type: ignore
        )
        if not plain:
            return self._anew(keep)
        units = (keep != 1).any(0).nonzero()[:, 0]
        size = [1] * (self.lost.ndim - 2)
        share = (keep[:, units] - 1).to(self.lost)  # (S, u)
        change = self.lost[:, None, units] * share.reshape(1, *share.shape, *size)  # (B, S, u, ...)
        hidden = self.mixed.some(change.flatten(0, 1), units).unflatten(0, change.shape[:2]) if len(units) else 0.0
        changed = (change != 0).flatten(2).any(2)
        return self._where(changed, (self.hidden[:, None] + hidden).expand(-1, len(keep), *self.hidden.shape[1:]))

    def _anew(self, keep: Tensor) -> Tensor:
        """What follows the layer from the start: what comes before the linear step is not in proportion."""
        count = len(keep)
        outputs = self.output.repeat_interleave(count, 0)
        after = _blended(outputs, keep.repeat(len(self.output), 1), self._filled(self.output))
        hidden = self.mixed.all(self._apart(after)).unflatten(0, (-1, count))
        changed = (self.output != self._filled(self.output)).flatten(2).any(2) if self.output.ndim > 2 else (
            self.output != self._filled(self.output))  # fmt: skip
        return self._where((changed[:, None] & (keep != 1)[None]).any(2), hidden)

    def _where(self, changed: Tensor, hidden: Tensor) -> Tensor:
        """Scores (B, S, K) of hidden values (B, S, D, ...); those of the base where nothing is changed."""
        if not self.rest and self.replay.classes.outputs is None:
            return torch.where(changed[..., None], self.replay.classes.scores(hidden.flatten(0, 1)).unflatten(
                0, hidden.shape[:2]), self.base[:, None])  # fmt: skip
        found = self.base[:, None].repeat(1, hidden.shape[1], 1)
        found[changed] = self._finished(hidden[changed]) if changed.any() else found[changed]
        return found
