"""The recipe of a dissection: every input that changes the result, and none that does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unitlens.models.identity import has_hooks, model_digest

if TYPE_CHECKING:
    from unitlens.dissection.engine import DissectionPlan

NUMERICS = 1  # raised whenever the same inputs give other numbers, or a stored result holds other arrays
NOT_STORED = (
    "the result is not kept in the store, because the {parts} cannot be recognised again. Give a segmenter or "
    "preprocessing a `fingerprint` attribute (a text that changes when it does); a model with forward hooks, such as "
    "one inside `edit`, has no identity. store=False says that this is meant."
)


def dissection_recipe(plan: DissectionPlan) -> dict[str, Any]:
    """The written identity of a dissection; a part without an identity is None."""
    return {
        "kind": "dissection",
        "numerics": NUMERICS,
        "model": None if has_hooks(plan.model) else model_digest(plan.model),
        "layers": list(plan.layers),
        "after_relu": plan.after_relu,
        "call": plan.call,
        "preprocess": plan.preprocess.fingerprint,
        "probe": plan.probe.fingerprint,
        "segmenter": plan.segmenter.fingerprint,
        "vocabulary": [[c.name, c.category] for c in plan.segmenter.vocabulary],
        "quantile": plan.quantile,
        "grid": list(plan.grid),
        "top": plan.top,
    }


def unnamed_parts(recipe: Mapping[str, Any]) -> list[str]:
    """The parts that have no identity, so that the result must not be stored."""
    return [part for part in ("model", "preprocess", "segmenter") if recipe[part] is None]
