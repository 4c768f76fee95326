"""Metrics: how well a unit's firing and a concept match, from counts of pixels. Pure functions, numpy only.

Of n pixels (those of images annotated for the concept's category) the unit fires on A, the concept is seen on S, both
on I. IoU is in labels.py. Letters: U units, J edges, C concepts, G categories.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unitlens.dissection.labels import iou_table
from unitlens.dissection.tails import TailTable
from unitlens.errors import OptionError

CELLS = 2**19  # entries of one temporary array: 4 MB in float64, which stays in cache


def precision_table(intersection: np.ndarray, activation_area: np.ndarray, category_index: np.ndarray) -> np.ndarray:
    """Of the pixels where a unit fires, the share that shows the concept, I / A: float64 (U, C), 0 if it never fires.

    intersection: int64 (U, C); activation_area: int64 (U, G); category_index: int64 (C,).

    >>> precision_table(np.array([[2]]), np.array([[8]]), np.array([0]))
    array([[0.25]])
    """
    return _ratio(intersection, activation_area[:, category_index])


def recall_table(intersection: np.ndarray, concept_area: np.ndarray) -> np.ndarray:
    """Of the pixels that show a concept, the share where the unit fires, I / S: float64 (U, C), 0 if it is never seen.

    intersection: int64 (U, C); concept_area: int64 (C,).

    >>> recall_table(np.array([[2]]), np.array([4]))
    array([[0.5]])
    """
    return _ratio(intersection, np.broadcast_to(concept_area, intersection.shape))


def information_table(
    intersection: np.ndarray,
    activation_area: np.ndarray,
    concept_area: np.ndarray,
    pixels: np.ndarray,
    category_index: np.ndarray,
    *,
    min_agreement: float = 0.0,
    min_share: float = 0.0,
) -> np.ndarray:
    """Information ratio: mutual information of "the unit fires" and "the concept is seen" over their joint entropy.

    float64 (U, C) in 0..1: 1 when each tells the other, 0 when independent or undefined (nothing varies) [paper.md 2.4,
    7.1: IQR]. A unit that fires where the concept is *not* scores too: `min_agreement` sets those to 0 whose
    share of pixels in agreement (both or neither) is not above it, `min_share` concepts on a smaller share of pixels;
    the reference code uses 0.8 and 1e-3.
    intersection: int64 (U, C); activation_area: int64 (U, G); concept_area: int64 (C,); pixels: int64 (G,);
    category_index: int64 (C,). Raises OptionError when a minimum is outside [0, 1].

    >>> seen, all_pixels = np.array([5, 2]), np.array([10])
    >>> table = information_table(np.array([[5, 1]]), np.array([[5]]), seen, all_pixels, np.array([0, 0]))
    >>> table.tolist()  # the same pixels; independent
    [[1.0, 0.0]]
    """
    for name, value in (("min_agreement", min_agreement), ("min_share", min_share)):
        if not 0 <= value <= 1:
            raise OptionError(f"{name}: expected a share of pixels in [0, 1], got {value}")
    size = pixels[category_index].astype(np.float64)  # (C,)
    scale = np.divide(1, size, out=np.zeros(len(size)), where=size > 0)
    both = intersection * scale  # (U, C), as shares of pixels from here on
    fires, seen = activation_area[:, category_index] * scale, concept_area * scale
    # Joint entropy before the mutual information, from the same four cells.
    cells = (both, fires - both, seen - both, (1 - fires) + (both - seen))
    joint = sum(_surprise(cell) for cell in cells)
    mutual = _surprise(fires) + _surprise(1 - fires) + _surprise(seen) + _surprise(1 - seen) - joint
    ratio = _ratio(mutual, np.where(scale > 0, joint, 0))
    ratio[ratio < 1e-12] = 0  # rounding of independent pairs, and what is below it
    if min_agreement > 0:
        ratio[both + cells[3] <= min_agreement] = 0
    ratio[:, seen < min_share] = 0
    return np.minimum(ratio, 1)


def _surprise(share: np.ndarray) -> np.ndarray:
    """- p log p, and 0 where p is 0 (or a rounding below)."""
    some = share > 1e-15  # below one pixel of any probe set
    return np.asarray(-share * np.log(np.where(some, share, 1)))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(part.shape, dtype=np.float64), where=whole > 0)


@dataclass(frozen=True, eq=False)
class Best:
    """The best value of a metric over the edges of a tail table, per unit and concept.

    value: float32 (U, C). edge: int16 (U, C), the index of the edge, the lowest of equal ones. quantile: float32
    (U, C), the level of that edge, 1 - tail / total.
    """

    value: np.ndarray
    edge: np.ndarray
    quantile: np.ndarray


def best_iou(table: TailTable, concept_area: np.ndarray, category_index: np.ndarray, total: int) -> Best:
    """The IoU at each unit and concept's best threshold among the edges, see Best.

    The best over many thresholds is chosen by the data it is measured on: it is above what a new probe set gives.
    concept_area: int64 (C,); category_index: int64 (C,); total: pixels of a unit.

    >>> table = TailTable(
    ...     edges=np.float32([[1, 2]]), tail=np.array([[40, 10]]), above=np.array([[[10], [9]]]),
    ...     area=np.array([[[40], [10]]]), minimum=np.float32([0]),
    ... )
    >>> best = best_iou(table, np.array([10]), np.array([0]), total=1000)
    >>> round(float(best.value[0, 0]), 4), best.edge.tolist(), best.quantile.round(2).tolist()
    (0.8182, [[1]], [[0.9900000095367432]])
    """
    return _best(table, total, lambda above, area: iou_table(above, area, concept_area, category_index))


def best_information(
    table: TailTable,
    concept_area: np.ndarray,
    pixels: np.ndarray,
    category_index: np.ndarray,
    total: int,
    *,
    min_agreement: float = 0.8,
    min_share: float = 1e-3,
    positive: bool = True,
) -> Best:
    """The information ratio at each unit and concept's best threshold among the edges, see Best and information_table.

    The defaults are the constraints of the reference code: agreement on more than 80 % of the pixels, concepts on at
    least 1 pixel in 1000, and `positive`: thresholds above 0 only.

    >>> table = TailTable(
    ...     edges=np.float32([[1, 2]]), tail=np.array([[40, 10]]), above=np.array([[[10], [10]]]),
    ...     area=np.array([[[40], [10]]]), minimum=np.float32([0]),
    ... )
    >>> best = best_information(table, np.array([10]), np.array([1000]), np.array([0]), total=1000)
    >>> best.value.tolist(), best.edge.tolist()
    ([[1.0]], [[1]])
    """

    def metric(above: np.ndarray, area: np.ndarray) -> np.ndarray:
        return information_table(
            above, area, concept_area, pixels, category_index, min_agreement=min_agreement, min_share=min_share
        )

    return _best(table, total, metric, usable=table.edges > 0 if positive else None)


def _best(
    table: TailTable,
    total: int,
    metric: Callable[[np.ndarray, np.ndarray], np.ndarray],
    usable: np.ndarray | None = None,
) -> Best:
    """Chunks of units, each (n, J, C) at once: memory does not grow with U."""
    (units, edges, concepts) = table.above.shape
    value = np.empty((units, concepts), dtype=np.float32)
    edge = np.empty((units, concepts), dtype=np.int16)
    step = max(1, CELLS // max(1, edges * concepts))
    for start in range(0, units, step):
        part = slice(start, start + step)
        above, area = table.above[part], table.area[part]
        found = metric(above.reshape(-1, concepts), area.reshape(-1, area.shape[2])).reshape(above.shape)
        if usable is not None:
            found *= usable[part, :, None]
        edge[part] = found.argmax(1)
        value[part] = found.max(1)
    rows = np.arange(units)[:, None]
    return Best(value, edge, (1 - table.tail[rows, edge] / total).astype(np.float32))
