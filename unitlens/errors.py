"""Errors: each says what was expected, what was got, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UnitLensError(Exception):
    """Base class of every error that unitlens raises on purpose."""


class LayerNotFound(UnitLensError, KeyError):
    """A layer name that the model does not have; the message offers the nearest names."""

    def __init__(self, name: str, known: Iterable[str], *, dissected: bool = False):
        if dissected:
            super().__init__(f"layer {name!r} was not dissected; dissected: {', '.join(map(repr, known))}")
            return
        names = [k for k in known if k]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names[:3]
        offer = ", ".join(repr(n) for n in near) or "none: the model has no named modules"
        super().__init__(
            f"layer {name!r} is not in the model. Nearest names: {offer}. `layers(model)` lists all of them."
        )

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return str(self.args[0])


class LayerError(UnitLensError):
    """A layer that exists but cannot be used: no spatial grid, a tuple output, never called, called twice."""


class ShapeMismatch(UnitLensError, ValueError):
    """Tensors whose shapes do not fit together."""


class ProbeError(UnitLensError, ValueError):
    """A probe set that cannot be measured over: empty, unreadable, images outside [0, 1]."""


class ConceptError(UnitLensError, ValueError):
    """A concept or label that is not in the vocabulary."""


class DeviceMismatch(UnitLensError, RuntimeError):
    """Model and images on different devices."""


class RecipeMismatch(UnitLensError, ValueError):
    """Two results or states that were not computed the same way."""


class AssetError(UnitLensError, OSError):
    """A file that is missing, incomplete, or not the one it should be."""


class OptionError(UnitLensError, ValueError):
    """An argument outside its range."""


class MissingExtra(UnitLensError, ImportError):
    """An optional package that is not installed; the message holds the pip line."""

    def __init__(self, package: str, extra: str, reason: str):
        super().__init__(f"{reason} needs {package!r}. Install it with: python -m pip install 'unitlens[{extra}]'")


class StoreWarning(UserWarning):
    """A stored result could not be read and is computed again."""


class DataWarning(UserWarning):
    """Input that was measured around: unreadable images, NaN or infinite activations."""
