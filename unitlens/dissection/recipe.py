"""The recipes of a dissection and its parts: every input that changes the result, and none that does not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from unitlens.dissection.pilot import Bracket
from unitlens.dissection.plan import DissectionPlan
from unitlens.models.basis import as_basis
from unitlens.models.identity import has_hooks, model_digest

NUMERICS = 5  # raised whenever the same inputs give other numbers, or a stored result holds other arrays
NOT_STORED = (
    "the result is not kept in the store, because the {parts} cannot be recognised again. Give a segmenter, a basis or "
    "a preprocessing a `fingerprint` attribute (a text that changes when it does); a model with forward hooks, such as "
    "one inside `edit`, has no identity. store=False says that this is meant."
)


def measuring_recipe(plan: DissectionPlan) -> dict[str, Any]:
    """What decides the activations on the pixel grid, but for layer and images; a part without an identity is None."""
    return {
        "numerics": NUMERICS,
        "model": None if has_hooks(plan.model) else model_digest(plan.model),
        "after_relu": plan.after_relu,
        "call": plan.call,
        "unit_axis": plan.unit_axis,
        "preprocess": plan.preprocess.fingerprint,
        "precision": plan.precision,
        "convention": plan.convention,
        "grid": list(plan.grid),
    }


def labels_recipe(plan: DissectionPlan) -> dict[str, Any]:
    """What decides the labels of the pixels, but for the images."""
    words = repr([(c.name, c.category) for c in plan.segmenter.vocabulary])
    vocabulary = hashlib.sha256(words.encode()).hexdigest()
    return {
        "numerics": NUMERICS, "segmenter": plan.segmenter.fingerprint, "vocabulary": vocabulary,
        "grid": list(plan.grid),
    }  # fmt: skip


def basis_recipe(plan: DissectionPlan, layer: str) -> str | None:
    """The identity of a layer's basis: "units" where it has none, None where it cannot be recognised."""
    if layer not in plan.basis:
        return "units"
    argument = plan.basis[layer]
    width = argument.shape[1] if getattr(argument, "ndim", 0) == 2 else 1  # only a matrix looks at the width
    basis = as_basis(argument, int(width))
    return basis.fingerprint if basis else "units"


def dissection_recipe(plan: DissectionPlan, measuring: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of a whole dissection. A quantile inside the bracket is read off the result and changes nothing."""
    return {
        "kind": "dissection",
        **measuring,
        "layers": list(plan.layers),
        "basis": [basis_recipe(plan, layer) for layer in plan.layers],
        "probe": plan.probe.fingerprint,
        "segmenter": plan.segmenter.fingerprint,
        "vocabulary": [[c.name, c.category] for c in plan.segmenter.vocabulary],
        "exact": plan.quantile if plan.exact else None,
        "bracket": list(plan.bracket),
        "top": plan.top,
    }


def bracket_recipe(
    plan: DissectionPlan, measuring: Mapping[str, Any], layer: str, images: str, concepts: int
) -> dict[str, Any]:
    """The identity of a layer's brackets. images: digest of the pilot's images, or of all where they are exact.
    concepts: their number decides how many edges there is room for."""
    exact = plan.quantile if plan.exact else None
    return {
        "kind": "bracket", **measuring, "layer": layer, "basis": basis_recipe(plan, layer), "images": images,
        "bracket": list(plan.bracket), "exact": exact, "top": plan.top, "concepts": concepts,
    }  # fmt: skip


def bracket_digest(bracket: Bracket, units: torch.Tensor | None) -> str:
    """What the counts of a layer depend on besides the images: its edges, and which units are counted."""
    digest = hashlib.sha256(bracket.edges.numpy().tobytes())
    digest.update(bracket.bound.numpy().tobytes())
    digest.update(b"all" if units is None else units.numpy().tobytes())
    return digest.hexdigest()


def rows_digest(rows: torch.Tensor) -> str:
    """What stands for some units of a layer in a recipe: there may be thousands of them."""
    return hashlib.sha256(rows.numpy().tobytes()).hexdigest()


def unnamed_parts(recipe: Mapping[str, Any]) -> list[str]:
    """The parts that have no identity, so that the result must not be stored."""
    names = [part for part in ("model", "preprocess", "segmenter") if recipe[part] is None]
    return names + (["basis"] if None in recipe["basis"] else [])
