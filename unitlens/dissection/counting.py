"""Counting: the one pass over the images, shard by shard, whoever else works on the same store."""

from __future__ import annotations

import os
import time
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from unitlens.data.probe import Batch
from unitlens.dissection.forward import Forward, forward
from unitlens.dissection.labeller import Labeller, Lender, draws_for
from unitlens.dissection.pilot import COARSE, Bracket
from unitlens.dissection.plan import DissectionPlan
from unitlens.dissection.reader import LayerReader
from unitlens.dissection.recipe import basis_recipe, bracket_digest
from unitlens.dissection.shards import LABEL_ARRAYS, LAYER_ARRAYS, LabelState, LayerState, Part, shard_ranges, unpack
from unitlens.dissection.workers import Workers
from unitlens.errors import StoreWarning
from unitlens.progress import Meter
from unitlens.stats.tailcount import LabelPlanes, TailCount
from unitlens.stats.topk import TopK
from unitlens.store import Store

Key = tuple[str, str]
WAIT = 0.2  # seconds between two looks at what another process is counting


@dataclass(frozen=True, eq=False)
class Task:
    """One layer to be counted: its brackets, how many controls, and which units (None = all of them)."""

    layer: str
    bracket: Bracket
    draws: int
    units: torch.Tensor | None = None

    @property
    def count(self) -> int:
        """How many units."""
        return len(self.bracket.edges)

    @cached_property
    def digest(self) -> str:
        """What stands for its edges and units in a recipe."""
        return bracket_digest(self.bracket, self.units)

    @property
    def key(self) -> Key:
        """The layer, and what is counted of it."""
        return self.layer, self.digest

    @property
    def coarse(self) -> torch.Tensor:
        """The edges that the control is counted at."""
        return torch.tensor(COARSE[self.bracket.edges.shape[1]][1:])


@dataclass(eq=False)
class _Open:
    """A shard that is being counted."""

    span: range
    tasks: list[Task]
    claims: ExitStack
    parts: dict[str, list[Part]] = field(default_factory=dict)
    labels: list[LabelPlanes] = field(default_factory=list)
    index: list[int] = field(default_factory=list)


