"""Tail tables: what every unit's upper activations cover, at several thresholds, and what is read off them.

One pass counts, at J edges per unit, the pixels above and how many of them show each concept; the threshold t_u at any
quantile in the bracket, and the counts that belong to it, are then a look at the two edges around it. numpy only.
Shape letters: U units, J edges, C concepts, G categories, Jc coarse edges, Bl blocks of images, Np kept pairs, D draws.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from unitlens.errors import OptionError
from unitlens.stats.levels import tail_count

RANK_ERROR = 3e-4  # the largest error of a rank, as a share of all pixels: the same as stats.quantile.RANK_ERROR
BRACKET = (0.97, 0.999)  # the quantiles that a table should answer for


def _nbytes(table: object) -> int:
    held = [getattr(table, field.name) for field in fields(table)]  # type: ignore[arg-type]
    return sum(value.nbytes for value in held if isinstance(value, (np.ndarray, Blocks)))


@dataclass(frozen=True, eq=False)
class Blocks:
    """The counts of a TailTable by block of images, at few edges and for the unit-concept pairs that were kept.

    coarse: int64 (Jc,), which of the J edges. pairs: int32 (Np, 2), unit and concept, sorted.
    above: an integer type (Bl, Jc, Np). tail: int64 (Bl, Jc, U). area: int64 (Bl, Jc, U, G). All in pixels.
    """

    coarse: np.ndarray
    pairs: np.ndarray
    above: np.ndarray
    tail: np.ndarray
    area: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return _nbytes(self)


@dataclass(frozen=True, eq=False)
class TailTable:
    """Counts of pixels above J ascending activation values per unit.

    edges: float32 (U, J), ascending, duplicates possible. tail: int64 (U, J), pixels strictly above each edge.
    above: int32 or int64 (U, J, C), of these, pixels where the concept is seen.
    area: int64 (U, J, G), of these, pixels of images annotated for the category. minimum: float32 (U,), the smallest
    activation. exact: the quantile whose thresholds are exactly edges[:, 0], or None.
    blocks: the same by block of images, or None. chance: float32 (D, Jc, U), best IoU at the coarse edges when a
    unit's images are paired with the labels of other images, in D draws of such a pairing, or None.
    """

    edges: np.ndarray
    tail: np.ndarray
    above: np.ndarray
    area: np.ndarray
    minimum: np.ndarray
    exact: float | None = None
    blocks: Blocks | None = None
    chance: np.ndarray | None = None

    @property
    def units(self) -> int:
        """U."""
        return self.edges.shape[0]

    @property
    def concepts(self) -> int:
        """C."""
        return self.above.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, blocks included."""
        return _nbytes(self)


@dataclass(frozen=True, eq=False)
class Reading:
    """Thresholds at a quantile and the counts that belong to them.

    threshold: float32 (U,). intersection: int64 (U, C) and activation_area: int64 (U, G), in pixels.
    outside: bool (U,), the bracket does not reach the quantile; the values are then those of the nearest edge.
    place: float64 (U,), where in the list of edges the counts lie: 2.25 is edge 2 and a quarter of the way, counted
    in pixels, to edge 3.
    """

    threshold: np.ndarray
    intersection: np.ndarray
    activation_area: np.ndarray
    outside: np.ndarray
    place: np.ndarray


