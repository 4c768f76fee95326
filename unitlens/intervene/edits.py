"""Edits: units switched off, scaled or set, as values that can be added up, compared and written down."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unitlens.errors import OptionError, ShapeMismatch
from unitlens.intervene.places import Places

WAYS = ("zero", "mean", "resample")


@dataclass(frozen=True, eq=False)
class UnitEdit:
    """What is done to some units of a layer; made as `Ablate`, `Scale` or `Insert`. Edits add up with `+`.

    layer: dotted name. units: their numbers; None = all. region: (H, W) of numbers 0..1 in the image's proportions
    (1 = edited, 0 = left as it is), or None = everywhere; it is averaged over the cells of the layer's grid.
    """

    layer: str
    units: tuple[int, ...] | None
    region: np.ndarray | None

    def __init__(self, layer: str, units: Any = None, *, region: Any = None):
        object.__setattr__(self, "layer", str(layer))
        object.__setattr__(self, "units", checked_units(units))
        object.__setattr__(self, "region", _checked_region(region))

    @property
    def needs(self) -> str:
        """What the edit cannot do without: "mean", "resample" (other images) or nothing."""
        return ""

    @property
    def identity(self) -> dict[str, Any]:
        """The edit written down, for recipes."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {"edit": type(self).__name__, **{name: _written(value) for name, value in own.items()}}

    def put_in(self, places: Places, given: Tensor | None) -> Tensor:
        """What the units of `places` become, broadcastable to (B, u, cells). given: means (u,), or others' values."""
        raise NotImplementedError

    def change(self, output: Tensor, given: Tensor | None = None, unit_axis: int | None = None) -> Tensor:
        """The layer's output after the edit; the output itself is not changed.

        output: (B, U, h, w), (B, h, w, U), (B, T, U) or (B, U). given: what the edit needs: the means (U,), or the
        output for other images, shaped like it.
        """
        places = Places.of(output, unit_axis)
        rows = places.rows(self.units, self.layer)
        there = None
        if given is not None:
            there = given.to(output.device)[rows] if given.ndim == 1 else places.like(given).values(rows)
        before = places.values(rows)  # (B, u, cells)
        after = self.put_in(dataclasses.replace(places, chosen=before), there).to(before)
        share = places.share(self.region)  # (cells,)
        return places.with_values(rows, after if share is None else before + share.to(before) * (after - before))

    def functions(self) -> dict[str, Callable[[Tensor], Tensor]]:
        """What `unitlens.edit` takes. Raises OptionError for a mean that is not known."""
        return (_alone(self)).functions()

    def __add__(self, other: UnitEdit | Edits) -> Edits:
        return Edits([self]) + other

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnitEdit) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(repr(sorted(self.identity.items(), key=lambda item: item[0])))

    def __repr__(self) -> str:
        units = "all units" if self.units is None else units_text(self.units)
        where = "" if self.region is None else " in a region"
        return f"{type(self).__name__}({self.layer!r}, {units}{where}{self._more()})"

    def _more(self) -> str:
        return ""


@dataclass(frozen=True, eq=False, repr=False)
class Ablate(UnitEdit):
    """Switches units off.

    to: "zero"; "mean" (of the unit over the probe set that `measure` is given); "resample" (what the unit does in
    another image of it, drawn once by `seed`); or numbers, one for each unit.

    >>> Ablate("conv5_3", [3, 4]) + Scale("conv4_3", 7, 2.0)
    Ablate('conv5_3', units 3, 4) + Scale('conv4_3', unit 7, factor 2)

    Raises OptionError.
    """

    to: str | tuple[float, ...]
    seed: int

    def __init__(self, layer: str, units: Any = None, *, to: Any = "zero", region: Any = None, seed: int = 0):
        super().__init__(layer, units, region=region)
        if isinstance(to, str) and to not in WAYS:
            raise OptionError(f"to: expected one of {', '.join(map(repr, WAYS))} or a number for each unit, got {to!r}")
        object.__setattr__(self, "to", to if isinstance(to, str) else _numbers(to, self.units, "to"))
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise OptionError(f"seed: expected a whole number from 0 on, got {seed!r}")
        object.__setattr__(self, "seed", int(seed))

    @property
    def needs(self) -> str:
        return "" if self.to == "zero" or not isinstance(self.to, str) else self.to

    def put_in(self, places: Places, given: Tensor | None) -> Tensor:
        if self.to == "zero":
            return torch.zeros(())
        if isinstance(self.to, tuple):
            return _each(self.to, places, "to")
        if given is not None:
            return given[None, :, None] if given.ndim == 1 else given
        if self.to == "mean":
            raise OptionError("to='mean': the mean is not known here. Use measure(), or give the numbers: to=[...].")
        if len(places.output) < 2:
            raise OptionError("to='resample': expected two images or more, whose values are exchanged; got one")
        return places.chosen_values.roll(1, 0)

    def _more(self) -> str:
        return "" if self.to == "zero" else f", to={self.to!r}" if isinstance(self.to, str) else ", to numbers"


@dataclass(frozen=True, eq=False, repr=False)
class Scale(UnitEdit):
    """Multiplies what units return by a factor: 0 is ablation to zero, 1 changes nothing, 2 makes them twice as loud.

    Raises OptionError.
    """

    factor: float

    def __init__(self, layer: str, units: Any = None, factor: float = 0.0, *, region: Any = None):
        super().__init__(layer, units, region=region)
        object.__setattr__(self, "factor", _numbers(factor, (), "factor")[0])

    def put_in(self, places: Places, given: Tensor | None) -> Tensor:
        return self.factor * places.chosen_values

    def _more(self) -> str:
        return f", factor {self.factor:g}"


