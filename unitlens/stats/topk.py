"""TopK: the images that each unit likes best, with the activation maps that show where."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch

from unitlens.errors import RecipeMismatch, ShapeMismatch
from unitlens.stats.accumulator import Accumulator, at_least_one

NONE = torch.iinfo(torch.int64).max  # sorts after every image; shown as -1
AT_A_TIME = 2**20  # cells of maps that are fetched in one go: memory in hand is reused
HALF_MAX = torch.finfo(torch.float16).max


class Top(NamedTuple):
    """The winners, CPU, best first.

    values: float32 (U, k), -inf where fewer came. images: int64 (U, k), positions in the probe set, -1 where fewer
    came. maps: float16 (U, k, h, w), zeros where fewer came, or None when no maps were given.
    """

    values: torch.Tensor
    images: torch.Tensor
    maps: torch.Tensor | None


class TopK(Accumulator):
    """The k images with the largest value of each unit; equal values: the lowest index first.

    The winners' activation maps travel along in float16 (clamped to its range), so a gallery needs no second pass
    (paper.md 6.2; the value is the largest activation of the image, 9.14). Exact under any split: order is decided by
    (value, index) alone. NaN counts as -inf. Values are kept in float32.

    units: U. k: images per unit.
    Raises OptionError when units or k is below 1.

    >>> top = TopK(units=1, k=2)
    >>> top.update(torch.tensor([[0.5], [2.0], [2.0]]), index=torch.tensor([7, 9, 8]))
    >>> top.compute().images.tolist()
    [[8, 9]]
    """

    sizes: ClassVar = ("units",)
    settings: ClassVar = ("k",)
    states: ClassVar = {"values": "_merge_top", "index": "_merge_top", "maps": "_merge_top", "count": "sum"}

    def __init__(self, units: int, k: int):
        super().__init__()
        at_least_one(units=units, k=k)
        self.units, self.k = int(units), int(k)
        self.count = torch.zeros((), dtype=torch.int64)  # images seen
        self.values = torch.full((self.units, self.k), -torch.inf)
        self.index = torch.full((self.units, self.k), NONE)
        self.maps = torch.zeros(self.units, self.k, 0, 0, dtype=torch.float16)  # (0, 0): no maps are carried
        self._loaded()

    @torch.inference_mode()
    def update(
        self,
        values: torch.Tensor,
        index: torch.Tensor,
        maps: torch.Tensor | None = None,
        *,
        keep: Callable[[torch.Tensor], torch.Tensor] | None = None,
        shrinks: bool = False,
        floor: torch.Tensor | None = None,
    ) -> None:
        """Take in one batch.

        values: (B, U), one number per image and unit, any float dtype. index: int64 (B,), positions in the probe set,
        0 or more. maps: (B, U, h, w) activations, or None; every batch alike. keep: what is kept of a winner's map,
        (n, h, w) -> (n, h', w'), where that is not the map itself; shrinks: whether it changes the size.
        floor: float32 (U,), maps of lower values are not needed and stay zeros.
        Raises ShapeMismatch, or RecipeMismatch when maps come in some batches only.
        """
        self._check(values, index, maps)
        if len(values) == 0:
            return
        self._same_maps(_size_kept(maps, keep if shrinks else None))
        self.count += len(values)
        ours = values.detach().float().cpu().T.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)  # (U, B)
        index = index.detach().cpu().long()
        last, worst = self.values[:, -1:], self.index[:, -1:]
        enters = (ours > last) | ((ours == last) & (index < worst))  # (U, B)
        live = enters.any(1).nonzero().squeeze(1)
        batch = index.expand(len(live), -1)
        order = self._rank(torch.cat([self.values[live], ours[live]], 1), torch.cat([self.index[live], batch], 1))
        self._arrange(live, order, ours[live], batch)
        if maps is not None:
            self._carry(live, order, maps.detach(), keep, floor)

    def compute(self) -> Top:
        """The winners so far; see Top."""
        images = torch.where(self.index == NONE, -1, self.index)
        return Top(self.values.clone(), images, self._in_order() if self.maps.shape[2] else None)

    def _rank(self, values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Positions of the k best in each row (L, N) -> (L, k): by value descending, then by index ascending."""
        by_index = index.argsort(dim=1, stable=True)
        by_value = values.gather(1, by_index).argsort(dim=1, descending=True, stable=True)
        return by_index.gather(1, by_value)[:, : self.k]

    def _arrange(self, live: torch.Tensor, order: torch.Tensor, values: torch.Tensor, index: torch.Tensor) -> None:
        self.values[live] = torch.cat([self.values[live], values], 1).gather(1, order)
        self.index[live] = torch.cat([self.index[live], index], 1).gather(1, order)

    def _carry(
        self,
        live: torch.Tensor,
        order: torch.Tensor,
        maps: torch.Tensor,
        keep: Callable[[torch.Tensor], torch.Tensor] | None,
        floor: torch.Tensor | None,
    ) -> None:
        """Put the maps of the images that came in where those of the images that went out are; the others stay."""
        new = order >= self.k
        stays = torch.where(new, self.k, self._slot[live].gather(1, order.clamp(max=self.k - 1)))
        taken = torch.zeros(len(live), self.k + 1, dtype=torch.bool).scatter_(1, stays, True)[:, : self.k]
        free = taken.int().argsort(dim=1, stable=True)  # the free slots first
        slot = torch.where(new, free.gather(1, (new.cumsum(1) - 1).clamp(min=0)), stays)
        self._slot[live] = slot
        wanted = new if floor is None else new & (self.values[live] >= floor[live, None])
        row, place = (new & ~wanted & self._filled[live].gather(1, slot)).nonzero(as_tuple=True)
        self.maps[live[row], slot[row, place]] = 0
        row, place = wanted.nonzero(as_tuple=True)
        image, unit, at = order[row, place] - self.k, live[row], slot[row, place]
        self._filled[unit, at] = True
        step = max(1, AT_A_TIME // max(1, maps.shape[2] * maps.shape[3]))
        for first in range(0, len(row), step):
            some = slice(first, first + step)
            fresh = maps[image[some].to(maps.device), unit[some].to(maps.device)]  # (n, h, w)
            self.maps[unit[some], at[some]] = as_half(keep(fresh) if keep else fresh).cpu()

    def _in_order(self) -> torch.Tensor:
        return self.maps[torch.arange(self.units)[:, None], self._slot]

    def _settle(self) -> None:
        if self.maps.shape[2]:
            self.maps = self._in_order()
        self._loaded()

    def _loaded(self) -> None:
        # Which slot of `maps` holds the map of each winner, and which slots may hold something else than zeros.
        self._slot = torch.arange(self.k).expand(self.units, -1).clone()
        self._filled = torch.full((self.units, self.k), bool(int(self.count)))

    def _merge_top(self, other: TopK) -> None:
        if int(other.count) == 0:
            return
        self._same_maps((int(other.maps.shape[2]), int(other.maps.shape[3])))
        every = torch.arange(self.units)
        values, index = torch.cat([self.values, other.values], 1), torch.cat([self.index, other.index], 1)
        order = self._rank(values, index)
        self.maps = torch.cat([self.maps, other.maps], 1)[every[:, None], order]
        self.values, self.index = values.gather(1, order), index.gather(1, order)

    def _same_maps(self, size: tuple[int, int]) -> None:
        carried = (int(self.maps.shape[2]), int(self.maps.shape[3]))
        if int(self.count) == 0:
            if carried != size:
                self.maps = torch.zeros(self.units, self.k, *size, dtype=torch.float16)
        elif (0 in carried) != (0 in size):
            have, got = ("maps", "none") if 0 in size else ("no maps", "maps")
            raise RecipeMismatch(f"maps: expected {have} as before, got {got}. Give maps in every batch or in none.")
        elif carried != size:
            raise ShapeMismatch(
                f"maps: expected an activation grid of {carried} as before, got {size}. "
                "Keep one TopK per layer and image size."
            )

    def _check(self, values: torch.Tensor, index: torch.Tensor, maps: torch.Tensor | None) -> None:
        if values.ndim != 2 or values.shape[1] != self.units or not values.is_floating_point():
            raise ShapeMismatch(
                f"values: expected floats (images, {self.units} units), got {values.dtype} {tuple(values.shape)}. "
                "Give one number per image and unit, such as activation.amax((2, 3))."
            )
        if index.shape != values.shape[:1] or index.is_floating_point():
            raise ShapeMismatch(f"index: expected {len(values)} whole numbers, got {index.dtype} {tuple(index.shape)}")
        if len(index) and int(index.min()) < 0:
            raise ShapeMismatch(f"index: expected positions of 0 or more, got {int(index.min())}")
        if maps is not None and (maps.ndim != 4 or maps.shape[:2] != values.shape):
            raise ShapeMismatch(
                f"maps: expected (images, units, h, w) with {tuple(values.shape)} first, got {tuple(maps.shape)}. "
                "Give the activations that the values were taken from."
            )


def _size_kept(
    maps: torch.Tensor | None, keep: Callable[[torch.Tensor], torch.Tensor] | None
) -> tuple[int, int]:
    """(h, w) of what is kept of a map; (0, 0) where there are none."""
    if maps is None:
        return 0, 0
    kept = keep(maps[:1, 0]) if keep else maps[:, 0]
    return int(kept.shape[1]), int(kept.shape[2])


def as_half(values: torch.Tensor) -> torch.Tensor:
    """float16, with what float16 cannot hold set to its largest or smallest value; NaN becomes 0.

    >>> as_half(torch.tensor([1e9, -1e9])).tolist()
    [65504.0, -65504.0]
    """
    half = values.half()
    if bool(half.isfinite().all()):  # nearly always
        return half
    return values.float().nan_to_num(nan=0.0).clamp(-HALF_MAX, HALF_MAX).half()  # bfloat16 rounds the limit up