class Counting:
    """Counts all shards of a probe set for some tasks; states go into the store, or stay here where there is none.

    A shard is claimed before it is counted and looked for again after that, so no shard is counted twice by processes
    that share a store, and a killed process loses the shard it was at.
    """

    def __init__(
        self, plan: DissectionPlan, store: Store | None, measuring: Mapping[str, Any], labeller: Labeller,
        lender: Lender, pilot_digest: str, readers: dict[str, LayerReader],
    ):  # fmt: skip
        self.plan, self.store, self.labeller, self.lender, self.readers = plan, store, labeller, lender, readers
        self.base = {**measuring, **labeller.recipe, "lent": pilot_digest}
        self.spans = shard_ranges(len(plan.probe))
        self._digests: dict[range, str] = {}
        self._spare: dict[Key, list[list[TailCount]]] = {}  # tables of finished shards, by task
        self._states: dict[tuple[Key | None, range], LayerState | LabelState] = {}
        self._lost: set[tuple[Key | None, range]] = set()  # not readable in the store: counted again, and kept here
        self._bases = {name: basis_recipe(plan, name) for name in plan.layers}
        self.workers = Workers(1)

    def task(self, layer: str, bracket: Bracket, units: torch.Tensor | None = None) -> Task:
        """The task of counting a layer, or some of its units."""
        return Task(layer, bracket, draws_for(len(bracket.edges), len(self.labeller.vocabulary)), units)

    # ---- states ----------------------------------------------------------------------------------------------

    def layer_state(self, task: Task, span: range) -> LayerState | None:
        """What a shard has counted for a task, None where it has not been."""
        key = task.key, span
        if self.store is None or key in self._states:
            return self._states.get(key)  # type: ignore[return-value]
        return self.store.load(self.layer_recipe(task, span), lambda a, _: unpack(LayerState, a), LAYER_ARRAYS)

    def label_state(self, span: range) -> LabelState | None:
        """What a shard shows, None where it has not been counted."""
        key = None, span
        if self.store is None or key in self._states:
            return self._states.get(key)  # type: ignore[return-value]
        return self.store.load(self.label_recipe(span), lambda a, _: unpack(LabelState, a), LABEL_ARRAYS)

    def layer_recipe(self, task: Task, span: range) -> dict[str, Any]:
        """The identity of a shard's counts."""
        return {
            **self.base, "kind": "shard", "layer": task.layer, "basis": self._bases[task.layer],
            "images": self._digest(span), "bracket": task.digest, "top": self.plan.top,
        }  # fmt: skip

    def label_recipe(self, span: range) -> dict[str, Any]:
        """The identity of a shard's label areas."""
        return {
            **self.labeller.recipe, "lent": self.base["lent"], "kind": "labels", "images": self._digest(span),
            "convention": self.plan.convention,  # which images count as annotated
        }  # fmt: skip

    def _digest(self, span: range) -> str:
        if span not in self._digests:
            self._digests[span] = self.plan.probe.digest(span)
        return self._digests[span]

    def _has(self, task: Task | None, span: range) -> bool:
        key = (task.key if task else None), span
        if self.store is None or key in self._lost or key in self._states:
            return key in self._states
        return self.store.hit(self.layer_recipe(task, span) if task else self.label_recipe(span))

    def layer_states(self, task: Task, meter: Meter) -> list[LayerState]:
        """What all shards have counted for a task."""
        found = self._gathered(task, meter)
        return [state for state in found if isinstance(state, LayerState)]

    def label_states(self, meter: Meter) -> list[LabelState]:
        """What all shards show."""
        found = self._gathered(None, meter)
        return [state for state in found if isinstance(state, LabelState)]

    def _gathered(self, task: Task | None, meter: Meter) -> list[LayerState | LabelState]:
        """The states of all shards; what cannot be read back, a damaged file or a removed one, is counted again.

        It then stays in memory: a store that is read-only, or whose limit is too small, loses it again."""
        while True:
            found = [self.layer_state(task, span) if task else self.label_state(span) for span in self.spans]
            lost = [span for span, state in zip(self.spans, found, strict=True) if state is None]
            if not lost:
                return [state for state in found if state is not None]
            self._lost |= {(task.key if task else None, span) for span in lost}
            self._clear(self.layer_recipe(task, span) if task else self.label_recipe(span) for span in lost)
            self.run([task] if task else [], meter)

    def _clear(self, recipes: Iterator[dict[str, Any]]) -> None:
        """Takes damaged files out of the store; says so where there are none."""
        paths = [self.store.path(recipe) for recipe in recipes] if self.store else []
        if any(not path.exists() for path in paths):
            warnings.warn(
                f"{self.store!r} has lost what was counted for this run, and it is counted again: its size limit may "
                "be too small ($UNITLENS_STORE_GB).", StoreWarning, stacklevel=2,
            )  # fmt: skip
        for path in paths:
            with suppress(OSError):  # a store that cannot be written to
                path.unlink(missing_ok=True)

    def hold(self, task: Task | None, span: range, state: LayerState | LabelState) -> None:
        """Takes a state that was counted otherwise, without storing it."""
        self._states[task.key if task else None, span] = state

    def _keep(self, task: Task | None, span: range, state: LayerState | LabelState) -> None:
        recipe = None
        if self.store is not None:
            recipe = self.layer_recipe(task, span) if task else self.label_recipe(span)
        key = task.key if task else None, span
        if self.store is None or not self.store.offer(recipe or {}, state.arrays, {}) or key in self._lost:
            self._states[key] = state

    # ---- the pass --------------------------------------------------------------------------------------------

    def run(self, tasks: Sequence[Task], meter: Meter) -> None:
        """Counts what has not been counted; returns when every shard has been, here or elsewhere."""
        waiting, told = self._in_turn(), set[range]()
        while waiting:
            before = len(waiting)
            waiting = self._round(tasks, waiting, told, meter)
            if len(waiting) == before:  # all of them are being counted elsewhere
                time.sleep(WAIT)

    def _round(self, tasks: Sequence[Task], spans: list[range], told: set[range], meter: Meter) -> list[range]:
        """Counts what nobody else counts now. Returns the shards that others are at."""
        queue: deque[tuple[_Open, bool]] = deque()
        busy: list[range] = []
        layers = [task.layer for task in tasks]
        with ExitStack() as claims, Workers() as self.workers, ExitStack() as hooks:
            # Without layers only labels are wanted, and no model is run.
            model = hooks.enter_context(forward(self.plan, layers, self.readers)) if layers else None
            for batch in self.plan.probe.stream(self._pieces(tasks, spans, claims, queue, busy, told, meter), spans):
                shard, last = queue.popleft()
                if not shard.parts and not shard.labels:
                    self._begin(shard)
                self._count(model, shard, batch)
                meter.step(len(batch))
                if last:
                    self._finish(shard)
        self._spare = {}
        return busy

    def _pieces(
        self, tasks: Sequence[Task], spans: list[range], claims: ExitStack, queue: deque[tuple[_Open, bool]],
        busy: list[range], told: set[range], meter: Meter,
    ) -> Iterator[list[int]]:  # fmt: skip
        """Batches of the shards, each claimed just before its first batch is loaded."""
        for span in spans:
            shard, elsewhere = self._claim(tasks, span, claims)
            if elsewhere:
                busy.append(span)
            if shard.tasks or not (elsewhere or self._has(None, span)):
                told.add(span)
                for piece, last in self._cut(span):
                    queue.append((shard, last))
                    yield piece
                continue
            shard.claims.close()
            if not elsewhere and span not in told:  # counted before, or elsewhere
                told.add(span)
                meter.step(len(span))

    def _cut(self, span: range) -> Iterator[tuple[list[int], bool]]:
        """A shard in batches, and whether each is the last."""
        images, size = list(span), self.plan.batch_size
        for start in range(0, len(images), size):
            yield images[start : start + size], start + size >= len(images)

    def _in_turn(self) -> list[range]:
        """The shards, beginning at another place in each process that torchrun started."""
        told = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
        rank, world = (int(text) if text.isdecimal() else 0 for text in told)
        rank, world = min(rank, max(0, world - 1)), max(1, world)
        start = len(self.spans) * rank // world
        return self.spans[start:] + self.spans[:start]

    def _claim(self, tasks: Sequence[Task], span: range, claims: ExitStack) -> tuple[_Open, bool]:
        """The shard with the tasks that nobody has counted, all claimed, and whether another process counts some."""
        mine = ExitStack()
        claims.push(mine)
        open_tasks, busy = [], False
        for task in tasks:
            if self._has(task, span):
                continue
            if self.store is not None and not mine.enter_context(self.store.claim(self.layer_recipe(task, span))):
                busy = True
            elif not self._has(task, span):  # it may have been counted before the claim was ours
                open_tasks.append(task)
        return _Open(span, open_tasks, mine), busy

    def _begin(self, shard: _Open) -> None:
        self.labeller.open(shard.span)
        for task in shard.tasks:
            slices = self.workers.slices(task.count, self.plan.device)
            spare = self._spare.get(task.key)
            tables = spare.pop() if spare else [self.table(task, units) for units in slices]
            tops = [None if task.units is not None else TopK(table.units, self.plan.top) for table in tables]
            shard.parts[task.layer] = [Part(*part) for part in zip(slices, tables, tops, strict=True)]

    def table(self, task: Task, units: slice) -> TailCount:
        """An empty table for some of a task's units."""
        group, edges = self.labeller.group_of_concept, task.bracket.edges[units]
        return TailCount(len(edges), len(group), self.labeller.groups, edges, group, task.draws, task.coarse)

    def _count(self, model: Forward | None, shard: _Open, batch: Batch) -> None:
        if not len(batch):
            return
        labels = self.labeller.planes(self.labeller(model.show(batch) if model and shard.tasks else batch))
        positions = batch.index.tolist()
        shard.labels.append(labels)
        shard.index.extend(positions)
        if model is None or not shard.tasks:
            return
        lent = self.lender.lend(positions, max(task.draws for task in shard.tasks))
        tasks = {task.layer: task for task in shard.tasks}
        placed = labels.to(self.plan.device), lent.to(self.plan.device)

        def use(name: str, reader: LayerReader, grid: torch.Tensor) -> None:
            if name in tasks:
                self._count_layer(tasks[name], shard, reader, grid, batch, *placed)

        model.run(model.inputs(batch), use)

    def _count_layer(
        self, task: Task, shard: _Open, reader: LayerReader, grid: torch.Tensor, batch: Batch, labels: LabelPlanes,
        lent: LabelPlanes,
    ) -> None:  # fmt: skip
        @torch.inference_mode()
        def count(part: Part) -> None:
            units = part.units if task.units is None else task.units[part.units].to(grid.device)
            bound, peaks = task.bracket.edges[part.units, 0].to(grid.device), []
            for maps in reader.pieces(grid, units):
                part.table.note(maps.low.amin(0), maps.wrong if task.units is None else None)
                tail = reader.tail(maps, bound)
                part.table.update(tail.unit, tail.image, tail.pixel, tail.value, labels, lent)
                peaks.append(maps.peak)
            if part.top is not None:
                floor = task.bracket.bound[part.units]
                reader.keep_in(part.top, torch.cat(peaks), batch.index, grid[:, units], floor)

        self.workers.map(count, shard.parts[task.layer])

    def _finish(self, shard: _Open) -> None:
        """Keeps what the shard has counted. The model waits: what runs beside it slows it by more than that."""
        self.labeller.close(shard.span)
        self.workers.map(lambda task: self._store(task, shard), shard.tasks)
        if not self._has(None, shard.span):
            self._keep(None, shard.span, self.label_areas(shard.labels, shard.index))
        shard.claims.close()

    def _store(self, task: Task, shard: _Open) -> None:
        parts = shard.parts.pop(task.layer)
        self._keep(task, shard.span, LayerState.of(parts, task.bracket.bound))
        for part in parts:
            part.table.clear()
        self._spare.setdefault(task.key, []).append([part.table for part in parts])

    def label_areas(self, seen: Sequence[LabelPlanes], index: Sequence[int]) -> LabelState:
        """The areas of the labels of some batches, and of those lent to their images."""
        concepts, groups = len(self.labeller.vocabulary), self.labeller.groups
        area, images = np.zeros(concepts, np.int64), np.zeros(concepts, np.int64)
        pixels = np.zeros(groups, np.int64)
        for labels in seen:
            key = labels.planes.view(len(labels), -1) + torch.arange(len(labels))[:, None] * (concepts + 1)
            count = torch.bincount(key.flatten(), minlength=len(labels) * (concepts + 1)).view(len(labels), -1)[:, 1:]
            area += count.sum(0).numpy()
            images += (count > 0).sum(0).numpy()
            pixels += labels.looked[labels.pattern].sum(0).numpy() * labels.pixels
        lent_area, lent_pixels = self.lender.areas(index)
        return LabelState(area, images, pixels, np.array([len(index)]), lent_area, lent_pixels)