@dataclass(frozen=True, eq=False, repr=False)
class Insert(UnitEdit):
    """Sets units to values: one number for all of them, or one for each.

    Raises OptionError.
    """

    values: tuple[float, ...]

    def __init__(self, layer: str, units: Any = None, values: Any = 1.0, *, region: Any = None):
        super().__init__(layer, units, region=region)
        object.__setattr__(self, "values", _numbers(values, self.units, "values"))

    def put_in(self, places: Places, given: Tensor | None) -> Tensor:
        return _each(self.values, places, "values")


class Edits:
    """Several edits, one after the other; made by adding edits up.

    >>> both = Ablate("conv5_3", 3) + Ablate("conv5_3", 4)
    >>> both.layers, len(both.edits)
    (('conv5_3',), 2)
    """

    def __init__(self, edits: Iterable[UnitEdit]):
        self.edits = tuple(edits)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that are edited, each once."""
        return tuple(dict.fromkeys(one.layer for one in self.edits))

    @property
    def identity(self) -> list[dict[str, Any]]:
        """The edits written down, for recipes."""
        return [one.identity for one in self.edits]

    def functions(
        self, means: Mapping[str, Tensor] | None = None, others: Mapping[tuple[str, int], Tensor] | None = None,
        unit_axis: int | None = None,
    ) -> dict[str, Callable[[Tensor], Tensor]]:  # fmt: skip
        """For each layer what `unitlens.edit` does with its output. means: (U,) by layer. others: the outputs for
        other images, by layer and seed."""

        def function(layer: str) -> Callable[[Tensor], Tensor]:
            def change(output: Tensor) -> Tensor:
                for one in self.edits:
                    if one.layer == layer:
                        given = None
                        if one.needs == "mean":
                            given = (means or {}).get(layer)
                        elif one.needs == "resample":
                            given = (others or {}).get((layer, getattr(one, "seed", 0)))
                        output = one.change(output, given, unit_axis)
                return output

            return change

        return {layer: function(layer) for layer in self.layers}

    def __add__(self, other: UnitEdit | Edits) -> Edits:
        if isinstance(other, UnitEdit):
            return Edits([*self.edits, other])
        if isinstance(other, Edits):
            return Edits([*self.edits, *other.edits])
        return NotImplemented

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Edits) and self.edits == other.edits

    def __hash__(self) -> int:
        return hash(self.edits)

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.edits)) or "Edits([])"


def _alone(edit: UnitEdit) -> Edits:
    return Edits([edit])


def checked_units(units: Any, name: str = "units") -> tuple[int, ...] | None:
    """Unit numbers, each once, in the order given; None = all. Raises OptionError for anything else."""
    if units is None:
        return None
    if isinstance(units, (np.ndarray, Tensor)):
        units = units.tolist()
    given = [units] if isinstance(units, (int, np.integer)) and not isinstance(units, bool) else units
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        raise OptionError(f"{name}: expected unit numbers, got {units!r}")
    numbers = list(given)
    wrong = [n for n in numbers if isinstance(n, (bool, np.bool_)) or not isinstance(n, (int, np.integer)) or n < 0]
    if wrong:
        raise OptionError(f"{name}: expected unit numbers from 0 on, got {wrong[0]!r}")
    if len(set(numbers)) != len(numbers):
        raise OptionError(f"{name}: a unit stands there twice in {numbers!r}")
    return tuple(int(n) for n in numbers)


def units_text(units: Iterable[int]) -> str:
    """Units in few words.

    >>> units_text([3]), units_text([3, 4]), units_text(range(20))
    ('unit 3', 'units 3, 4', '20 units')
    """
    known = list(units)
    if not known:
        return "no unit"
    if len(known) > 8:
        return f"{len(known)} units"
    return f"unit{'s' * (len(known) > 1)} {', '.join(map(str, known))}"


def _numbers(values: Any, units: tuple[int, ...] | None, name: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(v) for v in np.asarray(values, dtype=np.float64).reshape(-1))
    except (TypeError, ValueError):
        raise OptionError(f"{name}: expected numbers, got {values!r}") from None
    if not numbers or not all(map(math.isfinite, numbers)):
        raise OptionError(f"{name}: expected finite numbers, got {values!r}")
    if len(numbers) > 1 and units is not None and len(numbers) != len(units):
        raise OptionError(f"{name}: expected 1 or {len(units)} numbers, one for each unit, got {len(numbers)}")
    return numbers


def _checked_region(region: Any) -> np.ndarray | None:
    if region is None:
        return None
    array = np.array(region, dtype=np.float32)
    if array.ndim != 2 or not array.size:
        raise ShapeMismatch(f"region: expected (H, W), got {array.shape}")
    if not (array.min() >= 0 and array.max() <= 1):
        raise OptionError("region: expected numbers 0..1 (or True and False), 1 where the edit is made")
    array.flags.writeable = False
    return array


def _each(numbers: tuple[float, ...], places: Places, name: str) -> Tensor:
    """One number for all units, or one for each: (1, 1 or u, 1). Raises OptionError."""
    units = places.chosen_values.shape[1]
    if len(numbers) not in (1, units):
        raise OptionError(f"{name}: expected 1 or {units} numbers, one for each unit, got {len(numbers)}")
    return torch.tensor(numbers)[None, :, None]


def _written(value: Any) -> Any:
    return value if not isinstance(value, np.ndarray) else [list(value.shape), value.tobytes().hex()]
