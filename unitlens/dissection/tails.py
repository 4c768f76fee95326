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
    if the tail were exponential there, and linearly where nothing exceeds the upper edge; the counts by a monotone
    cubic in the number of pixels (`_between`), so that exactly k pixels are above. A little beyond the first or last
    edge both go on as in the bins beside it. Edges that are neighbouring floats hold one repeated value (a saturated
    unit): t_u is that value.
    Where fewer than k pixels exceed the first edge and the smallest activation is
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
    threshold = np.where(fraction == 0, low, np.where(fraction == 1, high, between))
    threshold = _lowered(table, allowed, threshold).astype(np.float32)
    counts = []
    for cube in (table.above, table.area):
        inner = _between(cube, table.tail, lower, upper, share)
        counts.append(np.rint(_continued(cube, table, allowed, inner)).astype(np.int64))
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


def _between(
    cube: np.ndarray, tail: np.ndarray, lower: np.ndarray, upper: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """Counts between those of two edges, int64 (U, n): a monotone cubic in the number of pixels above (Fritsch and
    Carlson 1980), which follows the bend that the neighbouring bins show. cube: (U, J, n), tail: (U, J)."""
    rows, last = np.arange(len(tail)), tail.shape[1] - 1
    edges = np.stack([np.maximum(lower - 1, 0), lower, upper, np.minimum(upper + 1, last)])  # (4, U)
    count = tail[rows, edges].astype(np.float64)
    left, width, right = (count[i] - count[i + 1] for i in range(3))
    y = [cube[rows, edge] for edge in edges]  # 4 of (U, n)

    def slope(high: int, gap: np.ndarray) -> np.ndarray:
        step = np.divide(1.0, gap, out=np.zeros(len(gap)), where=gap > 0)
        return np.asarray((y[high] - y[high + 1]) * step[:, None])

    before, inside, after = slope(0, left), slope(1, width), slope(2, right)
    # A straight line where there is no bin beyond.
    low = np.where((left > 0)[:, None], _mean(before, inside, left, width), inside).clip(0, 3 * inside)
    high = np.where((right > 0)[:, None], _mean(after, inside, right, width), inside).clip(0, 3 * inside)
    t, span = (1 - share)[:, None], width[:, None]  # t = 0 at the upper edge
    value = (1 + 2 * t) * (1 - t) ** 2 * y[2] + t * (1 - t) ** 2 * span * high
    value = value + t * t * (3 - 2 * t) * y[1] + t * t * (t - 1) * span * low
    straight = (share == 0) | (share == 1) | (width <= 0)
    ends = np.where((share == 1)[:, None], y[2], y[1])
    return np.where(straight[:, None], ends, value)


def _continued(cube: np.ndarray, table: TailTable, allowed: int, counts: np.ndarray) -> np.ndarray:
    """Counts where t_u lies a little beyond the first or last edge: as many of the pixels that are missing or too many
    show the concept as of those in the first three bins, or of those above the last edge."""
    if table.exact is not None:
        return counts
    short = np.flatnonzero((table.tail[:, 0] < allowed) & ~_rests_on_first(table))
    over = np.flatnonzero(table.tail[:, -1] > allowed)
    if len(short):
        some = min(3, table.tail.shape[1] - 1)  # bins: one alone may hold few pixels
        first = (table.tail[short, 0] - table.tail[short, some]).clip(1)
        share = (cube[short, 0] - cube[short, some]) / first[:, None]
        counts[short] = cube[short, 0] + share * (allowed - table.tail[short, 0])[:, None]
    if len(over):
        counts[over] = cube[over, -1] * (allowed / table.tail[over, -1])[:, None]
    return counts


def _lowered(table: TailTable, allowed: int, threshold: np.ndarray) -> np.ndarray:
    """Thresholds a little below the first edge: log(tail) goes on as in the first three bins."""
    some = min(3, table.tail.shape[1] - 1)
    short = (table.tail[:, 0] < allowed) & ~_rests_on_first(table) & (table.tail[:, some] > 0)
    short &= table.tail[:, 0] > table.tail[:, some]
    if table.exact is not None or not short.any():
        return threshold
    count, later = table.tail[short, 0], table.tail[short, some]
    slope = (table.edges[short, some] - table.edges[short, 0]) / np.log(count / later)
    lowered = threshold.astype(np.float64)
    lowered[short] = table.edges[short, 0] - slope * np.log(allowed / count)
    return np.maximum(lowered, table.minimum)


def _mean(outer: np.ndarray, inner: np.ndarray, outer_width: np.ndarray, inner_width: np.ndarray) -> np.ndarray:
    """The slope at the edge between two bins: that of the parabola through both."""
    both = np.maximum(outer_width + inner_width, 1)[:, None]
    return np.asarray((outer * inner_width[:, None] + inner * outer_width[:, None]) / both)


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
    table: TailTable, total: int, bracket: tuple[float, float] = BRACKET, limit: float = RANK_ERROR,
    margin: float = 1.0,
) -> np.ndarray:  # fmt: skip
    """Units that the table cannot answer for everywhere in the bracket of quantiles: bool (U,).

    Either the edges do not reach over the whole bracket, or between two of them the rank of an interpolated threshold
    may be off by more than `limit`, see rank_error. margin: 1.5 lets the edges fall short of either end by a factor of
    1.5 in the number of pixels; read_at continues the counts that far.

    >>> table = TailTable(
    ...     edges=np.float32([[1, 2]]), tail=np.array([[40, 10]]), above=np.zeros((1, 2, 1)),
    ...     area=np.zeros((1, 2, 1)), minimum=np.float32([0]),
    ... )
    >>> unresolved(table, total=1000).tolist()  # 30 pixels are inside, but not 1
    [True]
    """
    most, least = tail_count(total, bracket[0]), tail_count(total, bracket[1])
    short = (table.tail[:, 0] * margin < most) & ~_rests_on_first(table)
    short |= table.tail[:, -1] > least * margin
    return short | (rank_error(table, total, bracket) > limit)


def rank_error(table: TailTable, total: int, bracket: tuple[float, float] = BRACKET) -> np.ndarray:
    """How far the rank of a threshold interpolated in the bracket may be off, as a share of all pixels: float64 (U,).

    Interpolation in log(tail) is wrong where log(tail) bends: by h^2 / 8 times its second derivative in a bin of
    width h. The derivative is estimated from the slopes of the two neighbouring bins, the larger of both; the error is
    at most the bin's mass, which is used where a neighbour or the log is missing. A bin between neighbouring
    floats holds one value and is exact. Simulated with 1 million pixels and 14 or 16 edges at 6 % to .07 % from a pilot
    of 50,000: .7 to 3 times the true error for Gaussian, rectified, lognormal, Pareto, uniform, beta and bimodal
    units; it flags some that are just within the limit. Exponential units do not bend; their .8e-4 is scatter.
    The scatter of a bin's pixels around a smooth curve is not in it: of the order of sqrt(mass) pixels, 1e-4 of
    1 million, but 3e-4 of 120,000, where single thresholds were 4.6e-4 off.
    An atom of .2 % or .08 % of the pixels inside a bin is noticed, its error underestimated up to 3 times.
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
