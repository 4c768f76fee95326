"""Source: the images of a probe set as a model takes them, shard by shard; what was measured of a shard is kept."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unitlens.data.probe import Batch, ProbeSet, check_range
from unitlens.dissection.shards import shard_ranges
from unitlens.errors import DataWarning, OptionError, ProbeError
from unitlens.intervene.outputs import Classes, classes_of
from unitlens.models.hooks import device_of
from unitlens.models.identity import has_hooks, model_digest
from unitlens.models.preprocess import Preprocess, as_preprocess
from unitlens.progress import Meter, progress
from unitlens.store import Store, default_store

NUMERICS = 2  # raised whenever the same inputs give other numbers, or a stored result holds other arrays
AT_A_TIME = 64  # images, at 128 pixels; fewer where they are larger
PIXELS = 2**20
Arrays = dict[str, np.ndarray]
NOT_STORED = (
    "the result is not kept in the store, because the {parts} cannot be recognised again. Give a preprocessing a "
    "`fingerprint` attribute (a text that changes when it does); a model with forward hooks, such as one inside "
    "`edit`, has no identity. store=False says that this is meant."
)


@dataclass(frozen=True, eq=False)
class Source:
    """The checked arguments that all measurements share. classes: None where images need none."""

    model: nn.Module
    probe: ProbeSet
    classes: Classes | None
    preprocess: Preprocess
    batch_size: int
    store: Store | None
    show: bool
    digest: str | None

    @classmethod
    def of(
        cls, model: nn.Module, probe: ProbeSet, *, classes: Mapping[str, Sequence[int]] | None = None,
        preprocess: Any = None, batch_size: int | None = None, store: Store | bool = True, show_progress: bool = True,
        labelled: bool = True,
    ) -> Source:  # fmt: skip
        """Raises OptionError, ProbeError."""
        if not isinstance(probe, ProbeSet):
            raise OptionError(
                f"probe: expected a probe set, got {type(probe).__name__}. Wrap it: from_folder(path), "
                "ArrayProbe(images, class_labels=...), from_dataset(dataset), or load_probe('scenes')."
            )
        if not len(probe):
            raise ProbeError("probe: expected at least one image, got an empty probe set")
        if not isinstance(store, (Store, bool)):
            raise OptionError(f"store: expected True, False or a Store, got {store!r}; a folder is Store('folder')")
        if batch_size is not None and (not isinstance(batch_size, (int, np.integer)) or batch_size < 1):
            raise OptionError(f"batch_size: expected a whole number from 1 on, got {batch_size!r}")
        ready = as_preprocess(preprocess)
        digest = None if has_hooks(model) else model_digest(model)
        unnamed = [p for p, v in (("model", digest), ("preprocessing", ready.fingerprint)) if v is None]
        if unnamed and store is not False:
            warnings.warn(NOT_STORED.format(parts=" and ".join(unnamed)), DataWarning, stacklevel=4)
        keep = None if unnamed else store if isinstance(store, Store) else default_store() if store else None
        fitting = max(1, min(AT_A_TIME, PIXELS // (probe.size[0] * probe.size[1])))
        known = classes_of(probe, classes) if labelled else None
        return cls(model, probe, known, ready, int(batch_size or fitting), keep, show_progress, digest)

    def recipe(self, **more: Any) -> dict[str, Any]:
        """What decides the numbers, but for the images."""
        return {
            "numerics": NUMERICS, "model": self.digest, "preprocess": self.preprocess.fingerprint,
            "classes": None if self.classes is None else self.classes.identity, **more,
        }  # fmt: skip

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, each once."""
        return self.classes.names if self.classes else ()

    def inputs(self, batch: Batch) -> Tensor:
        """A batch's images as the model takes them, on its device. Raises ProbeError outside [0, 1]."""
        check_range(batch.images)
        device = device_of(self.model) or torch.device("cpu")
        weight = next((p for p in self.model.parameters() if p.is_floating_point()), None)
        ready = self.preprocess(batch.images.to(device))
        return ready if weight is None else ready.to(weight.dtype)

    def batches(self, span: Sequence[int]) -> Iterator[Batch]:
        """The images of a shard, `batch_size` at a time; those that cannot be read are left out."""
        pieces = [span[a : a + self.batch_size] for a in range(0, len(span), self.batch_size)]
        return (batch for batch in self.probe.stream(pieces) if len(batch))

    def shards(
        self, recipe: Mapping[str, Any], work: Callable[[Sequence[int], Meter], Arrays], title: str,
        needs: Sequence[str] = (),
    ) -> list[Arrays]:  # fmt: skip
        """What `work` gives for every shard, in order: from the store, or computed and kept there, one at a time.

        Processes that share a store share the shards; a killed one loses the shard it was at. A shard in which images
        could not be read is not kept, so that it is measured again when they can be.
        """
        self.probe.identify(progress=self.show)
        spans = shard_ranges(len(self.probe))
        found: dict[int, Arrays] = {}
        with progress(title, len(self.probe), show=self.show) as meter:
            while len(found) < len(spans):
                before = len(found)
                for number, span in enumerate(spans):
                    if number not in found:
                        arrays = self._shard({**recipe, "images": self.probe.digest(span)}, span, work, meter, needs)
                        if arrays is not None:
                            found[number] = arrays
                            meter.step(len(span))
                if len(found) == before:
                    time.sleep(0.2)  # another process is at all that are left
        parts = [found[number] for number in range(len(spans))]
        if not sum(int(part["index"].size) for part in parts):
            raise ProbeError("probe: no image could be read")
        return parts

    def _shard(
        self, recipe: Mapping[str, Any], span: range, work: Callable[[Sequence[int], Meter], Arrays], meter: Meter,
        needs: Sequence[str],
    ) -> Arrays | None:  # fmt: skip
        """One shard's arrays; None where another process is at it."""
        wanted = ("index", *needs)
        if self.store is None:
            return work(span, meter)
        with ExitStack() as held:
            stored = self.store.get(recipe, wanted)
            if stored is None:
                if not held.enter_context(self.store.claim(recipe)):
                    return None
                stored = self.store.get(recipe, wanted)  # it may have been measured before the claim was ours
            if stored is not None:
                return stored[0]
            arrays = work(span, meter)
            if len(arrays["index"]) == len(span):
                self.store.offer(recipe, arrays, {})
            return arrays


def joined(parts: Sequence[Arrays], name: str) -> np.ndarray:
    """One array of all shards, along its first axis."""
    return np.concatenate([part[name] for part in parts])