def read_at(table: TailTable, quantile: float, total: int) -> Reading:
    """Thresholds and counts at a quantile: k = tail_count(total, quantile) pixels may exceed t_u.

    total: all pixels of a unit, images x grid cells. Between two edges the threshold is interpolated in log(tail), as
    if the tail were exponential there, and linearly where nothing exceeds the upper edge; the counts linearly in the
    number of pixels, so that exactly k pixels are above. Edges that are neighbouring floats hold one repeated value (a
    saturated unit): t_u is that value. Where fewer than k pixels exceed the first edge and the smallest activation is
    not below it, all others equal it (zeros after a ReLU): t_u is the first edge.
    Raises OptionError when quantile or total is outside its range.

    >>> table = TailTable(
    ...     edges=np.float32([[1, 2]]), tail=np.array([[40, 10]]), above=np.array([[[20], [8]]]),
    ...     area=np.array([[[40], [10]]]), minimum=np.float32([0]),
    ... )
    >>> reading = read_at(table, 0.98, total=1000)  # 20 of 1000 pixels: log 40, log 20, log 10 are evenly spaced
    >>> reading.threshold.tolist(), reading.intersection.tolist(), reading.activation_area.tolist()
    ([1.5], [[12]], [[20]])
    """
    if not 0 < quantile < 1:
        raise OptionError(f"quantile: expected a level in (0, 1), such as 0.99 for the top 1 %, got {quantile}")
    if total < 1:
        raise OptionError(f"total: expected the number of pixels, images x grid cells, at least 1, got {total}")
    allowed, rows = tail_count(total, quantile), np.arange(table.units)
    lower, upper, share, outside = _bin_of(table, allowed, exact=quantile == table.exact)
    low, high = table.edges[rows, lower].astype(np.float64), table.edges[rows, upper].astype(np.float64)
    count, rest = table.tail[rows, lower], table.tail[rows, upper]
    inside = (upper > lower) & (rest > 0)
    fraction = share.copy()  # linear in the count where log(rest) does not exist
    span = np.log(np.where(inside, count, 2) / np.where(inside, rest, 1))
    np.divide(np.log(np.where(inside, count, 1) / max(allowed, 1)), span, out=fraction, where=inside)
    fraction[share == 1] = 1  # an atom, or exactly on the edge
    with np.errstate(invalid="ignore"):  # inf - inf, inf * 0
        between = np.clip(low + fraction * (high - low), low, high)
    endless = np.isinf(low) | np.isinf(high)  # nothing to interpolate: the finite one of the two edges
    between = np.where(endless, np.where(np.isinf(low), high, low), between)
    threshold = np.where(fraction == 0, low, np.where(fraction == 1, high, between)).astype(np.float32)
    counts = [_between(cube[rows, lower], cube[rows, upper], share) for cube in (table.above, table.area)]
    return Reading(threshold, counts[0], counts[1], outside, lower + share)


