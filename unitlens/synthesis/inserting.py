"""insertion_map: units of a concept set at every cell in turn, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unitlens.data.concepts import Concept
from unitlens.errors import OptionError
from unitlens.intervene.edits import checked_units
from unitlens.models.hooks import at_rest
from unitlens.models.samples import Samples
from unitlens.progress import Meter
from unitlens.store import Store
from unitlens.synthesis.changing import jpeg
from unitlens.synthesis.content import Example
from unitlens.synthesis.cut import Cut
from unitlens.synthesis.insertion import Insertions
from unitlens.synthesis.pixels import pixels_of
from unitlens.synthesis.trials import Trials

ARRAYS = ("before", "change", "context")


def insertion_map(
    samples: Samples,
    layer: str,
    concept: str | Concept,
    units: Any,
    values: Any,
    *,
    segmenter: Any = None,
    examples: int = 6,
    batch_size: int | None = None,
    store: Store | bool = True,
    show_progress: bool = True,
) -> Insertions:
    """What units add that are set to high values at one cell: for every picture and every cell of the layer's grid
    [paper.md 1.5, Figure 4b].

    What was at the cell before decides what becomes of it: a door can be put into a wall, but not into the sky.

    samples: see `from_generator`. units: unit numbers, such as `dissection.units_for("door", layer, 20)`.
    values: what they are set to: one number, or one for each; the paper takes their thresholds, which fire in the top
        1 % of all pixels: `dissection[layer].threshold[units]`.
    segmenter, batch_size, store: as in `measure_content`. examples: of how many contexts a picture is kept.

    A picture's first layers run once; from the layer on, all its cells run together.

    >>> import unitlens as ul
    >>> samples = ul.from_generator(ul.load_model("scenegenerator"), 2)
    >>> found = insertion_map(samples, "layer2", "door", range(5), 3.0, examples=0, show_progress=False)
    >>> found.change.shape, found.grid
    ((2, 16), (4, 4))

    Raises OptionError, ConceptError, LayerNotFound.
    """
    order = np.array(checked_units(units) or (), dtype=np.int64)
    if not len(order):
        raise OptionError(f"units: expected unit numbers, got {units!r}")
    numbers = np.asarray(values, dtype=np.float64).reshape(-1)
    if len(numbers) not in (1, len(order)) or not np.isfinite(numbers).all():
        raise OptionError(f"values: expected one finite number, or {len(order)}, one for each unit; got {values!r}")
    trials = Trials(samples, segmenter, batch_size=batch_size, store=store, show_progress=show_progress)
    asked = trials.vocabulary.index(concept)
    run = _Run(trials, layer, order, np.broadcast_to(numbers, order.shape), asked)
    recipe = trials.recipe(
        kind="insertion", layer=layer, units=order.tolist(), values=numbers.tolist(),
        concept=[trials.vocabulary[asked].name, trials.vocabulary[asked].category],
    )  # fmt: skip
    parts = trials.shards(recipe, run.shard, "Inserting", ARRAYS)
    arrays: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in ARRAYS}
    found = Insertions(
        trials.vocabulary[asked], layer, order, numbers, trials.vocabulary, run.grid,
        samples.size[0] * samples.size[1], **arrays, recipe={**recipe, "probe": samples.fingerprint},
    )  # fmt: skip
    chosen = [c for c in found.contexts() if c != found.concept][:examples]
    return Insertions(**{**vars(found), "examples": {c.name: run.example(*found.typical(c)) for c in chosen}})


class _Run:
    """Insertions at all cells of the pictures of a shard."""

    def __init__(self, trials: Trials, layer: str, units: np.ndarray, values: np.ndarray, concept: int):
        self.trials, self.cut, self.concept = trials, Cut(trials.generator, layer), concept
        self.units, self.values = torch.from_numpy(units), torch.tensor(values)
        output = self.cut.head(trials.latents(trials.samples.load([0])))
        if int(self.units.max()) >= output.shape[1]:
            raise OptionError(f"units: layer {layer!r} has units 0..{output.shape[1] - 1}, got {int(self.units.max())}")
        self.grid = (output.shape[2], output.shape[3])

    def shard(self, span: Sequence[int], _: Meter) -> dict[str, np.ndarray]:
        """before (n,), change (n, G) int32, context (n, K, G) int16."""
        found: dict[str, list[np.ndarray]] = {name: [] for name in ("index", *ARRAYS)}
        for batch in self.trials.batches(span):
            latents = self.trials.latents(batch)
            output = self.cut.head(latents)
            labels = self.trials.labels(self.cut.pictures(output, latents))
            before = self._count(labels)
            after = [self._after(output[i], latents[i]) for i in range(len(latents))]
            found["index"].append(batch.index.numpy())
            found["before"].append(before.cpu().numpy())
            found["change"].append((torch.stack(after) - before[:, None]).int().cpu().numpy())
            found["context"].append(self._under(labels).short().cpu().numpy())
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _count(self, labels: Tensor) -> Tensor:
        return pixels_of(labels, self.trials.concepts)[:, self.concept]

    def _after(self, output: Tensor, latent: Tensor) -> Tensor:
        """The concept's pixels with each cell set: int64 (G,). output (U, h, w)."""
        cells, counts = self.grid[0] * self.grid[1], []
        for first in range(0, cells, self.trials.at_once):
            places = torch.arange(first, min(first + self.trials.at_once, cells), device=output.device)
            pictures = self.cut.pictures(self._set(output, places), latent.expand(len(places), *latent.shape))
            counts.append(self._count(self.trials.labels(pictures)))
        return torch.cat(counts)

    def _set(self, output: Tensor, places: Tensor) -> Tensor:
        """The layer's output with the units set at one cell of each copy: (places, U, h, w)."""
        edited = output.flatten(1).expand(len(places), -1, -1).clone()  # (p, U, G)
        rows = torch.arange(len(places), device=output.device)
        edited[rows[:, None], self.units.to(output.device), places[:, None]] = self.values.to(edited)
        return edited.view(len(places), *output.shape)

    def _under(self, labels: Tensor) -> Tensor:
        """The labels under the cells' centres: (B, K, G)."""
        centres = [
            torch.tensor([y * side // n + side // n // 2 for y in range(n)], device=labels.device)
            for n, side in zip(self.grid, labels.shape[-2:], strict=True)
        ]
        return labels[:, :, centres[0]][..., centres[1]].flatten(2)

    def example(self, index: int, cell: int) -> tuple[Example, tuple[int, int]]:
        """A picture before and after an insertion, and the cell (row, column)."""
        latents = self.trials.latents(self.trials.samples.load([index]))
        output = self.cut.head(latents)
        with at_rest(self.trials.generator, latents):
            both = torch.cat([output, self._set(output[0], torch.tensor([cell], device=output.device))])
        pictures = self.cut.pictures(both, latents.expand(2, *latents.shape[1:])).cpu()
        labels = self.trials.labels(pictures).cpu().numpy().astype(np.int16)
        shown = Example(index, jpeg(pictures[0]), jpeg(pictures[1]), (labels[0], labels[1]))
        return shown, (cell // self.grid[1], cell % self.grid[1])
