"""Chance: which units match a concept better than they would match the labels of other images.

With thousands of rare labels the best of them reaches a noticeable IoU by chance. A dissection measures how much: it
pairs every unit's activations with the labels of other images, D times, and keeps the best IoU. numpy only.
"""

from __future__ import annotations

import numpy as np

from unitlens.dissection.tails import Reading, TailTable, coarse_place
from unitlens.errors import OptionError, ShapeMismatch


def chance_at(table: TailTable, reading: Reading) -> np.ndarray | None:
    """The units' best IoUs by chance at a reading's thresholds: float64 (D, U); None when none were measured.

    Interpolated between the edges around each threshold, by the number of pixels. They are the last Jc of the edges
    that blocks are counted at; without blocks, all edges, or the first when chance was measured at one.
    Raises ShapeMismatch when these do not fit the chance table.

    >>> table = TailTable(
    ...     edges=np.float32([[1, 2]]), tail=np.array([[40, 0]]), above=np.zeros((1, 2, 1)), area=np.zeros((1, 2, 1)),
    ...     minimum=np.float32([0]), chance=np.float32([[[0.25], [0.5]]]),
    ... )
    >>> from unitlens.dissection.tails import read_at
    >>> chance_at(table, read_at(table, 0.98, total=1000)).tolist()  # half of the 40 pixels are above
    [[0.375]]
    """
    if table.chance is None:
        return None
    levels = table.chance.shape[1]
    if table.blocks is not None:
        coarse = table.blocks.coarse[-levels:]
    else:
        coarse = np.arange(table.edges.shape[1] if levels > 1 else 1)
    if len(coarse) != levels:
        raise ShapeMismatch(f"chance: expected {len(coarse)} coarse edges in (D, Jc, U), got {table.chance.shape}")
    lower, share = coarse_place(table, coarse, reading.place)
    rows = np.arange(table.units)
    low, high = table.chance[:, lower, rows], table.chance[:, np.minimum(lower + 1, levels - 1), rows]
    return np.asarray(low + share * (high - low.astype(np.float64)))


def beats_chance(
    best_iou: np.ndarray, chance: np.ndarray | None, rate: float = 0.05, null: str = "scaled"
) -> tuple[np.ndarray, np.ndarray, float]:
    """Which units' best IoU beats chance: p float64 (U,), beats bool (U,), and the smallest best IoU that does.

    p = (1 + chance IoUs at least as high) / (1 + chance IoUs). Units with a p so small that among those called at
    most a share `rate` is expected to be there by chance beat it (Benjamini and Hochberg 1995). Units that never
    match anything get p = 1 and do not count. level is inf when no unit beats chance, NaN when chance was not measured
    (`chance` None or D = 0): then p is NaN and nothing beats it, so ask for isnan(level) first.

    best_iou: (U,); chance: (D, U), chance_at(...), of one layer. null: which chance IoUs a unit is compared with.
    "scaled" (default): those of the whole layer, each divided by the mean of its unit's other draws, as the unit's
    IoU is by the mean of its own. A unit that fires in few images matches more by chance, and wider; with "layer",
    the pooled IoUs as they are, such units take most of the false calls and quiet units lose theirs. "unit": only its
    own D draws, no assumption at all, but p is never below 1 / (1 + D): for D of 20 U and more.
    "scaled" needs D >= 3, else "layer" is used. No p is below 1 / (1 + D U): with D draws, 1 / (D rate) units or more
    must stand out for any to be called, 4 of them with 5 draws at .05, 1 with 20.
    Simulated: 120 units on 1,500 rare labels, a quarter firing in 20-40 of 2,000 images (chance IoU .036 +- 14 %), the
    rest in 200-900 (.008 +- 7 %). Noise only: .05 % of the units called. With 60 quiet units planted at 2.5 times
    their chance IoU, "scaled" finds all from 3 draws on, 4 % of its calls false; "layer" finds none.
    Raises OptionError, ShapeMismatch.

    >>> p, beats, level = beats_chance(np.array([0.5, 0.02]), np.tile([0.01, 0.02, 0.03], (2, 20)).T)
    >>> p.round(2).tolist(), beats.tolist(), level
    ([0.01, 0.67], [True, False], 0.5)
    """
    if null not in ("scaled", "layer", "unit"):
        raise OptionError(f"null: expected 'scaled', 'layer' or 'unit', got {null!r}")
    if not 0 < rate < 1:
        raise OptionError(f"rate: expected a share of false calls in (0, 1), such as 0.05, got {rate}")
    best = np.nan_to_num(np.asarray(best_iou, dtype=np.float64))
    if chance is not None and (chance.ndim != 2 or chance.shape[1] != len(best)):
        raise ShapeMismatch(f"chance: expected (D, U) = (D, {len(best)}), got {chance.shape}")
    if chance is None or len(chance) == 0:
        return np.full(len(best), np.nan), np.zeros(len(best), dtype=bool), float("nan")
    live = best > 0
    p = np.ones(len(best))
    p[live] = _p_values(best, np.asarray(chance, dtype=np.float64), null)[live]
    beats = np.zeros(len(best), dtype=bool)
    beats[live] = discoveries(p[live], rate)
    return p, beats, float(best[beats].min(initial=np.inf))


def _p_values(best: np.ndarray, chance: np.ndarray, null: str) -> np.ndarray:
    draws = len(chance)
    if null == "unit":
        return np.asarray((1 + (chance >= best).sum(0)) / (1 + draws))
    fires = (best > 0) | (chance > 0).any(0)  # a dead unit's zeros say nothing about the others
    if null == "scaled" and draws >= 3:
        # Leaving a draw out of the mean it is divided by makes it comparable with the unit's IoU, which is not in its
        # mean either; otherwise few draws would look narrower than they are.
        total = chance.sum(0)
        best = _over(best, total / draws)
        chance = _over(chance, (total - chance) / (draws - 1))
    pool = np.sort(chance[:, fires], axis=None)
    return np.asarray((1 + len(pool) - np.searchsorted(pool, best, side="left")) / (1 + len(pool)))


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole; inf where only the whole is 0: anything is infinitely more than a unit that matches nothing."""
    empty = np.where(part > 0, np.inf, 0.0)
    return np.divide(part, whole, out=empty, where=np.broadcast_to(whole > 0, part.shape))


def discoveries(p: np.ndarray, rate: float) -> np.ndarray:
    """Benjamini-Hochberg: bool (n,), the largest set of smallest p whose largest is at most rate x its share of all.

    >>> discoveries(np.array([0.001, 0.5, 0.03, 0.9]), 0.1).tolist()
    [True, False, True, False]
    """
    ranked = np.sort(p)
    passed = np.flatnonzero(ranked <= rate * np.arange(1, len(p) + 1) / max(len(p), 1))
    return p <= ranked[passed[-1]] if len(passed) else np.zeros(len(p), dtype=bool)