def _bin_of(table: TailTable, allowed: int, exact: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The edges around `allowed` pixels: int64 (U,) twice, the share of the bin's pixels below t_u, and outside."""
    tail, edges, rows = table.tail, table.edges, np.arange(table.units)
    last = tail.shape[1] - 1
    nothing, inside = np.zeros(len(tail), dtype=np.int64), np.zeros(len(tail), dtype=bool)
    if exact:
        return nothing, nothing, nothing.astype(np.float64), inside
    first = (tail > allowed).sum(1)  # of edges with the same count, the lowest: nearest to t_u
    lower, upper = np.clip(first - 1, 0, last), np.clip(first, 0, last)
    count, rest = tail[rows, lower], tail[rows, upper]
    share = np.divide(count - allowed, count - rest, out=np.zeros(len(tail)), where=count > rest)
    low, high = edges[rows, lower], edges[rows, upper]
    share[(lower < upper) & _neighbours(low, high)] = 1
    outside = (first > last) | ((tail[:, 0] < allowed) & ~_rests_on_first(table))
    return lower, upper, share, outside


def _between(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Counts between those of two edges, int64 (U, n)."""
    return np.rint(low + share[:, None] * (high - low)).astype(np.int64)


def _neighbours(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """No float32 lies between: what is above `low` and not above `high` is `high` itself."""
    return np.nextafter(low, np.float32(np.inf)) >= high


def _rests_on_first(table: TailTable) -> np.ndarray:
    """Units whose values below the bracket all equal its first edge, as after a ReLU: bool (U,)."""
    return table.minimum >= table.edges[:, 0]


def tail_at(table: TailTable, place: np.ndarray) -> np.ndarray:
    """Pixels above the thresholds of a reading, by its `place`: float64 (U,). Less than k where t_u is an atom."""
    rows, lower = np.arange(table.units), np.floor(place).astype(np.int64)
    upper = np.minimum(lower + 1, table.tail.shape[1] - 1)
    low, high = table.tail[rows, lower], table.tail[rows, upper]
    return low + (place - lower) * (high - low)


def coarse_place(table: TailTable, coarse: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a reading lies among the coarse edges: the edge below, int64 (U,), and the share above it, float64 (U,).

    coarse: int64 (Jc,), ascending. The share counts pixels, as in Reading.place; beyond the first or last coarse
    edge it is that edge. With one edge, or on the last, the share is 0.

    >>> table = TailTable(
    ...     edges=np.float32([[1, 2, 3]]), tail=np.array([[40, 20, 0]]), above=np.zeros((1, 3, 1)),
    ...     area=np.zeros((1, 3, 1)), minimum=np.float32([0]),
    ... )
    >>> lower, share = coarse_place(table, np.array([0, 2]), np.array([1.5]))  # 10 of 40 pixels are above
    >>> lower.tolist(), share.tolist()
    ([0], [0.75])
    """
    last, rows = len(coarse) - 1, np.arange(table.units)
    inside = np.clip(place, coarse[0], coarse[-1])
    lower = np.searchsorted(coarse, inside, side="right") - 1
    low, high = table.tail[rows, coarse[lower]], table.tail[rows, coarse[np.minimum(lower + 1, last)]]
    return lower, np.divide(low - tail_at(table, inside), low - high, out=np.zeros(len(rows)), where=low > high)


def coverage(table: TailTable, total: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest quantile that every unit's bracket answers: two float64 (U,).

    The lowest is 0 for a unit whose other activations all equal its first edge.

    >>> table = TailTable(
    ...     edges=np.float32([[1, 2]]), tail=np.array([[40, 10]]), above=np.zeros((1, 2, 1)),
    ...     area=np.zeros((1, 2, 1)), minimum=np.float32([0]),
    ... )
    >>> [quantile.tolist() for quantile in coverage(table, total=1000)]
    [[0.96], [0.99]]
    """
    lowest = np.where(_rests_on_first(table), 0.0, 1 - table.tail[:, 0] / total)
    return (lowest if table.exact is None else np.minimum(lowest, table.exact)), 1 - table.tail[:, -1] / total


def unresolved(
    table: TailTable, total: int, bracket: tuple[float, float] = BRACKET, limit: float = RANK_ERROR
) -> np.ndarray:
    """Units that the table cannot answer for everywhere in the bracket of quantiles: bool (U,).

    Either the edges do not reach over the whole bracket, or between two of them the rank of an interpolated threshold
    may be off by more than `limit`, see rank_error.

    >>> table = TailTable(
    ...     edges=np.float32([[1, 2]]), tail=np.array([[40, 10]]), above=np.zeros((1, 2, 1)),
    ...     area=np.zeros((1, 2, 1)), minimum=np.float32([0]),
    ... )
    >>> unresolved(table, total=1000).tolist()  # 30 pixels are inside, but not 1
    [True]
    """
    most, least = tail_count(total, bracket[0]), tail_count(total, bracket[1])
    short = ((table.tail[:, 0] < most) & ~_rests_on_first(table)) | (table.tail[:, -1] > least)
    return short | (rank_error(table, total, bracket) > limit)


def rank_error(table: TailTable, total: int, bracket: tuple[float, float] = BRACKET) -> np.ndarray:
    """How far the rank of a threshold interpolated in the bracket may be off, as a share of all pixels: float64 (U,).

    Interpolation in log(tail) is wrong where log(tail) bends: by h^2 / 8 times its second derivative in a bin of
    width h. The derivative is estimated from the slopes of the two neighbouring bins, the larger of both; the error is
    at most the bin's mass, which is used where a neighbour or the log is missing. A bin between neighbouring
    floats holds one value and is exact. Simulated (1 million pixels, 14 edges at 6 % to .07 % from a pilot of
    50,000; tests/dissection/test_tails.py): 1 to 3 times the true error for Gaussian, rectified, lognormal, Pareto,
    uniform, beta and bimodal units. What the pixels of a bin scatter around a smooth curve is not in it: up to 1.5
    sqrt(mass) pixels, 1.5e-4 of 1 million, but 5e-4 of 120,000, where it is still less than a threshold's own error.
    An atom inside a bin is noticed down to .1 % of the pixels, though its error may be underestimated 2 to 3 times.
    What it cannot see: values that come in even steps as wide as the bins (a coarsely quantised model).
    """
    most, least = tail_count(total, bracket[0]), tail_count(total, bracket[1])
    count, rest = table.tail[:, :-1].astype(np.float64), table.tail[:, 1:].astype(np.float64)
    low, high = table.edges[:, :-1], table.edges[:, 1:]
    atom = _neighbours(low, high)
    with np.errstate(invalid="ignore"):  # infinite edges
        width = np.where(atom, np.nan, high.astype(np.float64) - low)  # NaN: not a slope
    width[np.isinf(width)] = np.nan
    slope = np.log(np.maximum(count, 0.5) / np.maximum(rest, 0.5)) / width
    none = np.full((table.units, 1), np.nan)
    bend = 2 * np.abs(np.diff(slope)) / (width[:, 1:] + width[:, :-1])  # between bins
    bend = np.fmax(np.hstack([none, bend]), np.hstack([bend, none]))
    mass = count - rest
    error = np.fmin(count * bend * width**2 / 8, mass)
    error = np.where(rest == 0, mass, error)
    error[atom | (count <= least) | (rest >= most)] = 0
    return error.max(axis=1, initial=0) / total
