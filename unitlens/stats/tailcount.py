"""TailCount: on how many pixels each unit exceeds each of several activation values, and what is seen there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from unitlens.errors import OptionError, ShapeMismatch
from unitlens.stats.accumulator import Accumulator, at_least_one, positions
from unitlens.stats.paircount import GroupNumbers, countable, group_numbers

MAX_EDGES = 64  # bins are found by at most six halvings


@dataclass(frozen=True, eq=False)
class LabelPlanes:
    """The labels of a batch of B images, laid out for counting: made once, used by all layers.

    planes: int64 (B P, K), pixel after pixel, every label counted once per pixel (0 = none).
    pattern: int64 (B,), which of the R annotation patterns an image has. looked: bool (R, G), the patterns.
    """

    planes: torch.Tensor
    pattern: torch.Tensor
    looked: torch.Tensor
    pixels: int

    @classmethod
    def of(
        cls, labels: torch.Tensor, annotated: torch.Tensor | None, group_of_concept: torch.Tensor, groups: int
    ) -> LabelPlanes:
        """labels: whole numbers (B, K, P) or (B, K, H, W). annotated: bool (B, G), None = all of them.

        Raises ConceptError for labels outside 0..C, ShapeMismatch.

        >>> LabelPlanes.of(torch.tensor([[[1, 0]], [[2, 2]]]), None, torch.tensor([0, 0]), 1).planes.flatten().tolist()
        [1, 0, 2, 2]
        """
        planes = countable(labels, annotated, group_of_concept, groups)  # (B, K, P)
        if annotated is None:
            looked = torch.ones(1, groups, dtype=torch.bool)
            pattern = torch.zeros(len(planes), dtype=torch.int64)
        else:
            looked, pattern = annotated.detach().cpu().unique(dim=0, return_inverse=True)
        flat = planes.transpose(1, 2).flatten(0, 1).long().contiguous()
        return cls(flat, pattern.to(flat.device), looked.to(flat.device), int(planes.shape[2]))

    def to(self, device: torch.device) -> LabelPlanes:
        """The same on a device."""
        if self.planes.device == device:
            return self
        return LabelPlanes(self.planes.to(device), self.pattern.to(device), self.looked.to(device), self.pixels)

    def __len__(self) -> int:
        return len(self.pattern)


class TailCount(Accumulator):
    """Counts the pixels of a unit's tail by activation and by label: the one table that everything is read off.

    Only the pixels above the unit's lowest edge are given (TailPixels finds them), about 5 %. With edges e_0 <= ... <=
    e_{J-1}, bin j holds the values in (e_j, e_{j+1}], the last one all above e_{J-1} (paper.md 6.2a).
    `draws` control tables count the same pixels with the labels of other images, in coarser bins: what labels give by
    chance.

    units: U. concepts: C. groups: G. edges: float32 (U, J), ascending, at most 64. group_of_concept: (C,).
    draws: D. coarse: which of the edges bound the bins of the control, ascending.
    States: bins int32 (U, J, C + 1), label 0 = none; tail int64 (U, J) and area int64 (U, J, G), in bins;
    chance int32 (D, U, Jc, C + 1); minimum float32 (U,); wrong int64 (U,), NaN and infinite activations.
    Raises OptionError, ShapeMismatch.

    >>> count = TailCount(units=1, concepts=2, groups=1, edges=torch.tensor([[0.0, 2.0]]), group_of_concept=[0, 0])
    >>> labels = LabelPlanes.of(torch.tensor([[[1, 0, 2, 2]]]), None, torch.tensor([0, 0]), 1)
    >>> place = torch.tensor([0, 3], dtype=torch.int32)
    >>> count.update(torch.zeros(2, dtype=torch.int32), place // 4, place, torch.tensor([1.0, 3.0]), labels)
    >>> count.above()[0].tolist(), count.exceeding()[0].tolist()
    ([[1, 1], [0, 1]], [2, 1])
    """

    sizes: ClassVar = ("units", "concepts", "groups")
    settings: ClassVar = ("edges", "group_of_concept", "draws", "coarse")
    states: ClassVar = {"bins": "sum", "tail": "sum", "area": "sum", "chance": "sum", "minimum": "min", "wrong": "sum"}

    def __init__(
        self,
        units: int,
        concepts: int,
        groups: int,
        edges: torch.Tensor,
        group_of_concept: GroupNumbers,
        draws: int = 0,
        coarse: torch.Tensor | None = None,
    ):
        super().__init__()
        at_least_one(units=units, concepts=concepts, groups=groups)
        self.units, self.concepts, self.groups, self.draws = int(units), int(concepts), int(groups), int(draws)
        self.edges = _edges(edges, self.units)
        self.group_of_concept = group_numbers(group_of_concept, self.concepts, self.groups)
        self.coarse = torch.zeros(0, dtype=torch.int64) if coarse is None else coarse.detach().cpu().long()
        if self.draws and not len(self.coarse):
            raise OptionError("coarse: expected the positions of some edges, because draws are asked for, got none")
        levels, labels = self.edges.shape[1], self.concepts + 1
        self.bins = torch.zeros(self.units, levels, labels, dtype=torch.int32)
        self.tail = torch.zeros(self.units, levels, dtype=torch.int64)
        self.area = torch.zeros(self.units, levels, self.groups, dtype=torch.int64)
        self.chance = torch.zeros(self.draws, self.units, len(self.coarse), labels, dtype=torch.int32)
        self.minimum = torch.full((self.units,), torch.inf)
        self.wrong = torch.zeros(self.units, dtype=torch.int64)
        self._loaded()

    @torch.inference_mode()
    def update(
        self,
        unit: torch.Tensor,
        image: torch.Tensor,
        pixel: torch.Tensor,
        value: torch.Tensor,
        labels: LabelPlanes,
        others: LabelPlanes | None = None,
    ) -> None:
        """Take in pixels whose value exceeds their unit's lowest edge, n of them, of one batch of B images.

        unit, image, pixel: int32 (n,), image in 0..B-1, pixel in 0..P-1. value: float32 (n,).
        others: for the control, the labels of D x B other images, draw after draw.
        """
        self._follow(value.device)
        labels = labels.to(self.device)
        unit, image, pixel, value = (part.to(self.device) for part in (unit, image, pixel, value))  # MPS: on the CPU
        levels = self.edges.shape[1]
        slot = self._bin(unit, value)  # unit x J + bin
        ones = torch.ones(len(slot) * labels.planes.shape[1], dtype=torch.int32, device=self.device)
        self._areas(slot, image, labels, ones[: len(slot)])
        place = image * labels.pixels + pixel
        self._labels(self.bins, slot, place, labels.planes, ones)
        if not self.draws or others is None:
            return
        others = others.to(self.device)
        coarse = self._coarse_of.index_select(0, slot - unit * levels)
        some = positions(coarse >= 0)
        place, ones = place.index_select(0, some), ones[: len(some) * others.planes.shape[1]]
        slot = unit.index_select(0, some) * len(self.coarse) + coarse.index_select(0, some)
        for draw in range(self.draws):  # a handful of draws
            shift = draw * len(labels) * labels.pixels
            self._labels(self.chance[draw], slot, place + shift, others.planes, ones)

    def note(self, minimum: torch.Tensor, wrong: torch.Tensor | None = None) -> None:
        """Take in each unit's smallest activation, float32 (U,), and how many were NaN or infinite, int64 (U,)."""
        self.minimum = torch.minimum(self.minimum, minimum.to(self.device))
        if wrong is not None:
            self.wrong = self.wrong + wrong.to(self.device)

    @torch.inference_mode()
    def clear(self) -> None:
        """Forget all that was taken in, but keep the memory: taking new memory costs more than writing zeros."""
        for table in (self.bins, self.tail, self.area, self.chance, self.wrong):
            table.zero_()
        self.minimum.fill_(torch.inf)

    def compute(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(`above()`, `exceeding()`, area above each edge int64 (U, J, G)), on the CPU."""
        return self.above(), self.exceeding(), _from_above(self.area.cpu())

    def above(self) -> torch.Tensor:
        """Pixels above each edge that show each concept: int32 (U, J, C), CPU."""
        return _from_above(self.bins[:, :, 1:].cpu())

    def exceeding(self) -> torch.Tensor:
        """Pixels above each edge: int64 (U, J), CPU."""
        return _from_above(self.tail.cpu())

    def chance_above(self) -> torch.Tensor:
        """The control's pixels above each coarse edge that show each concept: int32 (D, U, Jc, C), CPU."""
        return _from_above(self.chance[..., 1:].cpu(), axis=2)

    def _bin(self, unit: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """unit x J + the number of the last edge below the value, by halving: int32 (n,)."""
        at, step = unit * self._width, self._width // 2
        while step:
            at += (self._padded.index_select(0, at + step) < value).int() * step
            step //= 2
        return at - unit * (self._width - self.edges.shape[1])

    def _areas(self, slot: torch.Tensor, image: torch.Tensor, labels: LabelPlanes, ones: torch.Tensor) -> None:
        patterns, size = len(labels.looked), self.tail.numel()
        found = torch.zeros(patterns * size, dtype=torch.int32, device=self.device)
        key = slot if patterns == 1 else labels.pattern.index_select(0, image) * size + slot
        found.scatter_add_(0, key.long(), ones)
        by_pattern = found.view(patterns, *self.tail.shape).long()
        self.tail += by_pattern.sum(0)
        if patterns == 1 and bool(labels.looked.all()):
            self.area += by_pattern[0][..., None]
        else:  # a product of whole numbers; float64 holds them exactly, and CUDA multiplies no int64 matrices
            self.area += torch.einsum("ruj,rg->ujg", by_pattern.double(), labels.looked.double()).long()

    def _labels(
        self, table: torch.Tensor, slot: torch.Tensor, place: torch.Tensor, planes: torch.Tensor, ones: torch.Tensor
    ) -> None:
        key = _rows(planes, place)  # (n, K)
        key += (slot.long() * (self.concepts + 1))[:, None]
        table.view(-1).scatter_add_(0, key.view(-1), ones)

    def _loaded(self) -> None:
        self._width = 2 ** (self.edges.shape[1] - 1).bit_length()
        empty = torch.full((self.units, self._width - self.edges.shape[1]), torch.inf)
        self._padded = torch.cat([self.edges, empty], 1).view(-1).to(self.device)
        # Which coarse bin each fine one lies in; -1 = below the lowest coarse edge.
        fine = torch.arange(self.edges.shape[1])
        self._coarse_of = (torch.searchsorted(self.coarse, fine, right=True) - 1).int().to(self.device)


def _rows(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Some rows of a table, a copy."""
    if table.device.type == "cpu":  # numpy takes short rows twice as quickly
        return torch.from_numpy(table.numpy().take(rows.numpy(), axis=0))
    return table.index_select(0, rows)


def _edges(edges: torch.Tensor, units: int) -> torch.Tensor:
    edges = torch.as_tensor(edges).detach().cpu().float()
    if edges.ndim != 2 or len(edges) != units or not 1 <= edges.shape[1] <= MAX_EDGES:
        raise ShapeMismatch(f"edges: expected ({units} units, 1 to {MAX_EDGES} edges), got {tuple(edges.shape)}")
    if bool((edges.diff(dim=1) < 0).any()) or bool(edges.isnan().any()):
        raise OptionError("edges: expected ascending numbers for every unit")
    return edges.contiguous()


def _from_above(bins: torch.Tensor, axis: int = 1) -> torch.Tensor:
    """Sums from each bin to the last: values in bins -> values above edges."""
    return bins.flip(axis).cumsum(axis, dtype=bins.dtype).flip(axis)
