"""Probe sets by name."""

from __future__ import annotations

from typing import Any

from unitlens.data.probe import ProbeSet
from unitlens.errors import OptionError


def load_probe(name: str = "scenes", **options: Any) -> ProbeSet:
    """A probe set by name: "scenes", the world that ships with the package, or "villages", its family that the
    generator is trained on: churches and houses among trees, of no class.

    Options: count (1000), seed ("train", "validation", "probe" or a number), size (128 pixels; villages 64), store.
    Your own images: `from_folder`, `from_dataset`, `ArrayProbe`.

    >>> load_probe("scenes", count=36)
    SceneProbe(36 images of 128x128, 18 classes, 194 concepts)

    Raises OptionError for an unknown name.
    """
    from unitlens.data.scenes import SceneProbe

    if name == "villages":
        return SceneProbe(**{"size": 64, **options}, family="village")
    if name != "scenes":
        raise OptionError(
            f"name: the probe sets that ship are 'scenes' and 'villages'; got {name!r}. "
            "For your own images use from_folder or from_dataset."
        )
    return SceneProbe(**options)
