"""Means: what every unit of a layer returns on average over a probe set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unitlens.intervene.places import Places
from unitlens.intervene.source import Arrays, Source
from unitlens.models.capture import capture
from unitlens.progress import Meter


def unit_means(source: Source, layer: str, unit_axis: int | None = None) -> Tensor:
    """The mean over all images and cells, float64 (U,) on the CPU; kept in the store, shard by shard."""

    def shard(span: Sequence[int], _: Meter) -> Arrays:
        seen, sums, cells = [np.zeros(0, np.int64)], [], 0
        with capture(source.model, layer, stop=True) as captured:
            for batch in source.batches(span):
                places = Places.of(captured.run(source.inputs(batch))[layer], unit_axis)
                values = places.values(places.rows(None, layer))  # (B, U, cells)
                seen.append(batch.index.numpy())
                sums.append(values.double().sum((0, 2)).cpu().numpy())
                cells += values.shape[0] * values.shape[2]
        total = np.add.reduce(sums) if sums else np.zeros(0)
        return {"index": np.concatenate(seen), "sum": total, "cells": np.array([cells])}

    recipe = source.recipe(kind="means", layer=layer, unit_axis=unit_axis)
    parts = [part for part in source.shards(recipe, shard, f"Averaging {layer}", ("sum", "cells")) if part["sum"].size]
    return torch.from_numpy(np.add.reduce([part["sum"] for part in parts]) / sum(int(p["cells"][0]) for p in parts))
