"""causal_units: which units of a generator make a concept, learnt by removing and inserting all of them in part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unitlens.data.concepts import Concept
from unitlens.errors import OptionError
from unitlens.models.hooks import at_rest
from unitlens.models.samples import Samples
from unitlens.progress import Meter, progress
from unitlens.segment.segmenter import Joined
from unitlens.store import Store
from unitlens.synthesis.cut import Cut
from unitlens.synthesis.ranked import CausalUnits
from unitlens.synthesis.trials import Trials

SEARCHED = 8  # cells looked at for every picture that the concept is to be put into
BATCH = 16


def causal_units(
    samples: Samples,
    layer: str,
    concept: str | Concept,
    start: Any = None,
    *,
    images: int = 96,
    epochs: int = 12,
    rate: float = 0.05,
    penalty: float = 0.005,
    elsewhere: float = 3.0,
    segmenter: Any = None,
    seed: int = 1,
    batch_size: int | None = None,
    store: Store | bool = True,
    show_progress: bool = True,
) -> CausalUnits:
    """The units that take part in making a concept, by their learnt causal effect (ACE) [paper.md 7.2].

    Every unit has a share alpha in 0..1. In pictures that show the concept, units are removed everywhere by their
    share; in pictures that do not, they are moved by their share, in one cell that could show it, towards their mean
    where the concept is. Alpha is learnt so that the first takes away, and the second adds, as much of the concept as
    possible, with as few units as possible and with as little change as possible where the concept never was. The
    paper's method removes in one cell too and has no term for the rest of the picture; a concept wider than a cell is
    then not seen to go, and units that every concept needs are liked.

    samples: see `from_generator`; all of them are looked at for where the concept is. start: (U,) numbers that alpha
        begins with, such as `dissection.iou(layer)[:, c]`, scaled to a maximum of 1; None = all alike.
    images: pictures of each kind that alpha is learnt on. epochs, rate (of Adam), seed: of the search. penalty: the
        price of a whole unit, as a share of the concept's pixels. elsewhere: the price of change where the concept
        is not, times its mean over all values, in 0..1.
    segmenter: one with a method `probability(images, concept)` that is differentiable, such as `SceneLabels`, or a
        joined one that holds it. batch_size, store: as in `measure_content`.

    >>> import unitlens as ul
    >>> samples = ul.from_generator(ul.load_model("scenegenerator"), 32)
    >>> found = causal_units(samples, "layer4", "tree", images=16, epochs=1, show_progress=False)
    >>> found.alpha.shape, len(found.units)
    ((192,), 192)

    Raises OptionError, ConceptError, LayerNotFound.
    """
    for name, number in (("images", images), ("epochs", epochs)):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
            raise OptionError(f"{name}: expected 1 or more, got {number!r}")
    trials = Trials(samples, segmenter, batch_size=batch_size, store=store, show_progress=show_progress)
    asked = trials.vocabulary[trials.vocabulary.index(concept)]
    judge = _differentiable(trials.segmenter, asked)
    seen = _Seen.of(trials, layer, asked)
    first = _started(start, len(seen.values))
    recipe = trials.recipe(
        kind="causal units", layer=layer, concept=[asked.name, asked.category], images=images, epochs=epochs, rate=rate,
        penalty=penalty, elsewhere=elsewhere, seed=seed, probe=samples.fingerprint,
        start=hashlib.sha256(first.tobytes()).hexdigest(),
    )  # fmt: skip
    keep = trials.source.store
    stored = keep.get(recipe, ("alpha", "losses")) if keep else None
    if stored is None:
        search = _Search(trials, judge, asked, seen, penalty, elsewhere)
        alpha, losses = search.run(first, images, epochs, rate, seed)
        stored = {"alpha": alpha, "losses": losses}, {}
        if keep:
            keep.offer(recipe, *stored)
    arrays = stored[0]
    return CausalUnits(asked, layer, arrays["alpha"], seen.values, first, arrays["losses"], recipe)


def _started(start: Any, units: int) -> np.ndarray:
    """Alpha at the start, (U,), scaled to a maximum of 1. Raises OptionError."""
    first = np.ones(units) if start is None else np.asarray(start, np.float64).reshape(-1)
    if first.shape != (units,) or not np.isfinite(first).all() or first.max() <= 0:
        raise OptionError(f"start: expected {units} finite numbers, some above 0, one for each unit")
    return np.clip(first / first.max(), 0, 1)


def _differentiable(segmenter: Any, concept: Concept) -> Any:
    """The segmenter that says how likely the concept is. Raises OptionError."""
    for one in segmenter.segmenters if isinstance(segmenter, Joined) else (segmenter,):
        if hasattr(one, "probability") and concept in one.vocabulary:
            return one
    raise OptionError(
        f"segmenter: {segmenter!r} has no method probability(images, concept) that knows {concept}. "
        "Learning needs gradients; SceneLabels() has it."
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """Where the concept is. presence float32 (N, G): its share of each cell. values float64 (U,): the units' mean
    where it is."""

    cut: Cut
    presence: np.ndarray
    values: np.ndarray
    grid: tuple[int, int]

    @classmethod
    def of(cls, trials: Trials, layer: str, concept: Concept) -> _Seen:
        cut, label = Cut(trials.generator, layer), trials.vocabulary.label(concept)
        rows, columns = cut.head(trials.latents(trials.samples.load([0]))).shape[-2:]
        grid = (int(rows), int(columns))

        def shard(span: Sequence[int], _: Meter) -> dict[str, np.ndarray]:
            found: dict[str, list[np.ndarray]] = {"index": [], "presence": [], "sums": []}
            for batch in trials.batches(span):
                latents = trials.latents(batch)
                output = cut.head(latents)
                labels = trials.labels(cut.pictures(output, latents))
                mask = (labels == label).any(1, keepdim=True).float()
                here = functional.adaptive_avg_pool2d(mask, grid)  # (B, 1, h, w)
                found["index"].append(batch.index.numpy())
                found["presence"].append(here.flatten(1).cpu().numpy())
                found["sums"].append((output * here.to(output)).double().sum((0, 2, 3)).cpu().numpy())
            return {"index": np.concatenate(found["index"]), "presence": np.concatenate(found["presence"]),
                    "sums": np.sum(found["sums"], axis=0)}  # fmt: skip

        recipe = trials.recipe(kind="presence", layer=layer, concept=[concept.name, concept.category])
        parts = trials.shards(recipe, shard, "Looking for the concept", ("presence", "sums"))
        presence = np.concatenate([part["presence"] for part in parts])
        if not presence.any():
            raise OptionError(f"concept: {concept} is in none of the {len(presence):,} samples")
        return cls(cut, presence, np.sum([part["sums"] for part in parts], axis=0) / presence.sum(), grid)


class _Search:
    """The search for alpha."""

    def __init__(self, trials: Trials, judge: Any, concept: Concept, seen: _Seen, penalty: float, elsewhere: float):
        self.trials, self.judge, self.concept, self.seen = trials, judge, concept, seen
        self.penalty, self.elsewhere = penalty, elsewhere
        self.values = torch.from_numpy(seen.values).float().to(trials.device)

    def run(self, start: np.ndarray, images: int, epochs: int, rate: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """alpha (U,) and the loss of every step."""
        dice = np.random.RandomState(seed)
        present = self._present(images, dice)
        absent, places = self._candidates(images, dice)
        alpha = torch.tensor(start, dtype=torch.float32, device=self.trials.device, requires_grad=True)
        optimizer, losses = torch.optim.Adam([alpha], lr=rate), []
        steps = max(1, min(len(present), len(absent)) // BATCH)
        with progress("Learning shares", epochs * steps, unit="steps", show=self.trials.source.show) as meter:
            for _ in range(epochs):
                orders = dice.permutation(len(present)), dice.permutation(len(absent))
                for step in range(steps):
                    some, others = (order[step * BATCH : (step + 1) * BATCH] for order in orders)
                    loss = self._removed(present[some], alpha) + self.penalty * alpha.sum()
                    loss = loss - self._inserted(absent[others], places[others], alpha).mean()
                    (alpha.grad,) = torch.autograd.grad(loss, alpha)  # the models' own weights get no gradient
                    optimizer.step()
                    with torch.no_grad():
                        alpha.clamp_(0, 1)
                    losses.append(float(loss.detach()))
                    meter.step()
        return alpha.detach().double().cpu().numpy(), np.array(losses)

    def _present(self, images: int, dice: np.random.RandomState) -> np.ndarray:
        """Some of the pictures that show the concept."""
        showing = np.flatnonzero(self.seen.presence.any(1))
        return np.sort(dice.permutation(showing)[:images])

    def _candidates(self, images: int, dice: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Pictures that show least of the concept, and for each the cell of some drawn ones (where the concept often
        is) that takes it best: there all units are set to their values."""
        order = np.argsort(self.seen.presence.sum(1), kind="stable")[:images]
        often = self.seen.presence.mean(0)
        cells = np.stack([
            dice.choice(len(often), size=min(SEARCHED, int((often > 0).sum())), replace=False, p=often / often.sum())
            for _ in order
        ])  # fmt: skip
        whole, best = torch.ones_like(self.values), []
        with torch.no_grad():
            for index, tried in zip(order, cells, strict=True):
                score = self._inserted(np.full(len(tried), index), tried, whole)
                best.append(int(tried[int(score.argmax())]))
        return order, np.array(best)

    def _removed(self, index: np.ndarray, alpha: Tensor) -> Tensor:
        """How much of the concept is left, as a share of what there was, when units are removed everywhere by alpha,
        and the price of what has changed where it was not."""
        latents, output = self._outputs(index)
        with at_rest(self.trials.generator, latents):
            before, was = self._seen(output, latents)
            with torch.enable_grad():
                after, now = self._seen(output * (1 - alpha[None, :, None, None]), latents)
                changed = ((1 - was)[:, None] * (after - before).abs()).mean()
                return now.sum() / was.sum().clamp_min(1e-6) + self.elsewhere * changed

    def _inserted(self, index: np.ndarray, cells: np.ndarray, alpha: Tensor) -> Tensor:
        """How likely the cells show the concept when their units are moved by alpha to their values: (B,)."""
        rows, columns = self.seen.grid
        latents, output = self._outputs(index)
        places = torch.from_numpy(np.asarray(cells)).to(output.device)
        here = functional.one_hot(places, rows * columns).view(-1, 1, rows, columns).to(output)
        share = here * alpha[None, :, None, None]
        with at_rest(self.trials.generator, latents), torch.enable_grad():
            edited = output * (1 - share) + share * self.values[None, :, None, None].to(output)
            likely = self._seen(edited, latents)[1][:, None]
        return (functional.adaptive_avg_pool2d(likely, (rows, columns)) * here).sum((1, 2, 3))

    def _outputs(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Latents of samples, and what the layer returns for them."""
        latents = self.trials.latents(self.trials.samples.load([int(i) for i in index]))
        return latents, self.seen.cut.head(latents)

    def _seen(self, output: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The pictures (B, 3, H, W) that follow, and how likely each pixel shows the concept (B, H, W)."""
        pictures = self.seen.cut.differentiable(output, latents)
        return pictures, self.judge.probability(pictures, self.concept)
