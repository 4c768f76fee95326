"""The dissection engine: the only file that knows the order of the steps."""

from __future__ import annotations

import dataclasses
import io
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from PIL import Image

from unitlens.data.probe import ProbeSet
from unitlens.dissection.bracketing import Bracketing, Measured
from unitlens.dissection.counting import Counting, Task
from unitlens.dissection.forward import forward
from unitlens.dissection.labeller import Labeller
from unitlens.dissection.layer import LayerDissection
from unitlens.dissection.merging import Shown, Tops, merged_table, merged_tops, replaced
from unitlens.dissection.pilot import SMALL, refined_bracket
from unitlens.dissection.plan import DissectionPlan, make_plan
from unitlens.dissection.reader import LayerReader, check_reference
from unitlens.dissection.recipe import NOT_STORED, dissection_recipe, labels_recipe, measuring_recipe, unnamed_parts
from unitlens.dissection.resident import Resident
from unitlens.dissection.result import Dissection
from unitlens.dissection.shards import LayerState
from unitlens.dissection.tails import TailTable, unresolved
from unitlens.errors import DataWarning, OptionError, ProbeError
from unitlens.progress import Meter, progress
from unitlens.stats.topk import as_half
from unitlens.store import Store, default_store

HERE_LIMIT = 6e-4  # estimated rank error of a threshold at the quantile asked for; the true one is 1 to 3 times less
RANK_LIMIT = 2e-3  # the same elsewhere in the bracket
MARGIN = 1.5  # by which brackets may fall short of the ends of the range that the result can be read at


def dissect(
    model: torch.nn.Module,
    layers: str | Sequence[str],
    probe: ProbeSet,
    *,
    segmenter: Any = None,
    quantile: float = 0.99,
    min_iou: float = 0.04,
    exact: bool = False,
    convention: str = "default",
    after_relu: bool = False,
    call: Any = None,
    unit_axis: int | None = None,
    basis: Any = None,
    preprocess: Any = None,
    precision: str = "full",
    grid: tuple[int, int] | None = None,
    top: int = 12,
    batch_size: int | None = None,
    store: Store | bool = True,
    show_progress: bool = True,
    name: str | None = None,
) -> Dissection:
    """Finds the concepts that the units of some layers match [paper.md 1.0, 1.1].

    A unit fires where its activation, upsampled to the pixel grid, is strictly greater than its threshold t_u; t_u is
    the unit's (1 - quantile) tail over all pixels of the probe set. Its IoU with a concept is the number of pixels
    where it fires and the concept is seen, over the number where either is, over all images together.

    One pass over the images counts all layers [paper.md 6.2a]; a pilot of some images has told before where the tails
    lie. Thresholds are interpolated between counted values: on 2,000 scenes their rank was off by 7e-5 of the pixels at
    most, and by 2.3e-4 at other quantiles read off the same counts; on 60 scenes by 5e-4. What has been counted stays
    in the store: another quantile, another layer or more images only cost what is new, a killed run goes on where it
    was, and several processes share the work.

    model: any module that takes images (B, 3, H, W); it is run in eval mode, on the device where it is.
    layers: dotted module names (see `layers(model)`), all measured in the same pass. Convolutions (B, U, h, w), NHWC
        outputs and the tokens (B, T, U) of vision transformers.
    probe: the images. segmenter: None (the truth if the probe set has one, else colour names), "truth", "colours",
        a Segmenter, or a list of them.
    quantile: 0.99 keeps the top 1 % of the pixels. min_iou: a unit is a detector from this best IoU on.
    exact: thresholds at `quantile` as exact order statistics, by a second pass; where the tails of all layers take
        more than 1 GB, from a sample of the pixels, with ranks off by less than 3e-4.
    convention: "reference" counts as the paper's code did: zeros beyond the activation's border, no receptive fields,
        Hazen's quantile, union over every pixel of every image, whatever it is annotated for [paper.md 2.4, 9]; to
        compare with published tables. With exact=True the IoU is theirs to 1e-6. (Their bar graph counts IoU > .04.)
    after_relu: measure max(activation, 0), as the paper's in-place ReLUs did.
    call: "first", "last" or a position, for a layer that is called several times in one forward pass.
    unit_axis: 1 or -1 where the shape of a layer's output leaves it open which axis counts the units.
    basis: units as directions: a matrix (V, U) or a function of vectors (M, U) -> (M, V), such as a random rotation
        (the classical control), PCA, or a sparse autoencoder's encoder; or {layer: basis}.
    preprocess: what the model wants done to images in [0, 1], such as `Normalize(...)` or a torchvision transform.
    precision: "mixed" runs the model in float16 autocast on a GPU.
    grid: (H, W) where activations and labels meet; a quarter of the image size by default, as in the paper.
    top: images kept per unit. batch_size: images at a time (does not change the result); None = what fits.
    store: False, or a Store; by default the result is kept and a second call opens it without running the model.
    name: how displays call the model; does not change the result.

    >>> import unitlens as ul
    >>> probe = ul.load_probe("scenes", count=36)
    >>> found = ul.dissect(ul.load_model("scenenet"), "conv5_3", probe, show_progress=False)
    >>> found.frame().columns[:5].tolist()
    ['layer', 'unit', 'concept', 'category', 'iou']

    Raises LayerNotFound, LayerError (a layer without a grid), ProbeError (empty, images outside [0, 1]), OptionError.
    """
    plan = make_plan(
        model, layers, probe, segmenter=segmenter, quantile=quantile, min_iou=min_iou, exact=exact,
        convention=convention, after_relu=after_relu, call=call, unit_axis=unit_axis, basis=basis,
        preprocess=preprocess, precision=precision, grid=grid, top=top, batch_size=batch_size,
    )  # fmt: skip
    label = name or str(getattr(model, "unitlens_name", type(model).__name__))
    return _dissected(plan, store, show_progress, label)


def _dissected(plan: DissectionPlan, store: Store | bool, show: bool, label: str) -> Dissection:
    """The dissection of a checked plan: opened if the store has it."""
    if not isinstance(store, (Store, bool)):
        raise OptionError(f"store: expected True, False or a Store, got {store!r}; a folder is Store('folder')")
    check_reference(plan)
    if len(plan.probe) <= SMALL:
        plan = dataclasses.replace(plan, exact=True)  # so few images cost nothing twice
    plan.probe.identify(progress=show)
    measuring = measuring_recipe(plan)
    recipe = dissection_recipe(plan, measuring)
    unnamed = unnamed_parts(recipe)
    keep = None if unnamed else store if isinstance(store, Store) else default_store() if store else None
    if unnamed and store is not False:
        warnings.warn(NOT_STORED.format(parts=" and ".join(unnamed)), DataWarning, stacklevel=3)
    found = keep.load(recipe, Dissection.from_store) if keep else None
    if found is None:
        found = _Run(plan, measuring, recipe, keep, show).result(label)
        if keep:
            keep.offer(recipe, *found.to_store())
    return found.at(plan.quantile).renamed(label).with_min_iou(plan.min_iou)


class _Run:
    """One dissection under way: brackets, counts, tables, and what is shown of them."""

    def __init__(
        self, plan: DissectionPlan, measuring: Mapping[str, Any], recipe: Mapping[str, Any], store: Store | None,
        show: bool,
    ):  # fmt: skip
        self.plan, self.recipe, self.store, self.show = plan, recipe, store, show
        self.readers: dict[str, LayerReader] = {}
        self.labeller = Labeller(plan, store, labels_recipe(plan))
        self.bracketing = Bracketing(plan, store, measuring, self.labeller, self.readers)
        self.measuring = measuring

    def result(self, label: str) -> Dissection:
        """The whole way."""
        plan, started = self.plan, time.perf_counter()
        if plan.device.type == "cpu":  # images that have to be drawn: here both want the same cores
            plan.probe.prepare(progress=self.show)
        lender = self.bracketing.lender()  # a segmenter that fails must fail at once
        counting = Counting(
            plan, self.store, self.measuring, self.labeller, lender, self.bracketing.digest, self.readers
        )
        with progress("Dissecting", (2 if plan.exact else 1) * len(plan.probe), show=self.show) as meter:
            measured = self.counted(counting, meter)
            tasks = [counting.task(name, one.bracket) for name, one in measured.items()]
            shown = Shown.of(counting.label_states(meter), plan.cells)
            if not shown.images:
                raise ProbeError("probe: none of its images could be read")
            grids = [measured[task.layer].grid for task in tasks]
            tables, tops, wrong = self.merged(counting, tasks, grids, shown, meter)
            redone = {} if plan.exact else self.redo(counting, tables, tops, shown, meter)
            self.fetch_maps(tops, meter)
        layers = {}
        for task in tasks:
            name, top = task.layer, tops[task.layer]
            parts = (tables[name], top.value, top.index, top.maps, wrong[name], measured[name].geometry)
            layers[name] = LayerDissection.of(name, *parts, plan.quantile, shown.total)
        _warn_nonfinite(wrong)
        notes = {
            "model": label, "images": shown.images, "skipped": len(plan.probe) - shown.images,
            "image_size": list(plan.probe.size), "seconds": round(time.perf_counter() - started, 2),
            "redone": {name: len(rows) for name, rows in redone.items()}, "pilot": len(self.bracketing.pilot),
        }  # fmt: skip
        return Dissection(
            layers, self.labeller.vocabulary, shown.concept_area, shown.pixels, self.thumbnails(layers), plan.quantile,
            plan.min_iou, self.recipe, notes, shown.total, shown.concept_images, shown.block_area, shown.block_total,
        )  # fmt: skip

    def counted(self, counting: Counting, meter: Meter) -> dict[str, Measured]:
        """Every layer's bracket; their counts, and those of the labels, are then with `counting`."""
        at_once = len(counting.spans) == 1 and not self.plan.exact and self.at_once(counting, meter)
        if at_once:
            return at_once
        measured = self.bracketing.find(self.plan.layers, meter)
        meter.label("Counting" if self.plan.exact else "Dissecting")
        counting.run([counting.task(name, one.bracket) for name, one in measured.items()], meter)
        return measured

    def at_once(self, counting: Counting, meter: Meter) -> dict[str, Measured] | None:
        """Measures a set of a single shard, whose tails fit in memory, or else None."""
        found, measured = Resident(counting), {}
        states = found.run(meter)
        if states is None:
            return None
        if not found.seen:
            raise ProbeError("probe: none of its images could be read")
        index = [i for seen in found.seen for i in seen.positions]
        (span,) = counting.spans
        counting.hold(None, span, counting.label_areas([seen.labels for seen in found.seen], index))
        for name in self.plan.layers:
            bracket, state = states[name]
            measured[name] = self.bracketing.measured(name, bracket)
            counting.hold(counting.task(name, bracket), span, state)
        return measured

    def merged(
        self, counting: Counting, tasks: Sequence[Task], grids: Sequence[tuple[int, int]], shown: Shown, meter: Meter
    ) -> tuple[dict[str, TailTable], dict[str, Tops], dict[str, np.ndarray]]:
        """By layer: its table, its top images, and each unit's NaN and infinite activations, int64 (U,).

        grids: of the maps that are kept. Two layers are merged at a time: the states of all shards are in memory."""
        index, top = self.labeller.vocabulary.category_index, self.plan.top

        def merge(task: Task, grid: tuple[int, int], states: list[LayerState]) -> tuple[TailTable, Tops, np.ndarray]:
            table = merged_table(states, task.bracket.edges.numpy(), shown, index, task.draws, task.bracket.exact)
            return table, merged_tops(states, top, grid), np.sum([state.wrong for state in states], axis=0)

        begun: list[Future[tuple[TailTable, Tops, np.ndarray]]] = []
        with ThreadPoolExecutor(2) as pool:
            for task, grid in zip(tasks, grids, strict=True):
                if len(begun) >= 2:
                    begun[-2].result()
                begun.append(pool.submit(merge, task, grid, counting.layer_states(task, meter)))
        found = {task.layer: one.result() for task, one in zip(tasks, begun, strict=True)}
        tables, tops = {name: one[0] for name, one in found.items()}, {name: one[1] for name, one in found.items()}
        return tables, tops, {name: one[2] for name, one in found.items()}

    def redo(
        self, counting: Counting, tables: dict[str, TailTable], tops: Mapping[str, Tops], shown: Shown, meter: Meter
    ) -> dict[str, np.ndarray]:
        """Measures the units again that the pilot has misjudged, alone, and puts them into the tables.

        Twice at most with edges placed by what has been counted; those that this leaves, from their exact tails.
        Away from the quantile asked for, one better placed set of edges has to do: exact ones stand no closer.
        Returns which units of which layers."""
        plan, redone, title = self.plan, dict[str, np.ndarray](), meter.title
        for turn, exactly in enumerate((False, False, True)):
            rows = self.misjudged(counting, tables, shown, RANK_LIMIT if not turn else math.inf)
            if not rows:
                break
            many = sum(map(len, rows.values()))
            meter.label(f"Counting {many} unit{'s' * (many > 1)} once more")
            meter.more((2 if exactly else 1) * len(plan.probe))
            units = {name: torch.from_numpy(some) for name, some in rows.items()}
            if exactly:
                brackets = self.bracketing.again(units, tables, meter)
            else:
                asked = plan.bracket, plan.quantile, shown.total
                brackets = {
                    name: refined_bracket(tables[name], some, tops[name].value[:, 0], *asked)
                    for name, some in rows.items()
                }
            tasks = [counting.task(name, bracket, units[name]) for name, bracket in brackets.items()]
            counting.run(tasks, meter)
            again, _, _ = self.merged(counting, tasks, [(1, 1)] * len(tasks), shown, meter)
            for name, table in again.items():
                tables[name] = replaced(tables[name], rows[name], table)
            redone |= {name: np.union1d(some, redone.get(name, some)) for name, some in rows.items()}
            many = sum(map(len, redone.values()))
            meter.label(f"{title}, {many} unit{'s' * (many > 1)} of them twice")
        return redone

    def misjudged(
        self, counting: Counting, tables: dict[str, TailTable], shown: Shown, limit: float = RANK_LIMIT
    ) -> dict[str, np.ndarray]:
        """The units of each layer whose table cannot answer for the whole range of quantiles. limit: of the rank error
        elsewhere than at the quantile asked for."""
        plan, rows = self.plan, {}
        for name, table in tables.items():
            here = (plan.quantile, plan.quantile)
            if len(counting.spans) == 1:  # so few images say little more than that the edges reach
                wrong = unresolved(table, shown.total, here, RANK_LIMIT)
                wrong |= unresolved(table, shown.total, plan.bracket, math.inf, MARGIN)
            else:
                wrong = unresolved(table, shown.total, here, HERE_LIMIT)
                wrong |= unresolved(table, shown.total, plan.bracket, limit, MARGIN)
            if wrong.any():
                rows[name] = np.flatnonzero(wrong)
        return rows

    def fetch_maps(self, tops: dict[str, Tops], meter: Meter) -> None:
        """Runs the images again whose maps no shard has kept: seldom any."""
        missing = {name: top for name, top in tops.items() if top.missing.any()}
        if not missing:
            return
        wanted = np.unique(np.concatenate([top.index[top.missing] for top in missing.values()]))
        size = self.plan.batch_size
        pieces = [[int(i) for i in wanted[first : first + size]] for first in range(0, len(wanted), size)]

        def use(name: str, reader: LayerReader, grid: torch.Tensor) -> None:
            top = missing[name]
            for row, position in enumerate(positions):
                unit, slot = np.nonzero(top.missing & (top.index == position))
                if len(unit):
                    kept = reader.keepsake(grid[row, torch.from_numpy(unit).to(grid.device)].float())
                    top.maps[unit, slot] = as_half(kept).cpu().numpy()

        meter.label("Maps of the top images")
        with forward(self.plan, list(missing), self.readers) as model:
            for batch in self.plan.probe.stream(pieces):
                if len(batch):
                    positions = batch.index.tolist()
                    model.run(model.inputs(batch), use)

    def thumbnails(self, layers: Mapping[str, LayerDissection]) -> dict[int, bytes]:
        """The top images of all units as JPEG, each once."""
        wanted = np.unique(np.concatenate([counts.top_index.ravel() for counts in layers.values()]))
        wanted = wanted[wanted >= 0]
        thumbnails: dict[int, bytes] = {}
        for first in range(0, len(wanted), 64):
            index = [int(i) for i in wanted[first : first + 64]]
            batch = self.plan.probe.load(index)  # an image that has become unreadable is left out
            with ThreadPoolExecutor() as pool:
                thumbnails.update(zip(batch.index.tolist(), pool.map(_jpeg, batch.pictures()), strict=True))
        return thumbnails


def _warn_nonfinite(nonfinite: Mapping[str, np.ndarray]) -> None:
    for name, counts in nonfinite.items():
        if counts.any():
            warnings.warn(
                f"layer {name!r}: {int(counts.sum())} activations of {int((counts > 0).sum())} units were NaN or "
                "infinite. NaN never fires, +inf is the highest value; `dissection[layer].nonfinite` counts them.",
                DataWarning, stacklevel=5,
            )  # fmt: skip


def _jpeg(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=88)
    return file.getvalue()


